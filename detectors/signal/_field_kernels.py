"""Compiled loops of the spatial filters: covariance of a page, its inverse, filtered rows.

Only numba lives here; :mod:`detectors.signal.field_filter` imports it inside its functions and says what
the numbers mean. Covariances are summed in single precision, inverted in double.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_FAST = {"nnan", "ninf", "nsz", "reassoc", "contract"}
_CLIP = 2.5
_UNCLIP = 1.0496
"""SD of a Gaussian over its SD within 2.5 of them."""


@njit(cache=True, nogil=True, fastmath=_FAST)
def _clipped_rms(x: NDArray[np.float32]) -> np.float32:
    """Root mean square about zero of what lies within 2.5 of it, iterated, as of a Gaussian."""
    n = x.shape[0]
    total = np.float32(0.0)
    for t in range(n):
        total += x[t] * x[t]
    scale = np.sqrt(total / n)
    for _ in range(4):
        limit = np.float32(_CLIP) * scale
        total = np.float32(0.0)
        kept = np.float32(0.0)
        for t in range(n):
            inside = np.float32(1.0) if abs(x[t]) <= limit else np.float32(0.0)
            total += inside * x[t] * x[t]
            kept += inside
        scale = np.float32(_UNCLIP) * np.sqrt(total / max(kept, np.float32(1.0)))
    return max(scale, np.float32(1e-3))


@njit(cache=True, nogil=True, fastmath=_FAST)
def _filtered(s: NDArray[np.float32], taps: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Correlate one row with taps around each sample; the ends are repeated outwards."""
    n = s.shape[0]
    half = taps.shape[0] // 2
    for t in range(n):
        out[t] = 0.0
    for k in range(taps.shape[0]):
        shift = k - half
        tap = taps[k]
        if tap == 0.0:
            continue
        low, high = max(0, -shift), min(n, n - shift)
        # slices, as indices that could be negative would keep the loop from being vectorised
        into, part = out[low:high], s[low + shift : high + shift]
        for t in range(high - low):
            into[t] += tap * part[t]
        for t in range(0, max(0, -shift)):
            out[t] += tap * s[0]
        for t in range(min(n, n - shift), n):
            out[t] += tap * s[n - 1]


@njit(cache=True, nogil=True, fastmath=_FAST)
def _inverse(c: NDArray[np.float64]) -> None:
    """Invert a positive definite matrix in place (Gauss-Jordan, no pivoting needed)."""
    n = c.shape[0]
    for p in range(n):
        pivot = 1.0 / c[p, p]
        c[p, p] = 1.0
        for j in range(n):
            c[p, j] *= pivot
        for i in range(n):
            if i != p:
                factor = c[i, p]
                c[i, p] = 0.0
                for j in range(n):
                    c[i, j] -= factor * c[p, j]


@njit(cache=True, nogil=True, fastmath=_FAST)
def _covariance(
    x: NDArray[np.float32], kept: NDArray[np.float32], out: NDArray[np.float64]
) -> None:
    """Fill the lower half of the mean product of rows over the samples ``kept`` weighs."""
    n_rows, n = x.shape
    weighted = np.empty(n, dtype=np.float32)
    count = np.float32(0.0)
    for t in range(n):
        count += kept[t]
    count = max(count, np.float32(1.0))
    for i in range(n_rows):
        for t in range(n):
            weighted[t] = x[i, t] * kept[t]
        for j in range(i + 1):
            total = np.float32(0.0)
            for t in range(n):
                total += weighted[t] * x[j, t]
            out[i, j] = total / count


@njit(cache=True, nogil=True, fastmath=_FAST)
def _shrink(
    c: NDArray[np.float64],
    live: NDArray[np.bool_],
    prior: NDArray[np.float64],
    settings: NDArray[np.float64],
    spread: NDArray[np.float32],
) -> None:
    """Shrink a covariance towards a prior correlation; ``settings`` (share, ridge, common).

    ``common`` times the mean variance is added to every pair, which takes out what all rows have
    in common, the reference. A dead row stands alone with variance one. ``spread`` gets the rows'
    own SDs.
    """
    n_rows = c.shape[0]
    mean = 0.0
    n_live = 0
    for i in range(n_rows):
        spread[i] = np.sqrt(c[i, i])
        if live[i]:
            mean += c[i, i]
            n_live += 1
    mean = max(mean / max(n_live, 1), 1e-6)
    share, ridge, common = settings[0], settings[1], settings[2] * mean
    for i in range(n_rows):
        c[i, i] = c[i, i] + 1e-4 * mean if live[i] else 1.0
    for i in range(n_rows):
        for j in range(i):
            both = live[i] and live[j]
            expected = prior[i, j] * np.sqrt(c[i, i] * c[j, j])
            c[i, j] = (1.0 - share) * c[i, j] + share * expected + common if both else 0.0
            c[j, i] = c[i, j]
    for i in range(n_rows):
        if live[i]:
            c[i, i] = (1.0 + ridge) * c[i, i] + common


@njit(cache=True, nogil=True, fastmath=_FAST)
def _weigh(x: NDArray[np.float32], weight: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Fill the weighted sum of rows."""
    n_rows, n = x.shape
    for t in range(n):
        out[t] = 0.0
    for i in range(n_rows):
        factor = weight[i]
        if factor != 0.0:
            for t in range(n):
                out[t] += factor * x[i, t]


@njit(cache=True, nogil=True, fastmath=_FAST)
def _field_weight(
    inverse: NDArray[np.float64],
    live: NDArray[np.bool_],
    field: NDArray[np.float64],
    weight: NDArray[np.float32],
) -> None:
    """Fill the minimum-variance weights with unit gain for a field."""
    n_rows = field.shape[0]
    gain = 0.0
    for i in range(n_rows):
        total = 0.0
        for j in range(n_rows):
            total += inverse[i, j] * field[j] * live[j]
        weight[i] = total * live[i]
        gain += total * live[i] * field[i]
    for i in range(n_rows):
        weight[i] /= np.float32(max(gain, 1e-12))


@njit(cache=True, nogil=True, fastmath=_FAST)
def match_field(
    slow: NDArray[np.float32],
    live: NDArray[np.bool_],
    taps: NDArray[np.float32],
    field: NDArray[np.float64],
    prior: NDArray[np.float64],
    settings: NDArray[np.float64],
    score: NDArray[np.float32],
    weight: NDArray[np.float32],
    moves: NDArray[np.float32],
    inverse: NDArray[np.float32],
    spread: NDArray[np.float32],
) -> None:
    """Fill, for every page, how far each moment stands out in the direction of one field.

    ``slow`` (n, rows, times), ``settings`` (share, ridge, common, quiet). ``score`` (n, times) in
    SDs, ``weight`` (n, rows) has unit gain for the field, ``moves`` (n, rows, times) are the
    filtered rows, ``inverse`` (n, rows, rows) the inverse of their covariance away from events and
    ``spread`` (n, rows) their SDs there.
    """
    n_pages, n_rows, n = slow.shape
    kept = np.empty(n, dtype=np.float32)
    along = np.empty(n, dtype=np.float32)
    own = np.empty((n_rows, n_rows), dtype=np.float64)
    for p in range(n_pages):
        for i in range(n_rows):
            _filtered(slow[p, i], taps, moves[p, i])
        middle = (field * live[p]).sum() / max(live[p].sum(), 1)
        for i in range(n_rows):
            weight[p, i] = (field[i] - middle) * live[p, i]
        _weigh(moves[p], weight[p], along)
        limit = np.float32(settings[3]) * _clipped_rms(along)
        for t in range(n):
            kept[t] = 1.0 if abs(along[t]) <= limit else 0.0
        _covariance(moves[p], kept, own)
        _shrink(own, live[p], prior, settings, spread[p])
        _inverse(own)
        _field_weight(own, live[p], field, weight[p])
        _weigh(moves[p], weight[p], along)
        scale = np.float32(1.0) / _clipped_rms(along)
        for t in range(n):
            score[p, t] = along[t] * scale
        inverse[p] = own


@njit(cache=True, nogil=True, fastmath=_FAST)
def own_steps(
    slow: NDArray[np.float32],
    live: NDArray[np.bool_],
    prior: NDArray[np.float64],
    settings: NDArray[np.float64],
    steps: NDArray[np.float32],
    scale: NDArray[np.float32],
) -> None:
    """Fill the move of every row over 50 ms that no other row shares, and its usual size.

    ``slow`` (n, rows, times); ``steps`` alike, in microvolts; ``scale`` (n, rows), its SD.
    """
    n_pages, n_rows, n = slow.shape
    moves = np.zeros((n_rows, n), dtype=np.float32)
    kept = np.ones(n, dtype=np.float32)
    own = np.empty((n_rows, n_rows), dtype=np.float64)
    weight = np.empty(n_rows, dtype=np.float32)
    for p in range(n_pages):
        for i in range(n_rows):
            into, after, before = moves[i, 1 : n - 1], slow[p, i, 2:], slow[p, i, : n - 2]
            for t in range(n - 2):
                into[t] = after[t] - before[t]
        _covariance(moves, kept, own)
        _shrink(own, live[p], prior, settings, scale[p])
        _inverse(own)
        for i in range(n_rows):
            for j in range(n_rows):
                weight[j] = own[i, j] / own[i, i] * live[p, i]
            _weigh(moves, weight, steps[p, i])
            scale[p, i] = _clipped_rms(steps[p, i])


@njit(cache=True, nogil=True, fastmath=_FAST)
def _brief(x: NDArray[np.float32], half: int, feet: int, out: NDArray[np.float32]) -> None:
    """Fill the mean around each sample less the mean of those ``feet`` to either side; 0 at ends."""
    n = x.shape[0]
    mean = np.zeros(n, dtype=np.float32)
    inside = mean[half : n - half]
    # an offset at a time, as a loop over few samples is not vectorised
    for k in range(2 * half + 1):
        part = x[k : k + n - 2 * half]
        for t in range(inside.shape[0]):
            inside[t] += part[t]
    share = np.float32(1.0) / np.float32(2 * half + 1)
    for t in range(n):
        mean[t] *= share
    reach = half + feet
    for t in range(n):
        out[t] = 0.0
    into, middle = out[reach : n - reach], mean[reach : n - reach]
    before, after = mean[half : n - reach - feet], mean[reach + feet : n - half]
    for t in range(into.shape[0]):
        into[t] = middle[t] - np.float32(0.5) * (before[t] + after[t])


@njit(cache=True, nogil=True, fastmath=_FAST)
def _peaks(
    x: NDArray[np.float32],
    least: float,
    reach: int,
    at: NDArray[np.int32],
    top: NDArray[np.float32],
) -> int:
    """Fill where ``x`` reaches a limit and is largest within ``reach``; return how many."""
    n = x.shape[0]
    count = 0
    for t in range(1, n - 1):
        if x[t] < least or x[t] < x[t - 1] or x[t] <= x[t + 1]:
            continue
        largest = x[max(t - reach, 0) : min(t + reach + 1, n)].max()
        if x[t] >= largest and count < at.shape[0]:
            at[count] = t
            top[count] = x[t]
            count += 1
    return count


@njit(cache=True, nogil=True, fastmath=_FAST)
def brief_moments(
    data: NDArray[np.float32],
    weight: NDArray[np.float32],
    shape: NDArray[np.int64],
    least: float,
    at: NDArray[np.int32],
    top: NDArray[np.float32],
    count: NDArray[np.int64],
) -> None:
    """Fill the brief moments of weighted sums of rows, in SDs of each sum's brief part.

    ``data`` (n, rows, times), ``weight`` (n, sums, rows), ``shape`` (half, feet, reach) in samples;
    ``at`` and ``top`` (n, sums, room) hold ``count`` (n, sums) moments and their height. The sign
    of a sum is that of its larger moments.
    """
    n_pages, n_sums, _ = weight.shape
    n = data.shape[2]
    total = np.empty(n, dtype=np.float32)
    brief = np.empty(n, dtype=np.float32)
    for p in range(n_pages):
        for k in range(n_sums):
            _weigh(data[p], weight[p, k], total)
            _brief(total, shape[0], shape[1], brief)
            scale = np.float32(1.0) / _clipped_rms(brief)
            skew = np.float32(0.0)
            for t in range(n):
                brief[t] *= scale
                cut = min(max(brief[t], np.float32(-12.0)), np.float32(12.0))
                skew += cut * cut * cut
            if skew < 0:
                for t in range(n):
                    brief[t] = -brief[t]
            count[p, k] = _peaks(brief, least, shape[2], at[p, k], top[p, k])
