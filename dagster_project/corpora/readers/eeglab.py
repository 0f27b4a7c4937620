"""Continuous EEGLAB recordings (``.set``, alone or with a ``.fdt``), streamed in blocks.

Fields are read from a checked file (:mod:`dagster_project.corpora.readers.mat_tree`); the signal is
never held whole. Layout: Delorme & Makeig 2004 and EEGLAB's ``pop_saveset``: microvolts, channels
by samples, single precision beside the ``.set``; latencies of events count samples from 1. Where
EEGLAB cut something out, a ``boundary`` event stands between two samples: the signal is not
contiguous there. The clock is that of the samples present, as in EEGLAB and in the event tables
exported from it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.mat_tree import MatNode, MatRoot, open_mat
from dagster_project.corpora.readers.types import Annotation, OpenFile, Run, Signal
from dagster_project.corpora.spec import NoParams

MAX_VARIABLE_BYTES: Final = 1_500_000_000
"""Most bytes a variable of a ``.set`` may have; version 5 itself ends at 2**31."""
MAX_CHANNELS: Final = 4096
MAX_EVENTS: Final = 1_000_000
MIN_RATE_HZ, MAX_RATE_HZ = 1.0, 1e6
"""Rates outside are no recording of EEG (engineering default)."""
RATE_DENOMINATOR: Final = 1000
"""Rates come as doubles; the nearest fraction with this denominator is the one meant."""
BLOCK_BYTES: Final = 1 << 20
BOUNDARY: Final = "boundary"
BOUNDARY_CODE: Final = -99.0
"""What EEGLAB writes for a boundary where event types are numbers (option_boundary99)."""
FDT_ITEM: Final = np.dtype("<f4")
_FIELDS: Final = ("trials", "nbchan", "pnts", "srate")


class _Source(Protocol):
    """All channels of a signal in MATLAB's orientation."""

    def columns(self, start: int, stop: int) -> NDArray[Any]:
        """Return shape (n_channels, stop - start)."""


class _Fdt:
    """Samples beside the ``.set``: all channels of one time after the other."""

    def __init__(self, fd: int, n_channels: int) -> None:
        self._fd, self._n_channels = fd, n_channels

    def columns(self, start: int, stop: int) -> NDArray[Any]:
        """Return shape (n_channels, stop - start)."""
        width = self._n_channels * FDT_ITEM.itemsize
        raw = os.pread(self._fd, (stop - start) * width, start * width)
        if len(raw) != (stop - start) * width:
            raise CorpusError("truncated", "the signal file ended while it was being read")
        return np.frombuffer(raw, FDT_ITEM).reshape(stop - start, self._n_channels).T


class _Eeg:
    """The EEG struct, whether it is a variable of its own or its fields are the variables."""

    def __init__(self, root: MatRoot) -> None:
        self._root, self._struct = root, root.variable("EEG")
        if root.variable("ALLEEG") is not None:
            raise CorpusError("bad_header", "a whole study; one recording a file is read")

    def field(self, name: str) -> MatNode | None:
        """Return a field, None if it is missing."""
        if self._struct is not None:
            return self._struct.child(name)
        return self._root.variable(name)

    def number(self, name: str) -> float | None:
        """Return a field that is a number."""
        node = self.field(name)
        return node.number() if node is not None else None

    def text(self, name: str) -> str | None:
        """Return a field that is a text."""
        node = self.field(name)
        return node.text() if node is not None else None


def _count(value: float, name: str, most: int) -> int:
    if not (0 < value <= most and value == int(value)):
        raise CorpusError("bad_header", f"field '{name}' is not a whole number in 1..{most}")
    return int(value)


class EeglabRecording(OpenFile):
    """An open continuous recording.

    Raises
    ------
    CorpusError
        ``epoched`` for a file of trials, ``truncated`` if the signal file is missing or short,
        ``bad_header`` if fields are missing or contradict each other, and what the checks of
        MATLAB files say.
    """

    format = "eeglab"
    start: datetime | None = None

    def __init__(self, path: Path) -> None:
        self._stack = ExitStack()
        try:
            self._open(path)
        except BaseException:
            self._stack.close()
            raise

    def _open(self, path: Path) -> None:
        if path.stat().st_size == 0:
            raise CorpusError("empty", "0 bytes")
        eeg = _Eeg(self._stack.enter_context(open_mat(path, MAX_VARIABLE_BYTES)))
        values = {name: eeg.number(name) for name in _FIELDS}
        missing = [name for name, value in values.items() if value is None and name != "trials"]
        if missing:
            raise CorpusError("bad_header", f"no number in field {', '.join(missing)}")
        trials, n_channels, n_samples, sfreq = (
            1.0 if value is None else value for value in values.values()
        )
        if trials > 1:
            raise CorpusError("epoched", f"{trials:g} epochs; the continuous recording is needed")
        if n_samples == 0:
            raise CorpusError("empty", "0 samples")
        if not MIN_RATE_HZ <= sfreq <= MAX_RATE_HZ:
            raise CorpusError("bad_header", "field 'srate' is not a plausible rate")
        self._sfreq = Fraction(sfreq).limit_denominator(RATE_DENOMINATOR)
        self._n_channels = _count(n_channels, "nbchan", MAX_CHANNELS)
        self._n_samples = _count(n_samples, "pnts", 1 << 40)
        self._labels = _labels(eeg.field("chanlocs"), self._n_channels)
        self._events = _events(eeg.field("event"), self._sfreq)
        self._source = self._signal(eeg, path)

    def _signal(self, eeg: _Eeg, path: Path) -> _Source:
        data = eeg.field("data")
        if data is not None and data.kind == "number":
            dims = data.dims
            if dims[:2] != (self._n_channels, self._n_samples) or math.prod(dims[2:]) != 1:
                raise CorpusError("bad_header", "the signal has not the size the fields declare")
            data.columns(0, 1)
            return data
        name = (data.text() if data is not None else None) or eeg.text("datfile")
        if not name:
            raise CorpusError("bad_header", "no signal and no name of a signal file")
        fd = os.open(_beside(path, name), os.O_RDONLY)
        self._stack.callback(os.close, fd)
        n_bytes = os.fstat(fd).st_size
        wanted = self._n_channels * self._n_samples * FDT_ITEM.itemsize
        if n_bytes != wanted:
            cause = "truncated" if n_bytes < wanted else "bad_header"
            raise CorpusError(cause, f"the signal file has {n_bytes} bytes, not {wanted}")
        return _Fdt(fd, self._n_channels)

    def close(self) -> None:
        """Give back what is open."""
        self._stack.close()

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Every channel; EEGLAB's unit is the microvolt."""
        return tuple(Signal(label, self._sfreq, 1.0) for label in self._labels)

    def annotations(self) -> tuple[Annotation, ...]:
        """Return the events, boundaries included, in order of the file."""
        return self._events

    def pick(self, indices: Sequence[int]) -> EeglabTraces:
        """Return the traces of some channels."""
        runs = _runs(self._events, self._sfreq, self._n_samples)
        return EeglabTraces(self._source, self._n_channels, indices, self._sfreq, runs)


def _beside(path: Path, name: str) -> Path:
    """Return the signal file a ``.set`` names: a bare file name in the same folder.

    A copy that was renamed names its former self; the ``.fdt`` of its own name is meant then.

    Raises
    ------
    CorpusError
        ``bad_header`` for the format before ``.fdt``, ``truncated`` if there is no such file.
    """
    if name.lower().endswith(".dat"):
        raise CorpusError("bad_header", "the signal is in EEGLAB's old .dat format; save it again")
    is_bare = name not in {".", ".."} and not any(c in name for c in "/\\\0:")
    candidates = [path.with_name(name)] if is_bare else []
    candidates.append(path.with_suffix(".fdt"))
    for candidate in candidates:
        if candidate.suffix.lower() == ".fdt" and candidate.is_file():
            return candidate
    raise CorpusError("truncated", "the signal file is not beside the .set; copy its .fdt there")


def _labels(chanlocs: MatNode | None, n_channels: int) -> tuple[str, ...]:
    if chanlocs is None or chanlocs.kind != "struct" or math.prod(chanlocs.dims) == 0:
        raise CorpusError("no_eeg_channels", "the file does not name its channels")
    if math.prod(chanlocs.dims) != n_channels:
        raise CorpusError(
            "bad_header", f"{math.prod(chanlocs.dims)} names of {n_channels} channels"
        )
    labels = []
    for i in range(n_channels):
        node = chanlocs.child("labels", i)
        labels.append((node.text() if node is not None else None) or "")
    if not any(labels):
        raise CorpusError("no_eeg_channels", "the file does not name its channels")
    return tuple(labels)


def _number_at(events: MatNode, field: str, i: int) -> float | None:
    node = events.child(field, i)
    return node.number() if node is not None else None


def _type_at(events: MatNode, i: int) -> str:
    node = events.child("type", i)
    if node is None:
        return ""
    code = node.number()
    if code is None:
        return (node.text() or "").strip()
    return BOUNDARY if code == BOUNDARY_CODE else f"{code:g}"


def _events(events: MatNode | None, sfreq: Fraction) -> tuple[Annotation, ...]:
    """Return the events; those without a latency are passed over, as EEGLAB does."""
    if events is None or events.kind != "struct":
        return ()
    n = math.prod(events.dims)
    if n > MAX_EVENTS:
        raise CorpusError("bad_header", f"{n} events; at most {MAX_EVENTS} are read")
    found = []
    for i in range(n):
        latency, duration = (_number_at(events, name, i) for name in ("latency", "duration"))
        if latency is None or not math.isfinite(latency):
            continue
        is_known = duration is not None and math.isfinite(duration)
        length_s = float(duration / sfreq) if is_known and duration is not None else 0.0
        found.append(Annotation((latency - 1) / float(sfreq), length_s, _type_at(events, i)))
    return tuple(found)


def _runs(events: Sequence[Annotation], sfreq: Fraction, n_samples: int) -> tuple[Run, ...]:
    """Split at boundaries; one between samples 1000 and 1001 has the latency 1000.5."""
    rate = float(sfreq)
    edges = {0, n_samples}
    for event in events:
        if event.text.lower() == BOUNDARY:
            edges.add(min(max(math.ceil(event.onset_s * rate - 1e-6), 0), n_samples))
    return tuple(Run(a, b - a, a / rate) for a, b in pairwise(sorted(edges)))


class EeglabTraces:
    """Picked channels of an open recording; see :class:`~dagster_project.corpora.readers.types.Traces`."""

    may_hold_nan = True

    def __init__(
        self,
        source: _Source,
        n_channels: int,
        indices: Sequence[int],
        sfreq: Fraction,
        runs: tuple[Run, ...],
    ) -> None:
        self._source, self._indices = source, list(indices)
        self.sfreq, self.runs = sfreq, runs
        self._step = max(1, BLOCK_BYTES // (n_channels * FDT_ITEM.itemsize))

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Return microvolts as stored, shape (n_channels, stop - start)."""
        out: NDArray[Any] | None = None
        for at in range(start, stop, self._step):
            end = min(stop, at + self._step)
            block = self._source.columns(at, end)[self._indices]
            if out is None:
                out = np.empty((len(self._indices), stop - start), dtype=block.dtype)
            out[:, at - start : end - start] = block
        return np.empty((len(self._indices), 0), dtype=FDT_ITEM) if out is None else out

    def to_uv(self, stored: NDArray[Any], out: NDArray[Any]) -> None:
        """Turn microvolts as stored into float32."""
        np.copyto(out, stored, casting="unsafe")

    def read_uv(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Fill ``out`` with float32 microvolts, a block at a time."""
        for at in range(start, stop, self._step):
            end = min(stop, at + self._step)
            self.to_uv(
                self._source.columns(at, end)[self._indices], out[:, at - start : end - start]
            )


def open_eeglab(path: Path, _: NoParams) -> EeglabRecording:
    """Open one ``.set`` file.

    Raises
    ------
    CorpusError
        As :class:`EeglabRecording`.
    """
    return EeglabRecording(path)
