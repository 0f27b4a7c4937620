from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from prompts.facts.page import PageFacts
from prompts.teachers.registry import make_gateway
from prompts.texts.descriptions import DESCRIPTIONS
from prompts.texts.teacher_texts import TextTask, text_rows

Plant = Callable[..., PageFacts]
SAID = [
    {"text": "Posterior rhythm of 9.5 Hz at O1 and O2.", "facts": ["f2"]},
    {"text": "Asymmetry, larger on the right.", "facts": ["f1"]},
    {"text": "Sharp wave, maximum at T7, at 3.4 s.", "facts": ["f4"]},
]


@pytest.fixture
def task(plant: Plant) -> TextTask:
    return TextTask(DESCRIPTIONS, (plant(), ()), "x", is_gated=False, seed=0)


def test_a_description_that_tells_what_matters_stands(task: TextTask) -> None:
    assert task.check({"sentences": SAID}) == ""


def test_a_description_may_not_pass_over_an_epileptiform_finding(task: TextTask) -> None:
    silent: dict[str, Any] = {"sentences": [*SAID[:2], SAID[0]]}
    assert task.check(silent) == "omission"
    assert "sharp wave (f4)" in task.complain(silent)


def test_a_description_is_more_than_two_sentences(task: TextTask) -> None:
    assert task.check({"sentences": SAID[1:]}) == "reply does not fit the schema"


def test_offline_description_tells_every_finding_and_compares_nothing(plant: Plant) -> None:
    facts = plant()
    before = plant(segment_id="seg-b", segment={"start_s": -10.0})
    gateway = make_gateway({"provider": "template"}, None)
    (row,) = text_rows(DESCRIPTIONS, [(facts, (before,))], gateway, is_gated=True)
    assert row["grounding"] == "supported"
    assert {f.finding_id for f in facts.findings} <= set(row["evidence"])
    assert "previous" not in row["text"]
    assert "history_segment_ids" not in row
