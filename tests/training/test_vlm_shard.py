"""A model split over two processes computes what the whole one computes, in bf16 too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.training.launching import PROJECT
from tests.training.shard_program import CASES

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def outcomes(release: Path) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "tests.training.shard_program", str(release)]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=290,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "returned a view" not in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["name"]: line for line in lines}


@pytest.mark.parametrize("name", CASES)
def test_split_model_computes_what_the_whole_one_does(
    outcomes: dict[str, dict[str, Any]], name: str
) -> None:
    found = outcomes[name]
    assert found["loss"] == pytest.approx(found["expected_loss"], rel=1e-6)
    assert found["has_same_gradients"]
    assert found["gradient_error"] < 1e-6
    assert found["share_held"] == pytest.approx(0.5, abs=0.01)
    is_all_trained = name == "everything"
    assert found["types"] == (
        ["torch.float32"] if is_all_trained else ["torch.bfloat16", "torch.float32"]
    )
