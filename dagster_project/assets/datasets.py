"""Group ``datasets``: detector annotations and the instruction dataset of a release.

Which rows a release draws and how its files look is in ``prompts``; here shards are read and the
result is shown.
"""

import hashlib
from datetime import timedelta
from typing import Any

import dagster as dg
import polars as pl

from dagster_project import partitions, previews, provenance
from dagster_project.assets.factory import CHEAP, OWNERS, Grain
from dagster_project.failures import PermanentFailure, translated
from dagster_project.materialisation import counts, write
from dagster_project.releasing import load_shard, present_shards_of
from dagster_project.resources import Workspace
from detectors.types import ExpertEvent, Measure
from detectors.waveform.boxes import waveform_boxes
from prompts.release import build_release, releases

_DATASETS = Grain("datasets", ("parquet", "huggingface"), partitions.release_partitions)
_TEXTS = ("captions", "questions", "narratives", "dialogues")
_RELEASE_CODE = (
    "prompts/release.py", "detectors/page.py", "dagster_project/corpora/crosswalk.py",
)  # fmt: skip
MONTHLY = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(days=62), warn_window=timedelta(days=35)
)
"""A release is rebuilt when its shards are; two months without is a broken promise."""

general_instructions = dg.AssetSpec(
    "general_instructions",
    group_name="datasets",
    kinds={"huggingface"},
    owners=list(OWNERS),
    tags=CHEAP,
    description="General picture-and-text pairs in LLaVA's shape (LLaVA-558k, LLaVA-Instruct-150k, "
    "CoSyn), kept outside this graph. Research software, not a medical device.",
)


@_DATASETS.asset(
    "waveform_annotations",
    code=("detectors/waveform/boxes.py",),
    deps=[dg.AssetDep("segments", partition_mapping=partitions.shards_to_releases())],
)
def waveform_annotations(
    context: dg.AssetExecutionContext, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Box every expert or planted event of a release's segments, channel by channel."""
    store, release = workspace.store(), context.partition_key
    found = present_shards_of(store, release)
    columns = ["segment_id", "corpus", "subject_id", "split", "channel_schema", "events"]
    rows: list[dict[str, Any]] = []
    with translated():
        for shard in found.present:
            for frame in store.iter_frames("segments", shard, columns):
                for segment in frame.iter_rows(named=True):
                    rows.extend(_boxes_of(segment))
    classes = counts(pl.Series("waveform", [r["waveform"] for r in rows], pl.String))
    return write(
        workspace,
        release,
        {"waveform_annotations": rows},
        provenance={
            "release": release,
            "code": provenance.code_version("detectors/waveform/boxes.py"),
            **{f"segments:{s}": _version(workspace, "segments", s) for s in found.present},
        },
        metadata={
            "boxes_by_class": dg.MetadataValue.json(classes),
            "shards": len(found.present),
            "absent_shards": len(found.absent),
            "preview": previews.rows(rows[:6]),
        },
    )


def _boxes_of(segment: dict[str, Any]) -> list[dict[str, Any]]:
    if segment["channel_schema"] != "referential19":
        return []
    rows = []
    for event in segment["events"]:
        expert = ExpertEvent(
            event["kind"], tuple(event["channels"]), event["t0_s"], event["t1_s"], event["source"],
            tuple(Measure(m["name"], m["value"], m["unit"]) for m in event["measures"]),
        )  # fmt: skip
        for waveform, channel, t0_s, t1_s in waveform_boxes(expert):
            key = f"{segment['segment_id']}|{waveform}|{channel}|{t0_s:.4f}|{t1_s:.4f}"
            rows.append(
                {
                    "annotation_id": "a-" + hashlib.sha256(key.encode()).hexdigest()[:16],
                    **{k: segment[k] for k in ("segment_id", "corpus", "subject_id", "split")},
                    "waveform": waveform,
                    "channel": channel,
                    "t0_s": t0_s,
                    "t1_s": t1_s,
                    "source": event["source"],
                }
            )
    return rows


@_DATASETS.asset(
    "instruction_dataset",
    code=_RELEASE_CODE,
    deps=[
        "general_instructions",
        *(
            dg.AssetDep(name, partition_mapping=partitions.shards_to_releases())
            for name in ("segments", *_TEXTS)
        ),
    ],
    description="A release: conversations about pages, train, validation and test disjoint by "
    "subject, as Parquet that `datasets` reads, with its card.",
    freshness=MONTHLY,
)
def instruction_dataset(
    context: dg.AssetExecutionContext, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Build one release from the shards it names; those not there are skipped and counted."""
    store, name = workspace.store(), context.partition_key
    if name not in releases():
        raise PermanentFailure(f"release {name!r} has no recipe; known: {', '.join(releases())}")
    folder = workspace.folder("releases", name)
    with translated():
        report = build_release(releases()[name], lambda shard: load_shard(store, shard), folder)
    card = (folder / "README.md").read_text(encoding="utf-8")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(report.content_hash),
        metadata={
            "dagster/partition_row_count": report.n_rows,
            "counts": dg.MetadataValue.json({k: dict(v) for k, v in report.counts.items()}),
            "by_corpus": dg.MetadataValue.json(dict(report.by_corpus)),
            "shortfalls": dg.MetadataValue.json({k: list(v) for k, v in report.shortfalls.items()}),
            "absent_shards": len(report.absent_shards),
            "simulated_share": round(report.n_simulated / max(report.n_rows, 1), 3),
            "offline_teacher_share": round(report.n_offline_teacher / max(report.n_rows, 1), 3),
            "gated_rows": report.n_gated,
            "cost_usd": report.cost_usd,
            "bytes": sum(f.n_bytes for f in report.files),
            "path": dg.MetadataValue.path(str(folder)),
            "card": dg.MetadataValue.md(card.partition("\n---\n")[2] or card),
            "sample": previews.sample_of(folder),
        },
    )


def _version(workspace: Workspace, table: str, shard: str) -> str:
    manifest = workspace.store().manifest(table, shard)
    return manifest.data_version if manifest else ""


ASSETS: tuple[Any, ...] = (general_instructions, waveform_annotations, instruction_dataset)
