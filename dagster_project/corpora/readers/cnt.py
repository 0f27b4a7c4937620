"""Neuroscan continuous files (``.cnt``): header, samples in blocks, event table.

Offsets are those of the SETUP, ELECTLOC and TEEG structures as P. Bourke published them. The width
of a sample is not in the header, so an entry states it; where the header's counts say otherwise the
file is refused. Samples are :mod:`dagster_project.corpora.readers.framed`'s.
"""

from __future__ import annotations

import math
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Literal

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.framed import (
    INT16,
    INT32,
    Coding,
    FramedRecording,
    Frames,
    Track,
    open_regular,
)
from dagster_project.corpora.readers.types import Annotation, Run, Signal
from dagster_project.corpora.spec import Entry

SETUP_BYTES, CHANNEL_BYTES = 900, 75
MAGIC = b"Version "
MAX_CHANNELS = 1024
STEPS_PER_CAL = 204.8
"""A sample is (value - baseline) x sensitivity x calibration / 204.8 microvolts (SETUP notes)."""
MAX_EVENT_BYTES = 16 << 20
LARGE_BYTES = 1 << 31
"""From here on the event table's 32-bit position may have wrapped; the sample count is used."""

_CODINGS = {"int16": INT16, "int32": INT32}
_TEEG = struct.Struct("<Bii")
_EVENTS = {1: struct.Struct("<HBBi"), 2: struct.Struct("<HBBihhfBBB"),
           3: struct.Struct("<HBBihhfBBB")}  # fmt: skip
"""Event structures by the table's type; of each the stimulus, key, pad and offset are used."""
_TYPE_IN_SAMPLES = 3


class CntParams(Entry):
    """What an entry says about its ``.cnt`` files.

    Parameters
    ----------
    data_format
        Width of a sample; SEED's are int32.
    """

    data_format: Literal["int16", "int32"]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things are: ``block`` samples of a channel follow one another, ``stop`` ends them."""

    n_channels: int
    coding: Coding
    block: int
    start: int
    stop: int
    table: int | None

    @property
    def n_samples(self) -> int:
        whole = (self.stop - self.start) // (self.n_channels * self.coding.unit_bytes)
        return whole // self.block * self.block


def _stop(head: bytes, start: int, n_bytes: int, step: int) -> tuple[int, int | None]:
    """Return where the samples end and where the event table begins, if it is there."""
    counted: int = start + struct.unpack_from("<I", head, 864)[0] * step
    table: int = struct.unpack_from("<I", head, 886)[0]
    if n_bytes >= LARGE_BYTES:
        if counted == start or counted > n_bytes:
            raise CorpusError("truncated", f"{n_bytes} bytes; the sample count needs {counted}")
        return counted, counted if counted + _TEEG.size <= n_bytes else None
    if table > n_bytes:
        raise CorpusError("truncated", f"{n_bytes} bytes; the event table is said to be at {table}")
    if table > start:
        return table, table if table + _TEEG.size <= n_bytes else None
    if table != 0:
        raise CorpusError("bad_header", "the event table is said to lie inside the header")
    return n_bytes, None


def _layout(head: bytes, n_bytes: int, coding: Coding) -> _Layout:
    """Check the counts of the header against each other and the size of the file."""
    n_channels: int = struct.unpack_from("<H", head, 370)[0]
    if not 1 <= n_channels <= MAX_CHANNELS:
        raise CorpusError("bad_header", f"{n_channels} channels; 1 to {MAX_CHANNELS} are possible")
    start = SETUP_BYTES + CHANNEL_BYTES * n_channels
    if n_bytes <= start:
        cause = "empty" if n_bytes == start else "truncated"
        raise CorpusError(cause, f"{n_bytes} bytes; the header alone has {start}")
    step = n_channels * coding.unit_bytes
    stop, table = _stop(head, start, n_bytes, step)
    if (stop - start) % step:
        raise CorpusError("bad_header", f"{stop - start} data bytes are no whole samples of {step}")
    declared: int = struct.unpack_from("<I", head, 864)[0]
    for name, other in _CODINGS.items():
        if other is not coding and declared * n_channels * other.unit_bytes == stop - start:
            raise CorpusError("bad_header", f"by the header's own counts its samples are {name}")
    block_bytes: int = struct.unpack_from("<i", head, 894)[0]
    block = block_bytes // coding.unit_bytes if block_bytes > 1 else 1
    if not 1 <= block <= (stop - start) // step:
        raise CorpusError("bad_header", f"blocks of {block} samples in {(stop - start) // step}")
    return _Layout(n_channels, coding, block, start, stop, table)


def _name(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("latin-1").strip()


def _channel(block: bytes, layout: _Layout, frames: Frames, i: int) -> tuple[str, Track]:
    part = block[CHANNEL_BYTES * i : CHANNEL_BYTES * (i + 1)]
    baseline: int = struct.unpack_from("<h", part, 47)[0]
    sensitivity, calibration = (struct.unpack_from("<f", part, at)[0] for at in (59, 71))
    gain = sensitivity * calibration / STEPS_PER_CAL
    if not math.isfinite(gain) or gain == 0:
        raise CorpusError("bad_header", "a channel's sensitivity or calibration is void")
    n = layout.block
    return _name(part[:10]), Track(frames, i * n, n, gain, -baseline * gain)


def _start(head: bytes) -> datetime | None:
    text = f"{_name(head[225:235])} {_name(head[235:247])}"
    try:
        return datetime.strptime(text, "%m/%d/%y %H:%M:%S")
    except ValueError:  # other orders occur; only differences within a file would be used
        return None


def _events(raw: bytes, layout: _Layout, rate: Fraction) -> Iterator[Annotation]:
    """Yield the event table: the stimulus code, else the key or pad that was pressed."""
    kind, length, _ = _TEEG.unpack_from(raw)
    if kind not in _EVENTS or not 0 <= length <= len(raw) - _TEEG.size:
        raise CorpusError("bad_labels", "the event table is void or cut short")
    event, step = _EVENTS[kind], layout.n_channels * layout.coding.unit_bytes
    body = raw[_TEEG.size : _TEEG.size + length // event.size * event.size]
    for stimulus, key, pad, offset, *_ in event.iter_unpack(body):
        sample = offset if kind == _TYPE_IN_SAMPLES else (offset - layout.start) // step
        if 0 <= sample < layout.n_samples:
            text = str(stimulus) if stimulus or not (key or pad) else f"key {key or pad}"
            yield Annotation(sample / float(rate), 0.0, text)


def _open(fd: int, coding: Coding) -> FramedRecording:
    n_bytes = os.fstat(fd).st_size
    if n_bytes == 0:
        raise CorpusError("empty", "0 bytes")
    head = os.pread(fd, SETUP_BYTES, 0)
    if not head.startswith(MAGIC[: len(head)]):
        raise CorpusError("not_edf", "the first bytes are not Neuroscan's version text")
    if len(head) < SETUP_BYTES:
        raise CorpusError("truncated", f"{n_bytes} bytes; the header alone has {SETUP_BYTES}")
    layout = _layout(head, n_bytes, coding)
    rate = Fraction(struct.unpack_from("<H", head, 376)[0])
    if rate == 0:
        raise CorpusError("sampling_rate", "the header says 0 Hz")
    block = os.pread(fd, layout.start - SETUP_BYTES, SETUP_BYTES)
    n_frames = layout.n_samples // layout.block
    frames = Frames(fd, layout.start, coding, layout.n_channels * layout.block, n_frames)
    named = [_channel(block, layout, frames, i) for i in range(layout.n_channels)]

    def notes() -> tuple[Annotation, ...]:
        raw = b"" if layout.table is None else os.pread(fd, MAX_EVENT_BYTES, layout.table)
        return tuple(_events(raw, layout, rate)) if raw else ()

    return FramedRecording(
        "cnt",
        tuple(Signal(re.sub(r"\s+", " ", name), rate, 1.0) for name, _ in named),
        [(frames, track) for _, track in named],
        lambda _: (Run(0, layout.n_samples, 0.0),),
        _start(head),
        notes,
    )


def open_cnt(path: Path, params: CntParams) -> FramedRecording:
    """Open one Neuroscan file.

    Raises
    ------
    CorpusError
        ``not_edf``, ``empty``, ``truncated``, ``sampling_rate`` or ``bad_header``.
    OSError
        If the operating system cannot open it.
    """
    fd = open_regular(path)
    try:
        return _open(fd, _CODINGS[params.data_format])
    except BaseException:
        os.close(fd)
        raise
