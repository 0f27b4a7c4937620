"""The first table of the HTML report: every task and model in one line, and what the line shows.

It repeats numbers that stand further down with their controls, so that a reader sees at once whether
a score is told from chance, from the best baseline and from the same question without its page. What
a score is, is in ``scores/``; pieces are written by ``reports/html_parts.py``.
"""

from __future__ import annotations

from benchmark.reports.html_parts import range_of, shown, table, text
from benchmark.reports.result import Result, ScoreResult
from benchmark.scores.scoring import BASELINES
from benchmark.tasks.task import TASKS

WITHOUT_PAGE = ("text_only", "blank", "shuffled")
"""Controls that take the page away, the plainest first: detectors have only the last."""
_WORDS = (
    "Each line is one model on one task, the page itself shown. A score counts for something where "
    "it is told from chance, lies above the best baseline, which sees no page, and falls when the "
    "page is taken away. Differences are paired by item; the tests behind the words are in the "
    "task's own part."
)


def summary_part(result: Result) -> str:
    """Return the table, models best first within each task."""
    rows = []
    for name in result.tasks:
        own = primary_rows(result, name)
        rows += [_line(result, row) for row in own if row.control == "none" and _is_model(row)]
    if not rows:
        return "<p>No model was scored.</p>"
    columns = ("task", "model", "value", "told from chance", "above the best baseline",
               "falls without its page", "read with care")  # fmt: skip
    return f"<p>{text(_WORDS)}</p>{table(columns, rows, heads=True)}"


def primary_rows(result: Result, name: str) -> list[ScoreResult]:
    """Return the rows of a task's primary metric: models best first, each above its controls."""
    metric = result.tasks[name].primary_metric
    rows = [s for s in result.scores if s.task == name and s.metric == metric]
    best = {r.model: r.value or 0.0 for r in rows if r.control == "none"}
    return sorted(
        rows,
        key=lambda r: (
            not _is_model(r), -best.get(r.model, 0.0), r.model, r.control != "none", r.control
        ),
    )  # fmt: skip


def _is_model(row: ScoreResult) -> bool:
    return row.model not in BASELINES


def _line(result: Result, row: ScoreResult) -> tuple[str, ...]:
    gaps = {
        s.metric.removeprefix(f"{row.metric}-"): s
        for s in result.scores
        if (s.task, s.model, s.control) == (row.task, row.model, "none")
        and s.metric.startswith(f"{row.metric}-")
    }
    baselines = {
        s.model: s.value
        for s in result.scores
        if (s.task, s.metric) == (row.task, row.metric) and not _is_model(s) and s.value is not None
    }
    best = max(baselines, key=lambda name: baselines[name], default="")
    without = next((name for name in WITHOUT_PAGE if name in gaps), "")
    chance = result.tasks[row.task].chance
    told = "no chance level" if chance is None else f"{_said(row)} (chance {100 * chance:.1f} %)"
    return (
        f"{TASKS[row.task].title}: {row.metric}", row.model,
        f"{shown(row.value, row.metric)} ({range_of(row)})", told, _gap(gaps.get(best), best, "baseline"),
        _gap(gaps.get(without), without, "such control asked"), _care(result, row),
    )  # fmt: skip


_SAID = {
    "above chance": "yes", "not told from chance": "not shown", "below chance": "no, below it",
    "higher": "yes", "no difference is shown": "not shown", "lower": "no, lower",
}  # fmt: skip
"""What the words before the bracket of a note say, which are the test's."""


def _said(row: ScoreResult) -> str:
    return _SAID.get(row.note.partition(" (")[0], "not tested")


def _gap(gap: ScoreResult | None, name: str, what: str) -> str:
    if gap is None:
        return f"no {what}"
    return (
        f"{_said(gap)}: {shown(gap.value, gap.metric, sign=True)} against {name} ({range_of(gap)})"
    )


def _care(result: Result, row: ScoreResult) -> str:
    task, said = result.tasks[row.task], []
    if task.n_simulated_items:
        share = "all" if task.n_simulated_items == task.n_items else "some"
        said.append(f"{share} pages simulated")
    if row.n_items < task.n_items:
        said.append(f"asked {row.n_items} of {task.n_items} items")
    least = 2.0 ** (1 - row.n_subjects)
    weak = f", so no test can show anything (p is never below {least:.2g})"
    said.append(f"{row.n_subjects} subjects" + (weak if least >= 1 - result.level else ""))
    if row.n_unparsed:
        said.append(f"{row.n_unparsed} of {row.n_items} answers not read")
    seen = result.seen(row.task, row.model)
    words = seen if seen.startswith("trained on") else f"training corpora {seen}"
    return "; ".join([*said, words] if seen else said)
