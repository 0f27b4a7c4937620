"""How far YASA, an independent extractor, and our rules agree about sleep on the same pages.

Neither is the truth: the figure says how much of what one reports the other reports as well. It is
taken on pages planted as sleep and on real rest with nothing planted, where both should be silent.
Who finds what is in ``detectors.systems``; scores against planted truth are in ``detectors.scores``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.detectors.events import Found, overlap
from benchmark.scores.intervals import Interval, cluster_interval, ratio, subject_totals

AGREED_IOU = 0.2
"""Two events are the same from this overlap in time on (``evaluation.md`` 6.8)."""

OUR_KINDS: dict[str, tuple[str, ...]] = {
    "spindle": ("spindle",),
    "kcomplex": ("kcomplex", "slow_wave"),
}
"""Our kinds beside each of YASA's: its slow waves stand for K-complexes, for it does not tell them
apart."""


@dataclass(frozen=True, slots=True)
class Shared:
    """On one recording: events of each, and how many of them the other has too."""

    kind: str
    n_ours: int
    n_ours_shared: int
    n_yasa: int
    n_yasa_shared: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement about one kind on one sort of pages.

    Parameters
    ----------
    kind
        A key of :data:`OUR_KINDS`.
    pages
        ``planted sleep`` or ``bare rest``.
    n_ours, n_yasa
        Events.
    ours_in_yasa, yasa_in_ours
        Share of ours that YASA has too, and the reverse; NaN without events. Intervals resample
        subjects.
    """

    kind: str
    pages: str
    n_ours: int
    n_yasa: int
    ours_in_yasa: Interval
    yasa_in_ours: Interval


def shared_events(ours: Sequence[Found], yasa: Sequence[Found]) -> list[Shared]:
    """Count on one recording what both have, one count per kind of :data:`OUR_KINDS`.

    Parameters
    ----------
    ours, yasa
        Events of any kinds; those of other kinds are passed over. Rows are not compared: YASA reads
        six of them.
    """
    counts = []
    for kind, own in OUR_KINDS.items():
        a = [f for f in ours if f.kind in own]
        b = [f for f in yasa if f.kind == kind]
        counts.append(Shared(kind, len(a), _n_also(a, b), len(b), _n_also(b, a)))
    return counts


def _n_also(these: Sequence[Found], others: Sequence[Found]) -> int:
    return sum(
        any(
            o.segment_id == f.segment_id and overlap(f.t0_s, f.t1_s, o.t0_s, o.t1_s) >= AGREED_IOU
            for o in others
        )
        for f in these
    )


def agreements(
    pages: str, subjects: Sequence[str], counts: Sequence[Sequence[Shared]], *, seed: int
) -> Iterator[Agreement]:
    """Yield the agreement about every kind on one sort of pages.

    Parameters
    ----------
    pages
        Which pages.
    subjects, counts
        One each per recording; counts from :func:`shared_events`.
    seed
        Of the bootstrap.
    """
    for at, kind in enumerate(OUR_KINDS):
        mine = [c[at] for c in counts]
        ours = [(c.n_ours_shared, c.n_ours) for c in mine]
        yasa = [(c.n_yasa_shared, c.n_yasa) for c in mine]
        yield Agreement(
            kind,
            pages,
            sum(n for _, n in ours),
            sum(n for _, n in yasa),
            _share(subjects, ours, seed),
            _share(subjects, yasa, seed),
        )


def _share(subjects: Sequence[str], pairs: Sequence[tuple[int, int]], seed: int) -> Interval:
    sums = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    _, totals = subject_totals(subjects, sums)
    return cluster_interval(totals, ratio, seed=seed)
