from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
import pytest
from scripted_teacher import Scripted, scripted_gateway

from benchmark.text.text_only import text_only
from prompts.facts.page import PageFacts, facts_of_shard
from prompts.grounding.check import check_grounding
from prompts.teachers.base import Repair, TeacherRequest
from prompts.teachers.gateway import Gateway
from prompts.teachers.registry import make_gateway
from prompts.texts.teacher_questions import TEACHER_QUESTIONS
from prompts.texts.teacher_texts import UNPLANNED, TextTask, text_rows

Plant = Callable[..., PageFacts]
Tables = Callable[[int], dict[str, pl.DataFrame]]


def written(pages: list[PageFacts], gateway: Gateway) -> list[dict[str, Any]]:
    """Return the rows that were asked about."""
    rows = text_rows(TEACHER_QUESTIONS, [(p, ()) for p in pages], gateway, is_gated=True)
    return [row for row in rows if row["n_requests"]]


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
    rows = written(pages, gateway)
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
    by_id = {p.segment_id: p for p in pages}
    for row in written(pages, gateway):
        facts = by_id[row["segment_id"]]
        for text, evidence in zip(row["options"], row["option_evidence"], strict=True):
            assert evidence
            assert all(facts.has_evidence(e) for e in evidence)
            report = check_grounding(text, facts)
            assert report.is_supported == (text == row["answer_text"]), (text, report.cause)
        assert set(row["evidence"]) >= {e for ids in row["option_evidence"] for e in ids}


def test_each_offline_option_is_right_on_one_page_of_its_block(shard_tables: Tables) -> None:
    pages = list(facts_of_shard(**shard_tables(160)))
    gateway = make_gateway({"provider": "template"}, None)
    rows = written(pages, gateway)
    assert len(rows) > 0.8 * len(pages)
    blocks: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        blocks.setdefault(row["block_id"], []).append(row)
    for block in blocks.values():
        assert len({row["question"] for row in block}) == 1
        assert len({row["segment_id"] for row in block}) == 4
        assert sorted(row["answer_text"] for row in block) == sorted(block[0]["options"])
        assert len({tuple(sorted(row["options"])) for row in block}) == 1
    subjects = {p.segment_id: p.subject_id for p in pages}
    found = text_only([row | {"subject_id": subjects[row["segment_id"]]} for row in rows])
    assert found.is_chance
    assert found.n_items == len(rows)


def test_a_lone_page_is_asked_nothing_offline_and_a_model_is_not_planned_for(plant: Plant) -> None:
    (row,) = text_rows(
        TEACHER_QUESTIONS, [(plant(), ())], make_gateway({"provider": "template"}, None),
        is_gated=True,
    )  # fmt: skip
    assert row["grounding"] == f"dropped: {UNPLANNED}"
    provider = Scripted(lambda request, repair: REPLY)
    with scripted_gateway(provider) as gateway:
        (row,) = text_rows(TEACHER_QUESTIONS, [(plant(), ())], gateway, is_gated=True)
    assert row["grounding"] == "supported"
    assert row["block_id"] == row["sample_id"]
    assert "ask" not in provider.requests[0].payload


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
