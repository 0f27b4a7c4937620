"""Parts of the HTML report about other runs: what changed since one before, and what this one is.

Only scores that both runs have, over the same items and by the same rule, are put beside each other.
Paired tests are in ``reports/compare.py``; pieces are written by ``reports/html_parts.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.reports.compare import other_rules
from benchmark.reports.html_parts import (
    figure,
    metric_unit,
    page_shown,
    range_of,
    scale_of,
    score_label,
    shown,
    table,
    text,
    unit_word,
    warning,
)
from benchmark.reports.html_plots import Change, change_svg
from benchmark.reports.result import Result, ScoreResult
from benchmark.tasks.task import TASKS

Key = tuple[str, str]
"""Model and control."""


def comparison_part(result: Result, earlier: Result | None) -> str:
    """Return what changed since an earlier run."""
    if earlier is None:
        return "<p>There is no earlier run to compare with.</p>"
    if earlier.sha256 == result.sha256:
        return f"<p>The earlier run has the same numbers (<code>{result.sha256[:12]}</code>).</p>"
    parts = [
        f"<p>Earlier <code>{earlier.sha256[:12]}</code>, now <code>{result.sha256[:12]}</code>. "
        "Overlapping intervals are no test: <code>neurogloss benchmark compare RUN_A RUN_B</code> "
        "makes a paired one from the answers of two leaderboards.</p>"
    ]
    for name, task in result.tasks.items():
        before = earlier.tasks.get(name)
        cause = "" if before is None else other_rules(before, task)
        if before is None:
            parts.append(warning(f"Task {name!r} is not in the earlier run."))
        elif before.items_sha256 != task.items_sha256:
            parts.append(warning(f"Task {name!r} has other items: its scores cannot be compared."))
        elif cause:
            parts.append(warning(f"Task {name!r} has {cause}: its scores cannot be compared."))
        else:
            parts.append(_changes(result, earlier, name))
    gone = sorted(set(earlier.tasks) - set(result.tasks))
    parts += [warning(f"Task {name!r} was only in the earlier run.") for name in gone]
    return "\n".join(parts)


def _changes(result: Result, earlier: Result, name: str) -> str:
    metric = result.tasks[name].primary_metric
    was, now = _scored(earlier, name, metric), _scored(result, name, metric)
    both = sorted(was.keys() & now.keys(), key=lambda key: (key[0], key[1] != "none", key[1]))
    moved = [key for key in both if was[key].value != now[key].value]
    said = [f"{len(moved)} of {len(both)} scores changed"]
    for word, only in (("new", now.keys() - was.keys()), ("gone", was.keys() - now.keys())):
        models = sorted({model for model, _ in only})
        said += [f"{word}: {', '.join(models)}"] if models else []
    head = f"<h3>{text(TASKS[name].title)}</h3><p>{text('; '.join(said))}.</p>"
    if not moved:
        return head
    scale, rows, changes = scale_of(metric), [], []
    for key in moved:
        a, b = was[key], now[key]
        gap = "void"
        if a.value is not None and b.value is not None:
            gap = f"{scale * (b.value - a.value):+.1f}"
            changes.append(Change(score_label(*key), _scaled(a, scale), _scaled(b, scale)))
        cells = [f"{shown(r.value, metric)} ({range_of(r)})" for r in (a, b)]
        rows.append((key[0], page_shown(*key), *cells, gap))
    written = table(("model", "page shown", "earlier", "now", "difference"), rows, heads=True)
    if not changes:
        return head + written
    title = f"{TASKS[name].title}: earlier (square) and now (dot)"
    drawn = change_svg(title, f"{metric}{unit_word(metric_unit(metric))}", changes)
    return head + written + figure(drawn, title)


def _scored(result: Result, name: str, metric: str) -> Mapping[Key, ScoreResult]:
    return {(r.model, r.control): r for r in result.scores if (r.task, r.metric) == (name, metric)}


def _scaled(row: ScoreResult, scale: float) -> tuple[float, float | None, float | None]:
    low = None if row.ci_low is None else scale * row.ci_low
    high = None if row.ci_high is None else scale * row.ci_high
    return scale * (row.value or 0.0), low, high


def provenance_part(result: Result, provenance: Mapping[str, str]) -> str:
    """Return the hashes and versions behind the numbers; those of stored inputs are folded."""
    lines = [("hash of all numbers", result.sha256)]
    lines += [(f"seed of {name}", str(seed)) for name, seed in result.seeds.items()]
    for name, task in result.tasks.items():
        versions = f"items {task.version}, scoring {task.score_version}"
        lines += [(f"versions of {name}", versions), (f"items of {name}", task.items_sha256)]
        lines += [(f"task {name}", task.fingerprint), (f"prompt of {name}", task.prompt)]
    lines += [(name, provenance[name]) for name in sorted(provenance) if not _is_input(name)]
    lines.append(("Python", result.environment.python))
    lines += list(result.environment.libraries.items())
    inputs = [(name, provenance[name]) for name in sorted(provenance) if _is_input(name)]
    return _table(lines) + (
        f"<details><summary>{len(inputs)} stored inputs</summary>{_table(inputs)}</details>"
        if inputs else ""
    )  # fmt: skip


def _is_input(name: str) -> bool:
    return name.startswith("input:")


def _table(lines: Sequence[tuple[str, str]]) -> str:
    return table(("what", "content"), lines, heads=True)
