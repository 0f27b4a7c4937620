"""Text and colour tables for pictures: pre-rendered glyphs and colour maps, and drawing with them.

Letters come from an atlas shipped as package data, not from a system font, so a page has the same
bytes on every machine. The atlas holds antialiased DejaVu Sans glyphs (a free font; matplotlib
carries it) and two of matplotlib's colour maps; :func:`build_tables` is how it was made::

    python -c "from detectors.pages.glyphs import build_tables, TABLES_PATH; build_tables(TABLES_PATH)"

Where text goes on a page is in :mod:`detectors.pages.page`, on a map in :mod:`detectors.pages.topomap`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

TABLES_PATH = Path(__file__).with_name("render_tables.npz")
CHARACTERS = "".join(chr(code) for code in range(32, 127)) + "\u00b5\u00b2\u00b1\u2212"
"""Printable ASCII, micro sign, superscript two, plus-minus and minus."""
SIZES_PX = (11, 14, 17)
COLOUR_MAPS = ("RdBu_r", "viridis")

Anchor = Literal["left", "centre", "right"]


@dataclass(frozen=True, slots=True)
class Font:
    """One size of the atlas.

    Parameters
    ----------
    cells
        uint8, shape (n_characters, height, width): coverage, 255 is full ink.
    advance_px
        Width each character takes on the line.
    """

    cells: NDArray[np.uint8]
    advance_px: NDArray[np.uint8]

    def width_px(self, text: str) -> int:
        """Width of a line of text."""
        return int(sum(int(self.advance_px[_index(char)]) for char in text))


def _index(char: str) -> int:
    found = CHARACTERS.find(char)
    if found < 0:
        return CHARACTERS.index("?")
    return found


@functools.cache
def font(size_px: int) -> Font:
    """Return one size of the shipped font.

    Raises
    ------
    ValueError
        If the atlas has no such size.
    """
    if size_px not in SIZES_PX:
        raise ValueError(f"font size {size_px} px is not in the atlas; use one of {SIZES_PX}")
    with np.load(TABLES_PATH) as tables:
        return Font(tables[f"cells_{size_px}"], tables[f"advance_{size_px}"])


@functools.cache
def colour_map(name: str) -> NDArray[np.uint8]:
    """Return a colour map as uint8, shape (256, 3).

    Raises
    ------
    ValueError
        If it is not one of :data:`COLOUR_MAPS`.
    """
    if name not in COLOUR_MAPS:
        raise ValueError(f"colour map {name!r} is not shipped; use one of {COLOUR_MAPS}")
    with np.load(TABLES_PATH) as tables:
        table: NDArray[np.uint8] = tables[f"map_{name}"]
    return table


@functools.cache
def _cell_coverage(size_px: int) -> NDArray[np.float32]:
    """Return the characters of one size as coverage in [0, 1]."""
    return (font(size_px).cells / 255.0).astype(np.float32)


def text_coverage(text: str, size_px: int) -> NDArray[np.float32]:
    """Return one line of text as coverage in [0, 1], shape (height, width).

    A character outside :data:`CHARACTERS` is drawn as a question mark.
    """
    face, cells = font(size_px), _cell_coverage(size_px)
    height, cell_width = face.cells.shape[1:]
    line = np.zeros((height, face.width_px(text) + cell_width), dtype=np.float32)
    x = 0
    for char in text:
        i = _index(char)
        place = line[:, x : x + cell_width]
        np.maximum(place, cells[i], out=place)
        x += int(face.advance_px[i])
    return line[:, : max(x, 1)]


def draw_text(
    image: NDArray[np.uint8],
    text: str,
    *,
    x_px: float,
    y_px: float,
    size_px: int,
    ink: int | tuple[int, int, int] = 0,
    anchor: Anchor = "left",
) -> None:
    """Draw one line of text into an image, in place.

    Parameters
    ----------
    image
        uint8, shape (height, width) or (height, width, 3).
    text
        What to write; parts outside the image are cut off.
    x_px, y_px
        Anchor point; ``y_px`` is the middle of the line.
    size_px
        One of :data:`SIZES_PX`.
    ink
        Grey level, or red, green and blue.
    anchor
        Which end of the text ``x_px`` names.
    """
    coverage = text_coverage(text, size_px)
    height, width = coverage.shape
    shift = {"left": 0.0, "centre": width / 2, "right": float(width)}[anchor]
    left, top = round(x_px - shift), round(y_px - height / 2)
    x0, x1 = max(left, 0), min(left + width, image.shape[1])
    y0, y1 = max(top, 0), min(top + height, image.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    alpha = coverage[y0 - top : y1 - top, x0 - left : x1 - left]
    if image.ndim == 3:
        alpha = alpha[..., None]
    part = image[y0:y1, x0:x1].astype(np.float32)
    image[y0:y1, x0:x1] = np.rint(part * (1 - alpha) + np.asarray(ink, np.float32) * alpha).astype(
        np.uint8
    )


def build_tables(path: Path) -> None:
    """Make the shipped atlas from the fonts and colour maps matplotlib carries.

    Parameters
    ----------
    path
        Where the ``.npz`` is written.
    """
    import matplotlib
    from matplotlib import colormaps
    from PIL import Image, ImageDraw, ImageFont

    ttf = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    arrays: dict[str, NDArray[np.uint8]] = {}
    for size in SIZES_PX:
        face = ImageFont.truetype(str(ttf), size, layout_engine=ImageFont.Layout.BASIC)
        ascent, descent = face.getmetrics()
        advance = [round(face.getlength(char)) for char in CHARACTERS]
        cells = np.zeros((len(CHARACTERS), ascent + descent, max(advance) + 2), dtype=np.uint8)
        for i, char in enumerate(CHARACTERS):
            cell = Image.new("L", (cells.shape[2], cells.shape[1]))
            ImageDraw.Draw(cell).text((0, 0), char, fill=255, font=face)
            cells[i] = np.asarray(cell)
        arrays[f"cells_{size}"] = cells
        arrays[f"advance_{size}"] = np.asarray(advance, dtype=np.uint8)
    for name in COLOUR_MAPS:
        rgba = colormaps[name](np.arange(256))
        arrays[f"map_{name}"] = np.rint(rgba[:, :3] * 255).astype(np.uint8)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # numpy types the flag beside it
