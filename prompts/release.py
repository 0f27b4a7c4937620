"""The instruction dataset: a recipe and its shards become a folder that ``load_dataset`` reads.

``build_release`` draws the mixture, streams Parquet files per split, writes the card and a manifest,
and puts the folder in place as a whole. The recipe is in ``release_recipe``, rows in
``release_rows``, files in ``release_files``, the card in ``release_card``. Where shards lie is the
caller's: this module asks for them by key.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from prompts.release_card import write_card
from prompts.release_files import ReleaseReport, WrittenFile, write_split, write_text
from prompts.release_recipe import (
    KINDS,
    SPLITS,
    ExportRefusedError,
    Recipe,
    ReleaseError,
    load_recipe,
)
from prompts.release_rows import Selection, ShardTables, candidates, release_rows, select

MANIFEST_NAME = "manifest.json"
RELEASE_VERSION = "1"
"""Raised whenever the rows of the same recipe and shards may differ."""

LoadShard = Callable[[str], ShardTables | None]
"""Shard key to its tables, or None where the shard is not materialised."""


@cache
def releases() -> Mapping[str, Recipe]:
    """Return the release recipes shipped with the project, by name.

    Raises
    ------
    ReleaseError
        If a recipe file is not valid or is not named after its recipe.
    """
    found = {}
    for path in sorted((Path(__file__).parent / "releases").glob("*.yaml")):
        recipe = load_recipe(path)
        if recipe.name != path.stem:
            raise ReleaseError(
                f"recipe {path.name!r} names itself {recipe.name!r}; make them equal"
            )
        found[recipe.name] = recipe
    return found


def build_release(recipe: Recipe, load_shard: LoadShard, folder: Path) -> ReleaseReport:
    """Build a release and put it in place.

    Shards are loaded twice: once for ids, once per split for rows, always one at a time. The folder
    is made beside its place and renamed into it, so readers see the old release or the new one.

    Parameters
    ----------
    recipe
        What to draw.
    load_shard
        Gives a shard's tables, or None where it is not materialised.
    folder
        Where the release goes; an older one there is replaced.

    Raises
    ------
    ReleaseError
        If no shard is there, a subject lies in two splits, a sample repeats, or a kind falls short
        where the recipe does not allow it.
    """
    _recover(folder)
    pool, present = _pool(recipe, load_shard)
    selection = select(recipe, pool)
    if selection.rows.is_empty():
        raise ReleaseError(
            f"release {recipe.release_id} draws no row; check its mixture and shards"
        )
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    tally = _Tally()
    files = [
        file
        for split in SPLITS
        for file in write_split(
            tally.watch(_rows(recipe, selection, load_shard, present, split)), draft, split
        )
    ]
    report = _report(recipe, folder, files, selection, present, tally)
    write_text(draft / "README.md", write_card(recipe, report))
    write_text(draft / MANIFEST_NAME, _manifest_text(recipe, report))
    _put_in_place(draft, folder)
    return report


def assert_exportable(folder: Path) -> None:
    """Refuse to let a release with gated rows leave the storage root.

    Parameters
    ----------
    folder
        A built release.

    Raises
    ------
    ExportRefusedError
        If its manifest counts gated rows.
    ReleaseError
        If the folder holds no manifest.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise ReleaseError(
            f"folder {folder.name!r} holds no {MANIFEST_NAME}; build the release first"
        )
    manifest = json.loads(path.read_text(encoding="utf-8"))
    if manifest["n_gated"]:
        corpora = ", ".join(manifest["gated_corpora"])
        raise ExportRefusedError(
            f"release {manifest['release']} holds {manifest['n_gated']} rows of gated corpora "
            f"({corpora}); publish the recipe and the code, or build it without them"
        )


def _pool(recipe: Recipe, load_shard: LoadShard) -> tuple[pl.DataFrame, tuple[str, ...]]:
    frames, present = [], []
    for shard in recipe.shards:
        tables = load_shard(shard)
        if tables is not None:
            present.append(shard)
            frames.append(candidates(recipe, shard, tables))
    if not frames:
        raise ReleaseError(
            f"none of the {len(recipe.shards)} shards of release {recipe.release_id} is "
            "materialised; rebuild at least one"
        )
    return pl.concat(frames), tuple(present)


def _rows(
    recipe: Recipe,
    selection: Selection,
    load_shard: LoadShard,
    present: tuple[str, ...],
    split: str,
) -> Iterator[dict[str, Any]]:
    for shard in present:
        chosen = selection.ids_of(shard, split)
        if not any(chosen.values()):
            continue
        tables = load_shard(shard)
        if tables is None:
            raise ReleaseError(
                f"shard {shard!r} went away while the release was built; run it again"
            )
        yield from release_rows(recipe, tables, chosen)


class _Tally:
    """Counts over the rows as they pass."""

    def __init__(self) -> None:
        self.cells: Counter[tuple[str, str]] = Counter()
        self.corpora: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.licences: dict[str, set[str]] = {}
        self.gated: set[str] = set()
        self.cost_usd = 0.0

    def watch(self, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for row in rows:
            self.cells[row["split"], row["kind"]] += 1
            self.corpora[row["corpus"]] += 1
            for flag in ("is_simulated", "is_offline_teacher", "is_gated"):
                self.flags[flag] += row[flag]
            if row["is_gated"]:
                self.gated.add(row["corpus"])
            self.licences.setdefault(row["licence"], set()).add(row["corpus"])
            self.cost_usd += row["cost_usd"]
            yield row


def _report(
    recipe: Recipe,
    folder: Path,
    files: list[WrittenFile],
    selection: Selection,
    present: tuple[str, ...],
    tally: _Tally,
) -> ReleaseReport:
    digest = hashlib.sha256("".join(f.name + f.sha256 for f in files).encode()).hexdigest()
    shortfalls = {
        f"{split}/{kind}": (wanted, tally.cells[split, kind])
        for split in SPLITS
        for kind in KINDS
        if tally.cells[split, kind] < (wanted := recipe.wanted(split, kind))
    }
    return ReleaseReport(
        folder=folder,
        content_hash=digest[:16],
        files=tuple(files),
        counts={s: {k: tally.cells[s, k] for k in KINDS} for s in SPLITS},
        by_corpus=dict(sorted(tally.corpora.items())),
        shortfalls=shortfalls,
        shards=present,
        absent_shards=tuple(s for s in recipe.shards if s not in present),
        n_simulated=tally.flags["is_simulated"],
        n_offline_teacher=tally.flags["is_offline_teacher"],
        n_gated=tally.flags["is_gated"],
        gated_corpora=tuple(sorted(tally.gated)),
        licences={k: tuple(sorted(v)) for k, v in sorted(tally.licences.items())},
        cost_usd=round(tally.cost_usd, 6),
    )


def _manifest_text(recipe: Recipe, report: ReleaseReport) -> str:
    recipe_text = recipe.model_dump_json()
    manifest = {
        "release": recipe.release_id,
        "writer_version": RELEASE_VERSION,
        "content_hash": report.content_hash,
        "recipe_sha256": hashlib.sha256(recipe_text.encode()).hexdigest(),
        "recipe": json.loads(recipe_text),
        "files": [asdict(f) for f in report.files],
        "counts": report.counts,
        "by_corpus": report.by_corpus,
        "shortfalls": report.shortfalls,
        "shards": report.shards,
        "absent_shards": report.absent_shards,
        "licences": report.licences,
        "n_simulated": report.n_simulated,
        "n_offline_teacher": report.n_offline_teacher,
        "n_gated": report.n_gated,
        "gated_corpora": report.gated_corpora,
        "cost_usd": report.cost_usd,
    }
    return json.dumps(manifest, indent=1, sort_keys=True) + "\n"


def _retired(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.retired")


def _recover(folder: Path) -> None:
    """Bring back the old release if a build was killed between its two renames."""
    if _retired(folder).is_dir() and not folder.exists():
        _retired(folder).rename(folder)


def _put_in_place(draft: Path, folder: Path) -> None:
    retired = _retired(folder)
    shutil.rmtree(retired, ignore_errors=True)
    if folder.exists():
        folder.rename(retired)
    draft.rename(folder)
    descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    shutil.rmtree(retired, ignore_errors=True)
