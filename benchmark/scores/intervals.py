"""Intervals and paired tests: cluster bootstrap, Wilson, sign permutation, signed ranks, McNemar, Holm.

The unit of resampling is the subject, because items of one person are not independent
(``evaluation.md`` 6.9). Subjects are sorted by id before anything random happens, so the order of
rows never moves an interval. What is averaged is said in ``scores/metrics.py`` and ``scores/detection.py``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

N_DRAWS = 1000
"""Bootstrap draws (``systems.md`` 6.11)."""
LEVEL = 0.95
WEAK_BELOW_SUBJECTS = 20
"""Below this many subjects an interval is called weak (``evaluation.md`` 6.9)."""
EXACT_UP_TO_SUBJECTS = 12
"""Up to 4096 sign patterns are counted out instead of drawn; engineering default."""
N_PERMUTATIONS = 10_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A point estimate and its 95 % interval; without one where a single subject is all."""

    value: float
    low: float | None
    high: float | None
    n_subjects: int

    @property
    def is_weak(self) -> bool:
        """Whether so few subjects stand behind it that its width itself is uncertain."""
        return self.n_subjects < WEAK_BELOW_SUBJECTS

    def includes(self, value: float) -> bool:
        """Whether the interval contains a value; an absent interval excludes nothing."""
        return self.low is None or self.high is None or self.low <= value <= self.high


def subject_totals(subjects: Sequence[str], values: Floats) -> tuple[tuple[str, ...], Floats]:
    """Sum values per subject.

    Parameters
    ----------
    subjects
        Subject of each row, length n.
    values
        Shape (n, ...).

    Returns
    -------
    tuple
        Subjects sorted, and their sums of shape (n_subjects, ...), the same for any order of rows.
    """
    names = tuple(sorted(set(subjects)))
    index = {name: i for i, name in enumerate(names)}
    rows = np.array([index[s] for s in subjects], dtype=np.intp)
    flat = values.reshape(len(rows), -1)
    order = np.lexsort((*flat.T, rows))  # float sums depend on order, so fix it
    totals = np.zeros((len(names), flat.shape[1]))
    np.add.at(totals, rows[order], flat[order])
    return names, totals.reshape(len(names), *values.shape[1:])


def subject_weights(n_subjects: int, *, seed: int, n_draws: int = N_DRAWS) -> Floats:
    """Return how often each subject is drawn, shape (n_draws, n_subjects)."""
    rng = np.random.default_rng(seed)
    even = np.full(n_subjects, 1.0 / n_subjects)
    return rng.multinomial(n_subjects, even, size=n_draws).astype(np.float64)


def percentile_interval(value: float, draws: Floats, n_subjects: int) -> Interval:
    """Return the percentile interval of bootstrap draws; void (NaN) draws are left out."""
    drawn = draws[np.isfinite(draws)]
    if n_subjects < 2 or not drawn.size:
        return Interval(value, None, None, n_subjects)
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return Interval(value, float(low), float(high), n_subjects)


def cluster_interval(
    totals: Floats, statistic: Callable[[Floats], Floats], *, seed: int, n_draws: int = N_DRAWS
) -> Interval:
    """Bootstrap a statistic of sums over subjects.

    Parameters
    ----------
    totals
        Sufficient sums per subject, shape (n_subjects, ...).
    statistic
        Maps sums of shape (n_draws, ...) to values of shape (n_draws,).
    seed, n_draws
        Of the bootstrap.
    """
    n_subjects = len(totals)
    value = float(statistic(totals.sum(axis=0, keepdims=True))[0])
    if n_subjects < 2:
        return Interval(value, None, None, n_subjects)
    weights = subject_weights(n_subjects, seed=seed, n_draws=n_draws)
    draws = statistic(np.tensordot(weights, totals, axes=1))
    return percentile_interval(value, draws, n_subjects)


def ratio(sums: Floats) -> Floats:
    """Return numerator over denominator of sums of shape (n, 2); NaN where the latter is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[:, 0] / sums[:, 1]


def mean_interval(
    subjects: Sequence[str], values: Sequence[float], *, seed: int, n_draws: int = N_DRAWS
) -> Interval:
    """Return the mean over items with its interval clustered by subject.

    Raises
    ------
    ValueError
        If there are no values, or not one subject per value.
    """
    if not values or len(values) != len(subjects):
        raise ValueError(f"{len(values)} values of {len(subjects)} subjects; give one each")
    pairs = np.column_stack([np.asarray(values, dtype=np.float64), np.ones(len(values))])
    _, totals = subject_totals(subjects, pairs)
    return cluster_interval(totals, ratio, seed=seed, n_draws=n_draws)


def wilson_interval(n_correct: int, n_items: int) -> tuple[float, float]:
    """Return the Wilson 95 % interval of a share, items taken as independent (Wilson 1927).

    Raises
    ------
    ValueError
        If ``0 <= n_correct <= n_items`` does not hold or there are no items.
    """
    if n_items < 1 or not 0 <= n_correct <= n_items:
        raise ValueError(f"{n_correct} correct of {n_items} items is no share")
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    share = n_correct / n_items
    scale = 1 + z * z / n_items
    centre = (share + z * z / (2 * n_items)) / scale
    half = z * math.sqrt(share * (1 - share) / n_items + z * z / (4 * n_items**2)) / scale
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return (0.0 if n_correct == 0 else low, 1.0 if n_correct == n_items else high)


def sign_permutation_p(
    subjects: Sequence[str], differences: Sequence[float], *, seed: int
) -> float:
    """Return the two-sided p of a mean paired difference, signs flipped by subject.

    Counted out exactly for up to :data:`EXACT_UP_TO_SUBJECTS` subjects, else drawn with the
    plus-one correction of Phipson and Smyth (2010).
    """
    _, totals = subject_totals(subjects, np.asarray(differences, dtype=np.float64))
    signs = sign_patterns(len(totals), seed=seed)
    return permutation_share(float(totals.sum()), signs @ totals, len(totals))


def sign_patterns(n_subjects: int, *, seed: int, n_drawn: int = N_PERMUTATIONS) -> Floats:
    """Return signs of 1 and -1 by subject, shape (n, n_subjects): all there are, else drawn ones."""
    if n_subjects <= EXACT_UP_TO_SUBJECTS:
        return np.array(list(itertools.product((1.0, -1.0), repeat=n_subjects)))
    rng = np.random.default_rng(seed)
    return rng.choice((1.0, -1.0), size=(n_drawn, n_subjects))


def permutation_share(observed: float, permuted: Floats, n_subjects: int) -> float:
    """Return the two-sided p of a value among those of the patterns of :func:`sign_patterns`."""
    n_as_large = int(np.sum(np.abs(permuted) >= abs(observed) - 1e-9))
    if n_subjects <= EXACT_UP_TO_SUBJECTS:
        return n_as_large / len(permuted)
    return (n_as_large + 1) / (len(permuted) + 1)


def wilcoxon_p(subjects: Sequence[str], gaps: Sequence[float]) -> float | None:
    """Return the two-sided p of Wilcoxon's signed ranks over subject means."""
    pairs = np.column_stack([np.asarray(gaps, dtype=np.float64), np.ones(len(gaps))])
    _, totals = subject_totals(subjects, pairs)
    means = totals[:, 0] / totals[:, 1]
    if np.count_nonzero(means) < 2:
        return None
    from scipy.stats import wilcoxon

    return float(wilcoxon(means).pvalue)


def mcnemar_p(gaps: Sequence[float]) -> float:
    """Return the exact two-sided p of McNemar's test from differences of 0, 1 and -1."""
    wins, losses = sum(g > 0 for g in gaps), sum(g < 0 for g in gaps)
    n = wins + losses
    tail = sum(math.comb(n, k) for k in range(min(wins, losses) + 1)) / 2**n
    return min(1.0, 2 * tail)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected by Holm (1979) over their family, in the same order."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = [0.0] * len(p_values)
    worst = 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = worst
    return corrected
