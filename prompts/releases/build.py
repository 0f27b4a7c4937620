"""The instruction dataset: a recipe and its shards become a folder that ``load_dataset`` reads.

``build_release`` draws the mixture, streams Parquet files per split, writes the card, the reports and
a manifest, and puts the folder in place as a whole. The recipe is in ``recipe``, what is
drawn in ``draw``, rows in ``rows``, files in ``files``, counts in
``tally``, reports in ``ledger``, the card in ``card``, copies for others in
``export``. Where shards lie is the caller's: this module asks for them by key.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from prompts.releases.datasheet import People, people_of
from prompts.releases.documents import write_documents
from prompts.releases.draw import Selection, candidates, select
from prompts.releases.files import Drawing, ReleaseReport, write_split, write_text
from prompts.releases.ledger import Published, write_reports
from prompts.releases.recipe import SPLITS, Recipe, ReleaseError, load_recipe
from prompts.releases.rows import ShardTables, release_rows
from prompts.releases.tally import Tally, manifest_of

MANIFEST_NAME = "manifest.json"
RELEASES_VARIABLE = "NEUROGLOSS_RELEASES"
"""Folder with a user's own recipes, read beside the shipped ones."""

LoadShard = Callable[[str], ShardTables | None]
"""Shard key to its tables, or None where the shard is not materialised. Asked for
:data:`~prompts.releases.recipe.GENERAL`, it gives the general pairs."""


@cache
def releases() -> Mapping[str, Recipe]:
    """Return the release recipes by name: the shipped ones and those of the user's folder.

    Raises
    ------
    ReleaseError
        If a recipe file is not valid, is not named after its recipe or takes a name that is
        taken, or the user's folder is not there.
    """
    folders = [Path(__file__).parent / "recipes"]
    own = os.environ.get(RELEASES_VARIABLE, "")
    if own:
        folders.append(Path(own))
        if not folders[-1].is_dir():
            raise ReleaseError(
                f"{RELEASES_VARIABLE} is {own!r}, which is not a folder; set it to the folder of "
                "your recipe files, or leave it unset"
            )
    found: dict[str, Recipe] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("*.yaml"))):
        recipe = load_recipe(path)
        if recipe.name != path.stem:
            raise ReleaseError(
                f"recipe {path.name!r} names itself {recipe.name!r}; make them equal"
            )
        if recipe.name in found:
            raise ReleaseError(f"two recipes are named {recipe.name!r}; rename your own")
        found[recipe.name] = recipe
    return found


def build_release(
    recipe: Recipe,
    load_shard: LoadShard,
    folder: Path,
    published: Mapping[str, Published] | None = None,
) -> ReleaseReport:
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
    published
        Corpus to the windows a publication counts, set beside ours in the report of splits.

    Raises
    ------
    ReleaseError
        If no shard is there, a subject lies in two splits, a sample repeats, or a kind falls short
        where the recipe does not allow it.
    """
    _recover(folder)
    pool, present, terms, people = _pool(recipe, load_shard)
    selection = select(recipe, pool)
    if selection.rows.is_empty():
        raise ReleaseError(
            f"release {recipe.release_id} draws no row; check its mixture and shards"
        )
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    tally = Tally()
    files = [
        file
        for split in SPLITS
        for file in write_split(
            tally.watch(_rows(recipe, selection, load_shard, present, split)), draft, split
        )
    ]
    factors = {k: str(v) for k, v in selection.factors.items()}
    drawing = Drawing(factors, selection.duplicates, selection.classes())
    report = tally.report(recipe, folder, files, present, drawing, terms)
    composition = write_documents(draft, recipe, report, people=people)
    write_reports(draft, report, published or {})
    write_manifest(
        draft,
        manifest_of(recipe, report) | {"composition": composition, "published": published or {}},
    )
    _put_in_place(draft, folder)
    return report


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of a release into its folder."""
    text = json.dumps(manifest, indent=1, sort_keys=True)
    write_text(folder / MANIFEST_NAME, f"{text}\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a built release.

    Raises
    ------
    ReleaseError
        If the folder holds no manifest.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise ReleaseError(
            f"folder {folder.name!r} holds no {MANIFEST_NAME}; build the release first"
        )
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return manifest


def _pool(
    recipe: Recipe, load_shard: LoadShard
) -> tuple[pl.DataFrame, tuple[str, ...], dict[str, str], People]:
    frames, present, terms = [], [], dict[str, str]()
    people: dict[tuple[str, str], Mapping[str, str]] = {}
    for shard in recipe.sources:
        tables = load_shard(shard)
        if tables is not None:
            present.append(shard)
            frames.append(candidates(recipe, shard, tables))
            terms |= tables.terms
            people |= people_of(tables.segments)
    if not frames:
        raise ReleaseError(
            f"none of the {len(recipe.shards)} shards of release {recipe.release_id} is "
            "materialised; rebuild at least one"
        )
    return pl.concat(frames), tuple(present), terms, people


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
