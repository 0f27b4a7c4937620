"""Which way round a page is read: with the livelier half of the head always on the same side.

The network learned from heads turned at random but is not built to be symmetric. A page and its
mirror image are therefore brought to the same orientation before they become a raster, and the boxes
are turned back: what is found in a mirrored head is the mirror image of what is found in the head, at
no cost. Where the two halves are exactly alike a page stays as it is. Used by inference and by the
trainer's scores alike, so a card tells of what is read. Swapped rows are ``detectors.montage``'s.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors.montage import HOMOLOGOUS, mirror_rows, rows_of
from detectors.waveform.nms import Boxes

_LEFT, _RIGHT = (rows_of(*names) for names in zip(*HOMOLOGOUS, strict=True))


def oriented(
    data_uv: NDArray[np.float32], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Turn the pages whose right half is the livelier one.

    Parameters
    ----------
    data_uv
        Shape (n, 19, n_times), canonical order.
    mask
        Shape (n, 19), True where the channel was recorded.

    Returns
    -------
    data_uv, mask
        Copies where a page was turned: left and right channels swapped, midline ones in place.
    is_turned
        Shape (n,).
    """
    is_turned = _left_less_right(data_uv, mask) < 0
    if not is_turned.any():
        return data_uv, mask, is_turned
    order = mirror_rows()
    data_uv, mask = data_uv.copy(), mask.copy()
    data_uv[is_turned] = data_uv[is_turned][:, order]
    mask[is_turned] = mask[is_turned][:, order]
    return data_uv, mask, is_turned


def turned_back(boxes: Boxes, is_turned: bool | np.bool_) -> Boxes:
    """Return boxes found in an oriented page on the channels of the page as it was."""
    return replace(boxes, rows=mirror_rows()[boxes.rows]) if is_turned else boxes


def _left_less_right(data_uv: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return by page how much longer the lines of the left channels are, in uV.

    The line length, the sum of all steps, weighs every band and needs no filter; one large event
    does not rule it as it would rule a power. A mirrored page gives the exact negative: rows are
    summed one by one in float64, and pair by pair in the same order.
    """
    # a copy in float64 first: a sum that casts on the way may cut rows at its buffer's end
    length = np.abs(np.diff(data_uv, axis=-1)).astype(np.float64).sum(axis=-1)
    length = np.where(mask & np.isfinite(length), length, 0.0)
    return np.asarray((length[:, _LEFT] - length[:, _RIGHT]).sum(axis=1))
