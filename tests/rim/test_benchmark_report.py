"""Asset ``benchmark_report``: worst cases with their pages, gated ones never, runs compared."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml
from PIL import Image

from benchmark.asking.answers import Item, Reply, answer_row
from benchmark.asking.ask import grade
from benchmark.reports.worst import MARK_COLOURS
from benchmark.scores.scoring import score
from benchmark.tasks.items import Sources, build_items
from benchmark.tasks.task import TASKS
from dagster_project.assets.benchmark_report import leakage_lines
from dagster_project.cli import main
from dagster_project.corpora.registry import corpora
from dagster_project.failures import PermanentFailure
from dagster_project.judging import judge_summaries
from dagster_project.resources import Workspace
from dagster_project.scored import current_scores, graded_answers
from tests.prompts.teachers.fault_plan import FaultPlan
from tests.prompts.teachers.fault_server import FaultServer
from tests.prompts.teachers.kill_client import KEY_ENV, settings_of
from tests.rim.conftest import materialise_assets
from tests.rim.review.review_shard import GATED_SHARD, SHARD, segment_row

GATED = next(key for key, spec in corpora().items() if spec.licence.is_gated)
OPEN = next(k for k, s in corpora().items() if not s.licence.is_gated and not s.is_simulated)


def plant_segments(workspace: Workspace) -> None:
    """Write pages of an open corpus, one of them with a spike, and of a gated one."""
    of_open = [segment_row("g-spike", "s-one"), segment_row("g-second", "s-two")]
    of_gated = [segment_row(f"h-secret-{n}", "s-three") | {"corpus": GATED} for n in range(3)]
    workspace.store().write("segments", SHARD, of_open)
    workspace.store().write("segments", GATED_SHARD, of_gated)


def plant_answers(workspace: Workspace, letter: str) -> None:
    """Score a model that always gives one letter, on pages of an open and of a gated corpus."""
    store = workspace.store()
    pages = pl.concat(
        [
            store.read("segments", shard, ["segment_id", "subject_id"]).with_columns(
                corpus=pl.lit(corpus)
            )
            for shard, corpus in ((SHARD, OPEN), (GATED_SHARD, GATED))
        ]
    ).with_columns(split=pl.lit("test"), is_simulated=pl.lit(False))
    questions = [
        {
            "sample_id": f"q{n}", "segment_id": row["segment_id"], "question_type": "band",
            "question": f"Which band of {row['corpus']}?", "options": ["delta", "alpha"],
            "answer": "B", "answer_text": "alpha", "evidence": ["f"], "block_id": f"b{n}",
            "is_absence_item": False, "is_label_aware": False,
        }
        for n, row in enumerate(pages.iter_rows(named=True))
    ]  # fmt: skip
    items = list(build_items("mcq", Sources(pages, pl.DataFrame(questions))).rows)
    answers: list[dict[str, Any]] = [
        answer_row("choice", Item.from_row(i), Reply(letter), "tiny", "none") for i in items
    ]
    answers = grade(TASKS["mcq"], items, answers)
    store.write("benchmark_items", "mcq", items, provenance={})
    store.write("model_answers", "mcq--tiny", answers, provenance={})
    store.write("scores", "mcq--tiny", score(TASKS["mcq"], items, answers), provenance={})


def materialise(workspace: Workspace, **config: Any) -> dg.ExecuteInProcessResult:
    return materialise_assets(workspace, ["benchmark_report"], ops={"benchmark_report": config})


def test_worst_cases_show_pages_of_open_corpora_alone(workspace: Workspace) -> None:
    plant_segments(workspace)
    plant_answers(workspace, "A")
    assert materialise(workspace).success
    written = (workspace.folder("reports", "benchmark") / "benchmark.html").read_text()
    assert written.count("data:image/png") >= 1
    assert f"Which band of {OPEN}?" in written
    assert "B. alpha" in written, "a letter comes with its option"
    assert f"Which band of {GATED}?" not in written
    assert "h-secret" not in written
    assert "of gated corpora" in written
    assert "There is no earlier run" in written


def test_worst_boxes_are_drawn_over_their_page(workspace: Workspace) -> None:
    plant_segments(workspace)
    store = workspace.store()
    item = {"item_id": "i", "task": "waveform_boxes", "segment_id": "g-spike", "corpus": OPEN,
            "prompt": "?", "task_version": "1", "subject_id": "s-one", "options": [],
            "answer": '[["spike","T7",3.0,3.1,1.0]]', "category": "annotated", "evidence": [],
            "is_simulated": False, "recording_id": None, "start_s": None, "group_id": "",
            "parts": [], "truth_s": [], "slots": []}  # fmt: skip
    said = '[["spike","T8",3.0,3.1,0.9],["spike","A9",3.0,3.1,0.9]]'
    answers = [answer_row("boxes", Item.from_row(item), Reply(said), "yolo", "none")]
    task = TASKS["waveform_boxes"]
    of_rule = {"score_version": task.score_version}
    store.write("benchmark_items", task.name, [item], provenance={})
    store.write("model_answers", f"{task.name}--yolo", answers, provenance=of_rule)
    store.write("scores", f"{task.name}--yolo", score(task, [item], answers), provenance=of_rule)
    assert materialise(workspace).success
    written = (workspace.folder("reports", "benchmark") / "benchmark.html").read_text()
    assert "blue missed, orange false, grey found and right" in written
    assert "spike (spike) at T8, 3.00 to 3.10 s, confidence 0.90" in written
    page = re.search(r"data:image/png;base64,([^\"]+)", written)
    assert page is not None
    with Image.open(io.BytesIO(base64.b64decode(page[1]))) as image:
        colours = {c for _, c in image.convert("RGB").getcolors(1 << 24)}
    for wanted in (MARK_COLOURS["missed"], MARK_COLOURS["false"]):
        assert min(sum(abs(a - b) for a, b in zip(c, wanted, strict=True)) for c in colours) < 60


def test_a_run_is_compared_with_the_one_before(workspace: Workspace) -> None:
    plant_segments(workspace)
    path = workspace.folder("reports", "benchmark") / "benchmark.html"
    plant_answers(workspace, "A")
    assert materialise(workspace).success
    plant_answers(workspace, "B")
    assert materialise(workspace).success
    assert ">+100.0<" in path.read_text()
    first = path.read_bytes()
    assert materialise(workspace).success
    assert path.read_bytes() == first, "made again, it is still compared with the run before"
    assert not materialise(workspace, compare_with="0123").success


def test_a_run_kept_under_the_hash_of_an_older_form_is_still_compared_with(
    workspace: Workspace,
) -> None:
    plant_segments(workspace)
    folder = workspace.folder("reports", "benchmark")
    plant_answers(workspace, "A")
    assert materialise(workspace).success
    (kept,) = folder.glob("run-*.json")
    kept.rename(folder / "run-0123456789ab.json")
    (folder / "latest.txt").write_text("0123456789ab\n")
    plant_answers(workspace, "B")
    for _ in range(2):
        assert materialise(workspace).success
        assert ">+100.0<" in (folder / "benchmark.html").read_text()
    (folder / "run-0123456789ab.json").unlink()
    assert materialise(workspace).success, "a run that is gone is no cause to stop"
    assert "There is no earlier run" in (folder / "benchmark.html").read_text()


def test_scores_of_older_rules_are_left_out(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_segments(workspace)
    plant_answers(workspace, "A")
    store, mended = workspace.store(), replace(TASKS["mcq"], score_version="2")
    rows = store.read("scores", "mcq--tiny").to_dicts()
    store.write("scores", "mcq--new", rows, provenance={"score_version": "2"})
    monkeypatch.setattr("dagster_project.scored.TASKS", {"mcq": mended})
    told: list[str] = []
    assert current_scores(store, told.append) == ["mcq--new"]
    assert "left out: mcq--tiny; materialise 'scores'" in told[0]
    store.write("scores", "mcq--new", rows, provenance={"score_version": "1"})
    with pytest.raises(PermanentFailure, match="no scores yet"):
        current_scores(store, told.append)


def test_texts_graded_by_an_older_rule_are_graded_again(workspace: Workspace) -> None:
    store = workspace.store()
    item = {"item_id": "i", "task": "narrative", "segment_id": "s", "corpus": OPEN, "prompt": "?",
            "task_version": "1", "subject_id": "p", "options": [], "answer": "Alpha leads.",
            "category": "narrative", "evidence": [], "is_simulated": False, "recording_id": None,
            "start_s": None, "group_id": "", "parts": [], "truth_s": [],
            "slots": ["dominant_band=alpha"]}  # fmt: skip
    said = answer_row("text", Item.from_row(item), Reply("Dominant band: alpha."), "m", "none")
    store.write("model_answers", "narrative--m", [said | {"score": 33.0}], provenance={})
    (row,) = graded_answers(store, ["narrative--m"], {"narrative": [item]})
    assert row["score"] == 1.0
    store.write("model_answers", "tusz--m", [], provenance={"skipped": "no corpus here"})
    assert graded_answers(store, ["tusz--m"], {}) == [], "a task that was skipped stops no report"


def test_leaks_are_told_without_recordings() -> None:
    row = {
        "kind": "same_signal", "left_corpus": "a", "left_id": "rec-1", "right_corpus": "b",
        "right_id": "rec-2", "n": 2, "crosses_splits": True,
    }  # fmt: skip
    assert leakage_lines([row, row]) == ["same signal: a and b, 4, across splits"]


def plant_texts(workspace: Workspace) -> None:
    store, captions = workspace.store(), []
    frame = pl.DataFrame(
        {"segment_id": [f"k{n}" for n in range(4)], "corpus": ["eegmat"] * 4,
         "subject_id": [f"p{n}" for n in range(4)], "split": ["test"] * 4,
         "is_simulated": [False] * 4}
    )  # fmt: skip
    for n, segment in enumerate(frame["segment_id"]):
        text = f"Rhythm of {8 + n} Hz, larger on the left."
        captions.append({
            "sample_id": f"c{n}", "segment_id": segment, "variant": "label_free", "text": text,
            "sentences": [{"text": text, "section": "background", "evidence": ["f"]}],
        })  # fmt: skip
    sources = Sources(frame, captions=pl.DataFrame(captions))
    items = list(build_items("caption", sources).rows)
    answers = [
        answer_row("text", Item.from_row(i), Reply("A flat page."), "tiny", "none") for i in items
    ]
    store.write("benchmark_items", "caption", items, provenance={})
    store.write("model_answers", "caption--tiny", answers, provenance={})


def test_a_judge_is_asked_from_the_command_line_and_stands_in_the_report(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    plant_texts(workspace)
    monkeypatch.setenv("NEUROGLOSS_HOME", workspace.home())
    monkeypatch.setenv(KEY_ENV, "sk-secret-0123456789abcdef")
    with FaultServer(FaultPlan(seed=1)) as server:
        settings = settings_of("openai", server.openai_url, model="gpt-5-judge", timeout_s=20.0)
        file = tmp_path / "judge.yaml"
        file.write_text(yaml.safe_dump(settings))
        assert main(["benchmark", "judge", str(file), "--model", "tiny"]) == 0
        assert server.counts()["charged"] > 0
    assert "planted errors noticed" in capsys.readouterr().out
    (found,) = judge_summaries(workspace.folder("reports", "judges"))
    assert found.judge == "openai:gpt-5-judge"
    assert found.rows[0].n_items == 4
    assert [w.partition("@")[0] for w in found.writers] == ["template"]
