"""Shapes of sleep graphoelements and epileptiform discharges, drawn anew for every event.

Each function returns a :class:`~dagster_project.corpora.simulated.patch.Patch` whose duration is
foot to foot and whose field decays from one focus. Durations and frequencies follow the IFCN
glossary 2017 (spike 20 to under 70 ms, sharp wave 70-200 ms) and the AASM manual (spindle 11-16 Hz
for 0.5 s or longer, K-complex 0.5 s or longer, slow wave 0.5-2 Hz); where a range is narrower or
the source gives none it is an engineering default. Artifacts are in ``artifacts``.
"""

from __future__ import annotations

import numpy as np

from dagster_project.corpora.simulated.geometry import FloatArray, field_of, focus_near, uneven
from dagster_project.corpora.simulated.patch import Patch
from detectors.types import Measure

SPIKE_S = (0.022, 0.069)
SHARP_S = (0.071, 0.199)
COMPLEX_SLOW_S = (0.16, 0.48)
SPINDLE_S = (0.5, 2.8)
SPINDLE_HZ = (11.0, 16.0)
KCOMPLEX_S = (0.5, 1.9)
SLOW_WAVE_S = (0.5, 1.6)
VERTEX_S = (0.10, 0.35)


def spike(
    rng: np.random.Generator, sfreq_hz: float, amplitude_uv: float, focus: str = "T7"
) -> Patch:
    """Draw a spike, 20 to under 70 ms foot to foot (IFCN 2017)."""
    return _discharge(rng, sfreq_hz, amplitude_uv, focus, "spike", SPIKE_S)


def sharp(
    rng: np.random.Generator, sfreq_hz: float, amplitude_uv: float, focus: str = "F7"
) -> Patch:
    """Draw a sharp wave, 70-200 ms foot to foot (IFCN 2017)."""
    return _discharge(rng, sfreq_hz, amplitude_uv, focus, "sharp", SHARP_S)


def spike_wave(
    rng: np.random.Generator,
    sfreq_hz: float,
    amplitude_uv: float,
    focus: str = "Fz",
    width_deg: float | None = None,
) -> Patch:
    """Draw a spike- or sharp-and-slow-wave complex, spike onset to return of the slow wave.

    Parameters
    ----------
    rng, sfreq_hz, amplitude_uv, focus
        As for every shape: randomness, rate, peak-to-peak at the maximum, electrode of maximum.
    width_deg
        Width of the field; None draws a focal one. Generalised discharges pass a wide one.
    """
    spike_s = rng.uniform(0.025, 0.14)
    slow_s = rng.uniform(*COMPLEX_SLOW_S)
    ratio = rng.uniform(0.4, 1.3)
    polarity = -1.0 if rng.random() < 0.93 else 1.0
    notch = rng.uniform(0.0, 0.35)
    fast = _pointed(spike_s, sfreq_hz, rng)
    n_slow = round(slow_s * sfreq_hz)
    phase = (np.arange(n_slow) / n_slow) ** rng.uniform(0.75, 1.1)
    slow = ratio * np.sin(np.pi * phase) ** rng.uniform(1.0, 1.5)
    # the trough between spike and wave swings to the other side in many complexes
    n_notch = max(3, round(0.6 * spike_s * sfreq_hz))
    slow[:n_notch] -= notch * np.sin(np.pi * np.arange(n_notch) / n_notch)
    wave = polarity * np.concatenate([fast, slow])
    wave *= amplitude_uv / np.ptp(wave)
    width = rng.uniform(20, 46) if width_deg is None else width_deg
    field = uneven(field_of(focus_near(focus, rng), width), rng)
    measures = (Measure("spike_s", round(spike_s, 4), "s"),)
    return Patch("spsw", "spsw", np.outer(field, wave), 0.0, len(wave) / sfreq_hz, measures)


def spindle(
    rng: np.random.Generator, sfreq_hz: float, amplitude_uv: float, focus: str = ""
) -> Patch:
    """Draw a sleep spindle: 11-16 Hz, at least 0.5 s, waxing and waning, central maximum (AASM).

    Without a focus the slower ones lie more frontal, as in adults.
    """
    typical_hz, any_hz = rng.normal(13.2, 0.9), rng.uniform(*SPINDLE_HZ)
    f_hz = float(np.clip(typical_hz if rng.random() < 0.6 else any_hz, *SPINDLE_HZ))
    if not focus:
        slow_ones, fast_ones = ("Fz", "Cz", "F3", "F4"), ("Cz", "Cz", "C3", "C4", "Pz")
        focus = str(rng.choice(slow_ones if f_hz < 12.2 else fast_ones))
    duration_s = float(np.clip(rng.lognormal(np.log(0.95), 0.38), *SPINDLE_S))
    t = np.arange(round(duration_s * sfreq_hz)) / sfreq_hz
    u = (t / duration_s) ** rng.uniform(0.65, 1.5)
    envelope = np.sin(np.pi * u) ** rng.uniform(0.5, 1.9)
    ripple = 1.0 + 0.12 * np.sin(2 * np.pi * rng.uniform(1.0, 2.5) * t + rng.uniform(0, 6.28))
    drift_hz = rng.uniform(-1.2, 0.5) / max(duration_s, 1.0)
    phase = 2 * np.pi * (f_hz * t + 0.5 * drift_hz * t**2) + rng.uniform(0, 2 * np.pi)
    lag = rng.normal(0.0, 0.25, size=(19, 1))
    field = uneven(field_of(focus_near(focus, rng), rng.uniform(22, 54)), rng)
    samples = field[:, np.newaxis] * envelope * ripple * np.sin(phase + lag)
    samples *= amplitude_uv / np.ptp(samples, axis=1).max()
    return Patch(
        "spindle", "spindle", samples, 0.0, duration_s, (Measure("frequency_hz", f_hz, "Hz"),)
    )


def kcomplex(
    rng: np.random.Generator, sfreq_hz: float, amplitude_uv: float, focus: str = "Fz"
) -> Patch:
    """Draw a K-complex: sharp negative, then slower positive, frontal maximum (AASM)."""
    duration_s = float(np.clip(rng.lognormal(np.log(0.82), 0.3), *KCOMPLEX_S))
    n = round(duration_s * sfreq_hz)
    n_neg = round(n * rng.uniform(0.22, 0.5))
    u = np.arange(n_neg) / n_neg
    rise = rng.uniform(0.28, 0.6)
    negative = _rounded(_two_flanks(u, rise, rng.uniform(0.9, 1.8)), rng)
    v = np.arange(n - n_neg) / (n - n_neg)
    positive = rng.uniform(0.35, 1.1) * np.sin(np.pi * v ** rng.uniform(0.7, 1.0)) ** 1.2
    wave = np.concatenate([-negative, positive])
    wave *= amplitude_uv / np.ptp(wave)
    field = uneven(field_of(focus_near(focus, rng), rng.uniform(28, 64)), rng)
    return Patch("kcomplex", "Kcomplex", np.outer(field, wave), 0.0, duration_s)


def slow_wave(
    rng: np.random.Generator, sfreq_hz: float, amplitude_uv: float, focus: str = "Fz"
) -> Patch:
    """Draw one slow wave of deep sleep: 0.5-2 Hz, over 75 uV peak to peak, frontal (AASM)."""
    duration_s = rng.uniform(*SLOW_WAVE_S)
    n = round(duration_s * sfreq_hz)
    split = rng.uniform(0.42, 0.58)
    u = np.arange(n) / n
    negative = np.sin(np.pi * np.clip(u / split, 0, 1)) ** 1.1
    positive = np.sin(np.pi * np.clip((u - split) / (1 - split), 0, 1)) ** 1.3
    wave = -negative + rng.uniform(0.35, 0.9) * positive
    wave *= amplitude_uv / np.ptp(wave)
    field = field_of(focus_near(focus, rng), rng.uniform(55, 75))
    measures = (Measure("frequency_hz", 1.0 / duration_s, "Hz"),)
    return Patch("slow_wave", "", np.outer(field, wave), 0.0, duration_s, measures)


def vertex_wave(
    rng: np.random.Generator, sfreq_hz: float, amplitude_uv: float, focus: str = "Cz"
) -> Patch:
    """Draw a vertex sharp wave: negative, under 0.5 s, maximal at Cz; a look-alike, no label."""
    duration_s = rng.uniform(*VERTEX_S)
    wave = -amplitude_uv * _pointed(duration_s, sfreq_hz, rng)
    field = field_of(focus_near(focus, rng, 6.0), rng.uniform(28, 40))
    return Patch("", "", np.outer(field, wave), 0.0, duration_s)


def rhythmic_burst(
    rng: np.random.Generator, sfreq_hz: float, amplitude_uv: float, focus: str = "Cz"
) -> Patch:
    """Draw a burst of sharply contoured theta or alpha; a look-alike of discharges, no label.

    Arch-shaped mu, wicket-like alpha and drowsy theta all look so: a sinusoid with its second
    harmonic, of widespread or of narrow field (``clinical.md`` 3.3 and 4.4).
    """
    f_hz = rng.uniform(4.2, 7.8) if rng.random() < 0.5 else rng.uniform(8.0, 11.0)
    duration_s = rng.uniform(0.5, 2.4)
    t = np.arange(round(duration_s * sfreq_hz)) / sfreq_hz
    phase = 2 * np.pi * f_hz * t + rng.uniform(0, 2 * np.pi)
    shape = np.sin(phase) + rng.uniform(0.0, 0.5) * np.sin(2 * phase + rng.uniform(0, 2 * np.pi))
    wave = shape * np.sin(np.pi * t / duration_s) ** rng.uniform(0.4, 1.2)
    wave *= amplitude_uv / np.ptp(wave)
    field = field_of(focus_near(focus, rng), rng.uniform(30, 85))
    return Patch("", "", np.outer(field, wave), 0.0, duration_s)


def _discharge(
    rng: np.random.Generator,
    sfreq_hz: float,
    amplitude_uv: float,
    focus: str,
    kind: str,
    duration_range_s: tuple[float, float],
) -> Patch:
    """Draw a mono-, di- or triphasic discharge; the event is its main phase."""
    duration_s = rng.uniform(*duration_range_s)
    polarity = -1.0 if rng.random() < 0.9 else 1.0
    main = _pointed(duration_s, sfreq_hz, rng)
    before = _side_phase(rng, duration_s * rng.uniform(0.4, 0.8), sfreq_hz, 0.35, (0.1, 0.25))
    after = _side_phase(rng, duration_s * rng.uniform(0.8, 1.6), sfreq_hz, 0.7, (0.12, 0.42))
    wave = polarity * amplitude_uv * np.concatenate([-before, main, -after])
    field = uneven(field_of(focus_near(focus, rng), rng.uniform(16, 42)), rng)
    return Patch(kind, kind, np.outer(field, wave), len(before) / sfreq_hz, duration_s)


def _side_phase(
    rng: np.random.Generator,
    duration_s: float,
    sfreq_hz: float,
    chance: float,
    share: tuple[float, float],
) -> FloatArray:
    is_present, height = rng.random() < chance, rng.uniform(*share)
    n = round(duration_s * sfreq_hz) if is_present else 0
    return np.asarray(height * np.sin(np.pi * (np.arange(n) + 0.5) / max(n, 1)))


def _pointed(duration_s: float, sfreq_hz: float, rng: np.random.Generator) -> FloatArray:
    """Return a pointed wave of height 1, zero at both feet, mostly steeper on its first flank."""
    n = max(3, round(duration_s * sfreq_hz))
    rise = rng.uniform(0.2, 0.44) if rng.random() < 0.75 else rng.uniform(0.44, 0.65)
    u = (np.arange(n) + 0.5) / n
    wave = _rounded(_two_flanks(u, rise, rng.uniform(0.8, 2.0)), rng)
    return np.asarray(wave / wave.max())


def _two_flanks(u: FloatArray, rise: float, power: float) -> FloatArray:
    flank = np.where(u < rise, u / rise, (1 - u) / (1 - rise))
    return np.asarray(np.clip(flank, 0.0, 1.0) ** power)


def _rounded(wave: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a wave whose corners are rounded off in half of the cases, as real ones often are."""
    share = rng.uniform(0.1, 1.0) if rng.random() < 0.5 else 0.0
    return np.asarray((1 - share) * wave + share * np.sin(0.5 * np.pi * wave) ** 2)
