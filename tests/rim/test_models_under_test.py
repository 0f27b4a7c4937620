"""Models that were not trained here, through the graph's own pieces: a server is asked what may leave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml

from benchmark.asking.ask import grade
from benchmark.asking.under_test import FOLDER_VARIABLE
from benchmark.errors import BenchmarkError
from benchmark.reports.compare import Run, compare_models
from benchmark.reports.html import write_html_report
from benchmark.reports.result import make_result
from benchmark.scores.scoring import score
from benchmark.tasks.task import TASKS
from dagster_project.asking import ask_language_model
from dagster_project.cli import main
from dagster_project.embedding import stored_overlap
from dagster_project.estimating import estimate_asking
from dagster_project.failures import PermanentFailure
from dagster_project.judging import answerer_of, judge_stored
from dagster_project.partitions import task_by_model
from dagster_project.resources import Workspace, corpus_of
from dagster_project.under_test import (
    asked_of,
    exposures,
    language_models,
    leaving_corpora,
    other_models,
    words_for,
)
from tests.prompts.teachers.fault_server import FaultServer
from tests.prompts.teachers.kill_client import KEY_ENV, settings_of
from tests.rim.review.review_shard import GATED_SHARD, SHARD
from tests.rim.test_benchmark_report import GATED, OPEN, plant_answers, plant_segments

MCQ = TASKS["mcq"]
OPEN_HERE, GATED_HERE = corpus_of(SHARD).key, corpus_of(GATED_SHARD).key


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of model files of one's own."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    monkeypatch.setenv(KEY_ENV, "sk-secret-0123456789abcdef")
    other_models.cache_clear()
    yield folder
    other_models.cache_clear()


def serve(folder: Path, name: str, server: FaultServer, provider: str, **changes: Any) -> None:
    teacher = settings_of(provider, server.base_url(provider), timeout_s=20.0, **changes)
    teacher = {k: v for k, v in teacher.items() if v is not None and k != "max_output_tokens"}
    model = {"kind": "server", "description": "x", "teacher": teacher}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(model))
    other_models.cache_clear()


def planted(workspace: Workspace) -> list[dict[str, Any]]:
    plant_segments(workspace)
    plant_answers(workspace, "A")
    store = workspace.store()
    shards = {OPEN: OPEN_HERE, GATED: GATED_HERE}
    found = store.read("benchmark_items", "mcq").to_dicts()
    items = [row | {"corpus": shards[row["corpus"]]} for row in found]
    store.write("benchmark_items", "mcq", items, provenance={"release": "demo"})
    return items


def asked(workspace: Workspace, model: str, items: list[dict[str, Any]], **how: Any) -> Any:
    return ask_language_model(
        dg.build_asset_context(), workspace, "mcq", model, items,
        **{"controls": ["text_only"], "seed": 0, "pages_may_leave": True, **how},
    )  # fmt: skip


def test_a_server_is_asked_open_pages_alone_and_stands_in_the_reports(
    workspace: Workspace, models: Path, tmp_path: Path
) -> None:
    items = planted(workspace)
    n_open = sum(row["corpus"] == OPEN_HERE for row in items)
    assert 0 < n_open < len(items)
    rows, answers = [], []
    with FaultServer() as server:
        serve(models, "hosted", server, "gemini", top_logprobs=5)
        serve(models, "own", server, "openai_compatible", is_local=True)
        for name in ("hosted", "own"):
            found = asked(workspace, name, items)
            mine = [a for a in found.rows if a["model"] == name]
            assert len(mine) == 2 * (n_open if name == "hosted" else len(items))
            kept, said, n_left = asked_of(name, items, found.rows)
            assert n_left == (len(items) - n_open if name == "hosted" else 0)
            rows += score(MCQ, kept, said)
            answers += grade(MCQ, kept, said)
        arrived = server.counts()["arrived"]
        asked(workspace, "hosted", items)
        assert server.counts()["arrived"] == arrived, "what was paid is not asked again"
    known = exposures(workspace, {"hosted", "own", "majority"})
    result = make_result(rows, {"mcq": items}, {"scores": 0}, known)
    tests = compare_models(Run("r", result, tuple(answers)))
    assert [(t.n_items, t.n_left_out) for c in tests for t in c.tests] == [
        (n_open, len(items) - n_open)
    ]
    html = write_html_report(tmp_path / "b.html", result, comparisons=tests).path.read_text()
    assert "Models beside each other" in html
    assert "items asked of one alone" in html
    assert result.exposure["hosted"].status == "unknown"
    assert {r.n_items for r in result.scores if r.model == "hosted"} >= {n_open}


def test_the_price_is_told_before_anyone_is_asked(
    workspace: Workspace, models: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    items = planted(workspace)
    monkeypatch.setenv("NEUROGLOSS_HOME", workspace.home())
    with FaultServer() as server:
        serve(models, "hosted", server, "openai")
        words = ["benchmark", "estimate", "--task", "mcq", "--controls", "text_only"]
        assert main([*words, "--model", "hosted"]) == 0
        assert server.counts()["arrived"] == 0
        assert main([*words, "--model", "nobody"]) == 2
    n_gated = sum(row["corpus"] == GATED_HERE for row in items)
    told = capsys.readouterr().out
    assert f"{n_gated} of {len(items)} items are of gated corpora and are not sent" in told
    assert "0 of them answered before" in told


def test_pages_stay_unless_the_launchpad_says_so(workspace: Workspace, models: Path) -> None:
    items = [row for row in planted(workspace) if row["corpus"] == OPEN_HERE]
    with FaultServer() as server:
        serve(models, "hosted", server, "openai")
        with pytest.raises(PermanentFailure, match="pages would be sent to 'hosted'"):
            asked(workspace, "hosted", items, pages_may_leave=False)
        assert server.counts()["arrived"] == 0


def test_gated_rows_alone_are_a_clear_refusal(workspace: Workspace, models: Path) -> None:
    items = [row for row in planted(workspace) if row["corpus"] == GATED_HERE]
    with FaultServer() as server:
        serve(models, "hosted", server, "openai")
        with pytest.raises(PermanentFailure, match=f"all {len(items)} items are of gated corpora"):
            asked(workspace, "hosted", items)
        assert server.counts()["arrived"] == 0


def test_controls_are_those_of_the_pages_a_server_is_asked(
    workspace: Workspace, models: Path
) -> None:
    items = planted(workspace)
    mine = [row for row in items if row["corpus"] == OPEN_HERE]
    one = min(row["subject_id"] for row in mine)
    items = [row for row in items if row["corpus"] == GATED_HERE or row["subject_id"] == one]
    assert len({row["subject_id"] for row in items}) > 1
    with FaultServer() as server:
        serve(models, "hosted", server, "openai")
        found = asked(workspace, "hosted", items, controls=["other_subject"])
        workspace.store().write("benchmark_items", "mcq", items, provenance={"release": "demo"})
        told = estimate_asking(workspace, "mcq", "hosted", controls=["other_subject"])
    assert found.left_out == {"other_subject": "all items are of one subject"}
    shown = pl.read_parquet(workspace.folder("answers", "mcq--hosted") / "pages.parquet")
    gated = {row["item_id"] for row in items if row["corpus"] == GATED_HERE}
    assert f"{len(gated)} of {len(items)} items are of gated corpora" in told
    assert gated.isdisjoint(shown["item_id"]), "no page is rendered for what is not asked"


def test_shipped_models_are_partitions_and_gated_corpora_never_leave() -> None:
    models = task_by_model().get_partitions_def_for_dimension("model")
    keys = set(models.get_partition_keys())
    assert {"gpt-4.1", "gemini-2.5-pro", "local-server", "tiny"} <= keys
    assert {"gpt-4.1", "tiny"} <= language_models()
    assert OPEN in leaving_corpora()
    assert GATED not in leaving_corpora()


def test_a_folder_that_is_not_there_and_a_name_taken_are_told(
    workspace: Workspace, models: Path
) -> None:
    with pytest.raises(PermanentFailure, match="put the model there"):
        words_for(workspace, "qwen2.5-vl-3b", pages_may_leave=False)
    with pytest.raises(PermanentFailure, match="tuned_model"):
        words_for(workspace, "tiny", pages_may_leave=False)
    (models / "tiny.yaml").write_text("kind: folder\ndescription: x\nfolder: y\n")
    other_models.cache_clear()
    with pytest.raises(BenchmarkError, match="name of a recipe"):
        language_models()


def test_a_trained_model_says_which_corpora_its_releases_held(workspace: Workspace) -> None:
    stage = workspace.folder("models", "vlm", "tiny", "stage2")
    stage.mkdir(parents=True)
    release = workspace.folder("releases", "demo")
    release.mkdir(parents=True)
    record = {"base": "built from a config", "is_tiny": True, "dataset_split": "train"}
    (stage / "training.json").write_text(json.dumps(record))
    (release / "manifest.json").write_text(json.dumps({"by_corpus": {"eegmat": 9, "hmc": 0}}))
    found = exposures(workspace, {"tiny", "shipped", "majority"})
    assert set(found) == {"tiny", "shipped"}
    assert "simulated" in found["shipped"].corpora
    assert found["shipped"].source.startswith("its card: ")
    assert found["tiny"].status == "known"
    assert found["tiny"].corpora == {"eegmat": "split train of release demo"}
    (stage / "training.json").write_text(
        json.dumps(record | {"is_tiny": False, "base": "x/Qwen2.5-VL-3B"})
    )
    assert exposures(workspace, {"tiny"})["tiny"].status == "partly"


def test_a_judge_does_not_judge_its_own_family(workspace: Workspace, models: Path) -> None:
    with FaultServer() as server:
        serve(models, "hosted", server, "openai", model="gpt-4.1")
        items = [
            {"item_id": "i", "task": "caption", "segment_id": "s", "corpus": OPEN, "prompt": "?",
             "task_version": "1", "subject_id": "p", "options": [], "answer": "x", "category": "c",
             "evidence": [], "is_simulated": False, "recording_id": None, "start_s": None,
             "group_id": "", "parts": [], "truth_s": [], "slots": []}
        ]  # fmt: skip
        said = {"item_id": "i", "task": "caption", "model": "hosted", "control": "none",
                "subject_id": "p", "output": "y", "answer": "y", "is_parsed": True,
                "option_logprobs": [], "is_correct": None, "score": 0.0}  # fmt: skip
        workspace.store().write("benchmark_items", "caption", items, provenance={})
        workspace.store().write("model_answers", "caption--hosted", [said], provenance={})
        judge = settings_of("openai", server.openai_url, model="gpt-5")
        with pytest.raises(BenchmarkError, match="as is 'hosted'"):
            judge_stored(workspace, judge, task="caption", model="hosted", release="demo",
                         rubric="anchored", n_items=0)  # fmt: skip
        assert server.counts()["arrived"] == 0


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("qwen2_5_vl_3b", "Qwen/Qwen2.5-VL-3B-Instruct"),
        ("cerebragloss_7b", "Qwen/Qwen2.5-VL-7B-Instruct"),
        ("qwen2.5-vl-3b", "qwen2.5-vl"),
        ("gpt-4.1", "openai:gpt-4.1"),
        ("tiny", ""),
    ],
)
def test_what_a_model_is_made_from_decides_who_may_judge_it(model: str, expected: str) -> None:
    assert answerer_of(model) == expected
    assert answerer_of(model, {model: "us"}) == model


def test_a_base_in_a_folder_is_known_by_its_name_and_not_by_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "ours.yaml"
    recipe.write_text(f"model: {{source: checkpoint, name: {tmp_path}/Qwen2.5-VL-3B}}\n")
    monkeypatch.setattr("dagster_project.judging.model_recipes", lambda: {"ours": None})
    monkeypatch.setattr("dagster_project.judging.recipe_path", lambda name: recipe)
    assert answerer_of("ours") == "Qwen2.5-VL-3B"


def test_a_model_nobody_knows_is_of_no_known_family() -> None:
    with pytest.raises(BenchmarkError, match=r"'gone-recipe' is no recipe.*families"):
        answerer_of("gone-recipe")
    assert answerer_of("gone-recipe", {"gone-recipe": "us"}) == "gone-recipe"


def test_an_encoder_that_is_not_there_is_told(workspace: Workspace) -> None:
    context = dg.build_asset_context()
    assert stored_overlap(context, workspace, "t--m", [], [], encoder="", layer=0) is None
    with pytest.raises(PermanentFailure, match="is no folder"):
        stored_overlap(context, workspace, "t--m", [], [], encoder="none", layer=0)
