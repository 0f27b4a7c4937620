from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from release_tables import Tables, planted_shard

from prompts.releases.build import build_release, releases
from prompts.releases.recipe import Recipe, ReleaseError, load_recipe
from prompts.releases.rows import ShardTables


def recipe(**changes: Any) -> Recipe:
    base = {
        "name": "planted",
        "version": "0.1.0",
        "seed": 3,
        "shards": ("planted-01-of-01", "planted-absent"),
        "mixture": {
            "train": {"captions": 10, "questions": 20, "narratives": 5, "dialogues": 5},
            "validation": {"captions": 4, "questions": 4, "narratives": 2, "dialogues": 2},
            "test": {"captions": 4, "questions": 4, "narratives": 2, "dialogues": 2},
        },
        "caps": {"per_segment": 2},
    }
    return Recipe.model_validate(base | changes)


@pytest.fixture
def shard(shard_tables: Tables) -> Callable[..., ShardTables]:
    return lambda **options: planted_shard(shard_tables, **options)


def test_release_loads_with_datasets_and_shows_images(
    shard: Callable[..., ShardTables], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets = pytest.importorskip("datasets")
    tables = shard()
    folder = tmp_path / "planted"
    report = build_release(
        recipe(), lambda key: tables if key == "planted-01-of-01" else None, folder
    )
    files = {s: str(folder / f"{s}-*.parquet") for s in ("train", "validation", "test")}
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert {s: len(loaded[s]) for s in loaded} == {"train": 40, "validation": 12, "test": 12}
    row = loaded["train"][0]
    assert [image.size for image in row["images"]] == [(56, 28)]
    assert row["messages"][0]["content"].startswith("<image>\n")
    assert [m["role"] for m in row["messages"][:2]] == ["user", "assistant"]
    by_folder = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache2"))
    assert by_folder["train"].num_rows == 40
    assert report.absent_shards == ("planted-absent",)
    subjects = {s: set(loaded[s]["subject_id"]) for s in loaded}
    assert not subjects["train"] & subjects["test"]
    assert not subjects["train"] & subjects["validation"]


def test_release_is_the_same_bytes_again(shard: Callable[..., ShardTables], tmp_path: Path) -> None:
    tables = shard()
    load = {"planted-01-of-01": tables}.get
    first = build_release(recipe(), load, tmp_path / "a")
    second = build_release(recipe(), load, tmp_path / "b")
    other = build_release(recipe(seed=4), load, tmp_path / "c")
    assert first.content_hash == second.content_hash != other.content_hash
    for name in ("README.md", "manifest.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_release_replaces_the_old_one_whole(
    shard: Callable[..., ShardTables], tmp_path: Path
) -> None:
    load = {"planted-01-of-01": shard()}.get
    folder = tmp_path / "planted"
    folder.mkdir()
    (folder / "old-00000.parquet").write_bytes(b"old")
    build_release(recipe(), load, folder)
    assert not (folder / "old-00000.parquet").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["planted"]


def test_release_killed_between_renames_is_brought_back(
    shard: Callable[..., ShardTables], tmp_path: Path
) -> None:
    load = {"planted-01-of-01": shard()}.get
    folder = tmp_path / "planted"
    build_release(recipe(), load, folder)
    folder.rename(tmp_path / ".planted.retired")
    with pytest.raises(ReleaseError, match="wants 100000 captions"):
        build_release(recipe(mixture={"train": {"captions": 100000}}), load, folder)
    assert (folder / "manifest.json").is_file()


@pytest.mark.parametrize(
    "kind",
    ["captions", "questions", "narratives", "dialogues", "descriptions", "teacher_questions"],
)
def test_every_row_points_at_evidence(
    shard: Callable[..., ShardTables], tmp_path: Path, kind: str
) -> None:
    mixture = {"train": {kind: 6}}
    build_release(recipe(mixture=mixture), {"planted-01-of-01": shard()}.get, tmp_path / "r")
    rows = pl.concat(pl.read_parquet(p) for p in sorted((tmp_path / "r").glob("*.parquet")))
    mine = rows.filter(pl.col("kind") == kind)
    assert mine.height > 0
    for row in mine.iter_rows(named=True):
        assert row["grounding"] == "supported"
        assert row["prompt_hash"]
        assert all(s["evidence"] for s in row["sentences"])
        assert row["is_offline_teacher"] == (kind not in {"captions", "questions"})
        assert sum(m["content"].count("<image>") for m in row["messages"]) == 1


def test_caps_hold(shard: Callable[..., ShardTables], tmp_path: Path) -> None:
    build_release(
        recipe(caps={"per_segment": 1}), {"planted-01-of-01": shard()}.get, tmp_path / "r"
    )
    rows = pl.concat(pl.read_parquet(p) for p in sorted((tmp_path / "r").glob("*.parquet")))
    pages = rows.with_columns(page=pl.col("segment_ids").list.first())
    assert pages.group_by("kind", "page").len()["len"].max() == 1


def test_shortfall_is_refused_unless_allowed_and_then_told(
    shard: Callable[..., ShardTables], tmp_path: Path
) -> None:
    load = {"planted-01-of-01": shard()}.get
    much = {"train": {"dialogues": 999}}
    with pytest.raises(ReleaseError, match="wants 999 dialogues in train"):
        build_release(recipe(mixture=much), load, tmp_path / "r")
    report = build_release(recipe(mixture=much, is_shortfall_allowed=True), load, tmp_path / "r")
    wanted, there = report.shortfalls["train/dialogues"]
    assert wanted == 999
    assert there == report.n_rows > 0
    assert f"train/dialogues {there} of 999" in (tmp_path / "r" / "README.md").read_text()


def test_subject_in_two_splits_is_refused(
    shard: Callable[..., ShardTables], tmp_path: Path
) -> None:
    tables = shard()
    broken = replace(tables, segments=tables.segments.with_columns(subject_id=pl.lit("subj-same")))
    with pytest.raises(ReleaseError, match="more than one split"):
        build_release(recipe(), {"planted-01-of-01": broken}.get, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_no_shard_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="none of the 2 shards"):
        build_release(recipe(), lambda key: None, tmp_path / "r")


def test_manifest_hashes_and_card_agree_with_files(
    shard: Callable[..., ShardTables], tmp_path: Path
) -> None:
    report = build_release(recipe(), {"planted-01-of-01": shard()}.get, tmp_path / "r")
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
    for file in manifest["files"]:
        content = (tmp_path / "r" / file["name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    card = (tmp_path / "r" / "README.md").read_text()
    assert "Not a medical device" in card
    assert f"simulated pages: {report.n_rows} of {report.n_rows} rows (100.0 %)" in card
    assert "config_name: default" in card


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name: x\nversion: 1\n", "version"),
        ("name: x\nversion: 1.0.0\nshards: [a]\nmixture: {}\nunknown: 1\n", "unknown"),
        ("name: [", "no YAML"),
    ],
    ids=["bad version", "unknown field", "bad yaml"],
)
def test_bad_recipe_names_the_field(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ReleaseError, match=named):
        load_recipe(path)


def test_demo_recipe_is_shipped_with_distinct_shards() -> None:
    demo = releases()["demo"]
    assert len(set(demo.shards)) == len(demo.shards)
    assert demo.wanted("train", "captions") > 0
