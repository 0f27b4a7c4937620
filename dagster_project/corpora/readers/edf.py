"""The EDF fast path: picked channels of EDF, EDF+ and BDF files in blocks, and annotations.

The formats share all but the width of a sample; the file's first bytes say which it is. Never more
than one block is in memory, whatever the length of the file. The header is checked in
:mod:`dagster_project.corpora.readers.edf_header`; filtering is
:mod:`dagster_project.corpora.harmonise`. A header that is refused is tried once with MNE-Python
(:mod:`dagster_project.corpora.readers.mne`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.edf_header import (
    MAX_HEADER_BYTES,
    EdfHeader,
    EdfSignal,
    parse_header,
)
from dagster_project.corpora.readers.mne import MneRecording, reopen_edf
from dagster_project.corpora.readers.types import Annotation, OpenFile, Run, Signal
from dagster_project.corpora.spec import NoParams

BLOCK_BYTES = 2 << 20
"""Bytes read at once: a block and its scaled copy stay in a core's cache."""

_TAL_HEAD = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\Z")


class EdfRecording(OpenFile):
    """An open EDF, EDF+, BDF or BDF+ file.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    CorpusError
        If the header does not hold; see :func:`~dagster_project.corpora.readers.edf_header.parse_header`.
    OSError
        If the operating system cannot open or read it.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY)
        try:
            n_bytes = os.fstat(self._fd).st_size
            head = os.pread(self._fd, min(MAX_HEADER_BYTES, n_bytes), 0)
            self.header = parse_header(head, n_bytes)
        except BaseException:
            os.close(self._fd)
            raise
        self.format = self.header.kind.name
        self._data = tuple(s for s in self.header.signals if not s.is_annotation)

    def close(self) -> None:
        """Give back what is open."""
        os.close(self._fd)

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Every data signal, annotation signals left out."""
        record_s = self.header.record_s
        return tuple(
            Signal(s.label, Fraction(s.n_per_record) / record_s, s.unit_uv) for s in self._data
        )

    @property
    def start(self) -> datetime | None:
        """Start date and time as the header states them, if they are a date."""
        return self.header.start

    def annotations(self) -> tuple[Annotation, ...]:
        """Return EDF+ annotations, onset relative to the first sample, in file order.

        Malformed ones are passed over; their texts are the corpus' own and are never stored raw.
        """
        origin = self._origin_s
        return tuple(
            Annotation(onset - origin, duration, text)
            for record in range(self.header.n_records)
            for onset, duration, texts in self._tals(record)
            for text in texts
            if text
        )

    def pick(self, indices: Sequence[int]) -> EdfTraces:
        """Return the traces of some data signals.

        Raises
        ------
        CorpusError
            ``sampling_rate`` if they differ in rate, ``wrong_unit`` if one is no voltage,
            ``bad_header`` if a range is void.
        """
        picked = [self._data[i] for i in indices]
        if len({s.n_per_record for s in picked}) != 1 or picked[0].n_per_record == 0:
            rates = sorted({s.n_per_record for s in picked})
            raise CorpusError("sampling_rate", f"channels used hold {rates} samples per record")
        for signal in picked:
            if signal.unit_uv is None:
                raise CorpusError("wrong_unit", "a channel used has a unit that is no voltage")
            if signal.scale is None:
                raise CorpusError(
                    "bad_header", "a channel used has a void digital or physical range"
                )
        return EdfTraces(self._fd, self.header, picked, self._runs(picked[0].n_per_record))

    @cached_property
    def _annotation_signals(self) -> tuple[EdfSignal, ...]:
        return tuple(s for s in self.header.signals if s.is_annotation)

    @cached_property
    def _origin_s(self) -> float:
        """Onset of the first data record: EDF+ allows a fraction of a second."""
        onset = self._record_onset(0) if self._annotation_signals else None
        return onset or 0.0

    def _tals(self, record: int) -> Iterator[tuple[float, float, list[str]]]:
        """Time-stamped annotation lists of one data record."""
        width = self.header.kind.sample_bytes
        base = self.header.n_bytes + record * self.header.record_samples * width
        for signal in self._annotation_signals:
            at = base + signal.start * width
            for tal in os.pread(self._fd, signal.n_per_record * width, at).split(b"\0"):
                head, *texts = tal.split(b"\x14")
                match = _TAL_HEAD.match(head)
                if match and texts:
                    duration = float(match[2]) if match[2] else 0.0
                    yield float(match[1]), duration, [t.decode("utf-8", "replace") for t in texts]

    def _record_onset(self, record: int) -> float | None:
        """Time-keeping onset: the first list of the record, whose first text is empty."""
        first = next(self._tals(record), None)
        return first[0] if first and first[2][0] == "" else None

    def _runs(self, n_per_record: int) -> tuple[Run, ...]:
        header = self.header
        if not header.is_discontinuous:
            return (Run(0, header.n_records * n_per_record, 0.0),)
        onsets = [self._record_onset(r) for r in range(header.n_records)]
        known = np.array([np.nan if o is None else o for o in onsets])
        record_s = float(header.record_s)
        tolerance_s = record_s / n_per_record / 2
        if np.isnan(known).any() or (np.diff(known) < record_s - tolerance_s).any():
            raise CorpusError("bad_header", "EDF+D records without onsets, or running backwards")
        breaks = np.flatnonzero(np.diff(known) > record_s + tolerance_s) + 1
        edges = [0, *breaks.tolist(), header.n_records]
        return tuple(
            Run(a * n_per_record, (b - a) * n_per_record, float(known[a] - known[0]))
            for a, b in pairwise(edges)
        )


class EdfTraces:
    """Picked channels of an open EDF file; see :class:`~dagster_project.corpora.readers.types.Traces`."""

    may_hold_nan = False

    def __init__(
        self, fd: int, header: EdfHeader, picked: Sequence[EdfSignal], runs: tuple[Run, ...]
    ) -> None:
        self._fd = fd
        self._header = header
        self._starts = tuple(s.start for s in picked)
        self._n_per_record = picked[0].n_per_record
        self._width = header.kind.sample_bytes
        self._item = np.dtype("<i2" if self._width == 2 else "<i4")
        self.runs = runs
        self.sfreq = Fraction(self._n_per_record) / header.record_s
        scales = np.array([s.scale for s in picked]) * np.array([[s.unit_uv] for s in picked])
        self._gain_uv = scales[:, :1].astype(np.float32)
        self._offset_uv = scales[:, 1:].astype(np.float32)

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Return digital samples, int16 or for BDF int32, shape (n_channels, stop - start)."""
        out = np.empty((len(self._starts), stop - start), dtype=self._item)
        self._fill(start, stop, out)
        if self._width == 3:
            out >>= 8  # the three bytes stand in the upper ones, so their sign is the number's
        return out

    def _fill(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Copy items into ``out``, shape (n_channels, stop - start)."""
        n, size = self._n_per_record, self._header.record_samples
        if size * self._width > BLOCK_BYTES:
            self._fill_from_long_records(start, stop, out)
            return
        first, last = start // n, -(-stop // n)
        records = self._pread(first * size, (last - first) * size).reshape(last - first, size)
        cut = slice(start - first * n, stop - first * n)
        for row, at in enumerate(self._starts):
            if start % n == 0 and stop % n == 0:
                out[row].reshape(last - first, n)[...] = records[:, at : at + n]
            else:
                out[row] = records[:, at : at + n].reshape(-1)[cut]

    def _fill_from_long_records(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Read each channel's own stretch where a whole record is more than a block."""
        n, size = self._n_per_record, self._header.record_samples
        for record in range(start // n, -(-stop // n)):
            a, b = max(start, record * n), min(stop, (record + 1) * n)
            for row, at in enumerate(self._starts):
                offset = record * size + at + a - record * n
                out[row, a - start : b - start] = self._pread(offset, b - a)

    def _pread(self, first: int, n_samples: int) -> NDArray[Any]:
        """Return stored items; three-byte samples in the upper bytes of four, the lowest void.

        Such an item begins a byte before its sample, which for the first one is the header's last.
        """
        n_before = self._item.itemsize - self._width
        n_bytes = n_samples * self._width + n_before
        at = self._header.n_bytes + first * self._width - n_before
        raw = os.pread(self._fd, n_bytes, at)
        if len(raw) != n_bytes:
            raise CorpusError("truncated", "the file ended while it was being read")
        return np.ndarray((n_samples,), self._item, raw, strides=(self._width,))

    def to_uv(self, stored: NDArray[Any], out: NDArray[Any]) -> None:
        """Scale digital samples to float32 microvolts."""
        out[...] = stored
        out *= self._gain_uv
        out += self._offset_uv

    def read_uv(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Fill ``out`` with microvolts, a cache-sized block at a time."""
        n, size = self._n_per_record, self._header.record_samples
        step = max(1, BLOCK_BYTES // (size * self._width)) * n
        at = start
        while at < stop:
            end = min(stop, (at // step + 1) * step)  # whole records, wherever the call began
            self.to_uv(self.stored(at, end), out[:, at - start : end - start])
            at = end


def open_edf(path: Path, _: NoParams) -> EdfRecording | MneRecording:
    """Open one EDF or BDF file; a header that is refused goes to MNE-Python once.

    Raises
    ------
    CorpusError
        As :class:`EdfRecording`.
    """
    try:
        return EdfRecording(path)
    except CorpusError as error:
        if error.cause != "bad_header":
            raise
        return reopen_edf(path, error)
