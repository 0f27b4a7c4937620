from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.text.grounding_changes import flips, paraphrase
from benchmark.text.grounding_pages import planted_facts
from detectors.types import Finding, Measure
from prompts.captions.caption import caption_rows, write_caption
from prompts.captions.event_words import Sentence
from prompts.facts.page import PageFacts
from prompts.grounding.check import check_grounding, faults
from prompts.grounding.score import fact_score, must_mention
from prompts.truth.limits import LIMITS, WEIGHTS
from prompts.truth.phrases import read_skeleton, skeleton

Plant = Callable[..., PageFacts]

TRUE_TEXT = (
    "A posterior rhythm of 9.5 Hz and 40 µV peak-to-peak is seen at O1 and O2. "
    "Asymmetry, larger on the right by 35 %. Sharp wave, 110 ms, 85 µV, maximum at T7, at 3.4 s. "
    "No spikes seen. 1 eye blink at Fp1 and Fp2. Alpha has the highest power. "
    "The highest energy lies at O1. High energy: O1 and O2; medium energy: P3 and P4."
)


def test_true_text_is_supported(plant: Plant) -> None:
    report = check_grounding(TRUE_TEXT, plant())
    assert report.is_supported, report.cause
    assert report.cause == "supported"
    assert len(report.sentences) == 8


@pytest.mark.parametrize(
    ("true", "false", "verdict"),
    [
        ("larger on the right", "larger on the left", "contradicted"),
        ("maximum at T7", "maximum at T8", "contradicted"),
        ("9.5 Hz", "10.5 Hz", "contradicted"),
        ("40 µV", "60 µV", "contradicted"),
        ("110 ms", "150 ms", "contradicted"),
        ("at 3.4 s", "at 4.4 s", "contradicted"),
        ("35 %", "60 %", "contradicted"),
        ("No spikes seen", "A spike is seen", "contradicted"),
        ("1 eye blink", "3 eye blinks", "contradicted"),
        ("1 eye blink at Fp1 and Fp2", "No eye blinks", "contradicted"),
        ("No spikes seen", "Spikes could not be judged", "contradicted"),
        ("Alpha has the highest", "Delta has the highest", "contradicted"),
        ("lies at O1", "lies at C3", "contradicted"),
        ("medium energy: P3", "high energy: P3", "contradicted"),
        ("Alpha has the highest power", "Alpha power shows a marked increase", "unsupported"),
        ("Asymmetry", "Asymmetry of 25 µV²", "contradicted"),
        ("No spikes seen", "Spikes point to epilepsy", "overclaim"),
        ("No spikes seen", "This is a normal EEG", "overclaim"),
    ],
)
def test_one_flipped_fact_is_caught(plant: Plant, true: str, false: str, verdict: str) -> None:
    assert true in TRUE_TEXT
    assert check_grounding(TRUE_TEXT.replace(true, false), plant()).verdict == verdict


def test_caption_of_one_page_fails_on_another(plant: Plant) -> None:
    caption = write_caption(plant(segment_id="seg-0"))
    report = check_grounding(caption.sentences, plant([], segment_id="seg-1"))
    assert not report.is_supported
    assert "no such evidence" in report.cause


def test_sentence_without_evidence_is_unsupported(plant: Plant) -> None:
    report = check_grounding([Sentence("A page.", "montage", ())], plant())
    assert report.cause == "unsupported: no evidence id"


def test_claim_must_be_about_what_is_cited(plant: Plant) -> None:
    facts = plant()
    blink = facts.of_kind("blink")[0]
    said = Sentence("Sharp wave, maximum at T7, at 3.4 s.", "epileptiform", (blink.finding_id,))
    assert not check_grounding([said], facts).is_supported


def test_empty_text_is_unsupported(plant: Plant) -> None:
    assert check_grounding("", plant()).cause == "unsupported: empty text"


def test_kind_nobody_looked_for_is_unsupported(plant: Plant) -> None:
    facts = plant([])
    without = {k: v for k, v in facts.judgements.items() if k != "spindle"}
    report = check_grounding("No sleep spindles seen.", replace(facts, judgements=without))
    assert report.cause == "unsupported: spindle was not looked for"


@pytest.mark.parametrize(
    ("word", "verdict"),
    [("marked increase", "supported"), ("marked decrease", "contradicted"),
     ("slight increase", "contradicted")],
)  # fmt: skip
def test_trend_words_are_compared(plant: Plant, word: str, verdict: str) -> None:
    text = f"Delta power shows a {word}."
    assert check_grounding(text, plant(), {"delta": "marked_increase"}).verdict == verdict


def test_void_band_is_contradicted(plant: Plant) -> None:
    facts = plant([], spectral={"void_bands": ["narrator:high_gamma"]})
    assert check_grounding("High-gamma power is low.", facts).verdict == "contradicted"


def facets_of(text: str, aspect: str) -> list[tuple[str, str]]:
    plan = read_skeleton(skeleton(text)[0])
    return [(f.word, f.other) for c in plan.clauses for f in c.facets if f.aspect == aspect]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No spikes, sharp waves or spike-and-slow-wave complexes seen",
         [("spike", "absent"), ("sharp", "absent"), ("spsw", "absent")]),
        ("Sleep spindles could not be judged: ~", [("spindle", "not_judged")]),
        ("Set aside: 2 spike candidates at T8 (overlapped by muscle activity)", [("spike", "masked")]),
        ("A K-complex at 3 s", [("kcomplex", "present")]),
        ("Spikes are absent", [("spike", "absent")]),
        ("spiky background", []),
    ],
)  # fmt: skip
def test_kinds_are_read_with_their_polarity(text: str, expected: list[tuple[str, str]]) -> None:
    assert facets_of(text, "kind") == expected


@pytest.mark.parametrize(
    ("text", "bones", "numbers", "names"),
    [
        ("110 ms and 85 µV at 3.4 s", "# ms and # µV at # s", (110.0, 85.0, 3.4), ()),
        ("at 0.5, 2 and 4.2 s", "at #, # and # s", (0.5, 2.0, 4.2), ()),
        ("8-9 Hz", "#-# Hz", (8.0, 9.0), ()),
        ("103 µV²", "# µV²", (103.0,), ()),
        ("K-complex at T3 and Fpz-Cz", "K-complex at @ and @", (), ("T7", "Fpz-Cz")),
        ("scored N2 in the corpus", "scored N2 in the corpus", (), ()),
    ],
)  # fmt: skip
def test_skeletons_hold_neither_numbers_nor_names(
    text: str, bones: str, numbers: tuple[float, ...], names: tuple[str, ...]
) -> None:
    assert skeleton(text) == (bones, numbers, names)


@pytest.mark.parametrize(
    ("text", "is_closed"),
    [("Spike, 300 ms, maximum at Cz (midline central), at 5.2 s.", True),
     ("A spike lurks at Cz.", False), ("Activity is higher on the left hemisphere.", False)],
)  # fmt: skip
def test_only_the_engines_own_words_are_closed_phrasing(text: str, is_closed: bool) -> None:
    assert read_skeleton(skeleton(text)[0]).is_closed == is_closed


@pytest.mark.parametrize("stored", ["W", "N1", "N2", "N3", "R", "REM"])
def test_a_caption_that_quotes_the_stage_is_kept(plant: Plant, stored: str) -> None:
    facts = plant(segment={"stage_context": stored})
    rows = {row["variant"]: row["text"] for row in caption_rows(facts)}
    assert "in the corpus" in rows["label_aware"]


@pytest.mark.parametrize("said", ["W", "N1", "N2", "N3"])
def test_a_wrong_stage_is_contradicted(plant: Plant, said: str) -> None:
    facts = plant(segment={"stage_context": "REM"})
    sentence = Sentence(
        f"The 30-s epoch around this page is scored {said} in the corpus.", "state",
        (facts.column("stage_context"),),
    )  # fmt: skip
    assert check_grounding([sentence], facts).verdict == "contradicted"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("We can make out a posterior dominant rhythm near 9.5 Hz over O1 and O2.", "supported"),
        ("The PDR runs at about 10 Hz.", "supported"),
        ("The PDR runs at about 11 Hz.", "contradicted"),
        ("A temporal sharp wave on the left peaks at T7 near 3.5 s, about 100 µV.", "supported"),
        ("A temporal sharp wave on the left peaks at T7 near 3.5 s, about 120 µV.", "contradicted"),
        ("A temporal sharp wave on the left peaks at T7 near 4 s.", "contradicted"),
        ("A temporal sharp wave on the right peaks at T8 near 3.4 s.", "contradicted"),
        ("I could not find any spikes or sleep spindles.", "supported"),
        ("Spindles are visible centrally.", "contradicted"),
        ("Muscle artefact contaminates T7 between 1 and 3 s.", "contradicted"),
        ("EMG contaminates T8 between 5 and 7 s.", "supported"),
        ("Activity over the right hemisphere is about 35 % higher.", "supported"),
        ("Activity over the left hemisphere is about 35 % higher.", "contradicted"),
        ("Alpha is the strongest band of this page, followed by delta.", "supported"),
        ("Delta is the strongest band of this page.", "contradicted"),
        ("Most of the energy sits at O1.", "supported"),
        ("Most of the energy sits at C3.", "contradicted"),
        ("Polyspikes appear over the left.", "unsupported"),
        ("All this suggests epilepsy.", "overclaim"),
    ],
)  # fmt: skip
def test_free_text_is_held_to_the_tolerances_of_the_score(
    plant: Plant, text: str, verdict: str
) -> None:
    assert check_grounding(text, plant()).verdict == verdict


@pytest.mark.parametrize(
    ("confidence", "text", "verdict"),
    [
        (0.9, "One sees a spike at C3.", "supported"),
        (0.5, "One sees a spike at C3.", "unverifiable"),
        (0.5, "One sees a possible spike at C3.", "supported"),
        (0.2, "One sees a possible spike at C3.", "unverifiable"),
    ],
)
def test_a_detectors_probability_decides_what_may_be_said(
    plant: Plant, confidence: float, text: str, verdict: str
) -> None:
    spike = Finding(
        "seg-0", "spike", ("C3",), 2.0, 2.05, confidence=confidence, source="detector:w"
    )
    report = check_grounding(text, plant([spike]))
    assert {c.verdict for c in report.claims if "spike" in c.kinds} == {verdict}


def test_verdicts_name_the_ids_they_rest_on(plant: Plant) -> None:
    facts = plant()
    caption = write_caption(facts)
    checked = check_grounding(caption.sentences, facts).sentences
    assert [s.evidence for s in checked] == [s.evidence for s in caption.sentences]


@pytest.mark.parametrize("text", ["", "Thank you.", "A sharp wave is seen at T8 near 3.4 s."])
def test_who_says_nothing_true_has_no_fact_score(plant: Plant, text: str) -> None:
    found = fact_score([(text, plant())])
    assert (found.f1, found.recall) == (0.0, 0.0)
    assert not found.precision > 0, "void or 0, never full marks"


def test_a_fact_score_is_void_where_nothing_had_to_be_mentioned(plant: Plant) -> None:
    found = fact_score([("I could not find any sleep spindles.", plant([]))])
    assert math.isnan(found.f1)


def test_parts_of_the_fact_score_are_separate(plant: Plant) -> None:
    facts = plant()
    silent = fact_score([("I could not find any sleep spindles.", facts)])
    assert (silent.precision, silent.recall, silent.severe_omission_rate) == (1.0, 0.0, 1.0)
    wrong = fact_score([("A sharp wave sits on the right, peaking at T8 near 3.4 s.", facts)])
    assert (wrong.precision, wrong.contradiction_rate, wrong.laterality_error_rate) == (
        0.0,
        1.0,
        1.0,
    )
    assert wrong.hallucination_rate == 100.0
    bold = fact_score([("The patient was calm today.", facts)])
    assert bold.overclaim_rate == 1.0
    odd = fact_score([("Somewhere the zigzag lurks. I could not find any spikes.", facts)])
    assert odd.coverage == 0.5
    whole = fact_score([(write_caption(facts).text, facts)])
    assert (whole.precision, whole.recall, whole.f1, whole.coverage) == (1.0, 1.0, 1.0, 1.0)


def test_what_must_be_mentioned_weighs_by_severity(plant: Plant) -> None:
    must = must_mention(plant())
    assert must == {"posterior_rhythm": 2, "asymmetry": 3, "sharp": 3, "blink": 1, "muscle": 2}
    assert set(WEIGHTS.values()) == {1, 2, 3}


def test_every_tolerance_says_where_it_comes_from() -> None:
    assert all(limit.source and limit.unit for limit in LIMITS.values())


@pytest.fixture(scope="module")
def planted() -> list[PageFacts]:
    """Planted pages: 60, or as many as NEUROGLOSS_GROUNDING_PAGES says."""
    return planted_facts(int(os.environ.get("NEUROGLOSS_GROUNDING_PAGES", "60")))


def told(pages: list[PageFacts], seed: int = 0) -> list[tuple[PageFacts, Sentence]]:
    return [(p, s) for p in pages for s in write_caption(p, "label_aware", seed).sentences]


def test_captions_of_planted_pages_are_all_supported(planted: list[PageFacts]) -> None:
    for page in planted:
        for seed in range(3):
            caption = write_caption(page, "label_aware", seed)
            report = check_grounding(caption.sentences, page)
            assert report.is_supported, report.cause
            assert set(faults(caption.sentences, page)) == {None}


def test_captions_of_planted_pages_stand_as_plain_text(planted: list[PageFacts]) -> None:
    score = fact_score((write_caption(page, seed=1).text, page) for page in planted)
    assert score.precision > 0.995
    assert score.recall > 0.995
    assert score.coverage > 0.995


def is_lowered(text: str, sentence: Sentence, facts: PageFacts) -> bool:
    said = replace(sentence, text=text)
    fault = next(faults([said], facts))
    report = check_grounding([said], facts)
    assert (fault is None) == report.is_supported
    return not report.is_supported


def test_flipping_a_checkable_word_lowers_the_score(planted: list[PageFacts]) -> None:
    seen = [
        (what, is_lowered(text, sentence, facts))
        for facts, sentence in told(planted, seed=2)
        for what, text in flips(sentence.text)
    ]
    assert {"side", "frequency", "presence", "channel", "band"} <= {what for what, _ in seen}
    assert len(seen) > 500
    assert sum(lowered for _, lowered in seen) >= 0.99 * len(seen)


def test_the_same_in_other_words_does_not(planted: list[PageFacts]) -> None:
    said = [
        (text, sentence, facts)
        for facts, sentence in told(planted, seed=2)
        if (text := paraphrase(sentence.text))
    ]
    assert len(said) > 30
    for text, sentence, facts in said:
        report = check_grounding([replace(sentence, text=text)], facts)
        assert report.is_supported, (text, report.cause)


KINDS_TOLD = (
    "spike",
    "sharp",
    "spindle",
    "kcomplex",
    "blink",
    "muscle",
    "electrode_pop",
    "focal_slowing",
)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_flips_are_noticed_on_any_page(plant: Plant, seed: int) -> None:
    rng = random.Random(seed)
    sites = (
        ("F7", "left", "anterior temporal"),
        ("T8", "right", "mid-temporal"),
        ("C4", "right", "central"),
    )
    found = []
    for kind in rng.sample(KINDS_TOLD, 4):
        name, side, region = rng.choice(sites)
        measures = (
            Measure("frequency_hz", rng.uniform(1, 25), "Hz"),
            Measure("amplitude_uv_p2p", rng.uniform(5, 300), "uV"),
        )
        found += [
            Finding(
                "seg-0",
                kind,
                (name,),
                t,
                t + 0.2,
                measures,
                side=side,
                region=region,
                source="rule:x@1",
            )
            for t in rng.sample(range(1, 9), rng.choice((1, 2, 5)))
        ]
    facts = plant(found)
    missed = [
        (text, sentence.text)
        for sentence in write_caption(facts, seed=seed).sentences
        for _, text in flips(sentence.text)
        if not is_lowered(text, sentence, facts)
    ]
    assert missed == []
