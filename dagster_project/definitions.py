"""The code location Dagster loads: ``dg dev``, or ``dagster dev -m dagster_project.definitions``."""

from __future__ import annotations

from dagster_project.build import build_definitions

defs = build_definitions()
