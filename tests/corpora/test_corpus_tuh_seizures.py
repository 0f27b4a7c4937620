"""TUSZ (``corpora.md`` 5.16) and what makes a TUH annotation file unusable (5.10)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from formats import tuh
from trees import tusz
from tuh_taken import Taken

from dagster_project.corpora.registry import corpus
from dagster_project.corpora.shards import find_files
from detectors.types import CANONICAL19


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    root = tmp_path_factory.mktemp("tusz")
    tusz.write(root)
    return Taken.of("tusz", root)


def one(tmp_path: Path, *, duration_s: int = 60) -> Path:
    """Write one recording with a seizure from 20 to 30 s, and return its path."""
    path = tuh.edf(tmp_path / "tusz" / tusz.UNCOVERED, duration_s=duration_s)
    tuh.csv(path.with_suffix(".csv"), [("FP1-F7", 20, 30, "fnsz")], duration_s)
    terms: list[tuh.Mark] = [("TERM", 0, 20, "bckg"), ("TERM", 20, 30, "seiz")]
    terms.append(("TERM", 30, duration_s, "bckg"))
    tuh.csv(path.with_suffix(".csv_bi"), terms, duration_s)
    return path


def test_a_window_inside_a_long_seizure_is_positive(whole: Taken) -> None:
    assert whole.timed(tusz.TRAIN, "seizure") == [
        (0, ["absent"]), *((t, ["present"]) for t in (10, 20, 30, 40, 50)),
    ]  # fmt: skip


def test_types_are_copied_with_their_derivation_and_background_is_no_event(whole: Taken) -> None:
    assert whole.timed(tusz.TRAIN, "seizure_type") == [
        (0, []), (10, ["fnsz", "gnsz"]), (20, ["fnsz", "gnsz"]),
        (30, ["fnsz"]), (40, ["fnsz"]), (50, ["fnsz"]),
    ]  # fmt: skip
    assert whole.events(tusz.TRAIN)[:4] == [
        (10, "seizure", ["Fp1-F7"], 5.0, 10.0, "tusz:fnsz"),
        (10, "seizure", ["T8-A2"], 8.0, 10.0, "tusz:gnsz"),
        (20, "seizure", ["Fp1-F7"], 0.0, 10.0, "tusz:fnsz"),
        (20, "seizure", ["T8-A2"], 0.0, 5.0, "tusz:gnsz"),
    ]


def test_a_seizure_goes_on_in_the_next_file_of_the_session(whole: Taken) -> None:
    rows = [whole.row(name) for name in (tusz.TRAIN, tusz.GOES_ON)]
    assert [r["session"] for r in rows] == ["s001_t000", "s001_t001"]
    assert whole.timed(tusz.GOES_ON, "seizure")[:2] == [(0, ["present"]), (10, ["absent"])]


def test_time_csv_bi_leaves_uncovered_is_unknown_not_background(whole: Taken) -> None:
    assert whole.timed(tusz.UNCOVERED, "seizure") == [
        (0, ["absent"]), (10, ["absent"]), (20, ["unknown"]), (30, ["unknown"]),
        (40, ["absent"]), (50, ["absent"]),
    ]  # fmt: skip
    assert whole.labels(tusz.UNCOVERED)["seizure"] == "unknown"


def test_a_rounded_end_of_the_file_is_no_gap(whole: Taken) -> None:
    assert whole.timed(tusz.EVAL, "seizure")[-1] == (50, ["absent"])
    assert whole.labels(tusz.EVAL)["seizure"] == "absent"


def test_a_seizure_without_end_is_known_to_begin_and_no_more(whole: Taken) -> None:
    assert whole.timed(tusz.DEV, "seizure") == [
        (0, ["absent"]), (10, ["absent"]), (20, ["absent"]), (30, ["present", "unknown"]),
        (40, ["unknown"]), (50, ["unknown"]),
    ]  # fmt: skip
    (segment,) = [s for s in whole.segments(tusz.DEV) if s["events"]]
    (event,) = segment["events"]
    assert (event["kind"], event["channels"], event["t0_s"]) == ("seizure", ["C3-Cz"], 2.0)
    assert event["measures"] == [{"name": "confidence", "value": 0.5, "unit": "1"}]
    labels = whole.labels(tusz.DEV)
    assert (labels["events_without_end"], labels["events_of_doubtful_confidence"]) == ("1", "1")


def test_what_follows_an_endless_seizure_is_unknown_up_to_the_next_statement(
    tmp_path: Path,
) -> None:
    path = one(tmp_path)
    terms: list[tuh.Mark] = [("TERM", 0, 12, "bckg"), ("TERM", 12, None, "seiz")]
    tuh.csv(path.with_suffix(".csv_bi"), [*terms, ("TERM", 30, 60, "bckg")], 60)
    assert Taken.of("tusz", tmp_path).timed("t000.edf", "seizure") == [
        (0, ["absent"]), (10, ["present", "unknown"]), (20, ["unknown"]),
        (30, ["absent"]), (40, ["absent"]), (50, ["absent"]),
    ]  # fmt: skip


def test_a_doubtful_seizure_with_an_end_is_copied_with_its_confidence(tmp_path: Path) -> None:
    path = one(tmp_path)
    tuh.csv(path.with_suffix(".csv"), [("FP1-F7", 22, 28, "cpsz")], 60, confidence=[0.5])
    taken = Taken.of("tusz", tmp_path)
    (event,) = (e for s in taken.segments("t000.edf") for e in s["events"])
    assert (event["t0_s"], event["t1_s"]) == (2.0, 8.0)
    assert event["measures"][0]["value"] == 0.5


def test_files_without_fz_and_pz_are_masked_not_zero_filled(whole: Taken) -> None:
    assert whole.labels(tusz.UNCOVERED)["missing_electrodes"] == "Fz,Pz"
    for segment in whole.segments(tusz.UNCOVERED):
        mask = dict(zip(CANONICAL19, segment["mask"], strict=True))
        assert [name for name, here in mask.items() if not here] == ["Fz", "Pz"]


def test_every_montage_and_rate_is_read(whole: Taken) -> None:
    names = (tusz.TRAIN, tusz.UNCOVERED, tusz.DEV, tusz.EVAL)
    found = [(whole.labels(n)["montage"], whole.row(n)["sfreq_hz"]) for n in names]
    assert found == [("tcp_le", 256), ("tcp_ar", 250), ("tcp_ar_a", 400), ("tcp_le_a", 512)]


def test_a_session_given_in_two_montages_is_taken_once(tmp_path: Path) -> None:
    for montage in ("01_tcp_ar", "03_tcp_ar_a"):
        below = f"edf/eval/aaaaaqvx/s003_2015/{montage}/aaaaaqvx_s003_t000.edf"
        tuh.edf(tmp_path / "tusz" / below, seed=3, without=("A1", "A2"))
    assert sorted(map(str, Taken.of("tusz", tmp_path).causes().values())) == ["None", "duplicate"]


def test_parts_are_disjoint_by_patient_in_the_layout(whole: Taken) -> None:
    spec = corpus("tusz")
    parts: dict[str, set[str]] = {}
    for file in find_files(spec, whole.root):
        match = spec.match_file(file.relative_path)
        if file.is_recording and match:
            parts.setdefault(match["subject"], set()).add(match["part"])
    assert {len(found) for found in parts.values()} == {1}
    assert set().union(*parts.values()) == {"train", "dev", "eval"}


def test_sidecars_are_watched_as_their_patient_s(whole: Taken) -> None:
    spec = corpus("tusz")
    sidecars = [f for f in find_files(spec, whole.root) if not f.is_recording]
    assert len(sidecars) == 2 * 5
    assert {f.identity for f in sidecars} == {
        f"tuh:{x}" for x in ("aaaaaasz", "aaaaaatt", "aaaaaauu", "aaaaaavv")
    }


@pytest.mark.parametrize(("gone", "named"), [(".csv", "seizure_type"), (".csv_bi", "seizure")])
def test_a_missing_sidecar_is_said_not_guessed(tmp_path: Path, gone: str, named: str) -> None:
    one(tmp_path).with_suffix(gone).unlink()
    taken = Taken.of("tusz", tmp_path)
    labels = taken.labels("t000.edf")
    said = {"seizure_type": labels["seizure_type_annotations"], "seizure": labels["seizure"]}
    assert said[named] == {"seizure_type": "missing", "seizure": "unknown"}[named]
    assert {tuple(v) for _, v in taken.timed("t000.edf", named)} == {()}


def test_the_type_is_a_label_where_only_csv_is_there(tmp_path: Path) -> None:
    one(tmp_path).with_suffix(".csv_bi").unlink()
    assert Taken.of("tusz", tmp_path).timed("t000.edf", "seizure_type")[2] == (20, ["fnsz"])


def test_older_releases_with_tse_and_lbl_are_read(tmp_path: Path) -> None:
    path = one(tmp_path)
    path.with_suffix(".csv").unlink()
    path.with_suffix(".csv_bi").unlink()
    tuh.lbl(path.with_suffix(".lbl"), [(8, 20, 30, "absz")])
    tuh.tse(path.with_suffix(".tse_bi"), [(0, 20, "bckg"), (20, 30, "seiz"), (30, 60, "bckg")])
    taken = Taken.of("tusz", tmp_path)
    assert taken.timed("t000.edf", "seizure")[1:4] == [
        (10, ["absent"]), (20, ["present"]), (30, ["absent"]),
    ]  # fmt: skip
    assert taken.events("t000.edf") == [(20, "seizure", ["A1-T7"], 0.0, 10.0, "tusz:absz")]


@pytest.mark.parametrize(("off_s", "cause"), [(0.9, None), (-0.9, None), (1.2, "bad_labels")])
def test_a_sidecar_is_of_a_recording_as_long_within_a_second(
    tmp_path: Path, off_s: float, cause: str | None
) -> None:
    path = one(tmp_path)
    terms: list[tuh.Mark] = [("TERM", 0, 60, "bckg")]
    tuh.csv(path.with_suffix(".csv_bi"), terms, 60 + off_s)
    assert list(Taken.of("tusz", tmp_path).causes().values()) == [cause]


Break = Callable[[str], str]
BROKEN: dict[str, Break] = {
    "empty": lambda text: " \n",
    "no table": lambda text: text.split("channel,")[0],
    "no columns": lambda text: text.replace("start_time", "begin"),
    "short row": lambda text: text + "FP1-F7,3.0\n",
    "other recording": lambda text: text.replace("aaaaaatt_s002_t000", "aaaaaatt_s002_t009"),
    "other version": lambda text: text.replace("csv_v1.0.0", "csv_v9.0.0"),
    "code": lambda text: text.replace("fnsz", "party"),
    "channel": lambda text: text.replace("FP1-F7", "FP1"),
    "number of no montage": lambda text: text.replace("FP1-F7", "22"),
    "time": lambda text: text.replace("20.0000", "noon"),
    "endless time": lambda text: text.replace("20.0000", "inf"),
    "confidence": lambda text: text.replace("1.0000", "1.5000"),
    "binary": lambda text: "\0\1\2" * 50,
    "too many": lambda text: text + "".join(f"TERM,{i / 1e4},9,absz,1\n" for i in range(20_000)),
    "too large": lambda text: text + "#\n" * (5 << 20),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_void_or_contradictory_sidecar_sets_the_recording_aside(tmp_path: Path, how: str) -> None:
    sheet = one(tmp_path, duration_s=40).with_suffix(".csv")
    sheet.write_text(BROKEN[how](sheet.read_text()))
    assert list(Taken.of("tusz", tmp_path).causes().values()) == ["bad_labels"]


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    path = one(tmp_path)
    before = Taken.of("tusz", tmp_path).segments("t000.edf")
    for end in (".csv", ".csv_bi"):
        sheet = path.with_suffix(end)
        sheet.write_bytes(b"\xef\xbb\xbf" + sheet.read_bytes().replace(b"\n", b"\r\n"))
    assert Taken.of("tusz", tmp_path).segments("t000.edf") == before
