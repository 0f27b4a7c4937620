"""The command line: names scripts rely on, and one clear sentence when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dagster_project.cli import main


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NEUROGLOSS_DATA", raising=False)
    monkeypatch.setenv("NEUROGLOSS_HOME", str(tmp_path / "home"))


def test_corpora_are_listed_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "list", "--json"]) == 0
    rows = {row["corpus"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == {"eegmat", "eegmmidb", "chb-mit", "sleep-edfx", "simulated"}
    assert rows["chb-mit"]["shards"] == 8
    assert rows["simulated"]["simulated"] is True
    assert not any(row["present"] for row in rows.values())


def test_corpora_are_listed_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "list"]) == 0
    assert "eegmmidb" in capsys.readouterr().out


def test_one_corpus_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "show", "eegmat"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["licence"]["id"] == "ODC-BY-1.0"
    assert "45 Hz" in told["notes"]


def test_an_unknown_corpus_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "show", "tuab"]) == 2
    assert "'tuab' is not registered; known: eegmat" in capsys.readouterr().err


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
