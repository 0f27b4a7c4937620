"""Reading a suppressed or low-voltage background, by word or by its ceiling in uV (rule 13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from prompts.reading import cues
from prompts.reading.measures import PAGE_S, Measures, measures_of
from prompts.reading.records import Claim, Value
from prompts.reading.scope import hedge_of, is_negated, is_pronoun
from prompts.reading.state import State
from prompts.reading.tokens import Item

LOW_VOLTAGE_UV = 20
"""A ceiling of the whole background at or below it is suppression (rule 13)."""
_OF_ALL = frozenset(("everything", "voltage", "background", "attenuation"))
_THEN = frozenset(("then", "thereafter", "afterwards"))
_LOW_WORDS = frozenset(("low", "voltage", "low voltage"))


def read_suppression(items: list[Item], state: State) -> tuple[bool, list[Item]]:
    """Read a low background; return whether there was one, and the items left for findings."""
    if not items:
        return False, items
    kinds = {kind for item in items for kind in item.m}
    word = _word(items, kinds)
    if (
        "B" in kinds
        or ("L" in kinds and word != "suppressed")
        or (word is None and "Q" not in kinds)
    ):
        return False, items
    found = measures_of(items)
    ceiling = _ceiling(found)
    if word is None and (ceiling is None or not _is_of_background(items, kinds, found, state)):
        return False, items
    if found.side and _compares(items, is_ceiling=ceiling is not None):
        return False, items
    at = next(
        (k for k, i in enumerate(items) if i.t in cues.SUPPRESSED or i.t in ("low", "flat")), 0
    )
    is_absent = ceiling is None and is_negated(items, at)
    if is_absent and found.amplitudes:
        state.claim(Claim("suppression", value=word, polarity="absent", span=_span(items, state)))
        return True, [i for i in items if i.t not in _LOW_WORDS and "neg" not in i.m]
    value = found.amplitudes[0] if found.amplitudes and not is_absent else None
    if not _completes_last(items, value, state):
        _claim(items, found, word if value is None else value, is_absent, state)
    return True, []


def _span(items: Sequence[Item], state: State) -> str:
    return state.text[items[0].s : items[-1].e]


def _word(items: Sequence[Item], kinds: set[str]) -> str | None:
    """Return ``suppressed`` or ``low_voltage`` where the words say so."""
    found = None
    for k, item in enumerate(items):
        after = items[k + 1] if k + 1 < len(items) else item
        if item.t in cues.SUPPRESSED and item.t != "attenuated":
            return "suppressed"
        if item.t == "flat" and "R" in after.m and "C" not in kinds:
            return "suppressed"
        if item.t == "low":
            near = items[max(0, k - 3) : k + 3]
            if any("amp" in i.m and "power" not in i.m for i in near):
                found = "low_voltage"
    return found


def _ceiling(found: Measures) -> Value:
    for value in found.amplitudes:
        if isinstance(value, tuple) and value[0] == 0 and (value[1] or 0) <= LOW_VOLTAGE_UV:
            return value
    return None


def _is_of_background(
    items: Sequence[Item], kinds: set[str], found: Measures, state: State
) -> bool:
    """Whether a low ceiling is that of the whole background and not of one finding."""
    if found.channels or found.side or found.regions not in ([], ["generalised"]):
        return False
    if not state.topic:
        return True
    topic = state.topic[0]
    is_its = topic.type in ("event", "artifact") and (is_pronoun(items) or not state.new_sentence)
    if is_its and not any(i.t in _OF_ALL for i in items):
        return False
    is_voltage = "amp" in kinds or state.topic_is_voltage() or topic.is_absent
    return is_voltage or any(i.t in cues.SUBJECTS for i in items)


def _compares(items: Sequence[Item], *, is_ceiling: bool) -> bool:
    if any(i.t in ("compared", "than") for i in items):
        return True
    return not is_ceiling and any("cmp" in i.m for i in items)


def _completes_last(items: Sequence[Item], value: Value, state: State) -> bool:
    """Let a number complete "low voltage" just told, and drop a mere repetition."""
    last = state.out[-1] if state.out else None
    if not isinstance(last, Claim) or last.type != "suppression":
        return False
    is_same = is_pronoun(items) or not state.new_sentence or value is None
    if not is_same and isinstance(last.value, str):
        return False
    if value is not None and isinstance(last.value, str):
        state.out[-1] = replace(last, value=value, unit="uV")
    return True


def _claim(
    items: Sequence[Item], found: Measures, value: Value, is_absent: bool, state: State
) -> None:
    times = found.times
    before = state.topic[0].times[-1][1] if state.topic and state.topic[0].times else None
    if before is not None and any(i.t in _THEN for i in items):
        times = [(before, times[0][1] if times else PAGE_S)]
    claim = Claim(
        "suppression", value=value, unit=None if isinstance(value, str) else "uV",
        channels=tuple(found.channels), side=found.side, region=found.region,
        polarity="absent" if is_absent else "present", hedge=hedge_of(items),
        span=_span(items, state),
    )  # fmt: skip
    for t0, t1 in times:
        state.claim(replace(claim, t0=t0, t1=t1))
        state.last_time = (t0, t1)
    if not times:
        state.claim(claim)
