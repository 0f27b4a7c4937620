"""Numbers and names as words: rounding, units, places, times, seeded choice of phrasing.

What is said is decided in ``captions``, ``questions``, ``narratives`` and ``dialogues``; here is
only how one number, place or time reads. The rounding steps below are also the tolerances that
``grounding`` accepts.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TypeVar

from detectors.types import SEGMENT_S
from detectors.vocabulary import CLINICAL_BANDS, KINDS
from prompts.facts.findings import FindingFact

T = TypeVar("T")

HZ_STEP = 0.5
"""Frequencies in text, Hz (``clinical.md`` 1.1, engineering default)."""
UV_STEP = 5.0
"""Voltages in text, uV (``systems.md`` 6.6, engineering default)."""
UV_FINE_STEP = 1.0
"""Voltages below :data:`UV_FINE_BELOW`, so that 2 uV is not written as 0 or 5."""
UV_FINE_BELOW = 10.0
S_STEP = 0.1
"""Times in text, s."""
MS_STEP = 5.0
"""Durations under :data:`MS_BELOW_S`, ms: one sample at 200 Hz."""
MS_BELOW_S = 0.3

DETECTOR_HEDGES = ((0.9, ""), (0.7, "probable"), (0.4, "possible"), (0.0, "equivocal"))
"""Lower edge of calibrated probability and the hedge it earns (``clinical.md`` 13.2)."""

TRANSIENTS = frozenset(
    {
        "spike",
        "sharp",
        "spsw",
        "kcomplex",
        "vertex_wave",
        "posts",
        "blink",
    }
)
"""Kinds told by one moment (their centre) and not by a span. A pop is a step and a look aside a step
and its return, so nothing happens at their centre."""

MAX_LISTED = 6
"""Channels or times written out one by one; more are counted."""


def pick(options: Sequence[T], seed: int, segment_id: str, key: str) -> T:
    """Choose one option by a hash of seed, segment and key: same input, same choice."""
    return options[number(seed, segment_id, key) % len(options)]


def number(seed: int, segment_id: str, key: str) -> int:
    """Return a 64-bit number that depends on seed, segment and key only."""
    digest = hashlib.blake2b(f"{seed}|{segment_id}|{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def shuffled(items: Sequence[T], seed: int, segment_id: str, key: str) -> list[T]:
    """Return the items in an order that depends on seed, segment and key only (Fisher-Yates)."""
    state = int.from_bytes(
        hashlib.blake2b(f"{seed}|{segment_id}|{key}".encode(), digest_size=64).digest(), "big"
    )
    result = list(items)
    for i in range(len(result) - 1, 0, -1):
        state, j = divmod(state, i + 1)
        result[i], result[j] = result[j], result[i]
    return result


def sample_id(*parts: object) -> str:
    """Return the stable id of a text sample from what it was made of."""
    return "t-" + hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:16]


def hz(value: float) -> str:
    """Write a frequency, to 0.5 Hz; to 0.1 Hz where rounding would cross a band edge."""
    rounded = round(value / HZ_STEP) * HZ_STEP
    if band_of(rounded) != band_of(value):
        rounded = round(value, 1)
    return f"{rounded:g} Hz"


def uv(value: float, edges: Sequence[float] = ()) -> str:
    """Write the size of a voltage, to 5 uV; to 1 uV below 10 uV and to 0.1 uV below 1 uV.

    Parameters
    ----------
    value
        Its sign is not written.
    edges
        Where a word beside the number changes, uV: rounding crosses none, else it is to 0.1 uV.
    """
    value = abs(value)
    if value < UV_FINE_STEP:
        return f"{value:.1f} µV"
    step = UV_STEP if value >= UV_FINE_BELOW else UV_FINE_STEP
    rounded = round(value / step) * step
    if any((value < edge) != (rounded < edge) for edge in edges):
        rounded = math.floor(10 * value) / 10
    return f"{rounded:g} µV"


def moment(value_s: float) -> str:
    """Write a time as a bare number of seconds, to 0.1."""
    return f"{round(value_s, 1):g}"


def uv2(value: float) -> str:
    """Write a power as a bare number of uV^2 to three digits, never with an exponent."""
    return f"{float(f'{value:.3g}'):f}".rstrip("0").rstrip(".")


def voltage(finding: FindingFact) -> str:
    """Write a finding's voltage with what it measures (``85 µV peak-to-peak``), or nothing."""
    if finding.amplitude_uv is None:
        return ""
    return f"{uv(finding.amplitude_uv)} {finding.amplitude_word}".strip()


def percent(finding: FindingFact) -> int | None:
    """Return the relative difference of an asymmetry in percent, to 5, or None."""
    share = finding.value("asymmetry")
    return None if share is None else round(share * 20) * 5


def duration(value_s: float) -> str:
    """Write a duration: milliseconds for short ones, else seconds to 0.1."""
    if value_s < MS_BELOW_S:
        return f"{round(value_s * 1000 / MS_STEP) * MS_STEP:g} ms"
    return f"{moment(value_s)} s"


def join(items: Sequence[str], last: str = "and") -> str:
    """Join words as a reader would: ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def channels(names: Sequence[str], recorded: Sequence[str]) -> str:
    """Write a set of channels: the names, or a count with the leading ones."""
    if len(names) > 2 and set(names) == set(recorded):
        return f"all {len(names)} recorded channels"
    if len(names) <= MAX_LISTED:
        return join(names)
    return f"{len(names)} channels, first {join(names[:3])}"


def when(finding: FindingFact) -> str:
    """Write when a finding happens: its moment, its span, or the whole page."""
    if finding.kind in TRANSIENTS:
        return f"at {moment(finding.centre_s)} s"
    if finding.is_whole_page:
        return "throughout the page"
    return f"from {moment(finding.t0_s)} to {moment(min(finding.t1_s, SEGMENT_S))} s"


def times(findings: Sequence[FindingFact]) -> str:
    """Write the moments of several findings, in order, at most :data:`MAX_LISTED` one by one."""
    centres = sorted(f.centre_s for f in findings)
    if len(centres) <= MAX_LISTED:
        return f"at {join([moment(c) for c in centres])} s"
    return f"between {moment(centres[0])} and {moment(centres[-1])} s"


def hedge(finding: FindingFact) -> str:
    """Return the hedge a detector's probability earns; rules measure and are not hedged."""
    if not finding.source.startswith("detector:"):
        return ""
    return next(word for edge, word in DETECTOR_HEDGES if finding.confidence >= edge)


def band_of(frequency_hz: float) -> str:
    """Return the clinical band of a frequency, ``""`` outside all (alpha ends at 13 inclusive)."""
    for band, (low, high) in CLINICAL_BANDS.items():
        if low <= frequency_hz < high or (band == "alpha" and frequency_hz == high):
            return band
    return ""


def article(noun: str) -> str:
    """Put the indefinite article before a noun (``an electrode pop``)."""
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


def band_word(band: str) -> str:
    """Write a band's name (``high-gamma``)."""
    return band.replace("_", "-")


def plurals(kinds: Sequence[str], last: str = "or") -> str:
    """Join the names of several kinds: plural for events, singular for the background."""
    return join([several(kind) for kind in kinds], last)


def several(kind: str) -> str:
    """Return the name of a kind as a reader counts it."""
    return KINDS[kind].noun if KINDS[kind].family == "background" else KINDS[kind].plural
