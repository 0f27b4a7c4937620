"""Small plots for the UI, drawn with matplotlib inside the functions that need it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import dagster as dg


def loss_curve(points: Sequence[tuple[int, float]], title: str) -> dg.MarkdownMetadataValue:
    """Return a loss curve as Markdown with the picture inside.

    Parameters
    ----------
    points
        (step, loss) pairs.
    title
        Above the curve.
    """
    if not points:
        return dg.MetadataValue.md("*the trainer reported no step*")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.plot([step for step, _ in points], [loss for _, loss in points], color="black", lw=1)
    axes.set(title=title, xlabel="optimiser step", ylabel="loss per answer token (nats)")
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return dg.MetadataValue.md(f"![loss](data:image/png;base64,{encoded})")
