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


def analytic_each(
    spectrum: NDArray[np.complex64], low_hz: NDArray[np.float64], high_hz: NDArray[np.float64]
) -> NDArray[np.complex64]:
    """Return analytic signals at :data:`RATE_HZ`, each page in a band of its own.

    They are shifted down by about ``low_hz``. The absolute value is the envelope (zero to peak,
    microvolts); the edges of a band are cosine ramps of 0.5 Hz.

    Parameters
    ----------
    spectrum
        From :func:`band_spectrum`, shape (n, n_rows, n_freqs).
    low_hz, high_hz
        Shape (n,); bands of the same width, at most 24 Hz.
    """
    from scipy import fft

    first = np.round((low_hz - 0.25) * SEGMENT_S).astype(int)
    width = int(np.max(np.ceil((high_hz - low_hz + 0.5) * SEGMENT_S), initial=0)) + 2
    at = first[:, None] + np.arange(width)
    freqs = at / SEGMENT_S
    ramp = np.minimum(freqs - low_hz[:, None], high_hz[:, None] - freqs) * 2 + 0.5
    gain = (0.5 - 0.5 * np.cos(np.pi * np.clip(ramp, 0, 1))).astype(np.float32)
    part = np.zeros((*spectrum.shape[:-1], _POINTS), dtype=np.complex64)
    part[..., :width] = np.take_along_axis(spectrum, at[:, None], -1) * gain[:, None]
    signal: NDArray[np.complex64] = fft.ifft(part, axis=-1, workers=1) * np.float32(
        2 * _POINTS / N_TIMES
    )
    return signal


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
