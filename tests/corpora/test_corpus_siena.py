from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from formats.edf import EdfFileSpec, EdfSignalSpec, noise_uv
from formats.edf import write as write_edf_file
from trees import siena
from trees.siena import Style

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.labels.siena import parse_seizure_list
from dagster_project.corpora.labels.table import read_labels
from dagster_project.corpora.labels.types import RecordingLabels
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.shards import shard_keys

SPEC = corpus("siena")
PATIENTS = sorted({stem[:4] for stem in siena.SEIZURES})


def take(root: Path) -> dict[str, dict[str, Any]]:
    """Rows by file stem."""
    rows = [r for s in shard_keys(SPEC.key) for r in inventory(SPEC, root, s, salt="x").recordings]
    return {r["path"].rpartition("/")[2].removesuffix(".edf"): r for r in rows}


def positive(root: Path) -> dict[str, list[float]]:
    """Starts of segments that carry a seizure, by file stem."""
    rows = take(root)
    names = {r["recording_id"]: stem for stem, r in rows.items()}
    found: dict[str, list[float]] = {stem: [] for stem in rows}
    for s in process_shard(SPEC, root, list(rows.values())).segments.to_pylist():
        here = [x["value"] for x in s["labels"] if x["scope"] == "segment"]
        assert here in (["present"], ["absent"])
        if here == ["present"]:
            found[names[s["recording_id"]]].append(s["start_s"])
    return found


def value(row: dict[str, Any], name: str) -> str:
    (found,) = [x["value"] for x in row["labels"] if x["name"] == name]
    return str(found)


def spans(found: RecordingLabels) -> list[tuple[float, float]]:
    return [(i.t0_s, i.t1_s - i.t0_s) for i in found.intervals]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every file of the corpus with the header it should have; signals cut to 11 s of one site."""
    root = tmp_path_factory.mktemp("siena")
    for stem in siena.SEIZURES:
        siena.write_file(
            root, stem, start=siena.REGISTERED[stem], duration_s=11, labels=["EEG Cz"], sfreq_hz=100
        )
    for patient in PATIENTS:
        siena.write_list(root, patient, siena.list_of(patient))
    (root / siena.FOLDER / "subject_info.csv").write_text(siena.INFO)
    return root


def labels_of(root: Path, stem: str, duration_s: float) -> RecordingLabels:
    name = f"{siena.FOLDER}/{stem[:4]}/{stem}.edf"
    with open_recording(root / name, SPEC.reader) as recording:
        return read_labels(SPEC, root, name, recording, duration_s)


@pytest.mark.parametrize("stem", siena.SEIZURES)
def test_onset_and_duration_are_those_of_the_regression_table(whole: Path, stem: str) -> None:
    last = sum(siena.SEIZURES[stem][-1])
    found = labels_of(whole, stem, last + 600)
    assert spans(found) == [(float(a), float(n)) for a, n in siena.SEIZURES[stem]]
    assert {(i.label.scope, i.label.value) for i in found.intervals} == {("segment", "present")}
    with pytest.raises(CorpusError):  # every onset and duration lies inside its file
        labels_of(whole, stem, last - 1)


def test_14_patients_41_files_47_seizures(whole: Path) -> None:
    rows = take(whole)
    assert len(rows) == SPEC.expected.n_recordings == 41
    assert len({r["subject_id"] for r in rows.values()}) == SPEC.expected.n_subjects == 14
    lists = [parse_seizure_list(siena.list_of(patient)) for patient in PATIENTS]
    assert sum(map(len, lists)) == 47
    assert {clock.stem for clocks in lists for clock in clocks} == set(rows)
    # cut to 11 s here, so every seizure lies outside: nothing is labelled by a cut file
    assert {r["reject_cause"] for r in rows.values()} == {"bad_labels"}


@pytest.mark.parametrize("patient", ["PN00", "PN16"])
def test_real_lists_give_the_regression_table(data_root: Path, patient: str) -> None:
    text = (data_root / f"siena/{patient}/Seizures-list-{patient}.txt").read_bytes().decode()
    found: dict[str, list[tuple[float, float]]] = {}
    for clock in parse_seizure_list(text):
        assert clock.registration_s is not None
        found.setdefault(clock.stem, []).append(clock.inside(clock.registration_s))
    assert found == {s: v for s, v in siena.SEIZURES.items() if s.startswith(patient)}


def test_the_trees_lists_are_like_the_real_ones(data_root: Path) -> None:
    for patient in ("PN00", "PN16"):
        text = (data_root / f"siena/{patient}/Seizures-list-{patient}.txt").read_text()
        mine = parse_seizure_list(siena.list_of(patient))
        assert mine == parse_seizure_list(text)


def test_a_list_at_full_length_marks_its_segments(tmp_path: Path) -> None:
    stem, mine = "PN10-4.5.6", siena.SEIZURES["PN10-4.5.6"]
    siena.write_file(
        tmp_path, stem, start=siena.REGISTERED[stem], duration_s=11_300, labels=["EEG Cz"],
        sfreq_hz=64,
    )  # fmt: skip
    siena.write_list(tmp_path, "PN10", siena.list_of("PN10"))
    want = [
        10.0 * k for k in range(1130) if any(10 * k < a + n and 10 * k + 10 > a for a, n in mine)
    ]
    assert want[:3] == [2300.0, 2310.0, 6540.0]  # 2309-2314 s touches two windows
    assert positive(tmp_path) == {stem: want}


def test_the_end_misprint_of_pn00_3_is_mended_and_no_other_files(whole: Path) -> None:
    text = siena.list_of("PN00")
    assert "Seizure end time:  19.29.29" in text or "Seizure end time: 19.29.29" in text
    assert spans(labels_of(whole, "PN00-3", 2489)) == [(765.0, 60.0)]
    elsewhere = siena.seizure_list(
        "PN05", {"PN05-2": [(765, 60)]}, {"PN05-2": "18.15.44"},
        Style(printed={("PN05-2", "seizure end"): "19.29.29"}),
    )  # fmt: skip
    (clock,) = parse_seizure_list(elsewhere)
    assert clock.inside(clock.registration_s or 0) == (765.0, 3660.0)


@pytest.mark.parametrize(
    ("patient", "printed", "stem"),
    [("PN01", "PN01.edf", "PN01-1"), ("PN06", "PNO6-1.edf", "PN06-1"),
     ("PN06", "PNO6-4.edf", "PN06-4"), ("PN11", "PN11-.edf", "PN11-1")],
)  # fmt: skip
def test_misspelt_file_names_find_their_file(patient: str, printed: str, stem: str) -> None:
    text = siena.list_of(patient)
    assert f"File name: {printed}" in text
    assert f"File name: {stem}.edf" not in text
    assert stem in {clock.stem for clock in parse_seizure_list(text)}


def test_a_blank_inside_a_time_is_a_slip() -> None:
    text = siena.list_of("PN10")
    assert "1 6.49.25" in text
    starts = {c.stem: c.registration_s for c in parse_seizure_list(text)}
    assert starts["PN10-7.8.9"] == 16 * 3600 + 49 * 60 + 25


def test_a_second_seizure_without_registration_lines_shares_its_files() -> None:
    text = siena.list_of("PN12")
    assert text.count("PN12-1.2.edf") == 2
    assert text.count("Registration start time") == 3
    assert "15:51:31" in text  # colons in this patient's times
    found = [c.inside(c.registration_s or 0) for c in parse_seizure_list(text)][:2]
    assert found == [(1312.0, 63.0), (9570.0, 68.0)]


def test_midnight_is_passed_over(tmp_path: Path) -> None:
    siena.write_file(tmp_path, "PN01-1", start="23.59.40", duration_s=61, sfreq_hz=128)
    plan = {"PN01-1": [(12, 6), (41, 15)]}
    text = siena.seizure_list("PN01", plan, {"PN01-1": "23.59.40"}, siena.STYLES["PN01"])
    assert "00.00.21" in text
    siena.write_list(tmp_path, "PN01", text)
    assert positive(tmp_path) == {"PN01-1": [10.0, 40.0, 50.0]}


def test_a_stem_of_several_numbers_is_one_file(tmp_path: Path) -> None:
    siena.write(tmp_path)
    found = positive(tmp_path)
    assert found["PN10-4.5.6"] == [0.0, 30.0]
    assert found["PN12-1.2"] == [0.0, 20.0]
    assert found["PN03-1"] == [10.0, 20.0]


@pytest.mark.parametrize(
    ("header", "word"),
    [("15.51.31", "agrees"), ("15.51.34", "seconds_apart"), ("15.51.20", "seconds_apart"),
     ("03.00.00", "disagrees")],
)  # fmt: skip
def test_seizures_are_timed_from_the_registration_not_the_header(
    tmp_path: Path, header: str, word: str
) -> None:
    siena.write_file(tmp_path, "PN12-3", start=header, duration_s=41, sfreq_hz=128)
    plan, registered = {"PN12-3": [(22, 7)]}, {"PN12-3": "15.51.31"}
    siena.write_list(tmp_path, "PN12", siena.seizure_list("PN12", plan, registered, Style()))
    assert value(take(tmp_path)["PN12-3"], "registration_clock") == word
    assert positive(tmp_path) == {"PN12-3": [20.0]}


def test_without_any_registration_line_the_header_stands_in(tmp_path: Path) -> None:
    siena.write_file(tmp_path, "PN12-3", start="15.51.31", duration_s=41, sfreq_hz=128)
    style = Style(unregistered=frozenset({("PN12-3", 0)}))
    text = siena.seizure_list("PN12", {"PN12-3": [(22, 7)]}, {"PN12-3": "15.51.31"}, style)
    siena.write_list(tmp_path, "PN12", text)
    assert value(take(tmp_path)["PN12-3"], "registration_clock") == "unknown"
    assert positive(tmp_path) == {"PN12-3": [20.0]}


@pytest.mark.parametrize(
    ("seizure", "printed"),
    [((35, 7), {}), ((50, 5), {}), ((5, 0), {}), ((5, 9), {"seizure start": "25.61.00"}),
     ((5, 9), {"seizure end": "soon"}), ((5, 9), {"registration start": ""})],
    ids=["past the end", "behind it", "no length", "no hour", "no time", "no start"],
)  # fmt: skip
def test_what_cannot_be_is_set_aside(
    tmp_path: Path, seizure: tuple[int, int], printed: dict[str, str]
) -> None:
    siena.write_file(tmp_path, "PN12-3", start="15.51.31", duration_s=41, sfreq_hz=128)
    style = Style(printed={("PN12-3", line): text for line, text in printed.items()})
    text = siena.seizure_list("PN12", {"PN12-3": [seizure]}, {"PN12-3": "15.51.31"}, style)
    siena.write_list(tmp_path, "PN12", text)
    assert take(tmp_path)["PN12-3"]["reject_cause"] == "bad_labels"


def test_two_starts_for_one_file_contradict() -> None:
    plan, registered = {"PN12-3": [(5, 9)]}, {"PN12-3": "15.51.31"}
    one = siena.seizure_list("PN12", plan, registered, Style())
    other = siena.seizure_list("PN12", plan, {"PN12-3": "15.51.32"}, Style())
    with pytest.raises(CorpusError, match="two registration starts"):
        parse_seizure_list(one + other)


def test_a_file_the_list_does_not_name_is_unknown(tmp_path: Path) -> None:
    siena.write_file(tmp_path, "PN12-4", start="15.51.31", duration_s=41, sfreq_hz=128)
    assert value(take(tmp_path)["PN12-4"], "seizure") == "unknown"
    siena.write_list(tmp_path, "PN12", siena.list_of("PN12").replace("PN12-4", "PN12-9"))
    row = take(tmp_path)["PN12-4"]
    assert (row["status"], value(row, "seizure")) == ("accepted", "unknown")
    cut = process_shard(SPEC, tmp_path, [row])
    assert not any(x["scope"] == "segment" for s in cut.segments["labels"].to_pylist() for x in s)


def test_the_subject_table_has_blanks_before_its_names(tmp_path: Path, data_root: Path) -> None:
    assert (
        siena.INFO.splitlines()[0]
        == ((data_root / "siena/subject_info.csv").read_text().splitlines()[0])
    )
    siena.write(tmp_path)
    row = take(tmp_path)["PN10-4.5.6"]
    assert (row["age_band"], row["sex"]) == ("20-29", "M")
    names = ("seizure_type", "localization", "lateralization")
    assert [value(row, name) for name in names] == [
        "focal_to_bilateral_tonic_clonic", "frontal", "bilateral",
    ]  # fmt: skip


def test_the_real_subject_table_has_a_word_for_everybody(tmp_path: Path, data_root: Path) -> None:
    for patient in PATIENTS:
        siena.write_file(
            tmp_path, f"{patient}-9", start="10.00.00", duration_s=11, labels=["EEG Cz"],
            sfreq_hz=100,
        )  # fmt: skip
    table = (data_root / "siena/subject_info.csv").read_bytes()
    (tmp_path / siena.FOLDER / "subject_info.csv").write_bytes(table)
    rows = take(tmp_path)
    assert [r["status"] for r in rows.values()] == ["accepted"] * 14
    assert value(rows["PN14-9"], "seizure_type") == "focal_without_impaired_awareness"
    assert [r["sex"] for r in rows.values()].count("F") == 6  # 8 men: the page says 9 and 5


def test_names_vary_and_may_occur_twice(tmp_path: Path) -> None:
    siena.write(tmp_path)
    rows = take(tmp_path)
    assert value(rows["PN03-1"], "duplicate_channels_dropped") == "1"
    cut = process_shard(SPEC, tmp_path, list(rows.values()))
    assert all(all(mask) for mask in cut.segments["mask"].to_pylist())


def test_auxiliary_signals_stay_out(tmp_path: Path) -> None:
    labels: Sequence[str] = ("EEG Cz", "1", "2", "EKG 1", "SPO2", "HR", "MK")
    data = noise_uv(len(labels), 12, 128)
    signals = [EdfSignalSpec(x, row, 128) for x, row in zip(labels, data, strict=True)]
    write_edf_file(tmp_path / "siena/PN05/PN05-2.edf", EdfFileSpec(signals))
    cut = process_shard(SPEC, tmp_path, list(take(tmp_path).values()))
    assert [sum(mask) for mask in cut.segments["mask"].to_pylist()] == [1]


def test_the_inactive_electrode_of_pn10_is_said(tmp_path: Path) -> None:
    siena.write(tmp_path)
    rows = take(tmp_path)
    assert value(rows["PN10-4.5.6"], "inactive_channel") == "Pz"
    assert not any(x["name"] == "inactive_channel" for x in rows["PN00-1"]["labels"])


def test_no_label_names_the_patient(tmp_path: Path) -> None:
    siena.write(tmp_path)
    rows = list(take(tmp_path).values())
    found = process_shard(SPEC, tmp_path, rows).segments["labels"].to_pylist()
    assert "PN" not in repr([r["labels"] for r in rows] + found)


@pytest.mark.parametrize(
    "text", [" " * 400_000 + "x", "Seizure n " * 20_000, "File name:" * 30_000 + "\n" * 9],
    ids=["blanks", "one line", "names"],
)  # fmt: skip
def test_a_hostile_list_neither_hangs_nor_crashes(tmp_path: Path, text: str) -> None:
    siena.write_file(tmp_path, "PN12-3", start="15.51.31", duration_s=11, sfreq_hz=128)
    siena.write_list(tmp_path, "PN12", text)
    row = take(tmp_path)["PN12-3"]
    assert row["reject_cause"] in (None, "bad_labels")


def test_the_published_subjects_are_held_out(tmp_path: Path) -> None:
    for patient in PATIENTS:
        siena.write_file(
            tmp_path, f"{patient}-9", start="10.00.00", duration_s=11, labels=["EEG Cz"],
            sfreq_hz=100,
        )  # fmt: skip
    parts: dict[str, set[str]] = {}
    for stem, row in take(tmp_path).items():
        parts.setdefault(value(row, "eeg-fm-bench"), set()).add(stem[:4])
    assert parts.pop("test") == {"PN16", "PN17"}
    assert parts.pop("validation") == {"PN09", "PN13"}
    assert len(parts.pop("train")) == 10
    assert not parts
