"""A server that says one thing and keeps what it was sent, and providers pointed at a server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prompts.teachers.base import Exchange, Provider, TeacherRequest
from prompts.teachers.registry import PROVIDERS, read_settings

KEY = "sk-secret-0123456789abcdef"
HOSTED = ["openai", "gemini", "openai_compatible"]
PROTOCOLS = ["openai", "gemini"]
KEY_ENV = "NEUROGLOSS_TEST_KEY"


def values_of(provider: str, base_url: str, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "provider": provider,
        "api_key_env": KEY_ENV,
        "base_url": base_url,
        "timeout_s": 5.0,
    }
    if provider == "gemini":
        values["api_version"] = "v1beta"
    if provider == "openai_compatible":
        values["model"] = "local-model"
    return values | changes


def make(provider: str, base_url: str, **changes: Any) -> Provider:
    settings = read_settings(values_of(provider, base_url, **changes))
    return PROVIDERS[settings.provider](settings)


def send(provider: Provider, request: TeacherRequest, **options: Any) -> Exchange:
    """Send once on a loop of its own."""

    async def go() -> Exchange:
        try:
            return await provider.send(
                request, **({"repair": None, "idempotency_key": "key-1"} | options)
            )
        finally:
            await provider.aclose()

    return asyncio.run(go())


@dataclass
class Wire:
    """A server that says one thing and keeps what it was sent."""

    url: str = ""
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)

    def base_url(self, provider: str) -> str:
        return self.url if provider == "gemini" else f"{self.url}/v1"


@contextmanager
def served(wire: Wire) -> Iterator[Wire]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["content-length"]))
            headers = {k.lower(): v for k, v in self.headers.items()}
            is_json = headers.get("content-type", "").startswith("application/json")
            wire.seen.append((self.path, headers, json.loads(sent) if is_json and sent else sent))
            self.send_response(wire.status)
            for name, value in ({"content-type": "application/json"} | wire.headers).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(wire.body)))
            self.end_headers()
            self.wfile.write(wire.body)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    wire.url = f"http://127.0.0.1:{server.server_port}"
    yield wire
    server.shutdown()
    server.server_close()


def openai_answer(text: str | None, **changes: Any) -> dict[str, Any]:
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text},
    }
    usage = {
        "prompt_tokens": 900, "completion_tokens": 300, "total_tokens": 1200,
        "prompt_tokens_details": {"cached_tokens": 512},
        "completion_tokens_details": {"reasoning_tokens": 120},
    }  # fmt: skip
    answer = {"id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4.1-2025-04-14"}
    return answer | {"choices": [choice | changes], "usage": usage}


def gemini_answer(text: str | None, stop: str = "STOP", **changes: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}] if text is not None else []}
    usage = {
        "promptTokenCount": 900, "candidatesTokenCount": 180, "thoughtsTokenCount": 120,
        "cachedContentTokenCount": 512, "totalTokenCount": 1200,
    }  # fmt: skip
    candidate = {"index": 0, "content": content, "finishReason": stop}
    answer = {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "gemini-2.5-flash-002",
    }
    return answer | changes


def base_of(llmock: Any, provider: str) -> str:
    return str(llmock.base_url("gemini" if provider == "gemini" else "openai"))
