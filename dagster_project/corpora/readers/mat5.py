"""Guards in front of MATLAB files: what a file declares is checked before anything believes it.

:func:`check_mat5` and :func:`check_hdf5` look at every element of a file and keep nothing, so that
a library may load it afterwards without being made to allocate what was never there. They are for
every reader of ``.mat`` and ``.set`` files; reading values out of a checked file is
:mod:`dagster_project.corpora.readers.mat_tree`. Layouts: MathWorks, MAT-File Format (version 5);
The HDF Group, HDF5 File Format Specification (version 7.3 files). Nothing is executed or evaluated:
function handles and objects are walked as bytes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.mat5_walk import (
    COMPRESSED,
    MAT5_HEADER_BYTES,
    MATRIX,
    MAX_ELEMENTS,
    FileStream,
    InflatedStream,
    Stream,
    Walk,
    byte_order,
    inflate,
    read_tag,
)

MAX_RATIO: Final = 1032
"""Deflate cannot blow one byte up to more (RFC 1951: 258 bytes for two bits)."""
HDF5_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
HDF5_FILTERS: Final = frozenset({1, 2, 3})
"""Deflate, shuffle and Fletcher-32; other filters would make HDF5 look for plug-ins to load."""
MAX_HDF5_CHUNK_BYTES: Final = 256 << 20
"""A chunk is inflated whole (engineering default)."""
FREE_BYTES: Final = 1 << 20
"""Data sets up to here need no stored bytes to be believed: fill values are legal."""


@dataclass(frozen=True, slots=True)
class TopElement:
    """A variable of a file: where its data lie, their length, and whether they are deflated."""

    at: int
    n_bytes: int
    is_compressed: bool


def top_elements(fd: int, n_file_bytes: int, order: str) -> Iterator[TopElement]:
    """Yield the variables of a version-5 file in order, none of them looked into.

    Raises
    ------
    CorpusError
        ``truncated`` if one is longer than the file, ``bad_header`` if one is no variable.
    """
    at = MAT5_HEADER_BYTES
    while at < n_file_bytes:
        raw = os.pread(fd, 8, at)
        if len(raw) != 8:
            raise CorpusError("truncated", "the file ends inside a tag")
        tag = read_tag(raw, order)
        if tag.inside is not None or tag.kind not in {MATRIX, COMPRESSED}:
            raise CorpusError("bad_header", f"element of type {tag.kind} instead of a variable")
        if at + 8 + tag.n_bytes > n_file_bytes:
            raise CorpusError("truncated", f"a variable of {tag.n_bytes} bytes is not all there")
        yield TopElement(at + 8, tag.n_bytes, tag.kind == COMPRESSED)
        at += 8 + tag.n_bytes


def _check_variable(fd: int, top: TopElement, order: str, max_bytes: int, n_left: int) -> int:
    """Check one variable and return how many elements are still allowed."""
    stream: Stream = FileStream(fd, top.at)
    n_bytes = top.n_bytes
    if top.is_compressed:
        stream = InflatedStream(inflate(fd, top.at, top.n_bytes))
        tag = read_tag(stream.read(8), order)
        if tag.inside is not None or tag.kind != MATRIX:
            raise CorpusError("bad_header", "a compressed element holds no array")
        if tag.n_bytes > top.n_bytes * MAX_RATIO:
            raise CorpusError(
                "bad_header", f"{top.n_bytes} compressed bytes cannot hold {tag.n_bytes}"
            )
        n_bytes = tag.n_bytes
    if n_bytes > max_bytes:
        raise CorpusError("bad_header", f"a variable of {n_bytes} bytes; at most {max_bytes}")
    walk = Walk(stream, order, n_left)
    walk.matrix(n_bytes)
    return walk.n_left


def check_mat5(path: Path, max_bytes: int) -> None:
    """Check every element of a MATLAB version-5 file (``save -v6`` and ``-v7``).

    After this a library may load the file: what it allocates is bounded by what the file holds.
    Memory in use stays below a few megabytes whatever the file says.

    Parameters
    ----------
    path
        The file.
    max_bytes
        Most bytes one variable may have once inflated.

    Raises
    ------
    CorpusError
        ``empty``, ``not_edf`` if it is no MATLAB file of this version (a version 7.3 file is for
        :func:`check_hdf5`), ``truncated``, or ``bad_header`` if elements contradict each other or
        one is larger than allowed.
    OSError
        If the operating system cannot read it.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        n_file_bytes = os.fstat(fd).st_size
        order = byte_order(os.pread(fd, MAT5_HEADER_BYTES, 0), n_file_bytes)
        n_left = MAX_ELEMENTS
        for top in top_elements(fd, n_file_bytes, order):
            n_left = _check_variable(fd, top, order, max_bytes, n_left)
    finally:
        os.close(fd)


def is_hdf5(path: Path) -> bool:
    """Whether a file is MATLAB version 7.3: HDF5, usually behind 512 bytes of its own header."""
    with path.open("rb") as file:
        head = file.read(512 + len(HDF5_SIGNATURE))
    return head.startswith(HDF5_SIGNATURE) or head[512:] == HDF5_SIGNATURE


def _check_dataset(data: Any, max_bytes: int) -> None:
    """Check what one HDF5 data set declares against what is stored of it."""
    n_bytes = data.size * data.dtype.itemsize if data.shape is not None else 0
    if n_bytes > max_bytes:
        raise CorpusError("bad_header", f"a data set of {n_bytes} bytes; at most {max_bytes}")
    made = data.id.get_create_plist()
    if data.is_virtual or made.get_external_count():
        raise CorpusError("bad_header", "a data set lies in another file; only this one is read")
    n_stored = data.id.get_storage_size()
    filters = {made.get_filter(i)[0] for i in range(made.get_nfilters())}
    if filters - HDF5_FILTERS:
        raise CorpusError("bad_header", f"HDF5 filters {sorted(filters - HDF5_FILTERS)}")
    if n_bytes > FREE_BYTES + n_stored * (MAX_RATIO if filters else 1):
        raise CorpusError("bad_header", f"{n_stored} stored bytes cannot hold {n_bytes}")
    chunk = math.prod(data.chunks) * data.dtype.itemsize if data.chunks else 0
    if chunk > MAX_HDF5_CHUNK_BYTES:
        raise CorpusError("bad_header", f"chunks of {chunk} bytes; at most {MAX_HDF5_CHUNK_BYTES}")


def _walk_hdf5(file: Any, max_bytes: int) -> None:
    import h5py

    seen: set[int] = set()
    todo = [file]
    while todo:
        item = todo.pop()
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            continue  # hard links may lead in circles
        seen.add(address)
        if len(seen) > MAX_ELEMENTS:
            raise CorpusError("bad_header", f"more than {MAX_ELEMENTS} objects")
        if isinstance(item, h5py.Dataset):
            _check_dataset(item, max_bytes)
        elif isinstance(item, h5py.Group):
            for name in item:
                if not isinstance(item.get(name, getlink=True), h5py.HardLink):
                    raise CorpusError("bad_header", "a link to another place; none is followed")
                todo.append(item[name])


def check_hdf5(path: Path, max_bytes: int) -> None:
    """Check every object of a MATLAB version-7.3 file.

    Parameters
    ----------
    path
        The file.
    max_bytes
        Most bytes one data set may have once inflated.

    Raises
    ------
    CorpusError
        ``empty``, ``not_edf`` if it is no HDF5 file, ``bad_header`` if HDF5 refuses it, a link or
        data set leads out of it, or a data set is larger than allowed or than what is stored.
    OSError
        If the operating system cannot read it.
    """
    if path.stat().st_size == 0:
        raise CorpusError("empty", "0 bytes")
    if not is_hdf5(path):
        raise CorpusError("not_edf", "not a MATLAB version 7.3 file")
    import h5py

    try:
        with h5py.File(path, "r") as file:
            _walk_hdf5(file, max_bytes)
    except (CorpusError, MemoryError):
        raise
    except Exception as error:  # the library raises whatever a hostile file provokes
        raise CorpusError("bad_header", f"HDF5 refused it: {type(error).__name__}") from error
