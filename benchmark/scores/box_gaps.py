"""The paired difference of two detectors over the same pages: mAP at IoU 0.5, drawn by subject.

Average precision is no mean over pages, so every draw of subjects, and every exchange of the two sides
by subject, is scored anew. Scores of one detector are in ``scores/detection_scores.py``; which answers
are paired is said in ``reports/compare.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.asking.answers import Box, parse_boxes
from benchmark.errors import BenchmarkError
from benchmark.scores.detection import IOU_50, class_ap, class_boxes
from benchmark.scores.detection_scores import mean_over_classes
from benchmark.scores.intervals import (
    N_DRAWS,
    Floats,
    Interval,
    percentile_interval,
    permutation_share,
    sign_patterns,
    subject_weights,
)
from detectors.vocabulary import WAVEFORMS


@dataclass(frozen=True, slots=True)
class BoxGap:
    """mAP of side A and side B, B minus A with its interval, and the two-sided p of the exchange."""

    value_a: float
    value_b: float
    gap: Interval
    p: float


def box_gap(
    subjects: Sequence[str], truth: Sequence[str], a: Sequence[str], b: Sequence[str], *, seed: int
) -> BoxGap:
    """Compare two detectors over the same pages.

    Parameters
    ----------
    subjects, truth, a, b
        Subject, true boxes and boxes of either side of each page, as texts that
        :func:`benchmark.asking.answers.parse_boxes` reads; one that cannot be read holds none.
    seed
        Of bootstrap and permutation.

    Raises
    ------
    BenchmarkError
        If no page has a true box.
    """
    n_subjects = len(set(subjects))
    pages = _Pages(subjects, truth, a, b)
    drawn = np.concatenate([np.ones((1, n_subjects)), subject_weights(n_subjects, seed=seed)])
    none = np.zeros_like(drawn)
    of_a, of_b = pages.map50(drawn, none), pages.map50(none, drawn)
    gap = percentile_interval(float(of_b[0] - of_a[0]), (of_b - of_a)[1:], n_subjects)
    kept = (sign_patterns(n_subjects, seed=seed, n_drawn=N_DRAWS) + 1) / 2
    exchanged = pages.map50(1 - kept, kept) - pages.map50(kept, 1 - kept)
    p = permutation_share(gap.value, exchanged, n_subjects)
    return BoxGap(float(of_a[0]), float(of_b[0]), gap, p)


class _Pages:
    """Every page twice, as either side saw it: which of the two counts is a matter of weights."""

    def __init__(
        self, subjects: Sequence[str], truth: Sequence[str], a: Sequence[str], b: Sequence[str]
    ) -> None:
        names = sorted(set(subjects))
        self._column_of = {
            _page(side, n): side * len(names) + names.index(subject)
            for side in (0, 1)
            for n, subject in enumerate(subjects)
        }
        true, found = _read(truth, truth), _read(a, b)
        self._by_class = [
            (class_boxes(true, w), class_boxes(found, w)) for w in WAVEFORMS if class_boxes(true, w)
        ]
        if not self._by_class:
            raise BenchmarkError("no page has a true box; compare detectors where some were drawn")

    def map50(self, of_a: Floats, of_b: Floats) -> Floats:
        """Return the mAP of each row of subject weights of A and B, shape (n, n_subjects) each."""
        weights = np.hstack([of_a, of_b])
        return mean_over_classes(
            [class_ap(*boxes, self._column_of, weights, IOU_50) for boxes in self._by_class]
        )


def _page(side: int, number: int) -> str:
    # boxes of one confidence are ordered by page: the side must not decide which come first
    return f"{number:09d}|{side}"


def _read(a: Sequence[str], b: Sequence[str]) -> list[Box]:
    return [
        box
        for side, texts in enumerate((a, b))
        for n, text in enumerate(texts)
        for box in parse_boxes(text, _page(side, n)) or ()
    ]
