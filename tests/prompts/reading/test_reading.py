"""Claims read out of free text: each rule of the claim-extraction set on sentences of its own.

``cases.jsonl`` holds texts written for this test in all styles, with their claims, before the reader
saw them; a quarter of them was never looked at while it was made.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from benchmark.text.claim_scores import ClaimScores, load_texts, score_reader
from prompts.reading.reader import read_claims, unread_clauses
from prompts.reading.records import FIELDS, Claim, ClaimError, claim_from_json, claim_to_json

CASES = Path(__file__).with_name("cases.jsonl")


def one(text: str, **wanted: Any) -> Claim:
    """Return the one claim of a text that has the wanted fields."""
    found = [c for c in read_claims(text) if all(getattr(c, k) == v for k, v in wanted.items())]
    assert len(found) == 1, read_claims(text)
    return found[0]


def kinds(text: str) -> list[tuple[str, str | None, str]]:
    return [(c.type, c.label or c.band, c.polarity) for c in read_claims(text)]


@pytest.fixture(scope="module")
def written() -> ClaimScores:
    return score_reader(load_texts(CASES), read_claims, n_draws=2)


@pytest.mark.parametrize(
    ("level", "floor"),
    [("type", 0.93), ("label and band", 0.92), ("polarity", 0.92), ("time", 0.85)],
)
def test_written_cases_are_read(written: ClaimScores, level: str, floor: float) -> None:
    score = written.levels[level]
    assert score.precision.value >= floor
    assert score.recall.value >= floor


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("PDR 9 Hz.", {"label": "posterior_rhythm", "band": "alpha", "value": 9, "region": None}),
        ("Occipital rhythm of 7.5 Hz.", {"band": "theta", "region": "occipital"}),
        ("A 10 Hz rhythm at O1 and O2.", {"label": "posterior_rhythm", "channels": ("O1", "O2")}),
        ("Alpha is 10 Hz.", {"label": None, "band": "alpha"}),
        ("Mu at C4, 10 Hz.", {"label": None, "band": "alpha", "region": "central"}),
        ("Waves of 3 to 6 Hz everywhere.", {"band": None, "value": (3, 6)}),
        ("Blinks recur every two seconds.", {"label": "blink", "value": 0.5}),
        ("Periodic discharges at 30 per minute.", {"value": 0.5, "band": None}),
    ],
)
def test_rhythms(text: str, wanted: dict[str, Any]) -> None:
    one(text, type="rhythm_frequency", **wanted)


@pytest.mark.parametrize(
    ("text", "label", "band"),
    [
        ("Left temporal delta at 2 Hz.", "focal_slowing", "delta"),
        ("Theta over the right temporal leads.", "focal_slowing", "theta"),
        ("Diffuse slowing of 5 Hz.", "generalised_slowing", "theta"),
        ("Delta 1 Hz, 120 µV, frontal, in stage N3.", "slow_wave", "delta"),
    ],
)
def test_slow_activity_is_named_by_its_place(text: str, label: str, band: str) -> None:
    one(text, type="event", label=label, band=band)


@pytest.mark.parametrize(
    ("text", "t0", "t1"),
    [
        ("A spike at 3.2 s.", 3.2, None),
        ("Muscle from 4 s on.", 4, 10),
        ("Muscle until 3 s.", 0, 3),
        ("Muscle in the last second.", 9, 10),
        ("Muscle in the second half.", 5, 10),
        ("Muscle throughout.", 0, 10),
        ("Muscle during the first three seconds.", 0, 3),
        ("Spindle begins at 2 s and ends at 3.1 s.", 2, 3.1),
    ],
)
def test_times(text: str, t0: float, t1: float | None) -> None:
    (claim,) = read_claims(text)
    assert (claim.t0, claim.t1) == (t0, t1)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("Spikes of 80 mcV.", 80, "uV"),
        ("Spikes of 0.08 mV.", 80, "uV"),
        ("Spikes below 80 µV.", (0, 80), "uV"),
        ("Spikes of at least 80 microvolts.", (80, None), "uV"),
        ("Spikes of 60 to 80 uV.", (60, 80), "uV"),
    ],
)
def test_voltages(text: str, value: Any, unit: str) -> None:
    one(text, type="amplitude", label="spike", value=value, unit=unit)


@pytest.mark.parametrize(
    ("text", "polarity"),
    [
        ("No spikes.", "absent"),
        ("Spikes are not seen.", "absent"),
        ("Neither spikes nor anything else.", "absent"),
        ("The page is free of spikes.", "absent"),
        ("It is not true that there are no spikes.", "present"),
        ("There is no slow wave, but a spike is seen.", "present"),
        ("Spikes cannot be excluded.", "present"),
    ],
)
def test_denials(text: str, polarity: str) -> None:
    assert one(text, type="event", label="spike").polarity == polarity


@pytest.mark.parametrize(
    ("text", "hedge"),
    [
        ("A possible spike.", "possible"),
        ("A spike cannot be excluded.", "possible"),
        ("This is most likely a spike.", "probable"),
        ("An unequivocal spike.", "certain"),
        ("A spike appears in C3.", "none"),
        ("A spike could be seen.", "none"),
    ],
)
def test_hedges(text: str, hedge: str) -> None:
    assert one(text, type="event", label="spike").hedge == hedge


@pytest.mark.parametrize(
    ("text", "unread", "seen"),
    [
        ("Mains interference and spikes could not be judged.", {"mains", "spike"}, set()),
        ("Mains, blinks and spikes were not judged.", {"mains", "blink", "spike"}, set()),
        ("Not judged: mains interference and spikes.", {"mains", "spike"}, set()),
        ("Muscle artifact, spikes could not be judged.", {"spike"}, {"muscle"}),
        ("Muscle artifact and blinks hide the spikes.", {"spike"}, {"muscle", "blink"}),
        (
            "Due to blinks and muscle artifact, spikes and spindles could not be judged.",
            {"spike", "spindle"},
            {"blink", "muscle"},
        ),
    ],
)  # fmt: skip
def test_an_artifact_in_a_list_of_what_was_not_judged_is_not_seen(
    text: str, unread: set[str], seen: set[str]
) -> None:
    claims = read_claims(text)
    assert {c.label for c in claims if c.type == "not_judged"} == unread
    assert {c.label for c in claims if c.type == "artifact"} == seen


def test_a_list_denies_every_member() -> None:
    found = kinds("No spindles, K-complexes, vertex waves or POSTS on this page.")
    labels = ("spindle", "kcomplex", "vertex_wave", "posts")
    assert found == [("event", label, "absent") for label in labels]


def test_measures_inherit_label_place_and_time_across_sentences() -> None:
    text = "A sharp wave is seen at T3 at 4.2 s. It has an amplitude of 90 µV and lasts 110 ms."
    place = {"label": "sharp", "channels": ("T7",), "t0": 4.2, "hedge": "none"}
    one(text, type="amplitude", value=90, **place)
    one(text, type="event", value=0.11, unit="s", **place)


def test_several_times_are_one_claim_each_and_the_count_has_none() -> None:
    found = read_claims("Two spindles at C3, at 1.5 and 6 s.")
    assert [(c.value, c.t0) for c in found] == [(2, None), (None, 1.5), (None, 6)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Theta ranks first, followed by delta.", [("theta", "highest"), ("delta", 2)]),
        ("Alpha > theta > beta.", [("alpha", "highest"), ("theta", 2), ("beta", 3)]),
        ("Delta 40 %, theta 20 %.", [("delta", 40), ("theta", 20)]),
        ("Alpha exceeds theta.", [("alpha", "higher_than_theta")]),
        ("Beta rises slightly, delta is unchanged.",
         [("beta", "slight_increase"), ("delta", "stable")]),
    ],
)  # fmt: skip
def test_bands(text: str, wanted: list[tuple[str, Any]]) -> None:
    assert [(c.band, c.value) for c in read_claims(text)] == wanted


@pytest.mark.parametrize(
    ("text", "side", "channels"),
    [
        ("Alpha is lower on the left.", "right", ()),
        ("Alpha power is larger at O2 than at O1.", "right", ("O2", "O1")),
        ("Alpha L>R.", "left", ()),
    ],
)
def test_asymmetry_names_the_larger_side(text: str, side: str, channels: tuple[str, ...]) -> None:
    claim = one(text, type="asymmetry", band="alpha")
    assert (claim.side, claim.channels) == (side, channels)


def test_a_short_answer_is_about_what_was_asked() -> None:
    text = "Q: Are there any spindles?\nA: No.\nQ: How many blinks?\nA: Three, at Fp1."
    assert kinds(text) == [("event", "spindle", "absent"), ("artifact", "blink", "present")]
    assert one(text, label="blink").value == 3


def test_only_the_last_version_counts() -> None:
    assert one("The spike is at P3, sorry, P4.").channels == ("P4",)
    assert one("The rhythm at O1 is 8 Hz, correction, 9 Hz.").value == 9


@pytest.mark.parametrize(
    "text",
    [
        "Please describe the background first.",
        "If spikes were present, they would be at C3.",
        "The previous recording showed spikes at C3.",
        "A spike lasts less than 70 ms.",
        "Filters 0.5 to 70 Hz, sampling rate 256 Hz, sensitivity 7 uV/mm.",
        "Is there a spike at C3?",
        "A 34-year-old woman.",
    ],
)
def test_what_is_no_claim_gives_none(text: str) -> None:
    assert read_claims(text) == ()


@pytest.mark.parametrize(
    ("text", "word", "polarity"),
    [
        ("The patient has epilepsy.", "diagnosis", "present"),
        ("No seizure is seen.", "seizure", "absent"),
        ("This is a normal EEG.", "normal_eeg", "present"),
        ("The outcome will be poor.", "prognosis", "present"),
    ],
)
def test_overclaims_are_read_also_when_denied(text: str, word: str, polarity: str) -> None:
    assert one(text, type="overclaim").value == word
    assert one(text, type="overclaim").polarity == polarity


@pytest.mark.parametrize(
    ("text", "label"),
    [("shrap wave at t3", "sharp"), ("two spindels", "spindle"), ("musle t4", "muscle")],
)
def test_one_slip_of_the_pen_is_mended(text: str, label: str) -> None:
    one(text, label=label)


def test_a_real_word_near_a_finding_is_left_alone() -> None:
    assert read_claims("Share the light with the other night shift.") == ()


def test_unread_clauses_are_told_apart_from_known_non_claims() -> None:
    assert unread_clauses("Please describe it. Spikes at C3.") == ()
    assert unread_clauses("Something odd goes on up there.") == ("Something odd goes on up there",)


def test_any_words_in_any_order_give_valid_records() -> None:
    rng = random.Random(3)
    words = [w for case in load_texts(CASES) for w in case.text.replace("\n", " \n ").split(" ")]
    for _ in range(1500):
        text = " ".join(rng.choice(words) for _ in range(rng.randint(0, 30)))
        for claim in read_claims(text):
            assert claim_from_json(claim_to_json(claim)) == claim
            assert claim.span in text


def test_spans_are_parts_of_the_text() -> None:
    for case in load_texts(CASES):
        assert all(claim.span in case.text for claim in read_claims(case.text))


def test_a_claim_survives_its_json() -> None:
    claim = Claim(
        "event", "spike", None, (3, None), "count", ("F7", "T7"), "left", ("frontal", "temporal")
    )
    written = claim_to_json(claim)
    assert set(written) == set(FIELDS)
    assert claim_from_json(written) == claim


@pytest.mark.parametrize(
    "change", [{"type": "guess"}, {"channels": ["T3"]}, {"region": "north"}, {"more": 1}]
)
def test_a_record_with_other_words_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ClaimError, match="claim record"):
        claim_from_json(claim_to_json(Claim("event")) | change)
