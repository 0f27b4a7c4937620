"""Rows of table ``scores`` that say what an answer does when its page is replaced.

``unchanged`` is the share of answers that stay word for word; a reader who looks changes them.
``mirror_consistency`` is the share of sides that change when the page is mirrored. Scores under a
control, and paired differences from it, are in ``scores/scoring.py``. A control that could not be
applied has a void row with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.asking.mirror import choice_following, text_following
from benchmark.scores.intervals import (
    Interval,
    cluster_interval,
    mean_interval,
    ratio,
    subject_totals,
)
from benchmark.scores.scoring import row_maker, said_of
from benchmark.tasks.task import Row, Task

MIRRORED = "mirrored"
NOT_ASKED = "not asked"
"""How the note of a void row begins whose control could not be applied."""
_NOTES = {
    "choice": "choices between sides that change with the page; those of one side alone left out",
    "text": "slots with a side in both texts, the page's own with sides changed; F1 over all",
}


def control_rows(
    task: Task,
    items: Sequence[Row],
    runs: Mapping[tuple[str, str], Mapping[str, Row]],
    seed: int,
) -> list[dict[str, Any]]:
    """Compare each model's answers under every control with those to the page itself.

    Parameters
    ----------
    task, items
        The task and its items.
    runs
        Answers by item, by model and control.
    seed
        Of the bootstrap.
    """
    subjects = [i["subject_id"] for i in items]
    rows = []
    for (model, control), said in runs.items():
        own = runs.get((model, "none"))
        if control == "none" or own is None:
            continue
        make = row_maker(task, (model, control), items, said)
        same = [float(_output(own, i) == _output(said, i)) for i in items]
        note = "answers equal to those given with the page itself"
        rows.append(make("unchanged", mean_interval(subjects, same, seed=seed), note))
        if control == MIRRORED:
            sums = np.array([_following(task, i, own, said) for i in items], dtype=np.float64)
            _, totals = subject_totals(subjects, sums)
            interval = cluster_interval(totals, ratio, seed=seed)
            rows.append(make("mirror_consistency", interval, _NOTES[task.kind]))
    return rows


def left_out_rows(
    task: Task, model: str, items: Sequence[Row], reasons: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return a void row of the primary metric for every control that could not be applied.

    Parameters
    ----------
    task, model, items
        The run.
    reasons
        Why, by control.
    """
    void = Interval(float("nan"), None, None, len({i["subject_id"] for i in items}))
    return [
        row_maker(task, (model, control), items, None)(
            task.primary_metric, void, f"{NOT_ASKED}: {why}"
        )
        for control, why in sorted(reasons.items())
    ]


def _output(said: Mapping[str, Row], item: Row) -> str:
    return str(said_of(said, item, "answer", "") or said_of(said, item, "output", ""))


def _following(
    task: Task, item: Row, own: Mapping[str, Row], mirrored: Mapping[str, Row]
) -> Sequence[float]:
    answers = [str(said_of(said, item, "answer", "")) for said in (own, mirrored)]
    if task.kind == "choice":
        return choice_following(item, answers[0], answers[1])
    followed: list[float] = text_following(answers[0], answers[1]).tolist()
    return followed
