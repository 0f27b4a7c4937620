"""Group ``corpora``: the simulated corpus, the inventory of recordings, and the segments.

How files are read, labelled, split and harmonised is in ``dagster_project.corpora``; here it is
only started, stored and reported.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import Field

from dagster_project import estimates, previews, provenance
from dagster_project.assets.factory import Grain
from dagster_project.corpora.inventory import inventory
from dagster_project.corpora.registry import corpora
from dagster_project.corpora.segments import process_shard
from dagster_project.corpora.spec import CorpusSpec
from dagster_project.failures import PermanentFailure, translated
from dagster_project.launchpad import LaunchConfig
from dagster_project.materialisation import SEGMENT_HOURS, counts, write
from dagster_project.partitions import simulations, simulations_to_shards
from dagster_project.resources import Workspace, corpus_of

WEEKLY = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(days=14), warn_window=timedelta(days=8)
)
"""Segments are rebuilt weekly by schedule; a fortnight without one is a broken promise."""

# entries of the catalogue are not in it: one corpus' entry must not make the others stale. The sensor
# sees an entry change, and provenance names it.
_READING = ("dagster_project/corpora/readers", "dagster_project/corpora/labels")
_RECORDINGS_CODE = ("dagster_project/corpora/inventory.py", *_READING)
_SEGMENTS_CODE = ("dagster_project/corpora/segments.py", *_READING)

_CORPORA = Grain("corpora", ("polars", "parquet"))
_SIMULATION = Grain("corpora", ("python", "file"), simulations)
_OVERVIEW = Grain("corpora", ("python",), lambda: None)


class SimulationConfig(LaunchConfig):
    """How much to simulate."""

    n_subjects: int = Field(
        8, ge=4, le=500, description="Simulated people, 4 to 500; 4 fill all three splits."
    )
    minutes_per_recording: float = Field(
        1.0, ge=0.5, le=60.0, description="Length of each recording in minutes, 0.5 to 60."
    )
    seed: int = Field(20260, ge=0, description="Seed; the same seed writes the same bytes.")


class RecordingsConfig(LaunchConfig):
    """What the inventory takes in."""

    max_recordings: int = Field(
        0, ge=0, description="Most recordings taken per shard, in sorted order; 0 takes all."
    )
    seed: int = Field(42, ge=0, description="Seed of the subject-disjoint split.")


class SegmentsConfig(LaunchConfig):
    """How the work is spread."""

    n_workers: int = Field(
        1, ge=1, le=64, description="Worker processes, 1 to 64; each runs one thread."
    )


@_OVERVIEW.asset(
    "rebuild_estimate",
    code=("dagster_project/estimates.py",),
    description="What rebuilding every shard found would take: hours, gigabytes and teacher money.",
)
def rebuild_estimate(workspace: Workspace) -> dg.MaterializeResult[None]:
    """Estimate disk and money from file sizes alone, before anything is launched."""
    with translated():
        rows = estimates.estimate_shards(workspace)
    return dg.MaterializeResult(
        metadata={
            "estimate": dg.MetadataValue.md(estimates.as_markdown(rows)),
            "disk_gb": round(sum(r.disk_gb for r in rows), 3),
            "teacher_usd": round(sum(r.teacher_usd for r in rows), 2),
            "free_gb": round(estimates.free_gb(workspace), 1),
        }
    )


@_SIMULATION.asset(
    "simulated_corpus",
    code=("dagster_project/corpora/simulated",),
    description="EDF files written by the physiological simulator, with every planted event in a "
    "sidecar. Simulated, not recorded from a person.",
)
def simulated_corpus(
    context: dg.AssetExecutionContext, config: SimulationConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Write the simulated corpus under the storage root."""
    from dagster_project.corpora.simulated.config import SimulatorConfig
    from dagster_project.corpora.simulated.writer import write_corpus

    spec = corpora()[context.partition_key]
    root = workspace.folder("corpora", spec.folders[0])
    with translated():
        files = write_corpus(
            root,
            SimulatorConfig(
                n_subjects=config.n_subjects,
                minutes_per_recording=config.minutes_per_recording,
                seed=config.seed,
            ),
        )
    return dg.MaterializeResult(
        metadata={
            "files": len(files),
            "bytes": sum(f.stat().st_size for f in files),
            "is_simulated": True,
            "path": dg.MetadataValue.path(str(root)),
        }
    )


@_CORPORA.asset(
    "recordings",
    code=_RECORDINGS_CODE,
    deps=[dg.AssetDep("simulated_corpus", partition_mapping=simulations_to_shards())],
)
def recordings(
    context: dg.AssetExecutionContext, config: RecordingsConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Take inventory of one shard: every file found, accepted or set aside with a cause."""
    spec = corpus_of(context.partition_key)
    with translated():
        found = inventory(
            spec,
            _present(workspace, spec),
            context.partition_key,
            salt=workspace.salt(),
            seed=config.seed,
            max_recordings=config.max_recordings or None,
        )
    accepted = [r for r in found.recordings if r["status"] == "accepted"]
    causes = _causes([row["cause"] for row in found.rejects])
    if causes:
        context.log.warning(f"{len(found.rejects)} files set aside: {causes}")
    return write(
        workspace,
        context.partition_key,
        {"recordings": found.recordings, "recording_rejects": found.rejects},
        provenance={
            "corpus": spec.key,
            "entry": spec.digest,
            "licence": spec.licence.id,
            "seed": config.seed,
            "max_recordings": config.max_recordings,
            "code": provenance.code_version(*_RECORDINGS_CODE),
        },
        hours=sum(r["duration_s"] for r in accepted) / 3600,
        metadata={
            "accepted": len(accepted),
            "left_unread_by_the_cap": found.n_skipped,
            "subjects": len({r["subject_id"] for r in accepted}),
            "rejects_by_cause": dg.MetadataValue.json(causes),
            "is_simulated": spec.is_simulated,
            "preview": previews.rows(
                [{k: v for k, v in r.items() if k not in {"path", "labels"}} for r in accepted[:5]]
            ),
        },
    )


@_CORPORA.asset(
    "segments",
    code=_SEGMENTS_CODE,
    deps=["recordings"],
    freshness=WEEKLY,
    pool="edf_read",
)
def segments(
    context: dg.AssetExecutionContext, config: SegmentsConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Harmonise the accepted recordings of one shard and cut them into 10-second segments."""
    spec, store = corpus_of(context.partition_key), workspace.store()
    shard = context.partition_key
    with translated():
        estimates.assert_disk_suffices(workspace, shard)
        rows = store.read("recordings", shard).to_dicts()
        cut = process_shard(spec, _present(workspace, spec), rows, n_workers=config.n_workers)
    causes = _causes(cut.rejects["cause"].to_pylist())
    if causes:
        context.log.warning(f"{cut.rejects.num_rows} stretches set aside: {causes}")
    frame = cut.segments
    return write(
        workspace,
        shard,
        {"segments": frame, "segment_rejects": cut.rejects},
        provenance={
            "corpus": spec.key,
            "entry": spec.digest,
            "code": provenance.code_version(*_SEGMENTS_CODE),
            **provenance.inputs(store, ["recordings"], shard),
        },
        hours=frame.num_rows * SEGMENT_HOURS,
        metadata={
            "rejects_by_cause": dg.MetadataValue.json(causes),
            "is_simulated": spec.is_simulated,
            "preview": previews.page_of_first(frame, spec.title),
        },
    )


def _present(workspace: Workspace, spec: CorpusSpec) -> Path:
    root = workspace.root_of(spec)
    if root is None:
        raise PermanentFailure(
            f"corpus {spec.key!r} is not present: none of the folders {', '.join(spec.folders)} "
            f"lies under {', '.join(str(r) for r in workspace.corpora_roots())}; set NEUROGLOSS_DATA "
            + ("or materialise 'simulated_corpus' first" if spec.is_simulated else "to its parent")
        )
    return root


def _causes(causes: Sequence[str]) -> dict[str, int]:
    return counts(pl.Series("cause", causes, pl.String))


ASSETS = (rebuild_estimate, simulated_corpus, recordings, segments)
