"""From stored segment rows back to the batches every rule and renderer takes.

The counterpart of :mod:`dagster_project.corpora.segment_table`, used by every asset downstream of
``segments``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagster_project.corpora.segment_table import STEP_UV
from detectors.types import N_TIMES, ChannelSchema, SegmentBatch

BATCH_COLUMNS = (
    "segment_id", "channel_schema", "mask", "signal", "band_low_hz", "band_high_hz", "line_freq_hz",
    "recorded_s",
)  # fmt: skip
"""Columns a batch is made from; read no more of the table than these."""
MAX_SEGMENTS = 256


def segment_batches(
    frame: pl.DataFrame, max_segments: int = MAX_SEGMENTS
) -> Iterator[SegmentBatch]:
    """Decode rows of table ``segments``.

    Parameters
    ----------
    frame
        Rows with at least :data:`BATCH_COLUMNS`.
    max_segments
        Most segments of a batch.

    Yields
    ------
    SegmentBatch
        In row order: laid end to end, the batches are the frame. A batch ends where the channel
        schema or the mains frequency changes, or when it is full.

    Raises
    ------
    ValueError
        If ``max_segments`` is below 1 or a signal does not have the length its schema demands.
    """
    if max_segments < 1:
        raise ValueError(f"max_segments={max_segments} is not allowed; use 1 or more")
    frame = frame.select(BATCH_COLUMNS)
    runs = frame.select(
        run=pl.struct("channel_schema", "line_freq_hz").rle_id()
    )["run"].to_numpy()  # fmt: skip
    edges = [0, *(np.flatnonzero(np.diff(runs)) + 1).tolist(), frame.height]
    for first, last in pairwise(edges):
        for start in range(first, last, max_segments):
            yield _batch(frame.slice(start, min(max_segments, last - start)))


def _flat(column: pl.Series) -> NDArray[np.generic]:
    """Values of a list column end to end, without a copy where it is one chunk."""
    values: NDArray[np.generic] = column.rechunk().explode().to_numpy()
    return values


def _batch(frame: pl.DataFrame) -> SegmentBatch:
    n = frame.height
    schema = ChannelSchema.parse(frame["channel_schema"][0])
    n_rows = len(schema.ch_names)
    steps = _flat(frame["signal"])
    if steps.size != n * n_rows * N_TIMES:
        raise ValueError(
            f"{n} signals hold {steps.size} samples; {n_rows} rows x {N_TIMES} each are expected"
        )
    data_uv = np.multiply(steps, np.float32(STEP_UV), dtype=np.float32, casting="unsafe")
    return SegmentBatch(
        segment_ids=tuple(frame["segment_id"].to_list()),
        data_uv=data_uv.reshape(n, n_rows, N_TIMES),
        mask=_flat(frame["mask"]).astype(bool).reshape(n, n_rows),
        schema=schema,
        band_hz=np.column_stack([frame["band_low_hz"], frame["band_high_hz"]]).astype(np.float32),
        line_freq_hz=float(frame["line_freq_hz"][0]),
        recorded_s=frame["recorded_s"].to_numpy().astype(np.float32),
    )
