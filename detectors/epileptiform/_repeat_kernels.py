"""Compiled loops of the repeating patterns: how much rows repeat themselves, and their cycles.

Only numba lives here; it is imported inside the functions that need it
(:mod:`detectors.epileptiform.periodic`, :mod:`detectors.epileptiform.cycles`), so that loading the
definitions of the graph stays free of it. Meanings and thresholds are with the callers.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_FAST = {"nnan", "ninf", "nsz", "reassoc", "contract"}


@njit(cache=True, nogil=True, fastmath=_FAST)
def _own_lags(
    x: NDArray[np.float32],
    waves: NDArray[np.float32],
    lags: NDArray[np.float32],
) -> None:
    """Fill the autocorrelation of one window, its slowest waves taken out, 1 at lag 0.

    ``waves`` (2 * slow waves, at least ``2 * len(x)``): cosine and sine of the bins left out of the
    spectrum of the window and as many zeros; leaving a bin out of the spectrum takes its cosine out
    of the autocorrelation, so no transform is needed.
    """
    n, n_lags = x.shape[0], lags.shape[0]
    for k in range(n_lags):
        total = np.float32(0.0)
        for t in range(n - k):
            total += x[t] * x[t + k]
        lags[k] = total
    for j in range(0, waves.shape[0], 2):
        real = np.float32(0.0)
        imag = np.float32(0.0)
        for t in range(n):
            real += x[t] * waves[j, t]
            imag += x[t] * waves[j + 1, t]
        power = (real * real + imag * imag) / np.float32(n)
        for k in range(n_lags):
            lags[k] -= power * waves[j, k]
    size = max(lags[0], np.float32(1e-9))
    for k in range(n_lags):
        lags[k] = lags[k] / size * (np.float32(n) / np.float32(n - k))


@njit(cache=True, nogil=True)
def _first_top(
    lags: NDArray[np.float32], first: int, last: int, faster_share: float
) -> tuple[int, float]:
    """Find the lag of the first of the largest tops and its height, 0 where a faster one is high.

    Two cycles on looks as much like itself as one: the first of the largest is the rate.
    """
    top = np.float32(0.0)
    for k in range(first, last + 1):
        if lags[k] > top and lags[k] >= lags[k - 1] and lags[k] >= lags[k + 1]:
            top = lags[k]
    if top <= 0:
        return first, 0.0
    best = first
    for k in range(first, last + 1):
        if lags[k] >= lags[k - 1] and lags[k] >= lags[k + 1] and lags[k] >= 0.85 * top:
            best = k
            break
    faster = np.float32(0.0)
    for k in range(2, first - 1):
        if lags[k] > faster and lags[k] >= lags[k - 1] and lags[k] >= lags[k + 1]:
            faster = lags[k]
    return best, float(lags[best]) if faster < faster_share * lags[best] else 0.0


@njit(cache=True, nogil=True)
def repetition(
    slow: NDArray[np.float32],
    long_waves: NDArray[np.float32],
    short_waves: NDArray[np.float32],
    lags: tuple[int, int],
    faster_share: float,
    out_lag: NDArray[np.int64],
    out_height: NDArray[np.float64],
) -> None:
    """Fill the lag at which every row repeats itself and how much: best of page and halves.

    ``slow`` (rows, samples), taken two samples at a time; ``lags`` first and last looked at.
    """
    n_rows, n_samples = slow.shape
    n = n_samples // 2
    half, quarter = n // 2, n // 4
    x = np.empty(n, dtype=np.float32)
    part = np.empty(n, dtype=np.float32)
    own = np.empty(lags[1] + 2, dtype=np.float32)
    for r in range(n_rows):
        for t in range(n):
            x[t] = np.float32(0.5) * (slow[r, 2 * t] + slow[r, 2 * t + 1])
        out_height[r] = -1.0
        for w in range(4):
            start = 0 if w == 0 else (w - 1) * quarter
            size = n if w == 0 else half
            total = 0.0
            for t in range(size):
                total += x[start + t]
            mean = np.float32(total / size)
            for t in range(size):
                part[t] = x[start + t] - mean
            _own_lags(part[:size], long_waves if w == 0 else short_waves, own)
            lag, height = _first_top(own, lags[0], lags[1], faster_share)
            if height > out_height[r]:
                out_lag[r] = lag
                out_height[r] = height


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _likeness(
    x: NDArray[np.float64], template: NDArray[np.float64], small: float, out: NDArray[np.float64]
) -> None:
    """Correlate the row with a template centred on every sample; 0 where the wave is too small.

    Beyond the page neither row nor template counts.
    """
    n, size = x.shape[0], template.shape[0]
    half = size // 2
    wave = template - template.mean()
    sums, squares = np.zeros(n + 1), np.zeros(n + 1)
    for t in range(n):
        sums[t + 1] = sums[t] + x[t]
        squares[t + 1] = squares[t] + x[t] * x[t]
    whole, own = np.zeros(size + 1), np.zeros(size + 1)
    for j in range(size):
        whole[j + 1] = whole[j] + wave[j]
        own[j + 1] = own[j] + wave[j] * wave[j]
    out[:] = 0.0
    # sample by sample inside, tap by tap outside, over slices: only so is the loop vectorised
    for j in range(size):
        shift, weight = j - half, wave[j]
        first, last = max(0, -shift), min(n, n - shift)
        there, seen = out[first:last], x[first + shift : last + shift]
        for i in range(there.shape[0]):
            there[i] += seen[i] * weight
    for t in range(n):
        first, last = max(0, half - t), min(size, n + half - t)
        total = sums[t - half + last] - sums[t - half + first]
        mean = total / (last - first)
        shared = out[t] - mean * (whole[last] - whole[first])
        power = own[last] - own[first]
        if shared < small * power:
            out[t] = 0.0
        else:
            spread = squares[t - half + last] - squares[t - half + first] - total * mean
            out[t] = shared / max(np.sqrt(max(spread, 0.0) * max(power, 0.0)), 1e-9)


@njit(cache=True, nogil=True)
def _chain(likeness: NDArray[np.float64], cycle: float, least: float) -> NDArray[np.int64]:
    """Step from the best cycle both ways to the next that looks alike; samples in order."""
    n = likeness.shape[0]
    best = int(np.argmax(likeness))
    is_mark = np.zeros(n, dtype=np.bool_)
    is_mark[best] = True
    for way in (1, -1):
        at, length = best, cycle
        while True:
            low = int(np.rint(at + way * 0.5 * length))
            high = int(np.rint(at + way * 1.6 * length))
            low, high = min(low, high), max(low, high)
            low, high = max(low, 0), min(high, n - 1)
            if high - low < 1:
                break
            # the nearest cycle that is nearly the most alike, not one two cycles on
            step = low
            top = -np.inf
            for t in range(low, high + 1):
                value = likeness[t] - 0.2 * abs(abs(t - at) / length - 1.0)
                if value > top:
                    step, top = t, value
            if likeness[step] < least or step == at:
                break
            is_mark[step] = True
            # the rate of a run may rise or fall on the way
            length = 0.5 * (length + abs(step - at))
            at = step
    return np.flatnonzero(is_mark)


@njit(cache=True, nogil=True)
def _alike(x: NDArray[np.float64], cycles: NDArray[np.int64], half: int) -> float:
    """Correlate every cycle with the mean of the others: none speaks for itself."""
    n, size = cycles.shape[0], 2 * half
    rows = np.empty((n, size))
    total = np.zeros(size)
    for i in range(n):
        row = x[cycles[i] - half : cycles[i] + half]
        rows[i] = row - row.mean()
        total += rows[i]
    out = 0.0
    for i in range(n):
        others = total - rows[i]
        length = np.sqrt((rows[i] * rows[i]).sum()) * np.sqrt((others * others).sum())
        out += (rows[i] * others).sum() / max(length, 1e-9)
    return out / n


@njit(cache=True, nogil=True)
def follow(
    x: NDArray[np.float64], cycle: float, fewest: int, least: float, small: float
) -> tuple[NDArray[np.int64], float, float, int]:
    """Follow the cycles of a row whose mean is zero, three times over.

    Returns
    -------
    marks, cycle, alike, lead
        Samples of the cycles (none where they are fewer than ``fewest``), their median length, how
        alike they are, and where in the mean cycle its largest excursion lies beside its middle.
    """
    n = x.shape[0]
    none = np.zeros(0, dtype=np.int64)
    half = max(int(np.rint(0.5 * cycle)), 2)
    at = int(np.argmax(np.abs(x[half : n - half]))) + half
    template = x[max(at - half, 0) : at + half].copy()
    likeness = np.empty(n)
    marks, inside = none, none
    for _ in range(3):
        _likeness(x, template, small, likeness)
        marks = _chain(likeness, cycle, least)
        if marks.shape[0] < fewest:
            return none, cycle, 0.0, 0
        cycle = float(np.median(np.diff(marks).astype(np.float64)))
        half = max(int(np.rint(0.5 * cycle)), 2)
        inside = marks[(marks >= half) & (marks < n - half)]
        if inside.shape[0] == 0:
            return none, cycle, 0.0, 0
        template = np.zeros(2 * half)
        for m in inside:
            template += x[m - half : m + half]
        template /= inside.shape[0]
    lead = int(np.argmax(np.abs(template - np.median(template)))) - half
    return marks, cycle, _alike(x, inside, half), lead
