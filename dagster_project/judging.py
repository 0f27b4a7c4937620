"""One model's stored answers put before a judge, and the scores kept for the report.

How a judge is asked and checked is in ``benchmark.judging``; here answers and items are read. Who wrote
the training text is taken from the ``teacher`` column of the release's tables, and what a model is made
from, from its file or recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from benchmark.asking.exchange import write_bytes
from benchmark.asking.under_test import FolderModel, ServedModel
from benchmark.errors import BenchmarkError
from benchmark.judging.judge import Judged, judge
from benchmark.judging.summary import ON, JudgeSummary
from benchmark.tasks.task import TASKS
from dagster_project.corpora.registry import corpora
from dagster_project.failures import PermanentFailure
from dagster_project.releasing import shards_of
from dagster_project.resources import Workspace
from dagster_project.under_test import other_models
from prompts.teachers.cache import CACHE_FILE
from prompts.teachers.registry import make_gateway
from prompts.texts.template_writer import WRITER_VERSION
from training.recipes import model_recipes, read_settings, recipe_path

TEACHER_TABLES = ("narratives", "descriptions", "teacher_questions", "dialogues")


def judge_stored(
    workspace: Workspace,
    settings: Mapping[str, Any],
    *,
    task: str,
    model: str,
    release: str,
    rubric: str,
    n_items: int,
    families: Mapping[str, str] | None = None,
) -> tuple[Path, JudgeSummary]:
    """Judge the answers of one model to one task of free text, and keep the scores.

    Parameters
    ----------
    workspace
        Where answers are and scores go.
    settings
        The judge, as teacher settings.
    task, model
        Whose answers.
    release
        What the model was trained on: its writers may not judge.
    rubric
        A name of :data:`benchmark.judging.prompt.RUBRICS`.
    n_items
        Most items, the first by id; 0 takes all.
    families
        Families of models that are not known, by teacher id or by the name of the model under test.

    Raises
    ------
    BenchmarkError
        If the task has no free text, or the judge may not judge it.
    """
    if task not in TASKS or TASKS[task].kind != "text":
        raise BenchmarkError(
            f"task {task!r} has no free text to judge; such tasks have kind 'text'"
        )
    answers = _answers(workspace, task, model)
    answers = answers[:n_items] if n_items else answers
    cache = workspace.folder(CACHE_FILE)
    with make_gateway(settings, cache, run=f"judge/{task}/{model}/{rubric}") as gateway:
        found = judge(
            gateway, answers, model=f"{model}{ON}{task}", writers=writers_of(workspace, release),
            answerer=answerer_of(model, families), name=rubric, families=families,
        )  # fmt: skip
        judge_name = gateway.teacher_id.replace(":", "-").replace("/", "-")
    path = workspace.folder("reports", "judges") / f"{task}--{model}--{rubric}--{judge_name}.json"
    write_bytes(path, (found.model_dump_json(indent=1) + "\n").encode())
    return path, found


def answerer_of(model: str, families: Mapping[str, str] | None = None) -> str:
    """Return the id by which the family of a model under test is known, ``""`` where it has none.

    That of a recipe is its base's: a judge knows its own words after fine-tuning too. A model that is
    named in ``families`` is its own id.

    Raises
    ------
    BenchmarkError
        If nothing is known of the model, which may be of any family.
    """
    if families and model in families:
        return model
    other = other_models().get(model)
    if isinstance(other, ServedModel):
        return f"{other.teacher['provider']}:{other.teacher.get('model', '')}"
    if isinstance(other, FolderModel):
        return other.seen if isinstance(other.seen, str) and other.seen else Path(other.folder).name
    if model not in model_recipes():
        raise BenchmarkError(
            f"model {model!r} is no recipe and has no file among the models under test, so its family "
            f"is not known; name it in families, such as {{{model!r}: 'its-maker'}}"
        )
    base = str(read_settings(recipe_path(model))["model"].get("name", ""))
    # a folder on this machine is known by its own name; a hub id keeps its owner
    return Path(base).name if Path(base).expanduser().is_absolute() else base


def judge_summaries(folder: Path) -> list[JudgeSummary]:
    """Read the judged scores kept beside the reports, in the order of their names."""
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    return [JudgeSummary.model_validate_json(file.read_bytes()) for file in files]


def writers_of(workspace: Workspace, release: str) -> tuple[str, ...]:
    """Return who wrote the texts of a release; its captions are always the template's."""
    store = workspace.store()
    written = {f"template@{WRITER_VERSION}"}
    for table in TEACHER_TABLES:
        for shard in shards_of(release):
            if store.manifest(table, shard) is not None:
                written |= set(store.read(table, shard, ["teacher"])["teacher"])
    return tuple(sorted(written))


def _answers(workspace: Workspace, task: str, model: str) -> list[Judged]:
    store = workspace.store()
    parts = [p for p in store.partitions("model_answers") if p == f"{task}--{model}"]
    if not parts:
        raise PermanentFailure(
            f"model {model!r} has no answers to task {task!r}; materialise 'model_answers' first"
        )
    items = {row["item_id"]: row for row in store.read("benchmark_items", task).to_dicts()}
    own = store.read("model_answers", parts[0]).filter(
        (pl.col("control") == "none") & (pl.col("model") == model)
    )
    return [
        Judged(
            row["item_id"], row["subject_id"], items[row["item_id"]]["segment_id"],
            items[row["item_id"]]["prompt"], items[row["item_id"]]["answer"], row["output"],
            _is_gated(items[row["item_id"]]["corpus"]),
        )
        for row in own.sort("item_id").iter_rows(named=True)
        if row["item_id"] in items
    ]  # fmt: skip


def _is_gated(corpus: str) -> bool:
    """Hold a corpus whose terms nobody knows as gated."""
    spec = corpora().get(corpus)
    return spec is None or spec.licence.is_gated or not spec.licence.allows_hosted_teachers
