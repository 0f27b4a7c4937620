"""Parts of the Markdown leaderboard about the models: what they saw before, and judged columns.

The same parts of the HTML report are in ``reports/html_models.py``; the leaderboard itself is in
``reports/report.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.judging.summary import JudgeSummary
from benchmark.reports.groups import GROUP_WORDS, group_table
from benchmark.reports.html_models import judge_note
from benchmark.reports.result import Result
from benchmark.scores.scoring import BASELINES


def exposure_lines(result: Result) -> list[str]:
    """Return the section on what each model under test has seen, as parts of the page."""
    models = dict.fromkeys(r.model for r in result.scores if r.model not in BASELINES)
    if not models:
        return []
    lines = []
    for model in models:
        known = result.exposure.get(model)
        if known is None:
            lines.append(f"- `{model}`: not recorded.")
            continue
        seen = "; ".join(f"{corpus} ({part})" for corpus, part in known.corpora.items())
        lines.append(
            f"- `{model}` (list of its data: {known.status}): {seen or 'no corpus named'}; "
            f"{known.source}."
        )
    said = (
        "A corpus that a model was trained on is named beside its score: even with other subjects, "
        "such a score is not one on an unseen corpus."
    )
    return ["## What the models saw before", said, "\n".join(lines)]


def group_lines(result: Result, task: str) -> list[str]:
    """Return the open bench by group and sub-category, [] for any other task."""
    found = group_table(result, task)
    if found is None:
        return []
    columns, rows = found
    lines = [columns, ("---",) * len(columns), *rows]
    return [GROUP_WORDS, "\n".join(f"| {' | '.join(cells)} |" for cells in lines)]


def judged_lines(judges: Sequence[JudgeSummary], task: str) -> list[str]:
    """Return the judged columns of one task as one table, [] where nothing of it was judged."""
    rows = [
        f"| `{judge.answerer}` | {judge.judge} | {judge.prompt} | {r.axis} | {r.value:.2f} | "
        + ("none" if r.low is None else f"{r.low:.2f} to {r.high:.2f}")
        + f" | {r.n_items} | {judge_note(judge)} |"
        for judge in judges
        if judge.task == task
        for r in judge.rows
    ]
    if not rows:
        return []
    head = "| model | judge | rubric | axis | mean | 95 % interval | items | note |"
    said = "Judged, beside the scores and in none of them:"
    return [said, "\n".join([head, "|---" * 8 + "|", *rows])]
