"""The trainer started by Dagster through Pipes; and its line to Dagster where nobody listens.

Without postponed annotations, which Dagster cannot read.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from training.pipes import pipes_session

PROJECT = Path(__file__).resolve().parents[2]


def test_line_is_silent_where_dagster_did_not_start_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DAGSTER_PIPES_CONTEXT", raising=False)
    with pipes_session() as session:
        assert not session.is_active
        session.log("nobody hears")
        session.materialize({"steps": 1}, "0")


@pytest.mark.heavy
def test_dagster_hears_steps_and_gets_the_materialisation(
    arguments: list[str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "training", *arguments]

    @dg.asset
    def model(context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient) -> Any:
        env = os.environ | {"PYTHONPATH": str(PROJECT)}
        return pipes.run(context=context, command=command, env=env).get_materialize_result()

    with dg.DagsterInstance.ephemeral() as instance:
        client = dg.PipesSubprocessClient()
        outcome = dg.materialize([model], resources={"pipes": client}, instance=instance)
        assert outcome.success
        (made,) = outcome.asset_materializations_for_node("model")
        assert made.metadata["steps"].value == 6
        assert str(made.metadata["loss_curve"].value).startswith("![loss](data:image/png;base64,")
        result = json.loads((tmp_path / "out" / "result.json").read_text())
        version = made.tags and made.tags.get("dagster/data_version")
        assert version == result["model_fingerprint"][:16]
        logs = [r.user_message for r in instance.all_logs(outcome.run_id)]
    assert any(text.startswith("step 6/6 loss") for text in logs)
    assert any("| merger" in text for text in logs)
