"""How far judges agree: with themselves, with each other, with people.

Weighted kappa (Cohen 1968, quadratic weights) for two raters on one scale and Krippendorff's alpha
(interval distance; Krippendorff 2011) for any number with gaps. Intervals resample subjects, as
everywhere (``scores/intervals.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.scores.intervals import (
    N_DRAWS,
    Floats,
    Interval,
    percentile_interval,
    subject_totals,
    subject_weights,
)


def weighted_kappa(one: Sequence[float], other: Sequence[float]) -> float:
    """Return Cohen's kappa with quadratic weights; NaN where both raters use one same value.

    Raises
    ------
    ValueError
        If there are no ratings, or not one each.
    """
    a, b = _paired(one, other)
    return float(_kappa(_kappa_sums(a, b).sum(axis=0, keepdims=True))[0])


def weighted_kappa_interval(
    subjects: Sequence[str], one: Sequence[float], other: Sequence[float], *, seed: int
) -> Interval:
    """Return weighted kappa with its interval clustered by subject."""
    a, b = _paired(one, other)
    _, totals = subject_totals(subjects, _kappa_sums(a, b))
    value = float(_kappa(totals.sum(axis=0, keepdims=True))[0])
    weights = subject_weights(len(totals), seed=seed, n_draws=N_DRAWS)
    return percentile_interval(value, _kappa(weights @ totals), len(totals))


def _paired(one: Sequence[float], other: Sequence[float]) -> tuple[Floats, Floats]:
    if not one or len(one) != len(other):
        raise ValueError(f"{len(one)} and {len(other)} ratings; give one each")
    return np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)


def _kappa_sums(a: Floats, b: Floats) -> Floats:
    return np.column_stack([np.ones_like(a), a, b, a * a, b * b, (a - b) ** 2])


def _kappa(sums: Floats) -> Floats:
    """Quadratic kappa needs moments alone: 1 - E(a - b)^2 over its value under independence."""
    n, a, b, aa, bb, gap = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = aa / n + bb / n - 2 * (a / n) * (b / n)
        return np.where(expected > 0, 1 - (gap / n) / expected, np.nan)


def krippendorff_alpha(ratings: Floats) -> float:
    """Return Krippendorff's alpha with interval distance.

    Parameters
    ----------
    ratings
        Shape (n_items, n_raters); NaN where a rater gave none. Items with one rating do not count.

    Returns
    -------
    float
        1 for full agreement, 0 for chance; NaN where all ratings are the same or none is paired.
    """
    counts = np.isfinite(ratings).sum(axis=1)
    paired, m = ratings[counts > 1], counts[counts > 1]
    values = paired[np.isfinite(paired)]
    if values.size < 2:
        return float("nan")
    n = values.size
    within = sum(
        _squared_gaps(row[np.isfinite(row)]) / (k - 1) for row, k in zip(paired, m, strict=True)
    )
    expected = _squared_gaps(values) / (n - 1)
    return float("nan") if expected == 0 else float(1 - within / expected)


def _squared_gaps(values: Floats) -> float:
    """Return the sum of squared differences over ordered pairs."""
    return float(2 * (values.size * np.sum(values**2) - np.sum(values) ** 2))


def same_share(ratings: Floats) -> float:
    """Return the share of items on which all raters that answered say the same.

    Parameters
    ----------
    ratings
        Shape (n_items, n_raters); NaN where a rater gave none.
    """
    whole = ratings[np.isfinite(ratings).sum(axis=1) > 1]
    if not len(whole):
        return float("nan")
    return float(np.mean(np.nanmax(whole, axis=1) == np.nanmin(whole, axis=1)))
