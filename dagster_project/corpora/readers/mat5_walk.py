"""The elements of a MATLAB version-5 variable, walked without keeping them.

Tags, streams of plain or deflated bytes, and the one pass that checks every declared count against
the bytes there are. Readers call :mod:`dagster_project.corpora.readers.mat5`, which stands on this.
Layout: MathWorks, MAT-File Format (version 5).
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from dagster_project.corpora.errors import CorpusError

MAT5_HEADER_BYTES: Final = 128
CHUNK_BYTES: Final = 1 << 18
"""Bytes read and inflated at once."""
MAX_DEPTH: Final = 64
"""Structs and cells within each other; recordings have fewer than ten (engineering default)."""
MAX_ELEMENTS: Final = 20_000_000
"""Elements of one file: hundreds of thousands of events with tens of fields."""
MAX_DIMS: Final = 32
"""What NumPy before version 2 and SciPy can hold."""
MAX_BLANKS: Final = 4096
"""A character array may leave its blanks out; so many are believed."""

CELL, STRUCT, OBJECT, CHAR, SPARSE, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, 16, 17
NUMERIC: Final = range(6, 16)
MATRIX, COMPRESSED = 14, 15
ITEM_BYTES: Final = {
    1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4,
}  # fmt: skip
"""Bytes of an item by element type (miINT8 ... miUTF32)."""
COMPLEX_FLAG: Final = 0x08


@dataclass(frozen=True, slots=True)
class Tag:
    """An element's tag: its type, bytes of data, and the data where they are inside the tag."""

    kind: int
    n_bytes: int
    inside: bytes | None = None


def read_tag(raw: bytes, order: str) -> Tag:
    """Take eight bytes apart; ``order`` is ``<`` or ``>``."""
    kind, n_bytes = struct.unpack(f"{order}II", raw)
    if kind >> 16:
        if kind >> 16 > 4:
            raise CorpusError("bad_header", f"a small element of {kind >> 16} bytes; it holds 4")
        return Tag(kind & 0xFFFF, kind >> 16, raw[4 : 4 + (kind >> 16)])
    return Tag(kind, n_bytes)


def byte_order(head: bytes, n_file_bytes: int) -> str:
    """Return ``<`` or ``>`` from a version-5 header.

    Raises
    ------
    CorpusError
        ``empty``, ``truncated``, or ``not_edf`` if the file does not begin as version 5 does.
    """
    if n_file_bytes == 0:
        raise CorpusError("empty", "0 bytes")
    if n_file_bytes < MAT5_HEADER_BYTES:
        raise CorpusError("truncated", f"{n_file_bytes} bytes; a MATLAB header has 128")
    order = {b"IM": "<", b"MI": ">"}.get(head[126:128])
    if order is None or not all(head[:4]):
        raise CorpusError("not_edf", "neither a MATLAB version 5 nor a version 7.3 file")
    (version,) = struct.unpack(f"{order}H", head[124:126])
    if version != 0x0100:
        raise CorpusError("not_edf", f"MATLAB version field {version:#06x}; 0x0100 is read")
    return order


def padded(n_bytes: int) -> int:
    """Return the bytes an element's data take up: elements begin at multiples of eight."""
    return n_bytes + -n_bytes % 8


class Stream(Protocol):
    """Bytes in order; ``at`` counts those that were read or passed over."""

    at: int

    def read(self, n: int) -> bytes:
        """Return the next ``n`` bytes."""

    def skip(self, n: int) -> None:
        """Pass over ``n`` bytes."""


class FileStream:
    """Bytes of a file in order; skipping reads nothing."""

    def __init__(self, fd: int, at: int) -> None:
        self._fd, self.at = fd, at

    def read(self, n: int) -> bytes:
        """Return the next ``n`` bytes."""
        raw = os.pread(self._fd, n, self.at)
        if len(raw) != n:
            raise CorpusError("truncated", "the file ends inside an element")
        self.at += n
        return raw

    def skip(self, n: int) -> None:
        """Pass over ``n`` bytes."""
        self.at += n


def inflate(fd: int, at: int, n_bytes: int) -> Iterator[bytes]:
    """Yield the inflated bytes of a deflated stretch of a file, a bounded piece at a time.

    Raises
    ------
    CorpusError
        ``bad_header`` if it is not deflated data, ``truncated`` if it ends early.
    """
    engine, end = zlib.decompressobj(), at + n_bytes
    while not engine.eof:
        raw = engine.unconsumed_tail
        if not raw:
            raw = os.pread(fd, min(CHUNK_BYTES, end - at), at)
            at += len(raw)
        if not raw:
            raise CorpusError("truncated", "a compressed element ends early")
        try:
            piece = engine.decompress(raw, CHUNK_BYTES)
        except zlib.error as error:
            raise CorpusError("bad_header", "a compressed element does not inflate") from error
        if piece:
            yield piece


class InflatedStream:
    """Inflated bytes in order, never more than a piece of them in memory."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest, self.at = pieces, b"", 0

    def _more(self) -> bytes:
        piece = next(self._pieces, None)
        if piece is None:
            raise CorpusError("truncated", "a compressed element holds less than it declares")
        return piece

    def read(self, n: int) -> bytes:
        """Return the next ``n`` bytes."""
        while len(self._rest) < n:
            self._rest += self._more()
        raw, self._rest = self._rest[:n], self._rest[n:]
        self.at += n
        return raw

    def skip(self, n: int) -> None:
        """Pass over ``n`` bytes."""
        left = n
        while left > len(self._rest):
            left -= len(self._rest)
            self._rest = self._more()
        self._rest = self._rest[left:]
        self.at += n


class Walk:
    """One pass over the elements of a variable; nothing of it is kept."""

    def __init__(self, stream: Stream, order: str, n_left: int) -> None:
        self._stream, self._order, self.n_left = stream, order, n_left

    def _tag(self, end: int) -> Tag:
        self.n_left -= 1
        if self.n_left < 0:
            raise CorpusError("bad_header", f"more than {MAX_ELEMENTS} elements")
        if self._stream.at + 8 > end:
            raise CorpusError("bad_header", "an element begins beyond the one it is part of")
        return read_tag(self._stream.read(8), self._order)

    def _check(self, tag: Tag, end: int) -> Tag:
        """Check that an element fits the one it is part of."""
        if tag.inside is None and self._stream.at + tag.n_bytes > end:
            raise CorpusError("bad_header", "an element is longer than the one it is part of")
        return tag

    def _pass(self, end: int) -> Tag:
        """Step over one element of plain data."""
        tag = self._check(self._tag(end), end)
        if tag.kind not in ITEM_BYTES:
            raise CorpusError("bad_header", f"element of type {tag.kind} where data are expected")
        if tag.inside is None:
            self._stream.skip(min(padded(tag.n_bytes), end - self._stream.at))
        return tag

    def _short(self, end: int, most: int) -> bytes:
        """Read one short element whole."""
        tag = self._check(self._tag(end), end)
        if tag.inside is not None:
            return tag.inside
        if tag.n_bytes > most:
            raise CorpusError("bad_header", f"an element of {tag.n_bytes} bytes; at most {most}")
        raw = self._stream.read(tag.n_bytes)
        self._stream.skip(min(-tag.n_bytes % 8, end - self._stream.at))
        return raw

    def matrix(self, n_bytes: int, depth: int = 0) -> None:
        """Check one array, the stream standing after its tag."""
        if n_bytes == 0:
            return  # how MATLAB writes an empty cell
        if depth > MAX_DEPTH:
            raise CorpusError("bad_header", f"arrays nested deeper than {MAX_DEPTH}")
        end = self._stream.at + n_bytes
        flags = self._short(end, 8)
        if len(flags) != 8:
            raise CorpusError("bad_header", "an array without flags")
        (word,) = struct.unpack(f"{self._order}I", flags[:4])
        kind, is_complex = word & 0xFF, bool((word >> 8) & COMPLEX_FLAG)
        if kind == OPAQUE:
            self._opaque(end, depth)
        else:
            dims = self._dims(end)
            self._pass(end)  # its name
            self._body(kind, dims, end, depth, is_complex=is_complex)
        if self._stream.at > end:
            raise CorpusError("bad_header", "an array is longer than it declares")
        self._stream.skip(end - self._stream.at)

    def _dims(self, end: int) -> tuple[int, ...]:
        raw = self._short(end, 4 * MAX_DIMS)
        dims = struct.unpack(f"{self._order}{len(raw) // 4}i", raw[: len(raw) // 4 * 4])
        if len(dims) < 2 or min(dims) < 0:
            raise CorpusError("bad_header", "an array without two dimensions")
        return dims

    def _body(
        self, kind: int, dims: tuple[int, ...], end: int, depth: int, *, is_complex: bool
    ) -> None:
        size = math.prod(dims)
        if kind in NUMERIC:
            self._numbers(size, end)
            if is_complex:
                self._numbers(size, end)
        elif kind == CHAR:
            self._characters(size, end)
        elif kind == CELL:
            self._children(size, end, depth)
        elif kind in {STRUCT, OBJECT}:
            self._struct(kind, size, end, depth)
        elif kind == SPARSE:
            for _ in range(4 if is_complex else 3):
                self._pass(end)
        elif kind == FUNCTION:
            self._children(1, end, depth)
        else:
            raise CorpusError("bad_header", f"an array of class {kind} is not known")

    def _numbers(self, size: int, end: int) -> None:
        tag = self._pass(end)
        if tag.n_bytes != size * ITEM_BYTES[tag.kind]:
            raise CorpusError("bad_header", f"{tag.n_bytes} bytes hold an array of {size} numbers")

    def _characters(self, size: int, end: int) -> None:
        tag = self._pass(end)
        if size > max(tag.n_bytes, 0 if tag.n_bytes else MAX_BLANKS):
            raise CorpusError("bad_header", f"{tag.n_bytes} bytes hold {size} characters")

    def _children(self, n: int, end: int, depth: int) -> None:
        if n * 8 > end - self._stream.at:
            raise CorpusError("bad_header", f"{n} arrays declared where there is no room for them")
        for _ in range(n):
            tag = self._check(self._tag(end), end)
            if tag.kind != MATRIX:
                raise CorpusError("bad_header", f"element of type {tag.kind} instead of an array")
            self.matrix(tag.n_bytes, depth + 1)

    def _struct(self, kind: int, size: int, end: int, depth: int) -> None:
        if kind == OBJECT:
            self._pass(end)  # its class
        raw = self._short(end, 4)
        if len(raw) != 4:
            raise CorpusError("bad_header", "a struct without the width of its field names")
        (width,) = struct.unpack(f"{self._order}i", raw)
        names = self._pass(end)
        if not 0 < width <= 64 or names.n_bytes % width:
            raise CorpusError("bad_header", f"field names of {width} bytes in {names.n_bytes}")
        n_fields = names.n_bytes // width
        if not n_fields and size > MAX_BLANKS:
            raise CorpusError("bad_header", f"{size} structs without a field")
        self._children(size * n_fields, end, depth)

    def _opaque(self, end: int, depth: int) -> None:
        for _ in range(3):
            self._pass(end)
        self._children(1, end, depth)
