"""What the model assets start: which stage of which recipe, on which release, from which model.

The interpreter of the launch settings is a script that notes what it is asked and fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_project.assets import models
from dagster_project.launching.launcher import Launcher
from dagster_project.resources import Workspace

CarryOut = Callable[..., tuple[dg.ExecuteInProcessResult, list[list[str]]]]


@pytest.fixture
def carry_out(tmp_path: Path, instance: dg.DagsterInstance) -> CarryOut:
    """Materialise assets with a trainer that fails; return the outcome and the commands given."""
    notes = tmp_path / "notes"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >> {notes}\nexit 3\n')
    python.chmod(0o755)
    settings = tmp_path / "launcher.yaml"
    settings.write_text(f"kind: subprocess\npython: {python}\n")

    def run(
        recipe: str, selection: Sequence[str], **config: Any
    ) -> tuple[dg.ExecuteInProcessResult, list[list[str]]]:
        outcome = dg.materialize(
            [models.aligned_model, models.tuned_model],
            selection=selection,
            partition_key=recipe,
            instance=instance,
            resources={
                "workspace": Workspace(storage_root=str(tmp_path / "home")),
                "launcher": Launcher(settings_file=str(settings)),
            },
            run_config={
                "ops": {asset: {"config": config} for asset in selection},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )
        asked = notes.read_text().splitlines() if notes.exists() else []
        return outcome, [line.split() for line in asked]

    return run


def failure_of(outcome: dg.ExecuteInProcessResult) -> str:
    """Return what the one step that failed said."""
    (failed,) = outcome.filter_events(lambda e: e.is_step_failure)
    said = failed.step_failure_data.user_failure_data
    assert said
    return str(said.description)


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
    carry_out: CarryOut,
    tmp_path: Path,
    asset: str,
    recipe: str,
    stage: str,
    release: str,
    base: str,
) -> None:
    outcome, ((*words,),) = carry_out(recipe, [asset], max_steps=7)
    home = tmp_path / "home"
    expected = ["-m", "training", stage, "--recipe", recipe]
    expected += ["--dataset", str(home / "releases" / release)]
    expected += ["--out", str(home / "models" / "vlm" / recipe / stage)]
    expected += ["--base", str(home / "models" / "vlm" / recipe / base)] if base else []
    assert words == [*expected, "--set", f"{stage}.max_steps=7"]
    assert "the trainer ended with status 3" in failure_of(outcome)


@pytest.mark.parametrize(
    ("asset", "recipe", "last"),
    [
        ("aligned_model", "cerebragloss_3b_no_stage1", "stage2"),
        ("tuned_model", "cerebragloss_3b_no_stage2", "stage1"),
    ],
)
def test_stage_that_an_ablation_leaves_out_is_passed_over_and_said(
    carry_out: CarryOut, tmp_path: Path, asset: str, recipe: str, last: str
) -> None:
    outcome, commands = carry_out(recipe, [asset])
    assert outcome.success
    assert not commands
    (made,) = outcome.asset_materializations_for_node(asset)
    assert f"Its model is that of {last}" in str(made.metadata["left out"].value)
    folder = models.model_folder(Workspace(storage_root=str(tmp_path)), recipe)
    assert folder == tmp_path / "models" / "vlm" / recipe / last


def test_job_of_both_stages_reaches_the_one_an_ablation_keeps(carry_out: CarryOut) -> None:
    outcome, (words,) = carry_out("cerebragloss_3b_no_stage1", ["aligned_model", "tuned_model"])
    assert words[2] == "stage2"
    assert "the trainer ended with status 3" in failure_of(outcome)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"learning_rate": 5.0}, "learning_rate=5.0: input should be less than or equal to 0.1"),
        ({"max_steps": -1}, "max_steps=-1: input should be greater than or equal to 0"),
    ],
)
def test_number_out_of_bounds_is_refused_in_a_sentence_and_not_retried(
    carry_out: CarryOut, config: dict[str, Any], sentence: str
) -> None:
    outcome, commands = carry_out("cerebragloss_3b", ["aligned_model"], **config)
    assert failure_of(outcome).startswith(f"{sentence}; set it in the launchpad (")
    assert not commands
    assert not outcome.filter_events(lambda e: e.is_step_up_for_retry)
