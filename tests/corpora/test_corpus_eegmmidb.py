from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from formats import wfdb_marks
from trees import eegmmidb

from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.labels.wfdb_marks import read_marks
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.segments import ShardSegments, process_shard
from dagster_project.corpora.shards import shard_keys
from detectors.types import CANONICAL19

SPEC = corpus("eegmmidb")


def take(root: Path) -> dict[str, dict[str, Any]]:
    """Rows by file stem."""
    rows = [r for s in shard_keys(SPEC.key) for r in inventory(SPEC, root, s, salt="x").recordings]
    return {r["path"].rpartition("/")[2].partition(".")[0]: r for r in rows}


def cut(root: Path) -> ShardSegments:
    return process_shard(SPEC, root, list(take(root).values()))


def values(row: dict[str, Any], name: str) -> set[str]:
    return {x["value"] for x in row["labels"] if x["name"] == name}


@pytest.fixture(scope="module")
def irregular(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    root = tmp_path_factory.mktemp("eegmmidb")
    return eegmmidb.write_irregular(root), take(root)


def test_irregular_runs_are_found_by_rule_not_by_number(
    irregular: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    planted, rows = irregular
    assert {stem: values(row, "timing_deviation") for stem, row in rows.items()} == planted
    assert {stem for stem, row in rows.items() if values(row, "timing") == {"irregular"}} == {
        stem for stem, why in planted.items() if why
    }
    assert all(row["status"] == "accepted" for row in rows.values())


def test_the_rule_holds_for_any_subject(tmp_path: Path) -> None:
    eegmmidb.write_run(
        tmp_path, 7, 3, eegmmidb.slow_events(), duration_s=124, sfreq_hz=128, labels=("C3..",)
    )
    eegmmidb.write_run(tmp_path, 88, 3, eegmmidb.regular_events(), duration_s=124, labels=("C3..",))
    rows = take(tmp_path)
    assert values(rows["S007R03"], "timing") == {"irregular"}
    assert values(rows["S088R03"], "timing") == {"regular"}


def test_the_rate_is_the_files_not_the_corpus(
    irregular: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    rates = {stem: row["sfreq_hz"] for stem, row in irregular[1].items()}
    assert {stem for stem, hz in rates.items() if hz == 128} == {"S088R03", "S092R14", "S100R04"}
    assert set(rates.values()) == {128.0, 160.0}
    assert sum(SPEC.expected.rates.values()) == SPEC.expected.n_recordings == 109 * 14


def test_events_at_128_hz_reach_the_right_segments(tmp_path: Path) -> None:
    events = eegmmidb.fast_alternating_events()
    eegmmidb.write_run(
        tmp_path, 88, 3, events, duration_s=124, sfreq_hz=128, labels=eegmmidb.LABELS
    )
    found = cut(tmp_path).segments.to_pylist()
    assert len(found) == 12
    # rest 0-1.38, left fist 1.38-6.5, rest 6.5-7.88, right fist 7.88-13 s
    assert [[x["value"] for x in s["labels"] if x["scope"] == "interval"] for s in found[:2]] == [
        ["rest", "executed_left_fist", "executed_right_fist"],
        ["executed_right_fist", "rest"],
    ]


def test_64_dotted_names_give_all_19_sites(tmp_path: Path) -> None:
    assert len(eegmmidb.LABELS) == 64
    eegmmidb.write_run(tmp_path, 1, 2, eegmmidb.baseline(), duration_s=61, labels=eegmmidb.LABELS)
    segment = cut(tmp_path).segments.to_pylist()[0]
    assert tuple(segment["ch_names"]) == CANONICAL19
    assert all(segment["mask"])


@pytest.mark.parametrize(
    ("run", "task", "spoken"),
    [
        (1, "eyes_open_rest", {"rest"}),
        (2, "eyes_closed_rest", {"rest"}),
        (7, "executed_fist", {"rest", "executed_left_fist", "executed_right_fist"}),
        (12, "imagined_fist", {"rest", "imagined_left_fist", "imagined_right_fist"}),
        (9, "executed_fists_or_feet", {"rest", "executed_both_fists", "executed_both_feet"}),
        (6, "imagined_fists_or_feet", {"rest", "imagined_both_fists", "imagined_both_feet"}),
    ],
)
def test_what_codes_mean_depends_on_the_run(
    tmp_path: Path, run: int, task: str, spoken: set[str]
) -> None:
    events = eegmmidb.regular_events(9) if run > 2 else eegmmidb.baseline(37)
    eegmmidb.write_run(tmp_path, 1, run, events, duration_s=37)
    assert values(take(tmp_path)[f"S001R{run:02d}"], "task") == {task}
    labels = [x for s in cut(tmp_path).segments.to_pylist() for x in s["labels"]]
    assert {x["value"] for x in labels if x["scope"] == "interval"} == spoken


@pytest.mark.parametrize("missing", ["T1", "T2"])
def test_a_task_run_without_both_kinds_of_trial_is_refused(tmp_path: Path, missing: str) -> None:
    events = [e for e in eegmmidb.regular_events(9) if e[2] != missing]
    eegmmidb.write_run(tmp_path, 1, 3, events, duration_s=37)
    assert take(tmp_path)["S001R03"]["reject_cause"] == "bad_labels"


def test_the_event_twin_speaks_where_the_file_has_no_annotations(tmp_path: Path) -> None:
    events = eegmmidb.regular_events(9)
    eegmmidb.write_run(tmp_path, 1, 3, events, duration_s=37, is_annotated=False)
    eegmmidb.write_run(tmp_path, 2, 3, events, duration_s=37)
    one, other = (
        [[x["value"] for x in s["labels"] if x["scope"] == "interval"] for s in part]
        for part in (
            [s for s in cut(tmp_path).segments.to_pylist() if s["recording_id"] == r]
            for r in (row["recording_id"] for row in take(tmp_path).values())
        )
    )
    assert one == other
    assert any(one)


def test_a_task_run_without_any_event_says_so(tmp_path: Path) -> None:
    eegmmidb.write_run(tmp_path, 1, 3, [], duration_s=37, twin=False)
    row = take(tmp_path)["S001R03"]
    assert (row["status"], values(row, "events")) == ("accepted", {"missing"})


def test_real_event_twins_agree_with_the_annotations(data_root: Path) -> None:
    from dagster_project.corpora.readers.table import open_recording

    for run in (3, 4, 5, 6):
        path = data_root / f"eegmmidb/S001/S001R{run:02d}.edf"
        marks = read_marks(path.with_name(path.name + ".event"), 160.0)
        with open_recording(path, SPEC.reader) as recording:
            notes = recording.annotations()
        assert marks is not None
        assert [m.text.split()[0] for m in marks] == [n.text for n in notes]
        assert [m.t_s for m in marks] == pytest.approx([n.onset_s for n in notes], abs=1 / 160)


def test_real_runs_are_regular(data_root: Path) -> None:
    assert {s for row in take(data_root).values() for s in values(row, "timing")} == {"regular"}


@pytest.mark.parametrize(
    "raw",
    [b"\x00\xec\x00", b"\x17\xfc## time", b"\x00\x58\x50\xfcshort", b"\x00\xec\xff\xff\xf0\xff\x01\x58"],
    ids=["half a skip", "text first", "text cut", "before zero"],
)  # fmt: skip
def test_void_event_twins_are_refused(tmp_path: Path, raw: bytes) -> None:
    path = eegmmidb.write_run(tmp_path, 1, 3, [], duration_s=37, twin=False)
    path.with_name(path.name + ".event").write_bytes(raw)
    assert take(tmp_path)["S001R03"]["reject_cause"] == "bad_labels"


def test_a_twin_says_its_own_time_resolution(tmp_path: Path) -> None:
    path = wfdb_marks.write(
        tmp_path / "x.event", [(500, 22, "T0 duration: 4"), (9000, 22, "")], 250
    )
    marks = read_marks(path, 1.0)
    assert marks is not None
    assert [(m.t_s, m.text) for m in marks] == [(2.0, "T0 duration: 4"), (36.0, "")]


def test_the_trees_twins_are_byte_for_byte_the_real_ones(tmp_path: Path, data_root: Path) -> None:
    twin = data_root / "eegmmidb/S001/S001R03.edf.event"
    marks = read_marks(twin, 160.0)
    assert marks is not None
    assert len(marks) == 30
    raw = [(round(160 * m.t_s), m.code, m.text) for m in marks]
    assert wfdb_marks.write(tmp_path / "x", raw, 160).read_bytes() == twin.read_bytes()


def test_the_published_order_of_subjects_is_70_19_20(tmp_path: Path) -> None:
    want = {1: "train", 70: "train", 71: "validation", 89: "validation", 90: "test", 109: "test"}
    for subject in want:
        eegmmidb.write_run(tmp_path, subject, 1, eegmmidb.baseline(12), duration_s=12)
    rows = take(tmp_path)
    assert {int(stem[1:4]): values(row, "cbramod") for stem, row in rows.items()} == {
        subject: {part} for subject, part in want.items()
    }
    parts = SPEC.splits[0].params["subjects"]
    assert (len(parts["validation"]), len(parts["test"])) == (19, 20)
    scopes = {x["scope"] for r in rows.values() for x in r["labels"] if x["name"] == "cbramod"}
    assert scopes == {"split"}
