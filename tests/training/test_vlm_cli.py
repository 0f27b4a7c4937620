"""The command line: exit status, one sentence per error, and kills."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from training.__main__ import main
from training.vlm.errors import is_retryable_status
from training.vlm.run import StageRequest, run_stage

PROJECT = Path(__file__).resolve().parents[2]


def test_two_stages_by_hand(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0
    assert "6 steps, loss" in capsys.readouterr().out
    second = ["stage2", *arguments[1:-1], str(tmp_path / "two"), "--base", str(tmp_path / "out")]
    assert main([*second, "--set", "stage2.max_steps=2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["n_steps"] == 2
    assert result["model"] == str(tmp_path / "two")


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        (["--recipe", "huge"], 2, "RecipeError: recipe 'huge' does not exist; known recipes: "),
        (["--set", "stage1.steps=3"], 2, "RecipeError: .* key 'stage1.steps' is not known"),
        (["--dataset", "nowhere"], 3, "DatasetError: dataset 'nowhere' holds no Parquet file"),
        (["--base", "nowhere"], 4, "ModelError: model folder 'nowhere' holds no config.json"),
        (["--set", "stage1.precision=bf16"], 5, "MachineError: precision 'bf16' needs a GPU"),
    ],
    ids=["recipe", "setting", "dataset", "base", "bf16"],
)
def test_wrong_call_ends_with_a_sentence_and_a_status(
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    change: list[str],
    status: int,
    says: str,
) -> None:
    import torch

    if status == 5 and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert main([*arguments, *change]) == status
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.match(says, err)


@pytest.mark.parametrize(
    ("words", "status"), [([], 2), (["stage9"], 2), (["--help"], 0)], ids=["none", "wrong", "help"]
)
def test_commands_are_listed(
    capsys: pytest.CaptureFixture[str], words: list[str], status: int
) -> None:
    assert main(words) == status
    captured = capsys.readouterr()
    assert "stage2" in captured.out + captured.err


@pytest.mark.parametrize(
    ("status", "is_retryable"), [(0, False), (2, False), (5, False), (75, True), (-9, True)]
)
def test_status_says_whether_to_try_again(status: int, is_retryable: bool) -> None:
    assert is_retryable_status(status) == is_retryable


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(PROJECT)}


def _wait_for_lines(pattern: str, folder: Path, n_lines: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        files = list(folder.glob(pattern))
        if files and len(files[0].read_text().splitlines()) >= n_lines:
            return
        time.sleep(0.01)
    raise AssertionError(f"no {pattern} with {n_lines} lines appeared")


@pytest.mark.heavy
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_killed_program_carries_on_to_the_same_weights(
    arguments: list[str],
    recipe_file: Path,
    release: Path,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    from training.vlm.config import load_recipe

    longer = ["stage1.max_steps=40"]
    command = [sys.executable, "-m", "training", *arguments, "--set", *longer]
    program = subprocess.Popen(command, env=_environment(), cwd=PROJECT)
    _wait_for_lines(".out.work/*/metrics.jsonl", tmp_path, 5)
    program.send_signal(number)
    status = program.wait(60)
    assert status == {signal.SIGKILL: -9, signal.SIGTERM: 75}[number]
    assert is_retryable_status(status)
    assert not (tmp_path / "out").exists()

    made = load_recipe(recipe_file, longer)
    resumed = run_stage(StageRequest("small", made, "stage1", release, tmp_path / "out"))
    unbroken = run_stage(StageRequest("small", made, "stage1", release, tmp_path / "whole"))
    assert resumed.losses == unbroken.losses
    assert resumed.model_fingerprint == unbroken.model_fingerprint
