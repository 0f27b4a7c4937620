"""Where things are on a clinical page: styles, montages, rows, and pixels both ways.

Detector boxes, reviewers' marks and the renderer share this geometry, so nothing is ever fitted.
What is drawn, and how, is in :mod:`detectors.pages.page`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from detectors.montage import LB18_NAMES, REFERENTIAL_BLOCKS, TB18_NAMES
from detectors.types import SEGMENT_S, SFREQ_HZ, ChannelSchema


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

    @property
    def px_per_s(self) -> float:
        """Time scale."""
        return (self.width_px - self.gutter_px) / SEGMENT_S

    @property
    def uv_per_px(self) -> float:
        """Amplitude scale."""
        return self.uv_per_mm * self.mm_per_s / self.px_per_s


PAGE_STYLES: Mapping[str, PageStyle] = MappingProxyType({"clinical-2": PageStyle("clinical-2")})
"""Every style ever published; entries are added, never edited."""


@dataclass(frozen=True, slots=True)
class PageMontage:
    """One frozen version of a montage's layout; another order or spacing is a new version.

    Parameters
    ----------
    version
        Goes into the page's identity.
    text
        The words the page carries.
    blocks
        Row names, top to bottom, a gap between blocks; empty: the rows as recorded.
    """

    version: str
    text: str
    blocks: tuple[tuple[str, ...], ...] = ()


def _chains(rows: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Cut derivations into chains: ``A-B`` followed by ``B-C`` stand together."""
    blocks: list[list[str]] = []
    for i, row in enumerate(rows):
        is_break = "-" in rows[i - 1] and rows[i - 1].split("-")[-1] != row.split("-")[0]
        if i == 0 or is_break:
            blocks.append([])
        blocks[-1].append(row)
    return tuple(tuple(block) for block in blocks)


PAGE_MONTAGES: Mapping[str, PageMontage] = MappingProxyType(
    {
        "longitudinal_bipolar": PageMontage("1", "LB-18.1", _chains(LB18_NAMES)),
        "transverse_bipolar": PageMontage("1", "TB-18.1", _chains(TB18_NAMES)),
        "average_reference": PageMontage("2", "average reference", REFERENTIAL_BLOCKS),
        "as_recorded": PageMontage("1", "derivations as recorded"),
    }
)
"""Montages of a page; bipolar schemas are always shown as recorded."""


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

    def sample_to_x(self, sample: int) -> float:
        """Abscissa of a stored sample: ``gutter + 0.56 * sample`` in the first style."""
        return self.time_to_x(sample / SFREQ_HZ)

    def x_to_sample(self, x_px: float) -> int:
        """Nearest stored sample of an abscissa, not clipped to the segment."""
        return round(self.x_to_time(x_px) * SFREQ_HZ)

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
        """Return the rows a channel is seen in: its own, or those that share an electrode."""
        if channel in self.rows:
            return (self.rows.index(channel),)
        electrodes = set(channel.split("-"))
        return tuple(i for i, row in enumerate(self.rows) if electrodes & set(row.split("-")))

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


def page_montage(schema: ChannelSchema, montage: str = "longitudinal_bipolar") -> str:
    """Return the montage a schema is really shown in.

    Raises
    ------
    ValueError
        If the montage is not one of :data:`PAGE_MONTAGES`.
    """
    if montage not in PAGE_MONTAGES:
        raise ValueError(f"montage {montage!r} is not known; use one of {', '.join(PAGE_MONTAGES)}")
    return montage if schema.is_referential else "as_recorded"


def page_id(
    schema: ChannelSchema,
    montage: str = "longitudinal_bipolar",
    style: PageStyle = PAGE_STYLES["clinical-2"],
) -> str:
    """Return what a page's pixels depend on beside the signal: style and montage, with versions.

    For example ``clinical-2/transverse_bipolar-1``.

    Raises
    ------
    ValueError
        If the montage is unknown.
    """
    shown = page_montage(schema, montage)
    return f"{style.version}/{shown}-{PAGE_MONTAGES[shown].version}"


@functools.lru_cache(maxsize=64)
def page_geometry(
    schema: ChannelSchema,
    montage: str = "longitudinal_bipolar",
    style: PageStyle = PAGE_STYLES["clinical-2"],
) -> PageGeometry:
    """Lay out the rows of a page.

    Parameters
    ----------
    schema
        What the segment's rows are.
    montage
        One of :data:`PAGE_MONTAGES`; a bipolar schema is shown as recorded whatever is asked.
    style
        The page's style.

    Returns
    -------
    PageGeometry
        Blocks of rows (chains of derivations) stand together; a small gap parts them.

    Raises
    ------
    ValueError
        If the montage is unknown or the schema has no rows.
    """
    blocks = PAGE_MONTAGES[page_montage(schema, montage)].blocks or _chains(schema.ch_names)
    if not blocks:
        raise ValueError(f"channel schema {schema.name!r} has no rows to draw")
    rows = tuple(itertools.chain.from_iterable(blocks))
    steps = np.ones(len(rows) - 1)
    steps[np.cumsum([len(block) for block in blocks[:-1]], dtype=np.intp) - 1] += style.group_gap
    offsets = np.concatenate([[0.0], np.cumsum(steps)])
    height = style.plot_bottom_px - style.plot_top_px
    fitting = int(height / (offsets[-1] + 2 * style.row_margin))
    spacing = min(fitting, style.max_row_spacing_px)
    middle = (style.plot_top_px + style.plot_bottom_px) / 2
    tops = middle + (offsets - offsets[-1] / 2) * spacing
    baselines = tuple(float(np.floor(y)) + 0.5 for y in tops)
    return PageGeometry(style, rows, baselines, spacing)
