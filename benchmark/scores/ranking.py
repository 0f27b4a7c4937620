"""Areas under the ROC and the precision-recall curve of options, redrawn by subject.

Each option is ranked against the rest by the probability a model gives it, so the letter it chose
does not matter. The area is a ratio of sums over pairs of subjects, which makes every bootstrap draw
exact without sorting again. Log-probabilities come from models that give them (``asking/answers.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.scores.intervals import (
    N_DRAWS,
    Floats,
    Interval,
    percentile_interval,
    subject_weights,
)


def probabilities(logprobs: Sequence[float]) -> list[float]:
    """Return probabilities of the options shown, which sum to 1."""
    top = max(logprobs)
    shares = [math.exp(value - top) for value in logprobs]
    return [share / sum(shares) for share in shares]


def pair_wins(subjects: Floats, is_true: Floats, scores: Floats, n_subjects: int) -> Floats:
    """Count, per pair of subjects, how often a true item of one outranks a false one of the other.

    Parameters
    ----------
    subjects, is_true, scores
        Subject number, 0 or 1, and score of each item, shape (n,).
    n_subjects
        How many subjects there are.

    Returns
    -------
    array, shape (n_subjects, n_subjects)
        Rows: subject of the true item; ties count half.
    """
    who = subjects.astype(np.intp)
    false_at = np.flatnonzero(is_true == 0)
    levels, rank = np.unique(scores, return_inverse=True)
    counts = np.zeros((len(levels) + 1, n_subjects))
    np.add.at(counts, (rank[false_at] + 1, who[false_at]), 1.0)
    below = np.cumsum(counts, axis=0)
    wins = np.zeros((n_subjects, n_subjects))
    for i in np.flatnonzero(is_true == 1):
        wins[who[i]] += 0.5 * (below[rank[i]] + below[rank[i] + 1])
    return wins


def auroc_interval(
    subjects: Sequence[str],
    reference: Sequence[str],
    offered: Sequence[Sequence[str]],
    shares: Sequence[Sequence[float]],
    *,
    seed: int,
) -> Interval:
    """Return the mean over classes of one-against-rest ROC areas, with its interval by subject.

    Of each class, items count that offer it; a class never or always right where it is offered has
    no area. With the same options everywhere this is scikit-learn's macro ``ovr``.

    Parameters
    ----------
    subjects, reference
        Subject and true class of each item.
    offered, shares
        Classes each item offers, and their probabilities.
    seed
        Of the bootstrap.
    """
    names = sorted(set(subjects))
    number = {name: i for i, name in enumerate(names)}
    drawn = subject_weights(len(names), seed=seed, n_draws=N_DRAWS)
    weights = np.concatenate([np.ones((1, len(names))), drawn])
    by_class: dict[str, list[tuple[int, bool, float]]] = {}
    for who, true, classes, values in zip(subjects, reference, offered, shares, strict=True):
        for name, value in zip(classes, values, strict=True):
            by_class.setdefault(name, []).append((number[who], name == true, value))
    areas = np.stack([_area(rows, weights) for _, rows in sorted(by_class.items())])
    is_there = np.isfinite(areas)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(is_there, areas, 0.0).sum(axis=0) / is_there.sum(axis=0)
    return percentile_interval(float(means[0]), means[1:], len(names))


def _area(rows: Sequence[tuple[int, bool, float]], weights: Floats) -> Floats:
    who, is_true, scores = np.array(rows, dtype=np.float64).T
    n_subjects = weights.shape[1]
    columns = who.astype(np.intp)
    n_true = np.bincount(columns, weights=is_true, minlength=n_subjects)
    n_false = np.bincount(columns, weights=1 - is_true, minlength=n_subjects)
    wins = pair_wins(who, is_true, np.round(scores, 12), n_subjects)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ((weights @ wins) * weights).sum(axis=1) / ((weights @ n_true) * (weights @ n_false))


_CHUNK = 64  # bootstrap draws at once: a draw holds one number per item


def average_precision_interval(
    subjects: Sequence[str], is_true: Sequence[bool], scores: Sequence[float], *, seed: int
) -> Interval:
    """Return the average precision of one class, with its interval by subject.

    The step-wise sum of precision over recall, ties taken together, as scikit-learn's
    ``average_precision_score``; what guessing earns is the share of true items.

    Parameters
    ----------
    subjects, is_true, scores
        Subject, truth and probability of each item.
    seed
        Of the bootstrap.
    """
    names = sorted(set(subjects))
    number = {name: i for i, name in enumerate(names)}
    values = np.round(np.asarray(scores, dtype=np.float64), 12)
    order = np.argsort(-values, kind="stable")
    who = np.array([number[name] for name in subjects])[order]
    true = np.asarray(is_true, dtype=np.float64)[order]
    ends = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))
    drawn = subject_weights(len(names), seed=seed, n_draws=N_DRAWS)
    weights = np.concatenate([np.ones((1, len(names))), drawn])
    areas = np.concatenate(
        [
            _average_precision(weights[at : at + _CHUNK, who], true, ends)
            for at in range(0, len(weights), _CHUNK)
        ]
    )
    return percentile_interval(float(areas[0]), areas[1:], len(names))


def _average_precision(weights: Floats, true: Floats, ends: NDArray[np.intp]) -> Floats:
    hits = np.cumsum(weights * true, axis=1)[:, ends]
    shown = np.cumsum(weights, axis=1)[:, ends]
    gained = np.diff(hits, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(shown > 0, hits / shown, 0.0)
        areas: Floats = (gained * precision).sum(axis=1) / hits[:, -1]
    return areas
