"""Evidence relative to a page's own background: whitened spectra and filters for scalp fields.

Used by the sleep rules; no rule lives here. A page is divided by its own smooth spectrum, the rows'
covariance is measured on what is left, and a source under one electrode is seen through the linear
filter that passes its field and rejects what the page's rows share anyway. Outputs are in units of
their own background, so that a small wave on a quiet page weighs as much as a large one on a loud
page. Envelopes of single rows are in :mod:`detectors.signal.envelope`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit
from detectors.signal.scalp import electrode_positions
from detectors.types import SEGMENT_S

Floats = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

LIMITS: dict[str, Limit] = {
    "covariance_load": Limit(
        0.2, "1", "engineering default: of the mean power, added to every row's own; a page of 10 s "
        "knows its covariance so badly that filters would null the event itself"
    ),
}  # fmt: skip
"""Constants of this module with their source marks."""

_BLOCK_PAGES = 4
"""Pages worked on at once, so that they stay in cache."""
_RAYLEIGH_MEDIAN = float(np.sqrt(2 * np.log(2)))
_NORMAL_MEDIAN = 0.6745


@dataclass(frozen=True, slots=True)
class WhitePage:
    """A band of a batch's spectra, white in frequency, with a filter per electrode.

    Parameters
    ----------
    freqs_hz
        Shape (n_bins,), 0.1 Hz apart.
    bins
        complex64, shape (n, 19, n_bins): spectra over :attr:`colour`.
    colour
        float32, shape (n, n_bins): the page's own smooth amplitude spectrum, any scale.
    filters
        float32, shape (n, 19, 19): column ``j`` passes a patch under electrode ``j``; its output has
        the same variance for all ``j``.
    """

    freqs_hz: NDArray[np.float64]
    bins: Spectrum
    colour: Floats
    filters: Floats


@cache
def patch_fields(width_deg: float) -> Floats:
    """Return fields of Gaussian patches under each electrode, shape (19 rows, 19 patches).

    Parameters
    ----------
    width_deg
        Standard deviation of the patch on the sphere, degrees of arc.
    """
    flat = electrode_positions()
    reach = np.hypot(*flat.T)
    polar = np.radians(90.0) * reach
    ring = np.sin(polar) / np.maximum(reach, 1e-9)
    unit = np.column_stack([ring * flat[:, 0], ring * flat[:, 1], np.cos(polar)])
    angle = np.arccos(np.clip(unit @ unit.T, -1.0, 1.0))
    fields: Floats = np.exp(-0.5 * (angle / np.radians(width_deg)) ** 2).astype(np.float32)
    return fields


def white_page(
    spectrum: Spectrum,
    is_live: NDArray[np.bool_],
    band_hz: tuple[float, float],
    covariance_hz: tuple[float, float],
    width_deg: float,
) -> WhitePage:
    """Whiten one band of whole-row spectra and work out the filters of all patches.

    Parameters
    ----------
    spectrum
        From :func:`detectors.signal.envelope.band_spectrum`, shape (n, 19, n_freqs).
    is_live
        bool, shape (n, 19); other rows take no part.
    band_hz
        Band that is kept.
    covariance_hz
        Band inside it on which covariance is measured: wider than the event's own, so that the
        event is a small part of it.
    width_deg
        Width of the patches.
    """
    first, last = (round(hz * SEGMENT_S) for hz in band_hz)
    freqs, fit = _smoother(first, last)
    inside = slice(*(round(hz * SEGMENT_S) - first for hz in covariance_hz))
    n, n_rows = is_live.shape
    white = np.empty((n, n_rows, freqs.size), dtype=np.complex64)
    colour = np.empty((n, freqs.size), dtype=np.float32)
    covariance = np.empty((n, n_rows, n_rows), dtype=np.float32)
    for start in range(0, n, _BLOCK_PAGES):
        block = slice(start, start + _BLOCK_PAGES)
        live = is_live[block]
        bins = spectrum[block, :, first : last + 1]
        power = bins.real**2 + bins.imag**2
        share = live / np.maximum(power.mean(-1), 1e-9)
        share /= np.maximum(live.sum(1), 1)[:, None]
        mean = np.matmul(share[:, None].astype(np.float32), power)[:, 0]
        colour[block] = np.exp(0.5 * (np.log(np.maximum(mean, 1e-9)) @ fit))
        np.multiply(bins, live[..., None] / colour[block][:, None], out=white[block])
        # real and imaginary parts side by side: twice the samples of a real covariance
        pairs = np.ascontiguousarray(white[block, :, inside]).view(np.float32)
        covariance[block] = np.matmul(pairs, pairs.swapaxes(1, 2)) / pairs.shape[-1]
    filters = field_filters(covariance, is_live, patch_fields(width_deg))
    return WhitePage(freqs, white, colour, filters)


@cache
def _smoother(first: int, last: int) -> tuple[NDArray[np.float64], Floats]:
    """Return bins' frequencies and the matrix that fits a parabola in log frequency to a row."""
    freqs = np.arange(first, last + 1) / SEGMENT_S
    terms = np.stack([np.log(freqs) ** i for i in range(3)], axis=1)
    return freqs, (terms @ np.linalg.pinv(terms)).T.astype(np.float32)


def field_filters(covariance: Floats, is_live: NDArray[np.bool_], fields: Floats) -> Floats:
    """Return the filters that pass fields and reject a covariance, shape (n, 19, n_fields).

    ``C**-1 f / sqrt(f C**-1 f)``: the matched filter in coloured noise, of unit output noise.

    Parameters
    ----------
    covariance
        Shape (n, 19, 19).
    is_live
        bool, shape (n, 19).
    fields
        Shape (19, n_fields).
    """
    power = np.einsum("ncc->n", covariance) / np.maximum(is_live.sum(1), 1)
    power = np.where(power > 0, power, 1.0)
    own = np.eye(covariance.shape[1], dtype=np.float32)
    loaded = (
        covariance
        + (LIMITS["covariance_load"].value * power)[:, None, None].astype(np.float32) * own
    )
    seen = fields[None] * is_live[..., None]
    solved = np.linalg.solve(loaded, seen)
    size = np.sqrt(np.maximum(np.einsum("ncj,ncj->nj", seen, solved), 1e-12))
    filters: Floats = (solved / size[:, None]).astype(np.float32)
    return filters


def narrow_envelopes(
    rows: Spectrum, freqs_hz: NDArray[np.float64], centres_hz: tuple[float, ...], length_s: float,
    n_points: int,
) -> Floats:  # fmt: skip
    """Return envelopes of Gabor filters at several frequencies.

    Parameters
    ----------
    rows
        Spectra of rows, shape (..., n_bins), at ``freqs_hz``.
    freqs_hz
        Shape (n_bins,), 0.1 Hz apart.
    centres_hz
        Frequencies of the filters.
    length_s
        Standard deviation of their envelopes in time.
    n_points
        Points over the page; a filter reaches ``n_points / 20`` Hz to either side.

    Returns
    -------
    numpy.ndarray
        Shape (..., n_centres, n_points), any scale, the same for all.
    """
    from scipy import fft

    offset = np.arange(n_points) - n_points // 2
    centre = np.round((np.array(centres_hz) - freqs_hz[0]) * SEGMENT_S).astype(int)
    at = centre[:, None] + offset
    spread_hz = 1 / (2 * np.pi * length_s)
    gain = np.exp(-0.5 * (offset / SEGMENT_S / spread_hz) ** 2) * ((at >= 0) & (at < freqs_hz.size))
    part = rows[..., np.clip(at, 0, freqs_hz.size - 1)] * gain.astype(np.float32)
    return np.abs(fft.ifft(part, axis=-1, workers=1))


def correlate(
    rows: Spectrum, freqs_hz: NDArray[np.float64], shapes: Spectrum, n_points: int
) -> Floats:
    """Correlate rows with wave shapes, all given as one-sided spectra.

    Parameters
    ----------
    rows
        Shape (n, n_rows, n_bins), at ``freqs_hz``, white.
    shapes
        Shape (n, n_shapes, n_bins): spectra of the shapes in the page's own colour, unit size.
    n_points
        Points over the page; ``freqs_hz`` must lie below ``n_points / 10``.

    Returns
    -------
    numpy.ndarray
        Shape (n, n_rows, n_shapes, n_points): largest where a shape of that page begins (circular).
    """
    from scipy import fft

    first = round(float(freqs_hz[0]) * SEGMENT_S)
    past = first + freqs_hz.size
    is_short = past <= n_points // 2
    n_bins = n_points // 2 + 1 if is_short else n_points
    part = np.zeros((*rows.shape[:2], shapes.shape[1], n_bins), dtype=np.complex64)
    np.multiply(rows[:, :, None], shapes.conj()[:, None], out=part[..., first:past])
    if is_short:
        signal: Floats = fft.irfft(part, n=n_points, axis=-1, workers=1)
        return signal
    return np.ascontiguousarray(fft.ifft(part, axis=-1, workers=1).real)


def shape_spectra(
    waves: NDArray[np.float64], page: WhitePage, inside: NDArray[np.bool_]
) -> Spectrum:
    """Return spectra of wave shapes in each page's colour, of unit size.

    Parameters
    ----------
    waves
        Shape (n_shapes, N_TIMES), each from the start of the page.
    page
        Whose colour.
    inside
        bool, shape (n_bins,): bins to be used.
    """
    from scipy import fft

    first = round(float(page.freqs_hz[0]) * SEGMENT_S)
    spectra = fft.rfft(waves, axis=-1)[:, first : first + page.freqs_hz.size][:, inside]
    plain = spectra.astype(np.complex64)
    clear = 1 / page.colour[:, inside]
    size = np.sqrt((clear**2) @ (plain.real**2 + plain.imag**2).T)
    clear = clear[:, None] / np.maximum(size, 1e-12)[..., None]
    shapes: Spectrum = plain * clear
    return shapes


def envelope_scale(envelopes: Floats) -> Floats:
    """Return the background scale of envelopes over their last two axes: median as of noise."""
    flat = envelopes.reshape(*envelopes.shape[:-2], -1)
    return np.asarray(np.maximum(_median(flat) / _RAYLEIGH_MEDIAN, 1e-12))


def signal_scale(signals: Floats) -> Floats:
    """Return the background scale of signals over their last two axes: median as of noise."""
    # a quarter of the points says the same: neighbours in time differ little
    flat = np.abs(signals[..., ::4]).reshape(*signals.shape[:-2], -1)
    return np.asarray(np.maximum(_median(flat) / _NORMAL_MEDIAN, 1e-12))


def _median(flat: Floats) -> Floats:
    """Return the upper median along the last axis, at half of numpy's cost."""
    middle = flat.shape[-1] // 2
    return np.partition(flat, middle, axis=-1)[..., middle]
