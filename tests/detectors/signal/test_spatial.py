from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from planted_signals import POSTERIOR_FIELD, add, batch_of, noise, rhythm

from dagster_project.tables.registry import table
from detectors.montage import mirror_rows
from detectors.signal.spatial import exact_tiers, spatial_features
from detectors.types import ChannelSchema


def inertia(values: NDArray[np.float64], labels: NDArray[np.integer]) -> float:
    parts = (values[labels == k] for k in np.unique(labels))
    return float(sum(((part - part.mean()) ** 2).sum() for part in parts))


def best_inertia(values: list[float]) -> float:
    """By trying every pair of cuts of the sorted values, written the slow way."""
    ordered = np.sort(values)
    return min(
        sum(float(((p - p.mean()) ** 2).sum()) for p in np.split(ordered, cuts))
        for cuts in combinations(range(1, len(ordered)), 2)
    )


numbers = st.lists(st.integers(-40, 40).map(float), min_size=3, max_size=12)


@given(numbers)
def test_no_three_clusters_are_tighter(values: list[float]) -> None:
    tiers = exact_tiers(np.array([values]), np.ones((1, len(values)), dtype=bool))[0]
    got = inertia(np.array(values), tiers)
    assert got <= best_inertia(values) + 1e-9 * (1 + got)


@given(numbers, st.randoms(use_true_random=False))
def test_tiers_follow_their_rows_through_any_order(values: list[float], random: object) -> None:
    order = list(range(len(values)))
    random.shuffle(order)  # type: ignore[attr-defined]
    mask = np.ones((1, len(values)), dtype=bool)
    there = exact_tiers(np.array([values]), mask)[0]
    moved = exact_tiers(np.array([values])[:, order], mask)[0]
    assert np.array_equal(there[order], moved)


@given(numbers)
def test_tiers_rise_with_the_value_and_equal_values_share_one(values: list[float]) -> None:
    tiers = exact_tiers(np.array([values]), np.ones((1, len(values)), dtype=bool))[0]
    order = np.argsort(values)
    assert (np.diff(tiers[order]) >= 0).all()
    for value in set(values):
        assert len({int(t) for v, t in zip(values, tiers, strict=True) if v == value}) == 1


def test_inertia_is_never_above_seeded_kmeans() -> None:
    from sklearn.cluster import KMeans

    values = np.random.default_rng(0).normal(size=(25, 19))
    tiers = exact_tiers(values, np.ones(values.shape, dtype=bool))
    for row, got in zip(values, tiers, strict=True):
        other = KMeans(3, n_init=10, random_state=42).fit(row[:, None])
        assert inertia(row, got) <= other.inertia_ + 1e-9


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 1, 5, 5, 9, 9], [0, 0, 1, 1, 2, 2]),
        ([3, 3, 3], [1, 1, 1]),
        ([3, 8, 3], [0, 2, 0]),
        ([4], [1]),
        ([0, 1, 2, 3], [0, 1, 2, 2]),
    ],
    ids=["clear", "one-value", "two-values", "one-row", "tie-smallest-low-tier"],
)
def test_edges(values: list[float], expected: list[int]) -> None:
    got = exact_tiers(np.array([values], dtype=float), np.ones((1, len(values)), dtype=bool))
    assert got[0].tolist() == expected


def test_missing_rows_do_not_take_part() -> None:
    values = np.array([[1.0, np.nan, 1.1, 5.0, 9.0]])
    mask = np.isfinite(values)
    assert exact_tiers(values, mask)[0].tolist() == [0, -1, 0, 1, 2]


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        exact_tiers(np.array([[1.0, np.nan, 2.0]]), np.ones((1, 3), dtype=bool))


def test_the_loudest_rows_make_the_high_tier() -> None:
    batch = batch_of(add(noise(2), rhythm(10, 90), POSTERIOR_FIELD))
    features = spatial_features(batch)
    high = {n for n, t in zip(batch.schema.ch_names, features.tier[0], strict=True) if t == 2}
    assert {"O1", "O2"} <= high
    assert not high & {"F3", "C3", "T7"}
    assert features.highest_channel[0] in {"O1", "O2"}


def test_mirroring_the_head_mirrors_the_tiers() -> None:
    data = noise(3, seed=5)
    there = spatial_features(batch_of(data))
    mirrored = spatial_features(batch_of(data[:, mirror_rows()]))
    assert np.array_equal(there.tier[:, mirror_rows()], mirrored.tier)


def test_gain_and_reference_do_not_move_tiers() -> None:
    data = noise(3, seed=6)
    there = spatial_features(batch_of(data)).tier
    assert np.array_equal(there, spatial_features(batch_of(4 * data)).tier)
    elsewhere = data - noise(3, seed=7, n_rows=1)
    assert np.array_equal(there, spatial_features(batch_of(elsewhere)).tier)


def test_pages_without_a_head_of_electrodes_are_not_judged() -> None:
    mask = np.ones((2, 19), dtype=bool)
    mask[0, :4] = False
    features = spatial_features(batch_of(noise(2), mask=mask))
    assert features.reason[0] == "fewer than 16 live rows"
    assert features.reason[1] == ""
    assert (features.tier[0] == -1).all()
    assert np.isnan(features.energy_uv2[0]).all()
    pair = ChannelSchema.bipolar(("Fpz-Cz", "Pz-Oz"))
    bipolar = spatial_features(batch_of(noise(1, n_rows=2), schema=pair))
    assert bipolar.reason == ("tiers need single electrodes",)


def test_a_silent_row_is_missing_and_lifts_nobody() -> None:
    data = noise(1)
    data[0, 7] = 0
    features = spatial_features(batch_of(data))
    assert features.tier[0, 7] == -1
    assert (np.delete(features.tier[0], 7) >= 0).all()


def test_rows_list_every_channel_with_registered_columns() -> None:
    mask = np.ones((1, 19), dtype=bool)
    mask[0, 2] = False
    batch = batch_of(noise(1), mask=mask)
    (row,) = spatial_features(batch).rows(batch)
    assert tuple(row) == table("spatial_features").column_names
    assert len(row["tier"]) == 19
    assert row["tier"][2] == "missing"
    assert row["is_judged"]
