"""When a found event counts, and what that makes of precision, recall and F1 with intervals.

The event rules are those of ``evaluation.md`` 6.8; where it has none the rule is stated in
:data:`TASKS`. Muscle, flat and pops are scored row by row. What neither counts for nor against a
system: rows where an event may or may not be seen, and artifacts that the same page shows without
anything planted. Intervals resample subjects. Average precision of boxes is that of
``detection``; who found what is in ``detectors.systems``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmark.asking.answers import Box
from benchmark.detectors.events import Found, overlap
from benchmark.planted.planting import Planted
from benchmark.scores.detection import IOU_50, IOU_RANGE, class_ap, class_boxes
from benchmark.scores.intervals import (
    Floats,
    Interval,
    cluster_interval,
    percentile_interval,
    ratio,
    subject_totals,
    subject_weights,
)
from detectors.types import WaveformEvent
from detectors.vocabulary import KINDS, WAVEFORMS

_EDGE = 1e-9
_EPILEPTIFORM = ("spike", "sharp", "spsw")


@dataclass(frozen=True, slots=True)
class Task:
    """What is scored, and when a found event is a true one.

    Parameters
    ----------
    kinds
        Kinds that count as this.
    rule
        ``iou``, ``centre``, ``onset`` (in seconds apart) or ``frequency`` (in Hz apart).
    limit
        Smallest overlap or largest distance.
    is_by_row
        Whether every row of an event is an event of its own.
    floor, floor_of
        What the issue asks for at 2 to 4 times the background, and of which figure.
    source
        Who says when it counts.
    """

    kinds: tuple[str, ...]
    rule: Literal["iou", "centre", "onset", "frequency"]
    limit: float
    is_by_row: bool
    floor: float | None
    floor_of: Literal["f1", "precision"]
    source: str


_SPEC = "evaluation.md 6.8"
_OWN = "engineering default"
COMPLEX_S = 0.2
"""Centres of complexes may lie so far apart (``evaluation.md`` 6.8), also where a complex and the
spike that leads it are compared in the pooled task."""

TASKS: dict[str, Task] = {
    "spindle": Task(("spindle",), "iou", 0.2, False, 0.80, "f1", _SPEC),
    "kcomplex": Task(("kcomplex",), "iou", 0.2, False, 0.80, "f1", _SPEC),
    "epileptiform": Task(_EPILEPTIFORM, "centre", 0.1, False, 0.80, "f1", _SPEC),
    "spike": Task(("spike",), "centre", 0.1, False, None, "f1", _SPEC),
    "sharp": Task(("sharp",), "centre", 0.1, False, None, "f1", _SPEC + " (as spikes)"),
    "spsw": Task(("spsw",), "centre", COMPLEX_S, False, None, "f1", _SPEC),
    "blink": Task(("blink",), "iou", 0.2, False, 0.90, "f1", _OWN),
    "lateral_eye": Task(("lateral_eye",), "iou", 0.2, False, 0.90, "f1", _OWN),
    "muscle": Task(("muscle",), "iou", 0.2, True, 0.90, "f1", _OWN),
    "flat": Task(("flat",), "iou", 0.2, True, 0.95, "f1", _OWN),
    "electrode_pop": Task(("electrode_pop",), "onset", 0.2, True, 0.95, "f1", _OWN),
    "posterior_rhythm": Task(
        ("posterior_rhythm",), "frequency", 0.5, False, 0.95, "precision", "issue 4"
    ),
}
"""Tasks in the order of the report. ``posterior_rhythm`` is asked of pages that have one: its
precision is the share within 0.5 Hz of those named, its recall that of all."""

ARTIFACTS = frozenset(kind for kind, entry in KINDS.items() if entry.family == "artifact")


@dataclass(frozen=True, slots=True)
class Counts:
    """True, false and missed events, and the size in microvolts of every counted truth if found."""

    true: int
    false: int
    missed: int
    sizes: tuple[tuple[float, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class _Event:
    """One thing to match; ``channels`` are those where a match may be made."""

    segment_id: str
    kind: str
    channels: frozenset[str]
    t0_s: float
    t1_s: float
    confidence: float
    frequency_hz: float
    size_uv: float = 0.0


def count_events(
    task: Task,
    truth: Sequence[Planted],
    found: Sequence[Found],
    *,
    bare: Sequence[Found] = (),
    is_defined_only: bool = False,
) -> Counts:
    """Match what was found to what was planted.

    Parameters
    ----------
    task
        Row of :data:`TASKS`.
    truth, found
        On the same pages; kinds of other tasks are passed over.
    bare
        What the system finds on the pages before anything is planted; artifacts among it count for
        nothing.
    is_defined_only
        Leave out truth smaller than the definition of its kind, and what matches it.
    """
    mine = [t for t in truth if t.kind in task.kinds]
    shown = [f for f in found if f.kind in task.kinds]
    if task.rule == "frequency":
        return _count_rhythms(task, mine, shown)
    counted = [t for t in mine if t.is_defined or not is_defined_only]
    wanted = _true_events(task, counted)
    waived = _true_events(task, [t for t in mine if t.is_defined is False and is_defined_only])
    waived += _faint_events(task, mine)
    own = [f for f in bare if f.kind in task.kinds and f.kind in ARTIFACTS]
    left = sorted(_found_events(task, shown), key=_by_confidence)
    left, hits = _match(task, wanted, left)
    left, _ = _match(task, waived, left)
    false = [
        e for e in left if not _is_any(e, _found_events(task, own)) and not _lies_on(e, waived)
    ]
    sizes = tuple((e.size_uv, hit) for e, hit in zip(wanted, hits, strict=True))
    return Counts(sum(hits), len(false), len(wanted) - sum(hits), sizes)


def _by_confidence(event: _Event) -> tuple[float, str, float, float, tuple[str, ...]]:
    rows = tuple(sorted(event.channels))
    return (-event.confidence, event.segment_id, event.t0_s, event.t1_s, rows)


def _true_events(task: Task, truth: Iterable[Planted]) -> list[_Event]:
    events = []
    for t in truth:
        rows = [frozenset((c,)) for c in t.channels] if task.is_by_row else []
        rows = rows or [frozenset((*t.channels, *t.faint))]
        events += [
            _Event(t.segment_id, t.kind, r, t.t0_s, t.t1_s, 1.0, t.frequency_hz, t.peak_uv)
            for r in rows
        ]
    return events


def _faint_events(task: Task, truth: Iterable[Planted]) -> list[_Event]:
    if not task.is_by_row:
        return []
    return [
        _Event(t.segment_id, t.kind, frozenset((c,)), t.t0_s, t.t1_s, 1.0, 0.0)
        for t in truth
        for c in t.faint
    ]


def _found_events(task: Task, found: Iterable[Found]) -> list[_Event]:
    events = []
    for f in found:
        rows = [frozenset((c,)) for c in f.channels] if task.is_by_row else []
        rows = rows or [frozenset(f.channels)]
        events += [
            _Event(f.segment_id, f.kind, r, f.t0_s, f.t1_s, f.confidence, f.frequency_hz)
            for r in rows
        ]
    return events


def _match(
    task: Task, truth: Sequence[_Event], found: Sequence[_Event]
) -> tuple[list[_Event], list[bool]]:
    """Match greedily by confidence, each truth once; return what is left and which were hit."""
    free: dict[str, list[int]] = {}
    for i, event in enumerate(truth):
        free.setdefault(event.segment_id, []).append(i)
    hits = [False] * len(truth)
    left = []
    for event in found:
        near = free.get(event.segment_id, [])
        scored = [(c, -i) for i in near if (c := _closeness(task, truth[i], event)) is not None]
        if not scored:
            left.append(event)
            continue
        best = -max(scored)[1]
        hits[best] = True
        near.remove(best)
    return left, hits


def _closeness(task: Task, truth: _Event, found: _Event) -> float | None:
    """How close a found event is to a true one, or None where they do not match."""
    if truth.channels and found.channels and not truth.channels & found.channels:
        return None
    if task.rule == "iou":
        share = overlap(truth.t0_s, truth.t1_s, found.t0_s, found.t1_s)
        return round(share, 9) if share >= task.limit - _EDGE else None
    apart = abs(truth.t0_s - found.t0_s)
    if task.rule == "centre":
        apart = abs(truth.t0_s + truth.t1_s - found.t0_s - found.t1_s) / 2
    is_complex = "spsw" in (truth.kind, found.kind)
    limit = max(task.limit, COMPLEX_S) if is_complex else task.limit
    return -round(apart, 9) if apart <= limit + _EDGE else None


def _is_any(event: _Event, own: Sequence[_Event]) -> bool:
    """Whether the page shows this event without anything planted."""
    return any(
        o.segment_id == event.segment_id
        and (not o.channels or not event.channels or bool(o.channels & event.channels))
        and overlap(o.t0_s, o.t1_s, event.t0_s, event.t1_s) >= 0.2
        for o in own
    )


def _lies_on(event: _Event, waived: Sequence[_Event]) -> bool:
    return any(
        w.segment_id == event.segment_id
        and bool(w.channels & event.channels)
        and overlap(w.t0_s, w.t1_s, event.t0_s, event.t1_s) > 0
        for w in waived
    )


def _count_rhythms(task: Task, truth: Sequence[Planted], found: Sequence[Found]) -> Counts:
    true = false = missed = 0
    for t in truth:
        named = [f for f in found if f.segment_id == t.segment_id and f.frequency_hz > 0]
        if not named:
            missed += 1
            continue
        best = max(named, key=lambda f: (f.confidence, -f.t0_s))
        if abs(best.frequency_hz - t.frequency_hz) <= task.limit + _EDGE:
            true += 1
        else:
            false += 1
            missed += 1
    return Counts(true, false, missed)


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and F1 of one task with intervals, and what they were counted on."""

    precision: Interval
    recall: Interval
    f1: Interval
    n_true: int
    n_found: int


def _precision(sums: Floats) -> Floats:
    return ratio(np.column_stack([sums[:, 0], sums[:, 0] + sums[:, 1]]))


def _recall(sums: Floats) -> Floats:
    return ratio(np.column_stack([sums[:, 0], sums[:, 0] + sums[:, 2]]))


def _f1(sums: Floats) -> Floats:
    twice = 2 * sums[:, 0]
    return ratio(np.column_stack([twice, twice + sums[:, 1] + sums[:, 2]]))


_STATISTICS: tuple[Callable[[Floats], Floats], ...] = (_precision, _recall, _f1)


def score_counts(subjects: Sequence[str], counts: Sequence[Counts], *, seed: int) -> Score | None:
    """Score counts with intervals clustered by subject; None where there is no truth.

    Parameters
    ----------
    subjects, counts
        One each per recording.
    seed
        Of the bootstrap.
    """
    sums = np.array([(c.true, c.false, c.missed) for c in counts], dtype=np.float64).reshape(-1, 3)
    if not sums[:, [0, 2]].sum():
        return None
    _, totals = subject_totals(subjects, sums)
    values = [cluster_interval(totals, statistic, seed=seed) for statistic in _STATISTICS]
    if not sums[:, :2].sum():
        values[0] = replace(values[0], value=float("nan"), low=None, high=None)
    n_true, n_found = sums[:, [0, 2]].sum(), sums[:, :2].sum()
    return Score(values[0], values[1], values[2], int(n_true), int(n_found))


def rate_per_hour(
    subjects: Sequence[str], n_found: Sequence[int], hours: Sequence[float], *, seed: int
) -> Interval:
    """Return events per hour with an interval clustered by subject."""
    _, totals = subject_totals(subjects, np.column_stack([n_found, hours]).astype(np.float64))
    return cluster_interval(totals, ratio, seed=seed)


_CLASS_OF_KIND = {w.kind: name for name, w in WAVEFORMS.items() if w.kind != "lateral_eye"}


def truth_boxes(truth: Iterable[Planted]) -> list[Box]:
    """Return one box per row an event is seen on, in the detector's classes."""
    boxes = []
    for t in truth:
        for channel, sign in zip(t.channels, t.signs, strict=True):
            name = _CLASS_OF_KIND.get(t.kind, "")
            if t.kind == "lateral_eye":
                name = "eyer+" if sign > 0 else "eyer-"
            if name:
                boxes.append(Box(t.segment_id, name, channel, t.t0_s, t.t1_s, 1.0))
    return boxes


def found_boxes(events: Iterable[WaveformEvent], truth: Sequence[Planted]) -> list[Box]:
    """Return a detector's boxes, without those on rows where an event may or may not be seen."""
    faint: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for t in truth:
        for channel in t.faint:
            faint.setdefault((t.segment_id, t.kind, channel), []).append((t.t0_s, t.t1_s))
    return [
        Box(e.segment_id, e.waveform, e.channel, e.t0_s, e.t1_s, e.confidence)
        for e in events
        if not any(
            overlap(a, b, e.t0_s, e.t1_s) > 0
            for a, b in faint.get((e.segment_id, WAVEFORMS[e.waveform].kind, e.channel), ())
        )
    ]


def mean_average_precision(
    truth: Sequence[Box], found: Sequence[Box], subject_of: dict[str, str], *, seed: int
) -> dict[str, Interval]:
    """Return ``map50``, ``map20_50`` and the AP at 0.5 of every class that has truth.

    Parameters
    ----------
    truth, found
        Boxes of all classes.
    subject_of
        Page to subject.
    seed
        Of the bootstrap.
    """
    subjects = sorted(set(subject_of.values()))
    column = {page: subjects.index(s) for page, s in subject_of.items()}
    drawn = subject_weights(len(subjects), seed=seed)
    weights = np.concatenate([np.ones((1, len(subjects))), drawn])
    aps: dict[str, list[Floats]] = {}
    for name in WAVEFORMS:
        true, shown = class_boxes(truth, name), class_boxes(found, name)
        if true:
            aps[name] = [class_ap(true, shown, column, weights, limit) for limit in IOU_RANGE]
    if not aps:
        return {}
    at_50 = IOU_RANGE.index(IOU_50)
    draws = {
        "map50": np.nanmean([per[at_50] for per in aps.values()], axis=0),
        "map20_50": np.nanmean([per for per in aps.values()], axis=(0, 1)),
        **{f"ap50:{name}": per[at_50] for name, per in aps.items()},
    }
    return {
        name: percentile_interval(float(values[0]), values[1:], len(subjects))
        for name, values in draws.items()
    }
