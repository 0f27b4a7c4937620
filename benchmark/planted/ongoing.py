"""Ongoing activity of the second generator: autoregressive sources mixed on the sphere.

Independent sources, each a sum of first-order autoregressive processes whose corners are spread in
octaves (so power falls about as 1/f), are seen through Gaussian patches; electrodes add noise of
their own. The posterior rhythm is a second-order autoregressive process. Amplitudes follow what
scalp recordings show (background of 7-22 uV RMS); they are engineering defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import hilbert, lfilter

from benchmark.planted.fields import jittered, mixing, patch_field
from detectors.types import CANONICAL19

Floats = NDArray[np.float64]

N_SOURCES = 36
_CORNERS_HZ = np.array([0.35, 1.1, 3.2, 9.0, 24.0])
_SHARES = {
    "wake": np.array([0.50, 0.62, 0.50, 0.34, 0.20]),
    "sleep": np.array([0.70, 0.90, 0.42, 0.18, 0.10]),
}
"""Standard deviation of each process by vigilance, before scaling."""
_RMS_UV = {"wake": (7.0, 16.0), "sleep": (10.0, 22.0)}
_NOISE_UV = (0.5, 1.2)
_RHYTHM_HZ = (8.3, 12.2)
_RHYTHM_WIDTH_HZ = (0.3, 0.7)


def background_uv(
    rng: np.random.Generator, rate_hz: float, n_times: int, state: str, reference: str
) -> Floats:
    """Make background, float64, shape (19, n_times), in microvolts.

    Parameters
    ----------
    rng, rate_hz, n_times
        Randomness, rate and length.
    state
        ``wake`` or ``sleep``.
    reference
        One of :data:`benchmark.planted.fields.REFERENCES`.
    """
    n_lead = round(3 * rate_hz)
    centres = np.stack(
        [jittered(rng, str(rng.choice(CANONICAL19)), 0.35) for _ in range(N_SOURCES)]
    )
    widths = rng.uniform(18.0, 48.0, N_SOURCES)
    sources = np.zeros((N_SOURCES, n_times))
    for corner, share in zip(_CORNERS_HZ, _SHARES[state], strict=True):
        keep = np.exp(-2 * np.pi * corner / rate_hz)
        drive = rng.normal(0.0, np.sqrt(1 - keep**2), (N_SOURCES, n_times + n_lead))
        sources += share * lfilter([1.0], [1.0, -keep], drive, axis=1)[:, n_lead:]
    data = mixing(centres, widths, reference) @ sources
    data *= rng.uniform(*_RMS_UV[state]) / np.sqrt((data**2).mean())
    return np.asarray(data + rng.normal(0.0, rng.uniform(*_NOISE_UV), data.shape))


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A posterior rhythm at the 19 electrodes, largest field 1, with its unit-envelope course.

    Parameters
    ----------
    rows
        Shape (19, n_times); the 95th percentile of the envelope at the fullest row is 1.
    course
        The course itself, for the frequency of any part of it.
    rate_hz
        Its rate.
    centre_hz
        Resonance of the process.
    """

    rows: Floats
    course: Floats
    rate_hz: float
    centre_hz: float

    def frequency_hz(self, start_s: float, stop_s: float) -> float:
        """Return the power-weighted mean frequency of a part, within 2 Hz of the resonance."""
        part = self.course[round(start_s * self.rate_hz) : round(stop_s * self.rate_hz)]
        power = np.abs(np.fft.rfft(part * np.hanning(part.size))) ** 2
        freqs = np.fft.rfftfreq(part.size, 1 / self.rate_hz)
        near = np.abs(freqs - self.centre_hz) <= 2.0
        return float(np.average(freqs[near], weights=power[near]))


def posterior_rhythm(
    rng: np.random.Generator, rate_hz: float, n_times: int, reference: str
) -> Rhythm:
    """Make a posterior rhythm: one process common to both sides, a little of their own on each."""
    centre_hz, width_hz = rng.uniform(*_RHYTHM_HZ), rng.uniform(*_RHYTHM_WIDTH_HZ)
    radius = np.exp(-np.pi * width_hz / rate_hz)
    poles = [1.0, -2 * radius * np.cos(2 * np.pi * centre_hz / rate_hz), radius**2]
    n_lead = round(5 * rate_hz)
    drive = rng.normal(0.0, 1.0, (3, n_times + n_lead))
    common, *own = lfilter([1.0], poles, drive, axis=1)[:, n_lead:]
    width_deg = rng.uniform(24.0, 34.0)
    rows = np.zeros((len(CANONICAL19), n_times))
    for name, extra in zip(("O1", "O2"), own, strict=True):
        field = patch_field(jittered(rng, name, 0.06), width_deg, reference)
        rows += np.outer(field, common + 0.25 * extra)
    fullest = rows[np.argmax(rows.std(axis=1))]
    rows /= np.percentile(np.abs(hilbert(fullest)), 95)
    return Rhythm(rows, common, rate_hz, centre_hz)
