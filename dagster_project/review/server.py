"""The small local web server behind ``neurogloss review``: the page, and the marks it sends back.

Bound to 127.0.0.1, with a token in the address and the host name checked, so that no other site in
the same browser can read or mark. The page is made in :mod:`dagster_project.review.pages`, marks
are judged and kept in :mod:`dagster_project.review.marks`.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
from collections.abc import Mapping
from datetime import date
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dagster_project.review.marks import INITIALS, MarkBook, MarkError, read_mark
from dagster_project.tables.store import StorageError

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
MAX_BODY_BYTES = 16 * 1024
IDLE_S = 30
_SHOWN = ("segment_id", "finding_id", "verdict", "kind", "channels", "t0_s", "t1_s", "marked_on")


class PortTakenError(OSError):
    """The port is in use; another may be free."""

    is_retryable = False


class ReviewServer(ThreadingHTTPServer):
    """One page and one table of marks.

    Parameters
    ----------
    html
        The page.
    book
        The shard's marks.
    token
        Secret that every address must carry.
    port
        0 takes any free one.

    Raises
    ------
    PortTakenError
        If the port cannot be had.
    """

    daemon_threads = True

    def __init__(self, html: str, book: MarkBook, token: str, port: int) -> None:
        self.html, self.book, self.token = html.encode(), book, token
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise PortTakenError(
                f"port {port} cannot be had ({error}); use --port 0 for any free one"
            ) from error

    @property
    def url(self) -> str:
        """Address to open in a browser."""
        return f"http://{HOST}:{self.server_port}/?token={self.token}"

    def is_own(self, host: str) -> bool:
        """Whether a Host header names this server, not a name that was pointed at it."""
        return host in {f"{name}:{self.server_port}" for name in (HOST, "localhost")}


class _Refusal(Exception):
    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    server_version, sys_version = "neurogloss", ""
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S

    def do_GET(self) -> None:
        self._answer({"/": self._page, "/marks": self._marks})

    def do_POST(self) -> None:
        self._answer({"/marks": self._mark})

    def _answer(self, routes: Mapping[str, Any]) -> None:
        try:
            asked = urlsplit(self.path)
            query = parse_qs(asked.query)
            self._assert_ours(query)
            if asked.path not in routes:
                raise _Refusal(HTTPStatus.NOT_FOUND, f"nothing at {asked.path!r}")
            kind, body = routes[asked.path](query)
            self._send(HTTPStatus.OK, kind, body)
        except _Refusal as refusal:
            self._say(refusal.status, str(refusal))
        except MarkError as error:
            self._say(HTTPStatus.BAD_REQUEST, str(error))
        except (StorageError, OSError) as error:
            logger.warning("mark not stored: %s", error)
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, f"not stored: {error}")

    def _assert_ours(self, query: Mapping[str, list[str]]) -> None:
        if not self.server.is_own(self.headers.get("Host", "")):
            raise _Refusal(HTTPStatus.FORBIDDEN, "this server answers to its own address only")
        given = query.get("token", [""])[0]
        if not hmac.compare_digest(given.encode(), self.server.token.encode()):
            raise _Refusal(
                HTTPStatus.FORBIDDEN, "the token in the address is wrong; use the printed address"
            )

    def _page(self, _: Mapping[str, list[str]]) -> tuple[str, bytes]:
        return "text/html; charset=utf-8", self.server.html

    def _marks(self, query: Mapping[str, list[str]]) -> tuple[str, bytes]:
        reviewer = query.get("reviewer", [""])[0]
        if not re.fullmatch(INITIALS, reviewer):
            raise MarkError(f"reviewer {reviewer!r} is not initials such as AB or AB2")
        return self._shown(reviewer)

    def _mark(self, _: Mapping[str, list[str]]) -> tuple[str, bytes]:
        mark = read_mark(self._body())
        self.server.book.put([(mark, date.today().isoformat())])
        return self._shown(mark.reviewer)

    def _shown(self, reviewer: str) -> tuple[str, bytes]:
        rows = [{k: row[k] for k in _SHOWN} for row in self.server.book.rows(reviewer)]
        return "application/json", json.dumps({"marks": rows}).encode()

    def _body(self) -> bytes:
        if self.headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
            raise _Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise _Refusal(HTTPStatus.LENGTH_REQUIRED, "send a Content-Length")
        if int(length) > MAX_BODY_BYTES:
            raise _Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a mark has at most {MAX_BODY_BYTES} bytes"
            )
        return self.rfile.read(int(length))

    def _say(self, status: HTTPStatus, text: str) -> None:
        # a refused body was not read, so the connection cannot carry another request
        self.close_connection = True
        self._send(status, "application/json", json.dumps({"error": text}).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        # the address carries the token, so it is not written down
        logger.debug("%s answered", self.command)
