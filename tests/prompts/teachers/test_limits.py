"""Rates, places, back-off and breaker, under a clock of the test's own."""

from __future__ import annotations

import asyncio
import bisect
from typing import Any

import pytest

from prompts.teachers.base import TeacherDownError
from prompts.teachers.limits import BURST_S, Limits, LimitSettings
from prompts.teachers.settings import GatewaySettings


class Time:
    """A clock that only sleeping moves; sleepers wake in order."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._n = 0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._n += 1
        done = asyncio.get_running_loop().create_future()
        bisect.insort(self._sleepers, (self.now + seconds, self._n, done))
        await done

    async def run(self, *work: Any) -> list[Any]:
        tasks = [asyncio.ensure_future(w) for w in work]
        while not all(t.done() for t in tasks):
            for _ in range(20):
                await asyncio.sleep(0)
            if self._sleepers and not all(t.done() for t in tasks):
                self.now, _, done = self._sleepers.pop(0)
                done.set_result(None)
        return [t.result() for t in tasks]


def limits_of(time: Time, **settings: Any) -> Limits:
    return Limits(LimitSettings(**settings), clock=time.clock, sleep=time.sleep)


async def one(limits: Limits, time: Time, n_tokens: int = 1, hold_s: float = 0.0) -> float:
    """Enter, hold the place for a while, leave; return when it was entered."""
    await limits.enter(n_tokens)
    entered = time.now
    if hold_s:
        await time.sleep(hold_s)
    limits.succeed(n_tokens, n_tokens, {})
    return entered


@pytest.mark.parametrize(
    ("settings", "n_tokens", "per_min"),
    [
        ({"requests_per_min": 120}, 1, 120),
        ({"tokens_per_min": 60_000}, 500, 120),
        ({"requests_per_min": 60, "tokens_per_min": 60_000}, 500, 60),
        ({"requests_per_min": 600, "tokens_per_min": 6_000}, 100, 60),
    ],
)
def test_neither_requests_nor_tokens_pass_their_rate(
    settings: dict[str, float], n_tokens: int, per_min: int
) -> None:
    time = Time()
    limits = limits_of(time, **settings)
    n = 3 * per_min
    entered = asyncio.run(time.run(*(one(limits, time, n_tokens) for _ in range(n))))
    most = max(
        sum(start <= other < start + 60 for other in entered) for start in entered[: 2 * per_min]
    )
    assert most <= per_min * (1 + BURST_S / 60) + 1
    took = entered[-1] - entered[0]
    assert took == pytest.approx((n - 1) / per_min * 60, abs=2 * BURST_S)


def test_tokens_that_were_not_used_are_given_back() -> None:
    time = Time()
    limits = limits_of(time, tokens_per_min=6_000, max_in_flight=1)

    async def sparing() -> float:
        await limits.enter(1_000)
        limits.succeed(1_000, 100, {})
        return time.now

    entered = asyncio.run(time.run(*(sparing() for _ in range(60))))
    # 100 tokens each at 100 a second, not 1,000
    assert entered[-1] - entered[0] < 75


def test_a_rate_is_learnt_from_headers_unless_set() -> None:
    headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-limit-tokens": "no number"}

    async def spread(limits: Limits, time: Time) -> float:
        await limits.enter(1)
        limits.succeed(1, 1, headers)
        entered = [await one(limits, time) for _ in range(11)]
        return entered[-1] - entered[0]

    for settings, expected in (({}, 10), ({"requests_per_min": 120}, 5)):
        time = Time()
        limits = limits_of(time, **settings)
        (took,) = asyncio.run(time.run(spread(limits, time)))
        assert took == pytest.approx(expected, abs=2 * BURST_S)


def test_places_double_until_the_first_429_then_halve_once_a_round_and_grow_slowly() -> None:
    async def story() -> list[int]:
        limits = Limits(LimitSettings(max_in_flight=100, start_in_flight=4))
        seen = [limits.n_places]
        for _ in range(3):
            tickets = [await limits.enter(1) for _ in range(limits.n_places)]
            for _ in tickets:
                limits.succeed(1, 1, {})
            seen.append(limits.n_places)
        tickets = [await limits.enter(1) for _ in range(limits.n_places)]
        for ticket in tickets:
            limits.fail(ticket, 1, is_throttled=True)
        seen.append(limits.n_places)
        for _ in range(2):
            tickets = [await limits.enter(1) for _ in range(limits.n_places)]
            for _ in tickets:
                limits.succeed(1, 1, {})
            seen.append(limits.n_places)
        return seen

    *doubling, halved, grown, grown_more = asyncio.run(story())
    assert doubling == [4, 8, 16, 32]
    assert halved == 16
    assert halved < grown < grown_more <= halved + 8


def test_never_more_in_flight_than_places_and_first_come_first_served() -> None:
    time = Time()
    limits = limits_of(time, max_in_flight=5, start_in_flight=5)
    seen: list[int] = []
    order: list[int] = []

    async def user(i: int) -> None:
        await limits.enter(1)
        order.append(i)
        seen.append(limits.n_in_flight)
        await time.sleep(1.0)
        limits.succeed(1, 1, {})

    asyncio.run(time.run(*(user(i) for i in range(40))))
    assert max(seen) == 5
    assert order == sorted(order)
    assert limits.n_in_flight == 0


def test_a_cancelled_waiter_keeps_no_place() -> None:
    async def story() -> int:
        limits = Limits(LimitSettings(max_in_flight=1, start_in_flight=1))
        await limits.enter(1)
        waiters = [asyncio.ensure_future(limits.enter(1)) for _ in range(3)]
        await asyncio.sleep(0)
        waiters[0].cancel()
        limits.succeed(1, 1, {})
        waiters[1].cancel()
        await asyncio.gather(*waiters[:2], return_exceptions=True)
        await asyncio.wait_for(waiters[2], 5)
        return limits.n_in_flight

    assert asyncio.run(story()) == 1


def test_back_off_is_jittered_grows_is_seeded_and_honours_the_provider() -> None:
    def waits(seed: int, retry_after_s: float | None) -> list[float]:
        time = Time()
        limits = limits_of(time, backoff_s=1.0, max_backoff_s=8.0, seed=seed)
        work = [limits.back_off(f"k{k}", n, retry_after_s) for n in range(1, 7) for k in range(50)]
        asyncio.run(time.run(*work))
        return time.slept

    slept = waits(0, None)
    for n in range(6):
        some = slept[50 * n : 50 * n + 50]
        longest = min(8.0, 2.0**n)
        assert 0.0 <= min(some) < 0.2 * longest
        assert 0.8 * longest < max(some) <= longest
    assert waits(0, None) == slept
    assert waits(1, None) != slept
    assert min(waits(0, 5.0)) >= 5.0


def test_the_breaker_opens_probes_once_and_closes_on_a_success() -> None:
    time = Time()
    limits = limits_of(time, n_failures=3, cooloff_s=10.0, start_in_flight=16)

    async def story() -> tuple[float, list[float]]:
        for _ in range(3):
            limits.fail(await limits.enter(1), 1, is_throttled=False)
        assert limits.breaker.is_open
        start = time.now
        await limits.enter(1)
        probed_after = time.now - start
        others = [asyncio.ensure_future(one(limits, time)) for _ in range(4)]
        for _ in range(10):
            await asyncio.sleep(0)
        assert limits.n_in_flight == 5
        assert not any(o.done() for o in others)
        limits.succeed(1, 1, {})
        assert not limits.breaker.is_open
        return probed_after, [await o for o in others]

    (result,) = asyncio.run(time.run(story()))
    assert result[0] == pytest.approx(10.0)


def test_the_breaker_gives_up_after_failed_probes_with_one_retryable_error() -> None:
    time = Time()
    limits = limits_of(time, n_failures=3, cooloff_s=10.0, n_cooloffs=4)

    async def story() -> int:
        for n in range(7):
            assert limits.breaker.is_open == (n >= 3)
            limits.fail(await limits.enter(1), 1, is_throttled=False)
        with pytest.raises(TeacherDownError) as down:
            await limits.enter(1)
        assert down.value.is_retryable
        assert down.value.cause == "teacher unreachable"
        return limits.n_in_flight

    assert asyncio.run(time.run(story())) == [0]
    assert time.now - 100.0 == pytest.approx(40.0)


def test_successes_between_failures_keep_the_breaker_closed() -> None:
    async def story() -> bool:
        limits = Limits(LimitSettings(n_failures=3))
        for _ in range(20):
            for _ in range(2):
                limits.fail(await limits.enter(1), 1, is_throttled=False)
            await limits.enter(1)
            limits.succeed(1, 1, {})
        return limits.breaker.is_open

    assert not asyncio.run(story())


@pytest.mark.parametrize(
    ("waits", "expected"),
    [
        ({}, (5.0, 60.0, 20.0)),
        ({"batch_poll_s": 0.5}, (0.5, 60.0, 2.0)),
        ({"batch_poll_s": 90.0, "batch_find_s": 7.0}, (90.0, 90.0, 7.0)),
        ({"batch_max_poll_s": 600.0}, (5.0, 600.0, 20.0)),
    ],
)
def test_waits_of_batches_are_settings(
    waits: dict[str, float], expected: tuple[float, float, float]
) -> None:
    limits = GatewaySettings(**waits).batch_limits()
    assert (limits.poll_s, limits.max_poll_s, limits.find_s) == expected
