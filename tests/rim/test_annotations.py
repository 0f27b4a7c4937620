"""The detector's annotations as the graph makes them: tables, checks, and what the UI shows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from dagster_project.corpora.registry import corpus
from dagster_project.corpora.shards import find_files, shard_of
from dagster_project.resources import Workspace
from detectors.types import CANONICAL19
from detectors.vocabulary import WAVEFORMS
from tests.rim.conftest import Materialise
from training.waveform.tables import read_splits

RunJob = Callable[..., dg.ExecuteInProcessResult]

SMALL = {"simulated_corpus": {"n_subjects": 4, "minutes_per_recording": 0.5, "seed": 3}}
SHARD = "simulated-01-of-02"
TABLES = ("waveform_annotations", "annotator_boxes", "planted_segments")

Annotate = Callable[..., dg.ExecuteInProcessResult]
Cut = Callable[[str], None]


@pytest.fixture
def cut(materialise: Materialise, workspace: Workspace) -> Cut:
    """Cut a shard; what rules and texts say of it is left empty, so they need not run."""

    def run(shard: str) -> None:
        assert materialise(["recordings", "segments"], shard).success
        for name in ("findings", "judgements", "captions"):
            workspace.store().write(name, shard, [])

    return run


@pytest.fixture
def annotate(materialise: Materialise) -> Annotate:
    def run(release: str, **config: Any) -> dg.ExecuteInProcessResult:
        ops = {"waveform_annotations": {"n_ongoing": 4, **config}}
        return materialise(["waveform_annotations"], release, ops)

    return run


def shown(run: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = run.asset_materializations_for_node("waveform_annotations")
    return {name: value.value for name, value in event.metadata.items()}


def rows_of(markdown: str) -> list[dict[str, str]]:
    head, _, *lines = [[c.strip() for c in line.split("|")[1:-1]] for line in markdown.splitlines()]
    return [dict(zip(head, line, strict=True)) for line in lines]


def test_a_release_is_annotated_planted_and_checked(
    run_job: RunJob, cut: Cut, annotate: Annotate, workspace: Workspace
) -> None:
    assert run_job("simulate", "simulated", SMALL).success
    cut(SHARD)
    run = annotate("demo")
    assert run.success
    verdicts = {e.check_name: e.passed for e in run.get_asset_check_evaluations()}
    assert verdicts == {"schema": True, "subject_leakage": True}
    store = workspace.store()
    boxes, planted = (store.read(name, "demo") for name in (TABLES[0], TABLES[2]))
    assert set(boxes["origin"]) == {"simulator", "planted"}
    assert set(boxes["waveform"]) <= set(WAVEFORMS)
    assert set(boxes["channel"]) <= set(CANONICAL19)
    ids = {*store.read("segments", SHARD, ["segment_id"])["segment_id"], *planted["segment_id"]}
    assert set(boxes["segment_id"]) <= ids
    metadata = shown(run)
    assert str(metadata["preview"]).count("data:image/png;base64") == 2
    counted = rows_of(metadata["boxes"])
    assert sum(int(r["boxes"]) for r in counted) == boxes.height
    assert {(r["waveform"], r["origin"], r["split"]) for r in counted} == set(
        boxes.select("waveform", "origin", "split").iter_rows()
    )
    # a background serves up to four times; four pages more are drawn by the simulator
    n_fit = sum(metadata["background_segments"].values())
    n_unfit = sum(metadata["not_background"].values())
    assert n_fit + n_unfit == len(ids) - planted.height
    assert planted.height == 4 * n_fit + 4
    # the trainer takes every page whose truth is complete, of both tables of segments
    files = [Path(store.path("segments", SHARD)), Path(store.path("planted_segments", "demo"))]
    splits, is_simulated = read_splits(files, [Path(store.path(TABLES[0], "demo"))])
    assert {i for part in splits.values() for i in part.segment_ids} == ids
    assert sum(len(b) for part in splits.values() for b in part.boxes) == boxes.height
    assert is_simulated
    versions = {name: store.manifest(name, "demo") for name in TABLES}
    assert annotate("demo").success
    assert {name: store.manifest(name, "demo") for name in TABLES} == versions


def test_the_trainer_leaves_out_unread_pages_and_doubtful_boxes(
    run_job: RunJob, cut: Cut, annotate: Annotate, workspace: Workspace, tmp_path: Path
) -> None:
    assert run_job("simulate", "simulated", SMALL).success
    cut(SHARD)
    assert annotate("demo", n_planted=0, n_ongoing=0).success
    store = workspace.store()
    recorded = store.read("segments", SHARD).with_columns(pl.lit(False).alias("is_simulated"))
    boxes = store.read("waveform_annotations", "demo")
    first = boxes["segment_id"][0]
    doubtful = (pl.when(pl.col("segment_id") == first).then(0.4).otherwise(pl.col("weight"))).cast(
        pl.Float32
    )
    recorded.write_parquet(tmp_path / "s.parquet")
    boxes.with_columns(doubtful.alias("weight")).write_parquet(tmp_path / "b.parquet")
    splits, _ = read_splits([tmp_path / "s.parquet"], [tmp_path / "b.parquet"])
    taken = {i for part in splits.values() for i in part.segment_ids}
    assert taken == set(boxes["segment_id"]) - {first}
    assert taken < set(recorded["segment_id"])


def test_a_planted_page_in_another_split_blocks_the_release(
    run_job: RunJob, cut: Cut, annotate: Annotate, workspace: Workspace
) -> None:
    assert run_job("simulate", "simulated", SMALL).success
    cut(SHARD)
    store = workspace.store()
    segments = store.read("segments", SHARD)
    others = (
        pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("test")).otherwise(pl.lit("train"))
    )
    store.write("segments", SHARD, segments.with_columns(others.alias("split")))
    run = annotate("demo")
    assert not run.success
    failed = [e for e in run.get_asset_check_evaluations() if not e.passed]
    assert {(e.check_name, e.severity) for e in failed} == {
        ("subject_leakage", dg.AssetCheckSeverity.ERROR)
    }
    assert "lies in 2 splits" in str(failed[0].metadata)


def test_marks_of_a_gated_corpus_are_boxed_and_never_planted_into(
    cut: Cut, annotate: Annotate, workspace: Workspace, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[1] / "corpora"), *sys.path])
    from trees import tuar

    tuar.write(tmp_path / "data")
    for other in (tuar.LE, tuar.EARLESS):
        (tmp_path / "data/tuar" / other).unlink()
    monkeypatch.setenv("NEUROGLOSS_DATA", str(tmp_path / "data"))
    (found,) = (f for f in find_files(corpus("tuar"), tmp_path / "data") if f.is_recording)
    cut(shard_of(corpus("tuar"), str(found.identity)))
    run = annotate("neurocorpus", n_ongoing=0)
    assert run.success
    metadata = shown(run)
    boxes = workspace.store().read("waveform_annotations", "neurocorpus")
    assert set(boxes["waveform"]) >= {"eyem", "hfnoise"}
    assert set(boxes["origin"]) == {"corpus"}
    assert set(metadata["not_background"]) == {"gated corpus"}
    assert workspace.store().read("planted_segments", "neurocorpus").is_empty()
    told = {(r["kind"], r["outcome"]) for r in rows_of(metadata["outcomes"])}
    assert {("seizure", "no_class"), ("electrode", "no_class"), ("muscle", "boxed")} <= told
    assert metadata["refused_by_cause"]["no_class"] > 0
