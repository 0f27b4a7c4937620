"""Deterministic PNG encoding: pages in 4-bit grey, maps in 24-bit colour.

JPEG and WebP lose or crawl on line art; 4-bit grey PNG is smaller than either and plain PNG to
every reader (``performance.md`` 6). Deflate is ISA-L's, level 1. What is drawn is in
:mod:`detectors.pages.page` and :mod:`detectors.pages.topomap`.
"""

from __future__ import annotations

import struct
import threading

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2
_DEFLATE_LEVEL = 1


class _Scratch(threading.local):
    """Buffers a thread keeps: the system hands out zeroed pages, which costs more than packing."""

    def __init__(self) -> None:
        self.buffers: dict[str, NDArray[np.uint8]] = {}


_scratch = _Scratch()


def scratch_bytes(purpose: str, n_bytes: int) -> NDArray[np.uint8]:
    """Return this thread's buffer for a purpose, holding whatever was left in it.

    Parameters
    ----------
    purpose
        Two purposes never share memory; the next call with the same one does.
    n_bytes
        Length.
    """
    kept = _scratch.buffers.get(purpose)
    if kept is None or kept.size < n_bytes:
        kept = _scratch.buffers[purpose] = np.empty(n_bytes, dtype=np.uint8)
    return kept[:n_bytes]


def grey4_png(image: NDArray[np.uint8]) -> bytes:
    """Encode a grey picture of at most 16 levels.

    Parameters
    ----------
    image
        uint8, shape (height, width), width even. Levels that are multiples of 17 survive exactly;
        others are rounded to the 16 levels of the format.

    Returns
    -------
    png : bytes
        The file.

    Raises
    ------
    ValueError
        If the shape or type is not as above.
    """
    from detectors.pages._picture_kernels import pack_nibbles

    if image.dtype != np.uint8 or image.ndim != 2 or image.shape[1] % 2:
        raise ValueError(
            f"image is {image.dtype} of shape {image.shape}; expected uint8 (height, even width)"
        )
    height, width = image.shape
    lines = scratch_bytes("lines", height * (1 + width // 2)).reshape(height, -1)
    pack_nibbles(np.ascontiguousarray(image), lines)
    return _png(width, height, bit_depth=4, colour_type=_GREY, lines=lines)


def rgb_png(image: NDArray[np.uint8]) -> bytes:
    """Encode a colour picture, each line as differences to the line above.

    Parameters
    ----------
    image
        uint8, shape (height, width, 3).

    Returns
    -------
    png : bytes
        The file; lossless.

    Raises
    ------
    ValueError
        If the shape or type is not as above.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"image is {image.dtype} of shape {image.shape}; expected uint8 (height, width, 3)"
        )
    height, width = image.shape[:2]
    flat = image.reshape(height, width * 3)
    lines = scratch_bytes("lines", height * (1 + width * 3)).reshape(height, -1)
    lines[:, 0] = 2  # filter type "up"; the line above the first counts as zero
    lines[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=lines[1:, 1:])
    return _png(width, height, bit_depth=8, colour_type=_RGB, lines=lines)


def _png(
    width: int, height: int, *, bit_depth: int, colour_type: int, lines: NDArray[np.uint8]
) -> bytes:
    from isal import isal_zlib

    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    pixels = isal_zlib.compress(lines.data.cast("B"), _DEFLATE_LEVEL)
    return b"".join(
        (_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", pixels), _chunk(b"IEND", b""))
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    from isal import isal_zlib

    crc = isal_zlib.crc32(body, isal_zlib.crc32(kind))
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)
