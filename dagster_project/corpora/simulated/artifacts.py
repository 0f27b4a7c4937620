"""Shapes of what does not come from the brain: eyes, muscle, electrodes.

Fields and amplitudes follow the artifact rules of the clinical reference (blink and lateral eye
movement: fields of the corneo-retinal dipole; muscle: 30-100 Hz over temporal and frontal
muscles; pop: one electrode, steep rise, slow fall); numbers without a published source are
engineering defaults. Flat channels and mains, which last a whole recording, are in ``subject``.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from dagster_project.corpora.simulated.geometry import (
    FloatArray,
    electrode_positions,
    uneven,
    weights,
)
from dagster_project.corpora.simulated.patch import Patch
from detectors.types import CANONICAL19, Measure

_BLINK_FIELD = {
    "Fp1": 1.0, "Fp2": 1.0, "F7": 0.40, "F8": 0.40, "F3": 0.38, "F4": 0.38, "Fz": 0.36,
    "C3": 0.12, "Cz": 0.12, "C4": 0.12, "T7": 0.10, "T8": 0.10, "P3": 0.04, "Pz": 0.04, "P4": 0.04,
}  # fmt: skip

_LATERAL_FIELD = {
    "F8": 1.0, "F7": -1.0, "Fp2": 0.45, "Fp1": -0.45, "T8": 0.36, "T7": -0.36, "F4": 0.34,
    "F3": -0.34, "C4": 0.12, "C3": -0.12, "P8": 0.08, "P7": -0.08,
}  # fmt: skip
"""Eyes to the right: F8 positive, F7 negative (``clinical.md`` 8)."""

MUSCLES: MappingProxyType[str, dict[str, float]] = MappingProxyType(
    {
        "left temporalis": {"T7": 1.0, "F7": 0.75, "P7": 0.4, "Fp1": 0.25, "C3": 0.15, "F3": 0.15},
        "right temporalis": {"T8": 1.0, "F8": 0.75, "P8": 0.4, "Fp2": 0.25, "C4": 0.15, "F4": 0.15},
        "both temporales": {
            "T7": 1.0, "T8": 0.95, "F7": 0.75, "F8": 0.7, "P7": 0.4, "P8": 0.4, "Fp1": 0.2, "Fp2": 0.2,
        },
        "frontalis": {
            "Fp1": 1.0, "Fp2": 0.95, "F7": 0.5, "F8": 0.5, "F3": 0.3, "F4": 0.3, "Fz": 0.25,
        },
        "neck": {"O1": 1.0, "O2": 0.95, "P7": 0.5, "P8": 0.5, "P3": 0.2, "P4": 0.2},
    }
)  # fmt: skip
"""Electrodes over each muscle."""

_MUSCLE_BAND_HZ = (20.0, 110.0)
_POP_RISE_S = 0.012


def blink(rng: np.random.Generator, sfreq_hz: float, amplitude_uv: float) -> Patch:
    """Draw a blink: Fp-dominant, positive, 0.2-0.5 s, closing faster than opening."""
    duration_s = rng.uniform(0.2, 0.5)
    n = round(duration_s * sfreq_hz)
    u = np.arange(n) / n
    rise = rng.uniform(0.25, 0.52)
    closing = np.sin(0.5 * np.pi * np.clip(u / rise, 0, 1)) ** 2
    opening = np.cos(0.5 * np.pi * np.clip((u - rise) / (1 - rise), 0, 1)) ** 2
    wave = np.where(u < rise, closing, opening)
    if rng.random() < 0.4:
        wave = np.concatenate([wave, _undershoot(rng, sfreq_hz)])
    field = uneven(_steeper(weights(_BLINK_FIELD), rng), rng, 0.08)
    return Patch("blink", "eyem", amplitude_uv * np.outer(field, wave), 0.0, duration_s)


def _undershoot(rng: np.random.Generator, sfreq_hz: float) -> FloatArray:
    n = round(rng.uniform(0.15, 0.3) * sfreq_hz)
    return np.asarray(-rng.uniform(0.05, 0.15) * np.sin(np.pi * np.arange(n) / n))


def lateral_eye(
    rng: np.random.Generator, sfreq_hz: float, amplitude_uv: float, direction: str = ""
) -> Patch:
    """Draw a lateral eye movement: ramp, plateau that leaks away, ramp back.

    Parameters
    ----------
    rng, sfreq_hz
        Randomness and rate.
    amplitude_uv
        Step at the F electrode of one side.
    direction
        ``"right"`` (F8 positive, F7 negative), ``"left"``, or ``""`` to draw one.
    """
    is_right = rng.random() < 0.5
    sign = {"right": 1.0, "left": -1.0}.get(direction, 1.0 if is_right else -1.0)
    out_s, back_s = rng.uniform(0.03, 0.14, size=2)
    duration_s = out_s + rng.uniform(0.3, 1.5) + back_s
    t = np.arange(round(duration_s * sfreq_hz)) / sfreq_hz
    ramp_out = 0.5 - 0.5 * np.cos(np.pi * np.clip(t / out_s, 0, 1))
    ramp_back = 0.5 + 0.5 * np.cos(np.pi * np.clip((t - duration_s + back_s) / back_s, 0, 1))
    leak = np.exp(-t / rng.uniform(1.5, 6.0))
    field = uneven(_steeper(weights(_LATERAL_FIELD), rng), rng, 0.08)
    samples = sign * amplitude_uv * np.outer(field, ramp_out * ramp_back * leak)
    measures = (Measure("direction", sign, "1"),)
    return Patch("lateral_eye", "", samples, 0.0, duration_s, measures)


def muscle(
    rng: np.random.Generator, sfreq_hz: float, amplitude_uv: float, group: str = ""
) -> Patch:
    """Draw a burst of muscle activity over one of :data:`MUSCLES`, drawn where not given."""
    drawn = str(rng.choice(sorted(MUSCLES)))
    group = group or drawn
    duration_s = float(np.clip(rng.lognormal(np.log(0.9), 0.55), 0.2, 3.0))
    n = round(duration_s * sfreq_hz)
    own, shared = rng.standard_normal((19, n)), rng.standard_normal(n)
    # few motor units fire apart and give a noise of heavy tails, many fuse to a normal one
    units = rng.gamma(np.exp(rng.uniform(-1.5, 2.0)), size=n)
    own, shared = own * units, shared * units
    noise = muscle_noise(0.85 * own + 0.5 * shared, sfreq_hz, rng)
    u = np.arange(n) / n
    edge = min(0.25, 0.06 / duration_s)
    envelope = np.clip(np.minimum(u, 1 - u) / edge, 0, 1)
    knots = rng.gamma(6.0, 1 / 6, size=max(3, round(duration_s * 8)))
    envelope = envelope * np.interp(u, np.linspace(0, 1, len(knots)), knots)
    field = uneven(weights(MUSCLES[group]), rng, 0.15)
    samples = field[:, np.newaxis] * envelope * noise
    samples *= amplitude_uv / np.ptp(samples, axis=1).max()
    return Patch("muscle", "hfnoise", samples, 0.0, duration_s)


def muscle_noise(noise: FloatArray, sfreq_hz: float, rng: np.random.Generator) -> FloatArray:
    """Return white noise, shape (n, n_times), with a muscle's spectrum."""
    n = noise.shape[-1]
    freqs = np.fft.rfftfreq(n, 1 / sfreq_hz)
    low, high = _MUSCLE_BAND_HZ
    gain = 1 / (1 + (low / np.maximum(freqs, 1e-3)) ** 6) / (1 + (freqs / high) ** 4)
    gain *= 1 + 0.6 * np.exp(-0.5 * ((freqs - rng.uniform(35, 70)) / 15) ** 2)
    return np.asarray(np.fft.irfft(np.fft.rfft(noise, axis=-1) * gain, n, axis=-1))


def electrode_pop(
    rng: np.random.Generator, sfreq_hz: float, amplitude_uv: float, channel: str = ""
) -> Patch:
    """Draw an electrode pop: one electrode, rise within 12 ms, exponential fall."""
    drawn = str(rng.choice(CANONICAL19))
    field = weights({channel or drawn: 1.0 if rng.random() < 0.5 else -1.0})
    tau_s = rng.uniform(0.12, 0.6)
    # three time constants leave 5 %: the foot a reader would set
    duration_s = 3 * tau_s
    t = np.arange(round(2 * duration_s * sfreq_hz)) / sfreq_hz
    wave = np.clip(t / _POP_RISE_S, 0, 1) * np.exp(-np.clip(t - _POP_RISE_S, 0, None) / tau_s)
    samples = amplitude_uv * np.outer(field, wave)
    return Patch("electrode_pop", "", samples, 0.0, duration_s)


def movement(rng: np.random.Generator, sfreq_hz: float, amplitude_uv: float) -> Patch:
    """Draw a tug at the cables: every electrode jumps by another amount and drifts back."""
    field = rng.choice((-1.0, 1.0)) * (1 + 0.35 * rng.standard_normal(19)).clip(0.1, 2.0)
    tau_s = rng.uniform(0.15, 0.6)
    rise_s = rng.uniform(0.008, 0.12)
    duration_s = 3 * tau_s
    t = np.arange(round(2 * duration_s * sfreq_hz)) / sfreq_hz
    wave = np.clip(t / rise_s, 0, 1) * np.exp(-np.clip(t - rise_s, 0, None) / tau_s)
    samples = amplitude_uv * np.outer(field / np.abs(field).max(), wave)
    return Patch("movement", "", samples, 0.0, duration_s)


def heartbeat_uv(
    rng: np.random.Generator, n_times: int, sfreq_hz: float, amplitude_uv: float, rate_hz: float
) -> FloatArray:
    """Draw the QRS complexes every referential channel picks up, shape (19, n_times).

    Narrow, of one sign over each half of the head, stronger to the left; a look-alike of spikes.
    """
    intervals = rng.normal(
        1 / rate_hz, 0.04 / rate_hz, size=round(2 * n_times / sfreq_hz * rate_hz)
    )
    beats = np.cumsum(np.clip(intervals, 0.3, None))
    t = np.arange(n_times) / sfreq_hz
    trace = np.zeros(n_times)
    for beat_s in beats[beats < t[-1]]:
        near = slice(max(0, round((beat_s - 0.1) * sfreq_hz)), round((beat_s + 0.1) * sfreq_hz))
        at = (t[near] - beat_s) / 0.012
        trace[near] += np.exp(-0.5 * at**2) - 0.3 * np.exp(-0.5 * ((at - 2.4) / 1.2) ** 2)
    field = 0.7 - 0.4 * electrode_positions()[:, 0]
    return np.asarray(amplitude_uv * np.outer(field, trace))


def _steeper(field: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a field that falls faster or slower with distance, as heads and eyes differ."""
    return np.asarray(np.sign(field) * np.abs(field) ** rng.uniform(0.8, 1.5))
