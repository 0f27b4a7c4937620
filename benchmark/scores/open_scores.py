"""Scores of the open bench and of narratives: those of any task of their kind, and by group.

Each group and sub-category has a row of its own with its interval; nothing is averaged over the four
tasks. What a row is made of lives in ``scores/scoring.py``, ``scores/detection_scores.py`` and
``scores/narrator_slots.py``; the groups are in ``tasks/open_categories.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.asking.ask import grade
from benchmark.scores.detection_scores import score_boxes
from benchmark.scores.intervals import mean_interval
from benchmark.scores.narrator_slots import SLOT_NOTE, narrative_f1
from benchmark.scores.scoring import (
    by_run,
    chance_level,
    differences,
    row_maker,
    said_of,
    score_choice,
    score_text,
)
from benchmark.tasks.open_categories import GROUPS, SUB_CATEGORIES, group_of
from benchmark.tasks.task import Row, Task

if TYPE_CHECKING:
    from benchmark.scores.bert_pairs import TextEncoder
    from prompts.facts.page import PageFacts

Table = list[dict[str, Any]]
NARRATOR_METRIC = "narrator_slot_f1"


def score_open_choice(task: Task, items: Sequence[Row], answers: Sequence[Row], seed: int) -> Table:
    """Score demanding multiple choice, with accuracy by group and sub-category."""
    rows = score_choice(task, items, answers, seed)
    graded = grade(task, items, answers)
    return _once(rows + _sliced(task, items, graded, "accuracy", "is_correct", seed))


def score_open_text(
    task: Task,
    items: Sequence[Row],
    answers: Sequence[Row],
    seed: int,
    facts: Mapping[str, PageFacts] | None = None,
    encoder: TextEncoder | None = None,
) -> Table:
    """Score free text, with ROUGE-1 by group and sub-category."""
    rows = score_text(task, items, answers, seed, facts, encoder)
    graded = grade(task, items, answers)
    return _once(rows + _sliced(task, items, graded, "rouge1", "score", seed))


def score_open_boxes(
    task: Task,
    items: Sequence[Row],
    answers: Sequence[Row],
    seed: int,
    thresholds: Mapping[str, float] | None = None,
) -> Table:
    """Score boxes, with mAP at IoU 0.5 by group of the page."""
    rows = score_boxes(task, items, answers, seed, thresholds)
    for group in GROUPS:
        part = [i for i in items if group_of(i["category"]) == group]
        if len(part) == len(items) or all(i["answer"] == "[]" for i in part):
            continue
        ids = {i["item_id"] for i in part}
        own = [a for a in answers if a["item_id"] in ids]
        for row in score_boxes(task, part, own, seed, thresholds) if own else []:
            if row["metric"] == "map50":
                rows.append({**row, "metric": f"map50[{group}]"})
    return _once(rows)


def score_narratives(
    task: Task,
    items: Sequence[Row],
    answers: Sequence[Row],
    seed: int,
    facts: Mapping[str, PageFacts] | None = None,
    encoder: TextEncoder | None = None,
) -> Table:
    """Score narratives: what any text is scored by, and F1 over the template's slots."""
    rows = score_text(task, items, answers, seed, facts, encoder)
    subjects = [i["subject_id"] for i in items]
    found: dict[tuple[str, str], list[float]] = {}
    for key, said in by_run(answers).items():
        make = row_maker(task, key, items, said)
        found[key] = [narrative_f1(i["slots"], said_of(said, i, "answer", "")) for i in items]
        interval = mean_interval(subjects, found[key], seed=seed)
        rows.append(make(NARRATOR_METRIC, interval, SLOT_NOTE))
    return rows + differences(task, items, found, NARRATOR_METRIC, seed)


def _sliced(
    task: Task, items: Sequence[Row], graded: Sequence[Row], metric: str, column: str, seed: int
) -> Table:
    """Score each group and sub-category apart; one without an item has no row."""
    parts: dict[str, list[Row]] = {}
    for item in items:
        parts.setdefault(group_of(item["category"]), []).append(item)
        parts.setdefault(item["category"], []).append(item)
    rows: Table = []
    for key, said in by_run(graded).items():
        make = row_maker(task, key, items, said)
        for name in (*GROUPS, *SUB_CATEGORIES):
            part = parts.get(name, [])
            if not part:
                continue
            values = [float(said_of(said, i, column, 0.0) or 0.0) for i in part]
            interval = mean_interval([i["subject_id"] for i in part], values, seed=seed)
            note = f"chance {100 * chance_level(part):.1f} %" if part[0]["options"] else ""
            rows.append(make(f"{metric}[{name}]", interval, note, part))
    return rows


def _once(rows: Table) -> Table:
    """Keep one row of each metric: with few categories a task's own slices are the same ones."""
    seen = {(row["model"], row["control"], row["metric"]): row for row in rows}
    return list(seen.values())
