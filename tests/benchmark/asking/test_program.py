"""The answering program run as its users run it: a process, files, exit statuses."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from benchmark.__main__ import main, preload
from benchmark.asking.answers import MAY_LEAVE, VISIBLE_COLUMNS, Item
from benchmark.asking.exchange import (
    read_answers,
    read_items,
    read_pages,
    write_answers,
    write_bytes,
    write_items,
    write_pages,
)
from benchmark.errors import BenchmarkError
from benchmark.scores.scoring import score
from benchmark.tasks.task import TASKS
from prompts.leaving import Walls
from prompts.releases.recipe import ExportRefusedError

Rows = Callable[[str], list[dict[str, Any]]]
Pages = Callable[[Sequence[Item]], dict[str, bytes]]
SHIM = "training.torchvision_shim:install"
OPEN = Walls(Path(), {})
"""No corpus of these items is gated."""


@pytest.fixture
def files(rows_of: Rows, pages_of: Pages, tmp_path: Path) -> Path:
    """A folder with items and pages of six multiple-choice items."""
    return _written(rows_of("mcq")[:6], pages_of, tmp_path)


def _written(rows: list[dict[str, Any]], pages_of: Pages, folder: Path) -> Path:
    write_items(folder / "items.parquet", rows, OPEN)
    pages = pages_of([Item.from_row(r) for r in rows])
    write_pages(folder / "pages.parquet", pages, {r["corpus"] for r in rows}, OPEN)
    return folder


def test_items_and_pages_of_gated_corpora_stay_inside_the_root(
    rows_of: Rows, pages_of: Pages, tmp_path: Path
) -> None:
    rows = rows_of("mcq")[:2]
    corpora = {row["corpus"] for row in rows}
    walls = Walls(tmp_path / "home", dict.fromkeys(corpora, "LicenseRef-planted"))
    pages = pages_of([Item.from_row(r) for r in rows])
    write_items(tmp_path / "home" / "items.parquet", rows, walls)
    write_pages(tmp_path / "home" / "pages.parquet", pages, corpora, walls)
    with pytest.raises(
        ExportRefusedError, match=r"the items file .* \(licence LicenseRef-planted\)"
    ):
        write_items(tmp_path / "items.parquet", rows, walls)
    with pytest.raises(ExportRefusedError, match="the pages file"):
        write_pages(tmp_path / "home" / ".." / "pages.parquet", pages, corpora, walls)
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_a_corpus_that_no_entry_describes_any_more_is_held_as_gated(
    rows_of: Rows, tmp_path: Path
) -> None:
    rows = rows_of("mcq")[:2]
    corpora = frozenset(row["corpus"] for row in rows)
    with pytest.raises(ExportRefusedError, match=r"\(licence unknown\)"):
        write_items(tmp_path / "items.parquet", rows, Walls(tmp_path / "home", {}, frozenset()))
    write_items(tmp_path / "items.parquet", rows, Walls(tmp_path / "home", {}, corpora))


def _arguments(files: Path, folder: Path, **changes: str) -> list[str]:
    options = {
        "items": str(files / "items.parquet"),
        "pages": str(files / "pages.parquet"),
        "model": str(folder),
        "task": "mcq",
        "controls": "none,blank",
        "out": str(files / "answers.parquet"),
        "device": "cpu",
        "preload": SHIM,
    } | changes
    return ["answer", *(part for name, value in options.items() for part in (f"--{name}", value))]


def _start(arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmark", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_hear_ctrl_c)


def _hear_ctrl_c() -> None:
    """Undo the ignored SIGINT that a shell hands down to what it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_answers_come_back_in_the_tables_schema(files: Path, tiny_vlm: Path, rows_of: Rows) -> None:
    process = _start(_arguments(files, tiny_vlm, name="tiny", threads="1"))
    _, told = process.communicate()
    assert process.returncode == 0, told
    answers = read_answers(files / "answers.parquet")
    rows = rows_of("mcq")[:6]
    asked = [(r["item_id"], c) for c in ("none", "blank") for r in rows]
    assert [(a["item_id"], a["control"]) for a in answers] == asked
    assert {a["model"] for a in answers} == {"tiny"}
    assert {a["is_correct"] for a in answers} == {None}
    assert {r["metric"] for r in score(TASKS["mcq"], rows, answers)} > {
        "accuracy",
        "accuracy-blank",
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "mqc"}, "did you mean 'mcq'"),
        ({"controls": "none,blnk"}, "did you mean 'blank'"),
        ({"controls": "none,none"}, "name one twice"),
        ({"threads": "0"}, "at least 1"),
        ({"device": "tpu"}, "invalid choice"),
    ],
    ids=["task", "control", "control twice", "threads", "device"],
)
def test_a_wrong_argument_gets_one_line_and_status_2(
    files: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], said: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(_arguments(files, files, **changes))
    told = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said in told
    assert len(told.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"items": "nowhere.parquet"}, "is not a file"),
        ({"pages": "nowhere.parquet"}, "is not a file"),
        ({"model": "nowhere"}, "is not a folder"),
        ({"task": "caption"}, "no item of task 'caption'; it has those of mcq"),
        ({"preload": "os:abort"}, "is not allowed"),
        ({"preload": "training.torchvision_shim:nothing"}, "does not exist"),
    ],
    ids=["items", "pages", "model", "other task", "foreign preload", "missing preload"],
)
def test_a_wrong_input_gets_one_sentence_and_status_1(
    files: Path, caplog: pytest.LogCaptureFixture, changes: dict[str, str], said: str
) -> None:
    assert main(_arguments(files, files, **changes)) == 1
    (told,) = (r.getMessage() for r in caplog.records if r.levelname == "ERROR")
    assert said in told
    assert "\n" not in told
    assert not (files / "answers.parquet").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_a_stop_while_the_model_loads_leaves_no_answers_and_says_so(
    files: Path, tiny_vlm: Path, number: signal.Signals
) -> None:
    process = _start(_arguments(files, tiny_vlm))
    assert process.stderr is not None
    assert "loading" in process.stderr.readline()
    process.send_signal(number)
    told = process.stderr.read()
    assert process.wait(timeout=60) == 130
    assert "no answers were written" in told
    assert [p.name for p in files.iterdir() if "answers" in p.name] == []


@pytest.mark.heavy
def test_a_stop_while_the_model_answers_leaves_no_answers_and_says_so(
    rows_of: Rows, pages_of: Pages, tmp_path: Path, tiny_vlm: Path
) -> None:
    # so many that the model is still answering when the signal comes, however busy the machine
    files = _written(rows_of("mcq"), pages_of, tmp_path)
    process = _start(_arguments(files, tiny_vlm))
    assert process.stderr is not None
    for line in process.stderr:
        if "asking" in line:
            break
    process.send_signal(signal.SIGINT)
    told = process.stderr.read()
    assert process.wait(timeout=60) == 130
    assert "no answers were written" in told
    assert [p.name for p in files.iterdir() if "answers" in p.name] == []


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "training:install",
        "training.torchvision_shim",
        "training.torchvision_shim:install()",
        "training.torchvision_shim.install",
        "trainingx.a:b",
        "training.a:b\n",
        "training..a:b",
        "benchmark.asking.vlm:check_folder",
    ],
)
def test_only_functions_of_the_projects_other_packages_are_preloaded(name: str) -> None:
    with pytest.raises(BenchmarkError, match="not allowed"):
        preload(name)


def test_the_file_for_the_model_holds_no_reference(files: Path, rows_of: Rows) -> None:
    names = tuple(pq.read_schema(files / "items.parquet").names)
    assert names == (*VISIBLE_COLUMNS, MAY_LEAVE)
    assert read_items(files / "items.parquet", "mcq") == [
        Item.from_row(row) for row in rows_of("mcq")[:6]
    ]


def test_pages_may_lie_in_a_folder(files: Path) -> None:
    ids = [item.item_id for item in read_items(files / "items.parquet", "mcq")]
    pages = read_pages(files / "pages.parquet", ids)
    for item_id, png in pages.items():
        write_bytes(files / "pages" / f"{item_id}.png", png)
    assert read_pages(files / "pages", [*ids, "b-missing"]) == pages
    with pytest.raises(BenchmarkError, match="no plain name"):
        read_pages(files / "pages", ["../secret"])


def test_what_is_no_parquet_of_the_kind_is_told(files: Path) -> None:
    (files / "broken.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(BenchmarkError, match="no readable Parquet"):
        read_answers(files / "broken.parquet")
    with pytest.raises(BenchmarkError, match="lacks the columns"):
        read_answers(files / "pages.parquet")


def test_a_write_that_fails_keeps_the_old_file(files: Path) -> None:
    path = files / "answers.parquet"
    write_answers(path, [])
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_bytes(path, "text")  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert sorted(p.name for p in files.iterdir() if "answers" in p.name) == ["answers.parquet"]
