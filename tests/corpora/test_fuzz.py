"""Every format, mutated: never a crash, a hang, a gigabyte or code run; always a cause.

A sample by default; ``NEUROGLOSS_FUZZ=full`` for more than two thousand files and the whole table.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path

import fuzz
import pytest
from fuzz import CANARY, FORMATS, HEAD, MAX_FILE_S, Report

from dagster_project.corpora.readers.table import READERS
from dagster_project.corpora.registry import corpora, corpus

IS_FULL = os.environ.get("NEUROGLOSS_FUZZ") == "full"
N_EACH = 120 if IS_FULL else 7
N_ROUNDS = 4 if IS_FULL else 1
SAMPLED = ("hmc", "lemon", "pd31", "tuev")
"""Corpora whose trees are mutated in the sample."""
NEVER = {"worker_died", "too_slow", "too_large"}
TREES = sorted(p.stem for p in (Path(__file__).parent / "trees").glob("*.py"))


@pytest.fixture(scope="module", autouse=True)
def entries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("entries")
    fuzz.write_entries(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROGLOSS_CORPORA", str(folder))
        patch.chdir(tmp_path_factory.mktemp("cwd"))
        corpora.cache_clear()
        yield
    corpora.cache_clear()


@pytest.fixture(scope="module")
def reports() -> Iterator[list[Report]]:
    found: list[Report] = []
    yield found
    table = "\n".join([HEAD, *(report.row() for report in found)])
    total = sum(report.files for report in found)
    Path(os.environ.get("NEUROGLOSS_FUZZ_REPORT", os.devnull)).write_text(f"{table}\n{total}\n")
    print(f"\n{table}\n{total} files")  # noqa: T201


def check(report: Report, root: Path, reports: list[Report]) -> None:
    reports.append(report)
    assert report.slowest_s < MAX_FILE_S
    assert not NEVER & set(report.causes), report.row()
    assert not list(root.rglob(f"{CANARY}*"))
    assert not Path(CANARY).exists()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", FORMATS)
def test_a_mutated_file_costs_itself_alone(
    tmp_path: Path, reports: list[Report], name: str
) -> None:
    report = fuzz.fuzz_format(name, tmp_path, N_EACH, seed=1)
    check(report, tmp_path, reports)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("tree", [t for t in TREES if IS_FULL or t in SAMPLED])
def test_mutated_sidecars_and_recordings_of_a_corpus(
    tmp_path: Path, reports: list[Report], tree: str
) -> None:
    write = importlib.import_module(f"trees.{tree}").write
    for key in _keys_of(tree):
        report = Report(f"corpus {key}")
        for i in range(N_ROUNDS):
            fuzz.fuzz_corpus(key, write, tmp_path / f"{key}-{i}", i, report)
        check(report, tmp_path, reports)


def _keys_of(tree: str) -> list[str]:
    """Corpora a tree module writes: the one of its name, or those that begin with it."""
    key = tree.replace("_", "-")
    return [k for k in corpora() if k == key] or [k for k in corpora() if k.startswith(key)]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "rar"])
def test_a_mutated_archive_writes_nowhere_else(
    tmp_path: Path, reports: list[Report], kind: str
) -> None:
    from test_archives import GOOD, WRITERS

    raw = WRITERS[kind](tmp_path / "whole", [*GOOD, ("../../x", b"1")]).read_bytes()
    (tmp_path / "in").mkdir()
    report = fuzz.fuzz_archives(raw, f"archive {kind}", tmp_path / "in" / "deep", N_EACH, seed=1)
    check(report, tmp_path, reports)
    assert {p.name for p in (tmp_path / "in").iterdir()} == {"deep"}


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_mutated_was_good_before(tmp_path: Path, name: str) -> None:
    key = f"fuzz-{name}"
    suffix = FORMATS[name].suffix
    (tmp_path / key).mkdir()
    for found, raw in fuzz.seed_bundle(name, tmp_path / "seeds").items():
        inside = raw.replace(b"seed.", b"m1.") if found in (".vhdr", ".hea") else raw
        (tmp_path / key / f"m1{found}").write_bytes(inside)
    report = Report(name)
    fuzz.look_at(key, tmp_path, report)
    assert (report.files, report.accepted) == (1, 1), report.row()
    assert corpus(key).files.suffixes == (suffix,)


def test_every_reader_is_fuzzed() -> None:
    by_tree = {"any", "bids"}  # they hand on to readers that are
    assert {form.reader for form in FORMATS.values()} == set(READERS) - by_tree - {"own"}
