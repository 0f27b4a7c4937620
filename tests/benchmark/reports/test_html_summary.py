"""The first table of the HTML report: what each line claims, and what it warns of."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest

from benchmark.asking.answers import Item, Reply, answer_row
from benchmark.asking.ask import ask_without_pages
from benchmark.asking.exposure import UNKNOWN, trained
from benchmark.asking.models import Majority
from benchmark.reports.html_summary import primary_rows, summary_part
from benchmark.reports.result import Result, make_result
from benchmark.scores.scoring import score
from benchmark.tasks.task import TASKS

Rows = Callable[[str], list[dict[str, Any]]]
MCQ = TASKS["mcq"]
SEEN = {"reader": UNKNOWN, "parrot": trained(None, {"eegmat": "train"}, "recipe parrot")}


def result_of(items: list[dict[str, Any]]) -> Result:
    """One model that is right where it sees the page, and one that says A whatever it is shown."""
    said: dict[tuple[str, str], Callable[[dict[str, Any]], str]] = {
        ("reader", "none"): lambda row: str(row["answer"]),
        ("reader", "text_only"): lambda row: "A",
        ("parrot", "none"): lambda row: "A",
        ("parrot", "text_only"): lambda row: "A",
    }
    answers = [
        answer_row("choice", Item.from_row(row), Reply(say(row)), model, control)
        for (model, control), say in said.items()
        for row in items
    ]
    answers += ask_without_pages(Majority("A"), MCQ, [Item.from_row(row) for row in items])
    return make_result(score(MCQ, items, answers), {"mcq": items}, {}, SEEN)


@pytest.fixture(scope="module")
def lines(rows_of: Rows) -> dict[str, list[str]]:
    page = summary_part(result_of(rows_of("mcq")))
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    cells = [[html.unescape(c) for c in re.findall(r"<t[dh][^>]*>(.*?)</t", row)] for row in rows]
    return {row[1]: row for row in cells[1:]}


def test_a_model_that_reads_the_page_is_told_from_one_that_does_not(
    lines: dict[str, list[str]],
) -> None:
    assert list(lines) == ["reader", "parrot"], "the best first, baselines in no line"
    _, _, value, chance, baseline, page, _ = lines["reader"]
    assert value.startswith("100.0 % (")
    assert chance.startswith("yes (chance ")
    assert baseline.startswith("yes: +")
    assert "against majority" in baseline
    assert page.startswith("yes: +")
    assert "against text_only" in page
    _, _, _, chance, baseline, page, _ = lines["parrot"]
    assert chance.startswith("not shown")
    assert baseline.startswith("not shown: +0.0 % against majority")
    assert page.startswith("not shown: +0.0 % against text_only")


def test_what_makes_a_number_doubtful_stands_beside_it(lines: dict[str, list[str]]) -> None:
    assert "some pages simulated; 8 subjects" in lines["reader"][-1]
    assert lines["reader"][-1].endswith("training corpora not known")
    assert lines["parrot"][-1].endswith("trained on eegmat")
    assert "no test can show anything" not in lines["reader"][-1]


def test_few_subjects_are_said_to_show_nothing(rows_of: Rows) -> None:
    items = [row for row in rows_of("mcq") if row["subject_id"] < "p03"]
    page = summary_part(result_of(items))
    assert "3 subjects, so no test can show anything (p is never below 0.25)" in page


def test_controls_stand_below_their_model(rows_of: Rows) -> None:
    rows = primary_rows(result_of(rows_of("mcq")), "mcq")
    assert [(r.model, r.control) for r in rows] == [
        ("reader", "none"), ("reader", "text_only"), ("parrot", "none"), ("parrot", "text_only"),
        ("majority", "none"),
    ]  # fmt: skip
