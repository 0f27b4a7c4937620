"""Worst cases: of every kind of task, one a page, and told in words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmark.asking.answers import Item, Reply, answer_row
from benchmark.asking.ask import grade
from benchmark.reports.worst import answer_score, marked_boxes, page_f1, words_of, worst
from benchmark.tasks.task import TASKS

SPIKE = ["spike", "T7", 1.0, 1.1]


def item(task: str, n: int, answer: str, **changes: Any) -> dict[str, Any]:
    return {
        "item_id": f"i{n}", "task": task, "segment_id": f"s{n % 3}", "subject_id": "p", "prompt": "?",
        "options": ["delta", "alpha"] if TASKS[task].kind == "choice" else [], "answer": answer,
        "category": "c", "slots": [], **changes,
    }  # fmt: skip


def answered(items: list[dict[str, Any]], texts: list[str], *sure: float) -> list[dict[str, Any]]:
    task = TASKS[items[0]["task"]]
    rows = [
        answer_row(task.kind, Item.from_row(i), Reply(t, (p,) if sure else ()), "m", "none")
        for i, t, p in zip(items, texts, sure or [0.0] * len(items), strict=True)
    ]
    return grade(task, items, rows)


def found(items: list[dict[str, Any]], answers: list[dict[str, Any]]) -> list[str]:
    return [
        i["item_id"] for i, *_ in worst(items[0]["task"], answers, {i["item_id"]: i for i in items})
    ]


def test_of_choices_the_surest_wrong_one_of_a_page_comes_first() -> None:
    items = [item("mcq", n, "B") for n in range(6)]
    answers = answered(items, ["A", "A", "B", "A", "A", "A"], -1, -3, 0, -2, -1, -5)
    assert found(items, answers) == ["i0", "i4", "i5"]


def test_texts_are_ranked_though_none_of_them_is_wholly_wrong() -> None:
    items = [item("caption", n, "Alpha at O1 and O2 of 10 Hz.") for n in range(3)]
    answers = answered(
        items, ["Alpha at O1 and O2 of 10 Hz.", "Alpha at O1.", "Alpha at O1 and O2."]
    )
    assert found(items, answers) == ["i1", "i2"], "the right one is none"
    assert 0 < answer_score("caption", items[1], answers[1]) < 1


def test_pages_with_false_or_missed_boxes_are_worst_cases_too() -> None:
    box, other = json.dumps([SPIKE]), json.dumps([["spike", "T8", 1.0, 1.1]])
    items = [item("waveform_boxes", n, t) for n, t in enumerate([box, box, "[]"])]
    answers = answered(items, [box, other, "[]"])
    assert found(items, answers) == ["i1"]


def test_boxes_are_marked_by_what_became_of_them() -> None:
    true = json.dumps([SPIKE, ["spike", "T8", 1.0, 1.1], ["eyem", "Fp1", 2.0, 2.5]])
    said = json.dumps(
        [[*SPIKE, 0.9], ["eyem", "Fp2", 2.0, 2.5, 0.9], ["eyem", "F7", 2.0, 2.5, 0.1]]
    )
    marked = {(b.waveform, b.channel): verdict for b, verdict in marked_boxes(true, said)}
    assert marked == {
        ("spike", "T7"): "right", ("spike", "T8"): "missed", ("eyem", "Fp1"): "missed",
        ("eyem", "Fp2"): "false",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([[*SPIKE, 0.9]], 1.0),
        ([[*SPIKE, 0.4]], 0.0),
        ([["spike", "T7", 1.0, 1.1, 0.9], ["eyem", "Fp1", 2.0, 2.5, 0.9]], 2 / 3),
        ([["sharp", "T7", 1.0, 1.1, 0.9]], 0.0),
        ([], 0.0),
    ],
    ids=["found", "unsure", "one false", "other class", "missed"],
)
def test_the_f1_of_a_page(said: list[Any], expected: float) -> None:
    assert page_f1(json.dumps([SPIKE]), json.dumps(said)) == pytest.approx(expected)
    assert page_f1("[]", "[]") == 1.0


def test_an_answer_that_cannot_be_read_has_no_score() -> None:
    row = {"score": None, "is_correct": None, "is_parsed": False, "answer": ""}
    assert answer_score("waveform_boxes", item("waveform_boxes", 0, "[]"), row) == 0.0
    assert answer_score("mcq", item("mcq", 0, "A"), row) == 0.0


def test_answers_are_told_in_words() -> None:
    assert words_of("mcq", item("mcq", 0, "B"), "B") == "B. alpha"
    assert words_of("mcq", item("mcq", 0, "B"), "perhaps") == "perhaps"
    boxes = item("waveform_boxes", 0, json.dumps([SPIKE]))
    assert (
        words_of("waveform_boxes", boxes, boxes["answer"]) == "spike (spike) at T7, 1.00 to 1.10 s"
    )
    assert words_of("waveform_boxes", boxes, "[]") == "no box"
