"""Background rhythms: the posterior rhythm and the dominant rhythm of a page.

Each is measured on seconds that no artifact touches. "Posterior rhythm" is what a page can say;
"posterior dominant rhythm" or "alpha rhythm" need eye state and wakefulness, which ten seconds do
not give (``clinical.md`` 3.1, 10). Spectra come from :mod:`detectors.spectra`, voltage and asymmetry
are in :mod:`detectors.voltage`, low-voltage intervals in :mod:`detectors.continuity`, slow activity,
which must know what sleep and artifacts explain, in :mod:`detectors.slowing`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors._envelope import RATE_HZ, analytic, band_spectrum
from detectors._rule_common import Limit, conclude, make_finding, margin_confidence, too_few, unless
from detectors.continuity import find_attenuation
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
from detectors.voltage import find_asymmetry, find_voltage, longitudinal_cells

VERSION = "3"
"""Version of the background rules, part of every finding's source."""

_E3 = "clinical.md 3.1, engineering default"
LIMITS: dict[str, Limit] = {
    "posterior_low_hz": Limit(6.0, "Hz", _E3),
    "posterior_high_hz": Limit(13.5, "Hz", _E3),
    "posterior_db": Limit(3.0, "dB", _E3),
    "band_db": Limit(3.3, "dB", "measured: 1 % of simulated pages without a rhythm pass"),
    "posterior_ratio": Limit(2.0, "1", _E3),
    "flank_near_hz": Limit(1.5, "Hz", "engineering default: outside the peak of 2-s windows"),
    "flank_far_hz": Limit(3.0, "Hz", "engineering default"),
    "side_reach_hz": Limit(2.5, "Hz", "engineering default: adults differ by < 1 Hz"),
    "front_share": Limit(0.05, "1", "engineering default: less in front is not told from none"),
    "sustained_share": Limit(0.5, "1", _E3),
    "half_width_hz": Limit(0.75, "Hz", "engineering default: a rhythm keeps within 1.5 Hz"),
    "trough_share": Limit(0.05, "1", "engineering default: of the strongest second's power"),
    "cycle_db": Limit(2.0, "dB", "engineering default: power of a second over the 1/f fit"),
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
_POINTS = round(RATE_HZ * SEGMENT_S)
_SECOND_OF_POINT = np.minimum((np.arange(_POINTS) / RATE_HZ).astype(int), SEGMENT_S - 1)
_SECOND = np.ones(round(RATE_HZ))
_INSIDE = np.convolve(np.ones(_POINTS), _SECOND, mode="same")
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
    cells = longitudinal_cells(batch, statistics, usable)
    result = (
        find_posterior_rhythm(batch, spectra, usable)
        + find_dominant_rhythm(batch, spectra)
        + find_voltage(batch, cells)
        + find_asymmetry(batch, spectra, statistics, usable)
        + find_attenuation(batch, cells)
    )
    return unless(result, batch.segment_ids, statistics.why_not)


@dataclass(frozen=True, slots=True)
class _Posterior:
    """Peaks of the occipital spectrum, NaN where there is none; O1 and O2 over the same fit."""

    peak_hz: NDArray[np.float64]
    height_db: NDArray[np.float64]
    offset: NDArray[np.float64]
    exponent: NDArray[np.float64]
    used: NDArray[np.bool_]
    freqs_hz: NDArray[np.float64]
    ratio_by_row: NDArray[np.float64]


def find_posterior_rhythm(
    batch: SegmentBatch, spectra: SpectralFeatures, usable: NDArray[np.bool_]
) -> RuleResult:
    """Find a sustained rhythm of 6-13.5 Hz that is larger behind than in front.

    The peak is taken on the mean of O1 and O2 over clean 4-s windows, over a 1/f fit; the rhythm's
    band must stand over the fit too, and fill half of the clean seconds; what the peak adds to its
    flanks in O1 O2 P3 P4 is compared with the frontal rows. Amplitude is the median peak-to-peak of
    the band-limited cycles at the leading occipital electrode **in the recording's own reference**.

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
    chosen = segments[candidates]
    spectrum = band_spectrum(batch.data_uv[chosen[:, None], _OCCIPITAL])
    findings = []
    for k, i, rows in zip(candidates.tolist(), chosen.tolist(), spectrum, strict=True):
        course = _Course.of(rows, peaks, usable[i, _OCCIPITAL], k)
        finding = _posterior_finding(batch.segment_ids[i], i, spectra, peaks, k, course)
        if finding is not None:
            findings.append(finding)
    return findings, is_judged


def _occipital_peaks(
    batch: SegmentBatch, usable: NDArray[np.bool_], segments: NDArray[np.intp]
) -> _Posterior:
    from scipy import fft

    taper = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    windows = np.stack(
        [batch.data_uv[segments[:, None], _OCCIPITAL, s : s + _WINDOW] for s in _WINDOW_STARTS],
        axis=2,
    )
    spectrum = fft.rfft((windows - windows.mean(-1, keepdims=True)) * taper, axis=-1, workers=1)
    power = spectrum.real**2 + spectrum.imag**2
    seconds = [slice(s // SFREQ_HZ, (s + _WINDOW) // SFREQ_HZ) for s in _WINDOW_STARTS]
    is_clean = np.stack([usable[segments[:, None], _OCCIPITAL, s].all(-1) for s in seconds], axis=2)
    weight = is_clean.astype(np.float32)
    inside = (_WINDOW_FREQS >= 2) & (_WINDOW_FREQS <= 30)
    freqs = _WINDOW_FREQS[inside]
    by_row = np.einsum("nrwf,nrw->nrf", power[..., inside], weight)
    by_row *= 2.0 / (SFREQ_HZ * float((taper**2).sum()))
    density = by_row.sum(1) / np.maximum(weight.sum((1, 2)), 1)[:, None]
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
    return _Posterior(peak_hz, height_db, offset, exponent, is_clean.max(2), freqs, by_row)


@dataclass(frozen=True, slots=True)
class _Course:
    """Course of one candidate over the page at O1 and O2, at the envelope's rate.

    Parameters
    ----------
    spectrum
        Of both rows.
    is_clean
        bool, shape (2, n_points); rows without a clean window are out.
    strength_db
        Power of the rhythm's band over the 1/f fit.
    share
        Share of the clean time in which it is there.
    """

    spectrum: NDArray[np.complex64]
    is_clean: NDArray[np.bool_]
    strength_db: float
    share: float

    @classmethod
    def of(
        cls,
        spectrum: NDArray[np.complex64],
        peaks: _Posterior,
        usable: NDArray[np.bool_],
        k: int,
    ) -> _Course:
        """Follow a candidate; both rows together, as what is chance in one is not in the other."""
        half_width = _L["half_width_hz"]
        low, high = float(peaks.peak_hz[k]) - half_width, float(peaks.peak_hz[k]) + half_width
        power = np.abs(analytic(spectrum, low, high)) ** 2
        is_clean = usable[:, _SECOND_OF_POINT] & peaks.used[k][:, None]
        is_any = is_clean.any(0)
        smooth = np.stack([np.convolve(row, _SECOND, mode="same") for row in power]) / _INSIDE
        mean = ((smooth * is_clean).sum(0) / np.maximum(is_clean.sum(0), 1))[is_any]
        expected = _expected_uv2(peaks, k, low, high)
        # a short loud burst rings in so narrow a filter: what it leaves behind is no cycle
        cycle = expected * 10 ** (_L["cycle_db"] / 10)
        share = float((mean >= max(cycle, _L["trough_share"] * float(mean.max()))).mean())
        whole = float(power[is_clean].mean())
        return cls(spectrum, is_clean, 10 * float(np.log10(whole / expected)), share)

    def amplitude_uv_p2p(self, peaks: _Posterior, k: int, row: int) -> float:
        """Median peak-to-peak of one row's cycles while they stand over the 1/f fit."""
        low, high = float(peaks.peak_hz[k]) - 1.5, float(peaks.peak_hz[k]) + 1.5
        envelope = np.abs(analytic(self.spectrum[row], low, high))
        least = _expected_uv2(peaks, k, low, high) * 10 ** (_L["cycle_db"] / 10)
        is_on = self.is_clean[row] & (envelope**2 >= least)
        return 2 * float(np.median(envelope[is_on])) if is_on.any() else 0.0


def _expected_uv2(peaks: _Posterior, k: int, low_hz: float, high_hz: float) -> float:
    """Squared envelope of a narrow band if the 1/f fit were all there is."""
    middle_hz = 0.5 * (low_hz + high_hz)
    fit: float = 10.0 ** float(peaks.offset[k]) * middle_hz ** -float(peaks.exponent[k])
    return 2 * fit * float(high_hz - low_hz)


def _posterior_finding(
    segment_id: str, i: int, spectra: SpectralFeatures, peaks: _Posterior, k: int, course: _Course
) -> Finding | None:
    """Judge one candidate: strength, share of clean time, field; None where it fails."""
    # the height at one bin is luck on many pages; the whole of the rhythm's band is not
    if course.strength_db < _L["band_db"] or course.share < _L["sustained_share"]:
        return None
    live = spectra.is_live[i]
    power, excess = _at_peak(spectra, i, float(peaks.peak_hz[k]))
    behind = float(excess[[r for r in _OCCIPITOPARIETAL if live[r]]].mean())
    front = float(excess[[r for r in _ANTERIOR if live[r]]].mean())
    ratio = behind / max(front, _L["front_share"] * behind, 1e-9)
    if behind <= 0 or ratio < _L["posterior_ratio"]:
        return None
    side = max(np.nonzero(peaks.used[k])[0].tolist(), key=lambda c: float(power[_OCCIPITAL[c]]))
    lead = int(_OCCIPITAL[side])
    field = [
        r for r in _POSTERIOR
        if live[r] and r != lead and power[r] >= _L["field_share"] * power[lead]
    ]  # fmt: skip
    rows = [lead, *sorted(field, key=lambda r: (-float(power[r]), int(r)))]
    measures = [
        ("frequency_hz", float(peaks.peak_hz[k]), "Hz"),
        ("amplitude_uv_p2p", course.amplitude_uv_p2p(peaks, k, side), "uV"),
        ("prominence_db", float(peaks.height_db[k]), "dB"),
        ("posterior_anterior_ratio", ratio, "1"),
        ("sustained_share", course.share, "1"),
        *_sides_apart(peaks, k),
    ]
    confidence = margin_confidence(
        10 ** ((course.strength_db - _L["band_db"]) / 10),
        ratio / _L["posterior_ratio"],
        course.share / _L["sustained_share"],
    )
    names = [CANONICAL19[r] for r in rows]
    span = (0.0, float(SEGMENT_S))
    return make_finding(segment_id, "posterior_rhythm", names, span, measures, confidence, VERSION)


def _sides_apart(peaks: _Posterior, k: int) -> list[tuple[str, float, str]]:
    """Return how far apart the rhythm's frequencies at O1 and O2 are, where both have their own."""
    near = np.abs(peaks.freqs_hz - peaks.peak_hz[k]) <= _L["side_reach_hz"]
    peak_hz, height_db = peak_of(peaks.freqs_hz, peaks.ratio_by_row[k], near)
    if not peaks.used[k].all() or not (height_db >= _L["posterior_db"]).all():
        return []
    return [("frequency_difference_hz", float(abs(peak_hz[0] - peak_hz[1])), "Hz")]


def _at_peak(
    spectra: SpectralFeatures, i: int, peak_hz: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Density of every row at the peak, whole and over the level of its flanks, shape (19,).

    A rhythm of the back is smaller in front; the 1/f activity it stands on is not, and would pull
    the ratio of whole powers towards 1 on every page where the rhythm is low.
    """
    away = spectra.freqs_hz - peak_hz
    near, far = _L["flank_near_hz"], _L["flank_far_hz"]
    density = spectra.psd_uv2_hz[i]
    power: NDArray[np.float32] = density[:, np.abs(away) <= 0.5].mean(1)
    below = density[:, (away >= -far) & (away <= -near)].mean(1)
    above = density[:, (away >= near) & (away <= far)].mean(1)
    return power, power - np.sqrt(below * above)


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
