"""The atomic Parquet store: one directory per table and partition, a manifest written last.

Layout under the root, a local folder or any fsspec URL::

    <table>/<partition>/<content hash>.parquet
    <table>/<partition>/manifest.json

Files are named by their content, so a kill at any moment leaves either the old pair or the new
one; the manifest is the only thing that says which. The data version of a partition is the hash of
its bytes. What a table holds is in :mod:`dagster_project.tables.registry`; Dagster's view of all
this is in the rim.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from dagster_project.tables.registry import Table, table

ROW_GROUP_ROWS = 32
"""Rows per group of signal and picture tables: 16-32 is the measured knee (``performance.md`` 9)."""


class StorageError(RuntimeError):
    """A read or write that failed; ``is_retryable`` says whether trying again can help."""

    def __init__(self, message: str, *, is_retryable: bool = False) -> None:
        super().__init__(message)
        self.is_retryable = is_retryable


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a partition of a table holds.

    Parameters
    ----------
    table, partition
        Which.
    file
        Name of the Parquet file beside the manifest.
    sha256
        Hash of its bytes; the partition's data version.
    n_rows, n_bytes
        Size.
    provenance
        What it was made from; plain JSON values.
    """

    table: str
    partition: str
    file: str
    sha256: str
    n_rows: int
    n_bytes: int
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def data_version(self) -> str:
        """Short content hash used as Dagster's data version."""
        return self.sha256[:16]


def arrow_type(dtype: str) -> pa.DataType:
    """Parse a registry type such as ``list<struct<name:string,value:float64>>``.

    Raises
    ------
    ValueError
        If the text is not a type of the registry's small language.
    """
    plain = {
        "string": pa.string(), "binary": pa.binary(), "bool": pa.bool_(), "int16": pa.int16(),
        "int32": pa.int32(), "int64": pa.int64(), "float32": pa.float32(), "float64": pa.float64(),
    }  # fmt: skip
    if dtype in plain:
        return plain[dtype]
    if dtype.startswith("list<") and dtype.endswith(">"):
        return pa.list_(arrow_type(dtype[5:-1]))
    if dtype.startswith("struct<") and dtype.endswith(">"):
        fields = [part.partition(":")[::2] for part in _split_fields(dtype[7:-1])]
        return pa.struct([(name, arrow_type(inner)) for name, inner in fields])
    raise ValueError(
        f"column type {dtype!r} is not known; use {', '.join(plain)}, list<>, struct<>"
    )


def _split_fields(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char == "<") - (char == ">")
        if char == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def arrow_schema(spec: Table) -> pa.Schema:
    """Return the Arrow schema of a table, units and meanings as field metadata."""
    return pa.schema(
        [
            pa.field(
                c.name,
                arrow_type(c.dtype),
                nullable=c.is_nullable,
                metadata={"unit": c.unit, "meaning": c.meaning},
            )
            for c in spec.columns
        ]
    )


def to_arrow(spec: Table, rows: Sequence[Mapping[str, Any]] | pl.DataFrame | pa.Table) -> pa.Table:
    """Bring rows into a table's exact schema.

    Parameters
    ----------
    spec
        The table.
    rows
        Row dictionaries, a Polars frame or an Arrow table; column order is free.

    Raises
    ------
    StorageError
        If a column is missing, unknown, of another type, or null where it may not be.
    """
    schema = arrow_schema(spec)
    if isinstance(rows, pl.DataFrame):
        rows = rows.to_arrow()
    if isinstance(rows, pa.Table):
        found = set(rows.column_names)
    else:
        found = set(rows[0]) if rows else set(spec.column_names)
    missing, unknown = set(spec.column_names) - found, found - set(spec.column_names)
    if missing or unknown:
        raise StorageError(
            f"table {spec.name!r}: missing columns {sorted(missing)}, unknown columns "
            f"{sorted(unknown)}; the registry names what is allowed"
        )
    try:
        if isinstance(rows, pa.Table):
            arrow = rows.select(list(spec.column_names)).cast(schema)
        else:
            arrow = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
        raise StorageError(f"table {spec.name!r}: rows do not fit the registry: {error}") from error
    for column in spec.columns:
        nulls = arrow.column(column.name).null_count
        if nulls and not column.is_nullable:
            raise StorageError(f"table {spec.name!r}: column {column.name!r} has {nulls} nulls")
    return arrow


class TableStore:
    """Tables under one root.

    Parameters
    ----------
    root
        A local folder or an fsspec URL such as ``s3://bucket/prefix``.
    """

    def __init__(self, root: str) -> None:
        import fsspec

        self.root = root
        self._fs, self._base = fsspec.core.url_to_fs(root)
        protocol = self._fs.protocol
        self._is_local = "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def write(
        self,
        name: str,
        partition: str,
        rows: Sequence[Mapping[str, Any]] | pl.DataFrame | pa.Table,
        provenance: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Write one partition of a table, replacing what was there.

        Parameters
        ----------
        name, partition
            Which.
        rows
            The whole partition; may be empty.
        provenance
            What it was made from.

        Returns
        -------
        Manifest
            The manifest now in force. The same rows give the same bytes and the same hash.
        """
        return self.write_stream(name, partition, [to_arrow(table(name), rows)], provenance)

    def write_stream(
        self,
        name: str,
        partition: str,
        chunks: Iterable[pa.Table],
        provenance: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Write one partition from a stream of Arrow tables, holding one at a time.

        Parameters
        ----------
        name, partition
            Which.
        chunks
            Parts of the partition in order, such as one per recording; each is brought into the
            table's schema. The same parts give the same bytes.
        provenance
            What it was made from.
        """
        spec = table(name)
        folder = self._folder(name, partition)
        self._fs.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder if self._is_local else None) as scratch:
            draft = posixpath.join(scratch, "draft.parquet")
            n_rows = _encode(spec, chunks, draft)
            with open(draft, "rb") as handle:  # noqa: PTH123
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
            manifest = Manifest(
                name,
                partition,
                f"{digest[:16]}.parquet",
                digest,
                n_rows,
                os.path.getsize(draft),  # noqa: PTH202
                dict(provenance or {}),
            )
            target = posixpath.join(folder, manifest.file)
            if self._is_local:
                _fsync(draft)
                os.replace(draft, target)  # noqa: PTH105
            else:
                self._fs.put_file(draft, target)  # an object store's put is atomic by itself
        blob = (json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n").encode()
        self._put(posixpath.join(folder, "manifest.json"), blob)
        self._drop_others(folder, manifest.file)
        return manifest

    def manifest(self, name: str, partition: str) -> Manifest | None:
        """Return the manifest of a partition, or None where it was never written."""
        path = posixpath.join(self._folder(name, partition), "manifest.json")
        if not self._fs.exists(path):
            return None
        return Manifest(**json.loads(self._fs.cat_file(path)))

    def partitions(self, name: str) -> tuple[str, ...]:
        """Return the partitions of a table that have been written, sorted."""
        table(name)
        folder = posixpath.join(self._base, name)
        if not self._fs.exists(folder):
            return ()
        found = (posixpath.basename(str(p).rstrip("/")) for p in self._fs.ls(folder, detail=False))
        return tuple(sorted(p for p in found if self.manifest(name, p) is not None))

    def read(self, name: str, partition: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Read one partition.

        Raises
        ------
        StorageError
            If the partition was never written, or its file is missing.
        """
        with self.open(name, partition) as handle:
            frame = pl.from_arrow(pq.read_table(handle, columns=list(columns) if columns else None))
        assert isinstance(frame, pl.DataFrame)
        return frame

    def open(self, name: str, partition: str) -> BinaryIO:
        """Open one partition's Parquet file for reading."""
        handle: BinaryIO = self._fs.open(self.path(name, partition), "rb")
        return handle

    def iter_frames(
        self,
        name: str,
        partition: str,
        columns: Sequence[str] | None = None,
        max_rows: int = 256,
    ) -> Iterator[pl.DataFrame]:
        """Read one partition in frames of at most ``max_rows``, so memory stays flat."""
        with self.open(name, partition) as handle:
            parquet = pq.ParquetFile(handle)
            for batch in parquet.iter_batches(max_rows, columns=list(columns) if columns else None):
                frame = pl.from_arrow(batch)
                assert isinstance(frame, pl.DataFrame)
                yield frame

    def read_group(self, name: str, partition: str, group: int) -> pl.DataFrame:
        """Read one row group of a signal table; groups hold :data:`ROW_GROUP_ROWS` rows each."""
        with self.open(name, partition) as handle:
            frame = pl.from_arrow(pq.ParquetFile(handle).read_row_group(group))
        assert isinstance(frame, pl.DataFrame)
        return frame

    def read_many(
        self, name: str, partitions: Sequence[str], columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Read several partitions as one frame, in the order given; none give an empty frame."""
        spec = table(name)
        frames = [self.read(name, p, columns) for p in partitions]
        if frames:
            return pl.concat(frames)
        empty = pl.from_arrow(arrow_schema(spec).empty_table())
        assert isinstance(empty, pl.DataFrame)
        return empty.select(columns) if columns else empty

    def path(self, name: str, partition: str) -> str:
        """Return the path of a partition's Parquet file.

        Raises
        ------
        StorageError
            If the partition was never written.
        """
        manifest = self.manifest(name, partition)
        if manifest is None:
            raise StorageError(
                f"table {name!r} has no partition {partition!r} under {self.root!r}; "
                f"materialise asset {table(name).written_by!r} for it first"
            )
        return posixpath.join(self._folder(name, partition), manifest.file)

    def _folder(self, name: str, partition: str) -> str:
        table(name)
        if not partition or any(c in partition for c in "/\\") or partition.startswith("."):
            raise StorageError(f"partition {partition!r} is not a plain name")
        return posixpath.join(self._base, name, partition)

    def _put(self, path: str, blob: bytes) -> None:
        if self._is_local:
            _put_local(path, blob)
        else:
            self._fs.pipe_file(path, blob)

    def _drop_others(self, folder: str, keep: str) -> None:
        for path in self._fs.ls(folder, detail=False):
            name = posixpath.basename(str(path))
            if name not in {keep, "manifest.json"} and self._fs.isfile(path):
                self._fs.rm_file(path)


def _put_local(path: str, blob: bytes) -> None:
    sibling = f"{path}.{uuid.uuid4().hex}.tmp"
    with open(sibling, "wb") as handle:  # noqa: PTH123 - an fsspec path, already a plain string
        handle.write(blob)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(sibling, path)  # noqa: PTH105
    _fsync(posixpath.dirname(path))


def _encode(spec: Table, chunks: Iterable[pa.Table], path: str) -> int:
    """Write chunks to one Parquet file and return the number of rows."""
    has_signal = "signal" in spec.column_names
    is_bulky = has_signal or any(c.dtype == "binary" for c in spec.columns)
    n_rows = 0
    with pq.ParquetWriter(
        path,
        arrow_schema(spec),
        compression="zstd",
        compression_level=1,
        use_dictionary=[c.name for c in spec.columns if c.dtype == "string"],
        write_statistics=[
            c.name for c in spec.columns if c.dtype in {"string", "float64", "int64"}
        ],
        column_encoding={"signal.list.element": "DELTA_BINARY_PACKED"} if has_signal else None,
    ) as writer:
        for chunk in chunks:
            arrow = to_arrow(spec, chunk)
            n_rows += arrow.num_rows
            writer.write_table(arrow, row_group_size=ROW_GROUP_ROWS if is_bulky else 8192)
    return n_rows


def _fsync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
