"""What may leave the machine: measured numbers and words of closed lists, each in its own place.

An allow-list and not a search for identifiers: every key of a payload is in the table below with
what it may hold, words of a closed list, numbers within what can be measured, or lists and groups of
those. A name, path, id or date has no place to go, and no place takes free text. Payloads are built
in ``narrative_template``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from detectors.types import CANONICAL19
from detectors.vocabulary import BAND_SCHEMES, KINDS, region_of

Rule = Callable[[Any], str]
"""Takes a value; returns "" where it may leave, else what its place takes instead."""

_FACT_KEY = re.compile(r"f[1-9]\d{0,2}|page|spectrum|energy")
_SITE = r"(?:Fp|AF|F|FT|FC|T|TP|C|CP|P|PO|O|N|I)(?:[1-9]|1[0-2]|z)"
"""Sites of the 10-10 system: a region, then a number or z (Oostenveld & Praamstra 2001)."""
_CHANNEL = re.compile(rf"{_SITE}-{_SITE}")
_BANDS = frozenset(band for bands in BAND_SCHEMES.values() for band in bands)
_MAX_UV2 = 3e6
"""The power of a row that never leaves the ends of the stored range, 1638 uV, is 2.7e6 uV2."""
_MAX_LISTED = 1000
"""Entries of one list; no page has so many (engineering default)."""


class PayloadError(ValueError):
    """A payload with something that may not leave; building it again gives the same."""

    is_retryable = False


def _words(*words: str) -> Rule:
    allowed = frozenset(words)

    def rule(value: Any) -> str:
        is_word = isinstance(value, str) and value in allowed
        return "" if is_word else "a word of its closed list"

    return rule


def _matching(pattern: re.Pattern[str], what: str, others: Collection[str] = ()) -> Rule:
    def rule(value: Any) -> str:
        is_word = isinstance(value, str) and (value in others or pattern.fullmatch(value))
        return "" if is_word else what

    return rule


def _number(low: float, high: float) -> Rule:
    def rule(value: Any) -> str:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        is_inside = is_number and math.isfinite(value) and low <= value <= high
        return "" if is_inside else f"a number from {low:g} to {high:g}"

    return rule


def _count(high: int) -> Rule:
    inside = _number(0, high)

    def rule(value: Any) -> str:
        is_count = isinstance(value, int) and not inside(value)
        return "" if is_count else f"a whole number from 0 to {high}"

    return rule


def _group(value: Any) -> str:
    return "" if isinstance(value, Mapping) else "a group of facts"


def _list_of(rule: Rule) -> Rule:
    def checked(value: Any) -> str:
        if not isinstance(value, list | tuple) or len(value) > _MAX_LISTED:
            return f"a list of at most {_MAX_LISTED}"
        return next((f"a list, each {wish}" for inner in value if (wish := rule(inner))), "")

    return checked


_channel = _matching(_CHANNEL, "an electrode or a derivation of the 10-10 system", CANONICAL19)
_side = _words("left", "right", "midline", "bilateral", "")
_time_s = _number(0, 999)

RULES: Mapping[str, Rule] = {
    "page": _group,
    "spectrum": _group,
    "energy": _group,
    "findings": _list_of(_group),
    "ask": _group,
    "right": _group,
    "wrong": _list_of(_group),
    "claims": _list_of(_group),
    "absent": _list_of(_words(*KINDS)),
    "not_judged": _list_of(_words(*KINDS)),
    "bands": _list_of(_group),
    "tiers": _list_of(_group),
    "key": _matching(_FACT_KEY, "a fact's key"),
    "kind": _words(*KINDS),
    "verdict": _words("present", "absent", "not_judged"),
    "channels": _list_of(_channel),
    "highest_channel": _channel,
    "side": _side,
    "region": _words("", *(region_of(name) for name in CANONICAL19)),
    "hedge": _words("", "probable", "possible", "equivocal"),
    "tier": _words("high", "medium", "low"),
    "montage": _words("longitudinal_bipolar", "bipolar_as_recorded"),
    "stage": _words("W", "N1", "N2", "N3", "R", "REM"),
    "band": _words(*_BANDS),
    "dominant_band": _words(*_BANDS),
    "highest_power_band": _words(*_BANDS),
    "trend": _words(
        "stable",
        "consistently_low",
        *(f"{grade}_{way}" for grade in ("slight", "moderate", "marked")
          for way in ("increase", "decrease")),
    ),
    "amplitude_word": _words("", "peak-to-peak", "rms", "step"),
    "t0_s": _time_s,
    "t1_s": _time_s,
    "duration_s": _time_s,
    "count": _count(999),
    "n_recorded": _count(256),
    "n_rows": _count(256),
    "n_previous": _count(99),
    "frequency_hz": _number(0, 500),
    "band_low_hz": _number(0, 500),
    "band_high_hz": _number(0, 500),
    "percent": _number(-999, 999),
    "amplitude_uv": _number(-1e4, 1e4),
    "power_uv2": _number(0, _MAX_UV2),
    "energy_uv2": _number(0, _MAX_UV2),
}  # fmt: skip
"""What each key may hold. Ranges are wider than anything a page measures and narrower than dates and
ids: whole numbers have three digits at most (engineering defaults)."""


def assert_payload_is_clean(payload: Mapping[str, Any]) -> None:
    """Refuse a payload that holds anything but measured numbers and words of closed lists.

    Raises
    ------
    PayloadError
        Naming the place and the rule, never the offending value.
    """
    _check(payload, "payload")


def _check(group: Mapping[str, Any], where: str) -> None:
    for key, value in group.items():
        rule = RULES.get(key) if isinstance(key, str) else None
        if rule is None:
            raise PayloadError(f"{where} has a key outside the closed list; remove it")
        wish = rule(value)
        if wish:
            raise PayloadError(f"{where}.{key} holds what may not leave; it takes {wish}")
        for i, inner in enumerate(value if isinstance(value, list | tuple) else (value,)):
            if isinstance(inner, Mapping):
                _check(inner, f"{where}.{key}[{i}]" if inner is not value else f"{where}.{key}")
