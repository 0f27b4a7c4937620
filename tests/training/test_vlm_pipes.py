"""The trainer started by Dagster through Pipes; and its line to Dagster where nobody listens.

Without postponed annotations, which Dagster cannot read.
"""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_project.launching.launcher import Launcher
from training.pipes import pipes_session


def test_line_is_silent_where_dagster_did_not_start_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DAGSTER_PIPES_CONTEXT", raising=False)
    with pipes_session() as session:
        assert not session.is_active
        session.log("nobody hears")
        session.materialize({"steps": 1}, "0")


def test_only_the_first_of_several_processes_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_PIPES_CONTEXT", "not even looked at")
    monkeypatch.setenv("RANK", "1")
    with pipes_session() as session:
        assert not session.is_active


@pytest.mark.heavy
def test_dagster_hears_steps_and_gets_the_materialisation(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEUROGLOSS_LAUNCHER", raising=False)

    @dg.asset
    def model(context: dg.AssetExecutionContext, launcher: Launcher) -> Any:
        return launcher.run(context, "training", arguments, tmp_path)

    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"launcher": Launcher()}
        outcome = dg.materialize([model], resources=resources, instance=instance)
        assert outcome.success
        (made,) = outcome.asset_materializations_for_node("model")
        assert made.metadata["steps"].value == 6
        assert str(made.metadata["loss_curve"].value).startswith("![loss](data:image/png;base64,")
        result = json.loads((tmp_path / "out" / "result.json").read_text())
        version = made.tags and made.tags.get("dagster/data_version")
        assert version == result["model_fingerprint"][:16]
        logs = [r.user_message for r in instance.all_logs(outcome.run_id)]
        seen = instance.fetch_observations(dg.AssetKey("model"), limit=99).records
    assert any(text.startswith("step 6/6 loss") for text in logs)
    assert any("| merger" in text for text in logs)
    # the numbers came as the run went: the first step at once, the last at its end
    numbers = [r.asset_observation.metadata for r in seen if r.asset_observation]
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    losses = {e["step"]: e["loss"] for e in map(json.loads, lines)}
    found = {n["step"].value: n["loss"].value for n in numbers}
    assert {1, 6} <= found.keys()
    assert found == {step: losses[step] for step in found}
    wanted = {"lr", "tokens_per_s", "memory_mb", "data_wait_share", "tflops_per_s"}
    assert all(wanted <= n.keys() for n in numbers)
