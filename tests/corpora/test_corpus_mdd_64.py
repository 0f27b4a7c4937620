from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from formats.edf import EdfFileSpec, EdfSignalSpec, noise_uv, write_eeg
from formats.edf import write as write_edf_file
from trees import mdd_64

from dagster_project.corpora.batches import segment_batches
from dagster_project.corpora.inventory import Inventory, inventory
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import find_files, shard_keys, shard_of
from detectors.types import CANONICAL19

SPEC = corpus("mdd-64")
(SHARD,) = shard_keys("mdd-64")


def take(root: Path, **keywords: Any) -> Inventory:
    return inventory(SPEC, root, SHARD, salt="x", **keywords)


def label(row: dict[str, Any], name: str) -> str:
    (value,) = [x["value"] for x in row["labels"] if x["name"] == name]
    return str(value)


def name_of(row: dict[str, Any]) -> str:
    return str(row["path"].removeprefix("mdd-64/"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Inventory]:
    root = tmp_path_factory.mktemp("mdd")
    mdd_64.write_all(root)
    return root, take(root)


def test_all_181_names_parse_and_give_30_healthy_and_34_depressed(
    whole: tuple[Path, Inventory],
) -> None:
    rows = whole[1].recordings
    assert len(rows) == 181
    assert {r["reject_cause"] for r in rows} == {None, "duplicate"}
    numbers = {(label(r, "diagnosis"), name_of(r).split(" S")[1].split()[0]) for r in rows}
    assert Counter(diagnosis for diagnosis, _ in numbers) == {"healthy": 30, "major_depression": 34}
    assert Counter(label(r, "task") for r in rows) == {
        "eyes_closed_rest": 58, "eyes_open_rest": 62, "visual_oddball": 61,
    }  # fmt: skip


def test_byte_identical_recordings_end_as_duplicates_and_165_are_left(
    whole: tuple[Path, Inventory],
) -> None:
    rows = whole[1].recordings
    assert sum(r["status"] == "accepted" for r in rows) == 165
    out = {name_of(r) for r in rows if r["reject_cause"] == "duplicate"}
    squeezed = {" ".join(name.split()) for name in out}
    assert squeezed == {
        "H S30 EC.edf", "H S30 EO.edf", "H S30 TASK.edf",
        "MDD S34 EC.edf", "MDD S34 EO.edf", "MDD S34 TASK.edf", "6921959_H S15 EO.edf",
        *(f"H S{n} TASK.edf" for n in (2, 3, 4, 7, 10, 11, 12, 17, 29)),
    }  # fmt: skip
    assert len(whole[1].rejects) == 16


@pytest.mark.parametrize("seed", [0, 1, 7, 4523])
def test_equal_signals_never_lie_in_two_splits_or_shards(
    whole: tuple[Path, Inventory], seed: int
) -> None:
    root, _ = whole
    rows = {r["path"]: r for r in take(root, seed=seed).recordings}
    places: dict[str, set[tuple[str, str]]] = {}
    for file in find_files(SPEC, root):
        digest = hashlib.sha256(file.path.read_bytes()).hexdigest()
        assert file.identity is not None
        place = (rows[file.relative_path]["split"], shard_of(SPEC, file.identity))
        places.setdefault(digest, set()).add(place)
    assert len(places) == 165
    assert all(len(found) == 1 for found in places.values())


def test_twins_under_two_numbers_are_one_person(whole: tuple[Path, Inventory]) -> None:
    who = {" ".join(name_of(r).split()): r["subject_id"] for r in whole[1].recordings}
    assert who["H S27 EC.edf"] == who["H S30 EC.edf"]
    assert who["MDD S33 EC.edf"] == who["MDD S34 EC.edf"]
    assert len(set(who.values())) == SPEC.expected.n_subjects == 62


def test_whoever_may_own_the_one_task_recording_is_trained_on(
    whole: tuple[Path, Inventory],
) -> None:
    owners = {f"H S{n}" for n in mdd_64.ONE_TASK}
    splits = {
        r["split"]
        for r in take(whole[0], seed=3).recordings
        if " ".join(name_of(r).split()[:2]) in owners
    }
    assert splits == {"train"}


def test_the_healthy_and_the_depressed_of_one_number_are_two_people(tmp_path: Path) -> None:
    folder = tmp_path / mdd_64.FOLDER
    mdd_64.write_file(folder, "H S1 EC.edf", ("H", 1, "EC"))
    mdd_64.write_file(folder, "MDD S1 EC.edf", ("MDD", 1, "EC"))
    rows = take(tmp_path).recordings
    assert [label(r, "diagnosis") for r in rows] == ["healthy", "major_depression"]
    assert len({r["subject_id"] for r in rows}) == 2


@pytest.mark.parametrize(
    ("name", "task"),
    [("MDD S1  EO.edf", "eyes_open_rest"), ("MDD S1 TASK.edf", "visual_oddball"),
     ("6921143_H S15 EO.edf", "eyes_open_rest"), ("H S5 EC.edf", "eyes_closed_rest")],
)  # fmt: skip
def test_one_or_two_blanks_and_a_figshare_number(tmp_path: Path, name: str, task: str) -> None:
    write_eeg(tmp_path / mdd_64.FOLDER / name, mdd_64.LABELS, duration_s=12)
    (row,) = take(tmp_path).recordings
    assert (row["status"], label(row, "task")) == ("accepted", task)


def test_litter_of_archives_is_no_file_and_other_names_are_accounted_for(tmp_path: Path) -> None:
    folder = tmp_path / mdd_64.FOLDER
    write_eeg(folder / "MDD S1 nap.edf", mdd_64.LABELS, duration_s=12)
    (folder / "._MDD S1 EC.edf").write_bytes(b"litter")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX/H S1 EC.edf").write_bytes(b"litter")
    assert [r["reject_cause"] for r in take(tmp_path).recordings] == ["file_name"]


def test_ear_and_spare_signals_are_dropped_and_old_names_are_found(tmp_path: Path) -> None:
    labels = (*mdd_64.LABELS, *mdd_64.SPARE)
    data = noise_uv(len(labels), 12, 256, scale_uv=5)
    data[labels.index("EEG T5-LE")] *= 4
    for dropped in ("EEG A2-A1", *mdd_64.SPARE):
        data[labels.index(dropped)] *= 100
    signals = [EdfSignalSpec(x, row, 256) for x, row in zip(labels, data, strict=True)]
    write_edf_file(tmp_path / mdd_64.FOLDER / "H S5 EC.edf", EdfFileSpec(signals))
    found = take(tmp_path)
    frame = pl.from_arrow(process_shard(SPEC, tmp_path, found.recordings).segments)
    assert isinstance(frame, pl.DataFrame)
    (batch,) = segment_batches(frame)
    assert batch.schema.ch_names == CANONICAL19
    assert batch.mask.all()
    spread = np.abs(batch.data_uv[0]).mean(axis=1)
    loud = {CANONICAL19[i] for i in np.flatnonzero(spread > 2 * np.median(spread))}
    assert loud == {"P7"}
    assert [x["name"] for x in found.recordings[0]["labels"]] == ["diagnosis", "task"]


def test_the_pass_band_and_mains_are_those_of_the_site(whole: tuple[Path, Inventory]) -> None:
    row = whole[1].recordings[0]
    assert (row["sfreq_hz"], row["line_freq_hz"]) == (256.0, 50.0)
    assert (row["band_low_hz"], row["band_high_hz"]) == (0.5, 70.0)
    assert (row["age_band"], row["sex"], row["licence"]) == (None, None, "CC-BY-4.0")


def test_no_file_name_reaches_a_reject(whole: tuple[Path, Inventory]) -> None:
    assert not any(" S" in reject["detail"] for reject in whole[1].rejects)
