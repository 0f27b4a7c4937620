"""Compiled loops of the muscle rule: stretches of cells that stand out, and the row's own beta there.

Only numba lives here; :mod:`detectors.artifacts.muscle` imports it inside its functions and says what the
numbers mean.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from detectors.types import N_TIMES, SFREQ_HZ

_FAST = {"nnan", "ninf", "nsz", "reassoc", "contract"}
_FEWEST_OUTSIDE = 10
"""Cells outside any stretch that a row's usual spectrum takes; with fewer it has none."""
_PAGE_GAIN = 5.0
"""Of a page that is all muscle: takes 0.45 of a flat spectrum for 1.5 times what is foretold."""


@njit(cache=True, nogil=True, fastmath=_FAST)
def _band_cells(
    x: NDArray[np.float32],
    taps: NDArray[np.float32],
    buffer: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Fill the mean square per cell of a row after a filter of an odd number of taps.

    Beyond the ends the filter sees zeros; the first and last cell repeat their neighbour.
    """
    n_cells = out.shape[0]
    half = taps.shape[0] // 2
    size = N_TIMES // n_cells
    buffer[:] = 0.0
    for j in range(taps.shape[0]):
        shift = j - half
        tap = taps[j]
        low, high = max(0, -shift), min(N_TIMES, N_TIMES - shift)
        # slices, as indices that could be negative would keep the loop from being vectorised
        into, part = buffer[low:high], x[low + shift : high + shift]
        for t in range(high - low):
            into[t] += tap * part[t]
    for c in range(1, n_cells - 1):
        total = np.float32(0.0)
        for t in range(c * size, c * size + size):
            total += buffer[t] * buffer[t]
        out[c] = total / size
    out[0] = out[1]
    out[n_cells - 1] = out[n_cells - 2]


@njit(cache=True, nogil=True, fastmath=_FAST)
def _closed(held: NDArray[np.bool_], longest: int, out: NDArray[np.bool_]) -> None:
    """Copy cells, with gaps of up to ``longest`` cells between held ones closed."""
    last = -1
    for c in range(held.shape[0]):
        out[c] = held[c]
        if held[c]:
            if last >= 0 and c - last - 1 <= longest:
                for k in range(last + 1, c):
                    out[k] = True
            last = c


@njit(cache=True, nogil=True, fastmath=_FAST)
def _mean_hz(power: float, change: float) -> float:
    """Frequency of a sine with this power and this power of its sample-to-sample differences."""
    sine = 0.5 * np.sqrt(max(change, 0.0) / max(power, 1e-9))
    return SFREQ_HZ / np.pi * np.arcsin(min(sine, 1.0))


@njit(cache=True, nogil=True, fastmath=_FAST)
def _rest(
    power: NDArray[np.float32], change: NDArray[np.float32], n_quiet: int
) -> tuple[float, float]:
    """Mean power, and that of the differences, of the row's quietest cells."""
    limit = np.partition(power, n_quiet - 1)[n_quiet - 1]
    total = 0.0
    moved = 0.0
    count = 0
    for c in range(power.shape[0]):
        if power[c] <= limit:
            total += power[c]
            moved += change[c]
            count += 1
    return total / count, moved / count


@njit(cache=True, nogil=True, fastmath=_FAST)
def _over_beta(
    fast: NDArray[np.float32],
    beta: NDArray[np.float32],
    active: NDArray[np.bool_],
    a: int,
    b: int,
    flat: float,
) -> tuple[float, float]:
    """Power above 30 Hz over what the row's own 15-30 Hz foretells, and how flat the new part is.

    ``flat`` is the ratio of both bands in a flat spectrum. A row without quiet cells foretells what
    activity of 1/f does, half of it flat; all of it counts as new.
    """
    inside_fast = 0.0
    inside_beta = 0.0
    for c in range(a, b):
        inside_fast += fast[c]
        inside_beta += beta[c]
    inside_fast = max(inside_fast / (b - a), 0.0)
    inside_beta = max(inside_beta / (b - a), 1e-9)
    # a few cells may have little beta by chance, which waxes more slowly than that
    first, last = max(a - 3, 0), min(b + 3, fast.shape[0])
    around_beta = max(beta[first:last].mean(), inside_beta)
    outside_fast = 0.0
    outside_beta = 0.0
    n_outside = 0
    for c in range(fast.shape[0]):
        if not active[c]:
            outside_fast += fast[c]
            outside_beta += beta[c]
            n_outside += 1
    if n_outside < _FEWEST_OUTSIDE:
        share = inside_fast / inside_beta / flat
        return _PAGE_GAIN * share, share
    outside_fast = max(outside_fast / n_outside, 1e-9)
    outside_beta = max(outside_beta / n_outside, 1e-9)
    over = inside_fast / outside_fast * outside_beta / around_beta
    excess = max(inside_beta - outside_beta, 1e-3 * inside_beta)
    return over, (inside_fast - outside_fast) / excess / flat


@njit(cache=True, nogil=True, fastmath=_FAST)
def _trimmed(x: NDArray[np.float32], a: int, b: int, share: float) -> tuple[int, int]:
    """Take weak cells off both ends: beside a strong burst they are the background's."""
    tail = share * x[a:b].max()
    while x[a] < tail:
        a += 1
    while x[b - 1] < tail:
        b -= 1
    return a, b


@njit(cache=True, nogil=True, fastmath=_FAST)
def _rms_of(x: NDArray[np.float32], a: int, b: int) -> float:
    total = 0.0
    for c in range(a, b):
        total += max(x[c], np.float32(0.0))
    return np.sqrt(total / (b - a))


@njit(cache=True, nogil=True, fastmath=_FAST)
def _usual_hz(
    power: NDArray[np.float32],
    change: NDArray[np.float32],
    a: int,
    b: int,
    limits: NDArray[np.float64],
) -> float:
    """Mean frequency of what a stretch adds to the row's quiet cells."""
    rest, moved = 0.0, 0.0
    if b - a <= limits[5] * power.shape[0]:
        rest, moved = _rest(power, change, int(limits[6]))
    return _mean_hz(power[a:b].mean() - rest, change[a:b].mean() - moved)


@njit(cache=True, nogil=True, fastmath=_FAST)
def _next_run(active: NDArray[np.bool_], start: int) -> tuple[int, int]:
    """First and end of the next run of marked cells; both the length where there is none."""
    n = active.shape[0]
    a = start
    while a < n and not active[a]:
        a += 1
    b = a
    while b < n and active[b]:
        b += 1
    return a, b


@njit(cache=True, nogil=True, fastmath=_FAST)
def stretches(
    data: NDArray[np.float32],
    segment: NDArray[np.intp],
    row: NDArray[np.intp],
    level: NDArray[np.float32],
    strong: NDArray[np.bool_],
    held: NDArray[np.bool_],
    power: NDArray[np.float32],
    change: NDArray[np.float32],
    mains: NDArray[np.float32],
    slowest: NDArray[np.float32],
    flat: NDArray[np.float64],
    taps: NDArray[np.float32],
    limits: NDArray[np.float64],
    out: NDArray[np.int32],
    size: NDArray[np.float64],
) -> int:
    """Fill the stretches of rows that are strong, fast and long enough; return how many.

    All but ``data`` (n, rows, n_times) and ``mains`` (n, rows) that are of cells have shape
    (n, rows, cells); ``segment`` and ``row`` name the rows to look at, ``slowest`` (n,) in Hz,
    ``flat`` (n,) as for :func:`_over_beta`, ``limits`` (longest gap, shortest, share of the fullest
    cell's power, share of the row's fullest cell, least RMS, share of cells that is a whole page,
    quiet cells). ``out`` (room, 3) takes the place in ``segment``, first cell and end, ``size``
    (room, 3) the RMS and what :func:`_over_beta` says.
    """
    n_cells = level.shape[2]
    beta = np.empty(n_cells, dtype=np.float32)
    active = np.empty(n_cells, dtype=np.bool_)
    buffer = np.empty(N_TIMES, dtype=np.float32)
    shortest = int(limits[1])
    count = 0
    for k in range(segment.shape[0]):
        i, r = segment[k], row[k]
        x = level[i, r]
        _closed(held[i, r], int(limits[0]), active)
        least = max(limits[4], limits[3] * np.sqrt(x.max()))
        has_beta = False
        start, end = _next_run(active, 0)
        while start < n_cells:
            a, b = _trimmed(x, start, end, limits[2])
            start, end = _next_run(active, end)
            # at an end of the page a cell repeats its neighbour: half a burst is needed twice
            needed = shortest * (2 if a == 0 or b == n_cells else 1)
            rms = _rms_of(x, a, b)
            is_long = b - a >= shortest and strong[i, r, a:b].sum() >= needed and rms >= least
            if not is_long or _usual_hz(power[i, r], change[i, r], a, b, limits) < slowest[i]:
                continue
            if not has_beta:
                _band_cells(data[i, r], taps, buffer, beta)
                has_beta = True
            out[count] = (k, a, b)
            over, flatness = _over_beta(power[i, r] - mains[i, r], beta, active, a, b, flat[i])
            size[count] = (rms, over, flatness)
            count += 1
    return count
