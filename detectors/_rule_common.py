"""What all rule modules share: limits with their source, confidence, runs, boxes, conclusions.

No rule lives here. Artifact rules are in :mod:`detectors.artifacts.chain` and
:mod:`detectors.artifacts.ocular`, the others in :mod:`detectors.background.rhythms` and
:mod:`detectors.sleep.chain`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.montage import side_and_region
from detectors.types import (
    SEGMENT_S,
    Finding,
    Judgement,
    Measure,
    RuleResult,
    SegmentBatch,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Limit:
    """One constant of a rule: value, unit, and who says so."""

    value: float
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class Box:
    """A stretch of one row; ``weight`` ranks rows within a group."""

    row: int
    t0_s: float
    t1_s: float
    weight: float


def make_finding(
    segment_id: str,
    kind: str,
    channels: Sequence[str],
    span_s: tuple[float, float],
    measures: Sequence[tuple[str, float, str]],
    confidence: float,
    version: str,
) -> Finding:
    """Build a finding of a rule; times are kept inside the page and values rounded to 1e-4.

    Rounding keeps the bytes of a table the same where a compiler orders a sum differently.
    """
    side, region = side_and_region(tuple(channels))
    t0_s, t1_s = max(span_s[0], 0.0), min(span_s[1], float(SEGMENT_S))
    return Finding(
        segment_id=segment_id,
        kind=kind,
        channels=tuple(channels),
        t0_s=round(float(t0_s), 3),
        t1_s=round(float(t1_s), 3),
        measures=tuple(Measure(n, round(float(v), 4), u) for n, v, u in measures),
        confidence=confidence,
        source=f"rule:{kind}@{version}",
        side=side,
        region=region,
    )


def margin_confidence(*ratios: float) -> float:
    """Map the smallest ratio of measure to threshold to a confidence.

    ``1 / (1 + ratio**-3)``: 0.5 on the threshold, 0.7 at 1.33 times, 0.9 at twice (engineering
    default, not a calibrated probability).
    """
    ratio = max(min(ratios), 1e-6)
    return round(float(1.0 / (1.0 + ratio**-3)), 4)


def runs(active: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Find runs of True along the last axis.

    Parameters
    ----------
    active
        Shape (n_rows, n_times).

    Returns
    -------
    row, start, stop
        Shape (n_runs,), half-open, ordered by row, then start.
    """
    edges = np.zeros((active.shape[0], active.shape[1] + 2), dtype=np.int8)
    edges[:, 1:-1] = active
    change = np.diff(edges, axis=1)
    row, start = np.nonzero(change == 1)
    _, stop = np.nonzero(change == -1)
    return row, start, stop


def close_gaps(active: NDArray[np.bool_], longest_gap: int) -> NDArray[np.bool_]:
    """Fill gaps of at most ``longest_gap`` between True values along the last axis."""
    if longest_gap <= 0 or not active.any():
        return active
    closed = active.copy()
    row, start, stop = runs(active)
    joins = (row[1:] == row[:-1]) & (start[1:] - stop[:-1] <= longest_gap)
    for r, a, b in zip(row[:-1][joins], stop[:-1][joins], start[1:][joins], strict=True):
        closed[r, a:b] = True
    return closed


def group_boxes(boxes: Iterable[Box], min_iou: float = 0.5) -> list[list[Box]]:
    """Group boxes of several rows that lie at the same time.

    The longest box is the seed; every box whose intersection over union with the seed is at least
    ``min_iou`` joins it; then the longest of the rest. Groups come out ordered by time, their
    boxes by falling weight, so the result does not depend on the order of the input.
    """
    left = sorted(boxes, key=lambda b: (b.t0_s - b.t1_s, b.t0_s, b.row))
    groups = []
    while left:
        seed = left[0]
        near = [b for b in left if _iou(seed, b) >= min_iou]
        left = [b for b in left if _iou(seed, b) < min_iou]
        groups.append(sorted(near, key=lambda b: (-b.weight, b.row, b.t0_s)))
    return sorted(groups, key=lambda g: (min(b.t0_s for b in g), min(b.row for b in g)))


def _iou(a: Box, b: Box) -> float:
    shared = min(a.t1_s, b.t1_s) - max(a.t0_s, b.t0_s)
    whole = max(a.t1_s, b.t1_s) - min(a.t0_s, b.t0_s)
    return shared / whole if whole > 0 else 0.0


def conclude(
    segment_ids: Sequence[str],
    kind: str,
    findings: Sequence[Finding],
    reasons: Sequence[str],
) -> RuleResult:
    """Give every segment its judgement of one kind.

    Parameters
    ----------
    segment_ids
        All segments of the batch.
    kind
        The kind judged.
    findings
        What was found, in any order.
    reasons
        One per segment: why it could not be judged, or ``""``.
    """
    ids: dict[str, list[str]] = {}
    for finding in findings:
        ids.setdefault(finding.segment_id, []).append(finding.finding_id)
    judgements = []
    for segment_id, reason in zip(segment_ids, reasons, strict=True):
        found = tuple(ids.get(segment_id, ()))
        verdict: Verdict = "present" if found else "not_judged" if reason else "absent"
        judgements.append(
            Judgement(segment_id, kind, verdict, reason if verdict == "not_judged" else "", found)
        )
    return RuleResult(tuple(findings), tuple(judgements))


def percentile(values: NDArray[np.floating], percent: float) -> NDArray[np.floating]:
    """Return a percentile along the last axis, as ``numpy.percentile`` does, at half its cost."""
    at = (values.shape[-1] - 1) * percent / 100
    below = int(at)
    above = min(below + 1, values.shape[-1] - 1)
    ordered = np.partition(values, (below, above), axis=-1)
    low, high = ordered[..., below], ordered[..., above]
    return np.asarray(low + (high - low) * values.dtype.type(at - below))


def unless(
    result: RuleResult,
    segment_ids: Sequence[str],
    why_not: Sequence[str],
    kept_kinds: frozenset[str] = frozenset(),
) -> RuleResult:
    """Judge nothing on segments with a reason, but keep findings of ``kept_kinds`` there.

    Parameters
    ----------
    result
        What rules said.
    segment_ids, why_not
        Reason per segment, ``""`` where it may be judged; empty where nobody asked.
    kept_kinds
        Kinds that stay where they were found, because they are the reason's own evidence.
    """
    why = {s: reason for s, reason in zip(segment_ids, why_not, strict=False) if reason}
    if not why:
        return result
    judgements = tuple(
        Judgement(j.segment_id, j.kind, "not_judged", why[j.segment_id])
        if j.segment_id in why and not (j.verdict == "present" and j.kind in kept_kinds)
        else j
        for j in result.judgements
    )
    findings = tuple(f for f in result.findings if f.segment_id not in why or f.kind in kept_kinds)
    return RuleResult(findings, judgements)


def too_few(seconds: NDArray[np.integer], needed_s: float, where: str) -> list[str]:
    """Say per segment that its usable seconds do not reach, ``""`` where they do."""
    return [
        "" if n >= needed_s else f"only {n} usable s on {where}, {needed_s:g} needed"
        for n in seconds.tolist()
    ]


def boxes_by_group(
    boxes: Sequence[Sequence[Box]], min_iou: float = 0.5
) -> Iterable[tuple[int, list[Box]]]:
    """Yield (segment number, group of boxes at the same time) for boxes listed per segment."""
    return (
        (i, group)
        for i, found in enumerate(boxes)
        if found
        for group in group_boxes(found, min_iou)
    )


def duration_of(group: Sequence[Box]) -> tuple[str, float, str]:
    """Return the measure ``duration_s`` of a group of boxes."""
    return ("duration_s", max(b.t1_s for b in group) - min(b.t0_s for b in group), "s")


def finding_of_group(
    batch: SegmentBatch,
    i: int,
    kind: str,
    group: Sequence[Box],
    measures: Sequence[tuple[str, float, str]],
    confidence: float,
    version: str,
) -> Finding:
    """Build the finding of a group of boxes of segment ``i``, strongest row first."""
    names = list(dict.fromkeys(batch.schema.ch_names[box.row] for box in group))
    span = (min(b.t0_s for b in group), max(b.t1_s for b in group))
    return make_finding(batch.segment_ids[i], kind, names, span, measures, confidence, version)


def conclude_where(
    batch: SegmentBatch,
    kind: str,
    findings: Sequence[Finding],
    is_judged: NDArray[np.bool_],
    reason: str,
) -> RuleResult:
    """Conclude on one kind; segments outside ``is_judged`` are not judged for one reason."""
    reasons = ["" if judged else reason for judged in is_judged.tolist()]
    return conclude(batch.segment_ids, kind, findings, reasons)
