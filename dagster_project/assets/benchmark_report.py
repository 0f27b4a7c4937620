"""Asset ``benchmark_report``: a run's numbers, worst cases and notes as one HTML file.

What stands in it and how is in ``benchmark.reports.html``; here tables are read, worst cases chosen,
pages of open corpora rendered, and the earlier run found that it is compared with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from benchmark.asking.exchange import write_bytes
from benchmark.reports.compare import Run, compare_models
from benchmark.reports.html import Notes, write_html_report
from benchmark.reports.html_cases import Case
from benchmark.reports.paired import references_of
from benchmark.reports.result import Result, make_result
from benchmark.reports.worst import MARK_COLOURS, marked_boxes, words_of, worst
from benchmark.scores.scoring import BASELINES
from benchmark.tasks.task import TASKS
from dagster_project import previews, provenance
from dagster_project.assets.factory import Grain
from dagster_project.assets.leakage import EVERYWHERE
from dagster_project.failures import PermanentFailure, translated
from dagster_project.judging import judge_summaries
from dagster_project.launchpad import LaunchConfig
from dagster_project.resources import Workspace
from dagster_project.scored import current_scores, graded_answers
from dagster_project.tables.store import TableStore
from dagster_project.under_test import exposures

_REPORT = Grain("benchmarks", ("html",), lambda: None)
_CODE = ("benchmark", "benchmark/templates/report.html")
NAME = "benchmark.html"
LATEST = "latest.txt"
"""Names the run that was reported last, so that the next one is compared with it."""
_KEY_CHARS = 12

Rows = Sequence[Mapping[str, Any]]


class ReportConfig(LaunchConfig):
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
    found = current_scores(store, context.log.warning)
    with translated():
        scores = store.read_many("scores", found)
        items = {
            task: store.read("benchmark_items", task).to_dicts()
            for task in sorted(set(scores["task"]))
        }
        known = exposures(workspace, set(scores["model"]))
        result = make_result(scores.to_dicts(), items, {"controls": 0, "scores": 0}, known)
        answers = graded_answers(store, found, items)
        earlier = _earlier(folder, config.compare_with, result)
        cases = _cases(workspace, items, answers)
        report = write_html_report(
            folder / NAME,
            result,
            cases=cases,
            notes=_notes(store, items),
            judges=judge_summaries(workspace.folder("reports", "judges")),
            earlier=earlier.result if earlier else None,
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
            "compared_with": earlier.key if earlier else "nothing",
            "worst_cases": len(cases),
            "bytes": report.n_bytes,
            "dagster/row_count": scores.height,
        },
    )


def _once(answers: Rows) -> list[Mapping[str, Any]]:
    """Keep one of each answer: baselines stand beside every model, and say the same there."""
    return list({(r["item_id"], r["model"], r["control"]): r for r in answers}.values())


@dataclass(frozen=True, slots=True)
class _Kept:
    """A run of before: the key of its file, and its numbers.

    A file is named by the hash its numbers had when it was written; a result that says more since then
    hashes otherwise.
    """

    key: str
    result: Result


def _earlier(folder: Path, wanted: str, result: Result) -> _Kept | None:
    """Return the run asked for, else the last one with other numbers that is still kept.

    Raises
    ------
    PermanentFailure
        If the run asked for is not kept, or several begin so.
    """
    files = {f.stem.removeprefix("run-"): f for f in sorted(folder.glob("run-*.json"))}
    latest = folder / LATEST
    known = latest.read_text().split() if latest.is_file() and not wanted else []
    keys = [key for key in files if wanted and key.startswith(wanted[:_KEY_CHARS])]
    keys += [key for key in known if key in files and key != result.sha256[:_KEY_CHARS]][:1]
    if wanted and len(keys) != 1:
        raise PermanentFailure(
            f"{len(keys)} earlier runs begin with {wanted!r}; kept are: {', '.join(files) or 'none'}"
        )
    if not keys:
        return None
    return _Kept(keys[0], Result.model_validate_json(files[keys[0]].read_bytes()))


def _keep(folder: Path, result: Result, earlier: _Kept | None) -> None:
    """Keep the numbers, and note which run is the last and which was before it."""
    key = result.sha256[:_KEY_CHARS]
    write_bytes(folder / f"run-{key}.json", result.to_json().encode())
    before = [earlier.key] if earlier else []
    write_bytes(folder / LATEST, "\n".join([key, *before, ""]).encode())


def _cases(workspace: Workspace, items: Mapping[str, Rows], answers: Rows) -> list[Case]:
    """Choose the worst answers of each task and model, and render pages of open corpora."""
    store, walls = workspace.store(), workspace.walls()
    corpora = {row["corpus"] for rows in items.values() for row in rows}
    # a corpus whose terms nobody knows is held as gated
    gated = {c for c in corpora if c in walls.gated or c not in (walls.known or corpora)}
    by_model: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for answer in answers:
        if answer["control"] == "none" and answer["model"] not in BASELINES:
            by_model.setdefault((answer["task"], answer["model"]), []).append(answer)
    chosen = [
        case
        for (task, _), rows in sorted(by_model.items())
        for case in worst(task, rows, {row["item_id"]: row for row in items[task]})
    ]
    wanted = {item["segment_id"] for item, *_ in chosen if item["corpus"] not in gated}
    segments = _segments(store, wanted)
    return [
        Case(
            task=answer["task"],
            model=answer["model"],
            item_id=item["item_id"],
            corpus=item["corpus"],
            category=item["category"],
            question=item["prompt"],
            reference=words_of(answer["task"], item, item["answer"]),
            answer=words_of(answer["task"], item, answer["answer"] or answer["output"]),
            score=score,
            is_parsed=answer["is_parsed"],
            is_gated=item["corpus"] in gated,
            page=_page(segments.get(item["segment_id"]), item, answer),
        )
        for item, answer, score in chosen
    ]


def _segments(store: TableStore, wanted: set[str]) -> dict[str, Mapping[str, Any]]:
    return {
        row["segment_id"]: row
        for shard in (store.partitions("segments") if wanted else ())
        for frame in store.iter_frames("segments", shard)
        for row in frame.filter(pl.col("segment_id").is_in(wanted)).iter_rows(named=True)
    }


def _page(
    segment: Mapping[str, Any] | None, item: Mapping[str, Any], answer: Mapping[str, Any]
) -> bytes | None:
    """Render the page of a case; boxes are drawn over it. None where it may not be or is not stored."""
    if segment is None:
        return None
    if TASKS[answer["task"]].kind != "boxes":
        return previews.page_png_of_row(segment)
    marked = marked_boxes(item["answer"], answer["answer"])
    return previews.boxed_page_png_of_row(
        segment,
        [(b.channel, b.t0_s, b.t1_s, MARK_COLOURS[verdict]) for b, verdict in marked],
    )


def _notes(store: TableStore, items: Mapping[str, Rows]) -> Notes:
    corpora = {row["corpus"] for rows in items.values() for row in rows}
    versions = {
        f"input:{table}:{part}": manifest.data_version
        for table in ("benchmark_items", "model_answers", "scores")
        for part in store.partitions(table)
        if (manifest := store.manifest(table, part)) is not None
    }
    versions["code"] = provenance.code_version(*_CODE)
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
