"""A small workspace with simulated recordings, and a way to run jobs on it as a user would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_project.build import build_definitions
from dagster_project.resources import Workspace

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

RunJob = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as found:
        yield found


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(storage_root=str(tmp_path / "home"))


@pytest.fixture
def run_job(instance: dg.DagsterInstance, workspace: Workspace) -> RunJob:
    defs = build_definitions({"workspace": workspace})

    def run(
        job: str, partition: str | None = None, ops: Mapping[str, Any] | None = None
    ) -> dg.ExecuteInProcessResult:
        config = {"ops": {name: {"config": value} for name, value in (ops or {}).items()}}
        return defs.resolve_job_def(job).execute_in_process(
            instance=instance,
            partition_key=partition,
            run_config={**config, **QUIET},
            raise_on_error=False,
        )

    return run
