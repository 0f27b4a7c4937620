"""Facts and slots of free text: a true report scores all, a wrong one less, silence is seen."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from benchmark.asking.answers import Item, Reply, answer_row
from benchmark.asking.mirror import swap_sides
from benchmark.scores.fact_scores import FACT_PARTS, slot_sums
from benchmark.scores.scoring import score
from benchmark.tasks.task import TASKS
from benchmark.text.grounding_pages import planted_facts
from prompts.captions.caption import write_caption
from prompts.facts.page import PageFacts
from prompts.grounding.score import fact_score

CAPTION = TASKS["caption"]


@pytest.fixture(scope="module")
def pages() -> list[PageFacts]:
    return planted_facts(12, 0)


@pytest.fixture(scope="module")
def items(pages: list[PageFacts]) -> list[dict[str, Any]]:
    return [
        {
            "item_id": f"b-{i}", "task": "caption", "task_version": "1", "corpus": "simulated",
            "segment_id": p.segment_id, "subject_id": f"p{i % 4}", "prompt": "?", "options": [],
            "answer": write_caption(p, "label_free", 0).text, "category": "description",
            "evidence": [], "is_simulated": True,
        }
        for i, p in enumerate(pages)
    ]  # fmt: skip


def _values(
    items: list[dict[str, Any]], pages: list[PageFacts] | None, texts: list[str]
) -> dict[str, dict[str, Any]]:
    answers = [
        answer_row("text", Item.from_row(row), Reply(text), "m", "none")
        for row, text in zip(items, texts, strict=True)
    ]
    facts = None if pages is None else {p.segment_id: p for p in pages}
    rows = score(CAPTION, items, answers, facts=facts)
    return {r["metric"]: r for r in rows if r["control"] == "none"}


def test_a_reference_is_true_and_fills_its_slots(
    items: list[dict[str, Any]], pages: list[PageFacts]
) -> None:
    found = _values(items, pages, [row["answer"] for row in items])
    assert found["fact_precision"]["value"] == found["slot_f1"]["value"] == 1.0
    for part in ("fact_hallucination", "fact_contradiction", "fact_overclaim"):
        assert found[part]["value"] == 0.0


def test_the_parts_are_those_of_the_fact_score(
    items: list[dict[str, Any]], pages: list[PageFacts]
) -> None:
    texts = [swap_sides(row["answer"]) for row in items]
    found = _values(items, pages, texts)
    whole = fact_score(zip(texts, pages, strict=True))
    expected = {
        "fact_precision": whole.precision, "fact_recall": whole.recall, "fact_f1": whole.f1,
        "fact_hallucination": whole.hallucination_rate / 100,
        "fact_contradiction": whole.contradiction_rate,
        "fact_severe_omission": whole.severe_omission_rate,
        "fact_overclaim": whole.overclaim_rate,
        "fact_laterality_error": whole.laterality_error_rate, "fact_coverage": whole.coverage,
    }  # fmt: skip
    assert set(expected) == set(FACT_PARTS)
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, nan_ok=True)
    assert found["fact_precision"]["value"] < 1.0
    assert found["slot_f1"]["value"] < 1.0


def test_another_pages_report_is_less_true(
    items: list[dict[str, Any]], pages: list[PageFacts]
) -> None:
    texts = [row["answer"] for row in items]
    own, other = (_values(items, pages, t) for t in (texts, [*texts[5:], *texts[:5]]))
    for metric in ("fact_precision", "fact_f1", "slot_f1"):
        assert other[metric]["value"] < own[metric]["value"]


def test_silence_is_neither_true_nor_false_and_earns_nothing(
    items: list[dict[str, Any]], pages: list[PageFacts]
) -> None:
    found = _values(items, pages, [""] * len(items))
    assert math.isnan(found["fact_precision"]["value"])
    assert found["fact_recall"]["value"] == found["slot_recall"]["value"] == 0.0
    assert [found["fact_f1"][column] for column in ("value", "ci_low", "ci_high")] == [0.0] * 3
    assert found["fact_f1"]["n_unparsed"] == len(items)


@pytest.mark.parametrize(
    ("credit", "checkable", "must", "told", "expected"),
    [(3, 4, 4, 2, 0.6), (0, 5, 4, 0, 0.0), (0, 0, 4, 0, 0.0), (0, 0, 0, 0, math.nan)],
    ids=["some true", "none true", "nothing said", "nothing to say"],
)
def test_f1_is_void_only_where_nothing_had_to_be_said(
    credit: float, checkable: float, must: float, told: float, expected: float
) -> None:
    sums = np.array([[credit, checkable, 0, 0, 0, checkable, 0, 0, must, told, 0, 0]])
    assert FACT_PARTS["fact_f1"](sums)[0] == pytest.approx(expected, nan_ok=True)


def test_what_was_not_computed_is_said(items: list[dict[str, Any]]) -> None:
    found = _values(items, None, [row["answer"] for row in items])
    for metric, cause in (("fact_precision", "facts"), ("bertscore_f1", "encoder")):
        assert math.isnan(found[metric]["value"])
        assert re.match(rf"skipped: .*{cause}", found[metric]["note"])


def test_slots_match_whatever_the_words() -> None:
    true = "Sharp waves are present over the left temporal region."
    assert slot_sums(true, "No spindles.")[0] == 0
    shared, said, wanted = slot_sums(true, true)
    assert shared == said == wanted > 0
