"""Checkpoints of another trainer, or another run: refused, taken up or passed over, and always said."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.vlm import checkpoint, run
from training.vlm.checkpoint import STATE_VERSION
from training.vlm.config import Recipe
from training.vlm.errors import Interrupted, MachineError
from training.vlm.result import StageResult
from training.vlm.run import StageRequest, run_stage


class Stopper:
    """Collects what is said and stops the run after a step."""

    def __init__(self, after: int = 0) -> None:
        self.texts: list[str] = []
        self._after = after

    def message(self, text: str) -> None:
        self.texts.append(text)

    def step(self, report: Any) -> None:
        if report.step == self._after:
            os.kill(os.getpid(), signal.SIGTERM)


class Runs:
    """Runs of one stage into one folder."""

    def __init__(self, recipe: Callable[..., Recipe], release: Path, folder: Path) -> None:
        self._recipe, self._release, self.folder = recipe, release, folder

    def go(self, out: str = "out", **fields: Any) -> tuple[StageResult, str]:
        """Train to the end; return the result and all that was said."""
        stopper = fields.pop("stopper", Stopper())
        recipe = self._recipe(stage1=fields.pop("stage1", {}))
        request = StageRequest(
            "test", recipe, "stage1", self._release, self.folder / out, None, **fields
        )
        return run_stage(request, [stopper]), "\n".join(stopper.texts)

    def stop(self, **fields: Any) -> Path:
        """Stop after the second step; return its checkpoint."""
        with pytest.raises(Interrupted):
            self.go(stopper=Stopper(2), **fields)
        (found,) = self.folder.glob(".out.work/*/step-00000002")
        return found


@pytest.fixture
def runs(recipe: Callable[..., Recipe], release: Path, tmp_path: Path) -> Runs:
    return Runs(recipe, release, tmp_path)


def _rewrite(path: Path, **changes: Any) -> None:
    state = json.loads((path / "state.json").read_text())
    for key, value in changes.items():
        state.pop(key) if value is None else state.update({key: value})
    (path / "state.json").write_text(json.dumps(state))


@pytest.mark.parametrize("version", [None, STATE_VERSION + 1])
def test_checkpoint_of_another_format_is_refused_and_kept(runs: Runs, version: int | None) -> None:
    path = runs.stop()
    _rewrite(path, format=version, codes=["c0ffee"])
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    says = (
        rf"format {version or 0} and this trainer of format {STATE_VERSION}.*code c0ffee.*--fresh"
    )
    with pytest.raises(MachineError, match=says) as caught:
        runs.go()
    assert not caught.value.is_retryable
    assert {p.name: p.read_bytes() for p in path.iterdir()} == before
    assert not (runs.folder / "out").exists()
    anew, said = runs.go(is_fresh=True)
    assert "carrying on" not in said
    assert anew.losses == runs.go("whole")[0].losses


def test_checkpoint_without_any_mark_is_older(runs: Runs) -> None:
    _rewrite(runs.stop(), format=None, codes=None)
    with pytest.raises(MachineError, match="is of format 0"):
        runs.go()


def test_checkpoint_of_a_patched_trainer_is_taken_up_and_both_codes_are_named(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(run, "code_version", lambda: "0ld0ld")
        runs.stop()
    result, said = runs.go()
    assert "carrying on from step-00000002" in said
    assert "written by code 0ld0ld" in said
    assert f"format {STATE_VERSION}" in said
    known = json.loads((Path(result.model) / "training.json").read_text())
    assert known["earlier_codes"] == ["0ld0ld"]
    assert known["code_version"] == run.code_version()
    assert "on from checkpoints of `0ld0ld`" in (Path(result.model) / "README.md").read_text()


def test_run_of_one_code_names_one(runs: Runs) -> None:
    runs.stop()
    result, said = runs.go()
    assert "written by code" not in said
    known = json.loads((Path(result.model) / "training.json").read_text())
    assert known["earlier_codes"] == []
    assert "on from checkpoints" not in (Path(result.model) / "README.md").read_text()


def test_checkpoints_of_another_run_are_passed_over_and_the_difference_is_said(runs: Runs) -> None:
    runs.stop()
    _, said = runs.go(stage1={"lr": 5e-4})
    assert "checkpoints of another run" in said
    assert "config.lr 0.001 there, 0.0005 here" in said
    assert "carrying on" not in said


def test_checkpoints_from_before_runs_were_described_are_told_too(runs: Runs) -> None:
    (runs.stop().parent / "run.json").unlink()
    _, said = runs.go(stage1={"lr": 5e-4})
    assert "an older trainer left them" in said


@pytest.mark.parametrize(("fate", "n_samples"), [("keep", [10, 10, 4]), ("drop", [10, 10])])
def test_rows_left_over_are_a_last_step_or_none(
    runs: Runs, fate: str, n_samples: list[int]
) -> None:
    stage = {"epochs": 1, "max_steps": None, "accumulation": 5, "last_batch": fate}
    result, _ = runs.go(stage1=stage)
    lines = (Path(result.model) / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["n_samples"] for line in lines] == n_samples


def test_format_is_raised_with_what_is_stored(runs: Runs) -> None:
    """Whoever changes what stands here raises ``STATE_VERSION`` with it, and then this test."""
    from safetensors import safe_open

    path = runs.stop()
    state = json.loads((path / "state.json").read_text())
    names: dict[str, list[str]] = {}
    for file in ("weights", "optimizer"):
        with safe_open(path / f"{file}.safetensors", "pt") as tensors:
            names[file] = sorted(tensors.keys())
    assert checkpoint.STATE_VERSION == 1
    assert sorted(state) == [
        "codes", "format", "n_dropped", "n_label_tokens", "n_processes", "n_samples", "n_tokens",
        "position", "step",
    ]  # fmt: skip
    assert state["position"].keys() == {"epoch", "row"}
    ends = ("ln_q.weight", "mlp.0.bias", "mlp.0.weight", "mlp.2.bias", "mlp.2.weight")
    merger = [f"model.visual.merger.{end}" for end in ends]
    assert names["weights"] == merger
    moments = [f"{moment}/{n}" for moment in ("exp_avg", "exp_avg_sq", "step") for n in merger]
    assert names["optimizer"] == sorted([*moments, "rng/0/cpu"])


def test_format_is_raised_with_what_a_step_trains_on(runs: Runs) -> None:
    """As the test before: tokens, answers and pages of the first steps, in their order."""
    result, _ = runs.go()
    lines = (Path(result.model) / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line) for line in lines[:3]]
    assert checkpoint.STATE_VERSION == 1
    counts = [[s[f"n_{what}tokens"] for what in ("", "label_", "image_")] for s in steps]
    assert counts == [[289, 76, 48], [315, 90, 48], [317, 90, 48]]
    losses = [5.959195, 5.966426, 5.898654]
    assert [s["loss"] for s in steps] == pytest.approx(losses, rel=1e-4)
