"""The signal raster: a segment as the small picture the waveform detector looks at.

The picture is no page. Each of the 19 channels is 8 pixel rows high - the finest stride of the
network, so one row of its grid is one channel - and each pixel column is one 200-Hz sample. The
three image channels are the signal in three bands on a fixed, companded microvolt-to-grey scale:
amplitude is never scaled away, and large events do not saturate. Boxes map to pixels exactly and
back. The network itself runs in ``infer``; pages for people and for the VLM are ``detectors.page``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from detectors.types import CANONICAL19, N_TIMES, SFREQ_HZ, SegmentBatch

ROW_PX = 8
"""Pixel rows per channel, equal to the network's stride."""
HEIGHT_PX, WIDTH_PX = 160, 2016
"""Size of the raster: both multiples of 32; 19 x 8 rows and 2000 columns carry signal."""
N_GRID_ROWS = HEIGHT_PX // ROW_PX
ZERO_GREY = 128
"""Grey of 0 uV, of padding and of channels that were not recorded."""
RASTER_VERSION = 1
"""Raised whenever the same signal gives other pixels; weights name the version they were made for."""


@dataclass(frozen=True, slots=True)
class RasterBand:
    """One image channel.

    Parameters
    ----------
    low_hz, high_hz
        Band edges, each a raised-cosine half an octave wide.
    linear_uv
        Below about this amplitude grey is proportional to microvolts.
    full_uv
        Amplitude that reaches black or white.
    """

    low_hz: float
    high_hz: float
    linear_uv: float
    full_uv: float


BANDS = (
    RasterBand(0.35, 6.0, 20.0, 500.0),
    RasterBand(5.0, 20.0, 8.0, 300.0),
    RasterBand(17.0, 75.0, 4.0, 300.0),
)
"""Slow, middle and fast image channel; engineering defaults, steps of 0.5 uV or finer near zero."""

_PAD = 200
"""Samples of odd reflection at each end, so the transform does not wrap the ends together."""


@dataclass(frozen=True, slots=True)
class PixelBox:
    """A box in raster pixels, half-open, x along time."""

    x0: float
    y0: float
    x1: float
    y1: float


def encode_rows(batch: SegmentBatch) -> NDArray[np.uint8]:
    """Encode segments with one pixel row per channel.

    Parameters
    ----------
    batch
        Segments of schema ``referential19``.

    Returns
    -------
    ndarray of uint8, shape (n_segments, 3, 20, 2016)
        Rows 0-18 are the channels in canonical order, row 19 is padding.

    Raises
    ------
    ValueError
        If the segments have another channel schema.
    """
    if not batch.schema.is_referential:
        raise ValueError(
            f"the waveform detector reads channel schema 'referential19', not "
            f"{batch.schema.name!r}; its findings are not judged on such segments"
        )
    rows = np.full((len(batch), len(BANDS), N_GRID_ROWS, WIDTH_PX), ZERO_GREY, dtype=np.uint8)
    if len(batch):
        rows[:, :, : len(CANONICAL19), :N_TIMES] = encode_signal(batch.data_uv)
        hidden = np.zeros((len(batch), N_GRID_ROWS), dtype=bool)
        hidden[:, : len(CANONICAL19)] = ~batch.mask
        rows.transpose(0, 2, 1, 3)[hidden] = ZERO_GREY
    return rows


def encode_raster(batch: SegmentBatch) -> NDArray[np.uint8]:
    """Encode segments as rasters, shape (n_segments, 3, 160, 2016).

    Each row of :func:`encode_rows` is repeated over the 8 pixel rows of its channel; errors are
    the same.
    """
    return np.repeat(encode_rows(batch), ROW_PX, axis=2)


def encode_signal(data_uv: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Encode signals in the three bands.

    Parameters
    ----------
    data_uv
        float32, shape (n_segments, n_channels, 2000).

    Returns
    -------
    ndarray of uint8, shape (n_segments, 3, n_channels, 2000)
    """
    head = 2 * data_uv[..., :1] - data_uv[..., _PAD:0:-1]
    tail = 2 * data_uv[..., -1:] - data_uv[..., -2 : -_PAD - 2 : -1]
    padded = np.concatenate([head, data_uv, tail], axis=-1, dtype=np.float32)
    spectrum = scipy.fft.rfft(padded, axis=-1)
    freqs = scipy.fft.rfftfreq(padded.shape[-1], 1 / SFREQ_HZ)
    out = np.empty((len(data_uv), len(BANDS), *data_uv.shape[1:]), dtype=np.uint8)
    for i, band in enumerate(BANDS):
        filtered = scipy.fft.irfft(spectrum * _gain(freqs, band), padded.shape[-1], axis=-1)
        out[:, i] = _grey(filtered[..., _PAD:-_PAD], band)
    return out


def _gain(freqs_hz: NDArray[np.float64], band: RasterBand) -> NDArray[np.float32]:
    def step(edge_hz: float) -> NDArray[np.float64]:
        octaves = np.log2(np.maximum(freqs_hz, 1e-3) / edge_hz)
        return 0.5 + 0.5 * np.sin(np.pi * np.clip(2 * octaves, -0.5, 0.5))

    return (step(band.low_hz) * (1 - step(band.high_hz))).astype(np.float32)


def _grey(data_uv: NDArray[np.float32], band: RasterBand) -> NDArray[np.uint8]:
    scale = np.float32(127 / np.arcsinh(band.full_uv / band.linear_uv))
    grey = np.arcsinh(data_uv * np.float32(1 / band.linear_uv)) * scale
    return np.clip(np.rint(grey + ZERO_GREY), 1, 255).astype(np.uint8)


def box_to_pixels(channel: str, t0_s: float, t1_s: float) -> PixelBox:
    """Return the pixels of a box one channel high.

    Raises
    ------
    ValueError
        If the channel is none of the 19 or the interval is empty or outside the segment.
    """
    if channel not in CANONICAL19:
        raise ValueError(f"channel {channel!r} has no raster row; rows: {', '.join(CANONICAL19)}")
    if not 0 <= t0_s < t1_s <= N_TIMES / SFREQ_HZ:
        raise ValueError(f"box [{t0_s}, {t1_s}) s lies outside [0, {N_TIMES / SFREQ_HZ:g}) s")
    y0 = CANONICAL19.index(channel) * ROW_PX
    return PixelBox(t0_s * SFREQ_HZ, y0, t1_s * SFREQ_HZ, y0 + ROW_PX)


def pixels_to_box(box: PixelBox) -> tuple[str, float, float]:
    """Return channel, start and end of a pixel box, snapped to the row its centre lies in.

    The interval is clipped to the segment.

    Raises
    ------
    ValueError
        If the centre lies in no channel's row.
    """
    row = int((box.y0 + box.y1) / 2 // ROW_PX)
    if not 0 <= row < len(CANONICAL19):
        raise ValueError(f"pixel rows {box.y0} to {box.y1} belong to no channel")
    t0_s, t1_s = (min(max(x, 0.0), float(N_TIMES)) / SFREQ_HZ for x in (box.x0, box.x1))
    return CANONICAL19[row], t0_s, t1_s
