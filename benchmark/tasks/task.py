"""What a benchmark task is, and which there are.

A task is a version, a prompt, the table its references come from, and how its items are built and
its answers scored. The tasks themselves are in ``tasks/catalogue.py``, ``tasks/open_bench.py`` and,
for classification, in ``protocols/``; items are built by ``tasks/items.py``; scores by
``scores/scoring.py`` and ``scores/detection_scores.py``.

A version is raised whenever scores can move (``engine.md`` E: lm-evaluation-harness keeps the same
rule). There are two, so that mending a score draws no other items: ``version`` for the items and how
they are asked and read, which also seeds the draw, and ``score_version`` for how answers are scored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmark.tasks.registry import Registry

Row = Mapping[str, Any]
"""One row of a stored table."""

TaskKind = Literal["choice", "text", "boxes"]

PROTOCOLS = Path(__file__).with_name("protocols")
"""One YAML file per classification task, named like the task; read by ``tasks/protocol.py``."""
PROTOCOL_NAMES = (
    "ad65", "adhd_child", "boas", "cap", "chb_mit", "depression_122", "depression_122_eyes",
    "dreams_patients", "dreams_subjects", "ds004902_eyes", "ds004902_sleep", "ds006036_eyes",
    "eegmmidb_eyes", "helsinki_neonatal", "hmc", "lemon_eyes", "mdd_64", "motor_imagery", "pd31",
    "physionet_2018", "schizophrenia_28", "seed", "seed_iv", "siena", "sleep_edfx", "tuab", "tuar",
    "tuep", "tuev", "tusl", "tusz", "workload",
)  # fmt: skip
"""Their names; a test holds them to the files."""


@dataclass(frozen=True, slots=True)
class Task:
    """One benchmark task.

    Parameters
    ----------
    name
        Task id, the partition key of its items.
    version
        Raised when prompt, parser or sampling change; other items are drawn then.
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
    corpora
        Corpora the items come from, whatever the release; empty for those of the release.
    is_zero_shot
        NeuroNarrator never trained on these corpora, and everybody may be asked about where the model
        asked did not either.
    digest
        Hash of the protocol of a classification task.
    about
        Lines for the report: published protocols and what is done otherwise.
    family
        Tasks of one family draw the same pages where the same pages can be asked about.
    tables
        Tables besides those of :class:`benchmark.tasks.items.Sources` that items are made from.
    score_version
        Raised when the same answers may score otherwise; the items stay.
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
    corpora: tuple[str, ...] = ()
    is_zero_shot: bool = False
    digest: str = ""
    about: tuple[str, ...] = ()
    family: str = ""
    tables: tuple[str, ...] = ()
    score_version: str = "1"

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides what is asked and how it is read, but for the items."""
        said = [self.name, self.version, self.kind, self.prompt, self.max_new_tokens]
        said += [self.digest] if self.digest else []
        return hashlib.sha256(json.dumps(said, ensure_ascii=True).encode()).hexdigest()[:16]


TASKS: Registry[Task] = Registry(
    "task",
    Task,
    {
        "mcq": "benchmark.tasks.catalogue:MCQ",
        "caption": "benchmark.tasks.catalogue:CAPTION",
        "waveform_boxes": "benchmark.tasks.catalogue:WAVEFORM_BOXES",
        "open_description": "benchmark.tasks.open_bench:OPEN_DESCRIPTION",
        "open_mcq": "benchmark.tasks.open_bench:OPEN_MCQ",
        "open_dialogue": "benchmark.tasks.open_bench:OPEN_DIALOGUE",
        "open_boxes": "benchmark.tasks.open_bench:OPEN_BOXES",
        "narrative": "benchmark.tasks.open_bench:NARRATIVE",
        **dict.fromkeys(PROTOCOL_NAMES, "benchmark.tasks.classification:classification_task"),
    },
).freeze()


def items_hash(task: Task, items: Sequence[Row]) -> str:
    """Return the hash over a task's items, prompts and targets.

    Two results may be compared only where this hash and the score version are the same. The order of
    rows does not matter.

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
