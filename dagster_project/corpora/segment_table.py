"""Segments as Arrow record batches: the int16 steps and the columns of table ``segments``.

The meaning of the columns is in the table registry, which this room does not import; a test holds
the two together. Cutting is in :mod:`dagster_project.corpora.cutting`, decoding in
:mod:`dagster_project.corpora.batches`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.types import N_TIMES, SEGMENT_S, ChannelSchema, ExpertEvent

STEP_UV = 0.05
"""One step of the stored signal: an error of at most 0.025 uV, range +-1638 uV."""
FULL_SCALE = 32767

_TEXT = pa.string()
_LABEL = pa.struct([("scope", _TEXT), ("name", _TEXT), ("value", _TEXT), ("source", _TEXT)])
_MEASURE = pa.struct([("name", _TEXT), ("value", pa.float64()), ("unit", _TEXT)])
_EVENT = pa.struct([
    ("kind", _TEXT), ("channels", pa.list_(_TEXT)), ("t0_s", pa.float64()), ("t1_s", pa.float64()),
    ("source", _TEXT), ("measures", pa.list_(_MEASURE)),
])  # fmt: skip

SEGMENTS_SCHEMA = pa.schema([
    ("segment_id", _TEXT), ("recording_id", _TEXT), ("corpus", _TEXT), ("subject_id", _TEXT),
    ("split", _TEXT), ("start_s", pa.float64()), ("start_sample", pa.int64()),
    ("channel_schema", _TEXT), ("ch_names", pa.list_(_TEXT)), ("mask", pa.list_(pa.bool_())),
    ("signal", pa.list_(pa.int16())), ("clip_count", pa.int32()), ("recorded_s", pa.float32()),
    ("sfreq_hz", pa.float64()),
    ("band_low_hz", pa.float32()), ("band_high_hz", pa.float32()), ("line_freq_hz", pa.float32()),
    ("labels", pa.list_(_LABEL)), ("events", pa.list_(_EVENT)), ("stage_context", _TEXT),
    ("is_simulated", pa.bool_()),
])  # fmt: skip
"""Columns in the order of the table registry."""


REJECTS_SCHEMA = pa.schema([
    ("reject_id", _TEXT), ("recording_id", _TEXT), ("stage", _TEXT), ("start_s", pa.float64()),
    ("cause", _TEXT), ("detail", _TEXT), ("is_retryable", pa.bool_()),
])  # fmt: skip
"""Columns of the reject tables."""


@dataclass(frozen=True, slots=True)
class SegmentHead:
    """What is said about one segment beside its signal; ``recorded_s`` of it was recorded."""

    segment_id: str
    start_s: float
    start_sample: int
    labels: tuple[Mapping[str, str], ...]
    events: tuple[ExpertEvent, ...]
    stage: str | None
    recorded_s: float = SEGMENT_S


def quantise(
    rows_uv: NDArray[np.float32], row_of: Sequence[int], n_rows: int
) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """Bring consecutive segments to stored steps.

    Parameters
    ----------
    rows_uv
        float32, shape (n_recorded, n_segments * N_TIMES), microvolts.
    row_of
        Schema row of each recorded channel.
    n_rows
        Rows of the schema; those not recorded are zero.

    Returns
    -------
    tuple
        int16 signals, shape (n_segments, n_rows, N_TIMES), and the number of clipped samples per
        segment.
    """
    n_segments = rows_uv.shape[1] // N_TIMES
    signals = np.zeros((n_segments, n_rows, N_TIMES), dtype=np.int16)
    clipped = np.zeros(n_segments, dtype=np.int32)
    for row_uv, row in zip(rows_uv, row_of, strict=True):
        steps = row_uv[: n_segments * N_TIMES] * np.float32(1 / STEP_UV)
        np.rint(steps, out=steps)
        steps = steps.reshape(n_segments, N_TIMES)
        if steps.max() > FULL_SCALE or steps.min() < -FULL_SCALE:
            clipped += (np.abs(steps) > FULL_SCALE).sum(axis=1, dtype=np.int32)
            np.clip(steps, -FULL_SCALE, FULL_SCALE, out=steps)
        signals[:, row] = steps
    return signals, clipped


def _repeat(value: Any, n: int, kind: pa.DataType) -> pa.Array:
    return pa.repeat(pa.scalar(value, type=kind), n)


def _lists(values: NDArray[Any], n: int) -> pa.Array:
    """Equal-length lists without a copy of their values."""
    offsets = np.arange(n + 1, dtype=np.int32) * (values.size // max(n, 1))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.reshape(-1)))


def _event(event: ExpertEvent) -> dict[str, Any]:
    return {
        "kind": event.kind, "channels": list(event.channels), "t0_s": event.t0_s,
        "t1_s": event.t1_s, "source": event.source,
        "measures": [{"name": m.name, "value": m.value, "unit": m.unit} for m in event.measures],
    }  # fmt: skip


def record_batch(
    recording: Mapping[str, Any],
    mask: Sequence[bool],
    heads: Sequence[SegmentHead],
    signals: NDArray[np.int16],
    clipped: NDArray[np.int32],
) -> pa.RecordBatch:
    """Build the rows of some segments of one recording.

    Parameters
    ----------
    recording
        Its row of table ``recordings``.
    mask
        Which rows of the schema were recorded.
    heads
        One per segment.
    signals, clipped
        From :func:`quantise`.
    """
    n = len(heads)
    schema = ChannelSchema.parse(recording["channel_schema"])
    of_recording = {
        name: _repeat(recording[name], n, SEGMENTS_SCHEMA.field(name).type)
        for name in (
            "recording_id", "corpus", "subject_id", "split", "channel_schema", "sfreq_hz",
            "band_low_hz", "band_high_hz", "line_freq_hz", "is_simulated",
        )
    }  # fmt: skip
    columns = {
        **of_recording,
        "segment_id": [head.segment_id for head in heads],
        "start_s": [head.start_s for head in heads],
        "start_sample": [head.start_sample for head in heads],
        "ch_names": [list(schema.ch_names)] * n,
        "mask": [list(mask)] * n,
        "signal": _lists(signals, n),
        "clip_count": clipped,
        "recorded_s": [head.recorded_s for head in heads],
        "labels": [[dict(label) for label in head.labels] for head in heads],
        "events": [[_event(event) for event in head.events] for head in heads],
        "stage_context": [head.stage for head in heads],
    }
    arrays = [
        value if isinstance(value, pa.Array) else pa.array(value, type=field.type)
        for field, value in ((field, columns[field.name]) for field in SEGMENTS_SCHEMA)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=SEGMENTS_SCHEMA)
