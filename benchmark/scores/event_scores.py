"""Events scored by the package timescoring, the rules of SzCORE (Dan et al. 2024).

Each row of each page is a stretch of its own on one time line per subject, so that events of
different rows never touch. Any overlap of a true and a found event counts. The package works at a
tenth of a second: shorter events are widened to that, and its tolerances and joining, meant for
seizures, are off. Our own class rules are in ``scores/detection.py``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.asking.answers import Box
from benchmark.scores.intervals import Floats, ratio
from detectors.types import SEGMENT_S

NOT_INSTALLED = "skipped: the package timescoring is not installed"
RATE_HZ = 10
"""The package's own rate."""
STRETCH_S = int(SEGMENT_S) + 1
"""A page and a second of nothing."""


def has_timescoring() -> bool:
    """Whether the package is there."""
    return importlib.util.find_spec("timescoring") is not None


def event_sums(
    truth: Sequence[Box], found: Sequence[Box], subject_of: Mapping[str, int], n_subjects: int
) -> Floats:
    """Return hit, false and true events of one class per subject, shape (n_subjects, 3)."""
    from timescoring.annotations import Annotation
    from timescoring.scoring import EventScoring

    rules = EventScoring.Parameters(
        toleranceStart=0, toleranceEnd=0, minOverlap=0, maxEventDuration=STRETCH_S,
        minDurationBetweenEvents=0,
    )  # fmt: skip
    sums = np.zeros((n_subjects, 3))
    for subject in range(n_subjects):
        own = [[b for b in side if subject_of[b.segment_id] == subject] for side in (truth, found)]
        rows = sorted({(b.segment_id, b.channel) for side in own for b in side})
        if not rows:
            continue
        at = {row: STRETCH_S * i for i, row in enumerate(rows)}
        n_samples = RATE_HZ * STRETCH_S * len(rows)
        lines = [Annotation(_joined(side, at), RATE_HZ, n_samples) for side in own]
        scored = EventScoring(*lines, rules)
        sums[subject] = scored.tp, scored.fp, scored.refTrue
    return sums


def _joined(boxes: Sequence[Box], at: Mapping[tuple[str, str], int]) -> list[tuple[float, float]]:
    """Place boxes on the line in the package's own steps; those that touch become one."""
    line: list[tuple[float, float]] = []
    placed = []
    for box in boxes:
        start = at[box.segment_id, box.channel]
        first = start * RATE_HZ + int(box.t0_s * RATE_HZ)
        last = start * RATE_HZ + int(np.ceil(box.t1_s * RATE_HZ - 1e-9))
        placed.append((first, max(last, first + 1)))
    for first, last in sorted(placed):
        if line and first / RATE_HZ < line[-1][1]:
            line[-1] = (line[-1][0], max(line[-1][1], last / RATE_HZ))
        else:
            line.append((first / RATE_HZ, last / RATE_HZ))
    return line


def szcore_values(sums: Floats) -> dict[str, Floats]:
    """Return sensitivity, precision and F1 of sums of shape (n, 3).

    Precision is 0 where there are true events and nothing was found; all are NaN without any.
    """
    hits, false, true = sums.T
    return {
        "szcore_sensitivity": ratio(np.column_stack([hits, true])),
        "szcore_precision": np.where(
            hits + false + true > 0, hits / np.maximum(hits + false, 1), np.nan
        ),
        "szcore_f1": ratio(np.column_stack([2 * hits, hits + false + true])),
    }
