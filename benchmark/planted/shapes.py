"""Time courses of planted events, drawn anew for each and normalised to a largest excursion of 1.

Discharges are double exponentials, gamma curves or curves through digitised knots; spindles are
chirps under a beta envelope; K-complexes are splines; lateral eye movements are sigmoids; muscle is
a renewal train of unit potentials; pops are exponentials. Ranges are those of the definitions
(IFCN glossary 2017: spike 20 to under 70 ms, sharp wave 70-200 ms; AASM: spindle 11-16 Hz, 0.5 s or
longer, K-complex 0.5 s or longer); what lies inside them is an engineering default. Sizes and
fields are given where events are planted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SPIKE_S = (0.030, 0.066)
SHARP_S = (0.078, 0.185)
SLOW_S = (0.18, 0.38)
SPINDLE_S = (0.65, 1.7)
SPINDLE_HZ = (11.8, 15.2)
KCOMPLEX_S = (0.6, 1.2)
BLINK_S = (0.22, 0.40)
PLATEAU_S = (0.3, 1.2)
MUSCLE_S = (0.5, 2.2)
FLAT_S = (1.5, 2.4)
POP_DECAY_S = (0.06, 0.45)
FOOT = 0.1
"""Share of the peak at which a wave begins and ends."""
UNIT_RATE_HZ = 2000.0
"""Unit potentials are drawn at this rate, since they last a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A time course.

    Parameters
    ----------
    wave
        float64, largest absolute value 1, at the rate asked for.
    t0_s, t1_s
        Foot to foot within ``wave``.
    frequency_hz
        Mean frequency, 0 where it has none.
    """

    wave: Floats
    t0_s: float
    t1_s: float
    frequency_hz: float = 0.0


def _feet(wave: Floats, rate_hz: float, share: float = FOOT) -> tuple[float, float]:
    above = np.flatnonzero(np.abs(wave) >= share * np.abs(wave).max())
    return float(above[0] / rate_hz), float((above[-1] + 1) / rate_hz)


def _normal(wave: Floats) -> Floats:
    return np.asarray(wave / np.abs(wave).max())


def _double_exponential(u: Floats, rng: np.random.Generator) -> Floats:
    """Steep rise, slower fall; ``u`` runs from 0, 1 is about where the fall ends."""
    fall = 0.28
    rise = fall / rng.uniform(1.2, 2.5)
    return np.asarray(np.where(u > 0, np.exp(-u / fall) - np.exp(-u / rise), 0.0))


def _gamma(u: Floats, rng: np.random.Generator) -> Floats:
    order = rng.uniform(1.6, 3.2)
    at = np.maximum(u, 0.0) / 0.17
    return np.asarray(at**order * np.exp(-at * order / rng.uniform(1.6, 2.2)))


_KNOTS = (
    ((0.0, 0.0), (0.16, 0.08), (0.34, 1.0), (0.52, 0.42), (0.70, 0.12), (1.0, 0.0)),
    ((0.0, 0.0), (0.12, -0.15), (0.36, 1.0), (0.58, 0.20), (0.75, -0.22), (1.1, 0.0)),
    ((0.0, 0.0), (0.22, 0.35), (0.42, 1.0), (0.55, 0.30), (0.80, 0.05), (1.0, 0.0)),
)
"""Outlines set down by hand as (time, height); no recording was traced."""


def _knotted(u: Floats, rng: np.random.Generator) -> Floats:
    from scipy.interpolate import PchipInterpolator

    knots = np.array(_KNOTS[int(rng.integers(len(_KNOTS)))])
    inner = knots[1:-1]
    inner[:, 0] += rng.normal(0.0, 0.02, len(inner))
    inner[:, 1] *= 1 + rng.normal(0.0, 0.08, len(inner))
    curve = PchipInterpolator(knots[:, 0], knots[:, 1], extrapolate=False)
    return np.asarray(np.nan_to_num(curve(u)))


_OUTLINES: tuple[Callable[[Floats, np.random.Generator], Floats], ...] = (
    _double_exponential, _gamma, _knotted,
)  # fmt: skip


def _pointed(rng: np.random.Generator, rate_hz: float, wanted_s: float) -> Floats:
    """One pointed wave of a given foot-to-foot duration, positive, not yet normalised to the rate.

    The outline is stretched until its feet lie ``wanted_s`` apart.
    """
    outline = _OUTLINES[int(rng.integers(len(_OUTLINES)))]
    fine = np.linspace(0.0, 4.0, 4001)
    height = _normal(outline(fine, rng))
    low, high = _feet(height, 1000.0)
    per_s = (high - low) / wanted_s
    n = int(np.ceil(wanted_s * 2.5 * rate_hz)) + 2
    times = (np.arange(n) - rng.random()) / rate_hz  # sampled at a phase of its own
    return _normal(np.interp(times * per_s, fine, height, left=0.0, right=0.0))


def spike(rng: np.random.Generator, rate_hz: float, span_s: tuple[float, float] = SPIKE_S) -> Shape:
    """Draw a spike, mostly negative, with or without a small overshoot."""
    wanted_s = rng.uniform(*span_s)
    wave = _pointed(rng, rate_hz, wanted_s)
    t0_s, t1_s = _feet(wave, rate_hz)
    overshoot = rng.uniform(0.0, 0.25)
    swing = np.sin(np.pi * np.clip(np.arange(len(wave)) / rate_hz - t1_s, 0, wanted_s) / wanted_s)
    polarity = -1.0 if rng.random() < 0.9 else 1.0
    return Shape(polarity * (wave - overshoot * swing), t0_s, t1_s)


def sharp(rng: np.random.Generator, rate_hz: float) -> Shape:
    """Draw a sharp wave."""
    return spike(rng, rate_hz, SHARP_S)


def complex_wave(rng: np.random.Generator, rate_hz: float) -> Shape:
    """Draw a spike or sharp wave with the slow wave that follows it."""
    pointed_s, slow_s = rng.uniform(0.035, 0.09), rng.uniform(*SLOW_S)
    pointed = _pointed(rng, rate_hz, pointed_s)
    t0_s, end_s = _feet(pointed, rate_hz)
    n = int(np.ceil((end_s + slow_s) * rate_hz)) + 2
    wave = np.zeros(max(n, len(pointed)))
    wave[: len(pointed)] += pointed
    u = np.clip((np.arange(len(wave)) / rate_hz - end_s + 0.25 * pointed_s) / slow_s, 0.0, 1.0)
    early, late = rng.uniform(1.1, 1.8), rng.uniform(1.2, 2.0)
    wave += rng.uniform(0.5, 1.0) * _normal(u**early * (1 - u) ** late + 1e-12)
    polarity = -1.0 if rng.random() < 0.92 else 1.0
    return Shape(polarity * _normal(wave), t0_s, end_s - 0.25 * pointed_s + slow_s)


def spindle(rng: np.random.Generator, rate_hz: float) -> Shape:
    """Draw a chirped burst with a skewed envelope and a jittering frequency."""
    whole_s = rng.uniform(*SPINDLE_S)
    n = round(whole_s * rate_hz)
    u = (np.arange(n) + 0.5) / n
    rise, fall = rng.uniform(0.8, 1.8, 2)
    envelope = _normal(u**rise * (1 - u) ** fall)
    wander = np.cumsum(rng.normal(0.0, 1.0, n)) * np.sqrt(0.15 / rate_hz)
    hz = np.clip(rng.uniform(*SPINDLE_HZ) + rng.uniform(-1.2, 0.5) * (u - 0.5) + wander, 11.2, 15.8)
    wave = envelope * np.sin(2 * np.pi * np.cumsum(hz) / rate_hz + rng.uniform(0, 2 * np.pi))
    t0_s, t1_s = _feet(envelope, rate_hz, 0.2)
    return Shape(_normal(wave), t0_s, t1_s, float(np.average(hz, weights=envelope)))


def kcomplex(rng: np.random.Generator, rate_hz: float) -> Shape:
    """Draw a sharp negative, then positive wave through jittered knots."""
    from scipy.interpolate import Akima1DInterpolator

    whole_s = rng.uniform(*KCOMPLEX_S)
    knots = np.array(
        [(0, 0), (0.10, -0.12), (0.25, -1.0), (0.40, -0.1), (0.58, 0.65), (0.80, 0.22), (1.0, 0)]
    )
    knots[1:-1, 0] += rng.normal(0.0, 0.015, 5)
    knots[1:-1, 1] *= 1 + rng.normal(0.0, 0.12, 5)
    n = round(whole_s * rate_hz)
    wave = _normal(Akima1DInterpolator(knots[:, 0], knots[:, 1])(np.linspace(0, 1, n)))
    return Shape(wave, *_feet(wave, rate_hz, 0.05))


def blink(rng: np.random.Generator, rate_hz: float) -> Shape:
    """Draw a skewed lid wave: a fast rise, a slower fall, a shallow overshoot."""
    whole_s = rng.uniform(*BLINK_S)
    n = round(2.2 * whole_s * rate_hz)
    u = np.arange(1, n + 1) / rate_hz / whole_s
    width = rng.uniform(0.38, 0.55)
    wave = np.exp(-0.5 * (np.log(u / 0.42) / width) ** 2)
    t0_s, t1_s = _feet(wave, rate_hz)
    wave -= rng.uniform(0.0, 0.12) * np.exp(-0.5 * ((u - 1.45) / 0.22) ** 2)
    return Shape(_normal(wave), t0_s, t1_s)


def gaze(rng: np.random.Generator, rate_hz: float) -> Shape:
    """Draw a look aside and back: two sigmoids with a sagging plateau; the sign is the side."""
    hold_s, step_s = rng.uniform(*PLATEAU_S), rng.uniform(0.03, 0.07)
    n = round((hold_s + 2 * step_s + 0.2) * rate_hz)
    t = np.arange(n) / rate_hz - 0.1
    scale = step_s / 4.4  # 10 % to 90 % of a sigmoid is 4.4 scales
    out = 1 / (1 + np.exp(-(t - step_s / 2) / scale))
    back = 1 / (1 + np.exp(-(t - step_s * 1.5 - hold_s) / scale))
    sag = 1 - rng.uniform(0.0, 0.25) * np.clip(t / hold_s, 0, 1)
    wave = (1.0 if rng.random() < 0.5 else -1.0) * (out - back) * sag
    return Shape(_normal(wave), *_feet(wave, rate_hz))


def pop(rng: np.random.Generator, rate_hz: float) -> Shape:
    """Draw an electrode pop: a jump and an exponential return."""
    decay_s = rng.uniform(*POP_DECAY_S)
    times = np.arange(round(5 * decay_s * rate_hz)) / rate_hz
    wave = (1.0 if rng.random() < 0.5 else -1.0) * np.exp(-times / decay_s)
    return Shape(wave, 0.0, 2.3 * decay_s)


def muscle_rows(rng: np.random.Generator, rate_hz: float, n_rows: int) -> tuple[Floats, float]:
    """Draw muscle at several rows: renewal trains of unit potentials, a set per row.

    Parameters
    ----------
    rng, rate_hz
        Randomness and rate.
    n_rows
        Rows; their units are different ones, as electrodes see different fibres.

    Returns
    -------
    tuple
        Shape (n_rows, n_times), each row of unit RMS; and the duration in seconds.
    """
    from scipy.signal import resample_poly

    whole_s = rng.uniform(*MUSCLE_S)
    n = round(whole_s * UNIT_RATE_HZ)
    rows = np.zeros((n_rows, n))
    for row in rows:
        for _ in range(int(rng.integers(4, 9))):
            gaps = rng.gamma(4.0, rng.uniform(0.006, 0.02) / 4.0, round(whole_s / 0.004))
            fires = np.cumsum(gaps)
            train = np.zeros(n)
            at = (fires * UNIT_RATE_HZ).astype(int)
            at = at[at < n]
            train[at] = rng.normal(1.0, 0.15, at.size)
            row += rng.uniform(0.3, 1.0) * np.convolve(train, _unit(rng), "same")
    ramp = np.clip(np.minimum(np.arange(n), n - 1 - np.arange(n)) / (0.06 * UNIT_RATE_HZ), 0, 1)
    out = resample_poly(rows * ramp, round(rate_hz), round(UNIT_RATE_HZ), axis=1)
    return out / np.sqrt((out**2).mean(axis=1, keepdims=True)), whole_s


def _unit(rng: np.random.Generator) -> Floats:
    """One unit potential of 5 to 12 ms, two or three phases."""
    t = np.arange(-0.012, 0.012, 1 / UNIT_RATE_HZ)
    width = rng.uniform(0.0012, 0.003)
    bell = np.exp(-0.5 * (t / width) ** 2)
    return np.asarray(-t / width * bell if rng.random() < 0.5 else (1 - (t / width) ** 2) * bell)


SHAPES: dict[str, Callable[[np.random.Generator, float], Shape]] = {
    "spike": spike,
    "sharp": sharp,
    "spsw": complex_wave,
    "spindle": spindle,
    "kcomplex": kcomplex,
    "blink": blink,
    "lateral_eye": gaze,
    "electrode_pop": pop,
}
"""Time course by kind; muscle, flat and posterior rhythm are made where they are planted."""
