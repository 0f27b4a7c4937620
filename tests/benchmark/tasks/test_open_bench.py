"""The open bench: the same pages in four tasks, only checked texts, rare findings kept, groups scored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from benchmark.asking.answers import Item, Reply, answer_row
from benchmark.asking.controls import KIND_CONTROLS
from benchmark.scores.scoring import score
from benchmark.tasks.items import ItemSet, Sources, build_items
from benchmark.tasks.open_bench import MAX_PAGES, TEXTS
from benchmark.tasks.open_categories import (
    GROUPS,
    SUB_CATEGORIES,
    counts_by_category,
    group_of,
    sub_categories,
)
from benchmark.tasks.task import TASKS
from detectors.vocabulary import KINDS
from prompts.teachers.prompt_files import user_prompts

OPEN = ("open_description", "open_mcq", "open_dialogue", "open_boxes")
N_PAGES, N_SUBJECTS = 30, 6
PRESENT = ("blink", "blink", "muscle", "spike", "spindle", "")


def page(n: int) -> str:
    return f"page-{n:02d}"


def written(n: int, **columns: Any) -> dict[str, Any]:
    return {"segment_id": page(n), "grounding": "supported", "evidence": [f"f{n}"], **columns}


def turns(n: int) -> list[dict[str, str]]:
    said = [(f"Question {k} of {n}?", f"Answer {k} of {n}.") for k in range(3)]
    return [
        {"role": role, "content": words}
        for pair in said
        for role, words in zip(("user", "assistant"), pair, strict=True)
    ]


@pytest.fixture
def sources() -> Sources:
    """Thirty test pages of six people, with all three texts, every sixth with nothing found."""
    segments = [
        {
            "segment_id": page(n), "corpus": "simulated", "subject_id": f"p{n % N_SUBJECTS}",
            "split": "test", "is_simulated": True,
        }
        for n in range(N_PAGES)
    ]  # fmt: skip
    options = [f"Statement {k}." for k in range(4)]
    judged = [
        {"segment_id": page(n), "kind": kind, "verdict": "present" if kind == shown else "absent"}
        for n in range(N_PAGES)
        for shown in [PRESENT[n % len(PRESENT)]]
        for kind in ("blink", "muscle", "spike", "spindle")
    ]
    texts = {
        "descriptions": [written(n, text=f"A rhythm of {n} Hz.") for n in range(N_PAGES)],
        "teacher_questions": [
            written(
                n, question="Which is right?", options=options, answer="ABCD"[n % 4],
                answer_text=options[n % 4], block_id=f"b{n}",
            )
            for n in range(N_PAGES)
        ],
        "dialogues": [written(n, messages=turns(n)) for n in range(N_PAGES)],
        "judgements": judged,
    }  # fmt: skip
    boxes = [
        {
            "annotation_id": f"w{n}", "segment_id": page(n), "waveform": "spike", "channel": "T7",
            "t0_s": 1.0, "t1_s": 1.1, "weight": 1.0, "is_placed": False,
        }
        for n in range(3, N_PAGES, 6)
    ]  # fmt: skip
    return Sources(
        segments=pl.DataFrame(segments),
        waveform_annotations=pl.DataFrame(boxes),
        texts={name: pl.DataFrame(rows) for name, rows in texts.items()},
    )


def pages(found: ItemSet) -> list[str]:
    return sorted(row["segment_id"] for row in found.rows)


@pytest.mark.parametrize("cap", [None, 12])
def test_four_tasks_ask_about_the_same_pages(sources: Sources, cap: int | None) -> None:
    found = {name: build_items(name, sources, cap=cap) for name in OPEN}
    assert {tuple(pages(items)) for items in found.values()} == {tuple(pages(found["open_mcq"]))}
    assert len(pages(found["open_mcq"])) == (cap or N_PAGES)
    shown = [{r["segment_id"]: r["category"] for r in items.rows} for items in found.values()]
    assert all(one == shown[0] for one in shown)


def test_the_table_is_17_in_4_groups_over_known_kinds() -> None:
    assert len(SUB_CATEGORIES) == 17
    assert {group_of(name) for name in SUB_CATEGORIES} == set(GROUPS)
    kinds = [kind for entry in SUB_CATEGORIES.values() for kind in entry.kinds]
    assert sorted(kinds) == sorted(KINDS), "every kind belongs to one sub-category"
    assert all(KINDS[k].family == e.group for e in SUB_CATEGORIES.values() for k in e.kinds)
    assert MAX_PAGES % len(SUB_CATEGORIES) == 0


def test_a_page_with_several_findings_counts_under_the_rarest() -> None:
    present = {f"s{n}": ["blink"] for n in range(5)} | {"s5": ["blink", "spike"], "s6": []}
    found = sub_categories(present)
    assert found["s5"] == "epileptiform/discharge"
    assert found["s0"] == "artifact/eye"
    assert found["s6"] == "background/ongoing"
    counted = counts_by_category(list(found.values()))
    assert counted["artifact"]["artifact/eye"] == 5
    assert counted["sleep"]["sleep/spindle"] == 0


def without(sources: Sources, table: str, n: int) -> Sources:
    """Drop the text of one page, as the grounding check does."""
    frame = sources.texts[table].with_columns(
        grounding=pl.when(pl.col("segment_id") == page(n))
        .then(pl.lit("contradicted"))
        .otherwise(pl.col("grounding"))
    )
    return replace(sources, texts={**sources.texts, table: frame})


@pytest.mark.parametrize("table", TEXTS)
def test_a_page_without_one_checked_text_is_in_no_task(sources: Sources, table: str) -> None:
    less = without(sources, table, 3)
    for name in OPEN:
        assert page(3) not in pages(build_items(name, less))
        assert len(pages(build_items(name, less))) == N_PAGES - 1


def test_a_turn_shows_what_was_said_before_it_and_not_its_answer(sources: Sources) -> None:
    rows = build_items("open_dialogue", sources).rows
    at = {int(row["answer"].split()[1]) for row in rows}
    assert at == {0, 1, 2}
    for row in rows:
        k, n = int(row["answer"].split()[1]), int(row["answer"].split()[3].rstrip("."))
        assert row["prompt"].endswith(f"Question {k} of {n}?")
        assert row["answer"] not in row["prompt"]
        assert row["prompt"].count("Answer:") == k


def test_a_question_with_a_fault_is_set_aside(sources: Sources) -> None:
    frame = sources.texts["teacher_questions"]
    wrong = frame.with_columns(
        answer_text=pl.when(pl.col("segment_id") == page(1))
        .then(pl.lit("Another."))
        .otherwise(pl.col("answer_text"))
    )
    found = build_items(
        "open_mcq", replace(sources, texts={**sources.texts, "teacher_questions": wrong})
    )
    assert found.set_aside == {"letter and answer text disagree": 1}


def test_a_release_without_teacher_texts_has_no_items_and_says_so(sources: Sources) -> None:
    found = build_items("open_mcq", replace(sources, texts={}))
    assert found.rows == ()
    assert found.skipped


def answers(task: str, rows: Sequence[dict[str, Any]], *, right: str) -> list[dict[str, Any]]:
    """Answer rightly on pages of one group, wrongly elsewhere."""
    kind = TASKS[task].kind
    wrong = {"choice": "?", "text": "nothing", "boxes": "[]"}[kind]
    return [
        answer_row(
            kind, Item.from_row(row),
            Reply(row["answer"] if group_of(row["category"]) == right else wrong), "m", "none",
        )
        for row in rows
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("task", "top"), [("open_mcq", 1.0), ("open_description", 100.0), ("open_dialogue", 100.0)]
)
def test_each_group_is_scored_apart(sources: Sources, task: str, top: float) -> None:
    rows = list(build_items(task, sources).rows)
    scored = score(TASKS[task], rows, answers(task, rows, right="artifact"))
    metric = TASKS[task].primary_metric
    of = {r["metric"]: r for r in scored if r["control"] == "none"}
    assert of[f"{metric}[artifact]"]["value"] == pytest.approx(top)
    assert of[f"{metric}[artifact/eye]"]["value"] == pytest.approx(top)
    assert of[f"{metric}[sleep]"]["value"] < 0.1 * top
    counts = counts_by_category([r["category"] for r in rows])
    for group in GROUPS:
        n = sum(counts[group].values())
        assert of[f"{metric}[{group}]"]["n_items"] == n > 0
    keys = [(r["model"], r["control"], r["metric"]) for r in scored]
    assert len(keys) == len(set(keys))
    assert of[metric]["value"] == pytest.approx(top * 15 / 30, abs=0.1 * top), "and never blended"


def test_boxes_are_scored_by_group(sources: Sources) -> None:
    rows = list(build_items("open_boxes", sources).rows)
    scored = score(TASKS["open_boxes"], rows, answers("open_boxes", rows, right="epileptiform"))
    of = {r["metric"]: r["value"] for r in scored}
    assert of["map50"] == of["map50[epileptiform]"] == 1.0
    assert "map50[sleep]" not in of, "no true box there"


def test_log_probabilities_that_are_missing_leave_a_void_row(sources: Sources) -> None:
    rows = list(build_items("open_mcq", sources).rows)
    scored = score(TASKS["open_mcq"], rows, answers("open_mcq", rows, right="sleep"))
    area = next(r for r in scored if r["metric"] == "auroc")
    assert math.isnan(area["value"])
    assert area["note"].startswith("skipped: 30 of 30 answers")


def test_prompts_are_phrasings_the_dataset_trains_on() -> None:
    phrasings, _ = user_prompts()
    assert TASKS["open_description"].prompt in phrasings["descriptions"]
    assert TASKS["narrative"].prompt in phrasings["narratives"]


@pytest.mark.parametrize("task", ["open_description", "open_mcq", "open_dialogue", "open_boxes"])
def test_every_control_of_its_kind_stands_beside_a_score(task: str) -> None:
    assert TASKS[task].controls == KIND_CONTROLS[TASKS[task].kind]
