"""Compiled inner loops of the pictures: stroke coverage, nibble packing, map painting.

Only arithmetic lives here; geometry and style are in :mod:`detectors.page` and
:mod:`detectors.topomap`, which import this module inside functions because numba is heavy.
Floating point is kept strict (no ``fastmath``), so results do not depend on the compiler's taste.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def _disc_plan(
    n_lines: int, n_sub: int, n_points: int, dx: float, radius: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return, per point, the first vertical line its disc reaches and the disc's half heights.

    It depends on the time grid only, so it is made once and serves every trace. A half height of
    -1 ends the list of a point.
    """
    width = int(2 * radius * n_sub) + 2
    first = np.empty(n_points, dtype=np.int64)
    half = np.full((n_points, width), -1.0)
    for i in range(n_points):
        first[i] = max(math.ceil((i * dx - radius) * n_sub - 0.5), 0)
        for j in range(width):
            d = (first[i] + j + 0.5) / n_sub - i * dx
            if d <= radius and first[i] + j < n_lines:
                half[i, j] = math.sqrt(max(radius * radius - d * d, 0.0))
    return first, half


@njit(cache=True, nogil=True)
def _stroke_spans(
    y: NDArray[np.float64],
    dx: float,
    radius: float,
    n_sub: int,
    first: NDArray[np.int64],
    half: NDArray[np.float64],
    top: NDArray[np.float64],
    bottom: NDArray[np.float64],
) -> None:
    """Fill top and bottom of a polyline dilated by a disc, on every vertical line.

    The dilated graph of a continuous function is one interval per line. Its ends come from a disc
    at a vertex, or from inside a piece: on ``y + s*d`` the disc's edge ``sqrt(r^2 - d^2)`` adds up
    to its largest value at ``d = r*s/sqrt(1+s^2)`` (the lean), ``r*sqrt(1+s^2)`` (the reach) away.
    """
    last = top.size - 1
    top[:], bottom[:] = 1e9, -1e9
    for i in range(y.size):
        for j in range(half.shape[1]):
            h = half[i, j]
            if h < 0.0:
                break
            line = first[i] + j
            bottom[line] = max(bottom[line], y[i] + h)
            top[line] = min(top[line], y[i] - h)
    for i in range(y.size - 1):
        slope = (y[i + 1] - y[i]) / dx
        root = math.sqrt(1.0 + slope * slope)
        lean, reach = radius * slope / root, radius * root
        left, origin = i * dx, y[i] - slope * i * dx
        a = max(math.ceil((left - lean) * n_sub - 0.5), 0)
        b = min(math.floor((left + dx - lean) * n_sub - 0.5), last)
        for line in range(a, b + 1):
            bottom[line] = max(bottom[line], origin + slope * (line + 0.5) / n_sub + reach)
        a = max(math.ceil((left + lean) * n_sub - 0.5), 0)
        b = min(math.floor((left + dx + lean) * n_sub - 0.5), last)
        for line in range(a, b + 1):
            top[line] = min(top[line], origin + slope * (line + 0.5) / n_sub - reach)


@njit(cache=True, nogil=True)
def _add_span(cover: NDArray[np.float32], top: float, bottom: float) -> None:
    i, j = int(top), int(bottom)
    if i == j:
        cover[i] += bottom - top
        return
    cover[i] += i + 1 - top
    for p in range(i + 1, j):
        cover[p] += 1.0
    cover[j] += bottom - j


@njit(cache=True, nogil=True)
def draw_traces(
    image: NDArray[np.uint8],
    rows_y: NDArray[np.float64],
    x0: int,
    dx: float,
    radius: float,
    n_sub: int,
    y_min: float,
    y_max: float,
) -> None:
    """Darken an image by antialiased strokes along polylines that are functions of x, in place.

    Vertical coverage is exact on ``n_sub`` lines per pixel column (``performance.md`` 6).

    Parameters
    ----------
    image
        uint8, shape (height, width); traces are black.
    rows_y
        Pixel ordinates, shape (n_rows, n_points); point i lies at ``x0 + i*dx``.
    x0, dx
        Left edge and spacing in pixels; pixel p covers ``[p, p+1)``.
    radius
        Half the line width in pixels.
    n_sub
        Sub-columns per pixel.
    y_min, y_max
        Strokes are cut to this range.
    """
    n_rows, n_points = rows_y.shape
    n_columns = min(image.shape[1] - x0, math.ceil((n_points - 1) * dx + radius))
    n_lines = n_columns * n_sub
    first, half = _disc_plan(n_lines, n_sub, n_points, dx, radius)
    top, bottom = np.empty(n_lines), np.empty(n_lines)
    cover = np.zeros(image.shape[0] + 1, dtype=np.float32)
    for row in range(n_rows):
        _stroke_spans(rows_y[row], dx, radius, n_sub, first, half, top, bottom)
        for column in range(n_columns):
            low, high = 1e9, -1e9
            for line in range(column * n_sub, (column + 1) * n_sub):
                t, b = max(top[line], y_min), min(bottom[line], y_max)
                if t < b:
                    _add_span(cover, t, b)
                    low, high = min(low, t), max(high, b)
            for p in range(int(max(low, 0.0)), int(high) + 1):
                white = 1.0 - cover[p] / n_sub
                image[p, x0 + column] = int(image[p, x0 + column] * white + 0.5)
                cover[p] = 0.0


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
