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

_FAR = np.float32(1e9)


@njit(cache=True, nogil=True)
def _disc_plan(
    n_lines: int, n_sub: int, n_points: int, dx: float, radius: float
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Return what each vertical line has within a disc's reach, shape (n_near, n_lines) each.

    The nearest points, the disc's half height at them (far below zero where out of reach), and
    how far right of them the line lies. It depends on the time grid only and serves every trace.
    """
    n_near = int(2 * radius / dx) + 2
    near = np.empty((n_near, n_lines), dtype=np.int32)
    half = np.full((n_near, n_lines), -_FAR)
    beyond = np.empty((n_near, n_lines), dtype=np.float32)
    for line in range(n_lines):
        x = (line + 0.5) / n_sub
        first = min(max(math.floor((x - radius) / dx), 0), n_points - n_near)
        for j in range(n_near):
            d = x - (first + j) * dx
            near[j, line] = first + j
            beyond[j, line] = d
            if abs(d) <= radius:
                half[j, line] = math.sqrt(radius * radius - d * d)
    return near, half, beyond


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
    slope: NDArray[np.float32],
    lean: NDArray[np.float32],
    reach: NDArray[np.float32],
    near: NDArray[np.int32],
    half: NDArray[np.float32],
    beyond: NDArray[np.float32],
    top: NDArray[np.float32],
    bottom: NDArray[np.float32],
) -> None:
    """Fill top and bottom of a polyline dilated by a disc, on every vertical line.

    The dilated graph of a continuous function is one interval per line; each end comes from a disc
    at a point or from inside a piece. Without branches, so that lines are done several at a time.
    """
    zero = np.float32(0.0)
    top[:], bottom[:] = _FAR, -_FAR
    for j in range(near.shape[0]):
        for line in range(top.size):
            # everything is loaded first: a load inside a condition would be a branch
            i, d, h = near[j, line], beyond[j, line], half[j, line]
            at, along, out = y[i], lean[i], reach[i]
            here, fall, rise = at + slope[i] * d, d + along, d - along
            low = here + out if (fall >= zero) & (fall <= dx) else -_FAR
            high = here - out if (rise >= zero) & (rise <= dx) else _FAR
            bottom[line] = max(bottom[line], max(at + h, low))
            top[line] = min(top[line], min(at - h, high))


@njit(cache=True, nogil=True)
def _blend_column(
    image: NDArray[np.uint8],
    column: int,
    top: NDArray[np.float32],
    bottom: NDArray[np.float32],
    first: int,
    n_sub: int,
    y_min: np.float32,
    y_max: np.float32,
) -> None:
    """Darken one pixel column by the mean vertical coverage of its ``n_sub`` lines."""
    zero, one = np.float32(0.0), np.float32(1.0)
    share = one / np.float32(n_sub)
    low, high = y_max, y_min
    for k in range(first, first + n_sub):
        top[k] = min(max(top[k], y_min), y_max)
        bottom[k] = min(max(bottom[k], y_min), y_max)
        low, high = min(low, top[k]), max(high, bottom[k])
    for p in range(int(low), math.ceil(high)):
        upper, lower, cover = np.float32(p), np.float32(p + 1), zero
        for k in range(first, first + n_sub):
            cover += max(min(bottom[k], lower) - max(top[k], upper), zero)
        grey = np.float32(image[p, column]) * (one - cover * share)
        image[p, column] = np.uint8(grey + np.float32(0.5))


@njit(cache=True, nogil=True)
def draw_traces(
    image: NDArray[np.uint8],
    rows_y: NDArray[np.float32],
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
        Pixel ordinates, float32, shape (n_rows, n_points); point i lies at ``x0 + i*dx``.
    x0, dx
        Left edge and spacing in pixels; pixel p covers ``[p, p+1)``.
    radius
        Half the line width in pixels.
    n_sub
        Lines per pixel column.
    y_min, y_max
        Strokes are cut to this range.
    """
    n_rows, n_points = rows_y.shape
    n_columns = min(image.shape[1] - x0, math.ceil((n_points - 1) * dx + radius))
    n_lines = n_columns * n_sub
    near, half, beyond = _disc_plan(n_lines, n_sub, n_points, dx, radius)
    top, bottom = np.empty(n_lines, dtype=np.float32), np.empty(n_lines, dtype=np.float32)
    slope = np.empty(n_points, dtype=np.float32)
    lean, reach = np.empty_like(slope), np.empty_like(slope)
    step, r, low, high = np.float32(dx), np.float32(radius), np.float32(y_min), np.float32(y_max)
    for row in range(n_rows):
        y = rows_y[row]
        _fill_pieces(y, step, r, slope, lean, reach)
        _stroke_spans(y, step, slope, lean, reach, near, half, beyond, top, bottom)
        for column in range(n_columns):
            _blend_column(image, x0 + column, top, bottom, column * n_sub, n_sub, low, high)


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
