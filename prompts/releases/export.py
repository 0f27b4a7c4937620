"""A release copied out of the storage root, whole or without the rows that must stay.

Building one is :mod:`prompts.releases.build`; the rule is :mod:`prompts.leaving`; formats other than
Parquet are :mod:`prompts.releases.formats`. A copy is made beside its place, checked against the
manifest, and renamed.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from prompts.leaving import Walls
from prompts.releases.build import MANIFEST_NAME, read_manifest, write_manifest
from prompts.releases.documents import DOCUMENTS, write_documents
from prompts.releases.files import Drawing, write_split
from prompts.releases.formats import PARQUET, assert_known, convert
from prompts.releases.ledger import REPORTS, write_reports
from prompts.releases.recipe import SPLITS, Recipe, ReleaseError
from prompts.releases.tally import Tally, manifest_of

_FLAGS = ("corpus", "licence", "is_gated")


@dataclass(frozen=True, slots=True)
class Export:
    """What left.

    Parameters
    ----------
    folder
        Where it lies.
    n_rows
        Rows in it.
    left_out
        Rows of each gated corpus that stayed.
    """

    folder: Path
    n_rows: int
    left_out: Mapping[str, int]


def export_release(
    release: Path,
    target: Path,
    walls: Walls,
    *,
    is_without_gated: bool = False,
    wanted: str = PARQUET,
) -> Export:
    """Copy a built release: its rows, card, reports and manifest.

    A row is gated if it says so or if its corpus is gated today: licences may have become narrower
    since the release was built.

    Parameters
    ----------
    release
        Folder of the release.
    target
        Folder to make; it must not exist.
    walls
        The storage root and the gated corpora.
    is_without_gated
        Leave gated rows out, and say so in card and manifest.
    wanted
        Format of the copy: ``parquet`` or a key of :data:`prompts.releases.formats.FORMATS`.

    Raises
    ------
    ExportRefusedError
        If it holds gated rows, the target is outside the root, and they are not to be left out.
    ReleaseError
        If the release is not built or is not what its manifest says, the target exists, or
        there is no such format.
    """
    assert_known(wanted)
    manifest = read_manifest(release)
    if target.exists():
        raise ReleaseError(f"{str(target)!r} exists already; name a folder that does not")
    gated = _gated_rows(release, manifest, walls)
    if gated and not is_without_gated:
        known = Walls(walls.root, {c: licence for c, (licence, _) in gated.items()})
        known.assert_may_hold(target, f"release {manifest['release']}", gated)
    draft = target.with_name(f".{target.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        if gated and is_without_gated:
            n_rows = _write_without(release, draft, manifest, set(gated))
        else:
            n_rows = _copy(release, draft, manifest)
        if wanted != PARQUET:
            files = convert(draft, manifest["recipe"]["name"], wanted)
            made = {"format": wanted, "files": [asdict(file) for file in files]}
            write_manifest(draft, read_manifest(draft) | made)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    left_out = {corpus: n for corpus, (_, n) in gated.items()} if is_without_gated else {}
    return Export(target, n_rows, left_out)


def _gated_rows(
    release: Path, manifest: Mapping[str, Any], walls: Walls
) -> dict[str, tuple[str, int]]:
    """Return licence and number of gated rows by corpus, from the rows themselves."""
    counted: Counter[tuple[str, str]] = Counter()
    for file in manifest["files"]:
        path = release / file["name"]
        if Path(file["name"]).name != file["name"] or not path.is_file():
            raise ReleaseError(f"release file {file['name']!r} is not there; build the release")
        for row in pq.read_table(path, columns=list(_FLAGS)).to_pylist():
            if row["is_gated"] or row["corpus"] in walls.gated:
                counted[row["corpus"], row["licence"]] += 1
    found: dict[str, tuple[str, int]] = {}
    for (corpus, licence), n in sorted(counted.items()):
        found[corpus] = (walls.gated.get(corpus, licence), n + found.get(corpus, ("", 0))[1])
    return found


def _copy(release: Path, draft: Path, manifest: Mapping[str, Any]) -> int:
    for file in manifest["files"]:
        path = draft / file["name"]
        shutil.copyfile(release / file["name"], path)
        with path.open("rb") as copied:
            digest = hashlib.file_digest(copied, "sha256").hexdigest()
        if digest != file["sha256"]:
            raise ReleaseError(
                f"release file {file['name']!r} is not what its manifest says; build it again"
            )
    for name in (*DOCUMENTS, *REPORTS, MANIFEST_NAME):
        if not (release / name).is_file():
            raise ReleaseError(f"release file {name!r} is not there; build the release again")
        shutil.copyfile(release / name, draft / name)
    return sum(file["n_rows"] for file in manifest["files"])


def _write_without(release: Path, draft: Path, manifest: Mapping[str, Any], gated: set[str]) -> int:
    """Write the rows of other corpora, with a card and a manifest of what is there."""
    recipe, tally, left_out = Recipe.model_validate(manifest["recipe"]), Tally(), Counter[str]()
    files = [
        file
        for split in SPLITS
        for file in write_split(
            tally.watch(_kept(release, manifest, split, gated, left_out)), draft, split
        )
    ]
    if not files:
        raise ReleaseError(
            f"release {manifest['release']} holds rows of gated corpora only; nothing may leave"
        )
    # what was found on the pages is counted for the whole release only
    drawing = replace(Drawing(**manifest.get("drawing", {})), classes={})
    terms = {line["licence"]: line["terms"] for line in manifest.get("ledger", ())}
    report = tally.report(recipe, draft, files, tuple(manifest["shards"]), drawing, terms)
    n_left = sum(left_out.values())
    remark = (
        f"{n_left} rows of gated corpora were left out of this copy: "
        f"{', '.join(f'{c} {n}' for c, n in sorted(left_out.items()))}. The recipe and the hash of "
        "the whole release are in the manifest."
    )
    composition = write_documents(
        draft, recipe, report, composition=manifest.get("composition", {}), remark=remark
    )
    published = {corpus: tuple(said) for corpus, said in manifest.get("published", {}).items()}
    write_reports(draft, report, published)
    more = {
        "left_out": dict(sorted(left_out.items())),
        "whole": manifest["content_hash"],
        "composition": composition,
        "published": published,
    }
    write_manifest(draft, {**manifest_of(recipe, report), **more})
    return report.n_rows


def _kept(
    release: Path,
    manifest: Mapping[str, Any],
    split: str,
    gated: set[str],
    left_out: Counter[str],
) -> Iterator[dict[str, Any]]:
    for file in manifest["files"]:
        if file["split"] != split:
            continue
        for batch in pq.ParquetFile(release / file["name"]).iter_batches(batch_size=32):
            for row in batch.to_pylist():
                if row["corpus"] in gated:
                    left_out[row["corpus"]] += 1
                else:
                    yield row
