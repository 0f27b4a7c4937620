"""Slow activity of one page's rows in clean 2-s windows, and what is next and opposite to what.

Numbers for :mod:`detectors.background.slowing`, which decides; rows are single electrodes or derivations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors.montage import HOMOLOGOUS, NEIGHBOURS, electrodes_of, side_and_region
from detectors.signal.spectra import FREQS_HZ, N_WINDOWS, WINDOW, fit_aperiodic
from detectors.types import SFREQ_HZ

_STEP_HZ = SFREQ_HZ / WINDOW
LARGER_BY_HALF = 1.5**2
"""Power of a row that is half as large again as its homologue (``clinical.md`` 3.3)."""
_DRIFT_BIN = round(0.5 / _STEP_HZ)
_OWN_DELTA_HZ = (1.5, 4.0)
_TOP_BIN = round(30.0 / _STEP_HZ)
_SCALE = np.float32(2.0 / (SFREQ_HZ * 0.375 * WINDOW))
"""Density of a squared spectrum after the taper, whose squares sum to 3/8 of the window."""
_FRONTOPOLAR = frozenset({"Fp1", "Fp2"})


@dataclass(frozen=True, slots=True)
class Excess:
    """How rows compare with their homologues in one band, shape (..., n_rows) each.

    Parameters
    ----------
    ratio
        Amplitude over the homologue's, in windows clean on both; 0 without a homologue.
    share
        Share of these windows in which the row is larger by half.
    amplitude_uv_p2p
        Typical peak-to-peak: ``2 * sqrt(2)`` times the RMS in the row's clean windows.
    """

    ratio: NDArray[np.float64]
    share: NDArray[np.float64]
    amplitude_uv_p2p: NDArray[np.float64]

    def page(self, i: int) -> Excess:
        """Return one of several pages."""
        return Excess(self.ratio[i], self.share[i], self.amplitude_uv_p2p[i])


@dataclass(frozen=True, slots=True)
class SlowRows:
    """Spectra of the rows of one page, or of several with a leading axis, by window.

    Parameters
    ----------
    names
        Rows.
    power
        float32, shape (..., n_rows, 9, n_freqs), uV2/Hz at the first ``n_freqs`` of
        :data:`detectors.signal.spectra.FREQS_HZ`; the first is not to be used.
    is_clean
        bool, shape (..., n_rows, 9).
    density
        float32, shape (..., n_rows, n_freqs): mean over clean windows.
    """

    names: tuple[str, ...]
    power: NDArray[np.float32]
    is_clean: NDArray[np.bool_]
    density: NDArray[np.float32]

    @classmethod
    def of(
        cls, names: tuple[str, ...], power: NDArray[np.float32], is_clean: NDArray[np.bool_]
    ) -> SlowRows:
        """Average over the clean windows."""
        n_clean = np.maximum(is_clean.sum(-1), 1).astype(np.float32)
        share = is_clean.astype(np.float32) / n_clean[..., None]
        return cls(names, power, is_clean, np.matmul(share[..., None, :], power)[..., 0, :])

    def page(self, i: int) -> SlowRows:
        """Return one of several pages."""
        return SlowRows(self.names, self.power[i], self.is_clean[i], self.density[i])

    def amplitude_uv_p2p(self, band_hz: tuple[float, float]) -> NDArray[np.float64]:
        """Return the typical peak-to-peak of a band, shape (..., n_rows)."""
        power = self.density[..., bins_of(band_hz)].sum(-1) * _STEP_HZ
        return np.asarray(2 * np.sqrt(2 * power), dtype=np.float64)

    def over_homologue(self, band_hz: tuple[float, float]) -> Excess:
        """Compare every row with its homologue."""
        left, right = homologous_rows(self.names)
        one, other = np.concatenate([left, right]), np.concatenate([right, left])
        power = self.power[..., bins_of(band_hz)].sum(-1)
        both = (self.is_clean[..., one, :] & self.is_clean[..., other, :]).astype(np.float32)
        mine, theirs = power[..., one, :] * both, power[..., other, :] * both
        shape = self.is_clean.shape[:-1]
        ratio, share = np.zeros(shape), np.zeros(shape)
        ratio[..., one] = np.sqrt(mine.sum(-1) / np.maximum(theirs.sum(-1), 1e-9))
        is_larger = (mine >= LARGER_BY_HALF * theirs) & (both > 0)
        share[..., one] = is_larger.sum(-1) / np.maximum(both.sum(-1), 1)
        return Excess(ratio, share, self.amplitude_uv_p2p(band_hz))

    def time_share(
        self, band_hz: tuple[float, float], rows: NDArray[np.intp], excess_db: NDArray[np.float64]
    ) -> float:
        """Return the share of clean windows with the rows' band twice over its line (3 dB).

        Parameters
        ----------
        band_hz
            The band.
        rows
            Rows that count.
        excess_db
            Mean power of every row over its line, shape (n_rows,).
        """
        power = self.power[rows, :, bins_of(band_hz)].sum(-1)
        clean = self.is_clean[rows]
        mean = self.density[rows, bins_of(band_hz)].sum(1)
        line = mean / 10 ** (excess_db[rows] / 10)
        return float(((power >= 2 * line[:, None]) & clean).sum() / max(clean.sum(), 1))

    def drift_ratio(self, row: int) -> float:
        """Return the density at 0.5 Hz over the largest at 1.5-4 Hz.

        A drift leaks into the lowest bins of 2-s windows and falls from there on; delta waves have
        a height of their own.
        """
        density = self.density[row]
        return float(density[_DRIFT_BIN] / max(float(density[bins_of(_OWN_DELTA_HZ)].max()), 1e-9))

    def mean_hz(self, row: int, band_hz: tuple[float, float]) -> float:
        """Return the power-weighted mean frequency of a row within a band."""
        bins = bins_of(band_hz)
        return float(np.average(FREQS_HZ[bins], weights=np.maximum(self.density[row, bins], 1e-9)))

    def rhythmic_share(self, row: int, band_hz: tuple[float, float]) -> float:
        """Return the share of a band's power that lies within 0.5 Hz of its peak.

        One frequency alone gives 1; irregular waves spread over the band.
        """
        density = self.density[row, bins_of(band_hz)]
        at = int(density.argmax())
        near = density[max(at - 1, 0) : at + 2].sum()
        return float(near / max(float(density.sum()), 1e-9))


def slow_rows(
    data_uv: NDArray[np.float32], is_clean: NDArray[np.bool_], names: tuple[str, ...]
) -> SlowRows:
    """Measure the rows of one page up to 30 Hz.

    Parameters
    ----------
    data_uv
        Shape (n_rows, N_TIMES).
    is_clean
        bool, shape (n_rows, 9): clean windows of 2 s, half overlapped.
    names
        Rows.
    """
    from scipy import fft

    from detectors.signal import _rule_kernels

    taper = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
    windows = np.empty((data_uv.shape[0], N_WINDOWS, WINDOW), dtype=np.float32)
    _rule_kernels.fill_windows(np.ascontiguousarray(data_uv, np.float32), taper, windows)
    spectrum = fft.rfft(windows, axis=-1, workers=1)[..., : _TOP_BIN + 1]
    return SlowRows.of(names, (spectrum.real**2 + spectrum.imag**2) * _SCALE, is_clean)


def slow_pages(
    data_uv: NDArray[np.float32],
    is_clean: NDArray[np.bool_],
    names: tuple[str, ...],
    top_hz: float,
    reference: NDArray[np.bool_] | None = None,
) -> SlowRows:
    """Measure the rows of several pages up to a low frequency.

    The spectrum of a window is the sum of those of its halves, which neighbours share; the few bins
    asked for are one product with their cosines and sines, and tapering is a sum over three bins.

    Parameters
    ----------
    data_uv
        Shape (n, n_rows, N_TIMES).
    is_clean
        bool, shape (n, n_rows, 9): clean windows of 2 s, half overlapped.
    names
        Rows.
    top_hz
        Highest frequency asked for.
    reference
        bool, shape (n, n_rows): rows whose mean is taken off all of a page; None leaves them.
    """
    from detectors.signal import _rule_kernels

    n, n_rows, _ = data_uv.shape
    waves = _waves(round(top_hz / _STEP_HZ) + 1)
    # a constant takes opposite signs in the two halves or has no part in them, so it stays
    halves = np.matmul(np.ascontiguousarray(data_uv, np.float32).reshape(-1, WINDOW // 2), waves)
    halves = halves.reshape(n, n_rows, N_WINDOWS + 1, 2, -1)
    share = np.zeros((n, n_rows), dtype=np.float32)
    if reference is not None:
        share[:] = reference / np.maximum(reference.sum(1, keepdims=True), 1)
    power = np.empty((n, n_rows, N_WINDOWS, halves.shape[-1] - 1), dtype=np.float32)
    # the taper halves what it takes: a quarter of the density
    _rule_kernels.tapered_power(halves, share, np.float32(0.25) * _SCALE, power)
    return SlowRows.of(names, power, is_clean)


@cache
def _waves(last: int) -> NDArray[np.float32]:
    """Cosines and sines of bins up to ``last`` over half a window, shape (200, 2 * bins)."""
    angle = 2 * np.pi * np.arange(WINDOW // 2)[:, None] * np.arange(last + 1) / WINDOW
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def homologous_rows(names: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return row numbers of left rows and of their right homologues."""
    return _homologous_rows(tuple(names))


@cache
def _homologous_rows(names: tuple[str, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    opposite = dict(HOMOLOGOUS)
    at = {name: r for r, name in enumerate(names)}
    pairs = []
    for name, row in at.items():
        mirrored = "-".join(opposite.get(part, part) for part in electrodes_of(name))
        if mirrored != name and mirrored in at:
            pairs.append((row, at[mirrored]))
    left, right = (np.array([p[k] for p in pairs], dtype=np.intp) for k in (0, 1))
    return left, right


def clusters(names: Sequence[str], is_hit: NDArray[np.bool_], least: int) -> list[list[int]]:
    """Group hit rows of one side that lie next to each other, ``least`` or more at a time.

    Derivations are next to each other where they share an electrode. Rows on or with a frontopolar
    electrode are left out.
    """
    left = [
        r for r in np.nonzero(is_hit)[0].tolist() if not _FRONTOPOLAR & set(electrodes_of(names[r]))
    ]
    groups = []
    while left:
        group = [left.pop(0)]
        for r in group:
            joined = [q for q in left if _is_next(names[r], names[q])]
            group.extend(joined)
            left = [q for q in left if q not in joined]
        if len(group) >= least:
            groups.append(group)
    return groups


def _is_next(a: str, b: str) -> bool:
    one, other = electrodes_of(a), electrodes_of(b)
    if side_and_region((a,))[0] != side_and_region((b,))[0]:
        return False
    if len(one) == 1 and len(other) == 1:
        return b in NEIGHBOURS.get(a, ())
    return bool(set(one) & set(other))


def excess_db(
    density: NDArray[np.floating],
    band_hz: tuple[float, float],
    fit_hz: Sequence[tuple[float, float]],
    top_hz: NDArray[np.floating] | float,
) -> NDArray[np.float64]:
    """Return the power of a band over the 1/f line drawn past it, dB; -inf without a line.

    Parameters
    ----------
    density
        Shape (n, n_freqs), at the first of :data:`detectors.signal.spectra.FREQS_HZ`, 30 Hz at least.
    band_hz
        The band.
    fit_hz
        Where the line is fitted, edges included.
    top_hz
        Highest frequency recorded, per row or for all.
    """
    lines = slice(round(1.0 / _STEP_HZ), _TOP_BIN + 1)
    freqs = FREQS_HZ[lines]
    is_kept = np.any([(freqs >= low) & (freqs <= high) for low, high in fit_hz], axis=0)
    offset, exponent = fit_aperiodic(freqs, density[:, lines], is_kept & (freqs <= top_hz))
    bins = bins_of(band_hz)
    fit = 10 ** (offset[:, None] - exponent[:, None] * np.log10(FREQS_HZ[bins]))
    ratio = density[:, bins].sum(1) / np.maximum(fit.sum(1), 1e-12)
    excess: NDArray[np.float64] = 10 * np.log10(np.maximum(ratio, 1e-12))
    return np.nan_to_num(excess, nan=-np.inf)


@cache
def bins_of(band_hz: tuple[float, float]) -> slice:
    """Bins of a band, its upper edge left out."""
    low, high = np.searchsorted(FREQS_HZ, band_hz).tolist()
    return slice(low, high)
