from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from formats.edf import noise_uv
from trees import lemon

from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import shard_keys

SPEC = corpus("lemon")


def take(root: Path) -> dict[str, dict[str, Any]]:
    rows = [r for s in shard_keys("lemon") for r in inventory(SPEC, root, s, salt="x").recordings]
    return {r["path"].rpartition("/")[2].removeprefix("sub-").split(".")[0]: r for r in rows}


def said(row: dict[str, Any]) -> dict[str, str]:
    return {label["name"]: label["value"] for label in row["labels"]}


def eyes(root: Path, row: dict[str, Any]) -> list[str]:
    found = process_shard(SPEC, root, [row]).segments.to_pylist()
    return ["+".join(x["value"] for x in s["labels"] if x["name"] == "eyes") for s in found]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lemon")
    lemon.write(root)
    return root


def test_markers_every_two_seconds_become_blocks(tree: Path) -> None:
    # closed 2-18 s, open 22-38 s, closed 42-58 s
    row = take(tree)["010002"]
    assert eyes(tree, row) == ["closed", "closed", "open", "open", "closed", "closed"]
    assert said(row)["events_not_mapped"] == "2"  # New Segment and S  1


def test_rates_are_the_files(tree: Path) -> None:
    rates = {k: r["sfreq_hz"] for k, r in take(tree).items()}
    assert rates == {"010002": 2500, "010020": 2500, "010203": 1000, "010321": 500}


def test_a_header_that_names_other_files_is_read_by_its_own_stem(tree: Path) -> None:
    header = (tree / "lemon/sub-010020/RSEEG/sub-010020.vhdr").read_text("utf-8")
    assert "DataFile=sub-032301.eeg" in header
    row = take(tree)["010020"]
    assert row["status"] == "accepted"
    assert eyes(tree, row) == ["closed", "closed", "open", "open", "closed", "closed"]


def test_a_missing_marker_file_is_said_and_no_eyes_are_guessed(tree: Path) -> None:
    row = take(tree)["010203"]
    assert (row["status"], said(row)["events"]) == ("accepted", "missing")
    assert set(eyes(tree, row)) == {""}


def test_one_kind_of_block_only_contradicts_the_corpus(tmp_path: Path) -> None:
    header = tmp_path / "lemon/sub-010002/RSEEG/sub-010002.vhdr"
    marks = [m for m in lemon.markers(500) if m[1] != "S200"]
    data = noise_uv(len(lemon.EEG), lemon.DURATION_S, 500)
    lemon.write_triplet(header, data, lemon.EEG, 500, marks)
    row = take(tmp_path)["010002"]
    assert row["reject_cause"] == "bad_labels"


def test_ages_in_bins_become_bands(tree: Path) -> None:
    rows = take(tree)
    found = {k: (r["age_band"], r["sex"], said(r).get("age_group")) for k, r in rows.items()}
    assert found == {
        "010002": ("20-29", "M", "younger"),
        "010020": ("60-69", "F", "older"),
        "010203": ("20-29", "F", "younger"),
        "010321": (None, None, None),
    }
    assert said(rows["010321"])["subject_table"] == "missing"


def test_the_nemar_copy_is_read_without_ages(tmp_path: Path) -> None:
    header = tmp_path / "nm000179/sub-010002/eeg/sub-010002_task-resting_eeg.vhdr"
    data = noise_uv(len(lemon.EEG), lemon.DURATION_S, 500)
    lemon.write_triplet(header, data, lemon.EEG, 500, lemon.markers(500))
    (tmp_path / "nm000179/participants.tsv").write_text("participant_id\tage\nsub-010002\tn/a\n")
    (row,) = take(tmp_path).values()
    assert (row["status"], row["age_band"], said(row)["subject_table"]) == (
        "accepted", None, "missing",
    )  # fmt: skip


def test_veog_is_no_scalp_channel(tree: Path) -> None:
    found = process_shard(SPEC, tree, [take(tree)["010002"]]).segments
    assert found["mask"].to_pylist() == [[True] * 19] * 6
