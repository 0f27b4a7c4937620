"""Findings as a BIDS derivative: what stands in it, what reads it back, and what may not leave."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from dagster_project.corpora.annotations.own import own_events
from dagster_project.corpora.registry import load_entry
from detectors.rows import finding_row
from detectors.types import Finding
from detectors.vocabulary import KINDS
from prompts.leaving import Walls
from prompts.releases.bids_export import (
    COLUMNS,
    HED_VERSION,
    PLACE,
    FoundRecording,
    event_cells,
    export_bids,
    stem,
)
from prompts.releases.recipe import ExportRefusedError, ReleaseError

ENTRY = Path(__file__).parents[2] / "corpora/entries/plain-bids.yaml"
CITED = {"open-one": "Planted, 2026.", "gated-one": "Planted, 2027."}
FILE_NAME = re.compile(
    r"sub-[0-9A-Za-z]+/eeg/sub-[0-9A-Za-z]+_task-[0-9A-Za-z]+_acq-[0-9A-Za-z]+_events\.(tsv|json)"
)
"""BIDS 1.10, electrophysiology: entities in this order, labels of letters and digits."""


def rows(start_s: float, *found: Finding) -> list[dict[str, Any]]:
    return [{**finding_row(f), "start_s": start_s} for f in found]


def recording(corpus: str = "open-one", *, is_gated: bool = False, n: int = 1) -> FoundRecording:
    found = [
        *rows(
            20.0,
            Finding("g-1", "sharp", ("T7", "F7"), 3.365, 3.475, (), 0.95, "detector:waveform-1"),
            Finding("g-1", "voltage", (), 0.0, 10.0, (), 1.0, "rule:voltage@3"),
            Finding("g-1", "slow_drift", ("O1",), 0.0, 10.0, (), 0.5, "rule:drift@1"),
        ),
        *rows(
            0.0,
            Finding("g-0", "blink", ("Fp1", "Fp2"), 1.0, 1.4, (), 0.9, "rule:blink@5+detector:w"),
            Finding("g-0", "spike", ("C3",), 2.0, 2.03, (), 0.4, "rule:discharge@1", "", "",
                    "f-x", "covered by muscle activity"),
        ),
    ]  # fmt: skip
    return FoundRecording(f"r-{n}a", corpus, f"s-{n}b", "CC0-1.0", is_gated, found)


def walls(tmp_path: Path) -> Walls:
    root = tmp_path / "home"
    return Walls(root, {"gated-one": "LicenseRef-TUH"}, frozenset({"open-one", "gated-one"}))


def write(tmp_path: Path, *found: FoundRecording, **options: Any) -> Path:
    corpora = {r.corpus: CITED.get(r.corpus, "") for r in found}
    options = {"corpora": corpora, "version": "rules-1"} | options
    return export_bids(found, tmp_path / "out", walls(tmp_path), **options).folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_events_are_timed_in_the_recording_and_say_who_found_them(tmp_path: Path) -> None:
    folder = write(tmp_path, recording())
    events = table(folder / "sub-s1b/eeg/sub-s1b_task-openone_acq-r1a_events.tsv")
    assert tuple(events[0]) == COLUMNS
    assert [tuple(row.values()) for row in events] == [
        ("1", "0.4", "blink", "Fp1,Fp2", "Eye-blink-artifact", "0.9000", "rule:blink+detector", "5+w"),
        ("20", "10", "slow_drift", "O1", "n/a", "0.5000", "rule:drift", "1"),
        ("20", "10", "voltage", "n/a", "Background-activity", "1.0000", "rule:voltage", "3"),
        ("23.365", "0.11", "sharp", "T7,F7", "Epileptiform-interictal-activity, Sharp-wave",
         "0.9500", "detector", "waveform-1"),
    ]  # fmt: skip


def test_the_tree_obeys_the_rules_of_a_derivative(tmp_path: Path) -> None:
    folder = write(tmp_path, recording(n=2), recording(n=1))
    assert folder == tmp_path / "out" / PLACE
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    inner = [f for f in files if f.startswith("sub-")]
    assert len(inner) == 4
    assert all(FILE_NAME.fullmatch(f) for f in inner)
    assert [f for f in files if f not in inner] == [
        "README.md", "dataset_description.json", "participants.tsv",
    ]  # fmt: skip
    said = json.loads((folder / "dataset_description.json").read_text())
    assert said["HEDVersion"] == "score_2.1.0"
    assert said["DatasetType"] == "derivative"
    assert {"Name", "BIDSVersion", "License"} <= said.keys()
    assert said["GeneratedBy"][0]["Name"] == "neurogloss"
    assert [r["participant_id"] for r in table(folder / "participants.tsv")] == [
        "sub-s1b",
        "sub-s2b",
    ]
    for path in folder.rglob("*_events.tsv"):
        meant = json.loads(path.with_suffix(".json").read_text())
        assert set(meant) == set(COLUMNS)
        assert set(meant["trial_type"]["Levels"]) == set(KINDS)
        onsets = [float(r["onset"]) for r in table(path)]
        assert onsets == sorted(onsets)
        assert all(float(r["duration"]) > 0 for r in table(path))
    assert "Planted, 2026." in (folder / "README.md").read_text()
    assert "Not a medical device" in (folder / "README.md").read_text()


def test_every_hed_string_is_valid(tmp_path: Path) -> None:
    from hed import HedString, load_schema_version
    from hed.validator import HedValidator

    schema = load_schema_version(HED_VERSION)
    validator = HedValidator(schema)
    every = rows(0.0, *(Finding("g", kind, ("Cz",), 1.0, 2.0, (), 0.9, "r@1") for kind in KINDS))
    found = FoundRecording("r-9", "open-one", "s-9", "CC0-1.0", False, every)
    folder = write(tmp_path, found)
    events = table(folder / "sub-s9/eeg" / f"{stem(found)}_events.tsv")
    strings = {row["HED"] for row in events} - {"n/a"}
    assert len(strings) > 20
    for text in strings:
        assert not validator.validate(HedString(text, schema), False), text
    assert validator.validate(HedString("Spikes", schema), False)


def test_our_own_reader_of_bids_reads_the_same_events_back(tmp_path: Path) -> None:
    boxed = ("spike", "sharp", "spsw", "spindle", "kcomplex", "blink", "muscle", "electrode_pop")
    planted = [
        Finding("g", kind, ("Cz", "C3"), 0.5 + i, 0.7 + i + i / 100, (), 0.9, "rule:x@1")
        for i, kind in enumerate(boxed)
    ]
    found = FoundRecording("r-7", "open-one", "s-7", "CC0-1.0", False, rows(30.0, *planted))
    spec = load_entry(ENTRY)
    data = tmp_path / "data" / spec.folders[0]
    shutil.copytree(write(tmp_path, found), data)
    path = f"{spec.folders[0]}/sub-s7/eeg/{stem(found)}_eeg.edf"
    read = own_events(spec, tmp_path / "data", [path])
    assert not read.faults
    assert not read.refused
    assert [
        (e.kind, e.channels, round(e.t0_s, 6), round(e.t1_s, 6)) for e in read.events[path]
    ] == [(f.kind, f.channels, round(30 + f.t0_s, 6), round(30 + f.t1_s, 6)) for f in planted]


@pytest.mark.parametrize(
    "found",
    [
        recording("gated-one"),
        recording("open-one", is_gated=True),
        recording("unknown-one"),
    ],
    ids=["gated today", "gated when made", "of unknown terms"],
)
def test_gated_findings_stay(tmp_path: Path, found: FoundRecording) -> None:
    with pytest.raises(ExportRefusedError, match=found.corpus):
        write(tmp_path, recording(n=3), found)
    assert not (tmp_path / "out" / PLACE).exists()
    assert not list(tmp_path.rglob("*events.tsv"))


def test_gated_findings_may_be_left_out_and_the_copy_says_so(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = export_bids(
        [recording(), recording("gated-one", n=2)], out, walls(tmp_path),
        corpora=CITED, version="1", is_without_gated=True,
    )  # fmt: skip
    assert dict(done.left_out) == {"gated-one": 1}
    assert (done.n_recordings, done.n_events) == (1, 4)
    readme = (done.folder / "README.md").read_text()
    assert "Left out, because their terms do not let them leave: gated-one." in readme
    assert "2027" not in readme
    assert not list(done.folder.rglob("sub-s2b*"))


def test_inside_the_storage_root_gated_findings_may_lie(tmp_path: Path) -> None:
    target = tmp_path / "home/out"
    done = export_bids(
        [recording("gated-one")], target, walls(tmp_path), corpora=CITED, version="1"
    )
    assert done.n_recordings == 1


def test_an_export_never_writes_over_another_nor_leaves_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no recording"):
        write(tmp_path)
    folder = write(tmp_path, recording())
    before = sorted(folder.rglob("*"))
    with pytest.raises(ReleaseError, match="exists already"):
        write(tmp_path, recording(n=2))
    assert sorted(folder.rglob("*")) == before


def test_the_same_findings_give_the_same_bytes(tmp_path: Path) -> None:
    first = write(tmp_path / "a", recording())
    second = write(tmp_path / "b", recording())
    names = [p.relative_to(first) for p in sorted(first.rglob("*")) if p.is_file()]
    assert names
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_source_without_a_version_says_so() -> None:
    (row,) = rows(0.0, Finding("g", "blink", ("Fp1",), 1.0, 1.5, (), 0.5, ""))
    assert event_cells(row)[-2:] == ("n/a", "n/a")
