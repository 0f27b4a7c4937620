"""The reliability plot of detector weights, as a picture beside their card."""

from __future__ import annotations

import os
from pathlib import Path

from detectors.waveform.card import DetectorCard


def plot_reliability(card: DetectorCard, path: Path) -> None:
    """Draw confidence against the share that was right, one panel per class.

    Parameters
    ----------
    card
        Weights with their reliability.
    path
        PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 9), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, name in zip(figure.subplots(3, 3).flat, card.classes, strict=False):
        bins = card.reliability[name]
        axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        axis.plot([b.predicted for b in bins], [b.observed for b in bins], "o-", markersize=4)
        for b in bins:
            axis.annotate(
                str(b.n), (b.predicted, b.observed), fontsize=6, xytext=(3, -8),
                textcoords="offset points",
            )  # fmt: skip
        axis.axvline(card.thresholds[name], color="C3", linewidth=0.8, linestyle="--")
        axis.set(title=name, xlim=(0, 1), ylim=(0, 1))
    figure.supxlabel("confidence (dashed: threshold)")
    figure.supylabel("share right; numbers are detections")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    figure.savefig(part, dpi=110, format="png", metadata={"Software": None})
    part.replace(path)
