"""WFDB records (PhysioNet): a text header, its signal files, and MIT annotation files beside it.

Read from the WFDB file format pages header(5), signal(5) and annot(5): formats 16, 24, 32 and 212,
several signals in one file, byte offsets (signal files dressed as MATLAB v4, as in the 2018
challenge), more than one sample a frame. Comments of the header are skipped unread: they name
people. Samples are :mod:`dagster_project.corpora.readers.framed`'s.
"""

from __future__ import annotations

import math
import os
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path

from pydantic import field_validator

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.framed import (
    INT16,
    INT32,
    PACKED_24,
    PACKED_212,
    Coding,
    FramedRecording,
    Frames,
    Track,
    is_bare,
    open_regular,
    read_bounded,
)
from dagster_project.corpora.readers.types import Annotation, Run, Signal
from dagster_project.corpora.spec import Entry

MAX_HEADER_BYTES = 1 << 20
MAX_ANNOTATION_BYTES = 4 << 20
"""Two million annotations; a night has a few thousand."""
MAX_SIGNALS = 1024
DEFAULT_GAIN = 200.0
"""Steps per unit where a header says 0 or nothing: header(5)."""
DEFAULT_RATE = Fraction(250)
MATLAB_HEAD = struct.Struct("<5i4s")
"""MATLAB v4 matrix header as wfdb2mat writes it, with the name ``val``: 24 bytes."""

_CODINGS: dict[str, tuple[Coding, int]] = {
    "16": (INT16, -(2**15)),
    "24": (PACKED_24, -(2**23)),
    "32": (INT32, -(2**31)),
    "212": (PACKED_212, -(2**11)),
}
"""Codings by format number, with the value that stands for no sample: signal(5)."""
_UNIT_UV = {"uv": 1.0, "\xb5v": 1.0, "\u03bcv": 1.0, "mv": 1e3, "v": 1e6, "nv": 1e-3}
_RECORD = re.compile(
    r"(?P<name>[-\w]+)(?P<segments>/\d+)?\s+(?P<n_signals>\d{1,6})"
    r"(?:\s+(?P<rate>\d{1,9}(?:\.\d{0,9})?)(?:/\S*)?)?(?:\s+(?P<n_samples>\d{1,12}))?"
    r"(?:\s+(?P<time>[\d:.]{1,20}))?(?:\s+(?P<date>[\d/]{1,10}))?\s*\Z",
    re.ASCII,
)
_FORMAT = re.compile(r"(\d{1,4})(?:x(\d{1,6}))?(?::(\d{1,9}))?(?:\+(\d{1,12}))?\Z", re.ASCII)
_GAIN = re.compile(
    r"(-?(?:\d{1,18}\.?\d{0,18}|\.\d{1,18})(?:e[+-]?\d{1,2})?)(?:\((-?\d{1,10})\))?(?:/(\S+))?\Z",
    re.ASCII | re.IGNORECASE,
)
_SKIP, _NUM, _SUB, _CHN, _AUX, _NOTE = 59, 60, 61, 62, 63, 22
_RESOLUTION = re.compile(r"## time resolution: (\d{1,9}(?:\.\d{1,9})?)\s*\Z", re.ASCII)


class WfdbParams(Entry):
    """What an entry says about its WFDB records.

    Parameters
    ----------
    annotators
        Suffixes of annotation files beside a record whose texts become annotations (``arousal``).
    """

    annotators: tuple[str, ...] = ()

    @field_validator("annotators")
    @classmethod
    def _are_suffixes(cls, annotators: tuple[str, ...]) -> tuple[str, ...]:
        for name in annotators:
            if not re.fullmatch(r"[A-Za-z][\w-]*", name):
                raise ValueError(f"annotator {name!r} is no file suffix, such as 'arousal'")
        return annotators


@dataclass(frozen=True, slots=True)
class WfdbAnnotation:
    """One annotation of an MIT file: its sample, its code of annot(5), and its text if it has one.

    Parameters
    ----------
    sample
        Counted in steps of the file's own time resolution.
    code
        Annotation type, 0 to 49.
    aux
        Auxiliary text without trailing zeros.
    """

    sample: int
    code: int
    aux: str


@dataclass(frozen=True, slots=True)
class _Line:
    file: str
    coding: Coding
    missing: int
    n_per_frame: int
    offset: int
    gain: float
    baseline: float
    unit: str
    label: str


def _line(text: str) -> _Line:
    """Parse one signal line."""
    fields = text.split(None, 8)
    form = _FORMAT.match(fields[1]) if len(fields) > 1 else None
    if not form or form[1] not in _CODINGS:
        raise CorpusError("bad_header", f"a signal's format is not one of {', '.join(_CODINGS)}")
    if int(form[3] or 0):
        raise CorpusError("bad_header", "a signal is skewed; that is not read")
    if not is_bare(fields[0]):
        raise CorpusError("bad_header", "a signal file is not named by a bare name")
    gain = _GAIN.match(fields[2] if len(fields) > 2 else "0")
    zero = fields[4] if len(fields) > 4 else "0"
    if not gain or not re.fullmatch(r"-?\d{1,10}", zero, re.ASCII):
        raise CorpusError("bad_header", "a signal's gain or zero is not a number")
    per_unit = float(gain[1]) or DEFAULT_GAIN
    n_per_frame = int(form[2] or 1)
    if not math.isfinite(per_unit) or n_per_frame == 0:
        raise CorpusError("bad_header", "a signal's gain or samples per frame are void")
    return _Line(
        fields[0], *_CODINGS[form[1]], n_per_frame, int(form[4] or 0), per_unit,
        float(gain[2] if gain[2] is not None else zero), (gain[3] or "mV").lower(),
        fields[8].strip() if len(fields) > 8 else "",
    )  # fmt: skip


def _start(time: str | None, date: str | None) -> datetime | None:
    if not time or not date:
        return None
    try:
        return datetime.strptime(f"{date} {time.partition('.')[0]}", "%d/%m/%Y %H:%M:%S")
    except ValueError:
        return None


def _parse(raw: bytes) -> tuple[re.Match[str], list[_Line]]:
    """Check a header and return its record line and its signals."""
    if not raw:
        raise CorpusError("empty", "the header has 0 bytes")
    lines = [s for s in map(str.strip, raw.decode("utf-8", "replace").splitlines()) if s]
    lines = [s for s in lines if not s.startswith("#")]
    record = _RECORD.match(lines[0]) if lines else None
    if not record:
        raise CorpusError("not_edf", "the first line is no WFDB record line")
    if record["segments"]:
        raise CorpusError("bad_header", "a record of several segments is not read; join them")
    n_signals = int(record["n_signals"])
    if n_signals == 0:
        raise CorpusError("no_eeg_channels", "the header declares 0 signals")
    if n_signals > MAX_SIGNALS or len(lines) != n_signals + 1:
        raise CorpusError("bad_header", f"{len(lines) - 1} signal lines for {n_signals} signals")
    return record, [_line(line) for line in lines[1:]]


def _check_matlab(fd: int, frame_samples: int, n_frames: int) -> None:
    """Refuse a signal file dressed as a MATLAB matrix whose shape is not the header's."""
    raw = os.pread(fd, MATLAB_HEAD.size, 0)
    kind, n_rows, n_columns, is_complex, _, name = MATLAB_HEAD.unpack(raw)
    if name != b"val\0" or kind not in (20, 30) or is_complex:
        raise CorpusError("not_edf", "the signal file does not begin as wfdb2mat writes it")
    if (n_rows, n_columns) != (frame_samples, n_frames):
        raise CorpusError("bad_header", f"a matrix of {n_rows} x {n_columns} samples; not declared")


def _frames(path: Path, group: Sequence[_Line], declared: int) -> Frames:
    """Open one signal file and check its size; ``declared`` frames, 0 for as many as there are."""
    first = group[0]
    if any((s.coding, s.offset) != (first.coding, first.offset) for s in group):
        raise CorpusError("bad_header", "signals of one file differ in format or offset")
    fd = open_regular(path)
    try:
        n_bytes = os.fstat(fd).st_size
        if n_bytes == 0:
            raise CorpusError("empty", "a signal file has 0 bytes")
        size = sum(s.n_per_frame for s in group)
        present = first.coding.n_samples(max(n_bytes - first.offset, 0)) // size
        if present < max(declared, 1):
            raise CorpusError("truncated", f"{present} of {declared} frames are there")
        if declared and present > declared:
            raise CorpusError("bad_header", f"{present} frames; the header declares {declared}")
        if path.suffix == ".mat" and first.offset == MATLAB_HEAD.size:
            _check_matlab(fd, size, present)
    except BaseException:
        os.close(fd)
        raise
    return Frames(fd, first.offset, first.coding, size, present)


def _tracks(group: Sequence[_Line], frames: Frames) -> Iterator[tuple[Frames, Track | None]]:
    start = 0
    for s in group:
        unit_uv, track = _UNIT_UV.get(s.unit), None
        if unit_uv is not None:
            step = unit_uv / s.gain
            track = Track(frames, start, s.n_per_frame, step, -s.baseline * step, s.missing)
        yield frames, track
        start += s.n_per_frame


def _pairs(raw: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (code, low ten bits, where the next pair begins) up to the end mark."""
    at = 0
    while at + 2 <= len(raw):
        word = raw[at] | raw[at + 1] << 8
        at += 2
        if word == 0:
            return
        code, low = word >> 10, word & 0x3FF
        yield code, low, at
        if code == _SKIP:
            at += 4
        elif code == _AUX:
            at += low + low % 2
    raise CorpusError("bad_labels", "an annotation file has no end mark")


def read_annotations(path: Path) -> tuple[WfdbAnnotation, ...]:
    """Read a MIT annotation file.

    Raises
    ------
    CorpusError
        ``bad_labels`` if it is too large, cut short, or runs to before its first sample.
    OSError
        If the operating system cannot open it.
    """
    raw = read_bounded(path, MAX_ANNOTATION_BYTES, "an annotation file")
    found: list[WfdbAnnotation] = []
    sample = 0
    for code, low, at in _pairs(raw):
        if code == _SKIP:
            high, rest = struct.unpack("<hH", raw[at : at + 4].ljust(4, b"\0"))
            sample += high * 65536 + rest
        elif code == _AUX:
            if not found:
                raise CorpusError("bad_labels", "a text belongs to no annotation")
            text = raw[at : at + low].decode("utf-8", "replace").rstrip("\0")
            found[-1] = WfdbAnnotation(found[-1].sample, found[-1].code, text)
        elif code not in (_NUM, _SUB, _CHN):
            sample += low
            if sample < 0:
                raise CorpusError("bad_labels", "an annotation lies before the first sample")
            found.append(WfdbAnnotation(sample, code, ""))
    return tuple(found)


def _annotations(path: Path, rate: Fraction) -> Iterator[Annotation]:
    """Yield annotations in seconds; one without a text is told by its code."""
    for note in read_annotations(path):
        finer = _RESOLUTION.match(note.aux) if note.code == _NOTE and note.sample == 0 else None
        if finer and Fraction(finer[1]) > 0:
            rate = Fraction(finer[1])
        elif not note.aux.startswith("## "):
            yield Annotation(note.sample / float(rate), 0.0, note.aux or f"code {note.code}")


def open_wfdb(path: Path, params: WfdbParams) -> FramedRecording:
    """Open one record by its header, or by a signal file with its header beside it.

    Raises
    ------
    CorpusError
        ``not_edf``, ``empty``, ``truncated``, ``bad_header``, ``no_eeg_channels``, or
        ``unreadable`` if a signal file is not beside the header.
    OSError
        If the operating system cannot open a file.
    """
    head = path.with_suffix(".hea")
    record, lines = _parse(read_bounded(head, MAX_HEADER_BYTES, "the header"))
    rate = Fraction(record["rate"]) if record["rate"] else DEFAULT_RATE
    if rate <= 0:
        raise CorpusError("sampling_rate", "the header says 0 Hz")
    groups: dict[str, list[_Line]] = {}
    for s in lines:
        groups.setdefault(s.file, []).append(s)
    if [s for group in groups.values() for s in group] != lines:
        raise CorpusError("bad_header", "the signals of a file do not follow one another")
    tracks: list[tuple[Frames, Track | None]] = []
    opened: list[int] = []
    try:
        for name, group in groups.items():
            if not head.with_name(name).is_file():
                raise CorpusError("unreadable", "a signal file is not beside the header")
            frames = _frames(head.with_name(name), group, int(record["n_samples"] or 0))
            opened.append(frames.fd)
            tracks += _tracks(group, frames)
        if len({frames.n_frames for frames, _ in tracks}) != 1:
            raise CorpusError("bad_header", "signal files differ in length")
    except BaseException:
        for fd in opened:
            os.close(fd)
        raise
    return _recording(head, params, record, rate, lines, tracks)


def _recording(
    head: Path,
    params: WfdbParams,
    record: re.Match[str],
    rate: Fraction,
    lines: Sequence[_Line],
    tracks: Sequence[tuple[Frames, Track | None]],
) -> FramedRecording:
    n_frames = tracks[0][0].n_frames
    beside = {name: head.with_suffix(f".{name}") for name in params.annotators}
    signals = (Signal(s.label, rate * s.n_per_frame, _UNIT_UV.get(s.unit)) for s in lines)
    return FramedRecording(
        "wfdb",
        tuple(signals),
        tracks,
        lambda of: (Run(0, n_frames * int(of / rate), 0.0),),
        _start(record["time"], record["date"]),
        lambda: tuple(
            note for p in beside.values() if p.is_file() for note in _annotations(p, rate)
        ),
        tuple(f"{name}_missing" for name, p in beside.items() if not p.is_file()),
    )
