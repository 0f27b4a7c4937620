"""How fast a provider may be asked: rates, concurrency, back-off and the circuit breaker.

A request enters when a place is free, the breaker is closed, and requests and tokens per minute
both allow it. Places grow while replies come and halve when the provider says 429. Nothing here
knows what a request is, what it costs or whether it is sent again; that is for ``gateway``.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from prompts.teachers.base import TeacherDownError

BURST_S = 1.0
"""Seconds' worth of a minute's allowance that may be used at once (engineering default)."""
GROWTH_PER_ROUND = 4.0
"""Places gained per round trip of all places, once a first 429 ended the doubling."""
MAX_RETRY_AFTER_S = 600.0
"""A longer wish of the provider is a stop, not a wait."""


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Bounds of one provider.

    Parameters
    ----------
    requests_per_min, tokens_per_min
        Allowance; None is learnt from the replies' headers, or unlimited.
    max_in_flight, start_in_flight
        Most places, and those to begin with.
    backoff_s, max_backoff_s
        First and longest wait before another try, seconds; each try doubles it.
    n_failures
        Failures without a success between them that open the breaker.
    cooloff_s, n_cooloffs
        Wait of an open breaker before one probe, seconds, and failed probes until it gives up.
    seed
        Of the jitter.
    """

    requests_per_min: float | None = None
    tokens_per_min: float | None = None
    max_in_flight: int = 200
    start_in_flight: int = 16
    backoff_s: float = 1.0
    max_backoff_s: float = 60.0
    n_failures: int = 50
    cooloff_s: float = 15.0
    n_cooloffs: int = 4
    seed: int = 0


class Rate:
    """An allowance per minute that refills steadily, spent in order of asking.

    Parameters
    ----------
    per_min
        Allowance; None lets everything pass.
    clock
        Seconds, never going back.
    """

    def __init__(self, per_min: float | None, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._free_at = -float("inf")
        self.per_min = per_min

    def take(self, amount: float) -> float:
        """Spend an amount and return the seconds to wait until it is there."""
        if self.per_min is None:
            return 0.0
        now = self._clock()
        wait_s = max(0.0, self._free_at - now - BURST_S)
        self._free_at = max(self._free_at, now) + amount * 60.0 / self.per_min
        return wait_s

    def give_back(self, amount: float) -> None:
        """Return what was spent and not needed."""
        if self.per_min is not None:
            self._free_at -= amount * 60.0 / self.per_min


class Breaker:
    """Stops asking a provider that only fails, and asks once in a while whether it is back."""

    def __init__(self, settings: LimitSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._n_failures = 0
        self._n_cooloffs = 0
        self._opened_at: float | None = None
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Whether requests wait."""
        return self._opened_at is not None

    def wait_s(self) -> float:
        """Return the seconds to wait; 0 lets this request pass, as the probe where it is open.

        Raises
        ------
        TeacherDownError
            If the provider failed every probe.
        """
        if self._opened_at is None:
            return 0.0
        if self._n_cooloffs >= self._settings.n_cooloffs:
            raise TeacherDownError(
                f"the teacher failed {self._n_failures} times in a row and at "
                f"{self._n_cooloffs} probes after waiting; nothing is lost: run again when it "
                "answers, finished replies are not paid again",
                cause="teacher unreachable",
            )
        left = self._opened_at + self._settings.cooloff_s - self._clock()
        if left > 0 or self._is_probing:
            return max(left, self._settings.cooloff_s / 10)
        self._is_probing = True
        return 0.0

    def succeed(self) -> None:
        """Close it: the provider answered."""
        self._n_failures = self._n_cooloffs = 0
        self._opened_at, self._is_probing = None, False

    def fail(self) -> None:
        """Count a failure; open it after too many, or again after a failed probe."""
        self._n_failures += 1
        if self._is_probing:
            self._is_probing = False
            self._n_cooloffs += 1
            self._opened_at = self._clock()
        elif self._opened_at is None and self._n_failures >= self._settings.n_failures:
            self._opened_at = self._clock()

    def leave(self) -> None:
        """Let another request be the probe: this one ended without a verdict."""
        self._is_probing = False


class Limits:
    """All of them together, for one event loop.

    Parameters
    ----------
    settings
        The bounds.
    clock, sleep
        Seconds, and how to wait for some; tests bring their own.
    """

    def __init__(
        self,
        settings: LimitSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.settings = settings
        self.breaker = Breaker(settings, clock)
        self._sleep = sleep
        self._requests = Rate(settings.requests_per_min, clock)
        self._tokens = Rate(settings.tokens_per_min, clock)
        self._places = float(min(settings.start_in_flight, settings.max_in_flight))
        self._is_doubling = True
        self._n_cuts = 0
        self._n_in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def n_in_flight(self) -> int:
        """Places taken."""
        return self._n_in_flight

    @property
    def n_places(self) -> int:
        """Places there are now."""
        return int(self._places)

    async def enter(self, n_tokens: int) -> int:
        """Wait until one request of so many tokens may be sent; return a ticket for the way out.

        Raises
        ------
        TeacherDownError
            If the breaker gave up.
        """
        await self._place()
        try:
            while (wait := self.breaker.wait_s()) > 0:
                await self._sleep(wait)
            wait = max(self._requests.take(1), self._tokens.take(n_tokens))
            if wait > 0:
                await self._sleep(wait)
        except BaseException:
            self._leave()
            raise
        return self._n_cuts

    def succeed(self, n_reserved: int, n_used: int, headers: Mapping[str, str]) -> None:
        """Leave after a reply: learn, give back unused tokens, perhaps grow."""
        self.breaker.succeed()
        self._learn(headers)
        self._tokens.give_back(n_reserved - n_used)
        gain = 1.0 if self._is_doubling else GROWTH_PER_ROUND / self._places
        self._places = min(self._places + gain, float(self.settings.max_in_flight))
        self._leave()

    def fail(self, ticket: int, n_reserved: int, *, is_throttled: bool) -> None:
        """Leave after a failure; a 429 halves the places once per round of requests."""
        self.breaker.fail()
        self._tokens.give_back(n_reserved)
        if is_throttled and ticket == self._n_cuts:
            self._n_cuts += 1
            self._is_doubling = False
            self._places = max(1.0, self._places / 2)
        self._leave()

    def cancel(self, n_reserved: int) -> None:
        """Leave without a verdict on the provider."""
        self.breaker.leave()
        self._tokens.give_back(n_reserved)
        self._leave()

    async def back_off(self, key: str, n_tries: int, retry_after_s: float | None) -> None:
        """Wait before another try: full jitter, and never less than the provider asked for."""
        longest = min(self.settings.max_backoff_s, self.settings.backoff_s * 2.0 ** (n_tries - 1))
        jitter = random.Random(f"{self.settings.seed}:{key}:{n_tries}").uniform(0.0, longest)
        await self._sleep((retry_after_s or 0.0) + jitter)

    async def _place(self) -> None:
        if self._n_in_flight < int(self._places) and not self._waiting:
            self._n_in_flight += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        self._n_in_flight -= 1
        while self._n_in_flight < int(self._places) and self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                # handed over, so that nobody who comes later can take it
                place.set_result(None)
                self._n_in_flight += 1

    def _learn(self, headers: Mapping[str, str]) -> None:
        if not headers:
            return
        for rate, wanted, name in (
            (self._requests, self.settings.requests_per_min, "requests"),
            (self._tokens, self.settings.tokens_per_min, "tokens"),
        ):
            said = headers.get(f"x-ratelimit-limit-{name}", "")
            if wanted is None and re.fullmatch(r"\d+(\.\d+)?", said) and float(said) > 0:
                rate.per_min = float(said)
