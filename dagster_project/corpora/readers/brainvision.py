"""BrainVision recordings: a text header, its samples and its markers in files beside it.

Read from the Brain Products format description, Core Data Format 1.0. The three files are one
recording; the header's own stem finds the other two where the names it gives do not (LEMON). Samples
are :mod:`dagster_project.corpora.readers.framed`'s.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.framed import (
    FLOAT32,
    INT16,
    INT32,
    Coding,
    FramedRecording,
    Frames,
    Track,
    is_bare,
    open_regular,
    read_bounded,
)
from dagster_project.corpora.readers.types import Annotation, Run, Signal
from dagster_project.corpora.spec import NoParams

MAX_HEADER_BYTES = 4 << 20
MAX_MARKER_BYTES = 64 << 20
MAX_CHANNELS = 1024
CLOCK_SLACK_S = 1.0
"""A segment dated so much before the end of the one before it makes the dates void (engineering
default; recorders stamp whole blocks)."""
MARKERS_MISSING = "markers_missing"
"""Remark on a recording without a marker file (LEMON 010203)."""
NAMES_DISAGREE = "names_disagree"
"""Remark on a header that names other files than its own stem has beside it."""

_CODINGS: dict[str, Coding] = {"INT_16": INT16, "INT_32": INT32, "IEEE_FLOAT_32": FLOAT32}
_UNIT_UV = {
    "": 1.0, "uv": 1.0, "\xb5v": 1.0, "\u03bcv": 1.0, "mv": 1e3, "v": 1e6, "nv": 1e-3,
}  # fmt: skip
_DECIMAL = re.compile(r"[+-]?(\d{1,18}\.?\d{0,18}|\.\d{1,18})([eE][+-]?\d{1,2})?\Z", re.ASCII)
_MARKER = re.compile(r"Mk\d+=(.*)\Z", re.ASCII)
_STAMP = re.compile(r"\d{20}\Z", re.ASCII)
_START = re.compile(r"brain ?vision data exchange (header|marker) file", re.IGNORECASE)

Sections = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class _Marker:
    kind: str
    text: str
    sample: int
    n_samples: int
    at: datetime | None


def _text(raw: bytes) -> str:
    """Decode by the code page the file names; without one the format means Windows Latin."""
    is_utf8 = re.search(rb"(?im)^codepage=utf-8\s*$", raw) or raw.startswith(b"\xef\xbb\xbf")
    text = raw.decode("utf-8-sig", "replace") if is_utf8 else raw.decode("latin-1")
    if not _START.match(text):
        raise CorpusError("not_edf", "the first line is not BrainVision's")
    return text


def _sections(text: str) -> Sections:
    """Return keys by section, both lower case, up to the comment, which is free text."""
    found: dict[str, dict[str, str]] = {}
    here: dict[str, str] = {}
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            name = line[1:-1].strip().lower()
            if name == "comment":
                break
            here = found.setdefault(name, {})
        elif "=" in line and not line.startswith(";"):
            key, _, value = line.partition("=")
            if here.setdefault(key.strip().lower(), value.strip()) != value.strip():
                raise CorpusError("bad_header", "a key of the header is given twice")
    return found


def _decimal(text: str, what: str) -> Fraction:
    if not _DECIMAL.match(text):
        raise CorpusError("bad_header", f"{what} is not a number")
    return Fraction(text)


def _integer(text: str, what: str, low: int, high: int) -> int:
    if not re.fullmatch(r"\d{1,12}", text, re.ASCII) or not low <= int(text) <= high:
        raise CorpusError("bad_header", f"{what} is not a whole number in {low}..{high}")
    return int(text)


def _rate(text: str) -> Fraction:
    """Return the rate of an interval in microseconds: the whole one it rounds from, if any."""
    interval = _decimal(text, "the sampling interval")
    if interval <= 0:
        raise CorpusError("bad_header", "the sampling interval is not positive")
    exact = Fraction(10**6) / interval
    whole = Fraction(round(exact))
    digits = len(text.partition(".")[2])
    is_meant = whole > 0 and abs(10**6 / whole - interval) * 2 * 10**digits <= 1
    return whole if is_meant else exact


def _channel(text: str) -> tuple[str, float, str]:
    """Return name, resolution and unit of one channel line."""
    fields = text.split(",") + [""] * 3
    name, _, resolution, unit = fields[:4]
    step = float(_decimal(resolution.strip() or "1", "a channel's resolution"))
    if not math.isfinite(step) or step == 0:
        raise CorpusError("bad_header", "a channel's resolution is void")
    return name.replace("\\1", ",").strip(), step, unit.strip().lower()


def _channels(sections: Sections, n_channels: int) -> list[tuple[str, float, str]]:
    lines = sections.get("channel infos", {})
    if any(f"ch{i + 1}" not in lines for i in range(n_channels)) or len(lines) != n_channels:
        raise CorpusError("bad_header", f"{len(lines)} channel lines for {n_channels} channels")
    return [_channel(lines[f"ch{i + 1}"]) for i in range(n_channels)]


def _beside(path: Path, named: str, suffix: str) -> tuple[Path, bool]:
    """Find a file of the recording; its own stem goes first, then a bare name the header gives.

    Returns
    -------
    tuple of Path and bool
        The file, and whether the header names another than the stem has.
    """
    named = named.replace("$b", path.stem)
    twin = path.with_suffix(suffix)
    if twin.is_file():
        return twin, named != twin.name
    return (path.with_name(named), False) if is_bare(named) else (twin, True)


def _stamp(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S%f") if _STAMP.match(text) else None
    except ValueError:
        return None


def _markers(path: Path, n_samples: int) -> tuple[_Marker, ...]:
    """Return the markers inside the recording in file order."""
    text = _text(read_bounded(path, MAX_MARKER_BYTES, "the marker file"))
    found = []
    for line in text.splitlines():
        match = _MARKER.match(line.strip())
        if not match:
            continue
        fields: list[str] = match[1].split(",") + [""] * 4
        kind, what, at, length, *rest = fields
        if not re.fullmatch(r"\d{1,12}", at.strip(), re.ASCII):
            raise CorpusError("bad_labels", "a marker has no position")
        sample = max(int(at) - 1, 0)  # a position of 0 occurs in files other tools have written
        n = int(length) if re.fullmatch(r"\d{1,12}", length.strip(), re.ASCII) else 0
        if sample < n_samples:
            kind, what = kind.strip().replace("\\1", ","), what.strip().replace("\\1", ",")
            at_time = _stamp(rest[1].strip()) if len(rest) > 1 else None
            found.append(_Marker(kind, what, sample, n, at_time))
    return tuple(found)


def _runs(markers: tuple[_Marker, ...], n_samples: int, rate: Fraction) -> tuple[Run, ...]:
    """Split at new segments; their dates tell the gaps where they are there and run forwards."""
    new = sorted((m for m in markers if m.kind == "New Segment"), key=lambda m: m.sample)
    dates = {m.sample: m.at for m in new}
    cuts = [0, *(at for at in dict.fromkeys(m.sample for m in new) if at > 0), n_samples]
    starts = [at / float(rate) for at in cuts[:-1]]
    first = dates.get(0)
    if first and all(dates.get(at) for at in cuts[:-1]):
        dated = [((dates[at] or first) - first).total_seconds() for at in cuts[:-1]]
        ends = [t + (b - a) / float(rate) for t, (a, b) in zip(dated, pairwise(cuts), strict=True)]
        if all(t >= end - CLOCK_SLACK_S for end, t in zip(ends, dated[1:], strict=False)):
            starts = dated
            for i in range(1, len(starts)):
                starts[i] = max(starts[i], starts[i - 1] + (cuts[i] - cuts[i - 1]) / float(rate))
    return tuple(Run(a, b - a, t) for (a, b), t in zip(pairwise(cuts), starts, strict=True))


def _notes(markers: tuple[_Marker, ...], runs: tuple[Run, ...], rate: Fraction) -> list[Annotation]:
    """Return markers as ``type/description`` on the recording's clock, as MNE-Python spells them."""
    found, at = [], 0
    for m in sorted(markers, key=lambda m: m.sample):
        while at + 1 < len(runs) and m.sample >= runs[at + 1].start_sample:
            at += 1
        onset = runs[at].start_s + (m.sample - runs[at].start_sample) / float(rate)
        found.append(Annotation(onset, m.n_samples / float(rate), f"{m.kind}/{m.text}"))
    return found


def _n_samples(common: Mapping[str, str], n_bytes: int, n_channels: int, coding: Coding) -> int:
    """Return samples per channel, what the header declares against what is there."""
    if n_bytes == 0:
        raise CorpusError("empty", "the data file has 0 bytes")
    present, rest = divmod(n_bytes, n_channels * coding.unit_bytes)
    if rest or present == 0:
        raise CorpusError("truncated", f"{rest} bytes after {present} whole samples")
    declared = common.get("datapoints", "")
    if declared and _integer(declared, "the number of data points", 0, 10**12) not in (0, present):
        cause = "truncated" if int(declared) > present else "bad_header"
        raise CorpusError(cause, f"{present} samples are there, {declared} are declared")
    return present


def _layout(sections: Sections) -> tuple[int, Coding, bool]:
    """Return the number of channels, how samples are written, and whether channel by channel."""
    common = sections.get("common infos", {})
    n_channels = _integer(
        common.get("numberofchannels", ""), "the number of channels", 1, MAX_CHANNELS
    )
    binary = sections.get("binary infos", {}).get("binaryformat", "").upper()
    if common.get("dataformat", "").upper() != "BINARY" or binary not in _CODINGS:
        raise CorpusError("bad_header", f"data are not binary as one of {', '.join(_CODINGS)}")
    if common.get("datatype", "TIMEDOMAIN").upper() != "TIMEDOMAIN":
        raise CorpusError("bad_header", "data are no time series")
    orientation = common.get("dataorientation", "").upper()
    if orientation not in ("MULTIPLEXED", "VECTORIZED"):
        raise CorpusError("bad_header", "data orientation is neither multiplexed nor vectorized")
    return n_channels, _CODINGS[binary], orientation == "VECTORIZED"


def _tracks(
    frames: Frames, named: list[tuple[str, float, str]], n_each: int
) -> list[tuple[Frames, Track | None]]:
    tracks: list[tuple[Frames, Track | None]] = []
    for i, (_, step, unit) in enumerate(named):
        unit_uv = _UNIT_UV.get(unit)
        track = unit_uv and Track(frames, i * n_each, n_each, step * unit_uv, 0.0)
        tracks.append((frames, track or None))
    return tracks


def open_brainvision(path: Path, _: NoParams) -> FramedRecording:
    """Open one recording by its header file.

    Raises
    ------
    CorpusError
        ``not_edf``, ``empty``, ``truncated``, ``bad_header``, ``bad_labels`` for a void marker
        file, ``unreadable`` if the data file is not beside it.
    OSError
        If the operating system cannot open a file.
    """
    sections = _sections(_text(read_bounded(path, MAX_HEADER_BYTES, "the header")))
    common = sections.get("common infos", {})
    n_channels, coding, is_vectorized = _layout(sections)
    named = _channels(sections, n_channels)
    rate = _rate(common.get("samplinginterval", ""))
    data, differs = _beside(path, common.get("datafile", ""), ".eeg")
    if not data.is_file():
        raise CorpusError("unreadable", "its data file is not beside the header")
    marked, marked_differs = _beside(path, common.get("markerfile", ""), ".vmrk")
    remarks = [NAMES_DISAGREE] if differs or (marked_differs and marked.is_file()) else []
    remarks += [] if marked.is_file() else [MARKERS_MISSING]
    fd = open_regular(data)
    try:
        n_samples = _n_samples(common, os.fstat(fd).st_size, n_channels, coding)
        markers = _markers(marked, n_samples) if marked.is_file() else ()
        runs = _runs(markers, n_samples, rate)
        n_frames, n_each = (1, n_samples) if is_vectorized else (n_samples, 1)
        frames = Frames(fd, 0, coding, n_channels * n_each, n_frames)
        notes = tuple(_notes(markers, runs, rate))
    except BaseException:
        os.close(fd)
        raise
    return FramedRecording(
        "brainvision",
        tuple(Signal(name, rate, _UNIT_UV.get(unit)) for name, _, unit in named),
        _tracks(frames, named, n_each),
        lambda _: runs,
        next((m.at for m in markers if m.kind == "New Segment" and m.at), None),
        lambda: notes,
        tuple(remarks),
    )
