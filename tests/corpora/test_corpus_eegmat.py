from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from trees import eegmat

from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import shard_keys

SPEC = corpus("eegmat")
(SHARD,) = shard_keys("eegmat")


def take(root: Path) -> tuple[dict[str, Any], ...]:
    return inventory(SPEC, root, SHARD, salt="x").recordings


def values(rows: tuple[dict[str, Any], ...], name: str) -> list[str]:
    return [x["value"] for r in rows for x in r["labels"] if x["name"] == name]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], ...]:
    root = tmp_path_factory.mktemp("eegmat")
    for number in range(36):
        for part in (1, 2):
            eegmat.write_file(
                root / eegmat.FOLDER, number, part, sfreq_hz=100, duration_s=13 if part == 1 else 11
            )
    eegmat.write_table(root / eegmat.FOLDER, {n: eegmat.row_of(n) for n in range(36)})
    return take(root)


def test_72_files_are_36_pairs_of_rest_and_task(whole: tuple[dict[str, Any], ...]) -> None:
    assert [r["status"] for r in whole] == ["accepted"] * 72
    assert Counter(values(whole, "task")) == SPEC.expected.labels["task"]
    assert set(Counter(r["subject_id"] for r in whole).values()) == {2}
    assert len({r["subject_id"] for r in whole}) == 36


def test_good_and_bad_counters_are_counted_in_the_table_not_taken_from_the_readme(
    whole: tuple[dict[str, Any], ...], data_root: Path
) -> None:
    assert Counter(values(whole, "count_quality")) == {"good": 54, "bad": 18}
    text = (data_root / "workload-eegmat/subject-info.csv").read_text()
    last = Counter(line.rsplit(",", 1)[1] for line in text.split()[2:] if "Subject" in line)
    assert last == {"1": 26, "0": 10}
    assert SPEC.expected.labels["count_quality"] == {"good": 2 * 26, "bad": 2 * 10}


def test_ear_difference_and_heart_are_dropped_though_the_heart_is_in_millivolts(
    tmp_path: Path,
) -> None:
    eegmat.write(tmp_path)
    rows = take(tmp_path)
    assert {r["channel_schema"] for r in rows} == {"referential19"}
    cut = process_shard(SPEC, tmp_path, rows)
    assert cut.segments.num_rows == 3 * (9 + 6)
    assert cut.rejects.num_rows == 0
    assert all(all(mask) for mask in cut.segments["mask"].to_pylist())


def test_the_header_sex_and_its_void_annotation_say_nothing(tmp_path: Path) -> None:
    eegmat.write(tmp_path)
    rows = take(tmp_path)
    assert {r["sex"] for r in rows} == {"F"}  # every header says M
    cut = process_shard(SPEC, tmp_path, rows)
    scopes = {x["scope"] for labels in cut.segments["labels"].to_pylist() for x in labels}
    assert "interval" not in scopes
    assert not any(cut.segments["events"].to_pylist())


def test_the_band_ends_where_the_source_filter_does(whole: tuple[dict[str, Any], ...]) -> None:
    bands = {(r["band_low_hz"], r["band_high_hz"], r["line_freq_hz"]) for r in whole}
    assert bands == {(0.5, 45.0, 50.0)}


def test_real_files_have_21_signals_and_a_minute_at_least(data_root: Path) -> None:
    rows = take(data_root)
    assert [r["status"] for r in rows] == ["accepted"] * 12
    assert min(r["duration_s"] for r in rows) >= 60
    for row in rows:
        with open_recording(data_root / row["path"], SPEC.reader) as recording:
            assert len(recording.signals) == 21


def test_the_published_order_of_files_parts_no_pair(whole: tuple[dict[str, Any], ...]) -> None:
    people: dict[str, set[str]] = {}
    for row in whole:
        (part,) = values((row,), "neurolm")
        people.setdefault(part, set()).add(row["path"].rpartition("/")[2][:9])
    numbers = [range(26), range(26, 31), range(31, 36)]
    assert people == {
        part: {f"Subject{n:02d}" for n in these}
        for part, these in zip(("train", "validation", "test"), numbers, strict=True)
    }


def test_in_a_copy_that_is_not_whole_the_published_part_is_unknown(tmp_path: Path) -> None:
    eegmat.write(tmp_path)
    assert set(values(take(tmp_path), "neurolm")) == {"unknown"}
