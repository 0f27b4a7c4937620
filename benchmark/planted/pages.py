"""Planted recordings brought to the product's own path: harmonised to 200 Hz and cut into pages.

Filtering and resampling are the corpora's (:mod:`dagster_project.corpora.harmonise`), so a planted
event passes exactly what a recorded one would; steps of 0.05 uV as in the stored segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from benchmark.planted.planting import Planted
from dagster_project.corpora.harmonise import harmonise, plan_for, usable_band
from detectors.types import N_TIMES, REFERENTIAL19, SEGMENT_S, ChannelSchema, SegmentBatch

STEP_UV = 0.05
LINE_HZ = 50.0


@dataclass(frozen=True, slots=True)
class Origin:
    """What every page of a sample has in common.

    Parameters
    ----------
    name
        Unique name; page ids begin with it.
    subject
        Whose background it is; intervals resample subjects.
    background
        ``own``, ``simulated`` or ``real``.
    rate_hz
        Native rate.
    k
        Size of the planted events; 0 where nothing was planted.
    """

    name: str
    subject: str
    background: str
    rate_hz: float
    k: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Pages of one planted recording with their truth.

    ``bare`` holds the same pages without anything planted, where the background may hold artifacts
    of its own.
    """

    origin: Origin
    batch: SegmentBatch
    truth: tuple[Planted, ...]
    bare: SegmentBatch | None = None

    @property
    def hours(self) -> float:
        """Length of the pages."""
        return len(self.batch) * SEGMENT_S / 3600


def to_200_hz(data_uv: NDArray[np.float64], rate_hz: float) -> NDArray[np.float32]:
    """Filter and resample a recording as the corpora are, shape (n_rows, n)."""
    rows = data_uv.astype(np.float32)
    plan = plan_for(Fraction(rate_hz).limit_denominator(1000), LINE_HZ, rows.shape[1])

    def read(start: int, stop: int, out: NDArray[np.float32]) -> None:
        out[...] = rows[:, start:stop]

    blocks = list(harmonise(read, len(rows), rows.shape[1], plan))
    return np.concatenate([block.copy() for block in blocks], axis=1)


def pages_of(
    data_uv: NDArray[np.float64],
    rate_hz: float,
    name: str,
    *,
    high_hz: float | None = None,
    schema: ChannelSchema = REFERENTIAL19,
    mask: Sequence[bool] | None = None,
) -> SegmentBatch:
    """Cut a recording at its native rate into whole pages.

    Parameters
    ----------
    data_uv
        Shape (n_rows, n_times), microvolts; rows not recorded are zero.
    rate_hz, name
        Native rate; begin of the page ids.
    high_hz
        Low-pass of the source, where it is known.
    schema, mask
        What the rows are, and which were recorded; all where not given.
    """
    stored = to_200_hz(data_uv, rate_hz)
    n = stored.shape[1] // N_TIMES
    pages = stored[:, : n * N_TIMES].reshape(len(stored), n, N_TIMES).transpose(1, 0, 2)
    pages = np.round(pages / STEP_UV) * np.float32(STEP_UV)
    recorded = np.ones(len(stored), dtype=np.bool_) if mask is None else np.array(mask)
    pages[:, ~recorded] = 0.0
    band = usable_band(rate_hz, (None, high_hz))
    return SegmentBatch(
        segment_ids=tuple(f"{name}-p{i:04d}" for i in range(n)),
        data_uv=np.ascontiguousarray(pages, dtype=np.float32),
        mask=np.tile(recorded, (n, 1)),
        schema=schema,
        band_hz=np.tile(np.array(band, dtype=np.float32), (n, 1)),
        line_freq_hz=LINE_HZ,
    )


def on_pages(truth: Sequence[Planted], batch: SegmentBatch) -> tuple[Planted, ...]:
    """Give every event its page and its time from the page's start."""
    placed = []
    for event in truth:
        page = int(event.t0_s // SEGMENT_S)
        if page >= len(batch):
            continue
        start = page * SEGMENT_S
        t1_s = min(event.t1_s - start, float(SEGMENT_S))
        placed.append(
            replace(event, segment_id=batch.segment_ids[page], t0_s=event.t0_s - start, t1_s=t1_s)
        )
    return tuple(placed)
