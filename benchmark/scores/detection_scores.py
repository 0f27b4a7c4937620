"""Scores of a waveform detector against annotated boxes, and how its boxes become answers.

Matching and average precision are in ``scores/detection.py``. All classes share one draw of subjects, so
a mean over classes moves together with its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.asking.answers import Box, Item, Reply, answer_row, boxes_to_text, parse_boxes
from benchmark.asking.controls import segment_shuffle, subject_swap
from benchmark.errors import BenchmarkError
from benchmark.scores.detection import (
    EVENT_RULES,
    IOU_50,
    IOU_RANGE,
    class_ap,
    class_boxes,
    event_counts,
)
from benchmark.scores.event_scores import (
    NOT_INSTALLED,
    NOTHING_READ,
    event_sums,
    has_timescoring,
    szcore_values,
)
from benchmark.scores.intervals import Floats, percentile_interval, ratio, subject_weights
from benchmark.scores.scoring import score_row
from benchmark.tasks.registry import unknown
from benchmark.tasks.task import Row, Task
from detectors.types import SEGMENT_S
from detectors.vocabulary import WAVEFORMS

DEFAULT_THRESHOLD = 0.5
"""Confidence from which a box is an event where no threshold of its class is given (``systems.md``
1.4: the only value in use for the released detector)."""

NARROWEST_S = 0.001
"""A fifth of a sample at 200 Hz: less is a rounding of the edge; engineering default."""

_SWAPS: dict[str, Callable[[Sequence[Item], int], dict[str, str]]] = {
    "shuffled": segment_shuffle,
    "other_subject": subject_swap,
}


def detector_answers(
    items: Sequence[Item],
    events: Iterable[Row],
    model: str,
    *,
    controls: Sequence[str] = ("none", "shuffled"),
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Turn a detector's boxes into rows of table ``model_answers``.

    Parameters
    ----------
    items
        Items of task ``waveform_boxes``.
    events
        Rows of table ``waveform_events``, or ``dataclasses.asdict`` of ``WaveformEvent``, down to a
        confidence near 0, so that precision is known at every recall. Boxes on other segments are
        passed over; boxes are cut at the edges of the page, and what is then narrower than
        :data:`NARROWEST_S` is none.
    model
        Name in tables, such as the weights id.
    controls
        ``none``; ``shuffled`` and ``other_subject`` give an item the boxes of another page.
    seed
        Seed of the controls.

    Raises
    ------
    BenchmarkError
        If a control is none of these or there is no other page to swap with.
    """
    found: dict[str, list[Box]] = {item.segment_id: [] for item in items}
    for event in events:
        box = _cut_at_edges(event)
        if box.segment_id in found and box.t1_s - box.t0_s >= NARROWEST_S:
            found[box.segment_id].append(box)
    rows = []
    for control in controls:
        source = _source_segments(control, items, seed)
        rows += [
            answer_row(
                "boxes", item, Reply(boxes_to_text(found[source[item.segment_id]])), model, control
            )
            for item in items
        ]
    return rows


def _cut_at_edges(event: Row) -> Box:
    t0_s, t1_s = max(float(event["t0_s"]), 0.0), min(float(event["t1_s"]), float(SEGMENT_S))
    confidence = float(event["confidence"])
    return Box(event["segment_id"], event["waveform"], event["channel"], t0_s, t1_s, confidence)


def _source_segments(control: str, items: Sequence[Item], seed: int) -> dict[str, str]:
    if control == "none":
        return {item.segment_id: item.segment_id for item in items}
    if control not in _SWAPS:
        raise BenchmarkError(unknown("detector control", control, ("none", *_SWAPS)))
    return _SWAPS[control](items, seed)


@dataclass(frozen=True, slots=True)
class _Case:
    """Truth, findings and subject weights of one model under one control."""

    truth: tuple[Box, ...]
    found: tuple[Box, ...]
    subject_of: dict[str, int]
    weights: Floats
    classes: tuple[str, ...]


def score_boxes(
    task: Task,
    items: Sequence[Row],
    answers: Sequence[Row],
    seed: int,
    thresholds: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Score boxes: AP per class, mAP, event scores under the class rules.

    Parameters
    ----------
    task, items, answers, seed
        As in :func:`benchmark.scores.scoring.score`.
    thresholds
        Confidence from which a box is an event, by class; :data:`DEFAULT_THRESHOLD` for others.

    Raises
    ------
    BenchmarkError
        If a threshold names no class or is no probability.
    """
    cut = _thresholds(thresholds or {})
    truth = _read_boxes(items, {i["item_id"]: i["answer"] for i in items})
    runs: dict[tuple[str, str], dict[str, str]] = {}
    for row in answers:
        runs.setdefault((row["model"], row["control"]), {})[row["item_id"]] = row["answer"]
    subjects = sorted({i["subject_id"] for i in items})
    subject_of = {i["segment_id"]: subjects.index(i["subject_id"]) for i in items}
    drawn = subject_weights(len(subjects), seed=seed)
    weights = np.concatenate([np.ones((1, len(subjects))), drawn])
    classes = tuple(w for w in WAVEFORMS if any(b.waveform == w for b in truth))
    if not classes:
        raise BenchmarkError("no item has a true box; annotate test segments before scoring boxes")
    rows = []
    drawn_map: dict[tuple[str, str], Floats] = {}
    for key, said in sorted(runs.items()):
        n_unparsed = sum(not said.get(i["item_id"], "") for i in items)
        case = _Case(truth, _read_boxes(items, said), subject_of, weights, classes)
        values = {**_ap_values(case), **_event_values(case, cut, _hours(items, subject_of))}
        values |= _timescored_values(case, cut, len(subjects))
        if n_unparsed == len(items):
            values["fp_per_hour"] = (np.full(len(weights), np.nan), NOTHING_READ)
        drawn_map[key] = values["map50"][0]
        rows += [
            score_row(
                task, key, metric, percentile_interval(float(draws[0]), draws[1:], len(subjects)),
                note=note, n_items=len(items), n_unparsed=n_unparsed,
            )
            for metric, (draws, note) in values.items()
        ]  # fmt: skip
    return rows + _differences(task, drawn_map, len(items), len(subjects))


def _differences(
    task: Task, drawn: Mapping[tuple[str, str], Floats], n_items: int, n_subjects: int
) -> list[dict[str, Any]]:
    """Compare each detector on its pages with its controls, both under the same draws."""
    rows = []
    for (model, control), other in drawn.items():
        if control == "none" or (model, "none") not in drawn:
            continue
        gaps = drawn[model, "none"] - other
        gap = percentile_interval(float(gaps[0]), gaps[1:], n_subjects)
        word = "higher" if gap.value > 0 else "lower"
        verdict = "no difference is shown" if gap.includes(0.0) else word
        note = f"{verdict} (the same draws of subjects)"
        rows.append(
            score_row(
                task, (model, "none"), f"map50-{control}", gap,
                note=note, n_items=n_items, n_unparsed=0,
            )
        )  # fmt: skip
    return rows


def _ap_values(case: _Case) -> dict[str, tuple[Floats, str]]:
    per_class = {w: _class_aps(case, w) for w in case.classes}
    at_50 = IOU_RANGE.index(IOU_50)
    note = f"101-point AP, one-dimensional IoU on the same channel; {len(case.classes)} classes"
    values = {
        "map50": (mean_over_classes([aps[at_50] for aps in per_class.values()]), note),
        "map20_50": (
            mean_over_classes([mean_over_classes(list(aps)) for aps in per_class.values()]),
            note,
        ),
    }
    for waveform, aps in per_class.items():
        n_true, n_found = (len(class_boxes(b, waveform)) for b in (case.truth, case.found))
        values[f"ap50:{waveform}"] = (aps[at_50], f"{n_true} true boxes, {n_found} found")
    return values


def _class_aps(case: _Case, waveform: str) -> NDArray[np.float64]:
    truth, found = class_boxes(case.truth, waveform), class_boxes(case.found, waveform)
    return np.stack(
        [class_ap(truth, found, case.subject_of, case.weights, limit) for limit in IOU_RANGE]
    )


def _event_values(
    case: _Case, cut: Mapping[str, float], hours: Floats
) -> dict[str, tuple[Floats, str]]:
    f1, precision, recall, false = [], [], [], np.zeros(len(hours))
    values: dict[str, tuple[Floats, str]] = {}
    for waveform, rule in EVENT_RULES.items():
        truth = class_boxes(case.truth, waveform)
        found = [b for b in class_boxes(case.found, waveform) if b.confidence >= cut[waveform]]
        counts = event_counts(truth, found, case.subject_of, len(hours), rule)
        false += counts[:, 1]
        if waveform not in case.classes:
            continue
        true, wrong, missed = (case.weights @ counts).T
        n_true = true + missed
        f1.append(_share(2 * true, 2 * true + wrong + missed, n_true))
        precision.append(_share(true, np.maximum(true + wrong, 1), n_true))
        recall.append(_share(true, n_true, n_true))
        limit = f"IoU >= {rule.limit}" if rule.kind == "iou" else f"centres <= {rule.limit} s apart"
        note = (
            f"{limit}, confidence >= {cut[waveform]:.3g}; precision {precision[-1][0]:.3f}, "
            f"recall {recall[-1][0]:.3f}"
        )
        values[f"event_f1:{waveform}"] = (f1[-1], note)
    note = f"mean over {len(case.classes)} classes with truth, same channel"
    values["event_f1"] = (mean_over_classes(f1), note)
    values["event_precision"] = (mean_over_classes(precision), note)
    values["event_recall"] = (mean_over_classes(recall), note)
    rates = ratio(case.weights @ np.column_stack([false, hours]))
    values["fp_per_hour"] = (rates, "boxes of all nine classes, all rows of the page together")
    return values


def _timescored_values(
    case: _Case, cut: Mapping[str, float], n_subjects: int
) -> dict[str, tuple[Floats, str]]:
    """Score the same events by the package's rules; a void row says where it is not installed."""
    if not has_timescoring():
        return {"szcore_f1": (np.full(len(case.weights), np.nan), NOT_INSTALLED)}
    values: dict[str, tuple[Floats, str]] = {}
    per_class = []
    for waveform in case.classes:
        truth = class_boxes(case.truth, waveform)
        found = [b for b in class_boxes(case.found, waveform) if b.confidence >= cut[waveform]]
        sums = event_sums(truth, found, case.subject_of, n_subjects)
        per_class.append(szcore_values(np.tensordot(case.weights, sums, axes=1)))
        note = f"timescoring, any overlap, {int(sums[:, 2].sum())} true events"
        values[f"szcore_f1:{waveform}"] = (per_class[-1]["szcore_f1"], note)
    for name in per_class[0]:
        note = f"timescoring, any overlap, mean over {len(case.classes)} classes with truth"
        values[name] = (mean_over_classes([part[name] for part in per_class]), note)
    return values


def _share(numerator: Floats, denominator: Floats, n_true: Floats) -> Floats:
    """Divide; void where no truth was drawn, and precision 0 where nothing was found."""
    return np.where(n_true > 0, ratio(np.column_stack([numerator, denominator])), np.nan)


def mean_over_classes(values: Sequence[Floats]) -> Floats:
    """Mean over classes per draw; a class void in a draw (no truth drawn) is left out of it."""
    stacked = np.stack(list(values))
    is_there = np.isfinite(stacked)
    sums = np.where(is_there, stacked, 0.0).sum(axis=0)
    return ratio(np.column_stack([sums, is_there.sum(axis=0)]))


def _hours(items: Sequence[Row], subject_of: Mapping[str, int]) -> Floats:
    hours = np.zeros(max(subject_of.values()) + 1)
    for item in items:
        hours[subject_of[item["segment_id"]]] += SEGMENT_S / 3600
    return hours


def _read_boxes(items: Sequence[Row], text_of: Mapping[str, str]) -> tuple[Box, ...]:
    """Read all boxes; an absent or unparsed answer has none, so all its truth is missed."""
    boxes: list[Box] = []
    for item in items:
        boxes += parse_boxes(text_of.get(item["item_id"], ""), item["segment_id"]) or ()
    return tuple(boxes)


def _thresholds(given: Mapping[str, float]) -> dict[str, float]:
    for name, value in given.items():
        if name not in WAVEFORMS:
            raise BenchmarkError(unknown("waveform class", name, tuple(WAVEFORMS)))
        if not 0.0 <= value <= 1.0:
            raise BenchmarkError(f"threshold of {name!r} is {value}; give a probability, 0 to 1")
    return {name: given.get(name, DEFAULT_THRESHOLD) for name in WAVEFORMS}
