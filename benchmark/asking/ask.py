"""Asking a model: items x controls -> rows of ``model_answers``, parsed and later graded.

Asking never sees a reference answer; grading is a step of its own, so a model can run in another
process that is given :data:`benchmark.asking.answers.VISIBLE_COLUMNS` only. Models are in
``asking/models.py`` and ``asking/vlm.py``.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.asking.answers import Item, Reply, answer_row
from benchmark.asking.controls import Pages, apply_control
from benchmark.asking.models import AnswerModel
from benchmark.errors import BenchmarkError
from benchmark.tasks.task import Row, Task

_log = logging.getLogger(__name__)


def ask(
    model: AnswerModel,
    task: Task,
    items: Sequence[Item],
    pages: Pages,
    *,
    controls: Sequence[str] = ("none",),
    seed: int = 0,
    at_once: bool = False,
) -> list[dict[str, Any]]:
    """Ask a model every item under every control.

    Parameters
    ----------
    model
        The model under test.
    task
        How answers are parsed.
    items
        Items of that task.
    pages
        PNG bytes by item id; may be empty for models that look at none.
    controls
        Names of :data:`benchmark.asking.controls.CONTROLS`.
    seed
        Seed of the controls.
    at_once
        Hand the model all controls in one go, for one that takes a day for each: its batch jobs.

    Returns
    -------
    list of dict
        Rows of table ``model_answers`` in order of control and item; ``is_correct`` and ``score``
        are null until graded.

    Raises
    ------
    BenchmarkError
        If a control cannot be applied or the model returns another number of replies.
    """
    rows = []
    for turn in [controls] if at_once else [[control] for control in controls]:
        asked = [(control, item) for control in turn for item in items]
        shown = [p for control in turn for p in apply_control(control, items, pages, seed=seed)]
        _log.info("asking %s: %d items, control %s", model.name, len(items), ", ".join(turn))
        replies = _ask_once_each(model, [item for _, item in asked], shown)
        rows += [
            answer_row(task.kind, item, reply, model.name, control)
            for (control, item), reply in zip(asked, replies, strict=True)
        ]
    return rows


def ask_without_pages(
    model: AnswerModel, task: Task, items: Sequence[Item]
) -> list[dict[str, Any]]:
    """Ask a baseline that looks at no page; its rows stand under the control ``none``."""
    replies = model.answer(items, [None] * len(items))
    return [
        answer_row(task.kind, item, reply, model.name, "none")
        for item, reply in zip(items, replies, strict=True)
    ]


def _ask_once_each(
    model: AnswerModel, items: Sequence[Item], pages: Sequence[bytes | None]
) -> list[Reply]:
    """Ask the same prompt about the same picture once: under 'blank' all captions share one."""
    keys = [
        (item.prompt, item.options, hashlib.sha256(page).digest() if page else b"")
        for item, page in zip(items, pages, strict=True)
    ]
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    chosen = sorted(first.values())
    replies = model.answer([items[i] for i in chosen], [pages[i] for i in chosen])
    if len(replies) != len(chosen):
        raise BenchmarkError(
            f"model {model.name!r} gave {len(replies)} replies to {len(chosen)} items; "
            "it must give one each"
        )
    said = {keys[i]: reply for i, reply in zip(chosen, replies, strict=True)}
    return [said[key] for key in keys]


def grade(task: Task, items: Sequence[Row], answers: Sequence[Row]) -> list[dict[str, Any]]:
    """Fill in ``is_correct`` and ``score`` of answers from the reference in the items.

    The score of a text is the task's primary metric of that answer alone, in the metric's own unit.

    Parameters
    ----------
    task
        The task of all rows.
    items
        Rows of table ``benchmark_items``.
    answers
        Rows of table ``model_answers``.

    Raises
    ------
    BenchmarkError
        If an answer belongs to no item, or an item is answered twice under one model and control.
    """
    by_id = {row["item_id"]: row for row in items}
    check_answers(by_id, answers)
    graders = {"choice": _grade_choice, "text": _grade_text, "boxes": _grade_boxes}
    grader = _TEXT_GRADERS.get(task.primary_metric) or graders[task.kind]
    return grader(by_id, answers)


def check_answers(items: Mapping[str, Row], answers: Sequence[Row]) -> None:
    """Refuse answers to unknown items and double answers."""
    seen = set()
    for row in answers:
        key = (row["item_id"], row["model"], row["control"])
        if row["item_id"] not in items:
            raise BenchmarkError(
                f"answer to item {row['item_id']!r}, which is not in the benchmark; "
                "the answers were made for other items, ask the model again"
            )
        if key in seen:
            raise BenchmarkError(
                f"item {key[0]!r} is answered twice by {key[1]!r} under {key[2]!r}"
            )
        seen.add(key)


def _grade_choice(items: Mapping[str, Row], answers: Sequence[Row]) -> list[dict[str, Any]]:
    graded = []
    for row in answers:
        is_correct = bool(row["is_parsed"]) and row["answer"] == items[row["item_id"]]["answer"]
        graded.append({**row, "is_correct": is_correct, "score": float(is_correct)})
    return graded


def _grade_text(items: Mapping[str, Row], answers: Sequence[Row]) -> list[dict[str, Any]]:
    from benchmark.scores.metrics import word_overlaps

    references = [items[row["item_id"]]["answer"] for row in answers]
    overlaps = word_overlaps(references, [row["answer"] for row in answers])
    return [
        {**row, "is_correct": None, "score": overlap.rouge1}
        for row, overlap in zip(answers, overlaps, strict=True)
    ]


def _grade_slots(items: Mapping[str, Row], answers: Sequence[Row]) -> list[dict[str, Any]]:
    from benchmark.scores.narrator_slots import narrative_f1

    return [
        {
            **row,
            "is_correct": None,
            "score": narrative_f1(items[row["item_id"]]["slots"], row["answer"]),
        }
        for row in answers
    ]


_TEXT_GRADERS = {"narrator_slot_f1": _grade_slots}
"""By primary metric; any other text is graded by ROUGE-1."""


def _grade_boxes(items: Mapping[str, Row], answers: Sequence[Row]) -> list[dict[str, Any]]:
    return [{**row, "is_correct": None, "score": None} for row in answers]
