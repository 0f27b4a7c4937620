"""Slow activity of one page's rows in clean 2-s windows, and what is next and opposite to what.

Numbers for :mod:`detectors.slowing`, which decides; rows are single electrodes or derivations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors.montage import HOMOLOGOUS, NEIGHBOURS, electrodes_of, side_and_region
from detectors.spectra import FREQS_HZ, N_WINDOWS, WINDOW
from detectors.types import SFREQ_HZ

_STEP_HZ = SFREQ_HZ / WINDOW
LARGER_BY_HALF = 1.5**2
"""Power of a row that is half as large again as its homologue (``clinical.md`` 3.3)."""
_DRIFT_BIN = round(0.5 / _STEP_HZ)
_OWN_DELTA_HZ = (1.5, 4.0)
_FRONTOPOLAR = frozenset({"Fp1", "Fp2"})


@dataclass(frozen=True, slots=True)
class Excess:
    """How rows compare with their homologues in one band, shape (n_rows,) each.

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


@dataclass(frozen=True, slots=True)
class SlowRows:
    """Spectra of one page's rows by window.

    Parameters
    ----------
    names
        Rows.
    power
        float32, shape (n_rows, 9, n_freqs), uV2/Hz at :data:`detectors.spectra.FREQS_HZ`.
    is_clean
        bool, shape (n_rows, 9).
    density
        float32, shape (n_rows, n_freqs): mean over clean windows.
    """

    names: tuple[str, ...]
    power: NDArray[np.float32]
    is_clean: NDArray[np.bool_]
    density: NDArray[np.float32]

    def amplitude_uv_p2p(self, band_hz: tuple[float, float]) -> NDArray[np.float64]:
        """Return the typical peak-to-peak of a band, shape (n_rows,)."""
        power = self.density[:, _bins(band_hz)].sum(1) * _STEP_HZ
        return np.asarray(2 * np.sqrt(2 * power), dtype=np.float64)

    def over_homologue(self, band_hz: tuple[float, float]) -> Excess:
        """Compare every row with its homologue."""
        left, right = homologous_rows(self.names)
        one, other = np.concatenate([left, right]), np.concatenate([right, left])
        power = self.power[..., _bins(band_hz)].sum(-1)
        both = (self.is_clean[one] & self.is_clean[other]).astype(np.float32)
        mine, theirs = power[one] * both, power[other] * both
        ratio, share = np.zeros(len(self.names)), np.zeros(len(self.names))
        ratio[one] = np.sqrt(mine.sum(1) / np.maximum(theirs.sum(1), 1e-9))
        is_larger = (mine >= LARGER_BY_HALF * theirs) & (both > 0)
        share[one] = is_larger.sum(1) / np.maximum(both.sum(1), 1)
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
        power = self.power[rows][..., _bins(band_hz)].sum(-1)
        clean = self.is_clean[rows]
        mean = self.density[rows][:, _bins(band_hz)].sum(1)
        line = mean / 10 ** (excess_db[rows] / 10)
        return float(((power >= 2 * line[:, None]) & clean).sum() / max(clean.sum(), 1))

    def drift_ratio(self, row: int) -> float:
        """Return the density at 0.5 Hz over the largest at 1.5-4 Hz.

        A drift leaks into the lowest bins of 2-s windows and falls from there on; delta waves have
        a height of their own.
        """
        density = self.density[row]
        return float(density[_DRIFT_BIN] / max(float(density[_bins(_OWN_DELTA_HZ)].max()), 1e-9))

    def mean_hz(self, row: int, band_hz: tuple[float, float]) -> float:
        """Return the power-weighted mean frequency of a row within a band."""
        bins = _bins(band_hz)
        return float(np.average(FREQS_HZ[bins], weights=np.maximum(self.density[row, bins], 1e-9)))

    def rhythmic_share(self, row: int, band_hz: tuple[float, float]) -> float:
        """Return the share of a band's power that lies within 0.5 Hz of its peak.

        One frequency alone gives 1; irregular waves spread over the band.
        """
        density = self.density[row, _bins(band_hz)]
        at = int(density.argmax())
        near = density[max(at - 1, 0) : at + 2].sum()
        return float(near / max(float(density.sum()), 1e-9))


def slow_rows(
    data_uv: NDArray[np.float32], is_clean: NDArray[np.bool_], names: tuple[str, ...]
) -> SlowRows:
    """Measure the rows of one page.

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

    taper = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
    starts = np.arange(N_WINDOWS) * (WINDOW // 2)
    windows = np.stack([data_uv[:, s : s + WINDOW] for s in starts], axis=1)
    windows = (windows - windows.mean(-1, keepdims=True)) * taper
    spectrum = fft.rfft(windows, axis=-1, workers=1)
    power = (spectrum.real**2 + spectrum.imag**2) * np.float32(
        2.0 / (SFREQ_HZ * float((taper.astype(np.float64) ** 2).sum()))
    )
    n_clean = np.maximum(is_clean.sum(1), 1).astype(np.float32)
    density = np.einsum("rwf,rw->rf", power, is_clean.astype(np.float32)) / n_clean[:, None]
    return SlowRows(names, power, is_clean, density)


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


def _bins(band_hz: tuple[float, float]) -> NDArray[np.bool_]:
    low, high = band_hz
    return np.asarray((low <= FREQS_HZ) & (high > FREQS_HZ))
