"""Sleep graphoelements: spindles and K-complexes; the chain of the sleep rules.

Definitions are AASM's (``clinical.md`` 6); a page carries graphoelements, never a stage. Frontal
and central single electrodes are needed: amplitude and place are defined on them, so bipolar
recordings are not judged. The occipital gate of the spindle rule is compulsory, because alpha of 11.5 Hz and
faster passes for a spindle elsewhere. Slow waves are in :mod:`detectors.slow_waves`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors._envelope import RATE_HZ, analytic, band_spectrum, filter_band
from detectors._rule_common import (
    Box,
    Limit,
    boxes_by_group,
    conclude,
    duration_of,
    make_finding,
    margin_confidence,
    percentile,
    runs,
    too_few,
    unless,
)
from detectors.background import posterior_rhythms
from detectors.montage import rows_of
from detectors.row_statistics import SLOW_HZ, RowStatistics
from detectors.slow_waves import find_slow_waves, slow_views
from detectors.spectra import SpectralFeatures
from detectors.types import CANONICAL19, SFREQ_HZ, Finding, RuleResult, SegmentBatch

VERSION = "2"
"""Version of the sleep rules, part of every finding's source."""

_E = "engineering default"
LIMITS: dict[str, Limit] = {
    "sigma_low_hz": Limit(11.0, "Hz", "AASM"),
    "sigma_high_hz": Limit(16.0, "Hz", "AASM"),
    "spindle_low_s": Limit(0.5, "s", "AASM"),
    "spindle_high_s": Limit(3.0, "s", "clinical.md 5, engineering default"),
    "spindle_p2p_uv": Limit(12.0, "uV", _E),
    "spindle_over_quartile": Limit(2.7, "1", _E + "; stands out of the row's quiet sigma"),
    "spindle_foot_share": Limit(0.3, "1", _E + "; of its peak, where a spindle begins and ends"),
    "spindle_sigma_share": Limit(0.2, "1", "YASA default: relative power in 1-30 Hz"),
    "spindle_correlation": Limit(0.65, "1", "YASA default: with the 1-30 Hz signal"),
    "spindle_over_occipital": Limit(
        1.2, "1", "clinical.md 6: the gate is compulsory, share is " + _E
    ),
    "spindle_over_frontal": Limit(0.7, "1", "AASM central maximum, share is " + _E),
    "spindle_rows": Limit(2, "rows", "systems.md 6.6, engineering default"),
    "kcomplex_low_s": Limit(0.5, "s", "AASM"),
    "kcomplex_high_s": Limit(2.0, "s", "clinical.md 5, engineering default"),
    "kcomplex_p2p_uv": Limit(75.0, "uV", _E + "; AASM sets none"),
    "kcomplex_negative_uv": Limit(35.0, "uV", _E + ": the negative part leads"),
    "kcomplex_positive_share": Limit(0.3, "1", _E + ": of the negative part"),
    "kcomplex_sharp_s": Limit(0.3, "s", "AASM 'negative sharp wave', width at half is " + _E),
    "kcomplex_sharp_share": Limit(0.9, "1", _E + ": of the positive part's width, which is slower"),
    "kcomplex_foot_share": Limit(0.15, "1", _E + ": where the wave begins and ends"),
    "kcomplex_over_median": Limit(2.5, "1", _E + ": stands out of the background"),
    "kcomplex_over_occipital": Limit(1.5, "1", "AASM frontal maximum, ratio is " + _E),
    "not_eye_ratio": Limit(1.5, "1", _E + ": Fp over F, else an eye movement"),
    "clean_s": Limit(4.0, "s", "clinical.md 3.1, engineering default"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
_FRONTAL = rows_of("F3", "Fz", "F4")
_CENTRAL = rows_of("C3", "Cz", "C4")
_FRONTOCENTRAL = rows_of("F3", "Fz", "F4", "C3", "Cz", "C4")
_OCCIPITAL = rows_of("O1", "O2")
_FRONTOPOLAR = rows_of("Fp1", "Fp2")
_SLOW_ROWS = np.concatenate([_FRONTOPOLAR, _FRONTOCENTRAL, _OCCIPITAL])
_SIGMA_ROWS = rows_of("C3", "Cz", "C4", "F3", "Fz", "F4", "O1", "O2")
_IS_CENTRAL, _IS_FRONTAL, _IS_OCCIPITAL = slice(0, 3), slice(3, 6), slice(6, 8)
_BIPOLAR = "needs single electrodes"


def find_sleep(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    statistics: RowStatistics,
    usable: NDArray[np.bool_],
) -> RuleResult:
    """Run all sleep rules.

    Parameters
    ----------
    batch
        Segments of one channel schema.
    spectra, statistics
        Their spectra and row statistics.
    usable
        bool, shape (n, n_channels, 10): seconds free of artifacts.
    """
    if not batch.schema.is_referential:
        reasons = [_BIPOLAR] * len(batch)
        kinds = ("spindle", "kcomplex", "slow_wave")
        return sum((conclude(batch.segment_ids, k, [], reasons) for k in kinds), RuleResult())
    clean = usable & spectra.is_live[..., None]
    sharp = np.zeros_like(statistics.slow_uv)
    smooth = np.zeros_like(statistics.slow_uv)
    views = slow_views(statistics.slow_uv[:, _SLOW_ROWS], 5, 11)
    sharp[:, _SLOW_ROWS], smooth[:, _SLOW_ROWS] = views
    sharp[~spectra.is_live] = smooth[~spectra.is_live] = 0.0
    spindles = find_spindles(batch, spectra.is_live, clean)
    result = (
        _without_awake(batch, spindles, spectra, usable)
        + find_kcomplexes(batch, spectra.is_live, sharp, clean)
        + find_slow_waves(batch, smooth, clean)
    )
    return unless(result, batch.segment_ids, statistics.why_not)


def _without_awake(
    batch: SegmentBatch,
    spindles: RuleResult,
    spectra: SpectralFeatures,
    usable: NDArray[np.bool_],
) -> RuleResult:
    """Take spindles off pages that a posterior rhythm fills: half a page of it is wakefulness.

    Awake, fast alpha and beta bursts over the central rows have a spindle's shape.
    """
    found = {finding.segment_id for finding in spindles.findings}
    chosen = np.array([i for i, s in enumerate(batch.segment_ids) if s in found], dtype=np.intp)
    if not chosen.size:
        return spindles
    awake = {finding.segment_id for finding in posterior_rhythms(batch, spectra, usable, chosen)[0]}
    kept = [finding for finding in spindles.findings if finding.segment_id not in awake]
    reasons = [judgement.reason for judgement in spindles.judgements]
    return conclude(batch.segment_ids, "spindle", kept, reasons)


def find_spindles(
    batch: SegmentBatch, is_live: NDArray[np.bool_], clean: NDArray[np.bool_]
) -> RuleResult:
    """Find spindles: 11-16 Hz, 0.5-3 s, central, larger there than behind.

    Parameters
    ----------
    batch
        Segments of ``referential19``.
    is_live
        bool, shape (n, 19).
    clean
        bool, shape (n, 19, 10): usable seconds of live rows.
    """
    central_s = clean[:, _CENTRAL].sum(-1).max(1)
    has_back = np.logical_or.reduce(is_live[:, _OCCIPITAL], axis=1)
    is_judged = (central_s >= _L["clean_s"]) & has_back
    rows = np.ascontiguousarray(batch.data_uv[:, _SIGMA_ROWS])
    spectrum = band_spectrum(rows.reshape(-1, rows.shape[-1])).reshape(*rows.shape[:2], -1)
    envelope = np.abs(analytic(spectrum, _L["sigma_low_hz"], _L["sigma_high_hz"]))
    envelope[~is_live[:, _SIGMA_ROWS]] = 0.0
    smooth = envelope.copy()
    smooth[..., 2:-2] = sum(envelope[..., k : k + envelope.shape[-1] - 4] for k in range(5)) / 5
    floor = np.maximum(
        _L["spindle_p2p_uv"] / 2,
        _L["spindle_over_quartile"] * percentile(envelope, 25)[..., None],
    )
    is_high = (smooth >= floor)[:, :6] & is_judged[:, None, None]
    row, start, stop = runs(is_high.reshape(-1, is_high.shape[-1]))
    start, stop = _to_feet(smooth[:, :6].reshape(-1, smooth.shape[-1]), row, start, stop)
    seconds = (stop - start) / RATE_HZ
    fits = (seconds >= _L["spindle_low_s"]) & (seconds <= _L["spindle_high_s"])
    # a train that is too long on one row is no spindle where it dips on another
    is_long = np.zeros((len(batch), smooth.shape[-1]), dtype=np.bool_)
    for k in np.nonzero(seconds > _L["spindle_high_s"])[0]:
        is_long[row[k] // 6, start[k] : stop[k]] = True
    boxes: list[list[Box]] = [[] for _ in batch.segment_ids]
    for r, a, b in zip(row[fits], start[fits], stop[fits], strict=True):
        i, c = divmod(int(r), 6)
        if is_long[i, a:b].mean() >= 0.5:
            continue
        mean = float(smooth[i, c, a:b].mean())
        boxes[i].append(Box(c, a / RATE_HZ, b / RATE_HZ, mean))
    findings = []
    for i, group in boxes_by_group(boxes, 0.3):
        finding = _spindle(batch, i, group, spectrum[i], smooth[i], clean[i])
        if finding is not None:
            findings.append(finding)
    few = too_few(central_s, _L["clean_s"], "C3, Cz and C4")
    reasons = [
        short or ("" if back else "no live occipital row")
        for short, back in zip(few, has_back, strict=True)
    ]
    return conclude(batch.segment_ids, "spindle", findings, reasons)


def _to_feet(
    envelope: NDArray[np.float32],
    row: NDArray[np.intp],
    start: NDArray[np.intp],
    stop: NDArray[np.intp],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Move the ends of runs to where the envelope reaches a share of the run's peak.

    Without this a strong short burst would be as long as the filter rings above the floor.
    """
    first, last = start.copy(), stop.copy()
    for k, (r, a, b) in enumerate(zip(row, start, stop, strict=True)):
        part = envelope[r, a:b]
        inside = np.nonzero(part >= _L["spindle_foot_share"] * part.max())[0]
        first[k], last[k] = a + inside[0], a + inside[-1] + 1
    return first, last


def _spindle(
    batch: SegmentBatch,
    i: int,
    group: Sequence[Box],
    spectrum: NDArray[np.complex64],
    envelope: NDArray[np.float32],
    clean: NDArray[np.bool_],
) -> Finding | None:
    """Judge one candidate: place, share of the signal, clean rows; None where it fails."""
    t0, t1 = min(b.t0_s for b in group), max(b.t1_s for b in group)
    seconds = slice(int(t0), int(np.ceil(t1)))
    kept = [b for b in group if clean[_SIGMA_ROWS[b.row], seconds].all()]
    rows = {b.row for b in kept}
    if len(rows) < _L["spindle_rows"] or not rows & {0, 1, 2}:
        return None
    span = slice(int(t0 * RATE_HZ), max(int(t1 * RATE_HZ), int(t0 * RATE_HZ) + 1))
    level = envelope[:, span].mean(-1)
    central, frontal, occipital = (
        float(level[part].max()) for part in (_IS_CENTRAL, _IS_FRONTAL, _IS_OCCIPITAL)
    )
    is_behind = central < _L["spindle_over_occipital"] * occipital
    if is_behind or central < _L["spindle_over_frontal"] * frontal:
        return None
    lead = max(kept, key=lambda b: b.weight)
    sigma_share, correlation, hz = _sigma_measures(spectrum[lead.row], t0, t1)
    if sigma_share < _L["spindle_sigma_share"] or correlation < _L["spindle_correlation"]:
        return None
    amplitude = 2 * float(envelope[lead.row, span].max())
    measures = [
        ("frequency_hz", hz, "Hz"),
        ("amplitude_uv_p2p", amplitude, "uV"),
        duration_of(group),
        ("sigma_share", sigma_share, "1"),
        ("correlation", correlation, "1"),
        ("central_occipital_ratio", central / max(occipital, 1e-3), "1"),
    ]
    confidence = margin_confidence(
        amplitude / _L["spindle_p2p_uv"], sigma_share / _L["spindle_sigma_share"],
        central / max(occipital, 1e-3),
    )  # fmt: skip
    ordered = dict.fromkeys(b.row for b in sorted(kept, key=lambda b: (-b.weight, b.row)))
    names = [CANONICAL19[_SIGMA_ROWS[r]] for r in ordered]
    segment_id = batch.segment_ids[i]
    return make_finding(segment_id, "spindle", names, (t0, t1), measures, confidence, VERSION)


def _sigma_measures(
    spectrum: NDArray[np.complex64], t0: float, t1: float
) -> tuple[float, float, float]:
    """Share of sigma power and correlation with the 1-30 Hz signal, and frequency, in a stretch."""
    span = slice(int(t0 * SFREQ_HZ), int(t1 * SFREQ_HZ))
    sigma = filter_band(spectrum, _L["sigma_low_hz"], _L["sigma_high_hz"])[span].astype(np.float64)
    broad = filter_band(spectrum, 1.0, 30.0)[span].astype(np.float64)
    centred = broad - broad.mean()
    share = float((sigma**2).sum() / max((centred**2).sum(), 1e-9))
    norm = float(np.sqrt((sigma**2).sum() * (centred**2).sum()))
    correlation = float((sigma * centred).sum() / max(norm, 1e-9))
    crossings = np.nonzero((sigma[:-1] < 0) != (sigma[1:] < 0))[0]
    # interpolated crossings: whole samples would be off by 0.3 Hz on a half-second spindle
    at = crossings + sigma[crossings] / (sigma[crossings] - sigma[crossings + 1])
    hz = 0.5 * (at.size - 1) * SFREQ_HZ / (at[-1] - at[0]) if at.size > 2 else np.nan
    return share, correlation, float(hz)


def find_kcomplexes(
    batch: SegmentBatch,
    is_live: NDArray[np.bool_],
    view: NDArray[np.float32],
    clean: NDArray[np.bool_],
) -> RuleResult:
    """Find K-complexes: negative, then positive, 0.5-2 s, frontal, clear of the background.

    Parameters
    ----------
    batch, is_live, clean
        As for :func:`find_spindles`.
    view
        Rows at 40 Hz from :func:`detectors.slow_waves.slow_views`, 5 samples wide, dead rows zero;
        shape (n, 19, 400).
    """
    frontal_s = clean[:, _FRONTAL].sum(-1).max(1)
    is_judged = frontal_s >= _L["clean_s"]
    n_front = is_live[:, _FRONTAL].sum(1)
    front = view[:, _FRONTAL].sum(1) / np.maximum(n_front, 1)[:, None]
    seconds = front.reshape(len(batch), -1, SLOW_HZ)
    typical = np.median(seconds.max(-1) - seconds.min(-1), axis=1)
    segment, time = np.nonzero((front <= -_L["kcomplex_negative_uv"]) & is_judged[:, None])
    near = np.clip(time[:, None] + np.arange(-16, 17), 0, front.shape[1] - 1)
    is_trough = front[segment, time] <= front[segment[:, None], near].min(1, initial=np.inf)
    findings = []
    for i, t in zip(segment[is_trough].tolist(), time[is_trough].tolist(), strict=True):
        finding = _kcomplex(batch, i, t, view[i], front[i], float(typical[i]), is_live[i], clean[i])
        if finding is not None:
            findings.append(finding)
    reasons = too_few(frontal_s, _L["clean_s"], "F3, Fz and F4")
    return conclude(batch.segment_ids, "kcomplex", findings, reasons)


def _half_width_s(wave_uv: NDArray[np.float32], peak: int) -> float:
    """Time around a maximum that stays above half of it."""
    low = wave_uv <= 0.5 * wave_uv[peak]
    before, after = np.nonzero(low[:peak])[0], np.nonzero(low[peak:])[0]
    start = int(before[-1]) + 1 if before.size else 0
    stop = peak + int(after[0]) if after.size else wave_uv.size
    return (stop - start) / SLOW_HZ


def _kcomplex(
    batch: SegmentBatch,
    i: int,
    trough: int,
    view: NDArray[np.float32],
    front: NDArray[np.float32],
    typical_uv: float,
    is_live: NDArray[np.bool_],
    clean: NDArray[np.bool_],
) -> Finding | None:
    """Judge one trough; None where it is no K-complex."""
    after = front[trough + 4 : trough + 36]
    if after.size < 8:
        return None
    peak = trough + 4 + int(after.argmax())
    foot = _L["kcomplex_foot_share"]
    before = np.nonzero(front[:trough] >= foot * front[trough])[0]
    beyond = np.nonzero(front[peak:] <= foot * front[peak])[0]
    if not before.size or not beyond.size:
        return None
    start, stop = int(before[-1]) + 1, peak + int(beyond[0])
    is_led_by_positive = front[max(start - 24, 0) : start].max(initial=0.0) > front[peak]
    if is_led_by_positive or front[peak] < -_L["kcomplex_positive_share"] * front[trough]:
        return None
    duration = (stop - start) / SLOW_HZ
    p2p = float(front[peak] - front[trough])
    is_shape = _L["kcomplex_low_s"] <= duration <= _L["kcomplex_high_s"]
    negative_s, positive_s = _half_width_s(-front, trough), _half_width_s(front, peak)
    is_shape &= negative_s <= _L["kcomplex_sharp_s"]
    is_shape &= negative_s <= _L["kcomplex_sharp_share"] * positive_s
    is_large = p2p >= max(_L["kcomplex_p2p_uv"], _L["kcomplex_over_median"] * typical_uv)
    if not (is_shape and is_large):
        return None
    each = np.where(is_live, view[:, peak] - view[:, trough], 0.0)
    behind = float(each[_OCCIPITAL].max())
    if p2p < _L["kcomplex_over_occipital"] * behind:
        return None
    if float(each[_FRONTOPOLAR].max()) > _L["not_eye_ratio"] * float(each[_FRONTAL].max()):
        return None
    span = slice(start // SLOW_HZ, int(np.ceil(stop / SLOW_HZ)))
    rows = [r for r in _FRONTOCENTRAL if each[r] >= 0.5 * p2p and clean[r, span].all()]
    if len(rows) < 2:
        return None
    rows.sort(key=lambda r: (-float(each[r]), int(r)))
    measures = [
        ("amplitude_uv_p2p", p2p, "uV"),
        ("duration_s", duration, "s"),
        ("over_background", p2p / max(typical_uv, 1.0), "1"),
    ]
    confidence = margin_confidence(
        p2p / _L["kcomplex_p2p_uv"], p2p / max(typical_uv, 1.0) / _L["kcomplex_over_median"]
    )
    names = [CANONICAL19[r] for r in rows]
    times = (start / SLOW_HZ, stop / SLOW_HZ)
    return make_finding(
        batch.segment_ids[i], "kcomplex", names, times, measures, confidence, VERSION
    )
