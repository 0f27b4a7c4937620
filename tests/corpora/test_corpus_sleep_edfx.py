from __future__ import annotations

import csv
import shutil
from pathlib import Path

import mne
import pytest
from sleep_taken import take
from trees import sleep_edfx as sleep

FOLDER = "sleep-edfx"
HOUR = 3600.0


def mne_table(name: str) -> list[dict[str, str]]:
    """The subject tables as MNE-Python ships them, made from the real spreadsheets."""
    path = Path(mne.__file__).parent / "datasets/sleep_physionet" / name
    return list(csv.DictReader(path.read_text().splitlines()))


def test_the_scorer_s_letter_varies_and_pairs_by_night(tmp_path: Path) -> None:
    sleep.write(tmp_path)
    taken = take("sleep-edfx", tmp_path)
    assert not taken.causes
    scorers = {name[:6]: taken.labels(name)["scorer"] for name in taken.recordings}
    assert scorers == {"SC4001": "c", "SC4002": "c", "SC4011": "h", "ST7011": "p"}
    for name in taken.recordings:
        assert taken.stages(name) == ["W"] * 3 + ["N1"] * 3 + ["N2"] * 3 + ["REM"] * 3


def test_two_nights_are_one_person_and_the_studies_are_other_people(tmp_path: Path) -> None:
    sleep.write(tmp_path)
    rows = take("sleep-edfx", tmp_path).recordings
    people = {name[:6]: r["subject_id"] for name, r in rows.items()}
    assert people["SC4001"] == people["SC4002"]
    assert len(set(people.values())) == 3
    shards = {name[:6]: r["shard"] for name, r in rows.items()}
    assert shards["SC4001"] == shards["SC4002"]


def test_only_the_100_hz_derivations_are_eeg(tmp_path: Path) -> None:
    sleep.write_night(tmp_path / FOLDER, "SC4001")
    (row,) = take("sleep-edfx", tmp_path).recordings.values()
    assert row["channel_schema"] == "bipolar:Fpz-Cz,Pz-Oz"
    assert row["sfreq_hz"] == 100.0


def test_stages_3_and_4_are_n3_and_movement_and_unscored_are_none(tmp_path: Path) -> None:
    stages = [(0, 30, "Sleep stage 3"), (30, 30, "Sleep stage 4"), (60, 30, "Movement time"),
              (90, 30, "Sleep stage ?")]  # fmt: skip
    sleep.write_night(tmp_path / FOLDER, "SC4001", stages=stages)
    assert take("sleep-edfx", tmp_path).stages("SC4001E0-PSG.edf") == ["N3"] * 6 + [None] * 6


def test_the_record_is_kept_half_an_hour_around_sleep(tmp_path: Path) -> None:
    """Run-length stages: two hours awake, ten minutes asleep, an hour awake."""
    stages = [(0, 7200, "Sleep stage W"), (7200, 600, "Sleep stage 2"),
              (7800, 3600, "Sleep stage W")]  # fmt: skip
    sleep.write_night(tmp_path / FOLDER, "SC4001", stages=stages, duration_s=11_400)
    taken = take("sleep-edfx", tmp_path)
    starts = [s["start_s"] for s in taken.segments["SC4001E0-PSG.edf"]]
    assert (starts[0], starts[-1], len(starts)) == (5400.0, 9590.0, 420)
    assert taken.stages("SC4001E0-PSG.edf") == ["W"] * 180 + ["N2"] * 60 + ["W"] * 180
    assert taken.recordings["SC4001E0-PSG.edf"]["duration_s"] == 11_400


def test_a_record_without_sleep_is_kept_whole(tmp_path: Path) -> None:
    sleep.write_night(tmp_path / FOLDER, "SC4001", stages=[(0, 120, "Sleep stage W")])
    assert take("sleep-edfx", tmp_path).stages("SC4001E0-PSG.edf") == ["W"] * 12


@pytest.mark.parametrize(
    ("stages", "says"),
    [([(0, 120, "Sleep stage W")], "present"), ([(0, 60, "Sleep stage W")], "partial"),
     (None, "missing")],
)  # fmt: skip
def test_whether_the_hypnogram_covers_the_record_is_said(
    tmp_path: Path, stages: list[sleep.Stage] | None, says: str
) -> None:
    sleep.write_night(tmp_path / FOLDER, "SC4001", stages=stages)
    assert take("sleep-edfx", tmp_path).labels("SC4001E0-PSG.edf")["hypnogram"] == says


def test_a_hypnogram_that_starts_later_is_placed_by_its_clock(tmp_path: Path) -> None:
    path = sleep.write_night(tmp_path / FOLDER, "SC4001", stages=None)
    sleep.write_hypnogram(
        path.with_name("SC4001EC-Hypnogram.edf"), [(0, 60, "Sleep stage 1")], "24.04.8916.13.30"
    )
    assert take("sleep-edfx", tmp_path).stages(path.name) == [None] * 3 + ["N1"] * 6 + [None] * 3


@pytest.mark.parametrize(
    "stages",
    [[(0, 60, "Sleep stage W"), (30, 30, "Sleep stage 1")], [(9000, 30, "Sleep stage W")],
     [(0, 0, "Sleep stage W")], [(0, 30, "Lights off")]],
    ids=["overlap", "elsewhere", "no length", "void"],
)  # fmt: skip
def test_hypnograms_that_cannot_be_of_the_record_set_it_aside(
    tmp_path: Path, stages: list[sleep.Stage]
) -> None:
    sleep.write_night(tmp_path / FOLDER, "SC4001", stages=stages)
    assert take("sleep-edfx", tmp_path).causes == {"SC4001E0-PSG.edf": "bad_labels"}


def test_the_two_tables_code_sex_the_other_way_round(tmp_path: Path) -> None:
    """First person of each real table: SC 33 years, female; ST 60 years, male."""
    folder = tmp_path / FOLDER
    sleep.write_night(folder, "SC4001", seed=1)
    sleep.write_night(folder, "ST7011", seed=2)
    sleep.write_sc_table(folder / "SC-subjects.xls", [(0, 1, 33, 1, 0.026)])
    sleep.write_st_table(folder / "ST-subjects.xls", [(1, 60, 1, 1, 0.96, 2, 0.99)])
    rows = take("sleep-edfx", tmp_path).recordings
    assert (rows["SC4001E0-PSG.edf"]["age_band"], rows["SC4001E0-PSG.edf"]["sex"]) == ("30-39", "F")
    assert (rows["ST7011J0-PSG.edf"]["age_band"], rows["ST7011J0-PSG.edf"]["sex"]) == ("60-69", "M")
    real = {r["fname"]: (r["age"], r["sex"]) for r in mne_table("age_records.csv")}
    assert real["SC4001E0-PSG.edf"] == ("33", "female")
    temazepam = {r["fname_PSG"]: (r["age"], r["sex"]) for r in mne_table("temazepam_records.csv")}
    assert temazepam["ST7011J0-PSG.edf"] == ("60", "male")


@pytest.mark.parametrize("subject", [0, 10, 38, 82])
def test_ages_and_sexes_equal_mne_s_table(tmp_path: Path, subject: int) -> None:
    real = [r for r in mne_table("age_records.csv") if r["record type"] == "PSG"]
    folder = tmp_path / FOLDER
    code = {"female": 1.0, "male": 2.0}
    sleep.write_sc_table(
        folder / "SC-subjects.xls",
        [(float(r["subject"]), float(r["night"]), float(r["age"]), code[r["sex"]], 0.5)
         for r in real],
    )  # fmt: skip
    sleep.write_night(folder, f"SC4{subject:02d}1")
    (row,) = take("sleep-edfx", tmp_path).recordings.values()
    mine = next(r for r in real if int(r["subject"]) == subject)
    low = int(mine["age"]) // 10 * 10
    assert row["age_band"] == ("90+" if low >= 90 else f"{low}-{low + 9}")
    assert row["sex"] == mine["sex"][0].upper()


def test_the_gaps_in_the_numbers_are_the_corpus_own() -> None:
    """No SC subjects 39, 68, 69, 78, 79; first night of 36 and 52, second of 13 missing."""
    real = [r for r in mne_table("age_records.csv") if r["record type"] == "PSG"]
    nights = {(int(r["subject"]), int(r["night"])) for r in real}
    people = {s for s, _ in nights}
    assert (len(nights), len(people)) == (153, 78)
    assert set(range(83)) - people == {39, 68, 69, 78, 79}
    assert {(36, 1), (52, 1), (13, 2)}.isdisjoint(nights)


@pytest.mark.parametrize(
    "raw", [b"", b"not a spreadsheet", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)],
    ids=["empty", "text", "torn"],
)  # fmt: skip
def test_a_broken_table_sets_the_record_aside(tmp_path: Path, raw: bytes) -> None:
    sleep.write_night(tmp_path / FOLDER, "SC4001")
    (tmp_path / FOLDER / "SC-subjects.xls").write_bytes(raw)
    assert take("sleep-edfx", tmp_path).causes == {"SC4001E0-PSG.edf": "bad_labels"}


def test_a_table_larger_than_any_is_not_opened(tmp_path: Path) -> None:
    sleep.write_night(tmp_path / FOLDER, "SC4001")
    with (tmp_path / FOLDER / "SC-subjects.xls").open("wb") as file:
        file.truncate(5 << 20)
    assert take("sleep-edfx", tmp_path).causes == {"SC4001E0-PSG.edf": "bad_labels"}


def test_a_person_given_two_ages_sets_the_record_aside(tmp_path: Path) -> None:
    sleep.write_night(tmp_path / FOLDER, "SC4001")
    sleep.write_sc_table(
        tmp_path / FOLDER / "SC-subjects.xls", [(0, 1, 33, 1, 0.5), (0, 2, 63, 1, 0.5)]
    )
    assert take("sleep-edfx", tmp_path).causes == {"SC4001E0-PSG.edf": "bad_labels"}


def test_the_real_night_with_its_real_hypnogram(tmp_path: Path, data_root: Path) -> None:
    folder = tmp_path / FOLDER
    shutil.copytree(data_root / "sleep-edfx", folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    sleep.write_sc_table(folder / "SC-subjects.xls", [(0, 1, 33, 1, 0.026)])
    taken = take("sleep-edfx", tmp_path)
    (row,) = taken.recordings.values()
    assert (row["age_band"], row["sex"], row["duration_s"]) == ("30-39", "F", 300.0)
    assert taken.labels("SC4001E0-PSG.edf") == {"hypnogram": "present", "scorer": "c"}
    assert taken.stages("SC4001E0-PSG.edf") == ["W"] * 30


def test_the_real_hypnogram_stages_and_trims_its_whole_night(
    tmp_path: Path, data_root: Path
) -> None:
    """Sleep from 30,630 s to 52,260 s of 79,500 s; run lengths of up to 30,630 s."""
    folder = tmp_path / FOLDER / "sleep-cassette"
    sleep.write_psg(folder / "SC4001E0-PSG.edf", 79_500)
    shutil.copyfile(
        data_root / "sleep-edfx/sleep-cassette/SC4001EC-Hypnogram.edf",
        folder / "SC4001EC-Hypnogram.edf",
    )
    taken = take("sleep-edfx", tmp_path)
    starts = [s["start_s"] for s in taken.segments["SC4001E0-PSG.edf"]]
    stages = taken.stages("SC4001E0-PSG.edf")
    assert starts[0] == 30_630 - 1800
    assert stages[:180] == ["W"] * 180
    assert stages[180] == "N1"
    last = max(i for i, s in enumerate(stages) if s not in (None, "W"))
    assert starts[-1] - starts[last] == 1800
