"""MATLAB structs as trees that read only what is asked for: versions 5 and 7.3 behind one face.

Every file is checked by :mod:`dagster_project.corpora.readers.mat5` before anything is read from
it. Numbers stay in the file, or in an unlinked temporary file where they were deflated, until a
stretch of them is asked for. What the fields of a struct mean is the reader's affair.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.mat5 import (
    TopElement,
    check_hdf5,
    check_mat5,
    is_hdf5,
    top_elements,
)
from dagster_project.corpora.readers.mat5_walk import (
    CELL,
    CHAR,
    COMPLEX_FLAG,
    NUMERIC,
    STRUCT,
    byte_order,
    inflate,
    padded,
    read_tag,
)

MAX_TEXT: Final = 4096
"""Characters of a text that are read; labels and file names are shorter (engineering default)."""
IN_MEMORY_BYTES: Final = 16 << 20
"""A deflated variable up to here is held in memory, a larger one in a temporary file."""
HDF5_CACHE_BYTES: Final = 64 << 20
"""Chunks kept inflated, so that consecutive stretches inflate each chunk once."""

_DTYPES: Final = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
    16: "u1", 17: "u2", 18: "u4",
}  # fmt: skip
_CODECS: Final = {1: "latin-1", 2: "latin-1", 16: "utf-8", 4: "utf-16", 17: "utf-16", 18: "utf-32"}


class MatNode(Protocol):
    """One array of a MATLAB file.

    Parameters
    ----------
    kind
        ``struct``, ``cell``, ``char``, ``number`` or ``other``.
    dims
        Dimensions in MATLAB's order.
    """

    @property
    def kind(self) -> str:
        """What it is."""

    @property
    def dims(self) -> tuple[int, ...]:
        """MATLAB's dimensions."""

    def child(self, field: str, index: int = 0) -> MatNode | None:
        """Return a field of a struct, or of one struct of an array of them; None if there is none."""

    def text(self) -> str | None:
        """Return the characters of a row of text, None for anything else."""

    def number(self) -> float | None:
        """Return a single real number, None for anything else."""

    def columns(self, start: int, stop: int) -> NDArray[Any]:
        """Return columns of a real matrix, shape (rows, stop - start)."""


class _Node5:
    """An array of a checked version-5 file."""

    def __init__(self, buffer: Any, order: str, at: int, end: int) -> None:
        self._buffer, self._order, self._end = buffer, order, end
        self.kind, self._is_complex = "number", False
        self.dims: tuple[int, ...] = (0, 0)
        self._fields: dict[str, int] = {}
        self._children: list[tuple[int, int]] | None = None
        if at < end:
            self._read(at)

    def _element(self, at: int) -> tuple[int, int, int, int]:
        """Return type, place and length of an element's data, and where the next one begins."""
        tag = read_tag(bytes(self._buffer[at : at + 8]), self._order)
        if tag.inside is not None:
            return tag.kind, at + 4, tag.n_bytes, at + 8
        return tag.kind, at + 8, tag.n_bytes, at + 8 + padded(tag.n_bytes)

    def _integers(self, at: int) -> tuple[tuple[int, ...], int]:
        _, data, n_bytes, after = self._element(at)
        raw = bytes(self._buffer[data : data + n_bytes])
        return struct.unpack(f"{self._order}{n_bytes // 4}i", raw), after

    def _read(self, at: int) -> None:
        flags, at = self._integers(at)
        mx = flags[0] & 0xFF
        self._is_complex = bool((flags[0] >> 8) & COMPLEX_FLAG)
        known = {STRUCT: "struct", CELL: "cell", CHAR: "char"}
        self.kind = "number" if mx in NUMERIC else known.get(mx, "other")
        if self.kind == "other":
            return
        self.dims, at = self._integers(at)
        *_, at = self._element(at)  # its name
        if self.kind == "struct":
            (width,), at = self._integers(at)
            _, data, n_bytes, at = self._element(at)
            raw = bytes(self._buffer[data : data + n_bytes])
            names = [raw[i : i + width] for i in range(0, n_bytes, width)]
            self._fields = {
                name.split(b"\0")[0].decode("latin-1"): i for i, name in enumerate(names)
            }
        self._body = at

    def child(self, field: str, index: int = 0) -> MatNode | None:
        """Return a field of a struct, None if there is none."""
        if field not in self._fields or not 0 <= index < math.prod(self.dims):
            return None
        if self._children is None:
            self._children, at = [], self._body
            for _ in range(len(self._fields) * math.prod(self.dims)):
                _, data, n_bytes, at = self._element(at)
                self._children.append((data, data + n_bytes))
        start, end = self._children[index * len(self._fields) + self._fields[field]]
        return _Node5(self._buffer, self._order, start, end)

    def text(self) -> str | None:
        """Return the characters of a row of text."""
        if self.kind != "char" or len(self.dims) != 2 or min(self.dims) == 0:
            return "" if self.kind == "char" and 0 in self.dims else None
        kind, data, n_bytes, _ = self._element(self._body)
        if self.dims[0] != 1 or kind not in _CODECS or n_bytes > 4 * MAX_TEXT:
            return None
        codec = _CODECS[kind]
        if codec in {"utf-16", "utf-32"}:
            codec += "-le" if self._order == "<" else "-be"
        return bytes(self._buffer[data : data + n_bytes]).decode(codec, "replace")

    def _values(self) -> NDArray[Any] | None:
        """View a real array in the file."""
        if self.kind != "number" or self._is_complex or 0 in self.dims:
            return None
        kind, data, n_bytes, _ = self._element(self._body)
        dtype = np.dtype(self._order + _DTYPES[kind])
        return np.frombuffer(self._buffer, dtype, n_bytes // dtype.itemsize, data)

    def number(self) -> float | None:
        """Return a single real number."""
        values = self._values()
        return float(values[0]) if values is not None and values.size == 1 else None

    def columns(self, start: int, stop: int) -> NDArray[Any]:
        """Return columns of a real matrix."""
        values = self._values()
        if values is None:
            raise CorpusError("bad_header", "no real matrix where one is expected")
        n_rows = self.dims[0]
        return values[start * n_rows : stop * n_rows].reshape(stop - start, n_rows).T


def _attribute(item: Any, name: str) -> Any:
    """Return an attribute of an HDF5 object, None if there is none."""
    try:
        value = item.attrs.get(name)
    except Exception as error:  # the library raises whatever a hostile file provokes
        raise CorpusError("bad_header", "an attribute cannot be read") from error
    return value if np.ndim(value) == 0 else None


class _Node73:
    """An object of a checked version-7.3 file."""

    def __init__(self, file: Any, item: Any) -> None:
        import h5py

        self._file, self._item = file, item
        if isinstance(item, h5py.Group):
            first: Any = next(iter(item.values()), None)
            is_array = self._holds_references(first)
            self._is_array = is_array
            self.kind = "struct"
            self.dims = tuple(reversed(first.shape)) if is_array else (1, 1)
            return
        if not isinstance(item, h5py.Dataset):
            self.kind, self.dims = "other", (0, 0)
            return
        is_empty = bool(_attribute(item, "MATLAB_empty")) or item.shape is None
        self.dims = (0, 0) if is_empty else tuple(reversed(item.shape))
        is_char = self._class_of(item) == "char"
        is_number = item.dtype.kind in "iuf"
        self.kind = "char" if is_char else "number" if is_number else "other"

    @staticmethod
    def _class_of(item: Any) -> str:
        name = _attribute(item, "MATLAB_class")
        return name.decode("latin-1") if isinstance(name, bytes) else ""

    def _holds_references(self, item: Any) -> bool:
        import h5py

        is_data = isinstance(item, h5py.Dataset)
        return is_data and item.dtype.kind == "O" and self._class_of(item) != "cell"

    def _take(self, item: Any, where: Any) -> Any:
        """Read a part of a data set; what HDF5 says of a damaged one is no fault of the disk."""
        try:
            return item[where]
        except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
            raise CorpusError("bad_header", "a data set cannot be inflated or read") from error

    def child(self, field: str, index: int = 0) -> MatNode | None:
        """Return a field of a struct, None if there is none."""
        import h5py

        if self.kind != "struct" or field not in self._item:
            return None
        found = self._item[field]
        if not self._is_array:
            return _Node73(self._file, found) if index == 0 else None
        if not self._holds_references(found) or not 0 <= index < found.size:
            return None
        place = np.unravel_index(index, tuple(reversed(found.shape)), order="F")
        reference = self._take(found, tuple(reversed(place)))
        is_set = isinstance(reference, h5py.Reference) and bool(reference)
        return _Node73(self._file, self._take(self._file, reference)) if is_set else None

    def text(self) -> str | None:
        """Return the characters of a row of text."""
        if self.kind != "char":
            return None
        if 0 in self.dims:
            return ""
        if len(self.dims) != 2 or self.dims[0] != 1 or self._item.size > MAX_TEXT:
            return None
        codes = np.asarray(self._take(self._item, ()))
        return codes.astype("<u2").tobytes().decode("utf-16-le", "replace")

    def number(self) -> float | None:
        """Return a single real number."""
        if self.kind != "number" or math.prod(self.dims) != 1:
            return None
        return float(np.asarray(self._take(self._item, ())).reshape(-1)[0])

    def columns(self, start: int, stop: int) -> NDArray[Any]:
        """Return columns of a real matrix."""
        if self.kind != "number" or len(self.dims) < 2:
            raise CorpusError("bad_header", "no real matrix where one is expected")
        found: NDArray[Any] = self._take(self._item, slice(start, stop))
        return found.reshape(stop - start, self.dims[0]).T


def _inflated(fd: int, top: TopElement) -> Any:
    """Return the inflated bytes of a variable as something that can be sliced."""
    pieces = inflate(fd, top.at, top.n_bytes)
    first = next(pieces, b"")
    held = bytearray(first)
    for piece in pieces:
        held += piece
        if len(held) > IN_MEMORY_BYTES:
            break
    else:
        return memoryview(bytes(held))
    with tempfile.TemporaryFile(prefix="neurogloss-") as file:
        file.write(held)
        for piece in pieces:
            file.write(piece)
        file.flush()
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


class _Root5:
    """The variables of a version-5 file by name, each inflated when it is first asked for."""

    def __init__(self, fd: int) -> None:
        n_bytes = os.fstat(fd).st_size
        self._fd = fd
        self._map = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
        self._order = byte_order(self._map[:128], n_bytes)
        self._tops = {self._name(top): top for top in top_elements(fd, n_bytes, self._order)}
        self._opened: dict[str, MatNode] = {}

    def _name(self, top: TopElement) -> str:
        head = self._map[top.at : top.at + min(top.n_bytes, 512)]
        if top.is_compressed:
            head = next(inflate(self._fd, top.at, top.n_bytes), b"")[8:520]
        at = 0
        for _ in range(2):  # flags and dimensions stand before the name
            tag = read_tag(head[at : at + 8], self._order)
            at += 8 + (padded(tag.n_bytes) if tag.inside is None else 0)
        tag = read_tag(head[at : at + 8], self._order)
        name = head[at + 8 : at + 8 + tag.n_bytes] if tag.inside is None else tag.inside
        return name.decode("latin-1")

    def variable(self, name: str) -> MatNode | None:
        """Return a variable, None if there is none."""
        if name not in self._opened and name in self._tops:
            top = self._tops[name]
            if top.is_compressed:
                buffer = _inflated(self._fd, top)
                n_bytes = read_tag(bytes(buffer[:8]), self._order).n_bytes
                self._opened[name] = _Node5(buffer, self._order, 8, 8 + n_bytes)
            else:
                end = top.at + top.n_bytes
                self._opened[name] = _Node5(self._map, self._order, top.at, end)
        return self._opened.get(name)


class _Root73:
    """The variables of a version-7.3 file by name."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def variable(self, name: str) -> MatNode | None:
        """Return a variable, None if there is none."""
        return _Node73(self._file, self._file[name]) if name in self._file else None


class MatRoot(Protocol):
    """The variables of an open file."""

    def variable(self, name: str) -> MatNode | None:
        """Return a variable, None if there is none."""


@contextmanager
def open_mat(path: Path, max_bytes: int) -> Iterator[MatRoot]:
    """Check a MATLAB file and open it; nodes are good until the context ends.

    Parameters
    ----------
    path
        A file of version 5 or 7.3.
    max_bytes
        Most bytes one variable may have once inflated.

    Raises
    ------
    CorpusError
        As :func:`~dagster_project.corpora.readers.mat5.check_mat5` and
        :func:`~dagster_project.corpora.readers.mat5.check_hdf5`.
    """
    if is_hdf5(path):
        import h5py

        check_hdf5(path, max_bytes)
        with h5py.File(path, "r", rdcc_nbytes=HDF5_CACHE_BYTES) as file:
            yield _Root73(file)
        return
    check_mat5(path, max_bytes)
    fd = os.open(path, os.O_RDONLY)
    try:
        yield _Root5(fd)
    finally:
        os.close(fd)
