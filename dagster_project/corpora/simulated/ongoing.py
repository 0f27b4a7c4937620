"""Bare simulated pages to plant into: ongoing activity of many kinds of people, and nothing else.

Each page is another person's: traits of ``subject``, activity of ``background``, and in some tonic
muscle, drift, heartbeats or intermittent rhythms outside the spindle band, recorded with any
reference and any usable band. Events are planted by ``planting``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.fft

from dagster_project.corpora.simulated import artifacts
from dagster_project.corpora.simulated.background import (
    background_uv,
    modulation,
    narrow_band,
    posterior_rhythm_uv,
)
from dagster_project.corpora.simulated.geometry import (
    FloatArray,
    field_of,
    focus_near,
    reference_matrix,
    uneven,
    weights,
)
from dagster_project.corpora.simulated.planting import band_gain
from dagster_project.corpora.simulated.subject import SubjectTraits, draw_traits
from detectors.types import CANONICAL19, N_TIMES, SFREQ_HZ

BANDS_HZ = (
    (0.1, 75.0), (0.1, 75.0), (0.1, 75.0), (0.1, 72.0), (0.1, 57.6), (0.3, 50.0), (0.5, 45.0),
    (1.0, 40.0),
)  # fmt: skip
"""Usable bands as published corpora have them (``corpora.md``), the full one most often."""

_ASLEEP_CHANCE = 0.45
_ALPHA_CHANCE, _MUSCLE_CHANCE, _DRIFT_CHANCE, _RHYTHM_CHANCE = 0.6, 0.25, 0.25, 0.4
_RHYTHM_HZ = ((2.0, 9.5), (17.5, 25.0))
"""Where intermittent rhythms lie: not in the spindle band, where they would be unlabelled spindles."""


@dataclass(frozen=True, slots=True)
class OngoingPage:
    """A page without events: float64 (19, 2000), its usable band, and how it was referenced."""

    data_uv: FloatArray
    band_hz: tuple[float, float]
    reference: str


def ongoing_page(rng: np.random.Generator) -> OngoingPage:
    """Draw one page of one person."""
    traits = draw_traits(rng)
    is_asleep = bool(rng.random() < _ASLEEP_CHANCE)
    ongoing = traits.sleep if is_asleep else traits.wake
    ongoing = replace(ongoing, exponent=ongoing.exponent + rng.uniform(-0.3, 0.4))
    data = background_uv(rng, ongoing, N_TIMES, float(SFREQ_HZ))
    if not is_asleep and rng.random() < _ALPHA_CHANCE:
        data += _alpha(rng, traits)
    if rng.random() < _RHYTHM_CHANCE:
        data += _rhythms(rng)
    if rng.random() < _MUSCLE_CHANCE:
        data += _tonic_muscle(rng)
    if rng.random() < _DRIFT_CHANCE:
        data += _drift(rng)
    if traits.ecg_uv:
        data += artifacts.heartbeat_uv(
            rng,
            N_TIMES,
            float(SFREQ_HZ),
            traits.ecg_uv * rng.uniform(0.2, 1.0),
            traits.heart_rate_hz,
        )
    band = BANDS_HZ[int(rng.integers(len(BANDS_HZ)))]
    recorded = reference_matrix(traits.reference) @ data
    spectrum = scipy.fft.rfft(recorded, axis=-1) * band_gain(N_TIMES, *band)
    filtered = scipy.fft.irfft(spectrum, N_TIMES, axis=-1)
    return OngoingPage(np.asarray(filtered), band, traits.reference)


def _alpha(rng: np.random.Generator, traits: SubjectTraits) -> FloatArray:
    """Return the person's posterior rhythm, which a third of the pages loses or gains on the way."""
    closed = np.ones(N_TIMES)
    if rng.random() < 1 / 3:
        at = int(rng.integers(N_TIMES))
        closed[:at] = 0.0
        closed = closed if rng.random() < 0.5 else 1 - closed
    return posterior_rhythm_uv(rng, traits.alpha_hz, traits.alpha_uv, closed, float(SFREQ_HZ))


def _rhythms(rng: np.random.Generator) -> FloatArray:
    """Return one to three intermittent rhythms, each from a place of its own."""
    out = np.zeros((len(CANONICAL19), N_TIMES))
    for _ in range(int(rng.integers(1, 4))):
        low, high = _RHYTHM_HZ[int(rng.random() < 0.35)]
        wave = narrow_band(
            rng, 1, N_TIMES, float(SFREQ_HZ), rng.uniform(low, high), rng.uniform(0.4, 1.2)
        )[0]
        wave *= modulation(rng, N_TIMES, float(SFREQ_HZ), 0.8) * rng.uniform(0.8, 4.0)
        focus = focus_near(str(rng.choice(CANONICAL19)), rng)
        out += np.outer(field_of(focus, rng.uniform(25, 70)), wave)
    return out


def _tonic_muscle(rng: np.random.Generator) -> FloatArray:
    """Return steady muscle tone over one group of muscles."""
    groups = sorted(artifacts.MUSCLES)
    field = uneven(weights(artifacts.MUSCLES[groups[int(rng.integers(len(groups)))]]), rng, 0.2)
    shape = (len(CANONICAL19), N_TIMES)
    noise = artifacts.muscle_noise(rng.standard_normal(shape), float(SFREQ_HZ), rng)
    noise /= noise.std(axis=1, keepdims=True)
    tone = modulation(rng, N_TIMES, float(SFREQ_HZ), 0.3) * np.exp(rng.uniform(-0.7, 1.6))
    return np.asarray(np.abs(field)[:, np.newaxis] * tone * noise)


def _drift(rng: np.random.Generator) -> FloatArray:
    """Return slow wandering of a few electrodes."""
    spectrum = scipy.fft.rfft(rng.standard_normal((len(CANONICAL19), N_TIMES)), axis=-1)
    freqs = scipy.fft.rfftfreq(N_TIMES, 1 / SFREQ_HZ)
    wander = scipy.fft.irfft(
        spectrum * np.where(freqs > 0, np.exp(-freqs / 0.25), 0.0), N_TIMES, axis=-1
    )
    wander /= wander.std(axis=1, keepdims=True)
    is_loose = rng.random(len(CANONICAL19)) < 0.25
    return np.asarray(wander * (is_loose * rng.uniform(2, 25, len(CANONICAL19)))[:, np.newaxis])
