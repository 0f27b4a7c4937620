from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from detectors.types import Finding, Measure
from detectors.vocabulary import KINDS
from prompts.facts import PageFacts, facts_of_shard
from prompts.question_types import BUILDERS, CANNOT_TELL, NONE_OF_THESE, drafts
from prompts.questions import LETTERS, Question, question_rows, write_questions
from prompts.words import several

Plant = Callable[..., PageFacts]


@pytest.fixture
def questions(shard_tables: Callable[[int], dict[str, pl.DataFrame]]) -> list[Question]:
    pages = facts_of_shard(**shard_tables(500))
    return [q for page in pages for q in write_questions(page, seed=5, per_page=6)]


def test_letters_are_uniform(questions: list[Question]) -> None:
    for n_options in (2, 4):
        counts = Counter(q.answer for q in questions if len(q.options) == n_options)
        expected = counts.total() / n_options
        chi2 = sum((counts[x] - expected) ** 2 / expected for x in LETTERS[:n_options])
        assert counts.total() > 300
        # 0.999 quantile of chi-squared with 1 and 3 degrees of freedom
        assert chi2 < {2: 10.8, 4: 16.3}[n_options]


def test_a_fifth_or_more_are_absences(questions: list[Question]) -> None:
    assert sum(q.is_absence for q in questions) / len(questions) >= 0.2


def test_every_type_is_asked(questions: list[Question]) -> None:
    assert {q.question_type for q in questions} == set(BUILDERS)


def test_options_are_distinct_and_hold_the_answer_once(questions: list[Question]) -> None:
    for q in questions:
        assert len(set(q.options)) == len(q.options)
        assert q.options[LETTERS.index(q.answer)] == q.answer_text
        assert len(q.options) == (2 if q.question_type == "presence" else 4)
        assert q.evidence


def test_distractors_of_type_questions_were_judged_absent(
    shard_tables: Callable[[int], dict[str, pl.DataFrame]],
) -> None:
    kind_of = {several(k).capitalize(): k for k in KINDS}
    n_seen = 0
    for page in facts_of_shard(**shard_tables(200)):
        for draft in drafts(page, 0):
            if draft.question_type not in {"event_type", "artifact_type"}:
                continue
            for option in draft.wrong:
                if option != NONE_OF_THESE:
                    n_seen += 1
                    assert page.verdict(kind_of[option.capitalize()]) == "absent"
    assert n_seen > 100


def test_what_was_not_judged_is_never_a_distractor_and_can_be_the_answer(plant: Plant) -> None:
    excused = {k: "nothing usable" for k in KINDS}
    facts = plant([], not_judged=excused)
    asked = list(drafts(facts, 0))
    assert {d.question_type for d in asked} <= {"time", "dominant_band", "montage", "channel"}
    assert all(d.right == CANNOT_TELL for d in asked if d.question_type == "time")
    assert any(d.question_type == "time" for d in asked)


def test_yes_no_answers_follow_the_judgement(plant: Plant) -> None:
    facts = plant(not_judged={"spindle": "x"})
    answers = {d.key: d.right for d in drafts(facts, 0) if d.question_type == "presence"}
    assert answers["sharp"] == "Yes"
    assert answers["spike"] == "No"
    assert "spindle" not in answers


@pytest.mark.parametrize(
    ("frequency", "right"),
    [(7.0, "6 to 8 Hz"), (9.0, "8 to 9.5 Hz"), (10.2, "9.5 to 11 Hz"), (9.45, None), (11.1, None)],
)
def test_rhythm_at_a_bin_edge_is_not_asked(
    plant: Plant, frequency: float, right: str | None
) -> None:
    rhythm = Finding(
        "seg-0",
        "posterior_rhythm",
        ("O1", "O2"),
        0,
        10,
        (Measure("frequency_hz", frequency, "Hz"),),
    )
    asked = [
        d.right for d in drafts(plant([rhythm]), 0) if d.question_type == "posterior_frequency"
    ]
    assert asked == ([right] if right else [])


@pytest.mark.parametrize(
    ("n", "right"), [(0, "None"), (1, "One"), (3, "Two or three"), (4, "Four or more")]
)
def test_counts_are_binned(plant: Plant, n: int, right: str) -> None:
    blinks = [Finding("seg-0", "blink", ("Fp1", "Fp2"), 2.0 * i, 2.0 * i + 0.3) for i in range(n)]
    asked = {d.key: d.right for d in drafts(plant(blinks), 0) if d.question_type == "count"}
    assert asked["blink"] == right


def test_counts_hidden_by_masking_are_not_asked(plant: Plant) -> None:
    found = [
        Finding("seg-0", "spike", ("C3",), 2.0, 2.05),
        Finding("seg-0", "spike", ("T8",), 5.0, 5.05, mask_reason="covered by muscle activity"),
    ]
    asked = [d.key for d in drafts(plant(found), 0) if d.question_type == "count"]
    assert "spike" not in asked


def test_channel_distractors_touch_no_finding_of_the_kind(plant: Plant) -> None:
    for draft in drafts(plant(), 0):
        if draft.question_type == "channel" and draft.key == "sharp":
            assert draft.right == "T7"
            assert not {"T7", "F7", "P7"} & set(draft.wrong)
            break
    else:
        pytest.fail("no channel question about the sharp wave")


def test_mirrored_page_swaps_the_side_answer(
    plant: Plant, rows: dict[str, Callable[..., Any]]
) -> None:
    found = rows["planted"]("seg-0")

    def sides(facts: PageFacts) -> dict[str, str]:
        return {d.key: d.right for d in drafts(facts, 0) if d.question_type == "side"}

    here, there = sides(plant(found)), sides(plant([rows["mirrored"](f) for f in found]))
    assert here["sharp"] == "On the left"
    assert there["sharp"] == "On the right"
    assert here["muscle"] == "On the right"
    assert there["muscle"] == "On the left"


def test_void_band_is_no_option(plant: Plant) -> None:
    facts = plant([], spectral={"void_bands": ["clinical:gamma"]})
    (draft,) = (d for d in drafts(facts, 0) if d.question_type == "dominant_band")
    assert draft.right == "Alpha"
    assert sorted(draft.wrong) == ["Beta", "Delta", "Theta"]


def test_questions_are_the_same_again(plant: Plant) -> None:
    assert write_questions(plant(), 3) == write_questions(plant(), 3)
    assert write_questions(plant(), 3) != write_questions(plant(), 4)


def test_rows_have_unique_ids(
    shard_tables: Callable[[int], dict[str, pl.DataFrame]],
) -> None:
    rows = [r for p in facts_of_shard(**shard_tables(100)) for r in question_rows(p)]
    assert len({r["sample_id"] for r in rows}) == len(rows)
    assert Counter(r["segment_id"] for r in rows).most_common(1)[0][1] <= 4
