"""The claim record: one checkable statement that a text makes about a page of EEG.

The 13 fields and the words allowed in them are those of the claim-extraction set
(``data/claims/README.md``) and of ``evaluation.md`` 6.4. Here are the record and its JSON line.
Who makes records out of text is ``prompts.reading.reader``; whether a claim is true is decided in
``prompts.grounding.check``; how well they are read is scored in ``benchmark.text.claim_scores``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Number = int | float
Interval = tuple[Number | None, Number | None]
Value = Number | Interval | str | None
Region = str | tuple[str, ...] | None

TYPES = (
    "rhythm_frequency", "band_power_rank", "band_trend", "amplitude", "asymmetry", "event",
    "artifact", "energy_tier", "highest_channel", "suppression", "sleep_context", "not_judged",
    "overclaim", "limits",
)  # fmt: skip
LABELS = (
    "spike", "sharp", "spsw", "polyspike", "spindle", "kcomplex", "vertex_wave", "slow_wave",
    "posts", "blink", "lateral_eye", "muscle", "ecg", "electrode_pop", "flat", "mains", "chewing",
    "sweat", "movement", "focal_slowing", "generalised_slowing", "posterior_rhythm", "beta_excess",
)  # fmt: skip
BANDS = ("delta", "theta", "alpha", "beta", "gamma", "high_gamma")
UNITS = ("Hz", "uV", "s", "count", "percent")
CHANNELS = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz",
    "P4", "P8", "O1", "O2", "A1", "A2",
)  # fmt: skip
SIDES = ("left", "right", "bilateral", "midline")
REGIONS = (
    "frontal", "central", "temporal", "parietal", "occipital", "posterior", "anterior",
    "generalised",
)  # fmt: skip
POLARITIES = ("present", "absent")
HEDGES = ("none", "possible", "probable", "certain")
FIELDS = (
    "type", "label", "band", "value", "unit", "channels", "side", "region", "t0", "t1", "polarity",
    "hedge", "span",
)  # fmt: skip

_ALLOWED: dict[str, tuple[str | None, ...]] = {
    "type": TYPES,
    "label": (*LABELS, None),
    "band": (*BANDS, None),
    "unit": (*UNITS, None),
    "side": (*SIDES, None),
    "polarity": POLARITIES,
    "hedge": HEDGES,
}


class ClaimError(ValueError):
    """A claim record that is not one; reading it again gives the same error."""

    is_retryable = False


@dataclass(frozen=True, slots=True)
class Claim:
    """One checkable statement.

    Parameters
    ----------
    type
        One of :data:`TYPES`.
    label
        One of :data:`LABELS`, or None.
    band
        One of :data:`BANDS`, or None.
    value
        Number, ``(low, high)`` with None for an open end, word, or None.
    unit
        One of :data:`UNITS`, or None.
    channels
        Modern 10-20 names; the order carries nothing except for ``asymmetry`` (larger first).
    side
        One of :data:`SIDES`, or None.
    region
        One of :data:`REGIONS`, two or more of them, or None.
    t0, t1
        Seconds from the start of the page, or None; a point in time has no ``t1``.
    polarity
        ``present`` or ``absent``.
    hedge
        ``none``, ``possible``, ``probable`` or ``certain``.
    span
        The part of the text that carries the claim, as written there.
    """

    type: str
    label: str | None = None
    band: str | None = None
    value: Value = None
    unit: str | None = None
    channels: tuple[str, ...] = ()
    side: str | None = None
    region: Region = None
    t0: Number | None = None
    t1: Number | None = None
    polarity: str = "present"
    hedge: str = "none"
    span: str = ""

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions as a tuple, whether none, one or several are named."""
        if self.region is None:
            return ()
        return (self.region,) if isinstance(self.region, str) else self.region

    @property
    def attribute(self) -> str | None:
        """The ``attribute`` of the fact score: the label, else the band."""
        return self.label or self.band


def claim_to_json(claim: Claim) -> dict[str, Any]:
    """Return a claim as the JSON object of the claim-extraction set, all 13 fields."""
    written: dict[str, Any] = {name: getattr(claim, name) for name in FIELDS}
    for name in ("value", "channels", "region"):
        if isinstance(written[name], tuple):
            written[name] = list(written[name])
    return written


def claim_from_json(data: Mapping[str, Any]) -> Claim:
    """Return the claim of a JSON object.

    Raises
    ------
    ClaimError
        If a field is missing, unknown or holds a word that is not allowed.
    """
    if set(data) != set(FIELDS):
        odd = ", ".join(sorted(set(data) ^ set(FIELDS)))
        raise ClaimError(f"claim record: fields missing or unknown: {odd}; it has the 13 fields")
    for name, allowed in _ALLOWED.items():
        if data[name] not in allowed:
            raise ClaimError(f"claim record: {name} {data[name]!r}; allowed: {allowed}")
    read = dict(data)
    for name in ("value", "channels", "region"):
        if isinstance(read[name], list):
            read[name] = tuple(read[name])
    regions = read["region"] if isinstance(read["region"], tuple) else (read["region"],)
    for name, allowed_names in (("channels", CHANNELS), ("region", (*REGIONS, None))):
        for word in read["channels"] if name == "channels" else regions:
            if word not in allowed_names:
                raise ClaimError(f"claim record: {name} {word!r}; allowed: {allowed_names}")
    return Claim(**read)
