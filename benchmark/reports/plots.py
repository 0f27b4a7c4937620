"""Plots of both reports: a metric with intervals beside controls, one line a score.

The drawing is shared: the Markdown leaderboard takes it as PNG by matplotlib's Agg backend, the HTML
report as SVG (``reports/html_plots.py``). Neither holds metadata, so the same scores give the same
bytes. What is plotted is decided in ``reports/report.py`` and ``reports/html.py``. Pages are never
drawn here.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

DPI = 120
OWN, OTHER, _CHANCE = "#1b6ca8", "#8a8a8a", "#b3261e"
COLOURS = "Blue dots: the page itself; grey squares: controls and baselines."


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


@dataclass(frozen=True, slots=True)
class IntervalPlot:
    """Points with intervals, one line each, and where chance lies.

    Parameters
    ----------
    title, x_label
        Words.
    bars
        Top to bottom.
    x_max
        End of the axis; it starts at 0, or lower where a value does.
    chance
        Where to draw the line of uniform guessing, if anywhere.
    """

    title: str
    x_label: str
    bars: Sequence[Bar]
    x_max: float
    chance: float | None = None

    def draw(self, axes: Any) -> None:
        """Draw it on matplotlib's axes."""
        for y, bar in enumerate(self.bars):
            self._draw_bar(axes, y, bar)
        if self.chance is not None:
            axes.axvline(self.chance, color=_CHANCE, linestyle="--", linewidth=1)
            axes.annotate(
                f"chance {self.chance:.1f}", (self.chance, 1), xycoords=("data", "axes fraction"),
                xytext=(3, 2), textcoords="offset points", color=_CHANCE, fontsize=8,
            )  # fmt: skip
        axes.set_xlim(min([0.0, *(min(b.value, b.low or b.value) for b in self.bars)]), self.x_max)
        dress(axes, [bar.label for bar in self.bars], self.title, self.x_label)

    def _draw_bar(self, axes: Any, y: int, bar: Bar) -> None:
        whisker(
            axes, y, (bar.value, bar.low, bar.high), OWN if bar.is_own else OTHER,
            "o" if bar.is_own else "s",
        )  # fmt: skip
        edge = max(bar.value, bar.high or bar.value)
        is_room_right = edge < 0.9 * self.x_max
        axes.annotate(
            f"{bar.value:.1f}" if self.x_max > 10 else f"{bar.value:.2f}",
            (edge if is_room_right else min(bar.value, bar.low or bar.value), y),
            xytext=(6 if is_room_right else -6, 0), textcoords="offset points",
            ha="left" if is_room_right else "right", va="center", fontsize=8, color="#333333",
        )  # fmt: skip


def interval_plot(
    title: str, x_label: str, bars: Sequence[Bar], *, x_max: float, chance: float | None
) -> bytes:
    """Return an :class:`IntervalPlot` as PNG; parameters are its own."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure, axes = figure_of(len(bars), dpi=DPI)
    IntervalPlot(title, x_label, bars, x_max, chance).draw(axes)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def figure_of(n_lines: int, **how: Any) -> tuple[Any, Any]:
    """Return a figure high enough for so many lines, and its axes."""
    from matplotlib.figure import Figure

    size = (9.0, 1.2 + 0.3 * max(n_lines, 1))
    figure = Figure(figsize=size, layout="constrained", **how)
    return figure, figure.add_subplot()


def whisker(
    axes: Any, y: float, score: tuple[float, float | None, float | None], color: str, mark: str
) -> None:
    """Draw one point with its interval, where it has one."""
    value, low, high = score
    if low is not None and high is not None:
        axes.plot([low, high], [y, y], color=color, linewidth=2, solid_capstyle="butt")
    axes.plot([value], [y], mark, color=color, markersize=5, clip_on=False)


def dress(axes: Any, labels: Sequence[str], title: str, x_label: str) -> None:
    """Write labels and title, and take away what is no data."""
    axes.set_yticks(range(len(labels)), list(labels), fontsize=8)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlabel(x_label, fontsize=8)
    axes.set_title(title, fontsize=10, loc="left", pad=14)
    axes.grid(axis="x", linewidth=0.4, color="#dddddd")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelsize=8, length=0)
