"""What every hosted teacher does around its call: guards, estimate, budget, bookkeeping.

A provider's module gives two things: how to send one request, and how its errors map to ours.
"""

from __future__ import annotations

import abc
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from prompts.teachers.base import (
    Estimate,
    TeacherRefusedError,
    TeacherReply,
    TeacherRequest,
    parse_reply,
)
from prompts.teachers.payload import assert_payload_is_clean
from prompts.teachers.prices import Budget, Price

log = logging.getLogger(__name__)

CHARS_PER_TOKEN = 2.5
"""Low on purpose (prose has about 4, JSON of numbers about 3): estimates are upper bounds."""
OVERHEAD_TOKENS = 200
"""Roles, schema frame and other tokens a provider adds (engineering default)."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a provider gave back: text and tokens."""

    text: str
    input_tokens: int
    output_tokens: int


class HostedTeacher(abc.ABC):
    """A teacher behind a network address."""

    def __init__(
        self,
        teacher_id: str,
        price: Price,
        budget: Budget,
        max_output_tokens: int,
        *,
        may_gated: bool,
    ) -> None:
        self._teacher_id = teacher_id
        self._price = price
        self._budget = budget
        self._max_output_tokens = max_output_tokens
        self._may_gated = may_gated

    @property
    def teacher_id(self) -> str:
        """Name stored in every row."""
        return self._teacher_id

    @property
    def is_offline(self) -> bool:
        """A model writes; the row is not template text."""
        return False

    @property
    def budget(self) -> Budget:
        """Money committed and its cap."""
        return self._budget

    def estimate(self, requests: Sequence[TeacherRequest]) -> Estimate:
        """Return an upper bound of tokens and money, without calling anyone."""
        inputs = sum(self._input_bound(r) for r in requests)
        outputs = self._max_output_tokens * len(requests)
        return Estimate(len(requests), inputs, outputs, self._price.cost(inputs, outputs))

    def complete(self, request: TeacherRequest) -> TeacherReply:
        """Answer one request; see :class:`prompts.teachers.base.Teacher`."""
        if request.is_gated and not self._may_gated:
            raise TeacherRefusedError(
                "rows of a gated corpus may not be sent to a hosted teacher; use provider "
                "'template' or a local server with is_local",
                cause="gated corpus",
            )
        assert_payload_is_clean(request.payload)
        upper = self.estimate([request]).usd
        self._budget.reserve(upper)
        paid = 0.0
        try:
            exchange = self._send(request)
            paid = self._price.cost(exchange.input_tokens, exchange.output_tokens)
        finally:
            self._budget.settle(upper, paid)
        log.debug(
            "%s: %d in, %d out", self.teacher_id, exchange.input_tokens, exchange.output_tokens
        )
        return TeacherReply(
            data=parse_reply(exchange.text),
            input_tokens=exchange.input_tokens,
            output_tokens=exchange.output_tokens,
            cost_usd=paid,
            payload_hash=request.payload_hash,
        )

    @abc.abstractmethod
    def _send(self, request: TeacherRequest) -> Exchange:
        """Send one request and return text and tokens, or raise a :class:`TeacherError`."""

    @staticmethod
    def _input_bound(request: TeacherRequest) -> int:
        prompt = request.prompt
        n_chars = len(prompt.system) + len(prompt.schema_text) + len(request.payload_text)
        return int(n_chars / CHARS_PER_TOKEN) + OVERHEAD_TOKENS
