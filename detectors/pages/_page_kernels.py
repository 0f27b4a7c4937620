"""Compiled inner loops of the clinical page: ordinates, stroke coverage, caps over clipped stretches.

Only arithmetic lives here; geometry and style are in :mod:`detectors.pages.page`, which imports this
module inside functions because numba is heavy. Loops of the file format and of maps are in
:mod:`detectors.pages._picture_kernels`.
Floating point is kept strict (no ``fastmath``), so results do not depend on the compiler's taste.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

_FAR = np.float32(1e9)


LINES_PER_SAMPLE = 2
"""Vertical lines a stroke is measured on, per sample: 3.6 a pixel column on the clinical page. Lines
that repeat with the samples and not with the pixels are done several at a time: what a line
needs then lies side by side in memory."""

_SLOTS = 5
"""Lines a pixel column can touch; written out in :func:`_shade`, so that columns are done several at
a time."""

MIN_STEP_PX = LINES_PER_SAMPLE / (_SLOTS - 1)
"""Least distance of two samples: closer ones would have more lines in a column."""

_BLOCK_PX = 16
"""Columns shaded together, from the highest stroke among them to the lowest. What a block needs lies
in one run of memory: tops of slot 0, of slot 1, ..., then bottoms."""
_BOTTOMS = _SLOTS * _BLOCK_PX


@njit(cache=True, nogil=True)
def place_traces(
    shown_uv: NDArray[np.float32],
    gain: np.float32,
    baselines: NDArray[np.float32],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    y: NDArray[np.float32],
    is_clipped: NDArray[np.bool_],
) -> None:
    """Fill ordinates in pixels, rounded to 1/256 and clipped, and say which were clipped.

    Parameters
    ----------
    shown_uv
        float32, shape (n_rows, n_points).
    gain
        256ths of a pixel per microvolt.
    baselines, low, high
        float32, shape (n_rows,), pixels.
    y, is_clipped
        Outputs, shape (n_rows, n_points).
    """
    step = np.float32(1 / 256)
    for row in range(shown_uv.shape[0]):
        base, least, most = baselines[row], low[row], high[row]
        for i in range(shown_uv.shape[1]):
            wanted = np.rint(shown_uv[row, i] * gain) * step + base
            y[row, i] = min(max(wanted, least), most)
            is_clipped[row, i] = y[row, i] != wanted


@njit(cache=True, nogil=True)
def _column_plan(
    n_columns: int, dx: float, n_points: int
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Return which lines a pixel column is made of and their shares, by blocks of columns.

    Lines are numbered as :func:`_stroke_spans` stores them. It serves every trace.
    """
    step = dx / LINES_PER_SAMPLE
    n_blocks = math.ceil(n_columns / _BLOCK_PX)
    line = np.zeros(n_blocks * _BOTTOMS, dtype=np.uint32)
    share = np.zeros(n_blocks * _BOTTOMS, dtype=np.float32)
    for c in range(n_columns):
        k = int(c / step)
        for s in range(_SLOTS):
            left, right = max((k + s) * step, float(c)), min((k + s + 1) * step, c + 1.0)
            at = min(k + s if right > left else k, LINES_PER_SAMPLE * n_points - 1)
            i = c // _BLOCK_PX * _BOTTOMS + s * _BLOCK_PX + c % _BLOCK_PX
            line[i] = at % LINES_PER_SAMPLE * n_points + at // LINES_PER_SAMPLE
            share[i] = max(right - left, 0.0)
    return line, share


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_pieces(
    y: NDArray[np.float32],
    dx: np.float32,
    radius: np.float32,
    slope: NDArray[np.float32],
    lean: NDArray[np.float32],
    reach: NDArray[np.float32],
) -> None:
    """Fill slope, lean and reach of the piece after every point; after the last there is none.

    On a piece ``y + s*d`` the disc's edge ``sqrt(r^2 - d^2)`` adds up to its largest value at
    ``d = r*s/sqrt(1+s^2)`` (the lean), ``r*sqrt(1+s^2)`` (the reach) away. Division is numpy's: a
    check for zero in each would keep the loop from being done several at a time.
    """
    for i in range(y.size - 1):
        s = (y[i + 1] - y[i]) / dx
        root = np.sqrt(np.float32(1.0) + s * s)
        slope[i], lean[i], reach[i] = s, radius * s / root, radius * root
    slope[-1], lean[-1], reach[-1] = np.float32(0.0), _FAR, np.float32(0.0)


@njit(cache=True, nogil=True)
def _stroke_spans(
    y: NDArray[np.float32],
    dx: np.float32,
    radius: np.float32,
    slope: NDArray[np.float32],
    lean: NDArray[np.float32],
    reach: NDArray[np.float32],
    top: NDArray[np.float32],
    bottom: NDArray[np.float32],
) -> None:
    """Fill top and bottom of a polyline dilated by a disc, on every vertical line.

    The dilated graph of a continuous function is one interval per line; each end comes from a disc
    at a point or from inside a piece. Both are shape (LINES_PER_SAMPLE, n_points): line ``h`` of
    point ``i`` lies ``(h + 0.5) / LINES_PER_SAMPLE`` of the way to the next point. Without
    branches inside, so that lines are done several at a time.
    """
    n, zero = y.size, np.float32(0.0)
    top[:], bottom[:] = _FAR, -_FAR
    far = math.ceil(radius / dx)
    for h in range(LINES_PER_SAMPLE):
        for j in range(-far, far + 2):
            d = np.float32(((h + 0.5) / LINES_PER_SAMPLE - j) * dx)
            first, last = max(0, -j), min(n, n - j)
            at, above, below = y[first + j : last + j], top[h, first:last], bottom[h, first:last]
            if abs(d) <= radius:
                half = np.float32(math.sqrt(radius * radius - d * d))
                for i in range(at.size):
                    above[i] = min(above[i], at[i] - half)
                    below[i] = max(below[i], at[i] + half)
            if -radius <= d <= dx + radius:
                rise, along = slope[first + j : last + j], lean[first + j : last + j]
                out = reach[first + j : last + j]
                for i in range(at.size):
                    here = at[i] + rise[i] * d
                    down, up = d + along[i], d - along[i]
                    low = here + out[i] if (down >= zero) & (down <= dx) else -_FAR
                    high = here - out[i] if (up >= zero) & (up <= dx) else _FAR
                    above[i] = min(above[i], high)
                    below[i] = max(below[i], low)


@njit(cache=True, nogil=True)
def _column_spans(
    top: NDArray[np.float32],
    bottom: NDArray[np.float32],
    line: NDArray[np.uint32],
    y_min: np.float32,
    y_max: np.float32,
    spans: NDArray[np.float32],
) -> None:
    """Gather the lines of every column, cut to the plot, block by block."""
    tops, bottoms = top.ravel(), bottom.ravel()
    for i in range(tops.size):
        tops[i] = min(max(tops[i], y_min), y_max)
        bottoms[i] = min(max(bottoms[i], y_min), y_max)
    for start in range(0, line.size, _BOTTOMS):
        lines = line[start : start + _BOTTOMS]
        upper = spans[2 * start : 2 * start + _BOTTOMS]
        lower = spans[2 * start + _BOTTOMS : 2 * start + 2 * _BOTTOMS]
        for i in range(_BOTTOMS):
            upper[i], lower[i] = tops[lines[i]], bottoms[lines[i]]


@njit(cache=True, nogil=True)
def _share_of(top: np.float32, bottom: np.float32, share: np.float32, p: np.float32) -> np.float32:
    covered = min(bottom, p + np.float32(1.0)) - max(top, p)
    return share * max(covered, np.float32(0.0))


@njit(cache=True, nogil=True)
def _shade(
    image: NDArray[np.uint8], x0: int, spans: NDArray[np.float32], share: NDArray[np.float32]
) -> None:
    """Darken every pixel by the lines' coverage, block of columns by block of columns."""
    one, half = np.float32(1.0), np.float32(0.5)
    ends = np.empty((2, _BLOCK_PX), dtype=np.float32)
    highest, lowest = ends[0], ends[1]
    for start in range(0, share.size, _BOTTOMS):
        w, a = share[start : start + _BOTTOMS], spans[2 * start : 2 * start + 2 * _BOTTOMS]
        highest[:], lowest[:] = a[:_BLOCK_PX], a[_BOTTOMS : _BOTTOMS + _BLOCK_PX]
        for i in range(_BLOCK_PX, _BOTTOMS, _BLOCK_PX):
            for c in range(_BLOCK_PX):
                highest[c] = min(highest[c], a[i + c])
                lowest[c] = max(lowest[c], a[_BOTTOMS + i + c])
        first, last = highest[0], lowest[0]
        for c in range(1, _BLOCK_PX):
            first, last = min(first, highest[c]), max(last, lowest[c])
        left = x0 + start // _SLOTS
        for row in range(int(first), math.ceil(last)):
            p, pixels = np.float32(row), image[row, left : left + _BLOCK_PX]
            for c in range(pixels.size):
                cover = _share_of(a[c], a[80 + c], w[c], p)
                cover += _share_of(a[16 + c], a[96 + c], w[16 + c], p)
                cover += _share_of(a[32 + c], a[112 + c], w[32 + c], p)
                cover += _share_of(a[48 + c], a[128 + c], w[48 + c], p)
                cover += _share_of(a[64 + c], a[144 + c], w[64 + c], p)
                pixels[c] = np.uint8(np.float32(pixels[c]) * (one - cover) + half)


@njit(cache=True, nogil=True)
def draw_traces(
    image: NDArray[np.uint8],
    rows_y: NDArray[np.float32],
    x0: int,
    dx: float,
    radius: float,
    y_min: float,
    y_max: float,
) -> None:
    """Darken an image by antialiased strokes along polylines that are functions of x, in place.

    Vertical coverage is exact on :data:`LINES_PER_SAMPLE` lines per point, each standing for the
    width around it (``performance.md`` 6).

    Parameters
    ----------
    image
        uint8, shape (height, width); traces are black.
    rows_y
        Pixel ordinates, float32, shape (n_rows, n_points); point i lies at ``x0 + i*dx``.
    x0, dx
        Left edge and spacing in pixels, at least :data:`MIN_STEP_PX`; pixel p covers
        ``[p, p+1)``.
    radius
        Half the line width in pixels.
    y_min, y_max
        Strokes are cut to this range.
    """
    if dx < MIN_STEP_PX:
        raise ValueError("samples lie too close for the lines of a pixel column")
    n_rows, n_points = rows_y.shape
    n_columns = min(image.shape[1] - x0, math.ceil((n_points - 1) * dx + radius))
    line, share = _column_plan(n_columns, dx, n_points)
    top = np.empty((LINES_PER_SAMPLE, n_points), dtype=np.float32)
    bottom = np.empty_like(top)
    slope = np.empty(n_points, dtype=np.float32)
    lean, reach = np.empty_like(slope), np.empty_like(slope)
    spans = np.empty(2 * share.size, dtype=np.float32)
    step, r, low, high = np.float32(dx), np.float32(radius), np.float32(y_min), np.float32(y_max)
    for row in range(n_rows):
        y = rows_y[row]
        _fill_pieces(y, step, r, slope, lean, reach)
        _stroke_spans(y, step, r, slope, lean, reach, top, bottom)
        _column_spans(top, bottom, line, low, high, spans)
        _shade(image, x0, spans, share)


@njit(cache=True, nogil=True)
def cap_clips(
    image: NDArray[np.uint8],
    is_clipped: NDArray[np.bool_],
    is_up: NDArray[np.bool_],
    limits_px: NDArray[np.int64],
    x0: int,
    dx: float,
    cap_px: int,
) -> None:
    """Blacken a bar at the limit over every clipped sample, in place.

    Parameters
    ----------
    image
        Any numeric type, shape (height, width); black is 0.
    is_clipped, is_up
        bool, shape (n_rows, n_points): which samples, and at which limit.
    limits_px
        int, shape (n_rows, 2): upper and lower limit of each row.
    x0, dx
        As in :func:`draw_traces`.
    cap_px
        Height of the bar, inside the limit.
    """
    n_rows, n_points = is_clipped.shape
    for row in range(n_rows):
        for i in range(n_points):
            if is_clipped[row, i]:
                top = limits_px[row, 0] if is_up[row, i] else limits_px[row, 1] - cap_px
                x = int(x0 + i * dx)
                image[top : top + cap_px, x : min(x + 2, image.shape[1])] = 0


@njit(cache=True, nogil=True)
def quantise16(image: NDArray[np.uint8]) -> None:
    """Round grey levels to the 16 of a 4-bit picture (multiples of 17), in place."""
    flat = image.ravel()
    for i in range(flat.size):
        flat[i] = (np.uint16(flat[i]) * np.uint16(15) + np.uint16(127)) // np.uint16(255) * 17
