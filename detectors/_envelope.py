"""Envelopes of band-limited activity by one forward transform and a tiny inverse one.

Used by the background and sleep rules; no rule lives here. Only the bins of the band go back, so
the envelope comes out at a low rate and costs almost nothing beside the forward transform.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.types import N_TIMES, SEGMENT_S, SFREQ_HZ

RATE_HZ = 25.6
"""Rate of the envelopes: 256 points in 10 s."""
_POINTS = 256


def band_spectrum(rows_uv: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Return the spectrum of whole rows, shape (n_rows, N_TIMES // 2 + 1).

    Parameters
    ----------
    rows_uv
        Shape (n_rows, N_TIMES).
    """
    from scipy import fft

    spectrum: NDArray[np.complex64] = fft.rfft(rows_uv, axis=-1, workers=1)
    return spectrum


def analytic(
    spectrum: NDArray[np.complex64], low_hz: float, high_hz: float
) -> NDArray[np.complex64]:
    """Return the analytic signal of one band at :data:`RATE_HZ`, shifted down by ``low_hz``.

    Its absolute value is the envelope (zero to peak, microvolts); the edges of the band are cosine
    ramps of 0.5 Hz.

    Parameters
    ----------
    spectrum
        From :func:`band_spectrum`.
    low_hz, high_hz
        The band; at most 25 Hz wide.
    """
    from scipy import fft

    first, last = round((low_hz - 0.25) * SEGMENT_S), round((high_hz + 0.25) * SEGMENT_S)
    freqs = np.arange(first, last + 1) / SEGMENT_S
    ramp = np.clip(np.minimum(freqs - low_hz, high_hz - freqs) * 2 + 0.5, 0, 1)
    gain = (0.5 - 0.5 * np.cos(np.pi * ramp)).astype(np.float32)
    part = np.zeros((*spectrum.shape[:-1], _POINTS), dtype=np.complex64)
    part[..., : freqs.size] = spectrum[..., first : last + 1] * gain
    signal: NDArray[np.complex64] = fft.ifft(part, axis=-1, workers=1) * np.float32(
        2 * _POINTS / N_TIMES
    )
    return signal


def band_envelope(
    rows_uv: NDArray[np.float32], low_hz: float, high_hz: float
) -> tuple[NDArray[np.float32], float]:
    """Return the envelope of rows within a band and its rate.

    Parameters
    ----------
    rows_uv
        Shape (n_rows, N_TIMES).
    low_hz, high_hz
        The band.
    """
    return np.abs(analytic(band_spectrum(rows_uv), low_hz, high_hz)), RATE_HZ


def filter_band(
    spectrum: NDArray[np.complex64], low_hz: float, high_hz: float
) -> NDArray[np.float32]:
    """Return rows limited to a band, at the full rate.

    Parameters
    ----------
    spectrum
        From :func:`band_spectrum`.
    low_hz, high_hz
        The band, with cosine ramps of 0.5 Hz.
    """
    from scipy import fft

    freqs = np.arange(spectrum.shape[-1]) * (SFREQ_HZ / N_TIMES)
    ramp = np.clip(np.minimum(freqs - low_hz, high_hz - freqs) * 2 + 0.5, 0, 1)
    gain = (0.5 - 0.5 * np.cos(np.pi * ramp)).astype(np.float32)
    rows: NDArray[np.float32] = fft.irfft(spectrum * gain, n=N_TIMES, axis=-1, workers=1)
    return rows
