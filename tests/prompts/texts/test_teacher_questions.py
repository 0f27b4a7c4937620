from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
import pytest
from scripted_teacher import Scripted, scripted_gateway

from prompts.facts.page import PageFacts, facts_of_shard
from prompts.grounding.check import check_grounding
from prompts.teachers.base import Repair, TeacherRequest
from prompts.teachers.registry import make_gateway
from prompts.texts.teacher_questions import TEACHER_QUESTIONS
from prompts.texts.teacher_texts import TextTask, text_rows

Plant = Callable[..., PageFacts]
Tables = Callable[[int], dict[str, pl.DataFrame]]


def option(text: str, *facts: str) -> dict[str, Any]:
    return {"text": text, "facts": list(facts)}


REPLY: dict[str, Any] = {
    "question": "Where do the asymmetry and the sharp wave lie?",
    "right": option("Asymmetry, larger on the right; sharp wave, maximum at T7.", "f1", "f4"),
    "wrong": [
        option("Asymmetry, larger on the left; sharp wave, maximum at T7.", "f1"),
        option("Asymmetry, larger on the right; sharp wave, maximum at T8.", "f4"),
        option("Asymmetry, larger on the right; no sharp waves seen.", "f4"),
    ],
    "explanation": [option("The sharp wave has its maximum at T7.", "f4")],
}


@pytest.fixture
def task(plant: Plant) -> TextTask:
    return TextTask(TEACHER_QUESTIONS, (plant(), ()), "x", is_gated=False, seed=0)


def changed(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(REPLY) | changes


def with_wrong(text: str, *facts: str) -> dict[str, Any]:
    return changed(wrong=[*REPLY["wrong"][:2], option(text, *facts)])


LONG = (
    "Asymmetry, larger on the right by 35 %; sharp wave, maximum at T7, at 3.4 s; eye blink at Fp1."
)


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (REPLY, ""),
        (changed(right=option("Asymmetry, larger on the left; a sharp wave at T7.", "f1", "f4")),
         "contradicted"),
        (with_wrong("Sharp wave, maximum at T7; asymmetry, larger on the right.", "f1", "f4"),
         "option not proved wrong"),
        (with_wrong("The signal is beautiful; so is the day on which it was taken.", "f1"),
         "option not proved wrong"),
        (with_wrong("Asymmetry, larger on the left; a focal seizure at T7.", "f1"), "overclaim"),
        (with_wrong("Asymmetry, larger on the right; no sharp waves seen.", "f9"), "unknown fact key"),
        (with_wrong(REPLY["right"]["text"].upper(), "f4"), "options give the answer away"),
        (changed(right=option(LONG, "f1", "f3", "f4")), "options give the answer away"),
        (changed(explanation=[option("Option B is right: the maximum is at T7.", "f4")]),
         "options give the answer away"),
        (changed(explanation=[option("The sharp wave has its maximum at T8.", "f4")]), "contradicted"),
        (changed(question="Where does the seizure start?"), "overclaim"),
        (changed(wrong=REPLY["wrong"][:2]), "reply does not fit the schema"),
        (changed(answer="B"), "reply does not fit the schema"),
    ],
    ids=[
        "true", "right one is wrong", "wrong one is right", "beyond the facts", "overclaim in an option",
        "unknown key", "repeated", "telltale length", "named by letter", "false explanation",
        "overclaim in the question", "two wrong ones", "a letter of its own",
    ],
)  # fmt: skip
def test_a_question_is_proved_from_both_sides(
    task: TextTask, reply: dict[str, Any], cause: str
) -> None:
    assert task.check(reply) == cause


def test_letters_are_dealt_by_us_and_evenly(shard_tables: Tables) -> None:
    pages = list(facts_of_shard(**shard_tables(256)))
    gateway = make_gateway({"provider": "template"}, None)
    rows = list(text_rows(TEACHER_QUESTIONS, [(p, ()) for p in pages], gateway, is_gated=True))
    letters = Counter(row["answer"] for row in rows)
    assert set(letters) == set("ABCD")
    assert max(letters.values()) < 2 * min(letters.values())
    for row in rows:
        assert row["options"]["ABCD".index(row["answer"])] == row["answer_text"]
        assert len(row["options"]) == len(row["option_evidence"]) == 4


def test_the_place_of_an_option_in_the_reply_says_nothing(plant: Plant) -> None:
    def script(request: TeacherRequest, repair: Repair | None) -> Mapping[str, Any]:
        return REPLY

    with scripted_gateway(Scripted(script)) as gateway:
        pages = [(plant(segment_id=f"seg-{i}"), ()) for i in range(60)]
        rows = list(text_rows(TEACHER_QUESTIONS, pages, gateway, is_gated=False))
    assert len({tuple(row["options"]) for row in rows}) > 12
    assert {row["answer_text"] for row in rows} == {REPLY["right"]["text"]}
    assert {row["answer"] for row in rows} == set("ABCD")


def test_every_option_carries_what_proves_it(shard_tables: Tables) -> None:
    pages = list(facts_of_shard(**shard_tables(48)))
    gateway = make_gateway({"provider": "template"}, None)
    rows = text_rows(TEACHER_QUESTIONS, [(p, ()) for p in pages], gateway, is_gated=True)
    for facts, row in zip(pages, rows, strict=True):
        for text, evidence in zip(row["options"], row["option_evidence"], strict=True):
            assert evidence
            assert all(facts.has_evidence(e) for e in evidence)
            report = check_grounding(text, facts)
            assert report.is_supported == (text == row["answer_text"]), (text, report.cause)
        assert set(row["evidence"]) >= {e for ids in row["option_evidence"] for e in ids}


def test_offline_options_cross_two_statements_with_their_opposites(plant: Plant) -> None:
    gateway = make_gateway({"provider": "template"}, None)
    (row,) = text_rows(TEACHER_QUESTIONS, [(plant(), ())], gateway, is_gated=True)
    parts = Counter(
        part for text in row["options"] for part in text.lower().rstrip(".").split("; ")
    )
    assert len(parts) == 4
    assert set(parts.values()) == {2}


def test_a_page_without_facts_to_join_is_not_asked_about(plant: Plant) -> None:
    bare = plant(
        [],
        segment_id="seg-bare",
        not_judged={},
        spectral={"void_bands": [f"{s}:{b}" for s in ("clinical", "narrator") for b in
                                 ("delta", "theta", "alpha", "beta", "gamma", "high_gamma")]},
        spatial={"is_judged": False, "reason": "x"},
    )  # fmt: skip
    object.__setattr__(bare, "judgements", {})
    provider = Scripted(lambda request, repair: REPLY)
    with scripted_gateway(provider) as gateway:
        pages = [(bare, ()), (plant(), ()), (bare, ())]
        first, second, third = text_rows(TEACHER_QUESTIONS, pages, gateway, is_gated=False)
    assert first["grounding"] == third["grounding"] == "dropped: too few facts for a question"
    assert first["n_requests"] == 0
    assert second["grounding"] == "supported"
    assert len(provider.requests) == 1
