from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb
from sleep_taken import signals_uv, take
from trees import physionet_2018 as ps

from dagster_project.corpora.registry import corpus
from detectors.types import CANONICAL19

FOLDER = "physionet-2018"
NIGHT = "tr03-0005.mat"


def night(root: Path, notes: list[ps.Note], duration_s: float = 90) -> None:
    ps.write_night(root / FOLDER, "tr03-0005", notes, duration_s)


def test_the_tree_is_what_wfdb_reads(tmp_path: Path) -> None:
    path = ps.write_night(tmp_path / FOLDER, "tr03-0005")
    record = wfdb.rdrecord(str(path.with_suffix("")))
    assert record.sig_name == list(ps.CHANNELS)
    assert (record.fs, record.sig_len) == (200, 18_000)
    # wfdb takes any note on the first sample for a definition and leaves it out
    notes = wfdb.rdann(str(path.with_suffix("")), "arousal")
    assert [(s / 200, t) for s, t in zip(notes.sample, notes.aux_note, strict=True)] == list(
        ps.DEFAULT[1:]
    )


def test_stages_and_events_reach_the_segments_they_cover(tmp_path: Path) -> None:
    ps.write(tmp_path)
    taken = take("physionet-2018", tmp_path)
    assert taken.stages(NIGHT) == ["W"] * 3 + ["N1"] * 3 + ["N2"] * 3
    assert taken.marked(NIGHT, "respiratory_event") == [
        [],
        [],
        [],
        [],
        ["hypopnea"],
        ["hypopnea"],
        [],
        [],
        [],
    ]
    assert taken.marked(NIGHT, "arousal") == [[]] * 6 + [["respiratory_effort"]] + [[]] * 2
    assert taken.marked(NIGHT, "events_scored") == [["arousals_and_breathing"]] * 9


def test_test_nights_have_no_labels_and_say_so(tmp_path: Path) -> None:
    ps.write(tmp_path)
    taken = take("physionet-2018", tmp_path)
    assert taken.labels("te03-0024.mat")["hypnogram"] == "missing"
    assert set(taken.stages("te03-0024.mat")) == {None}
    assert taken.marked("te03-0024.mat", "events_scored") == [[]] * 9


def test_the_official_split_is_the_folder(tmp_path: Path) -> None:
    ps.write(tmp_path)
    taken = take("physionet-2018", tmp_path)
    assert {name: taken.splits(name)["official"] for name in taken.recordings} == {
        NIGHT: "train", "tr04-0029.mat": "train", "te03-0024.mat": "test",
    }  # fmt: skip


def test_994_of_1983_nights_have_labels() -> None:
    expected = corpus("physionet-2018").expected
    assert expected.n_recordings - expected.labels["hypnogram"]["missing"] == 994


def test_positions_of_contralateral_derivations_and_units_per_signal(tmp_path: Path) -> None:
    ps.write(tmp_path)
    taken = take("physionet-2018", tmp_path)
    first = taken.segments[NIGHT][0]
    sites = [c for c, has in zip(first["ch_names"], first["mask"], strict=True) if has]
    assert sites == ["F3", "F4", "C3", "C4", "O1", "O2"]
    assert taken.recordings[NIGHT]["sfreq_hz"] == 200.0
    assert taken.causes == {}


def test_signals_are_the_planted_microvolts(tmp_path: Path) -> None:
    """The planted 10-Hz rhythm, 20 uV on every channel, in phase."""
    ps.write_night(tmp_path / FOLDER, "tr03-0005", seed=3)
    found = signals_uv("physionet-2018", tmp_path)[NIGHT]
    wave = np.sin(2 * np.pi * 10 * np.arange(found.shape[1]) / 200)
    gain = found @ wave / (wave @ wave)
    recorded = [CANONICAL19.index(c) for c in ("F3", "F4", "C3", "C4", "O1", "O2")]
    assert gain[recorded] == pytest.approx(np.full(6, 20.0), abs=0.7)
    assert not np.delete(found, recorded, axis=0).any()


def test_stages_are_run_lengths_and_the_last_holds_one_epoch(tmp_path: Path) -> None:
    night(tmp_path, [(0, "W"), (240, "N3"), (270, "R")], 360)
    taken = take("physionet-2018", tmp_path)
    assert taken.stages(NIGHT) == ["W"] * 24 + ["N3"] * 3 + ["REM"] * 3 + [None] * 6
    assert taken.labels(NIGHT)["hypnogram"] == "partial"
    assert taken.marked(NIGHT, "events_scored")[-6:] == [[]] * 6


def test_unscored_runs_carry_no_stage(tmp_path: Path) -> None:
    night(tmp_path, [(0, "U"), (30, "N2"), (60, "U")])
    assert take("physionet-2018", tmp_path).stages(NIGHT) == [None] * 3 + ["N2"] * 3 + [None] * 3


@pytest.mark.parametrize(
    ("kind", "label", "word"),
    [("resp_obstructiveapnea", "respiratory_event", "obstructive_apnea"),
     ("resp_centralapnea", "respiratory_event", "central_apnea"),
     ("resp_mixedapnea", "respiratory_event", "mixed_apnea"),
     ("resp_somethingnew", "respiratory_event", "other"),
     ("arousal_spontaneous", "arousal", "spontaneous"), ("arousal_snore", "arousal", "snore"),
     ("arousal_plm", "arousal", "leg_movement")],
)  # fmt: skip
def test_events_are_closed_words(tmp_path: Path, kind: str, label: str, word: str) -> None:
    night(tmp_path, [(0, "N2"), (32, f"({kind}"), (38, f"{kind})"), (60, "N2")])
    assert take("physionet-2018", tmp_path).marked(NIGHT, label)[3] == [word]


@pytest.mark.parametrize(
    "notes",
    [[(0, "W"), (9, "(resp_hypopnea")], [(0, "W"), (9, "resp_hypopnea)")],
     [(0, "W"), (9, "(resp_hypopnea"), (10, "(resp_hypopnea"), (11, "resp_hypopnea)")], []],
    ids=["open", "never opened", "twice", "void"],
)  # fmt: skip
def test_contradicting_annotations_set_the_night_aside(
    tmp_path: Path, notes: list[ps.Note]
) -> None:
    night(tmp_path, notes)
    assert take("physionet-2018", tmp_path).causes == {NIGHT: "bad_labels"}


def test_events_of_two_kinds_may_overlap(tmp_path: Path) -> None:
    night(tmp_path, [(0, "N2"), (31, "(resp_hypopnea"), (35, "(arousal_rera"),
                     (38, "resp_hypopnea)"), (39, "arousal_rera)"), (60, "N2")])  # fmt: skip
    taken = take("physionet-2018", tmp_path)
    assert taken.marked(NIGHT, "arousal")[3] == ["respiratory_effort"]
    assert taken.marked(NIGHT, "respiratory_event")[3] == ["hypopnea"]


def test_the_arousal_vector_is_no_recording(tmp_path: Path) -> None:
    ps.write(tmp_path)
    assert (tmp_path / FOLDER / "training/tr03-0005/tr03-0005-arousal.mat").exists()
    assert set(take("physionet-2018", tmp_path).recordings) == {
        NIGHT, "tr04-0029.mat", "te03-0024.mat",
    }  # fmt: skip


def test_age_and_sex_come_from_the_list(tmp_path: Path) -> None:
    ps.write(tmp_path)
    rows = take("physionet-2018", tmp_path).recordings
    assert (rows[NIGHT]["age_band"], rows[NIGHT]["sex"]) == ("50-59", "M")


def test_a_signal_without_its_header_is_set_aside(tmp_path: Path) -> None:
    path = ps.write_night(tmp_path / FOLDER, "tr03-0005")
    path.with_suffix(".hea").unlink()
    assert take("physionet-2018", tmp_path).causes == {NIGHT: "unreadable"}
