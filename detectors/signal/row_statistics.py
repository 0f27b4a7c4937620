"""One compiled pass over every row: the numbers all artifact rules start from.

Here live per-row statistics, 0.1-s cells and a 40-Hz view of the slow activity. Which of them is an
artifact is decided in :mod:`detectors.artifacts.chain` and :mod:`detectors.artifacts.ocular`; spectra are in
:mod:`detectors.signal.spectra`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.montage import NEIGHBOURS
from detectors.types import CANONICAL19, N_TIMES, SEGMENT_S, SFREQ_HZ, SegmentBatch

CELL_S = 0.1
"""Length of a cell; rules combine cells, so their times have this grain."""
N_CELLS = round(SEGMENT_S / CELL_S)
SLOW_HZ = 40
"""Rate of the slow view: block means of 5 samples, -3 dB at about 18 Hz."""
N_SLOW = SLOW_HZ * SEGMENT_S
STEP_LAG = round(0.02 * SFREQ_HZ)
"""A step is measured over 20 ms (``clinical.md`` 8, electrode pop)."""


@dataclass(frozen=True, slots=True)
class RowStatistics:
    """Statistics of every row of a batch; rows that were not recorded hold zeros.

    Parameters
    ----------
    p2p_uv, worst_1s_p2p_uv, rms_uv
        float64, shape (n, n_channels): peak-to-peak of the page, of its largest whole second, and
        root mean square.
    line_length_uv
        Sum of absolute sample-to-sample differences.
    zero_crossings, longest_flat_run
        int64: sign changes, and samples in the longest run of exactly equal values.
    kurtosis
        Excess kurtosis (Fisher, biased); 0 for a constant row.
    cell_min_uv, cell_max_uv, cell_step_uv
        float32, shape (n, n_channels, N_CELLS): extremes and largest 20-ms step of each 0.1 s.
    cell_fast_uv2, cell_fast_change_uv2
        Mean square above 30 Hz of each 0.1 s, and of its sample-to-sample differences: their ratio
        is ``4 sin(pi f / 200)**2`` of the mean frequency.
    slow_uv
        float32, shape (n, n_channels, N_SLOW): the row at 40 Hz.
    why_not
        Per segment, why the page is not interpretable at all, ``""`` where it is; empty until
        :func:`detectors.artifacts.chain.scan_artifacts` has said so.
    """

    p2p_uv: NDArray[np.float64]
    worst_1s_p2p_uv: NDArray[np.float64]
    rms_uv: NDArray[np.float64]
    line_length_uv: NDArray[np.float64]
    zero_crossings: NDArray[np.int64]
    longest_flat_run: NDArray[np.int64]
    kurtosis: NDArray[np.float64]
    cell_min_uv: NDArray[np.float32]
    cell_max_uv: NDArray[np.float32]
    cell_step_uv: NDArray[np.float32]
    cell_fast_uv2: NDArray[np.float32]
    cell_fast_change_uv2: NDArray[np.float32]
    slow_uv: NDArray[np.float32]
    why_not: tuple[str, ...] = ()

    def second_p2p_uv(self) -> NDArray[np.float32]:
        """Return the peak-to-peak of every whole second, shape (n, n_channels, 10)."""
        shape = (*self.cell_min_uv.shape[:2], SEGMENT_S, -1)
        return self.cell_max_uv.reshape(shape).max(-1) - self.cell_min_uv.reshape(shape).min(-1)


def row_statistics(batch: SegmentBatch) -> RowStatistics:
    """Measure every recorded row in one compiled pass.

    Parameters
    ----------
    batch
        Segments of one channel schema.
    """
    from detectors.signal import _rule_kernels

    n_segments, n_channels = batch.mask.shape
    n_rows = n_segments * n_channels
    statistics = np.zeros((n_rows, 5))
    cells = np.zeros((5, n_rows, N_CELLS), dtype=np.float32)
    slow = np.zeros((n_rows, N_SLOW), dtype=np.float32)
    data = np.ascontiguousarray(batch.data_uv, dtype=np.float32).reshape(n_rows, N_TIMES)
    recorded = np.ascontiguousarray(batch.mask).reshape(n_rows)
    _rule_kernels.scan_rows(data, recorded, STEP_LAG, statistics, cells, slow)
    shape = (n_segments, n_channels)
    low, high, step, fast, change = (cells[i].reshape(*shape, N_CELLS) for i in range(5))
    seconds = (*shape, SEGMENT_S, -1)
    worst = (high.reshape(seconds).max(-1) - low.reshape(seconds).min(-1)).max(-1)
    length, crossings, rms, run, kurtosis = (statistics[:, i].reshape(shape) for i in range(5))
    return RowStatistics(
        p2p_uv=(high.max(-1) - low.min(-1)).astype(np.float64),
        worst_1s_p2p_uv=worst.astype(np.float64),
        rms_uv=rms,
        line_length_uv=length,
        zero_crossings=crossings.astype(np.int64),
        longest_flat_run=run.astype(np.int64),
        kurtosis=kurtosis,
        cell_min_uv=low,
        cell_max_uv=high,
        cell_step_uv=step,
        cell_fast_uv2=fast,
        cell_fast_change_uv2=change,
        slow_uv=slow.reshape(*shape, N_SLOW),
    )


@dataclass(frozen=True, slots=True)
class FieldStatistics:
    """How a page's rows go together; shape (n,) each, NaN with fewer than two pairs of a sort.

    Parameters
    ----------
    near
        Mean correlation of neighbouring electrodes in the recording's own reference.
    near_excess
        The same against a mean of all rows, the loud ones counting less, less that of all other
        pairs.
    spread
        Standard deviation over all pairs, same reference.
    """

    near: NDArray[np.float64]
    near_excess: NDArray[np.float64]
    spread: NDArray[np.float64]


def field_statistics(slow_uv: NDArray[np.float32], is_live: NDArray[np.bool_]) -> FieldStatistics:
    """Correlate the slow activity (below about 8 Hz, differenced) of all pairs of electrodes.

    The skull spreads every source over neighbours, so that on a real page neighbours agree more
    than others do in any reference; noise of independent rows and shuffled rows do not.

    Parameters
    ----------
    slow_uv
        Shape (n, 19, N_SLOW), from :func:`row_statistics`.
    is_live
        bool, shape (n, 19).
    """
    blocks = slow_uv[..., ::2] + slow_uv[..., 1::2]
    moves = np.diff(blocks, axis=-1) * is_live[..., None]
    moves -= moves.mean(-1, keepdims=True)
    gram = np.matmul(moves, moves.swapaxes(1, 2)).astype(np.float64)
    # rows count by the inverse of their power, so that one loud electrode is not spread over all
    share = is_live / np.maximum(np.einsum("ncc->nc", gram), 1e-3)
    share /= np.maximum(share.sum(1, keepdims=True), 1e-9)
    mean = np.einsum("ncd,nd->nc", gram, share)
    centred = gram - mean[:, :, None] - mean[:, None, :]
    centred += np.einsum("nc,nc->n", mean, share)[:, None, None]
    is_pair = is_live[:, :, None] & is_live[:, None, :] & _UPPER
    near = is_pair & _IS_NEIGHBOUR
    far = is_pair & ~_IS_NEIGHBOUR
    own, referred = _correlation(gram), _correlation(centred)
    excess = _mean_where(referred, near) - _mean_where(referred, far)
    mean_all = _mean_where(referred, is_pair)
    spread = _mean_where((referred - mean_all[:, None, None]) ** 2, is_pair)
    return FieldStatistics(_mean_where(own, near), excess, np.sqrt(spread))


def _correlation(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    size = np.sqrt(np.maximum(np.einsum("ncc->nc", gram), 1e-9))
    correlation: NDArray[np.float64] = gram / size[:, :, None] / size[:, None, :]
    return correlation


def _mean_where(values: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    n = where.sum((1, 2))
    total = (values * where).sum((1, 2))
    mean: NDArray[np.float64] = np.where(n >= 2, total / np.maximum(n, 1), np.nan)
    return mean


_UPPER = np.triu(np.ones((len(CANONICAL19), len(CANONICAL19)), dtype=np.bool_), 1)
_IS_NEIGHBOUR = np.array([[b in NEIGHBOURS[a] for b in CANONICAL19] for a in CANONICAL19])


def rail_samples(
    row_uv: NDArray[np.float32], tolerance_uv: float, shortest: int
) -> NDArray[np.bool_]:
    """Mark samples of one row that stick to its largest or smallest value.

    Parameters
    ----------
    row_uv
        Shape (n_times,).
    tolerance_uv
        How close to the extreme counts as stuck.
    shortest
        Samples a run must last.

    Returns
    -------
    numpy.ndarray
        bool, shape (n_times,).
    """
    from detectors.signal import _rule_kernels

    stuck = np.zeros(row_uv.shape, dtype=np.bool_)
    _rule_kernels.rail_runs(row_uv, tolerance_uv, shortest, stuck)
    return stuck
