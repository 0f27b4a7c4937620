"""The open bench by group and sub-category: items, and every model's score with its interval.

One table for both reports; ``reports/html.py`` and ``reports/report.py`` write it down. The groups
are a stated table of ours (``tasks/open_categories.py``).
"""

from __future__ import annotations

from benchmark.reports.html_parts import range_of, shown
from benchmark.reports.result import Result
from benchmark.tasks.open_bench import FAMILY
from benchmark.tasks.open_categories import GROUPS, SUB_CATEGORIES, group_of
from benchmark.tasks.task import TASKS

GROUP_WORDS = (
    "By group and sub-category of the page, the page itself shown; a page with several findings is "
    "counted under the rarest."
)


def group_table(result: Result, name: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]] | None:
    """Return columns and rows of the table of one task, None where it is not of the open bench.

    Parameters
    ----------
    result
        The run.
    name
        Task.
    """
    if TASKS[name].family != FAMILY:
        return None
    counts = result.tasks[name].items_per_category
    metric = result.tasks[name].primary_metric
    scores = {
        (r.model, r.metric): f"{shown(r.value, metric)} ({range_of(r)})"
        for r in result.scores
        if r.task == name and r.control == "none"
    }
    models = tuple(dict.fromkeys(model for model, found in scores if found == metric))
    rows = []
    for group in GROUPS:
        n = sum(count for category, count in counts.items() if group_of(category) == group)
        names = (c for c, entry in SUB_CATEGORIES.items() if entry.group == group)
        for part, n_part in ((group, n), *((c, counts.get(c, 0)) for c in names)):
            cells = (scores.get((model, f"{metric}[{part}]"), "none") for model in models)
            rows.append((part, str(n_part), *cells))
    return ("pages with", "items", *models), rows
