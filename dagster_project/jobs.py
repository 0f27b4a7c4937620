"""Jobs: the few runs people start, each a saved selection over one grain.

A backfill of a partitioned job launches one run per partition, so one shard goes through the whole
chain in one run. Costly jobs are started by people, never by a schedule or sensor.
"""

from __future__ import annotations

from functools import cache

import dagster as dg

from dagster_project import partitions
from dagster_project.selections import SELECTIONS

REBUILD_CORPUS = "rebuild_corpus"
REBUILD_SHARD = "rebuild_shard"
BUILD_DATASET = "build_dataset"


@cache
def jobs() -> tuple[dg.UnresolvedAssetJobDefinition, ...]:
    """Return the jobs."""
    grains: dict[str, dg.PartitionsDefinition[str] | None] = {
        "simulate": partitions.simulations(),
        REBUILD_CORPUS: partitions.shards(),
        REBUILD_SHARD: partitions.shards(),
        "write_texts": partitions.shards(),
        BUILD_DATASET: partitions.release_partitions(),
        "train": partitions.model_partitions(),
        "train_detector": partitions.detector_partitions(),
        "make_benchmark": partitions.tasks(),
        "evaluate": partitions.task_by_model(),
        "report": None,
    }
    return tuple(
        dg.define_asset_job(
            name,
            selection=dg.AssetSelection.from_string(SELECTIONS[name].selection),
            description=f"Materialises {SELECTIONS[name].answers}.",
            partitions_def=grain,
        )
        for name, grain in grains.items()
    )


def job(name: str) -> dg.UnresolvedAssetJobDefinition:
    """Return one job by name."""
    return next(j for j in jobs() if j.name == name)
