"""TUH corpora of marked events: TUAR (``corpora.md`` 5.12), TUEV (5.14) and TUSL (5.15)."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from formats import tuh
from trees import tuar, tuev, tusl
from tuh_taken import Taken

from dagster_project.corpora.labels.tuh_codes import KIND_OF_CODE, TCP20, TCP22, derivation
from dagster_project.corpora.registry import corpus

KEYS = ("tuar", "tuev", "tusl")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Taken]:
    root = tmp_path_factory.mktemp("tuh")
    for key in KEYS:
        import_module(f"trees.{key}").write(root)
    return {key: Taken.of(key, root) for key in KEYS}


def one(tmp_path: Path, key: str, below: str, **fields: object) -> Path:
    """Write one recording of a corpus alone."""
    return tuh.edf(tmp_path / key / below, **fields)  # type: ignore[arg-type]


def test_derivation_numbers_close_up_without_ears() -> None:
    assert [TCP22[i] for i in (0, 8, 9, 13, 21)] == ["Fp1-F7", "A1-T7", "T7-C3", "T8-A2", "P4-O2"]
    assert [TCP20[i] for i in (0, 7, 8, 11, 12, 19)] == [
        "Fp1-F7", "P8-O2", "T7-C3", "C4-T8", "Fp1-F3", "P4-O2",
    ]  # fmt: skip
    assert (len(TCP22), len(TCP20)) == (22, 20)


@pytest.mark.parametrize("text", ["FP1", "FP1-REF-F7", "X-Y", "C3-C3", "", "A1-"])
def test_what_is_no_derivation_is_refused(text: str) -> None:
    assert derivation(text) is None


def test_every_code_of_the_general_table_has_a_kind() -> None:
    codes = {name.strip("()") for name in tuh.SYMBOLS}
    assert codes == set(KIND_OF_CODE)


def test_tuar_artifacts_keep_their_derivation_and_pairs_are_two_at_once(
    whole: dict[str, Taken],
) -> None:
    events = whole["tuar"].events(tuar.AR)
    assert [e for e in events if e[0] < 20] == [
        (0, "eye_movement", ["Fp1-F7"], 2.0, 4.5, "tuar:eyem"),
        (0, "eye_movement", ["Fp2-F8"], 2.0, 4.5, "tuar:eyem"),
        (10, "eye_movement", ["A1-T7"], 1.0, 6.0, "tuar:eyem_musc"),
        (10, "muscle", ["A1-T7"], 1.0, 6.0, "tuar:eyem_musc"),
    ]
    assert whole["tuar"].timed(tuar.AR, "artifact") == [
        (0, ["eyem"]), (10, ["eyem", "musc"]), (20, []), (30, ["elec"]),
    ]  # fmt: skip


def test_tuar_unannotated_time_is_not_certified_clean(whole: dict[str, Taken]) -> None:
    assert whole["tuar"].timed(tuar.EARLESS, "artifact") == [
        (0, []), (10, []), (20, ["chew", "elec", "musc"]), (30, []),
    ]  # fmt: skip


def test_tuar_events_past_the_end_are_clipped_or_dropped_and_counted(
    whole: dict[str, Taken],
) -> None:
    labels = whole["tuar"].labels(tuar.AR)
    assert (labels["events_clipped"], labels["events_dropped"]) == ("1", "1")
    assert whole["tuar"].events(tuar.AR)[-1] == (
        30, "electrode", ["T8-A2"], 5.0, 10.0, "tuar:elec",
    )  # fmt: skip


def test_tuar_seizures_hide_in_the_second_file(whole: dict[str, Taken]) -> None:
    taken = whole["tuar"]
    assert taken.labels(tuar.AR)["seizure"] == "present"
    assert taken.labels(tuar.LE)["seizure"] == "unknown"
    assert taken.timed(tuar.AR, "seizure_type") == [(0, []), (10, []), (20, ["fnsz"]), (30, [])]
    assert [v[:1] for _, v in taken.timed(tuar.AR, "seizure")] == [
        ["unknown"], ["unknown"], ["present"], ["unknown"],
    ]  # fmt: skip
    assert {tuple(v) for _, v in taken.timed(tuar.LE, "seizure")} == {()}
    assert (20, "seizure", ["F7-T7"], 1.5, 9.0, "tuar:fnsz") in taken.events(tuar.AR)


def test_tuar_earless_montage_and_linked_ears_are_read(whole: dict[str, Taken]) -> None:
    taken = whole["tuar"]
    assert taken.labels(tuar.EARLESS)["montage"] == "tcp_ar_a"
    assert taken.labels(tuar.LE)["montage"] == "tcp_le"
    assert taken.events(tuar.LE) == [
        (0, "chewing", ["Cz-C4"], 5.0, 8.0, "tuar:chew"),
        (10, "shivering", ["O1-O2"], 2.0, 3.5, "tuar:shiv"),
        (30, "electrode_pop", ["P4-O2"], 1.0, 3.0, "tuar:elpp"),
    ]


def test_tuar_labels_are_its_own_list_and_every_file_has_them(tmp_path: Path) -> None:
    path = one(tmp_path, "tuar", tuar.AR)
    assert Taken.of("tuar", tmp_path).labels("t000.edf")["artifact_annotations"] == "missing"
    tuh.csv(path.with_suffix(".csv"), [("FP1-F7", 1, 2, "spsw")])
    assert list(Taken.of("tuar", tmp_path).causes().values()) == ["bad_labels"]
    assert corpus("tuar").expected.labels["artifact_annotations"] == {"present": 310}


def test_tuar_old_release_with_rows_of_the_whole_record(tmp_path: Path) -> None:
    path = one(tmp_path, "tuar", tuar.AR)
    tuh.tse(path.with_suffix(".tse"), [(0, 12, "bckg"), (12, 15, "elst")])
    assert Taken.of("tuar", tmp_path).events("t000.edf") == [
        (10, "electrostatic", [], 2.0, 5.0, "tuar:elst")
    ]


def test_tuev_numbers_are_derivations_and_following_seconds_one_event(
    whole: dict[str, Taken],
) -> None:
    assert whole["tuev"].events(tuev.TRAIN) == [
        (0, "spsw", ["T7-C3"], 3.0, 5.0, "tuev:spsw"),
        (0, "spsw", ["A1-T7"], 3.0, 6.0, "tuev:spsw"),
        (0, "spsw", ["T7-C3"], 7.0, 8.0, "tuev:spsw"),
        (10, "artifact_any", ["T8-A2"], 2.0, 4.0, "tuev:artf"),
        (20, "eye_movement", ["Fp1-F7"], 2.0, 5.0, "tuev:eyem"),
        (30, "background", ["P4-O2"], 9.5, 10.0, "tuev:bckg"),
    ]


def test_tuev_a_long_event_reaches_every_window_inside_it(whole: dict[str, Taken]) -> None:
    assert whole["tuev"].timed(tuev.TRAIN_TOO, "event_class") == [
        (t, ["gped"]) for t in (0, 10, 20, 30)
    ]
    assert whole["tuev"].events(tuev.TRAIN_TOO) == [
        (t, "gpd", ["T7-P7"], 0.0, 10.0, "tuev:gped") for t in (0, 10, 20, 30)
    ]


def test_tuev_several_classes_in_one_window_are_all_kept(whole: dict[str, Taken]) -> None:
    assert whole["tuev"].timed(tuev.EARLESS, "event_class")[0] == (0, ["bckg", "pled"])


def test_tuev_windows_never_wrap_round_the_ends(whole: dict[str, Taken]) -> None:
    assert [t for t, _ in whole["tuev"].timed(tuev.EVAL, "event_class")] == [0, 10, 20, 30]


def test_tuev_file_without_ears_keeps_only_certain_derivations(whole: dict[str, Taken]) -> None:
    assert whole["tuev"].events(tuev.EARLESS) == [
        (0, "lpd", [], 1.0, 3.0, "tuev:pled"),
        (0, "background", ["P8-O2"], 1.0, 3.0, "tuev:bckg"),
    ]
    assert whole["tuev"].labels(tuev.EARLESS)["events_of_unknown_channel"] == "1"


def test_tuev_number_of_the_full_montage_settles_a_file_without_ears(tmp_path: Path) -> None:
    path = one(tmp_path, "tuev", tuev.EARLESS, without=("A1", "A2"))
    tuh.rec(path.with_suffix(".rec"), tuh.seconds(9, 1, 3, 3) + tuh.seconds(20, 1, 3, 6))
    found = {e[1]: e[2] for e in Taken.of("tuev", tmp_path).events("3.edf")}
    assert found == {"lpd": ["T7-C3"], "background": ["C4-P4"]}


def test_tuev_events_past_the_end_are_clipped_or_dropped_and_counted(
    whole: dict[str, Taken],
) -> None:
    labels = whole["tuev"].labels(tuev.TRAIN)
    assert (labels["events_clipped"], labels["events_dropped"]) == ("1", "1")


def test_tuev_eval_numbers_are_no_letter_ids_and_pinned_to_test(whole: dict[str, Taken]) -> None:
    spec = corpus("tuev")
    assert spec.identity_of("000") == "tuh:eval-000"
    assert spec.identity_of("aaaaaaar") == "tuh:aaaaaaar"
    rows = [whole["tuev"].row(name) for name in (tuev.EVAL, tuev.EVAL_TOO)]
    assert [r["split"] for r in rows] == ["test", "test"]
    assert len({r["subject_id"] for r in rows}) == 2
    assert [(r["age_band"], r["sex"]) for r in rows] == [("30-39", "F")] * 2


def test_tuev_files_to_be_mended_are_marked(whole: dict[str, Taken]) -> None:
    found = {n: whole["tuev"].labels(n)["needs_fixing"] for n in (tuev.TRAIN, tuev.TRAIN_TOO)}
    assert found == {tuev.TRAIN: "no", tuev.TRAIN_TOO: "yes"}


@pytest.mark.parametrize(
    "text",
    ["22,1.0,2.0,6\n", "3,1.0,2.0,7\n", "3,1.0,2.0,0\n", "3,1.0,2.0\n", "3,x,2.0,6\n", "3.5,1,2,6\n",
     "-1,1.0,2.0,6\n", "3,1.0,nan,6\n", " \n"],
    ids=["number", "code", "null", "cells", "time", "half", "negative", "nan", "empty"],
)  # fmt: skip
def test_tuev_rows_of_another_kind_set_the_file_aside(tmp_path: Path, text: str) -> None:
    path = one(tmp_path, "tuev", tuev.TRAIN)
    path.with_suffix(".rec").write_text(text)
    assert list(Taken.of("tuev", tmp_path).causes().values()) == ["bad_labels"]


def test_tuev_without_rec_says_so(tmp_path: Path) -> None:
    one(tmp_path, "tuev", tuev.TRAIN)
    taken = Taken.of("tuev", tmp_path)
    assert taken.labels("1.edf")["event_class_annotations"] == "missing"
    assert taken.labels("1.edf")["needs_fixing"] == "missing"


def test_tusl_events_are_labelled_and_other_time_is_unknown(whole: dict[str, Taken]) -> None:
    taken = whole["tusl"]
    assert taken.timed(tusl.LEGACY, "event_class") == [
        (0, []), (10, []), (20, ["seiz"]), (30, ["bckg"]), (40, []), (50, []),
    ]  # fmt: skip
    assert taken.events(tusl.LEGACY) == [
        (20, "seizure", ["A1-T7"], 0.0, 10.0, "tusl:seiz"),
        (30, "background", ["P4-O2"], 0.0, 10.0, "tusl:bckg"),
    ]


def test_tusl_segments_are_aligned_to_the_events(whole: dict[str, Taken]) -> None:
    assert whole["tusl"].timed(tusl.AGREED, "event_class") == [
        (3, []), (13, ["slow"]), (23, []), (33, []), (43, ["bckg"]),
    ]  # fmt: skip
    assert whole["tusl"].timed(tusl.LINKED, "event_class") == [
        (5, ["slow"]), (15, []), (25, []), (35, []), (45, ["bckg"]),
    ]  # fmt: skip


def test_tusl_annotators_are_kept_apart_from_the_agreed_marks(whole: dict[str, Taken]) -> None:
    here = [e for e in whole["tusl"].events(tusl.AGREED) if e[0] == 13]
    assert sorted((e[5], tuple(e[2]), e[3], e[4]) for e in here) == [
        ("tusl:seiz@annotator-01", ("F7-T7",), 0.0, 10.0),
        ("tusl:slow", ("F7-T7",), 0.0, 10.0),
        ("tusl:slow", ("Fp1-F7",), 0.0, 10.0),
        ("tusl:slow@annotator-00", ("Fp1-F7",), 0.0, 10.0),
    ]


def test_tusl_numeric_names_take_the_patient_from_the_folder(whole: dict[str, Taken]) -> None:
    spec = corpus("tusl")
    match = spec.match_file(tusl.LEGACY)
    assert match
    assert match["subject"] == "aaaaamoa"
    assert whole["tusl"].row("00008476_s003_t010.edf")["session"] == "s003_t010"
    assert spec.match_file(tusl.AGREED.replace("aaaaaaju_s", "aaaaaajx_s")) is None


def test_tusl_linked_ears_and_empty_dated_folders_stop_nothing(whole: dict[str, Taken]) -> None:
    taken = whole["tusl"]
    assert (taken.root / "tusl" / tusl.EMPTY).is_dir()
    assert taken.labels(tusl.LINKED)["montage"] == "tcp_le"
    assert len(taken.recordings) == 3


def test_tusl_events_last_ten_seconds_except_one_the_end_cuts(tmp_path: Path) -> None:
    path = one(tmp_path, "tusl", tusl.AGREED, duration_s=60)
    tuh.tse(path.with_suffix(".tse_agg"), [(10, 20, "slow"), (54, 64, "bckg")])
    assert "events_of_other_length" not in Taken.of("tusl", tmp_path).labels("t000.edf")
    tuh.tse(path.with_suffix(".tse_agg"), [(10, 20, "slow"), (30, 37, "bckg")])
    assert Taken.of("tusl", tmp_path).labels("t000.edf")["events_of_other_length"] == "1"


@pytest.mark.parametrize(
    ("folder", "channels"), [("01_tcp_ar", ["A1-T7"]), ("03_tcp_ar_a", ["T7-C3"])]
)
def test_numbers_without_a_list_of_their_own_follow_the_montage_folder(
    tmp_path: Path, folder: str, channels: list[str]
) -> None:
    path = one(tmp_path, "tusl", tusl.AGREED.replace("01_tcp_ar", folder))
    sheet = tuh.lbl(path.with_suffix(".lbl_agg"), [(8, 10, 20, "slow")])
    lines = sheet.read_text().splitlines()
    sheet.write_text("\n".join(line for line in lines if not line.startswith("montage")))
    assert Taken.of("tusl", tmp_path).events("t000.edf")[0][2] == channels


def test_the_list_of_derivations_in_the_file_goes_before_the_folder(tmp_path: Path) -> None:
    path = one(tmp_path, "tusl", tusl.AGREED)
    tuh.lbl(path.with_suffix(".lbl_agg"), [(8, 10, 20, "slow")], earless=True)
    assert Taken.of("tusl", tmp_path).events("t000.edf")[0][2] == ["T7-C3"]


def test_the_montage_named_in_the_file_goes_before_the_folder(tmp_path: Path) -> None:
    path = one(tmp_path, "tusl", tusl.AGREED)
    marks: list[tuh.Mark] = [("8", 10.0, 20.0, "slow")]
    tuh.csv(path.with_suffix(".csv"), marks, montage="03_tcp_ar_a_montage.txt")
    assert Taken.of("tusl", tmp_path).events("t000.edf")[0][2] == ["T7-C3"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version = lbl_v1.0.0", "version = lbl_v2.0.0"),
        ("symbols[0]", "symbols[1]"),
        (", 8, [", ", 22, ["),
        ("10.0000, 20.0000", "10.0000"),
        (" 1.0,", " 7.0,"),
        ("'slow'", "'made_up'"),
    ],
    ids=["version", "no symbols", "derivation", "cells", "probability", "code"],
)
def test_a_graph_file_that_does_not_hold_sets_the_file_aside(
    tmp_path: Path, old: str, new: str
) -> None:
    path = one(tmp_path, "tusl", tusl.AGREED)
    sheet = tuh.lbl(path.with_suffix(".lbl_agg"), [(8, 10, 20, "slow")])
    assert list(Taken.of("tusl", tmp_path).causes().values()) == [None]
    sheet.write_text(sheet.read_text().replace(old, new))
    assert list(Taken.of("tusl", tmp_path).causes().values()) == ["bad_labels"]
