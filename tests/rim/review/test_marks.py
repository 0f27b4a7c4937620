"""Marks: nothing lost between reviewers, files read strictly, people withdrawn, precision counted."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from review_shard import FINDINGS, GATED_SHARD, SECOND, SHARD, SPIKE, recording_row

from dagster_project.cli import main
from dagster_project.resources import Workspace
from dagster_project.review.marks import CSV_COLUMNS, Mark, MarkBook, MarkError, read_csv, tally
from dagster_project.tables.store import TableStore


def test_two_reviewers_at_once_lose_nothing(store: TableStore, workspace: Workspace) -> None:
    def work(reviewer: str) -> None:
        own = MarkBook(store, SHARD, workspace.folder("reviews", SHARD))
        for finding in FINDINGS:
            mark = Mark(
                reviewer=reviewer, segment_id=finding.segment_id, finding_id=finding.finding_id,
                verdict="right",
            )  # fmt: skip
            own.put([(mark, "2026-01-31")])

    threads = [threading.Thread(target=work, args=(who,)) for who in ("A", "B", "C")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    marks = store.read("review_marks", SHARD)
    assert marks.height == 3 * len(FINDINGS)
    assert marks.select("segment_id", "finding_id", "reviewer").is_unique().all()


def csv_of(*lines: tuple[str, ...]) -> str:
    return "\n".join(",".join(line) for line in (CSV_COLUMNS, *lines)) + "\n"


RIGHT = (
    SHARD, "g-spike", SPIKE.finding_id, "AB", "right", "spike", "T7", "3.97", "4.03", "2026-01-31",
)  # fmt: skip


ADDED = (SHARD, "g-calm", "", "AB", "missed", "sharp", "F7-T7;T7-P7", "1.5", "1.6", "2026-02-01")


READ = (SHARD, "g-calm", "p-g-calm", "AB", "complete", "", "", "0", "10", "2026-02-01")


def altered(line: tuple[str, ...], column: str, value: str) -> tuple[str, ...]:
    return tuple(value if name == column else v for name, v in zip(CSV_COLUMNS, line, strict=True))


def test_a_file_of_marks_comes_back_as_the_table(
    store: TableStore, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("NEUROGLOSS_HOME", workspace.home())
    file = tmp_path / "marks.csv"
    file.write_text(csv_of(RIGHT, ADDED, READ))
    for _ in range(2):
        assert main(["review", "--import", str(file)]) == 0
    assert "spike: 1 right, 0 wrong, 0 unsure, 0 missed, precision 1.00" in capsys.readouterr().out
    marks = store.read("review_marks", SHARD)
    assert sorted(marks["verdict"]) == ["complete", "missed", "right"]
    assert marks.filter(pl.col("verdict") == "missed")["channels"].to_list() == [["F7-T7", "T7-P7"]]
    assert set(marks["marked_on"]) == {"2026-01-31", "2026-02-01"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line must be shard,segment_id"),
        (csv_of(RIGHT).replace("verdict", "opinion"), "first line must be"),
        (csv_of(READ, RIGHT[:-1]), "line 3: 9 cells"),
        (csv_of(READ, altered(RIGHT, "verdict", "none")), "line 3: verdict 'none' is no mark"),
        (csv_of(READ, altered(RIGHT, "verdict", "yes")), "line 3: verdict 'yes'"),
        (csv_of(READ, altered(RIGHT, "reviewer", "Jane")), "line 3: reviewer 'Jane'"),
        (csv_of(READ, altered(RIGHT, "t0_s", "soon")), "line 3: could not convert"),
        (csv_of(READ, altered(RIGHT, "t0_s", "nan")), "line 3: t0_s"),
        (csv_of(READ, altered(RIGHT, "t0_s", "3.5")), "line 3: it says"),
        (csv_of(READ, altered(RIGHT, "kind", "blink")), "line 3: it says"),
        (csv_of(READ, altered(RIGHT, "marked_on", "20260131")), "line 3: marked_on"),
        (csv_of(READ, altered(RIGHT, "marked_on", "today")), "line 3: Invalid isoformat"),
        (csv_of(READ, altered(RIGHT, "finding_id", "f-x")), "line 3: finding 'f-x'"),
        (csv_of(READ, altered(RIGHT, "shard", "nowhere-01-of-01")), "nowhere-01-of-01"),
        (csv_of(READ, altered(RIGHT, "shard", GATED_SHARD)), "has no partition"),
        ("\ud800", "is not a CSV in UTF-8"),
    ],
)
def test_one_bad_line_and_nothing_is_taken(
    store: TableStore, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], text: str, message: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("NEUROGLOSS_HOME", workspace.home())
    file = tmp_path / "marks.csv"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert main(["review", "--import", str(file)]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
    assert store.manifest("review_marks", SHARD) is None


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(MarkError, match="is not a file"):
        read_csv(tmp_path / "none.csv")


def test_marks_of_a_withdrawn_person_go_and_others_stay(store: TableStore, book: MarkBook) -> None:
    for finding in (SPIKE, SECOND):
        mark = Mark(
            reviewer="AB", segment_id=finding.segment_id, finding_id=finding.finding_id,
            verdict="right",
        )  # fmt: skip
        book.put([(mark, "2026-01-31")])
    assert book.forget_withdrawn() == 2
    store.write("recordings", SHARD, [recording_row("s-two")])
    assert book.forget_withdrawn() == 1
    assert set(store.read("review_marks", SHARD)["subject_id"]) == {"s-two"}


def test_the_tally_counts_what_was_shown_and_what_was_hidden_wrongly() -> None:
    def row(verdict: str, reviewer: str = "A", is_masked: bool = False) -> dict[str, Any]:
        return {"kind": "spike", "verdict": verdict, "reviewer": reviewer, "is_masked": is_masked}

    rows = [row("right"), row("right", "B"), row("wrong"), row("unsure"), row("right", "A", True)]
    counted = tally([*rows, row("missed")]).to_dicts()
    assert counted == [{
        "kind": "spike", "right": 2, "wrong": 1, "unsure": 1, "missed": 1, "masked_but_right": 1,
        "n_reviewers": 2, "precision": 2 / 3,
    }]  # fmt: skip
    assert tally([]).height == 0
