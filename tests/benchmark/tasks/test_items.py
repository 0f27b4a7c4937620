"""Items come from test subjects only, evenly and repeatably; malformed ones are counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.asking.answers import parse_boxes
from benchmark.errors import BenchmarkError
from benchmark.tasks.items import Sources, build_items
from dagster_project.tables.registry import table
from dagster_project.tables.store import to_arrow

OF_RELEASE = ("mcq", "caption", "waveform_boxes")


@pytest.mark.parametrize("task", OF_RELEASE)
def test_items_fit_the_table_and_their_keys_are_unique(sources: Sources, task: str) -> None:
    rows = build_items(task, sources).rows
    assert to_arrow(table("benchmark_items"), rows).num_rows == len(rows) > 0
    assert len({row["item_id"] for row in rows}) == len(rows)


@pytest.mark.parametrize("task", OF_RELEASE)
def test_only_test_subjects_are_asked_about(sources: Sources, task: str) -> None:
    held_out = set(sources.segments.filter(pl.col("split") == "test")["subject_id"])
    assert {row["subject_id"] for row in build_items(task, sources).rows} <= held_out


@pytest.mark.parametrize("task", OF_RELEASE)
def test_the_order_of_source_rows_changes_nothing(sources: Sources, task: str) -> None:
    reversed_rows = Sources(
        *(getattr(sources, name).reverse() for name in
          ("segments", "questions", "captions", "waveform_annotations"))
    )  # fmt: skip
    assert build_items(task, reversed_rows) == build_items(task, sources)


@settings(max_examples=20, deadline=None)
@given(small=st.integers(1, 40), more=st.integers(0, 40), seed=st.integers(0, 5))
def test_a_smaller_cap_keeps_a_subset(sources: Sources, small: int, more: int, seed: int) -> None:
    few = {r["item_id"] for r in build_items("mcq", sources, seed=seed, cap=small).rows}
    many = {r["item_id"] for r in build_items("mcq", sources, seed=seed, cap=small + more).rows}
    assert few <= many
    assert len(few) == small


def test_a_cap_is_shared_evenly_by_subjects_and_by_question_types(sources: Sources) -> None:
    rows = build_items("mcq", sources, cap=32).rows
    per_subject = Counter(row["subject_id"] for row in rows)
    assert set(per_subject.values()) == {4}
    assert set(Counter(row["category"] for row in rows).values()) == {16}


def test_another_seed_draws_other_items(sources: Sources) -> None:
    draws = {build_items("mcq", sources, seed=seed, cap=16).sha256 for seed in range(3)}
    assert len(draws) == 3


def test_the_prompt_shows_every_option_and_never_the_answer(sources: Sources) -> None:
    for row in build_items("mcq", sources).rows:
        shown = row["prompt"].split("\n")
        assert shown[1:-1] == [
            f"{letter}. {text}" for letter, text in zip("ABCD", row["options"], strict=False)
        ]
        assert shown[-1] == "Answer with the letter of the right option."


def test_captions_are_the_label_free_ones(sources: Sources) -> None:
    label_free = set(sources.captions.filter(pl.col("variant") == "label_free")["text"])
    assert {row["answer"] for row in build_items("caption", sources).rows} <= label_free


def test_simulated_pages_without_boxes_are_items_and_unannotated_recorded_ones_are_not(
    sources: Sources,
) -> None:
    rows = build_items("waveform_boxes", sources).rows
    assert {row["is_simulated"] for row in rows} == {True}
    boxes = [parse_boxes(row["answer"], row["segment_id"]) for row in rows]
    assert Counter(len(b) if b is not None else -1 for b in boxes) == {4: 16, 0: 4}


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"options": ["one"]}, "fewer than two or more than eight options"),
        ({"options": ["x", "x", "y", "z"]}, "two options read the same"),
        ({"answer": "H"}, "answer is no letter of the options"),
        ({"answer": "AB"}, "answer is no letter of the options"),
        ({"answer": ""}, "answer is no letter of the options"),
        ({"answer_text": "gamma"}, "letter and answer text disagree"),
    ],
    ids=["one option", "same options", "letter beyond", "two letters", "no letter", "other text"],
)
def test_a_malformed_question_is_set_aside_with_its_cause(
    sources: Sources, change: dict[str, Any], cause: str
) -> None:
    rows = sources.questions.to_dicts()
    broken = replace(sources, questions=pl.DataFrame([rows[0] | change, *rows[1:]]))
    built = build_items("mcq", broken, cap=1000)
    assert dict(built.set_aside) == {cause: 1}
    assert len(built.rows) == build_items("mcq", sources, cap=1000).n_candidates - 1


def test_a_subject_in_two_splits_stops_the_build(sources: Sources) -> None:
    leaked = sources.segments.with_columns(
        split=pl.when(pl.col("segment_id") == "p00-s0").then(pl.lit("train")).otherwise("split")
    )
    with pytest.raises(BenchmarkError, match="'p00' in"):
        build_items("mcq", replace(sources, segments=leaked))


@pytest.mark.parametrize(
    ("task", "cap", "said"),
    [("mcqq", None, "did you mean 'mcq'"), ("mcq", 0, "at least 1")],
    ids=["unknown task", "cap of none"],
)
def test_a_wrong_argument_is_told(sources: Sources, task: str, cap: int | None, said: str) -> None:
    with pytest.raises(BenchmarkError, match=said):
        build_items(task, sources, cap=cap)


def test_no_test_rows_give_no_items(sources: Sources) -> None:
    train = sources.segments.filter(pl.col("split") == "train")
    built = build_items("mcq", replace(sources, segments=train))
    assert built.rows == ()
    assert "no segments are of a test subject" in built.skipped


@pytest.mark.parametrize("doubt", [{"weight": 0.25}, {"is_placed": True}], ids=["vote", "placed"])
def test_a_doubtful_box_is_no_reference(sources: Sources, doubt: dict[str, object]) -> None:
    doubtful = sources.waveform_annotations.with_columns(
        **{name: pl.lit(value) for name, value in doubt.items()}
    )

    rows = build_items("waveform_boxes", replace(sources, waveform_annotations=doubtful)).rows

    assert "annotated" not in {row["category"] for row in rows}
