"""Scores of boxes: perfect, empty and swapped detectors, thresholds, controls."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from benchmark.asking.answers import Item, Reply, answer_row, parse_boxes
from benchmark.errors import BenchmarkError
from benchmark.scores.detection_scores import detector_answers
from benchmark.scores.scoring import score
from benchmark.tasks.task import TASKS
from dagster_project.tables.registry import table
from dagster_project.tables.store import to_arrow

Rows = Callable[[str], list[dict[str, Any]]]
TASK = TASKS["waveform_boxes"]


@pytest.fixture(scope="module")
def rows(rows_of: Rows) -> list[dict[str, Any]]:
    return rows_of("waveform_boxes")


def _events(rows: list[dict[str, Any]], confidence: float = 0.9) -> list[dict[str, Any]]:
    boxes = [b for r in rows for b in parse_boxes(r["answer"], r["segment_id"]) or ()]
    return [
        {
            "segment_id": b.segment_id,
            "waveform": b.waveform,
            "channel": b.channel,
            "t0_s": b.t0_s,
            "t1_s": b.t1_s,
            "confidence": confidence,
        }
        for b in boxes
    ]


def _scores(
    rows: list[dict[str, Any]], events: list[dict[str, Any]], **options: Any
) -> dict[tuple[str, str], dict[str, Any]]:
    answers = detector_answers([Item.from_row(r) for r in rows], events, "d")
    assert to_arrow(table("model_answers"), answers).num_rows == 2 * len(rows)
    scored = score(TASK, rows, answers, **options)
    assert to_arrow(table("scores"), scored).num_rows == len(scored)
    return {(r["control"], r["metric"]): r for r in scored}


def test_a_perfect_detector_scores_everything(rows: list[dict[str, Any]]) -> None:
    scores = _scores(rows, _events(rows))
    perfect = ("map50", "map20_50", "ap50:spike", "event_f1", "event_f1:spindle", "event_recall")
    assert [scores["none", m]["value"] for m in perfect] == pytest.approx([1] * len(perfect))
    assert scores["none", "fp_per_hour"]["value"] == 0
    assert scores["none", "map50"]["n_unparsed"] == 0


def test_the_boxes_of_other_pages_score_less(rows: list[dict[str, Any]]) -> None:
    scores = _scores(rows, _events(rows))
    assert scores["shuffled", "ap50:spike"]["value"] < 0.2
    gap = scores["none", "map50-shuffled"]
    assert gap["value"] == pytest.approx(1 - scores["shuffled", "map50"]["value"])
    assert gap["ci_low"] > 0
    assert gap["note"].startswith("higher")


def test_a_detector_that_finds_nothing_scores_nothing(rows: list[dict[str, Any]]) -> None:
    scores = _scores(rows, [])
    assert scores["none", "map50"]["value"] == scores["none", "event_f1"]["value"] == 0
    assert scores["none", "map50"]["n_unparsed"] == 0


def test_a_detector_that_cannot_be_read_has_no_rate_of_false_events(
    rows: list[dict[str, Any]],
) -> None:
    shown = [Item.from_row(row) for row in rows]
    said = [answer_row("boxes", item, Reply("none"), "d", "none") for item in shown]
    scored = {r["metric"]: r for r in score(TASK, rows, said)}
    assert math.isnan(scored["fp_per_hour"]["value"])
    assert scored["map50"]["value"] == scored["event_f1"]["value"] == 0


def test_boxes_of_classes_without_truth_are_no_class_but_count_as_false(
    rows: list[dict[str, Any]],
) -> None:
    extra = [{**e, "waveform": "hfnoise"} for e in _events(rows)[:10]]
    scores = _scores(rows, _events(rows) + extra)
    assert scores["none", "map50"]["value"] == pytest.approx(1)
    assert ("none", "ap50:hfnoise") not in scores
    hours = len(rows) * 10 / 3600
    assert scores["none", "fp_per_hour"]["value"] == pytest.approx(10 / hours)


@pytest.mark.parametrize(("threshold", "f1"), [(0.4, 1.0), (0.6, 0.0)], ids=["below", "above"])
def test_events_are_counted_at_the_threshold_of_their_class(
    rows: list[dict[str, Any]], threshold: float, f1: float
) -> None:
    scores = _scores(rows, _events(rows, 0.5), thresholds={"spindle": threshold})
    assert scores["none", "event_f1:spindle"]["value"] == pytest.approx(f1)
    assert scores["none", "event_f1:spike"]["value"] == pytest.approx(1)
    assert scores["none", "ap50:spindle"]["value"] == pytest.approx(1)


def test_scores_do_not_depend_on_the_order_of_boxes(rows: list[dict[str, Any]]) -> None:
    events = [{**e, "confidence": 0.2 + 0.01 * (i % 7)} for i, e in enumerate(_events(rows))]
    assert _scores(rows[::-1], events[::-1]) == _scores(rows, events)


def test_the_interval_covers_subjects_that_differ(rows: list[dict[str, Any]]) -> None:
    seen = {row["segment_id"] for row in rows if row["subject_id"] < "p02"}
    row = _scores(rows, [e for e in _events(rows) if e["segment_id"] in seen])["none", "map50"]
    assert row["ci_low"] < row["value"] < row["ci_high"]
    assert "weak interval" in row["note"]


def test_a_page_without_an_answer_misses_its_truth(rows: list[dict[str, Any]]) -> None:
    answers = detector_answers(
        [Item.from_row(r) for r in rows], _events(rows), "d", controls=("none",)
    )
    dropped = next(r["item_id"] for r in rows if r["category"] == "annotated")
    kept = [a for a in answers if a["item_id"] != dropped]
    scored = {r["metric"]: r for r in score(TASK, rows, kept)}
    assert scored["map50"]["n_unparsed"] == 1
    assert scored["event_recall"]["value"] == pytest.approx(15 / 16)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"thresholds": {"spindel": 0.5}}, "did you mean 'spindle'"),
        ({"thresholds": {"spindle": 5.0}}, "a probability"),
    ],
    ids=["unknown class", "no probability"],
)
def test_a_wrong_threshold_is_told(
    rows: list[dict[str, Any]], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(BenchmarkError, match=said):
        _scores(rows, [], **options)


def test_boxes_are_cut_at_the_edges_of_the_page(rows: list[dict[str, Any]]) -> None:
    item = Item.from_row(rows[0])
    event = _events(rows)[0] | {"segment_id": item.segment_id}
    over = [event | {"t0_s": -0.5, "t1_s": 0.5}, event | {"t0_s": 10.0, "t1_s": 10.2}]
    (answer,) = detector_answers([item], over, "d", controls=("none",))
    boxes = parse_boxes(answer["answer"], item.segment_id)
    assert boxes is not None
    assert [(b.t0_s, b.t1_s) for b in boxes] == [(0.0, 0.5)]


def test_a_detector_has_no_blank_page(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(BenchmarkError, match="known: none, other_subject, shuffled"):
        detector_answers([Item.from_row(r) for r in rows], [], "d", controls=("blank",))


def test_pages_without_a_single_true_box_cannot_be_scored(rows: list[dict[str, Any]]) -> None:
    empty = [{**row, "answer": "[]"} for row in rows]
    with pytest.raises(BenchmarkError, match="no item has a true box"):
        score(TASK, empty, detector_answers([Item.from_row(r) for r in empty], [], "d"))
