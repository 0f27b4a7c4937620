"""Recordings that are a list of arrays: one trial, clip or sentence each, one in memory at a time.

Files without a header (MATLAB arrays, ZuCo structs) come as such a list; every array is a
:class:`~dagster_project.corpora.readers.types.Run` of its own and has an annotation that names it.
How the arrays are found and loaded is in :mod:`~dagster_project.corpora.readers.matlab` and
:mod:`~dagster_project.corpora.readers.zuco`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.types import Annotation, OpenFile, Run, Signal

UV_PER_UNIT: dict[str, float] = {"V": 1e6, "mV": 1e3, "uV": 1.0, "nV": 1e-3}
"""Microvolts of the units an entry may state for numbers that carry none."""
MAX_RATE_DENOMINATOR = 1000
"""Rates come as decimal numbers; the nearest fraction with this denominator is the one meant."""


def rate_of(sfreq_hz: float) -> Fraction:
    """Return a stated rate as an exact number.

    Raises
    ------
    CorpusError
        ``sampling_rate`` if it is no positive number.
    """
    if not (np.isfinite(sfreq_hz) and 0 < sfreq_hz < 1e9):
        raise CorpusError("sampling_rate", f"{sfreq_hz:g} Hz is no rate")
    return Fraction(float(sfreq_hz)).limit_denominator(MAX_RATE_DENOMINATOR)


@dataclass(frozen=True, slots=True)
class Trial:
    """One array of a file: its length in samples and what the file calls it."""

    n_samples: int
    text: str


LoadTrial = Callable[[int], NDArray[np.float64]]
"""``load(i)`` returns trial ``i``, shape (n_channels, n_samples), in the file's unit."""


class TrialRecording(OpenFile):
    """An open file that is a list of arrays with the same channels.

    Parameters
    ----------
    format
        Name of the file format.
    labels, sfreq, unit_uv
        Channel names in the arrays' order, their rate, and microvolts per number.
    trials
        In order; each but the first follows the one before without a gap on the clock.
    load
        Loads one of them.
    close
        Called when the recording is closed.
    """

    def __init__(
        self,
        format: str,
        labels: Sequence[str],
        sfreq: Fraction,
        unit_uv: float,
        trials: Sequence[Trial],
        load: LoadTrial,
        close: Callable[[], object] = lambda: None,
    ) -> None:
        if not sum(trial.n_samples for trial in trials):
            raise CorpusError("empty", "no samples")
        self.format = format
        self.signals = tuple(Signal(label, sfreq, unit_uv) for label in labels)
        self._trials, self._load, self._close = tuple(trials), load, close
        self._sfreq, self._unit_uv = sfreq, unit_uv
        self._runs = self._all_runs()

    def _all_runs(self) -> tuple[Run, ...]:
        starts = np.cumsum([0, *(trial.n_samples for trial in self._trials)]).tolist()
        return tuple(
            Run(start, trial.n_samples, float(start / self._sfreq))
            for start, trial in zip(starts, self._trials, strict=False)
        )

    def close(self) -> None:
        """Give back what is open."""
        self._close()

    @property
    def start(self) -> datetime | None:
        """Unknown: these files carry no clock."""
        return None

    def annotations(self) -> tuple[Annotation, ...]:
        """Return one annotation per trial, its text what the file calls it."""
        return tuple(
            Annotation(run.start_s, float(run.n_samples / self._sfreq), trial.text)
            for run, trial in zip(self._runs, self._trials, strict=True)
        )

    def pick(self, indices: Sequence[int]) -> TrialTraces:
        """Return the traces of some channels."""
        return TrialTraces(self._load, tuple(indices), self._sfreq, self._unit_uv, self._runs)


class TrialTraces:
    """Picked channels; see :class:`~dagster_project.corpora.readers.types.Traces`.

    Reading in order loads every trial once; the last one is kept.
    """

    may_hold_nan = True

    def __init__(
        self,
        load: LoadTrial,
        indices: tuple[int, ...],
        sfreq: Fraction,
        unit_uv: float,
        runs: tuple[Run, ...],
    ) -> None:
        self.sfreq, self.runs = sfreq, tuple(run for run in runs if run.n_samples)
        self._load, self._indices, self._unit_uv = load, list(indices), unit_uv
        self._number = [i for i, run in enumerate(runs) if run.n_samples]
        self._last: tuple[int, NDArray[np.float64]] | None = None

    def _rows(self, i: int) -> NDArray[np.float64]:
        if self._last is None or self._last[0] != i:
            self._last = None  # never two in memory
            found = self._load(self._number[i])
            self._last = i, np.ascontiguousarray(found[self._indices])
        return self._last[1]

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Return numbers of the file, float64, shape (n_channels, stop - start)."""
        out = np.empty((len(self._indices), stop - start))
        for i, run in enumerate(self.runs):
            a, b = max(start, run.start_sample), min(stop, run.start_sample + run.n_samples)
            if a < b:
                first = run.start_sample
                out[:, a - start : b - start] = self._rows(i)[:, a - first : b - first]
        return out

    def to_uv(self, stored: NDArray[Any], out: NDArray[Any]) -> None:
        """Scale to float32 microvolts; what is no finite number becomes NaN."""
        with np.errstate(over="ignore", invalid="ignore"):
            np.multiply(stored, self._unit_uv, out=out, casting="unsafe")
        out[~np.isfinite(out)] = np.nan

    def read_uv(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Fill ``out`` with float32 microvolts."""
        self.to_uv(self.stored(start, stop), out)
