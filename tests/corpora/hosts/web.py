"""A web host in a thread: files with ranges and ETags, JSON records, and faults on demand."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


class WebHost(ThreadingHTTPServer):
    """Serves ``files`` and ``records`` by path.

    ``faults`` maps a path to what goes wrong with its next answers, first come first served:
    ``("cut", n)`` sends n bytes and hangs up, ``("status", code)`` answers that,
    ``("bytes", b"...")`` sends other bytes, ``("no range", 0)`` ignores the range,
    ``("stall", n)`` sends n bytes and then nothing until ``go_on`` is set.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.records: dict[str, Any] = {}
        self.faults: dict[str, list[tuple[str, Any]]] = {}
        self.go_on = threading.Event()
        self.asked: list[tuple[str, str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def ranges_of(self, path: str) -> list[str]:
        return [r for method, p, r in self.asked if method == "GET" and p == path]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: hanging up is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: WebHost
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(("HEAD", path, ""))
        if path in self.server.files:
            self._head(200, self.server.files[path])
        else:
            self._answer(404, b"")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = urlsplit(self.path).path
        self.server.asked.append(("POST", path, ""))
        answer = self.server.records.get(path)
        found = answer(body["query"]) if callable(answer) else answer
        self._answer(200, json.dumps(found).encode(), "application/json")

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        asked_range = self.headers.get("Range", "")
        self.server.asked.append(("GET", path, asked_range))
        faults = self.server.faults.get(path, [])
        kind, value = faults.pop(0) if faults else ("", None)
        if kind == "status":
            self._answer(value, b"")
        elif unquote(self.path) in self.server.records or path in self.server.records:
            record = self.server.records.get(unquote(self.path), self.server.records.get(path))
            self._answer(200, json.dumps(record).encode(), "application/json")
        elif path in self.server.files:
            self._file(self.server.files[path], asked_range, kind, value)
        else:
            self._answer(404, b"")

    def _file(self, data: bytes, asked_range: str, kind: str, value: Any) -> None:
        data = value if kind == "bytes" else data
        start = int(asked_range[6:-1]) if asked_range and kind != "no range" else 0
        if start >= len(data) > 0:
            self._answer(416, b"")
            return
        body = data[start:]
        is_part = start > 0
        self.send_response(206 if is_part else 200)
        if is_part:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if kind in {"cut", "stall"}:
            self.wfile.write(body[:value])
            self.wfile.flush()
            if kind == "stall":
                self.server.go_on.wait(30)
            self.close_connection = True
            return
        self.wfile.write(body)

    def _head(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
        self.end_headers()

    def _answer(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def web_host() -> Iterator[WebHost]:
    host = WebHost()
    thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield host
    finally:
        host.shutdown()
        thread.join()
        host.server_close()
