"""Which shards a release draws on, and the rows it is made from.

A release names a frozen list of shards; those not materialised yet are skipped and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from dagster_project.corpora.crosswalk import pathology
from dagster_project.failures import PermanentFailure
from dagster_project.previews import page_png_of_row
from dagster_project.tables.store import ROW_GROUP_ROWS, TableStore
from prompts.release import releases
from prompts.release_rows import ShardTables


@dataclass(frozen=True, slots=True)
class ReleaseShards:
    """The shards of a release: those with text, and those absent."""

    present: tuple[str, ...]
    absent: tuple[str, ...]


def shards_of(release: str) -> tuple[str, ...]:
    """Return the frozen shard list of a release.

    Raises
    ------
    PermanentFailure
        If no release recipe has that name.
    """
    known = releases()
    if release not in known:
        raise PermanentFailure(
            f"release {release!r} does not exist; known releases: {', '.join(sorted(known))}"
        )
    return tuple(known[release].shards)


def present_shards_of(store: TableStore, release: str) -> ReleaseShards:
    """Split a release's shards into those whose captions are stored and those that are not."""
    shards = shards_of(release)
    present = tuple(s for s in shards if store.manifest("captions", s) is not None)
    return ReleaseShards(present, tuple(s for s in shards if s not in present))


def load_shard(store: TableStore, shard: str) -> ShardTables | None:
    """Return what a shard brings to a release, or None where its captions were never written."""
    if store.manifest("captions", shard) is None:
        return None
    columns = ["segment_id", "recording_id", "corpus", "subject_id", "split", "is_simulated"]
    recordings = store.read("recordings", shard, ["recording_id", "licence", "is_gated"])
    said = store.read("segments", shard, [*columns, "labels", "events"])
    judged = [pathology(*cells) for cells in said.select("labels", "events").iter_rows()]
    segments = (
        said.drop("labels", "events")
        .with_columns(pl.Series("pathology", judged, dtype=pl.Int8))
        .join(recordings, on="recording_id")
    )
    texts = {
        name: store.read(name, shard) if store.manifest(name, shard) else pl.DataFrame()
        for name in ("captions", "questions", "narratives", "dialogues")
    }
    pages = PageRenderer(store, shard)
    return ShardTables(segments=segments.drop("recording_id"), **texts, render=pages.png)


class PageRenderer:
    """Renders pages of one shard, reading only the row groups that hold them.

    Parameters
    ----------
    store
        Where segments lie.
    shard
        Partition key.
    """

    def __init__(self, store: TableStore, shard: str) -> None:
        self._store, self._shard = store, shard
        self._place: dict[str, int] = {}
        self._held: tuple[int, dict[str, dict[str, Any]]] = (-1, {})

    def png(self, segment_id: str) -> bytes:
        """Return the page of a segment as PNG.

        Raises
        ------
        PermanentFailure
            If the shard no longer holds the segment.
        """
        if not self._place:
            ids = self._store.read("segments", self._shard, ["segment_id"])["segment_id"]
            self._place = {s: i // ROW_GROUP_ROWS for i, s in enumerate(ids)}
        if segment_id not in self._place:
            raise PermanentFailure(
                f"segment {segment_id!r} is not in shard {self._shard!r} any more; build its texts anew"
            )
        group = self._place[segment_id]
        if self._held[0] != group:
            rows = self._store.read_group("segments", self._shard, group)
            self._held = (group, {r["segment_id"]: r for r in rows.iter_rows(named=True)})
        return page_png_of_row(self._held[1][segment_id])
