"""Scores and answers as the reports read them: by today's rules, or left out and named.

Answers are graded when they are asked and scores written when they are made; a scoring rule may have
been mended since. What a rule's version is, is in ``benchmark.tasks.task``; the assets are in
``assets/benchmarks.py`` and ``assets/benchmark_report.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmark.asking.ask import grade
from benchmark.tasks.task import TASKS
from dagster_project.failures import PermanentFailure
from dagster_project.tables.store import TableStore

SCORE_VERSION = "score_version"
"""Key of the provenance of answers and scores; those written before there was one are of version 1."""

Rows = Sequence[Mapping[str, Any]]


def current_scores(store: TableStore, warn: Callable[[str], None]) -> list[str]:
    """Return the partitions of ``scores`` made by today's rules; others are named and left out.

    Parameters
    ----------
    store
        Where the scores lie.
    warn
        Told which are left out.

    Raises
    ------
    PermanentFailure
        If there is none.
    """
    found: list[str] = []
    old: list[str] = []
    for partition in store.partitions("scores"):
        (found if _is_current(store, "scores", partition) else old).append(partition)
    if old:
        warn(
            f"scored by older rules and left out: {', '.join(old)}; materialise 'scores' for them again"
        )
    if not found:
        raise PermanentFailure("no scores yet; materialise 'scores' for a task and a model first")
    return found


def graded_answers(
    store: TableStore, partitions: Sequence[str], items: Mapping[str, Rows]
) -> list[dict[str, Any]]:
    """Return the answers behind scores; those graded by an older rule are graded again.

    Parameters
    ----------
    store
        Where the answers lie.
    partitions
        From :func:`current_scores`.
    items
        Rows of table ``benchmark_items`` by task; a task that was skipped has none.
    """
    rows: list[dict[str, Any]] = []
    for partition in partitions:
        answers = store.read("model_answers", partition).to_dicts()
        task = partition.partition("--")[0]
        is_current = _is_current(store, "model_answers", partition)
        rows += answers if is_current else grade(TASKS[task], items.get(task, ()), answers)
    return rows


def _is_current(store: TableStore, table: str, partition: str) -> bool:
    manifest, task = store.manifest(table, partition), partition.partition("--")[0]
    made = manifest.provenance.get(SCORE_VERSION, "1") if manifest else "1"
    return task in TASKS and made == TASKS[task].score_version
