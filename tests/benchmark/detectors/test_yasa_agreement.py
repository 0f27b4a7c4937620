from __future__ import annotations

import math

import pytest

from benchmark.detectors.events import Found
from benchmark.detectors.yasa_agreement import agreements, shared_events


def event(kind: str, t0_s: float, t1_s: float, page: str = "p0") -> Found:
    return Found(page, kind, ("Cz",), t0_s, t1_s, 1.0)


@pytest.mark.parametrize(
    ("ours", "yasa", "expected"),
    [
        (event("spindle", 1, 2), event("spindle", 1.5, 2.5), (1, 1)),
        (event("spindle", 1, 2), event("spindle", 1.8, 2.8), (0, 0)),
        (event("spindle", 1, 2), event("spindle", 1, 2, "p1"), (0, 0)),
        (event("spindle", 1, 2), event("kcomplex", 1, 2), (0, 0)),
    ],
    ids=["overlaps", "too-little", "other-page", "other-kind"],
)
def test_an_event_is_shared_where_it_overlaps(
    ours: Found, yasa: Found, expected: tuple[int, int]
) -> None:
    spindle, _ = shared_events([ours], [yasa])
    assert (spindle.n_ours_shared, spindle.n_yasa_shared) == expected


@pytest.mark.parametrize("kind", ["kcomplex", "slow_wave"])
def test_yasas_slow_waves_meet_our_kcomplexes_and_slow_waves(kind: str) -> None:
    _, slow = shared_events([event(kind, 3, 4)], [event("kcomplex", 3, 4), event("kcomplex", 7, 8)])
    assert (slow.n_ours, slow.n_ours_shared, slow.n_yasa, slow.n_yasa_shared) == (1, 1, 2, 1)


def test_shares_are_of_all_recordings_and_void_without_events() -> None:
    first = shared_events([event("spindle", 1, 2)], [event("spindle", 1, 2)])
    second = shared_events([event("spindle", 1, 2)], [])
    spindle, slow = agreements("bare rest", ["a", "b"], [first, second], seed=0)
    assert (spindle.n_ours, spindle.n_yasa) == (2, 1)
    assert (spindle.ours_in_yasa.value, spindle.yasa_in_ours.value) == (0.5, 1.0)
    assert spindle.ours_in_yasa.n_subjects == 2
    assert math.isnan(slow.ours_in_yasa.value)
