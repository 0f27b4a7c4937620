"""Power spectra: Welch density, band powers in both named schemes, 1/f fit, dominant frequency.

Here live numbers per row and the two segment-level band names. Whether a peak is a *rhythm* in the
clinical sense is decided in :mod:`detectors.background.rhythms`. The density equals
``scipy.signal.welch(x, 200, "hann", 400)`` to 1e-5; it is computed in blocks that stay in cache
(``performance.md`` 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit
from detectors.types import N_TIMES, SFREQ_HZ, SegmentBatch
from detectors.vocabulary import BAND_SCHEMES, CLINICAL_BANDS

WINDOW = 2 * SFREQ_HZ
"""Welch window of 2 s, Hann, half overlapped: 9 windows, 0.5 Hz apart (``systems.md`` 6.4)."""
N_WINDOWS = 2 * N_TIMES // WINDOW - 1
FREQS_HZ = np.linspace(0.0, SFREQ_HZ / 2, WINDOW // 2 + 1)
_BLOCK_SEGMENTS = 4
_STEP_HZ = SFREQ_HZ / WINDOW

LIMITS: dict[str, Limit] = {
    "live_uv2": Limit(0.25, "uV2", "flat: SD < 0.5 uV (clinical.md 8), engineering default"),
    "fit_low_hz": Limit(1.0, "Hz", "engineering default"),
    "fit_high_hz": Limit(45.0, "Hz", "engineering default: below mains and muscle"),
    "peak_region_low_hz": Limit(6.0, "Hz", "clinical.md 3.1, engineering default"),
    "peak_region_high_hz": Limit(14.0, "Hz", "clinical.md 3.1, engineering default"),
    "mains_guard_hz": Limit(2.0, "Hz", "engineering default: Hann main lobe of 2 s"),
    "peak_db": Limit(4.5, "dB", "engineering default: 0.9 % of pure 1/f rows pass"),
    "segment_peak_db": Limit(
        4.0, "dB", "engineering default: 4 % of pages pass whose rows share 95 %"
    ),
}
"""Constants of this module with their source marks."""


@dataclass(frozen=True, slots=True)
class SpectralFeatures:
    """Spectra of a batch.

    Parameters
    ----------
    freqs_hz
        Shape (n_freqs,).
    psd_uv2_hz
        float32, shape (n, n_channels, n_freqs); zero for rows not recorded.
    power_uv2
        ``power_uv2[scheme][band]``, float32, shape (n, n_channels), integrated density. NaN where
        the row was not recorded or the band is void.
    void
        ``void[scheme]``, bool, shape (n, n_bands): the band reaches above the usable band of the
        source, wholly or in part, and must not be mentioned. A band whose lower part is cut by the
        source's high-pass is clipped, not void. Every band of a segment that was not recorded to
        its end is void.
    is_live
        bool, shape (n, n_channels): recorded to the end and not silent; only these enter segment
        means.
    dominant_hz, prominence_db
        float32, shape (n, n_channels): largest peak of the 1/f-corrected spectrum and its height
        over the fit; NaN where none is high enough.
    dominant_band, dominant_band_raw
        Clinical band with the largest 1/f-corrected and raw power of the mean over live rows;
        ``""`` where there is none. Raw is nearly always delta; that is why both are kept.
    segment_peak_db
        float32, shape (n,): height of the largest peak of that mean; NaN without live rows.
    aperiodic_exponent
        float32, shape (n,): mean over live rows; NaN without live rows.
    """

    freqs_hz: NDArray[np.float64]
    psd_uv2_hz: NDArray[np.float32]
    power_uv2: dict[str, dict[str, NDArray[np.float32]]]
    void: dict[str, NDArray[np.bool_]]
    is_live: NDArray[np.bool_]
    dominant_hz: NDArray[np.float32]
    prominence_db: NDArray[np.float32]
    dominant_band: tuple[str, ...]
    dominant_band_raw: tuple[str, ...]
    segment_peak_db: NDArray[np.float32]
    aperiodic_exponent: NDArray[np.float32]

    def rows(self, batch: SegmentBatch) -> list[dict[str, Any]]:
        """Return one row per segment of table ``spectral_features``."""
        columns = {
            f"{scheme}_{band}_{unit}": values.tolist()
            for unit, schemes in (("uv2", self.power_uv2), ("share", self.relative_power()))
            for scheme, bands in schemes.items()
            for band, values in bands.items()
        }
        dominant = self.dominant_hz.tolist()
        return [
            {
                "segment_id": segment_id,
                "ch_names": list(batch.schema.ch_names),
                **{name: values[i] for name, values in columns.items()},
                "void_bands": self.void_bands(i),
                "dominant_hz": dominant[i],
                "dominant_band": self.dominant_band[i],
                "dominant_band_raw": self.dominant_band_raw[i],
                "aperiodic_exponent": float(self.aperiodic_exponent[i]),
            }
            for i, segment_id in enumerate(batch.segment_ids)
        ]

    def relative_power(self) -> dict[str, dict[str, NDArray[np.float32]]]:
        """Return each band's share of its scheme's bands that are not void, per row; else NaN."""
        shares: dict[str, dict[str, NDArray[np.float32]]] = {}
        for scheme, bands in self.power_uv2.items():
            total: NDArray[np.float32] = np.nansum(np.stack(list(bands.values())), axis=0)
            total[total <= 0] = np.nan
            shares[scheme] = {band: power / total for band, power in bands.items()}
        return shares

    def void_bands(self, i: int) -> list[str]:
        """Return ``scheme:band`` of the void bands of segment ``i``."""
        return [
            f"{scheme}:{band}"
            for scheme, bands in BAND_SCHEMES.items()
            for band, is_void in zip(bands, self.void[scheme][i], strict=True)
            if is_void
        ]


def welch_density(data_uv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the Welch power density of rows (Hann, 2 s, half overlap, window means removed).

    Parameters
    ----------
    data_uv
        Shape (n, n_channels, N_TIMES), microvolts.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, n_channels, 201), uV2/Hz at :data:`FREQS_HZ`.
    """
    from scipy import fft, signal

    from detectors.signal import _rule_kernels

    n_segments, n_channels, n_times = data_uv.shape
    window = signal.get_window("hann", WINDOW).astype(np.float32)
    scale = np.float32(1.0 / (SFREQ_HZ * N_WINDOWS * float(np.sum(window.astype(np.float64) ** 2))))
    density = np.empty((n_segments, n_channels, FREQS_HZ.size), dtype=np.float32)
    buffer = np.empty((_BLOCK_SEGMENTS * n_channels, N_WINDOWS, WINDOW), dtype=np.float32)
    for start in range(0, n_segments, _BLOCK_SEGMENTS):
        block = np.ascontiguousarray(data_uv[start : start + _BLOCK_SEGMENTS], dtype=np.float32)
        rows = block.reshape(-1, n_times)
        windows = buffer[: len(rows)]
        _rule_kernels.fill_windows(rows, window, windows)
        spectra = fft.rfft(windows, axis=-1, workers=1).view(np.float32)
        out = density[start : start + len(block)].reshape(len(rows), -1)
        _rule_kernels.sum_power(spectra, scale, out)
    density[..., 1:-1] *= 2
    return density


@cache
def band_weights(scheme: str) -> NDArray[np.float32]:
    """Return the matrix that integrates a density over the bands of one scheme.

    Every frequency stands for half a step to either side, and a bin on an edge is shared between
    both bands, so that bands add up to their union.

    Returns
    -------
    numpy.ndarray
        float32, shape (n_freqs, n_bands), in Hz.
    """
    low, high = FREQS_HZ - _STEP_HZ / 2, FREQS_HZ + _STEP_HZ / 2
    low[0] = 0.0
    columns = [
        np.clip(np.minimum(high, top) - np.maximum(low, bottom), 0, None)
        for bottom, top in BAND_SCHEMES[scheme].values()
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def fit_aperiodic(
    freqs_hz: NDArray[np.float64], density: NDArray[np.floating], is_kept: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit ``log10 density = offset - exponent * log10 f`` by a line that ignores peaks.

    Bins more than 1.5 residual deviations above the line are dropped and the line is fitted
    again, three times (engineering default).

    Parameters
    ----------
    freqs_hz
        Shape (n_freqs,), all above zero.
    density
        Shape (..., n_freqs).
    is_kept
        Bins that may be used, broadcastable to ``density``.

    Returns
    -------
    offset, exponent
        Shape (...); NaN where fewer than three bins may be used.
    """
    x = np.log10(freqs_hz)
    y = np.log10(np.maximum(density, 1e-12))
    base = np.broadcast_to(is_kept, y.shape).astype(y.dtype)
    weight = base
    for is_last in (False, False, True):
        n, sx, sy = weight.sum(-1), weight @ x, np.einsum("...f,...f->...", weight, y)
        sxx, sxy = weight @ (x * x), np.einsum("...f,...f,f->...", weight, y, x)
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
            offset = (sy - slope * sx) / n
        slope, offset = np.where(n >= 3, slope, np.nan), np.where(n >= 3, offset, np.nan)
        if is_last:
            break
        residual = y - offset[..., None] - slope[..., None] * x
        scale = np.sqrt(
            np.einsum("...f,...f,...f->...", weight, residual, residual) / np.maximum(n, 1)
        )
        weight = base * (residual < 1.5 * scale[..., None])
    return offset, -slope


def peak_of(
    freqs_hz: NDArray[np.float64], ratio: NDArray[np.floating], is_allowed: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return frequency and height of the largest local maximum of a corrected spectrum.

    The spectrum is smoothed over three bins first; the frequency is refined by a parabola.

    Parameters
    ----------
    freqs_hz
        Shape (n_freqs,), evenly spaced.
    ratio
        Density over its 1/f fit, shape (n, n_freqs).
    is_allowed
        Bins where a maximum may lie, broadcastable to ``ratio``.

    Returns
    -------
    peak_hz, height_db
        Shape (n,); NaN where no local maximum exists.
    """
    smooth = ratio.copy()
    smooth[..., 1:-1] = 0.25 * ratio[..., :-2] + 0.5 * ratio[..., 1:-1] + 0.25 * ratio[..., 2:]
    is_peak = np.zeros(ratio.shape, dtype=np.bool_)
    is_peak[..., 1:-1] = (smooth[..., 1:-1] >= smooth[..., :-2]) & (
        smooth[..., 1:-1] > smooth[..., 2:]
    )
    is_peak &= is_allowed
    height = np.where(is_peak, smooth, -np.inf)
    at = np.clip(height.argmax(-1), 1, ratio.shape[-1] - 2)
    top, left, right = (
        np.log(np.maximum(np.take_along_axis(smooth, at[..., None] + d, -1)[..., 0], 1e-12))
        for d in (0, -1, 1)
    )
    bend = left - 2 * top + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, -1), 0.0)
    has_peak = is_peak.any(-1)
    peak_hz = freqs_hz[at] + np.clip(shift, -0.5, 0.5) * (freqs_hz[1] - freqs_hz[0])
    return np.where(has_peak, peak_hz, np.nan), np.where(has_peak, 10 / np.log(10) * top, np.nan)


def spectral_features(batch: SegmentBatch) -> SpectralFeatures:
    """Measure the spectra of a batch.

    Parameters
    ----------
    batch
        Segments of one channel schema; ``band_hz`` says which bands are void.
    """
    density = welch_density(batch.data_uv)
    density[~batch.mask] = 0.0
    is_whole = batch.is_whole[:, None]
    void = {scheme: high | ~is_whole for scheme, high in _void_bands(batch.band_hz).items()}
    is_live = batch.mask & is_whole & (density.sum(-1) * _STEP_HZ > LIMITS["live_uv2"].value)
    power = {
        scheme: _band_power(density, scheme, batch.mask, void[scheme]) for scheme in BAND_SCHEMES
    }
    corrected = _Corrected.of(batch, density, is_live)
    band, segment_db = corrected.dominant_band(is_live, void["clinical"])
    return SpectralFeatures(
        freqs_hz=FREQS_HZ,
        psd_uv2_hz=density,
        power_uv2=power,
        void=void,
        is_live=is_live,
        dominant_hz=corrected.dominant_hz,
        prominence_db=corrected.prominence_db,
        dominant_band=band,
        dominant_band_raw=_raw_band(density, is_live, void["clinical"]),
        segment_peak_db=segment_db,
        aperiodic_exponent=_live_mean(corrected.exponent, is_live),
    )


@dataclass(frozen=True, slots=True)
class _Corrected:
    """Spectra over their 1/f fit, within the fitted range."""

    freqs_hz: NDArray[np.float64]
    ratio: NDArray[np.float32]
    exponent: NDArray[np.float32]
    is_allowed: NDArray[np.bool_]
    dominant_hz: NDArray[np.float32]
    prominence_db: NDArray[np.float32]

    @classmethod
    def of(
        cls, batch: SegmentBatch, density: NDArray[np.float32], is_live: NDArray[np.bool_]
    ) -> _Corrected:
        low, high = LIMITS["fit_low_hz"].value, LIMITS["fit_high_hz"].value
        inside = (low <= FREQS_HZ) & (high >= FREQS_HZ)
        freqs = FREQS_HZ[inside]
        part = density[..., inside]
        is_usable = _usable_bins(batch, freqs)
        in_peak = (freqs >= LIMITS["peak_region_low_hz"].value) & (
            freqs <= LIMITS["peak_region_high_hz"].value
        )
        offset, exponent = fit_aperiodic(freqs, part, (is_usable & ~in_peak)[:, None, :])
        log_fit = offset[..., None] - exponent[..., None] * np.log10(freqs)
        ratio = np.where(is_live[..., None], part / 10.0**log_fit, 0.0).astype(np.float32)
        ratio = np.nan_to_num(ratio, nan=0.0, posinf=0.0)
        peak_hz, height = peak_of(freqs, ratio, is_usable[:, None, :])
        is_high = is_live & (np.nan_to_num(height, nan=-np.inf) >= LIMITS["peak_db"].value)
        hz, db = (np.where(is_high, v, np.nan).astype(np.float32) for v in (peak_hz, height))
        return cls(freqs, ratio, exponent.astype(np.float32), is_usable, hz, db)

    def dominant_band(
        self, is_live: NDArray[np.bool_], is_void: NDArray[np.bool_]
    ) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """Name the band with the most power above the 1/f line, mean over live rows."""
        n_live = is_live.sum(-1)
        mean = self.ratio.sum(1) / np.maximum(n_live, 1)[:, None]
        _, height = peak_of(self.freqs_hz, mean, self.is_allowed)
        excess = np.clip(mean - 1.0, 0, None) * self.is_allowed
        inside = np.isin(FREQS_HZ, self.freqs_hz)
        weights = band_weights("clinical")[inside]
        # per Hz, or wide beta would win over a narrow alpha peak on every page
        density = (excess @ weights) / np.maximum(weights.sum(0), 1e-6)
        score = np.where(is_void, -np.inf, density)
        best = score.argmax(-1)
        has_peak = (n_live > 0) & (
            np.nan_to_num(height, nan=-np.inf) >= LIMITS["segment_peak_db"].value
        )
        names = tuple(CLINICAL_BANDS)
        band = tuple(names[b] if p else "" for b, p in zip(best, has_peak, strict=True))
        return band, np.where(n_live > 0, height, np.nan).astype(np.float32)


def _usable_bins(batch: SegmentBatch, freqs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Bins of the fit: inside the source's band, off the mains; shape (n, n_freqs)."""
    low, high = batch.band_hz[:, :1], batch.band_hz[:, 1:]
    off_mains = np.abs(freqs - batch.line_freq_hz) > LIMITS["mains_guard_hz"].value
    # the last tenth of the band is the filter's slope, not the brain's
    return np.asarray((freqs >= low) & (freqs <= 0.9 * high) & off_mains)


def _void_bands(band_hz: NDArray[np.float32]) -> dict[str, NDArray[np.bool_]]:
    top = band_hz[:, 1:] + 1e-3
    return {
        scheme: np.array([high for _, high in bands.values()]) > top
        for scheme, bands in BAND_SCHEMES.items()
    }


def _band_power(
    density: NDArray[np.float32],
    scheme: str,
    mask: NDArray[np.bool_],
    is_void: NDArray[np.bool_],
) -> dict[str, NDArray[np.float32]]:
    power = density @ band_weights(scheme)
    power[~mask] = np.nan
    power = np.where(is_void[:, None, :], np.float32(np.nan), power)
    return {band: power[..., i] for i, band in enumerate(BAND_SCHEMES[scheme])}


def _raw_band(
    density: NDArray[np.float32], is_live: NDArray[np.bool_], is_void: NDArray[np.bool_]
) -> tuple[str, ...]:
    total = np.einsum("ncf,nc->nf", density, is_live.astype(np.float32)) @ band_weights("clinical")
    best = np.where(is_void, -1.0, total).argmax(-1)
    names = tuple(CLINICAL_BANDS)
    return tuple(
        names[b] if live else "" for b, live in zip(best, is_live.sum(-1) > 0, strict=True)
    )


def _live_mean(values: NDArray[np.float32], is_live: NDArray[np.bool_]) -> NDArray[np.float32]:
    n_live = is_live.sum(-1)
    total = np.where(is_live, np.nan_to_num(values), 0.0).sum(-1)
    shares = np.maximum(n_live, 1).astype(np.float32)
    return np.where(n_live > 0, total / shares, np.float32(np.nan))
