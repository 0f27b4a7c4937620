"""How well boxes agree with truth: average precision and event F1, by class.

Used where a threshold is calibrated or a detector is scored; confidence intervals and reports are
the benchmark's. Matching is one-dimensional and within a channel (``systems.md`` 6.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from detectors.waveform.nms import Boxes, interval_iou


@dataclass(frozen=True, slots=True)
class MatchRule:
    """When a detection hits a truth box of its class and channel.

    Parameters
    ----------
    min_iou
        Smallest overlap in time.
    max_centre_s
        Where above 0, centres this close suffice instead: one sample shifts the edge of a spike by
        a tenth of its width, so overlap measures box drawing there.
    """

    min_iou: float
    max_centre_s: float = 0.0


MAP_RULE = MatchRule(0.5)
"""Overlap of mAP@0.5."""

EVENT_RULES: Mapping[str, MatchRule] = MappingProxyType(
    {
        # evaluation.md 6.8: 100 ms for spikes and sharp waves, 200 ms for complexes, else IoU 0.2
        "spike": MatchRule(0.0, 0.1),
        "sharp": MatchRule(0.0, 0.1),
        "spsw": MatchRule(0.0, 0.2),
        "spindle": MatchRule(0.2),
        "Kcomplex": MatchRule(0.2),
        "eyem": MatchRule(0.2),
        "eyer+": MatchRule(0.2),
        "eyer-": MatchRule(0.2),
        "hfnoise": MatchRule(0.2),
    }
)
"""Rules of the event F1 and of calibration, by class."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Detections of one class over a set of segments, best first, and what they hit.

    Parameters
    ----------
    scores
        float32.
    is_hit
        Whether a detection matched a truth no better one had matched.
    n_truth
        Truth boxes.
    hit_sizes
        Size of the truth each detection hit; NaN where it hit none or one of unknown size.
    truth_sizes
        Size of every truth box, NaN where unknown.
    """

    scores: NDArray[np.float32]
    is_hit: NDArray[np.bool_]
    n_truth: int
    hit_sizes: NDArray[np.float64]
    truth_sizes: NDArray[np.float64]

    def of_sizes(self, low: float, high: float) -> Matches:
        """Return the same detections held against truth of ``low <= size < high`` alone.

        Detections of other truth are neither right nor wrong and are left out; false ones stay,
        whatever size they would have, so precision is that of a set with this truth only.
        """
        is_inside = (self.hit_sizes >= low) & (self.hit_sizes < high)
        kept = ~self.is_hit | is_inside
        inside = self.truth_sizes[(self.truth_sizes >= low) & (self.truth_sizes < high)]
        return Matches(
            self.scores[kept], self.is_hit[kept], len(inside), self.hit_sizes[kept], inside
        )

    def average_precision(self) -> float:
        """Return the area under the interpolated precision-recall curve; NaN without truth."""
        if self.n_truth == 0:
            return float("nan")
        hits = np.cumsum(self.is_hit)
        precision = hits / np.arange(1, len(hits) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.sum(envelope[self.is_hit]) / self.n_truth)

    def at(self, threshold: float) -> tuple[float, float, float]:
        """Return precision, recall and F1 of the detections at or above a threshold."""
        kept = self.is_hit[self.scores >= threshold]
        precision = float(kept.mean()) if len(kept) else float("nan")
        recall = float(kept.sum() / self.n_truth) if self.n_truth else float("nan")
        total = len(kept) + self.n_truth
        return precision, recall, float(2 * kept.sum() / total) if total else float("nan")

    def threshold_for(self, precision: float, *, min_detections: int = 20) -> float | None:
        """Return the lowest threshold above which precision holds, or None where none does.

        Parameters
        ----------
        precision
            Wanted share of hits.
        min_detections
            Thresholds that leave fewer detections are not trusted.
        """
        n = np.arange(1, len(self.is_hit) + 1)
        fine = (np.cumsum(self.is_hit) / n >= precision) & (n >= min_detections)
        # equal scores are kept or dropped together
        fine[:-1] &= self.scores[:-1] > self.scores[1:]
        return float(self.scores[np.flatnonzero(fine)[-1]]) if fine.any() else None


def match(
    found: Sequence[Boxes],
    truth: Sequence[Boxes],
    class_index: int,
    rule: MatchRule = MAP_RULE,
    sizes: Sequence[NDArray[np.float64]] | None = None,
) -> Matches:
    """Match the detections of one class to truth, greedily by score.

    Parameters
    ----------
    found, truth
        Boxes by segment, in the same order of segments.
    class_index
        The class.
    rule
        What counts as a hit, on the same channel.
    sizes
        Size of every truth box by segment; unknown where not given.
    """
    scores: list[NDArray[np.float32]] = [np.zeros(0, dtype=np.float32)]
    hits: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    truth_sizes: list[NDArray[np.float64]] = [np.zeros(0)]
    n_truth = 0
    for i, (mine, theirs) in enumerate(zip(found, truth, strict=True)):
        is_class = theirs.classes == class_index
        size = np.full(len(theirs), np.nan) if sizes is None else sizes[i]
        mine = mine.take(mine.classes == class_index)
        which = _hits(mine, theirs.take(is_class), rule)
        scores.append(mine.scores)
        hits.append(np.where(which >= 0, which + n_truth, -1))
        truth_sizes.append(size[is_class])
        n_truth += int(is_class.sum())
    all_scores, of_truth = np.concatenate(scores), np.concatenate(truth_sizes)
    which = np.concatenate(hits)
    order = np.argsort(-all_scores, kind="stable")
    which = which[order]
    hit_sizes = np.append(of_truth, np.nan)[which]
    return Matches(all_scores[order], which >= 0, n_truth, hit_sizes, of_truth)


def _hits(mine: Boxes, theirs: Boxes, rule: MatchRule) -> NDArray[np.int64]:
    """Return which truth each detection hits, -1 where none."""
    which = np.full(len(mine), -1, dtype=np.int64)
    if not len(theirs):
        return which
    is_free = np.ones(len(theirs), dtype=bool)
    for i in np.argsort(-mine.scores, kind="stable"):
        nearness = _nearness(mine, int(i), theirs, rule)
        nearness = np.where(is_free & (theirs.rows == mine.rows[i]), nearness, -np.inf)
        best = int(np.argmax(nearness))
        if nearness[best] >= 0.0:
            is_free[best], which[i] = False, best
    return which


def _nearness(mine: Boxes, i: int, theirs: Boxes, rule: MatchRule) -> NDArray[np.float64]:
    """Return how far inside the rule each truth lies; negative is no hit."""
    if rule.max_centre_s > 0:
        centre = (mine.t0_s[i] + mine.t1_s[i]) / 2
        return np.asarray(rule.max_centre_s - np.abs((theirs.t0_s + theirs.t1_s) / 2 - centre))
    overlap = interval_iou(mine.t0_s[i], mine.t1_s[i], theirs.t0_s, theirs.t1_s)
    return overlap - rule.min_iou
