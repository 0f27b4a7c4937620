"""A benchmark's sources read from the store, and a model asked in a program of its own.

Assets are in ``assets/benchmarks.py``; what a task, a control or an answer is, in ``benchmark``. Here
tables are read, pages rendered, and the controls chosen that can be applied to them.
"""

import dataclasses
import hashlib
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from benchmark.asking.answers import Item
from benchmark.asking.controls import Chosen, applicable, mirror_id
from benchmark.asking.exchange import write_items, write_pages
from benchmark.asking.mirror import mirrored_segment, swap_sides
from benchmark.errors import BenchmarkError
from benchmark.tasks.items import SEGMENT_COLUMNS, Sources
from benchmark.tasks.task import TASKS
from dagster_project import previews
from dagster_project.assets.models import program_environment
from dagster_project.corpora.batches import segment_batches
from dagster_project.corpora.registry import corpora
from dagster_project.corpora.shards import shard_keys
from dagster_project.detection import detector_for
from dagster_project.failures import PermanentFailure
from dagster_project.releasing import shards_of
from dagster_project.resources import Workspace
from dagster_project.tables.store import ROW_GROUP_ROWS, TableStore
from dagster_project.under_test import asked_of, exposures, leaving_corpora, words_for
from training.recipes import model_recipes

LOW_THRESHOLD = 0.001
"""Detector confidence from which boxes are kept for average precision (``systems.md`` 6.3)."""

OTHER_PAGES = 2000
"""Pages of each shard that are of no test subject and are read all the same; engineering default."""
EVERYBODY = "everybody"
"""Key of the items' provenance: everybody of the corpora is asked about."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows of table ``model_answers``, not graded, and why controls were left out."""

    rows: Rows
    left_out: Mapping[str, str]


def sources_of(
    workspace: Workspace, task: str, release: str, *, is_everybody: bool = False
) -> Sources:
    """Read what the items of a task are made from.

    Parameters
    ----------
    workspace
        Where tables lie.
    task
        Name of the task. A classification task takes its own corpora, in the release or not.
    release
        Release the other tasks take their rows from.
    is_everybody
        Read every page of a classification task's corpora, not those of test subjects alone.
    """
    from benchmark.tasks.classification import LABELLED_COLUMNS

    store = workspace.store()
    if TASKS[task].corpora:
        stored = _stored_shards(store, TASKS[task].corpora)
        whole = (store.read("segments", s, LABELLED_COLUMNS) for s in stored)
        parts = [part if is_everybody else _thinned(part) for part in whole]
        return Sources(
            pl.concat(parts) if parts else store.read_many("segments", [], LABELLED_COLUMNS)
        )
    shards = [s for s in shards_of(release) if store.manifest("questions", s) is not None]
    annotations = "waveform_annotations"
    has_boxes = store.manifest(annotations, release) is not None
    return Sources(
        segments=store.read_many("segments", shards, SEGMENT_COLUMNS),
        questions=store.read_many("questions", shards),
        captions=store.read_many("captions", shards),
        waveform_annotations=store.read_many(annotations, [release] if has_boxes else []),
        texts={name: _read_stored(store, name, shards) for name in TASKS[task].tables},
    )


def _thinned(segments: pl.DataFrame) -> pl.DataFrame:
    """Keep every page of test subjects, and of others enough to see leakage and to count classes."""
    others = segments.filter(pl.col("split") != "test").sort("segment_id")
    each = others.unique(["subject_id", "split"], keep="first", maintain_order=True)
    kept = pl.concat([segments.filter(pl.col("split") == "test"), each, others.head(OTHER_PAGES)])
    return kept.unique("segment_id", keep="first", maintain_order=True)


def _read_stored(store: TableStore, name: str, shards: Sequence[str]) -> pl.DataFrame:
    return store.read_many(name, [s for s in shards if store.manifest(name, s) is not None])


def segments_version(store: TableStore, task: str) -> str:
    """Return a hash over the segments a classification task is made from, ``""`` for other tasks."""
    shards = _stored_shards(store, TASKS[task].corpora)
    versions = [f"{s}:{m.sha256}" for s in shards if (m := store.manifest("segments", s))]
    return hashlib.sha256("\n".join(versions).encode()).hexdigest()[:16] if versions else ""


def _stored_shards(store: TableStore, keys: Iterable[str]) -> list[str]:
    known = corpora()
    return [
        shard
        for key in keys
        if key in known
        for shard in shard_keys(key)
        if store.manifest("segments", shard) is not None
    ]


def ask_detector(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    task: str,
    model: str,
    items: Rows,
    *,
    controls: Sequence[str],
    seed: int,
) -> Asked:
    """Let a waveform detector box the pages of items, and of the pages that stand in for them."""
    from benchmark.scores.detection_scores import detector_answers

    detector = detector_for(workspace, model)
    events: Rows = []
    for batch in segment_batches(_segments_of(workspace, items), max_segments=32):
        found = detector.detect(batch, thresholds=LOW_THRESHOLD)
        events.extend(dataclasses.asdict(e) for e in found)
    context.log.info(f"{len(events)} boxes from a confidence of {LOW_THRESHOLD}")
    asked = [Item.from_row(row) for row in items]
    chosen = applicable({"none", *(controls or TASKS[task].controls)}, asked)
    rows = detector_answers(asked, events, model, controls=chosen.names, seed=seed)
    return Asked(rows, chosen.left_out)


def ask_language_model(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    task: str,
    model: str,
    items: Rows,
    *,
    controls: Sequence[str],
    seed: int,
    pages_may_leave: bool = False,
) -> Asked:
    """Ask a model under every control that can be applied, and the baselines beside it.

    ``pages_may_leave`` lets pages of open corpora go to a model behind a server.
    """
    from benchmark.asking.ask import ask_without_pages
    from benchmark.asking.models import baselines

    asked_how = words_for(workspace, model, pages_may_leave=pages_may_leave)
    folder = workspace.folder("answers", f"{task}--{model}")
    folder.mkdir(parents=True, exist_ok=True)
    pages, out = folder / "pages.parquet", folder / "answers.parquet"
    asked = [Item.from_row(row) for row in items]
    chosen = write_asked_pages(workspace, task, sent_items(model, items), pages, controls)
    shown = folder / "items.parquet"
    write_items(shown, items, workspace.walls(), leaving=leaving_corpora())
    command = [sys.executable, "-m", "benchmark", "answer", "--items", str(shown)]
    command += ["--pages", str(pages), *asked_how, "--name", model, "--task", task]
    command += ["--controls", ",".join(chosen.names), "--seed", str(seed), "--out", str(out)]
    run_program(context, command)
    rows = pl.read_parquet(out).to_dicts()
    release = _release_of(workspace, task, model)
    for baseline in baselines(TASKS[task], *_training_rows(workspace, task, release), items):
        rows += ask_without_pages(baseline, TASKS[task], asked)
    return Asked(rows, chosen.left_out)


def sent_items(model: str, items: Rows) -> Rows:
    """Return the items a model is sent: those of a server outside get a page and decide on controls.

    All of them where none may be sent, so that the asking program says why it refuses.
    """
    sent, _, _ = asked_of(model, items, ())
    return sent or items


def _release_of(workspace: Workspace, task: str, model: str) -> str:
    """Return the release baselines are fitted on: a recipe's own, else that of the items."""
    if model in model_recipes():
        return model_recipes()[model].release
    manifest = workspace.store().manifest("benchmark_items", task)
    return str(manifest.provenance["release"]) if manifest else ""


def _training_rows(workspace: Workspace, task: str, release: str) -> tuple[Rows, Rows]:
    """Return questions and captions of training subjects, which baselines are fitted on."""
    sources = sources_of(workspace, task, release)
    if TASKS[task].corpora:
        from benchmark.tasks.classification import training_rows

        if _is_everybody(workspace, task):
            return [], []
        return training_rows(TASKS[task], sources), []
    train = sources.segments.filter(pl.col("split") == "train").select("segment_id")
    questions = sources.questions.join(train, on="segment_id", how="semi")
    captions = sources.captions.join(train, on="segment_id", how="semi")
    return questions.to_dicts(), captions.to_dicts()


def _is_everybody(workspace: Workspace, task: str) -> bool:
    manifest = workspace.store().manifest("benchmark_items", task)
    return bool(manifest and manifest.provenance.get(EVERYBODY, False))


def check_unseen(workspace: Workspace, task: str, model: str) -> None:
    """Refuse a model that was trained on a corpus whose every subject is asked about.

    Raises
    ------
    PermanentFailure
        If its record names the corpus.
    """
    if not _is_everybody(workspace, task):
        return
    exposure = exposures(workspace, {model}).get(model)
    seen = sorted(set(TASKS[task].corpora) & set(exposure.corpora if exposure else ()))
    if seen:
        raise PermanentFailure(
            f"model {model!r} was trained on {seen[0]}, and the items of task {task!r} are about "
            "everybody in it; materialise 'benchmark_items' with everybody: false for this model"
        )


def _segments_of(workspace: Workspace, items: Rows) -> pl.DataFrame:
    """Read the segments items are about, signal included, wherever they are stored."""
    store, wanted = workspace.store(), {row["segment_id"] for row in items}
    keys = tuple(sorted({f"{row['corpus']}-" for row in items}))
    frames = []
    for shard in store.partitions("segments"):
        if not shard.startswith(keys):
            continue
        ids = store.read("segments", shard, ["segment_id"])["segment_id"]
        # thousands of pages of a corpus of terabytes: only row groups that hold one are read
        groups = sorted({i // ROW_GROUP_ROWS for i, name in enumerate(ids) if name in wanted})
        for group in groups:
            rows = store.read_group("segments", shard, group)
            frames.append(rows.filter(pl.col("segment_id").is_in(wanted)))
    found = pl.concat(frames) if frames else pl.DataFrame({"segment_id": []})
    missing = wanted - set(found["segment_id"])
    if missing:
        raise PermanentFailure(
            f"{len(missing)} items are about segments that are no longer stored, such as "
            f"{min(missing)}; materialise 'benchmark_items' again"
        )
    return found


def write_asked_pages(
    workspace: Workspace, task: str, items: Rows, path: Path, controls: Sequence[str] = ()
) -> Chosen:
    """Render the pages a model is shown, and choose the controls that can be applied.

    Parameters
    ----------
    workspace
        Where segments lie and what may be written where.
    task, items
        The task and its rows of table ``benchmark_items``.
    path
        Parquet file of pages to write.
    controls
        Those wanted; all of the task where empty. The page itself is always asked about.

    Returns
    -------
    Chosen
        The controls, and why others are left out.
    """
    asked = [Item.from_row(row) for row in items]
    wanted = {"none", *(controls or TASKS[task].controls)}
    segments = list(_segments_of(workspace, items).iter_rows(named=True))
    png = {row["segment_id"]: previews.page_png_of_row(row) for row in segments}
    shown = {row["item_id"]: png[row["segment_id"]] for row in items}
    why = _unmirrored(segments) if "mirrored" in wanted else ""
    chosen = applicable(wanted, asked, unmirrored=why)
    if "mirrored" in chosen.names:
        turned = {
            row["segment_id"]: previews.page_png_of_row(mirrored_segment(row)) for row in segments
        }
        shown |= {mirror_id(row["item_id"]): turned[row["segment_id"]] for row in items}
    write_pages(path, shown, {row["corpus"] for row in items}, workspace.walls())
    return chosen


def _unmirrored(segments: Rows) -> str:
    """Say why the pages cannot be shown with left and right changed, ``""`` where they can."""
    without = 0
    for row in segments:
        try:
            mirrored_segment(row)
        except BenchmarkError:
            without += 1
    if without:
        return f"{without} of {len(segments)} pages have a row without one on the other side"
    if all(swap_sides(name) == name for row in segments for name in row["ch_names"]):
        return "no page has a row that lies on a side"
    return ""


def run_program(context: dg.AssetExecutionContext, command: list[str]) -> None:
    """Run a program of this project and log the end of what it says.

    Raises
    ------
    PermanentFailure
        With its last line, where it fails.
    """
    done = subprocess.run(
        command, env=program_environment(), capture_output=True, text=True, check=False
    )
    for line in done.stdout.splitlines()[-20:]:
        context.log.info(line)
    for line in done.stderr.splitlines():
        if line.startswith("WARNING "):
            context.log.warning(line.removeprefix("WARNING "))
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise PermanentFailure(f"asking the model failed: {last[0]}")
