"""Two runs: what is compared, what is set aside, and what the tests say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.asking.answers import Item, Reply, answer_row
from benchmark.asking.ask import ask_without_pages, grade
from benchmark.asking.models import Majority
from benchmark.errors import BenchmarkError
from benchmark.reports.compare import (
    REFERENCES_FILE,
    compare_runs,
    comparison_markdown,
    read_run,
)
from benchmark.reports.report import write_report
from benchmark.scores.bench import bench_scoring
from benchmark.scores.intervals import holm, mcnemar_p
from benchmark.scores.scoring import score
from benchmark.tasks.task import TASKS
from dagster_project.cli import main
from tests.benchmark.scores.test_classification_scores import STAGES, answer, item

Rows = Callable[[str], list[dict[str, Any]]]
Said = Callable[[dict[str, Any]], str]


def _run(
    folder: Path, items: dict[str, list[dict[str, Any]]], said: Said, model: str = "m"
) -> Path:
    rows, answers = [], []
    for name, asked in items.items():
        task = TASKS[name]
        mine = [
            answer_row(task.kind, Item.from_row(r), Reply(said(r)), model, "none") for r in asked
        ]
        if task.kind == "choice":
            mine += ask_without_pages(Majority("A"), task, [Item.from_row(r) for r in asked])
        rows += score(task, asked, mine)
        answers += grade(task, asked, mine)
    write_report(folder, rows, items, answers=answers)
    return folder


@pytest.fixture(scope="module")
def runs(rows_of: Rows, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run that is always wrong or silent, and one that is always right."""
    home = tmp_path_factory.mktemp("runs")
    items = {name: rows_of(name) for name in ("mcq", "caption", "waveform_boxes")}
    bad = _run(home / "bad", items, lambda r: "hm" if r["task"] != "waveform_boxes" else "[]")
    return bad, _run(home / "good", items, lambda r: r["answer"])


def test_a_better_model_is_seen_on_the_primary_metric_of_each_task(
    runs: tuple[Path, Path],
) -> None:
    found = compare_runs(read_run(runs[0]), read_run(runs[1]))
    assert (found.model_a, found.model_b) == ("m", "m")
    assert {t.task: (t.verdict, t.value_b) for t in found.tests} == {
        "mcq": ("B is higher", 1.0), "caption": ("B is higher", 100.0),
        # four subjects alone have boxes: exchanging them has no p below 1 in 8
        "waveform_boxes": ("no difference is shown", 1.0),
    }  # fmt: skip
    assert all(t.metric == TASKS[t.task].primary_metric for t in found.tests)
    by_task = {t.task: t for t in found.tests}
    mcq = by_task["mcq"]
    assert (mcq.gap.value, mcq.n_unparsed_a, mcq.n_unparsed_b) == (1.0, mcq.n_items, 0)
    assert mcq.p_mcnemar is None  # several items per subject
    boxes = by_task["waveform_boxes"]
    assert (boxes.value_a, boxes.gap.value, boxes.p_permutation) == (0.0, 1.0, 0.125)
    assert not found.set_aside
    assert not found.differences


def test_swapping_the_runs_turns_the_difference_round(runs: tuple[Path, Path]) -> None:
    a, b = (read_run(folder) for folder in runs)
    forth, back = compare_runs(a, b), compare_runs(b, a)
    for one, other in zip(forth.tests, back.tests, strict=True):
        assert one.gap.value == -other.gap.value
        assert one.p_permutation == other.p_permutation
        turned = {"B is higher": "B is lower"}
        assert other.verdict == turned.get(one.verdict, one.verdict)
    assert "B is lower" in {test.verdict for test in back.tests}


def test_runs_of_other_items_are_set_aside(rows_of: Rows, tmp_path: Path) -> None:
    items = {"mcq": rows_of("mcq")}
    fewer = {"mcq": items["mcq"][:-1]}
    a, b = _run(tmp_path / "a", items, lambda r: "A"), _run(tmp_path / "b", fewer, lambda r: "A")
    found = compare_runs(read_run(a), read_run(b))
    assert found.tests == ()
    assert found.set_aside == {"mcq": "other items, prompts or targets"}


def _narratives() -> list[dict[str, Any]]:
    """Two pages each of six people whose template names alpha; the prose says it in other words."""
    return [
        item(n, "Wake", subject=f"s{n % 6:02}")
        | {"task": "narrative", "options": [], "category": "narrative",
           "answer": "Alpha has the highest power of all the bands.", "slots": ["dominant_band=alpha"]}
        for n in range(12)
    ]  # fmt: skip


def test_narratives_are_compared_on_slots_not_on_shared_words(tmp_path: Path) -> None:
    items = {"narrative": _narratives()}
    wordy = "Delta has the highest power of all the bands."
    a = read_run(_run(tmp_path / "wordy", items, lambda _: wordy))
    b = read_run(_run(tmp_path / "true", items, lambda _: "Dominant band: alpha."))
    (found,) = compare_runs(a, b).tests
    assert (found.metric, found.value_a, found.value_b) == ("narrator_slot_f1", 0.0, 1.0)
    assert (found.scale, found.verdict) == (100.0, "B is higher")


def test_scores_of_two_rules_are_not_compared(rows_of: Rows, tmp_path: Path) -> None:
    items = {"mcq": rows_of("mcq")}
    run = read_run(_run(tmp_path / "a", items, lambda r: r["answer"]))
    task = run.result.tasks["mcq"]
    tasks = {"mcq": task.model_copy(update={"score_version": "9"})}
    other = replace(run, result=run.result.model_copy(update={"tasks": tasks}))
    assert run.result.sha256 != other.result.sha256
    assert compare_runs(run, other).set_aside == {"mcq": "score versions 1 and 9"}
    old = compare_runs(other, other, model_b="majority").set_aside
    assert "score the answers again" in old["mcq"]


def test_two_models_alike_show_no_difference(rows_of: Rows, tmp_path: Path) -> None:
    items = {"mcq": rows_of("mcq")}
    run = read_run(_run(tmp_path / "a", items, lambda r: "A"))
    found = compare_runs(run, run, model_b="majority")
    assert [(t.gap.value, t.p_holm, t.verdict) for t in found.tests] == [
        (0.0, 1.0, "no difference is shown")
    ]


def _stages(folder: Path, said: Callable[[str], str]) -> Path:
    """A run over pages of sleep, most of them awake, answered by stage."""
    right = ["Wake"] * 60 + [stage for stage in STAGES[1:] for _ in range(5)]
    items = [item(n, stage, subject=f"s{n % 16:02}") for n, stage in enumerate(right)]
    answers = [answer(i, said(stage)) for i, stage in zip(items, right, strict=True)]
    task = TASKS["hmc"]
    graded = grade(task, items, answers)
    write_report(folder, score(task, items, answers), {"hmc": items}, answers=graded)
    return folder


def test_classification_is_compared_on_balanced_accuracy_not_on_accuracy(tmp_path: Path) -> None:
    # always "Wake" is right on 60 of 80 pages and on one class of five; the other model on the rest
    lazy = read_run(_stages(tmp_path / "lazy", lambda _: "Wake"))
    keen = read_run(_stages(tmp_path / "keen", lambda stage: "" if stage == "Wake" else stage))
    (found,) = compare_runs(lazy, keen).tests
    assert (found.metric, found.n_items) == ("balanced_accuracy", 80)
    assert found.value_a == pytest.approx(0.2)
    assert found.value_b == pytest.approx(0.8)
    assert found.gap.value == pytest.approx(0.6)
    assert found.gap.low is not None
    assert found.gap.low > 0
    assert (found.verdict, found.n_unparsed_b, found.p_mcnemar) == ("B is higher", 60, None)
    scored = {
        run.name: next(s.value for s in run.result.scores if s.metric == "balanced_accuracy")
        for run in (lazy, keen)
    }
    assert scored == pytest.approx({"lazy": found.value_a, "keen": found.value_b})
    assert "| hmc | balanced_accuracy | 20.0 | 80.0 | +60.0 |" in comparison_markdown(
        compare_runs(lazy, keen)
    )


def test_balanced_accuracy_without_right_options_is_not_compared(tmp_path: Path) -> None:
    folders = [_stages(tmp_path / "a", lambda _: "Wake"), _stages(tmp_path / "b", lambda s: s)]
    (folders[0] / REFERENCES_FILE).unlink()
    one_side = compare_runs(*map(read_run, folders))
    assert [t.task for t in one_side.tests] == ["hmc"], "the same items have the same right options"
    (folders[1] / REFERENCES_FILE).unlink()
    aside = compare_runs(*map(read_run, folders))
    assert aside.tests == ()
    assert "what is right" in aside.set_aside["hmc"]


@pytest.mark.parametrize("fault", ["no folder", "no answers", "broken", "unknown", "same"])
def test_what_cannot_be_compared_is_told(
    runs: tuple[Path, Path], tmp_path: Path, fault: str
) -> None:
    good = read_run(runs[1])
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "result.json").write_bytes((runs[1] / "result.json").read_bytes())
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "result.json").write_text('{"schema_version": 1, "extra": 0}')
    acts: dict[str, tuple[Callable[[], object], str]] = {
        "no folder": (lambda: read_run(tmp_path / "none"), "no benchmark run"),
        "no answers": (lambda: read_run(tmp_path / "half"), "no answers.parquet"),
        "broken": (lambda: read_run(tmp_path / "broken"), "no result this version reads"),
        "unknown": (lambda: compare_runs(good, good, model_b="mm"), "did you mean 'm'"),
        "same": (lambda: compare_runs(good, good), "name two models"),
    }
    act, said = acts[fault]
    with pytest.raises(BenchmarkError, match=said):
        act()


def test_the_command_prints_markdown_or_json(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["benchmark", "compare", *map(str, runs)]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert shown == comparison_markdown(compare_runs(*map(read_run, runs)))
    assert "| mcq | accuracy | 0.0 | 100.0 | +100.0 |" in shown
    assert main([*arguments, "--json"]) == 0
    tested = {t["task"] for t in json.loads(capsys.readouterr().out)["tests"]}
    assert tested == {"mcq", "caption", "waveform_boxes"}
    assert main(["benchmark", "compare", "nowhere", str(runs[0])]) == 2
    assert "no benchmark run" in capsys.readouterr().err


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, corrected, strict=True))
    assert min(corrected) == min(1.0, len(p_values) * min(p_values))
    pairs = sorted(zip(p_values, corrected, strict=True))
    assert [q for _, q in pairs] == sorted(corrected)


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 0), (3, 9), (10, 10)])
def test_mcnemar_equals_the_exact_binomial_test(wins: int, losses: int) -> None:
    from scipy.stats import binomtest

    n = wins + losses
    expected = binomtest(wins, n).pvalue if n else 1.0
    assert mcnemar_p([1.0] * wins + [-1.0] * losses + [0.0] * 4) == pytest.approx(expected)


def test_scoring_is_timed_and_a_slow_one_is_a_miss() -> None:
    found = bench_scoring(60)
    assert min(found.choice_s, found.text_s) > 0
    slow = type(found)(n_answers=10, choice_s=0.001, text_s=10.0)
    assert [miss.split(":")[0] for miss in slow.misses()] == ["text"]
