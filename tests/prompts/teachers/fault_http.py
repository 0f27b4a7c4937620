"""HTTP/1.1 as far as the teachers' clients use it: requests in, responses out, forms.

Who answers what is in ``fault_server`` and ``fault_batches``.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Request:
    """One HTTP request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Response:
    """One HTTP response and how it is to be delivered (a transport fault's name)."""

    status: int
    body: bytes
    how: str = ""
    headers: dict[str, str] = field(default_factory=dict)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (r.partition(":") for r in rest)}
    body = b""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    elif size := int(headers.get("content-length", 0)):
        body = await reader.readexactly(size)
    method, target, _ = first.split(" ", 2)
    url = urlsplit(target)
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    return Request(method, url.path, query, headers, body)


def multipart(request: Request) -> dict[str, str]:
    mark = request.headers["content-type"].split("boundary=")[1].strip('"').encode()
    form = {}
    for part in request.body.split(b"--" + mark)[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        name = head.decode().split('name="')[1].split('"')[0]
        form[name] = value.removesuffix(b"\r\n").decode()
    return form


def as_json(status: int, value: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(status, json.dumps(value).encode(), headers=headers or {})
