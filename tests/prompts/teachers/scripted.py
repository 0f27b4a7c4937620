"""A provider that answers from a script, for tests of the gateway alone; the wire has its own tests."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prompts.teachers.base import (
    BatchApi,
    BatchLine,
    BatchResult,
    BatchState,
    Exchange,
    Repair,
    Task,
    TeacherError,
    TeacherRequest,
)
from prompts.teachers.cache import TeacherCache
from prompts.teachers.gateway import Gateway
from prompts.teachers.limits import Limits
from prompts.teachers.prices import Budget, Price
from prompts.teachers.prompt_files import Prompt
from prompts.teachers.settings import GatewaySettings

PROMPT = Prompt("narrative-v0", "Write.", "{}", "0123456789abcdef")
PRICE = Price(1.0, 4.0)
N_IN, N_OUT = 100, 50
COST = PRICE.cost(N_IN, N_OUT)
GOOD = json.dumps({"sentences": []})

Script = Callable[["Call"], str | TeacherError]
"""Text to answer with, or the error to raise."""


@dataclass
class Call:
    """One request as it arrived."""

    seed: int
    key: str
    n: int
    repair: Repair | None
    max_output_tokens: int | None


@dataclass
class Scripted:
    """Answers each call by the script, and counts what it charged by key, once each."""

    script: Script = lambda call: GOOD
    delay_s: float = 0.0
    is_inside: bool = True
    is_offline: bool = False
    teacher_id: str = "scripted:1"
    max_output_tokens: int = 256
    reasoning_tokens: int = 0
    sampling: str = "t=0"
    batch: BatchApi | None = None
    calls: list[Call] = field(default_factory=list)
    charged: dict[str, float] = field(default_factory=dict)
    n_open: int = 0
    most_open: int = 0
    is_closed: bool = False
    _n: Counter[str] = field(default_factory=Counter)

    async def send(
        self,
        request: TeacherRequest,
        *,
        repair: Repair | None,
        idempotency_key: str,
        max_output_tokens: int | None = None,
    ) -> Exchange:
        self._n[idempotency_key] += 1
        call = Call(
            request.seed, idempotency_key, self._n[idempotency_key], repair, max_output_tokens
        )
        self.calls.append(call)
        self.n_open += 1
        self.most_open = max(self.most_open, self.n_open)
        try:
            await asyncio.sleep(self.delay_s)
            answer = self.script(call)
        finally:
            self.n_open -= 1
        if isinstance(answer, TeacherError):
            if answer.exchange is not None:
                self.charged[idempotency_key] = COST
            raise answer
        self.charged[idempotency_key] = COST
        return Exchange(answer, N_IN, N_OUT)

    async def aclose(self) -> None:
        self.is_closed = True


@dataclass
class ScriptedBatch:
    """Batch jobs that are done at once, answered by the same script as online."""

    script: Script = lambda call: GOOD
    jobs: list[list[BatchLine]] = field(default_factory=list)
    known: list[Mapping[str, str]] = field(default_factory=list)

    def submit(self, lines: Sequence[BatchLine], metadata: Mapping[str, str]) -> str:
        self.jobs.append(list(lines))
        self.known.append(dict(metadata))
        return str(len(self.jobs) - 1)

    def find(self, metadata: Mapping[str, str]) -> str | None:
        return str(self.known.index(metadata)) if metadata in self.known else None

    def state(self, job_id: str) -> BatchState:
        return "done"

    def results(self, job_id: str) -> Iterator[BatchResult]:
        for line in reversed(self.jobs[int(job_id)]):
            answer = self.script(
                Call(line.request.seed, line.key, 1, line.repair, line.max_output_tokens)
            )
            if isinstance(answer, str):
                yield BatchResult(line.key, Exchange(answer, N_IN, N_OUT))
            elif answer.cause != "missing":
                yield BatchResult(line.key, answer)


def request_of(seed: int, *, is_gated: bool = False, **payload: Any) -> TeacherRequest:
    return TeacherRequest(PROMPT, payload or {"n_rows": seed % 19}, is_gated, seed)


def tasks_of(
    seeds: Iterable[int], check: Callable[[Any], str] = lambda data: "", **kwargs: Any
) -> Iterator[Task]:
    for seed in seeds:
        yield Task(request_of(seed, **kwargs), check, f"t{seed}")


def gateway_of(
    provider: Scripted,
    path: Path | None = None,
    *,
    cap_usd: float = 1e6,
    run: str = "run",
    **settings: Any,
) -> Gateway:
    values = {"backoff_s": 0.0, "breaker_cooloff_s": 0.001} | settings
    travel = GatewaySettings(**values)
    return Gateway(
        provider, PRICE, Budget(cap_usd), TeacherCache(path), Limits(travel.limits()), travel, run=run
    )  # fmt: skip
