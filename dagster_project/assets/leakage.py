"""Group ``corpora``: fingerprints of every shard, and the report of what would leak between them.

How a signal is recognised and what counts as a leak is in ``dagster_project.corpora``; here it is
only started, stored and reported.
"""

from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from dagster_project import previews, provenance
from dagster_project.assets.factory import Grain
from dagster_project.corpora.batches import BATCH_COLUMNS, segment_batches
from dagster_project.corpora.fingerprints import fingerprints as take_fingerprints
from dagster_project.corpora.leakage import leakage, windows
from dagster_project.corpora.registry import corpora
from dagster_project.failures import PermanentFailure, translated
from dagster_project.materialisation import SEGMENT_HOURS, counts, write
from dagster_project.resources import Workspace

_SHARD = Grain("corpora", ("polars", "parquet"))
_OVERVIEW = Grain("corpora", ("polars", "parquet"), lambda: None)
_FINGERPRINT_CODE = ("dagster_project/corpora/fingerprints.py",)
_LEAKAGE_CODE = ("dagster_project/corpora/leakage.py", *_FINGERPRINT_CODE)
EVERYWHERE = "all"
"""Partition folder of tables that are about all shards at once."""
MAX_SHOWN = 30


@_SHARD.asset("fingerprints", code=_FINGERPRINT_CODE, deps=["segments"])
def fingerprints(
    context: dg.AssetExecutionContext, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Fingerprint one shard's segments, so that a signal is found again under any name."""
    store, shard = workspace.store(), context.partition_key
    rows: list[dict[str, Any]] = []
    n_segments = 0
    with translated():
        for frame in store.iter_frames(
            "segments", shard, [*BATCH_COLUMNS, "recording_id", "start_s"]
        ):
            rows += _fingerprint_rows(frame)
            n_segments += frame.height
    return write(
        workspace,
        shard,
        {"fingerprints": rows},
        provenance={
            "code": provenance.code_version(*_FINGERPRINT_CODE),
            **provenance.inputs(store, ["segments"], shard),
        },
        hours=n_segments * SEGMENT_HOURS,
        metadata={
            "landmarks_per_segment": round(len(rows) / max(n_segments, 1), 2),
            "preview": previews.rows(rows[:5]),
        },
    )


def _fingerprint_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    at = 0
    for batch in segment_batches(frame):
        found = take_fingerprints(batch)
        here = frame[at : at + len(batch.segment_ids)]
        owners = here["recording_id"].gather(found.segment).to_list()
        times = here["start_s"].gather(found.segment).to_numpy() + found.time_s
        codes = found.bits.view(np.int64).tolist()
        rows += [
            {"recording_id": owner, "time_s": time_s, "bits": bits}
            for owner, time_s, bits in zip(owners, times.tolist(), codes, strict=True)
        ]
        at += len(batch.segment_ids)
    return rows


@_OVERVIEW.asset(
    "corpora_report",
    code=_LEAKAGE_CODE,
    deps=["recordings", "segments", "fingerprints"],
    description=(
        "What would leak between everything that was materialised: people shared by corpora, one "
        "signal under two names, exposed test people; and windows beside the published counts."
    ),
)
def corpora_report(workspace: Workspace) -> dg.MaterializeResult[None]:
    """Look at all shards at once for what no check of one shard can see."""
    store = workspace.store()
    shards = store.partitions("recordings")
    if not shards:
        raise PermanentFailure("no recordings yet; materialise 'recordings' of a shard first")
    with translated():
        recordings = store.read_many("recordings", shards)
        landmarks = store.read_many("fingerprints", store.partitions("fingerprints"))
        found = leakage(recordings, landmarks)
        table = windows(recordings, _n_segments(workspace), _published(), list(corpora()))
    leaks = pl.Series("kind", [row["kind"] for row in found], pl.String)
    return write(
        workspace,
        EVERYWHERE,
        {"leakage": found, "corpus_windows": table},
        provenance={
            "code": provenance.code_version(*_LEAKAGE_CODE),
            "shards": len(shards),
            "shards_fingerprinted": len(store.partitions("fingerprints")),
        },
        hours=sum(row["hours"] for row in table),
        metadata={
            "leaks": dg.MetadataValue.json(counts(leaks)),
            "crossing_splits": sum(row["crosses_splits"] for row in found),
            "leakage": previews.rows(found[:MAX_SHOWN]),
            "windows": previews.rows([row for row in table if row["n_recordings"]]),
        },
    )


def _n_segments(workspace: Workspace) -> dict[tuple[str, str], int]:
    store, found = workspace.store(), dict[tuple[str, str], int]()
    for shard in store.partitions("segments"):
        frame = store.read("segments", shard, ["corpus", "split"])
        for corpus, split, n in frame.group_by("corpus", "split").len().iter_rows():
            found[corpus, split] = found.get((corpus, split), 0) + n
    return found


def _published() -> dict[str, tuple[int, int, str]]:
    return {
        key: (
            spec.published_windows.train,
            spec.published_windows.test,
            spec.published_windows.remark,
        )
        for key, spec in corpora().items()
        if spec.published_windows
    }


ASSETS = (fingerprints, corpora_report)
