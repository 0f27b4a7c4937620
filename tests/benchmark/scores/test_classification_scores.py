"""Classification scores: against scikit-learn, chance, votes, published parts, events on a time line."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.reports.html import write_html_report
from benchmark.reports.report import write_report
from benchmark.reports.result import make_result
from benchmark.scores.classification import vote
from benchmark.scores.control_rows import left_out_rows
from benchmark.scores.event_scores import seizure_sums
from benchmark.scores.metrics import metric_of
from benchmark.scores.ranking import average_precision_interval
from benchmark.scores.scoring import score
from benchmark.tasks.task import TASKS
from dagster_project.tables.registry import table
from dagster_project.tables.store import to_arrow

Row = dict[str, Any]
LETTERS = "ABCDEFGH"
STAGES = ("Wake", "N1", "N2", "N3", "REM")


def item(
    number: int, right: str, *, task: str = "hmc", options: Sequence[str] = STAGES,
    subject: str = "", group: str = "", parts: Sequence[str] = (), recording: str = "r",
    truth_s: Sequence[float] = (), start_s: float | None = None,
) -> Row:  # fmt: skip
    shown = [*options[number % len(options) :], *options[: number % len(options)]]
    return {
        "item_id": f"b-{number:04d}", "task": task, "task_version": "1", "segment_id": f"g-{number}",
        "corpus": "hmc", "subject_id": subject or f"s{number % 5}", "prompt": "?", "options": shown,
        "answer": LETTERS[shown.index(right)], "category": "stage", "evidence": [],
        "is_simulated": False, "recording_id": recording,
        "start_s": 10.0 * number if start_s is None else start_s,
        "group_id": group, "parts": list(parts), "truth_s": list(truth_s),
    }  # fmt: skip


def answer(
    of: Row, said: str, *, model: str = "m", control: str = "none", logprobs: Sequence[float] = ()
) -> Row:
    letter = LETTERS[of["options"].index(said)] if said else ""
    return {
        "item_id": of["item_id"], "task": of["task"], "model": model, "control": control,
        "subject_id": of["subject_id"], "output": letter, "answer": letter,
        "is_parsed": bool(letter), "option_logprobs": list(logprobs), "is_correct": None,
        "score": None,
    }  # fmt: skip


def values(rows: Sequence[Row], model: str = "m", control: str = "none") -> dict[str, Row]:
    return {r["metric"]: r for r in rows if (r["model"], r["control"]) == (model, control)}


@pytest.fixture(scope="module")
def drawn() -> tuple[list[Row], list[str], list[str]]:
    """Items with uneven classes and answers that are right more often than not; some unreadable."""
    rng = np.random.default_rng(4)
    true = rng.choice(STAGES, size=300, p=[0.5, 0.2, 0.15, 0.1, 0.05]).tolist()
    said = [t if rng.random() < 0.6 else str(rng.choice([*STAGES, ""])) for t in true]
    return [item(n, t) for n, t in enumerate(true)], true, said


def test_agreement_is_scikit_learns(drawn: tuple[list[Row], list[str], list[str]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    items, true, said = drawn
    rows = values(
        score(TASKS["hmc"], items, [answer(i, s) for i, s in zip(items, said, strict=True)])
    )
    found = {name: rows[name]["value"] for name in rows}
    labels = list(STAGES)
    assert found["balanced_accuracy"] == pytest.approx(
        metrics.recall_score(true, said, labels=labels, average="macro", zero_division=0)
    )
    assert found["weighted_f1"] == pytest.approx(
        metrics.f1_score(true, said, labels=labels, average="weighted", zero_division=0)
    )
    assert found["kappa"] == pytest.approx(metrics.cohen_kappa_score(true, said))
    for name in STAGES:
        expected = metrics.recall_score(true, said, labels=[name], average="macro")
        assert found[f"recall:{name}"] == pytest.approx(expected)
    assert rows["balanced_accuracy"]["n_unparsed"] == sum(not s for s in said)


def test_the_area_under_the_curve_is_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    true = rng.choice(STAGES, size=120).tolist()
    items = [item(n, t) for n, t in enumerate(true)]
    logits = rng.normal(size=(120, 5)) + 1.0 * (np.array(true)[:, None] == np.array(STAGES))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    answers = [
        answer(
            i,
            STAGES[int(row.argmax())],
            logprobs=[float(np.log(row[STAGES.index(o)])) for o in i["options"]],
        )
        for i, row in zip(items, shares, strict=True)
    ]
    expected = metrics.roc_auc_score(true, shares[:, np.argsort(STAGES)], multi_class="ovr")
    assert values(score(TASKS["hmc"], items, answers))["auroc"]["value"] == pytest.approx(expected)


def test_average_precision_is_scikit_learns_and_follows_the_share_of_true_items() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    true = rng.random(400) < 0.2
    scores = np.round(rng.random(400) + 0.4 * true, 2)
    subjects = [f"s{n % 12}" for n in range(400)]
    found = average_precision_interval(subjects, true.tolist(), scores.tolist(), seed=0)
    assert found.value == pytest.approx(metrics.average_precision_score(true, scores))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    flat = average_precision_interval(subjects, true.tolist(), [0.5] * 400, seed=0)
    assert flat.value == pytest.approx(true.mean())


def test_average_precision_stands_beside_a_task_of_two_classes_with_log_probabilities() -> None:
    pages = seizure_pages({60: (0, 10), 61: (0, 10)})
    told = [
        answer(
            p,
            "No seizure",
            logprobs=[
                -1.0 if (o == "Seizure") == bool(p["truth_s"]) else -2.0 for o in p["options"]
            ],
        )
        for p in pages
    ]
    found = values(score(TASKS["tusz"], pages, told))
    assert found["auprc"]["value"] == 1.0
    assert "of class Seizure; guessing earns its share, 1.1 %" in found["auprc"]["note"]
    assert "auprc" not in values(
        score(TASKS["tusz"], pages, [a | {"option_logprobs": []} for a in told])
    )


def test_a_reference_scores_all_and_another_pages_answers_score_chance() -> None:
    rng = np.random.default_rng(0)
    true = rng.choice(STAGES, size=600).tolist()
    items = [item(n, t, subject=f"s{n % 30}") for n, t in enumerate(true)]
    shuffled = rng.permutation(true).tolist()
    answers = [answer(i, t) for i, t in zip(items, true, strict=True)]
    answers += [answer(i, t, control="blank") for i, t in zip(items, shuffled, strict=True)]
    rows = score(TASKS["hmc"], items, answers)
    own, blank = (
        values(rows)["balanced_accuracy"],
        values(rows, control="blank")["balanced_accuracy"],
    )
    assert own["value"] == 1.0
    assert "above chance" in own["note"]
    assert blank["ci_low"] < 0.2 < blank["ci_high"]
    assert "not told from chance" in blank["note"]
    gap = values(rows)["balanced_accuracy-blank"]
    assert gap["value"] == pytest.approx(own["value"] - blank["value"])
    assert "higher" in gap["note"]


def test_always_one_class_is_chance_however_common_it_is(
    drawn: tuple[list[Row], list[str], list[str]],
) -> None:
    items, true, _ = drawn
    rows = score(TASKS["hmc"], items, [answer(i, "Wake") for i in items])
    found = values(rows)
    assert found["accuracy"]["value"] == pytest.approx(true.count("Wake") / len(true))
    assert found["balanced_accuracy"]["value"] == pytest.approx(0.2)
    assert found["kappa"]["value"] == pytest.approx(0.0)
    assert "not told from chance" in found["balanced_accuracy"]["note"]


def test_every_control_and_baseline_stands_beside_the_score() -> None:
    items = [item(n, STAGES[n % 5]) for n in range(50)]
    controls = ("none", "blank", "noise", "shuffled", "other_subject", "mirrored", "text_only")
    answers = [answer(i, "N2", control=c) for c in controls for i in items]
    answers += [answer(i, "Wake", model=m) for m in ("majority", "prior") for i in items]
    rows = score(TASKS["hmc"], items, answers)
    differences = {m for m in values(rows) if m.startswith("balanced_accuracy-")}
    assert differences == {
        f"balanced_accuracy-{name}" for name in (*controls[1:], "majority", "prior")
    }
    assert all(values(rows, control=c)["balanced_accuracy"]["value"] == 0.2 for c in controls)


def test_a_class_that_does_not_occur_is_said() -> None:
    items = [item(n, STAGES[n % 2]) for n in range(20)]
    note = values(score(TASKS["hmc"], items, [answer(i, "Wake") for i in items]))[
        "balanced_accuracy"
    ]["note"]
    assert "only 2 of 5 classes occur" in note


def test_thirds_of_an_epoch_vote() -> None:
    items = [item(n, STAGES[n // 3 % 5], group=f"e{n // 3}") for n in range(60)]
    wrong_third = [
        answer(i, STAGES[n // 3 % 5] if n % 3 else STAGES[(n // 3 + 1) % 5])
        for n, i in enumerate(items)
    ]
    found = values(score(TASKS["hmc"], items, wrong_third))
    assert found["balanced_accuracy"]["value"] == pytest.approx(2 / 3)
    assert found["balanced_accuracy[epochs]"]["value"] == 1.0
    assert found["kappa[epochs]"]["value"] == 1.0
    assert found["balanced_accuracy[epochs]"]["n_items"] == 60
    assert "20 groups" in found["balanced_accuracy[epochs]"]["note"]


@pytest.mark.parametrize(
    ("said", "logprobs", "expected"),
    [
        (("N1", "N1", "N2"), None, "N1"),
        (("N1", "N2", "N3"), None, ""),
        (("N1", "", ""), None, "N1"),
        (("", "", ""), None, ""),
        (("N1", "N2", ""), {"N1": -1.0, "N2": -0.5}, "N2"),
        (("N1", "N2", "N3"), {"N3": -0.1}, "N3"),
    ],
    ids=["majority", "tie", "one read", "none read", "tie by probability", "three by probability"],
)
def test_ties_go_by_probability_and_else_to_nobody(
    said: Sequence[str], logprobs: dict[str, float] | None, expected: str
) -> None:
    pages = [item(n, "N1", group="e") for n in range(3)]
    shown = {
        p["item_id"]: answer(
            p, s, logprobs=[logprobs.get(o, -5.0) for o in p["options"]] if logprobs else ()
        )
        for p, s in zip(pages, said, strict=True)
    }
    assert vote(pages, shown) == expected


def test_a_published_part_is_scored_apart() -> None:
    items = [item(n, STAGES[n % 5], parts=["neurolm test"] if n % 2 else []) for n in range(50)]
    answers = [answer(i, STAGES[n % 5] if n % 2 else "N2") for n, i in enumerate(items)]
    found = values(score(TASKS["hmc"], items, answers))
    assert found["balanced_accuracy[neurolm test]"]["value"] == 1.0
    assert found["balanced_accuracy[neurolm test]"]["n_items"] == 25
    assert found["balanced_accuracy"]["value"] < 1.0


def test_every_metric_is_registered_and_rows_fit_the_table(
    drawn: tuple[list[Row], list[str], list[str]],
) -> None:
    items, _, said = drawn
    rows = score(TASKS["hmc"], items, [answer(i, s) for i, s in zip(items, said, strict=True)])
    assert all(metric_of(row["metric"]) for row in rows)
    assert to_arrow(table("scores"), rows).num_rows == len(rows)
    keys = {tuple(row[k] for k in table("scores").key) for row in rows}
    assert len(keys) == len(rows)


def test_the_order_of_rows_changes_nothing(drawn: tuple[list[Row], list[str], list[str]]) -> None:
    items, _, said = drawn
    answers = [answer(i, s) for i, s in zip(items, said, strict=True)]
    rows = score(TASKS["hmc"], items, answers)
    assert score(TASKS["hmc"], items[::-1], answers[::-1]) == rows


def seizure_pages(
    seizing: dict[int, Sequence[float]],
    n: int = 180,
    recording: str = "r",
    subject: str = "s0",
    first: int = 0,
) -> list[Row]:
    options = ("Seizure", "No seizure")
    return [
        item(
            first + k, options[k not in seizing], task="tusz", options=options, subject=subject,
            recording=recording, truth_s=seizing.get(k, ()), start_s=3600.0 + 10.0 * k,
        )
        for k in range(n)
    ]  # fmt: skip


Told = Callable[[int], bool]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (lambda k: k in (60, 61, 62), (1, 0, 1)),
        (lambda k: False, (0, 0, 1)),
        (lambda k: k in (58,), (1, 0, 1)),
        (lambda k: k in (55,), (0, 1, 1)),
        (lambda k: k in (67,), (1, 0, 1)),
        (lambda k: k in (61, 100, 105, 130), (1, 2, 1)),
    ],
    ids=["found", "missed", "20 s early", "50 s early", "50 s late", "two false, near ones joined"],
)
def test_pages_called_a_seizure_are_scored_as_events(told: Told, expected: tuple[int, ...]) -> None:
    pytest.importorskip("timescoring")
    pages = seizure_pages({60: (0, 10), 61: (0, 10), 62: (0, 6)})
    sums, hours = seizure_sums(pages, [told(k) for k in range(len(pages))], ["s0"])
    assert tuple(sums[0]) == expected
    assert hours[0] == pytest.approx(0.5)


def test_two_recordings_of_one_person_never_touch() -> None:
    pytest.importorskip("timescoring")
    pages = seizure_pages({179: (0, 10)}) + seizure_pages({0: (0, 10)}, recording="q", first=500)
    sums, _ = seizure_sums(pages, [bool(p["truth_s"]) for p in pages], ["s0"])
    assert tuple(sums[0]) == (2, 0, 2)


def test_event_scores_are_the_packages_own() -> None:
    """One recording on its own clock, scored by the package directly."""
    annotations = pytest.importorskip("timescoring.annotations")
    scoring = pytest.importorskip("timescoring.scoring")
    rng = np.random.default_rng(2)
    truth = {k: (0.0, 10.0) for start in (20, 90, 140) for k in range(start, start + 4)}
    pages = seizure_pages(truth)
    told = (rng.random(len(pages)) < 0.08).tolist()
    sums, _ = seizure_sums(pages, told, ["s0"])
    spans = [
        [(10.0 * k, 10.0 * k + 10) for k in range(len(pages)) if side[k]]
        for side in ([k in truth for k in range(len(pages))], told)
    ]
    lines = [annotations.Annotation(s, 10, 10 * 1800) for s in spans]
    direct = scoring.EventScoring(*lines)
    assert tuple(sums[0]) == (direct.tp, direct.fp, direct.refTrue)


def test_event_rows_stand_beside_the_pages() -> None:
    pytest.importorskip("timescoring")
    pages = [
        p for s in range(4)
        for p in seizure_pages({60: (0, 10), 61: (0, 10)}, subject=f"s{s}", recording=f"r{s}", first=1000 * s)
    ]  # fmt: skip
    answers = [answer(p, "Seizure" if p["truth_s"] else "No seizure") for p in pages]
    found = values(score(TASKS["tusz"], pages, answers))
    assert found["balanced_accuracy"]["value"] == 1.0
    assert found["szcore_f1"]["value"] == 1.0
    assert found["fp_per_hour"]["value"] == 0.0
    assert "4 true events in 2.0 h" in found["szcore_f1"]["note"]
    assert "chance 50.0 %" in found["balanced_accuracy"]["note"]
    silent = values(
        score(TASKS["tusz"], pages, [a | {"answer": "", "is_parsed": False} for a in answers])
    )
    assert math.isnan(silent["fp_per_hour"]["value"]), (
        "silence has no false events to be praised for"
    )
    assert silent["szcore_f1"]["value"] == silent["balanced_accuracy"]["value"] == 0.0


def test_a_control_that_could_not_be_applied_stands_in_both_reports_with_its_reason(
    tmp_path: Path,
) -> None:
    items = [item(n, STAGES[n % 5]) for n in range(25)]
    rows = score(
        TASKS["hmc"], items, [answer(i, "N2", control=c) for c in ("none", "blank") for i in items]
    )
    rows += left_out_rows(TASKS["hmc"], "m", items, {"mirrored": "no page lies on a side"})
    assert to_arrow(table("scores"), rows).num_rows == len(rows)
    report = write_report(tmp_path, rows, {"hmc": items})
    assert "control mirrored not asked: no page lies on a side" in report.markdown
    assert "> Published, NeuroLM" in report.markdown
    assert "not asked under the controls noise" in report.markdown
    result = make_result(rows, {"hmc": items}, {})
    html = write_html_report(tmp_path / "b.html", result).path.read_text()
    assert "not asked: no page lies on a side" in html
    assert "Published, NeuroLM" in html
