"""What the model assets start: which stage of which recipe, on which release, from which model.

The interpreter of the launch settings is a script that notes what it is asked and fails.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_project.assets import models
from dagster_project.launching.launcher import Launcher
from dagster_project.resources import Workspace

Start = Callable[..., tuple[str, list[list[str]]]]


@pytest.fixture
def start(tmp_path: Path, instance: dg.DagsterInstance) -> Start:
    """Materialise one asset; return what its run failed with and the commands it gave."""
    notes = tmp_path / "notes"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >> {notes}\nexit 3\n')
    python.chmod(0o755)
    settings = tmp_path / "launcher.yaml"
    settings.write_text(f"kind: subprocess\npython: {python}\n")

    def run(asset: str, recipe: str, **config: Any) -> tuple[str, list[list[str]]]:
        outcome = dg.materialize(
            [models.aligned_model, models.tuned_model],
            selection=[asset],
            partition_key=recipe,
            instance=instance,
            resources={
                "workspace": Workspace(storage_root=str(tmp_path / "home")),
                "launcher": Launcher(settings_file=str(settings)),
            },
            run_config={
                "ops": {asset: {"config": config}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )
        (failed,) = outcome.filter_events(lambda e: e.is_step_failure)
        said = failed.step_failure_data.user_failure_data
        assert said
        asked = notes.read_text().splitlines() if notes.exists() else []
        return str(said.description), [line.split() for line in asked]

    return run


@pytest.mark.parametrize(
    ("asset", "recipe", "stage", "release", "base"),
    [
        ("aligned_model", "cerebragloss_3b", "stage1", "cerebragloss-stage1", None),
        ("tuned_model", "cerebragloss_3b", "stage2", "cerebragloss-stage2", "stage1"),
        ("tuned_model", "cerebragloss_3b_no_stage1", "stage2", "cerebragloss-stage2", None),
        ("tuned_model", "qwen2_5_vl_3b_lora", "stage2", "lab", "stage1"),
    ],
)
def test_stage_reads_its_own_release_and_begins_from_the_stage_before(
    start: Start, tmp_path: Path, asset: str, recipe: str, stage: str, release: str, base: str
) -> None:
    said, ((*words,),) = start(asset, recipe, max_steps=7)
    home = tmp_path / "home"
    expected = ["-m", "training", stage, "--recipe", recipe]
    expected += ["--dataset", str(home / "releases" / release)]
    expected += ["--out", str(home / "models" / "vlm" / recipe / stage)]
    expected += ["--base", str(home / "models" / "vlm" / recipe / base)] if base else []
    assert words == [*expected, "--set", f"{stage}.max_steps=7"]
    assert "the trainer ended with status 3" in said


@pytest.mark.parametrize(
    ("asset", "recipe", "last"),
    [
        ("aligned_model", "cerebragloss_3b_no_stage1", "stage2"),
        ("tuned_model", "cerebragloss_3b_no_stage2", "stage1"),
    ],
)
def test_stage_that_an_ablation_leaves_out_is_refused_in_a_sentence(
    start: Start, tmp_path: Path, asset: str, recipe: str, last: str
) -> None:
    said, commands = start(asset, recipe)
    assert f"its model is that of {last}" in said
    assert not commands
    folder = models.model_folder(Workspace(storage_root=str(tmp_path)), recipe)
    assert folder == tmp_path / "models" / "vlm" / recipe / last
