"""The scalp topographic map: one value per electrode, spread over a head seen from above.

A map is a pure function of values, mask and style: same input, same bytes. Nose up, left ear left.
Missing electrodes take no part and are crossed out. Positions and the interpolation between them
are in :mod:`detectors.signal.scalp`, letters and colours in :mod:`detectors.pages.glyphs`, the file format in
:mod:`detectors.pages.png`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detectors.pages.glyphs import colour_map, draw_text
from detectors.pages.png import rgb_png
from detectors.signal.scalp import electrode_positions, head_lines, interpolation_matrix
from detectors.types import CANONICAL19

Scale = Literal["sequential", "diverging"]

_COLOURS: Mapping[Scale, str] = MappingProxyType({"sequential": "viridis", "diverging": "RdBu_r"})

MIN_CHANNELS = 8
"""Fewer electrodes give no map (engineering default)."""


@dataclass(frozen=True, slots=True)
class TopomapStyle:
    """One frozen version of the map's looks; a change of any pixel is a new version.

    Parameters
    ----------
    version
        Name stored with everything made from a map.
    width_px, height_px
        Size, multiples of 28 (Qwen2.5-VL patch 14, merge 2).
    centre_px
        Middle of the head, x and y.
    radius_px
        Head outline.
    n_contours
        Iso-lines between the ends of the scale, as MNE-Python draws them.
    contour_alpha
        Their darkness.
    bar_px
        Colour bar: left, right, top, bottom.
    """

    version: str
    width_px: int = 364
    height_px: int = 280
    centre_px: tuple[float, float] = (140.0, 146.0)
    radius_px: float = 108.0
    n_contours: int = 6
    contour_alpha: float = 0.45
    bar_px: tuple[int, int, int, int] = (286, 302, 66, 226)


TOPOMAP_STYLES: Mapping[str, TopomapStyle] = MappingProxyType({"scalp-1": TopomapStyle("scalp-1")})
"""Every style ever published; entries are added, never edited."""


@functools.lru_cache(maxsize=8)
def _pixel_matrix(
    mask: tuple[bool, ...], style: TopomapStyle
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Matrix of one set of electrodes on the square of pixels around the head, and what is head."""
    side = 2 * int(np.ceil(style.radius_px)) + 4
    axis = (np.arange(side) + 0.5 - side / 2) / style.radius_px
    x, y = np.meshgrid(axis, -axis)
    reach = np.hypot(x, y)
    wanted = reach <= 1 + 2 / style.radius_px  # a rim of two pixels serves the contour slopes
    matrix = np.zeros((side, side, len(CANONICAL19)), dtype=np.float32)
    kept = np.flatnonzero(mask)
    points = np.column_stack([x[wanted], y[wanted]])
    part = np.zeros((len(points), len(CANONICAL19)), dtype=np.float32)
    part[:, kept] = interpolation_matrix(points, electrode_positions()[kept])
    matrix[wanted] = part
    return matrix.reshape(side * side, -1), reach <= 1.0


def scale_limits(values: NDArray[np.float32], scale: Scale) -> tuple[float, float]:
    """Choose the ends of a colour scale.

    Parameters
    ----------
    values
        Values of recorded electrodes, any shape; all maps of a set should share one scale.
    scale
        ``"diverging"``: symmetric about zero. ``"sequential"``: from zero where nothing is
        negative, else from the smallest value.

    Returns
    -------
    low, high : float
        ``low < high`` always.
    """
    largest = float(np.max(values, initial=-np.inf))
    smallest = float(np.min(values, initial=np.inf))
    if scale == "diverging":
        high = max(abs(largest), abs(smallest))
        low = -high
    else:
        low, high = min(smallest, 0.0) if smallest >= 0 else smallest, largest
        low = min(low, high)
    return (low, high) if high > low else (low, low + 1.0)


def render_topomaps(
    values: NDArray[np.float32],
    mask: NDArray[np.bool_],
    *,
    style: TopomapStyle = TOPOMAP_STYLES["scalp-1"],
    scale: Scale = "sequential",
    unit: str = "\u00b5V\u00b2",
    label: str = "",
    limits: tuple[float, float] | None = None,
) -> NDArray[np.uint8]:
    """Draw several maps that share one set of electrodes.

    Parameters
    ----------
    values
        float32, shape (n_maps, 19), canonical order.
    mask
        bool, shape (19,), True where the electrode was recorded.
    style
        A style of :data:`TOPOMAP_STYLES`.
    scale
        ``"sequential"`` for powers, ``"diverging"`` for potentials.
    unit
        Written above the colour bar.
    label
        Written above the head, for example ``alpha power, average reference``.
    limits
        Ends of the colour scale for all maps; None scales each map by :func:`scale_limits`.

    Returns
    -------
    images : uint8, shape (n_maps, 280, 364, 3)

    Raises
    ------
    ValueError
        If a shape is not as above, fewer than :data:`MIN_CHANNELS` electrodes were recorded, a
        recorded value is not finite, or the limits are not increasing.
    """
    from detectors.pages._picture_kernels import paint_map

    _check(values, mask, limits)
    recorded = tuple(mask.tolist())
    matrix, is_head = _pixel_matrix(recorded, style)
    grids = np.where(mask, values, np.float32(0)).astype(np.float32) @ matrix.T
    colours = colour_map(_COLOURS[scale])
    side = is_head.shape[0]
    left, top = (round(c - side / 2) for c in style.centre_px)
    images = np.empty((len(values), style.height_px, style.width_px, 3), dtype=np.uint8)
    for image, grid, row in zip(images, grids, values, strict=True):
        low, high = limits or scale_limits(row[mask], scale)
        image[...] = _canvas(style, scale, unit, label)
        paint_map(
            image[top : top + side, left : left + side], grid.reshape(side, side), is_head,
            colours, low, high, style.n_contours, style.contour_alpha,
        )  # fmt: skip
        _draw_overlay(image, recorded, style)
        _draw_limits(image, style, low, high)
    return images


def _check(
    values: NDArray[np.float32], mask: NDArray[np.bool_], limits: tuple[float, float] | None
) -> None:
    n_channels = len(CANONICAL19)
    if values.ndim != 2 or values.shape[1] != n_channels or mask.shape != (n_channels,):
        raise ValueError(
            f"values have shape {values.shape} and mask {mask.shape}; expected (n, {n_channels}) "
            f"and ({n_channels},): maps need the referential schema"
        )
    if int(mask.sum()) < MIN_CHANNELS:
        raise ValueError(
            f"{int(mask.sum())} electrodes were recorded; a map needs at least {MIN_CHANNELS}"
        )
    if not np.isfinite(values[:, mask]).all():
        raise ValueError("a recorded electrode has a value that is not finite; mask it out first")
    if limits is not None and not limits[0] < limits[1]:
        raise ValueError(f"limits {limits} are not increasing; give (low, high) with low < high")


def render_topomap(
    values: NDArray[np.float32],
    mask: NDArray[np.bool_],
    *,
    style: TopomapStyle = TOPOMAP_STYLES["scalp-1"],
    scale: Scale = "sequential",
    unit: str = "\u00b5V\u00b2",
    label: str = "",
    limits: tuple[float, float] | None = None,
) -> NDArray[np.uint8]:
    """Draw one map; see :func:`render_topomaps`.

    Parameters
    ----------
    values
        float32, shape (19,).
    mask, style, scale, unit, label, limits
        As in :func:`render_topomaps`.

    Returns
    -------
    image : uint8, shape (280, 364, 3)
    """
    return render_topomaps(
        np.asarray(values)[None], mask, style=style, scale=scale, unit=unit, label=label,
        limits=limits,
    )[0]  # fmt: skip


def topomap_png(image: NDArray[np.uint8]) -> bytes:
    """Encode a map as 24-bit PNG, losslessly and deterministically."""
    return rgb_png(image)


@functools.lru_cache(maxsize=32)
def _canvas(style: TopomapStyle, scale: Scale, unit: str, label: str) -> NDArray[np.uint8]:
    """Draw what all maps of a kind share: white, colour bar, words."""
    image = np.full((style.height_px, style.width_px, 3), 255, dtype=np.uint8)
    left, right, top, bottom = style.bar_px
    shade = (np.arange(bottom - top) + 0.5) / (bottom - top) * 256
    image[top - 1 : bottom + 1, left - 1 : right + 1] = 0
    image[top:bottom, left:right] = colour_map(_COLOURS[scale])[255 - shade.astype(int)][:, None]
    draw_text(image, unit, x_px=left, y_px=top - 14, size_px=14)
    draw_text(image, label, x_px=style.centre_px[0], y_px=10, size_px=14, anchor="centre")
    draw_text(
        image, "nose up, extrapolated to the head edge", x_px=style.centre_px[0],
        y_px=style.height_px - 9, size_px=11, ink=(90, 90, 90), anchor="centre",
    )  # fmt: skip
    image.setflags(write=False)
    return image


def _draw_limits(image: NDArray[np.uint8], style: TopomapStyle, low: float, high: float) -> None:
    _, right, top, bottom = style.bar_px
    for value, y in ((high, top), ((low + high) / 2, (top + bottom) / 2), (low, bottom)):
        text = f"{value:.3g}".replace("-", "\u2212")
        draw_text(image, text, x_px=right + 5, y_px=y, size_px=14)


def _draw_overlay(image: NDArray[np.uint8], mask: tuple[bool, ...], style: TopomapStyle) -> None:
    from detectors.pages._picture_kernels import blend_pixels

    blend_pixels(image, *_overlay(mask, style))


@functools.lru_cache(maxsize=64)
def _overlay(
    mask: tuple[bool, ...], style: TopomapStyle
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32], NDArray[np.float32]]:
    """Outline and electrodes as pixels to blend: rows, columns, what stays, what is added."""
    shape = (style.height_px, style.width_px)
    dark, red = np.zeros(shape), np.zeros(shape)
    for line in head_lines():
        dark = np.maximum(dark, _stroke(line, style, 2.0))
    for (x, y), is_recorded in zip(electrode_positions(), mask, strict=True):
        spot = np.array([[x, y], [x, y]])
        if is_recorded:
            dark = np.maximum(dark, _stroke(spot, style, 5.0))
        else:
            arm = 5.0 / style.radius_px
            for sign in (-1, 1):
                cross = np.array([[x - arm, y - sign * arm], [x + arm, y + sign * arm]])
                red = np.maximum(red, _stroke(cross, style, 2.2))
    rows, columns = np.nonzero((dark > 0) | (red > 0))
    d, r = dark[rows, columns, None], red[rows, columns, None]
    keep = (1 - d) * (1 - r)
    ink = r * np.array([[200.0, 30.0, 30.0]]) + 0.5
    return rows, columns, keep.astype(np.float32), ink.astype(np.float32)


def _stroke(line: NDArray[np.float64], style: TopomapStyle, width_px: float) -> NDArray[np.float64]:
    """Coverage of a round-ended stroke along a polyline, over the whole picture."""
    centre = np.asarray(style.centre_px)
    points = centre + line * np.array([1.0, -1.0]) * style.radius_px
    x, y = np.meshgrid(np.arange(style.width_px) + 0.5, np.arange(style.height_px) + 0.5)
    nearest = np.full(x.shape, np.inf)
    for (ax, ay), (bx, by) in itertools.pairwise(points):
        length2 = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-12)
        along = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length2, 0, 1)
        nearest = np.minimum(
            nearest, np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay))
        )
    return np.clip(width_px / 2 + 0.5 - nearest, 0, 1)
