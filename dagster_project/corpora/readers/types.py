"""What a file reader offers.

A reader opens one file without loading it and hands out blocks of the channels asked for. The
readers are beside this module, their names in :mod:`dagster_project.corpora.readers.table`. Which
channels are wanted is decided in :mod:`dagster_project.corpora.channels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from types import TracebackType
from typing import Any, Protocol, Self

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of a file.

    Parameters
    ----------
    label
        As the file spells it; never stored or logged.
    sfreq
        Exact rate in Hz.
    unit_uv
        Microvolts per physical unit, or None where the unit is not a voltage.
    """

    label: str
    sfreq: Fraction
    unit_uv: float | None


@dataclass(frozen=True, slots=True)
class Run:
    """A contiguous stretch: first sample, length, and start on the recording's clock."""

    start_sample: int
    n_samples: int
    start_s: float


@dataclass(frozen=True, slots=True)
class Annotation:
    """A timed text of the file, in seconds from the recording's start."""

    onset_s: float
    duration_s: float
    text: str


class Traces(Protocol):
    """The picked channels of an open file."""

    @property
    def sfreq(self) -> Fraction:
        """Exact common rate in Hz."""

    @property
    def runs(self) -> tuple[Run, ...]:
        """Contiguous stretches in order."""

    @property
    def may_hold_nan(self) -> bool:
        """Whether the format can carry samples that are not numbers."""

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Return samples as stored, shape (n_channels, stop - start)."""

    def to_uv(self, stored: NDArray[Any], out: NDArray[Any]) -> None:
        """Scale stored samples into ``out``, float32 microvolts of the same shape."""

    def read_uv(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Fill ``out`` (n_channels, stop - start) with float32 microvolts."""


def clock_s(traces: Traces) -> float:
    """Return the length of a recording on its own clock, gaps included."""
    last = traces.runs[-1]
    return last.start_s + last.n_samples / float(traces.sfreq)


class OpenFile:
    """Base of the readers: a context manager that gives back on leaving what it opened."""

    def close(self) -> None:
        """Give back what is open; nothing by default."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Recording(Protocol):
    """An open file; a context manager."""

    @property
    def format(self) -> str:
        """Name of the file format."""

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Every data signal of the file."""

    @property
    def start(self) -> datetime | None:
        """Start of the recording as the header dates it; only differences are used."""

    def pick(self, indices: Sequence[int]) -> Traces:
        """Return the traces of some signals, which must share rate and be voltages."""

    def annotations(self) -> tuple[Annotation, ...]:
        """Return the annotations inside the file."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def remarks_of(recording: Recording) -> tuple[str, ...]:
    """Return closed words a reader has for what was missing or odd, if it has any.

    A reader says them in an attribute ``remarks``; they become labels of the recording.
    """
    return tuple(getattr(recording, "remarks", ()))
