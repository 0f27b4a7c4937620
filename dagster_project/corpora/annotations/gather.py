"""All boxes of a release's shards, and which of their segments may serve as background.

Shards are read as frames of table ``segments`` through a function the caller gives: where they lie
is the rim's. One frame is held at a time; the signal is read only for the pages whose marks cannot
be boxed without it. One event's way to a box is in :mod:`dagster_project.corpora.annotations.boxes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from dagster_project.corpora.annotations.boxes import (
    AnnotatedPage,
    Box,
    Tally,
    annotation_id,
    boxes_of,
    page_of,
)
from dagster_project.corpora.annotations.planted import (
    ORIGIN_COLUMNS,
    SIGNAL_COLUMNS,
    Draw,
    Origin,
    why_not_background,
)
from dagster_project.corpora.annotations.rows import PageSignal
from dagster_project.corpora.annotations.votes import is_named, vote
from dagster_project.corpora.cutting import events_inside
from dagster_project.corpora.segment_table import STEP_UV
from detectors.types import CANONICAL19, REFERENTIAL19, ExpertEvent

Frames = Callable[[Sequence[str]], Iterator[pl.DataFrame]]
"""Columns of table ``segments`` to its frames, in order."""
Row = dict[str, Any]

_COLUMNS = (*ORIGIN_COLUMNS, "start_s")


@dataclass(frozen=True, slots=True)
class AnnotatedShard:
    """One shard of a release.

    Parameters
    ----------
    key
        Partition key.
    recordings
        Rows of table ``recordings`` by id, with ``path``, ``licence`` and ``is_gated``.
    frames
        Reads its segments.
    kinds_found
        Kinds in table ``findings`` by segment, hidden ones included.
    is_own
        Whether a user's own entry describes the corpus.
    own
        Events of the user's tables by path, times of the recording.
    """

    key: str
    recordings: Mapping[str, Mapping[str, Any]]
    frames: Frames
    kinds_found: Mapping[str, frozenset[str]]
    is_own: bool = False
    own: Mapping[str, Sequence[ExpertEvent]] = field(default_factory=dict)


@dataclass(slots=True)
class Marks:
    """What the shards gave.

    Parameters
    ----------
    rows, annotator_rows
        Of the tables ``waveform_annotations`` and ``annotator_boxes``.
    tally
        What became of every event and channel.
    origins
        Segments that may serve as background.
    not_background
        How many may not, by reason.
    """

    rows: list[Row] = field(default_factory=list)
    annotator_rows: list[Row] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    origins: list[Origin] = field(default_factory=list)
    not_background: Counter[str] = field(default_factory=Counter)


def gather(shards: Iterable[AnnotatedShard]) -> Marks:
    """Box the events of all shards and find what may serve as background."""
    marks = Marks()
    for shard in shards:
        waiting: dict[str, AnnotatedPage] = {}
        placed: Counter[int] = Counter()
        for frame in shard.frames(_COLUMNS):
            for segment in frame.iter_rows(named=True):
                _offer(segment, shard, marks)
                page = page_of(segment, _own_of(segment, shard, placed))
                if page.needs_signal:
                    waiting[page.segment_id] = page
                elif page.events:
                    _take(page, shard, marks, None)
        for page, signal in _with_signal(shard, waiting):
            _take(page, shard, marks, signal)
        _count_outside(shard, placed, marks)
    return marks


def annotation_row(page: AnnotatedPage, box: Box) -> Row:
    """Return what every row about a box says."""
    return {
        "annotation_id": annotation_id(page.segment_id, box),
        "segment_id": page.segment_id, "corpus": page.corpus, "subject_id": page.subject_id,
        "split": page.split, "waveform": box.waveform, "channel": box.channel, "t0_s": box.t0_s,
        "t1_s": box.t1_s, "source": box.source,
    }  # fmt: skip


def planted_rows(
    draws: Sequence[Draw], events: Mapping[str, Sequence[ExpertEvent]], masks: Sequence[Any],
    tally: Tally,
) -> list[Row]:  # fmt: skip
    """Return the rows of ``waveform_annotations`` of planted pages.

    Parameters
    ----------
    draws, events
        As :func:`~dagster_project.corpora.annotations.planted.planted_pages` took and gave them.
    masks
        Recorded rows of each page.
    tally
        Counts every event, under ``planted in <corpus>``.
    """
    rows: list[Row] = []
    planted = Tally()
    for one, mask in zip(draws, masks, strict=True):
        recorded = tuple(n for n, is_there in zip(CANONICAL19, mask, strict=True) if is_there)
        for event in events[one.segment_id]:
            page = AnnotatedPage(
                one.segment_id, one.origin.corpus, one.origin.subject_id, one.origin.split,
                REFERENTIAL19, recorded, (event,), is_simulated=one.origin.is_simulated,
            )  # fmt: skip
            sizes = {m.name: m.value for m in event.measures}
            for box in boxes_of(page, planted):
                size_k = sizes.get(f"k:{box.channel}", sizes.get("k"))
                rows.append(_row(page, box, "planted", [box.annotator], 1.0, size_k))
    for (corpus, kind, outcome), n in planted.counts.items():
        tally.add(f"planted in {corpus}", kind, outcome, n)
    return _once(rows)


def signals_of(frames: Iterable[pl.DataFrame], wanted: set[str]) -> Iterator[tuple[str, Row]]:
    """Yield the segments of some ids with their signal."""
    for frame in frames:
        for row in frame.filter(pl.col("segment_id").is_in(wanted)).iter_rows(named=True):
            yield row["segment_id"], row


def _offer(segment: Row, shard: AnnotatedShard, marks: Marks) -> None:
    recording = shard.recordings[segment["recording_id"]]
    found = shard.kinds_found.get(segment["segment_id"], frozenset())
    why = why_not_background(segment, recording["is_gated"], found)
    if why:
        marks.not_background[why] += 1
        return
    marks.origins.append(
        Origin(
            segment["segment_id"], shard.key, segment["corpus"], segment["subject_id"],
            segment["split"], recording["licence"], segment["is_simulated"],
        )
    )  # fmt: skip


def _own_of(segment: Row, shard: AnnotatedShard, placed: Counter[int]) -> list[ExpertEvent]:
    """Return a user's own events that lie in a segment, and note which were placed anywhere."""
    path = shard.recordings[segment["recording_id"]]["path"]
    inside: list[ExpertEvent] = []
    for event in shard.own.get(path, ()):
        found = events_inside((event,), segment["start_s"], segment["recorded_s"])
        placed[id(event)] += len(found)
        inside += found
    return inside


def _count_outside(shard: AnnotatedShard, placed: Counter[int], marks: Marks) -> None:
    paths = {row["path"]: row["corpus"] for row in shard.recordings.values()}
    for path, events in shard.own.items():
        for event in events:
            if path in paths and not placed[id(event)]:
                marks.tally.add(paths[path], event.kind, "outside")


def _with_signal(
    shard: AnnotatedShard, waiting: Mapping[str, AnnotatedPage]
) -> Iterator[tuple[AnnotatedPage, PageSignal]]:
    if not waiting:
        return
    for segment_id, row in signals_of(shard.frames(SIGNAL_COLUMNS), set(waiting)):
        page = waiting[segment_id]
        data = np.asarray(row["signal"], dtype=np.float32).reshape(len(CANONICAL19), -1)
        yield page, PageSignal(data * np.float32(STEP_UV), page.recorded)


def _take(
    page: AnnotatedPage, shard: AnnotatedShard, marks: Marks, signal: PageSignal | None
) -> None:
    boxes = boxes_of(page, marks.tally, signal)
    marks.annotator_rows += [
        {**annotation_row(page, box), "annotator": box.annotator} for box in boxes if is_named(box)
    ]
    origin = "simulator" if page.is_simulated else "own" if shard.is_own else "corpus"
    marks.rows += _once(
        [_row(page, v.box, origin, list(v.annotators), v.weight, None) for v in vote(page, boxes)]
    )


def _row(
    page: AnnotatedPage, box: Box, origin: str, annotators: list[str], weight: float,
    size_k: float | None,
) -> Row:  # fmt: skip
    return {
        **annotation_row(page, box),
        "origin": origin,
        "annotators": annotators,
        "weight": weight,
        "is_placed": box.is_placed,
        "size_k": size_k,
    }


def _once(rows: Iterable[Row]) -> list[Row]:
    """Keep the first of rows with one id."""
    return list({row["annotation_id"]: row for row in reversed(list(rows))}.values())[::-1]
