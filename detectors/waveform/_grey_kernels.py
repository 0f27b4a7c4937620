"""Compiled loop of the raster: one band of a segment to grey.

Only numba lives here; it is imported inside the function of :mod:`detectors.waveform.raster` that needs
it, so that loading the definitions of the graph stays free of it. Bands, tables and scales are there.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def grey_rows(
    rows: NDArray[np.float32],
    scale: NDArray[np.float32],
    table: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> None:
    """Look up the grey of every sample.

    ``rows`` and ``out`` (n_rows, n_times), ``scale`` table steps per microvolt (n_rows,), ``table``
    the grey from minus to plus full, an odd number of entries.
    """
    n = np.float32(len(table) // 2)
    middle = n + np.float32(0.5)
    for row in range(rows.shape[0]):
        factor = scale[row]
        signal, grey = rows[row], out[row]
        for t in range(signal.shape[0]):
            step = signal[t] * factor
            # comparisons written out: min and max of floats must think of NaN
            step = -n if step < -n else step
            step = n if step > n else step
            # unsigned, so that the lookup need not think of places counted from the end
            grey[t] = table[np.uint32(step + middle)]
