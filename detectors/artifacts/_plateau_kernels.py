"""Compiled search for plateaus at a row's extremes, the trace a clipped signal keeps after filtering.

Only numba lives here; what makes a row clipped is decided in :mod:`detectors.artifacts.clipping`,
which imports this inside the function that needs it.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_FAST = {"nnan", "ninf", "nsz", "reassoc", "contract"}


@njit(cache=True, nogil=True, fastmath=_FAST)
def _usual_slope(x: NDArray[np.float32], lag: int) -> float:
    total = np.float32(0.0)
    for t in range(x.shape[0] - lag):
        total += abs(x[t + lag] - x[t])
    return total / (x.shape[0] - lag)


@njit(cache=True, nogil=True, fastmath=_FAST)
def _outermost(
    edge: NDArray[np.float32], sign: float, reach: int, best: NDArray[np.float32]
) -> None:
    """Fill the furthest extreme within ``reach`` cells to either side, by doubling a window.

    ``best`` (cells + 2 * reach,) is room to work in; its first cells are the answer.
    """
    n = best.shape[0]
    for k in range(n):
        best[k] = -np.float32(3e38)
    for k in range(edge.shape[0]):
        best[k + reach] = np.float32(sign) * edge[k]
    width, whole = 1, 2 * reach + 1
    while width < whole:
        step = min(width, whole - width)
        for k in range(n - step):
            best[k] = max(best[k], best[k + step])
        width += step


@njit(cache=True, nogil=True)
def _still_length(x: NDArray[np.float32], at: int, lag: int, slope: float, longest: int) -> int:
    """Count still moments in a row around one, whatever their level, up to ``longest``."""
    first = at
    while first > 0 and at - first < longest and abs(x[first - 1 + lag] - x[first - 1]) <= slope:
        first -= 1
    last = at
    n = x.shape[0] - lag
    while last + 1 < n and last - at < longest and abs(x[last + 1 + lag] - x[last + 1]) <= slope:
        last += 1
    return last - first + 1


@njit(cache=True, nogil=True)
def _side(
    x: NDArray[np.float32],
    edge: NDArray[np.float32],
    sign: float,
    usual: float,
    settings: NDArray[np.float64],
    best: NDArray[np.float32],
    stuck: NDArray[np.bool_],
) -> float:
    """Return how many still moments one extreme has in plateaus, and mark their samples."""
    lag, reach, shortest, longest = (
        int(settings[0]), int(settings[1]), int(settings[2]), int(settings[3])
    )  # fmt: skip
    slope = max(settings[4] * usual, settings[5])
    furthest = 0.0
    for cell in range(edge.shape[0]):
        furthest = max(furthest, sign * edge[cell])
    near = max(settings[6] * usual, settings[5])
    size = x.shape[0] // edge.shape[0]
    n = x.shape[0] - lag
    total = 0.0
    length = 0
    _outermost(edge, sign, reach, best)
    for cell in range(edge.shape[0] + 1):
        level = sign * edge[cell] if cell < edge.shape[0] else -np.inf
        below = max(near, settings[8] * level)
        is_top = level + below >= best[cell] and level >= settings[9] * furthest
        if not is_top and length == 0:
            continue
        low = level - below if is_top else np.inf
        for t in range(cell * size, (cell + 1) * size if is_top else cell * size + 1):
            is_still = (
                t < n
                and sign * x[t] >= low
                and sign * x[t + lag] >= low
                and abs(x[t + lag] - x[t]) <= slope
            )
            if is_still:
                length += 1
                continue
            if length >= shortest and (
                abs(x[t - 1]) >= settings[7]
                or _still_length(x, t - 1, lag, slope, longest) < longest
            ):
                total += length - shortest + 1
                stuck[t - length : t + lag] = True
            length = 0
    return total


@njit(cache=True, nogil=True)
def plateaus(
    data: NDArray[np.float32],
    rows: NDArray[np.int64],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    settings: NDArray[np.float64],
    score: NDArray[np.float32],
    usual: NDArray[np.float32],
    stuck: NDArray[np.bool_],
) -> None:
    """Fill, for the rows named, the still moments at the lower and the upper extreme.

    ``data`` (all rows, n_times), ``low`` and ``high`` (all rows, n_cells); ``score`` (rows, 2),
    ``usual`` (rows,): mean absolute change over ``lag``; ``stuck`` (1 or rows, n_times) gets the
    samples of plateaus. ``settings``: lag, cells to either side a plateau is the extreme of,
    still moments it lasts, still moments that are no plateau but a dead row, share of the usual
    change that is still, its floor in microvolts, share of the usual change between a plateau and
    the extreme, microvolts from which a dead row is at the rail, share of its level by which the
    high-pass bends a plateau, share of the row's extreme that a plateau lies at.
    """
    best = np.empty(low.shape[1] + 2 * int(settings[1]), dtype=np.float32)
    for k in range(rows.shape[0]):
        x = data[rows[k]]
        usual[k] = 1.2533 * _usual_slope(x, int(settings[0]))
        marked = stuck[min(k, stuck.shape[0] - 1)]
        score[k, 0] = _side(x, low[rows[k]], -1.0, usual[k], settings, best, marked)
        score[k, 1] = _side(x, high[rows[k]], 1.0, usual[k], settings, best, marked)
