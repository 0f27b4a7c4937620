"""Classification through the graph: cut recordings, items, a tiny model asked, scores, the leaderboard."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from benchmark.asking.controls import CONTROLS
from benchmark.tasks.task import TASKS
from dagster_project.asking import EVERYBODY, check_unseen, write_asked_pages
from dagster_project.assets.models import stage_folder
from dagster_project.corpora.identity import split_of
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.shards import find_files, shard_of
from dagster_project.failures import PermanentFailure
from dagster_project.resources import Workspace
from tests.rim.conftest import Materialise

sys.path.insert(0, str(Path(__file__).parent.parent / "corpora"))  # formats and trees

from trees import hmc, sleep_edfx

SEED = 42
TINY = dg.MultiPartitionKey({"task": "hmc", "model": "tiny"})
NIGHT = tuple(
    (30.0 * n, 30.0, f"Sleep stage {stage}") for n, stage in enumerate(("W", "N1", "N2", "N3", "R"))
)


def people(split: str, n: int) -> list[int]:
    spec = corpus("hmc")
    numbers = [
        k for k in range(1, 155)
        if split_of(spec.identity_of(f"SN{k:03d}"), SEED, spec.identity) == split
    ]  # fmt: skip
    return numbers[:n]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two test subjects and a training one of HMC, five epochs each, and Sleep-EDF's small tree."""
    root = tmp_path / "data"
    for number in (*people("test", 2), *people("train", 1)):
        hmc.write_subject(root / "hmc-sleep-staging", number, NIGHT, 150, has_twin=False)
    sleep_edfx.write(root)
    return root


@pytest.fixture
def workspace(tmp_path: Path, data: Path) -> Workspace:
    return Workspace(storage_root=str(tmp_path / "home"), data_root=str(data))


@pytest.fixture
def cut(materialise: Materialise, data: Path) -> Callable[[str], None]:
    def run(key: str) -> None:
        spec = corpus(key)
        files = [f for f in find_files(spec, data) if f.is_recording]
        for shard in sorted({shard_of(spec, str(f.identity)) for f in files}):
            assert materialise(["recordings", "segments"], shard).success

    return run


def shown(run: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (event,) = run.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items()}


def test_items_are_made_from_the_corpus_itself(
    materialise: Materialise, cut: Callable[[str], None], workspace: Workspace
) -> None:
    cut("hmc")
    run = materialise(["benchmark_items"], "hmc")
    assert run.success
    rows = workspace.store().read("benchmark_items", "hmc").to_dicts()
    asked = Counter(r["options"]["ABCDE".index(r["answer"])] for r in rows)
    assert asked == dict.fromkeys(("Wake", "N1", "N2", "N3", "REM"), 6)
    assert set(Counter(r["group_id"] for r in rows).values()) == {3}
    metadata = shown(run, "benchmark_items")
    assert "NeuroLM" in metadata["about"]
    manifest = workspace.store().manifest("benchmark_items", "hmc")
    assert manifest is not None
    assert manifest.provenance["task_version"] == TASKS["hmc"].version
    assert manifest.provenance["segments"]
    assert materialise(["benchmark_items"], "hmc").success
    assert workspace.store().manifest("benchmark_items", "hmc") == manifest


@pytest.mark.parametrize("task", ["tusz", "seed_iv"])
def test_a_corpus_that_is_not_here_is_skipped_with_its_reason(
    materialise: Materialise, workspace: Workspace, task: str
) -> None:
    run = materialise(["benchmark_items"], task)
    assert run.success
    assert "are stored; bring the data" in shown(run, "benchmark_items")["skipped"]
    key = dg.MultiPartitionKey({"task": task, "model": "tiny"})
    for asset in ("model_answers", "scores"):
        run = materialise([asset], key)
        assert run.success
        assert "bring the data" in shown(run, asset)["skipped"]
        assert workspace.store().read(asset, f"{task}--tiny").height == 0


def test_a_model_is_refused_that_was_trained_on_people_it_is_asked_about(
    materialise: Materialise, workspace: Workspace
) -> None:
    """Everybody of a zero-shot corpus is asked about; the model's own record names that corpus."""
    plain = materialise(["benchmark_items"], "hmc", {"benchmark_items": {"everybody": True}})
    assert not plain.success
    workspace.store().write("benchmark_items", "siena", [], {EVERYBODY: True, "release": "lab"})
    folder = stage_folder(workspace, "tiny", "stage2")
    folder.mkdir(parents=True)
    (folder / "training.json").write_text(json.dumps({"dataset_split": "train"}))
    release = workspace.folder("releases", "demo")
    release.mkdir(parents=True)
    (release / "manifest.json").write_text(json.dumps({"by_corpus": {"eegmat": 5}}))
    check_unseen(workspace, "siena", "tiny")
    (release / "manifest.json").write_text(json.dumps({"by_corpus": {"siena": 5}}))
    with pytest.raises(PermanentFailure, match="trained on siena"):
        check_unseen(workspace, "siena", "tiny")


def test_controls_that_do_nothing_are_left_out(
    materialise: Materialise, cut: Callable[[str], None], workspace: Workspace, tmp_path: Path
) -> None:
    """Sleep-EDF's two derivations lie on no side, HMC's electrodes do."""
    cut("hmc")
    assert materialise(["benchmark_items"], "hmc").success
    items = workspace.store().read("benchmark_items", "hmc").to_dicts()
    path = Path(workspace.home()) / "pages.parquet"
    assert write_asked_pages(workspace, "hmc", items, path).names == tuple(CONTROLS)
    few = write_asked_pages(workspace, "hmc", items, path, ["blank"])
    assert few.names == ("none", "blank")
    cut("sleep-edfx")
    segments = [
        row for shard in workspace.store().partitions("segments") if shard.startswith("sleep-edfx")
        for row in workspace.store().read("segments", shard).to_dicts()
    ]  # fmt: skip
    bipolar = [
        {**items[0], "segment_id": s["segment_id"], "item_id": f"b-{n}", "corpus": s["corpus"]}
        for n, s in enumerate(segments)
    ]
    chosen = write_asked_pages(workspace, "sleep_edfx", bipolar, path)
    assert chosen.left_out["mirrored"] == "no page has a row that lies on a side"


@pytest.mark.heavy
def test_a_tiny_model_is_asked_scored_and_reported(
    materialise: Materialise, cut: Callable[[str], None], workspace: Workspace
) -> None:
    pytest.importorskip("torch", reason="torch is not installed: no model to ask")
    cut("hmc")
    assert materialise(["benchmark_items"], "hmc", {"benchmark_items": {"cap": 6}}).success
    _build_tiny(stage_folder(workspace, "tiny", "stage2"), workspace)
    assert materialise(["model_answers"], TINY).success
    answers = workspace.store().read("model_answers", "hmc--tiny")
    asked = answers.filter(answers["model"] == "tiny")
    assert set(asked["control"]) == set(CONTROLS)
    assert set(answers["model"]) == {"tiny", "majority", "prior"}
    run = materialise(["scores"], TINY)
    assert run.success
    assert shown(run, "scores")["balanced_accuracy"] >= 0
    scores = workspace.store().read("scores", "hmc--tiny").to_dicts()
    metrics = {r["metric"] for r in scores if (r["model"], r["control"]) == ("tiny", "none")}
    assert {
        "balanced_accuracy", "kappa", "weighted_f1", "auroc", "balanced_accuracy[epochs]",
        "balanced_accuracy-blank", "balanced_accuracy-mirrored", "balanced_accuracy-prior",
    } <= metrics  # fmt: skip
    assert materialise(["leaderboard"]).success
    folder = workspace.folder("reports", "leaderboard")
    told = (folder / "leaderboard.md").read_text()
    assert "HMC: sleep stages" in told
    assert "Published, NeuroLM" in told
    assert "not asked under" not in told
    result = json.loads((folder / "result.json").read_text())["tasks"]["hmc"]
    assert (result["version"], result["fingerprint"]) == ("1", TASKS["hmc"].fingerprint)
    assert len(result["items_sha256"]) == 64
    assert result["about"]


def _build_tiny(folder: Path, workspace: Workspace) -> None:
    from training import torchvision_shim

    torchvision_shim.install()
    from training.vlm.base_config import BuiltModel, ImageConfig
    from training.vlm.model import build_model

    texts = workspace.store().read("benchmark_items", "hmc")["prompt"].to_list() * 3
    image = ImageConfig(min_pixels=3136, max_pixels=18816)
    built = build_model(BuiltModel(source="built", vocab_size=400), image, texts)
    folder.mkdir(parents=True)
    built.model.save_pretrained(folder)
    built.processor.save_pretrained(folder)
