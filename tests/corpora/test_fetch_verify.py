"""A copy compared with its entry: what is missing, too much, packed, misnamed or changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hosts.entries import entry

from dagster_project.corpora.fetch.record import read_record
from dagster_project.corpora.fetch.types import FetchError
from dagster_project.corpora.fetch.verify import Report, verify
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.spec import Expected

EXPECTED = {"n_subjects": 2, "n_recordings": 3}


def look(root: Path, *, expected: dict[str, Any] = EXPECTED, **how: bool) -> Report:
    spec = entry("zenodo", {"record": "77"}, expected=expected)
    return verify(spec, root, manifest=root / "home" / "manifest.json", **how)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "planted"
    folder.mkdir()
    for name in ("p1_1.edf", "p1_2.edf", "p2_1.edf"):
        (folder / name).write_bytes(name.encode())
    return folder


def test_a_whole_copy_is_as_expected(copy: Path) -> None:
    report = look(copy.parent)
    assert report.is_good
    assert report.counts == {"recordings": 3, "subjects": 2}


def test_a_corpus_that_is_not_there_is_told_with_where_it_was_looked_for(tmp_path: Path) -> None:
    assert look(tmp_path).problems == [f"not there: looked for planted below {tmp_path}"]


def test_a_corpus_that_lies_packed_is_told(tmp_path: Path) -> None:
    (tmp_path / "planted.zip").write_bytes(b"x")
    assert look(tmp_path).problems[1:] == ["archives still packed (1): planted.zip"]


def test_missing_recordings_and_subjects_are_counted(copy: Path) -> None:
    (copy / "p2_1.edf").unlink()
    assert look(copy.parent).problems == [
        "recordings: 2 of 3; 1 missing",
        "subjects: 1 of 2; 1 missing",
    ]


def test_too_many_recordings_are_counted(copy: Path) -> None:
    (copy / "p2_2.edf").write_bytes(b"x")
    assert look(copy.parent).problems == ["recordings: 4, expected 3; 1 too many"]


def test_a_misnamed_recording_is_named(copy: Path) -> None:
    (copy / "p2_1.edf").rename(copy / "q2 (copy).edf")
    assert "not named as the layout says (1): planted/q2 (copy).edf" in look(copy.parent).problems


def test_archives_and_unfinished_transfers_are_named(copy: Path) -> None:
    (copy / "More.ZIP").write_bytes(b"x")
    (copy / "done.rar").write_bytes(b"x")
    (copy / "by hand.zip").write_bytes(b"x")
    (copy / "by hand").mkdir()
    (copy / "by hand" / ".unpacked.json").write_text("{}")
    (copy / "p9_1.edf.part").write_bytes(b"x")
    (copy.parent / "planted.tar.gz").write_bytes(b"x")
    read_record(copy).note_unpacked("done.rar", "md5:0")
    assert look(copy.parent).problems == [
        "archives still packed (2): planted.tar.gz, planted/More.ZIP",
        "transfers not finished (1): planted/p9_1.edf.part",
    ]


@pytest.mark.parametrize("below", ["", "1.0.0/"], ids=["in the folder", "one below it"])
def test_the_host_s_own_list_names_what_is_missing_and_what_is_wrong(
    below: str, copy: Path
) -> None:
    place = copy / below
    place.mkdir(exist_ok=True)
    if below:
        (copy / "p1_1.edf").rename(place / "p1_1.edf")
    digest = hashlib.sha256(b"p1_1.edf").hexdigest()
    lines = [f"{digest} p1_1.edf", f"{digest} p3_1.edf", f"{digest} ../../../etc/hostname"]
    (place / "SHA256SUMS.txt").write_text("\n".join(lines))
    report = look(copy.parent, is_summed=True)
    assert report.problems == [f"missing files (1): {below}p3_1.edf"]
    assert "1 files compared with their host's checksums" in report.remarks
    (place / "p1_1.edf").write_bytes(b"other")
    assert f"wrong checksum (1): {below}p1_1.edf" in look(copy.parent, is_summed=True).problems


def test_what_came_with_a_fetch_is_compared(copy: Path) -> None:
    record = read_record(copy)
    record.note("p1_1.edf", f"md5:{hashlib.md5(b'p1_1.edf').hexdigest()}")
    record.note("p1_2.edf", f"md5:{'0' * 32}")
    record.note("p8.txt", f"md5:{'0' * 32}")
    assert look(copy.parent, is_summed=True).problems == [
        "missing files (1): p8.txt",
        "wrong checksum (1): p1_2.edf",
    ]


def test_without_published_sums_the_first_look_writes_a_manifest(copy: Path) -> None:
    first = look(copy.parent, is_summed=True)
    assert first.is_good
    assert any("a manifest of 3 files was written" in r for r in first.remarks)
    assert not list(copy.glob(".neurogloss/*"))  # the copy may be read-only
    assert look(copy.parent, is_summed=True).is_good
    (copy / "p1_1.edf").write_bytes(b"changed")
    (copy / "p1_2.edf").rename(copy / "p1_3.edf")
    assert look(copy.parent, is_summed=True).problems == [
        "wrong checksum (1): p1_1.edf",
        "missing since our manifest (1): p1_2.edf",
        "new since our manifest (1): p1_3.edf",
    ]


@pytest.mark.parametrize("text", ["{", "[1]"], ids=["cut", "a list"])
def test_a_damaged_manifest_is_one_sentence(text: str, copy: Path) -> None:
    manifest = copy.parent / "home" / "manifest.json"
    manifest.parent.mkdir()
    manifest.write_text(text)
    with pytest.raises(FetchError, match="is damaged; remove it"):
        look(copy.parent, is_summed=True)


def test_a_deep_look_counts_hours_rates_labels_and_rejects(
    tmp_path: Path, write_edf: Callable[..., Path]
) -> None:
    folder = tmp_path / "eegmat"
    write_edf(folder / "Subject00_1.edf", duration_s=36, sfreq_hz=256, seed=1)
    write_edf(folder / "Subject00_2.edf", duration_s=36, sfreq_hz=128, seed=2)
    (folder / "Subject01_1.edf").write_bytes(b"no EDF")
    expected = Expected(
        n_subjects=2,
        n_recordings=3,
        hours=(0.1, 0.2),
        rates={"256": 2, "512": 1},
        labels={"task": {"rest": 2, "mental_arithmetic": 1}},
    )
    spec = corpus("eegmat").model_copy(update={"expected": expected})
    report = verify(spec, tmp_path, manifest=tmp_path / "m.json", is_deep=True)
    assert report.counts["hours"] == 0.02
    assert report.counts["accepted"] == 2
    assert report.counts["rates_hz"] == {"128": 1, "256": 1}
    assert sum(report.counts["rejects"].values()) == 1
    assert report.problems == [
        "hours: 0.02, expected 0.1 to 0.2",
        "files at rate (Hz) 128: 1, expected 0",
        "files at rate (Hz) 256: 1, expected 2",
        "files at rate (Hz) 512: 0, expected 1",
        "recordings with task rest: 1, expected 2",
    ]


def test_a_duplicate_counts_with_its_labels_and_values_nobody_counts_may_occur(
    tmp_path: Path, write_edf: Callable[..., Path]
) -> None:
    folder = tmp_path / "eegmat"
    for name, seed in (("Subject00_1", 1), ("Subject01_1", 1), ("Subject00_2", 2)):
        write_edf(folder / f"{name}.edf", duration_s=36, sfreq_hz=256, seed=seed)
    expected = Expected(n_subjects=2, n_recordings=3, labels={"task": {"rest": 2}})
    spec = corpus("eegmat").model_copy(update={"expected": expected})
    report = verify(spec, tmp_path, manifest=tmp_path / "m.json", is_deep=True)
    assert report.counts["rejects"] == {"duplicate": 1}
    assert report.problems == []


def test_a_real_excerpt_is_told_as_one(data_root: Path, tmp_path: Path) -> None:
    report = verify(corpus("eegmat"), data_root, manifest=tmp_path / "m.json", is_deep=True)
    assert report.counts["recordings"] == report.counts["accepted"] == 12
    assert report.counts["labels"]["task"] == {"mental_arithmetic": 6, "rest": 6}
    assert "recordings: 12 of 72; 60 missing" in report.problems
