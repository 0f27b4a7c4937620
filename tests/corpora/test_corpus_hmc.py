from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from formats.edf import noise_uv
from sleep_taken import signals_uv, take
from trees import hmc

from dagster_project.corpora.registry import corpus
from dagster_project.corpora.shards import find_files
from detectors.types import CANONICAL19

FOLDER = "hmc-sleep-staging"


def test_stages_and_lights_reach_the_segments_they_cover(tmp_path: Path) -> None:
    hmc.write(tmp_path)
    taken = take("hmc", tmp_path)
    assert taken.stages("SN001.edf") == ["W"] * 3 + ["N1"] * 3 + ["N2"] * 3
    assert taken.marked("SN001.edf", "lights") == [["on"], ["on", "off"], *[["off"]] * 7]
    assert taken.segments["SN001.edf"][3]["labels"][-1] == {
        "scope": "epoch", "name": "stage", "value": "N1", "source": "sleepscoring.txt",
    }  # fmt: skip


def test_the_scoring_edf_is_no_recording(tmp_path: Path) -> None:
    hmc.write(tmp_path)
    found = find_files(corpus("hmc"), tmp_path)
    assert [f.path.name for f in found if f.is_recording] == ["SN001.edf", "SN002.edf", "SN004.edf"]
    assert sum(not f.is_recording for f in found) == 6
    names = [len(f.path.name) for f in found if f.is_recording]
    assert names == [9] * 3


def test_columns_parted_by_comma_and_blank_are_read_without_the_blank(tmp_path: Path) -> None:
    path = hmc.write_subject(tmp_path / FOLDER, 7, has_twin=False)
    text = path.with_name("SN007_sleepscoring.txt").read_text()
    assert ", Duration, Annotation" in text
    assert take("hmc", tmp_path).stages("SN007.edf")[0] == "W"


@pytest.mark.parametrize(("has_text", "has_twin"), [(True, False), (False, True)])
def test_text_and_twin_say_the_same(tmp_path: Path, has_text: bool, has_twin: bool) -> None:
    rows = (*hmc.DEFAULT, (75.0, 0.0, "Lights on"))
    hmc.write_subject(tmp_path / FOLDER, 7, rows, has_text=has_text, has_twin=has_twin)
    taken = take("hmc", tmp_path)
    assert taken.stages("SN007.edf") == ["W"] * 3 + ["N1"] * 3 + ["N2"] * 3
    assert taken.marked("SN007.edf", "lights")[6:] == [["off"], ["off", "on"], ["on"]]


def test_lights_on_is_not_wake_and_nothing_outside_the_lights_is_dropped(tmp_path: Path) -> None:
    rows = [(0, 30, "Sleep stage N2"), (30, 30, "Sleep stage N2"), (10, 0, "Lights off"),
            (20, 0, "Lights on")]  # fmt: skip
    hmc.write_subject(tmp_path / FOLDER, 7, rows, duration_s=60)
    assert take("hmc", tmp_path).stages("SN007.edf") == ["N2"] * 6


def test_a_short_last_epoch_and_a_longer_signal_leave_the_rest_without_a_stage(
    tmp_path: Path,
) -> None:
    rows = [*hmc.DEFAULT[:3], (60, 20, "Sleep stage R")]
    hmc.write_subject(tmp_path / FOLDER, 7, rows, duration_s=110)
    taken = take("hmc", tmp_path)
    assert taken.stages("SN007.edf")[6:] == ["REM", "REM", None, None, None]
    assert taken.labels("SN007.edf")["hypnogram"] == "present"
    hmc.write_subject(tmp_path / FOLDER, 8, rows, duration_s=120)
    assert take("hmc", tmp_path).labels("SN008.edf")["hypnogram"] == "partial"


def test_channels_are_picked_by_name_whatever_their_order(tmp_path: Path) -> None:
    hmc.write(tmp_path)
    recordings = take("hmc", tmp_path).segments
    rows = {name: dict(zip(s[0]["ch_names"], s[0]["mask"], strict=True))
            for name, s in recordings.items()}  # fmt: skip
    wanted = {"F4", "C4", "O2", "C3"}
    assert {n for row in rows.values() for n, has in row.items() if has} == wanted
    assert all({n for n, has in row.items() if has} == wanted for row in rows.values())


def test_signals_keep_microvolts_and_place_whatever_their_order(tmp_path: Path) -> None:
    """The row of C3 holds the noise planted under its name, the others do not."""
    path = tmp_path / FOLDER / "recordings/SN001.edf"
    for order in (hmc.CHANNELS, hmc.CHANNELS[::-1]):
        hmc.write_signals(path, 30, channels=order, seed=4)
        found = signals_uv("hmc", tmp_path)["SN001.edf"]
        planted = noise_uv(8, 30, 256, 4)[order.index("EEG C3-M2")]
        wave = np.interp(np.arange(6000) / 200, np.arange(planted.size) / 256, planted)
        row = found[CANONICAL19.index("C3")]
        assert np.corrcoef(row, wave)[0, 1] > 0.8
        others = [found[CANONICAL19.index(c)] for c in ("F4", "C4", "O2")]
        assert all(np.corrcoef(other, wave)[0, 1] < 0.7 for other in others)


def test_what_is_above_the_lowest_low_pass_of_the_corpus_means_nothing(tmp_path: Path) -> None:
    hmc.write_subject(tmp_path / FOLDER, 1, low_pass="LP:35Hz")
    hmc.write_subject(tmp_path / FOLDER, 2, low_pass="LP:128Hz")
    rows = take("hmc", tmp_path).recordings.values()
    assert {(r["band_low_hz"], r["band_high_hz"]) for r in rows} == {(0.2, 35.0)}


@pytest.mark.parametrize(
    "row",
    [(60, 30, "Sleep stage S2"), (60, 30, "Arousal"), (15, 30, "Sleep stage W"),
     (60, 0, "Sleep stage W"), (60, 0, "Lights dimmed"), (60, float("nan"), "Sleep stage W")],
    ids=["other rules", "other words", "overlap", "no length", "lights", "nan"],
)  # fmt: skip
def test_other_labels_than_five_stages_and_lights_set_the_file_aside(
    tmp_path: Path, row: hmc.Row
) -> None:
    hmc.write_subject(tmp_path / FOLDER, 1, [*hmc.DEFAULT[:3], row], has_twin=False)
    taken = take("hmc", tmp_path)
    assert taken.causes == {"SN001.edf": "bad_labels"}


def test_a_void_scoring_is_refused_and_a_missing_one_is_said(tmp_path: Path) -> None:
    hmc.write_subject(tmp_path / FOLDER, 1, [])
    hmc.write_subject(tmp_path / FOLDER, 2, has_text=False, has_twin=False)
    taken = take("hmc", tmp_path)
    assert taken.causes == {"SN001.edf": "bad_labels"}
    assert taken.labels("SN002.edf") == {"hypnogram": "missing"}
    assert set(taken.stages("SN002.edf")) == {None}


@pytest.mark.parametrize(
    ("patient", "sex"),
    [("X F X X", "F"), ("SN001 M 01-JAN-1950 X", "M"), ("X X X X", None), ("Mr F", None),
     ("", None)],
)  # fmt: skip
def test_sex_is_taken_only_from_its_place_in_the_header(
    tmp_path: Path, patient: str, sex: str | None
) -> None:
    hmc.write_subject(tmp_path / FOLDER, 1, patient=patient)
    (row,) = take("hmc", tmp_path).recordings.values()
    assert (row["sex"], row["age_band"]) == (sex, None)


def test_neurolm_s_split_is_100_25_and_26_of_the_sorted_files(tmp_path: Path) -> None:
    numbers = [n for n in range(1, 155) if n not in (14, 64, 135)]
    recordings = tmp_path / FOLDER / "recordings"
    for n in numbers:
        hmc.write_signals(
            recordings / f"SN{n:03d}.edf", 11, channels=["EEG C4-M1"], sfreq_hz=50, seed=n
        )
    taken = take("hmc", tmp_path)
    assert len(taken.recordings) == 151
    parts = [taken.splits(f"SN{n:03d}.edf")["neurolm"] for n in numbers]
    assert parts == ["train"] * 100 + ["validation"] * 25 + ["test"] * 26


def test_neurolm_s_split_of_a_part_of_the_corpus_is_unknown(tmp_path: Path) -> None:
    hmc.write(tmp_path)
    assert take("hmc", tmp_path).splits("SN001.edf") == {"neurolm": "unknown"}


def test_a_real_scoring_of_this_layout_stages_its_night(tmp_path: Path, data_root: Path) -> None:
    """151 W, 109 N1, 430 N2, 23 N3, 141 R epochs of 30 s: 854, that is 25,620 s."""
    real = data_root / "hmc-sleep-staging/recordings/test_edfann.edf"
    recordings = tmp_path / FOLDER / "recordings"
    hmc.write_signals(recordings / "SN001.edf", 25_620, channels=["EEG C4-M1"], sfreq_hz=50)
    shutil.copyfile(real, recordings / "SN001_sleepscoring.edf")
    taken = take("hmc", tmp_path)
    assert taken.labels("SN001.edf")["hypnogram"] == "present"
    stages = taken.stages("SN001.edf")
    counts = {stage: stages.count(stage) / 3 for stage in set(stages)}
    assert counts == {"W": 151, "N1": 109, "N2": 430, "N3": 23, "REM": 141}


def test_the_shelf_s_scoring_without_a_name_is_accounted_for(data_root: Path) -> None:
    taken = take("hmc", data_root)
    assert taken.causes == {"test_edfann.edf": "file_name"}
