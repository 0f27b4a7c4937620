"""One compiled pass over every row: the numbers all artifact rules start from.

Here live per-row statistics, 0.1-s cells and a 40-Hz view of the slow activity. Which of them is an
artifact is decided in :mod:`detectors.artifacts` and :mod:`detectors.ocular`; spectra are in
:mod:`detectors.spectra`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.types import N_TIMES, SEGMENT_S, SFREQ_HZ, SegmentBatch

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
    cell_fast_uv2
        Mean square above 30 Hz of each 0.1 s.
    slow_uv
        float32, shape (n, n_channels, N_SLOW): the row at 40 Hz.
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
    slow_uv: NDArray[np.float32]

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
    from detectors import _rule_kernels

    n_segments, n_channels = batch.mask.shape
    n_rows = n_segments * n_channels
    statistics = np.zeros((n_rows, 5))
    cells = np.zeros((4, n_rows, N_CELLS), dtype=np.float32)
    slow = np.zeros((n_rows, N_SLOW), dtype=np.float32)
    data = np.ascontiguousarray(batch.data_uv, dtype=np.float32).reshape(n_rows, N_TIMES)
    recorded = np.ascontiguousarray(batch.mask).reshape(n_rows)
    _rule_kernels.scan_rows(data, recorded, STEP_LAG, statistics, cells, slow)
    shape = (n_segments, n_channels)
    low, high, step, fast = (cells[i].reshape(*shape, N_CELLS) for i in range(4))
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
        slow_uv=slow.reshape(*shape, N_SLOW),
    )


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
    from detectors import _rule_kernels

    stuck = np.zeros(row_uv.shape, dtype=np.bool_)
    _rule_kernels.rail_runs(row_uv, tolerance_uv, shortest, stuck)
    return stuck
