"""One task from first request to its one end: what to ask next, and whether the answer may stand.

No network, no money and no clock: online and batch mode both drive a trial by asking its ``line``
and handing it the answer, until there is no line left and the outcome stands. The rules of the one
repair are here: a refusal is final; a truncated reply is asked again with twice the room; anything
else that may not stand is asked again with the earlier reply and the complaint as further turns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from prompts.teachers.base import (
    BatchLine,
    Outcome,
    Provider,
    Repair,
    Task,
    TeacherReply,
)
from prompts.teachers.cache import Answer, request_key

REFUSED, TRUNCATED, MALFORMED, EMPTY = "refused", "truncated", "malformed reply", "empty reply"
ROW_CAUSES = frozenset({REFUSED, TRUNCATED, MALFORMED, EMPTY})
"""Causes of a provider that belong to one row; any other would hit the next row alike."""
_CURABLE = frozenset({TRUNCATED, MALFORMED, EMPTY})
"""Those that asking again may cure; a refusal stands, and so does a line no batch answered."""
N_TRIES = 2
_NOT_JSON = "The reply was not one JSON object. Answer again with the JSON object alone."


class Trial:
    """A task on its way.

    Parameters
    ----------
    task
        What is asked and what the reply must pass.
    provider
        Whose name, sampling and token limit go into the request's key; it is not called.
    """

    __slots__ = (
        "_cost_usd",
        "_is_cached",
        "_n_tries",
        "_outcome",
        "_provider",
        "_tokens",
        "line",
        "task",
    )

    def __init__(self, task: Task, provider: Provider) -> None:
        self.task = task
        self.line: BatchLine | None = None
        """What to ask next; None once it ended."""
        self._outcome: Outcome | None = None
        self._provider = provider
        self._n_tries = 0
        self._cost_usd = 0.0
        self._tokens = (0, 0)
        self._is_cached = True
        self._ask(None, None)

    def take(self, answer: Answer) -> None:
        """Judge the answer to ``line``: end, or set the line of the repair."""
        self._cost_usd += answer.cost_usd
        self._is_cached &= answer.is_cached
        inputs, outputs = self._tokens
        exchange = answer.exchange
        self._tokens = (inputs + exchange.input_tokens, outputs + exchange.output_tokens)
        data, cause, complaint = _judge(self.task, answer)
        is_final = bool(answer.cause) and cause not in _CURABLE
        if not cause or is_final or self._n_tries == N_TRIES:
            self._end(data, cause)
        elif cause == TRUNCATED:
            self._ask(None, 2 * self._provider.max_output_tokens)
        elif not exchange.text.strip():
            self._ask(None, None)
        else:
            self._ask(Repair(exchange.text, complaint), None)

    @property
    def has_ended(self) -> bool:
        """Whether no line is left."""
        return self._outcome is not None

    def end(self) -> Outcome:
        """Return how it ended, once no line is left."""
        if self._outcome is None:
            raise RuntimeError("the trial has a line that was not asked")
        return self._outcome

    def _ask(self, repair: Repair | None, max_output_tokens: int | None) -> None:
        request = self.task.request
        key = request_key(
            request,
            self._provider.teacher_id,
            self._provider.sampling,
            repair=repair,
            max_output_tokens=max_output_tokens,
            n_try=self._n_tries,
        )
        self._n_tries += 1
        self.line = BatchLine(key, request, repair, max_output_tokens)

    def _end(self, data: Mapping[str, Any] | None, cause: str) -> None:
        reply = None
        if data is not None and not cause:
            reply = TeacherReply(
                data, *self._tokens, self._cost_usd, self.task.request.payload_hash
            )
        self.line = None
        self._outcome = Outcome(
            self.task, reply, cause, self._n_tries, self._cost_usd, *self._tokens, self._is_cached
        )


def _judge(task: Task, answer: Answer) -> tuple[Mapping[str, Any] | None, str, str]:
    """Return the parsed reply, the cause that keeps it from standing, and the complaint."""
    if answer.cause:
        return None, answer.cause, _NOT_JSON
    if not answer.exchange.text.strip():
        return None, EMPTY, ""
    try:
        data = json.loads(answer.exchange.text)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        return None, MALFORMED, _NOT_JSON
    cause = task.check(data)
    if not cause:
        return data, "", ""
    complaint = task.complain(data) if task.complain else f"This may not stand: {cause}."
    return data, cause, complaint
