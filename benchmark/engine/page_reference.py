"""A slow, independent drawing of the page, against which the fast raster's quality is measured.

Traces are stroked by Agg, matplotlib's rasteriser, at eight times the size and averaged down; only
the ordinates are shared with :mod:`detectors.pages.page`. Timings are in :mod:`benchmark.engine.bench`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.pages.geometry import PageGeometry
from detectors.types import SEGMENT_S, SFREQ_HZ

SUPERSAMPLING = 8
_STRIP_PX = 56
"""Width drawn at a time; keeps the oversized canvas near 12 MB."""


@dataclass(frozen=True, slots=True)
class PlotBox:
    """The part of a page that holds traces, as slices of the image."""

    rows: slice
    columns: slice


def plot_box(geometry: PageGeometry) -> PlotBox:
    """Return the trace area of a page."""
    style = geometry.style
    return PlotBox(
        slice(style.plot_top_px, style.plot_bottom_px), slice(style.gutter_px, style.width_px)
    )


def reference_traces(
    y_px: NDArray[np.float32], geometry: PageGeometry, supersampling: int = SUPERSAMPLING
) -> NDArray[np.float64]:
    """Draw grid and traces at many times the size and average down.

    Parameters
    ----------
    y_px
        Ordinates of the traces, shape (n_rows, n_times), as
        :func:`detectors.pages.page.trace_ordinates` gives them.
    geometry
        The page's geometry.
    supersampling
        How many times larger to draw, in both directions.

    Returns
    -------
    grey : float64
        The plot box alone, 0 black to 255 white.
    """
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.path import Path as AggPath

    style = geometry.style
    box = plot_box(geometry)
    width, height = style.width_px - style.gutter_px, style.plot_bottom_px - style.plot_top_px
    x_px = np.arange(y_px.shape[1]) * style.px_per_s / SFREQ_HZ
    out = np.empty((height, width))
    for left in range(0, width, _STRIP_PX):
        columns = min(_STRIP_PX, width - left)
        canvas = RendererAgg(columns * supersampling, height * supersampling, 72)
        canvas.clear()
        pen = canvas.new_gc()
        pen.set_antialiased(True)
        pen.set_snap(False)
        pen.set_joinstyle("round")
        pen.set_capstyle("round")
        pen.set_linewidth(style.line_px * supersampling)
        pen.set_foreground((0.0, 0.0, 0.0))
        for y in y_px:
            up = height - (y - box.rows.start)  # Agg's origin is at the bottom
            path = AggPath(np.column_stack([x_px - left, up]) * supersampling)
            path.should_simplify = False
            canvas.draw_path(pen, path, _identity())
        ink = np.asarray(canvas.buffer_rgba())[..., 3] / 255.0
        shape = (height, supersampling, columns, supersampling)
        out[:, left : left + columns] = ink.reshape(shape).mean(axis=(1, 3))
    return (1.0 - out) * _grid(geometry, height, width)


def _identity() -> object:
    from matplotlib.transforms import IdentityTransform

    return IdentityTransform()


def _grid(geometry: PageGeometry, height: int, width: int) -> NDArray[np.float64]:
    grid = np.full((height, width), 255.0)
    for second in range(SEGMENT_S + 1):
        x = round(geometry.time_to_x(second)) - geometry.style.gutter_px
        grid[:, max(x - 1, 0) : min(x + 1, width)] = geometry.style.grid_level
    return grid


def psnr_db(image: NDArray[np.uint8], reference: NDArray[np.float64]) -> float:
    """Peak signal-to-noise ratio of a picture against its reference, peak 255.

    Parameters
    ----------
    image, reference
        Same shape.

    Returns
    -------
    float
        In dB; infinite where both are equal.
    """
    error = float(np.mean((image.astype(np.float64) - reference) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))
