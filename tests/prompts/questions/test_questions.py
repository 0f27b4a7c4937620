from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import polars as pl
import pytest

from detectors.types import CANONICAL19, Finding, Measure
from detectors.vocabulary import KINDS, region_of, side_of_channels
from prompts.facts.page import PageFacts, facts_of_shard
from prompts.questions.items import LETTERS, Question, question_rows, write_questions
from prompts.questions.types import BUILDERS, CANNOT_TELL, NONE_OF_THESE, drafts
from prompts.words import several

Plant = Callable[..., PageFacts]


STAGES = ("W", "N1", "N2", "N3", "REM", None)


def varied_page(plant: Plant, n: int) -> PageFacts:
    """One of many unlike pages: seeded findings, sides, counts, times and stages."""
    rng = random.Random(n)
    found = []
    if rng.random() < 0.7:
        hz = Measure("frequency_hz", rng.choice((7.0, 8.8, 10.2, 12.5)), "Hz")
        found.append(Finding("", "posterior_rhythm", ("O1", "O2"), 0.0, 10.0, (hz,)))
    for kind in ("spike", "sharp", "spindle", "kcomplex", "blink", "muscle", "electrode_pop"):
        if rng.random() < 0.6:
            continue
        channel = rng.choice(("F7", "T8", "F4", "Cz", "P3", "O2"))
        side, region = side_of_channels((channel,)), region_of(channel)
        found += [
            Finding("", kind, (channel,), start, start + 0.3, side=side, region=region)
            for start in rng.sample(range(1, 9), rng.choice((1, 1, 2, 4)))
        ]
    segment_id = f"seg-{n:05d}"
    unjudged = {k: "no usable second" for k in ("spindle", "sharp") if rng.random() < 0.2}
    found = [replace(f, segment_id=segment_id) for f in found if f.kind not in unjudged]
    energy, low = rng.sample(("O1", "O2", "P3", "P4", "C3", "C4"), 2)
    tier = {energy: "high", low: "medium"}
    return plant(
        found,
        segment_id=segment_id,
        not_judged=unjudged,
        segment={
            "stage_context": rng.choice(STAGES),
            "mask": [rng.random() < 0.9 or c != "Fz" for c in CANONICAL19],
        },
        spectral={"dominant_band": rng.choice(("delta", "theta", "alpha", "beta"))},
        spatial={
            "highest_channel": energy,
            "tier": [tier.get(c, "low") for c in CANONICAL19],
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def varied(plant: Plant) -> list[PageFacts]:
    return [varied_page(plant, n) for n in range(500)]


@pytest.fixture(scope="module")
def questions(varied: list[PageFacts]) -> list[Question]:
    return write_questions(varied, seed=5, per_page=6)


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
        assert len(q.options) == 2 if q.question_type == "presence" else 2 <= len(q.options) <= 4
        assert q.evidence


def test_distractors_of_type_questions_were_judged_absent(
    shard_tables: Callable[[int], dict[str, pl.DataFrame]],
) -> None:
    kind_of = {several(k).capitalize(): k for k in KINDS}
    n_seen = 0
    for page in facts_of_shard(**shard_tables(200)):
        for draft in drafts(page):
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
    asked = list(drafts(facts))
    assert {d.question_type for d in asked} <= {"time", "dominant_band", "montage", "channel"}
    assert all(d.right == CANNOT_TELL for d in asked if d.question_type == "time")
    assert any(d.question_type == "time" for d in asked)


def test_yes_no_answers_follow_the_judgement(plant: Plant) -> None:
    facts = plant(not_judged={"spindle": "x"})
    answers = {d.key: d.right for d in drafts(facts) if d.question_type == "presence"}
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
    asked = [d.right for d in drafts(plant([rhythm])) if d.question_type == "posterior_frequency"]
    assert asked == ([right] if right else [])


@pytest.mark.parametrize(
    ("n", "right"), [(0, "None"), (1, "One"), (3, "Two or three"), (4, "Four or more")]
)
def test_counts_are_binned(plant: Plant, n: int, right: str) -> None:
    blinks = [Finding("seg-0", "blink", ("Fp1", "Fp2"), 2.0 * i, 2.0 * i + 0.3) for i in range(n)]
    asked = {d.key: d.right for d in drafts(plant(blinks)) if d.question_type == "count"}
    assert asked["blink"] == right


def test_counts_hidden_by_masking_are_not_asked(plant: Plant) -> None:
    found = [
        Finding("seg-0", "spike", ("C3",), 2.0, 2.05),
        Finding("seg-0", "spike", ("T8",), 5.0, 5.05, mask_reason="covered by muscle activity"),
    ]
    asked = [d.key for d in drafts(plant(found)) if d.question_type == "count"]
    assert "spike" not in asked


def test_channel_distractors_touch_no_finding_of_the_kind(plant: Plant) -> None:
    for draft in drafts(plant()):
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
        return {d.key: d.right for d in drafts(facts) if d.question_type == "side"}

    here, there = sides(plant(found)), sides(plant([rows["mirrored"](f) for f in found]))
    assert here["sharp"] == "On the left"
    assert there["sharp"] == "On the right"
    assert here["muscle"] == "On the right"
    assert there["muscle"] == "On the left"


def test_void_band_is_no_option(plant: Plant) -> None:
    facts = plant([], spectral={"void_bands": ["clinical:gamma"]})
    (draft,) = (d for d in drafts(facts) if d.question_type == "dominant_band")
    assert draft.right == "Alpha"
    assert sorted(draft.wrong) == ["Beta", "Delta", "Theta"]


def test_questions_are_the_same_again(
    shard_tables: Callable[[int], dict[str, pl.DataFrame]],
) -> None:
    pages = list(facts_of_shard(**shard_tables(60)))
    assert write_questions(pages, 3) == write_questions(pages, 3)
    assert write_questions(pages, 3) != write_questions(pages, 4)


def test_a_page_alone_is_asked_nothing_its_wording_would_tell(plant: Plant) -> None:
    assert write_questions([plant()]) == []


def test_each_option_of_a_block_is_right_on_one_of_its_pages(questions: list[Question]) -> None:
    blocks: dict[str, list[Question]] = {}
    for q in questions:
        blocks.setdefault(q.block_id, []).append(q)
    for block in blocks.values():
        assert len({q.question for q in block}) == 1
        assert len({q.segment_id for q in block}) == len(block)
        assert {frozenset(q.options) for q in block} == {frozenset(block[0].options)}
        assert sorted(q.answer_text for q in block) == sorted(block[0].options)
    assert max(map(len, blocks.values())) == 4


def test_most_of_what_pages_allow_is_asked(questions: list[Question]) -> None:
    n_pages = len({q.segment_id for q in questions})
    assert len(questions) >= 3 * n_pages


def test_blocks_stay_in_their_split(
    shard_tables: Callable[[int], dict[str, pl.DataFrame]],
) -> None:
    pages = [
        replace(page, split=("train", "test")[i % 2])
        for i, page in enumerate(facts_of_shard(**shard_tables(120)))
    ]
    split_of = {page.segment_id: page.split for page in pages}
    splits: dict[str, set[str]] = {}
    for q in write_questions(pages):
        splits.setdefault(q.block_id, set()).add(split_of[q.segment_id])
    assert splits
    assert all(len(found) == 1 for found in splits.values())


def test_wording_and_options_tell_nothing(questions: list[Question]) -> None:
    """The best reader of text alone, who knows every answer's frequency, is at chance."""
    seen: dict[tuple[str, frozenset[str]], Counter[str]] = {}
    for q in questions:
        seen.setdefault((q.question, frozenset(q.options)), Counter())[q.answer_text] += 1
    best = sum(max(answers.values()) for answers in seen.values())
    assert best == sum(Fraction(1, len(q.options)) for q in questions)


def test_a_copied_stage_is_marked_label_aware(plant: Plant) -> None:
    facts = plant([], segment={"stage_context": "N2"})
    (draft,) = (d for d in drafts(facts) if d.question_type == "sleep_stage")
    assert (draft.right, draft.is_label_aware) == ("N2", True)
    assert not any(d.is_label_aware for d in drafts(facts) if d is not draft and d != draft)


def test_a_region_that_is_touched_is_no_distractor(plant: Plant) -> None:
    found = Finding("seg-0", "spike", ("F7", "T7"), 2.0, 2.05, region="mid-temporal")
    (draft,) = (d for d in drafts(plant([found])) if d.question_type == "region")
    assert draft.right == "Mid-temporal region"
    assert not {
        "Inferior frontal region",
        region_of("F7").capitalize() + " region",
        "Mid-temporal region",
    } & set(draft.wrong)
    assert "Occipital region" in draft.wrong


def test_rows_have_unique_ids(
    shard_tables: Callable[[int], dict[str, pl.DataFrame]],
) -> None:
    rows = list(question_rows(facts_of_shard(**shard_tables(100))))
    assert len({r["sample_id"] for r in rows}) == len(rows)
    assert Counter(r["segment_id"] for r in rows).most_common(1)[0][1] <= 4
