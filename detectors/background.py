"""Background rhythms: the posterior rhythm and the dominant rhythm of a page.

Each is measured on seconds that no artifact touches. "Posterior rhythm" is what a page can say;
"posterior dominant rhythm" or "alpha rhythm" need eye state and wakefulness, which ten seconds do
not give (``clinical.md`` 3.1, 10). Spectra come from :mod:`detectors.spectra`, voltage
and asymmetry are in :mod:`detectors.voltage`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors._envelope import band_envelope
from detectors._rule_common import Limit, conclude, make_finding, margin_confidence, too_few, unless
from detectors.montage import rows_of
from detectors.row_statistics import RowStatistics
from detectors.spectra import LIMITS as SPECTRAL_LIMITS
from detectors.spectra import SpectralFeatures, fit_aperiodic, peak_of
from detectors.types import (
    CANONICAL19,
    N_TIMES,
    SEGMENT_S,
    SFREQ_HZ,
    Finding,
    RuleResult,
    SegmentBatch,
)
from detectors.vocabulary import CLINICAL_BANDS
from detectors.voltage import find_asymmetry, find_voltage

VERSION = "2"
"""Version of the background rules, part of every finding's source."""

_E3 = "clinical.md 3.1, engineering default"
LIMITS: dict[str, Limit] = {
    "posterior_low_hz": Limit(6.0, "Hz", _E3),
    "posterior_high_hz": Limit(13.5, "Hz", _E3),
    "posterior_db": Limit(3.0, "dB", _E3),
    "posterior_ratio": Limit(2.0, "1", _E3),
    "sustained_share": Limit(0.5, "1", _E3),
    "cycle_db": Limit(3.0, "dB", "engineering default: power of a second over the 1/f fit"),
    "field_share": Limit(0.5, "1", "clinical.md 9, engineering default"),
    "same_rhythm_hz": Limit(1.0, "Hz", "engineering default: two spectral bins"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
_OCCIPITAL = rows_of("O1", "O2")
_POSTERIOR = rows_of("O1", "O2", "P3", "P4", "P7", "P8", "Pz")
_OCCIPITOPARIETAL = rows_of("O1", "O2", "P3", "P4")
_ANTERIOR = rows_of("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8")
_WINDOW = 4 * SFREQ_HZ
_WINDOW_STARTS = tuple(range(0, N_TIMES - _WINDOW + 1, _WINDOW // 2))
_WINDOW_FREQS = np.linspace(0.0, SFREQ_HZ / 2, _WINDOW // 2 + 1)


def find_background(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    statistics: RowStatistics,
    usable: NDArray[np.bool_],
) -> RuleResult:
    """Run all background rules.

    Parameters
    ----------
    batch
        Segments of one channel schema.
    spectra, statistics
        Their spectra and row statistics.
    usable
        bool, shape (n, n_channels, 10): seconds free of artifacts.
    """
    result = (
        find_posterior_rhythm(batch, spectra, usable)
        + find_dominant_rhythm(batch, spectra)
        + find_voltage(batch, statistics, usable)
        + find_asymmetry(batch, spectra, statistics, usable)
    )
    return unless(result, batch.segment_ids, statistics.why_not)


@dataclass(frozen=True, slots=True)
class _Posterior:
    """Peaks of the occipital spectrum; NaN where there is none."""

    peak_hz: NDArray[np.float64]
    height_db: NDArray[np.float64]
    offset: NDArray[np.float64]
    exponent: NDArray[np.float64]
    used: NDArray[np.bool_]


def find_posterior_rhythm(
    batch: SegmentBatch, spectra: SpectralFeatures, usable: NDArray[np.bool_]
) -> RuleResult:
    """Find a sustained rhythm of 6-13.5 Hz that is larger behind than in front.

    The peak is taken on the mean of O1 and O2 over clean 4-s windows, over a 1/f fit; the power at
    the peak in O1 O2 P3 P4 is compared with the frontal rows; the rhythm must fill half of the
    clean seconds. Amplitude is the median peak-to-peak of the band-limited cycles at the leading
    occipital electrode **in the recording's own reference**.

    Parameters
    ----------
    batch, spectra, usable
        As for :func:`find_background`.
    """
    kind = "posterior_rhythm"
    if not batch.schema.is_referential:
        return conclude(batch.segment_ids, kind, [], ["needs single electrodes"] * len(batch))
    findings, is_judged = posterior_rhythms(batch, spectra, usable, np.arange(len(batch)))
    reasons = _posterior_reasons(usable & spectra.is_live[..., None], spectra, is_judged)
    return conclude(batch.segment_ids, kind, findings, reasons)


def _posterior_reasons(
    clean: NDArray[np.bool_], spectra: SpectralFeatures, is_judged: NDArray[np.bool_]
) -> list[str]:
    """Say what the posterior rhythm lacked: usable seconds, seconds in a row, a frontal row."""
    needed_s = _WINDOW / SFREQ_HZ
    seconds = clean[:, _OCCIPITAL].sum(-1).max(1)
    few = too_few(seconds, needed_s, "O1 and O2")
    has_front = spectra.is_live[:, _ANTERIOR].sum(1) > 0
    return [
        ""
        if judged
        else short
        or (
            f"fewer than {needed_s:g} usable s in a row on O1 and O2"
            if front
            else "no live frontal row"
        )
        for judged, short, front in zip(is_judged, few, has_front, strict=True)
    ]


def posterior_rhythms(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    usable: NDArray[np.bool_],
    segments: NDArray[np.intp],
) -> tuple[list[Finding], NDArray[np.bool_]]:
    """Find the posterior rhythms of some segments of a batch, and say which could be judged.

    Parameters
    ----------
    batch, spectra, usable
        As for :func:`find_background`; ``referential19``.
    segments
        Numbers of the segments, shape (n_chosen,).

    Returns
    -------
    findings, is_judged
        At most one finding per segment; bool, shape (n_chosen,).
    """
    peaks = _occipital_peaks(batch, usable & spectra.is_live[..., None], segments)
    has_front = np.logical_or.reduce(spectra.is_live[segments][:, _ANTERIOR], axis=1)
    is_judged = np.logical_or.reduce(peaks.used, axis=1) & has_front
    candidates = np.nonzero(is_judged & (np.nan_to_num(peaks.height_db) >= _L["posterior_db"]))[0]
    findings = [
        finding
        for k in candidates
        if (finding := _posterior_finding(batch, spectra, usable, peaks, segments, int(k)))
        is not None
    ]
    return findings, is_judged


def _occipital_peaks(
    batch: SegmentBatch, usable: NDArray[np.bool_], segments: NDArray[np.intp]
) -> _Posterior:
    from scipy import fft

    n = segments.size
    taper = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    windows = np.stack(
        [batch.data_uv[segments[:, None], _OCCIPITAL, s : s + _WINDOW] for s in _WINDOW_STARTS],
        axis=2,
    )
    spectrum = fft.rfft((windows - windows.mean(-1, keepdims=True)) * taper, axis=-1, workers=1)
    power = spectrum.real**2 + spectrum.imag**2
    seconds = [slice(s // SFREQ_HZ, (s + _WINDOW) // SFREQ_HZ) for s in _WINDOW_STARTS]
    is_clean = np.stack([usable[segments[:, None], _OCCIPITAL, s].all(-1) for s in seconds], axis=2)
    weight = is_clean.reshape(n, -1).astype(np.float32)
    total = np.einsum("nwf,nw->nf", power.reshape(n, weight.shape[1], -1), weight)
    scale = 2.0 / (SFREQ_HZ * float((taper**2).sum())) / np.maximum(weight.sum(1), 1)
    inside = (_WINDOW_FREQS >= 2) & (_WINDOW_FREQS <= 30)
    freqs = _WINDOW_FREQS[inside]
    density = total[:, inside] * scale[:, None]
    is_off = (freqs < _L["posterior_low_hz"] - 0.5) | (freqs > _L["posterior_high_hz"] + 0.5)
    band = batch.band_hz[segments, 1:]
    offset, exponent = fit_aperiodic(freqs, density, is_off & (freqs <= 0.9 * band))
    fit = 10 ** (offset[:, None] - exponent[:, None] * np.log10(freqs))
    ratio = np.nan_to_num(density / np.maximum(fit, 1e-12))
    # a maximum on the edge may belong to something outside: only what lies inside is a peak
    allowed = (freqs > _L["posterior_low_hz"]) & (freqs < _L["posterior_high_hz"])
    peak_hz, height_db = peak_of(freqs, ratio, allowed)
    return _Posterior(peak_hz, height_db, offset, exponent, is_clean.max(2))


def _posterior_finding(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    usable: NDArray[np.bool_],
    peaks: _Posterior,
    segments: NDArray[np.intp],
    k: int,
) -> Finding | None:
    """Judge one candidate: field, share of clean time; None where it fails."""
    i = int(segments[k])
    peak_hz = float(peaks.peak_hz[k])
    live = spectra.is_live[i]
    at_peak = np.abs(spectra.freqs_hz - peak_hz) <= 0.5
    power = np.where(live, spectra.psd_uv2_hz[i][:, at_peak].mean(1), 0.0)
    behind = [r for r in _OCCIPITOPARIETAL if live[r]]
    front = [r for r in _ANTERIOR if live[r]]
    ratio = float(power[behind].mean() / max(power[front].mean(), 1e-9))
    leads = [r for c, r in enumerate(_OCCIPITAL) if peaks.used[k, c]]
    lead = max(leads, key=lambda r: float(power[r]))
    share, amplitude = _cycles(batch.data_uv[i, lead], peaks, usable[i, lead], k)
    is_rhythm = ratio >= _L["posterior_ratio"] and share >= _L["sustained_share"]
    if not is_rhythm:
        return None
    field = [
        r for r in _POSTERIOR
        if live[r] and r != lead and power[r] >= _L["field_share"] * power[lead]
    ]  # fmt: skip
    rows = [lead, *sorted(field, key=lambda r: (-float(power[r]), int(r)))]
    measures = [
        ("frequency_hz", peak_hz, "Hz"),
        ("amplitude_uv_p2p", amplitude, "uV"),
        ("prominence_db", float(peaks.height_db[k]), "dB"),
        ("posterior_anterior_ratio", ratio, "1"),
        ("sustained_share", share, "1"),
    ]
    confidence = margin_confidence(
        10 ** ((float(peaks.height_db[k]) - _L["posterior_db"]) / 10),
        ratio / _L["posterior_ratio"],
        share / _L["sustained_share"],
    )
    names = [CANONICAL19[r] for r in rows]
    segment_id = batch.segment_ids[i]
    span = (0.0, float(SEGMENT_S))
    return make_finding(segment_id, "posterior_rhythm", names, span, measures, confidence, VERSION)


def _cycles(
    row_uv: NDArray[np.float32],
    peaks: _Posterior,
    usable: NDArray[np.bool_],
    k: int,
) -> tuple[float, float]:
    """Share of clean time with the rhythm, and the median peak-to-peak of its cycles, uV."""
    peak_hz = float(peaks.peak_hz[k])
    low, high = peak_hz - 1.5, peak_hz + 1.5
    envelope, rate_hz = band_envelope(row_uv[None], low, high)
    freqs = np.arange(low, high, 0.1)
    fit = 10 ** (peaks.offset[k] - peaks.exponent[k] * np.log10(freqs))
    expected = 2 * float(fit.sum()) * 0.1
    power = np.convolve(envelope[0] ** 2, np.ones(12) / 12, mode="same")
    at = np.minimum((np.arange(power.size) / rate_hz).astype(int), SEGMENT_S - 1)
    is_clean = usable[at]
    is_on = is_clean & (power >= expected * 10 ** (_L["cycle_db"] / 10))
    share = float(is_on.sum() / max(is_clean.sum(), 1))
    amplitude = 2 * float(np.median(envelope[0][is_on])) if is_on.any() else 0.0
    return share, amplitude


def find_dominant_rhythm(batch: SegmentBatch, spectra: SpectralFeatures) -> RuleResult:
    """Find the rhythm that stands highest over the 1/f line of the page.

    Works on any rows. The frequency is the one most rows agree on: the peak of a row inside the
    dominant band that has the largest summed height of rows within 1 Hz.

    Parameters
    ----------
    batch, spectra
        As for :func:`find_background`.
    """
    findings = []
    for i, band in enumerate(spectra.dominant_band):
        if not band:
            continue
        low, high = CLINICAL_BANDS[band]
        hz, height = spectra.dominant_hz[i], spectra.prominence_db[i]
        with np.errstate(invalid="ignore"):
            rows = np.nonzero((hz >= low) & (hz <= high))[0]
        if not rows.size:
            continue
        near = np.abs(hz[rows][:, None] - hz[rows][None]) <= _L["same_rhythm_hz"]
        seed = int(np.argmax(near @ height[rows]))
        rows = rows[near[seed]]
        rows = rows[np.argsort(-height[rows], kind="stable")]
        share = rows.size / int(spectra.is_live[i].sum())
        measures = [
            ("frequency_hz", float(np.median(hz[rows])), "Hz"),
            ("prominence_db", float(height[rows[0]]), "dB"),
            ("row_share", share, "1"),
        ]
        confidence = margin_confidence(
            10 ** ((float(height[rows[0]]) - SPECTRAL_LIMITS["peak_db"].value) / 10), 1 + share
        )
        names = [batch.schema.ch_names[r] for r in rows]
        findings.append(
            make_finding(
                batch.segment_ids[i], "dominant_rhythm", names, (0, SEGMENT_S), measures,
                confidence, VERSION,
            )
        )  # fmt: skip
    reasons = ["" if n else "no live row" for n in spectra.is_live.sum(1)]
    return conclude(batch.segment_ids, "dominant_rhythm", findings, reasons)
