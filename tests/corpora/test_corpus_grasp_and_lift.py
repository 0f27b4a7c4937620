from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from trees import grasp_and_lift as tree

from dagster_project.corpora.batches import segment_batches
from dagster_project.corpora.inventory import Inventory, inventory
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import process_shard

SPEC = corpus("grasp-and-lift")
SHARD = "grasp-and-lift-01-of-01"


def take(root: Path) -> Inventory:
    return inventory(SPEC, root, SHARD, salt="x")


def labels(row: dict[str, Any]) -> dict[str, str]:
    return {label["name"]: label["value"] for label in row["labels"]}


def cut(root: Path) -> list[dict[str, Any]]:
    return process_shard(SPEC, root, take(root).recordings).segments.to_pylist()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("grasp")
    tree.write(root)
    return root


def test_unpadded_numbers_name_subject_and_series(whole: Path) -> None:
    found = take(whole)
    assert found.rejects == ()
    assert [r["session"] for r in found.recordings] == ["9", "1", "8", "3"]
    assert len({r["subject_id"] for r in found.recordings}) == 3
    assert found.recordings[0]["subject_id"] == found.recordings[1]["subject_id"]


def test_the_32_channels_are_in_the_published_order(whole: Path) -> None:
    assert SPEC.reader.params["signals"] == tree.CHANNELS
    head = (whole / "grasp-and-lift/train/subj1_series1_data.csv").open().readline()
    assert head.strip().split(",") == ["id", *tree.CHANNELS]


def test_events_are_independent_and_overlap(whole: Path) -> None:
    rows = [r for r in cut(whole) if labels(r)["grasp_events"] == "present"]
    said = [[x["value"] for x in r["labels"] if x["scope"] == "interval"] for r in rows[:3]]
    assert said == [
        ["hand_start", "first_digit_touch", "both_start_load_phase", "lift_off"],
        ["replace", "both_released"],
        [],
    ]


def test_series_nine_and_ten_have_no_labels_and_others_that_lack_them_are_incomplete(
    whole: Path, tmp_path: Path
) -> None:
    said = {r["session"]: labels(r)["grasp_events"] for r in take(whole).recordings}
    assert said == {"9": "unpublished", "1": "present", "8": "present", "3": "present"}
    tree.write_series(tmp_path / "grasp-and-lift/train", 4, 2, has_events=False)
    assert labels(take(tmp_path).recordings[0])["grasp_events"] == "missing"


@pytest.mark.parametrize("step_uv", [0.1, 1.0])
def test_the_unit_is_decided_by_amplitude_per_file_and_said(tmp_path: Path, step_uv: float) -> None:
    planted = tree.write_series(tmp_path / "grasp-and-lift/train", 4, 2, step_uv=step_uv)
    found = take(tmp_path)
    assert labels(found.recordings[0])["unit_uv"] == f"{step_uv:g}"
    segments = process_shard(SPEC, tmp_path, found.recordings).segments
    frame = pl.from_arrow(segments)
    assert isinstance(frame, pl.DataFrame)
    (batch,) = segment_batches(frame)
    inside = np.abs(np.fft.rfftfreq(2000, 1 / 200) - 20) < 10
    theirs = np.abs(np.fft.rfft(planted[:5000, 0]))[: inside.size][inside] * 2000 / 5000
    mine = np.abs(np.fft.rfft(batch.data_uv[0, 0]))[inside]
    assert (mine @ theirs) / (theirs @ theirs) == pytest.approx(1.0, abs=0.05)


def _drop_last(lines: list[str]) -> list[str]:
    return lines[:-1]


def _shift(lines: list[str]) -> list[str]:
    return [lines[0], *(line.replace("_", "x", 1) for line in lines[1:])]


def _two(lines: list[str]) -> list[str]:
    return [*lines[:5], lines[5][:-1] + "2", *lines[6:]]


def _none(lines: list[str]) -> list[str]:
    return [lines[0], *(line.rpartition(",0")[0].split(",")[0] + ",0" * 6 for line in lines[1:])]


def _column(lines: list[str]) -> list[str]:
    return [lines[0].replace("LiftOff", "Lift"), *lines[1:]]


BAD: dict[str, Callable[[list[str]], list[str]]] = {
    "a row less": _drop_last, "other ids": _shift, "a flag of 2": _two, "not one event": _none,
    "a column missing": _column,
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_events_that_do_not_fit_their_twin_set_the_series_aside(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "grasp-and-lift/train"
    tree.write_series(folder, 4, 2)
    path = folder / "subj4_series2_events.csv"
    path.write_text("\n".join(BAD[kind](path.read_text().splitlines())) + "\n")
    assert [r["cause"] for r in take(tmp_path).rejects] == ["bad_labels"]
