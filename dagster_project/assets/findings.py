"""Group ``findings``: detector boxes, rule findings, and the one table text is written from.

Definitions and thresholds are in ``detectors``; here they are only run, stored and reported.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import dagster as dg
import polars as pl
from pydantic import Field

from dagster_project import previews, provenance
from dagster_project.assets.factory import Grain
from dagster_project.corpora.batches import segment_batches
from dagster_project.detection import detector_for
from dagster_project.failures import translated
from dagster_project.launchpad import LaunchConfig
from dagster_project.materialisation import SEGMENT_HOURS, counts, write
from dagster_project.partitions import SHIPPED_DETECTOR
from dagster_project.resources import Workspace
from dagster_project.review.marks import MarkBook
from dagster_project.review.pages import write_review
from dagster_project.tables.store import TableStore
from detectors.artifacts.usable import usable_row
from detectors.merge import merge_shard, recorded_names
from detectors.rows import event_row, finding_row, judgement_row
from detectors.rules import rule_findings as apply_rules
from detectors.signal.spectra import spectral_features as measure_spectra
from detectors.types import Finding, RuleResult, SegmentBatch
from detectors.waveform.infer import Device, Precision

_FINDINGS = Grain("findings", ("polars", "parquet"))
_RULES_CODE = ("detectors/rules.py", "detectors/signal/spectra.py")
_MERGE_CODE = ("detectors/merge.py",)
_PAGE_COLUMNS = ["segment_id", "channel_schema", "mask", "recorded_s"]
NO_DETECTOR = "none"


class DetectorConfig(LaunchConfig):
    """Which detector looks at the segments."""

    weights: str = Field(
        SHIPPED_DETECTOR,
        description="Pinned detector recipe, 'shipped' or one trained by the asset waveform_detector."
        " Never 'latest': retraining must not make every shard stale. 'none' runs no detector; what it"
        " alone can see is then not judged.",
        pattern=r"^[a-z0-9_-]+$",
    )
    device: str = Field(
        "cpu",
        description="'cpu', or 'cuda' where onnxruntime's GPU build and a GPU are.",
        pattern="^(cpu|cuda)$",
    )
    precision: str = Field(
        "auto",
        description="'float32', 'int8', or 'auto': on a CPU what the card was calibrated with, else"
        " float32. The card says what each costs.",
        pattern="^(auto|float32|int8)$",
    )


@_FINDINGS.asset("waveform_events", code=("detectors/waveform",), deps=["segments"], kinds=["onnx"])
def waveform_events(
    context: dg.AssetExecutionContext, config: DetectorConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Run the pinned waveform detector over one shard."""
    store, shard = workspace.store(), context.partition_key
    rows: list[dict[str, Any]] = []
    n_read = n_unread = 0
    with translated():
        detector = (
            None
            if config.weights == NO_DETECTOR
            else detector_for(
                workspace,
                config.weights,
                cast(Device, config.device),
                cast(Precision, config.precision),
            )
        )
        weights_id = detector.weights_id if detector else ""
        for batch in _batches(store, shard):
            if detector is None or not batch.schema.is_referential:
                n_unread += len(batch)
                continue
            n_read += len(batch)
            rows.extend(event_row(e, weights_id) for e in detector.detect(batch))
    classes = counts(pl.Series("waveform", [r["waveform"] for r in rows], pl.String))
    return write(
        workspace,
        shard,
        {"waveform_events": rows},
        provenance={
            "detector": weights_id,
            "precision": detector.precision if detector else "",
            "code": provenance.code_version("detectors/waveform"),
            **provenance.inputs(store, ["segments"], shard),
        },
        hours=n_read * SEGMENT_HOURS,
        metadata={
            "detector": weights_id or NO_DETECTOR,
            "segments_not_read": n_unread,
            "boxes_by_class": dg.MetadataValue.json(classes),
            "preview": previews.rows(rows[:8]),
        },
    )


@_FINDINGS.asset("rule_findings", code=_RULES_CODE, deps=["segments", "spectral_features"])
def rule_findings(
    context: dg.AssetExecutionContext, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Apply the artifact, background and sleep rules to one shard."""
    store, shard = workspace.store(), context.partition_key
    with translated():
        found = RuleResult.joined(
            apply_rules(batch, measure_spectra(batch)) for batch in _batches(store, shard)
        )
    return write(
        workspace,
        shard,
        _finding_tables("rule_findings", "rule_judgements", found),
        provenance={
            "code": provenance.code_version(*_RULES_CODE),
            **provenance.inputs(store, ["segments"], shard),
        },
        metadata=_finding_metadata(found),
    )


@_FINDINGS.asset(
    "findings", code=_MERGE_CODE, deps=["segments", "rule_findings", "waveform_events"]
)
def findings(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
    """Merge rules and detector: mask by priority, prune what stands alone, group what belongs."""
    store, shard = workspace.store(), context.partition_key
    with translated():
        pages = store.read("segments", shard, _PAGE_COLUMNS).to_dicts()
        found = merge_shard(
            pages,
            store.read("rule_findings", shard).to_dicts(),
            store.read("rule_judgements", shard).to_dicts(),
            store.read("waveform_events", shard).to_dicts(),
            detector=_detector_of(store, shard),
            batches=_batches(store, shard),
        )
    result = write(
        workspace,
        shard,
        {
            **_finding_tables("findings", "judgements", found),
            "usable_seconds": usable_rows(pages, found.findings),
        },
        provenance={
            "code": provenance.code_version(*_MERGE_CODE),
            **provenance.inputs(
                store, ["segments", "rule_findings", "rule_judgements", "waveform_events"], shard
            ),
        },
        metadata=_finding_metadata(found),
    )
    with translated():
        review = _review_metadata(workspace, shard)
    return dg.MaterializeResult(
        metadata={**(result.metadata or {}), **review}, data_version=result.data_version
    )


def _detector_of(store: TableStore, shard: str) -> str:
    """Return the weights that read the shard; a shard without any box was read too."""
    manifest = store.manifest("waveform_events", shard)
    return str(manifest.provenance["detector"]) if manifest else ""


def _review_metadata(workspace: Workspace, shard: str) -> dict[str, Any]:
    """Write the review page of a sample of the shard and say where it lies."""
    if "://" in workspace.home():
        return {"review_page": "needs a storage root on a local disk"}
    store, folder = workspace.store(), workspace.folder("reviews", shard)
    n_marks = MarkBook(store, shard, folder).forget_withdrawn()
    page = write_review(store, shard, folder)
    if page is None:
        return {"review_page": "no findings to review", "review_marks": n_marks}
    return {
        "review_page": dg.MetadataValue.path(str(page.resolve())),
        "review_command": f"neurogloss review {shard}",
        "review_marks": n_marks,
    }


def _batches(store: TableStore, shard: str) -> Iterator[SegmentBatch]:
    for frame in store.iter_frames("segments", shard):
        yield from segment_batches(frame)


def _finding_tables(findings: str, judgements: str, found: RuleResult) -> dict[str, Any]:
    return {
        findings: [finding_row(f) for f in found.findings],
        judgements: [judgement_row(j) for j in found.judgements],
    }


def usable_rows(
    pages: Sequence[Mapping[str, Any]], found: Iterable[Finding]
) -> list[dict[str, Any]]:
    """Return the rows of table ``usable_seconds``, a row per page in the given order."""
    by_page: dict[str, list[Finding]] = {page["segment_id"]: [] for page in pages}
    for finding in found:
        by_page[finding.segment_id].append(finding)
    return [
        usable_row(
            page["segment_id"],
            recorded_names(page),
            page["recorded_s"],
            by_page[page["segment_id"]],
        )
        for page in pages
    ]


def _finding_metadata(found: RuleResult) -> dict[str, Any]:
    kept = pl.Series("kind", [f.kind for f in found.findings if not f.masked_by], pl.String)
    masked = pl.Series(
        "reason", [f.mask_reason for f in found.findings if f.mask_reason], pl.String
    )
    unjudged = pl.Series(
        "kind", [j.kind for j in found.judgements if j.verdict == "not_judged"], pl.String
    )
    return {
        "findings_by_kind": dg.MetadataValue.json(counts(kept)),
        "masked_by_reason": dg.MetadataValue.json(counts(masked)),
        "not_judged_by_kind": dg.MetadataValue.json(counts(unjudged)),
        "preview": previews.rows([finding_row(f) for f in found.findings[:8]]),
    }


ASSETS = (waveform_events, rule_findings, findings)
