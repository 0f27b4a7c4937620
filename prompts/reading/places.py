"""Where: channels, sides and regions of a row of items (rules 21 and 22).

Numbers and times are in ``measures``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from prompts.reading import cues
from prompts.reading.tokens import Item


@dataclass(slots=True)
class Place:
    """Channels, side and regions that a row of items names."""

    channels: list[str] = field(default_factory=list)
    side: str | None = None
    regions: list[str] = field(default_factory=list)


def place_of(items: Sequence[Item], *, has_names: bool = True) -> Place:
    """Return the place a row of items names; what a finding does not reach is left out.

    Parameters
    ----------
    items
        A clause or a part of one.
    has_names
        Whether the region in a name ("posterior rhythm") counts.
    """
    place = Place()
    sides: list[str] = []
    is_away = False
    n = len(items)
    for k, item in enumerate(items):
        m = item.m
        after = items[k + 1] if k + 1 < n else None
        if item.t in cues.AWAY or (
            m.get("sep") in cues.EXCEPT and after is not None and "C" in after.m
        ):
            is_away = True
        elif "C" in m:
            is_reference = after is not None and after.t == "referenced"
            if not is_away and not is_reference and m["C"] not in place.channels:
                place.channels.append(m["C"])
        else:
            is_place = not {"sep", "S", "P", "V", "place"}.isdisjoint(m)
            is_away = is_away and (is_place or item.t in cues.KEEPS_AWAY)
            if m and not is_away:
                _add_word(items, k, place, sides, has_names)
    place.side = _one_side(sides)
    return place


def _add_word(
    items: Sequence[Item], k: int, place: Place, sides: list[str], has_names: bool
) -> None:
    item = items[k]
    m = item.m
    if "V" in m:
        sides.append("midline")
        _add(place.regions, ("central",))
    elif "P" in m and "L" not in m:
        if item.t != "behind" or "B" not in items[min(k + 1, len(items) - 1)].m:
            _add(place.regions, m["P"])
    elif "S" in m:
        if not _is_no_side(items, k):
            sides.append(m["S"])
    elif has_names and "L" in m:
        _add(place.regions, m["L"][3])


def _add(regions: list[str], more: Sequence[str]) -> None:
    regions += [r for r in more if r not in regions]


def _is_no_side(items: Sequence[Item], k: int) -> bool:
    """Whether "right," answers, "is left" remains, or "both" counts."""
    item = items[k]
    after = items[k + 1] if k + 1 < len(items) else None
    if item.t == "right" and k == 0 and after is not None and after.m.get("sep") == ",":
        return True
    if item.t == "left" and k and items[k - 1].t in cues.BE:
        return after is None or (after.t not in ("more", "and") and "P" not in after.m)
    if item.t in ("both", "bi"):
        return all({"P", "place", "S"}.isdisjoint(i.m) for i in items[k + 1 : k + 3])
    return False


def _one_side(sides: list[str]) -> str | None:
    kinds = set(sides)
    if len(kinds) > 1 and ("bilateral" in kinds or kinds >= {"left", "right"}):
        return "bilateral"
    return sides[0] if sides else None
