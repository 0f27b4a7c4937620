"""Events scored by the package timescoring, the rules of SzCORE (Dan et al. 2024).

Each row of each page is a stretch of its own on one time line per subject, so that events of
different rows never touch. Any overlap of a true and a found event counts. The package works at a
tenth of a second: shorter events are widened to that, and its tolerances and joining, meant for
seizures, are off. Our own class rules are in ``scores/detection.py``.

Seizures are scored with the package's own tolerances on the time line of each recording: pages a model
calls a seizure against the true stretches.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.asking.answers import Box
from benchmark.scores.intervals import (
    Floats,
    Interval,
    percentile_interval,
    ratio,
    subject_weights,
)
from benchmark.tasks.task import Row
from detectors.types import SEGMENT_S

NOT_INSTALLED = "skipped: the package timescoring is not installed"
NOTHING_READ = "void: no answer could be read, and silence has no false events"
RATE_HZ = 10
"""The package's own rate."""
STRETCH_S = int(SEGMENT_S) + 1
"""A page and a second of nothing."""
RECORDING_GAP_S = 600
"""Nothing between two recordings: more than the package's tolerances and joining reach."""


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


def seizure_rows(
    make: Callable[..., dict[str, Any]],
    items: Sequence[Row],
    is_found: Sequence[bool],
    *,
    is_silent: bool = False,
    seed: int,
) -> list[dict[str, Any]]:
    """Score pages called a seizure as events, by SzCORE's rules; void where the package is missing.

    Parameters
    ----------
    make
        Maker of rows of table ``scores``.
    items
        Items with recording, start and true stretches.
    is_found
        Whether each page was called a seizure.
    is_silent
        No answer could be read: then there is no rate of false events.
    seed
        Of the bootstrap over subjects.
    """
    if not has_timescoring():
        void = Interval(float("nan"), None, None, len({i["subject_id"] for i in items}))
        return [make("szcore_f1", void, NOT_INSTALLED)]
    names = sorted({item["subject_id"] for item in items})
    drawn = subject_weights(len(names), seed=seed)
    weights = np.concatenate([np.ones((1, len(names))), drawn])
    sums, hours = seizure_sums(items, is_found, names)
    values = szcore_values(weights @ sums)
    rates = ratio(weights @ np.column_stack([sums[:, 1], hours]))
    values["fp_per_hour"] = np.full_like(rates, np.nan) if is_silent else rates
    n_true = int(sums[:, 2].sum())
    note = (
        f"timescoring with SzCORE's tolerances, {n_true} true events in {hours.sum():.1f} h asked; "
        "pages in turn with and without events, so precision is not that of a clinic"
    )
    return [
        make(
            name,
            percentile_interval(float(value[0]), value[1:], len(names)),
            NOTHING_READ if is_silent and name == "fp_per_hour" else note,
        )
        for name, value in values.items()
    ]


def seizure_sums(
    items: Sequence[Row], is_found: Sequence[bool], subjects: Sequence[str]
) -> tuple[Floats, Floats]:
    """Return hit, false and true seizures per subject, and the hours asked.

    Every recording is a stretch of its subject's time line at its true times, so that neighbours
    join as they would on the recording; what was not asked holds nothing on either side.

    Returns
    -------
    tuple of array
        Shapes (n_subjects, 3) and (n_subjects,).
    """
    from timescoring.annotations import Annotation
    from timescoring.scoring import EventScoring

    sums, hours = np.zeros((len(subjects), 3)), np.zeros(len(subjects))
    for number, subject in enumerate(subjects):
        own = [n for n, item in enumerate(items) if item["subject_id"] == subject]
        at, length_s = _recordings_in_line([items[n] for n in own])
        true, found = [], []
        for n in own:
            start_s = at[items[n]["recording_id"]] + items[n]["start_s"]
            edges = items[n]["truth_s"]
            true += [
                (start_s + a, start_s + b) for a, b in zip(edges[::2], edges[1::2], strict=True)
            ]
            found += [(start_s, start_s + SEGMENT_S)] if is_found[n] else []
        n_samples = RATE_HZ * length_s
        lines = [Annotation(_touching(side), RATE_HZ, n_samples) for side in (true, found)]
        scored = EventScoring(*lines)
        sums[number] = scored.tp, scored.fp, scored.refTrue
        hours[number] = len(own) * SEGMENT_S / 3600
    return sums, hours


def _recordings_in_line(items: Sequence[Row]) -> tuple[dict[str, float], int]:
    """Return what to add to times of each recording, and how long the line is, s."""
    ends: dict[str, list[float]] = {}
    for item in items:
        ends.setdefault(item["recording_id"], []).append(item["start_s"])
    at, length_s = {}, 0.0
    for name, starts in sorted(ends.items()):
        at[name] = length_s - min(starts)
        length_s += max(starts) - min(starts) + SEGMENT_S + RECORDING_GAP_S
    return at, int(np.ceil(length_s))


def _touching(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Join spans that touch, in the package's own steps."""
    line: list[tuple[float, float]] = []
    for t0_s, t1_s in sorted(spans):
        first, last = round(t0_s * RATE_HZ) / RATE_HZ, round(t1_s * RATE_HZ) / RATE_HZ
        if line and first <= line[-1][1]:
            line[-1] = (line[-1][0], max(line[-1][1], last))
        else:
            line.append((first, max(last, first + 1 / RATE_HZ)))
    return line
