"""Scores of a classification task: classes, votes over epochs or recordings, published parts, events.

Beside what every choice is scored by (``scores/scoring.py``), balanced accuracy is named beforehand,
stands beside chance and every control, and is also given for the items of a published test part and
for the vote of pages that share one label. Event scores are in ``scores/event_scores.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.asking.answers import LETTERS
from benchmark.asking.ask import grade
from benchmark.scores.control_rows import control_rows
from benchmark.scores.event_scores import seizure_rows
from benchmark.scores.intervals import (
    Floats,
    Interval,
    cluster_interval,
    ratio,
    sign_permutation_p,
    subject_totals,
)
from benchmark.scores.metrics import (
    choice_interval,
    choice_sums,
    f1_weighted,
    kappa_within,
    recall_mean,
)
from benchmark.scores.ranking import average_precision_interval, probabilities
from benchmark.scores.scoring import (
    BASELINES,
    Table,
    by_run,
    chance_words,
    choice_rows,
    p_words,
    row_maker,
    said_of,
    verdict,
)
from benchmark.tasks.protocol import protocol
from benchmark.tasks.task import Row, Task

VOTED = {"epoch": "epochs", "recording": "recordings"}
"""How a slice of votes is called, by what is voted on."""

Maker = Callable[..., dict[str, Any]]


def score_classification(
    task: Task, items: Sequence[Row], answers: Sequence[Row], seed: int
) -> Table:
    """Score a classification task; as :func:`benchmark.scores.scoring.score`."""
    found = protocol(task.name)
    rows: Table = []
    runs = by_run(grade(task, items, answers))
    for key, said in runs.items():
        right = [float(said_of(said, i, "is_correct", False)) for i in items]
        make = row_maker(task, key, items, said)
        made = choice_rows(task, key, items, said, right, seed)
        rows += [row for row in made if row["metric"] != "balanced_accuracy"]
        rows += [_balanced_row(make, items, said, seed)]
        rows += _class_rows(make, items, right, seed)
        rows += _part_rows(make, items, said, seed)
        rows += _precision_rows(make, items, said, found.positive, seed)
        if found.vote:
            rows += _vote_rows(make, VOTED[found.vote], items, said, seed)
        if found.has_event_scores:
            name = found.label.values[found.label.present]
            chosen = [option_said(said, i) for i in items]
            is_found = [option == name for option in chosen]
            rows += seizure_rows(make, items, is_found, is_silent=not any(chosen), seed=seed)
    rows += control_rows(task, items, runs, seed)
    return rows + _differences(task, items, runs, seed)


def option_said(said: Mapping[str, Row], item: Row) -> str:
    """Return the option a model chose, ``""`` where its answer could not be read."""
    letter = said_of(said, item, "answer", "")
    return item["options"][LETTERS.index(letter)] if letter else ""


def right_option(item: Row) -> str:
    """Return the text of the right option of a choice."""
    option: str = item["options"][LETTERS.index(item["answer"])]
    return option


def _weights(reference: Sequence[str]) -> Floats:
    """Return weights with which the mean of right answers is the mean recall over classes."""
    classes, at, counts = np.unique(reference, return_inverse=True, return_counts=True)
    return np.asarray(len(reference) / (len(classes) * counts[at]), dtype=np.float64)


def _balanced_row(
    make: Maker, items: Sequence[Row], said: Mapping[str, Row], seed: int
) -> dict[str, Any]:
    subjects = [i["subject_id"] for i in items]
    reference = [right_option(i) for i in items]
    predicted = [option_said(said, i) for i in items]
    interval = choice_interval(recall_mean, subjects, reference, predicted, seed=seed)
    chance = 1 / len(items[0]["options"])
    hits = np.array([a == b for a, b in zip(reference, predicted, strict=True)], dtype=np.float64)
    p = sign_permutation_p(subjects, (_weights(reference) * (hits - chance)).tolist(), seed=seed)
    note = chance_words(interval, chance, p)
    n_shown, n_classes = len(set(reference)), len(items[0]["options"])
    if n_shown < n_classes:
        note += f"; only {n_shown} of {n_classes} classes occur"
    row: dict[str, Any] = make("balanced_accuracy", interval, note)
    return row


def _class_rows(make: Maker, items: Sequence[Row], right: Sequence[float], seed: int) -> Table:
    """Return the recall of every class."""
    rows = []
    for name in sorted(set(map(right_option, items))):
        chosen = [n for n, item in enumerate(items) if right_option(item) == name]
        part = [items[n] for n in chosen]
        pairs = np.array([[right[n], 1.0] for n in chosen])
        _, totals = subject_totals([i["subject_id"] for i in part], pairs)
        interval = cluster_interval(totals, ratio, seed=seed)
        rows.append(
            make(f"recall:{name}", interval, "right answers among pages of this class", part)
        )
    return rows


def _precision_rows(
    make: Maker, items: Sequence[Row], said: Mapping[str, Row], positive: str, seed: int
) -> Table:
    """Return the average precision of the positive class, where every answer has probabilities."""
    logprobs = [said_of(said, i, "option_logprobs", ()) for i in items]
    is_told = all(len(p) == len(i["options"]) for p, i in zip(logprobs, items, strict=True))
    if not positive or not is_told:
        return []
    shares = [
        probabilities(p)[i["options"].index(positive)] for p, i in zip(logprobs, items, strict=True)
    ]
    is_true = [right_option(i) == positive for i in items]
    subjects = [i["subject_id"] for i in items]
    interval = average_precision_interval(subjects, is_true, shares, seed=seed)
    share = sum(is_true) / len(items)
    note = f"of class {positive}; guessing earns its share, {100 * share:.1f} %"
    return [make("auprc", interval, note)]


def _agreement_rows(
    make: Maker, suffix: str, subjects: Sequence[str], reference: Sequence[str],
    predicted: Sequence[str], note: str, part: Sequence[Row], seed: int,
) -> Table:  # fmt: skip
    """Return balanced accuracy, kappa and weighted F1 of a slice."""
    n_classes = len(set(reference))
    statistics = {
        "balanced_accuracy": recall_mean,
        "kappa": kappa_within([""] * n_classes),
        "weighted_f1": f1_weighted,
    }
    rows = []
    for metric, statistic in statistics.items():
        interval = choice_interval(statistic, subjects, reference, predicted, seed=seed)
        rows.append(make(f"{metric}[{suffix}]", interval, f"{n_classes} classes, {note}", part))
    return rows


def _part_rows(make: Maker, items: Sequence[Row], said: Mapping[str, Row], seed: int) -> Table:
    rows: Table = []
    for name in sorted({part for item in items for part in item["parts"]}):
        part = [item for item in items if name in item["parts"]]
        rows += _agreement_rows(
            make, name, [i["subject_id"] for i in part], [right_option(i) for i in part],
            [option_said(said, i) for i in part],
            "items of that published part that are test subjects here too", part, seed,
        )  # fmt: skip
    return rows


def _vote_rows(
    make: Maker, suffix: str, items: Sequence[Row], said: Mapping[str, Row], seed: int
) -> Table:
    groups: dict[str, list[Row]] = {}
    for item in items:
        if item["group_id"]:
            groups.setdefault(item["group_id"], []).append(item)
    if not groups:
        return []
    voted = list(groups.values())
    return _agreement_rows(
        make, suffix, [pages[0]["subject_id"] for pages in voted], [right_option(p[0]) for p in voted],
        [vote(pages, said) for pages in voted],
        f"majority of {len(voted)} groups; ties by summed log-probability, then none",
        [item for pages in voted for item in pages], seed,
    )  # fmt: skip


def vote(pages: Sequence[Row], said: Mapping[str, Row]) -> str:
    """Return the option most pages of a group were given.

    Answers that could not be read do not vote. Among equals the one with the larger summed
    log-probability wins where every page has them; else nobody does, which counts as wrong.
    """
    counts: dict[str, int] = {}
    for page in pages:
        chosen = option_said(said, page)
        if chosen:
            counts[chosen] = counts.get(chosen, 0) + 1
    most = max(counts.values(), default=0)
    tied = sorted(option for option, n in counts.items() if n == most)
    if len(tied) < 2:
        return tied[0] if tied else ""
    sums = dict.fromkeys(tied, 0.0)
    for page in pages:
        logprobs = said_of(said, page, "option_logprobs", ())
        if len(logprobs) != len(page["options"]):
            return ""
        for option in tied:
            sums[option] += logprobs[page["options"].index(option)]
    return max(tied, key=lambda option: sums[option])


def _differences(
    task: Task, items: Sequence[Row], runs: Mapping[tuple[str, str], Mapping[str, Row]], seed: int
) -> Table:
    """Compare each model's balanced accuracy with its controls and the baselines, item by item."""
    subjects = [i["subject_id"] for i in items]
    reference = [right_option(i) for i in items]
    sums = {
        key: choice_sums(reference, [option_said(said, i) for i in items])
        for key, said in runs.items()
    }
    rows = []
    for model, control in runs:
        if control != "none" or model in BASELINES:
            continue
        others = {c: sums[m, c] for m, c in runs if m == model and c != "none"}
        others |= {b: sums[b, "none"] for b in BASELINES if (b, "none") in runs}
        make = row_maker(task, (model, control), items, None)
        for name, other in others.items():
            gap, added = balanced_gap(subjects, reference, sums[model, control], other, seed=seed)
            p = sign_permutation_p(subjects, added, seed=seed)
            words = ("no difference is shown", "higher", "lower")
            note = f"{verdict(gap, 0.0, p, words)} (paired by item, {p_words(p, gap.n_subjects)})"
            rows.append(make(f"balanced_accuracy-{name}", gap, note))
    return rows


def balanced_gap(
    subjects: Sequence[str], reference: Sequence[str], one: Floats, other: Floats, *, seed: int
) -> tuple[Interval, list[float]]:
    """Return the balanced accuracy of one side minus that of the other over the same items.

    Parameters
    ----------
    subjects, reference
        Subject and right option of each item.
    one, other
        Sums of either side as :func:`benchmark.scores.metrics.choice_sums` makes them.
    seed
        Of the bootstrap over subjects.

    Returns
    -------
    tuple
        The difference with its interval, and what each item adds to it: their mean is the
        difference, so their signs can be flipped by subject.
    """
    _, totals = subject_totals(subjects, np.stack([one, other], axis=1))
    added = _weights(reference) * (one[:, 0].sum(axis=1) - other[:, 0].sum(axis=1))
    return cluster_interval(totals, _gap, seed=seed), added.tolist()


def _gap(sums: Floats) -> Floats:
    return recall_mean(sums[:, 0]) - recall_mean(sums[:, 1])
