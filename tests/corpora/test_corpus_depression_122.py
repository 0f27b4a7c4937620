from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
from formats.edf import noise_uv
from formats.eeglab import SetSpec, write_set
from trees import depression_122 as tree_of

from dagster_project.corpora.inventory import Inventory, inventory
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import process_shard

SPEC = corpus("depression-122")
SHARD = "depression-122-01-of-01"


def take(root: Path) -> Inventory:
    return inventory(SPEC, root, SHARD, salt="x")


def name_of(row: dict[str, Any]) -> str:
    stem = row["path"].rpartition("/")[2]
    return stem.removesuffix("_eeg.set").replace("_task-Rest", "")


def said(row: dict[str, Any]) -> dict[str, str]:
    return {label["name"]: label["value"] for label in row["labels"]}


def eyes(root: Path, row: dict[str, Any]) -> dict[float, str]:
    found = process_shard(SPEC, root, [row]).segments.to_pylist()
    return {
        s["start_s"]: "+".join(x["value"] for x in s["labels"] if x["name"] == "eyes")
        for s in found
    }


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("depression")
    tree_of.write(root)
    return root


@pytest.fixture(scope="module")
def taken(tree: Path) -> Inventory:
    return take(tree)


def test_eyes_come_from_the_value_where_trial_type_is_the_bare_word_status(
    tree: Path, taken: Inventory
) -> None:
    # closed 4-20 s, open 25-41 s and 45-61 s, closed 66-82 s; nothing is known in between
    assert eyes(tree, taken.recordings[0]) == {
        0: "closed", 10: "closed", 20: "open", 30: "open", 40: "open", 50: "open",
        60: "open+closed", 70: "closed",
    }  # fmt: skip


def test_blocks_of_two_codes_and_one_state_stay_apart(tmp_path: Path, tree: Path) -> None:
    shutil.copytree(tree / "ds003478", tmp_path / "ds003478")
    events = next((tmp_path / "ds003478/sub-001").rglob("*events.tsv"))
    head, *rows = events.read_text().splitlines(keepends=True)
    kept = [r for r in rows if not 25 <= float(r.split("\t")[0]) <= 61.5]
    late = [r for r in rows if 25 <= float(r.split("\t")[0]) <= 41.5]
    events.write_text(head + "".join(kept[:-20] + late + kept[-20:]))
    row = take(tmp_path).recordings[0]
    # without the second open block (45-61 s), nothing is said of 50-60 s
    assert eyes(tmp_path, row)[50] == ""


def test_boundary_and_keyboard_rows_are_no_markers(taken: Inventory) -> None:
    # boundary, six keyboard rows (one before and one in each block) and two rows of 17
    rows = tree_of.marker_rows()
    others = [r for r in rows if r.split("\t")[6].strip() in {"boundary", "keyboard0", "17"}]
    assert said(taken.recordings[0])["events_not_mapped"] == str(len(others)) == "8"


def test_sub_038_is_set_aside_for_its_missing_scores(taken: Inventory) -> None:
    (row,) = [r for r in taken.recordings if "sub-038" in r["path"]]
    assert (row["status"], row["reject_cause"]) == ("rejected", "bad_labels")
    (why,) = [r for r in taken.rejects if r["recording_id"] == row["recording_id"]]
    assert "all scores missing" in why["detail"]


def test_the_second_run_of_sub_107_is_a_duplicate_by_its_samples(taken: Inventory) -> None:
    first, second = (r for r in taken.recordings if "sub-107" in r["path"])
    assert (first["status"], second["status"]) == ("accepted", "rejected")
    assert second["reject_cause"] == "duplicate"
    assert first["sha256"] == second["sha256"]


def test_sub_010_has_one_run_and_that_is_no_fault(taken: Inventory) -> None:
    rows = [r for r in taken.recordings if "sub-010" in r["path"]]
    assert [(name_of(r), r["session"], r["status"]) for r in rows] == [
        ("sub-010_run-01", "01", "accepted")
    ]


def test_scores_are_cut_as_in_the_source_study(taken: Inventory) -> None:
    rows = {name_of(r): said(r) for r in taken.recordings if r["status"] == "accepted"}
    assert {k: (v["depression"], v["interview"]) for k, v in rows.items()} == {
        "sub-001_run-01": ("control", "none"),
        "sub-003_run-01": ("between", "none"),
        "sub-003_run-02": ("between", "none"),
        "sub-010_run-01": ("control", "none"),
        "sub-107_run-01": ("depressed", "past_mdd"),
    }
    assert {(r["sex"], r["age_band"]) for r in taken.recordings if "sub-107" in r["path"]} == {
        ("F", "20-29")
    }


def test_upper_case_labels_with_and_without_ekg_give_the_same_19(
    tree: Path, taken: Inventory
) -> None:
    rows = [r for r in taken.recordings if r["status"] == "accepted"]
    assert {r["channel_schema"] for r in rows} == {"referential19"}
    segments = process_shard(SPEC, tree, rows[:2]).segments
    assert segments["mask"].to_pylist() == [[True] * 19] * 16


def test_swapped_eye_leads_change_nothing(tmp_path: Path) -> None:
    hashes = []
    for name, eye_leads in (("a", ("HEOG", "VEOG")), ("b", ("VEOG", "HEOG"))):
        folder = tmp_path / name / "ds003478/sub-001/eeg"
        data = noise_uv(66, 12, 500, 3)
        spec = SetSpec(data, tree_of.EEG + eye_leads, 500)
        write_set(folder / "sub-001_task-Rest_run-01_eeg.set", spec)
        (row,) = take(tmp_path / name).recordings
        hashes.append((row["status"], row["sha256"]))
    assert hashes[0] == hashes[1]
    assert hashes[0][0] == "accepted"


def test_a_run_with_one_state_only_contradicts_the_corpus(tmp_path: Path, tree: Path) -> None:
    shutil.copytree(tree / "ds003478", tmp_path / "ds003478")
    events = next((tmp_path / "ds003478/sub-010").rglob("*events.tsv"))
    head, *rows = events.read_text().splitlines(keepends=True)
    closed = [r for r in rows if r.split("\t")[6].strip() in {"1", "3", "11", "13"}]
    events.write_text(head + "".join(closed))
    (row,) = [r for r in take(tmp_path).recordings if "sub-010" in r["path"]]
    assert row["reject_cause"] == "bad_labels"


def test_a_missing_event_table_is_said(tmp_path: Path, tree: Path) -> None:
    shutil.copytree(tree / "ds003478", tmp_path / "ds003478")
    next((tmp_path / "ds003478/sub-010").rglob("*events.tsv")).unlink()
    (row,) = [r for r in take(tmp_path).recordings if "sub-010" in r["path"]]
    assert row["status"] == "accepted"
    assert said(row)["events"] == "missing"


def test_a_set_without_its_fdt_is_set_aside(tmp_path: Path, tree: Path) -> None:
    shutil.copytree(tree / "ds003478", tmp_path / "ds003478")
    next((tmp_path / "ds003478/sub-001").rglob("*.fdt")).unlink()
    row = take(tmp_path).recordings[0]
    assert row["status"] == "rejected"
    assert "sub-001" not in str(take(tmp_path).rejects)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Path:
    """Generated signals of two channels beside the real sidecars."""
    root = tmp_path_factory.mktemp("real")
    base = root / "ds003478"
    base.mkdir()
    source = data_root / "depression122-ds003478"
    shutil.copy(source / "participants.tsv", base)
    for i, stem in enumerate(("sub-001_task-Rest_run-01", "sub-001_task-Rest_run-02",
                              "sub-066_task-Rest_run-01", "sub-066_task-Rest_run-02")):  # fmt: skip
        subject = stem[:7]
        shutil.copytree(source / subject, base / subject, dirs_exist_ok=True)
        path = base / subject / "eeg" / f"{stem}_eeg.set"
        write_set(path, SetSpec(noise_uv(2, 502, 500, i), ("FP1", "OZ"), 500))
    return root


def test_the_real_event_tables_give_the_blocks_the_readme_names(real: Path) -> None:
    rows = {name_of(r): r for r in take(real).recordings}
    found = eyes(real, rows["sub-001_run-01"])
    # OCCOCO; the markers run 20.7-87.5, 108.0-174.7, 186.7-253.4, 268.1-334.9, 347.3-414.1 and
    # 427.5-494.3 s
    expected = {
        0: "", 10: "", 20: "open", 80: "open", 90: "", 100: "closed", 170: "closed",
        180: "closed", 250: "closed", 260: "open", 330: "open", 340: "closed", 410: "closed",
        420: "open", 490: "open",
    }  # fmt: skip
    assert {t: found[t] for t in expected} == expected
    short = eyes(real, rows["sub-066_run-02"])
    # CO: 77.9-144.7 and 156.3-223.1 s
    assert [t for t, v in short.items() if v == "closed"] == [70, 80, 90, 100, 110, 120, 130, 140]
    assert [t for t, v in short.items() if v == "open"] == [150, 160, 170, 180, 190, 200, 210, 220]


def test_the_real_sidecars_say_mains_and_reference(real: Path) -> None:
    for row in take(real).recordings:
        assert said(row)["reference_sidecar"] == "between_cz_cpz"
        assert "line_freq_sidecar" not in said(row)
        assert row["line_freq_hz"] == 60.0


def test_the_real_table_gives_everyone_one_group(real: Path, data_root: Path) -> None:
    path = data_root / "depression122-ds003478/participants.tsv"
    with path.open(newline="") as file:
        people = list(csv.DictReader(file, delimiter="\t"))
    scores = [float(p["BDI"]) for p in people]
    assert sum(s < 7 for s in scores) == 74
    assert [s for s in scores if 7 <= s < 13] == [7]
    assert sum(s >= 13 for s in scores) == 46  # the spec counts 47; the real table has 46
    assert sum(s != s for s in scores) == 1
    rows = {name_of(r): said(r)["depression"] for r in take(real).recordings}
    by_id = {p["participant_id"]: float(p["BDI"]) for p in people}
    assert rows["sub-001_run-01"] == "control"
    assert by_id["sub-001"] == 0
    assert rows["sub-066_run-01"] == ("depressed" if by_id["sub-066"] >= 13 else "control")
