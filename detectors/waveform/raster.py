"""The signal raster: a segment as the small picture the waveform detector looks at.

The picture is no page. Each of the 19 channels is one row - of the network's grid as well, so what
it finds belongs to one channel - and each column is one 200-Hz sample. Image channels are the
signal in three bands on a fixed, companded microvolt-to-grey scale, so amplitude is never lost; the
signal in four bands as a multiple of the row's own background, so that an event of a few times the
background looks the same over a quiet page and a restless one; and two constant planes that say
where on the head a row lies. Network units map to seconds and channels exactly and back. The network
itself runs in ``infer``; pages for people and for the VLM are ``detectors.pages.page``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from detectors.signal.scalp import electrode_positions
from detectors.types import CANONICAL19, N_TIMES, SEGMENT_S, SFREQ_HZ, SegmentBatch

ROW_PX = 8
"""Height of a channel in network units, equal to the network's stride along time in samples."""
WIDTH_PX = 2016
"""Columns: a multiple of 32, of which 2000 carry signal."""
N_GRID_ROWS = 20
"""Rows: 19 channels and one of padding."""
HEIGHT_PX = N_GRID_ROWS * ROW_PX
ZERO_GREY = 128
"""Grey of 0 uV, of padding and of channels that were not recorded."""
RASTER_VERSION = 2
"""Raised whenever the same signal gives other pixels; weights name the version they were made for."""


@dataclass(frozen=True, slots=True)
class RasterBand:
    """One image channel of signal.

    Parameters
    ----------
    low_hz, high_hz
        Band edges, each a raised cosine.
    linear
        Below about this amplitude grey is proportional to the signal; in uV, or in multiples of the
        row's background.
    full
        Amplitude that reaches black or white, in the same unit.
    floor_uv
        Above 0 the signal is divided by the row's background in this band - median RMS of 1-s
        windows - or by this floor where the row is quieter.
    edge_octaves
        Width of an edge.
    """

    low_hz: float
    high_hz: float
    linear: float
    full: float
    floor_uv: float = 0.0
    edge_octaves: float = 0.5


BANDS = (
    RasterBand(0.35, 6.0, 20.0, 500.0),
    RasterBand(5.0, 20.0, 8.0, 300.0),
    RasterBand(17.0, 75.0, 4.0, 300.0),
    RasterBand(0.5, 6.0, 1.5, 30.0, 1.0),
    RasterBand(10.5, 16.5, 1.5, 30.0, 0.5, 0.15),
    RasterBand(5.0, 40.0, 1.5, 40.0, 0.7),
    RasterBand(30.0, 70.0, 1.5, 40.0, 0.4, 0.25),
)
"""Slow, middle and fast in microvolts, in steps of 0.6 uV or finer near zero; then slow, sigma,
pointed and fast in multiples of the background. Engineering defaults."""
N_PLANES = len(BANDS) + 2
"""Image channels: the bands, then each row's place from left to right and from back to front."""

_TABLE_STEPS = 64
"""Entries of the grey table per linear amplitude."""
_PLACE_GREY = 100.0

_PAD = 200
"""Samples of odd reflection at each end, so the transform does not wrap the ends together."""


@dataclass(frozen=True, slots=True)
class PixelBox:
    """A box in network units, half-open: x in samples along time, y in eighths of a row."""

    x0: float
    y0: float
    x1: float
    y1: float


def encode_rows(batch: SegmentBatch) -> NDArray[np.uint8]:
    """Encode segments, one row per channel.

    Parameters
    ----------
    batch
        Segments of schema ``referential19``.

    Returns
    -------
    ndarray of uint8, shape (n_segments, N_PLANES, 20, 2016)
        Rows 0-18 are the channels in canonical order, row 19 is padding.

    Raises
    ------
    ValueError
        If the segments have another channel schema.
    """
    require_referential(batch)
    return raster_rows(batch.data_uv, batch.mask)


def require_referential(batch: SegmentBatch) -> None:
    """Refuse segments that have no 19 referential channels.

    Raises
    ------
    ValueError
        If they have another channel schema.
    """
    if not batch.schema.is_referential:
        raise ValueError(
            f"the waveform detector reads channel schema 'referential19', not "
            f"{batch.schema.name!r}; its findings are not judged on such segments"
        )


def raster_rows(data_uv: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Encode signals of 19 channels, float32 (n, 19, 2000), with their masks (n, 19).

    The result is that of :func:`encode_rows`; channels that were not recorded are grey.
    """
    rows = np.empty((len(data_uv), N_PLANES, N_GRID_ROWS, WIDTH_PX), dtype=np.uint8)
    rows[:, : len(BANDS), len(CANONICAL19) :] = ZERO_GREY
    rows[:, : len(BANDS), :, N_TIMES:] = ZERO_GREY
    if len(data_uv):
        encode_signal(data_uv, rows[:, : len(BANDS), : len(CANONICAL19), :N_TIMES])
        rows[:, : len(BANDS), : len(CANONICAL19)].transpose(0, 2, 1, 3)[~mask] = ZERO_GREY
    rows[:, len(BANDS) :] = _places()[:, :, np.newaxis]
    return rows


def encode_signal(data_uv: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    """Encode signals in all bands.

    Parameters
    ----------
    data_uv
        float32, shape (n_segments, n_channels, 2000).
    out
        uint8, shape (n_segments, n_bands, n_channels, 2000); filled.
    """
    n = N_TIMES + 2 * _PAD
    gains = [_gain(band) for band in BANDS]
    for segment, planes in zip(data_uv, out, strict=True):
        head = 2 * segment[:, :1] - segment[:, _PAD:0:-1]
        tail = 2 * segment[:, -1:] - segment[:, -2 : -_PAD - 2 : -1]
        padded = np.concatenate([head, segment, tail], axis=-1, dtype=np.float32)
        spectrum = scipy.fft.rfft(padded, axis=-1)
        for band, gain, plane in zip(BANDS, gains, planes, strict=True):
            filtered = scipy.fft.irfft(spectrum * gain, n, axis=-1)
            _grey(filtered[:, _PAD:-_PAD], band, plane)


@lru_cache(maxsize=len(BANDS))
def _gain(band: RasterBand) -> NDArray[np.float32]:
    freqs_hz = scipy.fft.rfftfreq(N_TIMES + 2 * _PAD, 1 / SFREQ_HZ)

    def step(edge_hz: float) -> NDArray[np.float64]:
        octaves = np.log2(np.maximum(freqs_hz, 1e-3) / edge_hz)
        return 0.5 + 0.5 * np.sin(np.pi * np.clip(octaves / band.edge_octaves, -0.5, 0.5))

    return (step(band.low_hz) * (1 - step(band.high_hz))).astype(np.float32)


@lru_cache(maxsize=len(BANDS))
def _table(band: RasterBand) -> NDArray[np.uint8]:
    """Return the grey of every amplitude from minus to plus full, in steps of the table."""
    n = round(_TABLE_STEPS * band.full / band.linear)
    amplitude = np.arange(-n, n + 1) / n * band.full
    grey = np.arcsinh(amplitude / band.linear) * (127 / np.arcsinh(band.full / band.linear))
    return np.clip(np.rint(grey + ZERO_GREY), 1, 255).astype(np.uint8)


def _grey(rows: NDArray[np.float32], band: RasterBand, out: NDArray[np.uint8]) -> None:
    """Write one band of a segment, float32 (n_channels, 2000), into its plane."""
    from detectors.waveform._grey_kernels import grey_rows

    table = _table(band)
    scale = np.full(len(rows), (len(table) // 2) / band.full, dtype=np.float32)
    if band.floor_uv:
        cells = rows.reshape(len(rows), SEGMENT_S, SFREQ_HZ)
        power = np.sort(np.einsum("rst,rst->rs", cells, cells) / SFREQ_HZ, axis=-1)
        # the median of ten seconds; np.median costs more than what it is made of
        rms = np.sqrt(power[:, SEGMENT_S // 2 - 1 : SEGMENT_S // 2 + 1].mean(-1))
        scale /= np.maximum(rms, band.floor_uv)
    grey_rows(rows, scale, table, out)


@lru_cache(maxsize=1)
def _places() -> NDArray[np.uint8]:
    """Return the grey of each row's place, shape (2, 20): left to right, back to front."""
    grey = np.full((2, N_GRID_ROWS), ZERO_GREY, dtype=np.uint8)
    flat = electrode_positions().T
    grey[:, : len(CANONICAL19)] = np.rint(ZERO_GREY + _PLACE_GREY * flat).astype(np.uint8)
    return grey


def box_to_pixels(channel: str, t0_s: float, t1_s: float) -> PixelBox:
    """Return a box one channel high in network units.

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
    """Return channel, start and end of a box in network units, snapped to the row its centre lies in.

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
