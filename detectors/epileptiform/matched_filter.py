"""A page whitened in time and space, and how well pointed templates with a brain's field fit it.

The noise is the page itself: its spectrum (running median over frequency) and, after that is taken
out, the covariance of its rows over their quieter moments. A template is a waveform times a field
that falls off from one electrode; its fit is a matched filter, stated in standard deviations of
that filter's own output around the moment. What a fit is worth is decided in
:mod:`detectors.epileptiform.discharges`; the judged signal is prepared in
:mod:`detectors.epileptiform.transient_signal`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit
from detectors.epileptiform.transient_signal import Rows
from detectors.signal.scalp import electrode_positions
from detectors.types import N_TIMES, SFREQ_HZ

LIMITS: dict[str, Limit] = {
    "low_hz": Limit(1.5, "Hz", "engineering default: slower activity is no part of a discharge"),
    "high_hz": Limit(45.0, "Hz", "engineering default: keeps a 20-ms spike, drops mains"),
    "smooth_hz": Limit(2.5, "Hz", "engineering default: the spectrum is read this wide"),
    "quiet_share": Limit(0.7, "1", "engineering default: moments the covariance is taken from"),
    "loading": Limit(0.02, "1", "engineering default: of the mean power, added to every row"),
    "field_deg": Limit(28.0, "deg", "engineering default: neighbours of the 10-20 are 36 apart"),
    "field_wide_deg": Limit(45.0, "deg", "engineering default: field of a bilateral discharge"),
    "local_s": Limit(1.0, "s", "engineering default: noise is measured this far to both sides"),
    "local_most": Limit(4.0, "1", "engineering default: cap of a moment's power, of the median's"),
    "local_least": Limit(0.64, "1", "engineering default: floor of the local power, of the median"),
}  # fmt: skip
"""Constants of this module with their source marks."""

RATE_HZ = SFREQ_HZ // 2
"""Rate of the filter's output: nothing above 50 Hz is left."""

Reals = NDArray[np.float32]
Complexes = NDArray[np.complex64]

_PAD = SFREQ_HZ
_N = N_TIMES + 2 * _PAD
_N_OUT = _N // 2
_OUT = slice(_PAD // 2, (_PAD + N_TIMES) // 2)
_HZ = np.arange(_N_OUT // 2 + 1) * SFREQ_HZ / _N
_HALF_BOX = 5  # bins: the spectrum's running median is averaged this far to both sides
_AT_ONCE = 3  # templates in one transform
_RISE = 0.4  # share of a template before its peak: discharges rise faster than they fall


@dataclass(frozen=True, slots=True)
class Template:
    """One waveform of the bank: the kind it speaks for, its length, and where its peak lies."""

    kind: str
    pointed_s: float
    slow_s: float = 0.0


TEMPLATES: tuple[Template, ...] = (
    Template("spike", 0.030), Template("spike", 0.045), Template("spike", 0.060),
    Template("sharp", 0.085), Template("sharp", 0.120), Template("sharp", 0.165),
    Template("spsw", 0.045, 0.22), Template("spsw", 0.080, 0.22), Template("spsw", 0.060, 0.33),
)  # fmt: skip
"""Pointed waves of 20-70 ms and 70-200 ms and complexes with a slow wave (``clinical.md`` 4.1)."""


@dataclass(frozen=True, slots=True)
class Whitened:
    """One page ready for the filter.

    Parameters
    ----------
    spectrum
        complex64, shape (n_rows, n_bins): whitened rows in the average reference.
    white
        float32, shape (n_rows, N_TIMES / 2): the same in time.
    gain
        float32, shape (n_bins,): what whitened them.
    inverse
        float64, shape (n_rows, n_rows): inverse covariance; zero outside good rows.
    good
        bool, shape (n_rows,).
    """

    spectrum: Complexes
    white: Reals
    gain: Reals
    inverse: NDArray[np.float64]
    good: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Fits:
    """What of the bank stands out where on one page.

    Parameters
    ----------
    seen, weights
        float64, shape (n_fields, n_rows): each field in the page's reference, and the spatial
        filter that passes it with unit noise.
    height
        float32, shape (N_TIMES / 2,): largest fit of any field and template, signed, in local
        standard deviations; zero where it does not reach the level asked for.
    which
        int64, shape (N_TIMES / 2, 2): its field and template.
    """

    seen: NDArray[np.float64]
    weights: NDArray[np.float64]
    height: Reals
    which: NDArray[np.int64]


@cache
def fields() -> NDArray[np.float64]:
    """Return fields that fall off from each electrode, narrow ones first, shape (38, 19)."""
    flat = electrode_positions()
    polar = np.deg2rad(90.0) * np.hypot(flat[:, 0], flat[:, 1])
    turn = np.arctan2(flat[:, 0], flat[:, 1])
    points = np.stack(
        [np.sin(polar) * np.sin(turn), np.sin(polar) * np.cos(turn), np.cos(polar)], axis=1
    )
    angle = np.arccos(np.clip(points @ points.T, -1.0, 1.0))
    widths = (LIMITS["field_deg"].value, LIMITS["field_wide_deg"].value)
    return np.concatenate([np.exp(-0.5 * (angle / np.deg2rad(w)) ** 2) for w in widths])


def pointed(pointed_s: float, slow_s: float, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw a pointed wave that peaks at 0 s, and a slow wave of the same sign after it."""
    rise, fall = _RISE * pointed_s, (1 - _RISE) * pointed_s
    wave = np.clip(np.where(at_s < 0, 1 + at_s / rise, 1 - at_s / fall), 0.0, None) ** 1.2
    if slow_s:
        phase = np.clip((at_s - fall) / slow_s, 0.0, 1.0)
        wave = wave + 0.75 * np.sin(np.pi * phase)
    return np.asarray(wave)


def spectrum_of(wave: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return the spectrum of waves drawn on :func:`centred_s`, their middle at time 0."""
    placed = np.zeros((*wave.shape[:-1], _N))
    half = wave.shape[-1] // 2
    placed[..., :half] = wave[..., half:]
    placed[..., -half:] = wave[..., :half]
    return np.asarray(np.fft.rfft(placed, axis=-1)[..., : len(_HZ)])


def centred_s() -> NDArray[np.float64]:
    """Return times around 0 that templates are drawn on."""
    return np.arange(-_PAD, _PAD) / SFREQ_HZ


@cache
def bank() -> NDArray[np.complex128]:
    """Return the spectra of :data:`TEMPLATES`, their peak at time 0 and 1 uV high."""
    return spectrum_of(np.stack([pointed(t.pointed_s, t.slow_s, centred_s()) for t in TEMPLATES]))


@cache
def _conjugate_bank() -> Complexes:
    return np.conj(bank()).astype(np.complex64)


def whitened(rows: Rows, place: int, high_hz: float) -> Whitened:
    """Whiten one page by its own spectrum and covariance.

    Parameters
    ----------
    rows
        Average-referenced rows.
    place
        Which segment of them.
    high_hz
        Upper edge of what was recorded there.
    """
    from scipy import fft

    from detectors.epileptiform._discharge_kernels import add_power, mirror, quiet_moments

    good = rows.good[place]
    n_rows = len(good)
    # transforms take several rows at a time: one more costs less than one that is left over
    padded = np.zeros((n_rows + n_rows % 2, _N), dtype=np.float32)
    padded[:n_rows, _PAD : _PAD + N_TIMES] = rows.wide_uv[place]
    mirror(padded, _PAD)
    spectrum = np.ascontiguousarray(fft.rfft(padded, axis=1)[:, : len(_HZ)])
    spectrum[:, -1] = 0.0
    power = np.zeros(len(_HZ), dtype=np.float32)
    add_power(spectrum.view(np.float32), np.float32(1.0 / good.sum()), power)
    gain = _gain(power, high_hz)
    spectrum *= gain
    white = np.ascontiguousarray(fft.irfft(spectrum, n=_N_OUT, axis=1)[:n_rows, _OUT])
    spectrum = spectrum[:n_rows]
    kept = quiet_moments(white, good, LIMITS["quiet_share"].value)
    covariance = kept @ kept.T / kept.shape[1]
    n_good = len(kept)
    level = max(float(np.trace(covariance)) / n_good, 1e-12)
    # rows of an average reference sum to zero: the common direction gets some power of its own
    covariance += LIMITS["loading"].value * level * np.eye(n_good) + level
    inverse = np.zeros((len(good), len(good)))
    inverse[np.ix_(good, good)] = np.linalg.inv(covariance)
    return Whitened(spectrum, white, gain, inverse, good)


def _gain(power: Reals, high_hz: float) -> Reals:
    """One over the smoothed amplitude spectrum inside the band."""
    from detectors.epileptiform._discharge_kernels import smooth_spectrum

    level = np.empty(len(power))
    half = round(0.5 * LIMITS["smooth_hz"].value * _N / SFREQ_HZ)
    smooth_spectrum(power, half, _HALF_BOX, level)
    band = _band(high_hz)
    return np.asarray(band / np.sqrt(level + 1e-9 * level.max() + 1e-12), dtype=np.float32)


@lru_cache(maxsize=64)
def _band(high_hz: float) -> NDArray[np.float64]:
    """Weight of every bin by the band searched."""
    low, high = LIMITS["low_hz"].value, min(LIMITS["high_hz"].value, 0.9 * high_hz)
    rise = np.clip((2 * _HZ - low) / low, 0.0, 1.0)
    return np.asarray(rise * np.clip((1.1 * high - _HZ) / (0.1 * high), 0.0, 1.0))


def referred(field: NDArray[np.float64], good: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Refer fields to the mean of the good rows; others are zero."""
    centred = field - field[:, good].mean(axis=1, keepdims=True)
    return np.asarray(np.where(good, centred, 0.0))


@lru_cache(maxsize=64)
def _seen_fields(good_rows: bytes) -> NDArray[np.float64]:
    return referred(fields(), np.frombuffer(good_rows, dtype=np.bool_))


def _templates(page: Whitened) -> Complexes:
    """Return conjugate spectra of the templates, whitened as the page was, to unit energy."""
    seen = _conjugate_bank() * page.gain
    pairs = seen.view(np.float32)
    energy = 2 * np.einsum("tf,tf->t", pairs, pairs) / _N_OUT
    seen *= (1 / np.sqrt(np.maximum(energy, 1e-30))).astype(np.float32)[:, None]
    return seen


def fits(page: Whitened, least: float) -> Fits:
    """Run the whole bank over one page and keep what stands out by at least ``least``."""
    from detectors.epileptiform._discharge_kernels import keep_highest

    seen = _seen_fields(page.good.tobytes())
    weights = seen @ page.inverse
    power = np.einsum("fr,fr->f", weights, seen)
    weights = weights / np.sqrt(np.maximum(power, 1e-12))[:, None]
    n_out = _OUT.stop - _OUT.start
    height = np.zeros(n_out, dtype=np.float32)
    which = np.zeros((n_out, 2), dtype=np.int64)
    settings = (*_scale_settings(), least)
    for k, z in enumerate(_outputs(page, weights)):
        keep_highest(z, k, settings, height, which)
    return Fits(seen, weights, height, which)


def scaled(page: Whitened, weights: NDArray[np.float64]) -> Reals:
    """Return the fit of some fields, signed, in local standard deviations of each output.

    Parameters
    ----------
    page
        The page.
    weights
        Shape (n, n_rows): spatial filters of the fields.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, n_templates, N_TIMES / 2).
    """
    from detectors.epileptiform._discharge_kernels import scale_outputs

    found = np.empty((len(weights), len(TEMPLATES), _OUT.stop - _OUT.start), dtype=np.float32)
    for k, z in enumerate(_outputs(page, weights)):
        scale_outputs(z, *_scale_settings())
        found[:, k] = z[:, : len(weights)].T
    return found


def _outputs(page: Whitened, weights: NDArray[np.float64]) -> Iterator[Reals]:
    """Yield the output of every field for one template after the other, in one array.

    Shape (N_TIMES / 2, WIDTH), fields side by side and zeros after the last. A field is a weighted
    sum of rows, so each template filters every row once, and fields are one matrix product after
    it. A few templates go through one transform, which is done several rows at a time.
    """
    from scipy import fft

    from detectors.epileptiform._discharge_kernels import WIDTH

    light = np.zeros((weights.shape[1], WIDTH), dtype=np.float32)
    light[:, : len(weights)] = weights.T
    z = np.empty((_OUT.stop - _OUT.start, WIDTH), dtype=np.float32)
    templates = _templates(page)
    for start in range(0, len(templates), _AT_ONCE):
        some = page.spectrum * templates[start : start + _AT_ONCE, None]
        for rows in fft.irfft(some, n=_N_OUT, axis=-1, overwrite_x=True):
            yield np.matmul(rows[:, _OUT].T, light, out=z)


def _scale_settings() -> tuple[int, float, float]:
    """Return how the standard deviation of a filter's output around a moment is measured.

    In order: cells to both sides, cap and floor of a cell's power as shares of
    the median's. Without the cap an event would hide itself.
    """
    from detectors.epileptiform._discharge_kernels import CELL

    reach = round(LIMITS["local_s"].value * RATE_HZ / CELL)
    return reach, LIMITS["local_most"].value, LIMITS["local_least"].value
