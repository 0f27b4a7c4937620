from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from sleep_taken import signals_uv, take
from trees import cap

FOLDER = "cap"
MIDNIGHT = "01.01.0923.59.30"


def night(root: Path, rows: list[cap.Row], stem: str = "n1", **keywords: object) -> str:
    return cap.write_night(root / FOLDER, stem, cap.PAIRS, rows, **keywords).name  # type: ignore[arg-type]


def test_stages_and_phases_reach_the_segments_they_cover(tmp_path: Path) -> None:
    cap.write(tmp_path)
    taken = take("cap", tmp_path)
    assert taken.stages("n1.edf") == ["W"] * 3 + ["N2"] * 3
    assert taken.events("n1.edf") == [("cap_a1", ("F4-C4",), 42.0, 47.0, "RemLogic export")]
    assert taken.causes == {}


def test_wall_clock_wraps_midnight(tmp_path: Path) -> None:
    rows = [("23:59:30", "SLEEP-S1", 30, ""), ("00:00:00", "SLEEP-REM", 30, ""),
            ("00:00:30", "SLEEP-S4", 30, ""), ("0:00:41", "MCAP-A3", 8, "C4-P4")]  # fmt: skip
    name = night(tmp_path, rows, start=MIDNIGHT, duration_s=90)
    taken = take("cap", tmp_path)
    assert taken.stages(name) == ["N1"] * 3 + ["REM"] * 3 + ["N3"] * 3
    assert taken.events(name) == [("cap_a3", ("C4-P4",), 71.0, 79.0, "RemLogic export")]


@pytest.mark.parametrize(
    "how", [{"has_position": False}, {"dots": True}, {"comma": True},
            {"dots": True, "has_position": False}],
    ids=["no position", "dots", "decimal comma", "both"],
)  # fmt: skip
def test_columns_and_times_differ_from_file_to_file(tmp_path: Path, how: dict[str, bool]) -> None:
    rows = [*cap.DEFAULT[:2], ("22:10:15", "MCAP-A2", 4.5, "F4-C4")]
    name = night(tmp_path, rows, **how)
    taken = take("cap", tmp_path)
    assert taken.stages(name) == ["W"] * 3 + ["N2"] * 3
    assert taken.events(name) == [("cap_a2", ("F4-C4",), 42.0, 46.5, "RemLogic export")]


@pytest.mark.parametrize("time", ["22:10:15.5", "22.10.15,5"])
def test_decimal_seconds(tmp_path: Path, time: str) -> None:
    name = night(tmp_path, [*cap.DEFAULT[:2], (time, "MCAP-A2", 4, "F4-C4")])
    assert take("cap", tmp_path).events(name)[0][2] == 42.5


def test_a_scoring_may_begin_before_the_signal(tmp_path: Path) -> None:
    rows = [("22:09:13", "SLEEP-S0", 30, ""), ("22:09:43", "SLEEP-S2", 30, "")]
    name = night(tmp_path, rows)
    taken = take("cap", tmp_path)
    assert [s["start_s"] for s in taken.segments[name]] == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    assert taken.stages(name) == ["W", "N2", "N2", "N2", None, None]


def test_movement_and_unknown_stages_carry_none(tmp_path: Path) -> None:
    rows = [("22:09:33", "SLEEP-MT", 30, ""), ("22:10:03", "SLEEP-UNSCORED", 30, "")]
    taken = take("cap", tmp_path) if night(tmp_path, rows) else None
    assert taken
    assert taken.stages("n1.edf") == [None] * 6


@pytest.mark.parametrize(
    ("code", "stage"),
    [("S0", "W"), ("S1", "N1"), ("S2", "N2"), ("S3", "N3"), ("S4", "N3"), ("REM", "REM")],
)
def test_r_and_k_stages_become_aasm_s(tmp_path: Path, code: str, stage: str) -> None:
    night(tmp_path, [("22:09:33", f"SLEEP-{code}", 60, "")])
    assert take("cap", tmp_path).stages("n1.edf") == [stage] * 6


@pytest.mark.parametrize(
    ("rates", "schema", "sites"),
    [(cap.PAIRS, "bipolar:F4-C4,C4-P4,P4-O2", None),
     ((("FP1F3", 512.0), ("F3C3", 512.0), ("EOG", 128.0)), "bipolar:Fp1-F3,F3-C3", None),
     ((("C4A1", 100.0), ("C3A2", 100.0), ("EMG1", 200.0)), "referential19", ["C3", "C4"]),
     ((("Fp2-F4", 200.0), ("C4-A1", 200.0), ("ROC-LOC", 200.0)), "bipolar:Fp2-F4", None),
     ((("F7T3", 128.0), ("T3T5", 128.0), ("F4-C4", 512.0)), "bipolar:F7-T7,T7-P7", None)],
    ids=["pairs", "undashed", "ears", "pair before ear", "one rate"],
)  # fmt: skip
def test_names_and_rates_vary_by_file(
    tmp_path: Path, rates: tuple[tuple[str, float], ...], schema: str, sites: list[str] | None
) -> None:
    cap.write_night(tmp_path / FOLDER, "n1", rates)
    taken = take("cap", tmp_path)
    assert taken.recordings["n1.edf"]["channel_schema"] == schema
    first = taken.segments["n1.edf"][0]
    if sites:
        assert [c for c, has in zip(first["ch_names"], first["mask"], strict=True) if has] == sites


def test_millivolts_become_microvolts(tmp_path: Path) -> None:
    for unit in ("uV", "mV"):
        cap.write_night(tmp_path / unit / FOLDER, "n1", cap.PAIRS, unit=unit)
    micro, milli = (signals_uv("cap", tmp_path / unit)["n1.edf"] for unit in ("uV", "mV"))
    assert 5 < np.median(np.abs(micro)) < 50
    np.testing.assert_allclose(milli, micro, atol=0.2)


def test_cap_phases_outside_nrem_mean_a_wrong_clock(tmp_path: Path) -> None:
    rows = [*cap.DEFAULT[:2], ("22:09:40", "MCAP-A1", 5, ""), ("22:09:50", "MCAP-A1", 5, "")]
    name = night(tmp_path, rows)
    assert take("cap", tmp_path).causes == {name: "bad_labels"}


def test_a_stray_phase_outside_nrem_is_kept(tmp_path: Path) -> None:
    inside = [(f"22:10:{s}", "MCAP-A1", 2, "") for s in ("05", "10", "15", "20")]
    name = night(tmp_path, [*cap.DEFAULT[:2], ("22:09:45", "MCAP-A1", 3, ""), *inside])
    assert len(take("cap", tmp_path).events(name)) == 5


@pytest.mark.parametrize(("rows", "says"), [(cap.DEFAULT, "present"), (cap.DEFAULT[:1], "partial")])
def test_whether_stages_cover_the_night_is_said(
    tmp_path: Path, rows: tuple[cap.Row, ...], says: str
) -> None:
    name = night(tmp_path, list(rows), duration_s=61 if says == "partial" else 60)
    assert take("cap", tmp_path).labels(name)["hypnogram"] == says


@pytest.mark.parametrize(
    "rows",
    [[("25:09:33", "SLEEP-S0", 30, "")], [("x", "SLEEP-S0", 30, "")],
     [("22:09:33", "SLEEP-S0", 30, ""), ("22:09:43", "SLEEP-S2", 30, "")],
     [("10:00:00", "SLEEP-S0", 30, "")], []],
    ids=["hour", "no time", "overlap", "elsewhere", "void"],
)  # fmt: skip
def test_exports_that_contradict_set_the_night_aside(tmp_path: Path, rows: list[cap.Row]) -> None:
    name = night(tmp_path, rows)
    assert take("cap", tmp_path).causes == {name: "bad_labels"}


def test_an_export_without_a_table_sets_the_night_aside(tmp_path: Path) -> None:
    name = night(tmp_path, [])
    (tmp_path / FOLDER / "n1.txt").write_text("RemLogic Event Export\nPatient:\tn1\n")
    assert take("cap", tmp_path).causes == {name: "bad_labels"}


def test_a_night_without_an_export_says_so(tmp_path: Path) -> None:
    name = night(tmp_path, [], has_text=False)
    assert take("cap", tmp_path).labels(name)["hypnogram"] == "missing"


def test_a_night_without_a_start_cannot_be_placed(tmp_path: Path) -> None:
    name = night(tmp_path, list(cap.DEFAULT), start="00.00.0022.09.33")
    assert take("cap", tmp_path).causes == {name: "bad_labels"}


@pytest.mark.parametrize(
    ("stem", "diagnosis"),
    [("n1", "healthy"), ("nfle40", "nocturnal_frontal_lobe_epilepsy"),
     ("narco5", "narcolepsy"), ("rbd22", "rem_behaviour_disorder"),
     ("plm10", "periodic_leg_movements"), ("ins9", "insomnia"), ("brux2", "bruxism"),
     ("sdb4", "sleep_disordered_breathing")],
)  # fmt: skip
def test_the_name_says_the_group(tmp_path: Path, stem: str, diagnosis: str) -> None:
    name = night(tmp_path, list(cap.DEFAULT), stem=stem)
    assert take("cap", tmp_path).labels(name)["diagnosis"] == diagnosis


@pytest.mark.parametrize(
    ("stem", "row"),
    [("n1", ("N1", "F", 37)), ("sdb2", ("SBD2", "F", 37)), ("rbd11", ("RDB11", "f", 37))],
)
def test_ages_are_found_under_the_names_that_slipped(
    tmp_path: Path, stem: str, row: tuple[str, str, int]
) -> None:
    name = night(tmp_path, list(cap.DEFAULT), stem=stem)
    cap.write_ages(tmp_path / FOLDER / "gender-age.xlsx", [("N10", "M", 90), row])
    found = take("cap", tmp_path).recordings[name]
    assert (found["age_band"], found["sex"]) == ("30-39", "F")


def test_a_spreadsheet_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    name = night(tmp_path, list(cap.DEFAULT))
    with zipfile.ZipFile(tmp_path / FOLDER / "gender-age.xlsx", "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/worksheets/sheet1.xml", bytes(80 << 20))
    assert take("cap", tmp_path).causes == {name: "bad_labels"}


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04 torn"], ids=["empty", "torn"])
def test_a_broken_spreadsheet_sets_the_night_aside(tmp_path: Path, raw: bytes) -> None:
    name = night(tmp_path, list(cap.DEFAULT))
    (tmp_path / FOLDER / "gender-age.xlsx").write_bytes(raw)
    assert take("cap", tmp_path).causes == {name: "bad_labels"}
