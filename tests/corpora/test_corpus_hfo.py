from __future__ import annotations

from pathlib import Path

import pytest
from sleep_taken import take
from trees import hfo

from dagster_project.corpora.registry import corpus
from dagster_project.corpora.scan import fingerprints
from dagster_project.corpora.shards import find_files

FOLDER = "hfo-ds003555"
CHILD = "sub-01_ses-01_task-hfo_eeg.edf"
DETECTOR = "detector output of ds003555"
K = hfo.SFREQ_HZ


def test_ripples_lie_where_their_run_lies_in_the_raw(tmp_path: Path) -> None:
    """Run 1 begins at 10 s; samples 1025 to 2048 of it are its second second."""
    hfo.write(tmp_path)
    taken = take(FOLDER, tmp_path)
    assert taken.events(CHILD) == [("ripple", ("T7-P7",), 11.0, 12.0, DETECTOR)]
    assert taken.stages(CHILD) == ["W", "N3", "N3", None]
    assert taken.marked(CHILD, "ripples_detected_on") == [[], ["interval"], ["interval"], []]


def test_the_rate_of_event_indexes_is_that_of_the_run_s_header(tmp_path: Path) -> None:
    """A run at 2000 Hz: samples 2001 to 4000 are again its second second."""
    hfo.write_subject(tmp_path / FOLDER, 1, events=[("Fp1-F3", 2001, 4000, 1)], run_sfreq_hz=2000)
    assert take(FOLDER, tmp_path).events(CHILD) == [("ripple", ("Fp1-F3",), 11.0, 12.0, DETECTOR)]


def test_the_rate_in_channels_tsv_is_not_believed(tmp_path: Path) -> None:
    path = hfo.write_subject(tmp_path / FOLDER, 1)
    derived = tmp_path / FOLDER / "derivatives" / path.parent.relative_to(tmp_path / FOLDER)
    assert "\t2000" in (derived / f"{CHILD[:-8]}_run-01_channels.tsv").read_text()
    assert take(FOLDER, tmp_path).events(CHILD)[0][2] == 11.0


def test_rejected_detections_are_no_events(tmp_path: Path) -> None:
    events = [("Fp1-F3", 1, 100, 0), ("Fp1-F3", 5000, 5102, 1)]
    hfo.write_subject(tmp_path / FOLDER, 1, events=events)
    ((_, _, onset_s, end_s, _),) = take(FOLDER, tmp_path).events(CHILD)
    assert onset_s == pytest.approx(10 + 4999 / K, abs=1e-5)
    assert end_s == pytest.approx(10 + 5102 / K, abs=1e-5)


def test_a_channel_column_that_names_no_electrode_names_nobody(tmp_path: Path) -> None:
    events = [("Eva-Max", 1, 100, 1), ("Doe John", 5000, 5102, 1)]
    hfo.write_subject(tmp_path / FOLDER, 1, events=events)
    assert [e[1] for e in take(FOLDER, tmp_path).events(CHILD)] == [(), ()]


def test_detections_never_look_like_human_marks(tmp_path: Path) -> None:
    hfo.write(tmp_path)
    assert all(e[4].startswith("detector") for e in take(FOLDER, tmp_path).events(CHILD))


@pytest.mark.parametrize(
    ("intervals", "events"),
    [([(1, 1, 5 * K, "N3")], []), ([(1, 1, 200 * K, "N3")], []),
     ([(1, 10 * K, 10, "N3")], []), ((), [("Fp1-F3", 1, 99_999, 1)]), ((), [("Fp1-F3", 0, 5, 1)]),
     ([(0, 1, 20 * K, "N2"), (1, 10 * K + 1, 30 * K, "N3")], [])],
    ids=["other length", "behind the end", "backwards", "behind the run", "zero-based", "overlap"],
)  # fmt: skip
def test_indexes_that_cannot_be_set_the_recording_aside(
    tmp_path: Path, intervals: list[hfo.Interval], events: list[hfo.Event]
) -> None:
    hfo.write_subject(tmp_path / FOLDER, 1, intervals, events)
    assert take(FOLDER, tmp_path).causes == {CHILD: "bad_labels"}


def test_derivatives_are_sidecars_of_their_child_not_recordings(tmp_path: Path) -> None:
    hfo.write(tmp_path)
    found = find_files(corpus(FOLDER), tmp_path)
    assert [f.path.name for f in found if f.is_recording] == [
        CHILD.replace("sub-01", f"sub-0{n}") for n in (1, 2, 3)
    ]
    before = fingerprints(tmp_path, [FOLDER])
    derived = next((tmp_path / FOLDER / "derivatives/sub-02").rglob("DataIntervals.tsv"))
    derived.write_text(derived.read_text() + "0\t1\t2\tN2\n")
    after = fingerprints(tmp_path, [FOLDER])
    changed = [key for key in after if after[key].fingerprint != before[key].fingerprint]
    mine = {f.identity for f in found if "sub-02" in f.path.name and f.is_recording}
    assert mine == {f"{FOLDER}:sub-02"}
    assert len(changed) == 1


def test_without_derivatives_nothing_is_known(tmp_path: Path) -> None:
    hfo.write_subject(tmp_path / FOLDER, 1)
    next((tmp_path / FOLDER / "derivatives").rglob("DataIntervals.tsv")).unlink()
    taken = take(FOLDER, tmp_path)
    assert taken.labels(CHILD)["hypnogram"] == "missing"
    assert taken.events(CHILD) == []


def test_a_run_that_is_not_there_is_said(tmp_path: Path) -> None:
    hfo.write_subject(tmp_path / FOLDER, 1)
    next((tmp_path / FOLDER / "derivatives").rglob("*_run-01_eeg.edf")).unlink()
    taken = take(FOLDER, tmp_path)
    assert taken.labels(CHILD)["ripples"] == "incomplete"
    assert taken.marked(CHILD, "ripples_detected_on") == [[]] * 4
    assert taken.stages(CHILD)[1] == "N3"


def test_the_raw_is_at_1024_hz_and_24_channels_are_fine(tmp_path: Path) -> None:
    hfo.write_subject(tmp_path / FOLDER, 1, channels=[*hfo.CHANNELS, "ECG"])
    taken = take(FOLDER, tmp_path)
    assert taken.recordings[CHILD]["sfreq_hz"] == 1024.0
    assert all(taken.segments[CHILD][0]["mask"])


def test_decimal_ages_become_bands_and_pathology_stays_out(tmp_path: Path) -> None:
    hfo.write(tmp_path)
    taken = take(FOLDER, tmp_path)
    row = taken.recordings[CHILD.replace("sub-01", "sub-02")]
    assert (row["age_band"], row["sex"]) == ("10-19", "M")
    assert "clinic" not in repr(taken)
    assert corpus(FOLDER).expected.n_recordings == 30
