"""The tolerances of the grounding check, with their sources, and what a mistake weighs.

``evaluation.md`` 6.4 is the signal-grounded fact score's specification; its table of truth rules is
an engineering default throughout. Text of the engine itself is held to half its own rounding step
(``prompts.words``), because what it was written from is cited beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from detectors.vocabulary import KINDS
from prompts import words

Verdict = Literal[
    "supported", "not parsed", "unverifiable", "unsupported", "contradicted", "overclaim"
]
SEVERITY: tuple[Verdict, ...] = (
    "supported", "not parsed", "unverifiable", "unsupported", "contradicted", "overclaim",
)  # fmt: skip
"""From best to worst."""
RANK = {verdict: rank for rank, verdict in enumerate(SEVERITY)}


@dataclass(frozen=True, slots=True)
class Limit:
    """One constant of the check: value, unit, and who says so."""

    value: float
    unit: str
    source: str


_SPEC = "fact score table, engineering default"
LIMITS: dict[str, Limit] = {
    "frequency_hz": Limit(0.5, "Hz", _SPEC),
    "frequency_strict_hz": Limit(0.25, "Hz", _SPEC),
    "band_edge_hz": Limit(0.5, "Hz", f"{_SPEC}: a neighbouring band counts half"),
    "amplitude_share": Limit(0.25, "1", _SPEC),
    "asymmetry_share": Limit(0.20, "1", f"{_SPEC}: below it the sides are alike"),
    "asymmetry_percent": Limit(10.0, "percent", "engineering default: two rounding steps of 5 %"),
    "overlap_share": Limit(0.50, "1", f"{_SPEC}: of named electrodes"),
    "present_from": Limit(0.7, "1", f"{_SPEC}: calibrated probability"),
    "absent_below": Limit(0.1, "1", f"{_SPEC}: calibrated probability"),
    "possible_from": Limit(0.4, "1", "clinical sentence rules: lower edge of `possible`"),
    "exact_count_up_to": Limit(3.0, "1", _SPEC),
    "count_share": Limit(0.25, "1", _SPEC),
    "time_slow_s": Limit(0.5, "s", _SPEC),
    "time_transient_s": Limit(0.2, "s", _SPEC),
    "duration_share": Limit(0.25, "1", _SPEC),
    "power_share": Limit(0.25, "1", "as amplitude"),
    "suppressed_below_uv": Limit(10.0, "uV", "ACNS 2021, longitudinal bipolar"),
    "low_below_uv": Limit(20.0, "uV", "ACNS 2021, longitudinal bipolar"),
}

ROUNDING = {
    "Hz": words.HZ_STEP / 2, "uV": words.UV_STEP / 2, "s": words.S_STEP / 2,
    "ms": words.MS_STEP / 2, "uV2": 0.05, "percent": 2.5,
}  # fmt: skip
"""Half a rounding step of text per unit; uV2 relative to the value."""
SLACK = 1e-6

_HEAVY = ("asymmetry", "attenuation", "focal_slowing")
_MIDDLE = ("posterior_rhythm", "generalised_slowing", "voltage", "dominant_rhythm")
_MASKING = ("flat", "saturation", "electrode_pop", "movement", "muscle", "mains")
WEIGHTS: dict[str, int] = {
    kind: 3 if spec.family == "epileptiform" or kind in _HEAVY
    else 2 if kind in (*_MIDDLE, *_MASKING)
    else 1
    for kind, spec in KINDS.items()
}  # fmt: skip
"""Severity of a kind: laterality, epileptiform and suppression 3; frequency, voltage and masking
artifacts 2; the rest 1 (fact score, engineering default)."""
SEVERE = 3


def limit(name: str) -> float:
    """Return the value of a constant."""
    return LIMITS[name].value
