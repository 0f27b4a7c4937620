"""Compiled inner loops around the pictures: packing scan lines for PNG, painting maps.

Only arithmetic lives here; the file format is in :mod:`detectors.pages.png`, maps are in
:mod:`detectors.pages.topomap`, strokes of the page in :mod:`detectors.pages._page_kernels`. Imported
inside functions because numba is heavy. Floating point is kept strict (no ``fastmath``).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def pack_nibbles(image: NDArray[np.uint8], packed: NDArray[np.uint8]) -> None:
    """Pack grey levels to PNG scan lines of 4 bits a pixel, filter byte 0 first.

    Parameters
    ----------
    image
        uint8, shape (height, width), width even; rounded to the nearest of 16 levels.
    packed
        Output, uint8, shape (height, 1 + width // 2).
    """
    half, most = np.uint16(127), np.uint16(255)
    for row in range(image.shape[0]):
        packed[row, 0] = 0
        for i in range(image.shape[1] // 2):
            left, right = np.uint16(image[row, 2 * i]), np.uint16(image[row, 2 * i + 1])
            left = (left * np.uint16(15) + half) // most
            right = (right * np.uint16(15) + half) // most
            packed[row, 1 + i] = left << np.uint16(4) | right


@njit(cache=True, nogil=True, error_model="numpy")
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
            nearest = math.floor((value - low) * to_level + 0.5)
            light = 1.0
            if 1.0 <= nearest <= n_contours:
                away = abs((value - low) * to_level - nearest)
                slope_x = (grid[i, j + 1] - grid[i, j - 1]) * 0.5
                slope_y = (grid[i + 1, j] - grid[i - 1, j]) * 0.5
                # most pixels are further from a line than even the sum of both slopes reaches
                if away < (abs(slope_x) + abs(slope_y)) * to_level:
                    slope = math.sqrt(slope_x * slope_x + slope_y * slope_y) * to_level
                    distance_px = away / slope
                    if distance_px < 1.0:
                        light = 1.0 - contour_alpha * (1.0 - distance_px)
            if light == 1.0:
                for c in range(3):
                    image[i, j, c] = colours[shade, c]
            else:
                for c in range(3):
                    image[i, j, c] = int(colours[shade, c] * light + 0.5)


@njit(cache=True, nogil=True)
def blend_pixels(
    image: NDArray[np.uint8],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    keep: NDArray[np.float32],
    ink: NDArray[np.float32],
) -> None:
    """Blend listed pixels, in place.

    Parameters
    ----------
    image
        uint8, shape (height, width, 3).
    rows, columns
        Which pixels, shape (n,).
    keep, ink
        What stays of a pixel, shape (n, 1), and what is added, shape (n, 3).
    """
    for k in range(rows.size):
        for c in range(3):
            before = np.float32(image[rows[k], columns[k], c])
            image[rows[k], columns[k], c] = np.uint8(before * keep[k, 0] + ink[k, c])
