"""What leaves the storage root: whole releases, releases without gated rows, and never the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prompts.leaving import Walls
from prompts.releases.build import read_manifest, write_manifest
from prompts.releases.documents import write_documents
from prompts.releases.export import export_release
from prompts.releases.files import WrittenFile, write_split
from prompts.releases.ledger import write_reports
from prompts.releases.recipe import SPLITS, ExportRefusedError, Recipe, ReleaseError
from prompts.releases.tally import Tally, manifest_of

RECIPE = Recipe.model_validate(
    {"name": "planted", "version": "0.1.0", "shards": ["open-01-of-01", "tuab-01-of-24"],
     "mixture": {"train": {"captions": 4}, "test": {"captions": 1}}}
)  # fmt: skip
LICENCES = {"open": "CC0-1.0", "tuab": "LicenseRef-TUH", "late": "CC-BY-4.0"}


def row(corpus: str, split: str, i: int, *, is_gated: bool) -> dict[str, Any]:
    return {
        "id": f"{corpus}-{split}-{i}",
        "images": [{"bytes": f"page of {corpus} {i}".encode(), "path": "page.png"}],
        "messages": [{"role": "user", "content": "<image>\nWhat is seen?"}],
        "kind": "captions",
        "corpus": corpus,
        "subject_id": f"s-{corpus}-{split}",
        "split": split,
        "segment_ids": [f"g-{i}"],
        "sentences": [{"text": f"Alpha {corpus}.", "evidence": ["f-1"]}],
        "evidence": ["f-1"],
        "prompt_hash": "0",
        "teacher": "rules",
        "is_simulated": False,
        "is_offline_teacher": False,
        "cost_usd": 0.5,
        "grounding": "supported",
        "licence": LICENCES[corpus],
        "is_gated": is_gated,
    }


def build(folder: Path, *corpora: str) -> Path:
    folder.mkdir(parents=True)
    tally = Tally()

    def rows(split: str) -> Iterator[dict[str, Any]]:
        for corpus in corpora:
            for i in range(2 if split == "train" else split == "test" and corpus == "open"):
                yield row(corpus, split, i, is_gated=corpus == "tuab")

    files: list[WrittenFile] = []
    for split in SPLITS:
        files += write_split(tally.watch(rows(split)), folder, split)
    report = tally.report(RECIPE, folder, files, ("open-01-of-01", "tuab-01-of-24"))
    people = {(c, f"s-{c}-train"): {"sex": "F"} for c in corpora}
    composition = write_documents(folder, RECIPE, report, people=people)
    write_reports(folder, report, {})
    write_manifest(folder, manifest_of(RECIPE, report) | {"composition": composition})
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def walls(home: Path) -> Walls:
    return Walls(home, {"tuab": "LicenseRef-TUH", "seed": "LicenseRef-BCMI"})


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_an_open_release_leaves_whole(home: Path, walls: Walls, tmp_path: Path) -> None:
    release = build(home / "releases" / "planted", "open")
    done = export_release(release, tmp_path / "out" / "planted", walls)
    assert (done.n_rows, done.left_out) == (3, {})
    assert content(done.folder) == content(release)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["planted"]


def test_a_gated_row_keeps_a_release_inside(home: Path, walls: Walls, tmp_path: Path) -> None:
    release = build(home / "releases" / "planted", "open", "tuab")
    with pytest.raises(
        ExportRefusedError,
        match=r"release planted-0\.1\.0 holds rows of gated corpora: tuab \(licence "
        r"LicenseRef-TUH\); these may be used inside the storage root and not leave it",
    ) as caught:
        export_release(release, tmp_path / "out", walls)
    assert not caught.value.is_retryable
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_a_gated_release_may_be_copied_inside_the_root(home: Path, walls: Walls) -> None:
    release = build(home / "releases" / "planted", "open", "tuab")
    done = export_release(release, home / "copies" / "planted", walls)
    assert content(done.folder) == content(release)


@pytest.mark.parametrize("way", ["..", "link"], ids=["dots", "a link"])
def test_a_way_out_of_the_root_is_outside(
    way: str, home: Path, walls: Walls, tmp_path: Path
) -> None:
    release = build(home / "releases" / "planted", "tuab")
    (tmp_path / "elsewhere").mkdir()
    (home / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExportRefusedError, match="tuab"):
        export_release(release, home / way / "planted", walls)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_licence_narrowed_since_the_build_counts(home: Path, tmp_path: Path) -> None:
    release = build(home / "releases" / "planted", "open", "late")
    walls = Walls(home, {"late": "LicenseRef-new-terms"})
    with pytest.raises(ExportRefusedError, match=r"late \(licence LicenseRef-new-terms\)"):
        export_release(release, tmp_path / "out", walls)


def test_a_manifest_that_hides_gated_rows_is_not_believed(
    home: Path, walls: Walls, tmp_path: Path
) -> None:
    release = build(home / "releases" / "planted", "open", "tuab")
    write_manifest(release, read_manifest(release) | {"n_gated": 0, "gated_corpora": []})
    with pytest.raises(ExportRefusedError, match="tuab"):
        export_release(release, tmp_path / "out", Walls(home, {}))


def test_gated_rows_are_left_out_and_counted(home: Path, walls: Walls, tmp_path: Path) -> None:
    release = build(home / "releases" / "planted", "open", "tuab")
    done = export_release(release, tmp_path / "out", walls, is_without_gated=True)
    assert (done.n_rows, dict(done.left_out)) == (3, {"tuab": 2})
    frame = pl.concat(pl.read_parquet(f) for f in sorted(done.folder.glob("*.parquet")))
    assert frame["id"].to_list() == ["open-test-0", "open-train-0", "open-train-1"]
    whole = pl.concat(pl.read_parquet(f) for f in sorted(release.glob("*.parquet")))
    assert frame.equals(whole.filter(pl.col("corpus") == "open"))
    assert not any(b"tuab" in data for n, data in content(done.folder).items() if "parquet" in n)
    card = (done.folder / "README.md").read_text()
    assert "2 rows of gated corpora were left out of this copy: tuab 2." in card
    assert "may not be published" not in card
    manifest = read_manifest(done.folder)
    assert manifest["left_out"] == {"tuab": 2}
    assert manifest["n_gated"] == 0
    assert manifest["by_corpus"] == {"open": 3}
    assert manifest["whole"] == read_manifest(release)["content_hash"] != manifest["content_hash"]
    assert manifest["cost_usd"] == 1.5
    assert "LicenseRef-TUH" not in (done.folder / "LICENCES.md").read_text()
    assert "| CC0-1.0 | 3 | open |" in (done.folder / "LICENCES.md").read_text()
    export_release(done.folder, tmp_path / "again", walls)  # what left may be passed on


def test_a_release_of_gated_rows_alone_has_nothing_to_leave(
    home: Path, walls: Walls, tmp_path: Path
) -> None:
    release = build(home / "releases" / "planted", "tuab")
    with pytest.raises(ReleaseError, match="gated corpora only; nothing may leave"):
        export_release(release, tmp_path / "out", walls, is_without_gated=True)
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_a_file_that_is_not_what_the_manifest_says_does_not_leave(
    home: Path, walls: Walls, tmp_path: Path
) -> None:
    release = build(home / "releases" / "planted", "open")
    (release / "test-00000.parquet").write_bytes((release / "train-00000.parquet").read_bytes())
    with pytest.raises(ReleaseError, match=r"'test-00000\.parquet' is not what its manifest says"):
        export_release(release, tmp_path / "out", walls)
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize("name", ["../../secret.parquet", "/etc/hostname"])
def test_a_manifest_cannot_name_files_elsewhere(
    name: str, home: Path, walls: Walls, tmp_path: Path
) -> None:
    release = build(home / "releases" / "planted", "open")
    manifest = json.loads((release / "manifest.json").read_text())
    manifest["files"][0]["name"] = name
    write_manifest(release, manifest)
    with pytest.raises(ReleaseError, match="is not there"):
        export_release(release, tmp_path / "out", walls)


def test_what_is_there_is_not_overwritten(home: Path, walls: Walls, tmp_path: Path) -> None:
    release = build(home / "releases" / "planted", "open")
    (tmp_path / "out").mkdir()
    with pytest.raises(ReleaseError, match="exists already"):
        export_release(release, tmp_path / "out", walls)


def test_a_release_not_built_is_one_sentence(home: Path, walls: Walls, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"holds no manifest\.json; build the release first"):
        export_release(home / "releases" / "nothing", tmp_path / "out", walls)
