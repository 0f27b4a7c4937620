"""Compiled extremes of bipolar rows, cell by cell, and moving means of slow rows.

Imported inside functions of :mod:`detectors.background.voltage` and
:mod:`detectors.background.continuity` only, so that loading the definitions of the graph stays free
of numba.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_FAST = {"nnan", "ninf", "nsz", "reassoc", "contract"}


@njit(cache=True, nogil=True, fastmath=_FAST)
def bipolar_cells(
    data_uv: NDArray[np.float32],
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
) -> None:
    """Fill the extremes of every cell of the differences ``first - second``.

    Parameters
    ----------
    data_uv
        Shape (n, n_channels, n_times).
    first, second
        Row numbers, shape (n_rows,).
    low, high
        Written to, shape (n, n_rows, n_cells); ``n_times`` is a multiple of ``n_cells``.
    """
    n_cells = low.shape[2]
    length = data_uv.shape[2] // n_cells
    for i in range(data_uv.shape[0]):
        for k in range(first.size):
            a, b = data_uv[i, first[k]], data_uv[i, second[k]]
            for c in range(n_cells):
                smallest = largest = a[c * length] - b[c * length]
                for t in range(c * length + 1, (c + 1) * length):
                    v = a[t] - b[t]
                    smallest = min(smallest, v)
                    largest = max(largest, v)
                low[i, k, c] = smallest
                high[i, k, c] = largest


@njit(cache=True, nogil=True)
def second_p2p(
    low: NDArray[np.float32], high: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Fill the peak-to-peak of whole seconds.

    ``low``, ``high`` (n, n_rows, n_cells), ``out`` (n, n_rows, n_seconds).
    """
    run = low.shape[2] // out.shape[2]
    for i in range(out.shape[0]):
        for k in range(out.shape[1]):
            for s in range(out.shape[2]):
                smallest, largest = low[i, k, s * run], high[i, k, s * run]
                for c in range(s * run + 1, (s + 1) * run):
                    smallest = min(smallest, low[i, k, c])
                    largest = max(largest, high[i, k, c])
                out[i, k, s] = largest - smallest


@njit(cache=True, nogil=True)
def sliding_p2p(
    low: NDArray[np.float32], high: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Fill the peak-to-peak of every run of cells.

    ``low``, ``high`` (n, n_rows, n_cells), ``out`` (n, n_rows, n_cells - run + 1).
    """
    n_windows = out.shape[2]
    run = low.shape[2] - n_windows + 1
    for i in range(out.shape[0]):
        for k in range(out.shape[1]):
            for w in range(n_windows):
                smallest, largest = low[i, k, w], high[i, k, w]
                for c in range(w + 1, w + run):
                    smallest = min(smallest, low[i, k, c])
                    largest = max(largest, high[i, k, c])
                out[i, k, w] = largest - smallest


@njit(cache=True, nogil=True)
def quiet_moments(
    p2p_uv: NDArray[np.float32],
    is_clean: NDArray[np.bool_],
    silent_uv: float,
    mean_share: float,
    row_share: float,
    found: NDArray[np.bool_],
) -> None:
    """Mark pages with a moment that is quiet over their clean rows.

    Quiet is a window in which rows stand at ``mean_share`` of their own mean, averaged over rows
    with no row counting for more than its mean, or in which ``row_share`` of them is silent.
    ``p2p_uv``, ``is_clean`` (n, n_rows, n_windows), ``found`` (n,).
    """
    n_rows, n_windows = p2p_uv.shape[1], p2p_uv.shape[2]
    mean = np.zeros(n_rows)
    for i in range(p2p_uv.shape[0]):
        for k in range(n_rows):
            total, n = 0.0, 0
            for w in range(n_windows):
                if is_clean[i, k, w]:
                    total += p2p_uv[i, k, w]
                    n += 1
            mean[k] = max(total / max(n, 1), 1e-3)
        for w in range(n_windows):
            level, n, n_silent = 0.0, 0, 0
            for k in range(n_rows):
                if is_clean[i, k, w]:
                    n += 1
                    level += min(p2p_uv[i, k, w] / mean[k], 1.0)
                    n_silent += p2p_uv[i, k, w] < silent_uv
            if n > 0 and (level < mean_share * n or n_silent >= row_share * n):
                found[i] = True
                break


@njit(cache=True, nogil=True)
def without_drift(
    x: NDArray[np.float32], reach: int, drift_reach: int, out: NDArray[np.float32]
) -> None:
    """Fill moving means less wider moving means; ends are padded by their own value.

    ``x``, ``out`` (n_rows, n_times); a mean reaches so many samples to either side.
    """
    n = x.shape[1]
    for r in range(x.shape[0]):
        row = x[r]
        near, far = 0.0, 0.0
        for t in range(-reach, reach + 1):
            near += np.float64(row[max(t, 0)])
        for t in range(-drift_reach, drift_reach + 1):
            far += np.float64(row[max(t, 0)])
        for t in range(n):
            out[r, t] = near / (2 * reach + 1) - far / (2 * drift_reach + 1)
            near += np.float64(row[min(t + 1 + reach, n - 1)]) - row[max(t - reach, 0)]
            far += np.float64(row[min(t + 1 + drift_reach, n - 1)]) - row[max(t - drift_reach, 0)]
