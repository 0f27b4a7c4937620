"""Compiled inner loops of the pictures: stroke coverage, nibble packing, map painting.

Only arithmetic lives here; geometry and style are in :mod:`detectors.pages.page` and
:mod:`detectors.pages.topomap`, which import this module inside functions because numba is heavy.
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

_FLAT_PX = 4
"""Pixels from a stroke's top that are shaded for all columns at once; more only where it is steep."""


@njit(cache=True, nogil=True)
def _column_plan(
    n_columns: int, dx: float, n_points: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return which lines a pixel column is made of and their shares, shape (n_slots, n_columns).

    Lines are numbered as :func:`_stroke_spans` stores them. It serves every trace.
    """
    step = dx / LINES_PER_SAMPLE
    n_slots = math.ceil(1.0 / step) + 1
    line = np.zeros((n_slots, n_columns), dtype=np.int32)
    share = np.zeros((n_slots, n_columns), dtype=np.float32)
    for c in range(n_columns):
        k = int(c / step)
        for s in range(n_slots):
            left, right = max((k + s) * step, float(c)), min((k + s + 1) * step, c + 1.0)
            at = min(k + s if right > left else k, LINES_PER_SAMPLE * n_points - 1)
            line[s, c] = at % LINES_PER_SAMPLE * n_points + at // LINES_PER_SAMPLE
            share[s, c] = max(right - left, 0.0)
    return line, share


@njit(cache=True, nogil=True)
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
    ``d = r*s/sqrt(1+s^2)`` (the lean), ``r*sqrt(1+s^2)`` (the reach) away.
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
    line: NDArray[np.int32],
    y_min: np.float32,
    y_max: np.float32,
    spans: NDArray[np.float32],
    extent: NDArray[np.float32],
) -> None:
    """Gather the lines of every column, cut to the plot, and the column's own ends.

    ``spans`` is shape (2, n_slots, n_columns), ``extent`` shape (2, n_columns), tops first.
    """
    tops, bottoms = top.ravel(), bottom.ravel()
    highest, lowest = extent[0], extent[1]
    highest[:], lowest[:] = y_max, y_min
    for s in range(line.shape[0]):
        for c in range(line.shape[1]):
            start = min(max(tops[line[s, c]], y_min), y_max)
            stop = min(max(bottoms[line[s, c]], y_min), y_max)
            spans[0, s, c], spans[1, s, c] = start, stop
            highest[c], lowest[c] = min(highest[c], start), max(lowest[c], stop)


@njit(cache=True, nogil=True)
def _blend_level(
    image: NDArray[np.uint8],
    x0: int,
    level: int,
    spans: NDArray[np.float32],
    share: NDArray[np.float32],
    first: NDArray[np.int32],
    cover: NDArray[np.float32],
) -> None:
    """Darken one pixel of every column, ``level`` below its first, by the lines' coverage."""
    zero, one = np.float32(0.0), np.float32(1.0)
    cover[:] = zero
    for s in range(share.shape[0]):
        for c in range(share.shape[1]):
            p = np.float32(first[c] + level)
            covered = min(spans[1, s, c], p + one) - max(spans[0, s, c], p)
            cover[c] += share[s, c] * max(covered, zero)
    for c in range(share.shape[1]):
        if cover[c] > zero:
            grey = np.float32(image[first[c] + level, x0 + c]) * (one - cover[c])
            image[first[c] + level, x0 + c] = np.uint8(grey + np.float32(0.5))


@njit(cache=True, nogil=True)
def _blend_steep(
    image: NDArray[np.uint8],
    x0: int,
    spans: NDArray[np.float32],
    share: NDArray[np.float32],
    first: NDArray[np.int32],
    last: NDArray[np.int32],
) -> None:
    """Darken what lies further down than :data:`_FLAT_PX`, column by column."""
    zero, one = np.float32(0.0), np.float32(1.0)
    for c in range(first.size):
        for p in range(first[c] + _FLAT_PX, last[c]):
            upper, lower, total = np.float32(p), np.float32(p + 1), zero
            for s in range(share.shape[0]):
                covered = min(spans[1, s, c], lower) - max(spans[0, s, c], upper)
                total += share[s, c] * max(covered, zero)
            grey = np.float32(image[p, x0 + c]) * (one - total)
            image[p, x0 + c] = np.uint8(grey + np.float32(0.5))


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
        Left edge and spacing in pixels; pixel p covers ``[p, p+1)``.
    radius
        Half the line width in pixels.
    y_min, y_max
        Strokes are cut to this range.
    """
    n_rows, n_points = rows_y.shape
    n_columns = min(image.shape[1] - x0, math.ceil((n_points - 1) * dx + radius))
    line, share = _column_plan(n_columns, dx, n_points)
    top = np.empty((LINES_PER_SAMPLE, n_points), dtype=np.float32)
    bottom = np.empty_like(top)
    slope = np.empty(n_points, dtype=np.float32)
    lean, reach = np.empty_like(slope), np.empty_like(slope)
    spans = np.empty((2, *share.shape), dtype=np.float32)
    extent, cover = np.empty((2, n_columns), np.float32), np.empty(n_columns, np.float32)
    first, last = np.empty(n_columns, np.int32), np.empty(n_columns, np.int32)
    step, r, low, high = np.float32(dx), np.float32(radius), np.float32(y_min), np.float32(y_max)
    for row in range(n_rows):
        y = rows_y[row]
        _fill_pieces(y, step, r, slope, lean, reach)
        _stroke_spans(y, step, r, slope, lean, reach, top, bottom)
        _column_spans(top, bottom, line, low, high, spans, extent)
        tallest = 0
        for c in range(n_columns):
            first[c], last[c] = int(extent[0, c]), math.ceil(extent[1, c])
            tallest = max(tallest, last[c] - first[c])
        for level in range(min(tallest, _FLAT_PX)):
            _blend_level(image, x0, level, spans, share, first, cover)
        if tallest > _FLAT_PX:
            _blend_steep(image, x0, spans, share, first, last)


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


@njit(cache=True, nogil=True)
def pack_nibbles(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pack grey levels to PNG scan lines of 4 bits a pixel, filter byte 0 first.

    Parameters
    ----------
    image
        uint8, shape (height, width), width even; the upper four bits are kept.

    Returns
    -------
    packed
        uint8, shape (height, 1 + width // 2).
    """
    height, width = image.shape
    packed = np.empty((height, 1 + width // 2), dtype=np.uint8)
    for row in range(height):
        packed[row, 0] = 0
        for i in range(width // 2):
            packed[row, 1 + i] = (image[row, 2 * i] & 0xF0) | (image[row, 2 * i + 1] >> 4)
    return packed


@njit(cache=True, nogil=True)
def paint_map(
    image: NDArray[np.uint8],
    grid: NDArray[np.float32],
    is_head: NDArray[np.bool_],
    colours: NDArray[np.uint8],
    low: float,
    high: float,
    n_contours: int,
    contour_alpha: float,
) -> None:
    """Colour a grid of values and draw antialiased iso-lines over it, in place.

    Parameters
    ----------
    image
        uint8, shape (side, side, 3).
    grid
        float32, shape (side, side), defined on the head and one pixel around it.
    is_head
        bool, shape (side, side): pixels to paint.
    colours
        uint8, shape (256, 3).
    low, high
        Ends of the colour scale.
    n_contours
        Iso-lines, evenly spaced between the ends.
    contour_alpha
        How much an iso-line darkens.
    """
    side = grid.shape[0]
    to_shade = 256.0 / (high - low)
    to_level = (n_contours + 1) / (high - low)
    for i in range(1, side - 1):
        for j in range(1, side - 1):
            if not is_head[i, j]:
                continue
            value = grid[i, j]
            shade = min(max(int((value - low) * to_shade), 0), 255)
            slope_x = (grid[i, j + 1] - grid[i, j - 1]) * 0.5
            slope_y = (grid[i + 1, j] - grid[i - 1, j]) * 0.5
            slope = math.sqrt(slope_x * slope_x + slope_y * slope_y) * to_level
            level = (value - low) * to_level
            nearest = math.floor(level + 0.5)
            light = 1.0
            if 1.0 <= nearest <= n_contours and slope > 0.0:
                distance_px = abs(level - nearest) / slope
                if distance_px < 1.0:
                    light = 1.0 - contour_alpha * (1.0 - distance_px)
            for c in range(3):
                image[i, j, c] = int(colours[shade, c] * light + 0.5)
