"""The leaderboard report: Markdown in plain words, plots, ``result.json``.

It says what a reader must know before quoting a number: whether the interval includes chance,
whether the page mattered, how many subjects stand behind it, which pages are simulated. Scores come
from ``scores/scoring.py`` and ``scores/detection_scores.py``; the keys of the result are in
``reports/result.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.asking.controls import CONTROLS, missing_controls
from benchmark.asking.exchange import write_answers, write_bytes
from benchmark.asking.exposure import Exposure
from benchmark.errors import BenchmarkError
from benchmark.judging.summary import JudgeSummary
from benchmark.reports.compare import ANSWERS_FILE, REFERENCES_FILE
from benchmark.reports.html_summary import primary_rows
from benchmark.reports.markdown_models import exposure_lines, group_lines, judged_lines
from benchmark.reports.paired import references_of
from benchmark.reports.plots import Bar, interval_plot
from benchmark.reports.result import DISCLAIMER, Result, ScoreResult, TaskResult, make_result
from benchmark.scores.control_rows import NOT_ASKED
from benchmark.scores.intervals import WEAK_BELOW_SUBJECTS
from benchmark.scores.metrics import METRICS, metric_of
from benchmark.scores.scoring import BASELINES, KIND_BASELINES, WEAK_NOTE
from benchmark.tasks.task import TASKS, Row

_BASELINE_WORDS = {
    "majority": "always the letter right most often in training",
    "prior": "the shown option right most often in training, page unseen",
    "constant_template": "the most typical training caption, whatever the page",
    "shuffled_reference": "the right text of another page",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What was written.

    Parameters
    ----------
    path
        The Markdown file; plots and ``result.json`` lie beside it.
    markdown
        Its text.
    summary
        The same without the folded tables of every metric, for a page of the UI.
    plots
        Plot files by name.
    sha256
        Hash of the numbers.
    """

    path: Path
    markdown: str
    summary: str
    plots: Mapping[str, Path]
    sha256: str


def write_report(
    folder: Path,
    scores: Sequence[Row],
    items: Mapping[str, Sequence[Row]],
    *,
    seeds: Mapping[str, int] | None = None,
    answers: Sequence[Row] = (),
    exposure: Mapping[str, Exposure] | None = None,
    judges: Sequence[JudgeSummary] = (),
) -> Report:
    """Write the report over a table of scores.

    Parameters
    ----------
    folder
        Where ``leaderboard.md``, ``result.json`` and the plots go; each file is replaced whole.
    scores
        Rows of table ``scores``, of any tasks and models.
    items
        Rows of table ``benchmark_items`` by task.
    seeds
        Seeds by what they were used for; ``{"controls": 0, "scores": 0}`` where None.
    answers
        Graded rows of table ``model_answers``; with them the folder is a run that ``reports/compare.py``
        reads.
    exposure
        What models under test have seen, by model.
    judges
        Judged scores, shown beside the others.

    Raises
    ------
    BenchmarkError
        If there are no scores, or a scored task comes without its items.
    """
    if not scores:
        raise BenchmarkError("there are no scores to report; score a model on a task first")
    without = sorted({row["task"] for row in scores} - {t for t, rows in items.items() if rows})
    if without:
        raise BenchmarkError(f"task {without[0]!r} has scores but no items; build its items first")
    result = make_result(scores, items, seeds or {"controls": 0, "scores": 0}, exposure)
    plots = {name: png for task in result.tasks for name, png in _plots(result, task).items()}
    for name, png in plots.items():
        write_bytes(folder / name, png)
    markdown = _markdown(result, tuple(plots), judges)
    if answers:
        order = sorted(answers, key=lambda r: (r["task"], r["model"], r["control"], r["item_id"]))
        once = {(r["item_id"], r["model"], r["control"]): r for r in order}
        write_answers(folder / ANSWERS_FILE, list(once.values()))
        right = json.dumps(references_of(items), sort_keys=True)
        write_bytes(folder / REFERENCES_FILE, right.encode())
    write_bytes(folder / "result.json", result.to_json().encode())
    write_bytes(folder / "leaderboard.md", markdown.encode())
    paths = {name: folder / name for name in plots}
    summary = _markdown(result, (), judges, is_whole=False)
    return Report(folder / "leaderboard.md", markdown, summary, paths, result.sha256)


def _markdown(
    result: Result, plots: Sequence[str], judges: Sequence[JudgeSummary], *, is_whole: bool = True
) -> str:
    parts = ["# Benchmark", _preface(result)]
    for name, task in result.tasks.items():
        parts.append(f"## {TASKS[name].title}")
        parts.append(_about(name, task))
        parts.append(_leaderboard(result, name, task))
        parts += [f"- {line}" for line in _verdicts(result, name)] or ["No model was scored."]
        parts += [f"- {line}" for line in _without_controls(result, name)]
        parts += group_lines(result, name)
        parts += judged_lines(judges, name)
        parts += [f"![{plot}]({plot})" for plot in plots if plot.startswith(f"{name}_")]
        parts += [_details(result, name)] if is_whole else []
    parts += exposure_lines(result)
    parts.append(_legend(result))
    return "\n\n".join(_join_bullets(parts)) + "\n"


def _join_bullets(parts: Sequence[str]) -> list[str]:
    joined: list[str] = []
    for part in parts:
        if part.startswith("- ") and joined and joined[-1].startswith("- "):
            joined[-1] += "\n" + part
        else:
            joined.append(part)
    return joined


def _preface(result: Result) -> str:
    return (
        f"{DISCLAIMER} Intervals are {result.level:.0%} percentile intervals of {result.n_draws:,} "
        "bootstrap draws over *subjects*. Answers that cannot be read count as wrong and are "
        "counted apart. Small models built from random weights are expected near chance; a score "
        "whose interval includes chance shows that the path works, not that the model has learnt "
        "anything. A score that does not fall when the page is taken away does not come from the "
        "page."
    )


def _about(name: str, task: TaskResult) -> str:
    corpora = ", ".join(f"{corpus} {n}" for corpus, n in task.items_per_corpus.items())
    chance = f" Chance is {100 * task.chance:.1f} %." if task.chance is not None else ""
    simulated = ""
    if task.n_simulated_items == task.n_items:
        simulated = " **All pages are simulated**: this says nothing about recorded EEG."
    elif task.n_simulated_items:
        simulated = f" **{task.n_simulated_items} pages are simulated** and scored apart below."
    weak = ""
    if task.n_subjects < WEAK_BELOW_SUBJECTS:
        weak = f" With {task.n_subjects} subjects the intervals themselves are weak."
    return (
        f"{TASKS[name].meaning} {task.n_items} items of {task.n_subjects} test subjects "
        f"({corpora}); version {task.version}, scoring {task.score_version}, items "
        f"`{task.items_sha256[:12]}`.{chance}"
        f"{simulated}{weak}" + "".join(f"\n\n> {line}" for line in task.about)
    )


def _leaderboard(result: Result, name: str, task: TaskResult) -> str:
    unit = METRICS[task.primary_metric].unit
    value = f"{task.primary_metric}{_unit_word(unit)}"
    columns = (
        "model", "page shown", value, "95 % interval", "items", "subjects", "unparsed",
        "corpora seen before",
    )  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in primary_rows(result, name):
        words = _BASELINE_WORDS.get(row.model)
        shown = f"({words})" if words else CONTROLS[row.control].meaning
        model = f"*{row.model}*" if words else f"`{row.model}`"
        lines.append(
            f"| {model} | {shown} | {_shown(row.value, unit)} | {_range(row, unit)} "
            f"| {row.n_items} | {row.n_subjects} | {row.n_unparsed} | {result.seen(name, row.model)} |"
        )
    return "\n".join(lines)


def _verdicts(result: Result, name: str) -> list[str]:
    lines = []
    for row in primary_rows(result, name):
        if row.control == "none" and row.model not in BASELINES:
            lines += _verdict(result, row)
    return lines


def _without_controls(result: Result, name: str) -> list[str]:
    """Say which controls a table lacks: a score beside few controls proves little."""
    if TASKS[name].kind == "boxes":
        return []
    lines = []
    rows = primary_rows(result, name)
    for model in dict.fromkeys(r.model for r in rows if r.model not in BASELINES):
        missing = missing_controls(r.control for r in rows if r.model == model)
        if missing:
            lines.append(f"`{model}`: not asked under the controls {', '.join(missing)}.")
    lines += [
        f"`{row.model}`: control {row.control} {_without_weak(row.note)}."
        for row in rows
        if row.value is None and row.note.startswith(NOT_ASKED)
    ]
    there = {r.model for r in rows}
    absent = [b for b in KIND_BASELINES[TASKS[name].kind] if b not in there]
    if absent:
        lines.append(f"Baselines not shown: {', '.join(absent)}.")
    return lines


def _verdict(result: Result, row: ScoreResult) -> list[str]:
    unit = METRICS[row.metric].unit
    lines = []
    if result.tasks[row.task].chance is not None:
        lines.append(f"`{row.model}`: {_spoken(row)}.")
    for gap in result.scores:
        is_of_row = (gap.task, gap.model, gap.control) == (row.task, row.model, row.control)
        if is_of_row and gap.metric.startswith(f"{row.metric}-"):
            other = gap.metric.removeprefix(f"{row.metric}-")
            lines.append(
                f"`{row.model}` minus *{other}*: {_shown(gap.value, unit, sign=True)} points, "
                f"interval {_range(gap, unit)}: {_spoken(gap)}."
            )
    if row.n_unparsed:
        share = row.n_unparsed / row.n_items
        lines.append(
            f"`{row.model}`: {row.n_unparsed} answers ({share:.0%}) could not be read and count as "
            "wrong."
        )
    return lines


def _spoken(row: ScoreResult) -> str:
    """Return a row's note with its verdict, the words before the bracket, in bold."""
    verdict, bracket, rest = _without_weak(row.note).partition(" (")
    return f"**{verdict}**{bracket}{rest}"


def _without_weak(note: str) -> str:
    """Leave out what is said once above the table."""
    return "; ".join(part for part in note.split("; ") if part != WEAK_NOTE)


def _details(result: Result, name: str) -> str:
    """List every other metric; folded, since the primary one was named beforehand."""
    primary = TASKS[name].primary_metric
    lines = [
        "<details><summary>All metrics</summary>",
        "",
        "| model | control | metric | value | 95 % interval | items | unparsed | note |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in result.scores:
        if row.task != name or row.metric == primary or row.metric.startswith(f"{primary}-"):
            continue
        unit = metric_of(row.metric).unit
        lines.append(
            f"| {row.model} | {row.control} | {row.metric} | {_shown(row.value, unit)} | "
            f"{_range(row, unit)} | {row.n_items} | {row.n_unparsed} | {_without_weak(row.note)} |"
        )
    return "\n".join([*lines, "", "</details>"])


def _legend(result: Result) -> str:
    used = {metric_of(row.metric) for row in result.scores}
    bases = [name for name, metric in METRICS.items() if metric in used]
    metrics = "\n".join(f"- `{name}`: {METRICS[name].meaning}" for name in bases)
    versions = ", ".join(f"{k} {v}" for k, v in result.environment.libraries.items())
    prompts = "\n".join(
        f"- {name} (version {t.version}, scoring {t.score_version}, at most "
        f"{t.max_new_tokens} new tokens, greedy): "
        f"`{t.prompt!r}`"
        for name, t in result.tasks.items()
    )
    return (
        f"## How to read this\n\n{metrics}\n\nShares are shown in %. Prompts:\n\n{prompts}\n\n"
        f"Computed with Python {result.environment.python}, {versions}. "
        f"All numbers with their hashes: `result.json`."
    )


def _plots(result: Result, name: str) -> dict[str, bytes]:
    task = TASKS[name]
    unit = METRICS[task.primary_metric].unit
    chance = result.tasks[name].chance
    files = {}
    bars = _bars({_label(r): r for r in primary_rows(result, name)}, unit)
    if bars:
        files[f"{name}_{task.primary_metric}.png"] = interval_plot(
            f"{task.title}: {task.primary_metric} with 95 % intervals over subjects",
            f"{task.primary_metric}{_unit_word(unit)}",
            bars,
            x_max=100.0,
            chance=None if chance is None else 100 * chance,
        )
    of_class = {
        f"{r.metric.removeprefix('ap50:')} / {r.model}": r
        for r in result.scores
        if r.task == name and r.metric.startswith("ap50:") and r.control == "none"
    }
    per_class = _bars(of_class, "share")
    if per_class:
        files[f"{name}_ap50.png"] = interval_plot(
            "AP at IoU 0.5 per class with 95 % intervals over subjects",
            "AP, %",
            per_class,
            x_max=100.0,
            chance=None,
        )
    return files


def _label(row: ScoreResult) -> str:
    return row.model if row.control == "none" else f"{row.model} / {row.control}"


def _bars(rows: Mapping[str, ScoreResult], unit: str) -> list[Bar]:
    scale = _scale(unit)
    bars = []
    for label, row in rows.items():
        if row.value is None:
            continue
        low = None if row.ci_low is None else scale * row.ci_low
        high = None if row.ci_high is None else scale * row.ci_high
        is_own = row.control == "none" and row.model not in BASELINES
        bars.append(Bar(label, scale * row.value, low, high, is_own))
    return bars


def _scale(unit: str) -> float:
    return 100.0 if unit == "share" else 1.0


def _digits(unit: str) -> int:
    return 3 if unit == "index" else 1


def _unit_word(unit: str) -> str:
    return {"share": ", %", "points": "", "index": "", "1/h": " per hour"}[unit]


def _shown(value: float | None, unit: str, *, sign: bool = False) -> str:
    if value is None:
        return "void"
    return f"{_scale(unit) * value:{'+' if sign else ''}.{_digits(unit)}f}"


def _range(row: ScoreResult, unit: str) -> str:
    if row.ci_low is None or row.ci_high is None:
        return "none"
    digits = _digits(unit)
    low, high = (f"{_scale(unit) * edge:.{digits}f}" for edge in (row.ci_low, row.ci_high))
    return f"{low} to {high}"
