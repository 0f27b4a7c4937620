from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from trees import ds004902

from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import process_shard

SPEC = corpus("ds004902")


def take(root: Path) -> dict[str, dict[str, Any]]:
    rows = inventory(SPEC, root, "ds004902-01-of-01", salt="x").recordings
    stems = (r["path"].rpartition("/")[2].removesuffix("_eeg.set") for r in rows)
    return {s.replace("_task-", " "): r for s, r in zip(stems, rows, strict=True)}


def said(row: dict[str, Any]) -> dict[str, str]:
    return {label["name"]: label["value"] for label in row["labels"]}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ds004902")
    ds004902.write(root)
    return root


def test_the_session_number_is_a_condition_and_no_order_in_time(tree: Path) -> None:
    rows = {k: said(r) for k, r in take(tree).items()}
    assert {k: (v["condition"], v["session_taken"]) for k, v in rows.items()} == {
        "sub-01_ses-1 eyesopen": ("normal_sleep", "first"),
        "sub-01_ses-1 eyesclosed": ("normal_sleep", "first"),
        "sub-01_ses-2 eyesopen": ("sleep_deprivation", "second"),
        "sub-01_ses-2 eyesclosed": ("sleep_deprivation", "second"),
        "sub-08_ses-1 eyesopen": ("normal_sleep", "second"),  # SD->NS
        "sub-08_ses-2 eyesclosed": ("sleep_deprivation", "first"),
        "sub-40_ses-2 eyesopen": ("sleep_deprivation", "first"),
    }


def test_eyes_come_from_the_task(tree: Path) -> None:
    for name, row in take(tree).items():
        assert said(row)["eyes"] == name.rpartition("eyes")[2]


def test_sleepiness_is_that_of_the_session(tree: Path) -> None:
    rows = {k: said(r) for k, r in take(tree).items()}
    assert rows["sub-01_ses-1 eyesopen"]["sleepiness_sss"] == "3"
    assert rows["sub-01_ses-2 eyesopen"]["sleepiness_sss"] == "5"
    assert rows["sub-40_ses-2 eyesopen"]["sleepiness_kss"] == "7"
    assert "sleepiness_kss" not in rows["sub-01_ses-1 eyesopen"]


def test_the_rate_is_the_file_s_even_at_5000_hz(tree: Path) -> None:
    rows = take(tree)
    assert rows["sub-40_ses-2 eyesopen"]["sfreq_hz"] == 5000
    assert rows["sub-01_ses-1 eyesopen"]["sfreq_hz"] == 500
    found = process_shard(SPEC, tree, [rows["sub-40_ses-2 eyesopen"]]).segments
    assert found["start_sample"].to_pylist() == [0, 50_000, 100_000]


def test_not_everyone_has_all_four_and_that_is_no_fault(tree: Path) -> None:
    rows = take(tree)
    assert {r["status"] for r in rows.values()} == {"accepted"}
    assert len(rows) == 7
    assert len({r["subject_id"] for r in rows.values()}) == 3


def test_all_19_are_there_without_eye_leads(tree: Path) -> None:
    rows = take(tree)
    found = process_shard(SPEC, tree, [rows["sub-01_ses-1 eyesopen"]]).segments
    assert found["mask"].to_pylist() == [[True] * 19] * 3
    assert said(rows["sub-01_ses-1 eyesopen"])["reference_sidecar"] == "FCz"


@pytest.mark.parametrize(
    ("old", "new"),
    [("SD->NS\t5\t2", "NS\t5\t2"), ("NS->SD\t3", "NS->SD\t33")],
    ids=["order", "scale"],
)
def test_an_impossible_order_or_scale_is_a_contradiction(
    tmp_path: Path, old: str, new: str
) -> None:
    ds004902.write(tmp_path)
    table = tmp_path / "ds004902/participants.tsv"
    table.write_text(table.read_text().replace(old, new))
    causes = [r["reject_cause"] for r in take(tmp_path).values()]
    assert "bad_labels" in causes
    assert None in causes


def test_218_recordings_are_expected_three_of_them_at_5000_hz() -> None:
    assert SPEC.expected.n_recordings == sum(SPEC.expected.rates.values()) == 218
