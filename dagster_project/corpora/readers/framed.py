"""Samples in frames: the layout BrainVision, WFDB and Neuroscan files have in common.

A file is a stream of equally coded samples; a frame holds a fixed number of each signal's. Plain
multiplexing is a frame of one sample each, vectorised data one frame in all. Only picked channels
are kept, and never more than a block of the file is in memory. What the headers say is read in
:mod:`~dagster_project.corpora.readers.brainvision`, :mod:`~dagster_project.corpora.readers.wfdb` and
:mod:`~dagster_project.corpora.readers.cnt`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.types import Annotation, OpenFile, Run, Signal

BLOCK_BYTES = 1 << 20
"""Bytes read at once: a block and its scaled copy stay in a core's cache."""
FARTHEST_UV = 1e12
"""No step or zero of a signal is farther off; it keeps scaled samples finite."""


def _decode_212(raw: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Pairs of 12-bit two's-complement samples in three bytes (WFDB signal(5), format 212)."""
    triple = raw.reshape(-1, 3)
    out = np.empty((len(triple), 2), dtype=np.int16)
    high = triple[:, 1].astype(np.int16)
    # the twelve bits go to the top of sixteen, so that shifting back carries the sign down
    out[:, 0] = triple[:, 0].astype(np.int16) << 4 | high << 12
    out[:, 1] = triple[:, 2].astype(np.int16) << 4 | (high & 0xF0) << 8
    out >>= 4
    return out.reshape(-1)


def _decode_24(raw: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Three bytes little-endian, two's complement."""
    wide = np.zeros((raw.size // 3, 4), dtype=np.uint8)
    wide[:, 1:] = raw.reshape(-1, 3)
    found: NDArray[np.int32] = wide.reshape(-1).view("<i4") >> 8
    return found


@dataclass(frozen=True, slots=True)
class Coding:
    """How samples are written.

    Parameters
    ----------
    dtype
        What a sample becomes.
    unit_samples, unit_bytes
        The smallest stretch that begins on a byte: samples and bytes of it.
    decode
        Bytes of whole units to samples, or None where the bytes are ``dtype``'s own.
    """

    dtype: str
    unit_samples: int
    unit_bytes: int
    decode: Callable[[NDArray[np.uint8]], NDArray[Any]] | None = None

    def n_samples(self, n_bytes: int) -> int:
        """Return how many whole samples so many bytes hold."""
        whole, rest = divmod(n_bytes, self.unit_bytes)
        return whole * self.unit_samples + (self.decode is _decode_212 and rest == 2)


INT16 = Coding("<i2", 1, 2)
INT32 = Coding("<i4", 1, 4)
FLOAT32 = Coding("<f4", 1, 4)
PACKED_212 = Coding("<i2", 2, 3, _decode_212)
PACKED_24 = Coding("<i4", 1, 3, _decode_24)


@dataclass(frozen=True, slots=True)
class Frames:
    """One data file.

    Parameters
    ----------
    fd
        Open file descriptor.
    offset
        Byte of the first sample.
    coding
        How samples are written.
    frame_samples
        Samples of one frame, all signals together.
    n_frames
        Whole frames in the file.
    """

    fd: int
    offset: int
    coding: Coding
    frame_samples: int
    n_frames: int

    @property
    def block_frames(self) -> int:
        """Frames that are read at once; 0 where one alone is more than a block."""
        samples = BLOCK_BYTES // self.coding.unit_bytes * self.coding.unit_samples
        return samples // self.frame_samples

    def read(self, first: int, n_samples: int) -> NDArray[Any]:
        """Return samples of the stream.

        Raises
        ------
        CorpusError
            ``truncated`` if the file has become shorter.
        """
        unit, width = self.coding.unit_samples, self.coding.unit_bytes
        start, stop = first // unit, -(-(first + n_samples) // unit)
        raw = os.pread(self.fd, (stop - start) * width, self.offset + start * width)
        if self.coding.decode is None:
            if len(raw) != n_samples * width:
                raise CorpusError("truncated", "the file ended while it was being read")
            return np.frombuffer(raw, dtype=self.coding.dtype)
        if len(raw) <= (stop - start - 1) * width:
            raise CorpusError("truncated", "the file ended while it was being read")
        whole = np.frombuffer(raw.ljust((stop - start) * width, b"\0"), dtype=np.uint8)
        return self.coding.decode(whole)[first - start * unit :][:n_samples]


@dataclass(frozen=True, slots=True)
class Track:
    """Where one signal lies and what its samples mean.

    Parameters
    ----------
    frames
        Its file.
    start, n_per_frame
        First sample within a frame, and how many there are.
    gain_uv, offset_uv
        Microvolts of one step and of zero.
    missing
        Stored value that stands for no sample, or None.
    """

    frames: Frames
    start: int
    n_per_frame: int
    gain_uv: float
    offset_uv: float
    missing: int | None = None

    @property
    def n_samples(self) -> int:
        """Samples in the whole file."""
        return self.frames.n_frames * self.n_per_frame


class FramedTraces:
    """Picked tracks; see :class:`~dagster_project.corpora.readers.types.Traces`.

    Parameters
    ----------
    tracks
        At least one; all of the same rate, hence as many samples per frame.
    sfreq
        Their rate.
    runs
        Contiguous stretches.
    """

    def __init__(self, tracks: Sequence[Track], sfreq: Fraction, runs: tuple[Run, ...]) -> None:
        self.sfreq, self.runs = sfreq, runs
        self._tracks = tuple(tracks)
        codings = [track.frames.coding.dtype for track in tracks]
        self._dtype = np.result_type(*codings)
        missing = [track.missing for track in tracks]
        self._missing = None
        if any(value is not None for value in missing):
            none = np.iinfo(np.int64).min
            self._missing = np.array([[none if value is None else value] for value in missing])
        self.may_hold_nan = self._missing is not None or self._dtype.kind == "f"
        self._gain_uv = np.array([[t.gain_uv] for t in tracks], dtype=np.float32)
        self._offset_uv = np.array([[t.offset_uv] for t in tracks], dtype=np.float32)
        if (
            not (np.abs(self._offset_uv) < FARTHEST_UV).all()
            or not ((np.abs(self._gain_uv) < FARTHEST_UV) & (self._gain_uv != 0)).all()
        ):
            raise CorpusError("bad_header", "a channel's scale is void")

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Return samples as stored, shape (n_channels, stop - start)."""
        out = np.empty((len(self._tracks), stop - start), dtype=self._dtype)
        files = {id(t.frames): t.frames for t in self._tracks}
        for key, frames in files.items():
            rows = [i for i, t in enumerate(self._tracks) if id(t.frames) == key]
            if frames.block_frames:
                self._by_blocks(frames, rows, start, out)
            else:
                self._by_tracks(frames, rows, start, out)
        return out

    def _by_blocks(
        self, frames: Frames, rows: Sequence[int], start: int, out: NDArray[Any]
    ) -> None:
        n, size = self._tracks[rows[0]].n_per_frame, frames.frame_samples
        stop = start + out.shape[1]
        first, last = start // n, -(-stop // n)
        for frame in range(first, last, frames.block_frames):
            end = min(frame + frames.block_frames, last)
            block = frames.read(frame * size, (end - frame) * size).reshape(end - frame, size)
            a, b = max(start, frame * n), min(stop, end * n)
            for row in rows:
                at = self._tracks[row].start
                part = block[:, at : at + n].reshape(-1)
                out[row, a - start : b - start] = part[a - frame * n : b - frame * n]

    def _by_tracks(
        self, frames: Frames, rows: Sequence[int], start: int, out: NDArray[Any]
    ) -> None:
        """Read each track's own stretches where a whole frame is more than a block."""
        stop = start + out.shape[1]
        for row in rows:
            track = self._tracks[row]
            n, at = track.n_per_frame, start
            while at < stop:
                frame, inside = divmod(at, n)
                end = min(stop, (frame + 1) * n, at + BLOCK_BYTES // frames.coding.unit_bytes)
                first = frame * frames.frame_samples + track.start + inside
                out[row, at - start : end - start] = frames.read(first, end - at)
                at = end

    def to_uv(self, stored: NDArray[Any], out: NDArray[Any]) -> None:
        """Scale stored samples to float32 microvolts; what stands for no sample becomes NaN."""
        with np.errstate(over="ignore", invalid="ignore"):
            np.multiply(stored, self._gain_uv, out=out, dtype=np.float32, casting="unsafe")
            out += self._offset_uv
        if self._missing is not None:
            out[stored == self._missing] = np.nan
        if self._dtype.kind == "f":
            out[~np.isfinite(out)] = np.nan

    def read_uv(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Fill ``out`` with microvolts, a cache-sized stretch at a time."""
        step = max(1, BLOCK_BYTES // (len(self._tracks) * self._dtype.itemsize))
        for at in range(start, stop, step):
            end = min(stop, at + step)
            self.to_uv(self.stored(at, end), out[:, at - start : end - start])


def open_regular(path: Path) -> int:
    """Open a regular file for reading and return its descriptor.

    Raises
    ------
    CorpusError
        ``unreadable`` if it is a pipe, a device or a folder: reading one may never end.
    OSError
        If the operating system cannot open it.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise CorpusError("unreadable", "not a regular file")
    return fd


def read_bounded(path: Path, n_bytes: int, what: str) -> bytes:
    """Return the bytes of a regular file.

    Raises
    ------
    CorpusError
        ``bad_header`` if it is larger than ``n_bytes``, or as :func:`open_regular`.
    OSError
        If the operating system cannot open it.
    """
    fd = open_regular(path)
    try:
        if os.fstat(fd).st_size > n_bytes:
            raise CorpusError("bad_header", f"{what} is larger than {n_bytes} bytes")
        return os.pread(fd, n_bytes, 0)
    finally:
        os.close(fd)


def is_bare(name: str) -> bool:
    """Whether a file name inside a header is a name alone, so that it can only lead beside it."""
    return 0 < len(name) < 256 and not set(name) & set("/\\:\0") and name not in (".", "..")


class FramedRecording(OpenFile):
    """An open recording whose samples lie in frames.

    Parameters
    ----------
    format
        Name of the file format.
    signals, tracks
        Every signal and where it lies; no track where it is no voltage.
    runs
        Contiguous stretches.
    start
        When it began.
    notes
        Called for the annotations when they are asked for.
    remarks
        Closed words for what was missing or odd.
    """

    def __init__(
        self,
        format: str,
        signals: tuple[Signal, ...],
        tracks: Sequence[tuple[Frames, Track | None]],
        runs: Callable[[Fraction], tuple[Run, ...]],
        start: datetime | None = None,
        notes: Callable[[], tuple[Annotation, ...]] = tuple,
        remarks: tuple[str, ...] = (),
    ) -> None:
        self.format, self.signals, self.start, self.remarks = format, signals, start, remarks
        self._fds = {frames.fd for frames, _ in tracks}
        self._tracks = tuple(track for _, track in tracks)
        self._runs, self._notes = runs, notes

    def close(self) -> None:
        """Give back what is open."""
        while self._fds:
            os.close(self._fds.pop())

    def annotations(self) -> tuple[Annotation, ...]:
        """Return the annotations of the recording, in seconds from its start."""
        return self._notes()

    def pick(self, indices: Sequence[int]) -> FramedTraces:
        """Return the traces of some signals.

        Raises
        ------
        CorpusError
            ``sampling_rate`` if they differ in rate, ``wrong_unit`` if one is no voltage.
        """
        rates = {self.signals[i].sfreq for i in indices}
        if len(rates) != 1:
            raise CorpusError("sampling_rate", "channels used differ in rate")
        picked = [track for track in (self._tracks[i] for i in indices) if track is not None]
        if len(picked) != len(indices):
            raise CorpusError("wrong_unit", "a channel used has a unit that is no voltage")
        rate = rates.pop()
        return FramedTraces(picked, rate, self._runs(rate))
