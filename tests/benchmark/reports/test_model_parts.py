"""What the reports say of the models: what they saw before, judged columns, tests between them, groups."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.asking.answers import Item, Reply, answer_row
from benchmark.asking.ask import ask_without_pages, grade
from benchmark.asking.exposure import UNKNOWN, Exposure, trained
from benchmark.asking.models import Majority
from benchmark.judging.summary import ON, AxisScore, JudgeSummary, PlantedScore
from benchmark.reports.compare import Run, compare_models, compare_runs
from benchmark.reports.html import write_html_report
from benchmark.reports.report import write_report
from benchmark.reports.result import Result, make_result
from benchmark.scores.scoring import score
from benchmark.tasks.task import TASKS

Rows = Callable[[str], list[dict[str, Any]]]
MCQ = TASKS["mcq"]
SEEN = {
    "good": trained(None, {"eegmat": "split train of release demo"}, "recipe good"),
    "bad": trained(None, {"hmc": "split train"}, "recipe bad"),
    "api": UNKNOWN,
}


LEFT_OUT = {"p00", "p01"}
"""Of whom one model was asked nothing."""


def said_by(model: str, row: dict[str, Any]) -> str:
    right = row["answer"]
    return {"good": right, "bad": "?", "api": right if row["item_id"] < "b-8" else "A"}[model]


@pytest.fixture(scope="module")
def answered(rows_of: Rows) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Items and the answers of three models, one of which was not asked a quarter of them."""
    items = rows_of("mcq")
    answers = [
        answer_row("choice", Item.from_row(row), Reply(said_by(model, row)), model, "none")
        for model in SEEN
        for row in items
        if model != "api" or row["subject_id"] not in LEFT_OUT
    ]
    answers += ask_without_pages(Majority("A"), MCQ, [Item.from_row(row) for row in items])
    return items, grade(MCQ, items, answers)


def result_of(
    answered: tuple[list[dict[str, Any]], list[dict[str, Any]]],
    exposure: dict[str, Exposure] | None = None,
) -> Result:
    items, answers = answered
    return make_result(score(MCQ, items, answers), {"mcq": items}, {"scores": 0}, exposure)


def test_every_pair_is_tested_and_holm_runs_over_all_of_them(answered: Any) -> None:
    run = Run("r", result_of(answered), tuple(answered[1]))
    found = compare_models(run)
    assert [(c.model_a, c.model_b) for c in found] == [
        ("api", "bad"), ("api", "good"), ("bad", "good"),
    ]  # fmt: skip
    tests = [test for c in found for test in c.tests]
    alone = compare_runs(run, run, model_a="bad", model_b="good").tests[0]
    assert tests[2].p_permutation == alone.p_permutation
    assert tests[2].p_holm >= alone.p_holm, "corrected over three tests, not over one"
    assert tests[2].verdict == "B is higher"
    n_left_out = sum(row["subject_id"] in LEFT_OUT for row in answered[0])
    assert n_left_out > 0
    assert {t.n_items for t in tests[:2]} == {len(answered[0]) - n_left_out}
    assert [t.n_left_out for t in tests] == [n_left_out, n_left_out, 0]


def test_answers_to_other_items_are_not_compared(answered: Any) -> None:
    items, answers = answered
    asked = [row["item_id"] for row in items if row["subject_id"] not in LEFT_OUT]
    gone = {asked[0]: "api", asked[1]: "bad"}
    kept = [a for a in answers if gone.get(a["item_id"]) != a["model"]]
    run = Run("r", result_of(answered), tuple(kept))
    found = compare_runs(run, run, model_a="api", model_b="bad")
    assert found.set_aside == {"mcq": "not the same items were answered"}
    assert found.tests == ()


def judged(model: str, n_lower: int) -> JudgeSummary:
    row = AxisScore(
        axis="sum", value=3.5, low=3.0, high=4.0, spread=0.1, n_items=9, n_subjects=4
    )  # fmt: skip
    return JudgeSummary(
        model=f"{model}{ON}mcq", judge="openai:gpt-5", judge_family="openai", answerer_family="",
        writers=("template@3",), prompt="five-axes-v1", prompt_hash="x", n_repeats=3, n_dropped=0,
        cost_usd=0.1, rows=(row,), planted=(PlantedScore(kind="k", n=10, n_lower=n_lower, n_tied=0),),
        agreement={},
    )  # fmt: skip


def test_a_judged_model_has_a_name_with_the_joining_word() -> None:
    assert (judged("look on me", 10).answerer, judged("m", 10).task) == ("look on me", "mcq")
    other = judged("m", 10).model_copy(update={"model": "alone"})
    assert (other.answerer, other.task) == ("alone", "")


def test_the_leaderboard_marks_a_corpus_that_was_trained_on(answered: Any, tmp_path: Path) -> None:
    items, answers = answered
    rows = score(MCQ, items, answers)
    report = write_report(
        tmp_path, rows, {"mcq": items}, exposure=SEEN, judges=[judged("good", 10), judged("bad", 5)]
    )
    board = report.markdown.partition("Judged, beside")[0]
    marks = re.findall(r"^\| [`*](\w+)[`*] \|.*\| ([^|]*) \|$", board, re.MULTILINE)
    lines = dict(marks)
    assert lines["good"] == "trained on eegmat"
    assert lines["bad"] == "none of these"
    assert lines["api"] == "not known"
    assert lines["majority"].strip() == ""
    assert "`bad` (list of its data: known): hmc (split train)" in report.markdown
    assert "| `good` | openai:gpt-5 | five-axes-v1 | sum | 3.50 | 3.00 to 4.00 | 9 |  |" in (
        report.markdown
    )
    assert "not to be quoted: planted errors" in report.markdown
    read = Result.model_validate_json((tmp_path / "result.json").read_bytes())
    assert read.exposure == SEEN
    assert sum(read.tasks["mcq"].items_per_category.values()) == len(items)
    assert set(read.tasks["mcq"].items_per_category) == {"band", "spindle"}


def test_the_page_shows_exposure_tests_and_judged_columns(answered: Any, tmp_path: Path) -> None:
    result = result_of(answered, SEEN)
    tests = compare_models(Run("r", result, tuple(answered[1])))
    page = write_html_report(
        tmp_path / "b.html", result, comparisons=tests, judges=[judged("good", 10)]
    ).path.read_text()
    for words in (
        "trained on eegmat", "Models beside each other", "items asked of one alone",
        "Judged, beside the scores and in none of them", "B is higher", "corpora seen before",
    ):  # fmt: skip
        assert words in page
    assert "<script" not in page


def test_a_result_of_before_still_reads(answered: Any) -> None:
    text = result_of(answered).model_dump(mode="json")
    del text["exposure"]
    del text["tasks"]["mcq"]["items_per_category"]
    read = Result.model_validate_json(json.dumps(text))
    assert read.seen("mcq", "good") == "not known"
