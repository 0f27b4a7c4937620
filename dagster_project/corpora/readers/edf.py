"""The EDF fast path: picked channels of EDF, EDF+C and EDF+D files in blocks, and annotations.

Never more than one block is in memory, whatever the length of the file. The header is checked in
:mod:`dagster_project.corpora.readers.edf_header`; filtering is :mod:`dagster_project.corpora.harmonise`.
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
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.edf_header import (
    FIXED_BYTES,
    SAMPLE_BYTES,
    SIGNAL_BYTES,
    EdfHeader,
    EdfSignal,
    parse_header,
)
from dagster_project.corpora.readers.types import Annotation, Run, Signal
from dagster_project.corpora.spec import NoParams

BLOCK_BYTES = 1 << 20
"""Bytes read at once: a block and its scaled copy stay in a core's cache."""
MAX_HEADER_BYTES = FIXED_BYTES + SIGNAL_BYTES * 9999

_TAL_HEAD = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\Z")


class EdfRecording:
    """An open EDF or EDF+ file.

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

    format = "edf"

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY)
        try:
            n_bytes = os.fstat(self._fd).st_size
            head = os.pread(self._fd, min(MAX_HEADER_BYTES, n_bytes), 0)
            self.header = parse_header(head, n_bytes)
        except BaseException:
            os.close(self._fd)
            raise
        self._data = tuple(s for s in self.header.signals if not s.is_annotation)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
        base = self.header.n_bytes + record * self.header.record_samples * SAMPLE_BYTES
        for signal in self._annotation_signals:
            at = base + signal.start * SAMPLE_BYTES
            for tal in os.pread(self._fd, signal.n_per_record * SAMPLE_BYTES, at).split(b"\0"):
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
    """Picked channels of an open EDF file; see :class:`~dagster_project.corpora.readers.Traces`."""

    may_hold_nan = False

    def __init__(
        self, fd: int, header: EdfHeader, picked: Sequence[EdfSignal], runs: tuple[Run, ...]
    ) -> None:
        self._fd = fd
        self._header = header
        self._starts = tuple(s.start for s in picked)
        self._n_per_record = picked[0].n_per_record
        self.runs = runs
        self.sfreq = Fraction(self._n_per_record) / header.record_s
        scales = np.array([s.scale for s in picked]) * np.array([[s.unit_uv] for s in picked])
        self._gain_uv = scales[:, :1].astype(np.float32)
        self._offset_uv = scales[:, 1:].astype(np.float32)

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Return digital samples, int16, shape (n_channels, stop - start)."""
        n, size = self._n_per_record, self._header.record_samples
        out = np.empty((len(self._starts), stop - start), dtype="<i2")
        first, last = start // n, -(-stop // n)
        if size * SAMPLE_BYTES > BLOCK_BYTES:
            self._stored_of_long_records(start, stop, out)
            return out
        records = self._pread(first * size, (last - first) * size).reshape(last - first, size)
        if start % n == 0 and stop % n == 0:
            grid = out.reshape(len(self._starts), last - first, n)
            for row, at in enumerate(self._starts):
                grid[row] = records[:, at : at + n]
            return out
        cut = slice(start - first * n, stop - first * n)
        for row, at in enumerate(self._starts):
            out[row] = records[:, at : at + n].reshape(-1)[cut]
        return out

    def _stored_of_long_records(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Read each channel's own stretch where a whole record is more than a block."""
        n, size = self._n_per_record, self._header.record_samples
        for record in range(start // n, -(-stop // n)):
            a, b = max(start, record * n), min(stop, (record + 1) * n)
            for row, at in enumerate(self._starts):
                offset = record * size + at + a - record * n
                out[row, a - start : b - start] = self._pread(offset, b - a)

    def _pread(self, first: int, n_samples: int) -> NDArray[Any]:
        at = self._header.n_bytes + first * SAMPLE_BYTES
        raw = os.pread(self._fd, n_samples * SAMPLE_BYTES, at)
        if len(raw) != n_samples * SAMPLE_BYTES:
            raise CorpusError("truncated", "the file ended while it was being read")
        return np.frombuffer(raw, dtype="<i2")

    def to_uv(self, stored: NDArray[Any], out: NDArray[Any]) -> None:
        """Scale digital samples to float32 microvolts."""
        np.multiply(stored, self._gain_uv, out=out, dtype=np.float32, casting="unsafe")
        out += self._offset_uv

    def read_uv(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Fill ``out`` with microvolts, a cache-sized block at a time."""
        n, size = self._n_per_record, self._header.record_samples
        step = max(1, BLOCK_BYTES // (size * SAMPLE_BYTES)) * n
        at = start
        while at < stop:
            end = min(stop, (at // step + 1) * step)  # whole records, wherever the call began
            self.to_uv(self.stored(at, end), out[:, at - start : end - start])
            at = end


def open_edf(path: Path, _: NoParams) -> EdfRecording:
    """Open one EDF file."""
    return EdfRecording(path)
