"""Shards as a data engineer sees them: versions, gates, withdrawals, one clear sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from dagster_project.checks import SHARD_ASSETS
from dagster_project.resources import Workspace
from dagster_project.tables.registry import TABLES
from prompts.texts.kinds import TEXT_KINDS
from prompts.texts.teacher_texts import UNPLANNED

RunJob = Callable[..., dg.ExecuteInProcessResult]

SMALL = {"simulated_corpus": {"n_subjects": 4, "minutes_per_recording": 0.5, "seed": 3}}
SHARDS = ("simulated-01-of-02", "simulated-02-of-02")


def latest(instance: dg.DagsterInstance, asset: str, shard: str) -> dg.EventLogEntry | None:
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[shard]), limit=1
    )
    return found.records[0].event_log_entry if found.records else None


def data_version(instance: dg.DagsterInstance, asset: str, shard: str) -> str:
    entry = latest(instance, asset, shard)
    assert entry is not None
    assert entry.asset_materialization is not None
    return (entry.asset_materialization.tags or {})["dagster/data_version"]


def spoil(path: Path) -> None:
    path.write_bytes(b"not an EDF file at all")


@pytest.fixture
def simulated(run_job: RunJob, workspace: Workspace) -> Path:
    assert run_job("simulate", "simulated", SMALL).success
    return workspace.folder("corpora", "simulated")


def test_a_shard_goes_through_the_whole_chain(
    run_job: RunJob,
    workspace: Workspace,
    instance: dg.DagsterInstance,
    simulated: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert all(run_job("rebuild_shard", shard).success for shard in SHARDS)
    store = workspace.store()
    for asset in SHARD_ASSETS:
        versions = {data_version(instance, asset, shard) for shard in SHARDS}
        assert len(versions) == len(SHARDS), asset
    segments = store.read_many("segments", SHARDS, ["segment_id", "is_simulated", "subject_id"])
    assert segments["is_simulated"].all()
    assert segments["subject_id"].n_unique() == 4
    judged = store.read_many("judgements", SHARDS).group_by("segment_id").len()
    assert judged["segment_id"].n_unique() == segments.height
    captions = store.read_many("captions", SHARDS)
    assert set(captions["segment_id"]) == set(segments["segment_id"])
    for table in TEXT_KINDS:
        written = store.read_many(table, SHARDS)
        assert written.height == segments.height
        assert written["is_offline_teacher"].all()
        # a page that shares no options with three others is asked nothing by the offline teacher
        asked = written.filter(pl.col("grounding") != f"dropped: {UNPLANNED}")
        assert set(asked["grounding"]) == {"supported"}
        assert asked["sentences"].list.len().min() > 0
        assert table == "teacher_questions" or asked.height == written.height
    assert "contradicted" not in caplog.text, "a rule caption sentence was not supported"


def test_materialisations_report_what_the_ui_shows(
    run_job: RunJob, instance: dg.DagsterInstance, simulated: Path
) -> None:
    assert run_job("rebuild_shard", SHARDS[0]).success
    for asset in SHARD_ASSETS:
        entry = latest(instance, asset, SHARDS[0])
        assert entry is not None
        assert entry.asset_materialization is not None
        shown = entry.asset_materialization.metadata
        assert shown["dagster/partition_row_count"].value is not None, asset
        assert shown["dagster/column_schema"], asset
        assert shown["provenance"], asset
        assert shown["preview"], asset
    segments = latest(instance, "segments", SHARDS[0])
    assert segments is not None
    assert segments.asset_materialization is not None
    metadata = segments.asset_materialization.metadata
    assert metadata["hours_of_eeg"].value > 0  # type: ignore[operator]
    assert "data:image/png;base64" in str(metadata["preview"].value)
    captions = latest(instance, "captions", SHARDS[0])
    assert captions is not None
    assert captions.asset_materialization is not None
    assert "data:image/png;base64" in str(captions.asset_materialization.metadata["preview"].value)


def test_rebuilding_unchanged_files_gives_the_same_versions(
    run_job: RunJob, instance: dg.DagsterInstance, simulated: Path
) -> None:
    assert run_job("rebuild_shard", SHARDS[0]).success
    before = {a: data_version(instance, a, SHARDS[0]) for a in SHARD_ASSETS}
    assert run_job("rebuild_shard", SHARDS[0]).success
    assert {a: data_version(instance, a, SHARDS[0]) for a in SHARD_ASSETS} == before


def test_a_bad_file_is_set_aside_and_the_shard_goes_on(
    run_job: RunJob, workspace: Workspace, simulated: Path
) -> None:
    for path in sorted(simulated.rglob("*.edf"))[::5]:
        spoil(path)
    assert all(run_job("rebuild_corpus", shard).success for shard in SHARDS)
    store = workspace.store()
    recordings = store.read_many("recordings", SHARDS)
    rejects = store.read_many("recording_rejects", SHARDS)
    rejected = recordings.filter(pl.col("status") == "rejected")
    assert set(rejected["recording_id"]) == set(rejects["recording_id"])
    assert set(rejects["cause"]) == {"not_edf"}
    assert recordings.height == len(list(simulated.rglob("*.edf")))
    segments = store.read_many("segments", SHARDS, ["recording_id"])
    assert not set(segments["recording_id"]) & set(rejected["recording_id"])


def test_a_failed_check_blocks_its_own_shard_alone(
    run_job: RunJob,
    workspace: Workspace,
    instance: dg.DagsterInstance,
    simulated: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert all(run_job("rebuild_corpus", shard).success for shard in SHARDS)
    store = workspace.store()
    frame = store.read("recordings", SHARDS[0])
    other = store.read("recordings", SHARDS[1])
    twin = frame.head(1).with_columns(
        pl.lit(other["subject_id"][0]).alias("subject_id"), pl.lit(SHARDS[1]).alias("shard"),
        pl.lit("r-twin").alias("recording_id"),
    )  # fmt: skip
    store.write("recordings", SHARDS[1], pl.concat([other, twin]))
    failed = run_job("rebuild_corpus", SHARDS[0])
    assert not failed.success
    stopped = {e.step_key for e in failed.all_events if e.is_step_success}
    assert "segments" not in stopped
    evaluations = [e for e in failed.get_asset_check_evaluations() if not e.passed]
    assert {e.check_name for e in evaluations} == {"duplicates"}
    assert run_job("rebuild_corpus", SHARDS[1]).success


def test_a_withdrawn_subject_leaves_every_table(
    run_job: RunJob, workspace: Workspace, simulated: Path
) -> None:
    assert all(run_job("rebuild_shard", shard).success for shard in SHARDS)
    assert run_job("build_dataset", "demo").success
    store = workspace.store()
    recordings = store.read_many("recordings", SHARDS)
    subject = recordings.sort("path")["subject_id"][0]
    shard = recordings.filter(pl.col("subject_id") == subject)["shard"][0]
    segments = store.read("segments", shard, ["segment_id", "subject_id"])
    gone = set(segments.filter(pl.col("subject_id") == subject)["segment_id"])
    for path in recordings.filter(pl.col("subject_id") == subject)["path"]:
        (simulated.parent / path).unlink()
        (simulated.parent / path.replace(".edf", "_truth.json")).unlink()
    keep = {table: {"ask_teacher": False} for table in TEXT_KINDS}
    assert run_job("rebuild_shard", shard, keep).success
    assert run_job("build_dataset", "demo").success
    for name, table in TABLES.items():
        if "segment_id" not in table.column_names:
            continue
        for partition in store.partitions(name):
            left = set(store.read(name, partition, ["segment_id"])["segment_id"]) & gone
            assert not left, (name, partition)
    assert subject not in set(store.read("recordings", shard)["subject_id"])
    for file in workspace.folder("releases", "demo").glob("*.parquet"):
        assert subject not in set(pl.read_parquet(file, columns=["subject_id"])["subject_id"])


def test_an_absent_corpus_is_told_in_one_sentence(
    run_job: RunJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEUROGLOSS_DATA", raising=False)
    result = run_job("rebuild_corpus", "eegmat-01-of-01")
    assert not result.success
    failure = next(e for e in result.all_events if e.is_step_failure)
    assert "corpus 'eegmat' is not present" in json.dumps(str(failure.step_failure_data.error))


def test_a_launchpad_value_out_of_bounds_is_refused_with_its_bound(run_job: RunJob) -> None:
    result = run_job("simulate", "simulated", {"simulated_corpus": {"n_subjects": 1}})
    assert not result.success
    failure = next(e for e in result.all_events if e.is_step_failure)
    assert "greater than or equal to 4" in str(failure.step_failure_data.error)


def test_an_unknown_launchpad_key_is_refused_before_the_run(run_job: RunJob) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="subjects"):
        run_job("simulate", "simulated", {"simulated_corpus": {"subjects": 8}})
