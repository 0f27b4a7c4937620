"""Assembles the definitions: one function, with overrides so that a test or a tool can build a variant.

Nothing is computed here; assets, checks, jobs, schedules and sensors are declared in the modules
this one imports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from dagster_project import checks, schedules, sensors
from dagster_project.assets import (
    benchmark_report,
    benchmarks,
    corpora,
    counterfactuals,
    datasets,
    features,
    findings,
    general,
    leakage,
    models,
    teacher_texts,
    text,
)
from dagster_project.jobs import jobs
from dagster_project.launching.launcher import Launcher
from dagster_project.resources import Workspace

ASSET_MODULES = (
    corpora, leakage, features, findings, text, teacher_texts, counterfactuals, general, datasets, models,
    benchmarks, benchmark_report,
)  # fmt: skip


def build_definitions(resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Return the definitions of the code location.

    Parameters
    ----------
    resources
        Resources that replace the default ones of the same name.
    """
    assets = [asset for module in ASSET_MODULES for asset in module.ASSETS]
    return dg.Definitions(
        assets=dg.with_source_code_references(assets),
        asset_checks=list(checks.CHECKS),
        jobs=list(jobs()),
        schedules=[schedules.weekly_rebuild],
        sensors=list(sensors.SENSORS),
        resources={
            "workspace": Workspace(),
            "launcher": Launcher(),
            **(resources or {}),
        },
        # a step of a shard is short; a process per step would cost more than the work
        executor=dg.in_process_executor,
    )
