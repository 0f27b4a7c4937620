"""Scores of a network on a split, and the thresholds its card carries.

Scoring proper - intervals by subject, controls, reports - is the benchmark's; here are only the
numbers that go into the card of the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.types import CANONICAL19, SEGMENT_S
from detectors.vocabulary import WAVEFORMS
from detectors.waveform.nms import Boxes, decode, suppress
from detectors.waveform.raster import N_GRID_ROWS, WIDTH_PX, ZERO_GREY, encode_signal
from detectors.waveform.scoring import EVENT_RULES, match
from training.waveform.dataset import SegmentSet

MAP_THRESHOLD = 0.001
"""Smallest confidence that enters average precision (``systems.md`` 6.3)."""
_BATCH = 16

Forward = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Rows (k, 3, 20, 2016) to raw output (k, 4 + n_classes, n_anchors)."""


def torch_forward(compact_model: Any) -> Forward:
    """Return a forward function over a network from :func:`training.waveform.network.compact`."""
    import torch

    def forward(rows: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(compact_model(torch.from_numpy(rows)).numpy())

    return forward


def detect_set(forward: Forward, data: SegmentSet, nms_iou: float) -> list[Boxes]:
    """Return every detection above :data:`MAP_THRESHOLD` by segment, suppressed."""
    thresholds = np.full(len(WAVEFORMS), MAP_THRESHOLD, dtype=np.float32)
    out: list[Boxes] = []
    for start in range(0, len(data), _BATCH):
        index = np.arange(start, min(start + _BATCH, len(data)))
        rows = np.full((len(index), 3, N_GRID_ROWS, WIDTH_PX), ZERO_GREY, dtype=np.uint8)
        encoded = encode_signal(data.uv(index))
        rows[:, :, : len(CANONICAL19), : encoded.shape[-1]] = encoded
        for output, i in zip(forward(rows), index, strict=True):
            out.append(suppress(decode(output, thresholds, data.masks[i]), nms_iou))
    return out


def calibrate(found: list[Boxes], data: SegmentSet, target_precision: float) -> dict[str, float]:
    """Return a threshold per class at which precision is reached on validation subjects.

    Hits are counted by :data:`~detectors.waveform.scoring.EVENT_RULES`. A class that never reaches
    the target gets the threshold of its best F1, so that the card shows a precision below target
    rather than a class that silently never speaks.
    """
    thresholds: dict[str, float] = {}
    for name, waveform in WAVEFORMS.items():
        matches = match(found, data.boxes, waveform.index, EVENT_RULES[name])
        threshold = matches.threshold_for(target_precision)
        if threshold is None:
            candidates = np.unique(matches.scores)[-2000:] if len(matches.scores) else [0.5]
            threshold = float(max(candidates, key=lambda t: matches.at(float(t))[2]))
        thresholds[name] = round(float(threshold), 4)
    return thresholds


def score_set(
    found: list[Boxes], data: SegmentSet, thresholds: dict[str, float]
) -> dict[str, dict[str, float]]:
    """Return AP@0.5, and precision, recall and F1 of events at the thresholds, by class."""
    scores: dict[str, dict[str, float]] = {}
    hours = len(data) * SEGMENT_S / 3600
    for name, waveform in WAVEFORMS.items():
        strict = match(found, data.boxes, waveform.index)
        events = match(found, data.boxes, waveform.index, EVENT_RULES[name])
        precision, recall, f1 = events.at(thresholds[name])
        wrong = ~events.is_hit[events.scores >= thresholds[name]]
        values = {
            "ap50": strict.average_precision(),
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "f1_iou50": strict.at(thresholds[name])[2],
            "false_per_hour": wrong.sum() / hours,
            "n_truth": strict.n_truth,
        }
        scores[name] = {k: round(float(v), 4) for k, v in values.items()}
    return scores


def mean_ap(scores: dict[str, dict[str, float]]) -> float:
    """Return the mean AP@0.5 over the classes that occur."""
    return float(np.nanmean([s["ap50"] for s in scores.values()]))
