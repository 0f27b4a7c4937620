"""AD-65 (ds004504) and its photic companion ds006036: the same people."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formats.eeglab import SetSpec, write_set, write_set73
from trees import ad65, ds006036

from dagster_project.corpora.inventory import Inventory, inventory
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import find_files, shard_keys

AD65, PHOTIC = corpus("ad65"), corpus("ds006036")


def take(root: Path, key: str) -> Inventory:
    (shard,) = shard_keys(key)
    return inventory(corpus(key), root, shard, salt="x")


def said(row: dict[str, Any]) -> dict[str, str]:
    return {label["name"]: label["value"] for label in row["labels"]}


def spans(root: Path, row: dict[str, Any], name: str) -> list[tuple[float, str]]:
    """Start of each segment of a recording with the values of one interval label, joined."""
    found = process_shard(corpus(row["corpus"]), root, [row]).segments.to_pylist()
    return [
        (s["start_s"], "+".join(x["value"] for x in s["labels"] if x["name"] == name))
        for s in found
    ]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ad65")
    ad65.write(root)
    return root


@pytest.fixture(scope="module")
def photic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ds006036")
    ds006036.write(root)
    return root


def test_derivatives_of_the_same_name_are_not_walked(raw: Path) -> None:
    paths = [f.relative_path for f in find_files(AD65, raw) if f.is_recording]
    assert paths == [f"ds004504/{p[0]}/eeg/{p[0]}_task-eyesclosed_eeg.set" for p in ad65.PEOPLE]
    assert len(list((raw / "ds004504").rglob("*.set"))) == 2 * len(paths)


def test_the_group_and_whether_it_is_in_the_65_are_said_and_counted(raw: Path) -> None:
    rows = take(raw, "ad65").recordings
    assert [(said(r)["diagnosis"], said(r)["ad65_subset"]) for r in rows] == [
        ("alzheimer", "in"), ("alzheimer", "in"), ("control", "in"), ("control", "in"),
        ("frontotemporal_dementia", "out"),
    ]  # fmt: skip
    assert [(r["age_band"], r["sex"]) for r in rows[:3]] == [
        ("50-59", "F"), ("70-79", "F"), ("50-59", "M")
    ]  # fmt: skip
    assert AD65.expected.labels["ad65_subset"] == {"in": 36 + 29, "out": 23}


def test_nineteen_channels_of_old_names_at_500_hz(raw: Path) -> None:
    row = take(raw, "ad65").recordings[0]
    assert (row["sfreq_hz"], row["line_freq_hz"], row["channel_schema"]) == (
        500.0, 50.0, "referential19",
    )  # fmt: skip
    (first,) = process_shard(AD65, raw, [row]).segments.slice(0, 1).to_pylist()
    assert all(first["mask"])


def test_all_of_it_is_eyes_closed(raw: Path) -> None:
    assert {said(r)["eyes"] for r in take(raw, "ad65").recordings} == {"closed"}


def test_a_whole_copy_has_88_files_of_19_to_20_hours() -> None:
    for spec in (AD65, PHOTIC):
        assert (spec.expected.n_recordings, spec.expected.rates) == (88, {"500": 88})
        assert sum(spec.expected.labels["diagnosis"].values()) == 88
    assert AD65.expected.hours == (19.0, 19.7)
    windows = AD65.published_windows
    assert windows
    assert windows.train + windows.test == 6842 <= 19.61 * 360


def test_whether_cz_is_the_reference_is_measured(raw: Path) -> None:
    rows = take(raw, "ad65").recordings
    assert [said(r)["Cz_signal"] for r in rows] == ["moving", "flat", "moving", "moving", "moving"]
    assert {said(r)["reference_sidecar"] for r in rows} == {"ears"}


def test_a_calibration_pulse_at_the_end_is_suspected_where_its_mark_is_gone(raw: Path) -> None:
    rows = take(raw, "ad65").recordings
    seen = [said(r)["calibration_seen"] for r in rows]
    assert seen == ["none", "none", "none", "suspected", "none"]
    # planted from 24 s to the end at 32 s
    assert spans(raw, rows[3], "calibration") == [(0, ""), (10, ""), (20, "suspected")]


def test_samples_arrive_in_microvolts(raw: Path, tmp_path: Path) -> None:
    t = np.arange(500 * 31) / 500
    tone = np.tile(40 * np.sin(2 * np.pi * 10 * t), (19, 1))
    ways = (
        (write_set, {"where": "set"}),
        (write_set, {"where": "set", "layout": "fields"}),
        (write_set, {"where": "fdt"}),
        (write_set73, {"where": "set"}),
    )
    for i, (write, how) in enumerate(ways):
        root = tmp_path / str(i)
        path = root / "ds004504/sub-001/eeg/sub-001_task-eyesclosed_eeg.set"
        write(path, SetSpec(tone, ad65.LABELS, 500, **how))
        found = take(root, "ad65")
        assert [r["status"] for r in found.recordings] == ["accepted"]
        segments = process_shard(AD65, root, list(found.recordings)).segments
        peak = np.percentile(np.abs(np.array(segments["signal"][1].as_py())) * 0.05, 99)
        assert peak == pytest.approx(40, rel=0.03)


def test_the_real_table_and_sidecars_are_read(tmp_path: Path, data_root: Path) -> None:
    real = data_root / "ad65-ds004504"
    base = tmp_path / "ds004504"
    base.mkdir()
    shutil.copy(real / "participants.tsv", base)
    for i, subject in enumerate(("sub-001", "sub-037", "sub-066")):
        shutil.copytree(real / subject, base / subject)
        ad65.write_raw(base / subject / "eeg" / f"{subject}_task-eyesclosed_eeg.set", i, 12)
    rows = take(tmp_path, "ad65").recordings
    assert [said(r)["diagnosis"] for r in rows] == [
        "alzheimer", "control", "frontotemporal_dementia"
    ]  # fmt: skip
    assert [(r["age_band"], r["sex"]) for r in rows] == [
        ("50-59", "F"), ("50-59", "M"), ("70-79", "M")
    ]  # fmt: skip
    assert all(said(r)["reference_sidecar"] == "ears" for r in rows)
    assert not any("line_freq_sidecar" in said(r) for r in rows)


def test_the_real_table_has_36_23_29(data_root: Path) -> None:
    text = (data_root / "ad65-ds004504/participants.tsv").read_text()
    groups = [line.split("\t")[3] for line in text.splitlines()[1:]]
    expected = AD65.expected.labels["diagnosis"]
    assert {g: groups.count(g) for g in "AFC"} == {
        "A": expected["alzheimer"],
        "F": expected["frontotemporal_dementia"],
        "C": expected["control"],
    }


def test_the_two_corpora_share_people_and_splits(raw: Path, photic: Path) -> None:
    a, b = take(raw, "ad65").recordings, take(photic, "ds006036").recordings
    assert [(r["subject_id"], r["split"]) for r in a] == [(r["subject_id"], r["split"]) for r in b]


def test_everything_from_the_calibration_on_is_cut_off(photic: Path) -> None:
    rows = take(photic, "ds006036").recordings
    starts = [[start for start, _ in spans(photic, r, "eyes")] for r in rows]
    assert starts[0] == [0, 10, 20, 30, 40, 50, 60]  # calibration begins at 72.5 s
    assert starts[-1] == [0, 10, 20, 30, 40, 50, 60, 70]  # 84 s without calibration
    assert [said(r)["calibration"] for r in rows] == ["cut_off"] * 4 + ["not_marked"]


def test_eyes_follow_the_marks_and_not_the_title(photic: Path) -> None:
    rows = take(photic, "ds006036").recordings
    # open at 25 s, closed at 45 s, open at 60 s
    assert spans(photic, rows[0], "eyes") == [
        (0, ""), (10, ""), (20, "open"), (30, "open"), (40, "open+closed"), (50, "closed"),
        (60, "open"),
    ]  # fmt: skip
    # without calibration the closed eyes marked at 76 s are there too
    assert spans(photic, rows[-1], "eyes")[-1] == (70, "open+closed")


def test_flash_trains_carry_their_rate(photic: Path) -> None:
    row = take(photic, "ds006036").recordings[0]
    # 5 Hz from 2.2 s to 10.2 s, 10 Hz from 12.1 s to 20.1 s
    assert spans(photic, row, "photic")[:4] == [
        (0, "5 Hz"), (10, "10 Hz"), (20, ""), (30, "")
    ]  # fmt: skip


def test_flashes_at_another_rate_than_marked_have_no_known_rate(tmp_path: Path) -> None:
    ds006036.write(tmp_path)
    events = next((tmp_path / "ds006036/sub-001").rglob("*events.tsv"))
    rows = [(t, "PHOTO 25Hz" if v.startswith("PHOTO 10") else v) for t, v in ds006036.marks()]
    ds006036.write_events(events, rows)
    row = take(tmp_path, "ds006036").recordings[0]
    assert spans(tmp_path, row, "photic")[1] == (10, "unknown")


def test_lost_greek_letters_and_blanks_do_not_hide_a_mark(photic: Path) -> None:
    row = take(photic, "ds006036").recordings[0]
    assert spans(photic, row, "technician_mark")[3] == (30, "eye_movement+swallowing")
    assert said(row)["display_montage"] == "monopolar_Cz"


def test_free_text_of_the_technician_is_counted_and_never_copied(photic: Path) -> None:
    rows = take(photic, "ds006036").recordings
    assert {said(r)["events_not_mapped"] for r in rows} == {"1"}
    found = process_shard(PHOTIC, photic, list(rows)).segments.drop_columns(["signal"]).to_pylist()
    assert len(found) == 36
    assert "free text" not in str(found) + str(rows)


def test_a_byte_order_mark_and_blank_padded_names_are_read(photic: Path) -> None:
    assert (photic / "ds006036/participants.tsv").read_bytes().startswith(b"\xef\xbb\xbf")
    row = take(photic, "ds006036").recordings[0]
    assert (said(row)["diagnosis"], row["age_band"], row["sex"]) == ("alzheimer", "50-59", "F")


def test_a_group_other_than_ad65_s_is_a_contradiction(tmp_path: Path) -> None:
    ds006036.write(tmp_path)
    table = tmp_path / "ds006036/participants.tsv"
    table.write_text(table.read_text("utf-8").replace("sub-037\tM\t57\tC", "sub-037\tM\t57\tA"))
    found = take(tmp_path, "ds006036")
    assert [(r["path"].split("/")[1], r["reject_cause"]) for r in found.recordings] == [
        ("sub-001", None), ("sub-002", None), ("sub-037", "bad_labels"), ("sub-038", None),
        ("sub-066", None),
    ]  # fmt: skip
    assert "Group" in found.rejects[0]["detail"]


def test_ad65_s_real_groups_are_those_the_companion_is_held_to(
    tmp_path: Path, data_root: Path
) -> None:
    ds006036.write(tmp_path)
    shutil.copy(data_root / "ad65-ds004504/participants.tsv", tmp_path / "ds006036")
    assert all(r["status"] == "accepted" for r in take(tmp_path, "ds006036").recordings)
