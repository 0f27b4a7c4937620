"""Asking one request at a time over the network: what is known, may be paid, and try again.

Each request ends in an answer that is written down, or in an error that the next request would
share. Many run side by side on one event loop; how many, and how fast, is for ``limits``.
"""

from __future__ import annotations

import asyncio

from prompts.teachers.account import Account, Hold
from prompts.teachers.base import (
    BatchLine,
    BudgetExceededError,
    Exchange,
    Provider,
    TeacherBusyError,
    TeacherError,
    TeacherRetryableError,
)
from prompts.teachers.cache import Answer
from prompts.teachers.limits import MAX_RETRY_AFTER_S, Limits
from prompts.teachers.trial import ROW_CAUSES

THROTTLED = "status 429"
NOTHING = Exchange("", 0, 0)
"""What came back where a provider sent nothing and billed nothing."""


class StoppedError(TeacherRetryableError):
    """A request that did not leave, since another one's error ends the run."""


class Asker:
    """Sends requests and answers them from the record where it can.

    Parameters
    ----------
    provider, account, limits
        Who answers, who pays, how fast.
    max_attempts
        Tries of one request where another try may cure.
    """

    def __init__(
        self, provider: Provider, account: Account, limits: Limits, max_attempts: int
    ) -> None:
        self._provider = provider
        self._account = account
        self._limits = limits
        self._max_attempts = max_attempts
        self._open: dict[str, asyncio.Event] = {}
        self._n_holds = 0
        self._settled = asyncio.Event()
        self.stopped_by: BaseException | None = None
        """The error that ends the run: requests that have not left yet end with it too."""

    async def ask(self, line: BatchLine) -> Answer:
        """Answer one request, paying at most once for the same key.

        Raises
        ------
        TeacherError
            For a cause that the next request would share.
        """
        if self._provider.is_offline:
            exchange = await self._send(line)
            return Answer(exchange, 0.0, "", is_cached=False)
        while (other := self._open.get(line.key)) is not None:
            await other.wait()
        if (answer := self._account.cache.find(line.key)) is not None:
            return answer
        done = self._open[line.key] = asyncio.Event()
        try:
            hold = await self._reserve(line)
            try:
                return await self._pay(hold)
            finally:
                self._n_holds -= 1
                self._wake()
        finally:
            del self._open[line.key]
            done.set()

    async def _reserve(self, line: BatchLine) -> Hold:
        """Set money aside; near the cap, wait for others to settle below their upper bounds."""
        while True:
            self._stop_here()
            try:
                hold = self._account.reserve(line)
            except BudgetExceededError:
                if not self._n_holds:
                    raise
                await self._settled.wait()
            else:
                self._n_holds += 1
                return hold

    async def _pay(self, hold: Hold) -> Answer:
        n_tries = 1
        while True:
            try:
                return await self._try(hold)
            except TeacherBusyError as error:
                is_too_long = (error.retry_after_s or 0.0) > MAX_RETRY_AFTER_S
                if n_tries == self._max_attempts or is_too_long:
                    self._account.give_up(hold)
                    raise
                if self.stopped_by is None:
                    await self._limits.back_off(hold.line.key, n_tries, error.retry_after_s)
                n_tries += 1
            except TeacherError:
                self._account.give_up(hold)
                raise

    async def _try(self, hold: Hold) -> Answer:
        """Send once; what comes back is written down before anything else happens."""
        ticket = await self._limits.enter(hold.n_tokens)
        try:
            self._stop_here()
            self._account.begin(hold)
            exchange, cause = await self._send(hold.line), ""
        except TeacherError as error:
            if error.cause not in ROW_CAUSES:
                self._fail(hold, error, ticket)
                raise
            exchange, cause = error.exchange or NOTHING, error.cause
        except BaseException:
            self._limits.cancel(hold.n_tokens)
            raise
        answer = self._account.settle(hold, exchange, cause)
        n_used = exchange.input_tokens + exchange.output_tokens
        self._limits.succeed(hold.n_tokens, n_used, exchange.rate_headers)
        return answer

    def _fail(self, hold: Hold, error: TeacherError, ticket: int) -> None:
        if isinstance(error, TeacherBusyError):
            self._account.fail_try(hold, may_be_billed=error.is_possibly_paid)
            is_throttled = error.cause == THROTTLED
            self._limits.fail(ticket, hold.n_tokens, is_throttled=is_throttled)
        else:
            self._account.fail_try(hold, may_be_billed=False)
            self._limits.cancel(hold.n_tokens)

    async def _send(self, line: BatchLine) -> Exchange:
        return await self._provider.send(
            line.request,
            repair=line.repair,
            idempotency_key=line.key,
            max_output_tokens=line.max_output_tokens,
        )

    def _stop_here(self) -> None:
        if self.stopped_by is not None:
            raise StoppedError("the run is stopping", cause="stopped")

    def _wake(self) -> None:
        self._settled.set()
        self._settled = asyncio.Event()
