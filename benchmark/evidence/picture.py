"""The small picture a small model is shown: band amplitudes of a page, 112 x 56 pixels.

A model of a few hundred thousand weights that begins from random, on a CPU, in minutes, does not
learn to read the clinical page of 1288 x 896 pixels; this picture holds the same ten seconds in 8
image tokens. Above, in red, green and blue: delta, alpha and fast activity; below: theta, sigma and
beta. Each half has all electrodes, front to back, each on the left followed by its fellow on the
right, so that one token sees both sides; a column is 0.1 s. Pages for people and for full-size
models are :mod:`detectors.pages.page`.
"""

from __future__ import annotations

import functools
import io

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from detectors.types import CANONICAL19, N_TIMES, SEGMENT_S, SFREQ_HZ

WIDTH_PX, HEIGHT_PX = 112, 56
"""Four image tokens of 28 pixels by two, so that nothing is rescaled."""
GROUND_GREY = 90
"""Grey of no activity: a typical page then has the mean grey the model's image processor takes
away. On black, one direction common to all patches drowned the differences (measured: learning
took twice the steps)."""
COLUMN_SAMPLES = SFREQ_HZ // 10

_PLANES = (
    ((0.5, 4.0, 250.0), (8.0, 13.0, 50.0), (25.0, 70.0, 60.0)),
    ((4.0, 8.0, 60.0), (11.0, 16.0, 30.0), (14.0, 25.0, 30.0)),
)
"""Upper and lower half: low and high edge, Hz, and amplitude of full scale, uV, of each colour."""

_ELECTRODES = (
    "Fp1 Fp2 Fp1 Fp2 F7 F8 F7 F8 F3 F4 Fz T7 T8 T7 T8 C3 C4 Cz Cz P7 P8 P3 P4 Pz O1 O2 O1 O2"
)
"""One a row; those where blinks, muscle and the posterior rhythm show have two."""
_ROWS = tuple(CANONICAL19.index(name) for name in _ELECTRODES.split())


def amplitude_picture(data_uv: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Draw a segment.

    Parameters
    ----------
    data_uv
        float32, shape (19, 2000), canonical order, microvolts.

    Returns
    -------
    uint8, shape (56, 112, 3)
    """
    spectrum = scipy.fft.rfft(np.asarray(data_uv, dtype=np.float32), axis=-1)
    n_columns = N_TIMES // COLUMN_SAMPLES
    half = len(_ROWS)
    picture = np.full((HEIGHT_PX, WIDTH_PX, 3), GROUND_GREY, dtype=np.uint8)
    for place, colours in enumerate(_PLANES):
        for colour, (low_hz, high_hz, full_uv) in enumerate(colours):
            band = scipy.fft.irfft(spectrum * _gain(low_hz, high_hz), N_TIMES, axis=-1)
            peak_uv = np.abs(band).reshape(len(band), n_columns, COLUMN_SAMPLES).max(axis=-1)
            grey = np.clip(GROUND_GREY + peak_uv * (255 / full_uv), 0, 255).astype(np.uint8)
            picture[half * place : half * (place + 1), :n_columns, colour] = grey[list(_ROWS)]
    return picture


def picture_png(picture: NDArray[np.uint8]) -> bytes:
    """Return a picture as PNG; the same pixels give the same bytes."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def blank_png() -> bytes:
    """Return the white picture the twin is shown instead of every page."""
    return picture_png(np.full((HEIGHT_PX, WIDTH_PX, 3), 255, dtype=np.uint8))


@functools.cache
def _gain(low_hz: float, high_hz: float) -> NDArray[np.float32]:
    freqs_hz = np.arange(N_TIMES // 2 + 1) / SEGMENT_S
    return ((freqs_hz >= low_hz) & (freqs_hz < high_hz)).astype(np.float32)
