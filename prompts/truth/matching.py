"""Which findings a claim record can be about: its kinds, and the findings that fit place and time.

The names of the claim-extraction set are translated to this engine's kinds and regions here. What
must then be true of the findings is decided in ``records``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from detectors.types import CANONICAL19
from detectors.vocabulary import KINDS, region_of
from prompts import words
from prompts.facts.findings import FindingFact
from prompts.reading.records import Claim, Value
from prompts.truth.facets import is_count, side_of
from prompts.truth.limits import SLACK, limit
from prompts.truth.pages import Page, Pool

_FAMILY = {
    family: tuple(k for k, s in KINDS.items() if s.family == family)
    for family in ("artifact", "epileptiform")
}
_SLOWING = ("focal_slowing", "generalised_slowing")
KINDS_OF: dict[str, tuple[str, ...]] = {
    **{kind: (kind,) for kind in KINDS},
    "spsw": ("spsw", "rhythmic_spike_wave"),
    "sweat": ("slow_drift",),
    "clipping": ("saturation",),
    "epileptiform": _FAMILY["epileptiform"],
    "slowing": _SLOWING,
    "eye_movement": ("blink", "lateral_eye"),
    "sharp_transient": ("spike", "sharp"),
    "transient": ("spike", "sharp", "vertex_wave", "kcomplex"),
    "sleep_transient": ("kcomplex", "vertex_wave", "spindle", "posts"),
}  # fmt: skip
"""Label or word of a claim and the kinds it may be; what is not here is looked for by nobody."""
RHYTHMS = (
    "dominant_rhythm",
    "posterior_rhythm",
    *_SLOWING,
    "rhythmic_delta",
    "periodic_discharges",
)

_COARSE = {
    "frontopolar": ("frontal", "anterior"), "frontal": ("frontal", "anterior"),
    "anterior temporal": ("temporal", "anterior", "frontal"), "mid-temporal": ("temporal",),
    "posterior temporal": ("temporal", "posterior", "parietal"), "central": ("central",),
    "parietal": ("parietal", "posterior"), "occipital": ("occipital", "posterior"),
}  # fmt: skip
"""Region of an electrode and the coarser words it may be told by; a neighbour is one of them."""


def kinds_of(claim: Claim) -> tuple[str, ...]:
    """Return the kinds a claim of an event, artifact or rhythm is about; none: nobody looks for it."""
    name = claim.label or (claim.value if isinstance(claim.value, str) else None)
    if name is None:
        return _FAMILY["artifact"] if claim.type == "artifact" else ()
    return KINDS_OF.get(name, ())


def said_of(pool: Pool, kinds: Sequence[str]) -> tuple[FindingFact, ...]:
    """Return the findings of some kinds that may be said."""
    return pool.of_kinds(kinds, is_aside=False)


def fitting(
    claim: Claim, found: Iterable[FindingFact], page: Page
) -> tuple[tuple[FindingFact, ...], str]:
    """Return the findings that a claim's time and place fit, or none with what does not fit."""
    left = tuple(found)
    for name, fits in _FITS:
        kept = tuple(f for f in left if fits(claim, f, page))
        if not kept and name == "channels" and len(left) > 1:
            together = {n for f in left for n in _electrodes(f)}
            kept = left if _is_overlapping(claim.channels, together) else ()
        if not kept:
            return (), name
        left = kept
    return left, ""


def _fits_time(claim: Claim, finding: FindingFact, page: Page) -> bool:
    if claim.t0 is None:
        return True
    is_short = finding.kind in words.TRANSIENTS
    allowed = limit("time_transient_s" if is_short else "time_slow_s") + SLACK
    if claim.t1 is None:
        if is_short:
            return abs(claim.t0 - finding.centre_s) <= allowed
        return finding.t0_s - allowed <= claim.t0 <= finding.t1_s + allowed
    if claim.t0 - allowed <= finding.t0_s and finding.t1_s <= claim.t1 + allowed:
        return (
            claim.t0 > 0 or claim.t1 < 10 or finding.count > 1 or finding.t1_s - finding.t0_s >= 5
        )
    return abs(claim.t0 - finding.t0_s) <= allowed and abs(claim.t1 - finding.t1_s) <= allowed


def _electrodes(finding: FindingFact) -> set[str]:
    return {part for name in finding.channels for part in (name, *name.split("-"))}


def _is_overlapping(said: Sequence[str], true: set[str]) -> bool:
    n_true = sum(name in true for name in said)
    return n_true >= limit("overlap_share") * len(said)


def _fits_channels(claim: Claim, finding: FindingFact, page: Page) -> bool:
    return not claim.channels or _is_overlapping(claim.channels, _electrodes(finding))


def _fits_side(claim: Claim, finding: FindingFact, page: Page) -> bool:
    return claim.side is None or not side_of(finding) or claim.side == side_of(finding)


def _fits_region(claim: Claim, finding: FindingFact, page: Page) -> bool:
    said = set(claim.regions)
    if not said or not finding.channels:
        return True
    if "generalised" in said:
        n_rows = len(page.facts.recorded)
        return (
            finding.kind == "generalised_slowing"
            or len(finding.channels) >= limit("overlap_share") * n_rows
        )
    words_of = [
        set(_COARSE.get(region_of(name), ()))
        for name in sorted(_electrodes(finding))
        if name in CANONICAL19
    ]
    if not words_of:
        return True
    peak = finding.channels[0].split("-")[0]
    if peak in CANONICAL19 and said & set(_COARSE.get(region_of(peak), ())):
        return True
    return sum(bool(said & w) for w in words_of) >= limit("overlap_share") * len(words_of)


_FITS: tuple[tuple[str, Callable[[Claim, FindingFact, Page], bool]], ...] = (
    ("time", _fits_time), ("channels", _fits_channels), ("side", _fits_side),
    ("region", _fits_region),
)  # fmt: skip


_STEPS = {"amplitude_share": words.UV_FINE_STEP / 2, "duration_share": words.S_STEP / 2}
"""A small value may be off by its own rounding."""


def is_near(value: Value, true: Iterable[float], name: str) -> bool:
    """Whether a number or range of a text agrees with one of the measured values.

    Parameters
    ----------
    value
        Number, or a range with open ends.
    true
        Measured values.
    name
        Tolerance in ``limits.LIMITS``; a share where its name says so.
    """
    allowed = limit(name)
    for other in true:
        room = (
            max(allowed * (abs(other) if name.endswith("share") else 1.0), _STEPS.get(name, 0.0))
            + SLACK
        )
        if isinstance(value, tuple):
            low, high = value
            if (low is None or other >= low - room) and (high is None or other <= high + room):
                return True
        elif isinstance(value, int | float) and abs(value - other) <= room:
            return True
    return False


def is_counted(value: Value, found: Sequence[FindingFact]) -> bool:
    """Whether a number of events agrees with the findings it may mean."""
    total = sum(f.count for f in found)
    if isinstance(value, tuple):
        low, high = value
        return (low is None or total >= low) and (high is None or total <= high)
    return isinstance(value, int | float) and is_count(value, {total, len(found)}, is_strict=False)
