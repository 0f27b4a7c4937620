"""Plots of the HTML report as SVG: every control beside its model, and two runs side by side.

Words are kept as words, so a reader can search and copy them, and nothing random or dated is
written: the same scores give the same bytes. Which numbers are drawn is decided in
``reports/html.py``; the PNG plots of the Markdown leaderboard are in ``reports/plots.py``.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.reports.plots import Bar

_OWN, _OTHER, _CHANCE = "#1b6ca8", "#8a8a8a", "#b3261e"
_SALT = "neurogloss"
"""Seed of the ids matplotlib writes into an SVG."""


@dataclass(frozen=True, slots=True)
class Change:
    """One score in two runs.

    Parameters
    ----------
    label
        Words at its left.
    before, after
        Values, and their intervals where there are any.
    """

    label: str
    before: tuple[float, float | None, float | None]
    after: tuple[float, float | None, float | None]


def score_svg(
    title: str, x_label: str, bars: Sequence[Bar], *, x_max: float, chance: float | None
) -> str:
    """Draw points with intervals, one line each, and where chance lies.

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

    Returns
    -------
    str
        The ``data:`` address of an SVG.
    """
    figure, axes = _axes(len(bars))
    for y, bar in enumerate(bars):
        color = _OWN if bar.is_own else _OTHER
        _whisker(axes, y, (bar.value, bar.low, bar.high), color, "o" if bar.is_own else "s")
        axes.annotate(
            f"{bar.value:.3g}", (max(bar.value, bar.high or bar.value), y), xytext=(6, 0),
            textcoords="offset points", va="center", fontsize=8, color="#333333",
        )  # fmt: skip
    if chance is not None:
        axes.axvline(chance, color=_CHANCE, linestyle="--", linewidth=1)
        axes.annotate(
            "chance", (chance, 1), xycoords=("data", "axes fraction"), xytext=(3, 2),
            textcoords="offset points", color=_CHANCE, fontsize=8,
        )  # fmt: skip
    lows = [b.value if b.low is None else min(b.value, b.low) for b in bars]
    axes.set_xlim(min(0.0, *lows, 0.0), x_max)
    _dress(axes, [bar.label for bar in bars], title, x_label)
    return _svg(figure)


def change_svg(title: str, x_label: str, changes: Sequence[Change]) -> str:
    """Draw each score of an earlier run (square) above the one of this run (dot)."""
    figure, axes = _axes(2 * len(changes))
    for y, change in enumerate(changes):
        _whisker(axes, y - 0.17, change.before, _OTHER, "s")
        _whisker(axes, y + 0.17, change.after, _OWN, "o")
    _dress(axes, [change.label for change in changes], title, x_label)
    return _svg(figure)


def _axes(n_lines: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 1.2 + 0.32 * max(n_lines, 1)), layout="constrained")
    return figure, figure.add_subplot()


def _whisker(
    axes: Any, y: float, score: tuple[float, float | None, float | None], color: str, mark: str
) -> None:
    value, low, high = score
    if low is not None and high is not None:
        axes.plot([low, high], [y, y], color=color, linewidth=2, solid_capstyle="butt")
    axes.plot([value], [y], mark, color=color, markersize=5, clip_on=False)


def _dress(axes: Any, labels: Sequence[str], title: str, x_label: str) -> None:
    axes.set_yticks(range(len(labels)), list(labels), fontsize=8)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlabel(x_label, fontsize=8)
    axes.set_title(title, fontsize=10, loc="left", pad=14)
    axes.grid(axis="x", linewidth=0.4, color="#dddddd")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelsize=8, length=0)


def _svg(figure: Any) -> str:
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": _SALT, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue().encode()).decode()
