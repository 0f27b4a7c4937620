"""Two runs beside each other: paired differences of two models over the same items.

A run is a folder that ``reports/report.py`` wrote with its answers. Tasks are compared only where the hash
over items, prompts and targets is the same; what is set aside says why. Differences are paired by
item and resampled by subject (``evaluation.md`` 6.9); a classification task is tested on balanced
accuracy, its primary metric, every other task on the mean score of its answers. Metrics stand for
themselves, and Holm's correction runs over the tasks of the comparison.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmark.asking.exchange import read_answers
from benchmark.errors import BenchmarkError
from benchmark.reports.result import DISCLAIMER, Result
from benchmark.scores.classification import balanced_gap, right_option
from benchmark.scores.intervals import (
    LEVEL,
    Floats,
    Interval,
    holm,
    mcnemar_p,
    mean_interval,
    sign_permutation_p,
    wilcoxon_p,
)
from benchmark.scores.metrics import METRICS, choice_sums, recall_mean
from benchmark.scores.scoring import BASELINES
from benchmark.tasks.registry import unknown
from benchmark.tasks.task import TASKS, Row

ANSWERS_FILE = "answers.parquet"
RESULT_FILE = "result.json"
REFERENCES_FILE = "references.json"
BALANCED = "balanced_accuracy"


@dataclass(frozen=True, slots=True)
class Run:
    """A run as read back: its result, its graded answers, right options of classification items."""

    name: str
    result: Result
    answers: tuple[Row, ...]
    references: Mapping[str, str] = field(default_factory=dict)

    def models(self) -> tuple[str, ...]:
        """Return the models under test, baselines left out."""
        return tuple(sorted({r["model"] for r in self.answers} - set(BASELINES)))


@dataclass(frozen=True, slots=True)
class PairedTest:
    """One task, model B minus model A, item by item.

    Parameters
    ----------
    task, metric
        What was scored: balanced accuracy of classification tasks, else ``score`` of the graded
        answers, x100 for texts.
    value_a, value_b
        Of the items both were asked.
    gap
        B minus A with its interval clustered by subject.
    p_permutation
        Two-sided, signs flipped by subject.
    p_holm
        The same, corrected over the tasks of the comparison.
    p_wilcoxon
        Signed ranks of subject means, items weighted by class for balanced accuracy; None with fewer
        than two subjects that differ.
    p_mcnemar
        Exact, only for accuracy with one item per subject; else None, since items of a subject are
        not independent.
    n_items, n_unparsed_a, n_unparsed_b
        Items both were asked, and unread answers, which count as wrong.
    n_left_out
        Items that only one was asked, since their rows may not leave for the other.
    verdict
        ``B is higher``, ``B is lower`` or ``no difference is shown``.
    """

    task: str
    metric: str
    value_a: float
    value_b: float
    gap: Interval
    p_permutation: float
    p_holm: float
    p_wilcoxon: float | None
    p_mcnemar: float | None
    n_items: int
    n_unparsed_a: int
    n_unparsed_b: int
    n_left_out: int
    verdict: str

    @property
    def scale(self) -> float:
        """What values are shown times: shares as per cent."""
        return 100.0 if METRICS[self.metric].unit == "share" else 1.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything two runs can be compared in, and what differs between them otherwise."""

    run_a: str
    run_b: str
    model_a: str
    model_b: str
    tests: tuple[PairedTest, ...]
    set_aside: Mapping[str, str]
    differences: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain data; keys are stable."""
        return {"disclaimer": DISCLAIMER, **asdict(self)}


def read_run(folder: Path) -> Run:
    """Read a run from its folder.

    Raises
    ------
    BenchmarkError
        If there is no result, it is of another form, or its answers are missing.
    """
    path = folder / RESULT_FILE
    if not path.is_file():
        raise BenchmarkError(
            f"{str(folder)!r} is no benchmark run: it has no {RESULT_FILE}; give the folder of a "
            "leaderboard"
        )
    try:
        result = Result.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BenchmarkError(
            f"{str(path)!r} is no result this version reads: {where}: {first['msg']}; write it again"
        ) from error
    if not (folder / ANSWERS_FILE).is_file():
        raise BenchmarkError(
            f"{str(folder)!r} has no {ANSWERS_FILE}; a comparison is paired by item, so write the "
            "leaderboard again with its answers"
        )
    file = folder / REFERENCES_FILE
    references = json.loads(file.read_bytes()) if file.is_file() else {}
    return Run(folder.name, result, tuple(read_answers(folder / ANSWERS_FILE)), references)


def references_of(items: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """Return the right option of every item of the tasks whose primary metric is balanced accuracy.

    Parameters
    ----------
    items
        Rows of table ``benchmark_items`` by task.
    """
    return {
        row["item_id"]: right_option(row)
        for name in sorted(items)
        if TASKS[name].primary_metric == BALANCED
        for row in items[name]
    }


def compare_runs(
    a: Run, b: Run, *, model_a: str | None = None, model_b: str | None = None, seed: int = 0
) -> Comparison:
    """Compare a model of one run with a model of another, or of the same.

    Parameters
    ----------
    a, b
        The runs.
    model_a, model_b
        Models; the only one of the run where None.
    seed
        Of bootstrap and permutation.

    Raises
    ------
    BenchmarkError
        If a model is not in its run, a run has several and none is named, or both are the same.
    """
    first, second = _model(a, model_a, "A"), _model(b, model_b, "B")
    if a.result.sha256 == b.result.sha256 and first == second:
        raise BenchmarkError(
            f"both sides are model {first!r} of the same run; name two models or give another run"
        )
    set_aside: dict[str, str] = {}
    tests = []
    for task in sorted({*a.result.tasks, *b.result.tasks}):
        said = _answers(a, first, task), _answers(b, second, task)
        cause = _cause(a, b, task, *said)
        if cause:
            set_aside[task] = cause
        else:
            tests.append(_paired(task, *said, {**a.references, **b.references}, seed))
    return Comparison(
        a.name, b.name, first, second, _corrected(tests), set_aside, _differences(a, b)
    )


def compare_models(run: Run, *, seed: int = 0) -> tuple[Comparison, ...]:
    """Compare every two models under test of one run; Holm's correction runs over all tests.

    Parameters
    ----------
    run
        The run.
    seed
        Of bootstrap and permutation.
    """
    pairs = [
        compare_runs(run, run, model_a=a, model_b=b, seed=seed)
        for a, b in itertools.combinations(run.models(), 2)
    ]
    tests = iter(_corrected([test for pair in pairs for test in pair.tests]))
    return tuple(
        replace(pair, tests=tuple(itertools.islice(tests, len(pair.tests)))) for pair in pairs
    )


def _model(run: Run, name: str | None, side: str) -> str:
    models = run.models()
    if name is not None:
        every = {r["model"] for r in run.answers}
        if name not in every:
            raise BenchmarkError(unknown(f"model of run {side}", name, tuple(sorted(every))))
        return name
    if len(models) != 1:
        raise BenchmarkError(
            f"run {side} has {len(models)} models ({', '.join(models) or 'only baselines'}); name "
            f"one with --model-{side.lower()}"
        )
    return models[0]


def _answers(run: Run, model: str, task: str) -> dict[str, Row]:
    return {
        r["item_id"]: r
        for r in run.answers
        if (r["model"], r["control"], r["task"]) == (model, "none", task)
    }


def _cause(a: Run, b: Run, task: str, said_a: Mapping[str, Row], said_b: Mapping[str, Row]) -> str:
    """Return why a task cannot be compared, ``""`` where it can."""
    for side, run in (("A", a), ("B", b)):
        if task not in run.result.tasks:
            return f"run {side} has no such task"
    of_a, of_b = a.result.tasks[task], b.result.tasks[task]
    if of_a.version != of_b.version:
        return f"task versions {of_a.version} and {of_b.version}"
    if of_a.items_sha256 != of_b.items_sha256:
        return "other items, prompts or targets"
    for side, said in (("A", said_a), ("B", said_b)):
        if not said:
            return f"the model of run {side} was not asked"
    common = said_a.keys() & said_b.keys()
    if common not in (said_a.keys(), said_b.keys()):
        return "not the same items were answered"
    if any(r["score"] is None for said in (said_a, said_b) for r in said.values()):
        return "no score per item, such as boxes; compare the intervals of the two reports"
    if _is_balanced(task) and not common <= {*a.references, *b.references}:
        return (
            f"neither run has {REFERENCES_FILE} with its right options; write a leaderboard again"
        )
    return ""


def _is_balanced(task: str) -> bool:
    return task in TASKS and TASKS[task].primary_metric == BALANCED


def _paired(
    task: str, a: Mapping[str, Row], b: Mapping[str, Row], references: Mapping[str, str], seed: int
) -> PairedTest:
    ids = sorted(a.keys() & b.keys())
    subjects = [a[i]["subject_id"] for i in ids]
    of_a, of_b = ([float(side[i]["score"]) for i in ids] for side in (a, b))
    if _is_balanced(task):
        metric, own = BALANCED, [references[i] for i in ids]
        sums = [_sums_of(own, hits) for hits in (of_a, of_b)]
        value_a, value_b = (float(recall_mean(s.sum(axis=0, keepdims=True))[0]) for s in sums)
        gap, gaps = balanced_gap(subjects, own, sums[1], sums[0], seed=seed)
    else:
        metric = "accuracy" if task in TASKS and TASKS[task].kind == "choice" else "rouge1"
        value_a, value_b = sum(of_a) / len(ids), sum(of_b) / len(ids)
        gaps = [y - x for x, y in zip(of_a, of_b, strict=True)]
        gap = mean_interval(subjects, gaps, seed=seed)
    is_single = metric == "accuracy" and len(set(subjects)) == len(ids)
    return PairedTest(
        task=task,
        metric=metric,
        value_a=value_a,
        value_b=value_b,
        gap=gap,
        p_permutation=sign_permutation_p(subjects, gaps, seed=seed),
        p_holm=math.nan,
        p_wilcoxon=wilcoxon_p(subjects, gaps),
        p_mcnemar=mcnemar_p(gaps) if is_single else None,
        n_items=len(ids),
        n_unparsed_a=sum(not a[i]["is_parsed"] for i in ids),
        n_unparsed_b=sum(not b[i]["is_parsed"] for i in ids),
        n_left_out=len(a.keys() ^ b.keys()),
        verdict="",
    )


def _sums_of(reference: Sequence[str], hits: Sequence[float]) -> Floats:
    # recall asks only whether the right option was chosen
    return choice_sums(
        reference, [r if hit else "" for r, hit in zip(reference, hits, strict=True)]
    )


def _corrected(tests: Sequence[PairedTest]) -> tuple[PairedTest, ...]:
    corrected = holm([t.p_permutation for t in tests])
    return tuple(
        replace(t, p_holm=p, verdict=_verdict(t.gap, p))
        for t, p in zip(tests, corrected, strict=True)
    )


def _verdict(gap: Interval, p: float) -> str:
    if gap.includes(0.0) or p >= 1 - LEVEL:
        return "no difference is shown"
    return "B is higher" if gap.value > 0 else "B is lower"


def _differences(a: Run, b: Run) -> tuple[str, ...]:
    """Return in words what else differs between the runs and can move a score."""
    ours, theirs = a.result, b.result
    libraries = sorted({*ours.environment.libraries, *theirs.environment.libraries})
    pairs: list[tuple[str, object, object]] = [
        ("Python", ours.environment.python, theirs.environment.python),
        ("seeds", ours.seeds, theirs.seeds),
        ("bootstrap draws", ours.n_draws, theirs.n_draws),
    ]
    for name in libraries:
        versions = (e.libraries.get(name, "absent") for e in (ours.environment, theirs.environment))
        pairs.append((name, next(versions), next(versions)))
    return tuple(f"{name}: {x} and {y}" for name, x, y in pairs if x != y)


def comparison_markdown(found: Comparison) -> str:
    """Return the comparison as Markdown."""
    lines = [
        f"# {found.model_b} (B) against {found.model_a} (A)",
        "",
        f"{DISCLAIMER} B minus A, paired by item; {LEVEL:.0%} intervals over subjects; p by flipping "
        "the signs of subjects, corrected over the tasks by Holm.",
        "",
        "| task | metric | A | B | B minus A | 95 % interval | p | p Holm | p Wilcoxon | p McNemar "
        "| items | subjects | unparsed A, B | verdict |",
        "|---" * 14 + "|",
    ]
    lines += [_line(test) for test in found.tests]
    lines += ["", *(f"- {task}: not compared, {why}." for task, why in found.set_aside.items())]
    lines += [f"- differs: {what}." for what in found.differences]
    return "\n".join(lines).rstrip() + "\n"


def _line(t: PairedTest) -> str:
    scale, low, high = t.scale, t.gap.low, t.gap.high
    between = "none" if low is None or high is None else f"{scale * low:.1f} to {scale * high:.1f}"
    weak = ", weak interval" if t.gap.is_weak else ""
    weak += f", {t.n_left_out} items asked of one alone" if t.n_left_out else ""
    cells = (
        t.task, t.metric, f"{scale * t.value_a:.1f}", f"{scale * t.value_b:.1f}",
        f"{scale * t.gap.value:+.1f}", between, *map(_p, (t.p_permutation, t.p_holm)),
        *map(_p, (t.p_wilcoxon, t.p_mcnemar)), t.n_items, t.gap.n_subjects,
        f"{t.n_unparsed_a}, {t.n_unparsed_b}", f"**{t.verdict}**{weak}",
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def _p(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
