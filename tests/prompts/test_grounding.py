from __future__ import annotations

from collections.abc import Callable

import pytest

from prompts import claims
from prompts.captions import write_caption
from prompts.event_words import Sentence
from prompts.facts import PageFacts
from prompts.grounding import check_grounding

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
        ("Asymmetry", "Asymmetry of 14 µV²", "contradicted"),
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
    from dataclasses import replace

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


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("No spikes, sharp waves or spike-and-slow-wave complexes seen",
         [("spike", "absent"), ("sharp", "absent"), ("spsw", "absent")]),
        ("Sleep spindles could not be judged: channels under muscle activity",
         [("spindle", "not_judged")]),
        ("Not judged: eye blinks (no usable second)", [("blink", "not_judged")]),
        ("Set aside: 2 spike candidates at T8 (overlapped by muscle activity)", [("spike", "masked")]),
        ("A K-complex at 3 s", [("kcomplex", "present")]),
        ("Spikes are absent", [("spike", "absent")]),
        ("spiky background", []),
    ],
)  # fmt: skip
def test_kinds_are_read_with_their_polarity(clause: str, expected: list[tuple[str, str]]) -> None:
    assert claims.kinds(clause) == expected


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("110 ms and 85 µV at 3.4 s", [(110.0, "ms"), (85.0, "uV"), (3.4, "s")]),
        ("at 0.5, 2 and 4.2 s", [(0.5, "s"), (2.0, "s"), (4.2, "s")]),
        ("8-9 Hz", [(8.0, "Hz"), (9.0, "Hz")]),
        ("103 µV²", [(103.0, "uV2")]),
        ("this 10-s page from C3", []),
        ("3 spikes", []),
        ("by 35 %", [(35.0, "percent")]),
    ],
)
def test_numbers_are_read_with_their_units(clause: str, expected: list[tuple[float, str]]) -> None:
    assert claims.quantities(clause) == expected


@pytest.mark.parametrize(
    ("clause", "expected"),
    [("T3 and T6", ["T7", "P8"]), ("Fpz-Cz", ["Fpz-Cz"]), ("K-complex at 3 Hz", []),
     ("P7-O1, O2", ["P7-O1", "O2"])],
)  # fmt: skip
def test_channel_names_are_read_in_modern_form(clause: str, expected: list[str]) -> None:
    assert claims.channels(clause) == expected
