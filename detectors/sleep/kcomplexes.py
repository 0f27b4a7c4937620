"""K-complexes: sharp negative, then positive, 0.5-2 s, frontal, clear of the background (AASM).

AASM sets no amplitude, so what counts is how far a wave of that shape stands out of the page's own
slow activity when the rows its field reaches are taken together; the amplitude is a measure. The
filters are in :mod:`detectors.sleep.white_page`, the chain of the sleep rules in
:mod:`detectors.sleep.chain`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, make_finding, margin_confidence, too_few
from detectors.montage import rows_of
from detectors.signal.row_statistics import SLOW_HZ
from detectors.sleep.white_page import (
    correlate,
    shape_spectra,
    signal_scale,
    white_page,
)
from detectors.types import (
    CANONICAL19,
    N_TIMES,
    SEGMENT_S,
    SFREQ_HZ,
    Finding,
    SegmentBatch,
)

VERSION = "4"
"""Version of the K-complex rule, part of every finding's source."""

_E = "engineering default"
LIMITS: dict[str, Limit] = {
    "low_s": Limit(0.55, "s", "AASM asks for 0.5; shortest of the family, " + _E),
    "high_s": Limit(1.35, "s", _E + ": longest of the family; longer ones are ongoing slow waves"),
    "over_background": Limit(
        4.1,
        "1",
        _E + ": matched wave over the background's deviation, through the field's filter; 18 "
        "false ones per hour of simulated sleep background, 4 after the chain's gates",
    ),
    "over_single": Limit(
        1.0,
        "1",
        _E + ": over waves of one phase, else a vertex wave, a slow wave, a blink or a discharge",
    ),
    "over_occipital": Limit(1.25, "1", "AASM frontal maximum, ratio is " + _E),
    "not_eye_ratio": Limit(1.5, "1", _E + ": Fp over F, else an eye movement"),
    "best_field_share": Limit(
        0.88, "1", "AASM frontal maximum: of the largest of all 19 fields, share is " + _E
    ),
    "field_share": Limit(0.5, "1", "clinical.md 9, engineering default"),
    "rows": Limit(2, "rows", "systems.md 6.6, engineering default"),
    "patch_deg": Limit(38.0, "deg", _E + ": width of a K-complex's field"),
    "clean_s": Limit(4.0, "s", "clinical.md 3.1, engineering default"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
VIEW_WIDTH = 5
"""Samples at 40 Hz over which rows are smoothed."""
_DURATIONS_S = tuple(np.geomspace(_L["low_s"], _L["high_s"], 4).tolist())
_NEGATIVE_SHARES = (0.3, 0.42)
_SINGLE_S = (0.15, 0.27, 0.45)
_POSITIVE = 0.7
_BAND_HZ = (0.4, 8.0)
_POINTS = 256
_FRONTAL = rows_of("F3", "Fz", "F4")
_FIELDS = rows_of("Fz", "F3", "F4", "Cz")
_FRONTOCENTRAL = rows_of("F3", "Fz", "F4", "C3", "Cz", "C4")
_FRONTOPOLAR = rows_of("Fp1", "Fp2")
_OCCIPITAL = rows_of("O1", "O2")


def find_kcomplexes(
    batch: SegmentBatch,
    spectrum: NDArray[np.complex64],
    view: NDArray[np.float32],
    is_live: NDArray[np.bool_],
    clean: NDArray[np.bool_],
) -> list[Finding]:
    """Find K-complexes: negative, then positive, 0.5-2 s, frontal, clear of the background.

    Parameters
    ----------
    batch
        Segments of ``referential19``.
    spectrum
        Of all rows, from :func:`detectors.signal.envelope.band_spectrum`, shape (n, 19, n_freqs).
    view
        Rows at 40 Hz from :func:`detectors.sleep.slow_waves.slow_view`, :data:`VIEW_WIDTH` wide,
        dead rows zero; shape (n, 19, 400).
    is_live
        bool, shape (n, 19).
    clean
        bool, shape (n, 19, 10): usable seconds of live rows.
    """
    is_judged = clean[:, _FRONTAL].sum(-1).max(1) >= _L["clean_s"]
    page = white_page(spectrum, is_live, (0.3, 12.0), (0.5, 6.0), _L["patch_deg"])
    inside = (page.freqs_hz >= _BAND_HZ[0]) & (page.freqs_hz <= _BAND_HZ[1])
    shapes = shape_spectra(_waves(), page, inside)
    rows = np.matmul(page.filters[:, :, _FIELDS].swapaxes(1, 2), page.bins[..., inside])
    score = correlate(rows, page.freqs_hz[inside], shapes, _POINTS)
    score /= signal_scale(score)[..., None, None]
    findings = []
    for i, field, shape, time in _candidates(score, is_judged):
        strength = float(score[i, field, shape, time])
        matched = page.bins[i][:, inside] @ (
            shapes[i, shape].conj()
            * np.exp(2j * np.pi * page.freqs_hz[inside] * (time * SEGMENT_S / _POINTS))
        )
        through = (page.filters[i].T @ matched).real
        if through[_FIELDS].max() < _L["best_field_share"] * np.abs(through).max():
            continue
        start = time * SEGMENT_S / _POINTS
        finding = _kcomplex(
            batch.segment_ids[i], view[i], is_live[i], clean[i], start, shape, strength
        )
        if finding is not None:
            findings.append(finding)
    return findings


def kcomplex_reasons(clean: NDArray[np.bool_]) -> list[str]:
    """Say per segment why K-complexes cannot be judged, ``""`` where they can.

    Parameters
    ----------
    clean
        As for :func:`find_kcomplexes`.
    """
    return too_few(clean[:, _FRONTAL].sum(-1).max(1), _L["clean_s"], "F3, Fz and F4")


@cache
def _waves() -> NDArray[np.float64]:
    """Return the family of shapes: two-phase ones first, then single negative waves."""
    time = np.arange(N_TIMES) / SFREQ_HZ
    waves = []
    for duration in _DURATIONS_S:
        for share in _NEGATIVE_SHARES:
            turn = share * duration
            negative = -(_half_wave(time, 0.0, turn) ** 1.2)
            waves.append(negative + _POSITIVE * _half_wave(time, turn, duration))
    waves += [-_half_wave(time, 0.0, length) for length in _SINGLE_S]
    return np.stack(waves)


def _half_wave(time: NDArray[np.float64], start: float, stop: float) -> NDArray[np.float64]:
    is_on = (time >= start) & (time < stop)
    return np.where(is_on, np.sin(np.pi * np.clip((time - start) / (stop - start), 0, 1)), 0.0)


def _candidates(
    score: NDArray[np.float32], is_judged: NDArray[np.bool_]
) -> list[tuple[int, int, int, int]]:
    """Return (page, field, shape, time) of waves that no other shape or sign explains better."""
    n_both = len(_DURATIONS_S) * len(_NEGATIVE_SHARES)
    n = len(score)
    both = score[:, :, :n_both].reshape(n, -1, _POINTS)
    single = np.abs(score[:, :, n_both:]).max((1, 2))
    top, deepest = both.max(1), -both.min(1)
    segment, time = np.nonzero((top >= _L["over_background"]) & is_judged[:, None])
    near = (time[:, None] + np.arange(-16, 17)) % _POINTS
    at = segment[:, None]
    own = top[segment, time]
    is_best = (own >= top[at, near].max(1, initial=0.0)) & (
        own >= deepest[at, near].max(1, initial=0.0)
    )
    beside = (time[:, None] + np.arange(-10, 27)) % _POINTS
    is_best &= own >= _L["over_single"] * single[at, beside].max(1, initial=0.0)
    found = []
    for i, t in zip(segment[is_best].tolist(), time[is_best].tolist(), strict=True):
        field, shape = divmod(int(both[i, :, t].argmax()), n_both)
        found.append((i, field, shape, t))
    return found


def _kcomplex(
    segment_id: str, view: NDArray[np.float32], is_live: NDArray[np.bool_],
    clean: NDArray[np.bool_], start_s: float, shape: int, strength: float,
) -> Finding | None:  # fmt: skip
    """Judge one candidate: inside the page, frontal, not the eyes, clean; None where it fails."""
    duration = _DURATIONS_S[shape // len(_NEGATIVE_SHARES)]
    turn_s = start_s + duration * _NEGATIVE_SHARES[shape % len(_NEGATIVE_SHARES)]
    if start_s + duration > SEGMENT_S:
        return None
    first, turn, last = (round(t * SLOW_HZ) for t in (start_s, turn_s, start_s + duration))
    front = view[_FRONTAL].sum(0) / max(int(is_live[_FRONTAL].sum()), 1)
    trough = first + int(front[first : turn + 1].argmin())
    peak = turn + int(front[turn : last + 1].argmax())
    each = np.where(is_live, view[:, peak] - view[:, trough], 0.0)
    p2p = float(each[_FRONTAL].max())
    behind = float(each[_OCCIPITAL].max())
    is_eye = float(each[_FRONTOPOLAR].max()) > _L["not_eye_ratio"] * p2p
    if p2p <= 0 or p2p < _L["over_occipital"] * behind or is_eye:
        return None
    seconds = slice(int(start_s), int(np.ceil(start_s + duration)))
    rows = [
        int(r) for r in _FRONTOCENTRAL
        if each[r] >= _L["field_share"] * p2p and clean[r, seconds].all()
    ]  # fmt: skip
    if len(rows) < _L["rows"]:
        return None
    rows.sort(key=lambda r: (-float(each[r]), r))
    measures = [
        ("amplitude_uv_p2p", p2p, "uV"),
        ("duration_s", duration, "s"),
        ("over_background", strength, "1"),
    ]
    confidence = margin_confidence(strength / _L["over_background"])
    names = [CANONICAL19[r] for r in rows]
    times = (start_s, start_s + duration)
    return make_finding(segment_id, "kcomplex", names, times, measures, confidence, VERSION)
