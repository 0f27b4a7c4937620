"""The page encoding: a segment as the page a reader sees, and boxes in its pixels, both ways.

The page is that of :mod:`detectors.pages.page`, one row per channel as stored, so that it shows the signal
the raster shows. The network is given its trace area alone, 1120 x 896 pixels: the labels in the
gutter are the same on every page, and where a row lies says its channel. A box is one row spacing
high. The network is in ``page_network``; the raster, which this encoding is measured against in
``compare``, is :mod:`detectors.waveform.raster`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.pages.geometry import PageGeometry, page_geometry, page_id
from detectors.pages.page import render_page
from detectors.types import CANONICAL19, N_TIMES, REFERENTIAL19, SFREQ_HZ
from detectors.waveform.nms import MAX_CANDIDATES, MIN_WIDTH_S, Boxes
from training.waveform.dataset import Batch, SegmentSet, draw_segments
from training.waveform.recipe import AugmentationRecipe

MONTAGE = "as_recorded"
"""A row is a channel, and the signal keeps the reference it is stored with."""

Pixels = NDArray[np.float64]
"""Boxes in pixels of the picture, shape (m, 4): left, top, right, bottom edges."""


def encoding_id() -> str:
    """Return what a picture depends on beside the signal."""
    return page_id(REFERENTIAL19, MONTAGE)


def page_layout() -> PageGeometry:
    """Return where the rows of the page lie."""
    return page_geometry(REFERENTIAL19, MONTAGE)


def picture_size() -> tuple[int, int]:
    """Return height and width of the picture in pixels; both are multiples of 32."""
    style = page_layout().style
    return style.height_px, style.width_px - style.gutter_px


def page_pictures(signals_uv: NDArray[np.float32], masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Draw segments.

    Parameters
    ----------
    signals_uv
        float32, shape (n, 19, 2000).
    masks
        bool, shape (n, 19).

    Returns
    -------
    ndarray of uint8, shape (n, 1, 896, 1120)
    """
    gutter = page_layout().style.gutter_px
    pictures = np.empty((len(signals_uv), 1, *picture_size()), dtype=np.uint8)
    for signal, mask, picture in zip(signals_uv, masks, pictures, strict=True):
        page = render_page(signal, mask, REFERENTIAL19, montage=MONTAGE)
        picture[0] = page[:, gutter:]
    return pictures


def boxes_to_pixels(boxes: Boxes) -> Pixels:
    """Return where boxes lie in the picture."""
    layout = page_layout()
    middle = _baselines()[boxes.rows]
    half = layout.spacing_px / 2
    x0, x1 = boxes.t0_s * layout.style.px_per_s, boxes.t1_s * layout.style.px_per_s
    return np.stack([x0, middle - half, x1, middle + half], axis=1)


def pixels_to_boxes(
    pixels: Pixels, classes: NDArray[np.int64], scores: NDArray[np.float32]
) -> Boxes:
    """Return boxes of a picture, each in the row nearest to its middle, clipped to the segment."""
    px_per_s = page_layout().style.px_per_s
    middle = (pixels[:, 1] + pixels[:, 3]) / 2
    rows = np.abs(middle[:, None] - _baselines()).argmin(axis=1)
    t0_s, t1_s = np.clip(pixels[:, (0, 2)].T / px_per_s, 0.0, N_TIMES / SFREQ_HZ)
    return Boxes(classes, rows, t0_s, t1_s, scores)


def _baselines() -> NDArray[np.float64]:
    """Return the ordinate of every channel's row, in canonical order."""
    layout = page_layout()
    return np.array([layout.baselines_px[layout.row_of(name)] for name in CANONICAL19])


def decode_page(
    output: NDArray[np.float32], thresholds: NDArray[np.float32], mask: NDArray[np.bool_]
) -> Boxes:
    """Decode one page's raw output.

    Parameters
    ----------
    output
        float32, shape (4 + n_classes, n_anchors): centre x, centre y, width, height in pixels of
        the picture, then class probabilities.
    thresholds, mask
        As for :func:`detectors.waveform.nms.decode`.

    Returns
    -------
    Boxes
        Best first, before suppression.
    """
    scores = output[4:]
    classes, anchors = np.nonzero(scores >= thresholds[:, np.newaxis])
    centre, half = output[:2, anchors].astype(np.float64), output[2:4, anchors] / 2
    pixels = np.concatenate([centre - half, centre + half]).T
    found = pixels_to_boxes(pixels, classes, scores[classes, anchors])
    found = found.take(mask[found.rows] & (found.t1_s - found.t0_s >= MIN_WIDTH_S))
    return found.take(np.argsort(-found.scores, kind="stable")[:MAX_CANDIDATES])


def page_batch(
    data: SegmentSet,
    index: NDArray[np.int64],
    augmentation: AugmentationRecipe | None = None,
    rng: np.random.Generator | None = None,
) -> Batch:
    """Draw some segments, augmented as :func:`training.waveform.dataset.make_batch` does.

    The same randomness gives the same signals as there; boxes are fractions of the picture.
    """
    signals, masks, boxes = draw_segments(data, index, augmentation, rng)
    height, width = picture_size()
    edges = np.concatenate([boxes_to_pixels(b) for b in boxes])
    centre, size = (edges[:, 2:] + edges[:, :2]) / 2, edges[:, 2:] - edges[:, :2]
    fractions = np.concatenate([centre, size], axis=1) / (width, height, width, height)
    return Batch(
        page_pictures(signals, masks),
        np.repeat(np.arange(len(index)), [len(b) for b in boxes]).astype(np.float32),
        np.concatenate([b.classes for b in boxes]).astype(np.float32),
        fractions.astype(np.float32),
    )
