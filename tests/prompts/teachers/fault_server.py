"""A real HTTP server that speaks both teachers' protocols and misbehaves by a seeded plan.

Run inside a test (``with FaultServer(plan) as server``) or as a program
(``python -m tests.prompts.teachers.fault_server --port 8080 --plan '{"latency_s": 1}'``), which
prints its address and answers ``GET /counts``. What goes wrong and what it costs is decided in
``fault_plan``; how the protocols are written, in ``fault_protocols``.
"""

from __future__ import annotations

import argparse
import asyncio
import email.utils
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from tests.prompts.teachers.fault_batches import BatchDesk
from tests.prompts.teachers.fault_http import Request, Response, as_json, read_request
from tests.prompts.teachers.fault_plan import ALL_FAULTS, Account, Asked, FaultPlan, write
from tests.prompts.teachers.fault_protocols import Gemini, OpenAI, Protocol_

STATUS = {"429": 429, "429_after": 429, "429_date": 429, "500": 500, "503": 503, "502_html": 502}
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"}
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


class FaultServer:
    """The server; all state lives on its own event loop in its own thread."""

    def __init__(self, plan: FaultPlan | None = None, *, port: int = 0) -> None:
        self.plan = plan or FaultPlan()
        self.account = Account(self.plan)
        self._desk = BatchDesk(self.plan, self.account)
        self._port = port
        self._answers: dict[str, tuple[str, Response]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._not_before: dict[str, float] = {}
        self._in_flight = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="fault-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(10):
            raise RuntimeError("the fault server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        """Its address, as Gemini's base_url."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def openai_url(self) -> str:
        """OpenAI's base_url."""
        return f"{self.url}/v1"

    def base_url(self, provider: str) -> str:
        """The base_url for a provider of the settings."""
        return self.url if provider == "gemini" else self.openai_url

    def counts(self) -> dict[str, Any]:
        """Return what was counted so far."""
        assert self._loop is not None

        async def read() -> dict[str, Any]:
            return self.account.counts()

        return asyncio.run_coroutine_threadsafe(read(), self._loop).result(10)

    def wait_until(self, enough: Callable[[dict[str, Any]], bool], timeout_s: float = 60) -> bool:
        """Wait for the counts to pass a test; False where they do not in time."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if enough(self.counts()):
                return True
            time.sleep(0.005)
        return False

    def _run(self) -> None:
        asyncio.run(self.serve())

    async def serve(self) -> None:
        """Serve until stopped."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(
            self._connected, "127.0.0.1", self._port, backlog=1024, limit=2**26
        )
        self._port = server.sockets[0].getsockname()[1]
        self._desk.url = self.url
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await read_request(reader)) is not None:
                response = await self._route(request)
                if not await self._deliver(response, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _deliver(self, response: Response, writer: asyncio.StreamWriter) -> bool:
        """Send a response as its fault says; False where the connection is gone."""
        body, how = response.body, response.how
        if how in {"lost", "drop", "cut"}:
            return False
        head = [f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Error')}"]
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        head += [f"{name}: {value}" for name, value in (headers | response.headers).items()]
        writer.write("\r\n".join([*head, "", ""]).encode())
        half = len(body) // 2
        if how == "reset":
            writer.write(body[:half])
            await writer.drain()
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            return False
        if how == "stall":
            writer.write(body[:half])
            await writer.drain()
            await asyncio.sleep(self.plan.stall_s)
            return False
        if how == "drip":
            step = max(1, len(body) // 20)
            for start in range(0, len(body), step):
                writer.write(body[start : start + step])
                await writer.drain()
                await asyncio.sleep(self.plan.drip_s / 20)
            return True
        writer.write(body)
        await writer.drain()
        return True

    async def _route(self, request: Request) -> Response:
        path = request.path
        if path == "/counts":
            return as_json(200, self.account.counts())
        try:
            if path == "/v1/chat/completions":
                return await self._online(request, OpenAI())
            if path.endswith(":generateContent"):
                return await self._online(request, Gemini())
            if path.endswith(":batchGenerateContent"):
                return await self._desk.gemini_create(request, path.split("/")[-1].split(":")[0])
            if path.startswith("/v1/"):
                return await self._desk.openai(request, path.removeprefix("/v1/"))
            return self._desk.gemini(request, path)
        except (KeyError, ValueError, IndexError) as error:
            return as_json(400, {"error": {"code": 400, "message": f"bad request: {error!r}"}})

    async def _online(self, request: Request, protocol: Protocol_) -> Response:
        body, account, plan = request.json(), self.account, self.plan
        asked = protocol.read(body)
        key = request.headers.get("idempotency-key", "")
        account.n_unkeyed += not key
        account.n_arrived += 1
        self._in_flight += 1
        account.max_in_flight = max(account.max_in_flight, self._in_flight)
        try:
            attempt = account.arrivals[asked.body]
            account.arrivals[asked.body] += 1
            account.n_early += time.monotonic() < self._not_before.pop(asked.body, 0.0)
            fault = self._fault_of(asked.body, attempt)
            account.faults[fault or "none"] += 1
            if fault in STATUS:
                return self._refuse(fault, asked.body, protocol)
            if fault == "drop":
                return Response(0, b"", how="drop")
            # a repeated key waits for the first to be answered, as idempotent servers do
            async with self._locks.setdefault(key or str(account.n_arrived), asyncio.Lock()):
                if plan.latency_s:
                    await asyncio.sleep(plan.latency_s)
                return self._answer(protocol, body, asked, key, fault)
        finally:
            self._in_flight -= 1

    def _fault_of(self, body: str, attempt: int) -> str:
        first, last = self.plan.outage
        if first <= self.account.n_arrived < last:
            return "503"
        if self._in_flight > self.plan.max_concurrent:
            return "429"
        return self.plan.transport_fault(body, attempt)

    def _answer(
        self, protocol: Protocol_, body: dict[str, Any], asked: Asked, key: str, fault: str
    ) -> Response:
        """Answer from memory, or write and charge."""
        account, known = self.account, self._answers.get(key)
        if known is not None:
            if known[0] != asked.body:
                account.n_conflicts += 1
                return as_json(400, protocol.error(400, "idempotency key used for another body"))
            account.n_replayed += 1
            return Response(200, known[1].body, fault)
        written = write(asked, self.plan, account.charged_bodies[asked.body])
        account.faults[written.fault or "good"] += 1
        account.charge(asked.body, written)
        response = as_json(200, protocol.reply(written, body))
        if key:
            self._answers[key] = (asked.body, response)
        return Response(200, response.body, fault)

    def _refuse(self, fault: str, body: str, protocol: Protocol_) -> Response:
        status, wait_s, headers = STATUS[fault], None, {}
        if fault == "502_html":
            return Response(502, HTML, headers={"content-type": "text/html"})
        if fault == "429_after":
            wait_s = self.plan.retry_after_s
            if isinstance(protocol, OpenAI):  # Gemini says it in the body
                headers = {"retry-after": str(wait_s)}
            # a client's timer may end a little before ours
            self._not_before[body] = time.monotonic() + 0.9 * wait_s
        if fault == "429_date":
            headers = {"retry-after": email.utils.formatdate(time.time() + 0.5, usegmt=True)}
        return as_json(status, protocol.error(status, "by plan", wait_s), headers)


def main() -> None:
    """Serve until interrupted; the address is the first line printed."""
    parser = argparse.ArgumentParser(description="A teacher server that misbehaves by plan.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--plan", default="{}", help="fields of FaultPlan as JSON; or 'all'")
    options = parser.parse_args()
    fields = ALL_FAULTS if options.plan == "all" else json.loads(options.plan)
    with FaultServer(FaultPlan(**fields), port=options.port) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
