"""Compiled loops of the spectra and of the rule statistics.

Only numba lives here; it is imported inside the functions that need it (:mod:`detectors.signal.spectra`,
:mod:`detectors.signal.row_statistics`), so that loading the definitions of the graph stays free of it.
Meanings, units and thresholds are with the callers. Reductions may be re-ordered by the compiler
(``reassoc``): counts and extremes are exact, sums agree with numpy to rounding.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.signal import firwin

from detectors.types import N_TIMES, SFREQ_HZ

CELL = 20
"""Samples of a cell; constant, as is :data:`BLOCK`, or no loop over them is unrolled."""
BLOCK = 5
"""Samples of a block of the slow view."""
_FAST = {"nnan", "ninf", "nsz", "reassoc", "contract"}

FAST_EDGE_HZ = 30.0
"""Half-amplitude edge of the muscle high-pass (``clinical.md`` 8, muscle)."""
MUSCLE_REACH = 12
"""Samples the high-pass looks to either side: 25 taps, 4 % left at 20 Hz, 96 % kept at 40 Hz."""
_TAPS = firwin(2 * MUSCLE_REACH + 1, FAST_EDGE_HZ, pass_zero=False, fs=SFREQ_HZ)
_H0, _H1, _H2, _H3, _H4, _H5, _H6, _H7, _H8, _H9, _H10, _H11, _H12 = (
    np.float32(tap) for tap in _TAPS[MUSCLE_REACH:]
)


@njit(cache=True, nogil=True, fastmath=_FAST)
def fill_windows(
    data: NDArray[np.float32], window: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Write mean-free, windowed, half-overlapping windows.

    ``data`` (rows, n_times), ``window`` (size,), ``out`` (rows, n_windows, size).
    """
    n_rows, n_windows, size = out.shape
    half = size // 2
    for r in range(n_rows):
        for w in range(n_windows):
            start = w * half
            total = np.float64(0.0)
            for t in range(size):
                total += data[r, start + t]
            mean = np.float32(total / size)
            for t in range(size):
                out[r, w, t] = (data[r, start + t] - mean) * window[t]


@njit(cache=True, nogil=True, fastmath=_FAST)
def sum_power(spectra: NDArray[np.float32], scale: np.float32, out: NDArray[np.float32]) -> None:
    """Sum ``re**2 + im**2`` over windows.

    ``spectra`` (rows, n_windows, 2 * n_freqs) is the float view of complex spectra, ``out``
    (rows, n_freqs).
    """
    n_rows, n_windows, _ = spectra.shape
    n_freqs = out.shape[1]
    for r in range(n_rows):
        for k in range(n_freqs):
            out[r, k] = 0.0
        for w in range(n_windows):
            for k in range(n_freqs):
                re = spectra[r, w, 2 * k]
                im = spectra[r, w, 2 * k + 1]
                out[r, k] += re * re + im * im
        for k in range(n_freqs):
            out[r, k] *= scale


@njit(cache=True, nogil=True, fastmath=_FAST)
def _join(one: NDArray[np.float32], other: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Fill the spectrum of a window from those of its halves, without its mean; (2, bins) each."""
    n_bins = out.shape[1]
    for part in range(2):
        # from one half to the next a wave of an odd bin turns round
        for k in range(0, n_bins - 1, 2):
            out[part, k] = one[part, k] + other[part, k]
            out[part, k + 1] = one[part, k + 1] - other[part, k + 1]
        if n_bins % 2:
            out[part, n_bins - 1] = one[part, n_bins - 1] + other[part, n_bins - 1]
        out[part, 0] = np.float32(0.0)


@njit(cache=True, nogil=True, fastmath=_FAST)
def tapered_power(
    halves: NDArray[np.float32],
    share: NDArray[np.float32],
    scale: np.float32,
    power: NDArray[np.float32],
) -> None:
    """Fill the power of Hann windows from the spectra of half windows, less a mean of rows.

    ``halves`` (n, rows, n_windows + 1, 2, bins), real and imaginary parts, is worked on in place;
    ``share`` (n, rows) weighs the mean; ``power`` (n, rows, n_windows, bins - 1), its first bin 0.
    """
    n, n_rows, n_windows, n_bins = power.shape
    n_flat = halves.shape[2] * 2 * halves.shape[4]
    common = np.empty(n_flat, dtype=np.float32)
    whole = np.empty((2, n_bins + 1), dtype=np.float32)
    for i in range(n):
        common[:] = np.float32(0.0)
        for r in range(n_rows):
            own, weight = halves[i, r].reshape(-1), share[i, r]
            for k in range(n_flat):
                common[k] += weight * own[k]
        for r in range(n_rows):
            own = halves[i, r].reshape(-1)
            for k in range(n_flat):
                own[k] -= common[k]
            for w in range(n_windows):
                _join(halves[i, r, w], halves[i, r, w + 1], whole)
                out = power[i, r, w]
                out[0] = np.float32(0.0)
                for k in range(1, n_bins):
                    re = whole[0, k] - np.float32(0.5) * (whole[0, k - 1] + whole[0, k + 1])
                    im = whole[1, k] - np.float32(0.5) * (whole[1, k - 1] + whole[1, k + 1])
                    out[k] = scale * (re * re + im * im)


@njit(cache=True, nogil=True)
def _longest_run(x: NDArray[np.float32]) -> int:
    """Count samples in the longest run of equal values, looking only where a longer one can end."""
    n = x.shape[0]
    longest = 1
    start = 0
    while start + longest < n:
        # a longer run from here on takes in this sample and all before it
        t = start + longest
        while t > start and x[t] == x[t - 1]:
            t -= 1
        if t > start:
            start = t
            continue
        end = start + longest + 1
        while end < n and x[end] == x[end - 1]:
            end += 1
        longest = end - start
        start = end
    return longest


@njit(cache=True, nogil=True, fastmath=_FAST)
def _statistics(x: NDArray[np.float32], out: NDArray[np.float64]) -> None:
    """Fill (line length, zero crossings, rms, longest equal run, kurtosis) of one row."""
    n = x.shape[0]
    total = np.float64(0.0)
    square = np.float64(0.0)
    for t in range(n):
        value = np.float64(x[t])
        total += value
        square += value * value
    mean = total / n
    second = np.float64(0.0)
    fourth = np.float64(0.0)
    for t in range(n):
        deviation = np.float64(x[t]) - mean
        deviation *= deviation
        second += deviation
        fourth += deviation * deviation
    length = np.float64(0.0)
    crossings = 0
    for t in range(1, n):
        length += abs(np.float64(x[t]) - np.float64(x[t - 1]))
        crossings += (x[t] < 0) != (x[t - 1] < 0)
    out[0] = length
    out[1] = crossings
    out[2] = np.sqrt(square / n)
    out[3] = _longest_run(x)
    out[4] = n * fourth / (second * second) - 3.0 if second > 0 else 0.0


@njit(cache=True, nogil=True, fastmath=_FAST)
def _largest_of_cells(
    x: NDArray[np.float32], fours: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Fill the largest value of every cell; ``fours`` is room to work in.

    The largest of four neighbours is found for all samples, several at a time, so that only five
    are left to compare in a cell.
    """
    n = x.shape[0]
    for t in range(n - 3):
        fours[t] = max(max(x[t], x[t + 1]), max(x[t + 2], x[t + 3]))
    for c in range(out.shape[0]):
        t = c * CELL
        low, high = max(fours[t], fours[t + 4]), max(fours[t + 8], fours[t + 12])
        out[c] = max(max(low, high), fours[t + 16])


@njit(cache=True, nogil=True, fastmath=_FAST)
def _mean_of_cells(
    x: NDArray[np.float32], fours: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Fill the mean of every cell as :func:`_largest_of_cells` does its maximum."""
    n = x.shape[0]
    for t in range(n - 3):
        fours[t] = (x[t] + x[t + 1]) + (x[t + 2] + x[t + 3])
    share = np.float32(1.0 / CELL)
    for c in range(out.shape[0]):
        t = c * CELL
        total = (fours[t] + fours[t + 4]) + (fours[t + 8] + fours[t + 12])
        out[c] = share * (total + fours[t + 16])


@njit(cache=True, nogil=True, fastmath=_FAST)
def _cells(
    x: NDArray[np.float32],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    step: NDArray[np.float32],
    lag: int,
    room: NDArray[np.float32],
) -> None:
    """Fill minimum, maximum and largest ``|x[t + lag] - x[t]|`` of every cell of one row.

    ``room`` (2, n_times) is to work in.
    """
    n = x.shape[0]
    other, fours = room[0], room[1]
    _largest_of_cells(x, fours, high)
    for t in range(n):
        other[t] = -x[t]
    _largest_of_cells(other, fours, low)
    for c in range(low.shape[0]):
        low[c] = -low[c]
    after = x[lag:]
    for t in range(n - lag):
        other[t] = abs(after[t] - x[t])
    other[n - lag :] = np.float32(0.0)
    _largest_of_cells(other, fours, step)


@njit(cache=True, nogil=True, fastmath=_FAST)
def _fast_power(
    x: NDArray[np.float32],
    room: NDArray[np.float32],
    power: NDArray[np.float32],
    change: NDArray[np.float32],
) -> None:
    """Fill the mean square per cell of one row after the muscle high-pass, and of its differences.

    The taps are written out and the length is a constant because only then is the loop
    vectorised (10 times faster than a loop over taps). The first and last cell, where the filter
    is not fully inside, repeat their neighbour. ``room`` (3, n_times) is to work in.
    """
    buffer, square, fours = room[0], room[1], room[2]
    for t in range(MUSCLE_REACH, N_TIMES - MUSCLE_REACH):
        buffer[t] = (
            _H0 * x[t]
            + _H1 * (x[t - 1] + x[t + 1])
            + _H2 * (x[t - 2] + x[t + 2])
            + _H3 * (x[t - 3] + x[t + 3])
            + _H4 * (x[t - 4] + x[t + 4])
            + _H5 * (x[t - 5] + x[t + 5])
            + _H6 * (x[t - 6] + x[t + 6])
            + _H7 * (x[t - 7] + x[t + 7])
            + _H8 * (x[t - 8] + x[t + 8])
            + _H9 * (x[t - 9] + x[t + 9])
            + _H10 * (x[t - 10] + x[t + 10])
            + _H11 * (x[t - 11] + x[t + 11])
            + _H12 * (x[t - 12] + x[t + 12])
        )
    first, last = CELL, N_TIMES - CELL
    inside, before = buffer[first:last], buffer[first - 1 : last - 1]
    n_inside, n_cells = last - first, power.shape[0]
    for t in range(n_inside):
        square[t] = inside[t] * inside[t]
    _mean_of_cells(square[:n_inside], fours, power[1 : n_cells - 1])
    for t in range(n_inside):
        moved = inside[t] - before[t]
        square[t] = moved * moved
    _mean_of_cells(square[:n_inside], fours, change[1 : n_cells - 1])
    power[0] = power[1]
    power[n_cells - 1] = power[n_cells - 2]
    change[0] = change[1]
    change[n_cells - 1] = change[n_cells - 2]


@njit(cache=True, nogil=True, fastmath=_FAST)
def scan_rows(
    data: NDArray[np.float32],
    recorded: NDArray[np.bool_],
    lag: int,
    statistics: NDArray[np.float64],
    cells: NDArray[np.float32],
    slow: NDArray[np.float32],
) -> None:
    """Fill everything the rules need from one pass over each row while it is in cache.

    ``data`` (rows, n_times); ``statistics`` (rows, 5); ``cells`` (5, rows, n_cells): minimum,
    maximum, steepest step, power of the fast part and of its differences; ``slow`` (rows, n_slow):
    block means. Rows that were not recorded keep the zeros they came with.
    """
    n_rows, n = data.shape
    room = np.empty((3, n), dtype=np.float32)
    share = np.float32(1.0 / BLOCK)
    for r in range(n_rows):
        if not recorded[r]:
            continue
        x = data[r]
        _statistics(x, statistics[r])
        _cells(x, cells[0, r], cells[1, r], cells[2, r], lag, room)
        _fast_power(x, room, cells[3, r], cells[4, r])
        for b in range(slow.shape[1]):
            t = BLOCK * b
            total = (x[t] + x[t + 1]) + (x[t + 2] + x[t + 3]) + x[t + 4]
            slow[r, b] = share * total


@njit(cache=True, nogil=True)
def rail_runs(
    x: NDArray[np.float32], tolerance: float, shortest: int, out: NDArray[np.bool_]
) -> None:
    """Mark samples of one row in runs of at least ``shortest`` that stay within ``tolerance`` of
    the row's largest or smallest value.
    """  # noqa: D205
    n = x.shape[0]
    top = x.max() - tolerance
    bottom = x.min() + tolerance
    start_top = -1
    start_bottom = -1
    for t in range(n + 1):
        at_top = t < n and x[t] >= top
        at_bottom = t < n and x[t] <= bottom
        if at_top and start_top < 0:
            start_top = t
        if not at_top and start_top >= 0:
            if t - start_top >= shortest:
                out[start_top:t] = True
            start_top = -1
        if at_bottom and start_bottom < 0:
            start_bottom = t
        if not at_bottom and start_bottom >= 0:
            if t - start_bottom >= shortest:
                out[start_bottom:t] = True
            start_bottom = -1


@njit(cache=True, nogil=True, fastmath=_FAST)
def median_of_five(x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Fill the median of each cell and its two neighbours to either side; ends see themselves.

    ``x`` and ``out`` (rows, cells). The median of five is the middle of a sorting network.
    """
    n_rows, n = x.shape
    for r in range(n_rows):
        for t in range(n):
            a = x[r, max(t - 2, 0)]
            b = x[r, max(t - 1, 0)]
            c = x[r, t]
            d = x[r, min(t + 1, n - 1)]
            e = x[r, min(t + 2, n - 1)]
            low_ab, high_ab = min(a, b), max(a, b)
            low_de, high_de = min(d, e), max(d, e)
            # neither the smallest nor the largest of the two pairs can be the median
            p = max(low_ab, low_de)
            q = min(high_ab, high_de)
            low, high = min(p, q), max(p, q)
            out[r, t] = max(low, min(c, high))
