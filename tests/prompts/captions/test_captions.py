from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.types import CANONICAL19, Finding, Measure
from detectors.vocabulary import KINDS
from prompts.captions.caption import SECTIONS, caption_rows, write_caption
from prompts.facts.page import PageFacts
from prompts.grounding.check import check_grounding
from prompts.limits import forbidden_claims

Plant = Callable[..., PageFacts]
Rows = dict[str, Callable[..., Any]]

SEEDS = range(12)


def texts(facts: PageFacts, section: str, variant: Any = "label_free") -> set[str]:
    """Every way the sentences of a section may read, over several seeds."""
    return {
        " ".join(
            s.text for s in write_caption(facts, variant, seed).sentences if s.section == section
        )
        for seed in SEEDS
    }


def test_sharp_wave_reads_as_planted(plant: Plant) -> None:
    expected = {
        "Sharp wave, 110 ms, 85 µV peak-to-peak, maximum at T7 (left mid-temporal; field F7 and P7), "
        "at 3.4 s.",
        "A sharp wave (110 ms, 85 µV peak-to-peak) is seen with its maximum at T7 (left mid-temporal; "
        "field F7 and P7) at 3.4 s.",
        "At 3.4 s there is a sharp wave (110 ms, 85 µV peak-to-peak) with its maximum at T7 (left "
        "mid-temporal; field F7 and P7).",
        "There is a sharp wave (110 ms, 85 µV peak-to-peak) with its maximum at T7 (left "
        "mid-temporal; field F7 and P7) at 3.4 s.",
        "A sharp wave (110 ms, 85 µV peak-to-peak) with its maximum at T7 (left mid-temporal; field "
        "F7 and P7), at 3.4 s.",
    }
    first = {
        s.text
        for seed in SEEDS
        for s in write_caption(plant(), seed=seed).sentences
        if s.section == "epileptiform" and s.text.count("µV")
    }
    assert first == expected


@pytest.mark.parametrize(
    ("kind", "count", "owner"),
    [("spsw", 1.0, "its"), ("spsw", 2.0, "their"), ("rhythmic_delta", 2.0, "its")],
)
def test_several_events_have_their_maximum(
    plant: Plant, kind: str, count: float, owner: str
) -> None:
    found = Finding(
        "seg-0", kind, ("T8", "P8"), 0.4, 1.2, (Measure("count", count, "1"),), 1.0, "detector:w",
        "right", "mid-temporal",
    )  # fmt: skip
    facts = plant([found])
    told = [write_caption(facts, seed=seed) for seed in SEEDS]
    texts_said = {s.text for caption in told for s in caption.sentences}
    owned = {text for text in texts_said if re.search("with (its|their) maximum", text)}
    assert owned
    assert all(f"with {owner} maximum at T8" in text for text in owned)
    assert all(check_grounding(caption.sentences, facts).is_supported for caption in told)


def test_posterior_rhythm_is_rounded_to_half_hertz_and_five_microvolts(plant: Plant) -> None:
    for text in texts(plant(), "background"):
        assert "9.5 Hz and 40 µV peak-to-peak" in text
        assert "by 35 %" in text


def test_absence_is_said_only_where_judged(plant: Plant) -> None:
    facts = plant([], not_judged={"spindle": "no clean central channel"})
    for seed in SEEDS:
        caption = write_caption(facts, seed=seed)
        sleep = " ".join(s.text for s in caption.sentences if s.section == "sleep")
        limits = " ".join(s.text for s in caption.sentences if s.section == "limits")
        assert "spindle" not in sleep
        assert "K-complexes, high-amplitude slow waves" in sleep
        assert "leep spindles" in limits
        assert "no clean central channel" in limits


def test_masked_findings_are_said_to_be_set_aside_and_nothing_else(plant: Plant) -> None:
    muscle = Finding("seg-0", "muscle", ("T8",), 5.0, 7.0, side="right", region="mid-temporal")
    spike = Finding(
        "seg-0", "spike", ("T8",), 5.5, 5.55, masked_by=muscle.finding_id, mask_reason="covered"
    )
    facts = plant([muscle, spike], not_judged={"spike": "hidden by muscle activity"})
    for seed in SEEDS:
        text = write_caption(facts, seed=seed).text.lower()
        assert "1 spike candidate at t8 (overlapped by muscle activity)." in text
    sentence = next(s for s in write_caption(facts).sentences if "set aside" in s.text.lower())
    assert set(sentence.evidence) == {spike.finding_id, muscle.finding_id}


def test_many_events_are_told_together(plant: Plant) -> None:
    found = [
        Finding("seg-0", "blink", ("Fp1", "Fp2"), t, t + 0.4,
                (Measure("amplitude_uv_p2p", 100 + 10 * t, "uV"),), side="bilateral",
                region="frontopolar", source="rule:blink@1")
        for t in (0.5, 2.0, 4.0, 6.5)
    ]  # fmt: skip
    told = texts(plant(found), "artifacts")
    assert any(
        "4 eye blinks, largest 165 µV peak-to-peak, at Fp1 and Fp2, at 0.7, 2.2, 4.2 and 6.7 s."
        in text
        for text in told
    )
    assert all("at 0.7, 2.2, 4.2 and 6.7 s." in text for text in told)


@pytest.mark.parametrize(
    ("confidence", "source", "word"),
    [
        (0.95, "detector:w", ""),
        (0.8, "detector:w", "probable "),
        (0.5, "detector:w", "possible "),
        (0.2, "detector:w", "equivocal "),
        (0.5, "rule:spike@1", ""),
    ],
)
def test_hedges_follow_the_detectors_probability(
    plant: Plant, confidence: float, source: str, word: str
) -> None:
    spike = Finding("seg-0", "spike", ("C3",), 2.0, 2.05, confidence=confidence, source=source)
    for text in texts(plant([spike]), "epileptiform"):
        assert f"{word}spike" in text.lower()
        assert ("able spike" in text or "ible spike" in text or "ocal spike" in text) == bool(word)


def test_label_free_says_nothing_the_page_cannot_show(plant: Plant) -> None:
    labels = [{"scope": "recording", "name": "task", "value": "rest", "source": "x"}]
    facts = plant(segment={"stage_context": "N2", "labels": labels})
    free, aware = write_caption(facts), write_caption(facts, "label_aware")
    assert "N2" not in free.text
    assert "rest" not in free.text
    assert "scored N2 in the corpus" in aware.text
    told = texts(facts, "state", "label_aware")
    assert all('the label "task: rest"' in text and "recording level" in text for text in told)
    assert [s for s in aware.sentences if s.section != "state"] == list(free.sentences)


def test_seizure_label_is_quoted_and_not_claimed(plant: Plant) -> None:
    labels = [{"scope": "interval", "name": "seizure", "value": "present", "source": "x"}]
    facts = plant(segment={"labels": labels})
    caption = write_caption(facts, "label_aware")
    assert 'the label "seizure: present"' in caption.text
    assert check_grounding(caption.sentences, facts).is_supported


def test_sections_come_in_reading_order(plant: Plant) -> None:
    order = list(SECTIONS)
    for seed in SEEDS:
        seen = [
            order.index(s.section) for s in write_caption(plant(), "label_aware", seed).sentences
        ]
        assert seen == sorted(seen)


def test_missing_electrodes_are_named(plant: Plant) -> None:
    facts = plant([], segment={"mask": [name not in {"T7", "T8"} for name in CANONICAL19]})
    for text in texts(facts, "montage"):
        assert "17 of 19 scalp electrodes" in text
        assert "T7 and T8" in text
        assert "not recorded" in text.lower()


def test_many_missing_electrodes_are_all_named_and_supported(plant: Plant) -> None:
    missing = CANONICAL19[:9]
    facts = plant([], segment={"mask": [name not in missing for name in CANONICAL19]})
    for seed in SEEDS:
        caption = write_caption(facts, seed=seed)
        assert all(name in caption.text for name in missing)
        assert check_grounding(caption.sentences, facts).is_supported


LABELLED = {
    "stage_context": "N2", "band_high_hz": 45.0,
    "labels": [{"scope": "recording", "name": "task", "value": "rest", "source": "x"}],
}  # fmt: skip


@pytest.mark.parametrize("section", SECTIONS)
def test_each_section_has_five_phrasings_or_more(plant: Plant, section: str) -> None:
    facts = plant(segment=LABELLED, not_judged={"posts": "no sure sign of sleep"})
    told = {
        next(s.text for s in write_caption(facts, "label_aware", seed).sentences
             if s.section == section)
        for seed in range(80)
    }  # fmt: skip
    assert len(told) >= 5


def field(lead: str, *measures: str, kind: str = "sharp", **changes: Any) -> Finding:
    values = tuple(Measure(name, 30.0, "uV") for name in measures)
    return Finding("seg-0", kind, (lead,), 2.0, 2.1, values, source="rule:x@1", **changes)


def test_poles_of_a_discharge_are_told_and_checked(plant: Plant) -> None:
    found = field("T7", "negative_pole_T7", "positive_pole_C4", "dipole_tangential")
    facts = plant([found])
    told = {
        s.text for seed in range(40) for s in write_caption(facts, seed=seed).sentences
        if "dipole" in s.text.lower()
    }  # fmt: skip
    assert len(told) == 5
    for text in told:
        assert "negative at T7" in text
        assert "positive at C4" in text
        assert check_grounding(text, facts).is_supported
        for wrong in (
            text.replace("C4", "O2"),
            text.replace("T7", "C4"),
            text.replace("tangential", "radial"),
        ):
            assert check_grounding(wrong, facts).verdict == "contradicted"


def test_evolution_is_told_as_possible_and_only_where_measured(plant: Plant) -> None:
    base = (Measure("frequency_hz", 1.5, "Hz"), Measure("acns_frequency_hz", 1.5, "Hz"))
    for value in (0.0, 1.0):
        measures = (*base, Measure("evolving", value, "1"))
        facts = plant([Finding("seg-0", "periodic_discharges", ("F3", "F4"), 0.0, 10.0, measures)])
        for text in texts(facts, "epileptiform"):
            assert ("possible evolution" in text) == bool(value)
            assert check_grounding(text, facts).is_supported
            added = text.replace("at 1.5 Hz", "at 1.5 Hz, possible evolution", 1)
            assert check_grounding(added, facts).is_supported == bool(value)


@pytest.mark.parametrize(
    ("lead", "side", "words"),
    [("O1", "bilateral", "O1 (occipital)"), ("Pz", "left", "Pz (parietal)"),
     ("O1", "left", "O1 (left occipital)")],
)  # fmt: skip
def test_maximum_is_not_given_the_side_of_its_field(
    plant: Plant, lead: str, side: str, words: str
) -> None:
    region = words.split()[-1].strip("()")
    for text in texts(plant([field(lead, side=side, region=region)]), "epileptiform"):
        assert f"maximum at {words}" in text


def test_steps_are_told_from_and_to(plant: Plant) -> None:
    pop = Finding("seg-0", "electrode_pop", ("F8",), 4.5, 5.2, source="rule:x@1")
    for text in texts(plant([pop]), "artifacts"):
        assert "from 4.5 to 5.2 s" in text.lower()


@pytest.mark.parametrize(("size_uv", "said"), [(19.6, "19.6 µV"), (20.4, "20 µV"), (9.7, "9.7 µV")])
def test_rounding_does_not_cross_the_grade_of_a_voltage(
    plant: Plant, size_uv: float, said: str
) -> None:
    voltage = Finding("seg-0", "voltage", (), 0, 10, (Measure("amplitude_uv_p2p", size_uv, "uV"),))
    for text in texts(plant([voltage]), "background"):
        assert said in text
        assert ("low voltage" in text or "suppressed" in text) == (size_uv < 20)


def test_void_bands_are_never_mentioned(plant: Plant) -> None:
    facts = plant(
        [],
        segment={"band_high_hz": 25.0},
        spectral={
            "void_bands": ["clinical:gamma", "clinical:beta", "narrator:gamma"],
            "dominant_band": "beta",
            "dominant_band_raw": "gamma",
        },
    )
    for seed in SEEDS:
        text = write_caption(facts, seed=seed).text.lower()
        assert "gamma" not in text
        assert "beta" not in text
        assert "nothing above 25 hz" in text


def test_mirrored_page_swaps_side_words(plant: Plant, rows: Rows) -> None:
    found = rows["planted"]("seg-0")
    swap = {"left": "right", "right": "left"}
    here = write_caption(plant(found)).text.split()
    there = write_caption(plant([rows["mirrored"](f) for f in found])).text.split()
    sides = [w.strip("(,;.") for w in here if w.strip("(,;.") in swap]
    mirrored = [w.strip("(,;.") for w in there if w.strip("(,;.") in swap]
    assert sides
    assert mirrored == [swap[w] for w in sides]


def test_caption_is_the_same_again_and_varies_with_the_seed(plant: Plant) -> None:
    assert write_caption(plant(), seed=1) == write_caption(plant(), seed=1)
    assert len({write_caption(plant(), seed=s).text for s in SEEDS}) > 3


kinds = st.sampled_from(sorted(KINDS))
spans = st.tuples(st.floats(0, 9.9), st.floats(0.02, 9.0))
channel_sets = st.lists(st.sampled_from(CANONICAL19), min_size=1, max_size=19, unique=True)


@st.composite
def any_finding(draw: st.DrawFn) -> Finding:
    start, length = draw(spans)
    measures = (
        Measure("amplitude_uv_p2p", draw(st.floats(0.1, 900)), "uV"),
        Measure("frequency_hz", draw(st.floats(0.6, 60)), "Hz"),
        Measure("asymmetry", draw(st.floats(0.5, 0.99)), "1"),
        Measure("count", float(draw(st.integers(1, 9))), "1"),
    )
    taken = tuple(m for m in measures if draw(st.booleans()))
    return Finding(
        "seg-0", draw(kinds), tuple(draw(channel_sets)), start, min(start + length, 10.0), taken,
        draw(st.floats(0.05, 1.0)), draw(st.sampled_from(["detector:w", "rule:x@1"])),
        draw(st.sampled_from(["left", "right", "bilateral", "midline"])), "central",
    )  # fmt: skip


@given(
    found=st.lists(any_finding(), max_size=8, unique_by=lambda f: f.finding_id),
    seed=st.integers(0, 99),
)
def test_any_page_gives_a_supported_caption_with_evidence(
    plant: Plant, found: list[Finding], seed: int
) -> None:
    facts = plant(found)
    caption = write_caption(facts, seed=seed)
    report = check_grounding(caption.sentences, facts)
    assert report.is_supported, report.cause
    assert all(s.evidence for s in caption.sentences)
    assert forbidden_claims(caption.text) == ()


def test_rows_carry_every_sentence(plant: Plant) -> None:
    (row,) = caption_rows(plant())
    assert row["variant"] == "label_free"
    assert row["text"] == " ".join(s["text"] for s in row["sentences"])
    assert all(s["evidence"] for s in row["sentences"])
    labelled = list(caption_rows(plant(segment={"stage_context": "W"})))
    assert [r["variant"] for r in labelled] == ["label_free", "label_aware"]
    assert labelled[0]["text"] == row["text"]
    assert len({r["sample_id"] for r in labelled}) == 2


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("An electrographic seizure is seen.", "seizure"),
        ("No seizure is seen.", "seizure"),
        ("This is a normal EEG.", "normal_eeg"),
        ("The recording is clearly abnormal.", "abnormal_eeg"),
        ("Findings of epilepsy.", "diagnosis"),
        ("The rhythm is reactive.", "reactivity"),
        ("Recorded with eyes closed.", "reactivity"),
        ("Stage N2 sleep.", "stage_decision"),
        ("The patient is drowsy.", "mental_state"),
        ("Frequent spikes.", "incidence"),
        ("Slow for age.", "age_norm"),
        ("Burst suppression.", "burst_suppression"),
        ("Beta due to a drug.", "medication"),
        ("Slowing caused by a lesion.", "cause"),
        ("Clinical correlation is advised.", "filler"),
        ("Outcome is poor.", "prognosis"),
    ],
)
def test_what_ten_seconds_cannot_show_is_caught(text: str, claim: str) -> None:
    assert claim in forbidden_claims(text)


@pytest.mark.parametrize(
    "text",
    [
        "Epileptiform patterns: none seen.",
        "No sleep spindles on this page.",
        "The voltage of the page is 40 µV.",
        'The corpus gives the label "seizure: present".',
        "The epoch is scored N2 in the corpus.",
        "Eye blink at 3 s; dominant frequency 10 Hz.",
    ],
)
def test_plain_description_is_not_an_overclaim(text: str) -> None:
    assert forbidden_claims(text) == ()
