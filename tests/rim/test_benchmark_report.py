"""Asset ``benchmark_report``: worst cases with their pages, gated ones never, runs compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml

from benchmark.asking.answers import Item, Reply, answer_row
from benchmark.asking.ask import grade
from benchmark.scores.scoring import score
from benchmark.tasks.items import Sources, build_items
from benchmark.tasks.task import TASKS
from dagster_project.assets.benchmark_report import (
    answer_score,
    benchmark_report,
    leakage_lines,
    worst,
)
from dagster_project.cli import main
from dagster_project.corpora.registry import corpora
from dagster_project.judging import judge_summaries
from dagster_project.resources import Workspace
from tests.prompts.teachers.fault_plan import FaultPlan
from tests.prompts.teachers.fault_server import FaultServer
from tests.prompts.teachers.kill_client import KEY_ENV, settings_of
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
    return dg.materialize(
        [benchmark_report],
        resources={"workspace": workspace},
        run_config={"ops": {"benchmark_report": {"config": config}}},
        raise_on_error=False,
    )


def test_worst_cases_show_pages_of_open_corpora_alone(workspace: Workspace) -> None:
    plant_segments(workspace)
    plant_answers(workspace, "A")
    assert materialise(workspace).success
    written = (workspace.folder("reports", "benchmark") / "benchmark.html").read_text()
    assert written.count("data:image/png") >= 1
    assert f"Which band of {OPEN}?" in written
    assert f"Which band of {GATED}?" not in written
    assert "h-secret" not in written
    assert "of gated corpora" in written
    assert "There is no earlier run" in written


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


def test_the_worst_come_first_one_a_page() -> None:
    items = {f"i{n}": {"segment_id": f"s{n % 3}", "n": n} for n in range(6)}
    rows = [
        {"item_id": f"i{n}", "score": s, "is_correct": None, "is_parsed": True,
         "option_logprobs": [p]}
        for n, (s, p) in enumerate([(0.2, -1), (0.0, -3), (0.0, -1), (0.1, -1), (1.0, 0), (0.5, 0)])
    ]  # fmt: skip
    assert [item["n"] for item, _ in worst(rows, items)] == [2, 1, 3]


@pytest.mark.parametrize(
    ("score_", "is_correct", "is_parsed", "expected"),
    [(0.3, None, True, 0.3), (None, False, True, 0.0), (None, None, True, 1.0),
     (None, None, False, 0.0), (None, True, True, 1.0)],
)  # fmt: skip
def test_the_score_of_an_answer(
    score_: float | None, is_correct: bool | None, is_parsed: bool, expected: float
) -> None:
    row = {"score": score_, "is_correct": is_correct, "is_parsed": is_parsed}
    assert answer_score(row) == expected


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
