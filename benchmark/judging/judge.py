"""A language model as judge of free text: rubrics, repeats, planted errors, pairs in both orders.

It asks through the teachers' gateway, so every reply is structured, cached, capped, and may be sent
as a batch. Who may judge whom is in ``judging/families.py``, prompts are in ``judging/prompt.py``,
planted errors in ``judging/controls.py``, the numbers kept in ``judging/summary.py``. An answer that
says nothing gets the least on every axis without being asked about: where the reference is silent on
an axis as well, a judge would call silence right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.errors import BenchmarkError
from benchmark.judging.agreement import krippendorff_alpha, same_share
from benchmark.judging.controls import Planted, planted
from benchmark.judging.families import assert_not_its_own, assert_other_family
from benchmark.judging.prompt import (
    PAIR,
    Rubric,
    assert_may_be_judged,
    rubric,
    why_not_judged,
)
from benchmark.judging.summary import ON, AxisScore, JudgeSummary, PlantedScore
from benchmark.scores.intervals import Floats, mean_interval
from prompts.teachers.base import Outcome, Task, TeacherRequest
from prompts.teachers.gateway import Gateway

N_REPEATS = 3
"""Times each text is judged (``evaluation.md`` 6.5, rule 4)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer to be judged.

    Parameters
    ----------
    item_id, subject_id, segment_id
        Which item; never sent.
    question, reference, answer
        Words that are sent.
    is_gated
        Its corpus' rows may not be sent to a hosted judge.
    """

    item_id: str
    subject_id: str
    segment_id: str
    question: str
    reference: str
    answer: str
    is_gated: bool

    @property
    def is_silent(self) -> bool:
        """Whether the answer says nothing at all."""
        return not self.answer.strip()


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """One pair of answers judged in both orders.

    Parameters
    ----------
    item_id
        Which item.
    winner
        ``one``, ``other`` or ``tie``; a verdict that changes with the order is a tie.
    is_consistent
        Whether both orders gave the same winner.
    """

    item_id: str
    winner: str
    is_consistent: bool


def judge(
    gateway: Gateway,
    answers: Sequence[Judged],
    *,
    model: str,
    writers: Iterable[str],
    answerer: str = "",
    name: str = "five-axes",
    n_repeats: int = N_REPEATS,
    seed: int = 0,
    families: Mapping[str, str] | None = None,
) -> JudgeSummary:
    """Judge one model's answers, and first of all the judge itself with planted errors.

    Parameters
    ----------
    gateway
        Road to the judge.
    answers
        What is judged; the references serve for the planted errors.
    model, writers
        Whose answers they are, and the ``teacher`` column of the rows it was trained on.
    answerer
        Id of the model itself or of its base, ``""`` for one built from random weights.
    name, n_repeats
        Rubric, and the times each text is judged.
    seed, families
        Of planted errors and intervals; as in :func:`benchmark.judging.families.family_of`.

    Raises
    ------
    BenchmarkError
        If the judge's family wrote the text or the answers, or nothing to judge may leave.
    TeacherError
        As the gateway raises it: no key, spend cap, every item of a gated corpus.
    """
    _check(answers, n_repeats)
    writers, how = tuple(sorted(set(writers))), rubric(name)
    family = assert_other_family(gateway.teacher_id, writers, families)
    asked_of = model.rpartition(ON)[0] or model
    own = assert_not_its_own(gateway.teacher_id, asked_of, answerer, families)
    kept = _may_be_judged([a for a in answers if gateway.is_inside or not a.is_gated] or answers)
    told = _ask(gateway, how, kept, n_repeats, seed)
    return JudgeSummary(
        model=model,
        judge=gateway.teacher_id,
        judge_family=family,
        answerer_family=own,
        writers=writers,
        prompt=how.name,
        prompt_hash=how.prompt_hash,
        n_repeats=n_repeats,
        n_dropped=sum(o.reply is None for o in told.outcomes.values()),
        n_held_back=len(answers) - len(kept),
        n_silent=sum(a.is_silent for a in kept),
        cost_usd=_paid(told.outcomes.values()),
        rows=_axes(how, told.grades, kept, seed),
        planted=_planted_scores(how, told.pairs, told.outcomes, n_repeats),
        agreement=_repeat_agreement(np.sum(list(told.grades.values()), axis=0)),
    )


def _check(answers: Sequence[Judged], n_repeats: int) -> None:
    if not answers or n_repeats < 1:
        raise BenchmarkError(
            f"{len(answers)} answers judged {n_repeats} times; give at least one of each"
        )


@dataclass(frozen=True, slots=True)
class _Told:
    """What came back: outcomes by tag, the pairs asked about, grades by axis and item."""

    outcomes: Mapping[str, Outcome]
    pairs: tuple[Planted, ...]
    grades: Mapping[str, Floats]


def _ask(
    gateway: Gateway, how: Rubric, answers: Sequence[Judged], n_repeats: int, seed: int
) -> _Told:
    made = planted({a.item_id: a.reference for a in answers}, seed=seed)
    pairs = tuple(pair for pair in made if not why_not_judged(pair.false))
    by_id = {a.item_id: a for a in answers}
    tasks = [*_answer_tasks(how, answers, n_repeats), *_planted_tasks(how, pairs, by_id, n_repeats)]
    outcomes = {o.task.tag: o for o in gateway.outcomes(tasks)}
    grades = {axis: _grades(how, axis, answers, outcomes, n_repeats) for axis in how.axes}
    return _Told(outcomes, pairs, grades)


def _axes(
    how: Rubric, grades: Mapping[str, Floats], answers: Sequence[Judged], seed: int
) -> tuple[AxisScore, ...]:
    """Return a row for each axis, and for their sum where there are several."""
    summed = {"sum": np.sum(list(grades.values()), axis=0)} if len(how.axes) > 1 else {}
    return tuple(_axis(axis, given, answers, seed) for axis, given in {**grades, **summed}.items())


def judge_pairs(
    gateway: Gateway,
    one: Sequence[Judged],
    other: Sequence[Judged],
    *,
    writers: Iterable[str],
    answerers: Mapping[str, str] | None = None,
    families: Mapping[str, str] | None = None,
) -> tuple[PairVerdict, ...]:
    """Ask which of two answers is better, in both orders; ties are allowed.

    Items whose reply was dropped in either order are left out.

    Parameters
    ----------
    gateway, writers, families
        As in :func:`judge`.
    one, other
        Answers to the same items in the same order.
    answerers
        Id of each of the two models or of its base, by its name.

    Raises
    ------
    BenchmarkError
        As :func:`judge`, and where the two are not about the same items.
    """
    if [a.item_id for a in one] != [b.item_id for b in other]:
        raise BenchmarkError("the two models' answers are not about the same items in one order")
    assert_other_family(gateway.teacher_id, writers, families)
    for model, answerer in (answerers or {}).items():
        assert_not_its_own(gateway.teacher_id, model, answerer, families)
    tasks = []
    for a, b in zip(one, other, strict=True):
        for order, (first, second) in (("forward", (a, b)), ("back", (b, a))):
            texts = {"first": first.answer, "second": second.answer}
            tasks.append(_task(PAIR, f"pair|{order}|{a.item_id}", a, texts, 0))
    outcomes = {o.task.tag: o for o in gateway.outcomes(tasks)}
    verdicts = []
    for a in one:
        told = [_points(PAIR, outcomes[f"pair|{o}|{a.item_id}"]) for o in ("forward", "back")]
        if None in told:
            continue
        forward, back = (t["better"] for t in told if t is not None)
        is_consistent = forward == -back
        winner = {1.0: "one", -1.0: "other", 0.0: "tie"}[forward] if is_consistent else "tie"
        verdicts.append(PairVerdict(a.item_id, winner, is_consistent))
    return tuple(verdicts)


def _may_be_judged(answers: Sequence[Judged]) -> list[Judged]:
    """Leave out items with a text that may not be sent: a model may write anything.

    Raises
    ------
    BenchmarkError
        If none is left, with the cause of the first.
    """
    causes = [
        next((c for words in (a.question, a.reference, a.answer) if (c := why_not_judged(
            words, (a.item_id, a.subject_id, a.segment_id)))), "")
        for a in answers
    ]  # fmt: skip
    kept = [a for a, cause in zip(answers, causes, strict=True) if not cause]
    if not kept:
        raise BenchmarkError(f"none of {len(answers)} answers may be judged: {causes[0]}")
    return kept


def _answer_tasks(how: Rubric, answers: Sequence[Judged], n_repeats: int) -> Iterator[Task]:
    for a in answers:
        for n in range(0 if a.is_silent else n_repeats):
            yield _task(how, f"answer|{n}|{a.item_id}", a, {"candidate": a.answer}, n)


def _planted_tasks(
    how: Rubric, pairs: Sequence[Planted], by_id: Mapping[str, Judged], n_repeats: int
) -> Iterator[Task]:
    # a true text that several errors are planted in is asked about once
    seen: set[str] = set()
    for pair in pairs:
        item = by_id[pair.item_id]
        for n in range(n_repeats):
            tags = {f"true|{n}|{pair.item_id}": pair.true}
            tags[f"false|{pair.kind}|{n}|{pair.item_id}"] = pair.false
            for tag, words in tags.items():
                if tag not in seen:
                    seen.add(tag)
                    yield _task(how, tag, item, {"candidate": words}, n)


def _task(how: Rubric, tag: str, item: Judged, texts: Mapping[str, str], seed: int) -> Task:
    sent = {"question": item.question, "reference": item.reference, **texts}
    for words in sent.values():
        assert_may_be_judged(words, (item.item_id, item.subject_id, item.segment_id))
    request = TeacherRequest(how.prompt(**sent), {}, item.is_gated, seed)
    return Task(request, how.fault, tag)


def _paid(outcomes: Iterable[Outcome]) -> float:
    """Add up money; equal requests, as for an answer that is its reference, are paid once."""
    return sum({o.task.request.payload_hash: o.cost_usd for o in outcomes}.values())


def _points(how: Rubric, outcome: Outcome) -> dict[str, float] | None:
    return None if outcome.reply is None else how.scores(outcome.reply.data)


def _grades(
    how: Rubric, axis: str, answers: Sequence[Judged], outcomes: Mapping[str, Outcome], n: int
) -> Floats:
    """Return grades of shape (n_items, n_repeats), NaN where a reply was dropped."""
    grades = np.full((len(answers), n), np.nan)
    for i, answer in enumerate(answers):
        if answer.is_silent:
            grades[i] = min(how.points.values())
            continue
        for repeat in range(n):
            points = _points(how, outcomes[f"answer|{repeat}|{answer.item_id}"])
            if points is not None:
                grades[i, repeat] = points[axis]
    return grades


def _axis(axis: str, grades: Floats, answers: Sequence[Judged], seed: int) -> AxisScore:
    graded = np.flatnonzero(np.isfinite(grades).any(axis=1))
    if not graded.size:
        raise BenchmarkError("the judge gave no reply that fits; look at the causes it was dropped")
    subjects = [answers[i].subject_id for i in graded.tolist()]
    means = np.nanmean(grades[graded], axis=1)
    found = mean_interval(subjects, means.tolist(), seed=seed)
    spread = float(np.mean(np.nanstd(grades[graded], axis=1)))
    return AxisScore(
        axis=axis, value=found.value, low=found.low, high=found.high, spread=spread,
        n_items=graded.size, n_subjects=found.n_subjects,
    )  # fmt: skip


def _planted_scores(
    how: Rubric, pairs: Sequence[Planted], outcomes: Mapping[str, Outcome], n_repeats: int
) -> tuple[PlantedScore, ...]:
    """Count pairs whose false text scores lower on average; a dropped reply is not noticed."""
    counts: dict[str, list[int]] = {}
    for pair in pairs:
        true = _mean(how, outcomes, [f"true|{n}|{pair.item_id}" for n in range(n_repeats)])
        tags = [f"false|{pair.kind}|{n}|{pair.item_id}" for n in range(n_repeats)]
        false = _mean(how, outcomes, tags)
        entry = counts.setdefault(pair.kind, [0, 0, 0])
        entry[0] += 1
        entry[1] += false < true
        entry[2] += false == true
    return tuple(
        PlantedScore(kind=kind, n=n, n_lower=lower, n_tied=tied)
        for kind, (n, lower, tied) in counts.items()
    )


def _mean(how: Rubric, outcomes: Mapping[str, Outcome], tags: Sequence[str]) -> float:
    told = [_points(how, outcomes[tag]) for tag in tags]
    sums = [sum(points.values()) for points in told if points is not None]
    return float(np.mean(sums)) if sums else float("nan")


def _repeat_agreement(total: Floats) -> dict[str, float]:
    """Return how far the repeats agree; void statistics are left out."""
    found = {
        "alpha over repeats (Krippendorff, interval)": krippendorff_alpha(total),
        "share of items judged the same in every repeat": same_share(total),
    }
    return {name: value for name, value in found.items() if np.isfinite(value)}
