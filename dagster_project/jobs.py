"""Jobs: the few runs people start, each a saved selection over assets of one grain.

A backfill of a partitioned job launches one run per partition, so one shard goes through the whole
chain in one run. Costly jobs are started by people, never by a schedule or sensor.
"""

from __future__ import annotations

from functools import cache

import dagster as dg

from dagster_project.selections import SELECTIONS

REBUILD_CORPUS = "rebuild_corpus"
REBUILD_SHARD = "rebuild_shard"
BUILD_DATASET = "build_dataset"
NAMES = (
    "simulate", REBUILD_CORPUS, REBUILD_SHARD, "write_texts", BUILD_DATASET, "train",
    "train_detector", "make_benchmark", "evaluate", "report_corpora", "report",
)  # fmt: skip


_FIRST = {
    REBUILD_CORPUS: "simulate, for the simulated corpus",
    REBUILD_SHARD: "simulate, for the simulated corpus",
    "write_texts": REBUILD_CORPUS,
    BUILD_DATASET: REBUILD_SHARD,
    "train": BUILD_DATASET,
    "make_benchmark": REBUILD_SHARD,
    "evaluate": "make_benchmark and train",
    "report_corpora": REBUILD_CORPUS,
    "report": "evaluate",
}
"""What is run before a job."""


@cache
def jobs() -> tuple[dg.UnresolvedAssetJobDefinition, ...]:
    """Return the jobs."""
    return tuple(
        dg.define_asset_job(
            name,
            selection=dg.AssetSelection.from_string(SELECTIONS[name].selection),
            description=f"Materialises {SELECTIONS[name].answers}."
            + (f" Run first: {_FIRST[name]}." if name in _FIRST else ""),
        )
        for name in NAMES
    )


def job(name: str) -> dg.UnresolvedAssetJobDefinition:
    """Return one job by name."""
    return next(j for j in jobs() if j.name == name)
