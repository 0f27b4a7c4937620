"""What a page shows before any trace: labels, time axis, calibration bar, rows not recorded.

It depends on the montage, the mask and the style alone, so it is drawn once and kept. The traces
are in :mod:`detectors.pages.page`, pixel geometry in :mod:`detectors.pages.geometry`, letters in
:mod:`detectors.pages.glyphs`.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from detectors.pages.geometry import PAGE_MONTAGES, PageGeometry, PageStyle
from detectors.pages.glyphs import draw_text
from detectors.types import SEGMENT_S


@functools.lru_cache(maxsize=16)
def blank_page(
    geometry: PageGeometry, rows_mask: tuple[bool, ...], montage: str
) -> NDArray[np.uint8]:
    """Draw everything on a page that does not depend on the signal.

    Parameters
    ----------
    geometry
        Rows, baselines and style.
    rows_mask
        Which rows were recorded; the others get a dotted baseline and a grey label.
    montage
        Whose name is written under the traces.

    Returns
    -------
    image : uint8, shape (height, width)
        Cached and read-only: copy it before drawing.
    """
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
