"""TUH corpora: what all six share (``corpora.md`` 5.10), TUAB (5.11) and TUEP (5.13)."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from formats import tuh
from formats.edf import EdfFileSpec, EdfSignalSpec, write
from trees import tuab, tuep
from tuh_taken import Taken

from dagster_project.corpora.batches import segment_batches
from dagster_project.corpora.labels.tuh_header import demographics
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import process_shard
from detectors.types import CANONICAL19

KEYS = ("tuab", "tuar", "tuep", "tuev", "tusl", "tusz")
FLAT = "tuab/edf/train/normal/01_tcp_ar/aaaaaaaq_s001_t000.edf"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Taken]:
    root = tmp_path_factory.mktemp("tuh")
    for key in KEYS:
        import_module(f"trees.{key}").write(root)
    return {key: Taken.of(key, root) for key in KEYS}


@pytest.mark.parametrize("key", KEYS)
def test_every_recording_of_the_layout_is_read_as_single_electrodes(
    whole: dict[str, Taken], key: str
) -> None:
    rows = whole[key].recordings
    assert len({r["subject_id"] for r in rows}) >= 3
    assert {r["status"] for r in rows} == {"accepted"}
    assert {r["channel_schema"] for r in rows} == {"referential19"}
    assert {r["line_freq_hz"] for r in rows} == {60.0}
    assert {r["is_gated"] for r in rows} == {True}


@pytest.mark.parametrize("key", KEYS)
def test_the_entry_says_how_a_person_gets_the_files_and_keeps_them_in(key: str) -> None:
    spec = corpus(key)
    text = " ".join(spec.access.instructions)
    assert spec.access.kind == "agreement"
    assert spec.licence.is_gated
    assert not spec.licence.allows_hosted_teachers
    assert 'rsync -auxvL -e "ssh -i ~/.ssh/id_ed25519"' in text
    assert f"data/tuh_eeg/{spec.folders[1]}/v" in text
    assert f"mkdir -p DATA_ROOT/{key}" in text
    assert spec.identity.family == "tuh"


def test_one_person_in_many_corpora_has_one_id_and_one_side(whole: dict[str, Taken]) -> None:
    rows = [
        row
        for key in ("tuar", "tuep", "tuev", "tusz")
        for row in whole[key].recordings
        if "/aaaaaasz" in row["path"]
    ]
    assert {r["corpus"] for r in rows} == {"tuar", "tuep", "tuev", "tusz"}
    assert len({(r["subject_id"], r["split"]) for r in rows}) == 1


@pytest.mark.parametrize(
    "name",
    [
        "edf/train/normal/01_tcp_ar/00000768_s003_t000.edf",
        "edf/train/normal/05_tcp_new/aaaaaaaq_s001_t000.edf",
        "edf/train/strange/01_tcp_ar/aaaaaaaq_s001_t000.edf",
        "edf/train/normal/01_tcp_ar/aaaaaaaq.edf",
    ],
    ids=["numeric id", "unknown montage", "unknown class", "no session"],
)
def test_names_outside_the_layout_are_set_aside_and_counted(tmp_path: Path, name: str) -> None:
    tuh.edf(tmp_path / "tuab" / name)
    assert Taken.of("tuab", tmp_path).causes() == {name: "file_name"}


@pytest.mark.parametrize("sfreq_hz", [250, 256, 400, 512, 1000])
def test_the_rate_is_the_file_s(tmp_path: Path, sfreq_hz: int) -> None:
    tuh.edf(tmp_path / FLAT, sfreq_hz=sfreq_hz, duration_s=20)
    taken = Taken.of("tuab", tmp_path)
    assert taken.recordings[0]["sfreq_hz"] == sfreq_hz
    assert [s["start_s"] for s in taken.segments("t000.edf")] == [0, 10]


@pytest.mark.parametrize("reference", ["REF", "LE"])
def test_extras_come_and_go_and_both_references_are_read(tmp_path: Path, reference: str) -> None:
    names = ("T1", "T2", "EKG1", "C3P", "C4P", "SP1", "LOC", "ROC", "PG1", "20", "128")
    extras = [f"EEG {name}-{reference}" for name in names]
    extras += [f"EMG-{reference}", f"PHOTIC-{reference}", "IBI", "BURSTS", "SUPPR", "RESP"]
    tuh.edf(tmp_path / FLAT, reference=reference, extras=extras)
    taken = Taken.of("tuab", tmp_path)
    assert taken.recordings[0]["status"] == "accepted"
    assert all(all(s["mask"]) for s in taken.segments("t000.edf"))
    assert "missing_electrodes" not in taken.labels("t000.edf")


def test_missing_electrodes_are_listed_and_masked_never_filled(tmp_path: Path) -> None:
    tuh.edf(tmp_path / FLAT, without=("FZ", "PZ", "T3"))
    taken = Taken.of("tuab", tmp_path)
    assert taken.labels("t000.edf")["missing_electrodes"] == "Fz,T7,Pz"
    mask = dict(zip(CANONICAL19, taken.segments("t000.edf")[0]["mask"], strict=True))
    assert {name for name, here in mask.items() if not here} == {"Fz", "T7", "Pz"}


@pytest.mark.parametrize(
    ("person", "age", "band", "sex"),
    [
        ("M 01-JAN-1978", "37", "30-39", "M"),
        ("F 01-JAN-0000", "0.0109", "0-9", "F"),
        ("F 01-JAN-1900", "94", "90+", "F"),
        ("M 01-JAN-1850", "999", None, "M"),
        ("X 01-JAN-1978", None, None, None),
        ("", "37.5", "30-39", None),
        ("X 01-JAN-1978 Doe_Jane F", "41", "40-49", None),
    ],
    ids=["plain", "infant", "over 89", "impossible", "neither", "no sex", "letter in a name"],
)
def test_age_and_sex_leave_the_free_patient_field_as_band_and_letter(
    tmp_path: Path, person: str, age: str | None, band: str | None, sex: str | None
) -> None:
    tuh.edf(tmp_path / FLAT, person=person, age=age, start="00.00.0000.00.00")
    (row,) = Taken.of("tuab", tmp_path).recordings
    assert (row["status"], row["age_band"], row["sex"]) == ("accepted", band, sex)


def test_nothing_else_of_the_patient_field_leaves(tmp_path: Path) -> None:
    path = tuh.edf(tmp_path / FLAT, person="F 13-MAY-1931 Doe_Jane M", age="88")
    found = demographics(path)
    assert (found.age_years, found.sex) == (88.0, "F")
    taken = Taken.of("tuab", tmp_path)
    text = repr(taken.recordings) + repr(taken.segments("t000.edf"))
    assert not any(word in text for word in ("Doe", "Jane", "1931", "13-MAY", "Age"))


def test_the_recording_field_is_not_looked_at(tmp_path: Path) -> None:
    path = tuh.edf(tmp_path / FLAT, person="F", age=None, recording="Startdate X M Age:77")
    assert demographics(path).age_years is None


def test_old_names_with_either_reference_land_on_their_row(tmp_path: Path) -> None:
    t = np.arange(40 * 250) / 250
    signals = [
        EdfSignalSpec(f"EEG {site}-LE", 5.0 * (i + 1) * np.sin(2 * np.pi * 10 * t), 250)
        for i, site in enumerate(tuh.SITES)
    ]
    path = tmp_path / FLAT.replace("01_tcp_ar", "02_tcp_le")
    write(path, EdfFileSpec(signals))
    taken = Taken.of("tuab", tmp_path)
    cut = process_shard(corpus("tuab"), tmp_path, taken.recordings)
    frame = pl.from_arrow(cut.segments)
    assert isinstance(frame, pl.DataFrame)
    (batch,) = segment_batches(frame)
    rms = np.sqrt((batch.data_uv[1] ** 2).mean(axis=-1))
    names = [
        {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}.get(n, n.upper()) for n in CANONICAL19
    ]
    wanted = [5.0 * (tuh.SITES.index(name) + 1) / np.sqrt(2) for name in names]
    np.testing.assert_allclose(rms, wanted, rtol=0.02)


def test_a_header_cut_short_has_no_age_and_no_sex(tmp_path: Path) -> None:
    path = tmp_path / "short.edf"
    path.write_bytes(b"0       aaaaaaaq F")
    assert demographics(path).age_years is None
    path.write_bytes(b"")
    assert demographics(path).sex is None


@pytest.mark.parametrize(
    ("below", "readme", "release"),
    [
        ("", "Database: TUAB\nVersion: 3.0.1\n", "3.0.1"),
        ("v3.0.0/", None, "3.0.0"),
        ("v3.0.0/", "Version: 2.9.9\n", "3.0.0"),
        ("", "nothing of the kind\n", "unknown"),
        ("", None, "unknown"),
    ],
    ids=["readme", "folder", "folder before readme", "empty readme", "nowhere"],
)
def test_the_release_is_read_from_readme_or_path_and_stored(
    tmp_path: Path, below: str, readme: str | None, release: str
) -> None:
    tuh.edf(tmp_path / FLAT.replace("tuab/", f"tuab/{below}"))
    if readme is not None:
        (tmp_path / "tuab" / below / "AAREADME.txt").write_text(readme)
    assert Taken.of("tuab", tmp_path).labels("t000.edf")["release"] == release


def test_tuab_abnormality_is_of_the_recording_and_of_no_segment(
    whole: dict[str, Taken], tmp_path: Path
) -> None:
    planted = tuab.write_files(tmp_path / "tuab", seed=1, duration_s=20)
    taken = Taken.of("tuab", tmp_path)
    assert {n: taken.labels(n)["abnormality"] for n in planted} == planted
    assert sorted(planted.values()) == ["abnormal"] * 3 + ["normal"] * 3
    for name in planted:
        for segment in taken.segments(name):
            assert {x["scope"] for x in segment["labels"]} <= {"recording", "file", "split"}
            assert segment["events"] == []


def test_tuab_patient_in_both_classes_stays_on_one_side(whole: dict[str, Taken]) -> None:
    rows = [r for r in whole["tuab"].recordings if "aaaaaabb" in r["path"]]
    assert [whole["tuab"].labels(r["path"])["abnormality"] for r in rows] == ["abnormal", "normal"]
    assert len({(r["subject_id"], r["split"]) for r in rows}) == 1


def test_tuab_old_patient_folders_are_walked(whole: dict[str, Taken]) -> None:
    row = whole["tuab"].row("aaaaaacc_s002_t001.edf")
    assert "/000/aaaaaacc/s002_2012_04_06/" in row["path"]
    assert row["session"] == "s002_t001"


def test_tuab_counts_are_those_of_the_two_parts() -> None:
    spec = corpus("tuab")
    assert spec.expected.labels["abnormality"] == {"normal": 1371 + 150, "abnormal": 1346 + 126}
    assert spec.expected.n_recordings == 2993 == 1371 + 1346 + 150 + 126
    assert spec.expected.n_subjects == 2076 + 253


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("tuab", {"train": "train", "eval": "test"}),
        ("tuev", {"train": "train", "eval": "test"}),
        ("tusz", {"train": "train", "dev": "validation", "eval": "test"}),
    ],
)
def test_official_parts_are_the_folders(
    whole: dict[str, Taken], key: str, parts: dict[str, str]
) -> None:
    rows = whole[key].recordings
    said = {r["path"].split("/")[2]: whole[key].labels(r["path"])["official"] for r in rows}
    assert said == parts
    split = [x for r in rows for x in r["labels"] if x["name"] == "official"]
    assert {x["scope"] for x in split} == {"split"}
    people: dict[str, set[str]] = {}
    for row in rows:
        people.setdefault(row["subject_id"], set()).add(row["path"].split("/")[2])
    assert all(len(found) == 1 for found in people.values())


def test_neurolm_validation_people_of_tuab_are_found_by_hash_and_both_classes_stay_together(
    whole: dict[str, Taken],
) -> None:
    rows = whole["tuab"].recordings
    said = {r["path"].rsplit("/", 1)[1]: whole["tuab"].labels(r["path"])["neurolm"] for r in rows}
    assert {v for name, v in said.items() if name[:8] in {"aaaaaadd", "aaaaaaee"}} == {"test"}
    both = {v for name, v in said.items() if name.startswith("aaaaaabb")}
    assert len(both) == 1
    assert both <= {"train", "validation"}


def test_neurolm_draw_of_tuev_needs_the_whole_corpus(whole: dict[str, Taken]) -> None:
    taken = whole["tuev"]
    said = {r["path"].split("/")[2]: taken.labels(r["path"])["neurolm"] for r in taken.recordings}
    assert said == {"train": "unknown", "eval": "test"}


def test_tuep_old_release_has_no_edf_level_and_seizures_are_unknown(tmp_path: Path) -> None:
    assert tuep.write_files(tmp_path / "tuep", release=2) == tmp_path / "tuep"
    taken = Taken.of("tuep", tmp_path)
    assert {r["status"] for r in taken.recordings} == {"accepted"}
    for name in (tuep.SICK, tuep.WELL):
        labels = taken.labels(name)
        assert (labels["release"], labels["seizure"]) == ("2.0.1", "unknown")
        assert labels["seizure_type_annotations"] == "missing"
        assert labels["session_in_tusz"] == "missing"
        assert {tuple(v) for _, v in taken.timed(name, "seizure")} == {()}


def test_tuep_folder_number_is_not_the_label(whole: dict[str, Taken]) -> None:
    found = {n: whole["tuep"].labels(n) for n in (tuep.SICK, tuep.SICK_TOO, tuep.WELL)}
    assert [x["diagnosis"] for x in found.values()] == ["epilepsy", "epilepsy", "no_epilepsy"]
    assert [x["montage"] for x in found.values()] == ["tcp_le", "tcp_ar", "tcp_ar_a"]
    diagnosis = [
        x
        for s in whole["tuep"].segments(tuep.SICK)
        for x in s["labels"]
        if x["name"] == "diagnosis"
    ]
    assert {x["scope"] for x in diagnosis} == {"recording"}


def test_tuep_new_release_has_seizures_per_channel(whole: dict[str, Taken]) -> None:
    taken = whole["tuep"]
    assert taken.labels(tuep.SICK_TOO)["release"] == "3.0.0"
    assert taken.timed(tuep.SICK_TOO, "seizure") == [
        (0, ["absent"]), (10, ["present"]), (20, ["present"]), (30, ["absent"]),
    ]  # fmt: skip
    assert taken.events(tuep.SICK_TOO) == [
        (10, "seizure", ["T7-C3"], 4.0, 10.0, "tuep:cpsz"),
        (20, "seizure", ["T7-C3"], 0.0, 6.0, "tuep:cpsz"),
    ]
    assert taken.labels(tuep.SICK)["seizure"] == "absent"


def test_tuep_sessions_shared_with_tusz_are_marked(whole: dict[str, Taken]) -> None:
    found = [
        whole["tuep"].labels(n)["session_in_tusz"] for n in (tuep.SICK, tuep.SICK_TOO, tuep.WELL)
    ]
    assert found == ["no", "yes", "unknown"]


@pytest.mark.parametrize(
    "line",
    ["aaaaaasz_s004_2011", "./train/aaaaaasz/s004_2011/01_tcp_ar", "aaaaaasz_s004_t000.edf 1"],
)
def test_tuep_any_spelling_of_a_session_is_found(tmp_path: Path, line: str) -> None:
    tuep.write_files(tmp_path / "tuep", duration_s=20)
    (tmp_path / "tuep/DOCS/sessions_common_with_tusz.list").write_text(f"# list\n{line}\n")
    (tmp_path / "tuep/DOCS/sessions_unique_to_tuep.list").unlink()
    assert Taken.of("tuep", tmp_path).labels(tuep.SICK_TOO)["session_in_tusz"] == "yes"
