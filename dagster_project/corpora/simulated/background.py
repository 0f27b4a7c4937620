"""Ongoing activity: 1/f noise with the scalp's spatial correlation, and the posterior rhythm.

Nothing planted lives here. Wake background falls with frequency as a power of 1.1-1.6, sleep
background more steeply (engineering defaults within published ranges of the aperiodic exponent).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dagster_project.corpora.simulated.geometry import (
    FloatArray,
    field_of,
    focus_near,
    spatial_root,
    weights,
)

_FLAT_BELOW_HZ = 0.5
_SPATIAL_WIDTH_DEG = 60.0
"""Gives F3-Fz a correlation of 0.8-0.95 and F7-O2 about 0, as resting recordings have."""

_MODULATION_S = 2.0
_ALPHA_WIDTH_HZ = 0.35
_OPENING_S = 0.25
"""Alpha falls and returns within about a quarter of a second of eye opening and closing."""


@dataclass(frozen=True, slots=True)
class Background:
    """One subject's ongoing activity in one state.

    Parameters
    ----------
    exponent
        Slope of the power spectrum, power falls as ``f ** -exponent``.
    rms_uv
        Root mean square of the 1/f part, 0.5-40 Hz, mean of electrodes.
    beta_uv
        Root mean square of 14-28 Hz activity, frontal and central.
    noise_uv
        Root mean square of amplifier and skin noise, white.
    """

    exponent: float
    rms_uv: float
    beta_uv: float
    noise_uv: float


def background_uv(
    rng: np.random.Generator, traits: Background, n_times: int, sfreq_hz: float
) -> FloatArray:
    """Draw ongoing activity, shape (19, n_times), uV against a distant reference."""
    ongoing = spatial_root(_SPATIAL_WIDTH_DEG) @ _coloured(rng, n_times, sfreq_hz, traits.exponent)
    ongoing *= traits.rms_uv * modulation(rng, n_times, sfreq_hz, 0.25)
    beta = narrow_band(rng, 6, n_times, sfreq_hz, rng.uniform(17, 23), 3.0)
    fields = np.stack(
        [field_of(focus_near(c, rng), 40.0) for c in ("F3", "F4", "Fz", "C3", "C4", "Cz")], axis=1
    )
    ongoing += traits.beta_uv * modulation(rng, n_times, sfreq_hz, 0.4) * (fields @ beta)
    ongoing += traits.noise_uv * rng.standard_normal((19, n_times))
    return ongoing


def posterior_rhythm_uv(
    rng: np.random.Generator,
    frequency_hz: float,
    amplitude_uv: float,
    is_closed: FloatArray,
    sfreq_hz: float,
) -> FloatArray:
    """Draw a posterior rhythm that waxes, wanes and blocks on eye opening.

    Parameters
    ----------
    rng
        Randomness.
    frequency_hz
        Its frequency.
    amplitude_uv
        Typical peak-to-peak at O1 and O2 while it is at its fullest.
    is_closed
        1 where the eyes are closed, 0 where open, shape (n_times,).
    sfreq_hz
        Rate.

    Returns
    -------
    ndarray, shape (19, n_times)
    """
    n_times = len(is_closed)
    left, right, shared = narrow_band(rng, 3, n_times, sfreq_hz, frequency_hz, _ALPHA_WIDTH_HZ)
    spread = weights(
        {"O1": 1.0, "O2": 1.0, "P7": 0.7, "P8": 0.7, "P3": 0.75, "P4": 0.75, "Pz": 0.7, "T7": 0.25,
         "T8": 0.25, "C3": 0.25, "Cz": 0.25, "C4": 0.25, "F3": 0.1, "Fz": 0.1, "F4": 0.1}
    )  # fmt: skip
    is_left = weights({"O1": 1, "P7": 1, "P3": 1, "T7": 1, "C3": 1, "F3": 1}) > 0
    is_right = weights({"O2": 1, "P8": 1, "P4": 1, "T8": 1, "C4": 1, "F4": 1}) > 0
    own = np.where(is_left[:, np.newaxis], left, np.where(is_right[:, np.newaxis], right, shared))
    rhythm = 0.6 * own + 0.8 * shared
    # a narrow-band noise of rms 1 reaches about 2.8 peak to peak in its typical bursts
    gate = _smooth(0.06 + 0.94 * is_closed, _OPENING_S, sfreq_hz)
    gate = gate * modulation(rng, n_times, sfreq_hz, 0.3)
    return np.asarray(amplitude_uv / 2.8 * spread[:, np.newaxis] * gate * rhythm)


def _coloured(
    rng: np.random.Generator, n_times: int, sfreq_hz: float, exponent: float
) -> FloatArray:
    freqs = np.fft.rfftfreq(n_times, 1 / sfreq_hz)
    gain = np.maximum(freqs, _FLAT_BELOW_HZ) ** (-exponent / 2)
    gain[0] = 0.0
    spectrum = gain * (
        rng.standard_normal((19, len(freqs))) + 1j * rng.standard_normal((19, len(freqs)))
    )
    signal = np.fft.irfft(spectrum, n_times, axis=-1)
    # the scale is that of the expected spectrum, so a short recording is not normalised by its own luck
    in_band = (freqs >= 0.5) & (freqs <= 40.0)
    expected = np.sqrt(4.0 * np.sum(gain[in_band] ** 2)) / n_times
    return np.asarray(signal / expected)


def narrow_band(
    rng: np.random.Generator,
    n_signals: int,
    n_times: int,
    sfreq_hz: float,
    centre_hz: float,
    width_hz: float,
) -> FloatArray:
    """Return narrow-band noise of RMS 1, shape (n_signals, n_times)."""
    freqs = np.fft.rfftfreq(n_times, 1 / sfreq_hz)
    gain = np.exp(-0.5 * ((freqs - centre_hz) / width_hz) ** 2)
    shape = (n_signals, len(freqs))
    spectrum = gain * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
    expected = np.sqrt(4.0 * np.sum(gain**2)) / n_times
    return np.asarray(np.fft.irfft(spectrum, n_times, axis=-1) / expected)


def modulation(
    rng: np.random.Generator, n_times: int, sfreq_hz: float, spread: float
) -> FloatArray:
    """Return a positive gain around 1 that wanders over a few seconds, shape (n_times,)."""
    n_knots = max(4, round(n_times / sfreq_hz / _MODULATION_S))
    knots = np.exp(spread * rng.standard_normal(n_knots))
    return np.interp(np.linspace(0, n_knots - 1, n_times), np.arange(n_knots), knots)


def _smooth(values: FloatArray, window_s: float, sfreq_hz: float) -> FloatArray:
    n = max(1, round(window_s * sfreq_hz))
    padded = np.pad(values, (n, n), mode="edge")
    return np.convolve(padded, np.ones(n) / n, mode="same")[n:-n]
