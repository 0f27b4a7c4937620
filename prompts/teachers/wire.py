"""What both providers' modules need at the wire: clean words of an error, waits, headers, transports.

Nothing here knows a provider's protocol; those are in ``openai_chat`` and ``google_gemini``.
"""

from __future__ import annotations

import email.utils
import importlib
import importlib.util
import math
import re
import time
from collections.abc import Mapping

from prompts.teachers.base import BatchLine, Repair
from prompts.teachers.settings import redact

IDEMPOTENCY_HEADER = "Idempotency-Key"
MAX_CONNECTIONS = 1000
"""Connections kept per client; the gateway holds the real limit (engineering default)."""
_REPAIR = (
    "Your reply may not stand. {complaint}\n"
    "Send the whole JSON object again with that put right, from the facts of the first message alone."
)
_MAX_WORDS = 300
"""Characters of a provider's message that are repeated (engineering default)."""
_ECHO = 24
"""A run of so many characters of what was sent counts as an echo of it (engineering default)."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)s")
_TRANSPORTS = {
    "httpx": ("TransportError", "InvalidURL"),
    "httpx2": ("TransportError", "InvalidURL"),
    "aiohttp": ("ClientError",),
}


def repair_words(repair: Repair) -> str:
    """Return the turn that asks for a better reply."""
    return _REPAIR.format(complaint=repair.complaint)


def clean_words(message: object, key: str, sent: str | None) -> str:
    """Return a provider's message fit for logs: short, on one line, without key or payload.

    Parameters
    ----------
    message
        What the provider said; None gives "".
    key
        The API key, which some providers echo.
    sent
        What was sent; a message that repeats a part of it is left out as a whole. None says that
        it is too much to compare, as for a file: every message is left out.
    """
    if sent is None:
        return ""
    words = " ".join(redact(str(message or ""), key).split())[:_MAX_WORDS]
    bare, sent_bare = words.replace("\\", ""), " ".join(sent.split())
    last = max(len(bare) - _ECHO + 1, 0)
    if any(bare[i : i + _ECHO] in sent_bare for i in range(last)):
        return "(the provider's words repeat what was sent and are left out)"
    return words


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the wait asked for by ``retry-after-ms`` or ``retry-after``, seconds.

    The latter is seconds or an HTTP date (RFC 9110, 10.2.3).
    """
    wait_ms = _number(headers.get("retry-after-ms"))
    if wait_ms is not None:
        return wait_ms / 1000
    text = headers.get("retry-after")
    wait_s = _number(text)
    if wait_s is not None or not text:
        return wait_s
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def duration_s(text: object) -> float | None:
    """Return seconds of a protobuf duration in JSON, such as ``34.5s``."""
    found = _DURATION.fullmatch(str(text or ""))
    return float(found[1]) if found else None


def rate_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the ``x-ratelimit-`` headers of a reply, lower case."""
    return {k.lower(): v for k, v in headers.items() if k.lower().startswith("x-ratelimit-")}


def transport_errors() -> tuple[type[Exception], ...]:
    """Return what the HTTP libraries a client may be built on raise where no answer came."""
    found: list[type[Exception]] = [TimeoutError, OSError, EOFError]
    for name, errors in _TRANSPORTS.items():
        if importlib.util.find_spec(name) is not None:
            module = importlib.import_module(name)
            found += [getattr(module, error) for error in errors]
    return tuple(found)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


_PLAIN = "plain-"
"""Begins the name of a line that asks for free text; keys are hexadecimal."""


def line_id(line: BatchLine) -> str:
    """Return the name a line has in a job's file: whoever reads it back knows how it was asked."""
    return f"{_PLAIN}{line.key}" if line.request.prompt.is_plain else line.key


def read_line_id(name: str) -> tuple[str, bool]:
    """Return the key of a line by that name, and whether free text was asked of it."""
    return name.removeprefix(_PLAIN), name.startswith(_PLAIN)
