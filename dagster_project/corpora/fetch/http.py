"""JSON records and files over HTTPS, with the errors of hosts told apart.

What each host's record looks like is in the module named after it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from dagster_project.corpora.fetch.table import require
from dagster_project.corpora.fetch.types import (
    FetchError,
    InterruptedTransferError,
    Piece,
    RemoteFile,
)

BLOCK_BYTES = 1 << 20
CONNECT_S, READ_S = 10.0, 60.0
MAX_RECORD_BYTES = 64 << 20
"""A record of a hundred thousand files is some 40 MB; more is not a record."""
MAX_WAIT_S = 60.0
ATTEMPTS = 5
FIRST_WAIT_S = 0.5
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504, 522, 524})
_HEADERS = {"User-Agent": "neurogloss-fetch", "Accept-Encoding": "identity"}


def get_json(url: str, query: Mapping[str, str] | None = None) -> Any:
    """Return a host's record.

    Parameters
    ----------
    url
        Address.
    query
        Body of a POST, or None for a GET.

    Raises
    ------
    FetchError
        If there is no such record or it is no JSON; retryable if the host is busy.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _get_json(url, query)
        except InterruptedTransferError as error:
            if attempt + 1 == ATTEMPTS:
                raise
            time.sleep(max(error.after_s, FIRST_WAIT_S * 2**attempt))
    raise AssertionError("unreachable")


def _get_json(url: str, query: Mapping[str, str] | None) -> Any:
    requests = require("requests")
    try:
        with _request(requests, url, {"Accept": "application/json"}, query) as reply:
            body = b""
            for block in reply.iter_content(BLOCK_BYTES):
                body += block
                if len(body) > MAX_RECORD_BYTES:
                    raise FetchError(f"{_host(url)} sent a record of more than 64 MiB")
        return json.loads(body)
    except requests.RequestException as error:
        raise _cut(url, error) from None
    except ValueError:
        raise FetchError(f"{_host(url)} answered with something that is no JSON") from None


@contextmanager
def open_at(file: RemoteFile, start: int) -> Iterator[Piece]:
    """Open a file at an offset.

    A host that does not know ranges begins at zero and says so; the piece then starts there.

    Raises
    ------
    FetchError
        If the file is not there; retryable if the connection is cut or the host is busy.
    """
    requests = require("requests")
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        with _request(requests, file.url, headers) as reply:
            yield Piece(_start_of(reply, start), reply.iter_content(BLOCK_BYTES))
    except requests.RequestException as error:
        raise _cut(file.url, error) from None


def _request(
    requests: Any, url: str, headers: Mapping[str, str], query: Mapping[str, str] | None = None
) -> Any:
    if urlsplit(url).scheme not in {"https", "http"}:
        raise FetchError(f"a host gives the address {url[:80]!r}, which is no web address")
    reply = requests.request(
        "GET" if query is None else "POST",
        url,
        headers={**_HEADERS, **headers},
        json=query,
        stream=True,
        timeout=(CONNECT_S, READ_S),
    )
    if reply.status_code in _BUSY:
        reply.close()
        raise InterruptedTransferError(
            f"{_host(url)} answered {reply.status_code}; try again later", _wait_of(reply)
        )
    if reply.status_code == 416:
        return requests.request(
            "GET", url, headers=_HEADERS, stream=True, timeout=(CONNECT_S, READ_S)
        )
    if not reply.ok:
        reply.close()
        raise FetchError(
            f"{_host(url)} answered {reply.status_code} for {urlsplit(url).path!r}; check the "
            "locator of the corpus entry"
        )
    return reply


def _start_of(reply: Any, wanted: int) -> int:
    if reply.status_code != 206:
        return 0
    stated = str(reply.headers.get("Content-Range", "")).removeprefix("bytes ").partition("-")[0]
    if not stated.isdigit() or int(stated) > wanted:
        raise FetchError("the host answered with another range than was asked for")
    return int(stated)


def _wait_of(reply: Any) -> float:
    text = str(reply.headers.get("Retry-After", ""))
    return min(float(text), MAX_WAIT_S) if text.isdigit() else 0.0


def _cut(url: str, error: Exception) -> InterruptedTransferError:
    return InterruptedTransferError(
        f"the connection to {_host(url)} failed ({type(error).__name__}); run the same command "
        "again, what is there is kept"
    )


def _host(url: str) -> str:
    return urlsplit(url).netloc or url[:40]
