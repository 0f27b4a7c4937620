from __future__ import annotations

import os

import pytest

from dagster_project.corpora.pool import THREAD_LIMITS, map_in_order


def square(n: int) -> int:
    return n * n


def limits(_: int) -> tuple[str | None, ...]:
    return tuple(os.environ.get(name) for name in THREAD_LIMITS)


def die_at_three(n: int) -> int:
    if n == 3:
        os._exit(9)
    return n


def lost(n: int) -> int:
    return -n


@pytest.mark.parametrize("n_workers", [1, 2])
def test_answers_come_in_order(n_workers: int) -> None:
    assert list(map_in_order(square, range(20), n_workers, lost)) == [n * n for n in range(20)]


def test_workers_run_one_thread_each_and_the_parent_is_as_before() -> None:
    before = dict(os.environ)
    assert list(map_in_order(limits, [0, 1], 2, lambda n: ())) == [("1",) * len(THREAD_LIMITS)] * 2
    assert dict(os.environ) == before


def test_an_item_that_kills_its_worker_is_lost_alone() -> None:
    assert list(map_in_order(die_at_three, range(6), 2, lost)) == [0, 1, 2, -3, 4, 5]


def test_no_workers_is_refused() -> None:
    with pytest.raises(ValueError, match="use 1"):
        list(map_in_order(square, [1], 0, lost))


def test_nothing_to_do() -> None:
    assert list(map_in_order(square, [], 2, lost)) == []
