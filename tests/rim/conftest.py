"""A small workspace with simulated recordings, and ways to run jobs and assets as a user would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_project.build import ASSET_MODULES, build_definitions
from dagster_project.launching.launcher import Launcher
from dagster_project.resources import Workspace

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

RunJob = Callable[..., dg.ExecuteInProcessResult]
Materialise = Callable[..., dg.ExecuteInProcessResult]


def materialise_assets(
    workspace: Workspace,
    assets: Sequence[str],
    partition: str | None = None,
    ops: Mapping[str, Any] | None = None,
    instance: dg.DagsterInstance | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialise some assets alone, with their checks; a failure is told by the result."""
    every = [a for m in ASSET_MODULES for a in m.ASSETS if isinstance(a, dg.AssetsDefinition)]
    return dg.materialize(
        every,
        selection=dg.AssetSelection.assets(*assets),
        partition_key=partition,
        instance=instance,
        resources={"workspace": workspace, "launcher": Launcher()},
        run_config={**QUIET, "ops": {name: {"config": c} for name, c in (ops or {}).items()}},
        raise_on_error=False,
    )


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


@pytest.fixture
def materialise(instance: dg.DagsterInstance, workspace: Workspace) -> Materialise:
    """:func:`materialise_assets` on this workspace, in one instance."""

    def run(
        assets: Sequence[str], partition: str | None = None, ops: Mapping[str, Any] | None = None
    ) -> dg.ExecuteInProcessResult:
        return materialise_assets(workspace, assets, partition, ops, instance)

    return run
