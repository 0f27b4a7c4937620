"""The signal around a candidate transient: filtered rows, its peak, its feet.

What the six criteria make of these numbers is in :mod:`detectors.ifcn`; where on the head the peak
lies is in :mod:`detectors.localisation`. Everything here is measured in the average reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit
from detectors.montage import average_reference
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


@dataclass(frozen=True, slots=True)
class Rows:
    """Average-referenced, band-limited rows of some segments.

    Parameters
    ----------
    data_uv
        float64, shape (n_segments, n_channels, N_TIMES), 1-40 Hz.
    wide_uv
        The same up to 70 Hz with mains notched out: only slopes are read there.
    good
        bool, shape (n_segments, n_channels): recorded and not silent.
    """

    data_uv: Floats
    wide_uv: Floats
    good: NDArray[np.bool_]


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
        Shape (n, n_channels, N_TIMES), microvolts.
    mask
        Shape (n, n_channels), True where recorded.
    line_freq_hz
        Mains, 50 or 60.
    """
    good = mask & (data_uv.std(axis=-1) > LIMITS["flat_uv"].value)
    referred = average_reference(data_uv, good).astype(np.float64)
    padded = np.pad(referred, ((0, 0), (0, 0), (_PAD, _PAD)), mode="reflect")
    f_hz: Floats = np.fft.rfftfreq(padded.shape[-1], 1.0 / SFREQ_HZ).astype(np.float64)
    low = LIMITS["low_hz"].value
    rise = np.sin(0.5 * np.pi * np.clip((f_hz - 0.5 * low) / (0.5 * low), 0.0, 1.0)) ** 2
    is_mains = np.abs(f_hz - line_freq_hz) <= LIMITS["notch_hz"].value
    spectrum = np.fft.rfft(padded, axis=-1) * rise

    def limited(gain: Floats) -> Floats:
        rows = np.fft.irfft(spectrum * gain, n=padded.shape[-1], axis=-1)
        rows = rows[..., _PAD : _PAD + N_TIMES].copy()
        rows[~good] = 0.0
        return np.asarray(rows)

    narrow = limited(_fall(f_hz, LIMITS["high_hz"].value))
    wide = limited(np.where(is_mains, 0.0, _fall(f_hz, LIMITS["wide_hz"].value)))
    return Rows(narrow, wide, good)


def _fall(f_hz: Floats, high_hz: float) -> Floats:
    """Gain of a low-pass that falls over a quarter of its edge."""
    share = np.clip((1.25 * high_hz - f_hz) / (0.25 * high_hz), 0.0, 1.0)
    return np.asarray(np.sin(0.5 * np.pi * share) ** 2)


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
    gathered = np.einsum("nr,nrt->nt", source, rows.data_uv[segment])
    wide = np.einsum("nr,nrt->nt", source, rows.wide_uv[segment])
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
