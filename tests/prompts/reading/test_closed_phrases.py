"""Our own phrases are read back: captions, yes/no questions and trend lines of planted pages.

What must be read is made from the planted findings themselves, by the small tables below, and not by
anything that writes or reads text.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmark.text.claim_scores import LEVELS, match_counts
from detectors.types import Finding, Measure
from detectors.vocabulary import KINDS
from prompts.captions.caption import write_caption
from prompts.facts.page import PageFacts
from prompts.questions.items import write_questions
from prompts.reading.reader import read_claims
from prompts.reading.records import Claim

Plant = Callable[..., PageFacts]

FLOOR = 0.95
SIDES = {"left": ("F7", "T7", "P7"), "right": ("F8", "T8", "P8")}
WORDS = {
    "saturation": "clipping", "slow_drift": "slow_drift", "periodic_discharges": "periodic_discharges",
    "rhythmic_delta": "rhythmic_delta", "sawtooth": "sawtooth",
}  # fmt: skip
SPIKE_WAVES = ("spsw", "rhythmic_spike_wave")
MOMENTS = (
    "spike",
    "sharp",
    "spsw",
    "kcomplex",
    "vertex_wave",
    "posts",
    "blink",
    "lateral_eye",
    "electrode_pop",
)
UNSAID = ("voltage", "dominant_rhythm")
"""Kinds that a caption tells only with their own wording."""
DRAWN = [
    k
    for k in KINDS
    if k not in (*UNSAID, "asymmetry", "attenuation", "focal_slowing", "rhythmic_spike_wave")
]
N_PAGES = 60
MIN_ANSWERS = 20


def claim_of(kind: str, polarity: str = "present", **fields: Any) -> Claim:
    """Return what a page with, or without, a kind claims."""
    if kind == "asymmetry":
        return Claim("asymmetry", polarity=polarity, **fields)
    if kind == "attenuation":
        return Claim("suppression", value="low_voltage", polarity=polarity)
    family = "artifact" if KINDS[kind].family == "artifact" else "event"
    if kind == "posterior_rhythm":
        return Claim(
            "rhythm_frequency", kind, fields.pop("band", None), polarity=polarity, **fields
        )
    if kind in WORDS:
        band = "delta" if kind == "rhythmic_delta" else None
        return Claim(family, None, band, WORDS[kind], polarity=polarity)
    return Claim(
        family, "spsw" if kind in SPIKE_WAVES else kind, fields.get("band"), polarity=polarity
    )


RATES_HZ = {
    "posterior_rhythm": 10.0, "generalised_slowing": 5.0, "spsw": 3.0, "spindle": 13.0, "sawtooth": 3.0,
    "periodic_discharges": 1.0, "rhythmic_delta": 2.0, "chewing": 1.5, "mains": 50.0,
}  # fmt: skip
BANDS = {"posterior_rhythm": "alpha", "generalised_slowing": "theta", "rhythmic_delta": "delta"}
UNMEASURED = ("mains", "flat", "saturation", "slow_drift", "ecg", "movement", "lateral_eye")


def drawn_finding(kind: str, rng: random.Random) -> Finding:
    side = rng.choice(("left", "right"))
    channels = ("O1", "O2") if kind == "posterior_rhythm" else SIDES[side][: rng.randint(1, 3)]
    start = rng.randint(1, 7)
    end = start + (0.1 if kind in MOMENTS else 1.5)
    measures = []
    if kind in RATES_HZ:
        measures.append(Measure("frequency_hz", RATES_HZ[kind], "Hz"))
    if kind not in UNMEASURED:
        measures.append(Measure("amplitude_uv_p2p", rng.choice((40.0, 85.0, 120.0)), "uV"))
    return Finding(
        "seg-0", kind, channels, start, end, tuple(measures), side=side, source="rule:planted@1"
    )


def caption_truth(facts: PageFacts) -> Iterator[Claim]:
    """Yield presence, rate, voltage and duration of every finding, and every absence."""
    for finding in facts.findings:
        band = BANDS.get(finding.kind)
        base = claim_of(finding.kind, band=band)
        if finding.kind != "posterior_rhythm":
            yield base
        if finding.frequency_hz and finding.kind != "mains":
            rate = 1.5 if finding.kind == "chewing" else int(finding.frequency_hz)
            yield Claim("rhythm_frequency", base.label, band, rate, "Hz")
        if finding.amplitude_uv:
            yield Claim("amplitude", base.label, band, int(finding.amplitude_uv), "uV")
        if finding.kind in MOMENTS or KINDS[finding.kind].family == "sleep":
            lasts = round(finding.t1_s - finding.t0_s, 3)
            yield Claim(base.type, base.label, None, lasts, "s")
    for kind, judgement in facts.judgements.items():
        if judgement.verdict == "absent" and kind not in UNSAID:
            yield claim_of(kind, "absent")


def shares(true: list[Claim], read: list[Claim], level: str) -> np.ndarray:
    return match_counts(true, read)[LEVELS.index(level)]


@pytest.mark.parametrize("level", ["polarity", "value"])
def test_captions_are_read_back(plant: Plant, level: str) -> None:
    rng = random.Random(5)
    total = np.zeros(3)
    for seed in range(N_PAGES):
        kinds = rng.sample(DRAWN, rng.randint(1, 3))
        facts = plant([drawn_finding(kind, rng) for kind in kinds])
        caption = write_caption(facts, "label_free", seed)
        said = [s for s in caption.sentences if s.section not in ("montage", "limits")]
        read = read_claims(" ".join(s.text for s in said))
        # the dominant band and times are told besides; what repeats is left to other tests
        told = [c for c in read if c.type != "band_power_rank" and c.type != "not_judged"]
        total += shares(list(dict.fromkeys(caption_truth(facts))), told, level)
    precision, recall = total[0] / total[1], total[0] / total[2]
    assert precision >= FLOOR
    assert recall >= FLOOR


def test_answered_questions_of_presence_are_read(plant: Plant) -> None:
    pages = []
    for n in range(N_PAGES):
        rng = random.Random(n)
        found = [
            replace(drawn_finding(k, rng), segment_id=f"seg-{n}") for k in rng.sample(DRAWN, 2)
        ]
        pages.append(plant(found, segment_id=f"seg-{n}"))
    judgements = {j.judgement_id: j for facts in pages for j in facts.judgements.values()}
    total = np.zeros(3)
    for item in write_questions(pages, seed=1):
        if item.question_type != "presence" or item.answer_text not in ("Yes", "No"):
            continue
        (kind,) = {judgements[e].kind for e in item.evidence if e in judgements}
        polarity = "present" if item.answer_text == "Yes" else "absent"
        read = read_claims(f"Q: {item.question}\nA: {item.answer_text}.")
        total += shares([claim_of(kind, polarity)], list(read), "polarity")
    assert total[2] >= MIN_ANSWERS
    assert total[0] / total[1] >= FLOOR
    assert total[0] / total[2] >= FLOOR


TREND_WORDS = (
    "stable", "consistently_low", "slight_increase", "slight_decrease", "moderate_increase",
    "moderate_decrease", "marked_increase", "marked_decrease",
)  # fmt: skip


@pytest.mark.parametrize("word", TREND_WORDS)
def test_trend_words_are_read_back(word: str) -> None:
    (claim,) = read_claims(f"Trends: high-gamma {word.replace('_', ' ')}.")
    assert (claim.type, claim.band, claim.value) == ("band_trend", "high_gamma", word)


def test_energy_lines_are_read_back() -> None:
    text = "Highest energy: O1 103.26 µV².\nHigh energy: O1, O2.\nMedium energy: P3.\nLow energy: F3, F4."
    found = [(c.type, c.value, c.channels) for c in read_claims(text)]
    assert found == [
        ("highest_channel", None, ("O1",)), ("energy_tier", "high", ("O1", "O2")),
        ("energy_tier", "medium", ("P3",)), ("energy_tier", "low", ("F3", "F4")),
    ]  # fmt: skip
