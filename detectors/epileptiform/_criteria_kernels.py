"""Compiled loops of the six criteria: half-waves, flanks, after-going waves, bands beside others.

Only numba lives here; it is imported inside the functions of :mod:`detectors.epileptiform.ifcn` that need it.
Meanings, units and thresholds are there.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def _quantile(ordered: NDArray[np.float64], share: float) -> float:
    place = share * (ordered.shape[0] - 1)
    low = int(place)
    high = min(low + 1, ordered.shape[0] - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


@njit(cache=True, nogil=True)
def bends(x: NDArray[np.float64], lag: NDArray[np.int64], out: NDArray[np.float64]) -> None:
    """Fill how far each sample stands above the mean of its neighbours one lag away.

    ``x`` and ``out`` (n, n_times), ``lag`` (n,); ends are repeated.
    """
    n, n_times = x.shape
    for k in range(n):
        step = lag[k]
        for t in range(n_times):
            before, after = max(t - step, 0), min(t + step, n_times - 1)
            out[k, t] = x[k, t] - 0.5 * (x[k, before] + x[k, after])


@njit(cache=True, nogil=True)
def half_waves(
    x: NDArray[np.float64], swing: NDArray[np.float64], share: float, out: NDArray[np.float64]
) -> None:
    """Fill a quantile and the median of the half-waves of each row, in samples.

    ``x`` (n, n_times) with its middle at zero, ``swing`` (n,), ``out`` (n, 2), zero where there is
    no half-wave. A turn is the first sample further than ``swing`` on the other side.
    """
    n, n_times = x.shape
    length = np.empty(n_times, dtype=np.float64)
    for k in range(n):
        side = 0
        last = -1
        m = 0
        for t in range(n_times):
            value = x[k, t]
            if abs(value) <= swing[k]:
                continue
            here = 1 if value > 0 else -1
            if side != 0 and here != side:
                if last >= 0:
                    length[m] = t - last
                    m += 1
                last = t
            side = here
        if m > 0:
            ordered = np.sort(length[:m])
            out[k, 0] = _quantile(ordered, share)
            out[k, 1] = _quantile(ordered, 0.5)


@njit(cache=True, nogil=True)
def _steepness(x: NDArray[np.float64], top: int, step: int, n: int) -> float:
    """Slope of a flank of ``n`` samples from its peak outward, between 80 and 20 % of its height."""
    foot = x[top]
    for i in range(1, n):
        foot = min(foot, x[top + step * i])
    height = x[top] - foot
    if n < 2 or height <= 0:
        return 0.0
    times = np.zeros(2)
    for j in range(2):
        share = 0.8 if j == 0 else 0.2
        before = 1.0
        for i in range(1, n):
            level = (x[top + step * i] - foot) / height
            if level <= share:
                times[j] = i - 1 + (before - share) / max(before - level, 1e-9)
                break
            before = level
    return 0.6 * height / max(times[1] - times[0], 0.1)


@njit(cache=True, nogil=True)
def slope_ratios(
    x: NDArray[np.float64],
    sample: NDArray[np.int64],
    lead: NDArray[np.int64],
    trail: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    """Fill the steeper over the flatter flank of each row's peak, which points up."""
    n, n_times = x.shape
    for k in range(n):
        top = sample[k]
        if top > 0:
            top -= 1
            for t in range(sample[k], min(sample[k] + 2, n_times)):
                if x[k, t] > x[k, top]:
                    top = t
        rise = _steepness(x[k], top, -1, min(lead[k], top) + 1)
        fall = _steepness(x[k], top, 1, min(trail[k], n_times - 1 - top) + 1)
        low = min(rise, fall)
        out[k] = max(rise, fall) / low if low > 0 else 1.0


@njit(cache=True, nogil=True)
def bridge(y: NDArray[np.float64], first: NDArray[np.int64], last: NDArray[np.int64]) -> None:
    """Replace each row between two samples by a line, in place."""
    for k in range(y.shape[0]):
        a, b = y[k, first[k]], y[k, last[k]]
        step = (b - a) / (last[k] - first[k])
        for i in range(1, last[k] - first[k]):
            y[k, first[k] + i] = a + i * step


@njit(cache=True, nogil=True)
def largest_waves(
    y: NDArray[np.float64],
    inside: NDArray[np.bool_],
    last: NDArray[np.int64],
    span: NDArray[np.float64],
    kernel: NDArray[np.float64],
    limits: tuple[float, float, float, int],
    out: NDArray[np.float64],
) -> None:
    """Fill length in samples and height, as a share of ``span``, of the largest wave after a peak.

    ``limits`` (shortest, longest, latest start, the peak's sample). Rows are smoothed by
    ``kernel``, with zeros beyond their ends; a wave lasts from one turning point to the next but
    one.
    """
    shortest, longest, latest, peak = limits
    n, n_times = y.shape
    half = kernel.shape[0] // 2
    smooth = np.empty(n_times, dtype=np.float64)
    for k in range(n):
        for t in range(last[k], n_times):
            total = 0.0
            for i in range(max(t - half, 0), min(t + half + 1, n_times)):
                total += y[k, i] * kernel[i - t + half]
            smooth[t] = total
        start, top = -1, last[k]
        for t in range(last[k] + 1, n_times - 1):
            before = np.sign(smooth[t] - smooth[t - 1])
            if before == np.sign(smooth[t + 1] - smooth[t]):
                continue
            if start >= 0:
                is_timed = shortest <= t - start <= longest
                if start - peak > latest:
                    break
                if is_timed and inside[k, t]:
                    rise = abs(smooth[top] - 0.5 * (smooth[start] + smooth[t]))
                    height = rise / max(span[k], 1e-3)
                    if height > out[k, 1]:
                        out[k, 0] = t - start
                        out[k, 1] = height
            start, top = top, t


@njit(cache=True, nogil=True)
def _median(x: NDArray[np.float64]) -> float:
    ordered = np.sort(x)
    n = ordered.shape[0]
    return 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])


@njit(cache=True, nogil=True)
def stand_out(
    level: NDArray[np.float64],
    is_other: NDArray[np.bool_],
    least: float,
    change: NDArray[np.float64],
    outside: NDArray[np.bool_],
) -> None:
    """Fill the largest change of a band against other windows, and whether it stands out of them.

    ``level`` (n, 1 + windows, bands), the own window first; ``is_other`` (n, windows). A change
    stands out that is ``least`` robust deviations of the others; without others none does.
    """
    n, _, n_bands = level.shape
    for k in range(n):
        chosen = np.flatnonzero(is_other[k])
        best = 0.0
        for b in range(n_bands):
            if chosen.shape[0] == 0:
                continue
            others = np.empty(chosen.shape[0])
            for i in range(chosen.shape[0]):
                others[i] = level[k, 1 + chosen[i], b]
            middle = _median(others)
            spread = 1.4826 * _median(np.abs(others - middle))
            moved = level[k, 0, b] - middle
            is_far = abs(moved) >= least * spread
            if b == 0:
                change[k], outside[k] = moved, is_far
                best = abs(moved) if is_far else 0.0
            elif is_far and abs(moved) > best:
                change[k], outside[k] = moved, True
                best = abs(moved)
