"""Reading comparisons of sides: asymmetry, symmetry, ratios, differences in Hz (rule 14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from prompts.reading import cues
from prompts.reading.events import read_events
from prompts.reading.findings import Finding, band_of
from prompts.reading.records import Claim, Value
from prompts.reading.scope import is_negated
from prompts.reading.tokens import Item
from prompts.reading.view import ENERGY, View

_SIDES = ("left", "right")
_SIGNS = (">", "<", "=")
_DIFFERENCES = ("difference", "lateralisation", "lateralization")


def sign_of(items: Sequence[Item]) -> int | None:
    """Return where "R > L" or "right more than left" starts in notes about something else."""
    for k in range(1, len(items) - 1):
        before, word, after = items[k - 1], items[k], items[k + 1]
        if (
            before.m.get("S") in _SIDES
            and after.m.get("S") in _SIDES
            and (word.t in _SIGNS or "cmp" in word.m)
        ):
            return k - 1 if any("L" in i.m or "Q" in i.m for i in items) else None
    return None


def read_sides(view: View) -> bool:
    """Read a comparison of sides, or its denial."""
    items = view.items
    sides = [i.m["S"] for i in items if i.m.get("S") in _SIDES]
    if not view.has("sym", "asym"):
        sides = _beside_comparison(items, sides)
    if len(sides) == 2 and view.says("="):
        return _claim(view, None, is_absent=True)
    sign = next((i.t for i in items if i.t in (">", "<")), None)
    if sign is not None and len(sides) == 2:
        return _claim(view, sides[0] if sign == ">" else sides[1])
    at = _comparison_at(items)
    if view.has("sym", "asym"):
        return _read_symmetry(view, sides, at)
    if at is None:
        return _read_ratio(view, sides)
    if any(i.m["L"][1:3] == (None, None) for i in items if "L" in i.m):
        return False
    return _read_comparison(view, sides, at)


def other_side(side: str) -> str:
    """Return the other side."""
    return "left" if side == "right" else "right"


def _comparison_at(items: Sequence[Item]) -> int | None:
    for k, item in enumerate(items):
        if "cmp" in item.m and "power" not in item.m:
            after = items[k + 1].m if k + 1 < len(items) else {}
            if not (item.t in ("above", "below") and "Q" in after):
                return k
    return None


def _beside_comparison(items: Sequence[Item], sides: list[str]) -> list[str]:
    """Return the sides named in the same piece as the comparison."""
    piece: list[Item] = []
    for item in [*items, Item({"sep": ","}, ",", 0, 0)]:
        if item.m.get("sep") in (",", ";", "("):
            if any("cmp" in i.m for i in piece):
                return [i.m["S"] for i in piece if i.m.get("S") in _SIDES]
            piece = []
        else:
            piece.append(item)
    return sides


def _read_ratio(view: View, sides: list[str]) -> bool:
    if not sides:
        return False
    if view.says("twice", "double", "half") and view.says("as"):
        return _claim(view, sides[0], ratio=2)
    if view.has("trend") and view.says("compared"):
        return _claim(view, other_side(sides[0]))
    return False


def _read_comparison(view: View, sides: list[str], at: int) -> bool:
    items = view.items
    sign = items[at].m["cmp"]
    after = [i.m["S"] for i in items[at:] if i.m.get("S") in _SIDES]
    before = [i.m["S"] for i in items[:at] if i.m.get("S") in _SIDES]
    has_than = any(i.t.endswith("than") or i.t in cues.THAN for i in items)
    if sides and (before or after):
        is_first = bool(before) and (has_than or not after)
        named = before[0] if is_first or not after else after[0]
        is_vague = "trend" in items[at].m and not view.state.topic and not view.bands
        if not has_than and (is_vague or not (len(sides) == 1 or len(set(sides)) == 2)):
            return False
        is_rate = items[at].t in ("faster", "slower", "quicker")
        return _claim(view, named if sign > 0 else other_side(named), is_rate=is_rate)
    names = [i.m["C"] for i in items if "C" in i.m]
    if len(names) != 2 or not has_than or not _is_pair(names):
        return False
    view.found.channels = names if sign > 0 else names[::-1]
    return _claim(view, "left" if int(view.found.channels[0][-1]) % 2 else "right")


def _is_pair(names: list[str]) -> bool:
    """Whether two channels are homologous: same row, odd on the left, even on the right."""
    a, b = names
    if a[:-1] != b[:-1] or not (a[-1].isdigit() and b[-1].isdigit()):
        return False
    low, high = sorted((int(a[-1]), int(b[-1])))
    return low % 2 == 1 and high == low + 1


def _subject(view: View) -> tuple[str | None, str | None]:
    """Return label and band that a comparison of sides is about."""
    label = next((i.m["L"][1] for i in view.items if "L" in i.m and i.m["L"][1]), None)
    label = label.partition("+")[0] if label else None
    band = view.bands[0] if view.bands else None
    if label == "posterior_rhythm" and band is None:
        earlier = (o for o in view.state.out if isinstance(o, Finding) and o.label == label)
        old = next((o for o in earlier if o.frequencies), None)
        band = "alpha" if old is None else band_of(old.frequencies[0]) or "alpha"
    return label, band


def _inherits(view: View) -> bool:
    """Whether a comparison without subject is about the rhythm told before."""
    items = view.items
    is_header = any(
        "sym" in i.m and k + 1 < len(items) and items[k + 1].m.get("sep") == ":"
        for k, i in enumerate(items)
    )
    of_all = view.has("power") or not view.texts.isdisjoint(ENERGY | cues.OF_WHOLE_SIDE)
    return not is_header and not of_all


def _fills_last(view: View, side: str | None, is_named: bool) -> bool:
    """Let "stronger on the left" complete an asymmetry just told; drop a vague one made specific."""
    out = view.state.out
    last = out[-1] if out else None
    if not side or not isinstance(last, Claim) or last.type != "asymmetry":
        return False
    if last.side is not None or last.polarity != "present":
        return False
    if not is_named:
        channels = last.channels or tuple(view.found.channels)
        out[-1] = replace(last, side=side, channels=channels)
        return True
    if not last.attribute:
        out.pop()
    return False


def _amount(view: View, ratio: int | None, is_rate: bool) -> tuple[Value, str | None]:
    found = view.found
    if found.percents:
        return found.percents[0], "percent"
    if view.says("twice", "double"):
        return 2, None
    if is_rate:
        return (found.frequencies[0] if found.frequencies else None), "Hz"
    return ratio, None


def _claim(
    view: View, side: str | None, *, ratio: int | None = None, is_rate: bool = False,
    is_absent: bool = False,
) -> bool:  # fmt: skip
    state, found = view.state, view.found
    label, band = _subject(view)
    is_named = bool(label or band)
    if not is_absent and _fills_last(view, side, is_named):
        return True
    topic = None if is_named or not _inherits(view) else state.rhythm_topic()
    if topic is not None:
        label, band = topic
        found.regions = found.regions or list(state.topic[0].regions)
        found.channels = found.channels or list(state.topic[0].channels)
    found.side = None if is_absent else side
    if not state.is_asking:
        _set_topic(view, label, band, is_named)
    value, unit = _amount(view, ratio, is_rate)
    polarity = "absent" if is_absent else "present"
    view.claim("asymmetry", label=label, band=band, value=value, unit=unit, polarity=polarity)
    return True


def _set_topic(view: View, label: str | None, band: str | None, is_named: bool) -> None:
    """Let a later clause speak of what was compared: "..., where it reaches 50 µV"."""
    state, found = view.state, view.found
    if label and label != "posterior_rhythm":
        state.topic = [Finding("event", label, is_asked=True)]
    elif band and not label and found.side and is_named and not state.is_hypothetical:
        rhythm = Finding(
            "rhythm", band=band, is_band_named=True, is_claimed=False, is_rhythmic=True,
            side=found.side, regions=list(found.regions), channels=list(found.channels),
        )  # fmt: skip
        state.out.append(rhythm)
        state.topic = [rhythm]


def _read_symmetry(view: View, sides: list[str], at: int | None) -> bool:
    items, state, found = view.items, view.state, view.found
    word = next(i for i in items if "sym" in i.m or "asym" in i.m)
    is_absent = _is_denied(view, word, sides)
    if is_absent is None:
        return False
    side = sides[0] if sides and not is_absent else None
    if side and at is not None and items[at].m["cmp"] < 0:
        side = other_side(side)
    if (
        not state.new_sentence
        and items[0].t in ("is", "are")
        and state.topic
        and state.topic[0].type == "rhythm"
    ):
        state.topic[0].add_place(found.channels, None, found.regions)
    if found.amplitudes or found.frequencies:
        read_events([i for i in items if i is not word], state)
        found.amplitudes, found.frequencies = [], []
    return _claim(view, side, is_absent=is_absent)


def _is_denied(view: View, word: Item, sides: list[str]) -> bool | None:
    """Return whether an asymmetry is denied; None where "similar" compares something else."""
    denied = is_negated(view.items, view.items.index(word))
    if "asym" in word.m:
        return denied
    if any(cue in word.t for cue in _DIFFERENCES):
        return word.t.startswith("no ") or denied
    if len(view.bands) > 1 and not sides and not view.has("S"):
        return None
    of_sides = sides or any("sides" in t or "hemispheres" in t for t in view.texts)
    if word.t in cues.ALIKE and not of_sides:
        return None
    is_spread = view.first("S") == "bilateral" or any("distribution" in t for t in view.texts)
    if word.t in ("even", "comparable", "similar") and not is_spread:
        return None
    return not denied
