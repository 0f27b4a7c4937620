"""Model files: what they may say, and which corpora a model is known to have seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.asking.exposure import PUBLISHED, UNKNOWN, Exposure, mark, published, trained
from benchmark.asking.under_test import (
    FOLDER_VARIABLE,
    FolderModel,
    ServedModel,
    models_under_test,
    read_model,
)
from benchmark.errors import BenchmarkError
from benchmark.tasks.task import TASKS
from dagster_project.corpora.registry import corpora

SERVER: dict[str, Any] = {
    "kind": "server",
    "description": "x",
    "teacher": {"provider": "openai", "model": "gpt-4.1"},
}
FOLDER: dict[str, Any] = {"kind": "folder", "description": "x", "folder": "models/one"}


def write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_the_shipped_files_are_read_and_send_no_page_unless_told() -> None:
    found = models_under_test()
    served = {n: m for n, m in found.items() if isinstance(m, ServedModel)}
    assert {m.teacher["provider"] for m in served.values()} == {
        "openai", "gemini", "openai_compatible",
    }  # fmt: skip
    assert not any(m.pages_may_leave for m in served.values())
    assert [n for n, m in served.items() if m.is_within] == ["local-server"]
    assert found["gpt-4.1"].exposure == UNKNOWN
    assert found["qwen2.5-vl-3b"].exposure == PUBLISHED["qwen2.5-vl"]


def test_a_folder_of_the_users_adds_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "mine.yaml", FOLDER | {"seen": "CerebraGloss-3B"})
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    mine = models_under_test()["mine"]
    assert isinstance(mine, FolderModel)
    assert mine.path(Path("/root")) == Path("/root/models/one")
    assert "tusz" in mine.exposure.corpora


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.yaml", "a: [", "no YAML"),
        ("m.yaml", {"kind": "oracle"}, "folder.*server"),
        ("m.yaml", SERVER | {"wish": 1}, "wish"),
        ("m.yaml", {k: v for k, v in SERVER.items() if k != "description"}, "description"),
        ("m.yaml", SERVER | {"teacher": {"provider": "template"}}, "answers nothing"),
        ("m.yaml", SERVER | {"teacher": {"provider": "openai", "wish": 1}}, "wish"),
        ("m.yaml", FOLDER | {"seen": {"status": "perhaps", "source": "x"}}, "status"),
        ("My Model.yaml", FOLDER, "rename the file"),
        ("a--b.yaml", FOLDER, "single dashes"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, name: str, content: Any, message: str) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(BenchmarkError, match=message):
        read_model(path)


def test_a_name_that_is_shipped_and_a_folder_that_is_none_are_told(tmp_path: Path) -> None:
    write(tmp_path, "gpt-4.1.yaml", SERVER)
    with pytest.raises(BenchmarkError, match="rename yours"):
        models_under_test(tmp_path)
    with pytest.raises(BenchmarkError, match="no folder"):
        models_under_test(tmp_path / "none")
    with pytest.raises(BenchmarkError, match="does not exist"):
        read_model(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("exposure", "expected"),
    [
        (None, "not known"),
        (UNKNOWN, "not known"),
        (trained(None, {"eegmat": "train"}, "r"), "trained on eegmat"),
        (trained(None, {"hmc": "train"}, "r"), "none of these"),
        (trained(PUBLISHED["qwen2.5-vl"], {"hmc": "t"}, "r"), "none of these, as far as listed"),
        (trained(PUBLISHED["neurolm"], {"hmc": "t"}, "r"), "trained on eegmat, seed"),
    ],
    ids=["nobody said", "api", "seen", "unseen", "unseen but begun from", "both"],
)
def test_a_mark_names_the_corpora_trained_on(exposure: Exposure | None, expected: str) -> None:
    assert mark(exposure, ["seed", "eegmat"]) == expected


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "partly"),
        ("qwen2_5_vl_3b", "partly"),
        ("NeuroLM-B", "partly"),
        ("some/other-model", "unknown"),
        ("", "unknown"),
    ],
)
def test_published_models_by_name(name: str, status: str) -> None:
    assert published(name).status == status


def test_signals_seen_in_pre_training_are_no_zero_shot() -> None:
    assert mark(published("NeuroLM-B"), TASKS["siena"].corpora) == "trained on siena"
    assert mark(published("NeuroNarrator"), TASKS["siena"].corpora).startswith("none of these")


def test_the_table_names_registered_corpora() -> None:
    named = {corpus for exposure in PUBLISHED.values() for corpus in exposure.corpora}
    assert named <= set(corpora()), "a corpus under another key would never be marked"
