"""One paired test: two models over the same items of a task, on the task's primary metric.

Balanced accuracy and mAP need what was right as well as what was said; any other metric is the mean
of the graded answers. Which answers are paired, and Holm's correction, are in ``reports/compare.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.scores.box_gaps import box_gap
from benchmark.scores.classification import balanced_gap, right_option
from benchmark.scores.intervals import (
    Floats,
    Interval,
    mcnemar_p,
    mean_interval,
    sign_permutation_p,
    wilcoxon_p,
)
from benchmark.scores.metrics import METRICS, choice_sums, recall_mean
from benchmark.tasks.task import TASKS, Row

BALANCED = "balanced_accuracy"
BOXES = "map50"


@dataclass(frozen=True, slots=True)
class PairedTest:
    """One task, model B minus model A, item by item.

    Parameters
    ----------
    task, metric
        The task and its primary metric.
    value_a, value_b
        Of the items both were asked.
    gap
        B minus A with its interval clustered by subject.
    p_permutation
        Two-sided, the two sides exchanged by subject.
    p_holm
        The same, corrected over the tasks of the comparison.
    p_wilcoxon
        Signed ranks of subject means, items weighted by class for balanced accuracy; None with fewer
        than two subjects that differ, and for boxes, which have no mean.
    p_mcnemar
        Exact, only for accuracy with one item per subject; else None, since items of a subject are
        not independent.
    n_items, n_unparsed_a, n_unparsed_b
        Items both were asked, and unread answers, which count as wrong.
    n_left_out
        Items that only one was asked, since their rows may not leave for the other.
    verdict
        ``B is higher``, ``B is lower`` or ``no difference is shown``.
    """

    task: str
    metric: str
    value_a: float
    value_b: float
    gap: Interval
    p_permutation: float
    p_holm: float
    p_wilcoxon: float | None
    p_mcnemar: float | None
    n_items: int
    n_unparsed_a: int
    n_unparsed_b: int
    n_left_out: int
    verdict: str

    @property
    def scale(self) -> float:
        """What values are shown times: shares as per cent."""
        return 100.0 if METRICS[self.metric].unit == "share" else 1.0


@dataclass(frozen=True, slots=True)
class _Found:
    """What a metric makes of two sides; ``gaps`` are the items' own differences, if it has any."""

    value_a: float
    value_b: float
    gap: Interval
    p: float
    gaps: Sequence[float] | None


def references_of(items: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """Return what is right of every item whose primary metric needs it beside the graded answers.

    Parameters
    ----------
    items
        Rows of table ``benchmark_items`` by task.
    """
    read = {BALANCED: right_option, BOXES: lambda row: str(row["answer"])}
    return {
        row["item_id"]: read[TASKS[name].primary_metric](row)
        for name in sorted(items)
        if TASKS[name].primary_metric in read
        for row in items[name]
    }


def needs_references(task: str) -> bool:
    """Whether a test of this task needs what is right beside the graded answers."""
    return TASKS[task].primary_metric in {BALANCED, BOXES}


def paired_test(
    task: str, a: Mapping[str, Row], b: Mapping[str, Row], references: Mapping[str, str], seed: int
) -> PairedTest:
    """Test one task; the correction over tasks and the verdict are still to be filled in.

    Parameters
    ----------
    task
        Its name.
    a, b
        Graded answers of either side by item.
    references
        As :func:`references_of` makes them.
    seed
        Of bootstrap and permutation.
    """
    metric, ids = TASKS[task].primary_metric, sorted(a.keys() & b.keys())
    subjects = [a[i]["subject_id"] for i in ids]
    if metric == BOXES:
        own = [references[i] for i in ids]
        sides = [[str(side[i]["answer"]) for i in ids] for side in (a, b)]
        boxes = box_gap(subjects, own, *sides, seed=seed)
        found = _Found(boxes.value_a, boxes.value_b, boxes.gap, boxes.p, None)
    else:
        of_a, of_b = ([float(side[i]["score"]) for i in ids] for side in (a, b))
        own = [references[i] for i in ids] if metric == BALANCED else []
        found = _of_items(subjects, own, of_a, of_b, seed)
    is_single = metric == "accuracy" and len(set(subjects)) == len(ids)
    return PairedTest(
        task=task,
        metric=metric,
        value_a=found.value_a,
        value_b=found.value_b,
        gap=found.gap,
        p_permutation=found.p,
        p_holm=math.nan,
        p_wilcoxon=wilcoxon_p(subjects, found.gaps) if found.gaps is not None else None,
        p_mcnemar=mcnemar_p(found.gaps) if is_single and found.gaps is not None else None,
        n_items=len(ids),
        n_unparsed_a=sum(not a[i]["is_parsed"] for i in ids),
        n_unparsed_b=sum(not b[i]["is_parsed"] for i in ids),
        n_left_out=len(a.keys() ^ b.keys()),
        verdict="",
    )


def _of_items(
    subjects: Sequence[str], right: Sequence[str], of_a: Sequence[float], of_b: Sequence[float],
    seed: int,
) -> _Found:  # fmt: skip
    """Compare item scores: their means, or the balanced accuracy where the right options are given."""
    if right:
        sums = [_sums_of(right, hits) for hits in (of_a, of_b)]
        value_a, value_b = (float(recall_mean(s.sum(axis=0, keepdims=True))[0]) for s in sums)
        gap, gaps = balanced_gap(subjects, right, sums[1], sums[0], seed=seed)
    else:
        value_a, value_b = sum(of_a) / len(of_a), sum(of_b) / len(of_b)
        gaps = [y - x for x, y in zip(of_a, of_b, strict=True)]
        gap = mean_interval(subjects, gaps, seed=seed)
    return _Found(value_a, value_b, gap, sign_permutation_p(subjects, gaps, seed=seed), gaps)


def _sums_of(reference: Sequence[str], hits: Sequence[float]) -> Floats:
    # recall asks only whether the right option was chosen
    return choice_sums(
        reference, [r if hit else "" for r, hit in zip(reference, hits, strict=True)]
    )
