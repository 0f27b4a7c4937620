"""The code location Dagster loads: ``dg dev``, or ``dagster dev -m dagster_project.definitions``.

Backfill policies, partitioned checks and code references are beta in Dagster 1.13; they are used
knowingly, so their notices are not repeated at every load of the location.
"""

from __future__ import annotations

import warnings

import dagster as dg

with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)
    warnings.simplefilter("ignore", dg.PreviewWarning)
    from dagster_project.build import build_definitions

    defs = build_definitions()
