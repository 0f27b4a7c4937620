"""Reading statements about band power: ranks, shares, pairs, trends (rules 5 and 15)."""

from __future__ import annotations

from collections.abc import Sequence

from prompts.reading import cues
from prompts.reading.energy import read_energy
from prompts.reading.findings import Finding
from prompts.reading.records import BANDS, Value
from prompts.reading.scope import hedge_of, is_negated, is_pronoun
from prompts.reading.sides import read_sides
from prompts.reading.state import State
from prompts.reading.tokens import Item
from prompts.reading.view import View

_NO_BAND = frozenset(
    ("no band", "no frequency band", "none of the bands", "none of the frequency bands")
)
_CHAINS = ("then", "before", "next")


def read_bands(items: Sequence[Item], state: State) -> bool:
    """Read a clause about energy, sides or band power; say whether it was one."""
    view = View(items, state)
    if read_energy(view) or _read_order(view) or _is_asked(view) or read_sides(view):
        return True
    has_band = view.has("B", "all_bands")
    if not has_band:
        if _read_excess(view):
            return True
        if not _is_about_power(view):
            return False
    did = _read_rank(view)
    return _read_trend(view) or did


def _is_asked(view: View) -> bool:
    """Keep what a question wants to know, for an answer of one name."""
    state = view.state
    if not state.is_asking:
        return False
    if view.has("rank") and not view.bands and view.says("band", "bands", "frequency band"):
        state.asked_type = ("band_power_rank", None, view.first("rank"))
        return True
    if view.bands and view.has("trendn"):
        state.band_topic = view.bands[0]
        return True
    return False


def _read_excess(view: View) -> bool:
    """Read "which exceeds what one would expect" of beta as excess beta."""
    state, items = view.state, view.items
    if not view.has("excess") or not state.topic or state.topic[0].band != "beta":
        return False
    excess = Finding("event", "beta_excess", band="beta", hedge=hedge_of(items))
    excess.span = (items[0].s, items[-1].e)
    excess.copy_place(state.topic[0])
    excess.is_absent = is_negated(items, len(items) - 1)
    state.add(excess)
    return True


def _is_about_power(view: View) -> bool:
    state = view.state
    if view.has("power") and view.has("trend") and not view.has("C"):
        return True
    if not state.band_topic or view.has("L", "R", "amp", "G"):
        return False
    is_said = view.has("trend", "steady", "Q", "trendn")
    return is_said and (is_pronoun(view.items) or not state.new_sentence or state.is_answer)


def _read_order(view: View) -> bool:
    """Read a bare order "A > B > C" (rule 5)."""
    signs = [i.t for i in view.items if i.t in (">", "<")]
    n = len(view.bands)
    if n < 2 or len(signs) != n - 1 or len(set(signs)) != 1:
        return False
    for k, band in enumerate(view.bands if signs[0] == ">" else view.bands[::-1]):
        view.rank(band, "highest" if k == 0 else k + 1)
    return True


def _read_rank(view: View) -> bool:
    """Read ranks, shares and pairwise comparisons of bands."""
    state = view.state
    if view.has("trend") and not view.has("Q") and not view.says("dominated", "leading", "highest"):
        return False
    if _read_pair(view):
        return True
    did = is_chain = _read_follow(view)
    is_change = view.has("trend") and view.says("from", "by")
    if (
        view.found.percents
        and (view.bands or state.band_topic)
        and not (view.has("L") or is_change)
    ):
        did = _read_shares(view) or did
    at = _rank_at(view)
    if at is not None and view.bands and not (is_chain and view.has("follow", "behind")):
        did = _read_single_rank(view, at) or did
    if did and view.bands:
        state.band_topic = view.bands[-1]
        state.band_list = list(dict.fromkeys([*state.band_list, *view.bands]))
    return did


def _rank_at(view: View) -> int | None:
    for k, item in enumerate(view.items):
        if "rank" in item.m and "trend" not in item.m:
            if not _is_loose_rank(view, k):
                return k
        elif "ord" in item.m:
            after = view.items[k + 1] if k + 1 < len(view.items) else None
            if after is None or (after.t not in cues.PARTS and "L" not in after.m):
                return k
    return None


def _is_loose_rank(view: View, k: int) -> bool:
    """Whether "leads", "peak", "dominant" and the like stand for something else than a rank."""
    item = view.items[k]
    if item.t in ("leads", "lead"):
        before = view.items[k - 1] if k else item
        return not (
            k and ("B" in before.m or "power" in before.m or before.t in ("together", "activity"))
        )
    if item.t in cues.LOOSE_RANKS and not view.has("power") and view.texts.isdisjoint(cues.RANKING):
        return True
    if item.t not in ("dominant", "main", "most", "predominant"):
        return False
    return any("R" in i.m and "power" not in i.m and i.t not in cues.SPECTRAL for i in view.items)


def _read_single_rank(view: View, at: int) -> bool:
    item = view.items[at]
    number = item.m.get("ord", 0)
    value: Value = number if number > 1 else item.m.get("rank", "highest")
    if view.found.frequencies and not view.found.percents:
        return False
    polarity = "absent" if is_negated(view.items, at) else "present"
    if value == "highest":
        view.state.band_rank = 1
    for band in view.bands[:1] if value == "highest" else view.bands:
        view.rank(band, value, polarity=polarity)
    return True


def _read_pair(view: View) -> bool:
    """Read "alpha exceeds theta" as a pairwise rank."""
    items = view.items
    if len(view.bands) < 2 or (view.has("behind", "follow") and not view.has("cmp")):
        return False
    places = [k for k, i in enumerate(items) if "B" in i.m]
    between = items[places[0] + 1 : places[1]]
    word = next((i for i in between if "cmp" in i.m), None)
    if word is None:
        return False
    if word.t not in cues.EXCEEDS and not any(
        i.t in ("than", "that", "of") or i.t.endswith(" than") for i in between
    ):
        return False
    for other in view.bands[1:]:
        high, low = (view.bands[0], other) if word.m["cmp"] > 0 else (other, view.bands[0])
        view.rank(high, f"higher_than_{low}")
    view.state.band_topic = view.bands[0]
    return True


def _read_follow(view: View) -> bool:
    """Read "theta first, followed by delta and alpha", "alpha second behind delta"."""
    items, state = view.items, view.state
    if not view.bands:
        return False
    at = next((k for k, i in enumerate(items) if "follow" in i.m and i.t not in _CHAINS), None)
    if at is None:
        if state.band_rank and not state.new_sentence and view.says("then", "next"):
            return _chain(view, view.bands)
        return _read_behind(view)
    if items[at].t in ("follows", "follow", "comes next") and state.band_rank:
        return _chain(view, view.bands[-1:])
    if items[at].t == "close behind":
        view.rank(view.bands[-1], 2)
        return True
    before = [i.m["B"] for i in items[:at] if "B" in i.m]
    if before:
        view.rank(before[-1], "highest")
        state.band_rank = 1
    return _chain(view, [i.m["B"] for i in items[at:] if "B" in i.m]) or bool(before)


def _read_behind(view: View) -> bool:
    at = next((k for k, i in enumerate(view.items) if i.t in ("behind", "after")), None)
    if at is None or len(view.bands) != 2:
        return False
    if sum("B" in i.m for i in view.items[:at]) != 1:
        return False
    view.rank(view.bands[0], view.first("ord") or 2)
    view.rank(view.bands[1], "highest")
    return True


def _chain(view: View, bands: list[str]) -> bool:
    for band in bands:
        view.state.band_rank = max(view.state.band_rank, 1) + 1
        view.rank(band, view.state.band_rank)
    return bool(bands)


def _read_shares(view: View) -> bool:
    did = False
    band = view.state.band_topic
    for item in view.items:
        if "B" in item.m:
            band = item.m["B"]
        elif "Q" in item.m and item.m["Q"][0] == "percent" and band:
            view.rank(band, item.m["Q"][1][0], unit="percent")
            view.state.band_topic = band
            did = True
    return did


def _bands_of(view: View) -> list[str]:
    state = view.state
    if view.bands:
        return list(dict.fromkeys(view.bands))
    if not view.has("all_bands"):
        return []
    is_those = not view.texts.isdisjoint(cues.BOTH_BANDS) or any(
        "three" in t or "two" in t or "these" in t for t in view.texts
    )
    return list(state.band_list) if is_those and state.band_list else list(BANDS)


def _read_trend(view: View) -> bool:
    """Read how bands change."""
    state = view.state
    if not view.bands and view.says("channels", "electrodes"):
        return False
    value = _trend_value(view)
    if value is None:
        return False
    bands: list[str | None] = [*_bands_of(view)]
    if not bands:
        bands = [None if view.says("total power") else state.band_topic or None]
    if not state.is_asking:
        for band in bands:
            view.claim("band_trend", band=band, value=value[0], polarity=value[1])
    state.band_topic = bands[-1] or state.band_topic
    return True


def _trend_value(view: View) -> tuple[str | None, str] | None:
    """Return the word of a trend and whether it is there, or None where no change is spoken of."""
    if view.has("low_band"):
        return "consistently_low", "present"
    if not view.texts.isdisjoint(_NO_BAND) and view.has("trendn", "trend"):
        return None, "absent"
    trend, steady = view.at("trend"), view.at("steady")
    if trend is not None and not (steady is not None and steady < trend):
        return _change(view, trend)
    if steady is not None:
        is_denied = is_negated(view.items, steady)
        return None if is_denied and "change" not in view.items[steady].t else ("stable", "present")
    return _no_change(view)


def _change(view: View, at: int) -> tuple[str | None, str] | None:
    item = view.items[at]
    if item.t in cues.NO_TREND_OF_EVENTS and view.has("L") and not view.bands:
        return None
    if item.t in ("up", "down") and view.has("Q"):
        return None
    if is_negated(view.items, at):
        return None, "absent"
    grades = (i.m["grade"] for i in view.items if "grade" in i.m and i is not item)
    grade = next(grades, item.m.get("grade"))
    return f"{grade}_{item.m['trend']}" if grade else item.m["trend"], "present"


def _no_change(view: View) -> tuple[str | None, str] | None:
    """Read "no marked trend" as absent and "no change" as stable."""
    at = view.at("trendn")
    if at is None or view.items[at].t in ("drift", "course"):
        return None
    if not is_negated(view.items, at):
        return None
    is_change = view.items[at].t.startswith(("chang", "var"))
    return ("stable", "present") if is_change and not view.has("grade") else (None, "absent")
