"""Reading findings: events, artifacts, rhythms, voltages of the background.

Each segment's place, time and numbers go to its findings. A clause that names nothing adds to the
finding told before (``references``). How a clause is cut is in ``segments``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from prompts.reading import cues
from prompts.reading.findings import Finding, settle
from prompts.reading.measures import Measures, measures_of
from prompts.reading.references import (
    continues,
    extend,
    identify,
    join_asked_place,
    same_as,
    shift_time,
)  # fmt: skip
from prompts.reading.scope import hedge_of, is_negated, is_pronoun
from prompts.reading.segments import Segment, merges, split_segments, spread_parts
from prompts.reading.state import State
from prompts.reading.tokens import Item

_SLOWING_LABELS = frozenset(("focal_slowing", "generalised_slowing"))
_ITS_RATE = ("frequency", "peak frequency", "component")


def read_events(items: Sequence[Item], state: State) -> bool:
    """Read the findings of a clause into the state; say whether there were any.

    Parameters
    ----------
    items
        The clause, without what other readers took.
    state
        What was read so far.
    """
    segments = split_segments(items)
    did = False
    for segment in segments:
        did = _read_segment(segment, state) or did
    if state.is_asking and len(segments) == 2 and len(state.asked) >= 2 and segments[0].heads:
        subject, predicate = state.asked[-2:]
        predicate.copy_place(subject)
        state.asked = [predicate]
        state.topic = [predicate]
    return did


def _read_segment(segment: Segment, state: State) -> bool:
    items = segment.items
    if (
        len(segment.heads) > 1
        and segment.heads[0].m.get("L", "")[1:3] == (None, None)
        and _is_header(items)
    ):
        segment.heads.pop(0)
    labels = [h for h in segment.heads if "L" in h.m]
    bands = [h for h in segment.heads if "B" in h.m]
    is_transient = any(h.m["L"][1] in cues.TRANSIENT_LABELS for h in labels)
    found = measures_of(items, is_transient=is_transient, has_names=False)
    if not segment.heads:
        return _read_headless(items, found, state)
    if bands and not labels and _is_of_slowing(items, found, state):
        topic = state.topic[0]
        topic.band, topic.is_band_named = bands[0].m["B"], True
        found.give(topic)
        return True
    heads = labels or bands
    if not labels or labels[0].m["L"][1] is not None:
        parts = spread_parts(items)
        if parts:
            return _read_parts(parts, heads, state)
    group = [_finding_of(head, items) for head in heads]
    if labels and bands and all(merges(h, b) for h in labels for b in bands):
        for finding in group:
            finding.band, finding.is_band_named = bands[0].m["B"], True
    _relate(segment, group, found, state)
    _attach(group, items, found, state)
    return True


def _is_header(items: Sequence[Item]) -> bool:
    return any(i.m.get("sep") == ":" for i in items[1:3])


def _is_of_slowing(items: Sequence[Item], found: Measures, state: State) -> bool:
    """Whether "theta 5 Hz" only says more of the slowing just named."""
    if state.new_sentence or not state.topic or found.has_place or len(items) > 6:
        return False
    topic = state.topic[0]
    if topic.band is not None or topic.is_absent:
        return False
    return topic.label in _SLOWING_LABELS or topic.word == "slowing"


def _finding_of(head: Item, items: Sequence[Item]) -> Finding:
    at = items.index(head)
    finding = _labelled(head) if "L" in head.m else _banded(head, items, at)
    finding.is_absent = is_negated(items, at)
    finding.hedge = hedge_of(items)
    finding.span = (items[0].s, items[-1].e)
    return finding


def _labelled(head: Item) -> Finding:
    kind, label, word, regions = head.m["L"]
    finding = Finding(kind, label, word, is_place_open=head.t == "dominant rhythm")
    finding.regions = list(regions)
    if label == "posterior_rhythm":
        finding.said_regions = list(regions)
        if "alpha" in head.t:
            finding.band, finding.is_band_named = "alpha", True
    elif label == "beta_excess":
        finding.band = "beta"
    elif word == "rhythmic_delta":
        finding.band = "delta"
    return finding


def _banded(head: Item, items: Sequence[Item], at: int) -> Finding:
    finding = Finding("rhythm", band=head.m["B"], is_band_named=True)
    finding.is_rhythmic = any(i.t in cues.RHYTHMIC for i in items)
    before = items[at - 1].t if at else ""
    if before in ("high", "low"):
        finding.amplitudes.append(before)
        finding.is_claimed = False
    return finding


def _relate(segment: Segment, group: list[Finding], found: Measures, state: State) -> None:
    """Let a wave that follows another stand where that one does; mark what is given another name."""
    if not state.topic:
        return
    topic = state.topic[0]
    if segment.relation == "with" and topic.type != "rhythm":
        if not found.has_time and not found.has_place:
            for finding in group:
                finding.copy_place(topic)
                finding.times = finding.times or topic.single_times[-1:]
    elif (
        segment.relation == "ident"
        and topic.type in ("event", "artifact")
        and not group[0].is_absent
    ):
        topic.is_generic, topic.word = True, None


def _attach(group: list[Finding], items: Sequence[Item], found: Measures, state: State) -> None:
    """Give measures to new findings, or to the earlier one they turn out to be."""
    first = group[0]
    earlier = same_as(state, first, items) if len(group) == 1 else None
    if earlier is not None:
        found.give(earlier)
        earlier.is_asked = False
        if first.hedge != "none":
            earlier.hedge = first.hedge
        state.topic = [earlier]
        return
    shift_time(state, items, found)
    if _is_bare_band(first, items, found, state):
        return
    for finding in group:
        found.give(finding)
    identify(state, group, items)
    for finding in group:
        state.add(finding)
    state.topic = group


def _is_bare_band(first: Finding, items: Sequence[Item], found: Measures, state: State) -> bool:
    """Whether a band among statements of power is named without saying anything of it."""
    if first.type != "rhythm" or first.label is not None or first.is_absent or first.amplitudes:
        return False
    at = next((k for k, i in enumerate(items) if "B" in i.m), len(items))
    if at + 1 < len(items) and "N" in items[at + 1].m and "Q" not in items[at + 1].m:
        return True
    return bool(state.band_topic) and found.is_empty and not any("R" in i.m for i in items)


def _read_parts(parts: list[list[Item]], heads: list[Item], state: State) -> bool:
    """Read each part as a finding of its own, all of one kind."""
    topic = state.topic[0] if state.topic else None
    made: list[Finding] = []
    for part in parts:
        found = measures_of(part, is_transient=True)
        is_voltage = bool(found.amplitudes)
        if heads:
            finding = _finding_of(heads[0], [heads[0], *part])
        elif (
            topic is not None
            and topic.type != "voltage"
            and not (is_voltage and state.new_sentence)
        ):
            finding = topic.namesake()
            finding.is_claimed = not is_voltage
        else:
            finding = Finding("voltage" if is_voltage else "rhythm", is_claimed=not is_voltage)
        finding.span = (part[0].s, part[-1].e)
        found.give(finding)
        state.add(finding)
        made.append(finding)
    state.topic = made
    return True


def _read_denial(items: Sequence[Item], found: Measures, state: State) -> bool:
    """Read "on the right there are none", "not a single one at P7": the last finding, denied."""
    if not state.topic or any("G" in i.m for i in items) or not _denies(items, found):
        return False
    for old in list(state.topic):
        settle(old)
        is_named = old.label or old.word or old.band or old.type == "artifact"
        if old.type == "voltage" or not is_named:
            continue
        denied = old.namesake()
        denied.is_absent, denied.span = True, (items[0].s, items[-1].e)
        found.give(denied)
        denied.count, denied.frequencies, denied.amplitudes = None, [], []
        if old.is_asked and not found.has_place:
            denied.copy_place(old)
        state.add(denied)
        denied.is_asked = state.is_asking or state.is_hypothetical
    return True


def _denies(items: Sequence[Item], found: Measures) -> bool:
    is_one = any(i.t in ("such", "one", "ones") for i in items)
    if any(i.t in cues.NONE or ("neg" in i.m and is_one) for i in items):
        return True
    return found.has_place and not found.frequencies and is_pronoun(items) and is_negated(items, 0)


def _read_headless(items: Sequence[Item], found: Measures, state: State) -> bool:
    """Read a clause without a head: more of the last finding, a bare rhythm, a voltage."""
    if _read_denial(items, found, state):
        return True
    parts = spread_parts(items)
    if parts:
        return _read_parts(parts, [], state)
    shift_time(state, items, found)
    if _read_rhythm(items, found, state):
        return True
    if continues(state, items, found):
        for finding in state.topic:
            extend(state, finding, items, found)
        return True
    return _read_unnamed(items, found, state)


def _read_rhythm(items: Sequence[Item], found: Measures, state: State) -> bool:
    """Read a frequency as a rhythm of its own, unless it is the frequency of the last finding."""
    noun = next((i for i in items if "R" in i.m), None)
    if not found.frequencies or (noun is None and continues(state, items, found)):
        return False
    topic = state.topic[0] if state.topic else None
    is_its = topic is not None and not topic.is_generic and "pron" in items[0].m
    if is_its and noun is not None and noun.t in _ITS_RATE:
        return False
    finding = Finding("rhythm", span=(items[0].s, items[-1].e))
    finding.is_generic = noun is None and any("G" in i.m for i in items)
    finding.is_rhythmic = any(i.t in cues.RHYTHMIC for i in items)
    at = next((k for k, i in enumerate(items) if "Q" in i.m and i.m["Q"][0] == "Hz"), 0)
    finding.is_absent = is_negated(items, at)
    finding.hedge = hedge_of(items)
    is_next = topic is not None and topic.label == "flat" and items[0].t == "then"
    if topic is not None and (is_next or is_pronoun(items) or _is_in_it(items)):
        finding.copy_place(topic)
        finding.times = [] if found.has_time else finding.times
    found.give(finding)
    join_asked_place(state, finding)
    state.add(finding)
    state.topic = [finding]
    return True


def _is_in_it(items: Sequence[Item]) -> bool:
    pairs = itertools.pairwise(items)
    return any(a.t in ("in", "at", "over") and b.t in ("it", "them") for a, b in pairs)


def _read_unnamed(items: Sequence[Item], found: Measures, state: State) -> bool:
    """Keep a deflection, a voltage or a place, for later clauses to say what it is of."""
    span = (items[0].s, items[-1].e)
    is_tracing = any(i.t in ("tracing", "record") for i in items) and found.has_time
    if is_tracing or any("G" in i.m for i in items):
        finding = Finding("event", is_generic=True, is_claimed=False, span=span)
    elif found.amplitudes:
        finding = Finding("voltage", is_claimed=False, span=span)
    elif state.is_asking and found.has_time:
        state.asked_place = Finding("event", is_generic=True, is_claimed=False)
        found.give(state.asked_place)
        return False
    elif found.has_place and not state.topic:
        finding = Finding("event", is_generic=True, is_claimed=False)
        found.give(finding)
        state.topic = [finding]
        return False
    else:
        return False
    found.give(finding)
    state.add(finding)
    state.topic = [finding]
    return finding.type == "voltage"
