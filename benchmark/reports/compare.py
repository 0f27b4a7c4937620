"""Two runs beside each other: paired differences of two models over the same items.

A run is a folder that ``reports/report.py`` wrote with its answers. Tasks are compared only where the hash
over items, prompts and targets is the same; what is set aside says why. Differences are paired by
item and resampled by subject (``evaluation.md`` 6.9), each task on its primary metric; one test is in
``reports/paired.py``. Metrics stand for themselves, and Holm's correction runs over the tasks of the
comparison.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmark.asking.exchange import read_answers
from benchmark.errors import BenchmarkError
from benchmark.reports.paired import PairedTest, needs_references, paired_test
from benchmark.reports.result import DISCLAIMER, Result, TaskResult
from benchmark.scores.intervals import LEVEL, Interval, holm
from benchmark.scores.scoring import BASELINES
from benchmark.tasks.registry import unknown
from benchmark.tasks.task import TASKS, Row

ANSWERS_FILE = "answers.parquet"
RESULT_FILE = "result.json"
REFERENCES_FILE = "references.json"


@dataclass(frozen=True, slots=True)
class Run:
    """A run as read back: its result, its graded answers, what is right of items that need it."""

    name: str
    result: Result
    answers: tuple[Row, ...]
    references: Mapping[str, str] = field(default_factory=dict)

    def models(self) -> tuple[str, ...]:
        """Return the models under test, baselines left out."""
        return tuple(sorted({r["model"] for r in self.answers} - set(BASELINES)))


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
            tests.append(paired_test(task, *said, {**a.references, **b.references}, seed))
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
    cause = other_rules(a.result.tasks[task], b.result.tasks[task])
    if cause or task not in TASKS:
        return cause or "this version knows no such task"
    scored, ours = a.result.tasks[task].score_version, TASKS[task].score_version
    if scored != ours:
        return f"scored by version {scored} and this is version {ours}; score the answers again"
    for side, said in (("A", said_a), ("B", said_b)):
        if not said:
            return f"the model of run {side} was not asked"
    common = said_a.keys() & said_b.keys()
    if common not in (said_a.keys(), said_b.keys()):
        return "not the same items were answered"
    if needs_references(task):
        is_told = common <= {*a.references, *b.references}
        advice = f"neither run has {REFERENCES_FILE} with what is right; write a leaderboard again"
        return "" if is_told else advice
    is_graded = all(r["score"] is not None for said in (said_a, said_b) for r in said.values())
    return "" if is_graded else "answers without a score; write a leaderboard again"


def other_rules(a: TaskResult, b: TaskResult) -> str:
    """Return what makes the scores of one task in two runs two things, ``""`` where nothing does."""
    if a.version != b.version:
        return f"task versions {a.version} and {b.version}"
    if a.items_sha256 != b.items_sha256:
        return "other items, prompts or targets"
    if a.score_version != b.score_version:
        return f"score versions {a.score_version} and {b.score_version}"
    return ""


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


def few_words(tests: Sequence[PairedTest]) -> str:
    """Say that no test can show anything where so few subjects stand behind it, "" otherwise."""
    least = [t.gap.n_subjects for t in tests if 2.0 ** (1 - t.gap.n_subjects) >= 1 - LEVEL]
    if not least:
        return ""
    n, p = max(least), 2.0 ** (1 - max(least))
    return f" With {n} subjects or fewer no difference can be shown: p is never below {p:.2g}."


def comparison_markdown(found: Comparison) -> str:
    """Return the comparison as Markdown."""
    lines = [
        f"# {found.model_b} (B) against {found.model_a} (A)",
        "",
        f"{DISCLAIMER} B minus A, paired by item; {LEVEL:.0%} intervals over subjects; p by "
        "exchanging A and B subject by subject, corrected over the tasks by Holm. Shares are shown "
        f"in %.{few_words(found.tests)}",
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
