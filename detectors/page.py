"""The clinical page: ten seconds of EEG as a reader sees them, drawn to exact pixels.

A page is a pure function of signal, mask, montage and style version: same input, same bytes. It
carries no clock, names or file names and no finding marks, so nothing leaks into a training
picture; :func:`draw_boxes` puts marks on a copy, for review only. Letters are in
:mod:`detectors.glyphs`, the stroke arithmetic in :mod:`detectors._page_kernels`, the file format
in :mod:`detectors.png`, the waveform detector's own raster in ``detectors.waveform``.

Conventions (ACNS guidelines 1 and 3): 30 mm/s, 7 uV/mm, 0.5-70 Hz, negative up, longitudinal
bipolar LB-18.1 left before right and front to back, one-second grid lines, no horizontal grid.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.glyphs import draw_text
from detectors.montage import LB18_NAMES, average_reference, longitudinal_bipolar
from detectors.png import grey4_png
from detectors.types import N_TIMES, SEGMENT_S, SFREQ_HZ, ChannelSchema


@dataclass(frozen=True, slots=True)
class PageStyle:
    """One frozen version of the page's looks; a change of any pixel is a new version.

    Parameters
    ----------
    version
        Name stored with everything made from a page.
    width_px, height_px
        Size: 46 x 32 tokens of 28 px, never rescaled (Qwen2.5-VL patch 14, merge 2).
    gutter_px
        Left margin for labels; the rest of the width is 10 s of trace.
    plot_top_px, plot_bottom_px
        Vertical range of the traces.
    mm_per_s, uv_per_mm
        Paper speed and sensitivity (ACNS guideline 1; 7 uV/mm is the commonest). The gain is the
        same for every row of every page.
    highpass_hz, lowpass_hz
        Display band: lower and upper transition, each from full stop to full pass.
    band_text
        How the band is written on the page.
    line_px
        Width of a trace: 0.7 pt at 95 dpi (engineering default).
    row_margin, max_row_spacing_px, group_gap
        Free space above and below in rows; widest spacing; extra space between chains in rows.
    clip_rows
        Traces are clipped this many row spacings from their baseline, and the clip is marked.
    grid_level, missing_level
        Grey levels, multiples of 17.
    n_sub
        Sub-columns of a pixel in the raster.
    """

    version: str
    width_px: int = 1288
    height_px: int = 896
    gutter_px: int = 168
    plot_top_px: int = 8
    plot_bottom_px: int = 852
    mm_per_s: float = 30.0
    uv_per_mm: float = 7.0
    highpass_hz: tuple[float, float] = (0.3, 0.7)
    lowpass_hz: tuple[float, float] = (65.0, 75.0)
    band_text: str = "0.5-70 Hz"
    line_px: float = 1.1
    row_margin: float = 1.1
    max_row_spacing_px: int = 120
    group_gap: float = 1 / 3
    clip_rows: float = 1.5
    grid_level: int = 221
    missing_level: int = 153
    n_sub: int = 4

    @property
    def px_per_s(self) -> float:
        """Time scale."""
        return (self.width_px - self.gutter_px) / SEGMENT_S

    @property
    def uv_per_px(self) -> float:
        """Amplitude scale."""
        return self.uv_per_mm * self.mm_per_s / self.px_per_s


PAGE_STYLES: Mapping[str, PageStyle] = MappingProxyType({"clinical-1": PageStyle("clinical-1")})
"""Every style ever published; entries are added, never edited."""

MONTAGE_TEXT: Mapping[str, str] = MappingProxyType(
    {
        "longitudinal_bipolar": "LB-18.1",
        "average_reference": "average reference",
        "as_recorded": "derivations as recorded",
    }
)
"""Montages and the words the page carries; bipolar schemas are always shown as recorded."""


@dataclass(frozen=True, slots=True)
class PageGeometry:
    """Where things are on a page, both ways and without fitting.

    Pixel p covers ``[p, p + 1)``; coordinates are edges, so sample i lies at
    ``gutter + 0.56 * i`` exactly.

    Parameters
    ----------
    style
        The page's style.
    rows
        Row names, top to bottom.
    baselines_px
        Ordinate of 0 uV per row.
    spacing_px
        Distance of rows within a chain.
    """

    style: PageStyle
    rows: tuple[str, ...]
    baselines_px: tuple[float, ...]
    spacing_px: int

    def time_to_x(self, time_s: float) -> float:
        """Abscissa of a time since segment start."""
        return self.style.gutter_px + time_s * self.style.px_per_s

    def x_to_time(self, x_px: float) -> float:
        """Time since segment start of an abscissa."""
        return (x_px - self.style.gutter_px) / self.style.px_per_s

    def row_of(self, channel: str) -> int:
        """Index of a row.

        Raises
        ------
        KeyError
            If the page has no such row; the message lists those it has.
        """
        if channel not in self.rows:
            raise KeyError(f"page has no row {channel!r}; it has {', '.join(self.rows)}")
        return self.rows.index(channel)

    def rows_showing(self, channel: str) -> tuple[int, ...]:
        """Indices of the rows a channel is seen in: its own, or the derivations it is part of."""
        if channel in self.rows:
            return (self.rows.index(channel),)
        return tuple(i for i, row in enumerate(self.rows) if channel in row.split("-"))

    def uv_to_y(self, row: int, value_uv: float) -> float:
        """Ordinate of a voltage on a row, unclipped; negative is up."""
        return self.baselines_px[row] + value_uv / self.style.uv_per_px

    def y_to_uv(self, row: int, y_px: float) -> float:
        """Voltage of an ordinate on a row."""
        return (y_px - self.baselines_px[row]) * self.style.uv_per_px

    def row_at(self, y_px: float) -> int:
        """Index of the row whose baseline is nearest to an ordinate."""
        return int(np.argmin(np.abs(np.asarray(self.baselines_px) - y_px)))

    def limits_px(self, row: int) -> tuple[float, float]:
        """Range of ordinates a row's trace may take before it is clipped."""
        reach = self.style.clip_rows * self.spacing_px
        baseline = self.baselines_px[row]
        return (
            max(baseline - reach, float(self.style.plot_top_px)),
            min(baseline + reach, float(self.style.plot_bottom_px)),
        )


@dataclass(frozen=True, slots=True)
class PageBox:
    """A mark for review: a channel, a half-open interval, words and a colour."""

    channel: str
    t0_s: float
    t1_s: float
    text: str = ""
    colour: tuple[int, int, int] = (214, 39, 40)


def page_montage(schema: ChannelSchema, montage: str = "longitudinal_bipolar") -> str:
    """Return the montage a schema is really shown in.

    Raises
    ------
    ValueError
        If the montage is not one of :data:`MONTAGE_TEXT`.
    """
    if montage not in MONTAGE_TEXT:
        raise ValueError(f"montage {montage!r} is not known; use one of {', '.join(MONTAGE_TEXT)}")
    return montage if schema.is_referential else "as_recorded"


@functools.lru_cache(maxsize=64)
def page_geometry(
    schema: ChannelSchema,
    montage: str = "longitudinal_bipolar",
    style: PageStyle = PAGE_STYLES["clinical-1"],
) -> PageGeometry:
    """Lay out the rows of a page.

    Parameters
    ----------
    schema
        What the segment's rows are.
    montage
        One of :data:`MONTAGE_TEXT`; a bipolar schema is shown as recorded whatever is asked.
    style
        The page's style.

    Returns
    -------
    PageGeometry
        Chains of derivations (``A-B`` followed by ``B-C``) stand together; a small gap parts them.

    Raises
    ------
    ValueError
        If the montage is unknown or the schema has no rows.
    """
    if page_montage(schema, montage) == "longitudinal_bipolar":
        rows = LB18_NAMES
    else:
        rows = schema.ch_names
    if not rows:
        raise ValueError(f"channel schema {schema.name!r} has no rows to draw")
    steps = [
        1.0 + style.group_gap * (_is_derivation(a) and a.split("-")[-1] != b.split("-")[0])
        for a, b in zip(rows, rows[1:], strict=False)
    ]
    offsets = np.concatenate([[0.0], np.cumsum(steps)])
    height = style.plot_bottom_px - style.plot_top_px
    fitting = int(height / (offsets[-1] + 2 * style.row_margin))
    spacing = min(fitting, style.max_row_spacing_px)
    middle = (style.plot_top_px + style.plot_bottom_px) / 2
    tops = middle + (offsets - offsets[-1] / 2) * spacing
    baselines = tuple(float(np.floor(y)) + 0.5 for y in tops)
    return PageGeometry(style, rows, baselines, spacing)


def _is_derivation(name: str) -> bool:
    return "-" in name


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
    shown = page_montage(schema, montage)
    if shown == "as_recorded":
        return data_uv, mask
    if shown == "average_reference":
        return average_reference(data_uv[None], mask[None])[0], mask
    rows_uv, rows_mask = longitudinal_bipolar(data_uv[None], mask[None])
    return rows_uv[0], rows_mask[0]


@functools.lru_cache(maxsize=8)
def _display_gain(style: PageStyle) -> NDArray[np.float32]:
    freq_hz = np.arange(N_TIMES) * SFREQ_HZ / (2 * N_TIMES)

    def rise(edges_hz: tuple[float, float]) -> NDArray[np.float64]:
        part = np.clip((freq_hz - edges_hz[0]) / (edges_hz[1] - edges_hz[0]), 0, 1)
        return 0.5 - 0.5 * np.cos(np.pi * part)

    return (rise(style.highpass_hz) * (1 - rise(style.lowpass_hz))).astype(np.float32)


def display_filter(rows_uv: NDArray[np.float32], style: PageStyle) -> NDArray[np.float32]:
    """Remove drift and the highest frequencies for display.

    Zero-phase: cosine coefficients (DCT-II, the spectrum of the segment mirrored at its ends, so a
    drift does not ring there) times a raised-cosine gain, half amplitude at 0.5 and 70 Hz. The
    stored signal is never touched.

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

    spectrum = dct(rows_uv, type=2, norm="ortho", axis=-1)
    spectrum *= _display_gain(style)
    shown: NDArray[np.float32] = idct(spectrum, type=2, norm="ortho", axis=-1, overwrite_x=True)
    return shown


def trace_ordinates(
    shown_uv: NDArray[np.float32], geometry: PageGeometry
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Turn display voltages into pixel ordinates.

    Parameters
    ----------
    shown_uv
        float32, shape (n_rows, N_TIMES).
    geometry
        The page's geometry.

    Returns
    -------
    y_px : float64, shape (n_rows, N_TIMES)
        Clipped to each row's limits and rounded to 1/256 px, so that the last bit of a transform
        does not reach the picture.
    is_clipped : bool, same shape
    """
    radius = geometry.style.line_px / 2
    limits = np.array([geometry.limits_px(row) for row in range(len(geometry.rows))])
    low, high = limits[:, :1] + radius, limits[:, 1:] - radius
    y = np.asarray(geometry.baselines_px)[:, None] + shown_uv / geometry.style.uv_per_px
    y = np.rint(y * 256.0) / 256.0
    return np.clip(y, low, high), (y < low) | (y > high)


def render_page(
    data_uv: NDArray[np.float32],
    mask: NDArray[np.bool_],
    schema: ChannelSchema,
    *,
    montage: str = "longitudinal_bipolar",
    style: PageStyle = PAGE_STYLES["clinical-1"],
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
        One of :data:`MONTAGE_TEXT`; bipolar schemas are shown as recorded.
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
    from detectors._page_kernels import draw_traces, quantise16

    expected = (len(schema.ch_names), N_TIMES)
    if data_uv.shape != expected or mask.shape != expected[:1]:
        raise ValueError(
            f"data_uv has shape {data_uv.shape} and mask {mask.shape}; expected {expected} and "
            f"{expected[:1]} for schema {schema.name!r}"
        )
    geometry = page_geometry(schema, montage, style)
    rows_uv, rows_mask = page_rows(data_uv, mask, schema, montage)
    rows_uv = rows_uv[rows_mask]
    if not np.isfinite(rows_uv).all():
        raise ValueError("data_uv has samples that are not finite; set the segment aside first")
    image = _background(geometry, tuple(rows_mask.tolist()), page_montage(schema, montage)).copy()
    if len(rows_uv):
        seen = _subset(geometry, rows_mask)
        y, is_clipped = trace_ordinates(display_filter(rows_uv, style), seen)
        dx = style.px_per_s / SFREQ_HZ
        top, bottom = float(style.plot_top_px), float(style.plot_bottom_px)
        draw_traces(image, y, style.gutter_px, dx, style.line_px / 2, style.n_sub, top, bottom)
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
    y_px: NDArray[np.float64],
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
    style = geometry.style
    for row, sample in zip(*np.nonzero(is_clipped), strict=True):
        low, high = geometry.limits_px(int(row))
        is_up = y_px[row, sample] < geometry.baselines_px[row]
        top = round(low) if is_up else round(high) - CLIP_MARK_PX
        x = int(geometry.time_to_x(sample / SFREQ_HZ))
        image[top : top + CLIP_MARK_PX, x : min(x + 2, style.width_px)] = 0


@functools.lru_cache(maxsize=64)
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
    _draw_calibration(image, geometry, MONTAGE_TEXT[montage])
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


def draw_boxes(
    image: NDArray[np.uint8], boxes: Sequence[PageBox], geometry: PageGeometry
) -> NDArray[np.uint8]:
    """Put marks on a copy of a page, for review and never for training.

    Parameters
    ----------
    image
        A page, uint8, shape (height, width).
    boxes
        What to mark; a single electrode is marked on every row that shows it.
    geometry
        The page's geometry.

    Returns
    -------
    marked : uint8, shape (height, width, 3)

    Raises
    ------
    KeyError
        If a channel is on no row of the page.
    """
    marked = np.repeat(image[..., None], 3, axis=2)
    height = 0.8 * geometry.spacing_px
    for box in boxes:
        rows = geometry.rows_showing(box.channel) or (geometry.row_of(box.channel),)
        x0, x1 = round(geometry.time_to_x(box.t0_s)), round(geometry.time_to_x(box.t1_s))
        x0, x1 = max(x0, geometry.style.gutter_px), min(max(x1, x0 + 2), image.shape[1])
        for row in rows:
            y0 = max(round(geometry.baselines_px[row] - height / 2), 0)
            y1 = min(round(geometry.baselines_px[row] + height / 2), image.shape[0])
            for edge in (
                marked[y0:y1, x0 : x0 + 2], marked[y0:y1, x1 - 2 : x1],
                marked[y0 : y0 + 2, x0:x1], marked[y1 - 2 : y1, x0:x1],
            ):  # fmt: skip
                edge[...] = box.colour
        if box.text:
            y_text = geometry.baselines_px[rows[0]] - height / 2 - 7
            draw_text(marked, box.text, x_px=x0, y_px=y_text, size_px=11, ink=box.colour)
    return marked
