"""Group ``datasets``: detector annotations and the instruction dataset of a release.

Which rows a release draws and how its files look is in ``prompts``; how events become boxes and
pages are planted is in ``corpora/annotations*.py``; here shards are read and the result is shown.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import dagster as dg
import polars as pl
import pyarrow as pa
from pydantic import Field

from dagster_project import partitions, previews, provenance
from dagster_project.assets.factory import Grain
from dagster_project.checks import MAX_SHOWN, schema_violations
from dagster_project.corpora.annotations.boxes import CAUSES, Tally
from dagster_project.corpora.annotations.gather import (
    AnnotatedShard,
    Marks,
    gather,
    planted_rows,
    signals_of,
)
from dagster_project.corpora.annotations.own import OwnEvents, is_own, own_events
from dagster_project.corpora.annotations.planted import (
    SIGNAL_COLUMNS,
    SIMULATED,
    Draw,
    draw,
    ongoing_draws,
    ongoing_pages,
    planted_pages,
    shares,
)
from dagster_project.corpora.annotations.planted import UNREADABLE as NOT_READABLE
from dagster_project.corpora.annotations.report import annotated_page, box_counts, split_faults
from dagster_project.corpora.registry import corpora
from dagster_project.corpora.simulated.planting import PlantingSettings
from dagster_project.failures import PermanentFailure, translated
from dagster_project.launchpad import LaunchConfig
from dagster_project.materialisation import counts, write
from dagster_project.releasing import load_shard, present_shards_of
from dagster_project.resources import Workspace, corpus_of
from dagster_project.tables.registry import table, tables_of_asset
from dagster_project.tables.store import TableStore, arrow_schema
from detectors.artifacts.readable import UNREADABLE
from prompts.releases.build import build_release, releases
from prompts.releases.ledger import Published, page_counts
from prompts.releases.recipe import TEXTS, Recipe

_DATASETS = Grain("datasets", ("parquet", "huggingface"), partitions.release_partitions)
_RELEASE_CODE = (
    "prompts/releases/build.py", "prompts/releases/draw.py", "prompts/releases/rows.py",
    "detectors/pages/page.py", "detectors/pages/topomap.py", "dagster_project/corpora/crosswalk.py",
    "detectors/waveform/weights/card.json", "prompts/templates/user_prompts.yaml",
)  # fmt: skip
_ANNOTATIONS_CODE = (
    "dagster_project/corpora/annotations/gather.py",
    "dagster_project/corpora/annotations/own.py",
)
_PLANTED_AT_ONCE = 64
"""Planted pages made before they are kept as Arrow: Python lists of their signals are large."""
MONTHLY = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(days=62), warn_window=timedelta(days=35)
)
"""A release is rebuilt when its shards are; two months without is a broken promise."""


class AnnotationsConfig(LaunchConfig):
    """How many pages are planted, and how large the events on them are."""

    n_planted: int = Field(
        600, ge=0, le=20_000,
        description="Most pages planted into segments of the release's open corpora; fewer where "
        "there is little clean background.",
    )  # fmt: skip
    n_ongoing: int = Field(
        200, ge=0, le=20_000,
        description="Pages planted into simulated background, each of another simulated person.",
    )  # fmt: skip
    seed: int = Field(0, ge=0, description="Seed of what is planted where.")
    smallest_k: float = Field(
        1.5, ge=0.5, le=20.0, description="Smallest event, as a multiple of its row's background."
    )
    largest_k: float = Field(12.0, ge=0.5, le=50.0, description="Largest event.")


@_DATASETS.asset(
    "waveform_annotations",
    code=_ANNOTATIONS_CODE,
    deps=[
        dg.AssetDep(name, partition_mapping=partitions.shards_to_releases())
        for name in ("recordings", "segments", "findings")
    ],
)
def waveform_annotations(
    context: dg.AssetExecutionContext, config: AnnotationsConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Box every labelled event of a release's segments, and plant more into open background."""
    store, release = workspace.store(), context.partition_key
    found = present_shards_of(store, release)
    key = f"{release}|{config.seed}"
    with translated():
        settings = PlantingSettings(sizes_k=(config.smallest_k, config.largest_k))
        own = _own_of(workspace, found.present)
        marks = gather(_annotated_shard(store, shard, own) for shard in found.present)
        for corpus, said in own.items():
            for (kind, cause), n in said.refused.items():
                marks.tally.add(corpus, kind, cause, n)
        draws = draw(marks.origins, config.n_planted, key)
        draws += ongoing_draws(config.n_ongoing, key, corpora()[SIMULATED].licence.id)
        planted, rows = _planted(store, draws, settings, key, marks.tally)
    rows = sorted([*marks.rows, *rows], key=_place_of)
    return write(
        workspace,
        release,
        {
            "waveform_annotations": rows,
            "annotator_boxes": sorted(marks.annotator_rows, key=_place_of),
            "planted_segments": planted,
        },
        provenance={
            "release": release,
            "code": provenance.code_version(*_ANNOTATIONS_CODE),
            "planting": str(config.model_dump()),
            **{
                f"{name}:{s}": _version(workspace, name, s)
                for name in ("segments", "findings")
                for s in found.present
            },
        },
        metadata={
            **_shown(marks, rows, own),
            "shards": len(found.present),
            "absent_shards": len(found.absent),
            "preview": _preview(store, found.present, planted, rows),
        },
    )


def _own_of(workspace: Workspace, shards: Sequence[str]) -> dict[str, OwnEvents]:
    """Read the tables of every corpus of a user's own, by corpus."""
    paths: dict[str, list[str]] = {}
    for shard in shards:
        if is_own(corpus_of(shard)):
            rows = _recordings(workspace.store(), shard)
            paths.setdefault(corpus_of(shard).key, []).extend(r["path"] for r in rows.values())
    found = {}
    for shard in shards:
        spec = corpus_of(shard)
        root = workspace.root_of(spec) if spec.key in paths else None
        if root is not None and spec.key not in found:
            found[spec.key] = own_events(spec, root, sorted(paths[spec.key]))
    return found


def _recordings(store: TableStore, shard: str) -> dict[str, dict[str, Any]]:
    columns = ["recording_id", "corpus", "path", "licence", "is_gated", "status"]
    rows = store.read("recordings", shard, columns).filter(pl.col("status") == "accepted")
    return {row["recording_id"]: row for row in rows.iter_rows(named=True)}


def _annotated_shard(store: TableStore, shard: str, own: Mapping[str, OwnEvents]) -> AnnotatedShard:
    spec = corpus_of(shard)
    said = store.read("findings", shard, ["segment_id", "kind"])
    reasons = store.read("judgements", shard, ["segment_id", "reason"])
    unread = reasons.filter(pl.col("reason").str.starts_with(UNREADABLE)).select(
        "segment_id", pl.lit(NOT_READABLE).alias("kind")
    )
    kinds = pl.concat([said, unread]).group_by("segment_id").agg(pl.col("kind").unique())
    return AnnotatedShard(
        shard,
        _recordings(store, shard),
        _frames_of(store, shard),
        {segment: frozenset(found) for segment, found in kinds.iter_rows()},
        is_own(spec),
        own[spec.key].events if spec.key in own else {},
    )


def _frames_of(store: TableStore, shard: str) -> Callable[[Sequence[str]], Iterator[pl.DataFrame]]:
    return lambda columns: store.iter_frames("segments", shard, columns)


def _planted(
    store: TableStore, draws: Sequence[Draw], settings: PlantingSettings, key: str, tally: Tally
) -> tuple[pa.Table, list[dict[str, Any]]]:
    """Plant shard by shard; return rows of ``planted_segments`` and their annotations."""
    schema = arrow_schema(table("planted_segments"))
    tables, rows = [schema.empty_table()], []
    drawn = [one for one in draws if not one.origin.shard]
    for at in range(0, len(drawn), _PLANTED_AT_ONCE):
        here = drawn[at : at + _PLANTED_AT_ONCE]
        made, events = ongoing_pages(here, settings, key)
        tables.append(made.select(schema.names).cast(schema))
        rows += planted_rows(here, events, made["mask"].to_pylist(), tally)
    for shard in sorted({one.origin.shard for one in draws} - {""}):
        mine = [one for one in draws if one.origin.shard == shard]
        wanted = {one.origin.segment_id for one in mine}
        for frame in store.iter_frames("segments", shard, SIGNAL_COLUMNS, _PLANTED_AT_ONCE):
            signals = dict(signals_of([frame], wanted))
            here = [one for one in mine if one.origin.segment_id in signals]
            if here:
                made, events = planted_pages(here, signals, settings, key)
                tables.append(made.select(schema.names).cast(schema))
                rows += planted_rows(here, events, made["mask"].to_pylist(), tally)
    return pa.concat_tables(tables), rows


def _shown(
    marks: Marks, rows: Sequence[Mapping[str, Any]], own: Mapping[str, OwnEvents]
) -> dict[str, Any]:
    """Return what the UI shows: boxes by class, source and split, and what became of every event."""
    shown: dict[str, Mapping[str, Any]] = {
        "boxes_by_class": counts(pl.Series("waveform", [r["waveform"] for r in rows], pl.String)),
        "refused_by_cause": marks.tally.by_cause(),
        "not_background": dict(sorted(marks.not_background.items())),
        "background_segments": shares(marks.origins),
        "causes": dict(CAUSES),
        "own_tables_not_used": {corpus: said.faults for corpus, said in own.items()},
    }
    return {
        **{name: dg.MetadataValue.json(value) for name, value in shown.items()},
        "boxes": previews.rows(box_counts(rows)),
        "outcomes": previews.rows(marks.tally.rows()),
        "sample": previews.rows(rows[:6]),
    }


def _preview(
    store: TableStore, shards: Sequence[str], planted: pa.Table, rows: Sequence[Mapping[str, Any]]
) -> dg.MarkdownMetadataValue:
    """Return two pages with their boxes: one of a recording, one planted, the fullest of each."""
    by_page: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_page.setdefault(row["segment_id"], []).append(row)
    order = sorted(by_page, key=lambda s: (-len({r["waveform"] for r in by_page[s]}), s))
    parts: list[str] = []
    for origins in (("corpus", "own"), ("simulator",), ("planted",)):
        page = next((s for s in order if by_page[s][0]["origin"] in origins), None)
        segment = _segment(store, shards, planted, page, origins) if page else None
        if page and segment and len(parts) < 2:
            boxes = by_page[page]
            said = ", ".join(sorted({f"{r['origin']} {r['corpus']}" for r in boxes}))
            picture = previews.picture(annotated_page(segment, boxes))
            parts.append(f"{said}, segment `{page}`, {len(boxes)} boxes\n\n{picture}")
    return dg.MetadataValue.md("\n\n".join(parts) or "*no boxes*")


def _segment(
    store: TableStore, shards: Sequence[str], planted: pa.Table, page: str, origins: Sequence[str]
) -> Mapping[str, Any] | None:
    columns = ["segment_id", "channel_schema", "mask", "signal"]
    if "planted" in origins:
        at = planted["segment_id"].to_pylist().index(page)
        row: dict[str, Any] = planted.select(columns).slice(at, 1).to_pylist()[0]
        return row
    frames = (f for s in shards for f in store.iter_frames("segments", s, columns))
    return next((row for _, row in signals_of(frames, {page})), None)


def _place_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["segment_id"], row["t0_s"], row["channel"], row["waveform"], row["t1_s"]


@_DATASETS.asset(
    "instruction_dataset",
    code=_RELEASE_CODE,
    deps=[
        "general_instructions",
        *(
            dg.AssetDep(name, partition_mapping=partitions.shards_to_releases())
            for name in ("segments", "findings", *TEXTS)
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
    recipe = releases()[name]
    published = _published(recipe)
    with translated():
        report = build_release(recipe, lambda shard: load_shard(store, shard), folder, published)
    card = (folder / "README.md").read_text(encoding="utf-8")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(report.content_hash),
        metadata={
            "dagster/partition_row_count": report.n_rows,
            "counts": dg.MetadataValue.json({k: dict(v) for k, v in report.counts.items()}),
            "by_corpus": dg.MetadataValue.json(dict(report.by_corpus)),
            "asked": dg.MetadataValue.json({k: dict(v) for k, v in report.asked.items()}),
            "counts_multiplied_by": dg.MetadataValue.json(dict(report.drawing.factors)),
            "near_duplicates_left_out": dg.MetadataValue.json(dict(report.drawing.duplicates)),
            "pages": previews.rows(page_counts(report, published)),
            "licences": previews.rows([asdict(line) for line in report.ledger]),
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


def _published(recipe: Recipe) -> dict[str, Published]:
    """Return published windows where every corpus of a release has them: a published corpus."""
    corpora_of = {corpus_of(shard).key for shard in recipe.shards}
    counts_of = {key: corpora()[key].published_windows for key in sorted(corpora_of)}
    return {
        key: (counted.train, counted.test, counted.remark)
        for key, counted in counts_of.items()
        if counted is not None and all(counts_of.values())
    }


def _version(workspace: Workspace, table: str, shard: str) -> str:
    manifest = workspace.store().manifest(table, shard)
    return manifest.data_version if manifest else ""


@dg.asset_check(
    asset="waveform_annotations",
    name="schema",
    blocking=True,
    description="Columns, types, keys and hash agree with registry and manifest.",
    partitions_def=partitions.release_partitions(),
)
def annotations_schema(
    context: dg.AssetCheckExecutionContext, workspace: Workspace
) -> dg.AssetCheckResult:
    """Compare the three tables of a release with the registry."""
    store, release = workspace.store(), context.partition_key
    specs = tables_of_asset("waveform_annotations")
    return _verdict([v for spec in specs for v in schema_violations(store, spec, release)])


@dg.asset_check(
    asset="waveform_annotations",
    name="subject_leakage",
    blocking=True,
    description="No subject lies in two splits; planted pages stay with their origin's subject.",
    partitions_def=partitions.release_partitions(),
)
def annotations_leakage(
    context: dg.AssetCheckExecutionContext, workspace: Workspace
) -> dg.AssetCheckResult:
    """Refuse annotations and planted pages whose splits share a subject."""
    store, release = workspace.store(), context.partition_key
    columns = ["segment_id", "subject_id", "split"]
    annotations = store.read("waveform_annotations", release, columns)
    planted = store.read("planted_segments", release, [*columns, "origin_segment_id"])
    shards = present_shards_of(store, release).present
    return _verdict(
        split_faults(annotations, planted, store.read_many("segments", shards, columns))
    )


def _verdict(violations: Sequence[str]) -> dg.AssetCheckResult:
    listed = "\n".join(f"- {v}" for v in violations[:MAX_SHOWN]) or "none"
    return dg.AssetCheckResult(
        passed=not violations,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(violations)} violations" if violations else "holds",
        metadata={"violations": dg.MetadataValue.md(listed), "n_violations": len(violations)},
    )


ASSETS: tuple[Any, ...] = (
    waveform_annotations,
    instruction_dataset,
    annotations_schema,
    annotations_leakage,
)
