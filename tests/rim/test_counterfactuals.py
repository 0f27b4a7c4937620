"""The asset of counterfactual pairs, and findings given to other tools, on a small workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from dagster_project import cli
from dagster_project.assets.counterfactuals import LASTING
from dagster_project.checks import schema_violations
from dagster_project.resources import HOME_VARIABLE, Workspace
from dagster_project.tables.registry import table
from tests.rim.conftest import materialise_assets

SHARD = "simulated-01-of-02"
N_PAGES = 2


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """One shard of the simulated corpus up to its findings, by the assets themselves."""
    found = Workspace(storage_root=str(tmp_path_factory.mktemp("home")))
    small = {"simulated_corpus": {"n_subjects": 4, "minutes_per_recording": 0.5}}
    assert materialise_assets(found, ["simulated_corpus"], "simulated", small).success
    names = ["recordings", "segments", "rule_findings", "waveform_events", "findings"]
    none = {"waveform_events": {"weights": "none"}}
    assert materialise_assets(found, names, SHARD, none).success
    return found


def materialised(workspace: Workspace, **config: Any) -> dg.AssetMaterialization:
    settings = {"counterfactual_pairs": {"n_pages": N_PAGES, **config}}
    done = materialise_assets(workspace, ["counterfactual_pairs"], SHARD, settings)
    assert done.success
    return done.asset_materializations_for_node("counterfactual_pairs")[0]


@pytest.fixture(scope="module")
def made(workspace: Workspace) -> tuple[dg.AssetMaterialization, pl.DataFrame]:
    said = materialised(workspace)
    return said, workspace.store().read("counterfactual_pairs", SHARD)


def test_pairs_are_stored_as_registered(workspace: Workspace, made: Any) -> None:
    said, rows = made
    spec = table("counterfactual_pairs")
    assert schema_violations(workspace.store(), spec, SHARD) == []
    assert said.metadata["dagster/partition_row_count"].value == rows.height
    assert {"mirrored", "event_removed", "artifact_added"} == set(rows["edit"])
    assert rows.group_by("edit", "kind").len()["len"].max() <= N_PAGES
    known = set(workspace.store().read("segments", SHARD, ["segment_id"])["segment_id"])
    assert set(rows["segment_id"]) <= known


def test_both_pages_can_be_shown(workspace: Workspace, made: Any) -> None:
    _, rows = made
    stored = {
        r["segment_id"]: np.array(r["signal"])
        for r in workspace.store().read("segments", SHARD, ["segment_id", "signal"]).to_dicts()
    }
    for row in rows.to_dicts():
        before = (
            np.array(row["signal_before"]) if row["signal_before"] else stored[row["segment_id"]]
        )
        after = np.array(row["signal_after"])
        assert before.shape == after.shape == stored[row["segment_id"]].shape
        assert not np.array_equal(before, after)
        if row["edit"] == "event_removed":
            assert np.abs(after - stored[row["segment_id"]]).max() <= 1
        assert len(row["mask_after"]) == 19


def test_artifacts_are_added_to_clean_pages_alone(workspace: Workspace, made: Any) -> None:
    _, rows = made
    found = workspace.store().read("findings", SHARD, ["segment_id", "family", "kind", "is_masked"])
    dirty = found.filter(
        (pl.col("family") == "artifact") & ~pl.col("is_masked") & ~pl.col("kind").is_in(LASTING)
    )
    planted = rows.filter(pl.col("edit") != "mirrored")
    assert planted.height
    assert not set(planted["segment_id"]) & set(dirty["segment_id"])


def test_a_removed_event_was_seen_before(made: Any) -> None:
    _, rows = made
    for row in rows.filter(pl.col("edit") == "event_removed").to_dicts():
        assert row["kind"] in {f["kind"] for f in row["findings_before"] if not f["is_masked"]}


def test_the_same_configuration_gives_the_same_bytes(workspace: Workspace, made: Any) -> None:
    first = workspace.store().manifest("counterfactual_pairs", SHARD)
    materialised(workspace)
    again = workspace.store().manifest("counterfactual_pairs", SHARD)
    assert first is not None
    assert again is not None
    assert first.sha256 == again.sha256


def test_findings_leave_as_bids(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv(HOME_VARIABLE, workspace.home())
    arguments = ["findings", "export", "--bids", str(tmp_path / "out"), "--shards", SHARD]
    assert cli.main(arguments) == 0
    found = workspace.store().read("findings", SHARD, ["is_masked"])
    n_said = found.filter(~pl.col("is_masked")).height
    assert capsys.readouterr().out.startswith(f"{n_said} findings of ")
    lines = [
        line
        for path in (tmp_path / "out").rglob("*_events.tsv")
        for line in path.read_text().splitlines()[1:]
    ]
    assert len(lines) == n_said
    assert cli.main(arguments) == 2
    assert "exists already" in capsys.readouterr().err
    arguments[-1] = "simulated-02-of-02"
    arguments[3] = str(tmp_path / "other")
    assert cli.main(arguments) == 2
    assert "has no findings; materialise 'findings'" in capsys.readouterr().err
