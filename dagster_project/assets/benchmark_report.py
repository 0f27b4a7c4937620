"""Asset ``benchmark_report``: a run's numbers, worst cases and notes as one HTML file.

What stands in it and how is in ``benchmark.reports.html``; here tables are read, worst cases chosen,
pages of open corpora rendered, and the earlier run found that it is compared with.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from benchmark.asking.exchange import write_bytes
from benchmark.reports.compare import Run, compare_models, references_of
from benchmark.reports.html import N_WORST, Case, Notes, write_html_report
from benchmark.reports.result import Result, make_result
from benchmark.scores.scoring import BASELINES
from benchmark.tasks.task import TASKS
from dagster_project import previews, provenance
from dagster_project.assets.factory import Grain
from dagster_project.assets.leakage import EVERYWHERE
from dagster_project.failures import PermanentFailure, translated
from dagster_project.judging import judge_summaries
from dagster_project.resources import Workspace
from dagster_project.tables.store import TableStore
from dagster_project.under_test import exposures

_REPORT = Grain("benchmarks", ("html",), lambda: None)
_CODE = ("benchmark", "benchmark/templates/report.html")
NAME = "benchmark.html"
LATEST = "latest.txt"
"""Names the run that was reported last, so that the next one is compared with it."""
_KEY_CHARS = 12

Rows = Sequence[Mapping[str, Any]]


class ReportConfig(dg.Config):
    """What the run is compared with."""

    compare_with: str = Field(
        "",
        pattern="^[0-9a-f]{0,64}$",
        description="Hash of an earlier run, or its beginning; empty takes the one before.",
    )


@_REPORT.asset(
    "benchmark_report",
    code=_CODE,
    deps=[
        dg.AssetDep(name, partition_mapping=dg.AllPartitionMapping())
        for name in ("scores", "model_answers", "benchmark_items", "segments")
    ]
    + [dg.AssetDep("corpora_report")],
    description=(
        "One HTML file of a benchmark run: scores with intervals and controls, plots, worst cases "
        "with pages of open corpora, judges, leakage, hashes, and what changed since a run before."
    ),
)
def benchmark_report(
    context: dg.AssetExecutionContext, config: ReportConfig, workspace: Workspace
) -> dg.MaterializeResult[None]:
    """Write the report of every score there is."""
    store, folder = workspace.store(), workspace.folder("reports", "benchmark")
    found = store.partitions("scores")
    if not found:
        raise PermanentFailure("no scores yet; materialise 'scores' for a task and a model first")
    with translated():
        scores = store.read_many("scores", found)
        items = {
            task: store.read("benchmark_items", task).to_dicts()
            for task in sorted(set(scores["task"]))
        }
        known = exposures(workspace, set(scores["model"]))
        result = make_result(scores.to_dicts(), items, {"controls": 0, "scores": 0}, known)
        answers = store.read_many("model_answers", found).to_dicts()
        earlier = _earlier(folder, config.compare_with, result)
        cases = _cases(workspace, items)
        report = write_html_report(
            folder / NAME,
            result,
            cases=cases,
            notes=_notes(store, items),
            judges=judge_summaries(workspace.folder("reports", "judges")),
            earlier=earlier,
            comparisons=compare_models(
                Run("this run", result, tuple(_once(answers)), references_of(items))
            ),
        )
        _keep(folder, result, earlier)
    context.log.info(f"{report.n_bytes} bytes, {len(cases)} worst cases")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(report.sha256[:16]),
        metadata={
            "path": dg.MetadataValue.path(str(report.path)),
            "result": result.sha256,
            "compared_with": earlier.sha256 if earlier else "nothing",
            "worst_cases": len(cases),
            "bytes": report.n_bytes,
            "dagster/row_count": scores.height,
        },
    )


def _once(answers: Rows) -> list[Mapping[str, Any]]:
    """Keep one of each answer: baselines stand beside every model, and say the same there."""
    return list({(r["item_id"], r["model"], r["control"]): r for r in answers}.values())


def _earlier(folder: Path, wanted: str, result: Result) -> Result | None:
    """Return the run asked for, else the last one with other numbers."""
    latest = folder / LATEST
    if not wanted:
        known = latest.read_text().split() if latest.is_file() else []
        keys = [key for key in known if key != result.sha256[:_KEY_CHARS]]
        if not keys:
            return None
        wanted = keys[0]
    files = sorted(folder.glob(f"run-{wanted[:_KEY_CHARS]}*.json"))
    if len(files) != 1:
        kept = ", ".join(sorted(f.stem.removeprefix("run-") for f in folder.glob("run-*.json")))
        raise PermanentFailure(
            f"{len(files)} earlier runs begin with {wanted!r}; kept are: {kept or 'none'}"
        )
    return Result.model_validate_json(files[0].read_bytes())


def _keep(folder: Path, result: Result, earlier: Result | None) -> None:
    """Keep the numbers, and note which run is the last and which was before it."""
    key = result.sha256[:_KEY_CHARS]
    write_bytes(folder / f"run-{key}.json", result.to_json().encode())
    before = [earlier.sha256[:_KEY_CHARS]] if earlier else []
    write_bytes(folder / LATEST, "\n".join([key, *before, ""]).encode())


def _cases(workspace: Workspace, items: Mapping[str, Rows]) -> list[Case]:
    """Choose the worst answers of each task and model, and render pages of open corpora."""
    store, walls = workspace.store(), workspace.walls()
    corpora = {row["corpus"] for rows in items.values() for row in rows}
    # a corpus whose terms nobody knows is held as gated
    gated = {c for c in corpora if c in walls.gated or c not in (walls.known or corpora)}
    chosen: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
    for partition in store.partitions("model_answers"):
        answers = store.read("model_answers", partition).filter(
            (pl.col("control") == "none") & ~pl.col("model").is_in(list(BASELINES))
        )
        for (task,), rows in answers.group_by("task", maintain_order=True):
            by_id = {row["item_id"]: row for row in items.get(str(task), ())}
            chosen += worst(rows.to_dicts(), by_id)
    open_segments = {item["segment_id"] for item, _ in chosen if item["corpus"] not in gated}
    pages = _pages(store, open_segments)
    return [
        Case(
            task=answer["task"],
            model=answer["model"],
            item_id=item["item_id"],
            corpus=item["corpus"],
            category=item["category"],
            question=item["prompt"],
            reference=item["answer"],
            answer=answer["output"],
            score=answer_score(answer),
            is_parsed=answer["is_parsed"],
            is_gated=item["corpus"] in gated,
            page=pages.get(item["segment_id"]) if item["corpus"] not in gated else None,
        )
        for item, answer in chosen
    ]


def worst(
    answers: Rows, items: Mapping[str, Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return the worst answers of one model with their items, one a page, the worst first.

    Right answers are never among them. Among equals a choice the model was surer of comes first.
    """
    wrong = [a for a in answers if a["item_id"] in items and answer_score(a) < 1.0]
    wrong.sort(key=lambda a: (answer_score(a), -_sureness(a), a["item_id"]))
    found: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    for answer in wrong:
        item = items[answer["item_id"]]
        found.setdefault(item["segment_id"], (item, answer))
    return list(found.values())[:N_WORST]


def answer_score(answer: Mapping[str, Any]) -> float:
    """Return the score of an answer from 0 to 1; one that could not be read has none."""
    if answer["score"] is not None:
        return float(answer["score"])
    # boxes are scored over all pages at once; one page that was read has no score of its own
    return 1.0 if answer["is_correct"] is None and answer["is_parsed"] else float(
        bool(answer["is_correct"])
    )  # fmt: skip


def _sureness(answer: Mapping[str, Any]) -> float:
    return max(answer["option_logprobs"] or [float("-inf")])


def _pages(store: TableStore, wanted: set[str]) -> dict[str, bytes]:
    pages: dict[str, bytes] = {}
    for shard in store.partitions("segments") if wanted else ():
        for frame in store.iter_frames("segments", shard):
            rows = frame.filter(pl.col("segment_id").is_in(wanted))
            for row in rows.iter_rows(named=True):
                pages[row["segment_id"]] = previews.page_png_of_row(row)
    return pages


def _notes(store: TableStore, items: Mapping[str, Rows]) -> Notes:
    corpora = {row["corpus"] for rows in items.values() for row in rows}
    versions = {
        f"input:{table}:{part}": manifest.data_version
        for table in ("benchmark_items", "model_answers", "scores")
        for part in store.partitions(table)
        if (manifest := store.manifest(table, part)) is not None
    }
    versions["code"] = provenance.code_version(*_CODE)
    versions |= {f"version of task {name}": TASKS[name].version for name in items}
    if store.manifest("leakage", EVERYWHERE) is None:
        return Notes(provenance=versions)
    rows = store.read("leakage", EVERYWHERE).to_dicts()
    touched = [r for r in rows if {r["left_corpus"], r["right_corpus"]} & corpora]
    leaks = [r for r in touched if r["kind"] != "exposed_test"]
    exposed = [r for r in touched if r["kind"] == "exposed_test"]
    none = "None found among the corpora of this run's items."
    return Notes(leakage_lines(leaks) or [none], leakage_lines(exposed) or [none], versions)


def leakage_lines(rows: Rows) -> list[str]:
    """Return rows of table ``leakage`` as lines without recording ids, counted where alike."""
    counted: dict[tuple[str, str, str, bool], int] = {}
    for row in rows:
        key = row["kind"], row["left_corpus"], row["right_corpus"], row["crosses_splits"]
        counted[key] = counted.get(key, 0) + int(row["n"])
    return [
        f"{kind.replace('_', ' ')}: {left} and {right}, {n}"
        + (", across splits" if crosses else ", within one split")
        for (kind, left, right, crosses), n in sorted(counted.items())
    ]


ASSETS = (benchmark_report,)
