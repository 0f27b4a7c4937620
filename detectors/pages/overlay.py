"""Findings drawn over a page, for people: coloured boxes that fit the waves, and a legend.

A reviewer's picture is in colour and taller than a page, so it can never pass for one: the legend
stands in a strip below the page, the page's own pixels stay where they are, and the encoder of
dataset pages refuses it. Nothing here is used for training pictures. The page is drawn in
:mod:`detectors.pages.page`, its pixels are named in :mod:`detectors.pages.geometry`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from detectors.pages.geometry import PAGE_STYLES, PageGeometry, PageStyle, page_geometry
from detectors.pages.glyphs import draw_text, font
from detectors.pages.page import page_traces, render_page
from detectors.pages.png import rgb_png
from detectors.types import N_TIMES, SEGMENT_S, SFREQ_HZ, ChannelSchema, Family, Finding
from detectors.vocabulary import KINDS

Colour = tuple[int, int, int]

FAMILY_COLOURS: Mapping[Family, tuple[Colour, ...]] = MappingProxyType(
    {
        "epileptiform": (
            (214, 20, 30), (255, 120, 0), (210, 0, 140), (255, 90, 110), (150, 0, 60), (200, 80, 40),
        ),
        "sleep": (
            (30, 80, 220), (0, 150, 210), (120, 60, 190), (70, 120, 130), (60, 20, 120), (150, 140, 255),
        ),
        "artifact": (
            (120, 120, 120), (140, 86, 50), (90, 110, 130), (80, 80, 80), (215, 130, 90), (120, 110, 20),
            (235, 160, 0), (100, 50, 30), (170, 160, 140), (190, 150, 60),
        ),
        "background": (
            (30, 140, 50), (0, 170, 140), (120, 180, 40), (0, 90, 60), (90, 160, 120), (60, 100, 20),
        ),
    }
)  # fmt: skip
"""Red for epileptiform, blue for sleep, brown and grey for artifacts, green for the background; no
convention exists (``clinical.md`` 12)."""

BOX_ROWS = 0.8
"""Height of a box around a quiet wave, in row spacings (engineering default)."""
BOX_MARGIN_PX = 4
"""Free space between a wave that leaves its row and the edge of its box (engineering default)."""
GROWING_S = 2.0
"""Only boxes up to this length grow with the wave; over longer ones rows would run into each other
(engineering default)."""
MIN_BOX_PX = 6
"""Narrowest box, so that a 20-ms spike does not vanish behind its own edges."""

LEGEND_LINE_PX = 20
MAX_NAMED = 4
"""Channels a legend entry names; more are counted."""
_SWATCH_PX = 12
_LEGEND_GAP_PX = 24
_LEGEND_SIZE_PX = 14


@dataclass(frozen=True, slots=True)
class PageBox:
    """A mark for review: a channel, a half-open interval, words and a colour."""

    channel: str
    t0_s: float
    t1_s: float
    text: str = ""
    colour: Colour = (214, 39, 40)


@dataclass(frozen=True, slots=True)
class PixelBox:
    """Where a mark lies on a page: a row, and half-open ranges of pixels."""

    row: int
    x0: int
    x1: int
    y0: int
    y1: int


def box_pixels(
    channel: str,
    t0_s: float,
    t1_s: float,
    geometry: PageGeometry,
    y_px: NDArray[np.float32] | None = None,
) -> tuple[PixelBox, ...]:
    """Return where a mark lies, one box for every row that shows its channel.

    Parameters
    ----------
    channel
        An electrode or a derivation.
    t0_s, t1_s
        Half-open interval, seconds from segment start.
    geometry
        The page's geometry.
    y_px
        Traces of :func:`detectors.pages.page.page_traces`, shape (n_rows, N_TIMES); with them a box of up
        to :data:`GROWING_S` grows until it holds the wave, without them it has one height.

    Returns
    -------
    boxes : tuple of PixelBox
        Empty where no row shows the channel.
    """
    style = geometry.style
    x0 = int(np.floor(geometry.time_to_x(max(t0_s, 0.0))))
    x1 = int(np.ceil(geometry.time_to_x(min(t1_s, float(SEGMENT_S)))))
    short = max(MIN_BOX_PX - (x1 - x0), 0)
    x0 = max(min(x0 - short // 2, style.width_px - MIN_BOX_PX), style.gutter_px)
    x1 = min(max(x1 + short - short // 2, x0 + MIN_BOX_PX), style.width_px)
    # the stroke is wider than its middle, and the first sample outside still draws into the box
    first, last = max(int(t0_s * SFREQ_HZ), 0), min(int(np.ceil(t1_s * SFREQ_HZ)) + 1, N_TIMES)
    is_long = t1_s - t0_s > GROWING_S
    boxes = []
    for row in geometry.rows_showing(channel):
        baseline = geometry.baselines_px[row]
        reach = BOX_ROWS / 2 * geometry.spacing_px
        y0, y1 = baseline - reach, baseline + reach
        wave = np.empty(0) if y_px is None or is_long else y_px[row, first:last]
        if wave.size and np.isfinite(wave).all():
            y0 = min(y0, float(wave.min()) - BOX_MARGIN_PX)
            y1 = max(y1, float(wave.max()) + BOX_MARGIN_PX)
        y0, y1 = max(y0, float(style.plot_top_px)), min(y1, float(style.plot_bottom_px))
        boxes.append(PixelBox(row, x0, x1, round(y0), round(y1)))
    return tuple(boxes)


def draw_boxes(
    image: NDArray[np.uint8],
    boxes: Sequence[PageBox],
    geometry: PageGeometry,
    y_px: NDArray[np.float32] | None = None,
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
    y_px
        As in :func:`box_pixels`.

    Returns
    -------
    marked : uint8, shape (height, width, 3)

    Raises
    ------
    KeyError
        If a channel is on no row of the page.
    """
    marked = np.repeat(image[..., None], 3, axis=2)
    for box in boxes:
        placed = box_pixels(box.channel, box.t0_s, box.t1_s, geometry, y_px)
        if not placed:
            geometry.row_of(box.channel)
        for at in placed:
            for edge in (
                marked[at.y0 : at.y1, at.x0 : at.x0 + 2], marked[at.y0 : at.y1, at.x1 - 2 : at.x1],
                marked[at.y0 : at.y0 + 2, at.x0 : at.x1], marked[at.y1 - 2 : at.y1, at.x0 : at.x1],
            ):  # fmt: skip
                edge[...] = box.colour
        if box.text:
            draw_text(
                marked, box.text, x_px=placed[0].x0, y_px=placed[0].y0 - 7, size_px=11,
                ink=box.colour,
            )  # fmt: skip
    return marked


def kind_colour(kind: str) -> Colour:
    """Return the colour of a kind: its family's, by its place in the vocabulary.

    Kinds beyond a family's list take its colours again, darker.

    Raises
    ------
    KeyError
        If the kind is not in the closed vocabulary.
    """
    family = KINDS[kind].family
    place = [k for k, spec in KINDS.items() if spec.family == family].index(kind)
    again, at = divmod(place, len(FAMILY_COLOURS[family]))
    red, green, blue = (round(level * 0.6**again) for level in FAMILY_COLOURS[family][at])
    return red, green, blue


def review_page(
    data_uv: NDArray[np.float32],
    mask: NDArray[np.bool_],
    schema: ChannelSchema,
    findings: Sequence[Finding],
    *,
    montage: str = "longitudinal_bipolar",
    style: PageStyle = PAGE_STYLES["clinical-2"],
) -> NDArray[np.uint8]:
    """Draw a page with its findings boxed, and what the colours mean below it.

    Parameters
    ----------
    data_uv, mask, schema, montage, style
        As in :func:`detectors.pages.page.render_page`.
    findings
        What to mark, all of this segment. A finding of the whole page, of no channel, or of
        channels the montage does not show stands in the legend only.

    Returns
    -------
    picture : uint8, shape (height + legend, width, 3)
        The page's pixels keep their places; outside the boxes they are those of the page.

    Raises
    ------
    KeyError
        If a kind is not in the closed vocabulary.
    ValueError
        As :func:`detectors.pages.page.render_page`.
    """
    geometry = page_geometry(schema, montage, style)
    page = render_page(data_uv, mask, schema, montage=montage, style=style)
    _, y_px = page_traces(data_uv, mask, schema, montage=montage, style=style)
    present = {finding.kind for finding in findings}
    colours = {kind: kind_colour(kind) for kind in KINDS if kind in present}
    if unknown := present - set(colours):
        raise KeyError(f"kinds {sorted(unknown)} are not in the vocabulary: {', '.join(KINDS)}")
    boxes = [
        PageBox(channel, finding.t0_s, finding.t1_s, colour=colours[finding.kind])
        for finding in findings
        if not _is_whole_page(finding)
        for channel in finding.channels
        if geometry.rows_showing(channel)
    ]
    marked = draw_boxes(page, boxes, geometry, y_px)
    return np.concatenate([marked, _legend(findings, colours, style)])


def review_png(picture: NDArray[np.uint8]) -> bytes:
    """Encode a reviewer's picture as 24-bit PNG, losslessly and deterministically."""
    return rgb_png(picture)


def _is_whole_page(finding: Finding) -> bool:
    return finding.t0_s <= 0.0 and finding.t1_s >= SEGMENT_S


def _legend(
    findings: Sequence[Finding], colours: Mapping[str, Colour], style: PageStyle
) -> NDArray[np.uint8]:
    """Draw the strip under a page: one entry per kind, as many lines as they need."""
    entries = [(_entry(kind, findings), colour) for kind, colour in colours.items()]
    entries = entries or [("no findings", (255, 255, 255))]
    x, line, placed = 16, 0, []
    for text, colour in entries:
        width = _SWATCH_PX + 6 + font(_LEGEND_SIZE_PX).width_px(text) + _LEGEND_GAP_PX
        if x > 16 and x + width > style.width_px:
            x, line = 16, line + 1
        placed.append((x, line, text, colour))
        x += width
    strip = np.full(((line + 1) * LEGEND_LINE_PX + 12, style.width_px, 3), 255, dtype=np.uint8)
    strip[0] = 0
    for x, line, text, colour in placed:
        middle = 6 + line * LEGEND_LINE_PX + LEGEND_LINE_PX // 2
        top = middle - _SWATCH_PX // 2
        strip[top : top + _SWATCH_PX, x : x + _SWATCH_PX] = colour
        draw_text(
            strip, text, x_px=x + _SWATCH_PX + 6, y_px=middle, size_px=_LEGEND_SIZE_PX
        )  # fmt: skip
    return strip


def _entry(kind: str, findings: Sequence[Finding]) -> str:
    """Write ``spike x 3``; what belongs to the whole page is told with its channels."""
    mine = [finding for finding in findings if finding.kind == kind]
    whole = [finding for finding in mine if _is_whole_page(finding)]
    n_boxed = len(mine) - len(whole)
    text = KINDS[kind].noun + (f" x {n_boxed}" if n_boxed > 1 else "")
    if not whole:
        return text
    names = list(dict.fromkeys(name for finding in whole for name in finding.channels))
    place = f"{len(names)} channels" if len(names) > MAX_NAMED else " ".join(names)
    return f"{text}{', and' if n_boxed else ','} whole page{' at ' if place else ''}{place}"
