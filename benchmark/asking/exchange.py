"""Files between the graph and the answering program: items, pages, answers; written atomically.

The program runs in a process of its own, so torch never enters the graph's. Items carry the visible
columns only: the process that runs the model never holds a reference answer. Tables of the store
are in ``dagster_project.tables``; these files are scratch.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.asking.answers import MAY_LEAVE, VISIBLE_COLUMNS, Item
from benchmark.asking.controls import mirror_id
from benchmark.errors import BenchmarkError
from benchmark.tasks.task import Row
from dagster_project.tables.registry import table
from dagster_project.tables.store import arrow_schema, to_arrow
from prompts.leaving import Walls

_ITEM_ID = re.compile(r"[A-Za-z0-9_-]+")
_PAGES = pa.schema([("item_id", pa.string()), ("png", pa.binary())])


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that a kill leaves the old one or the new one, never a part.

    Parameters
    ----------
    path
        Where; its folder is made.
    data
        What.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sibling = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with sibling.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        sibling.replace(path)
    finally:
        sibling.unlink(missing_ok=True)


def write_items(
    path: Path, items: Sequence[Row], walls: Walls, *, leaving: Collection[str] = ()
) -> None:
    """Write the visible part of rows of table ``benchmark_items`` as Parquet.

    Parameters
    ----------
    path
        Where.
    items
        The rows.
    walls
        What may be written where.
    leaving
        Corpora whose rows may be sent to a hosted model; of the others none is.

    Raises
    ------
    ExportRefusedError
        If the path is outside the storage root and an item is of a gated corpus.
    """
    walls.assert_may_hold(path, "the items file", (row["corpus"] for row in items))
    visible = [
        {name: row[name] for name in VISIBLE_COLUMNS} | {MAY_LEAVE: row["corpus"] in leaving}
        for row in items
    ]
    full = arrow_schema(table("benchmark_items"))
    fields = [full.field(name) for name in VISIBLE_COLUMNS]
    schema = pa.schema([*fields, pa.field(MAY_LEAVE, pa.bool_())])
    _write_parquet(path, pa.Table.from_pylist(visible, schema=schema))


def read_items(path: Path, task: str) -> list[Item]:
    """Read the items of one task; columns that are not visible are never read.

    Raises
    ------
    BenchmarkError
        If the file cannot be read, lacks a column, or holds no item of the task.
    """
    rows = _read_parquet(path, VISIBLE_COLUMNS, optional=(MAY_LEAVE,))
    items = [Item.from_row(row) for row in rows if row["task"] == task]
    if not items:
        raise BenchmarkError(
            f"{str(path)!r} holds no item of task {task!r}; it has those of "
            f"{', '.join(sorted({row['task'] for row in rows})) or 'no task'}"
        )
    return items


def write_pages(
    path: Path, pages: Mapping[str, bytes], corpora: Iterable[str], walls: Walls
) -> None:
    """Write pages as Parquet with the columns ``item_id`` and ``png``, sorted by item.

    Parameters
    ----------
    path
        Where.
    pages
        PNG by item id.
    corpora
        Corpora the pages show.
    walls
        What may be written where.

    Raises
    ------
    ExportRefusedError
        If the path is outside the storage root and a corpus is gated.
    """
    walls.assert_may_hold(path, "the pages file", corpora)
    ids = sorted(pages)
    columns = [pa.array(ids, pa.string()), pa.array([pages[i] for i in ids], pa.binary())]
    _write_parquet(path, pa.Table.from_arrays(columns, schema=_PAGES))


def read_pages(path: Path, item_ids: Sequence[str]) -> dict[str, bytes]:
    """Read the pages of items from a Parquet file, or from ``<item_id>.png`` files of a folder.

    The mirrored page of an item comes with it where it is there. Items without a page are left out;
    whether that matters depends on the control.

    Raises
    ------
    BenchmarkError
        If the path is neither, or an item id is no plain file name.
    """
    wanted = {*item_ids, *map(mirror_id, item_ids)}
    if path.is_dir():
        odd = sorted(i for i in wanted if not _ITEM_ID.fullmatch(i))
        if odd:
            raise BenchmarkError(
                f"item id {odd[0]!r} is no plain name; pages of it cannot be found"
            )
        files = {i: path / f"{i}.png" for i in sorted(wanted)}
        return {i: file.read_bytes() for i, file in files.items() if file.is_file()}
    rows = _read_parquet(path, ("item_id", "png"))
    return {row["item_id"]: row["png"] for row in rows if row["item_id"] in wanted}


def write_answers(path: Path, answers: Sequence[Row]) -> None:
    """Write rows of table ``model_answers`` as Parquet in the registry's schema."""
    _write_parquet(path, to_arrow(table("model_answers"), answers))


def read_answers(path: Path) -> list[dict[str, Any]]:
    """Read what :func:`write_answers` wrote.

    Raises
    ------
    BenchmarkError
        If the file cannot be read or is of another schema.
    """
    return _read_parquet(path, table("model_answers").column_names)


def _write_parquet(path: Path, rows: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", compression_level=1)
    write_bytes(path, sink.getvalue().to_pybytes())


def _read_parquet(
    path: Path, columns: Sequence[str], optional: Sequence[str] = ()
) -> list[dict[str, Any]]:
    if not path.is_file():
        raise BenchmarkError(f"{str(path)!r} is not a file; write it before it is read")
    try:
        with path.open("rb") as handle:
            file = pq.ParquetFile(handle)
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                raise BenchmarkError(
                    f"{str(path)!r} lacks the columns {', '.join(missing)}; it is another table"
                )
            there = [name for name in optional if name in file.schema_arrow.names]
            rows: list[dict[str, Any]] = file.read(columns=[*columns, *there]).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise BenchmarkError(f"{str(path)!r} is no readable Parquet file: {error}") from error
    return rows
