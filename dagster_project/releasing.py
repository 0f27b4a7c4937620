"""Which shards a release draws on, and the rows it is made from.

A release names a frozen list of shards; those not materialised yet are skipped and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from dagster_project.corpora.crosswalk import pathology
from dagster_project.corpora.registry import corpora
from dagster_project.corpora.shards import shard_keys
from dagster_project.failures import PermanentFailure
from dagster_project.previews import page_png_of_row, topomap_png_of_row
from dagster_project.resources import corpus_of
from dagster_project.tables.store import ROW_GROUP_ROWS, TableStore
from prompts.releases.build import releases
from prompts.releases.classes import page_classes
from prompts.releases.recipe import GENERAL, TEXTS, Picture
from prompts.releases.rows import ShardTables

GENERAL_TABLE = "general_pairs"
EVERYWHERE = "all"
"""Partition of tables that have none."""


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
        If no release recipe has that name, or it names a shard no corpus has.
    """
    known = releases()
    if release not in known:
        raise PermanentFailure(
            f"release {release!r} does not exist; known releases: {', '.join(sorted(known))}"
        )
    shards = tuple(known[release].shards)
    unknown = next((s for s in shards if s not in shard_keys()), None)
    if unknown is not None:
        raise PermanentFailure(
            f"release {release!r} names the shard {unknown!r}, which no corpus has; correct it in "
            f"the recipe. Known corpora: {', '.join(sorted(corpora()))}"
        )
    return shards


def present_shards_of(store: TableStore, release: str) -> ReleaseShards:
    """Split a release's shards into those whose captions are stored and those that are not."""
    shards = shards_of(release)
    present = tuple(s for s in shards if store.manifest("captions", s) is not None)
    return ReleaseShards(present, tuple(s for s in shards if s not in present))


def load_shard(store: TableStore, shard: str) -> ShardTables | None:
    """Return what a shard brings to a release, or None where its captions were never written.

    :data:`~prompts.releases.recipe.GENERAL` stands for the general pairs, None where there are none.
    """
    if shard == GENERAL:
        return _general_pairs(store)
    if store.manifest("captions", shard) is None:
        return None
    columns = [
        "segment_id", "recording_id", "corpus", "subject_id", "split", "is_simulated",
        "channel_schema", "sfreq_hz",
    ]  # fmt: skip
    of_recording = ["recording_id", "licence", "is_gated", "age_band", "sex"]
    recordings = store.read("recordings", shard, of_recording)
    said = store.read("segments", shard, [*columns, "labels", "events"])
    judged = [pathology(*cells) for cells in said.select("labels", "events").iter_rows()]
    segments = (
        said.drop("labels", "events")
        .with_columns(pl.Series("pathology", judged, dtype=pl.Int8))
        .join(recordings, on="recording_id", maintain_order="left")
    )
    findings = store.read("findings", shard, ["segment_id", "kind", "is_masked"])
    segments = segments.with_columns(page_classes(segments["segment_id"], findings))
    texts: dict[str, pl.DataFrame] = {
        name: store.read(name, shard) for name in TEXTS if store.manifest(name, shard)
    }
    licence = corpus_of(shard).licence
    return ShardTables(
        segments.drop("recording_id"),
        texts,
        PageRenderer(store, shard).picture,
        {licence.id: licence.url},
    )


def _general_pairs(store: TableStore) -> ShardTables | None:
    """Return the general pairs as a shard: every picture is a segment of its own."""
    if store.manifest(GENERAL_TABLE, EVERYWHERE) is None:
        return None
    columns = ["sample_id", "source", "picture_id", "messages", "licence", "terms", "is_gated"]
    pairs = store.read(GENERAL_TABLE, EVERYWHERE, columns).with_columns(
        segment_id=pl.col("sample_id")
    )
    terms = dict(pairs.select("licence", "terms").unique().sort("licence").iter_rows())
    segments = pairs.select(
        "segment_id", "licence", "is_gated", corpus="source", subject_id="picture_id",
        split=pl.lit("train"), is_simulated=pl.lit(False), pathology=pl.lit(0, pl.Int8),
        page_class=pl.lit(""),
    )  # fmt: skip
    texts: dict[str, pl.DataFrame] = {GENERAL: pairs.select("segment_id", "sample_id", "messages")}
    pictures = _Rows(store, GENERAL_TABLE, EVERYWHERE, "sample_id")
    return ShardTables(segments, texts, lambda pair, _: bytes(pictures.row(pair)["image"]), terms)


class _Rows:
    """Rows of a partition by key, reading only the row groups that hold them.

    Parameters
    ----------
    store, table, partition
        Where; a table kept in groups of ``ROW_GROUP_ROWS``.
    key
        Column rows are asked for by.
    """

    def __init__(self, store: TableStore, table: str, partition: str, key: str) -> None:
        self._store, self._where, self._key = store, (table, partition), key
        self._place: dict[str, int] = {}
        self._held: tuple[int, dict[str, dict[str, Any]]] = (-1, {})

    def row(self, wanted: str) -> dict[str, Any]:
        """Return one row.

        Raises
        ------
        PermanentFailure
            If the partition no longer holds it.
        """
        if not self._place:
            keys = self._store.read(*self._where, [self._key])[self._key]
            self._place = {s: i // ROW_GROUP_ROWS for i, s in enumerate(keys)}
        if wanted not in self._place:
            table, partition = self._where
            raise PermanentFailure(
                f"{wanted!r} is not in table {table!r} of {partition!r} any more; build what was "
                "made from it anew"
            )
        group = self._place[wanted]
        if self._held[0] != group:
            rows = self._store.read_group(*self._where, group)
            self._held = (group, {r[self._key]: r for r in rows.iter_rows(named=True)})
        return self._held[1][wanted]


class PageRenderer:
    """Draws pictures of the pages of one shard.

    Parameters
    ----------
    store
        Where segments lie.
    shard
        Partition key.
    """

    def __init__(self, store: TableStore, shard: str) -> None:
        self._segments = _Rows(store, "segments", shard, "segment_id")

    def picture(self, segment_id: str, picture: Picture) -> bytes | None:
        """Return a picture of a segment as PNG, or None where it cannot be drawn.

        Raises
        ------
        PermanentFailure
            If the shard no longer holds the segment.
        """
        return _PICTURES[picture](self._segments.row(segment_id))

    def page(self, segment_id: str) -> bytes:
        """Return the page of a segment as PNG; as :meth:`picture`."""
        return page_png_of_row(self._segments.row(segment_id))


_PICTURES: Mapping[Picture, Callable[[Mapping[str, Any]], bytes | None]] = {
    "page": page_png_of_row,
    "topomap": topomap_png_of_row,
}
