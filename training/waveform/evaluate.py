"""Scores of a network on a split, and the thresholds its card carries.

Scoring proper - intervals by subject, controls, reports - is the benchmark's; here are only the
numbers that go into the card of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.types import SEGMENT_S
from detectors.vocabulary import WAVEFORMS
from detectors.waveform.card import Curve
from detectors.waveform.nms import Boxes, decode, suppress
from detectors.waveform.orientation import oriented, turned_back
from detectors.waveform.raster import raster_rows
from detectors.waveform.scoring import EVENT_RULES, Matches, match
from training.waveform.dataset import SegmentSet

MAP_THRESHOLD = 0.001
"""Smallest confidence that enters average precision (``systems.md`` 6.3)."""
SIZES_K = ((1.5, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 12.0))
"""Ranges of planted sizes that are scored apart, times the background."""

_BATCH = 16
_PER_KNOT, _MOST_KNOTS = 25, 16
"""Fewest detections behind one point of a calibration curve, and most points of it."""

Forward = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Rows (k, N_PLANES, 20, 2016) to raw output (k, 4 + n_classes, n_anchors)."""


def torch_forward(compact_model: Any) -> Forward:
    """Return a forward function over a network from :func:`training.waveform.network.compact`."""
    import torch

    def forward(rows: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(compact_model(torch.from_numpy(rows)).numpy())

    return forward


def detect_set(forward: Forward, data: SegmentSet, nms_iou: float) -> list[Boxes]:
    """Return every detection above :data:`MAP_THRESHOLD` by segment, suppressed.

    Pages are turned and boxes turned back as inference does, so scores and thresholds are of that.
    """
    thresholds = np.full(len(WAVEFORMS), MAP_THRESHOLD, dtype=np.float32)
    out: list[Boxes] = []
    for start in range(0, len(data), _BATCH):
        index = np.arange(start, min(start + _BATCH, len(data)))
        signals, masks, is_turned = oriented(data.uv(index), data.masks[index])
        outputs = forward(raster_rows(signals, masks))
        for output, mask, turned in zip(outputs, masks, is_turned, strict=True):
            out.append(turned_back(suppress(decode(output, thresholds, mask), nms_iou), turned))
    return out


def halves(data: SegmentSet) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the segments of every other subject, and those of the rest."""
    order = {subject: i for i, subject in enumerate(sorted(set(data.subject_ids)))}
    is_odd = np.array([order[subject] % 2 == 1 for subject in data.subject_ids])
    return np.flatnonzero(~is_odd), np.flatnonzero(is_odd)


def fit_curves(found: list[Boxes], data: SegmentSet) -> dict[str, Curve]:
    """Return by class how scores become probabilities: isotonic regression, as a small table.

    Parameters
    ----------
    found
        Detections at :data:`MAP_THRESHOLD` by segment, with the network's scores.
    data
        Truth; hits are counted by :data:`~detectors.waveform.scoring.EVENT_RULES`.
    """
    return {
        name: _curve(match(found, data.boxes, waveform.index, EVENT_RULES[name]))
        for name, waveform in WAVEFORMS.items()
    }


def _curve(matches: Matches) -> Curve:
    rising = np.argsort(matches.scores, kind="stable")
    scores = matches.scores[rising].astype(np.float64)
    hits = matches.is_hit[rising].astype(np.float64)
    n_bins = int(np.clip(len(scores) // _PER_KNOT, 1, _MOST_KNOTS))
    # most detections are faint, so knots are spread over the score as well as over their number
    edges = np.unique(
        np.concatenate(
            [
                np.searchsorted(scores, np.linspace(0, 1, n_bins + 1)[1:-1]),
                np.linspace(0, len(scores), n_bins // 2 + 1).astype(int),
            ]
        )
    )
    parts = [
        (scores[a:b].mean(), hits[a:b].mean(), b - a) for a, b in pairwise(edges.tolist()) if b > a
    ]
    pooled: list[tuple[float, float, float]] = []
    for x, y, n in parts:
        pooled.append((x, y, n))
        while len(pooled) > 1 and (pooled[-1][1] <= pooled[-2][1] or pooled[-1][2] < _PER_KNOT / 2):
            (x0, y0, n0), (x1, y1, n1) = pooled.pop(-2), pooled.pop(-1)
            total = n0 + n1
            pooled.append(((x0 * n0 + x1 * n1) / total, (y0 * n0 + y1 * n1) / total, total))
    knots = [(0.0, 0.0)]
    for x, y, _ in pooled:
        x, y = round(min(x, 0.999), 5), round(min(y, 0.999), 5)
        if x > knots[-1][0] and y > knots[-1][1]:
            knots.append((x, y))
    last = knots[-1]
    return (*knots, (1.0, round(min(1.0, last[1] + (1.0 - last[1]) * 0.5), 5)))


def apply_curves(found: list[Boxes], curves: Mapping[str, Curve]) -> list[Boxes]:
    """Return detections with probabilities in place of scores, best first."""
    columns = [tuple(np.array(c) for c in zip(*curves[name], strict=True)) for name in WAVEFORMS]
    out: list[Boxes] = []
    for boxes in found:
        scores = np.zeros(len(boxes), dtype=np.float32)
        for index, (score, probability) in enumerate(columns):
            is_class = boxes.classes == index
            scores[is_class] = np.interp(boxes.scores[is_class], score, probability)
        changed = replace(boxes, scores=scores)
        out.append(changed.take(np.argsort(-scores, kind="stable")))
    return out


def reliability(found: list[Boxes], data: SegmentSet) -> dict[str, list[dict[str, float]]]:
    """Return by class and bin of confidence: predicted share, observed share, number.

    Bins are tenths; those with fewer than 10 detections are left out, and so is all below 0.05,
    where most detections lie that nobody is shown.
    """
    table: dict[str, list[dict[str, float]]] = {}
    for name, waveform in WAVEFORMS.items():
        matches = match(found, data.boxes, waveform.index, EVENT_RULES[name])
        tenth = np.floor(matches.scores * 10).astype(int)
        table[name] = [
            {
                "predicted": round(float(matches.scores[inside].mean()), 4),
                "observed": round(float(matches.is_hit[inside].mean()), 4),
                "n": int(inside.sum()),
            }
            for k in range(10)
            for inside in [(tenth == k) & (matches.scores >= 0.05)]
            if inside.sum() >= 10
        ]
    return table


def calibrate(
    found: list[Boxes], data: SegmentSet, targets: Mapping[str, float]
) -> dict[str, float]:
    """Return a threshold per class at which its target precision is reached on validation subjects.

    Hits are counted by :data:`~detectors.waveform.scoring.EVENT_RULES`. A class that never reaches
    the target gets the threshold of its best F1, so that the card shows a precision below target
    rather than a class that silently never speaks.
    """
    thresholds: dict[str, float] = {}
    for name, waveform in WAVEFORMS.items():
        matches = match(found, data.boxes, waveform.index, EVENT_RULES[name])
        threshold = matches.threshold_for(targets[name])
        if threshold is None:
            candidates = np.unique(matches.scores)[-2000:] if len(matches.scores) else [0.5]
            threshold = float(max(candidates, key=lambda t: matches.at(float(t))[2]))
        # rounded down, so that the detection it was read from stays above it
        thresholds[name] = math.floor(float(threshold) * 1e4) / 1e4
    return thresholds


def score_set(
    found: list[Boxes], data: SegmentSet, thresholds: dict[str, float]
) -> dict[str, dict[str, float]]:
    """Return AP@0.5, and precision, recall and F1 of events at the thresholds, by class."""
    scores: dict[str, dict[str, float]] = {}
    hours = len(data) * SEGMENT_S / 3600
    bare = [i for i, boxes in enumerate(data.boxes) if not len(boxes)]
    for name, waveform in WAVEFORMS.items():
        strict = match(found, data.boxes, waveform.index)
        events = match(found, data.boxes, waveform.index, EVENT_RULES[name])
        precision, recall, f1 = events.at(thresholds[name])
        wrong = ~events.is_hit[events.scores >= thresholds[name]]
        on_bare = sum(
            int(((b.classes == waveform.index) & (b.scores >= thresholds[name])).sum())
            for b in (found[i] for i in bare)
        )
        values = {
            "ap50": strict.average_precision(),
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "f1_iou50": strict.at(thresholds[name])[2],
            "false_per_hour": wrong.sum() / hours,
            "false_per_bare_hour": on_bare / (len(bare) * SEGMENT_S / 3600) if bare else np.nan,
            "n_truth": strict.n_truth,
        }
        scores[name] = {k: round(float(v), 4) for k, v in values.items()}
    return scores


def score_sizes(
    found: list[Boxes], data: SegmentSet, thresholds: dict[str, float]
) -> dict[str, list[dict[str, float]]]:
    """Return AP@0.5, precision and recall by class and by :data:`SIZES_K`, of planted events."""
    table: dict[str, list[dict[str, float]]] = {}
    planted = [i for i, sizes in enumerate(data.sizes) if not np.isnan(sizes).any()]
    on_planted = [found[i] for i in planted]
    truth, sizes = [data.boxes[i] for i in planted], [data.sizes[i] for i in planted]
    for name, waveform in WAVEFORMS.items():
        strict = match(on_planted, truth, waveform.index, sizes=sizes)
        events = match(on_planted, truth, waveform.index, EVENT_RULES[name], sizes=sizes)
        table[name] = []
        for low, high in SIZES_K:
            precision, recall, _ = events.of_sizes(low, high).at(thresholds[name])
            ap50 = strict.of_sizes(low, high).average_precision()
            n = events.of_sizes(low, high).n_truth
            values = {"ap50": ap50, "precision": precision, "recall": recall}
            table[name].append(
                {"low": low, "high": high, "n_truth": n}
                | {k: round(float(v), 4) for k, v in values.items()}
            )
    return table


def mean_ap(scores: dict[str, dict[str, float]]) -> float:
    """Return the mean AP@0.5 over the classes that occur."""
    return float(np.nanmean([s["ap50"] for s in scores.values()]))
