"""Pages with known content for the rule tests, made here and not by the simulator."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detectors.montage import NEIGHBOURS
from detectors.types import (
    CANONICAL19,
    N_TIMES,
    REFERENTIAL19,
    SFREQ_HZ,
    ChannelSchema,
    SegmentBatch,
)

TIME_S = np.arange(N_TIMES) / SFREQ_HZ
EVEN_FIELD = dict.fromkeys(CANONICAL19, 1.0)
POSTERIOR_FIELD = {"O1": 1.0, "O2": 0.95, "P3": 0.7, "P4": 0.7, "P7": 0.6, "P8": 0.6, "Pz": 0.6}
CENTRAL_FIELD = {"Cz": 1.0, "C3": 0.9, "C4": 0.9, "Fz": 0.7, "F3": 0.6, "F4": 0.6, "Pz": 0.5}
FRONTAL_FIELD = {"Fz": 1.0, "F3": 0.9, "F4": 0.9, "Cz": 0.8, "C3": 0.6, "C4": 0.6, "Fp1": 0.6,
                 "Fp2": 0.6, "F7": 0.5, "F8": 0.5, "Pz": 0.3}  # fmt: skip
LATERAL_FIELD = {"F8": 1.0, "F7": -0.9, "Fp2": 0.45, "Fp1": -0.4, "T8": 0.35, "T7": -0.3}
BLINK_FIELD = {"Fp1": 1.0, "Fp2": 0.97, "F3": 0.35, "F4": 0.35, "Fz": 0.35, "F7": 0.3, "F8": 0.3,
               "C3": 0.08, "Cz": 0.08, "C4": 0.08}  # fmt: skip


def noise(
    n: int = 1, seed: int = 0, rms_uv: float = 10.0, exponent: float = 1.0, n_rows: int = 19
) -> NDArray[np.float32]:
    """1/f**exponent noise of 0.3-70 Hz, half of it shared by all rows.

    Nineteen rows share their own half with their neighbours, as a scalp's rows do; a page without
    that is not interpretable.
    """
    rng = np.random.default_rng(seed)
    shape = (n, n_rows + 1, N_TIMES // 2 + 1)
    spectrum = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    hz = np.fft.rfftfreq(N_TIMES, 1 / SFREQ_HZ)
    gain = np.where((hz >= 0.3) & (hz <= 70), np.maximum(hz, 0.1) ** (-exponent / 2), 0)
    rows = np.fft.irfft(spectrum * gain, N_TIMES)
    rows /= rows.std(-1, keepdims=True)
    own = rows[:, :n_rows]
    if n_rows == len(CANONICAL19):
        own = np.einsum("cd,ndt->nct", _spread(), own)
    mixed = (own + rows[:, n_rows:]) / np.sqrt(2)
    return (rms_uv * mixed).astype(np.float32)


def _spread() -> NDArray[np.float64]:
    """Weights with which every row holds its neighbours; the sum of their squares is 1."""
    near = [[b in NEIGHBOURS[a] for b in CANONICAL19] for a in CANONICAL19]
    weights = np.eye(len(CANONICAL19)) + 0.6 * np.array(near)
    return weights / np.sqrt((weights**2).sum(1, keepdims=True))


def add(
    data_uv: NDArray[np.float32], wave_uv: NDArray[np.floating], field: Mapping[str, float]
) -> NDArray[np.float32]:
    """Add one wave to every page with a weight per electrode."""
    out = data_uv.copy()
    for name, weight in field.items():
        out[:, CANONICAL19.index(name)] += (weight * wave_uv).astype(np.float32)
    return out


def rhythm(hz: float, p2p_uv: float) -> NDArray[np.float64]:
    """A sine that fills the page."""
    return 0.5 * p2p_uv * np.sin(2 * np.pi * hz * TIME_S)


def burst(hz: float, p2p_uv: float, t0_s: float, t1_s: float) -> NDArray[np.float64]:
    """A waxing and waning train."""
    phase = np.clip((TIME_S - t0_s) / (t1_s - t0_s), 0, 1)
    return rhythm(hz, p2p_uv) * np.sin(np.pi * phase) ** 0.5


def bell(peak_uv: float, at_s: float, half_width_s: float) -> NDArray[np.float64]:
    """A Gaussian of given width at half height."""
    sigma = half_width_s / 2.3548
    return peak_uv * np.exp(-0.5 * ((TIME_S - at_s) / sigma) ** 2)


def plateau(height_uv: float, t0_s: float, t1_s: float, rise_s: float) -> NDArray[np.float64]:
    """A trapezoid with linear flanks."""
    up = np.clip((TIME_S - t0_s) / rise_s, 0, 1)
    return height_uv * (up - np.clip((TIME_S - t1_s) / rise_s, 0, 1))


def kcomplex(p2p_uv: float, t0_s: float, length_s: float = 1.0) -> NDArray[np.float64]:
    """A negative half wave and a longer positive one."""
    x = (TIME_S - t0_s) / length_s
    negative = np.where((x >= 0) & (x < 0.4), -np.sin(np.pi * x / 0.4), 0)
    positive = np.where((x >= 0.4) & (x < 1), np.sin(np.pi * (x - 0.4) / 0.6), 0)
    return p2p_uv * (0.55 * negative + 0.45 * positive)


def batch_of(
    data_uv: NDArray[np.floating],
    *,
    mask: NDArray[np.bool_] | None = None,
    band_hz: tuple[float, float] = (0.1, 75.0),
    line_freq_hz: float = 50.0,
    schema: ChannelSchema = REFERENTIAL19,
    prefix: str = "s",
) -> SegmentBatch:
    """Wrap pages; signals go through the stored step of 0.05 uV."""
    n = len(data_uv)
    there = np.ones(data_uv.shape[:2], dtype=np.bool_) if mask is None else mask
    stored = np.round(np.where(there[..., None], data_uv, 0) / 0.05) * 0.05
    return SegmentBatch(
        segment_ids=tuple(f"{prefix}{i}" for i in range(n)),
        data_uv=stored.astype(np.float32),
        mask=there,
        schema=schema,
        band_hz=np.tile(np.array(band_hz, dtype=np.float32), (n, 1)),
        line_freq_hz=line_freq_hz,
    )
