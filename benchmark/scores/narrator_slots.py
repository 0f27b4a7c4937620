"""Slots of a narrative: event, region, highest channel, high energy, dominant band, trend by band.

NeuroNarrator's Fact-F1 is called rule-based and not defined; this is the definition of ``systems.md``
6.13 written out, but for the low tier of energy: it is what is left, and no narrative lists it. The
true slots come from the template, not from the prose a teacher made of it; the
answer's are read by our own reader. One F1 a text over (slot, value) pairs, then the mean over texts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache

from detectors.types import CANONICAL19
from detectors.vocabulary import region_of
from prompts.reading.reader import read_claims
from prompts.reading.records import Claim

SLOT_NOTE = (
    "mean over texts of F1 over slot-value pairs; true slots from the template, the answer's read by "
    "our reader; our definition, the published Fact-F1 has none"
)
_POWERS = re.compile(r"^Band power.*?: (?P<powers>.+)\.$", re.MULTILINE)
_POWER = re.compile(r"([a-z][a-z-]*) (\d+(?:\.\d+)?)")
_SIGNS = {"increase": "up", "decrease": "down", "stable": "same", "consistently_low": "low"}
_SKIPPED = ("Labels:", "Band power", "Relative power", "Earlier pages")
"""Lines of the template that say no slot, or in numbers alone."""


def template_slots(template: str) -> tuple[str, ...]:
    """Return the true slots of a narrative's template, sorted.

    Parameters
    ----------
    template
        Column ``template`` of table ``narratives``.
    """
    lines = [line for line in template.splitlines() if not line.startswith(_SKIPPED)]
    found = {slot for line in lines for slot in text_slots(line.removeprefix("Events: "))}
    powers = _POWERS.search(template)
    if powers:
        measured = {band: float(power) for band, power in _POWER.findall(powers["powers"])}
        if measured:
            top = max(measured, key=measured.__getitem__)
            found.add(f"dominant_band={top.replace('-', '_')}")
    return tuple(sorted(found))


@lru_cache(maxsize=65536)
def text_slots(text: str) -> tuple[str, ...]:
    """Return the slots a text fills, as ``slot=value``, sorted and each once."""
    return tuple(sorted({slot for claim in read_claims(text) for slot in _slots(claim)}))


def _slots(claim: Claim) -> Iterator[str]:
    if claim.polarity != "present":
        return
    if claim.type in {"event", "artifact"}:
        name = claim.label or claim.value
        yield f"event={name}"
        yield from (f"region:{name}={region}" for region in _regions(claim))
    elif claim.type == "highest_channel" and claim.band is None:
        yield from (f"highest_channel={channel}" for channel in claim.channels[:1])
    elif claim.type == "energy_tier" and claim.band is None and claim.value == "high":
        yield from (f"high_energy={channel}" for channel in claim.channels)
    elif claim.band and _is_dominance(claim):
        yield f"dominant_band={claim.band}"
    elif claim.type == "band_trend" and claim.band:
        sign = next((sign for word, sign in _SIGNS.items() if word in str(claim.value)), "")
        if sign:
            yield f"trend:{claim.band}={sign}"


def _is_dominance(claim: Claim) -> bool:
    """Whether a band is said to lead, by its power or by the rhythm that stands out."""
    leads = (claim.type, claim.value) == ("band_power_rank", "highest")
    return leads or claim.type == "rhythm_frequency"


def _regions(claim: Claim) -> tuple[str, ...]:
    """Return where a claim is: the region of its first channel, else the regions it names."""
    if claim.channels and claim.channels[0] in CANONICAL19:
        return (region_of(claim.channels[0]),)
    return claim.regions


def narrative_f1(true: Collection[str], text: str) -> float:
    """Return F1 of one narrative; 0 where our reader finds no claim in it.

    An answer that says nothing is wrong, also of a page whose template fills no slot; one that says
    there what is absent fills no slot either and is right.
    """
    return slot_f1(true, text_slots(text)) if read_claims(text) else 0.0


def slot_f1(true: Collection[str], said: Collection[str]) -> float:
    """Return F1 of one text; 1 where both are empty."""
    total = len(set(true)) + len(set(said))
    return 2 * len(set(true) & set(said)) / total if total else 1.0
