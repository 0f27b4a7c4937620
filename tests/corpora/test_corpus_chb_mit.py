from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from trees import chb_mit
from trees.chb_mit import Entry

from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.labels.chb_mit import chb_section, chb_seizures, marked_seizures
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.scan import fingerprints
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import shard_keys

SPEC = corpus("chb-mit")


def take(root: Path) -> dict[str, dict[str, Any]]:
    """Rows by file name."""
    rows = [r for s in shard_keys(SPEC.key) for r in inventory(SPEC, root, s, salt="x").recordings]
    return {r["path"].rpartition("/")[2]: r for r in rows}


def seizure_of(row: dict[str, Any]) -> tuple[str, str]:
    ((value, source),) = [
        (x["value"], x["source"]) for x in row["labels"] if x["name"] == "seizure"
    ]
    return value, source


def positive(root: Path) -> dict[str, list[float]]:
    """Starts of segments that carry a seizure, by file name."""
    rows = take(root)
    names = {r["recording_id"]: name for name, r in rows.items()}
    found: dict[str, list[float]] = {name: [] for name in rows}
    for s in process_shard(SPEC, root, list(rows.values())).segments.to_pylist():
        here = [x["value"] for x in s["labels"] if x["scope"] == "segment"]
        assert here in ([], ["present"], ["absent"])
        if here == ["present"]:
            found[names[s["recording_id"]]].append(s["start_s"])
    return found


def build(root: Path, entries: Sequence[Entry], **keywords: Any) -> None:
    """Write recordings of some cases with their summaries and tables."""
    by_case: dict[str, list[Entry]] = {}
    for entry in entries:
        chb_mit.write_file(root, entry.name, **keywords)
        by_case.setdefault(entry.name[:5], []).append(entry)
    summaries = {case: chb_mit.summary(mine) for case, mine in by_case.items()}
    chb_mit.write_tables(root, summaries, [e.name for e in entries if e.seizures])


@pytest.mark.parametrize("is_numbered", [False, True], ids=["plain", "numbered"])
def test_both_spellings_of_seizure_times(tmp_path: Path, is_numbered: bool) -> None:
    build(tmp_path, [Entry("chb01_03.edf", [(3, 9), (25, 31)], is_numbered=is_numbered)])
    assert seizure_of(take(tmp_path)["chb01_03.edf"]) == ("present", "summary")
    assert positive(tmp_path) == {"chb01_03.edf": [0.0, 20.0, 30.0]}


def test_a_window_deep_inside_a_long_seizure_is_positive(tmp_path: Path) -> None:
    build(tmp_path, [Entry("chb01_03.edf", [(2, 38)])])
    assert positive(tmp_path) == {"chb01_03.edf": [0.0, 10.0, 20.0, 30.0]}


def test_clock_times_past_midnight_do_not_matter(tmp_path: Path) -> None:
    build(tmp_path, [
        Entry("chb04_07.edf", start="23:43:04", end="24:43:04"),
        Entry("chb04_08.edf", [(12, 18)], start="24:43:12", end="26:43:12"),
    ])  # fmt: skip
    assert positive(tmp_path) == {"chb04_07.edf": [], "chb04_08.edf": [10.0]}


@pytest.mark.parametrize("name", ["chb02_16+.edf", "chb17a_03.edf", "chb17b_57.edf"])
def test_odd_names_belong_to_their_case(tmp_path: Path, name: str) -> None:
    case = name[:5]
    plain = f"{case}_16.edf"
    build(tmp_path, [Entry(name, [(12, 18)]), Entry(plain)])
    rows = take(tmp_path)
    assert rows[name]["subject_id"] == rows[plain]["subject_id"]
    assert positive(tmp_path) == {name: [10.0], plain: []}


def test_the_doubled_derivation_is_taken_once_and_said(tmp_path: Path) -> None:
    build(tmp_path, [Entry("chb01_03.edf")], labels=chb_mit.WITH_DUMMIES)
    row = take(tmp_path)["chb01_03.edf"]
    names = row["channel_schema"].removeprefix("bipolar:").split(",")
    assert len(names) == len(set(names)) == 22
    assert not {"-", "ECG", "VNS", "LOC-ROC"} & set(names)
    (dropped,) = [x for x in row["labels"] if x["name"] == "duplicate_channels_dropped"]
    assert dropped["value"] == "1"


@pytest.mark.parametrize("labels", [chb_mit.UNIPOLAR, chb_mit.UNIPOLAR_CS2], ids=["bare", "CS2"])
def test_unipolar_files_are_set_aside(tmp_path: Path, labels: Sequence[str]) -> None:
    build(tmp_path, [Entry("chb12_28.edf", [(3, 9)])], labels=labels)
    assert take(tmp_path)["chb12_28.edf"]["reject_cause"] == "wrong_montage"


def test_a_case_may_change_its_montage_between_files(tmp_path: Path) -> None:
    chb_mit.write_file(tmp_path, "chb12_06.edf", labels=chb_mit.BIPOLAR)
    chb_mit.write_file(tmp_path, "chb12_32.edf", labels=chb_mit.WITH_DUMMIES[:20])
    rows = take(tmp_path)
    assert [r["status"] for r in rows.values()] == ["accepted"] * 2
    assert len({r["channel_schema"] for r in rows.values()}) == 2
    cut = process_shard(SPEC, tmp_path, list(rows.values()))
    assert {len(names) for names in cut.segments["ch_names"].to_pylist()} == {22, 16}


def test_chb21_is_chb01(tmp_path: Path) -> None:
    build(tmp_path, [Entry("chb01_03.edf"), Entry("chb21_03.edf"), Entry("chb02_03.edf")])
    rows = take(tmp_path)
    one, two, other = (rows[f"chb{n}_03.edf"] for n in ("01", "21", "02"))
    assert (one["subject_id"], one["split"], one["shard"]) == (
        two["subject_id"], two["split"], two["shard"],
    )  # fmt: skip
    assert one["subject_id"] != other["subject_id"]


def test_chb24_has_neither_age_nor_sex_and_impossible_ages_are_not_read(tmp_path: Path) -> None:
    build(tmp_path, [Entry("chb24_01.edf", start=""), Entry("chb06_01.edf")])
    (tmp_path / chb_mit.FOLDER / "participants.tsv").write_text(
        "participant_id\tage\tsex\nsub-24\t83\tF\nsub-06\t89\tM\n"
    )
    rows = take(tmp_path)
    assert (rows["chb24_01.edf"]["age_band"], rows["chb24_01.edf"]["sex"]) == (None, None)
    assert (rows["chb06_01.edf"]["age_band"], rows["chb06_01.edf"]["sex"]) == ("0-9", "F")


def test_what_the_summary_leaves_out_is_looked_up(tmp_path: Path) -> None:
    build(tmp_path, [Entry("chb24_01.edf", [(12, 18)], start="")])
    for name in ("chb24_02.edf", "chb24_03.edf", "chb24_05.edf"):
        chb_mit.write_file(tmp_path, name)
    chb_mit.write_seizures(tmp_path / "chb-mit/chb24/chb24_03.edf", [(21, 29)])
    chb_mit.write_tables(tmp_path, {}, ["chb24_01.edf", "chb24_03.edf", "chb24_05.edf"])
    rows = take(tmp_path)
    assert {name: seizure_of(row) for name, row in rows.items()} == {
        "chb24_01.edf": ("present", "summary"),
        "chb24_02.edf": ("absent", "RECORDS-WITH-SEIZURES"),
        "chb24_03.edf": ("present", "seizures file"),
        "chb24_05.edf": ("unknown", "not named in the summary"),
    }
    assert positive(tmp_path) == {
        "chb24_01.edf": [10.0], "chb24_02.edf": [], "chb24_03.edf": [20.0], "chb24_05.edf": [],
    }  # fmt: skip


def test_a_cut_is_not_in_the_list_of_records_and_stays_unknown(tmp_path: Path) -> None:
    build(tmp_path, [Entry("chb01_03.edf")])
    chb_mit.write_file(tmp_path, "chb01_03_Seizure.edf")
    assert seizure_of(take(tmp_path)["chb01_03_Seizure.edf"])[0] == "unknown"


@pytest.mark.parametrize(
    ("marked", "cause"),
    [([(12, 18)], None), ([(12, 19)], None), ([(12, 25)], "bad_labels"), ([], "bad_labels"),
     ([(12, 18), (30, 33)], "bad_labels"), ([(60, 70)], "bad_labels")],
    ids=["same", "to the second", "longer", "none", "more", "outside"],
)  # fmt: skip
def test_summary_and_binary_twin_must_agree(
    tmp_path: Path, marked: list[tuple[int, int]], cause: str | None
) -> None:
    build(tmp_path, [Entry("chb01_03.edf", [(12, 18)])])
    chb_mit.write_seizures(tmp_path / "chb-mit/chb01/chb01_03.edf", marked)
    assert take(tmp_path)["chb01_03.edf"]["reject_cause"] == cause


def test_a_seizure_outside_its_file_sets_it_aside(tmp_path: Path) -> None:
    build(tmp_path, [Entry("chb01_03.edf", [(45, 50)])])
    assert take(tmp_path)["chb01_03.edf"]["reject_cause"] == "bad_labels"


def test_real_twins_tell_what_the_summary_tells(data_root: Path) -> None:
    folder = data_root / "chb-mit/chb01"
    text = (folder / "chb01-summary.txt").read_text()
    twins = sorted(folder.glob("*.seizures"))
    assert len(twins) == 7
    for twin in twins:
        section = chb_section(text, twin.name.removesuffix(".seizures"))
        assert marked_seizures(twin, 256.0, 1e5) == chb_seizures(section or "", 1e5)


def test_real_lists_name_686_files_141_with_198_seizures(data_root: Path) -> None:
    folder = data_root / "chb-mit"
    records = (folder / "RECORDS").read_text().split()
    assert len(records) == len({r for r in records if SPEC.match_file(r)}) == 686
    assert (folder / "SHA256SUMS.txt").read_text().count(".seizures\n") == 141
    n_files = n_seizures = n_unipolar = 0
    for path in folder.glob("chb*/*-summary.txt"):
        text = path.read_text()
        for name in (
            line.split(":")[1].strip() for line in text.split("\n") if "File Name" in line
        ):
            found = chb_seizures(chb_section(text, name) or "", 1e6)
            n_seizures += len(found)
            n_files += bool(found)
            n_unipolar += bool(found) and name in {f"chb12_{n}.edf" for n in (27, 28, 29)}
    assert (n_files, n_seizures) == (141, 198)
    assert SPEC.expected.labels["seizure"]["present"] == n_files - n_unipolar
    people = {SPEC.identity_of(r[:5]) for r in records}
    assert len(people) == SPEC.expected.n_subjects == 23


def test_a_changed_twin_is_seen_in_its_shard_alone(tmp_path: Path) -> None:
    build(tmp_path, [Entry("chb01_03.edf", [(12, 18)]), Entry("chb02_03.edf")])
    before = fingerprints(tmp_path, ["chb-mit"])
    chb_mit.write_seizures(tmp_path / "chb-mit/chb01/chb01_03.edf", [(12, 18)])
    after = fingerprints(tmp_path, ["chb-mit"])
    changed = {key for key, files in after.items() if files != before[key]}
    assert changed == {take(tmp_path)["chb01_03.edf"]["shard"]}


def test_no_label_names_the_case(tmp_path: Path) -> None:
    build(tmp_path, [Entry("chb01_03.edf", [(12, 18)])])
    rows = list(take(tmp_path).values())
    found = process_shard(SPEC, tmp_path, rows).segments["labels"].to_pylist()
    assert "chb01" not in repr([r["labels"] for r in rows] + found)


def test_the_trees_twins_are_byte_for_byte_the_real_ones(tmp_path: Path, data_root: Path) -> None:
    text = (data_root / "chb-mit/chb01/chb01-summary.txt").read_text()
    for twin in (data_root / "chb-mit/chb01").glob("*.seizures"):
        name = twin.name.removesuffix(".seizures")
        found = chb_seizures(chb_section(text, name) or "", 1e5)
        chb_mit.write_seizures(tmp_path / name, [(int(a), int(b)) for a, b in found])
        assert (tmp_path / twin.name).read_bytes() == twin.read_bytes()
