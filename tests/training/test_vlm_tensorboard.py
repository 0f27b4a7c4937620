"""The event files, read with TensorBoard's own reader."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from training.__main__ import main
from training.vlm.report import StepReport
from training.vlm.tensorboard import TAGS, TensorBoardReporter


def _scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Every scalar by tag and step, after TensorBoard's own rule for repeated steps."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), purge_orphaned_data=True).Reload()
    return {t: {e.step: e.value for e in found.Scalars(t)} for t in found.Tags()["scalars"]}


def _report(step: int, **numbers: Any) -> StepReport:
    whole = {f.name: float(step) for f in fields(StepReport)} | {"step": step, "mfu": None}
    return StepReport(**(whole | numbers))  # type: ignore[arg-type]


def _matches(found: Mapping[int, float], wanted: list[dict[str, Any]], name: str) -> None:
    assert found == pytest.approx({e["step"]: e[name] for e in wanted}, rel=1e-6)


def test_run_writes_the_numbers_of_its_json_lines(arguments: list[str], tmp_path: Path) -> None:
    assert main(arguments) == 0
    scalars = _scalars(tmp_path / "tensorboard" / "out")
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert scalars.keys() == {TAGS[n] for n in TAGS if entries[0][n] is not None}
    assert "speed/mfu" not in scalars  # a CPU has no peak to take a share of
    for name in ("loss", "lr", "tokens_per_s", "memory_mb", "data_wait_share"):
        _matches(scalars[TAGS[name]], entries, name)


def test_every_number_of_a_step_has_a_tag() -> None:
    assert {f.name for f in fields(StepReport)} - {"step", "n_steps"} == TAGS.keys()


def test_repeated_steps_replace_those_of_the_broken_launch(tmp_path: Path) -> None:
    with TensorBoardReporter(tmp_path) as first:
        for step in range(1, 6):
            first.step(_report(step, loss=1.0))
    with TensorBoardReporter(tmp_path) as second:
        for step in range(3, 5):
            second.step(_report(step, loss=2.0, mfu=0.4))
    scalars = _scalars(tmp_path)
    assert scalars["train/loss_nats"] == {1: 1.0, 2: 1.0, 3: 2.0, 4: 2.0}
    assert scalars["speed/mfu"] == pytest.approx({3: 0.4, 4: 0.4})


def test_killed_run_leaves_what_it_had_written(arguments: list[str], tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:  # a process of its own, so that the kill is a real one
        board = TensorBoardReporter(tmp_path / "board")
        board.step(_report(1))
        board.step(_report(2))
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert _scalars(tmp_path / "board")["train/loss_nats"] == {1: 1.0, 2: 2.0}


def test_run_without_a_step_or_without_tensorboard_leaves_no_file(
    arguments: list[str], tmp_path: Path
) -> None:
    with TensorBoardReporter(tmp_path / "board") as board:
        board.message("nothing to do")
    assert main([*arguments, "--tensorboard", "none"]) == 0
    assert not (tmp_path / "board").exists()
    assert not (tmp_path / "tensorboard").exists()
