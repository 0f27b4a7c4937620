"""Cutting a clause into segments, one per finding or list of findings.

Also lists that spread over places, as in "four at C3, one at C4". What a segment claims is read in
``events``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from prompts.reading import cues
from prompts.reading.tokens import Item

_FLAT = frozenset(("flat", "dead", "disconnected"))


@dataclass(slots=True)
class Segment:
    """Items about one finding, or about one list of findings."""

    items: list[Item] = field(default_factory=list)
    heads: list[Item] = field(default_factory=list)
    relation: str = ""


def split_segments(items: Sequence[Item]) -> list[Segment]:
    """Return the segments of a clause in order."""
    items = _with_flat(items)
    segments = [Segment()]
    for at, item in enumerate(items):
        segment = segments[-1]
        if _is_hz(item) and segment.heads and _starts_rhythm(items, at, segment.heads[-1]):
            then = [segment.items.pop()] if segment.items[-1].t == "then" else []
            segments.append(Segment([*then, item]))
        elif not is_head(item):
            segment.items.append(item)
        elif not segment.heads and _takes_up(segment.items):
            segments.append(Segment([item], [item], "with"))
        elif not segment.heads or _joins(segment, item):
            segment.items.append(item)
            segment.heads.append(item)
        else:
            segments.append(_next_segment(segment, item))
    return segments


def is_head(item: Item) -> bool:
    """Whether an item names a finding."""
    return "L" in item.m or "B" in item.m


def merges(last: Item, item: Item) -> bool:
    """Whether a band and a label next to each other are one thing ("theta slowing")."""
    label, band = (last, item) if "L" in last.m else (item, last)
    if not ("L" in label.m and "B" in band.m):
        return False
    kind, name, word, _ = label.m["L"]
    return name in cues.BANDED_LABELS or word in ("slowing", "rhythmic_delta") or kind == "rhythm"


def spread_parts(items: Sequence[Item]) -> list[list[Item]]:
    """Return the parts of "four at C3, one at C4" or "9 Hz R, 8 Hz L", each with number and place."""
    parts: list[list[Item]] = [[]]
    for item in items:
        last = parts[-1]
        is_end = item.m.get("sep") in cues.PART_SIGNS
        if is_end and any(_is_number(i) for i in last) and any(_is_place(i) for i in last):
            parts.append([])
        else:
            last.append(item)
    parts = [p for p in parts if p]
    kinds = {_part_kind(part) for part in parts}
    return parts if len(parts) > 1 and len(kinds) == 1 and "" not in kinds else []


def _with_flat(items: Sequence[Item]) -> Sequence[Item]:
    """Name a flat channel: "O2 flat", "Pz is flat" (not "flat background")."""
    if not any(i.t in _FLAT for i in items) or not any("C" in i.m for i in items):
        return items
    out = []
    for k, item in enumerate(items):
        after = items[k + 1].m if k + 1 < len(items) else {}
        if item.t in _FLAT and "R" not in after and "L" not in item.m:
            item = Item({"L": ("artifact", "flat", None, ())}, item.t, item.s, item.e)
        out.append(item)
    return out


def _is_hz(item: Item) -> bool:
    return "Q" in item.m and item.m["Q"][0] == "Hz"


def _next_segment(segment: Segment, head: Item) -> Segment:
    """Open a segment for a head, with the adjectives and numbers right before it."""
    last = segment.heads[-1]
    tail: list[Item] = []
    while segment.items[-1] is not last and _is_prenominal(segment.items[-1]):
        tail.insert(0, segment.items.pop())
    return Segment([*tail, head], [head], _relation(segment.items, last))


def _starts_rhythm(items: Sequence[Item], at: int, head: Item) -> bool:
    """Whether a bare frequency after an artifact begins a rhythm ("muscle T3 all page 9 Hz O1")."""
    if "L" not in head.m or head.m["L"][1] not in cues.WITHOUT_RATE:
        return False
    before = items[at - 1]
    return before.t == "then" or not {"C", "through", "sep", "Q"}.isdisjoint(before.m)


def _takes_up(before: Sequence[Item]) -> bool:
    """Whether what stands before a head is about an earlier finding ("it is followed by ...")."""
    if not before or not any(i.t in cues.FOLLOWED for i in before):
        return False
    if "pron" in before[0].m or any("Q" in i.m for i in before):
        return True
    return any(i.t in ("one", "latter", "ones") or "ord" in i.m for i in before[:4])


def _joins(segment: Segment, item: Item) -> bool:
    """Whether a head goes with the one before: one thing, or one list."""
    last = segment.heads[-1]
    if merges(last, item):
        return True
    between = segment.items[segment.items.index(last) + 1 :]
    if not between:
        return "L" in last.m and "L" in item.m
    is_joined = False
    for b in between:
        is_joined = is_joined or "sep" in b.m or "neg" in b.m or b.t in ("and", "or", "nor")
        is_passing = not {"sep", "neg", "R", "hedge"}.isdisjoint(b.m)
        if not is_passing and b.t not in cues.PRENOMINAL and b.t not in cues.BETWEEN_HEADS:
            return False
    return is_joined


def _is_prenominal(item: Item) -> bool:
    m = item.m
    if "sep" in m or "C" in m:
        return False
    if "Q" in m:
        return _is_hz(item)
    return not cues.PRENOMINAL_KINDS.isdisjoint(m) or item.t in cues.PRENOMINAL


def _relation(before: Sequence[Item], last: Item) -> str:
    for item in reversed(before):
        if item is last:
            break
        if "ident" in item.m or item.t in cues.AS_IDENTITY:
            return "ident"
        if item.t in cues.ACCOMPANIED:
            return "with"
    return ""


def _part_kind(part: list[Item]) -> str:
    """Return the unit of the one number of a part that has a place; times follow their channel."""
    numbers = [i for i in part if _is_number(i)]
    if len(numbers) != 1:
        return ""
    unit: str = numbers[0].m["Q"][0] if "Q" in numbers[0].m else "N"
    if unit != "s":
        return unit if any(_is_place(i) for i in part) else ""
    first = next((k for k, i in enumerate(part) if "C" in i.m), len(part))
    return unit if first < part.index(numbers[0]) else ""


def _is_number(item: Item) -> bool:
    if "Q" in item.m:
        return item.m["Q"][0] in ("Hz", "uV", "s") and not item.m.get("ms")
    return "N" in item.m


def _is_place(item: Item) -> bool:
    return not {"C", "P", "V"}.isdisjoint(item.m) or item.m.get("S") in ("left", "right")
