"""What may leave the machine: derived numbers and words of a closed list, nothing else.

An allow-list and not a search for identifiers: every string in a payload must be one of the words
below or a short fact key, so an id, a path, a name or a date has no way in. Payloads are built in
``narratives``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from detectors.types import CANONICAL19
from detectors.vocabulary import BAND_SCHEMES, KINDS, region_of

_WORDS = frozenset({
    *KINDS, *CANONICAL19, *(b for bands in BAND_SCHEMES.values() for b in bands),
    *(region_of(name) for name in CANONICAL19),
    "left", "right", "midline", "bilateral", "high", "medium", "low",
    "present", "absent", "not_judged", "", "probable", "possible", "equivocal",
    "stable", "consistently_low",
    *(f"{grade}_{way}" for grade in ("slight", "moderate", "marked") for way in ("increase", "decrease")),
    "W", "N1", "N2", "N3", "R", "longitudinal_bipolar", "bipolar_as_recorded",
    "peak-to-peak", "rms", "step",
})  # fmt: skip
_KEYS = frozenset({
    "key", "kind", "count", "channels", "side", "region", "t0_s", "t1_s", "frequency_hz",
    "amplitude_uv", "amplitude_word", "duration_s", "percent", "hedge", "findings", "judgements",
    "verdict", "bands", "band", "power_uv2", "trend", "dominant_band", "highest_power_band", "tiers", "tier",
    "highest_channel", "energy_uv2", "montage", "n_recorded", "n_rows", "band_low_hz",
    "band_high_hz", "n_previous", "stage", "page", "energy", "spectrum",
})  # fmt: skip
_FACT_KEY = re.compile(r"[a-z]{1,12}\d{0,3}")
_DERIVATION = re.compile(
    r"(?:[A-Z][A-Za-z]{0,2}(?:\d{1,2}|z)?)-(?:[A-Z][A-Za-z]{0,2}(?:\d{1,2}|z)?)"
)
MAX_NUMBER = 1e6
"""No measured value of a 10-s page in Hz, uV, uV2 or s is larger; dates and numeric ids are."""


class PayloadError(ValueError):
    """A payload with something that may not leave; building it again gives the same."""

    is_retryable = False


def assert_payload_is_clean(payload: Mapping[str, Any]) -> None:
    """Refuse a payload that holds anything but measured numbers and words of the closed list.

    Raises
    ------
    PayloadError
        Naming the place and the rule, never the offending value.
    """
    _check(payload, "payload")


def _check(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in _KEYS:
                raise PayloadError(f"{where} has a key outside the closed list; remove it")
            _check(inner, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            _check(inner, f"{where}[{i}]")
    elif isinstance(value, str):
        _check_word(value, where)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int | float):
        if not math.isfinite(value) or abs(value) > MAX_NUMBER:
            raise PayloadError(
                f"{where} is no measured value (not finite or beyond {MAX_NUMBER:g})"
            )
    else:
        raise PayloadError(f"{where} has type {type(value).__name__}; use numbers, words and lists")


def _check_word(value: str, where: str) -> None:
    if value in _WORDS or _DERIVATION.fullmatch(value):
        return
    if where.endswith(".key") and _FACT_KEY.fullmatch(value):
        return
    raise PayloadError(f"{where} holds a word outside the closed list; send a number or a kind")
