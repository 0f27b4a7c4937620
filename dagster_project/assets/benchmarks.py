"""Group ``benchmarks``: held-out items, every answer with its controls, scores, the leaderboard.

What a task is and how it is scored is in ``benchmark``; sources are read and models asked in
``asking.py`` of the rim.
"""

import dagster as dg
import polars as pl
from pydantic import Field

from benchmark.asking.ask import grade
from benchmark.tasks.items import build_items
from benchmark.tasks.task import TASKS
from dagster_project import partitions, previews, provenance
from dagster_project.asking import (
    EVERYBODY,
    ask_detector,
    ask_language_model,
    check_unseen,
    segments_version,
    sources_of,
)
from dagster_project.assets.factory import Grain
from dagster_project.assets.text import FACT_TABLES, facts_of
from dagster_project.detection import detector_for
from dagster_project.embedding import stored_overlap
from dagster_project.failures import PermanentFailure, translated
from dagster_project.judging import judge_summaries
from dagster_project.launchpad import LaunchConfig
from dagster_project.materialisation import counts, write
from dagster_project.resources import Workspace
from dagster_project.scored import SCORE_VERSION, current_scores, graded_answers
from dagster_project.tables.store import TableStore
from dagster_project.under_test import asked_of, exposures, language_models
from prompts.facts.page import PageFacts

_ITEMS = Grain("benchmarks", ("polars", "parquet"), partitions.tasks)
_ANSWERS = Grain("benchmarks", ("torch", "parquet"), partitions.task_by_model)
_SCORES = Grain("benchmarks", ("polars", "parquet"), partitions.task_by_model)
_REPORT = Grain("benchmarks", ("markdown",), lambda: None)
_CODE = ("benchmark",)
SKIPPED = "skipped"
LEFT_OUT = "control left out"
"""Keys of provenance and metadata: why a task has no items, why a control was not asked."""


class ItemsConfig(LaunchConfig):
    """Which release the held-out items come from."""

    release: str = Field("demo", description="Release whose test subjects are asked about.")
    seed: int = Field(0, ge=0, description="Seed of the sampling.")
    cap: int = Field(0, ge=0, le=100_000, description="Most items; 0 takes the task's own number.")
    everybody: bool = Field(
        False,
        description="Zero-shot tasks alone: ask about everybody, not test subjects only; a model that "
        "was trained on the corpus is then refused.",
    )


class AnswersConfig(LaunchConfig):
    """How the model is asked."""

    seed: int = Field(0, ge=0, description="Seed of the controls.")
    controls: list[str] = Field(
        default_factory=list,
        description="Page controls asked beside the page itself; empty takes all that can be applied.",
    )
    pages_may_leave: bool = Field(
        False,
        description="Send pages of open corpora to a model behind a server; rows of gated corpora "
        "are never sent.",
    )


class ScoresConfig(LaunchConfig):
    """What scores need from outside."""

    encoder: str = Field(
        "",
        description="Folder of BERTScore's encoder, or one under the storage root, such as a copy of "
        "roberta-large; empty leaves the score out and says so.",
    )
    encoder_layer: int = Field(
        0, ge=0, le=200, description="Its hidden layer, such as 17 of roberta-large; 0: the last."
    )


@_ITEMS.asset(
    "benchmark_items",
    code=_CODE,
    deps=[
        dg.AssetDep(name, partition_mapping=dg.AllPartitionMapping())
        for name in (
            "questions",
            "captions",
            "waveform_annotations",
            "segments",
            "findings",
            "narratives",
            "descriptions",
            "teacher_questions",
            "dialogues",
        )
    ],
)
def benchmark_items(
    context: dg.AssetExecutionContext, config: ItemsConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Build the items of one task from test subjects: of its own corpora, else of a release.

    Where there is nothing to ask about, the table is empty and says why.
    """
    task = context.partition_key
    with translated():
        everybody = config.everybody
        sources = sources_of(workspace, task, config.release, is_everybody=everybody)
        built = build_items(
            task,
            sources,
            seed=config.seed,
            cap=config.cap or None,
            is_everybody=everybody,
        )
    if built.skipped:
        context.log.warning(f"task {task!r} is skipped: {built.skipped}")
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
            "segments": segments_version(workspace.store(), task),
            SKIPPED: built.skipped,
            EVERYBODY: everybody,
            "code": provenance.code_version(*_CODE),
        },
        metadata={
            **({SKIPPED: built.skipped} if built.skipped else {}),
            "about": dg.MetadataValue.md("\n".join(f"- {line}" for line in TASKS[task].about)),
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
            return _skipped(context, workspace, "model_answers", task, model)
        check_unseen(workspace, task, model)
        controls, seed = config.controls, config.seed
        if TASKS[task].kind == "boxes":
            asked = ask_detector(
                context, workspace, task, model, items, controls=controls, seed=seed
            )
        else:
            asked = ask_language_model(
                context, workspace, task, model, items, controls=controls, seed=seed,
                pages_may_leave=config.pages_may_leave,
            )  # fmt: skip
        answers = grade(TASKS[task], items, asked.rows)
    unparsed = sum(not row["is_parsed"] for row in answers)
    return write(
        workspace,
        _stored(task, model),
        {"model_answers": answers},
        provenance={
            "model": model,
            "seed": config.seed,
            SCORE_VERSION: TASKS[task].score_version,
            "code": provenance.code_version(*_CODE),
            **{f"{LEFT_OUT} {name}": why for name, why in asked.left_out.items()},
            **provenance.inputs(workspace.store(), ["benchmark_items"], task),
        },
        metadata={
            LEFT_OUT: dg.MetadataValue.json(dict(asked.left_out)),
            "unparsed": unparsed,
            "answers_by_control": dg.MetadataValue.json(
                counts(pl.Series("control", [f"{r['model']}/{r['control']}" for r in answers]))
            ),
            "preview": previews.rows(answers[:6]),
        },
    )


@_SCORES.asset("scores", code=_CODE, deps=["model_answers"])
def scores(
    context: dg.AssetExecutionContext, config: ScoresConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Score one model on one task, with intervals clustered by subject and its controls."""
    from benchmark.scores.control_rows import left_out_rows
    from benchmark.scores.scoring import score

    task, model = _task_and_model(context)
    store = workspace.store()
    with translated():
        thresholds = facts = encoder = None
        items = store.read("benchmark_items", task).to_dicts()
        if not items:
            return _skipped(context, workspace, "scores", task, model)
        answers = store.read("model_answers", _stored(task, model)).to_dicts()
        items, answers, n_kept_here = asked_of(model, items, answers)
        if TASKS[task].kind == "boxes":
            thresholds = dict(detector_for(workspace, model).card.thresholds)
        elif TASKS[task].kind == "text":
            facts = _facts_of(store, {row["segment_id"] for row in items})
            encoder = stored_overlap(
                context, workspace, _stored(task, model), items, answers,
                encoder=config.encoder, layer=config.encoder_layer,
            )  # fmt: skip
        rows = score(
            TASKS[task], items, answers, thresholds=thresholds, facts=facts, encoder=encoder
        )
        rows += left_out_rows(TASKS[task], model, items, _left_out(store, _stored(task, model)))
    primary = [r for r in rows if r["metric"] == TASKS[task].primary_metric]
    own = next((r for r in primary if (r["model"], r["control"]) == (model, "none")), None)
    return write(
        workspace,
        _stored(task, model),
        {"scores": rows},
        provenance={
            "code": provenance.code_version(*_CODE),
            SCORE_VERSION: TASKS[task].score_version,
            **({"encoder": encoder.note} if encoder else {}),
            **provenance.inputs(store, ["model_answers"], _stored(task, model)),
        },
        metadata={
            TASKS[task].primary_metric: float(own["value"]) if own else float("nan"),
            "items_not_sent": n_kept_here,
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
def leaderboard(
    context: dg.AssetExecutionContext, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Write the report over every score there is."""
    from benchmark.reports.report import write_report

    store = workspace.store()
    found = current_scores(store, context.log.warning)
    folder = workspace.folder("reports", "leaderboard")
    with translated():
        frame = store.read_many("scores", found)
        items = {
            task: store.read("benchmark_items", task).to_dicts()
            for task in sorted(set(frame["task"]))
        }
        answers = graded_answers(store, found, items)
        report = write_report(
            folder,
            frame.to_dicts(),
            items,
            answers=answers,
            exposure=exposures(workspace, set(frame["model"])),
            judges=judge_summaries(workspace.folder("reports", "judges")),
        )
    return dg.MaterializeResult(
        data_version=dg.DataVersion(report.sha256[:16]),
        metadata={
            "report": dg.MetadataValue.md(report.summary),
            "path": dg.MetadataValue.path(str(report.path)),
            "dagster/row_count": frame.height,
        },
    )


def _task_and_model(context: dg.AssetExecutionContext) -> tuple[str, str]:
    key = context.partition_key
    assert isinstance(key, dg.MultiPartitionKey)
    dims = key.keys_by_dimension
    task, model = dims["task"], dims["model"]
    is_language_model = model in language_models()
    if (TASKS[task].kind == "boxes") == is_language_model:
        raise PermanentFailure(
            f"model {model!r} cannot be asked task {task!r}: boxes are asked of waveform detectors, "
            "words of vision-language models"
        )
    return task, model


def _left_out(store: TableStore, partition: str) -> dict[str, str]:
    """Return why controls were not asked, as noted with the answers."""
    manifest = store.manifest("model_answers", partition)
    noted = manifest.provenance if manifest else {}
    start = f"{LEFT_OUT} "
    return {k.removeprefix(start): str(v) for k, v in noted.items() if k.startswith(start)}


def _skipped(
    context: dg.AssetExecutionContext, workspace: Workspace, name: str, task: str, model: str
) -> dg.MaterializeResult[None]:
    """Write an empty table that says why a classification task has nothing to ask.

    Raises
    ------
    PermanentFailure
        If the task takes its items from a release, which then was the wrong one.
    """
    manifest = workspace.store().manifest("benchmark_items", task)
    why = str(manifest.provenance.get(SKIPPED, "")) if manifest else ""
    if not TASKS[task].corpora:
        raise PermanentFailure(
            f"task {task!r} has no items; the release has no test subject for it"
        )
    context.log.warning(f"task {task!r} is skipped: {why}")
    return write(
        workspace,
        _stored(task, model),
        {name: []},
        provenance={
            SKIPPED: why,
            "model": model,
            SCORE_VERSION: TASKS[task].score_version,
            "code": provenance.code_version(*_CODE),
        },
        metadata={SKIPPED: why},
    )


def _stored(task: str, model: str) -> str:
    return f"{task}--{model}"


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


ASSETS = (benchmark_items, model_answers, scores, leaderboard)
