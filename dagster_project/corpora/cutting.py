"""Cutting harmonised recordings into 10-second segments with their labels and events.

The whole of a contiguous run is filtered first and cut afterwards; no segment crosses a gap. None
holds less than its full length, except where an entry wants short runs padded (sentences): then the
row says how much of it was recorded. One recording is streamed in blocks, so its length does not show in
memory. Doing this for a shard is :mod:`dagster_project.corpora.segments`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dagster_project.corpora.channels import Pick, pick_traces
from dagster_project.corpora.errors import CorpusError, reject_row
from dagster_project.corpora.harmonise import Plan, harmonise, plan_for
from dagster_project.corpora.identity import segment_id
from dagster_project.corpora.labels.table import read_labels
from dagster_project.corpora.labels.types import EDGE_S, RecordingLabels
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.readers.types import Run, Traces, clock_s
from dagster_project.corpora.segment_table import SegmentHead, quantise, record_batch
from dagster_project.corpora.spec import CorpusSpec
from dagster_project.corpora.splits import segment_splits
from detectors.types import N_TIMES, SEGMENT_S, SFREQ_HZ, ExpertEvent

EVENT_SHARE = 0.5
"""An event or label cut by a segment's edge counts if half of it, or a second, lies inside ..."""
EVENT_MIN_S = 1.0
"""... so that slivers at the edge are no examples (engineering default)."""
STILL_S = 0.1
"""Spacing of the samples that first tell a possibly flat segment."""
TAPER_S = 0.05
"""A padded run fades out over its last 50 ms, so that no step stands where the signal ends
(engineering default)."""
DIGEST_STRIDE = 16
"""Every so-manieth stored sample enters a segment's duplicate guard."""


@dataclass(frozen=True, slots=True)
class SegmentBlock:
    """Some consecutive segments of a recording.

    Parameters
    ----------
    batch
        Rows of table ``segments``.
    digests
        One per row: equal for segments with the same stored signal.
    rejects
        Rows of table ``segment_rejects`` for stretches set aside here.
    """

    batch: pa.RecordBatch
    digests: tuple[bytes, ...]
    rejects: tuple[dict[str, Any], ...]


class _Watch:
    """Notes native samples that are not numbers, or do not move, as they are read."""

    def __init__(self, traces: Traces, run: Run) -> None:
        self._traces, self._run = traces, run
        self._stride = max(1, int(STILL_S * traces.sfreq))
        self._still = np.zeros(run.n_samples // self._stride + 1, dtype=bool)
        self._last: NDArray[np.float32] | None = None
        self._nan: list[int] = []

    def read(self, start: int, stop: int, out: NDArray[np.float32]) -> None:
        """Read microvolts of the run; numbers that are none become zero."""
        self._traces.read_uv(self._run.start_sample + start, self._run.start_sample + stop, out)
        if self._traces.may_hold_nan and np.isnan(out).any():
            self._nan.extend((start + np.flatnonzero(np.isnan(out).any(axis=0))).tolist())
            np.nan_to_num(out, copy=False)
        few = out[:, -start % self._stride :: self._stride]
        if few.shape[1] == 0:
            return
        before = few[:, :1] if self._last is None else self._last
        moved = np.diff(few, axis=1, prepend=before).any(axis=0)
        first = -(-start // self._stride)
        self._still[first : first + few.shape[1]] = ~moved
        self._last = few[:, -1:].copy()

    def fault(self, start: int, stop: int) -> CorpusError | None:
        """Say what is wrong with native samples ``[start, stop)``, if anything."""
        n_nan = sum(start <= at < stop for at in self._nan)
        if n_nan:
            return CorpusError("nan", f"{n_nan} sample times are not numbers")
        inside = slice(-(-start // self._stride) + 1, -(-stop // self._stride))
        if not self._still[inside].all():
            return None
        base = self._run.start_sample
        native = self._traces.stored(base + start, base + stop)
        if (native == native[:, :1]).all():
            return CorpusError("flat", f"{native.shape[0]} channels, all constant")
        return None


def cut_segments(
    spec: CorpusSpec, root: Path, recording: Mapping[str, Any]
) -> Iterator[SegmentBlock]:
    """Cut one accepted recording.

    Parameters
    ----------
    spec, root
        Corpus and data root.
    recording
        Its row of table ``recordings``.

    Yields
    ------
    SegmentBlock
        In order of time; at most a few minutes each.

    Raises
    ------
    CorpusError
        If the file cannot be used (any more).
    """
    path = root / recording["path"]
    with open_recording(path, spec.reader) as opened:
        pick, traces = pick_traces(opened, spec.channels)
        if pick.schema.name != recording["channel_schema"]:
            raise CorpusError("wrong_montage", "not the channels of the inventory; take it again")
        labels = read_labels(spec, root, recording["path"], opened, clock_s(traces))
        for run in traces.runs:
            duration_s = run.n_samples / float(traces.sfreq)
            if spec.cut.pads(duration_s):
                yield _padded(spec, recording, pick, traces, run, labels)
            elif spec.cut.pad_runs_from_s and duration_s < SEGMENT_S:
                yield _set_aside(recording, pick, traces, run)
            else:
                yield from _cut_run(spec, recording, pick, traces, run, labels)


def _first_cut(run: Run, grid_s: float | None) -> int:
    """Output sample of a run's first segment: the run's start, or the next grid line."""
    if grid_s is None:
        return 0
    lines = math.ceil((run.start_s - grid_s) / SEGMENT_S - 1e-9)
    return round((grid_s + lines * SEGMENT_S - run.start_s) * SFREQ_HZ)


def _cut_run(
    spec: CorpusSpec,
    recording: Mapping[str, Any],
    pick: Pick,
    traces: Traces,
    run: Run,
    labels: RecordingLabels,
) -> Iterator[SegmentBlock]:
    plan = plan_for(traces.sfreq, recording["line_freq_hz"], run.n_samples)
    at = _first_cut(run, labels.grid_s)
    n_whole = (run.n_samples * plan.up // plan.down - at) // N_TIMES
    if n_whole < 1:
        return
    watch = _Watch(traces, run)
    pending = np.empty((len(pick.indices), 0), dtype=np.float32)
    skip = at
    for block in harmonise(watch.read, len(pick.indices), run.n_samples, plan):
        drop = min(skip, block.shape[1])
        skip -= drop
        pending = np.concatenate([pending, block[:, drop:]], axis=1)
        n = min(pending.shape[1] // N_TIMES, n_whole)
        if n:
            cutter = _Cutter(spec, recording, pick, plan, run, labels, watch)
            yield cutter.block(pending, at, n)
            pending = pending[:, n * N_TIMES :]
            at += n * N_TIMES
            n_whole -= n


def _padded(
    spec: CorpusSpec,
    recording: Mapping[str, Any],
    pick: Pick,
    traces: Traces,
    run: Run,
    labels: RecordingLabels,
) -> SegmentBlock:
    """Make one segment of a run shorter than one: faded out, then zero."""
    plan = plan_for(traces.sfreq, recording["line_freq_hz"], run.n_samples)
    watch = _Watch(traces, run)
    rows_uv = np.zeros((len(pick.indices), N_TIMES), dtype=np.float32)
    blocks = list(harmonise(watch.read, len(pick.indices), run.n_samples, plan))
    signal = np.concatenate(blocks, axis=1)[:, :N_TIMES]
    n_fade = min(round(TAPER_S * SFREQ_HZ), signal.shape[1])
    signal[:, signal.shape[1] - n_fade :] *= (
        np.cos(np.linspace(0, np.pi / 2, n_fade + 2)[1:-1]) ** 2
    )
    rows_uv[:, : signal.shape[1]] = signal
    recorded_s = min(run.n_samples / float(traces.sfreq), float(SEGMENT_S))
    return _Cutter(spec, recording, pick, plan, run, labels, watch, recorded_s).block(rows_uv, 0, 1)


def _set_aside(recording: Mapping[str, Any], pick: Pick, traces: Traces, run: Run) -> SegmentBlock:
    """Say of a run too short to pad why it gives no segment."""
    values = np.empty((len(pick.indices), run.n_samples), dtype=np.float32)
    traces.read_uv(run.start_sample, run.start_sample + run.n_samples, values)
    error = CorpusError("too_short", f"{run.n_samples / float(traces.sfreq):g} s")
    if np.isnan(values).all():
        error = CorpusError("nan", f"no numbers where {run.n_samples} samples should be")
    empty = np.empty((0, len(pick.mask), N_TIMES), dtype=np.int16)
    batch = record_batch(recording, pick.mask, [], empty, np.empty(0, dtype=np.int32))
    reject = reject_row(error, recording["recording_id"], "segments", run.start_s)
    return SegmentBlock(batch, (), (reject,))


@dataclass(frozen=True, slots=True)
class _Cutter:
    spec: CorpusSpec
    recording: Mapping[str, Any]
    pick: Pick
    plan: Plan
    run: Run
    labels: RecordingLabels
    watch: _Watch
    recorded_s: float = SEGMENT_S

    def block(self, rows_uv: NDArray[np.float32], at: int, n: int) -> SegmentBlock:
        """Turn ``n`` segments starting at output sample ``at`` of the run into rows."""
        row_of = np.flatnonzero(self.pick.mask).tolist()
        signals, clipped = quantise(rows_uv[:, : n * N_TIMES], row_of, len(self.pick.mask))
        kept, heads, rejects = [], [], []
        for i in range(n):
            start = self._native(at + i * N_TIMES)
            start_s = self.run.start_s + (at + i * N_TIMES) / SFREQ_HZ
            if not _is_kept(self.labels.keep, start_s, self.recorded_s):
                continue
            fault = self.watch.fault(start, self._native(at + (i + 1) * N_TIMES))
            if fault:
                key = self.recording["recording_id"]
                rejects.append(reject_row(fault, key, "segments", start_s))
            else:
                kept.append(i)
                heads.append(self._head(start_s, self.run.start_sample + start))
        if len(kept) < n:
            signals, clipped = signals[kept], clipped[kept]
        batch = record_batch(self.recording, self.pick.mask, heads, signals, clipped)
        thin = np.ascontiguousarray(signals[:, :, ::DIGEST_STRIDE])
        digests = tuple(hashlib.sha256(segment).digest() for segment in thin)
        return SegmentBlock(batch, digests, tuple(rejects))

    def _native(self, sample: int) -> int:
        """Native sample of the run at an output sample."""
        return min(round(sample * self.plan.down / self.plan.up), self.run.n_samples)

    def _head(self, start_s: float, start_sample: int) -> SegmentHead:
        stop_s = start_s + self.recorded_s
        known = self.labels
        touching = [i for i in known.intervals if i.overlaps(start_s, stop_s)]
        inside = [i.label.row() for i in touching if _is_enough(i.t0_s, i.t1_s, start_s, stop_s)]
        # what only touches a segment makes neither it nor its absence true there
        said = {(i.label.name, i.label.source) for i in touching}
        inside += [d.row() for d in known.defaults if (d.name, d.source) not in said]
        stages = {i.label for i in known.stages if i.overlaps(start_s, stop_s)}
        covered = sum(
            min(i.t1_s, stop_s) - max(i.t0_s, start_s)
            for i in known.stages
            if i.overlaps(start_s, stop_s)
        )
        is_covered = covered > self.recorded_s - 1e-6
        stage = next(iter(stages)) if len(stages) == 1 and is_covered else None
        labels = [label.row() for label in known.labels]
        labels += [row for row in self.recording["labels"] if row["scope"] == "split"]
        by_trial = segment_splits(self.spec, known.intervals, start_s, stop_s)
        labels += [label.row() for label in by_trial]
        labels += [row for i, row in enumerate(inside) if row not in inside[:i]]
        labels += [stage.row()] if stage else []
        return SegmentHead(
            segment_id(self.recording["recording_id"], start_sample),
            start_s,
            start_sample,
            tuple(labels),
            events_inside(known.events, start_s, self.recorded_s),
            stage.value if stage else None,
            self.recorded_s,
        )


def _is_enough(t0_s: float, t1_s: float, start_s: float, stop_s: float) -> bool:
    """Whether half of a stretch, or a second of it, lies inside a segment."""
    inside_s = min(t1_s, stop_s) - max(t0_s, start_s)
    return inside_s > 0 and inside_s >= min(EVENT_SHARE * (t1_s - t0_s), EVENT_MIN_S) - EDGE_S


def _is_kept(
    keep: tuple[tuple[float, float], ...] | None, start_s: float, recorded_s: float
) -> bool:
    """Whether a segment lies inside a stretch worth cutting."""
    stop_s = start_s + recorded_s
    return keep is None or any(a - 1e-6 <= start_s and stop_s <= b + 1e-6 for a, b in keep)


def events_inside(
    events: tuple[ExpertEvent, ...], start_s: float, recorded_s: float = SEGMENT_S
) -> tuple[ExpertEvent, ...]:
    """Return the events of a segment, clipped to it and timed from its start.

    Parameters
    ----------
    events
        Recording-relative.
    start_s, recorded_s
        Start of the segment and how much of it was recorded.
    """
    inside = []
    for event in events:
        t0_s = max(event.t0_s - start_s, 0.0)
        t1_s = min(event.t1_s - start_s, float(recorded_s))
        if _is_enough(event.t0_s, event.t1_s, start_s, start_s + recorded_s):
            inside.append(replace(event, t0_s=t0_s, t1_s=t1_s))
    return tuple(inside)
