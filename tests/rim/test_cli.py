"""The command line: names scripts rely on, and one clear sentence when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dagster_project.cli import main
from prompts.releases.build import releases, write_manifest
from prompts.releases.card import write_card
from prompts.releases.files import release_schema, write_split, write_text
from prompts.releases.tally import Tally, manifest_of


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NEUROGLOSS_DATA", raising=False)
    monkeypatch.setenv("NEUROGLOSS_HOME", str(tmp_path / "home"))


def plant_release(folder: Path) -> None:
    """Write a release of two rows, one of them of a gated corpus."""
    blank = {name: "" for name in release_schema().names}
    fixed = {
        "images": [{"bytes": b"png", "path": "p.png"}], "messages": [], "segment_ids": [],
        "sentences": [], "evidence": [], "kind": "captions", "split": "train", "cost_usd": 0.0,
        "is_simulated": False, "is_offline_teacher": False,
    }  # fmt: skip
    rows = [
        blank | fixed | {"id": "a", "corpus": "eegmat", "licence": "ODC-BY-1.0", "is_gated": False},
        blank | fixed | {"id": "b", "corpus": "seed", "licence": "x", "is_gated": True},
    ]
    folder.mkdir(parents=True)
    recipe, tally = releases()["demo"], Tally()
    files = write_split(tally.watch(iter(rows)), folder, "train")
    report = tally.report(recipe, folder, files, recipe.shards)
    write_text(folder / "README.md", write_card(recipe, report))
    write_manifest(folder, manifest_of(recipe, report))


def test_corpora_are_listed_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "list", "--json"]) == 0
    rows = {row["corpus"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"eegmat", "eegmmidb", "chb-mit", "sleep-edfx", "simulated", "tuab"} <= set(rows)
    assert rows["chb-mit"]["shards"] == 8
    assert rows["simulated"]["simulated"] is True
    assert rows["tuab"]["hosted_teachers"] is False
    assert not any(row["present"] for row in rows.values())


def test_a_wrong_data_root_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEUROGLOSS_DATA", "/nowhere/at/all")
    assert main(["estimate"]) == 2
    said = capsys.readouterr().err
    assert "'/nowhere/at/all' is not a folder" in said
    assert "Traceback" not in said


def test_an_estimate_counts_the_files_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data" / "eegmat"
    folder.mkdir(parents=True)
    (folder / "Subject00_1.edf").write_bytes(bytes(1_000_000))
    monkeypatch.setenv("NEUROGLOSS_DATA", str(tmp_path / "data"))
    assert main(["estimate"]) == 0
    said = capsys.readouterr().out
    assert "| eegmat-01-of-01 | 1 |" in said
    assert "free:" in said


def test_a_release_that_is_not_built_cannot_be_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["release", "export", "demo", "--to", str(tmp_path / "out")]) == 2
    assert "holds no manifest.json; build the release first" in capsys.readouterr().err


def test_a_release_is_exported_only_as_far_as_its_licences_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant_release(tmp_path / "home" / "releases" / "demo")
    command = ["release", "export", "demo", "--to", str(tmp_path / "out")]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "seed (licence LicenseRef-BCMI-agreement)" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert main([*command, "--without-gated"]) == 0
    assert capsys.readouterr().out == (
        f"1 rows copied to {tmp_path / 'out'}\nleft out: 1 rows of seed, which is gated\n"
    )
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "README.md", "DATASHEET.md", "LICENCES.md", "SPLITS.md", "croissant.json", "manifest.json",
        "train-00000.parquet",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "files"),
    [("llava", {"train.json"}), ("llama-factory", {"train.json", "dataset_info.json"}),
     ("ms-swift", {"train.jsonl"})],
)  # fmt: skip
def test_a_release_is_exported_for_other_trainers(
    wanted: str, files: set[str], tmp_path: Path
) -> None:
    plant_release(tmp_path / "home" / "releases" / "demo")
    command = ["release", "export", "demo", "--to", str(tmp_path / "out"), "--without-gated"]
    assert main([*command, "--format", wanted]) == 0
    made = {p.name for p in (tmp_path / "out").iterdir()}
    documents = {
        "README.md", "CARD.md", "DATASHEET.md", "LICENCES.md", "SPLITS.md", "manifest.json", "images",
    }  # fmt: skip
    assert made == documents | files


def test_a_format_nobody_reads_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant_release(tmp_path / "home" / "releases" / "demo")
    assert main(["release", "export", "demo", "--to", str(tmp_path / "o"), "--format", "csv"]) == 2
    said = capsys.readouterr().err
    assert "choose parquet, llava, llama-factory, ms-swift" in said
