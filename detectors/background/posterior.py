"""What the rhythm behind is judged on: peaks of the occipital spectrum and their course in time.

The rule, with its limits, is in :mod:`detectors.background.rhythms`; no finding is made here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from detectors._rule_common import Limit
from detectors.montage import rows_of
from detectors.signal.envelope import RATE_HZ, analytic_each, band_spectrum
from detectors.signal.spectra import SpectralFeatures, fit_aperiodic, peak_of
from detectors.types import N_TIMES, SEGMENT_S, SFREQ_HZ, SegmentBatch

_E3 = "clinical.md 3.1, engineering default"
LIMITS: dict[str, Limit] = {
    "posterior_low_hz": Limit(6.0, "Hz", _E3),
    "posterior_high_hz": Limit(13.5, "Hz", _E3),
    "posterior_db": Limit(3.0, "dB", _E3),
    "flank_near_hz": Limit(1.5, "Hz", "engineering default: outside the peak of 2-s windows"),
    "flank_far_hz": Limit(3.0, "Hz", "engineering default"),
    "side_reach_hz": Limit(2.5, "Hz", "engineering default: adults differ by < 1 Hz"),
    "half_width_hz": Limit(0.75, "Hz", "engineering default: a rhythm keeps within 1.5 Hz"),
    "trough_share": Limit(0.05, "1", "engineering default: of the strongest second's power"),
    "cycle_db": Limit(2.0, "dB", "engineering default: power of a second over the 1/f fit"),
}
"""Constants of this module with their source marks, part of the background rules'."""

_L = {name: entry.value for name, entry in LIMITS.items()}
OCCIPITAL = rows_of("O1", "O2")
WINDOW = 4 * SFREQ_HZ
"""Samples of a window whose spectrum is taken."""
_WINDOW_STARTS = tuple(range(0, N_TIMES - WINDOW + 1, WINDOW // 2))
_POINTS = round(RATE_HZ * SEGMENT_S)
_SECOND_OF_POINT = np.minimum((np.arange(_POINTS) / RATE_HZ).astype(int), SEGMENT_S - 1)
_SECOND_POINTS = round(RATE_HZ)
_INSIDE_SECOND = np.convolve(np.ones(_POINTS), np.ones(_SECOND_POINTS), mode="same")
_FIRST, _LAST = 2 * WINDOW // SFREQ_HZ, 30 * WINDOW // SFREQ_HZ
_PEAK_FREQS = np.arange(_FIRST, _LAST + 1) * SFREQ_HZ / WINDOW
_INSIDE, _BEFORE, _AFTER = (slice(_FIRST + d, _LAST + 1 + d) for d in (0, -1, 1))


@dataclass(frozen=True, slots=True)
class Posterior:
    """Peaks of the occipital spectrum, NaN where there is none; O1 and O2 over the same fit."""

    peak_hz: NDArray[np.float64]
    height_db: NDArray[np.float64]
    offset: NDArray[np.float64]
    exponent: NDArray[np.float64]
    used: NDArray[np.bool_]
    ratio_by_row: NDArray[np.float64]

    def of(self, numbers: NDArray[np.intp]) -> Posterior:
        """Return the peaks of some pages."""
        parts = (getattr(self, part.name)[numbers] for part in fields(self))
        return Posterior(*parts)


def occipital_peaks(
    batch: SegmentBatch, usable: NDArray[np.bool_], segments: NDArray[np.intp]
) -> Posterior:
    """Find the peaks of the occipital spectrum: mean of clean 4-s windows over a 1/f fit.

    Parameters
    ----------
    batch
        Segments of ``referential19``.
    usable
        bool, shape (n, 19, 10): usable seconds of live rows.
    segments
        Numbers of the segments, shape (n_chosen,).
    """
    from scipy import fft

    rows = np.ascontiguousarray(batch.data_uv[segments[:, None], OCCIPITAL], dtype=np.float32)
    windows = sliding_window_view(rows, WINDOW, axis=-1)[:, :, :: WINDOW // 2]
    plain = fft.rfft(windows, axis=-1, workers=1)
    # Hann's window is three bins wide, so it costs less here than on the samples
    spectrum = plain[..., _INSIDE] - 0.5 * (plain[..., _BEFORE] + plain[..., _AFTER])
    power = spectrum.real**2 + spectrum.imag**2
    seconds = [slice(s // SFREQ_HZ, (s + WINDOW) // SFREQ_HZ) for s in _WINDOW_STARTS]
    is_clean = np.stack([usable[segments[:, None], OCCIPITAL, s].all(-1) for s in seconds], axis=2)
    weight = is_clean.astype(np.float32)
    by_row = np.matmul(weight[:, :, None], power)[:, :, 0]
    # half of the amplitude is in the window, whose mean square is 3/8
    by_row *= 2.0 / 4 / (SFREQ_HZ * WINDOW * 0.375)
    density = by_row.sum(1) / np.maximum(weight.sum((1, 2)), 1)[:, None]
    freqs = _PEAK_FREQS
    is_off = (freqs < _L["posterior_low_hz"] - 0.5) | (freqs > _L["posterior_high_hz"] + 0.5)
    band = batch.band_hz[segments, 1:]
    offset, exponent = fit_aperiodic(freqs, density, is_off & (freqs <= 0.9 * band))
    fit = np.maximum(10 ** (offset[:, None] - exponent[:, None] * np.log10(freqs)), 1e-12)
    ratio = np.nan_to_num(density / fit)
    by_row /= np.maximum(weight.sum(2), 1)[..., None]
    # a maximum on the edge may belong to something outside: only what lies inside is a peak
    allowed = (freqs > _L["posterior_low_hz"]) & (freqs < _L["posterior_high_hz"])
    peak_hz, height_db = peak_of(freqs, ratio, allowed)
    by_row = np.nan_to_num(by_row / fit[:, None])
    return Posterior(peak_hz, height_db, offset, exponent, is_clean.max(2), by_row)


@dataclass(frozen=True, slots=True)
class Courses:
    """Courses of candidates over the page at O1 and O2, at the envelope's rate.

    Parameters
    ----------
    spectrum
        Of both rows, shape (n, 2, n_freqs).
    is_clean
        bool, shape (n, 2, n_points); rows without a clean window are out.
    strength_db
        Power of the rhythm's band over the 1/f fit, shape (n,).
    share
        Share of the clean time in which it is there, shape (n,).
    """

    spectrum: NDArray[np.complex64]
    is_clean: NDArray[np.bool_]
    strength_db: NDArray[np.float64]
    share: NDArray[np.float64]

    def amplitude_uv_p2p(self, peaks: Posterior, sides: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the median peak-to-peak of cycles while they stand over the 1/f fit, shape (n,).

        Parameters
        ----------
        peaks
            Of the same candidates.
        sides
            Shape (n,): 0 for O1, 1 for O2.
        """
        page = np.arange(sides.size)
        low, high = peaks.peak_hz - 1.5, peaks.peak_hz + 1.5
        envelope = np.abs(analytic_each(self.spectrum[page, sides][:, None], low, high))[:, 0]
        least = _expected_uv2(peaks, low, high) * 10 ** (_L["cycle_db"] / 10)
        is_on = self.is_clean[page, sides] & (envelope**2 >= least[:, None])
        ordered = np.sort(np.where(is_on, envelope, np.inf), axis=1)
        n_on = is_on.sum(1)
        middle = ordered[page, np.maximum(n_on - 1, 0) // 2] + ordered[page, n_on // 2 % _POINTS]
        # twice the mean of the two in the middle
        return np.where(n_on > 0, middle, 0.0).astype(np.float64)

    def of(self, numbers: NDArray[np.intp]) -> Courses:
        """Return the courses of some candidates."""
        parts = (getattr(self, part.name)[numbers] for part in fields(self))
        return Courses(*parts)


def follow_courses(
    batch: SegmentBatch, peaks: Posterior, usable: NDArray[np.bool_], chosen: NDArray[np.intp]
) -> Courses:
    """Follow candidates; both rows together, as what is chance in one is not in the other.

    Parameters
    ----------
    batch, usable
        As for :func:`occipital_peaks`.
    peaks
        Of the candidates.
    chosen
        Numbers of their segments, shape (n_candidates,).
    """
    spectrum = band_spectrum(batch.data_uv[chosen[:, None], OCCIPITAL])
    low, high = peaks.peak_hz - _L["half_width_hz"], peaks.peak_hz + _L["half_width_hz"]
    power = np.abs(analytic_each(spectrum, low, high)) ** 2
    clean = usable[chosen[:, None], OCCIPITAL] & peaks.used[..., None]
    is_clean = clean[..., _SECOND_OF_POINT]
    is_any = is_clean.any(1)
    reach = _SECOND_POINTS // 2
    total = np.cumsum(np.pad(power, [(0, 0), (0, 0), (reach + 1, reach - 1)]), -1, dtype=float)
    smooth = (total[..., _SECOND_POINTS:] - total[..., :-_SECOND_POINTS]) / _INSIDE_SECOND
    mean = (smooth * is_clean).sum(1) / np.maximum(is_clean.sum(1), 1)
    expected = _expected_uv2(peaks, low, high)
    # a short loud burst rings in so narrow a filter: what it leaves behind is no cycle
    cycle = expected * 10 ** (_L["cycle_db"] / 10)
    largest = np.where(is_any, mean, 0.0).max(1, initial=0.0)
    least = np.maximum(cycle, _L["trough_share"] * largest)
    share = ((mean >= least[:, None]) & is_any).sum(1) / np.maximum(is_any.sum(1), 1)
    whole = (power * is_clean).sum((1, 2)) / np.maximum(is_clean.sum((1, 2)), 1)
    strength_db = 10 * np.log10(np.maximum(whole / expected, 1e-12))
    return Courses(spectrum, is_clean, strength_db, share)


def _expected_uv2(
    peaks: Posterior, low_hz: NDArray[np.float64] | float, high_hz: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Squared envelope of narrow bands if the 1/f fit were all there is."""
    middle_hz = 0.5 * (low_hz + high_hz)
    return np.asarray(2 * 10.0**peaks.offset * middle_hz**-peaks.exponent * (high_hz - low_hz))


def sides_apart(peaks: Posterior) -> NDArray[np.float64]:
    """Return how far apart a rhythm's frequencies at O1 and O2 are, NaN where one has none."""
    near = np.abs(_PEAK_FREQS - peaks.peak_hz[:, None]) <= _L["side_reach_hz"]
    peak_hz, height_db = peak_of(_PEAK_FREQS, peaks.ratio_by_row, near[:, None])
    has_both = (peaks.used & (np.nan_to_num(height_db) >= _L["posterior_db"])).all(1)
    return np.where(has_both, np.abs(peak_hz[:, 0] - peak_hz[:, 1]), np.nan)


def at_peaks(
    spectra: SpectralFeatures, segments: NDArray[np.intp], peak_hz: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Density of every row at the peaks, whole and over the level of their flanks, shape (n, 19).

    A rhythm of the back is smaller in front; the 1/f activity it stands on is not, and would pull
    the ratio of whole powers towards 1 on every page where the rhythm is low.
    """
    away = spectra.freqs_hz - peak_hz[:, None]
    near, far = _L["flank_near_hz"], _L["flank_far_hz"]
    parts = np.stack(
        [np.abs(away) <= 0.5, (away >= -far) & (away <= -near), (away >= near) & (away <= far)], 2
    ).astype(np.float32)
    parts /= np.maximum(parts.sum(1, keepdims=True), 1)
    power, below, above = np.moveaxis(np.matmul(spectra.psd_uv2_hz[segments], parts), 2, 0)
    return power, power - np.sqrt(below * above)
