from __future__ import annotations

from pathlib import Path

import pytest
from sleep_taken import take
from trees import boas

from dagster_project.corpora.registry import corpus
from dagster_project.corpora.scan import fingerprints
from dagster_project.corpora.shards import find_files

PSG, BAND = "sub-1_task-Sleep_acq-psg_eeg.edf", "sub-1_task-Sleep_acq-headband_eeg.edf"


def test_nights_of_one_pid_are_one_person_in_one_shard(tmp_path: Path) -> None:
    boas.write(tmp_path)
    found = {f.path.name: f.identity for f in find_files(corpus("boas"), tmp_path)
             if f.is_recording}  # fmt: skip
    assert found[PSG] == found[BAND] == found[PSG.replace("sub-1", "sub-3")] == "boas:1"
    assert found[PSG.replace("sub-1", "sub-10")] == "boas:3"
    rows = take("boas", tmp_path).recordings
    assert len(rows) == 8
    assert len({r["subject_id"] for r in rows.values()}) == 3
    assert rows[PSG]["shard"] == rows[PSG.replace("sub-1", "sub-3")]["shard"]


@pytest.mark.parametrize(
    "people", [None, [(2, "2", 40, "F")], [(1, "1", 25, "F"), (1, "2", 25, "F")],
               [(1, "n/a", 25, "F")]],
    ids=["no table", "no row", "two persons", "void"],
)  # fmt: skip
def test_a_night_whose_person_is_not_known_is_set_aside(
    tmp_path: Path, people: list[tuple[int, str, float, str]] | None
) -> None:
    boas.write_night(tmp_path / "boas", 1, has_headband=False)
    if people is not None:
        boas.write_people(tmp_path / "boas", people)
    assert take("boas", tmp_path).causes == {PSG: "bad_labels"}


def test_a_changed_table_of_people_changes_what_is_known(tmp_path: Path) -> None:
    boas.write(tmp_path)
    before = {f.path.name: f.identity for f in find_files(corpus("boas"), tmp_path)}
    marks = fingerprints(tmp_path, ["boas"])
    boas.write_people(tmp_path / "boas", [(n, "7", 25, "F") for n in (1, 2, 3, 10)])
    after = {f.path.name: f.identity for f in find_files(corpus("boas"), tmp_path)}
    assert before[PSG] == "boas:1"
    assert {i for i in after.values() if i} == {"boas:7"}
    assert fingerprints(tmp_path, ["boas"]) != marks


def test_the_consensus_is_the_stage_and_the_model_is_not(tmp_path: Path) -> None:
    """Human 0 1 2 3 4 8; the model says otherwise everywhere."""
    epochs = [(0, 4), (1, 3), (2, 1), (3, 0), (4, -2), (8, 2)]
    boas.write_night(tmp_path / "boas", 1, epochs)
    boas.write_people(tmp_path / "boas", [(1, "1", 25, "F")])
    taken = take("boas", tmp_path)
    stages = [s for stage in ("W", "N1", "N2", "N3", "REM", None) for s in [stage] * 3]
    assert taken.stages(PSG) == stages
    assert taken.marked(PSG, "recording_fault") == [[]] * 15 + [["disconnection"]] * 3
    assert taken.segments[PSG][0]["labels"][-1]["source"] == "consensus of human scorers"
    assert taken.labels(PSG) == {"hypnogram": "present", "acquisition": "psg"}


def test_a_headband_is_listed_but_put_on_no_electrode_s_row(tmp_path: Path) -> None:
    boas.write(tmp_path)
    taken = take("boas", tmp_path)
    assert taken.causes[BAND] == "no_eeg_channels"
    assert taken.recordings[BAND]["subject_id"] == taken.recordings[PSG]["subject_id"]
    assert taken.segments[BAND] == []


def test_channels_are_typed_by_name_not_by_the_sidecar(tmp_path: Path) -> None:
    """channels.tsv calls every belt EEG; one night lacks most electrodes."""
    boas.write_people(tmp_path / "boas", [(1, "1", 25, "F"), (2, "2", 30, "M")])
    boas.write_night(tmp_path / "boas", 1, seed=1)
    boas.write_night(tmp_path / "boas", 2, psg=["PSG_ABD", "PSG_C4", "PSG_EOG"], seed=2)
    taken = take("boas", tmp_path)
    sites = {
        name: {c for c, has in zip(s[0]["ch_names"], s[0]["mask"], strict=True) if has}
        for name, s in taken.segments.items() if s
    }  # fmt: skip
    assert sites[PSG] == {"F3", "F4", "C3", "C4", "O1", "O2"}
    assert sites[PSG.replace("sub-1", "sub-2")] == {"C4"}


def test_the_first_sample_counts_from_one(tmp_path: Path) -> None:
    path = boas.write_night(tmp_path / "boas", 1, has_headband=False)
    boas.write_people(tmp_path / "boas", [(1, "1", 25, "F")])
    events = path.with_name(path.name.replace("_eeg.edf", "_events.tsv"))
    head, *rows = events.read_text().splitlines()
    bare = ["\t".join(row.split("\t")[2:]) for row in [head, *rows]]
    events.write_text("\n".join(bare) + "\n")
    taken = take("boas", tmp_path)
    assert [s["start_s"] for s in taken.segments[PSG]] == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    assert taken.stages(PSG) == ["N3"] * 3 + ["N2"] * 3


def test_a_night_may_start_in_n3(tmp_path: Path) -> None:
    boas.write(tmp_path)
    assert take("boas", tmp_path).stages(PSG)[0] == "N3"


@pytest.mark.parametrize(
    "row", ["0\t30\t900\t8579\t2\t2", "0\t30\t1\t7680\t5\t2", "x\t30\tx\tx\t2\t2"],
    ids=["two clocks", "code", "no time"],
)  # fmt: skip
def test_events_that_contradict_set_the_night_aside(tmp_path: Path, row: str) -> None:
    path = boas.write_night(tmp_path / "boas", 1, has_headband=False)
    boas.write_people(tmp_path / "boas", [(1, "1", 25, "F")])
    events = path.with_name(path.name.replace("_eeg.edf", "_events.tsv"))
    events.write_text(events.read_text().splitlines()[0] + f"\n{row}\n")
    assert take("boas", tmp_path).causes == {PSG: "bad_labels"}


def test_age_and_sex_come_from_the_participants(tmp_path: Path) -> None:
    boas.write(tmp_path)
    rows = take("boas", tmp_path).recordings
    assert (rows[PSG]["age_band"], rows[PSG]["sex"]) == ("20-29", "F")


def test_a_night_without_events_says_so(tmp_path: Path) -> None:
    path = boas.write_night(tmp_path / "boas", 1, has_headband=False)
    boas.write_people(tmp_path / "boas", [(1, "1", 25, "F")])
    path.with_name(path.name.replace("_eeg.edf", "_events.tsv")).unlink()
    taken = take("boas", tmp_path)
    assert taken.labels(PSG)["hypnogram"] == "missing"
    assert set(taken.stages(PSG)) == {None}


def test_the_whole_corpus_is_128_nights_of_108_people() -> None:
    expected = corpus("boas").expected
    assert (expected.n_recordings, expected.n_subjects) == (256, 108)
