"""The demo as a new user runs it: one command, real recordings, a scored model at the end."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from dagster_project.tables.store import TableStore

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def demo(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    home = tmp_path_factory.mktemp("demo") / "home"
    command = [sys.executable, "-m", "dagster_project.cli", "demo", "--home", str(home)]
    command += ["--data", str(data_root), "--max-recordings", "1"]
    environment = {**os.environ, "COLUMNS": "160", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return home, done.stdout


def test_the_summary_says_what_was_made_and_how_to_open_it(demo: tuple[Path, str]) -> None:
    _, said = demo
    assert "runs succeeded" in said
    assert "failed" not in said.lower().replace("failed_runs", "")
    assert "At most 1 recordings per shard" in said
    assert "dagster dev -m dagster_project.definitions" in said
    assert "not a medical device" in said
    assert "Sleep-EDF Database Expanded" in said


def test_real_and_simulated_corpora_went_through(demo: tuple[Path, str]) -> None:
    store = TableStore(f"{demo[0]}/tables")
    segments = store.read_many(
        "segments",
        store.partitions("segments"),
        ["segment_id", "corpus", "is_simulated", "channel_schema"],
    )
    counts = dict(segments["corpus"].value_counts().iter_rows())
    assert set(counts) == {"eegmat", "eegmmidb", "chb-mit", "sleep-edfx", "simulated"}
    assert segments.filter(pl.col("corpus") == "simulated")["is_simulated"].all()
    assert not segments.filter(pl.col("corpus") != "simulated")["is_simulated"].any()
    bipolar = segments.filter(pl.col("corpus").is_in(["chb-mit", "sleep-edfx"]))
    assert bipolar["channel_schema"].str.starts_with("bipolar:").all()


def test_every_sentence_points_at_something_stored(demo: tuple[Path, str]) -> None:
    store = TableStore(f"{demo[0]}/tables")
    known = set(store.read_many("findings", store.partitions("findings"))["finding_id"])
    known |= set(store.read_many("judgements", store.partitions("judgements"))["judgement_id"])
    captions = store.read_many("captions", store.partitions("captions"))
    assert captions.height
    for sentences in captions["sentences"]:
        for sentence in sentences:
            assert sentence["evidence"]
            assert all(e.startswith("s-") or e in known for e in sentence["evidence"])


def test_the_release_loads_with_pages_as_pictures(demo: tuple[Path, str]) -> None:
    datasets = pytest.importorskip("datasets")
    folder = demo[0] / "releases" / "demo"
    files = {s: str(folder / f"{s}-*.parquet") for s in ("train", "validation", "test")}
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(demo[0] / "cache"))
    row = loaded["train"][0]
    assert row["images"][0].size == (1288, 896)
    assert row["messages"][0]["role"] == "user"
    assert "<image>" in row["messages"][0]["content"]
    subjects = {split: set(loaded[split]["subject_id"]) for split in loaded}
    assert not subjects["train"] & subjects["test"]
    assert not subjects["train"] & subjects["validation"]


def test_both_stages_left_a_loadable_model(demo: tuple[Path, str]) -> None:
    for stage in ("stage1", "stage2"):
        folder = demo[0] / "models" / "vlm" / "tiny" / stage
        assert list(folder.glob("*.safetensors"))
        config = json.loads((folder / "config.json").read_text())
        assert config["architectures"] == ["Qwen2_5_VLForConditionalGeneration"]


def test_the_report_has_intervals_and_controls(demo: tuple[Path, str]) -> None:
    report = (demo[0] / "reports" / "leaderboard" / "leaderboard.md").read_text()
    for word in ("blank", "majority", "95 %", "chance", "simulated"):
        assert word in report
    scores = pl.concat(
        [pl.read_parquet(f) for f in (demo[0] / "tables" / "scores").rglob("*.parquet")]
    )
    assert {"mcq", "caption", "waveform_boxes"} == set(scores["task"])
    primary = scores.filter(pl.col("metric").is_in(["accuracy", "rouge1", "map50"]))
    assert primary.filter(pl.col("control") == "none")["ci_low"].null_count() == 0


def test_the_ui_finds_the_runs(demo: tuple[Path, str]) -> None:
    import dagster as dg

    with dg.DagsterInstance.from_config(str(demo[0] / "dagster_home")) as instance:
        runs = instance.get_runs()
        assert len(runs) >= 15
        assert all(run.is_success for run in runs)
        pools = {p.name for p in instance.event_log_storage.get_pool_limits()}
    assert {"teacher_api", "gpu", "edf_read"} <= pools


def test_pages_in_the_release_are_what_a_reader_would_be_shown(demo: tuple[Path, str]) -> None:
    import numpy as np
    from PIL import Image

    file = next((demo[0] / "releases" / "demo").glob("test-*.parquet"))
    for cell in pl.read_parquet(file, columns=["images"])["images"].list.first().head(5):
        page = np.asarray(Image.open(io.BytesIO(cell["bytes"])).convert("L"))
        assert page.shape == (896, 1288)
        ink = float((page < 128).mean())
        assert 0.005 < ink < 0.35
