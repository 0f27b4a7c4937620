"""Sentences about the background: rhythms, voltage, symmetry, slowing, continuity.

Events are told in ``captions.event_words``; ``captions`` puts sentences in order. The background is measured
over the page, so a sentence gives what was measured and where, and a time only where the finding
does not last.
"""

from __future__ import annotations

from collections.abc import Callable

from detectors.vocabulary import CLINICAL_BANDS, KINDS
from prompts import words
from prompts.captions.event_words import Sentence, single
from prompts.facts.findings import FindingFact
from prompts.facts.page import PageFacts

SUPPRESSED_BELOW_UV = 10.0
"""ACNS 2021, longitudinal bipolar."""
LOW_BELOW_UV = 20.0
"""ACNS 2021, longitudinal bipolar."""

ABSENT_KINDS = (
    "posterior_rhythm", "asymmetry", "focal_slowing", "generalised_slowing", "attenuation",
)  # fmt: skip
"""Kinds whose absence is worth a word; voltage and a dominant rhythm are always there."""


def background_sentences(facts: PageFacts, seed: int) -> list[Sentence]:
    """Tell the findings of the background and the dominant band, kind by kind."""
    sentences = []
    for kind, writer in _WRITERS.items():
        sentences += [
            Sentence(writer(facts, f, seed), "background", facts.evidence_of(kind))
            for f in facts.of_kind(kind)
        ]
    return sentences + _dominant_band(facts, seed)


def finding_text(facts: PageFacts, finding: FindingFact, seed: int, key: str = "") -> str:
    """Tell one finding of any family in one sentence."""
    if finding.kind in _WRITERS:
        return _WRITERS[finding.kind](facts, finding, seed)
    return single(facts, finding, seed, key)


def _posterior_rhythm(facts: PageFacts, finding: FindingFact, seed: int) -> str:
    measured = _measured(finding)
    place = words.channels(finding.channels, facts.recorded)
    frame = words.pick(
        (
            "Posterior rhythm of {measured} at {place}.",
            "A posterior rhythm of {measured} is seen at {place}.",
            "At {place} there is a posterior rhythm of {measured}.",
            "The posterior rhythm is {measured} at {place}.",
            "The posterior rhythm at {place} is {measured}.",
        ),
        seed, facts.segment_id, "posterior_rhythm",
    )  # fmt: skip
    return frame.format(measured=measured, place=place)


def _dominant_rhythm(facts: PageFacts, finding: FindingFact, seed: int) -> str:
    frequency = finding.frequency_hz
    if frequency is None:
        return "A dominant rhythm is seen."
    band = words.band_of(frequency)
    named = band if band and band not in facts.void_bands["clinical"] else ""
    frame = words.pick(
        (
            "Dominant rhythm of {hz}{band}{place}.",
            "The dominant rhythm is {hz}{band}{place}.",
            "The rhythm that stands out most is {hz}{band}{place}.",
            "Dominant rhythm: {hz}{band}{place}.",
            "There is a dominant rhythm of {hz}{band}{place}.",
        ),
        seed, facts.segment_id, "dominant_rhythm",
    )  # fmt: skip
    place = f", at {words.channels(finding.channels, facts.recorded)}" if finding.channels else ""
    return frame.format(
        hz=words.hz(frequency), band=f" ({named} band)" if named else "", place=place
    )


def _voltage(facts: PageFacts, finding: FindingFact, seed: int) -> str:
    amplitude = finding.amplitude_uv
    if amplitude is None:
        return "The background voltage was measured."
    grade = ""
    if amplitude < SUPPRESSED_BELOW_UV:
        grade = ", suppressed"
    elif amplitude < LOW_BELOW_UV:
        grade = ", low voltage"
    frame = words.pick(
        (
            "Background voltage {uv}{grade}.",
            "The background voltage is {uv}{grade}.",
            "Background voltage of {uv}{grade}.",
            "Background voltage: {uv}{grade}.",
            "The measured background voltage is {uv}{grade}.",
        ),
        seed, facts.segment_id, "voltage",
    )  # fmt: skip
    size = words.uv(amplitude, (SUPPRESSED_BELOW_UV, LOW_BELOW_UV))
    return frame.format(uv=f"{size} {finding.amplitude_word}".strip(), grade=grade)


def _asymmetry(facts: PageFacts, finding: FindingFact, seed: int) -> str:
    percent = words.percent(finding)
    amount = f" by {percent} %" if percent is not None else ""
    pair = f" between {words.join(finding.channels)}" if finding.channels else ""
    frame = words.pick(
        (
            "Asymmetry{pair}, larger on the {side}{amount}.",
            "There is an asymmetry{pair}, with the {side} larger{amount}.",
            "Asymmetry with larger activity on the {side}{amount}{pair}.",
            "Asymmetry{pair}: the {side} is larger{amount}.",
            "The {side} is larger{amount}, an asymmetry{pair}.",
        ),
        seed, facts.segment_id, "asymmetry",
    )  # fmt: skip
    return frame.format(pair=pair, side=finding.side, amount=amount)


def _slowing(facts: PageFacts, finding: FindingFact, seed: int) -> str:
    noun = KINDS[finding.kind].noun
    frame = words.pick(
        ("{noun} of {measured}{place}{when}.", "There is {noun} of {measured}{place}{when}.",
         "{noun}{place}{when}, {measured}.", "{noun}{place}{when} ({measured}).",
         "There is {noun}{place}{when} ({measured})."),
        seed, facts.segment_id, finding.kind,
    )  # fmt: skip
    place = f" at {words.channels(finding.channels, facts.recorded)}" if finding.channels else ""
    when = "" if finding.is_whole_page else f" {words.when(finding)}"
    text = frame.format(noun=noun, measured=_measured(finding), place=place, when=when)
    return text[0].upper() + text[1:]


def _attenuation(facts: PageFacts, finding: FindingFact, seed: int) -> str:
    """Tell a low-voltage interval, or several as one with their number."""
    amplitude = f", {words.voltage(finding)}" if finding.amplitude_uv is not None else ""
    n = finding.count
    frame = words.pick(
        ("{Counted} {when}{uv}.", "{When} there {verb} {counted}{uv}.",
         "There {verb} {counted} {when}{uv}.", "{Counted} {verb} seen {when}{uv}.",
         "{Counted}{uv}, {when}."),
        seed, facts.segment_id, finding.kind,
    )  # fmt: skip
    counted = "a low-voltage interval" if n == 1 else f"{n} low-voltage intervals"
    when = words.when(finding)
    return frame.format(
        Counted=counted[0].upper() + counted[1:], counted=counted, verb="is" if n == 1 else "are",
        when=when, When=when[0].upper() + when[1:], uv=amplitude,
    )  # fmt: skip


_WRITERS: dict[str, Callable[[PageFacts, FindingFact, int], str]] = {
    "posterior_rhythm": _posterior_rhythm,
    "dominant_rhythm": _dominant_rhythm,
    "voltage": _voltage,
    "asymmetry": _asymmetry,
    "focal_slowing": _slowing,
    "generalised_slowing": _slowing,
    "attenuation": _attenuation,
}


def _measured(finding: FindingFact) -> str:
    parts = []
    if finding.frequency_hz is not None:
        parts.append(words.hz(finding.frequency_hz))
    if finding.amplitude_uv is not None:
        parts.append(words.voltage(finding))
    return words.join(parts) or "unmeasured frequency"


def _dominant_band(facts: PageFacts, seed: int) -> list[Sentence]:
    corrected, raw = facts.dominant_band, facts.dominant_band_raw
    void = facts.void_bands["clinical"]
    if corrected not in CLINICAL_BANDS or corrected in void:
        return []
    frame = words.pick(
        (
            "With the 1/f trend removed, {band} is the dominant band",
            "The dominant band after removal of the 1/f trend is {band}",
            "The {band} band is dominant once the 1/f trend is removed",
            "Once the 1/f trend is removed, the dominant band is {band}",
            "After removal of the 1/f trend, the {band} band is dominant",
        ),
        seed, facts.segment_id, "dominant_band",
    )  # fmt: skip
    text, evidence = frame.format(band=corrected), [facts.column("dominant_band")]
    if raw in CLINICAL_BANDS and raw not in void and raw != corrected:
        text += f"; {raw} has the highest raw power"
        evidence.append(facts.column("dominant_band_raw"))
    return [Sentence(f"{text}.", "background", tuple(evidence))]
