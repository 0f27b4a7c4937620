"""The clinical page: ten seconds of EEG as a reader sees them, drawn to exact pixels.

A page is a pure function of signal, mask, montage and style version: same input, same bytes. It
carries no clock, names or file names and no finding marks, so nothing leaks into a training
picture; marks for review are put on a copy in :mod:`detectors.pages.overlay`. Pixel geometry
is in :mod:`detectors.pages.geometry`, what a page shows before any trace in
:mod:`detectors.pages.paper`, the stroke arithmetic in :mod:`detectors.pages._page_kernels`, the file
format in :mod:`detectors.pages.png`, the waveform detector's own raster in ``detectors.waveform``.

Conventions (ACNS guidelines 1 and 3): 30 mm/s, 7 uV/mm, 0.5-70 Hz, negative up, left before right
and front to back, one-second grid lines, no horizontal grid; longitudinal bipolar (LB-18.1) unless
another montage is asked for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.montage import (
    average_reference,
    longitudinal_bipolar,
    rows_of,
    transverse_bipolar,
)
from detectors.pages.geometry import (
    PAGE_MONTAGES,
    PAGE_STYLES,
    PageGeometry,
    PageStyle,
    page_geometry,
    page_montage,
)
from detectors.pages.paper import blank_page
from detectors.pages.png import grey4_png, scratch_bytes
from detectors.types import N_TIMES, SFREQ_HZ, ChannelSchema


def page_rows(
    data_uv: NDArray[np.float32],
    mask: NDArray[np.bool_],
    schema: ChannelSchema,
    montage: str = "longitudinal_bipolar",
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Bring a segment into the rows of its page.

    Parameters
    ----------
    data_uv, mask, schema, montage
        As in :func:`render_page`.

    Returns
    -------
    rows_uv : float32, shape (n_rows, N_TIMES)
        Unfiltered rows; those not recorded are zero.
    rows_mask : bool, shape (n_rows,)
        A derivation is recorded where both its electrodes are.
    """
    return _MONTAGE_ROWS[page_montage(schema, montage)](data_uv, mask)


_Rows = tuple[NDArray[np.float32], NDArray[np.bool_]]


def _longitudinal(data_uv: NDArray[np.float32], mask: NDArray[np.bool_]) -> _Rows:
    rows_uv, rows_mask = longitudinal_bipolar(data_uv[None], mask[None])
    return rows_uv[0], rows_mask[0]


def _transverse(data_uv: NDArray[np.float32], mask: NDArray[np.bool_]) -> _Rows:
    rows_uv, rows_mask = transverse_bipolar(data_uv[None], mask[None])
    return rows_uv[0], rows_mask[0]


def _referential(data_uv: NDArray[np.float32], mask: NDArray[np.bool_]) -> _Rows:
    order = rows_of(*(name for b in PAGE_MONTAGES["average_reference"].blocks for name in b))
    return average_reference(data_uv[None], mask[None])[0][order], mask[order]


def _as_recorded(data_uv: NDArray[np.float32], mask: NDArray[np.bool_]) -> _Rows:
    return data_uv, mask


_MONTAGE_ROWS: Mapping[str, Callable[[NDArray[np.float32], NDArray[np.bool_]], _Rows]] = {
    "longitudinal_bipolar": _longitudinal,
    "transverse_bipolar": _transverse,
    "average_reference": _referential,
    "as_recorded": _as_recorded,
}


@functools.lru_cache(maxsize=8)
def _display_gain(style: PageStyle) -> NDArray[np.float32]:
    freq_hz = np.arange(N_TIMES) * SFREQ_HZ / (2 * N_TIMES)

    def rise(edges_hz: tuple[float, float]) -> NDArray[np.float64]:
        part = np.clip((freq_hz - edges_hz[0]) / (edges_hz[1] - edges_hz[0]), 0, 1)
        return 0.5 - 0.5 * np.cos(np.pi * part)

    return (rise(style.highpass_hz) * (1 - rise(style.lowpass_hz))).astype(np.float32)


@functools.cache
def _slow_curves() -> NDArray[np.float32]:
    """Orthonormal polynomials of degree 0 to 3 over a segment, shape (N_TIMES, 4)."""
    powers = np.linspace(-1, 1, N_TIMES)[:, None] ** np.arange(4)
    return np.linalg.qr(powers)[0].astype(np.float32)


def display_filter(rows_uv: NDArray[np.float32], style: PageStyle) -> NDArray[np.float32]:
    """Remove drift and the highest frequencies for display.

    Zero-phase, in two linear steps: the best cubic is taken off (below 0.2 Hz over 10 s), so that
    slopes at the ends do not ring; then cosine coefficients (DCT-II) are multiplied by a
    raised-cosine gain, half amplitude at 0.5 and 70 Hz. The stored signal is never touched.

    Parameters
    ----------
    rows_uv
        float32, shape (n_rows, N_TIMES).
    style
        Names the band.

    Returns
    -------
    shown_uv : float32, same shape
    """
    from scipy.fft import dct, idct

    curves = _slow_curves()
    # one array serves every step: fresh memory would cost as much as the transforms
    drift = (rows_uv @ curves) @ curves.T
    level = np.subtract(rows_uv, drift, out=drift)
    spectrum = dct(level, type=2, norm="ortho", axis=-1, overwrite_x=True)
    spectrum *= _display_gain(style)
    shown: NDArray[np.float32] = idct(spectrum, type=2, norm="ortho", axis=-1, overwrite_x=True)
    return shown


def trace_ordinates(
    shown_uv: NDArray[np.float32], geometry: PageGeometry
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Turn display voltages into pixel ordinates.

    Parameters
    ----------
    shown_uv
        float32, shape (n_rows, N_TIMES).
    geometry
        The page's geometry.

    Returns
    -------
    y_px : float32, shape (n_rows, N_TIMES)
        Clipped to each row's limits and rounded to 1/256 px, so that the last bit of a transform
        does not reach the picture.
    is_clipped : bool, same shape
    """
    from detectors.pages._page_kernels import place_traces

    style = geometry.style
    limits = np.array([geometry.limits_px(row) for row in range(len(geometry.rows))], np.float32)
    radius = np.float32(style.line_px / 2)
    baselines = np.asarray(geometry.baselines_px, np.float32)
    y = np.empty(shown_uv.shape, dtype=np.float32)
    is_clipped = np.empty(shown_uv.shape, dtype=np.bool_)
    gain = np.float32(256 / style.uv_per_px)
    low, high = limits[:, 0] + radius, limits[:, 1] - radius
    place_traces(shown_uv, gain, baselines, low, high, y, is_clipped)
    return y, is_clipped


def _recorded_rows(
    data_uv: NDArray[np.float32], mask: NDArray[np.bool_], schema: ChannelSchema, montage: str
) -> _Rows:
    """Return the recorded rows of a page, checked, and which rows those are."""
    expected = (len(schema.ch_names), N_TIMES)
    if data_uv.shape != expected or mask.shape != expected[:1]:
        raise ValueError(
            f"data_uv has shape {data_uv.shape} and mask {mask.shape}; expected {expected} and "
            f"{expected[:1]} for schema {schema.name!r}"
        )
    rows_uv, rows_mask = page_rows(data_uv, mask, schema, montage)
    if not rows_mask.all():
        rows_uv = rows_uv[rows_mask]
    if not np.isfinite(rows_uv).all():
        raise ValueError("data_uv has samples that are not finite; set the segment aside first")
    return rows_uv, rows_mask


def page_traces(
    data_uv: NDArray[np.float32],
    mask: NDArray[np.bool_],
    schema: ChannelSchema,
    *,
    montage: str = "longitudinal_bipolar",
    style: PageStyle = PAGE_STYLES["clinical-2"],
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Say where every sample of a page is drawn: the middle of the stroke, exactly.

    Parameters
    ----------
    data_uv, mask, schema, montage, style
        As in :func:`render_page`.

    Returns
    -------
    x_px : float64, shape (N_TIMES,)
    y_px : float32, shape (n_rows, N_TIMES)
        Rows of :func:`page_geometry`; NaN where a row was not recorded.

    Raises
    ------
    ValueError
        As :func:`render_page`.
    """
    geometry = page_geometry(schema, montage, style)
    rows_uv, rows_mask = _recorded_rows(data_uv, mask, schema, montage)
    y_px = np.full((len(rows_mask), N_TIMES), np.nan, dtype=np.float32)
    if len(rows_uv):
        seen = _subset(geometry, rows_mask)
        y_px[rows_mask], _ = trace_ordinates(display_filter(rows_uv, style), seen)
    x_px = np.array([geometry.sample_to_x(i) for i in range(N_TIMES)])
    return x_px, y_px


def render_page(
    data_uv: NDArray[np.float32],
    mask: NDArray[np.bool_],
    schema: ChannelSchema,
    *,
    montage: str = "longitudinal_bipolar",
    style: PageStyle = PAGE_STYLES["clinical-2"],
) -> NDArray[np.uint8]:
    """Draw the page of one segment.

    Parameters
    ----------
    data_uv
        float32, shape (n_channels, N_TIMES), in microvolts.
    mask
        bool, shape (n_channels,); rows not recorded get a dotted baseline and a grey label.
    schema
        What the rows are.
    montage
        One of :data:`PAGE_MONTAGES`; bipolar schemas are shown as recorded.
    style
        A style of :data:`PAGE_STYLES`.

    Returns
    -------
    image : uint8, shape (896, 1288)
        Grey levels, all multiples of 17, so the 4-bit file holds exactly this picture.

    Raises
    ------
    ValueError
        If a shape does not fit the schema, a recorded sample is not finite, or the montage is
        unknown.
    """
    from detectors.pages._page_kernels import quantise16

    image = np.empty((style.height_px, style.width_px), dtype=np.uint8)
    _draw_page(image, data_uv, mask, schema, montage, style)
    quantise16(image)
    return image


def render_page_png(
    data_uv: NDArray[np.float32],
    mask: NDArray[np.bool_],
    schema: ChannelSchema,
    *,
    montage: str = "longitudinal_bipolar",
    style: PageStyle = PAGE_STYLES["clinical-2"],
) -> bytes:
    """Draw the page of one segment and encode it, without making the picture for itself.

    Parameters
    ----------
    data_uv, mask, schema, montage, style
        As in :func:`render_page`.

    Returns
    -------
    png : bytes
        Exactly ``page_png(render_page(...))``, in less time: a new picture's memory costs as much
        as the strokes on it.

    Raises
    ------
    ValueError
        As :func:`render_page`.
    """
    canvas = scratch_bytes("canvas", style.height_px * style.width_px)
    image = canvas.reshape(style.height_px, style.width_px)
    _draw_page(image, data_uv, mask, schema, montage, style)
    return grey4_png(image)


def _draw_page(
    image: NDArray[np.uint8],
    data_uv: NDArray[np.float32],
    mask: NDArray[np.bool_],
    schema: ChannelSchema,
    montage: str,
    style: PageStyle,
) -> None:
    """Fill an image with a page in 256 grey levels."""
    from detectors.pages._page_kernels import draw_traces

    geometry = page_geometry(schema, montage, style)
    rows_uv, rows_mask = _recorded_rows(data_uv, mask, schema, montage)
    drawn_montage = page_montage(schema, montage)
    image[...] = blank_page(geometry, tuple(rows_mask.tolist()), drawn_montage)
    if len(rows_uv):
        seen = _subset(geometry, rows_mask)
        y, is_clipped = trace_ordinates(display_filter(rows_uv, style), seen)
        dx = style.px_per_s / SFREQ_HZ
        top, bottom = float(style.plot_top_px), float(style.plot_bottom_px)
        draw_traces(image, y, style.gutter_px, dx, style.line_px / 2, top, bottom)
        mark_clips(image, y, is_clipped, seen)


def _subset(geometry: PageGeometry, rows_mask: NDArray[np.bool_]) -> PageGeometry:
    kept = np.flatnonzero(rows_mask).tolist()
    return PageGeometry(
        geometry.style,
        tuple(geometry.rows[i] for i in kept),
        tuple(geometry.baselines_px[i] for i in kept),
        geometry.spacing_px,
    )


CLIP_MARK_PX = 4
"""Height of the black cap over a clipped stretch."""


def mark_clips(
    image: NDArray[Any],
    y_px: NDArray[np.float32],
    is_clipped: NDArray[np.bool_],
    geometry: PageGeometry,
) -> None:
    """Cap clipped stretches with a black bar at the limit they hit, in place.

    Parameters
    ----------
    image
        A page, shape (height, width), any numeric type; black is 0.
    y_px, is_clipped
        As :func:`trace_ordinates` gives them.
    geometry
        Geometry of the same rows.
    """
    from detectors.pages._page_kernels import cap_clips

    rows = np.flatnonzero(is_clipped.any(axis=1))
    if not rows.size:
        return
    style = geometry.style
    limits = np.array([geometry.limits_px(row) for row in rows.tolist()])
    is_up = y_px[rows] < np.asarray(geometry.baselines_px)[rows, None]
    dx = style.px_per_s / SFREQ_HZ
    whole = np.rint(limits).astype(np.int64)
    cap_clips(image, is_clipped[rows], is_up, whole, style.gutter_px, dx, CLIP_MARK_PX)


def page_png(image: NDArray[np.uint8]) -> bytes:
    """Encode a page as 4-bit grey PNG, exactly and deterministically."""
    return grey4_png(image)
