"""Teachers' texts of any kind, through the real gateway: accepted, mended once, or dropped with a cause."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import polars as pl
import pytest
from scripted_teacher import Scripted, scripted_gateway

from detectors.types import Finding, Measure
from prompts.facts.page import PageFacts, facts_of_shard, with_history
from prompts.teachers.base import Repair, TeacherRefusedError, TeacherRequest
from prompts.teachers.payload import assert_payload_is_clean
from prompts.teachers.registry import make_gateway
from prompts.texts.check import CAUSES, SUPPORTED, TextKind, counted_cause
from prompts.texts.descriptions import DESCRIPTIONS
from prompts.texts.dialogues import DIALOGUES
from prompts.texts.kinds import TEXT_KINDS
from prompts.texts.narratives import NARRATIVES
from prompts.texts.question_plan import Ask
from prompts.texts.teacher_questions import TEACHER_QUESTIONS
from prompts.texts.teacher_texts import (
    UNPLANNED,
    TextTask,
    counted_rows,
    drawn,
    planned,
    requests_of,
    text_rows,
    topic_of,
)

Plant = Callable[..., PageFacts]
Tables = Callable[[int], dict[str, pl.DataFrame]]
Plan = Mapping[str, Ask] | None
TRUE = {"text": "Sharp wave, maximum at T7, at 3.4 s.", "facts": ["f4"]}
FALSE = {"text": "Sharp wave, maximum at T8, at 3.4 s.", "facts": ["f4"]}

each_kind = pytest.mark.parametrize("kind", TEXT_KINDS.values(), ids=list(TEXT_KINDS))


def narrative(*sentences: Mapping[str, Any]) -> dict[str, Any]:
    return {"sentences": list(sentences)}


def rows_of(
    provider: Scripted, pages: list[PageFacts], kind: TextKind = NARRATIVES
) -> list[dict[str, Any]]:
    with scripted_gateway(provider) as gateway:
        paired = [(page, ()) for page in pages]
        return list(text_rows(kind, paired, gateway, is_gated=False))


@each_kind
def test_offline_texts_of_a_shard_all_stand_and_repeat(
    shard_tables: Tables, kind: TextKind
) -> None:
    pages = list(facts_of_shard(**shard_tables(96)))
    gateway = make_gateway({"provider": "template"}, None)
    rows = list(text_rows(kind, with_history(pages, 2), gateway, is_gated=True))
    assert sum(row["grounding"] == SUPPORTED for row in rows) > 0.9 * len(pages)
    assert {row["grounding"] for row in rows} <= {SUPPORTED, f"dropped: {UNPLANNED}"}
    assert rows == list(text_rows(kind, with_history(pages, 2), gateway, is_gated=True))
    assert len({row["sample_id"] for row in rows}) == len(pages)


@each_kind
def test_every_sentence_has_evidence_of_its_page(shard_tables: Tables, kind: TextKind) -> None:
    pages = list(facts_of_shard(**shard_tables(32)))
    gateway = make_gateway({"provider": "template"}, None)
    for facts, row in zip(
        pages, text_rows(kind, [(p, ()) for p in pages], gateway, is_gated=True), strict=True
    ):
        assert row["sentences"] or row["grounding"] == f"dropped: {UNPLANNED}"
        for sentence in row["sentences"]:
            assert sentence["text"]
            assert sentence["evidence"]
            assert all(facts.has_evidence(e) for e in sentence["evidence"])
            assert set(sentence["evidence"]) <= set(row["evidence"])


@each_kind
def test_only_clean_payloads_are_sent(plant: Plant, kind: TextKind) -> None:
    labels = [{"scope": "recording", "name": "diagnosis", "value": "case", "source": "x"}]
    facts = plant(segment={"labels": labels, "stage_context": "REM"})
    (request,) = requests_of(kind, [(facts, ())], is_gated=False)
    assert_payload_is_clean(request.payload)
    for private in ("seg-0", "rec-a", "subj-a", "planted", "case", "REM"):
        assert f'"{private}' not in request.payload_text


def test_a_reply_is_mended_once_and_told_what_was_wrong_in_plain_words(plant: Plant) -> None:
    def script(request: TeacherRequest, repair: Repair | None) -> dict[str, Any]:
        return narrative(TRUE if repair else FALSE)

    provider, facts = Scripted(script), plant()
    (row,) = rows_of(provider, [facts])
    assert row["grounding"] == SUPPORTED
    assert row["text"] == TRUE["text"]
    assert row["n_requests"] == 2
    assert (row["input_tokens"], row["output_tokens"]) == (200, 100)
    (repair,) = provider.repairs
    assert json.loads(repair.previous_text) == narrative(FALSE)
    assert FALSE["text"] in repair.complaint
    assert "contradicted" in repair.complaint
    assert "T8" in repair.complaint
    assert not re.search(r"\b[fjs]-[0-9a-z]{4,}|seg-0", repair.complaint)


def test_a_reply_that_stays_wrong_is_dropped_with_its_cause_and_its_price(plant: Plant) -> None:
    provider = Scripted(lambda request, repair: narrative(TRUE, FALSE))
    (row,) = rows_of(provider, [plant()])
    assert row["text"] == ""
    assert row["sentences"] == row["evidence"] == []
    assert row["grounding"].startswith("contradicted: ")
    assert counted_cause(row["grounding"]) == "contradicted"
    assert row["n_requests"] == 2
    assert (row["input_tokens"], row["output_tokens"]) == (200, 100)
    assert row["cost_usd"] == pytest.approx(2 * (100 * 2.0 + 50 * 8.0) / 1e6)
    assert row["template"]


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (narrative(TRUE), ""),
        (narrative(FALSE), "contradicted"),
        (narrative({"text": "3 sleep spindles are seen.", "facts": ["f4"]}), "contradicted"),
        (narrative({"text": "The page shows 12 Hz.", "facts": ["energy"]}), "unsupported"),
        (narrative({"text": "The EEG is normal.", "facts": ["page"]}), "overclaim"),
        (narrative({"text": "A focal seizure.", "facts": ["f4"]}), "overclaim"),
        (narrative(TRUE | {"facts": ["f4", "f99"]}), "unknown fact key"),
        (narrative(TRUE | {"facts": []}), "reply does not fit the schema"),
        (narrative(TRUE | {"letter": "A"}), "reply does not fit the schema"),
        ({"prose": "A page."}, "reply does not fit the schema"),
        ({"sentences": "A page."}, "reply does not fit the schema"),
        ({"sentences": [{"text": 3, "facts": ["f4"]}]}, "reply does not fit the schema"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_may_not_stand_has_a_closed_cause(
    plant: Plant, reply: dict[str, Any], cause: str
) -> None:
    task = TextTask(NARRATIVES, (plant(), ()), "x", is_gated=False, seed=0)
    assert task.check(reply) == cause
    assert cause in ("", *CAUSES)
    assert bool(task.complain(reply)) == bool(cause)


@pytest.mark.parametrize(
    ("text", "cause", "n_requests"),
    [("no json", "malformed reply", 2), ("", "empty reply", 2)],
    ids=["malformed", "empty"],
)
def test_a_broken_reply_drops_one_row_and_the_others_go_on(
    plant: Plant, text: str, cause: str, n_requests: int
) -> None:
    broken = plant([], segment_id="seg-1")

    def script(request: TeacherRequest, repair: Repair | None) -> dict[str, Any] | str:
        return narrative(TRUE) if request.payload["findings"] else text

    first, second = rows_of(Scripted(script), [broken, plant(segment_id="seg-2")])
    assert first["grounding"] == f"dropped: {cause}"
    assert first["n_requests"] == n_requests
    assert second["grounding"] == SUPPORTED


def test_rows_of_a_gated_corpus_never_reach_a_hosted_teacher(plant: Plant) -> None:
    provider = Scripted(lambda request, repair: narrative(TRUE))
    provider.is_inside = False
    with scripted_gateway(provider) as gateway, pytest.raises(TeacherRefusedError, match="gated"):
        list(text_rows(NARRATIVES, [(plant(), ())], gateway, is_gated=True))
    assert provider.requests == []


@pytest.mark.parametrize(
    ("kinds", "topic"),
    [
        ((), "normal"),
        (("posterior_rhythm",), "normal"),
        (("blink", "posterior_rhythm"), "artifact"),
        (("blink", "spindle"), "sleep"),
        (("blink", "spindle", "sharp"), "epileptiform"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_page_is_shown_the_example_like_it(
    plant: Plant, kinds: tuple[str, ...], topic: str
) -> None:
    found = [
        Finding("seg-0", kind, ("Fp1", "Fp2"), 1.0, 1.4, (Measure("amplitude_uv_p2p", 90.0, "uV"),))
        for kind in kinds
    ]
    task = TextTask(DESCRIPTIONS, (plant(found), ()), "x", is_gated=False, seed=0)
    assert topic_of(task.request.payload) == topic


def test_a_narrative_compares_and_the_other_kinds_do_not(plant: Plant) -> None:
    before = plant(segment_id="seg-0")
    page = plant(segment_id="seg-1", segment={"start_s": 10.0})
    for kind in TEXT_KINDS.values():
        task = TextTask(kind, (page, (before,)), "x", is_gated=False, seed=0)
        is_compared = kind is NARRATIVES
        assert ("trend" in task.request.payload_text) == is_compared
        assert task.request.payload["page"]["n_previous"] == int(is_compared)


@pytest.mark.parametrize("n_wanted", [0, 1, 7, 20, 24, 99])
def test_as_many_texts_as_wanted_stand_and_every_drop_has_its_row(
    shard_tables: Tables, n_wanted: int
) -> None:
    pages = {p.segment_id: p for p in facts_of_shard(**shard_tables(32))}
    n_good = sum(any(f.kind == "sharp" for f in p.findings) for p in pages.values())

    def script(request: TeacherRequest, repair: Repair | None) -> dict[str, Any]:
        keys = [f["key"] for f in request.payload["findings"] if f["kind"] == "sharp"]
        return narrative(TRUE | {"facts": keys or ["page"]})

    def ask(chosen: frozenset[str]) -> list[dict[str, Any]]:
        return rows_of(Scripted(script), [pages[s] for s in sorted(chosen)])

    order = drawn(NARRATIVES, pages, 5)
    assert sorted(order) == sorted(pages)
    rows = list(counted_rows(ask, order, n_wanted))
    accepted = [r for r in rows if r["grounding"] == SUPPORTED]
    assert len(accepted) == min(n_wanted, n_good)
    assert len({r["segment_id"] for r in rows}) == len(rows)
    assert all(counted_cause(r["grounding"]) in (SUPPORTED, *CAUSES) for r in rows)
    if n_wanted <= n_good:
        assert len(rows) <= len(pages)
        assert {r["segment_id"] for r in rows} == set(order[: len(rows)])


def test_three_kinds_come_out_one_to_one(shard_tables: Tables) -> None:
    pages = list(facts_of_shard(**shard_tables(40)))
    gateway = make_gateway({"provider": "template"}, None)
    n_of = Counter[str]()
    shown = []
    for kind in (DESCRIPTIONS, TEACHER_QUESTIONS, DIALOGUES):
        plan = planned(kind, pages, gateway)

        def ask(
            chosen: frozenset[str], kind: TextKind = kind, plan: Plan = plan
        ) -> list[dict[str, Any]]:
            mine = [(p, ()) for p in pages if p.segment_id in chosen]
            return list(text_rows(kind, mine, gateway, is_gated=False, plan=plan))

        order = drawn(kind, [p.segment_id for p in pages], 0, plan)
        rows = list(counted_rows(ask, order, 12, in_blocks=plan is not None))
        n_of[kind.name] = sum(r["grounding"] == SUPPORTED for r in rows)
        shown.append(frozenset(r["segment_id"] for r in rows))
    assert set(n_of.values()) == {12}
    assert len(set(shown)) == 3


def test_memory_holds_what_is_on_its_way_and_no_more(plant: Plant) -> None:
    n_made = 0

    def pages() -> Any:
        nonlocal n_made
        for i in range(400):
            n_made += 1
            yield plant(segment_id=f"seg-{i}"), ()

    provider = Scripted(lambda request, repair: narrative(TRUE))
    with (
        scripted_gateway(provider, max_in_flight=2) as gateway,
        closing(text_rows(NARRATIVES, pages(), gateway, is_gated=False)) as rows,
    ):
        for _ in range(100):
            next(rows)
        assert n_made < 200
