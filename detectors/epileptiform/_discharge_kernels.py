"""Compiled loops of the search for discharges: rows to a reference, spectra smoothed, fits screened.

Only numba lives here; it is imported inside the functions that need it
(:mod:`detectors.epileptiform.transient_signal`, :mod:`detectors.epileptiform.matched_filter`,
:mod:`detectors.epileptiform.discharges`). Meanings, units and thresholds are with the callers.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

CELL = 25
"""Samples of a cell at the search's rate, a quarter of a second: constant, or no loop unrolls."""
_FAST = {"nnan", "ninf", "nsz", "reassoc", "contract"}


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def good_rows(
    data: NDArray[np.float32], mask: NDArray[np.bool_], flat: float, good: NDArray[np.bool_]
) -> None:
    """Mark recorded rows whose standard deviation is a number above ``flat``.

    ``data`` (n, rows, n_times), ``mask`` and ``good`` (n, rows).
    """
    n, n_rows, n_times = data.shape
    for k in range(n):
        for r in range(n_rows):
            x = data[k, r]
            total = np.float64(0.0)
            for t in range(n_times):
                total += x[t]
            mean = total / n_times
            square = np.float64(0.0)
            for t in range(n_times):
                square += (x[t] - mean) * (x[t] - mean)
            good[k, r] = mask[k, r] and np.isfinite(square) and square > flat * flat * n_times


@njit(cache=True, nogil=True, fastmath=_FAST)
def refer_padded(
    data: NDArray[np.float32], good: NDArray[np.bool_], pad: int, out: NDArray[np.float32]
) -> None:
    """Fill good rows less their mean over rows, mirrored at both ends; other rows are zero.

    ``data`` (rows, n_times), ``good`` (rows,), ``out`` (rows, n_times + 2 * pad). Rows that are not
    good are not read: what they hold need not be numbers.
    """
    n_rows, n = data.shape
    mean = np.zeros(n, dtype=np.float64)
    n_good = 0
    for r in range(n_rows):
        if good[r]:
            n_good += 1
            for t in range(n):
                mean[t] += data[r, t]
    share = 1.0 / max(n_good, 1)
    for r in range(n_rows):
        if good[r]:
            for t in range(n):
                out[r, pad + t] = data[r, t] - share * mean[t]
        else:
            out[r, :] = np.float32(0.0)
    mirror(out, pad)


@njit(cache=True, nogil=True)
def mirror(out: NDArray[np.float32], pad: int) -> None:
    """Fill ``pad`` samples at both ends of every row with what lies inside, mirrored."""
    n_rows, n = out.shape
    for r in range(n_rows):
        for t in range(pad):
            out[r, t] = out[r, 2 * pad - t]
            out[r, n - 1 - t] = out[r, n - 1 - 2 * pad + t]


@njit(cache=True, nogil=True)
def smooth_spectrum(
    power: NDArray[np.float32], half: int, half_box: int, level: NDArray[np.float64]
) -> None:
    """Fill the running median over ``2 * half + 1`` bins, then its running mean.

    Ends are mirrored for the median and repeated for the mean.
    """
    n = power.shape[0]
    width = 2 * half + 1
    window = np.empty(width, dtype=np.float32)
    for i in range(width):
        window[i] = power[abs(i - half)]
    window.sort()
    median = np.empty(n, dtype=np.float32)
    median[0] = window[half]
    for k in range(1, n):
        old = power[abs(k - 1 - half)]
        at = k + half
        new = power[at if at < n else 2 * n - 2 - at]
        i = np.searchsorted(window, old)
        while i + 1 < width and window[i + 1] < new:
            window[i] = window[i + 1]
            i += 1
        while i > 0 and window[i - 1] > new:
            window[i] = window[i - 1]
            i -= 1
        window[i] = new
        median[k] = window[half]
    for k in range(n):
        total = np.float64(0.0)
        for i in range(k - half_box, k + half_box + 1):
            total += median[min(max(i, 0), n - 1)]
        level[k] = total / (2 * half_box + 1)


@njit(cache=True, nogil=True, fastmath=_FAST)
def quiet_moments(
    white: NDArray[np.float32], good: NDArray[np.bool_], share: float
) -> NDArray[np.float64]:
    """Return good rows over the cells whose power is not above the given quantile of the cells'.

    ``white`` (rows, n_times); the result (good rows, samples kept).
    """
    n_rows, n = white.shape
    n_cells = n // CELL
    power = np.zeros(n_cells, dtype=np.float32)
    for r in range(n_rows):
        if good[r]:
            for c in range(n_cells):
                total = np.float32(0.0)
                for t in range(c * CELL, c * CELL + CELL):
                    total += white[r, t] * white[r, t]
                power[c] += total
    ordered = np.sort(power)
    place = share * (n_cells - 1)
    low = int(place)
    high = min(low + 1, n_cells - 1)
    most = ordered[low] + (place - low) * (ordered[high] - ordered[low])
    quiet = np.flatnonzero(power <= most)
    out = np.empty((int(good.sum()), quiet.shape[0] * CELL), dtype=np.float64)
    g = 0
    for r in range(n_rows):
        if good[r]:
            for k in range(quiet.shape[0]):
                start = quiet[k] * CELL
                for t in range(CELL):
                    out[g, k * CELL + t] = white[r, start + t]
            g += 1
    return out


@njit(cache=True, nogil=True, fastmath=_FAST)
def _median(x: NDArray[np.float32]) -> np.float32:
    """Return the median by counting what is smaller: a short row is faster counted than sorted."""
    n = x.shape[0]
    low = np.float32(0.0)
    high = np.float32(0.0)
    for i in range(n):
        below = np.int32(0)
        upto = np.int32(0)
        for j in range(n):
            below += np.int32(x[j] < x[i])
            upto += np.int32(x[j] <= x[i])
        if below <= (n - 1) // 2 < upto:
            low = x[i]
        if below <= n // 2 < upto:
            high = x[i]
    return np.float32(0.5) * (low + high)


@njit(cache=True, nogil=True, fastmath=_FAST)
def _cell_scales(
    power: NDArray[np.float32],
    reach: int,
    most: float,
    least: float,
    padded: NDArray[np.float32],
    scale: NDArray[np.float32],
) -> None:
    """Fill the local standard deviation of one output per cell; ``padded`` is room to work in."""
    n = power.shape[0]
    middle = _median(power)
    cap = np.float32(most * middle)
    for c in range(n):
        padded[reach + c] = min(power[c], cap)
    for c in range(reach):
        padded[c] = padded[2 * reach - c]
        padded[n + 2 * reach - 1 - c] = padded[n - 1 + c]
    scale[:] = np.float32(0.0)
    for k in range(2 * reach + 1):
        for c in range(n):
            scale[c] += padded[c + k]
    share = np.float32(1.0 / (2 * reach + 1))
    floor = np.float32(least * middle)
    for c in range(n):
        scale[c] = np.sqrt(max(share * scale[c], floor) + np.float32(1e-12))


@njit(cache=True, nogil=True, fastmath=_FAST)
def _cell_power(x: NDArray[np.float32], power: NDArray[np.float32]) -> None:
    for c in range(power.shape[0]):
        total = np.float32(0.0)
        for t in range(CELL):
            total += x[c * CELL + t] * x[c * CELL + t]
        power[c] = total / np.float32(CELL)


@njit(cache=True, nogil=True)
def _largest(bits: NDArray[np.int32]) -> np.int32:
    """Return the bits of the largest ``|x|``: without their sign floats are ordered as integers.

    Only the maximum of integers is done several at a time.
    """
    largest = np.int32(0)
    for t in range(bits.shape[0]):
        largest = max(largest, bits[t] & np.int32(0x7FFFFFFF))
    return largest


@njit(cache=True, nogil=True, fastmath=_FAST)
def keep_highest(
    z: NDArray[np.float32],
    template: int,
    settings: tuple[int, float, float, float],
    height: NDArray[np.float32],
    which: NDArray[np.int64],
) -> None:
    """Raise ``height`` to what stands out further in local standard deviations, with its place.

    ``z`` (fields, n_times) is one template's output, ``settings`` (reach, cap, floor, least);
    what stays below ``least`` is not looked at. The floor of the local deviation is a share of the
    median's: an output whose median cell is so strong that its peak stays below ``least`` even
    there is left by counting cells. ``height`` is signed; ``which`` holds (field, template).
    """
    reach, most, floor, least = settings
    n_fields, n = z.shape
    n_cells = n // CELL
    padded = np.empty(n_cells + 2 * reach, dtype=np.float32)
    power = np.empty(n_cells, dtype=np.float32)
    scale = np.empty(n_cells, dtype=np.float32)
    top = np.empty(1, dtype=np.int32)
    for f in range(n_fields):
        bits = z[f].view(np.int32)
        _cell_power(z[f], power)
        # a hair off, so that rounding cannot lose a fit
        top[0] = _largest(bits)
        enough = np.float32(1.001 * top.view(np.float32)[0] ** 2 / (least * least * floor))
        below = 0
        for c in range(n_cells):
            below += power[c] < enough
        if below <= (n_cells - 1) // 2:
            continue
        _cell_scales(power, reach, most, floor, padded, scale)
        for c in range(n_cells):
            start = c * CELL
            top[0] = _largest(bits[start : start + CELL])
            if top.view(np.float32)[0] < np.float32(0.999 * least) * scale[c]:
                continue
            for t in range(start, start + CELL):
                value = z[f, t] / scale[c]
                if abs(value) > abs(height[t]):
                    height[t] = value
                    which[t, 0] = f
                    which[t, 1] = template


@njit(cache=True, nogil=True, fastmath=_FAST)
def scale_outputs(z: NDArray[np.float32], reach: int, most: float, floor: float) -> None:
    """Divide every output by its local standard deviation, in place; ``z`` (outputs, n_times)."""
    n_rows, n = z.shape
    n_cells = n // CELL
    padded = np.empty(n_cells + 2 * reach, dtype=np.float32)
    power = np.empty(n_cells, dtype=np.float32)
    scale = np.empty(n_cells, dtype=np.float32)
    for f in range(n_rows):
        _cell_power(z[f], power)
        _cell_scales(power, reach, most, floor, padded, scale)
        for c in range(n_cells):
            for t in range(c * CELL, c * CELL + CELL):
                z[f, t] /= scale[c]


@njit(cache=True, nogil=True)
def highest_moments(
    height: NDArray[np.float32], margin: int, apart: int, least: float
) -> NDArray[np.int64]:
    """Return samples where ``|height|`` is at least ``least``, strongest first, ``apart`` apart."""
    left = np.abs(height)
    n = left.shape[0]
    left[:margin] = np.float32(0.0)
    left[n - margin :] = np.float32(0.0)
    out = np.empty(n, dtype=np.int64)
    k = 0
    while True:
        best = np.argmax(left)
        if left[best] < least:
            return out[:k]
        out[k] = best
        k += 1
        left[max(best - apart, 0) : best + apart + 1] = np.float32(0.0)
