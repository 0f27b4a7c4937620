"""What a benchmark task is, and which there are.

A task is a version, a prompt, the table its references come from, and how its items are built and
its answers scored. The three tasks themselves are in ``tasks/catalogue.py``; items are built by
``tasks/items.py``; scores by ``scores/scoring.py`` and ``scores/detection_scores.py``.

The version is raised whenever scores can move: another prompt, another parser, another sampling of
items (``engine.md`` E: lm-evaluation-harness keeps the same rule).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmark.tasks.registry import Registry

Row = Mapping[str, Any]
"""One row of a stored table."""

TaskKind = Literal["choice", "text", "boxes"]


@dataclass(frozen=True, slots=True)
class Task:
    """One benchmark task.

    Parameters
    ----------
    name
        Task id, the partition key of its items.
    version
        Raised whenever scores can move.
    kind
        How an answer is parsed: ``choice`` a letter, ``text`` as it stands, ``boxes`` a JSON list.
    title, meaning
        Words for the report.
    source_table
        Table the reference answers come from.
    prompt
        Template of the text shown to a model; ``{question}`` and ``{options}`` where used.
    max_new_tokens
        Longest answer that is read.
    default_cap
        Items kept when the caller names no other number.
    primary_metric
        The one endpoint named beforehand (``evaluation.md`` 6.9).
    controls
        Page controls shown beside every score of this task unless others are asked for.
    build
        Makes candidate items from rows of the source table (see ``tasks/items.py``).
    score
        Makes rows of table ``scores`` (see ``scores/scoring.py``).
    """

    name: str
    version: str
    kind: TaskKind
    title: str
    meaning: str
    source_table: str
    prompt: str
    max_new_tokens: int
    default_cap: int
    primary_metric: str
    controls: tuple[str, ...]
    build: Callable[..., Any]
    score: Callable[..., Any]

    @property
    def fingerprint(self) -> str:
        """Hash of everything about the task that is not its items."""
        said = [self.name, self.version, self.kind, self.prompt, self.max_new_tokens]
        return hashlib.sha256(json.dumps(said, ensure_ascii=True).encode()).hexdigest()[:16]


TASKS: Registry[Task] = Registry(
    "task",
    Task,
    {
        "mcq": "benchmark.tasks.catalogue:MCQ",
        "caption": "benchmark.tasks.catalogue:CAPTION",
        "waveform_boxes": "benchmark.tasks.catalogue:WAVEFORM_BOXES",
    },
).freeze()


def items_hash(task: Task, items: Sequence[Row]) -> str:
    """Return the hash over a task's items, prompts and targets.

    Two results may be compared only where this hash is the same. The order of rows does not matter.

    Parameters
    ----------
    task
        The task.
    items
        Rows of table ``benchmark_items``.
    """
    lines = sorted(
        json.dumps(
            [row["item_id"], row["prompt"], list(row["options"]), row["answer"]], ensure_ascii=True
        )
        for row in items
    )
    return hashlib.sha256("\n".join([task.fingerprint, *lines]).encode()).hexdigest()
