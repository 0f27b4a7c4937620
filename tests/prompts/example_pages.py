"""The four pages behind the worked examples of the prompts, as table rows made of hand-set findings.

``templates/<prompt>.examples.json`` holds their payloads and the replies written for them; the tests
build the pages anew and compare, so an example can neither lie nor fall behind the format of facts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from detectors.types import CANONICAL19, Finding, Measure
from detectors.vocabulary import BAND_SCHEMES
from prompts.facts.page import PageFacts

Plant = Callable[..., PageFacts]


def _hz(value: float) -> Measure:
    return Measure("frequency_hz", value, "Hz")


def _uv(value: float) -> Measure:
    return Measure("amplitude_uv_p2p", value, "uV")


def _s(value: float) -> Measure:
    return Measure("duration_s", value, "s")


def _n(value: int) -> Measure:
    return Measure("count", value, "1")


def _posterior(segment_id: str, hz: float, uv: float) -> Finding:
    return Finding(
        segment_id, "posterior_rhythm", ("O1", "O2", "P3", "P4"), 0.0, 10.0, (_hz(hz), _uv(uv)),
        side="bilateral", region="occipital", source="rule:background@1",
    )  # fmt: skip


def _sleep(segment_id: str) -> list[Finding]:
    return [
        Finding(segment_id, "generalised_slowing", ("F3", "F4", "C3", "C4", "P3", "P4"), 0.0, 10.0,
                (_hz(1.5), _uv(92.0)), side="bilateral", source="rule:background@1"),
        Finding(segment_id, "spindle", ("C3", "Cz", "C4"), 2.1, 3.0,
                (_hz(13.4), _uv(38.0), _s(0.9)), confidence=0.95, side="bilateral",
                region="central", source="detector:w1"),
        Finding(segment_id, "spindle", ("C3", "Cz"), 7.6, 8.3,
                (_hz(13.1), _uv(31.0), _s(0.7)), confidence=0.78, side="left",
                region="central", source="detector:w1"),
        Finding(segment_id, "kcomplex", ("Fz", "Cz"), 5.2, 6.1,
                (_uv(138.0), _s(0.9)), confidence=0.93, side="midline", region="frontal",
                source="detector:w1"),
    ]  # fmt: skip


def _epileptiform(segment_id: str) -> list[Finding]:
    return [
        _posterior(segment_id, 9.4, 37.0),
        Finding(segment_id, "focal_slowing", ("T7", "P7"), 0.0, 10.0, (_hz(2.6), _uv(58.0)),
                side="left", region="mid-temporal", source="rule:background@1"),
        Finding(segment_id, "sharp", ("T7", "F7", "P7"), 3.365, 3.475, (_s(0.11), _uv(84.0)),
                confidence=0.95, side="left", region="mid-temporal", source="detector:w1"),
        Finding(segment_id, "spike", ("F7", "T7"), 7.17, 7.23, (_s(0.06), _uv(66.0)),
                confidence=0.75, side="left", region="anterior temporal", source="detector:w1"),
        Finding(segment_id, "blink", ("Fp1", "Fp2"), 1.0, 1.4, (_uv(182.0),), side="bilateral",
                region="frontopolar", source="rule:artifacts@1"),
    ]  # fmt: skip


def _artifact(segment_id: str) -> list[Finding]:
    return [
        _posterior(segment_id, 10.2, 33.0),
        Finding(segment_id, "blink", ("Fp1", "Fp2"), 0.8, 8.7, (_uv(204.0), _n(4)),
                side="bilateral", region="frontopolar", source="rule:artifacts@1"),
        Finding(segment_id, "muscle", ("T7", "T8", "F7"), 4.2, 7.5, (Measure("rms_uv", 19.0, "uV"),),
                source="rule:artifacts@1"),
        Finding(segment_id, "electrode_pop", ("P4",), 2.6, 2.8, (Measure("step_uv", 121.0, "uV"),),
                side="right", region="parietal", source="rule:artifacts@1"),
    ]  # fmt: skip


def _normal(segment_id: str) -> list[Finding]:
    return [
        _posterior(segment_id, 10.0, 44.0),
        Finding(segment_id, "voltage", tuple(CANONICAL19), 0.0, 10.0, (_uv(36.0),),
                source="rule:background@1"),
    ]  # fmt: skip


_FINDINGS: dict[str, Callable[[str], list[Finding]]] = {
    "sleep": _sleep, "epileptiform": _epileptiform, "artifact": _artifact, "normal": _normal,
}  # fmt: skip
_NOT_JUDGED = {
    "sleep": {"posterior_rhythm": "sleep waves cover the occipital rows"},
    "epileptiform": {"vertex_wave": "sharp wave in the field"},
    "artifact": {
        "spike": "muscle over the temporal rows",
        "sharp": "muscle over the temporal rows",
    },
    "normal": {"ecg": "no usable reference rows"},
}
_BANDS = ("delta", "theta", "alpha", "beta", "gamma", "high_gamma")
_POWERS = {
    "sleep": dict(zip(_BANDS, (212.4, 48.2, 17.9, 9.6, 1.1, 0.4), strict=True)),
    "epileptiform": dict(zip(_BANDS, (61.7, 21.3, 44.8, 7.2, 1.3, 0.6), strict=True)),
    "artifact": dict(zip(_BANDS, (71.5, 16.4, 38.1, 24.9, 12.2, 5.8), strict=True)),
    "normal": dict(zip(_BANDS, (23.9, 9.7, 57.3, 6.1, 0.9, 0.4), strict=True)),
}
_BEFORE = {
    "sleep": {"delta": 140.0, "theta": 47.0, "alpha": 26.0},
    "epileptiform": {"delta": 58.0, "theta": 19.0, "alpha": 60.0},
    "artifact": {"delta": 70.0, "beta": 12.0, "gamma": 3.0},
    "normal": {"delta": 24.5, "theta": 9.5, "alpha": 49.0},
}
_DOMINANT = {"sleep": "delta", "epileptiform": "alpha", "artifact": "alpha", "normal": "alpha"}
_HIGHEST = {
    "sleep": ("Fz", ("F3", "F4", "Cz")),
    "epileptiform": ("T7", ("O1", "O2", "P7")),
    "artifact": ("Fp1", ("Fp2", "T7", "T8")),
    "normal": ("O1", ("O2", "P3", "P4")),
}
"""Channel of the high tier, and those of the medium one."""


def _spectral(powers: dict[str, float], dominant: str) -> dict[str, Any]:
    raw = max(powers, key=powers.__getitem__)
    row: dict[str, Any] = {"dominant_band": dominant, "dominant_band_raw": raw}
    for scheme, bands in BAND_SCHEMES.items():
        for band in bands:
            row[f"{scheme}_{band}_uv2"] = [powers[band]] * 19
    return row


def _spatial(highest: str, medium: Sequence[str]) -> dict[str, Any]:
    tiers = dict.fromkeys(medium, "medium") | {highest: "high"}
    energy = dict.fromkeys(medium, 130.0) | {highest: 301.6}
    return {
        "tier": [tiers.get(name, "low") for name in CANONICAL19],
        "energy_uv2": [energy.get(name, 41.0) for name in CANONICAL19],
        "highest_channel": highest,
    }


def example_page(plant: Plant, topic: str) -> tuple[PageFacts, tuple[PageFacts, ...]]:
    """Return the page of a topic and the two pages before it."""

    def page(number: int, powers: dict[str, float]) -> PageFacts:
        segment_id = f"{topic}-{number}"
        return plant(
            _FINDINGS[topic](segment_id),
            segment_id=segment_id,
            not_judged=_NOT_JUDGED[topic],
            segment={"start_s": 10.0 * number},
            spectral=_spectral(powers, _DOMINANT[topic]),
            spatial=_spatial(*_HIGHEST[topic]),
        )

    before = tuple(page(i, _POWERS[topic] | _BEFORE[topic]) for i in range(2))
    return page(2, _POWERS[topic]), before
