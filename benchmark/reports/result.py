"""The result file: every key of ``result.json`` with its meaning, strict in both directions.

What makes a score trusted is stored with it: task versions, a hash over items, prompts and targets,
seeds, library versions, how many answers could not be read (``engine.md`` E). There is no time and
no machine name in it, so the same scores give the same bytes. Words and plots are in ``reports/report.py``.
"""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from benchmark.asking.exposure import Exposure, mark
from benchmark.scores.intervals import LEVEL, N_DRAWS
from benchmark.scores.metrics import metric_of
from benchmark.scores.scoring import BASELINES, chance_level
from benchmark.tasks.registry import unknown
from benchmark.tasks.task import TASKS, Row, items_hash

DISCLAIMER = "Research software, not a medical device."

LIBRARIES = (
    "numpy", "polars", "pyarrow", "rouge-score", "nltk", "torch", "transformers", "onnxruntime",
    "scipy", "timescoring",
)  # fmt: skip
"""Libraries whose version can move a score."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TaskResult(_Strict):
    """What one task is and what its items are."""

    version: str = Field(description="raised when the items or how they are asked change")
    score_version: str = Field(
        default="1", description="raised when the same answers may score otherwise"
    )
    fingerprint: str = Field(description="hash of prompt, parser kind and answer length")
    items_sha256: str = Field(description="hash over items, prompts and targets")
    prompt: str = Field(description="template of the text shown")
    max_new_tokens: int = Field(description="longest answer read")
    primary_metric: str = Field(description="the endpoint named beforehand")
    n_items: int = Field(description="items asked")
    n_simulated_items: int = Field(description="items whose page is simulated")
    n_subjects: int = Field(description="subjects they come from, all of the test split")
    items_per_corpus: dict[str, int] = Field(description="items by corpus")
    chance: float | None = Field(description="accuracy of uniform guessing; null for open tasks")
    items_per_category: dict[str, int] = Field(
        default_factory=dict, description="items by sub-category, such as a question's type"
    )
    about: list[str] = Field(
        default_factory=list, description="published protocols, and what is done otherwise here"
    )


class ScoreResult(_Strict):
    """One row of table ``scores``."""

    task: str
    model: str
    control: str
    metric: str
    value: float | None = Field(description="point estimate; null where it is void")
    ci_low: float | None = Field(description="lower edge of the interval; null with one subject")
    ci_high: float | None
    n_items: int
    n_subjects: int
    n_unparsed: int = Field(description="unread answers, counted as wrong")
    note: str


class Environment(_Strict):
    """What the numbers were computed with."""

    python: str
    libraries: dict[str, str] = Field(description="installed versions; absent ones left out")


class Result(_Strict):
    """The whole file."""

    schema_version: int = 1
    disclaimer: str = DISCLAIMER
    level: float = Field(description="of the intervals, percentile bootstrap over subjects")
    n_draws: int = Field(description="bootstrap draws")
    seeds: dict[str, int] = Field(description="of controls and of scores")
    tasks: dict[str, TaskResult]
    scores: list[ScoreResult]
    environment: Environment
    exposure: dict[str, Exposure] = Field(
        default_factory=dict, description="which corpora each model under test has seen"
    )

    @property
    def sha256(self) -> str:
        """Hash of the numbers, whatever they were computed with."""
        numbers = self.model_dump_json(exclude={"environment"})
        return hashlib.sha256(numbers.encode()).hexdigest()

    def seen(self, task: str, model: str) -> str:
        """Return what stands beside a model's score on a task about its training data.

        "" for a baseline, which is fitted on training rows of the release and looks at no page.
        """
        if model in BASELINES:
            return ""
        return mark(self.exposure.get(model), self.tasks[task].items_per_corpus)

    def to_json(self) -> str:
        """Return the text of ``result.json``."""
        return self.model_dump_json(indent=1) + "\n"


def make_result(
    scores: Sequence[Row],
    items: Mapping[str, Sequence[Row]],
    seeds: Mapping[str, int],
    exposure: Mapping[str, Exposure] | None = None,
) -> Result:
    """Gather scores and what they stand on.

    Parameters
    ----------
    scores
        Rows of table ``scores``. A baseline scored beside several models comes several times and is
        kept once: on the most items, with its other values in the note.
    items
        Rows of table ``benchmark_items`` by task.
    seeds
        Seeds by what they were used for.
    exposure
        What models under test have seen, by model; those without a score are left out.

    Raises
    ------
    KeyError
        If a task is not registered.
    """
    return Result(
        level=LEVEL,
        n_draws=N_DRAWS,
        seeds=dict(sorted(seeds.items())),
        tasks={name: _task_result(name, items[name]) for name in sorted(items)},
        scores=_each_once(scores),
        environment=Environment(python=platform.python_version(), libraries=_versions()),
        exposure={
            model: (exposure or {})[model]
            for model in sorted({row["model"] for row in scores})
            if model in (exposure or {})
        },
    )


def _each_once(scores: Sequence[Row]) -> list[ScoreResult]:
    """Keep one row of each task, model, control and metric, in the order of the report."""
    found: dict[tuple[str, ...], dict[str, ScoreResult]] = {}
    for row in sorted(scores, key=_score_order):
        entry = ScoreResult(**{**row, "value": _number(row["value"])})
        key = (entry.task, entry.model, entry.control, entry.metric)
        found.setdefault(key, {})[entry.model_dump_json()] = entry
    return [_whole(list(entries.values())) for entries in found.values()]


def _whole(entries: Sequence[ScoreResult]) -> ScoreResult:
    """Return the row on the most items, and say in its note what the others are.

    A baseline differs where a hosted model was asked fewer items, or where models were trained on
    other releases, on which their baselines are fitted.
    """
    first, *others = sorted(entries, key=lambda e: (-e.n_items, e.model_dump_json()))
    said = [f"{_value_words(e)} on {e.n_items} items beside another model" for e in others]
    note = "; ".join(part for part in (first.note, *said) if part)
    return first.model_copy(update={"note": note}) if others else first


def _value_words(entry: ScoreResult) -> str:
    if entry.value is None:
        return "void"
    unit = metric_of(entry.metric).unit
    return f"{100 * entry.value:.1f} %" if unit == "share" else f"{entry.value:.1f}"


def _score_order(row: Row) -> tuple[Any, ...]:
    is_baseline = row["model"] in BASELINES
    return (row["task"], is_baseline, row["model"], row["control"] != "none", row["control"],
            row["metric"])  # fmt: skip


def _number(value: float) -> float | None:
    return float(value) if value == value else None  # NaN is no JSON number


def _task_result(name: str, items: Sequence[Row]) -> TaskResult:
    if name not in TASKS:
        raise KeyError(unknown("task", name, tuple(TASKS)))
    task = TASKS[name]
    corpora = sorted(row["corpus"] for row in items)
    return TaskResult(
        version=task.version,
        score_version=task.score_version,
        fingerprint=task.fingerprint,
        items_sha256=items_hash(task, items),
        prompt=task.prompt,
        max_new_tokens=task.max_new_tokens,
        primary_metric=task.primary_metric,
        n_items=len(items),
        n_simulated_items=sum(bool(row["is_simulated"]) for row in items),
        n_subjects=len({row["subject_id"] for row in items}),
        items_per_corpus={corpus: corpora.count(corpus) for corpus in dict.fromkeys(corpora)},
        chance=chance_level(items) if task.kind == "choice" and items else None,
        items_per_category=dict(sorted(Counter(row["category"] for row in items).items())),
        about=list(task.about),
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
