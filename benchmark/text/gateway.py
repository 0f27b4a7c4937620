"""What the teacher gateway costs: replies a second against a fixed latency, memory against rows.

Two measurements, each in processes of its own: the real ``openai`` client with 200 requests in
flight against a local server that answers after one second, on one core; and a million rows through
gateway and cache with a teacher that answers at once. Whether nothing is lost or paid twice is for
the tests. The printed report is in ``text.bench``.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.memory import peak_rss_mb

if TYPE_CHECKING:
    from rich.table import Table

N_IN_FLIGHT = 200
LATENCY_S = 1.0
MIN_SHARE = 0.95
"""Of the server's capacity of ``N_IN_FLIGHT / LATENCY_S`` replies a second."""
MAX_RSS_MB = 1000.0
N_REPLIES, N_ROWS = 6_000, 1_000_000
N_WARM = 1_500
"""Replies before the rate counts: places grow to their number first."""
_SCHEMA = json.dumps({"type": "object", "properties": {"sentences": {"type": "array"}}})
_REPLY = '{"sentences": []}'


@dataclass(frozen=True, slots=True)
class GatewayFigures:
    """What was measured.

    Parameters
    ----------
    n_replies, replies_per_s, share
        Replies timed, their rate once 200 are in flight, and its share of the server's capacity.
    cpu_ms_per_reply
        Client side, everything included.
    n_rows, rows_per_s, rss_mb, growth_mb
        Rows through gateway and cache, their rate, peak memory of the whole process, and how much
        of it came after the first tenth of the rows.
    """

    n_replies: int
    replies_per_s: float
    share: float
    cpu_ms_per_reply: float
    n_rows: int
    rows_per_s: float
    rss_mb: float
    growth_mb: float

    def misses(self) -> list[str]:
        """Return every figure beyond its bound."""
        wrong = []
        if self.share < MIN_SHARE:
            wrong.append(f"gateway: {self.share:.3f} of the server's capacity, floor {MIN_SHARE}")
        if self.rss_mb > MAX_RSS_MB:
            wrong.append(f"gateway: {self.rss_mb:.0f} MB for {self.n_rows} rows, {MAX_RSS_MB:.0f}")
        return wrong

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data; keys are stable."""
        return asdict(self)


def gateway_tables(figures: GatewayFigures) -> Iterator[Table]:
    """Yield the table of the figures, for a terminal."""
    from rich.table import Table

    table = Table("figure", "measured", "bound", title="teacher gateway")
    floor = MIN_SHARE * N_IN_FLIGHT / LATENCY_S
    table.add_row(
        f"replies/s, {N_IN_FLIGHT} in flight, {LATENCY_S:g} s each",
        f"{figures.replies_per_s:.1f}",
        f">= {floor:g}",
    )
    table.add_row("CPU ms a reply, client side", f"{figures.cpu_ms_per_reply:.2f}", "")
    table.add_row(f"peak MB, {figures.n_rows} rows", f"{figures.rss_mb:.0f}", f"<= {MAX_RSS_MB:g}")
    table.add_row("of it after the first tenth, MB", f"{figures.growth_mb:.1f}", "")
    table.add_row("rows/s without a network", f"{figures.rows_per_s:.0f}", "")
    yield table


def bench_gateway(
    n_replies: int = N_REPLIES, n_rows: int = N_ROWS, n_warm: int = N_WARM
) -> GatewayFigures:
    """Measure both; a minute and about four on a laptop core.

    Parameters
    ----------
    n_replies
        Replies against the slow server, more than ``n_warm`` by some rounds of 200.
    n_rows
        Rows of the memory run.
    n_warm
        Replies before the rate counts.
    """
    spawn = multiprocessing.get_context("spawn")
    mine, theirs = spawn.Pipe()
    server = spawn.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    try:
        port = mine.recv()
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            rate, cpu_ms = pool.submit(_speed, port, n_replies, n_warm).result()
    finally:
        server.terminate()
        server.join()
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        rows_per_s, rss_mb, growth_mb = pool.submit(_memory, n_rows).result()
    share = rate * LATENCY_S / N_IN_FLIGHT
    return GatewayFigures(n_replies, rate, share, cpu_ms, n_rows, rows_per_s, rss_mb, growth_mb)


def _speed(port: int, n_replies: int, n_warm: int) -> tuple[float, float]:
    """Return replies a second and CPU milliseconds a reply of one pinned process."""
    from prompts.teachers.cache import TeacherCache
    from prompts.teachers.gateway import Gateway
    from prompts.teachers.limits import Limits
    from prompts.teachers.openai_chat import OpenAIProvider
    from prompts.teachers.prices import Budget, Price
    from prompts.teachers.settings import OpenAICompatibleSettings

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    settings = OpenAICompatibleSettings(
        model="bench", base_url=f"http://127.0.0.1:{port}/v1", max_in_flight=N_IN_FLIGHT
    )
    provider = _Timed(OpenAIProvider(settings))
    price, budget = Price(1.0, 4.0), Budget(1e9)
    with tempfile.TemporaryDirectory() as folder:
        cache = TeacherCache(Path(folder) / "cache.sqlite")
        limits = Limits(settings.limits())
        with Gateway(provider, price, budget, cache, limits, settings) as gateway:
            cpu = time.process_time()
            n_accepted = sum(o.reply is not None for o in gateway.outcomes(_tasks(n_replies)))
            cpu = time.process_time() - cpu
    if n_accepted != n_replies:
        raise RuntimeError(f"{n_accepted} of {n_replies} replies were accepted")
    # the last round has fewer in flight
    timed = provider.times[n_warm:-N_IN_FLIGHT]
    return (len(timed) - 1) / (timed[-1] - timed[0]), 1e3 * cpu / n_replies


def _memory(n_rows: int) -> tuple[float, float, float]:
    """Return rows a second, peak memory and its growth after the first tenth, megabytes."""
    from prompts.teachers.cache import TeacherCache
    from prompts.teachers.gateway import Gateway
    from prompts.teachers.limits import Limits
    from prompts.teachers.prices import Budget, Price
    from prompts.teachers.settings import GatewaySettings

    settings = GatewaySettings()
    early_mb = 0.0
    with tempfile.TemporaryDirectory() as folder:
        cache = TeacherCache(Path(folder) / "cache.sqlite")
        limits, price, budget = Limits(settings.limits()), Price(1.0, 4.0), Budget(1e9)
        with Gateway(_Instant(), price, budget, cache, limits, settings) as gateway:
            start = time.perf_counter()
            for i, _ in enumerate(gateway.outcomes(_tasks(n_rows))):
                if i == n_rows // 10:
                    early_mb = peak_rss_mb()
            took = time.perf_counter() - start
    return n_rows / took, peak_rss_mb(), peak_rss_mb() - early_mb


def _tasks(n: int) -> Iterator[Any]:
    from prompts.teachers.base import Task, TeacherRequest
    from prompts.teachers.prompt_files import Prompt

    prompt = Prompt("narrative-bench", "Write what the facts say. " * 120, _SCHEMA, "0" * 16)
    for i in range(n):
        payload = {"n_rows": i % 19, "energy": {"energy_uv2": i % 1000 / 10}}
        yield Task(TeacherRequest(prompt, payload, is_gated=False, seed=i), _accept, f"row-{i}")


def _accept(data: Mapping[str, Any]) -> str:
    return ""


class _Instant:
    """A hosted teacher without a network."""

    teacher_id, sampling = "bench:instant", ""
    is_offline, is_inside, batch = False, True, None
    max_output_tokens, reasoning_tokens = 1024, 0

    async def send(self, request: Any, **_: Any) -> Any:
        from prompts.teachers.base import Exchange

        return Exchange(_REPLY, 1000, 100)

    async def aclose(self) -> None:
        return


class _Timed:
    """A provider, and when its replies were there."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self.times: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def send(self, request: Any, **how: Any) -> Any:
        exchange = await self._provider.send(request, **how)
        self.times.append(time.perf_counter())
        return exchange


class _Answer(asyncio.Protocol):
    """One connection of the slow server: each request is answered after the latency."""

    _BODY = json.dumps({
        "id": "0", "object": "chat.completion", "created": 0, "model": "bench",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": _REPLY}}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }).encode()  # fmt: skip
    _HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    def __init__(self) -> None:
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        while True:
            head, found, body = self._got.partition(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            n_body = int(length or 0)
            if not found or len(body) < n_body:
                return
            self._got = body[n_body:]
            reply = self._HEAD % len(self._BODY) + self._BODY
            asyncio.get_running_loop().call_later(LATENCY_S, self._transport.write, reply)


def _serve(pipe: Connection) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Answer, "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())
