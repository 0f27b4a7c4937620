"""The mains peak a recording really shows, to set against the frequency its corpus is said to have.

Sidecars and other people's code are wrong about it often enough (``corpora.md`` 2.3). Only the
measurement lives here; the check that disagrees is in the rim.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAINS_HZ = (50.0, 60.0)
WINDOW_S = 4.0
"""A quarter of a hertz between bins: 50 and 60 Hz and their neighbours are far apart."""
MAX_WINDOWS = 30
"""Two minutes in all, spread over the recording; more does not move the answer."""
HALF_PEAK_HZ = 0.5
"""Grids drift by about 0.1 Hz, amplifiers' clocks by less."""
NEIGHBOUR_HZ = (2.0, 5.0)
"""Distance from the peak of the bins it is compared with; another mains is 10 Hz off."""


class MainsMeter:
    """Gathers periodograms of a few windows of a recording.

    Parameters
    ----------
    sfreq_hz
        Native rate.
    """

    def __init__(self, sfreq_hz: float) -> None:
        self._sfreq_hz = sfreq_hz
        self.n_window = max(2, round(WINDOW_S * sfreq_hz))
        self._taper = np.hanning(self.n_window).astype(np.float32)
        self._power: NDArray[np.float64] | None = None

    def add(self, window_uv: NDArray[np.float32]) -> None:
        """Add a window, shape (n_channels, n_window); one with void samples is passed over."""
        if window_uv.shape[1] != self.n_window or not np.isfinite(window_uv).all():
            return
        centred = window_uv - window_uv.mean(axis=1, keepdims=True)
        power = np.abs(np.fft.rfft(centred * self._taper, axis=1)) ** 2
        self._power = power if self._power is None else self._power + power

    def peak_db(self, mains_hz: float) -> float | None:
        """Return how far the power at a frequency stands above its neighbours, in decibels.

        The median over channels; None where the recording has no such frequency or no signal.
        """
        if self._power is None or mains_hz + HALF_PEAK_HZ >= self._sfreq_hz / 2:
            return None
        distance = np.abs(np.fft.rfftfreq(self.n_window, 1 / self._sfreq_hz) - mains_hz)
        near, far = NEIGHBOUR_HZ
        beside = self._power[:, (distance >= near) & (distance <= far)]
        peak = self._power[:, distance <= HALF_PEAK_HZ].max(axis=1)
        floor = np.median(beside, axis=1)
        live = floor > 0
        if not live.any():
            return None
        return float(np.median(10 * np.log10(peak[live] / floor[live] + 1e-12)))
