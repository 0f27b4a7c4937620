from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import helsinki

from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.labels.helsinki import expert_seconds
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import find_files, shard_keys

SPEC = corpus("helsinki-neonatal")
FOLDER = helsinki.FOLDER


def take(root: Path) -> dict[str, dict[str, Any]]:
    """Rows by file stem."""
    rows = [r for s in shard_keys(SPEC.key) for r in inventory(SPEC, root, s, salt="x").recordings]
    return {r["path"].rpartition("/")[2].removesuffix(".edf"): r for r in rows}


def segments(root: Path, stem: str) -> list[dict[str, Any]]:
    row = take(root)[stem]
    return process_shard(SPEC, root, [row]).segments.to_pylist()


def by_expert(row: dict[str, Any], scope: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for x in row["labels"]:
        if x["name"] == "seizure" and x["scope"] == scope:
            found.setdefault(x["source"][-1], []).append(x["value"])
    return found


def one(root: Path, duration_s: float, **seizures: list[tuple[int, int]]) -> None:
    """Write one neonate with each expert's seizures."""
    helsinki.write_file(root, 1, duration_s)
    helsinki.write_tables(root, [duration_s], {e: {1: s} for e, s in seizures.items()})


def test_three_experts_are_kept_apart(tmp_path: Path) -> None:
    one(tmp_path, 45, A=[(12, 18)], B=[(15, 31)], C=[])
    row = take(tmp_path)["eeg1"]
    assert by_expert(row, "recording") == {"A": ["present"], "B": ["present"], "C": ["absent"]}
    a, p = ["absent"], ["present"]
    assert [by_expert(s, "segment") for s in segments(tmp_path, "eeg1")] == [
        {"A": a, "B": a, "C": a}, {"A": p, "B": p, "C": a},
        {"B": p, "A": a, "C": a}, {"B": p, "A": a, "C": a},
    ]  # fmt: skip


def test_votes_say_how_many_agree_in_each_stretch(tmp_path: Path) -> None:
    one(tmp_path, 41, A=[(10, 20)], B=[(10, 20), (32, 38)], C=[(10, 20)])
    votes = [
        [x["value"] for x in s["labels"] if x["name"] == "seizure_votes"]
        for s in segments(tmp_path, "eeg1")
    ]
    assert votes == [["0"], ["3"], ["0"], ["0", "1"]]
    (n_experts,) = [
        x["value"] for x in take(tmp_path)["eeg1"]["labels"] if x["name"] == "seizure_experts"
    ]
    assert n_experts == "3"


def test_a_window_inside_a_long_seizure_is_positive(tmp_path: Path) -> None:
    one(tmp_path, 60, A=[(0, 60)], B=[(0, 60)], C=[(0, 60)])
    found = [by_expert(s, "segment") for s in segments(tmp_path, "eeg1")]
    assert found == [{"A": ["present"], "B": ["present"], "C": ["present"]}] * 6


@pytest.mark.parametrize(
    ("base", "is_numbered"),
    [(0, False), (1, False), (None, False), (0, True), (1, True)],
    ids=["from 0", "from 1", "no header", "from 0 beside row numbers", "from 1 beside row numbers"],
)
def test_columns_may_count_from_zero_or_one(
    tmp_path: Path, base: int | None, is_numbered: bool
) -> None:
    durations_s = (31, 32, 33)
    seizures = {1: [(0, 3)], 2: [(10, 14)], 3: [(21, 33)]}
    columns = [helsinki.seconds(d, seizures[i]) for i, d in enumerate(durations_s, 1)]
    for name in helsinki.TABLES.values():
        helsinki.write_table(tmp_path / FOLDER / name, columns, base=base, is_numbered=is_numbered)
    for number, duration_s in enumerate(durations_s, 1):
        helsinki.write_file(tmp_path, number, duration_s)
    for number, place in ((1, 0), (2, 1), (3, 2)):
        found = [by_expert(s, "segment")["A"][0] for s in segments(tmp_path, f"eeg{number}")]
        assert found == ["present" if i == place else "absent" for i in range(3)]


def test_a_column_of_another_length_is_refused_not_shifted(tmp_path: Path) -> None:
    helsinki.write_file(tmp_path, 1, 31)
    helsinki.write_file(tmp_path, 2, 33)
    helsinki.write_tables(tmp_path, [33, 31], {})
    assert {r["reject_cause"] for r in take(tmp_path).values()} == {"bad_labels"}


def test_the_table_ends_with_the_whole_seconds_of_the_recording(tmp_path: Path) -> None:
    helsinki.write_file(tmp_path, 1, 31.5)
    helsinki.write_tables(tmp_path, [31.5], {})
    assert take(tmp_path)["eeg1"]["status"] == "accepted"
    lines = (tmp_path / FOLDER / "annotations_2017_B.csv").read_text().splitlines()
    assert len(lines) == 1 + 31


@pytest.mark.parametrize("void", ["NaN", "nan", ""])
def test_no_number_after_the_end_is_no_label(tmp_path: Path, void: str) -> None:
    for number, duration_s in ((1, 21), (2, 43)):
        helsinki.write_file(tmp_path, number, duration_s)
    columns = [helsinki.seconds(21, [(3, 9)]), helsinki.seconds(43, [])]
    for name in helsinki.TABLES.values():
        helsinki.write_table(tmp_path / FOLDER / name, columns, void=void)
    rows = take(tmp_path)
    assert [r["status"] for r in rows.values()] == ["accepted"] * 2
    assert by_expert(rows["eeg1"], "recording")["A"] == ["present"]


@pytest.mark.parametrize(
    "spoil",
    [lambda t: t.replace("\n0", "\n2", 1), lambda t: t.replace("\n0", "\nNaN", 1),
     lambda t: t.replace("1\n", "7\n", 1), lambda t: t.replace("1\n", "second\n", 1),
     lambda t: "", lambda t: "\n".join(t.split("\n")[:9])],
    ids=["a two", "a hole", "header", "words", "empty", "short"],
)  # fmt: skip
def test_void_tables_are_refused(tmp_path: Path, spoil: Any) -> None:
    one(tmp_path, 21, A=[(3, 9)])
    path = tmp_path / FOLDER / "annotations_2017_B.csv"
    path.write_text(spoil(path.read_text()))
    assert take(tmp_path)["eeg1"]["reject_cause"] == "bad_labels"


def test_only_the_mended_table_of_expert_a_is_read(tmp_path: Path) -> None:
    one(tmp_path, 21, A=[(3, 9)])
    wrong = [helsinki.seconds(21, [])]
    helsinki.write_table(tmp_path / FOLDER / "annotations_2017_A.csv", wrong)
    assert by_expert(take(tmp_path)["eeg1"], "recording")["A"] == ["present"]
    (tmp_path / FOLDER / "annotations_2017_A_fixed.csv").unlink()
    row = take(tmp_path)["eeg1"]
    assert by_expert(row, "recording") == {"A": ["unknown"], "B": ["absent"], "C": ["absent"]}
    labels = [x["name"] for s in segments(tmp_path, "eeg1") for x in s["labels"]]
    assert "seizure_votes" not in labels


def test_sites_are_found_and_heart_and_breath_dropped(tmp_path: Path) -> None:
    helsinki.write(tmp_path)
    rows = take(tmp_path)
    assert {(r["channel_schema"], r["line_freq_hz"], r["sfreq_hz"]) for r in rows.values()} == {
        ("referential19", 50.0, 256.0)
    }
    assert all(all(s["mask"]) for s in segments(tmp_path, "eeg1"))


def test_newborns_have_their_band_and_the_tables_sex(tmp_path: Path) -> None:
    helsinki.write(tmp_path)
    rows = take(tmp_path)
    assert {stem: (r["age_band"], r["sex"]) for stem, r in rows.items()} == {
        "eeg1": ("0-9", "F"), "eeg2": ("0-9", "M"), "eeg3": ("0-9", None),
    }  # fmt: skip
    assert "asphyxia" not in repr(rows)


def test_numbers_are_identities_and_a_table_informs_everybody(tmp_path: Path) -> None:
    helsinki.write(tmp_path)
    helsinki.write_file(tmp_path, 12, 21)
    found = find_files(SPEC, tmp_path)
    assert [f.identity for f in found if f.is_recording] == [
        f"helsinki-neonatal:eeg{n}" for n in (1, 2, 3, 12)
    ]
    assert [f.identity for f in found if not f.is_recording] == [None] * 4
    assert take(tmp_path)["eeg12"]["reject_cause"] == "bad_labels"  # no column for it


@given(
    st.lists(st.integers(0, 1), min_size=1, max_size=40), st.integers(0, 2), st.sampled_from([0, 1])
)
def test_every_second_comes_back(marks: list[int], at: int, base: int) -> None:
    columns = [[0] * 3, [1] * 3, [0] * 5]
    columns[at] = marks
    rows = [",".join(str(i + base) for i in range(3))]
    rows += [
        ",".join(str(c[second]) if second < len(c) else "NaN" for c in columns)
        for second in range(max(map(len, columns)))
    ]
    text = "\n".join(rows) + "\n"
    assert expert_seconds(text, at + 1, len(marks) + 0.5) == marks
