"""Definitions load without the heavy packages, and rooms below the rim without Dagster."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "mne",
    "ultralytics",
    "transformers",
    "onnxruntime",
    "sklearn",
    "matplotlib.pyplot",
)


def loaded_after(statement: str, names: tuple[str, ...]) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(n for n in {names!r} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_definitions_import_nothing_heavy() -> None:
    assert loaded_after("import dagster_project.definitions", HEAVY) == set()


@pytest.mark.parametrize(
    "module",
    ["dagster_project.corpora.registry", "dagster_project.tables.store", "prompts.releases.build",
     "training.recipes", "benchmark.tasks.task", "detectors.rules"],
)  # fmt: skip
def test_rooms_below_the_rim_run_without_dagster(module: str) -> None:
    assert loaded_after(f"import {module}", ("dagster",)) == set()
