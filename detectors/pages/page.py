"""The clinical page: ten seconds of EEG as a reader sees them, drawn to exact pixels.

A page is a pure function of signal, mask, montage and style version: same input, same bytes. It
carries no clock, names or file names and no finding marks, so nothing leaks into a training
picture; marks for review are put on a copy in :mod:`detectors.pages.overlay`. Styles and pixel
geometry are in :mod:`detectors.pages.geometry`, letters in :mod:`detectors.pages.glyphs`, the
stroke arithmetic in :mod:`detectors.pages._page_kernels`, the file format in
:mod:`detectors.pages.png`, the waveform detector's own raster in ``detectors.waveform``.

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
from detectors.pages.glyphs import draw_text
from detectors.pages.png import grey4_png
from detectors.types import N_TIMES, SEGMENT_S, SFREQ_HZ, ChannelSchema


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
    spectrum = dct(rows_uv - (rows_uv @ curves) @ curves.T, type=2, norm="ortho", axis=-1)
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
    style = geometry.style
    limits = np.array([geometry.limits_px(row) for row in range(len(geometry.rows))], np.float32)
    radius = np.float32(style.line_px / 2)
    low, high = limits[:, :1] + radius, limits[:, 1:] - radius
    y = shown_uv * np.float32(256 / style.uv_per_px)
    np.rint(y, out=y)
    y *= np.float32(1 / 256)
    y += np.asarray(geometry.baselines_px, np.float32)[:, None]
    clipped = np.clip(y, low, high)
    return clipped, clipped != y


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
    from detectors.pages._page_kernels import draw_traces, quantise16

    geometry = page_geometry(schema, montage, style)
    rows_uv, rows_mask = _recorded_rows(data_uv, mask, schema, montage)
    image = _background(geometry, tuple(rows_mask.tolist()), page_montage(schema, montage)).copy()
    if len(rows_uv):
        seen = _subset(geometry, rows_mask)
        y, is_clipped = trace_ordinates(display_filter(rows_uv, style), seen)
        dx = style.px_per_s / SFREQ_HZ
        top, bottom = float(style.plot_top_px), float(style.plot_bottom_px)
        draw_traces(image, y, style.gutter_px, dx, style.line_px / 2, top, bottom)
        mark_clips(image, y, is_clipped, seen)
    quantise16(image)
    return image


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

    if not is_clipped.any():
        return
    style = geometry.style
    limits = np.array([geometry.limits_px(row) for row in range(len(geometry.rows))])
    is_up = y_px < np.asarray(geometry.baselines_px)[:, None]
    dx = style.px_per_s / SFREQ_HZ
    whole = np.rint(limits).astype(np.int64)
    cap_clips(image, is_clipped, is_up, whole, style.gutter_px, dx, CLIP_MARK_PX)


@functools.lru_cache(maxsize=16)
def _background(
    geometry: PageGeometry, rows_mask: tuple[bool, ...], montage: str
) -> NDArray[np.uint8]:
    """Everything on a page that does not depend on the signal; cached, never written to."""
    style = geometry.style
    image = np.full((style.height_px, style.width_px), 255, dtype=np.uint8)
    _draw_time_axis(image, geometry)
    for row, is_recorded in enumerate(rows_mask):
        y = geometry.baselines_px[row]
        ink = 0 if is_recorded else style.missing_level
        draw_text(
            image, geometry.rows[row], x_px=style.gutter_px - 8, y_px=y, size_px=17, ink=ink,
            anchor="right",
        )  # fmt: skip
        if not is_recorded:
            _draw_missing(image, y, style)
    _draw_calibration(image, geometry, PAGE_MONTAGES[montage].text)
    image.setflags(write=False)
    return image


def _draw_time_axis(image: NDArray[np.uint8], geometry: PageGeometry) -> None:
    style = geometry.style
    for second in range(SEGMENT_S + 1):
        x = round(geometry.time_to_x(second))
        # two pixels wide: the second lies on the edge between them, exactly
        image[style.plot_top_px : style.plot_bottom_px + 4, x - 1 : x + 1] = style.grid_level
        is_last = second == SEGMENT_S
        draw_text(
            image, f"{second} s" if is_last else str(second), x_px=x - 2 * is_last,
            y_px=style.plot_bottom_px + 13, size_px=14, anchor="right" if is_last else "centre",
        )  # fmt: skip


def _draw_missing(image: NDArray[np.uint8], y: float, style: PageStyle) -> None:
    note_px = 96
    draw_text(
        image, "not recorded", x_px=style.gutter_px + 8, y_px=y, size_px=14,
        ink=style.missing_level,
    )  # fmt: skip
    for x in range(style.gutter_px + 8 + note_px, style.width_px, 8):
        image[int(y), x : x + 3] = style.missing_level


CALIBRATION_UV = 100
CALIBRATION_S = 1


def _draw_calibration(image: NDArray[np.uint8], geometry: PageGeometry, montage_text: str) -> None:
    style = geometry.style
    left, foot = 16, style.plot_bottom_px + 18
    height = round(CALIBRATION_UV / style.uv_per_px)
    width = round(CALIBRATION_S * style.px_per_s)
    image[foot - height : foot, left : left + 2] = 0
    image[foot - 2 : foot, left : left + width] = 0
    draw_text(image, f"{CALIBRATION_UV} \u00b5V", x_px=left + 8, y_px=foot - 16, size_px=14)
    draw_text(
        image, f"{CALIBRATION_S} s", x_px=left + width / 2, y_px=foot + 11, size_px=14,
        anchor="centre",
    )  # fmt: skip
    note = (
        f"{style.uv_per_mm:g} \u00b5V/mm   {style.mm_per_s:g} mm/s   {style.band_text}   "
        f"{montage_text}   negative up"
    )
    draw_text(image, note, x_px=style.gutter_px, y_px=style.height_px - 13, size_px=14)


def page_png(image: NDArray[np.uint8]) -> bytes:
    """Encode a page as 4-bit grey PNG, exactly and deterministically."""
    return grey4_png(image)
