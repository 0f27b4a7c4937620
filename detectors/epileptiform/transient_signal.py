"""The signal around a candidate transient: filtered rows, its peak, its feet.

What the six criteria make of these numbers is in :mod:`detectors.epileptiform.ifcn`; where on the
head the peak lies is in :mod:`detectors.epileptiform.localisation`. Everything here is measured in
the average reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit
from detectors.types import N_TIMES, SFREQ_HZ

LIMITS: dict[str, Limit] = {
    "wide_hz": Limit(70.0, "Hz", "engineering default: flanks of a spike need its harmonics"),
    "notch_hz": Limit(1.0, "Hz", "engineering default: half-width of the mains notch on wide rows"),
    "low_hz": Limit(1.0, "Hz", "engineering default: slow drift is no part of a discharge"),
    "high_hz": Limit(40.0, "Hz", "engineering default: keeps a 20-ms spike, drops mains"),
    "lag_s": Limit(0.03, "s", "engineering default: second difference over the half-base of a sharp"),
    "snap_s": Limit(0.02, "s", "engineering default: the peak may lie off by this on another row"),
    "flank_share": Limit(0.25, "1", "engineering default: a flank ends below this share of its slope"),
    "longest_flank_s": Limit(0.2, "s", "IFCN 2017: pointed part of a sharp wave is up to 200 ms"),
    "flat_uv": Limit(0.5, "uV", "engineering default: such a row does not make the reference"),
}  # fmt: skip
"""Constants of this module with their source marks."""

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LAG = round(LIMITS["lag_s"].value * SFREQ_HZ)
_SNAP = round(LIMITS["snap_s"].value * SFREQ_HZ)
_FLANK = round(LIMITS["longest_flank_s"].value * SFREQ_HZ)
_STEP = 3
_PAD = SFREQ_HZ
_N = N_TIMES + 2 * _PAD
_INNER = slice(_PAD, _PAD + N_TIMES)
_F_HZ = np.arange(_N // 2 + 1) * SFREQ_HZ / _N
_HIGH_HZ = LIMITS["high_hz"].value


@dataclass(frozen=True, slots=True)
class Rows:
    """Average-referenced, band-limited rows of some segments.

    Parameters
    ----------
    wide_uv
        float32, shape (n_segments, n_channels, N_TIMES), 1-70 Hz with mains notched out.
    good
        bool, shape (n_segments, n_channels): recorded and not silent; other rows are zero.
    spectrum
        complex64, shape (n_segments, n_channels, n_bins): of the padded rows above 1 Hz. Rows at
        1-40 Hz are read from it by :meth:`gathered_uv`: only few are ever looked at.
    """

    wide_uv: NDArray[np.float32]
    good: NDArray[np.bool_]
    spectrum: NDArray[np.complex64]

    def gathered_uv(self, segment: Ints, weights: Floats) -> Floats:
        """Return weighted sums of rows at 1-40 Hz.

        Parameters
        ----------
        segment
            Shape (n,): which segments.
        weights
            Shape (n, n_channels).

        Returns
        -------
        numpy.ndarray
            float64, shape (n, N_TIMES).
        """
        return _narrow(
            _summed(self.spectrum.view(np.float32), segment, weights).view(np.complex128)
        )

    def gathered_wide_uv(self, segment: Ints, weights: Floats) -> Floats:
        """Return weighted sums of rows at 1-70 Hz, see :meth:`gathered_uv`."""
        return _summed(self.wide_uv, segment, weights)

    def rows_uv(self, segment: Ints, row: Ints) -> Floats:
        """Return single rows at 1-40 Hz, shape (n, N_TIMES)."""
        return _narrow(self.spectrum[segment, row].astype(np.complex128))

    def page_uv(self, segment: int) -> Floats:
        """Return every row of one segment at 1-40 Hz, shape (n_channels, N_TIMES)."""
        return _narrow(self.spectrum[segment].astype(np.complex128))


def _narrow(spectrum: NDArray[np.complex128]) -> Floats:
    """Return rows at 1-40 Hz of their spectra, which are scaled in place."""
    from scipy import fft

    spectrum *= _fall(_HIGH_HZ)
    return np.asarray(fft.irfft(spectrum, n=_N, axis=1)[:, _INNER])


def _summed(x: NDArray[np.float32], segment: Ints, weights: Floats) -> Floats:
    """Return sums of rows of some segments, shape (n, n_columns), added up as float64."""
    from detectors.epileptiform._discharge_kernels import add_rows

    out = np.zeros((len(segment), x.shape[2]))
    add_rows(x, segment, np.ascontiguousarray(weights), out)
    return out


@dataclass(frozen=True, slots=True)
class Peaks:
    """Where transients peak and how they stand, arrays of shape (n,).

    Parameters
    ----------
    segment, row, sample
        Position in :class:`Rows`.
    sign
        -1 or 1, the peak's polarity.
    lead, trail
        Samples from foot to peak and from peak to foot.
    field_uv
        Shape (n, n_channels): voltage of every row at the peak.
    gathered_uv, gathered_wide_uv
        Shape (n, N_TIMES): the row each transient is judged on, as :class:`Rows` has it in its two
        bands: the rows its field reaches, weighted so that the page's own background cancels.
    """

    segment: Ints
    row: Ints
    sample: Ints
    sign: Floats
    lead: Ints
    trail: Ints
    field_uv: Floats
    gathered_uv: Floats
    gathered_wide_uv: Floats

    @property
    def peak_uv(self) -> Floats:
        """Voltage at the leading row, with its sign."""
        return np.asarray(self.field_uv[np.arange(len(self.row)), self.row])


def referred_rows(
    data_uv: NDArray[np.float32], mask: NDArray[np.bool_], line_freq_hz: float
) -> Rows:
    """Refer rows to the average of the good ones and band-limit them without phase shift.

    Parameters
    ----------
    data_uv
        Shape (n, n_channels, N_TIMES), microvolts. Rows that hold anything but numbers are silent.
    mask
        Shape (n, n_channels), True where recorded.
    line_freq_hz
        Mains, 50 or 60.
    """
    from scipy import fft

    from detectors.epileptiform._discharge_kernels import good_rows, refer_padded

    good = np.zeros(mask.shape, dtype=np.bool_)
    good_rows(data_uv, mask, LIMITS["flat_uv"].value, good)
    n, n_rows = mask.shape
    spectrum = np.empty((n, n_rows, _N // 2 + 1), dtype=np.complex64)
    wide = np.empty((n, n_rows, N_TIMES), dtype=np.float32)
    # transforms take several rows at a time: one more costs less than one that is left over
    padded = np.zeros((n_rows + n_rows % 2, _N), dtype=np.float32)
    whole = np.empty((len(padded), _N // 2 + 1), dtype=np.complex64)
    rise, gain = _rise(), _wide(line_freq_hz)
    # page by page: what one is made of stays in cache
    for k in range(n):
        refer_padded(data_uv[k], good[k], _PAD, padded)
        np.multiply(fft.rfft(padded, axis=1), rise, out=whole)
        spectrum[k] = whole[:n_rows]
        whole *= gain
        wide[k] = fft.irfft(whole, n=_N, axis=1, overwrite_x=True)[:n_rows, _INNER]
    return Rows(wide, good, spectrum)


@cache
def _rise() -> NDArray[np.float32]:
    """Gain of the high-pass."""
    low = LIMITS["low_hz"].value
    rise = np.sin(0.5 * np.pi * np.clip((_F_HZ - 0.5 * low) / (0.5 * low), 0.0, 1.0)) ** 2
    return np.asarray(rise, dtype=np.float32)


@cache
def _fall(high_hz: float) -> NDArray[np.float32]:
    """Gain of a low-pass that falls over a quarter of its edge."""
    share = np.clip((1.25 * high_hz - _F_HZ) / (0.25 * high_hz), 0.0, 1.0)
    return np.asarray(np.sin(0.5 * np.pi * share) ** 2, dtype=np.float32)


@cache
def _wide(line_freq_hz: float) -> NDArray[np.float32]:
    """Gain of the wide rows' low-pass with mains notched out."""
    is_mains = np.abs(_F_HZ - line_freq_hz) <= LIMITS["notch_hz"].value
    return np.where(is_mains, np.float32(0.0), _fall(LIMITS["wide_hz"].value))


def second_difference(x_uv: Floats, lag: int = LAG) -> Floats:
    """Return how far each sample stands above the mean of its two neighbours one lag away."""
    padded = np.pad(x_uv, [(0, 0)] * (x_uv.ndim - 1) + [(lag, lag)], mode="edge")
    return np.asarray(x_uv - 0.5 * (padded[..., : -2 * lag] + padded[..., 2 * lag :]))


def box_peak(x_uv: Floats, bend_uv: Floats, t0_s: float, t1_s: float) -> int:
    """Return the sample of the most pointed turning point of one row inside a box.

    Parameters
    ----------
    x_uv, bend_uv
        Shape (N_TIMES,): the row and its second difference.
    t0_s, t1_s
        The box.
    """
    start = int(np.clip(t0_s * SFREQ_HZ - _SNAP, 1, N_TIMES - 3))
    stop = int(np.clip(t1_s * SFREQ_HZ + _SNAP, start + 1, N_TIMES - 1))
    x = x_uv[start - 1 : stop + 1]
    turns = (x[1:-1] - x[:-2]) * (x[2:] - x[1:-1]) <= 0
    score = np.abs(bend_uv[start:stop]) * np.where(turns, 1.0, 0.1)
    return start + int(np.argmax(score))


def measure_peaks(
    rows: Rows,
    segment: Ints,
    sample: Ints,
    field_uv: Floats,
    source: Floats,
    sign: Floats,
    near: NDArray[np.bool_],
) -> Peaks:
    """Measure transients at given places.

    Parameters
    ----------
    rows
        The signal.
    segment, sample
        Shape (n,): first guess of each peak.
    field_uv, source
        Shape (n, n_channels): voltage at the peak, and weights that gather the rows it reaches.
    sign
        Shape (n,): polarity.
    near
        Shape (n, n_channels): rows among which the maximum is looked for.

    Returns
    -------
    Peaks
        The leading row is the one of largest voltage of the peak's sign among ``near``.
    """
    strength = np.where(near & rows.good[segment], field_uv * sign[:, None], -np.inf)
    row = np.argmax(strength, axis=1)
    gathered = rows.gathered_uv(segment, source)
    wide = rows.gathered_wide_uv(segment, source)
    offsets = np.arange(-_SNAP, _SNAP + 1)
    window = np.clip(sample[:, None] + offsets, 0, N_TIMES - 1)
    around = np.take_along_axis(gathered, window, axis=1) * sign[:, None]
    sample = np.take_along_axis(window, np.argmax(around, axis=1)[:, None], axis=1)[:, 0]
    lead, trail = _feet(gathered, sample, sign)
    return Peaks(segment, row, sample, sign, lead, trail, field_uv, gathered, wide)


def _feet(x: Floats, sample: Ints, sign: Floats) -> tuple[Ints, Ints]:
    """Return samples to the leading and trailing foot."""
    pad = _FLANK + _STEP
    padded = np.pad(x, ((0, 0), (pad, pad)), mode="edge") * sign[:, None]
    out = np.arange(_FLANK + _STEP + 1)
    at = sample[:, None] + pad
    before = np.take_along_axis(padded, at - out, axis=1)
    after = np.take_along_axis(padded, at + out, axis=1)
    return _flank(before), _flank(after)


def _flank(x: Floats) -> Ints:
    """Count samples from the peak (first column) outward to where the flank has lost its slope."""
    fall = x[:, :-_STEP] - x[:, _STEP:]
    k = np.arange(fall.shape[1])
    turned = (fall <= 0) & (k >= _STEP)
    end = np.where(turned.any(axis=1), np.argmax(turned, axis=1), fall.shape[1] - 1)
    inside = np.where(k <= end[:, None], fall, -np.inf)
    steepest = inside.max(axis=1)
    lost = (k >= np.argmax(inside, axis=1)[:, None]) & (
        fall < LIMITS["flank_share"].value * steepest[:, None]
    )
    foot = np.where(lost.any(axis=1), np.argmax(lost, axis=1), end)
    return np.asarray(np.maximum(foot + 1, 2), dtype=np.intp)
