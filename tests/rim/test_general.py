"""General pairs as an asset: read from a folder, counted by cause, and drawn into a release."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from dagster_project.releasing import load_shard
from dagster_project.resources import Workspace
from prompts.releases.build import build_release
from prompts.releases.recipe import Recipe
from tests.rim.conftest import Materialise

sys.path.append(str(Path(__file__).parent.parent / "prompts"))  # the generator of small sets
import general_sets as sets


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "general"
    folder.mkdir()
    monkeypatch.setenv("NEUROGLOSS_GENERAL", str(folder))
    return folder


def materialised(materialise: Materialise, **config: object) -> dg.ExecuteInProcessResult:
    return materialise(["general_instructions"], ops={"general_instructions": config})


def test_sets_become_a_table_and_then_rows_of_a_release(
    root: Path, workspace: Workspace, materialise: Materialise, tmp_path: Path
) -> None:
    sets.write_pretrain(root, 70)
    sets.write_cosyn(root, [sets.cosyn_row(i) for i in range(40)])
    (root / "LLaVA-Pretrain" / "00001" / "000000004.jpg").unlink()
    done = materialised(materialise, near_duplicates_from=None)
    assert done.success
    metadata = done.asset_materializations_for_node("general_instructions")[0].metadata
    assert metadata["dagster/partition_row_count"].value == 109
    causes = metadata["set_aside_by_cause"].value
    assert causes == {"llava-pretrain": {"picture is missing": 1}, "cosyn": {}}
    assert metadata["absent_sets"].value == "llava-instruct"
    rejects = workspace.store().read("general_rejects", "all")
    assert rejects.select("source", "row_id", "cause").rows() == [
        ("llava-pretrain", "000000004", "picture is missing")
    ]

    recipe = Recipe.model_validate({
        "name": "g", "version": "1.0.0", "shards": ["hmc-01-of-24"],
        "mixture": {"train": {"general": 100}}, "general": {"cosyn": 1, "llava-pretrain": 2},
        "scale": "to_present",
    })  # fmt: skip
    store = workspace.store()
    report = build_release(recipe, lambda key: load_shard(store, key), tmp_path / "release")
    assert report.by_corpus == {"cosyn": 33, "llava-pretrain": 67}
    rows = pl.read_parquet(tmp_path / "release" / "train-00000.parquet")
    stored = store.read("general_pairs", "all")
    image_of = dict(stored.select("sample_id", "image").iter_rows())
    assert all(row["images"][0]["bytes"] == image_of[row["id"]] for row in rows.to_dicts())
    assert set(rows["messages"].list.first().struct.field("content").str.slice(0, 8)) == {
        "<image>\n"
    }
    assert report.gated_corpora == ("llava-pretrain",)
    assert {line.licence: line.may_leave for line in report.ledger} == {
        "ODC-BY-1.0": True, "LicenseRef-LLaVA-Pretrain": False,
    }  # fmt: skip


def test_the_same_folder_gives_the_same_version(
    root: Path, workspace: Workspace, materialise: Materialise
) -> None:
    sets.write_instruct(root, 12)
    versions = []
    for seed in (20, 20, 21):
        materialised(materialise, n_pairs=5, seed=seed)
        manifest = workspace.store().manifest("general_pairs", "all")
        assert manifest is not None
        versions.append(manifest.sha256)
    assert versions[0] == versions[1] != versions[2]


@pytest.mark.parametrize(
    ("value", "says"),
    [("", "NEUROGLOSS_GENERAL is not set"), ("here", "holds none of the general sets")],
)
def test_a_folder_that_cannot_be_read_fails_once_with_a_sentence(
    value: str, says: str, root: Path, workspace: Workspace, materialise: Materialise,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("NEUROGLOSS_GENERAL", str(root) if value else "")
    done = materialised(materialise)
    assert not done.success
    failure = done.failure_data_for_node("general_instructions")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert says in (failure.user_failure_data.description or "")
