"""From graded answers to rows of table ``scores``: values, intervals, controls, differences.

An item without an answer is wrong and unparsed, never dropped. Every value carries an interval
clustered by subject; every control stands beside its score, with the paired difference. Boxes are
scored in ``scores/detection_scores.py``; rows of free text and of controls are made in
``scores/text_rows.py`` and ``scores/control_rows.py``; two models are compared in
``reports/compare.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.asking.answers import LETTERS
from benchmark.asking.ask import check_answers, grade
from benchmark.errors import BenchmarkError
from benchmark.scores.intervals import (
    LEVEL,
    WEAK_BELOW_SUBJECTS,
    Interval,
    mean_interval,
    sign_permutation_p,
    wilson_interval,
)
from benchmark.scores.metrics import (
    choice_interval,
    f1_mean,
    f1_weighted,
    kappa_within,
    recall_mean,
)
from benchmark.scores.ranking import auroc_interval, probabilities
from benchmark.tasks.task import Row, Task

if TYPE_CHECKING:
    from benchmark.scores.bert_pairs import TextEncoder
    from prompts.facts.page import PageFacts

BASELINES = ("majority", "prior", "constant_template", "shuffled_reference")
"""Models of ``asking/models.py`` that every other model is compared with, pair by pair."""

KIND_BASELINES = {
    "choice": ("majority", "prior"), "text": ("constant_template", "shuffled_reference"),
    "boxes": (),
}  # fmt: skip
"""Baselines that belong beside every table, by kind of task."""

NO_LOGPROBS = "skipped: {without} of {n} answers came without a log-probability of each option"

WEAK_NOTE = f"weak interval: fewer than {WEAK_BELOW_SUBJECTS} subjects"

Table = list[dict[str, Any]]
_MAX_SLICES = 12  # categories shown; more would be a table nobody reads


def score(
    task: Task,
    items: Sequence[Row],
    answers: Sequence[Row],
    *,
    seed: int = 0,
    thresholds: Mapping[str, float] | None = None,
    facts: Mapping[str, PageFacts] | None = None,
    encoder: TextEncoder | None = None,
) -> Table:
    """Score all answers to one task.

    Parameters
    ----------
    task
        The task.
    items
        Rows of table ``benchmark_items`` of that task.
    answers
        Rows of table ``model_answers``, graded or not, of any models and controls.
    seed
        Seed of bootstrap and permutation.
    thresholds
        For boxes: confidence from which one is an event, by class.
    facts
        For texts: facts of the pages by segment id, which the fact score is against.
    encoder
        For texts: encoder of BERTScore.

    Returns
    -------
    list of dict
        Rows of table ``scores``, sorted by model, control and metric.

    Raises
    ------
    BenchmarkError
        If there are no items, or answers do not belong to them.
    """
    if not items:
        raise BenchmarkError(
            f"task {task.name!r} has no items; it needs test subjects with rows in "
            f"{task.source_table!r}, materialise a corpus that has some"
        )
    check_answers({row["item_id"]: row for row in items}, answers)
    given: dict[str, dict[str, Any]] = {
        "text": {"facts": facts, "encoder": encoder},
        "boxes": {"thresholds": thresholds},
    }
    extra = {k: v for k, v in given.get(task.kind, {}).items() if v is not None}
    rows = task.score(task, sorted(items, key=lambda r: r["item_id"]), answers, seed, **extra)
    return sorted(rows, key=lambda r: (r["model"], r["control"], r["metric"]))


def chance_level(items: Sequence[Row]) -> float:
    """Return the accuracy of uniform guessing: the mean of one over the number of options."""
    return sum(1 / len(row["options"]) for row in items) / len(items)


def score_choice(task: Task, items: Sequence[Row], answers: Sequence[Row], seed: int) -> Table:
    """Score multiple choice."""
    from benchmark.scores.control_rows import control_rows

    rows: Table = []
    right: dict[tuple[str, str], list[float]] = {}
    runs = by_run(grade(task, items, answers))
    for key, said in runs.items():
        right[key] = [float(said_of(said, i, "is_correct", False)) for i in items]
        rows += choice_rows(task, key, items, said, right[key], seed)
    rows += control_rows(task, items, runs, seed)
    return rows + differences(task, items, right, "accuracy", seed)


def choice_rows(
    task: Task, key: tuple[str, str], items: Sequence[Row], said: Mapping[str, Row],
    right: Sequence[float], seed: int,
) -> Table:  # fmt: skip
    """Return the agreement of one run's choices with the reference, slices apart."""
    subjects = [i["subject_id"] for i in items]
    accuracy = mean_interval(subjects, right, seed=seed)
    note = _chance_note(items, right, accuracy, seed)
    low, high = wilson_interval(int(sum(right)), len(items))
    wilson = Interval(accuracy.value, low, high, accuracy.n_subjects)
    reference = [_class_name(i, i["answer"]) for i in items]
    predicted = [_class_name(i, said_of(said, i, "answer", "")) for i in items]
    make = row_maker(task, key, items, said)
    classes = sorted(set(reference))
    n_classes = f"{len(classes)} classes"
    group_of = {_class_name(i, i["answer"]): i["category"] for i in items}
    rows = [
        make("accuracy", accuracy, note),
        make("accuracy_wilson", wilson, "items taken as independent"),
    ]
    statistics = {
        "balanced_accuracy": recall_mean,
        "macro_f1": f1_mean,
        "weighted_f1": f1_weighted,
        "kappa": kappa_within([group_of[name] for name in classes]),
    }
    for metric, statistic in statistics.items():
        interval = choice_interval(statistic, subjects, reference, predicted, seed=seed)
        rows.append(make(metric, interval, n_classes))
    if key[0] not in BASELINES:
        rows += _logprob_rows(make, items, said, reference, seed)
    return rows + slice_rows("accuracy", make, items, right, seed)


def _logprob_rows(
    make: Callable[..., dict[str, Any]], items: Sequence[Row], said: Mapping[str, Row],
    reference: Sequence[str], seed: int,
) -> Table:  # fmt: skip
    """Score what the option log-probabilities say, where every answer has one per option."""
    logprobs = [said_of(said, i, "option_logprobs", ()) for i in items]
    subjects = [i["subject_id"] for i in items]
    without = sum(len(p) != len(i["options"]) for p, i in zip(logprobs, items, strict=True))
    if without:
        void = Interval(math.nan, None, None, len(set(subjects)))
        return [make("auroc", void, NO_LOGPROBS.format(without=without, n=len(items)))]
    likely = [LETTERS[list(p).index(max(p))] for p in logprobs]
    hits = [float(letter == i["answer"]) for letter, i in zip(likely, items, strict=True)]
    best = mean_interval(subjects, hits, seed=seed)
    offered = [[_class_name(i, letter) for letter in LETTERS[: len(i["options"])]] for i in items]
    shares = [probabilities(p) for p in logprobs]
    area = auroc_interval(subjects, reference, offered, shares, seed=seed)
    words = "each option against the rest, mean over options; 50 % is chance"
    return [
        make("accuracy_logprob", best, _chance_note(items, hits, best, seed)),
        make("auroc", area, words),
    ]


def score_text(
    task: Task,
    items: Sequence[Row],
    answers: Sequence[Row],
    seed: int,
    facts: Mapping[str, PageFacts] | None = None,
    encoder: TextEncoder | None = None,
) -> Table:
    """Score free text: word overlap, slots, and facts and embeddings where these are given."""
    from benchmark.scores.control_rows import control_rows
    from benchmark.scores.text_rows import text_rows

    rows: Table = []
    primary: dict[tuple[str, str], list[float]] = {}
    runs = by_run(answers)
    for key, said in runs.items():
        make = row_maker(task, key, items, said)
        texts = [str(said_of(said, i, "answer", "")) for i in items]
        made, primary[key] = text_rows(make, items, texts, seed, facts, encoder)
        rows += made + slice_rows("rouge1", make, items, primary[key], seed)
    rows += control_rows(task, items, runs, seed)
    return rows + differences(task, items, primary, "rouge1", seed)


def slice_rows(
    metric: str, make: Callable[..., dict[str, Any]], items: Sequence[Row],
    values: Sequence[float], seed: int,
) -> Table:  # fmt: skip
    """Score recorded and simulated pages apart, and each category, where there is more than one."""
    by_name: dict[str, list[int]] = {}
    categories = sorted({i["category"] for i in items})
    for n, item in enumerate(items):
        by_name.setdefault("simulated" if item["is_simulated"] else "recorded", []).append(n)
        if 1 < len(categories) <= _MAX_SLICES:
            by_name.setdefault(item["category"], []).append(n)
    rows = []
    for name, chosen in sorted(by_name.items()):
        if len(chosen) == len(items) and name != "simulated":
            continue
        part = [items[n] for n in chosen]
        interval = mean_interval(
            [i["subject_id"] for i in part], [values[n] for n in chosen], seed=seed
        )
        note = f"chance {100 * chance_level(part):.1f} %" if part[0]["options"] else ""
        rows.append(make(f"{metric}[{name}]", interval, note, part))
    return rows


def differences(
    task: Task, items: Sequence[Row], values: Mapping[tuple[str, str], list[float]],
    metric: str, seed: int,
) -> Table:  # fmt: skip
    """Compare each model with its own controls and with the baselines, item by item."""
    subjects = [i["subject_id"] for i in items]
    rows = []
    for model, control in values:
        if control != "none" or model in BASELINES:
            continue
        others = {c: values[m, c] for m, c in values if m == model and c != "none"}
        others |= {b: values[b, "none"] for b in BASELINES if (b, "none") in values}
        for name, other in others.items():
            gaps = [a - b for a, b in zip(values[model, control], other, strict=True)]
            p = sign_permutation_p(subjects, gaps, seed=seed)
            gap = mean_interval(subjects, gaps, seed=seed)
            make = row_maker(task, (model, control), items, None)
            words = ("no difference is shown", "higher", "lower")
            note = f"{verdict(gap, 0.0, p, words)} (paired by item, {p_words(p, gap.n_subjects)})"
            rows.append(make(f"{metric}-{name}", gap, note))
    return rows


def by_run(answers: Sequence[Row]) -> dict[tuple[str, str], dict[str, Row]]:
    """Return answers by item, by model and control."""
    runs: dict[tuple[str, str], dict[str, Row]] = {}
    for row in sorted(answers, key=lambda r: (r["model"], r["control"], r["item_id"])):
        runs.setdefault((row["model"], row["control"]), {})[row["item_id"]] = row
    return runs


def said_of(said: Mapping[str, Row], item: Row, column: str, absent: object) -> Any:
    """Return a column of the answer to an item, or ``absent`` where there is none."""
    row = said.get(item["item_id"])
    return absent if row is None else row[column]


def row_maker(
    task: Task, key: tuple[str, str], items: Sequence[Row], said: Mapping[str, Row] | None
) -> Callable[..., dict[str, Any]]:
    """Return a maker of rows ``(metric, interval, note, part of items)`` of one run."""

    def make(
        metric: str, interval: Interval, note: str = "", part: Sequence[Row] = items
    ) -> dict[str, Any]:
        answered = {} if said is None else said
        n_unparsed = sum(not said_of(answered, i, "is_parsed", False) for i in part)
        return score_row(
            task, key, metric, interval, note=note, n_items=len(part),
            n_unparsed=0 if said is None else n_unparsed,
        )  # fmt: skip

    return make


def score_row(
    task: Task, key: tuple[str, str], metric: str, interval: Interval,
    *, note: str, n_items: int, n_unparsed: int,
) -> dict[str, Any]:  # fmt: skip
    """Make one row of table ``scores``; says so where few subjects make the interval weak."""
    weak = WEAK_NOTE if interval.is_weak else ""
    return {
        "task": task.name,
        "model": key[0],
        "control": key[1],
        "metric": metric,
        "value": interval.value,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "n_items": n_items,
        "n_subjects": interval.n_subjects,
        "n_unparsed": n_unparsed,
        "note": "; ".join(part for part in (note, weak) if part),
    }


def _chance_note(
    items: Sequence[Row], right: Sequence[float], accuracy: Interval, seed: int
) -> str:
    gaps = [hit - 1 / len(i["options"]) for hit, i in zip(right, items, strict=True)]
    p = sign_permutation_p([i["subject_id"] for i in items], gaps, seed=seed)
    return chance_words(accuracy, chance_level(items), p)


def chance_words(accuracy: Interval, chance: float, p: float) -> str:
    """Say whether a rate is told from chance, and what says so."""
    words = ("not told from chance", "above chance", "below chance")
    inside = "lies inside" if accuracy.includes(chance) else "lies outside"
    return (
        f"{verdict(accuracy, chance, p, words)} (chance {100 * chance:.1f} % {inside} the "
        f"interval, {p_words(p, accuracy.n_subjects)})"
    )


def verdict(interval: Interval, against: float, p: float, words: tuple[str, str, str]) -> str:
    """Choose the word for no, a higher or a lower value.

    The interval and the permutation test must agree, because the bootstrap of few subjects is too
    narrow (``evaluation.md`` 6.9 asks for the latter below 20 subjects).
    """
    if interval.includes(against) or p >= 1 - LEVEL:
        return words[0]
    return words[1] if interval.value > against else words[2]


def p_words(p: float, n_subjects: int) -> str:
    """Return a p value with the test behind it, and its least value where that proves nothing."""
    least = 2.0 ** (1 - n_subjects)
    bound = f", never below {least:.2g} with so few" if least >= 1 - LEVEL else ""
    return f"p = {p:.3f} by flipping the signs of subjects{bound}"


def _class_name(item: Row, letter: str) -> str:
    if not letter:
        return ""
    return f"{item['category']}: {item['options'][LETTERS.index(letter)]}"
