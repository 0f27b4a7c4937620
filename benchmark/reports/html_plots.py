"""Plots of the HTML report as SVG: every control beside its model, and two runs side by side.

Words are kept as words, so a reader can search and copy them, and nothing random or dated is
written: the same scores give the same bytes. Which numbers are drawn is decided in
``reports/html.py`` and ``reports/html_change.py``; how, in ``reports/plots.py``.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.reports.plots import OTHER, OWN, Bar, IntervalPlot, dress, figure_of, whisker

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
    """Return an :class:`IntervalPlot` as the ``data:`` address of an SVG; parameters are its own."""
    figure, axes = figure_of(len(bars))
    IntervalPlot(title, x_label, bars, x_max, chance).draw(axes)
    return _svg(figure)


def change_svg(title: str, x_label: str, changes: Sequence[Change]) -> str:
    """Draw each score of an earlier run (square) above the one of this run (dot)."""
    figure, axes = figure_of(2 * len(changes))
    for y, change in enumerate(changes):
        whisker(axes, y - 0.17, change.before, OTHER, "s")
        whisker(axes, y + 0.17, change.after, OWN, "o")
    dress(axes, [change.label for change in changes], title, x_label)
    return _svg(figure)


def _svg(figure: Any) -> str:
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": _SALT, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue().encode()).decode()
