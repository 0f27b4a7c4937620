from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.io
from trees import seed as tree
from trees import seed_iv as tree_iv

from dagster_project.corpora.batches import segment_batches
from dagster_project.corpora.inventory import Inventory, inventory
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import ShardSegments, process_shard
from dagster_project.corpora.shards import shard_keys
from detectors.types import CANONICAL19

SEED_ORDER = [
    "FP1", "FPZ", "FP2", "AF3", "AF4", "F7", "F5", "F3", "F1", "FZ", "F2", "F4", "F6", "F8",
    "FT7", "FC5", "FC3", "FC1", "FCZ", "FC2", "FC4", "FC6", "FT8", "T7", "C5", "C3", "C1", "CZ",
    "C2", "C4", "C6", "T8", "TP7", "CP5", "CP3", "CP1", "CPZ", "CP2", "CP4", "CP6", "TP8", "P7",
    "P5", "P3", "P1", "PZ", "P2", "P4", "P6", "P8", "PO7", "PO5", "PO3", "POZ", "PO4", "PO6",
    "PO8", "CB1", "O1", "OZ", "O2", "CB2",
]  # fmt: skip


def take(root: Path, key: str = "seed") -> Inventory:
    parts = [inventory(corpus(key), root, s, salt="x") for s in shard_keys(key)]
    rows = sorted((r for p in parts for r in p.recordings), key=lambda r: r["path"])
    return Inventory(tuple(rows), tuple(r for p in parts for r in p.rejects), 0, 0)


def cut(root: Path, found: Inventory, key: str = "seed") -> ShardSegments:
    return process_shard(corpus(key), root, found.recordings)


def labels(row: dict[str, Any]) -> dict[str, str]:
    return {label["name"]: label["value"] for label in row["labels"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Inventory, ShardSegments]:
    root = tmp_path_factory.mktemp("seed")
    tree.write(root)
    found = take(root)
    return root, found, cut(root, found)


def one_file(root: Path, **keywords: Any) -> Path:
    path = root / "seed/SEED_EEG/Preprocessed_EEG/3_20140603.mat"
    tree.write_file(path, "x", 15, **keywords)
    return path


def test_only_the_preprocessed_files_are_recordings(whole: tuple[Any, ...]) -> None:
    _, found, _ = whole
    assert found.rejects == ()
    assert [r["path"].rpartition("/")[2] for r in found.recordings] == [
        "15_20130709.mat", "1_20131027.mat", "1_20131030.mat", "1_20131107.mat", "2_20140404.mat",
    ]  # fmt: skip


def test_sessions_are_ranked_by_date_and_no_date_is_kept_beside_the_path(
    whole: tuple[Any, ...],
) -> None:
    _, found, _ = whole
    assert [labels(r)["session"] for r in found.recordings] == ["1", "1", "2", "3", "1"]
    assert all("2013" not in str({**r, "path": ""}) for r in found.recordings)


def test_sexes_are_those_of_the_subject_list(whole: tuple[Any, ...]) -> None:
    _, found, _ = whole
    assert [r["sex"] for r in found.recordings] == ["F", "M", "M", "M", "F"]


def test_fifteen_trials_in_order_of_number_with_five_of_each_emotion(
    whole: tuple[Any, ...],
) -> None:
    _, found, segments = whole
    rows = segments.segments.drop_columns(["signal"]).to_pylist()
    mine = [labels(r) for r in rows if r["recording_id"] == found.recordings[1]["recording_id"]]
    assert [row["trial"] for row in mine] == [str(n) for n in range(1, 16)]
    words = [row["emotion"] for row in mine]
    assert words[:5] == ["positive", "neutral", "negative", "negative", "neutral"]
    assert {w: words.count(w) for w in words} == {"positive": 5, "neutral": 5, "negative": 5}


def test_no_segment_crosses_a_clip(whole: tuple[Any, ...]) -> None:
    _, found, segments = whole
    rows = segments.segments.drop_columns(["signal"]).to_pylist()
    mine = [r for r in rows if r["recording_id"] == found.recordings[1]["recording_id"]]
    lengths = [11 + n / 10 for n in range(1, 16)]
    starts = [sum(lengths[:n]) for n in range(15)]
    assert [r["start_s"] for r in mine] == pytest.approx(starts)
    assert found.recordings[1]["n_gaps"] == 14
    assert found.recordings[1]["duration_s"] == pytest.approx(sum(lengths))


def test_the_62_channels_are_in_the_published_order(whole: tuple[Any, ...]) -> None:
    assert corpus("seed").reader.params["channels"] == SEED_ORDER
    assert (SEED_ORDER.index("CB1"), SEED_ORDER.index("CB2")) == (57, 61)
    _, found, segments = whole
    frame = pl.from_arrow(segments.segments)
    assert isinstance(frame, pl.DataFrame)
    mine = frame.filter(pl.col("recording_id") == found.recordings[1]["recording_id"])[:1]
    (batch,) = segment_batches(mine)
    planted = tree.clip(0, 1, 11.1)[:, :2000]
    spectrum = np.fft.rfft(planted)
    hz = np.fft.rfftfreq(2000, 1 / 200)
    middle = (hz > 5) & (hz < 40)
    for row, name in enumerate(CANONICAL19):
        theirs = spectrum[SEED_ORDER.index(name.upper())][middle]
        mine_too = np.fft.rfft(batch.data_uv[0, row])[middle]
        assert np.corrcoef(np.abs(theirs), np.abs(mine_too))[0, 1] > 0.95
        assert np.vdot(theirs, mine_too).real / np.vdot(theirs, theirs).real == pytest.approx(
            1, abs=0.02
        )


def test_prefixes_differ_and_ten_comes_after_two(tmp_path: Path) -> None:
    one_file(tmp_path, is_compressed=True)
    rows = cut(tmp_path, take(tmp_path)).segments.drop_columns(["signal"]).to_pylist()
    assert [labels(r)["trial"] for r in rows][8:11] == ["9", "10", "11"]


def test_a_missing_trial_is_said_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    one_file(tmp_path, first=3)
    found = take(tmp_path)
    assert labels(found.recordings[0])["trials"] == "13 of 15"
    rows = cut(tmp_path, found).segments.drop_columns(["signal"]).to_pylist()
    assert (labels(rows[0])["trial"], labels(rows[0])["emotion"]) == ("3", "negative")


Break = Callable[[Path], object]
BAD: dict[str, tuple[Break, str]] = {
    "a sixteenth trial": (lambda p: tree.write_file(p, "x", 16), "bad_labels"),
    "labels that contradict": (
        lambda p: scipy.io.savemat(p.with_name("label.mat"), {"label": [[0] * 15]}),
        "bad_labels",
    ),
    "labels that are none": (
        lambda p: scipy.io.savemat(p.with_name("label.mat"), {"label": "positive"}),
        "bad_labels",
    ),
    "labels that are no file": (
        lambda p: p.with_name("label.mat").write_bytes(b"\x80\x04\x95 pickle"),
        "bad_labels",
    ),
    "61 channels": (
        lambda p: scipy.io.savemat(p, {"x_eeg1": np.random.default_rng(0).normal(size=(61, 4000))}),
        "bad_header",
    ),
    "volts": (
        lambda p: scipy.io.savemat(p, {"x_eeg1": tree.clip(0, 1, 20) * 1e-6}),
        "wrong_unit",
    ),
    "no trial": (lambda p: scipy.io.savemat(p, {"eeg": tree.clip(0, 1, 20)}), "bad_header"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_breaks_the_layout_is_set_aside(tmp_path: Path, kind: str) -> None:
    break_it, cause = BAD[kind]
    break_it(one_file(tmp_path))
    assert [r["cause"] for r in take(tmp_path).rejects] == [cause]


def test_codes_without_label_mat_come_from_the_entry(tmp_path: Path) -> None:
    one_file(tmp_path)
    rows = cut(tmp_path, take(tmp_path)).segments.drop_columns(["signal"]).to_pylist()
    said = [x for x in rows[0]["labels"] if x["name"] == "emotion"]
    assert (said[0]["value"], said[0]["source"]) == ("positive", "order of trials")


def test_the_two_splits_are_those_published() -> None:
    trial, subject = corpus("seed").splits
    assert trial.params["trials"] == {
        "train": list(range(1, 10)), "validation": [10, 11, 12], "test": [13, 14, 15],
    }  # fmt: skip
    parts = subject.params["subjects"]
    named = [subject for part in parts.values() for subject in part]
    assert sorted(named, key=int) == [str(n) for n in range(1, 16)]


SESSIONS = {
    "1": "1 2 3 0 2 0 0 1 0 1 2 1 1 1 2 3 2 2 3 3 0 3 0 3",
    "2": "2 1 3 0 0 2 0 2 3 3 2 3 2 0 1 1 2 1 0 3 0 1 3 1",
    "3": "1 2 2 1 3 3 3 1 1 2 1 0 2 3 3 0 2 3 0 0 2 0 1 0",
}
WORDS = {"0": "neutral", "1": "sad", "2": "fear", "3": "happy"}


def test_seed_iv_codes_differ_by_session_and_reach_trials_above_nine(tmp_path: Path) -> None:
    tree_iv.write(tmp_path)
    found = take(tmp_path, "seed-iv")
    assert [r["session"] for r in found.recordings] == ["1", "1", "1", "2", "3"]
    assert [r["sex"] for r in found.recordings] == ["F", "M", "M", "M", "M"]
    rows = cut(tmp_path, found, "seed-iv").segments.drop_columns(["signal"]).to_pylist()
    for recording in found.recordings:
        mine = [labels(r) for r in rows if r["recording_id"] == recording["recording_id"]]
        assert [row["trial"] for row in mine] == [str(n) for n in range(1, 25)]
        said = [row["emotion"] for row in mine]
        assert said == [WORDS[c] for c in SESSIONS[recording["session"]].split()]
        assert {w: said.count(w) for w in said} == dict.fromkeys(WORDS.values(), 6)


def test_published_splits_reach_segments_and_recordings(whole: tuple[Any, ...]) -> None:
    _, found, segments = whole
    parts = {"train": range(1, 10), "validation": range(10, 13), "test": range(13, 16)}
    for row in segments.segments.drop_columns(["signal"]).to_pylist():
        said = {x["name"]: x["value"] for x in row["labels"] if x["scope"] == "split"}
        assert int(labels(row)["trial"]) in parts[said["neurolm"]]
        is_last = row["recording_id"] == found.recordings[0]["recording_id"]
        assert said["subject"] == ("test" if is_last else "train")
