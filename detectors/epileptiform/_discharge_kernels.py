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
WIDTH = 40
"""Fields that lie side by side, filled up to whole vectors: constant as well."""
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


@njit(cache=True, nogil=True, fastmath=_FAST)
def add_rows(
    x: NDArray[np.float32],
    place: NDArray[np.int64],
    weights: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Add weighted rows of some pages; ``x`` (pages, rows, n), ``weights`` (k, rows), ``out`` (k, n)."""
    for k in range(place.shape[0]):
        total = out[k]
        for r in range(x.shape[1]):
            row, weight = x[place[k], r], weights[k, r]
            if weight != 0.0:
                for t in range(row.shape[0]):
                    total[t] += weight * row[t]


@njit(cache=True, nogil=True)
def mirror(out: NDArray[np.float32], pad: int) -> None:
    """Fill ``pad`` samples at both ends of every row with what lies inside, mirrored."""
    n_rows, n = out.shape
    for r in range(n_rows):
        for t in range(pad):
            out[r, t] = out[r, 2 * pad - t]
            out[r, n - 1 - t] = out[r, n - 1 - 2 * pad + t]


@njit(cache=True, nogil=True, fastmath=_FAST)
def add_power(spectrum: NDArray[np.float32], share: np.float32, power: NDArray[np.float32]) -> None:
    """Add a share of ``re**2 + im**2`` of every row; ``spectrum`` (rows, 2 * n_bins) is its view."""
    both = np.zeros(spectrum.shape[1], dtype=np.float32)
    for r in range(spectrum.shape[0]):
        x = spectrum[r]
        for k in range(both.shape[0]):
            both[k] += x[k] * x[k]
    for k in range(power.shape[0]):
        power[k] += share * (both[2 * k] + both[2 * k + 1])


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
def _order(x: NDArray[np.float32]) -> None:
    """Sort every column of ``x`` (n, WIDTH), all at a time: Batcher's merge exchange."""
    n = x.shape[0]
    largest = 1
    while 2 * largest < n:
        largest *= 2
    p = largest
    while p > 0:
        q, r, apart = largest, 0, p
        while True:
            for i in range(n - apart):
                if i & p == r:
                    one, other = x[i], x[i + apart]
                    for f in range(WIDTH):
                        low, high = min(one[f], other[f]), max(one[f], other[f])
                        one[f] = low
                        other[f] = high
            if q == p:
                break
            apart = q - p
            q //= 2
            r = p
        p //= 2


@njit(cache=True, nogil=True, fastmath=_FAST)
def _local_scales(
    power: NDArray[np.float32], reach: int, most: float, least: float, scale: NDArray[np.float32]
) -> None:
    """Fill the local standard deviation of every field per cell, the page mirrored at its ends."""
    n = power.shape[0]
    capped = power.copy()
    _order(capped)
    middle = np.float32(0.5) * (capped[(n - 1) // 2] + capped[n // 2])
    cap, floor = np.float32(most) * middle, np.float32(least) * middle
    for c in range(n):
        for f in range(WIDTH):
            capped[c, f] = min(power[c, f], cap[f])
    share = np.float32(1.0 / (2 * reach + 1))
    for c in range(n):
        own = scale[c]
        own[:] = np.float32(0.0)
        for k in range(c - reach, c + reach + 1):
            beside = capped[abs(k) if k < n else 2 * (n - 1) - k]
            for f in range(WIDTH):
                own[f] += beside[f]
        for f in range(WIDTH):
            own[f] = np.sqrt(max(share * own[f], floor[f]) + np.float32(1e-12))


@njit(cache=True, nogil=True, fastmath=_FAST)
def _measure_cells(
    z: NDArray[np.float32], power: NDArray[np.float32], top: NDArray[np.float32]
) -> None:
    """Fill mean square and largest ``|z|`` of every cell; ``z`` (n_times * WIDTH,) by time.

    Fields lie side by side, so that several are done at a time; five samples are taken together,
    so that sums are fetched and put back less often.
    """
    share = np.float32(1.0 / CELL)
    for c in range(power.shape[0]):
        total, largest = power[c], top[c]
        total[:] = np.float32(0.0)
        largest[:] = np.float32(0.0)
        for t in range(c * CELL, c * CELL + CELL, 5):
            x = z[t * WIDTH : (t + 5) * WIDTH]
            for f in range(WIDTH):
                v0, v1, v2 = x[f], x[WIDTH + f], x[2 * WIDTH + f]
                v3, v4 = x[3 * WIDTH + f], x[4 * WIDTH + f]
                total[f] += v0 * v0 + v1 * v1 + v2 * v2 + v3 * v3 + v4 * v4
                one = max(max(abs(v0), abs(v1)), max(abs(v2), abs(v3)))
                largest[f] = max(largest[f], max(one, abs(v4)))
        for f in range(WIDTH):
            total[f] *= share


@njit(cache=True, nogil=True, fastmath=_FAST)
def keep_highest(
    z: NDArray[np.float32],
    template: int,
    settings: tuple[int, float, float, float],
    height: NDArray[np.float32],
    which: NDArray[np.int64],
) -> None:
    """Raise ``height`` to what stands out further in local standard deviations, with its place.

    ``z`` (n_times, WIDTH) is one template's output, ``settings`` (reach, cap, floor, least); what
    stays below ``least`` is not looked at. ``height`` is signed; ``which`` holds (field, template).
    """
    reach, most, floor, least = settings
    n_cells = z.shape[0] // CELL
    power = np.empty((n_cells, WIDTH), dtype=np.float32)
    top = np.empty((n_cells, WIDTH), dtype=np.float32)
    scale = np.empty((n_cells, WIDTH), dtype=np.float32)
    _measure_cells(z.reshape(-1), power, top)
    _local_scales(power, reach, most, floor, scale)
    # a hair off, so that rounding cannot lose a fit
    enough = np.float32(0.999 * least)
    for c in range(n_cells):
        for f in range(WIDTH):
            if top[c, f] < enough * scale[c, f]:
                continue
            for t in range(c * CELL, c * CELL + CELL):
                value = z[t, f] / scale[c, f]
                if abs(value) > abs(height[t]):
                    height[t] = value
                    which[t, 0] = f
                    which[t, 1] = template


@njit(cache=True, nogil=True, fastmath=_FAST)
def scale_outputs(z: NDArray[np.float32], reach: int, most: float, floor: float) -> None:
    """Divide outputs by their local standard deviations, in place; ``z`` (n_times, WIDTH)."""
    n_cells = z.shape[0] // CELL
    power = np.empty((n_cells, WIDTH), dtype=np.float32)
    scale = np.empty((n_cells, WIDTH), dtype=np.float32)
    _measure_cells(z.reshape(-1), power, scale)
    _local_scales(power, reach, most, floor, scale)
    for t in range(n_cells * CELL):
        for f in range(WIDTH):
            z[t, f] /= scale[t // CELL, f]


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


@njit(cache=True, nogil=True, fastmath=_FAST)
def _dot(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    total = 0.0
    for t in range(x.shape[0]):
        total += x[t] * y[t]
    return total


@njit(cache=True, nogil=True, fastmath=_FAST)
def measure_moments(
    white: NDArray[np.float32],
    at: NDArray[np.int64],
    weights: NDArray[np.float64],
    kernels: NDArray[np.float64],
    rivals: NDArray[np.float64],
    size: NDArray[np.float64],
    fitted: NDArray[np.float64],
) -> None:
    """Fill the fit of each moment's own kernel on every row, and of rivals to the gathered row.

    ``white`` (rows, n_times), zero beyond the page; ``weights`` and ``size`` (n, rows), ``kernels``
    (n, width), ``rivals`` (n_rivals, width), ``fitted`` (n, lags, n_rivals), lags around no lag.
    """
    n_rows, n = white.shape
    width = kernels.shape[1]
    n_lags = fitted.shape[1]
    around = np.empty((n_rows, width + n_lags - 1))
    gathered = np.empty(around.shape[1])
    for k in range(at.shape[0]):
        first = at[k] - width // 2 - n_lags // 2
        low, high = max(first, 0), min(first + around.shape[1], n)
        around[:] = 0.0
        gathered[:] = 0.0
        for r in range(n_rows):
            around[r, low - first : high - first] = white[r, low:high]
            size[k, r] = _dot(around[r, n_lags // 2 : n_lags // 2 + width], kernels[k])
            for t in range(gathered.shape[0]):
                gathered[t] += weights[k, r] * around[r, t]
        for lag in range(n_lags):
            part = gathered[lag : lag + width]
            for j in range(rivals.shape[0]):
                fitted[k, lag, j] = _dot(part, rivals[j])
