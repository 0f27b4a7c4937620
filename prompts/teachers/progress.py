"""How far a run of requests is: rows by outcome, rate, money, time left. No row is kept."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prompts.teachers.base import Outcome

EVERY_S = 0.5
"""Least time between two reports."""
_MAX_CAUSES = 200
"""Distinct causes counted by name; causes are closed phrases, so more is a mistake of a check."""
OTHER = "other cause"


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a run.

    Parameters
    ----------
    n_done, n_accepted, n_cached
        Tasks that ended, that were accepted, that cost nothing in this run.
    dropped
        Tasks dropped, by cause.
    n_total
        Tasks in all, where known.
    rows_per_s
        Tasks ended a second since the start.
    committed_usd
        Money of the run, requests on their way at their upper bound.
    left_s
        Seconds to go at this rate, where the total is known.
    """

    n_done: int
    n_accepted: int
    n_cached: int
    dropped: Mapping[str, int]
    n_total: int | None
    rows_per_s: float
    committed_usd: float
    left_s: float | None

    def __str__(self) -> str:
        """Return one line for a log."""
        total = "" if self.n_total is None else f" of {self.n_total}"
        left = "" if self.left_s is None else f", {self.left_s:.0f} s left"
        causes = "".join(f", {n} dropped: {cause}" for cause, n in self.dropped.items())
        return (
            f"{self.n_done}{total} rows, {self.n_accepted} accepted{causes}; "
            f"{self.rows_per_s:.1f} rows/s, {self.committed_usd:.4f} USD{left}"
        )


OnProgress = Callable[[Progress], None]


class Tally:
    """Counts outcomes and reports now and then.

    Parameters
    ----------
    on_progress
        Whom to tell; None tells nobody.
    n_total
        Tasks in all, where known.
    committed_usd
        Asks for the money committed so far.
    clock
        Seconds, never going back.
    """

    def __init__(
        self,
        on_progress: OnProgress | None,
        n_total: int | None,
        committed_usd: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_progress = on_progress
        self._n_total = n_total
        self._committed_usd = committed_usd
        self._clock = clock
        self._start = self._told_at = clock()
        self._n_accepted = self._n_cached = self._n_done = 0
        self._dropped: Counter[str] = Counter()

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        self._n_done += 1
        self._n_cached += outcome.is_cached
        if outcome.reply is not None:
            self._n_accepted += 1
            return
        is_known = outcome.cause in self._dropped or len(self._dropped) < _MAX_CAUSES
        self._dropped[outcome.cause if is_known else OTHER] += 1

    def tell(self, *, is_last: bool = False) -> None:
        """Report, where somebody listens and it is time."""
        if self._on_progress is None:
            return
        now = self._clock()
        if is_last or now - self._told_at >= EVERY_S:
            self._told_at = now
            self._on_progress(self._now(now))

    def _now(self, now: float) -> Progress:
        rate = self._n_done / max(now - self._start, 1e-9)
        left = None
        if self._n_total is not None and self._n_done:
            left = max(0, self._n_total - self._n_done) / rate
        return Progress(
            self._n_done,
            self._n_accepted,
            self._n_cached,
            dict(sorted(self._dropped.items())),
            self._n_total,
            rate,
            self._committed_usd(),
            left,
        )
