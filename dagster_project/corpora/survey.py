"""One streaming look at the samples of a recording: their hash, amplitude and mains peak.

Used by :mod:`dagster_project.corpora.inventory`. The hash is of the samples, channel by channel, so
the same signal under another name, header or record length is recognised.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.mains import MAINS_HZ, MAX_WINDOWS, MainsMeter
from dagster_project.corpora.readers.types import Traces

BLOCK_S = 60
MEDIAN_SAMPLES = 50_000
"""Samples a channel's median is taken from, evenly spread: plenty for a factor of a thousand."""
PLAUSIBLE_UV = (0.5, 500.0)
"""Median absolute value of scalp EEG, per channel (``corpora.md`` 2, rule 1)."""
TYPICAL_UV = (2.0, 100.0)
"""Where nearly all scalp EEG lies: a slip of unit is named only if undoing it leads here
(engineering default)."""
UNIT_SLIPS = (1e6, 1e3, 1e-3, 1e-6)
"""Factors between V, mV, uV and nV."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What the samples are.

    Parameters
    ----------
    sha256
        Hash of the stored samples of the picked channels in row order.
    median_uv
        Per channel, median absolute deviation from its median.
    mains_db
        Height of the peak at each of :data:`~dagster_project.corpora.mains.MAINS_HZ`.
    """

    sha256: str
    median_uv: NDArray[np.float64]
    mains_db: tuple[float | None, ...]


def survey(traces: Traces, n_channels: int) -> Survey:
    """Read a recording once, in constant memory, and summarise its samples."""
    n_samples = sum(run.n_samples for run in traces.runs)
    stride = max(1, n_samples // MEDIAN_SAMPLES)
    step = max(1, int(BLOCK_S * traces.sfreq))
    meter = MainsMeter(float(traces.sfreq))
    every = -(-n_samples // step // MAX_WINDOWS) or 1
    hashes = [hashlib.sha256() for _ in range(n_channels)]
    thinned = []
    for start in range(0, n_samples, step):
        stored = traces.stored(start, min(start + step, n_samples))
        for digest, row in zip(hashes, stored, strict=True):
            digest.update(row)
        thinned.append(_scaled(traces, stored[:, -start % stride :: stride]))
        if start // step % every == 0:
            meter.add(_scaled(traces, stored[:, : meter.n_window]))
    values = np.concatenate(thinned, axis=1)
    values = np.nan_to_num(values)  # stretches that are no numbers are set aside when cut
    spread = np.abs(values - np.median(values, axis=1, keepdims=True))
    total = hashlib.sha256(b"".join(digest.digest() for digest in hashes))
    medians = np.median(spread, axis=1).astype(np.float64)
    return Survey(total.hexdigest(), medians, tuple(meter.peak_db(hz) for hz in MAINS_HZ))


def _scaled(traces: Traces, stored: NDArray[Any]) -> NDArray[np.float32]:
    few = np.ascontiguousarray(stored)
    out = np.empty(few.shape, dtype=np.float32)
    traces.to_uv(few, out)
    return out


def check_amplitude(median_uv: NDArray[np.float64]) -> None:
    """Refuse a recording whose amplitudes are not those of scalp EEG.

    Raises
    ------
    CorpusError
        ``flat`` if no channel moves, ``wrong_unit`` if the amplitude would be plausible in another
        unit, else ``implausible_amplitude``.
    """
    live = median_uv[median_uv > 0]
    if live.size == 0:
        raise CorpusError("flat", f"{median_uv.size} channels, all constant for most of the time")
    typical = float(np.median(live))
    low, high = PLAUSIBLE_UV
    if low <= typical <= high:
        return
    detail = f"median absolute value {typical:.3g} uV; {low:g}-{high:g} uV is plausible"
    if any(TYPICAL_UV[0] <= typical * factor <= TYPICAL_UV[1] for factor in UNIT_SLIPS):
        raise CorpusError("wrong_unit", detail + ", and so it would be in another unit")
    raise CorpusError("implausible_amplitude", detail)
