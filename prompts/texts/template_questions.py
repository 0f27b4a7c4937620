"""Multiple choice by template: two statements that fit the page, crossed with their opposites.

The right option joins two true statements; the wrong ones turn the first, the second or both around.
Every statement thus stands in two options and so does its opposite: nothing in the options' form
tells which is right. Sentences come from ``texts.template_writer``; letters are dealt where rows are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detectors.vocabulary import KINDS
from prompts import words
from prompts.texts.template_writer import Payload, Said, finding_sentence, spectrum_sentences

SHIFT_HZ = 4.0
"""How far a wrong frequency lies from the measured one: beyond any tolerance of the check."""
_BANAL = frozenset({"voltage", "dominant_rhythm"})
"""Kinds whose presence every page shares."""
_ASKED_ABSENT = frozenset({
    "posterior_rhythm", "asymmetry", "focal_slowing", "generalised_slowing", "spindle", "kcomplex",
    "vertex_wave", "sharp", "spike", "spsw", "periodic_discharges", "rhythmic_delta", "blink",
    "lateral_eye", "muscle", "mains",
})  # fmt: skip
"""Kinds seen often enough that their absence can be asked about; of others it goes without saying."""
_ASKED_BANDS = ("delta", "theta", "alpha", "beta")
MAX_SHARE_OF_TOP = 1 / 3
"""A band offered as the strongest in error has at most this share of the strongest's power, so that
no other way of taking the bands makes it right."""

MIN_TOPICS = 2
"""Facts that a question joins; a page with fewer is not asked about."""

_STEMS = (
    "Which pair of statements fits this page?",
    "Which option describes this page correctly?",
    "Only one option agrees with the page in both parts. Which one?",
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A true statement, its opposite, the fact keys of both and a sentence that explains.

    ``group`` is ``seen``, ``unseen`` or ``measured``; ``topic`` is the kind or measure it is about.
    """

    true: str
    false: str
    keys: tuple[str, ...]
    why: Said
    group: str
    topic: str


def write_question(payload: Payload, seed: int) -> dict[str, Any]:
    """Write one question with one right and three wrong options and its explanation.

    Raises
    ------
    ValueError
        If the payload holds fewer than two facts to make statements of.
    """
    statements = list(statements_of(payload, seed))
    if len({s.topic for s in statements}) < MIN_TOPICS:
        raise ValueError("a question joins two statements; this page's facts give fewer")
    first = _picked(statements, seed, "first")
    second = _picked([s for s in statements if s.topic != first.topic], seed, "second")

    def option(one: str, other: str) -> dict[str, Any]:
        text = f"{one[0].upper()}{one[1:]}; {other}."
        return {"text": text, "facts": list(dict.fromkeys((*first.keys, *second.keys)))}

    return {
        "question": words.pick(_STEMS, seed, "", "stem"),
        "right": option(first.true, second.true),
        "wrong": [
            option(first.true, second.false),
            option(first.false, second.true),
            option(first.false, second.false),
        ],
        "explanation": [
            {"text": text, "facts": list(keys)} for text, keys in (first.why, second.why)
        ],
    }


def _picked(statements: Sequence[Statement], seed: int, key: str) -> Statement:
    """Pick a group first, so that what is seen is asked about as often as what is not."""
    groups = sorted({s.group for s in statements})
    group = words.pick(groups, seed, "", f"{key}-group")
    return words.pick([s for s in statements if s.group == group], seed, "", key)


def statements_of(payload: Payload, seed: int = 0) -> Iterator[Statement]:
    """Yield the statements that a question about a page may join, each with its opposite."""
    yield from _of_findings(payload, seed)
    yield from _of_judgements(payload)
    yield from _of_spectrum(payload, seed)
    yield from _of_energy(payload, seed)


def _of_findings(payload: Payload, seed: int) -> Iterator[Statement]:
    told = set()
    for entry in payload["findings"]:
        kind, keys = entry["kind"], (entry["key"],)
        why = (finding_sentence(entry), [entry["key"]])
        if kind in told:
            continue
        told.add(kind)
        if kind not in _BANAL:
            noun = words.several(kind)
            shown = " ".join(filter(None, (entry["hedge"], noun)))
            yield Statement(
                f"{shown} on the page", f"no {noun} on the page", keys, why, "seen", kind
            )
        if kind == "asymmetry" and entry["side"] in {"left", "right"}:
            other = {"left": "right", "right": "left"}[entry["side"]]
            form = "asymmetry, larger on the {}"
            yield Statement(form.format(entry["side"]), form.format(other), keys, why, "seen", kind)
        if KINDS[kind].family == "background" and "frequency_hz" in entry:
            yield _frequency(entry, why, seed)


def _frequency(entry: Mapping[str, Any], why: Said, seed: int) -> Statement:
    measured = entry["frequency_hz"]
    is_up = measured < SHIFT_HZ + 1.0 or words.number(seed, entry["kind"], "shift") % 2 == 0
    other = measured + SHIFT_HZ if is_up else measured - SHIFT_HZ
    form = f"{KINDS[entry['kind']].noun} of {{}}"
    true, false = form.format(words.hz(measured)), form.format(words.hz(other))
    return Statement(true, false, (entry["key"],), why, "seen", entry["kind"])


def _of_judgements(payload: Payload) -> Iterator[Statement]:
    for entry in payload["judgements"]:
        kind = entry["kind"]
        if kind not in _ASKED_ABSENT:
            continue
        noun, keys = words.several(kind), (entry["key"],)
        if entry["verdict"] == "absent":
            why = (f"No {noun} on this page.", [entry["key"]])
            yield Statement(
                f"no {noun} on the page", f"{noun} on the page", keys, why, "unseen", kind
            )
        elif entry["verdict"] == "not_judged":
            why = (f"{noun[0].upper()}{noun[1:]} could not be judged.", [entry["key"]])
            true, false = f"{noun} could not be judged", f"no {noun} on the page"
            yield Statement(true, false, keys, why, "unseen", kind)


def _of_spectrum(payload: Payload, seed: int) -> Iterator[Statement]:
    if "spectrum" not in payload:
        return
    powers = {entry["band"]: entry["power_uv2"] for entry in payload["spectrum"]["bands"]}
    top = payload["spectrum"]["highest_power_band"]
    weak = [b for b in _ASKED_BANDS if b in powers and powers[b] < MAX_SHARE_OF_TOP * powers[top]]
    if not weak:
        return
    form = "{} has the highest power"
    true = form.format(words.band_word(top))
    false = form.format(words.band_word(words.pick(weak, seed, top, "band")))
    why = spectrum_sentences(payload, seed)[0]
    yield Statement(true, false, ("spectrum",), why, "measured", "spectrum")


def _of_energy(payload: Payload, seed: int) -> Iterator[Statement]:
    if "energy" not in payload:
        return
    energy = payload["energy"]
    low = [name for tier in energy["tiers"] if tier["tier"] == "low" for name in tier["channels"]]
    if not low:
        return
    name, form = energy["highest_channel"], "the highest energy lies at {}"
    true, false = form.format(name), form.format(words.pick(low, seed, name, "channel"))
    why = (f"The highest energy lies at {name}.", ["energy"])
    yield Statement(true, false, ("energy",), why, "measured", "energy")
