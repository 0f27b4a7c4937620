"""Scores of a waveform detector against annotated boxes, and how its boxes become answers.

Matching and average precision are in ``detection.py``. All boxes are redrawn by subject together,
so a mean over classes and its parts share their draws.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.answers import Box, Item, Reply, answer_row, boxes_to_text, parse_boxes
from benchmark.controls import segment_shuffle, subject_swap
from benchmark.detection import (
    EVENT_RULES,
    IOU_50,
    IOU_RANGE,
    class_ap,
    class_boxes,
    event_counts,
)
from benchmark.errors import BenchmarkError
from benchmark.intervals import Floats, Interval, percentile_interval, subject_weights
from benchmark.registry import unknown
from benchmark.scoring import score_row
from benchmark.tasks import TASKS, Row, Task
from detectors.types import SEGMENT_S
from detectors.vocabulary import WAVEFORMS

DEFAULT_THRESHOLD = 0.5
"""Confidence from which a box is an event where the detector states no threshold of its class."""

_SWAPS = {"shuffled": segment_shuffle, "other_subject": subject_swap}


def detector_answers(
    items: Sequence[Item],
    events: Iterable[Row],
    model: str,
    *,
    controls: Sequence[str] = ("none", "shuffled"),
    thresholds: Mapping[str, float] | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Turn a detector's boxes into rows of table ``model_answers``.

    Parameters
    ----------
    items
        Items of task ``waveform_boxes``.
    events
        Rows of table ``waveform_events`` (or dictionaries of ``WaveformEvent``), ideally down to a
        confidence near 0, so that precision is known at every recall.
    model
        Name in tables, such as the weights id.
    controls
        ``none``; ``shuffled`` and ``other_subject`` give an item the boxes of another page.
    thresholds
        Confidence from which a box is an event, by class; kept with each answer.
    seed
        Seed of the controls.

    Raises
    ------
    BenchmarkError
        If a control is none of these, or a threshold is no probability.
    """
    cut = _thresholds(thresholds)
    boxes: dict[str, list[Box]] = {item.segment_id: [] for item in items}
    for e in events:
        if e["segment_id"] in boxes:
            boxes[e["segment_id"]].append(
                Box(e["segment_id"], e["waveform"], e["channel"], e["t0_s"], e["t1_s"], e["confidence"])
            )
    rows = []
    for control in controls:
        source = _source_pages(control, items, seed)
        for item in items:
            text = boxes_to_text(boxes[source[item.segment_id]])
            row = answer_row("boxes", item, Reply(text), model, control)
            rows.append({**row, "output": _with_thresholds(text, cut)})
    return rows
