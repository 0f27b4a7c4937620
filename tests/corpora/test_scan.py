from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.registry import corpus
from dagster_project.corpora.scan import fingerprints
from dagster_project.corpora.shards import shard_keys, shard_of

KEYS = ("eegmat", "eegmmidb", "chb-mit", "sleep-edfx", "simulated")


def lay(root: Path) -> None:
    for name in (
        "eegmat/Subject00_1.edf", "eegmat/subject-info.csv", "chb-mit/SUBJECT-INFO",
        "chb-mit/chb01/chb01_03.edf", "chb-mit/chb01/chb01-summary.txt",
        "chb-mit/chb02/chb02_01.edf", "chb-mit/chb02/chb02-summary.txt",
        "chb-mit/chb21/chb21-summary.txt",
        "sleep-edfx/sleep-cassette/SC4001E0-PSG.edf",
        "sleep-edfx/sleep-cassette/SC4001EC-Hypnogram.edf",
        "simulated/sub-03/sub-03_awake.edf", "simulated/sub-03/sub-03_awake_truth.json",
    ):  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def of(key: str, subject: str) -> str:
    return shard_of(corpus(key), corpus(key).identity_of(subject))


def touched(root: Path, act: Callable[[Path], object]) -> set[str]:
    before = fingerprints(root, KEYS)
    act(root)
    after = fingerprints(root, KEYS)
    return {k for k in after if after[k].fingerprint != before[k].fingerprint}


def rewrite(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes(b"longer")


def remove(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).unlink()


CHB1, CHB2 = of("chb-mit", "chb01"), of("chb-mit", "chb02")
SLEEP, SIM = of("sleep-edfx", "SC400"), of("simulated", "sub-03")


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda root: None, set()),
        (lambda root: shutil.copy(root / "eegmat/Subject00_1.edf", root / "eegmat/Subject05_1.edf"),
         {"eegmat-01-of-01"}),
        (rewrite("chb-mit/chb01/chb01_03.edf"), {CHB1}),
        (remove("chb-mit/chb02/chb02_01.edf"), {CHB2}),
        (rewrite("chb-mit/chb02/chb02-summary.txt"), {CHB2}),
        (rewrite("chb-mit/chb21/chb21-summary.txt"), {CHB1}),
        (rewrite("chb-mit/SUBJECT-INFO"), {CHB1, CHB2}),
        (rewrite("eegmat/subject-info.csv"), {"eegmat-01-of-01"}),
        (remove("sleep-edfx/sleep-cassette/SC4001EC-Hypnogram.edf"), {SLEEP}),
        (rewrite("simulated/sub-03/sub-03_awake_truth.json"), {SIM}),
        (lambda root: os.utime(root / "eegmat/Subject00_1.edf", ns=(1, 1)), {"eegmat-01-of-01"}),
        (lambda root: (root / "eegmat/holiday.edf").write_bytes(b"?"), {"eegmat-01-of-01"}),
        (lambda root: (root / "eegmat/readme.txt").write_bytes(b"?"), set()),
        (lambda root: (root / "eegmat/._Subject00_1.edf").write_bytes(b"?"), set()),
        (lambda root: shutil.rmtree(root / "eegmat"), {"eegmat-01-of-01"}),
    ],
    ids=["nothing", "new", "changed", "removed", "sidecar", "sidecar of the same girl",
         "sidecar of all", "table", "hypnogram gone", "truth", "touched", "misnamed", "readme",
         "litter", "all gone"],
)  # fmt: skip
def test_just_the_shards_a_change_touches(
    tmp_path: Path, act: Callable[[Path], object], expected: set[str]
) -> None:
    lay(tmp_path)
    assert touched(tmp_path, act) == expected


def test_every_shard_is_reported_even_empty(tmp_path: Path) -> None:
    found = fingerprints(tmp_path, KEYS)
    assert list(found) == [key for corpus_key in KEYS for key in shard_keys(corpus_key)]
    assert all(not shard.files for shard in found.values())


def test_linked_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    lay(tmp_path / "disk")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/chb-mit").symlink_to(tmp_path / "disk/chb-mit")
    (tmp_path / "disk/chb-mit/chb01/again").symlink_to(tmp_path / "disk/chb-mit")
    found = fingerprints(tmp_path / "data", ["chb-mit"])
    assert len(found[CHB1].files) == 4
    assert len(found[CHB2].files) == 3


def test_files_are_named_by_hashes(tmp_path: Path) -> None:
    lay(tmp_path)
    files = fingerprints(tmp_path, ["eegmat"])["eegmat-01-of-01"].files
    assert len(files) == 2
    assert all(name.startswith("f-") and "ubject" not in name for name in files)
    assert all(size == 1 and mtime_ns > 0 for size, mtime_ns in files.values())


def test_a_root_that_is_not_there_is_an_error_not_a_withdrawal(tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        fingerprints(tmp_path / "unmounted", KEYS)
    assert caught.value.cause == "data_root"


def test_what_an_entry_tells_people_is_not_part_of_its_digest() -> None:
    spec = corpus("eegmat")
    told = spec.model_copy(update={"notes": "told to people", "title": "another"})
    read = spec.model_copy(update={"line_freq_hz": 60.0})
    assert told.digest == spec.digest
    assert read.digest != spec.digest
    assert corpus("eegmmidb").digest != spec.digest
