"""Answers of a dialogue: yes, no, a name, a side, applied to what was asked (rule 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from prompts.reading import cues
from prompts.reading.bands import read_bands
from prompts.reading.events import read_events
from prompts.reading.findings import Finding
from prompts.reading.measures import measures_of
from prompts.reading.records import Claim
from prompts.reading.scope import hedge_of
from prompts.reading.state import State
from prompts.reading.tokens import Item


def apply_answer(items: list[Item], state: State) -> list[Item]:
    """Apply "no", "none", "yes" at the start of an answer to what was asked; return the rest."""
    first = items[0]
    asked = [f for f in state.asked if f.is_asked]
    if first.t in cues.NO and (
        len(items) == 1 or items[1].t in cues.PAUSES or first.t in ("none",)
    ):
        for finding in asked:
            denied = _again(finding, state)
            denied.is_absent, denied.hedge = not finding.is_absent, "none"
        _other_side(items, state)
        if any("lim" in i.m for i in items):
            state.asked_claims = []
        _answer_claims(state, is_yes=False)
        return items[2:] if len(items) > 1 and items[1].t in cues.PAUSES else items[1:]
    if first.t in cues.YES and (len(items) == 1 or items[1].t in cues.PAUSES_AND):
        rest = items[2:]
        names = any("L" in i.m for i in rest)
        if not any("cmp" in i.m or "trend" in i.m for i in rest):
            _answer_claims(state, is_yes=True)
        for finding in asked:
            if finding.label or not names:
                _again(finding, state)
        return rest
    if first.t in cues.PERHAPS and asked:
        for finding in asked:
            _again(finding, state).hedge = first.m["hedge"]
        return items[2:] if len(items) > 1 and items[1].t == "," else items[1:]
    return items


def from_artifact(items: list[Item], artifact: Item) -> list[Item]:
    """Return the items from an artifact on, with the "because of" before it."""
    at = items.index(artifact)
    while at and (
        "hides" in items[at - 1].m
        or "hedge" in items[at - 1].m
        or items[at - 1].t in ("the", "an", "a", "repeated")
    ):
        at -= 1
    return items[at:]


def answer_with_name(items: list[Item], state: State) -> bool:
    """Answer "which channel", "which band" with the name alone."""
    kind, band, word = state.asked_type or ("", None, None)
    names = tuple(dict.fromkeys(i.m["C"] for i in items if "C" in i.m))
    bands = [i.m["B"] for i in items if "B" in i.m]
    span = state.text[items[0].s : items[-1].e]
    hedge = hedge_of(items)
    state.asked_type = None
    if kind == "band_power_rank" and bands:
        state.claim(Claim(kind, band=bands[0], value=word, hedge=hedge, span=span))
        state.band_topic = bands[0]
        return not any("Q" in i.m or "follow" in i.m for i in items) or read_bands(
            [i for i in items if "rank" not in i.m], state
        )
    if kind in ("highest_channel", "energy_tier") and (names or kind == "energy_tier"):
        found = measures_of(items)
        if not found.has_place:
            return False
        state.claim(
            Claim(
                kind, band=band, value=word, channels=names, side=found.side, region=found.region,
                hedge=hedge, span=span,
            )
        )  # fmt: skip
        state.topic = [
            Finding("event", is_generic=True, is_claimed=False, is_asked=True, channels=list(names))
        ]
        state.energy_topic = True
        artifacts = [i for i in items if "L" in i.m and i.m["L"][0] == "artifact"]
        if artifacts:
            read_events(from_artifact(items, artifacts[0]), state)
        return True
    return False


def _other_side(items: Sequence[Item], state: State) -> None:
    """Read "No, on the right, by 40 %" as the comparison that was asked, the other way round."""
    asked = next((c for c in state.asked_claims if c.type == "asymmetry" and c.side), None)
    sides = [i.m["S"] for i in items if i.m.get("S") in ("left", "right")]
    if asked is None or not sides or any("L" in i.m or "B" in i.m for i in items):
        return
    percents = measures_of(items).percents
    state.asked_claims.remove(asked)
    state.out.append(
        replace(
            asked,
            side=sides[0],
            value=percents[0] if percents else None,
            unit="percent" if percents else None,
        )
    )


def _answer_claims(state: State, *, is_yes: bool) -> None:
    """Make asked statements claims, or their denial."""
    for claim in state.asked_claims:
        flipped = "absent" if claim.polarity == "present" else "present"
        said = claim if is_yes else replace(claim, polarity=flipped, hedge="none")
        state.out.append(said)
        state.answered.append(said)
    state.asked_claims = []


def _again(finding: Finding, state: State) -> Finding:
    """Make an asked finding a claim, at this place in the order of reading."""
    if finding in state.out:
        state.out.remove(finding)
    finding.is_asked = False
    finding.is_claimed = True
    state.out.append(finding)
    state.topic = [finding]
    return finding
