"""What a request may cost and what it did: cache, price and spend cap kept in step.

Every request passes reserve, begin, then settle or give up, in this order; a kill between any two
leaves money counted, never forgotten. When a request is sent is for ``online`` and ``batches``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prompts.teachers.base import (
    BatchLine,
    Estimate,
    Exchange,
    Provider,
    Repair,
    TeacherRequest,
)
from prompts.teachers.cache import Answer, TeacherCache, request_key
from prompts.teachers.prices import Budget, Price

OVERHEAD_TOKENS = 200
"""Roles, schema frame and other tokens a provider adds (engineering default)."""


@dataclass(slots=True)
class Hold:
    """Money set aside for one request; it changes as its tries go.

    Parameters
    ----------
    line
        The request.
    n_tokens
        Upper bound of input and output tokens.
    upper_usd
        Most it can cost.
    counted_usd
        Of it, what the run counted before, since an earlier try's fate is unknown.
    may_be_billed
        A try left and no answer came back: it counts until one does.
    is_begun
        Written down as in flight by this run.
    """

    line: BatchLine
    n_tokens: int
    upper_usd: float
    counted_usd: float
    may_be_billed: bool
    is_begun: bool = False


class Account:
    """The money of one run.

    Parameters
    ----------
    provider
        Whose token limits bound a request; it is not called.
    price, budget, cache
        What tokens cost, the cap, and the record. What the record already holds for this run
        counts against the cap.
    run
        Name in the ledger.
    """

    def __init__(
        self, provider: Provider, price: Price, budget: Budget, cache: TeacherCache, run: str
    ) -> None:
        self.cache = cache
        self.run = run
        self._provider = provider
        self._price = price
        self._budget = budget
        budget.settle(0.0, cache.committed_usd(run))

    def estimate(self, requests: Iterable[TeacherRequest]) -> Estimate:
        """Bound tokens and money of first tries that are not answered yet; call nobody."""
        n_requests = n_cached = inputs = outputs = 0
        sampling = self._provider.sampling
        for request in requests:
            n_requests += 1
            key = request_key(request, self._provider.teacher_id, sampling)
            if self.cache.find(key) is not None:
                n_cached += 1
                continue
            n_in, n_out = self._bounds(request, None, None)
            inputs, outputs = inputs + n_in, outputs + n_out
        usd = self._price.cost(inputs, outputs)
        return Estimate(n_requests, inputs, outputs, usd, n_cached)

    def reserve(self, line: BatchLine) -> Hold:
        """Set aside the most a request can cost.

        Raises
        ------
        BudgetExceededError
            If the cap could be passed; nothing is set aside then.
        """
        n_in, n_out = self._bounds(line.request, line.repair, line.max_output_tokens)
        upper = self._price.cost(n_in, n_out)
        before = self.cache.in_flight(line.key)
        counted = before[1] if before and before[0] == self.run else 0.0
        self._budget.reserve(upper - counted)
        return Hold(line, n_in + n_out, upper, counted, before is not None)

    def begin(self, hold: Hold) -> None:
        """Write down that the request leaves now."""
        self.cache.begin(hold.line.key, self.run, self._provider.teacher_id, hold.upper_usd)
        hold.is_begun = True

    def begin_many(self, holds: Sequence[Hold]) -> None:
        """Write down that many requests leave now, all or none."""
        rows = ((hold.line.key, hold.upper_usd) for hold in holds)
        self.cache.begin_many(rows, self.run, self._provider.teacher_id)
        for hold in holds:
            hold.is_begun = True

    def settle(self, hold: Hold, exchange: Exchange, cause: str = "") -> Answer:
        """Write down what came back and what it cost."""
        usd = self._price.of(exchange)
        self.cache.settle(hold.line.key, exchange, usd, cause)
        self._budget.settle(hold.upper_usd, usd)
        return Answer(exchange, usd, cause, is_cached=False)

    def settle_found(self, key: str, exchange: Exchange, cause: str = "") -> None:
        """Write down a reply nobody of this run waits for, left over in an earlier run's job."""
        before = self.cache.in_flight(key)
        usd = self._price.of(exchange)
        self.cache.settle(key, exchange, usd, cause)
        if before is not None and before[0] == self.run:
            self._budget.settle(before[1], usd)

    def fail_try(self, hold: Hold, *, may_be_billed: bool) -> None:
        """Note a try that failed; one that was certainly not billed leaves no trace."""
        hold.may_be_billed |= may_be_billed
        if hold.is_begun and not hold.may_be_billed:
            self.cache.release(hold.line.key)
            hold.is_begun = False

    def give_up(self, hold: Hold) -> None:
        """Set free what the request certainly did not cost."""
        if not hold.is_begun:
            self._budget.settle(hold.upper_usd, hold.counted_usd)

    def _bounds(
        self, request: TeacherRequest, repair: Repair | None, max_output_tokens: int | None
    ) -> tuple[int, int]:
        prompt = request.prompt
        texts = [prompt.system, prompt.schema_text, request.payload_text]
        if repair is not None:
            texts += [repair.previous_text, repair.complaint]
        # no tokenizer makes more tokens than bytes; numbers come near it, so nothing less is safe
        inputs = sum(len(text.encode()) for text in texts) + OVERHEAD_TOKENS
        inputs += sum(picture.max_tokens for picture in request.pictures)
        limit = max_output_tokens or self._provider.max_output_tokens
        return inputs, limit + self._provider.reasoning_tokens
