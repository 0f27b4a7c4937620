from __future__ import annotations

import math
import os
import signal

import pytest

from dagster_project.corpora.pool import THREAD_LIMITS, map_in_order

# Workers import what they run by name, so these tests map functions of the standard library.


@pytest.mark.parametrize("n_workers", [1, 2])
def test_answers_come_in_order(n_workers: int) -> None:
    expected = [math.factorial(n) for n in range(20)]
    assert list(map_in_order(math.factorial, range(20), n_workers, lambda n: 0)) == expected


def test_workers_run_one_thread_each_and_the_parent_is_as_before() -> None:
    before = dict(os.environ)
    found = list(map_in_order(os.getenv, THREAD_LIMITS, 2, lambda name: None))
    assert found == ["1"] * len(THREAD_LIMITS)
    assert dict(os.environ) == before


def test_an_item_that_kills_its_worker_is_lost_alone() -> None:
    signals = [0, 0, signal.SIGKILL, 0]
    found = list(map_in_order(signal.raise_signal, signals, 2, lambda n: "lost"))  # type: ignore[arg-type, return-value]
    assert found == [None, None, "lost", None]


def test_no_workers_is_refused() -> None:
    with pytest.raises(ValueError, match="use 1"):
        list(map_in_order(math.factorial, [1], 0, lambda n: 0))


def test_nothing_to_do() -> None:
    assert list(map_in_order(math.factorial, [], 2, lambda n: 0)) == []
