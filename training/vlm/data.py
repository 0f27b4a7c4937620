"""Instruction rows from Parquet, in an order that can be stopped and taken up again.

::

    files --> row groups --> windows of shuffled rows --> rows --> (encode, batch)
              shuffled       one window in memory         position counted here

The order is a pure function of the row counts, the seed and the epoch, so a :class:`Position` (two
integers) is the whole state: taking it up reads nothing that lies before its window. Pictures stay
encoded; turning a row into tensors is :mod:`training.vlm.encode`'s business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from training.vlm.errors import DatasetError

COLUMNS = ("id", "images", "messages")
"""What a row must have to be trained on; further columns are provenance and are not read."""

SPLIT_COLUMN = "split"
MANIFEST = "manifest.json"

MAX_VOCABULARY_ROWS = 20_000
"""Rows whose text a small vocabulary is trained on. Engineering default."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a run has read: rows passed in this epoch, kept or dropped."""

    epoch: int = 0
    row: int = 0


@dataclass(frozen=True, slots=True)
class RowGroup:
    """The rows of one Parquet row group that belong to the split."""

    path: Path
    group: int
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class InstructionDataset:
    """The rows of one split, found but not read.

    Parameters
    ----------
    folder
        Folder of the release.
    split
        Which rows.
    groups
        In the order of file name and row group.
    """

    folder: Path
    split: str
    groups: tuple[RowGroup, ...]

    @property
    def n_rows(self) -> int:
        """Rows of the split."""
        return sum(len(g.rows) for g in self.groups)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the release's manifest, or of its files where it has none."""
        manifest = self.folder / MANIFEST
        if manifest.is_file():
            return hashlib.sha256(manifest.read_bytes()).hexdigest()
        digest = hashlib.sha256()
        for path in sorted({g.path for g in self.groups}):
            with path.open("rb") as file:
                inner = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.relative_to(self.folder).as_posix()} {inner}\n".encode())
        return digest.hexdigest()

    def texts(self) -> Iterator[str]:
        """Yield the text of every message in stored order, for a vocabulary."""
        n_left = MAX_VOCABULARY_ROWS
        for group in self.groups:
            table = _read(group, ("messages",))
            for messages in table.column("messages").to_pylist()[: max(n_left, 0)]:
                yield from (m["content"] for m in messages or () if m["content"])
            n_left -= len(group.rows)

    def rows(
        self,
        seed: int,
        shuffle_rows: int,
        start: Position,
        n_epochs: int,
        is_mine: Callable[[Position], bool] = lambda position: True,
    ) -> Iterator[tuple[Position, dict[str, Any] | None]]:
        """Yield rows in shuffled order, each with the position after it.

        Parameters
        ----------
        seed
            Of the order; every epoch has its own.
        shuffle_rows
            Rows held in memory and shuffled together, at least one row group.
        start
            Where to begin.
        n_epochs
            Where to end: after this many epochs in all.
        is_mine
            Whether this process wants the row before a position; of others only the position comes.
        """
        for epoch in range(start.epoch, n_epochs):
            position = start.row if epoch == start.epoch else 0
            passed = 0
            for number, window in enumerate(self._windows(seed, epoch, shuffle_rows)):
                size = sum(len(g.rows) for g in window)
                if passed + size <= position:
                    passed += size
                    continue
                table = pa.concat_tables([_read(g, COLUMNS) for g in window])
                order = shuffled(size, seed, epoch, 1 + number)
                for i in order[position - passed :]:
                    position += 1
                    after = Position(epoch, position)
                    row = table.slice(int(i), 1).to_pylist()[0] if is_mine(after) else None
                    yield after, row
                passed += size

    def _windows(self, seed: int, epoch: int, shuffle_rows: int) -> Iterator[list[RowGroup]]:
        window: list[RowGroup] = []
        for i in shuffled(len(self.groups), seed, epoch, 0):
            window.append(self.groups[int(i)])
            if sum(len(g.rows) for g in window) >= shuffle_rows:
                yield window
                window = []
        if window:
            yield window


def open_dataset(folder: Path, split: str) -> InstructionDataset:
    """Find the rows of a split in a release folder, reading only the split column.

    Parameters
    ----------
    folder
        Folder with Parquet files, at any depth.
    split
        Value of the ``split`` column, such as ``train``.

    Raises
    ------
    DatasetError
        If there is no such folder, file or column, or the split is empty.
    """
    files = sorted(folder.rglob("*.parquet")) if folder.is_dir() else []
    if not files:
        raise DatasetError(
            f"dataset {str(folder)!r} holds no Parquet file; materialise instruction_dataset first"
        )
    groups: list[RowGroup] = []
    seen: set[str] = set()
    for path in files:
        found, splits = _split_groups(path, split)
        groups += found
        seen |= splits
    if not groups:
        raise DatasetError(
            f"dataset {str(folder)!r} has no row of split {split!r}; "
            f"it has {', '.join(sorted(seen)) or 'no rows at all'}"
        )
    return InstructionDataset(folder, split, tuple(groups))


def shuffled(n: int, seed: int, epoch: int, stream: int) -> NDArray[np.int64]:
    """Return a permutation of ``0..n-1`` that stays the same on every machine and version.

    Items are sorted by a SplitMix64 hash (Steele et al. 2014) of their number, so the order does
    not hang on the stream of any library's generator.
    """
    key = hashlib.sha256(f"{seed}/{epoch}/{stream}".encode()).digest()
    z = np.arange(n, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = z + np.frombuffer(key[:8], dtype="<u8")[0]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    return np.argsort(z ^ (z >> np.uint64(31)), kind="stable").astype(np.int64)


def _split_groups(path: Path, split: str) -> tuple[list[RowGroup], set[str]]:
    try:
        with pq.ParquetFile(path) as file:
            missing = {*COLUMNS, SPLIT_COLUMN} - set(file.schema_arrow.names)
            if missing:
                raise DatasetError(
                    f"dataset file {path.name} lacks the column {', '.join(sorted(missing))}"
                )
            values = [
                file.read_row_group(g, columns=[SPLIT_COLUMN]).column(0).to_pylist()
                for g in range(file.num_row_groups)
            ]
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"dataset file {path.name} cannot be read: {error}") from error
    groups = []
    for number, column in enumerate(values):
        rows = np.array([i for i, v in enumerate(column) if v == split], dtype=np.int64)
        if len(rows):
            groups.append(RowGroup(path, number, rows))
    return groups, {str(v) for column in values for v in column}


def _read(group: RowGroup, columns: tuple[str, ...]) -> pa.Table:
    try:
        with pq.ParquetFile(group.path) as file:
            table = file.read_row_group(group.group, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"dataset file {group.path.name} cannot be read: {error}") from error
    return table.select(list(columns)).take(pa.array(group.rows))
