"""The recording both sides of the engine benchmark work on: synthetic, fixed, written as EDF.

It has what makes real ones costly - a 1/f background, posterior alpha, blinks, spikes, muscle,
mains and a silent channel - but no planted truth; that is the simulator's, in
``dagster_project.corpora.simulated``.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.types import CANONICAL19

SFREQ_HZ = 256
LINE_FREQ_HZ = 60.0
N_CHANNELS = 32
_OTHERS = (
    "A1", "A2", "Fpz", "Oz", "FC1", "FC2", "CP1", "CP2", "FT9", "FT10", "EKG", "EMG", "PHOTIC",
)  # fmt: skip
_PHYSICAL_UV = 3276.7
_PREFIX = "EEG "


def channel_labels() -> tuple[str, ...]:
    """Return the labels of the file, the 19 electrodes first."""
    return tuple(f"{_PREFIX}{name}-REF" for name in (*CANONICAL19, *_OTHERS))


def write_recording(path: Path, minutes: float, seed: int = 7) -> None:
    """Write the benchmark's recording.

    Parameters
    ----------
    path
        Where the EDF file goes.
    minutes
        Length; whole seconds are written.
    seed
        Of the noise.
    """
    import pyedflib

    signals = recording_uv(round(minutes * 60) * SFREQ_HZ, seed)
    writer = pyedflib.EdfWriter(str(path), N_CHANNELS, file_type=pyedflib.FILETYPE_EDF)
    try:
        writer.setStartdatetime(datetime(2000, 1, 1))
        writer.setSignalHeaders(
            [
                {
                    "label": label, "dimension": "uV", "sample_frequency": SFREQ_HZ,
                    "physical_min": -_PHYSICAL_UV, "physical_max": _PHYSICAL_UV,
                    "digital_min": -32767, "digital_max": 32767, "transducer": "",
                    "prefilter": "",
                }
                for label in channel_labels()
            ]
        )  # fmt: skip
        writer.writeSamples(list(np.clip(signals, -_PHYSICAL_UV, _PHYSICAL_UV)))
    finally:
        writer.close()


def recording_uv(n_samples: int, seed: int) -> NDArray[np.float64]:
    """Make the signals, float64, shape (32, n_samples), in microvolts."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(n_samples) / SFREQ_HZ
    signals = np.stack([_background(rng, n_samples) for _ in range(N_CHANNELS)])
    index = {name: i for i, name in enumerate((*CANONICAL19, *_OTHERS))}
    waxing = 0.5 + 0.5 * np.sin(2 * np.pi * 0.07 * time_s)
    alpha = waxing * np.sin(2 * np.pi * 9.6 * time_s + np.cumsum(rng.normal(0, 0.02, n_samples)))
    for name, size_uv in (("O1", 30), ("O2", 33), ("Pz", 16), ("P3", 18), ("P4", 19), ("P7", 12)):
        signals[index[name]] += size_uv * alpha
    _plant(signals, index, rng, {"Fp1": 150, "Fp2": 145, "F3": 50, "F4": 50, "F7": 45}, 5.0, 0.11)
    _plant(signals, index, rng, {"T7": -110, "F7": -60, "P7": -55}, 7.0, 0.018)
    _plant_muscle(signals, index, rng)
    signals += 4 * np.sin(2 * np.pi * LINE_FREQ_HZ * time_s)
    third = n_samples // 3
    signals[index["T8"], third : third + 20 * SFREQ_HZ] = 0.0
    return signals


def _background(rng: np.random.Generator, n_samples: int) -> NDArray[np.float64]:
    freqs = np.fft.rfftfreq(n_samples, 1 / SFREQ_HZ)
    gain = np.where(freqs > 0.1, np.maximum(freqs, 0.5) ** -0.9, 0.0)
    noise = np.fft.irfft(gain * np.fft.rfft(rng.normal(size=n_samples)), n_samples)
    return np.asarray(10.0 * noise / noise.std())


def _plant(
    signals: NDArray[np.float64],
    index: dict[str, int],
    rng: np.random.Generator,
    sizes_uv: dict[str, float],
    every_s: float,
    width_s: float,
) -> None:
    """Add a bell every few seconds, with a jittered time."""
    n_samples = signals.shape[1]
    half = int(4 * width_s * SFREQ_HZ) + 1
    bell = np.exp(-0.5 * (np.arange(-half, half + 1) / SFREQ_HZ / width_s) ** 2)
    for start in np.arange(half, n_samples - 2 * half, every_s * SFREQ_HZ):
        at = int(start + rng.integers(0, half + 1))
        for name, size_uv in sizes_uv.items():
            signals[index[name], at - half : at + half + 1][: bell.size] += (
                size_uv * bell[: signals[index[name], at - half : at + half + 1].size]
            )


def _plant_muscle(
    signals: NDArray[np.float64], index: dict[str, int], rng: np.random.Generator
) -> None:
    for start in range(10 * SFREQ_HZ, signals.shape[1] - 2 * SFREQ_HZ, 25 * SFREQ_HZ):
        burst = np.diff(rng.normal(0, 25, SFREQ_HZ + 1))
        for name in ("T8", "F8"):
            signals[index[name], start : start + SFREQ_HZ] += burst
