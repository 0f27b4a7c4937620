"""Group ``benchmarks``: held-out items, every answer with its controls, scores, the leaderboard.

What a task is and how it is scored is in ``benchmark``; here tables are read, pages rendered, the
model asked in a program of its own, and the report shown.
"""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from benchmark.asking.answers import Item
from benchmark.asking.ask import grade
from benchmark.asking.controls import mirror_id
from benchmark.asking.exchange import write_items, write_pages
from benchmark.asking.mirror import mirrored_segment
from benchmark.tasks.items import SEGMENT_COLUMNS, Sources, build_items
from benchmark.tasks.task import TASKS
from dagster_project import partitions, previews, provenance
from dagster_project.assets.factory import Grain
from dagster_project.assets.models import stage_folder
from dagster_project.assets.text import FACT_TABLES, facts_of
from dagster_project.corpora.batches import segment_batches
from dagster_project.detection import detector_for
from dagster_project.failures import PermanentFailure, translated
from dagster_project.materialisation import counts, write
from dagster_project.releasing import shards_of
from dagster_project.resources import Workspace
from dagster_project.tables.store import TableStore
from prompts.facts.page import PageFacts
from training.recipes import model_recipes

_ITEMS = Grain("benchmarks", ("polars", "parquet"), partitions.tasks)
_ANSWERS = Grain("benchmarks", ("torch", "parquet"), partitions.task_by_model)
_SCORES = Grain("benchmarks", ("polars", "parquet"), partitions.task_by_model)
_REPORT = Grain("benchmarks", ("markdown",), lambda: None)
_CODE = ("benchmark",)
LOW_THRESHOLD = 0.001
"""Detector confidence from which boxes are kept for average precision (``systems.md`` 6.3)."""


class ItemsConfig(dg.Config):
    """Which release the held-out items come from."""

    release: str = Field("demo", description="Release whose test subjects are asked about.")
    seed: int = Field(0, ge=0, description="Seed of the sampling.")
    cap: int = Field(0, ge=0, le=100_000, description="Most items; 0 takes the task's own number.")


class AnswersConfig(dg.Config):
    """How the model is asked."""

    seed: int = Field(0, ge=0, description="Seed of the controls.")


@_ITEMS.asset(
    "benchmark_items",
    code=_CODE,
    deps=[
        dg.AssetDep(name, partition_mapping=dg.AllPartitionMapping())
        for name in ("questions", "captions", "waveform_annotations")
    ],
)
def benchmark_items(
    context: dg.AssetExecutionContext, config: ItemsConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Build the items of one task from test subjects of a release."""
    task = context.partition_key
    with translated():
        sources = _sources(workspace, config.release)
        built = build_items(task, sources, seed=config.seed, cap=config.cap or None)
    simulated = sum(bool(row["is_simulated"]) for row in built.rows)
    return write(
        workspace,
        task,
        {"benchmark_items": list(built.rows)},
        provenance={
            "release": config.release,
            "task_version": TASKS[task].version,
            "items": built.sha256,
            "seed": config.seed,
            "code": provenance.code_version(*_CODE),
        },
        metadata={
            "candidates": built.n_candidates,
            "set_aside": dg.MetadataValue.json(dict(built.set_aside)),
            "simulated_items": simulated,
            "subjects": len({row["subject_id"] for row in built.rows}),
            "preview": previews.rows(built.rows[:5]),
        },
    )


@_ANSWERS.asset(
    "model_answers",
    code=_CODE,
    deps=[
        dg.AssetDep(
            "benchmark_items",
            partition_mapping=dg.MultiToSingleDimensionPartitionMapping("task"),
        ),
        dg.AssetDep("tuned_model", partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep("waveform_detector", partition_mapping=dg.AllPartitionMapping()),
    ],
    is_costly=True,
    pool="gpu",
)
def model_answers(
    context: dg.AssetExecutionContext, config: AnswersConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Ask one model one task, under every control, beside the baselines that see no page."""
    task, model = _task_and_model(context)
    with translated():
        frame = workspace.store().read("benchmark_items", task)
        items = frame.to_dicts()
        if not items:
            raise PermanentFailure(
                f"task {task!r} has no items; the release has no test subject for it"
            )
        ask = _ask_detector if TASKS[task].kind == "boxes" else _ask_language_model
        answers = ask(context, workspace, task, model, items, config.seed)
        answers = grade(TASKS[task], items, answers)
    unparsed = sum(not row["is_parsed"] for row in answers)
    return write(
        workspace,
        _stored(task, model),
        {"model_answers": answers},
        provenance={
            "model": model,
            "seed": config.seed,
            "code": provenance.code_version(*_CODE),
            **provenance.inputs(workspace.store(), ["benchmark_items"], task),
        },
        metadata={
            "unparsed": unparsed,
            "answers_by_control": dg.MetadataValue.json(
                counts(pl.Series("control", [f"{r['model']}/{r['control']}" for r in answers]))
            ),
            "preview": previews.rows(answers[:6]),
        },
    )


@_SCORES.asset("scores", code=_CODE, deps=["model_answers"])
def scores(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
    """Score one model on one task, with intervals clustered by subject and its controls."""
    from benchmark.scores.scoring import score

    task, model = _task_and_model(context)
    store = workspace.store()
    with translated():
        thresholds = facts = None
        items = store.read("benchmark_items", task).to_dicts()
        if TASKS[task].kind == "boxes":
            thresholds = dict(detector_for(workspace, model).card.thresholds)
        elif TASKS[task].kind == "text":
            facts = _facts_of(store, {row["segment_id"] for row in items})
        rows = score(
            TASKS[task],
            items,
            store.read("model_answers", _stored(task, model)).to_dicts(),
            thresholds=thresholds,
            facts=facts,
        )
    primary = [r for r in rows if r["metric"] == TASKS[task].primary_metric]
    own = next((r for r in primary if r["control"] == "none"), None)
    return write(
        workspace,
        _stored(task, model),
        {"scores": rows},
        provenance={
            "code": provenance.code_version(*_CODE),
            **provenance.inputs(store, ["model_answers"], _stored(task, model)),
        },
        metadata={
            TASKS[task].primary_metric: float(own["value"]) if own else float("nan"),
            "preview": previews.rows(primary),
        },
    )


@_REPORT.asset(
    "leaderboard",
    code=_CODE,
    deps=[dg.AssetDep("scores", partition_mapping=dg.AllPartitionMapping())],
    description="Every score with its interval beside its controls, as Markdown, plots and JSON.",
    automation=dg.AutomationCondition.eager(),
)
def leaderboard(workspace: Workspace) -> dg.MaterializeResult[None]:
    """Write the report over every score there is."""
    from benchmark.reports.report import write_report

    store = workspace.store()
    found = store.partitions("scores")
    if not found:
        raise PermanentFailure("no scores yet; materialise 'scores' for a task and a model first")
    folder = workspace.folder("reports", "leaderboard")
    with translated():
        frame = store.read_many("scores", found)
        items = {
            task: store.read("benchmark_items", task).to_dicts()
            for task in sorted(set(frame["task"]))
        }
        answers = store.read_many("model_answers", found).to_dicts()
        report = write_report(folder, frame.to_dicts(), items, answers=answers)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(report.sha256[:16]),
        metadata={
            "report": dg.MetadataValue.md(report.markdown),
            "path": dg.MetadataValue.path(str(report.path)),
            "dagster/row_count": frame.height,
        },
    )


def _task_and_model(context: dg.AssetExecutionContext) -> tuple[str, str]:
    key = context.partition_key
    assert isinstance(key, dg.MultiPartitionKey)
    dims = key.keys_by_dimension
    task, model = dims["task"], dims["model"]
    is_language_model = model in model_recipes()
    if (TASKS[task].kind == "boxes") == is_language_model:
        raise PermanentFailure(
            f"model {model!r} cannot be asked task {task!r}: boxes are asked of waveform detectors, "
            "words of vision-language models"
        )
    return task, model


def _stored(task: str, model: str) -> str:
    return f"{task}--{model}"


def _sources(workspace: Workspace, release: str) -> Sources:
    store = workspace.store()
    shards = [s for s in shards_of(release) if store.manifest("questions", s) is not None]
    annotations = "waveform_annotations"
    has_boxes = store.manifest(annotations, release) is not None
    return Sources(
        segments=store.read_many("segments", shards, SEGMENT_COLUMNS),
        questions=store.read_many("questions", shards),
        captions=store.read_many("captions", shards),
        waveform_annotations=store.read_many(annotations, [release] if has_boxes else []),
    )


def _segments_of(workspace: Workspace, items: list[dict[str, Any]]) -> pl.DataFrame:
    """Read the segments items are about, signal included, wherever they are stored."""
    store, wanted = workspace.store(), {row["segment_id"] for row in items}
    frames = [
        part
        for shard in store.partitions("segments")
        for frame in store.iter_frames("segments", shard)
        if (part := frame.filter(pl.col("segment_id").is_in(wanted))).height
    ]
    found = pl.concat(frames) if frames else pl.DataFrame({"segment_id": []})
    missing = wanted - set(found["segment_id"])
    if missing:
        raise PermanentFailure(
            f"{len(missing)} items are about segments that are no longer stored, such as "
            f"{min(missing)}; materialise 'benchmark_items' again"
        )
    return found


def _ask_detector(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    task: str,
    model: str,
    items: list[dict[str, Any]],
    seed: int,
) -> list[dict[str, Any]]:
    from benchmark.scores.detection_scores import detector_answers

    detector = detector_for(workspace, model)
    events: list[dict[str, Any]] = []
    for batch in segment_batches(_segments_of(workspace, items), max_segments=32):
        found = detector.detect(batch, thresholds=LOW_THRESHOLD)
        events.extend(dataclasses.asdict(e) for e in found)
    context.log.info(f"{len(events)} boxes from a confidence of {LOW_THRESHOLD}")
    asked = [Item.from_row(row) for row in items]
    return detector_answers(asked, events, model, controls=TASKS[task].controls, seed=seed)


def _ask_language_model(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    task: str,
    model: str,
    items: list[dict[str, Any]],
    seed: int,
) -> list[dict[str, Any]]:
    from benchmark.asking.ask import ask_without_pages
    from benchmark.asking.models import baselines

    weights = stage_folder(workspace, model, "stage2")
    if not weights.is_dir():
        raise PermanentFailure(f"model {model!r} has no weights; materialise 'tuned_model' first")
    folder = workspace.folder("answers", _stored(task, model))
    folder.mkdir(parents=True, exist_ok=True)
    pages, out = folder / "pages.parquet", folder / "answers.parquet"
    _write_pages(workspace, items, pages, is_mirrored="mirrored" in TASKS[task].controls)
    shown = folder / "items.parquet"
    write_items(shown, items, workspace.walls())
    command = [sys.executable, "-m", "benchmark", "answer", "--items", str(shown)]
    command += ["--pages", str(pages), "--model", str(weights), "--name", model, "--task", task]
    command += ["--controls", ",".join(TASKS[task].controls), "--seed", str(seed)]
    command += ["--preload", "training.torchvision_shim:install", "--out", str(out)]
    _run(context, command)
    rows = pl.read_parquet(out).to_dicts()
    asked = [Item.from_row(row) for row in items]
    release = model_recipes()[model].release
    for baseline in baselines(TASKS[task], *_training_rows(workspace, release), items):
        rows += ask_without_pages(baseline, TASKS[task], asked)
    return rows


def _training_rows(
    workspace: Workspace, release: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return questions and captions of training subjects, which baselines are fitted on."""
    sources = _sources(workspace, release)
    train = sources.segments.filter(pl.col("split") == "train").select("segment_id")
    questions = sources.questions.join(train, on="segment_id", how="semi")
    captions = sources.captions.join(train, on="segment_id", how="semi")
    return questions.to_dicts(), captions.to_dicts()


def _write_pages(
    workspace: Workspace, items: list[dict[str, Any]], path: Path, *, is_mirrored: bool
) -> None:
    png: dict[str, bytes] = {}
    turned: dict[str, bytes] = {}
    for row in _segments_of(workspace, items).iter_rows(named=True):
        png[row["segment_id"]] = previews.page_png_of_row(row)
        if is_mirrored:
            turned[row["segment_id"]] = previews.page_png_of_row(mirrored_segment(row))
    shown = {row["item_id"]: png[row["segment_id"]] for row in items}
    if is_mirrored:
        shown |= {mirror_id(row["item_id"]): turned[row["segment_id"]] for row in items}
    write_pages(path, shown, {row["corpus"] for row in items}, workspace.walls())


def _facts_of(store: TableStore, wanted: set[str]) -> dict[str, PageFacts]:
    """Return the facts of the pages items are about, wherever they are stored."""
    return {
        facts.segment_id: facts
        for shard in store.partitions("segments")
        if wanted & set(store.read("segments", shard, ["segment_id"])["segment_id"])
        and all(store.manifest(name, shard) is not None for name in FACT_TABLES)
        for facts in facts_of(store, shard)
        if facts.segment_id in wanted
    }


def _run(context: dg.AssetExecutionContext, command: list[str]) -> None:
    from dagster_project.assets.models import program_environment

    done = subprocess.run(
        command, env=program_environment(), capture_output=True, text=True, check=False
    )
    for line in done.stdout.splitlines()[-20:]:
        context.log.info(line)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise PermanentFailure(f"asking the model failed: {last[0]}")


ASSETS = (benchmark_items, model_answers, scores, leaderboard)
