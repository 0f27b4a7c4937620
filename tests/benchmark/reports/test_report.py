"""The report: the same bytes for the same scores, and the words a reader must not miss."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from benchmark.asking.answers import Item, Reply, answer_row
from benchmark.asking.ask import ask_without_pages
from benchmark.asking.models import Majority, ShuffledReference
from benchmark.errors import BenchmarkError
from benchmark.reports.compare import read_run
from benchmark.reports.report import Report, write_report
from benchmark.reports.result import Result, make_result
from benchmark.scores.detection_scores import detector_answers
from benchmark.scores.scoring import score
from benchmark.tasks.task import TASKS

ASKED = ("mcq", "caption", "waveform_boxes")
Rows = Callable[[str], list[dict[str, Any]]]
Scored = tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def scored(rows_of: Rows) -> Scored:
    """Scores of a model that always says A, a shuffled caption, and an empty detector."""
    items = {name: rows_of(name) for name in ASKED}
    shown = {name: [Item.from_row(row) for row in rows] for name, rows in items.items()}
    mcq = [
        answer_row("choice", item, Reply("A"), "tiny", control)
        for control in ("none", "blank")
        for item in shown["mcq"]
    ]
    mcq += ask_without_pages(Majority("A"), TASKS["mcq"], shown["mcq"])
    shuffled = ShuffledReference.fit(items["caption"])
    caption = ask_without_pages(shuffled, TASKS["caption"], shown["caption"])
    caption += [answer_row("text", i, Reply("flat page"), "tiny", "none") for i in shown["caption"]]
    boxes = detector_answers(shown["waveform_boxes"], [], "yolo")
    answers = {"mcq": mcq, "caption": caption, "waveform_boxes": boxes}
    rows = [row for name in ASKED for row in score(TASKS[name], items[name], answers[name])]
    return rows, items


@pytest.fixture(scope="module")
def report(scored: Scored, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return write_report(tmp_path_factory.mktemp("report"), *scored)


def test_the_same_scores_give_the_same_bytes(
    scored: Scored, report: Report, tmp_path: Path
) -> None:
    rows, items = scored
    again = write_report(tmp_path, rows[::-1], {k: v[::-1] for k, v in items.items()})
    files = {p.name: p.read_bytes() for p in report.path.parent.iterdir()}
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == files
    assert again.sha256 == report.sha256


def test_every_plot_is_written_and_shown(report: Report) -> None:
    assert sorted(report.plots) == [
        "caption_rouge1.png",
        "mcq_accuracy.png",
        "waveform_boxes_ap50.png",
        "waveform_boxes_map50.png",
    ]
    for name, path in report.plots.items():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert f"]({name})" in report.markdown


@pytest.mark.parametrize(
    "said",
    [
        "Research software, not a medical device.",
        "`tiny`: **not told from chance**",
        "`yolo` minus *shuffled*: +0.0",
        "`tiny` minus *blank*: +0.0",
        "**no difference is shown**",
        "pages are simulated** and scored apart",
        "**All pages are simulated**",
        "With 8 subjects the intervals themselves are weak.",
        "always the letter right most often in training",
        "the right text of another page",
        "expected near chance",
    ],
)
def test_the_report_says_what_a_reader_must_know(report: Report, said: str) -> None:
    assert said in report.markdown


def test_tables_are_well_formed(report: Report) -> None:
    widths = []
    for line in report.markdown.splitlines():
        if line.startswith("|"):
            widths.append(line.count("|"))
        elif widths:
            assert len(set(widths)) == 1
            widths = []


def test_a_baseline_scored_beside_two_models_is_listed_once(scored: Scored, tmp_path: Path) -> None:
    rows, items = scored
    twice = rows + [row for row in rows if row["model"] == "majority"]
    report = write_report(tmp_path, twice, items)
    assert report.markdown.count("| *majority* |") == 1


def test_a_baseline_on_other_items_or_of_another_release_is_listed_once_too(
    scored: Scored, tmp_path: Path
) -> None:
    rows, items = scored
    asked = [row for row in rows if (row["model"], row["metric"]) == ("majority", "accuracy")]
    fewer = [row | {"value": 0.125, "n_items": 8} for row in asked]
    refitted = [row | {"value": 0.75} for row in asked]
    found = make_result([*fewer, *rows, *refitted], items, {})
    (kept,) = (s for s in found.scores if (s.model, s.metric) == ("majority", "accuracy"))
    assert kept.n_items == len(items["mcq"])
    assert "12.5 % on 8 items beside another model" in kept.note
    report = write_report(tmp_path, [*fewer, *rows, *refitted], items)
    assert report.markdown.count("| *majority* |") == 1


def test_the_result_file_reads_back_and_refuses_unknown_keys(report: Report) -> None:
    text = (report.path.parent / "result.json").read_text()
    assert Result.model_validate_json(text).sha256 == report.sha256
    with pytest.raises(ValidationError, match="extra"):
        Result.model_validate_json(json.dumps(json.loads(text) | {"date": "today"}))


def test_the_result_file_names_versions_hashes_and_seeds(report: Report) -> None:
    result = json.loads((report.path.parent / "result.json").read_text())
    assert set(result["tasks"]) == set(ASKED)
    assert len(result["tasks"]["mcq"]["items_sha256"]) == 64
    assert result["seeds"] == {"controls": 0, "scores": 0}
    assert {"numpy", "rouge-score"} <= set(result["environment"]["libraries"])


def test_the_hash_moves_with_a_score(scored: Scored, report: Report, tmp_path: Path) -> None:
    rows, items = scored
    moved = [rows[0] | {"value": rows[0]["value"] + 0.01}, *rows[1:]]
    assert write_report(tmp_path, moved, items).sha256 != report.sha256


@pytest.mark.parametrize("fault", ["no scores", "no items"])
def test_a_report_about_nothing_is_refused(scored: Scored, tmp_path: Path, fault: str) -> None:
    rows, items = scored
    given = {"no scores": ([], items), "no items": (rows, {"mcq": items["mcq"]})}
    with pytest.raises(BenchmarkError, match=r"no scores to report|no items"):
        write_report(tmp_path, *given[fault])
    assert list(tmp_path.iterdir()) == []


def test_the_ui_is_given_the_report_without_its_folded_tables(report: Report) -> None:
    assert "<details>" in report.markdown
    assert "<details>" not in report.summary
    assert "![" not in report.summary, "plots are files beside the report"
    assert "`tiny`: **not told from chance**" in report.summary


def test_controls_and_baselines_that_were_not_asked_are_named(report: Report) -> None:
    assert (
        "`tiny`: not asked under the controls noise, shuffled, other_subject, mirrored, text_only."
        in report.markdown
    )
    assert "Baselines not shown: prior." in report.markdown
    assert "Baselines not shown: constant_template." in report.markdown


def test_a_report_with_answers_is_a_run(scored: Scored, tmp_path: Path) -> None:
    rows, items = scored
    shown = [Item.from_row(row) for row in items["mcq"]]
    answers = ask_without_pages(Majority("A"), TASKS["mcq"], shown)
    write_report(tmp_path, rows, items, answers=[*answers, *answers])
    assert len(read_run(tmp_path).answers) == len(shown)
