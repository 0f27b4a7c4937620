from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from prompts.facts.page import PageFacts, facts_of_shard, with_history
from prompts.teachers.registry import make_gateway
from prompts.texts.dialogues import DIALOGUES
from prompts.texts.teacher_texts import TextTask, text_rows

Plant = Callable[..., PageFacts]
Tables = Callable[[int], dict[str, pl.DataFrame]]


def turn(question: str, *answer: tuple[str, str]) -> dict[str, Any]:
    return {"question": question, "answer": [{"text": t, "facts": [k]} for t, k in answer]}


RHYTHM = turn("What is the background?", ("Posterior rhythm of 9.5 Hz at O1 and O2.", "f2"))
SHARP = turn(
    "Where is the sharp wave?",
    ("The sharp wave has its maximum at T7.", "f4"),
    ("An eye blink is seen at Fp1 and Fp2.", "f3"),
)


@pytest.fixture
def task(plant: Plant) -> TextTask:
    return TextTask(DIALOGUES, (plant(), ()), "x", is_gated=False, seed=0)


@pytest.mark.parametrize(
    ("turns", "cause"),
    [
        ([RHYTHM, SHARP], ""),
        ([RHYTHM], "reply does not fit the schema"),
        ([RHYTHM, turn("Why?")], "reply does not fit the schema"),
        ([RHYTHM, SHARP | {"facts": ["f4"]}], "reply does not fit the schema"),
        ([RHYTHM, turn("And?", ("The sharp wave has its maximum at T8.", "f4"))], "contradicted"),
        ([RHYTHM, turn("What caused the seizure?", *[("A sharp wave at T7.", "f4")])], "overclaim"),
        ([RHYTHM, turn("Is this epilepsy?", ("A sharp wave at T7 is seen.", "f4"))], "overclaim"),
        ([RHYTHM, turn("And?", ("This is a normal EEG.", "page"))], "overclaim"),
    ],
    ids=["true", "one turn", "no answer", "keys of a turn", "wrong side", "cause", "diagnosis", "normal"],
)  # fmt: skip
def test_a_dialogue_stands_sentence_by_sentence(
    task: TextTask, turns: list[dict[str, Any]], cause: str
) -> None:
    assert task.check({"turns": turns}) == cause


def test_a_complaint_names_the_sentence_that_is_wrong(task: TextTask) -> None:
    wrong = "The sharp wave has its maximum at T8."
    reply = {"turns": [RHYTHM, turn("And?", ("A sharp wave is seen.", "f4"), (wrong, "f4"))]}
    assert task.check(reply) == "contradicted"
    assert f'"{wrong}" is contradicted' in task.complain(reply)
    assert "9.5 Hz" not in task.complain(reply)


def test_offline_dialogues_have_turns_and_no_trends(shard_tables: Tables) -> None:
    pages = list(facts_of_shard(**shard_tables(64)))
    gateway = make_gateway({"provider": "template"}, None)
    for row in text_rows(DIALOGUES, with_history(pages, 2), gateway, is_gated=True):
        assert row["grounding"] == "supported"
        roles = [m["role"] for m in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert 3 <= len(roles) // 2 <= 5
        assert not any("previous" in m["content"] for m in row["messages"])
        told = " ".join(m["content"] for m in row["messages"] if m["role"] == "assistant")
        assert told == " ".join(s["text"] for s in row["sentences"])
