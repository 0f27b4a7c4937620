"""From the network's raw output to boxes: decoding, and suppression in time within a channel.

The network has one output level of stride 8, so every anchor belongs to one grid row and with it
to one channel; boxes are one-dimensional from here on. Running the network is in ``infer``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.types import CANONICAL19, N_TIMES, SFREQ_HZ
from detectors.waveform.raster import N_GRID_ROWS, ROW_PX, WIDTH_PX

N_ANCHORS = N_GRID_ROWS * WIDTH_PX // ROW_PX
MAX_CANDIDATES = 3000
"""Candidates per segment that enter suppression, best first; reached at mAP thresholds only."""
MIN_WIDTH_S = 1.0 / SFREQ_HZ


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes of one segment as columns of equal length, best first.

    Parameters
    ----------
    classes
        int64, index in :data:`detectors.vocabulary.WAVEFORMS`.
    rows
        int64, index in :data:`detectors.types.CANONICAL19`.
    t0_s, t1_s
        float64, seconds.
    scores
        float32.
    """

    classes: NDArray[np.int64]
    rows: NDArray[np.int64]
    t0_s: NDArray[np.float64]
    t1_s: NDArray[np.float64]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.classes)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Boxes:
        """Return the boxes at an index or mask."""
        return Boxes(
            self.classes[index],
            self.rows[index],
            self.t0_s[index],
            self.t1_s[index],
            self.scores[index],
        )


def decode(
    output: NDArray[np.float32], thresholds: NDArray[np.float32], mask: NDArray[np.bool_]
) -> Boxes:
    """Decode one segment's raw output.

    Parameters
    ----------
    output
        float32, shape (4 + n_classes, N_ANCHORS): centre x, centre y, width, height in raster
        pixels, then class probabilities.
    thresholds
        Smallest probability by class, shape (n_classes,).
    mask
        Recorded channels, shape (19,); nothing is found on the others.

    Returns
    -------
    Boxes
        Before suppression. An anchor may give several classes.

    Raises
    ------
    ValueError
        If the output has another shape.
    """
    if output.shape != (4 + len(thresholds), N_ANCHORS):
        raise ValueError(
            f"detector output has shape {output.shape}; expected {(4 + len(thresholds), N_ANCHORS)}"
        )
    scores = output[4:]
    classes, anchors = np.nonzero(scores >= thresholds[:, np.newaxis])
    rows = anchors // (WIDTH_PX // ROW_PX)
    is_recorded = np.zeros(N_GRID_ROWS, dtype=bool)
    is_recorded[: len(CANONICAL19)] = mask
    centre, half = output[0, anchors] / SFREQ_HZ, output[2, anchors] / (2 * SFREQ_HZ)
    t0_s = np.clip(centre - half, 0.0, N_TIMES / SFREQ_HZ).astype(np.float64)
    t1_s = np.clip(centre + half, 0.0, N_TIMES / SFREQ_HZ).astype(np.float64)
    found = Boxes(classes, rows, t0_s, t1_s, scores[classes, anchors])
    found = found.take(is_recorded[rows] & (t1_s - t0_s >= MIN_WIDTH_S))
    return found.take(np.argsort(-found.scores, kind="stable")[:MAX_CANDIDATES])


def suppress(boxes: Boxes, iou: float) -> Boxes:
    """Keep the best box of each group of the same class and channel that overlap in time.

    Parameters
    ----------
    boxes
        Best first.
    iou
        A box is dropped if its one-dimensional intersection over union with a better one exceeds
        this.

    Returns
    -------
    Boxes
        A subset, in the same order.
    """
    keep = np.zeros(len(boxes), dtype=bool)
    group = boxes.classes * N_GRID_ROWS + boxes.rows
    for value in np.unique(group):
        members = np.flatnonzero(group == value)
        t0, t1 = boxes.t0_s[members], boxes.t1_s[members]
        is_alive = np.ones(len(members), dtype=bool)
        for i in range(len(members)):
            if not is_alive[i]:
                continue
            keep[members[i]] = True
            is_alive &= interval_iou(t0[i], t1[i], t0, t1) <= iou
    return boxes.take(keep)


def interval_iou(
    a0: float | NDArray[np.float64],
    a1: float | NDArray[np.float64],
    b0: NDArray[np.float64],
    b1: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the intersection over union of intervals, broadcast; 0 where they do not meet."""
    overlap = np.clip(np.minimum(a1, b1) - np.maximum(a0, b0), 0.0, None)
    union = (a1 - a0) + (b1 - b0) - overlap
    return np.asarray(overlap / np.maximum(union, 1e-12))
