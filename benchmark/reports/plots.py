"""Plots of the report: primary metric with intervals beside controls, AP per class.

Drawn with matplotlib's Agg backend and written without metadata, so the same scores give the same
bytes. What is plotted is decided in ``reports/report.py``. Pages are never drawn here.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

DPI = 120
_OWN, _OTHER, _CHANCE = "#1b6ca8", "#8a8a8a", "#b3261e"


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a plot.

    Parameters
    ----------
    label
        Words at its left.
    value, low, high
        Point and interval; no whisker where an edge is None.
    is_own
        A model on its own pages, as against a control or a baseline.
    """

    label: str
    value: float
    low: float | None
    high: float | None
    is_own: bool


def interval_plot(
    title: str, x_label: str, bars: Sequence[Bar], *, x_max: float, chance: float | None
) -> bytes:
    """Draw points with intervals, one line each, and where chance lies.

    Parameters
    ----------
    title, x_label
        Words.
    bars
        Top to bottom.
    x_max
        End of the axis, which starts at 0.
    chance
        Where to draw the line of uniform guessing, if anywhere.

    Returns
    -------
    bytes
        A PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 1.4 + 0.36 * len(bars)), dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for y, bar in enumerate(bars):
        _draw(axes, y, bar, x_max)
    if chance is not None:
        axes.axvline(chance, color=_CHANCE, linestyle="--", linewidth=1)
        axes.annotate(
            "chance", (chance, 1), xycoords=("data", "axes fraction"), xytext=(3, 2),
            textcoords="offset points", color=_CHANCE, fontsize=8,
        )  # fmt: skip
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars], fontsize=8)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, x_max)
    axes.set_xlabel(x_label, fontsize=8)
    axes.set_title(title, fontsize=10, loc="left", pad=14)
    axes.grid(axis="x", linewidth=0.4, color="#dddddd")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelsize=8, length=0)
    buffer = io.BytesIO()
    canvas.print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _draw(axes: Any, y: int, bar: Bar, x_max: float) -> None:
    color = _OWN if bar.is_own else _OTHER
    if bar.low is not None and bar.high is not None:
        axes.plot([bar.low, bar.high], [y, y], color=color, linewidth=2, solid_capstyle="butt")
    axes.plot(
        [bar.value], [y], "o" if bar.is_own else "s", color=color, markersize=5, clip_on=False
    )
    edge = max(bar.value, bar.high or 0.0)
    is_room_right = edge < 0.9 * x_max
    axes.annotate(
        f"{bar.value:.3g}", (edge if is_room_right else min(bar.value, bar.low or x_max), y),
        xytext=(6 if is_room_right else -6, 0), textcoords="offset points",
        ha="left" if is_room_right else "right", va="center", fontsize=7.5, color="#333333",
    )  # fmt: skip
