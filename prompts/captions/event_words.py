"""Sentences about events: one, several, or set aside behind something stronger.

A sentence is a text with the ids behind it. ``captions`` puts these sentences in order;
``grounding`` checks them. Form follows ``clinical.md`` 13.2: number, unit, place and time in one
clause ("Sharp wave, 110 ms, 85 uV peak-to-peak, maximum at T7, at 3.4 s").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detectors.epileptiform.periodic import KINDS_HERE as ACNS_KINDS
from detectors.epileptiform.periodic import acns_name
from detectors.types import CANONICAL19
from detectors.vocabulary import KINDS, region_of, side_of
from prompts import words
from prompts.facts.findings import FindingFact
from prompts.facts.page import PageFacts

MAX_SINGLE = 3
"""Events of one kind told one by one; more are told together (engineering default)."""

FOCAL_FAMILY = "epileptiform"
"""The family whose leading channel is the maximum and whose others are its field."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, its section, and the ids of everything it claims."""

    text: str
    section: str
    evidence: tuple[str, ...]


def event_sentences(facts: PageFacts, kind: str, section: str, seed: int) -> list[Sentence]:
    """Tell the events of one kind: one by one while they are few, together when many."""
    found = facts.of_kind(kind)
    if not found:
        return []
    if len(found) > MAX_SINGLE:
        return [Sentence(_together(facts, found, seed), section, facts.evidence_of(kind))]
    judged = facts.evidence_of(kind)[len(found) :]
    sentences = []
    for i, f in enumerate(found):
        evidence = (f.finding_id, *judged)
        sentences.append(Sentence(single(facts, f, seed, str(i)), section, evidence))
        field = _dipole(facts, f, seed, str(i)) if section == FOCAL_FAMILY else ""
        if field:
            sentences.append(Sentence(field, section, evidence))
    return sentences


def single(facts: PageFacts, finding: FindingFact, seed: int, key: str) -> str:
    """Tell one finding in one sentence."""
    kind = KINDS[finding.kind]
    is_mass = kind.noun == kind.plural
    hedge = words.hedge(finding)
    if finding.count > 1 and not is_mass:
        bare = counted = " ".join(filter(None, (str(finding.count), hedge, kind.plural)))
        verb = "are"
    else:
        bare = f"{hedge} {kind.noun}".strip()
        counted, verb = bare if is_mass else words.article(bare), "is"
    numbers = _numbers(finding)
    listed, placed = _place(facts, finding)
    if finding.count > 1 and not finding.is_whole_page:
        when = f"from {words.moment(finding.t0_s)} to {words.moment(finding.t1_s)} s"
    else:
        when = words.when(finding)
    frame = words.pick(
        (
            "{parts}.",
            "{counted}{bracketed} {verb} seen{placed} {when}.",
            "{when} there {verb} {counted}{bracketed}{placed}.",
            "There {verb} {counted}{bracketed}{placed} {when}.",
            "{counted}{bracketed}{placed}, {when}.",
        ),
        seed, facts.segment_id, f"{finding.kind}-{key}",
    )  # fmt: skip
    text = frame.format(
        parts=", ".join(filter(None, (bare, *numbers, listed, when))),
        counted=counted, verb=verb, when=when,
        bracketed=f" ({', '.join(numbers)})" if numbers else "",
        placed=f" {placed}" if placed else "",
    )  # fmt: skip
    return text[0].upper() + text[1:]


_DIPOLE_FRAMES = (
    "The {noun} {when} is negative at {negative} and positive at {positive}, a {form} dipole.",
    "The {noun} {when} is most negative at {negative} and most positive at {positive} ({form} dipole).",
    "Dipole of the {noun} {when}: negative at {negative}, positive at {positive}, {form}.",
    "Field of the {noun} {when}: {form} dipole, negative at {negative}, positive at {positive}.",
    "The {form} dipole of the {noun} {when} is negative at {negative} and positive at {positive}.",
)


def dipole(finding: FindingFact) -> Mapping[str, str]:
    """Return the electrodes of a discharge's poles by sign, and its form; empty if not measured.

    Electrodes stand in the names of the measures (``detectors.epileptiform.localisation``).
    """
    parts = {}
    for name, _, _ in finding.measures:
        if name.startswith(_POLE_STARTS):
            what, _, tail = name.rpartition("_")
            parts[_POLES[what]] = tail
    return parts if len(parts) == len(_POLES) else {}


_POLES = {"negative_pole": "negative", "positive_pole": "positive", "dipole": "form"}
_POLE_STARTS = tuple(f"{what}_" for what in _POLES)


def _dipole(facts: PageFacts, finding: FindingFact, seed: int, key: str) -> str:
    parts = dipole(finding)
    if not parts:
        return ""
    frame = words.pick(_DIPOLE_FRAMES, seed, facts.segment_id, f"dipole-{finding.kind}-{key}")
    return frame.format(noun=KINDS[finding.kind].noun, when=words.when(finding), **parts)


def masked_sentences(facts: PageFacts, seed: int = 0) -> list[Sentence]:
    """Say what something stronger hides, one sentence per pair of kinds.

    Candidates that were pruned for want of support are not said: nobody claims them. They stay in
    the table with the reason.
    """
    kinds_by_id = {f.finding_id: f.kind for f in (*facts.findings, *facts.masked)}
    groups: dict[tuple[str, str], list[FindingFact]] = {}
    for finding in facts.masked:
        hider = kinds_by_id.get(finding.masked_by, "")
        if hider:
            why = f"overlapped by {KINDS[hider].noun}"
            groups.setdefault((finding.kind, why), []).append(finding)
    sentences = []
    for (kind, why), found in groups.items():
        names = tuple(dict.fromkeys(name for f in found for name in f.channels))
        at = f" at {words.channels(names, facts.recorded)}" if names else ""
        n = f"{len(found)} " if KINDS[kind].noun != KINDS[kind].plural else ""
        noun = f"{KINDS[kind].noun} {'candidate' if len(found) == 1 else 'candidates'}"
        hiders = (f.masked_by for f in found)
        evidence = tuple(dict.fromkeys((*(f.finding_id for f in found), *hiders)))
        frame = words.pick(_ASIDE_FRAMES, seed, facts.segment_id, f"aside-{kind}")
        text = frame.format(what=f"{n}{noun}{at}", why=why)
        sentences.append(Sentence(text, "limits", evidence))
    return sentences


_ASIDE_FRAMES = (
    "Set aside: {what} ({why}).",
    "Set aside on this page: {what} ({why}).",
    "On this page, set aside: {what} ({why}).",
    "To be set aside: {what} ({why}).",
    "Set aside from this page: {what} ({why}).",
)
_TOGETHER_FRAMES = (
    "{head}, {rest}.",
    "{head}: {rest}.",
    "{head} {verb} seen, {rest}.",
    "There {verb} {head}, {rest}.",
    "On this page there {verb} {head}, {rest}.",
)


def _together(facts: PageFacts, found: Sequence[FindingFact], seed: int) -> str:
    kind = KINDS[found[0].kind]
    names = tuple(dict.fromkeys(name for f in found for name in f.channels))
    n_events = sum(f.count for f in found)
    loudest = max(found, key=lambda f: f.amplitude_uv or 0.0)
    hedges = {words.hedge(f) for f in found}
    hedge = hedges.pop() if len(hedges) == 1 else ""
    is_mass = kind.noun == kind.plural
    head = kind.noun if is_mass else f"{n_events} {hedge} {kind.plural}"
    parts = []
    if loudest.amplitude_uv is not None:
        parts.append(f"largest {words.voltage(loudest)}")
    if names:
        parts.append(f"at {words.channels(names, facts.recorded)}")
    if found[0].kind in words.TRANSIENTS:
        parts.append(words.times(found))
    else:
        first, last = min(f.t0_s for f in found), max(f.t1_s for f in found)
        parts.append(f"between {words.moment(first)} and {words.moment(last)} s")
    frame = words.pick(_TOGETHER_FRAMES, seed, facts.segment_id, f"together-{found[0].kind}")
    text = frame.format(
        head=" ".join(head.split()), rest=", ".join(parts), verb="is" if is_mass else "are"
    )
    return f"{text[0].upper()}{text[1:]}"


def _numbers(finding: FindingFact) -> list[str]:
    numbers = []
    if finding.frequency_hz is not None:
        numbers.append(words.hz(finding.frequency_hz))
    is_timed = finding.kind in words.TRANSIENTS or KINDS[finding.kind].family == "sleep"
    if is_timed and finding.count == 1 and not finding.is_whole_page:
        numbers.append(words.duration(finding.duration_s))
    if finding.amplitude_uv is not None:
        numbers.append(words.voltage(finding))
    if finding.kind in ACNS_KINDS and finding.value("acns_frequency_hz") is not None:
        numbers.append(acns_name(finding.kind, {name: v for name, v, _ in finding.measures}))
        if finding.value("evolving"):
            # readers agree on evolution in a fifth of short clips (clinical.md 7.1)
            numbers.append("possible evolution")
    return numbers


def _place(facts: PageFacts, finding: FindingFact) -> tuple[str, str]:
    """Write where: for a list of properties, and inside a sentence."""
    names = finding.channels
    if not names:
        return "", ""
    where = _where(finding)
    if KINDS[finding.kind].family == FOCAL_FAMILY:
        notes = [where] if where else []
        if names[1:]:
            notes.append(f"field {words.channels(names[1:], ())}")
        bracket = f" ({'; '.join(notes)})" if notes else ""
        kind = KINDS[finding.kind]
        owner = "its" if finding.count == 1 or kind.noun == kind.plural else "their"
        return f"maximum at {names[0]}{bracket}", f"with {owner} maximum at {names[0]}{bracket}"
    spread = words.channels(names, facts.recorded)
    is_small = len(names) <= words.MAX_LISTED
    at = f"at {spread} ({where})" if where and is_small else f"at {spread}"
    return at, at


def _where(finding: FindingFact) -> str:
    """Name side and region; those of the maximum, or the ones all channels share.

    A maximum at O1 is not bilateral and one at Pz not left, however far the field goes.
    """
    if not finding.region:
        return ""
    regions = {region_of(name) for name in finding.channels if name in CANONICAL19}
    is_focal = KINDS[finding.kind].family == FOCAL_FAMILY
    region = finding.region if is_focal or regions == {finding.region} else ""
    lead = finding.channels[0]
    is_sided = not is_focal or lead not in CANONICAL19 or side_of(lead) == finding.side
    return f"{finding.side if is_sided else ''} {region}".strip()
