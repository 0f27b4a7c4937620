"""The small picture a small model is shown: eight head maps of a page, 112 x 56 pixels.

A model of a few hundred thousand weights that begins from random, on a CPU, in minutes, does not
learn to read the clinical page of 1288 x 896 pixels. This picture holds the same ten seconds in 8
image tokens, each the head seen from above in one frequency band, nose up, left ear left: red is
the band's largest amplitude, green what a quarter of the page exceeds, blue what half of it does.
Something brief is red alone, a rhythm is white, and the side of either is where it lies in the
token. Interpolation is that of the engine's maps (:mod:`detectors.signal.scalp`). Pages for people
and for full-size models are :mod:`detectors.pages.page`.
"""

from __future__ import annotations

import functools
import io

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from detectors.signal.scalp import electrode_positions, interpolation_matrix
from detectors.types import N_TIMES, SEGMENT_S, SFREQ_HZ

MAP_PX = 28
"""One image token of Qwen2.5-VL, so that nothing is rescaled and no map is cut."""
N_ROWS, N_COLUMNS = 2, 4
WIDTH_PX, HEIGHT_PX = N_COLUMNS * MAP_PX, N_ROWS * MAP_PX
GROUND_GREY = 90
"""Grey of no activity: a typical picture then has the mean grey the model's image processor takes
away. On black, one direction common to all patches drowned the differences (measured: learning
took twice the steps)."""

BANDS = (
    (0.5, 4.0, 250.0), (4.0, 8.0, 60.0), (8.0, 13.0, 50.0), (11.0, 16.0, 40.0),
    (14.0, 25.0, 30.0), (25.0, 45.0, 50.0), (45.0, 95.0, 60.0), (0.5, 95.0, 300.0),
)  # fmt: skip
"""Low and high edge, Hz, and amplitude of full scale, uV, of each map, row by row."""

_PIECE_SAMPLES = SFREQ_HZ // 4
"""An amplitude is the largest deflection of a quarter of a second: half a cycle of delta."""
_LEVELS = (1.0, 0.75, 0.5)
"""Quantiles over the pieces of a page: red, green, blue."""


def head_maps(data_uv: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Draw a segment.

    Parameters
    ----------
    data_uv
        float32, shape (19, 2000), canonical order, microvolts.

    Returns
    -------
    uint8, shape (56, 112, 3)
    """
    spectrum = scipy.fft.rfft(np.asarray(data_uv, dtype=np.float32), axis=-1)
    maps = []
    for low_hz, high_hz, full_uv in BANDS:
        band_uv = scipy.fft.irfft(spectrum * _gain(low_hz, high_hz), N_TIMES, axis=-1)
        pieces_uv = np.abs(band_uv).reshape(len(band_uv), -1, _PIECE_SAMPLES).max(axis=-1)
        levels_uv = np.quantile(pieces_uv, _LEVELS, axis=-1).T
        # the root keeps a background of 10 uV visible beside events of hundreds
        shown = np.sqrt(np.clip(levels_uv / full_uv, 0, 1))
        maps.append(GROUND_GREY + (255 - GROUND_GREY) * (_spread() @ shown))
    grid = np.array(maps).reshape(N_ROWS, N_COLUMNS, MAP_PX, MAP_PX, 3)
    picture = grid.swapaxes(1, 2).reshape(HEIGHT_PX, WIDTH_PX, 3)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def picture_png(picture: NDArray[np.uint8]) -> bytes:
    """Return a picture as PNG; the same pixels give the same bytes."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def blank_png() -> bytes:
    """Return the white picture the twin is shown instead of every page."""
    return picture_png(np.full((HEIGHT_PX, WIDTH_PX, 3), 255, dtype=np.uint8))


@functools.cache
def _gain(low_hz: float, high_hz: float) -> NDArray[np.float32]:
    freqs_hz = np.arange(N_TIMES // 2 + 1) / SEGMENT_S
    return ((freqs_hz >= low_hz) & (freqs_hz < high_hz)).astype(np.float32)


@functools.cache
def _spread() -> NDArray[np.float32]:
    """Matrix from electrodes to the pixels of a map, shape (784, 19); nothing outside the head."""
    axis = (np.arange(MAP_PX) + 0.5) * (2 / MAP_PX) - 1
    x, y = np.meshgrid(axis, -axis)
    is_head = np.hypot(x, y).ravel() <= 1.0
    points = np.column_stack([x.ravel(), y.ravel()])
    matrix = np.zeros((MAP_PX * MAP_PX, len(electrode_positions())), dtype=np.float32)
    matrix[is_head] = interpolation_matrix(points[is_head], electrode_positions())
    return matrix
