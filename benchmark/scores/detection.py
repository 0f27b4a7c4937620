"""Matching boxes one channel high, average precision and event counts.

A box is an interval on one row, so the overlap of two boxes is the one-dimensional IoU where class
and channel agree and 0 elsewhere; that equals the two-dimensional IoU of boxes of height 1. Average
precision follows COCO: greedy matching by confidence, precision made monotone, mean over 101 recall
points, no cap on boxes per page; classes without truth have none. Which events count, and rows of
table ``scores``, are in ``scores/detection_scores.py``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.asking.answers import Box
from benchmark.scores.intervals import Floats

IOU_50 = 0.5
IOU_RANGE = tuple(round(0.2 + 0.05 * i, 2) for i in range(7))
"""0.20 to 0.50 in steps of 0.05 (``evaluation.md`` 6.8)."""
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
"""COCO's own floats, so that results agree with its tools to the last digit."""
_CHUNK = 256  # bootstrap draws at a time: keeps draws x true boxes within some 10 MB


@dataclass(frozen=True, slots=True)
class EventRule:
    """When a found event counts as a true one.

    Parameters
    ----------
    kind
        ``iou``: overlap of at least ``limit``. ``centre``: centres at most ``limit`` seconds apart.
    limit
        Share, or seconds.
    source
        Who says so.
    """

    kind: Literal["iou", "centre"]
    limit: float
    source: str


EVENT_RULES: dict[str, EventRule] = {
    "sharp": EventRule("centre", 0.1, "evaluation.md 6.8 (as spikes)"),
    "spike": EventRule("centre", 0.1, "evaluation.md 6.8"),
    "spsw": EventRule("centre", 0.2, "evaluation.md 6.8"),
    "spindle": EventRule("iou", 0.2, "evaluation.md 6.8"),
    "Kcomplex": EventRule("iou", 0.2, "evaluation.md 6.8"),
    "eyem": EventRule("iou", 0.2, "engineering default"),
    "eyer+": EventRule("iou", 0.2, "engineering default"),
    "eyer-": EventRule("iou", 0.2, "engineering default"),
    "hfnoise": EventRule("iou", 0.2, "engineering default"),
}
"""Rule per class; always on the same channel."""

_EDGE = 1e-9  # so that an overlap or distance of exactly the limit counts after rounding


def iou(a: Box, b: Box) -> float:
    """Return the one-dimensional intersection over union of two boxes' intervals."""
    inter = min(a.t1_s, b.t1_s) - max(a.t0_s, b.t0_s)
    if inter <= 0:
        return 0.0
    return inter / ((a.t1_s - a.t0_s) + (b.t1_s - b.t0_s) - inter)


def iou_closeness(limit: float) -> Callable[[Box, Box], float | None]:
    """Return a closeness for :func:`match`: the IoU where it reaches the limit."""

    def closeness(truth: Box, found: Box) -> float | None:
        overlap = iou(truth, found)
        return overlap if overlap >= limit - _EDGE else None

    return closeness


def event_closeness(rule: EventRule) -> Callable[[Box, Box], float | None]:
    """Return a closeness for :func:`match` that follows an event rule."""
    if rule.kind == "iou":
        return iou_closeness(rule.limit)

    def closeness(truth: Box, found: Box) -> float | None:
        apart = abs((truth.t0_s + truth.t1_s) - (found.t0_s + found.t1_s)) / 2
        return -apart if apart <= rule.limit + _EDGE else None

    return closeness


def by_confidence(found: Sequence[Box]) -> list[Box]:
    """Sort boxes by falling confidence; ties in a fixed order that no truth can influence."""
    return sorted(found, key=lambda b: (-b.confidence, b.segment_id, b.channel, b.t0_s, b.t1_s))


def match(
    truth: Sequence[Box], found: Sequence[Box], closeness: Callable[[Box, Box], float | None]
) -> NDArray[np.bool_]:
    """Match boxes of one class to truth, greedily by confidence, each truth once.

    Parameters
    ----------
    truth
        True boxes of one class.
    found
        Found boxes of that class in the order of :func:`by_confidence`.
    closeness
        ``(truth, found)`` -> how close, or None where they do not match.

    Returns
    -------
    array of bool, shape (n_found,)
        Whether each found box is a true one.
    """
    free: dict[tuple[str, str], list[Box]] = defaultdict(list)
    for box in sorted(truth, key=lambda b: (b.t0_s, b.t1_s)):
        free[box.segment_id, box.channel].append(box)
    hits = np.zeros(len(found), dtype=np.bool_)
    for i, box in enumerate(found):
        near = free[box.segment_id, box.channel]
        # rounded, so that of two equally close truths the earlier is taken whatever the last digit
        scored = [
            (round(c, 9), j) for j, t in enumerate(near) if (c := closeness(t, box)) is not None
        ]
        if scored:
            hits[i] = True
            near.pop(max(scored, key=lambda pair: pair[0])[1])
    return hits


def average_precision(
    hits: NDArray[np.bool_], subjects: NDArray[np.intp], weights: Floats, n_truth: Floats
) -> Floats:
    """Return COCO's 101-point average precision for several weightings of the subjects.

    Only true boxes can raise precision, so the curve is followed from one to the next: columns are
    hits, not boxes, and how many boxes each subject has up to a hit is counted once for all draws.

    Parameters
    ----------
    hits
        From :func:`match`, shape (n_found,), by falling confidence.
    subjects
        Column of ``weights`` of each found box, shape (n_found,).
    weights
        How often each subject counts, shape (n_draws, n_subjects).
    n_truth
        How many true boxes there are, shape (n_draws,).

    Returns
    -------
    array, shape (n_draws,)
        NaN where there is no truth, 0 where there is truth but no true box was found.
    """
    at_hits = np.flatnonzero(hits)
    if not at_hits.size:
        return np.where(n_truth > 0, 0.0, np.nan)
    found = np.zeros((weights.shape[1], at_hits.size))
    for subject in range(weights.shape[1]):
        found[subject] = np.cumsum(subjects == subject)[at_hits]
    values = np.full(len(weights), np.nan)
    for start in range(0, len(weights), _CHUNK):
        part = slice(start, start + _CHUNK)
        true = np.cumsum(weights[part][:, subjects[at_hits]], axis=1)
        precision = true / np.maximum(weights[part] @ found, 1.0)
        values[part] = _mean_precision(true, precision, n_truth[part])
    return values


def _mean_precision(true: Floats, precision: Floats, n_truth: Floats) -> Floats:
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    envelope = np.concatenate([envelope, np.zeros((len(envelope), 1))], axis=1)
    out = np.full(len(n_truth), np.nan)
    for draw in np.flatnonzero(n_truth > 0):
        at = np.searchsorted(true[draw] / n_truth[draw], RECALL_POINTS, side="left")
        out[draw] = envelope[draw, at].mean()
    return out


def class_boxes(boxes: Sequence[Box], waveform: str) -> list[Box]:
    """Return the boxes of one class."""
    return [b for b in boxes if b.waveform == waveform]


def class_ap(
    truth: Sequence[Box],
    found: Sequence[Box],
    subject_of: dict[str, int],
    weights: Floats,
    limit: float,
) -> Floats:
    """Return the average precision of one class at one IoU under subject weights.

    Parameters
    ----------
    truth, found
        Boxes of one class.
    subject_of
        Segment id to column of ``weights``.
    weights
        How often each subject counts, shape (n_draws, n_subjects).
    limit
        IoU a match needs.
    """
    ordered = by_confidence(found)
    hits = match(truth, ordered, iou_closeness(limit))
    columns = np.array([subject_of[b.segment_id] for b in ordered], dtype=np.intp)
    n_truth = np.zeros(weights.shape[1])
    for box in truth:
        n_truth[subject_of[box.segment_id]] += 1
    return average_precision(hits, columns, weights, weights @ n_truth)


def event_counts(
    truth: Sequence[Box],
    found: Sequence[Box],
    subject_of: dict[str, int],
    n_subjects: int,
    rule: EventRule,
) -> Floats:
    """Return true, false and missed events of one class per subject, shape (n_subjects, 3)."""
    ordered = by_confidence(found)
    hits = match(truth, ordered, event_closeness(rule))
    counts = np.zeros((n_subjects, 3))
    for box, is_true in zip(ordered, hits, strict=True):
        counts[subject_of[box.segment_id], 0 if is_true else 1] += 1
    for box in truth:
        counts[subject_of[box.segment_id], 2] += 1
    counts[:, 2] -= counts[:, 0]
    return counts
