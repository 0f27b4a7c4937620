"""Reading where energy lies: tiers, and the one channel with most of it (rule 16)."""

from __future__ import annotations

import itertools

from prompts.reading.view import ENERGY, View

_CONCENTRATED = frozenset(("concentrated", "concentrates", "focused", "exceptionally"))
_NOT_ENERGY = ("L", "amp", "B")


def read_energy(view: View) -> bool:
    """Read "high energy in F7", "the low tier consists of ...", "the highest energy is at Fp1"."""
    level, rank = view.first("level"), view.first("rank")
    is_energy = not view.texts.isdisjoint(ENERGY) or _continues_energy(view, level, rank)
    if _is_largest_voltage(view, rank):
        view.claim("highest_channel")
        return not view.found.amplitudes
    if _is_asked(view, level, rank, is_energy):
        return True
    if _is_band_maximum(view, rank, is_energy):
        view.claim("highest_channel", band=view.bands[0])
        view.state.band_max = True
        return True
    if view.bands and level and (is_energy or view.says("power")) and view.found.has_place:
        for band in view.bands:
            view.claim("energy_tier", band=band, value=level)
        return True
    if not is_energy or (view.has("trend", "steady") and not level):
        return False
    if view.has("cmp") and level is None and rank is None:
        return False
    return _read_channel(view, level, rank) or _read_tier(view, level, rank)


def _continues_energy(view: View, level: str | None, rank: str | None) -> bool:
    """Whether energy is meant though the word stands in an earlier clause, or only "channel" here."""
    state = view.state
    if rank == "highest" and view.says("channel") and not view.has("L", "B"):
        return bool(view.found.channels)
    if not state.energy_topic or view.has(*_NOT_ENERGY) or not (level or rank):
        return False
    if level and view.found.has_place and (not state.new_sentence or not view.has("R")):
        return True
    return rank == "highest" and bool(view.found.channels) and not state.new_sentence


def _is_largest_voltage(view: View, rank: str | None) -> bool:
    is_voltage = view.has("amp") or view.says("maximum")
    is_one = rank == "highest" and len(view.found.channels) == 1
    if not is_one or not is_voltage or view.has("L", "B"):
        return False
    pairs = itertools.pairwise(view.items)
    is_said = any("rank" in a.m and "amp" in b.m for a, b in pairs)
    return is_said or (not view.has("Q") and view.state.topic_is_voltage())


def _is_asked(view: View, level: str | None, rank: str | None, is_energy: bool) -> bool:
    """Keep what a question wants to know, for an answer of names alone."""
    if not view.state.is_asking or view.found.channels or not (rank or level):
        return False
    if not is_energy and not view.says("channel", "channels", "electrode"):
        return False
    is_highest = rank == "highest"
    kind = "highest_channel" if is_highest else "energy_tier"
    word = None if is_highest else level or "low"
    view.state.asked_type = (kind, view.bands[0] if view.bands else None, word)
    return True


def _is_band_maximum(view: View, rank: str | None, is_energy: bool) -> bool:
    """Whether "beta is highest at F4", or "delta at Pz" after it."""
    if not view.bands or len(view.found.channels) != 1 or view.has("trend", "L"):
        return False
    state = view.state
    if state.band_max and not state.new_sentence and not view.has("Q", "level"):
        return True
    return not is_energy and rank == "highest" and view.found.side is None


def _read_channel(view: View, level: str | None, rank: str | None) -> bool:
    at = view.at("follow")
    if rank and at is not None and len(view.found.channels) > 1:
        before = {item.m.get("C") for item in view.items[:at]}
        view.found.channels = [c for c in view.found.channels if c in before]
    if not rank or level is not None or len(view.found.channels) != 1:
        return False
    if rank == "highest":
        view.claim("highest_channel", band=view.bands[0] if view.bands else None)
    else:
        view.claim("energy_tier", value="low")
    view.state.energy_topic = True
    return True


def _read_tier(view: View, level: str | None, rank: str | None) -> bool:
    found = view.found
    if level is None and not view.texts.isdisjoint(_CONCENTRATED):
        level = "high"
    if level is None and rank in ("highest", "lowest") and found.has_place:
        level = "high" if rank == "highest" else "low"
    if level is None or not (found.has_place or view.has("elsewhere")):
        return False
    found.regions = [r for r in found.regions if r != "generalised"]
    view.claim("energy_tier", value=level, band=view.bands[0] if view.bands else None)
    view.state.energy_topic = True
    return True
