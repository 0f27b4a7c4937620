"""Intervals: repeatable, indifferent to order, clustered by subject, true to closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.scores.intervals import (
    Interval,
    mean_interval,
    percentile_interval,
    sign_permutation_p,
    subject_totals,
    subject_weights,
    wilson_interval,
)

_ITEMS = st.lists(
    st.tuples(st.sampled_from("abcdefg"), st.floats(0, 1, allow_subnormal=False)),
    min_size=2,
    max_size=40,
)


@settings(deadline=None)
@given(_ITEMS, st.randoms(use_true_random=False))
def test_the_order_of_items_moves_no_interval(
    items: list[tuple[str, float]], random: object
) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    straight, mixed = (
        mean_interval([s for s, _ in rows], [v for _, v in rows], seed=1, n_draws=50)
        for rows in (items, shuffled)
    )
    assert straight == mixed


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    rng = np.random.default_rng(0)
    subjects, values = [f"p{i % 9}" for i in range(90)], rng.random(90).tolist()
    one = mean_interval(subjects, values, seed=1)
    assert mean_interval(subjects, values, seed=1) == one
    assert mean_interval(subjects, values, seed=2) != one


def test_a_bootstrap_of_lone_items_matches_the_normal_interval() -> None:
    values = np.random.default_rng(3).normal(0.5, 0.1, 400)
    interval = mean_interval([str(i) for i in range(400)], values.tolist(), seed=0)
    half = 1.96 * values.std() / 20
    assert interval.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_items_that_repeat_their_subject_widen_the_interval() -> None:
    per_subject = np.random.default_rng(4).integers(0, 2, 25).astype(float)
    values = np.repeat(per_subject, 10).tolist()
    clustered = mean_interval([f"p{i // 10}" for i in range(250)], values, seed=0)
    lone = mean_interval([f"p{i}" for i in range(250)], values, seed=0)
    assert _width(clustered) > 2.5 * _width(lone)


def _width(interval: Interval) -> float:
    assert interval.low is not None
    assert interval.high is not None
    return interval.high - interval.low


def test_one_subject_has_a_value_and_no_interval() -> None:
    interval = mean_interval(["p"] * 5, [0, 1, 1, 1, 1], seed=0)
    assert interval == Interval(0.8, None, None, 1)
    assert interval.includes(0.0)


@pytest.mark.parametrize(("n_subjects", "is_weak"), [(19, True), (20, False)])
def test_few_subjects_make_a_weak_interval(n_subjects: int, is_weak: bool) -> None:
    assert Interval(0.5, 0.4, 0.6, n_subjects).is_weak is is_weak


def test_every_draw_has_as_many_subjects_as_there_are() -> None:
    weights = subject_weights(7, seed=0, n_draws=200)
    assert weights.shape == (200, 7)
    assert set(weights.sum(axis=1)) == {7.0}


def test_totals_keep_trailing_axes() -> None:
    names, totals = subject_totals(["b", "a", "b"], np.arange(12.0).reshape(3, 2, 2))
    assert names == ("a", "b")
    assert totals.tolist() == [[[4, 5], [6, 7]], [[8, 10], [12, 14]]]


@pytest.mark.parametrize(
    ("n_correct", "n_items", "low", "high"),
    [
        (72, 90, 0.706, 0.870),
        (63, 90, 0.599, 0.785),
        (0, 10, 0.0, 0.278),
        (10, 10, 0.722, 1.0),
    ],
    ids=["80 % of 90", "70 % of 90", "none", "all"],
)
def test_wilson_gives_the_published_edges(
    n_correct: int, n_items: int, low: float, high: float
) -> None:
    assert wilson_interval(n_correct, n_items) == pytest.approx((low, high), abs=5e-4)


@given(st.integers(1, 500), st.data())
def test_wilson_holds_the_share(n_items: int, data: st.DataObject) -> None:
    n_correct = data.draw(st.integers(0, n_items))
    low, high = wilson_interval(n_correct, n_items)
    assert 0 <= low <= n_correct / n_items <= high <= 1


@pytest.mark.parametrize(("n_correct", "n_items"), [(1, 0), (-1, 5), (6, 5)])
def test_a_share_that_is_none_is_refused(n_correct: int, n_items: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson_interval(n_correct, n_items)


def test_equal_gaps_of_all_subjects_have_the_smallest_exact_p() -> None:
    subjects = [f"p{i // 3}" for i in range(18)]
    assert sign_permutation_p(subjects, [0.5] * 18, seed=0) == pytest.approx(2 / 2**6)


def test_no_gap_has_a_p_of_one() -> None:
    assert sign_permutation_p(["a", "b", "c"], [0.0, 0.0, 0.0], seed=0) == 1.0


def test_a_drawn_p_is_near_the_counted_one() -> None:
    gaps = np.random.default_rng(5).normal(0.12, 0.3, 14)
    subjects = [f"p{i:02d}" for i in range(14)]
    signs = np.array(np.meshgrid(*[[1.0, -1.0]] * 14)).reshape(14, -1)
    exact = float(np.mean(np.abs(signs.T @ gaps) >= abs(gaps.sum()) - 1e-9))
    assert sign_permutation_p(subjects, gaps.tolist(), seed=0) == pytest.approx(exact, abs=0.015)


def test_values_without_subjects_are_refused() -> None:
    with pytest.raises(ValueError, match="give one each"):
        mean_interval(["a"], [1.0, 2.0], seed=0)


def test_void_draws_are_left_out() -> None:
    draws = np.array([math.nan, 0.2, 0.4, math.nan])
    interval = percentile_interval(0.3, draws, 5)
    assert interval.low == pytest.approx(0.205)
