"""Pictures in a request, and answers in plain words: what a model under test is asked with.

A teacher is sent numbers and answers in JSON. A model under test is shown a picture and answers as
it likes, so its prompt has no schema. Its answer is framed as a JSON object here, with what it gave
its first token beside the words: record, repeats and money then work for it as for any reply.
Whether a picture may leave is for whoever puts it into a request (``benchmark.asking.hosted``).
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

IMAGE_TOKENS = 4096
"""Most input tokens a page is billed as, unless a setting says more. A page of 1288 x 896 pixels is
2824 for the dearest patch counter of OpenAI (41 x 28 patches of 32 pixels, 2.46 tokens each), 1105
by its 512-pixel tiles, 1548 for Gemini (6 tiles of 258) and 1472 for Qwen2.5-VL; models that bill
tiles at a multiple, such as gpt-4o-mini, need the setting. Their documentation, written down in
2026; providers change it."""
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture on its way to a model.

    Parameters
    ----------
    png
        The file.
    max_tokens
        Most input tokens it is billed as.
    """

    png: bytes
    max_tokens: int = IMAGE_TOKENS

    @property
    def base64(self) -> str:
        """The file in base64."""
        return base64.b64encode(self.png).decode()

    @property
    def sha256(self) -> str:
        """Hash of the file."""
        return hashlib.sha256(self.png).hexdigest()


def bare_png(png: bytes) -> bytes:
    """Return a PNG without anything but its pixels: no text, time, profile or EXIF chunk.

    Raises
    ------
    ValueError
        If it is no PNG.
    """
    if not png.startswith(PNG_MAGIC):
        raise ValueError(f"a picture of {len(png)} bytes is no PNG; render it again")
    kept, at = [PNG_MAGIC], len(PNG_MAGIC)
    while at + 12 <= len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        name, end = png[at + 4 : at + 8], at + 12 + length
        if name in _PIXEL_CHUNKS:
            kept.append(png[at:end])
        at = end
        if name == b"IEND":
            return b"".join(kept)
    raise ValueError(f"a picture of {len(png)} bytes is a cut PNG; render it again")


def chat_parts(pictures: Iterable[Picture], words: str) -> str | list[dict[str, Any]]:
    """Return the content of a chat completion's user turn: pictures first, then words.

    ``high`` keeps a provider from shrinking a page until its traces are gone.
    """
    shown = [
        {
            "type": "image_url",
            "image_url": {"url": f"data:image/png;base64,{p.base64}", "detail": "high"},
        }
        for p in pictures
    ]
    return [*shown, {"type": "text", "text": words}] if shown else words


def gemini_parts(pictures: Iterable[Picture], words: str) -> list[dict[str, Any]]:
    """Return the parts of a Gemini turn: pictures first, then words."""
    shown = [{"inline_data": {"mime_type": "image/png", "data": p.png}} for p in pictures]
    return [*shown, {"text": words}]


def framed(text: str, logprobs: Mapping[str, float]) -> str:
    """Return a plain answer as JSON, with the log-probabilities of its first token."""
    finite = {token: min(v, 0.0) for token, v in logprobs.items() if math.isfinite(v)}
    return json.dumps({"text": text, "first_token": finite}, sort_keys=True)


def chat_logprobs(choice: Mapping[str, Any]) -> dict[str, float]:
    """Return the candidates for the first token of a chat completion, {} where it has none.

    Parameters
    ----------
    choice
        One entry of ``choices``.
    """
    block = choice.get("logprobs")
    content = block.get("content") if isinstance(block, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    top = first.get("top_logprobs") if isinstance(first, dict) else None
    found: dict[str, float] = {}
    for entry in top if isinstance(top, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("logprob"), int | float):
            found[str(entry.get("token"))] = float(entry["logprob"])
    return found


def gemini_logprobs(candidate: Any) -> dict[str, float]:
    """Return the candidates for the first token of a Gemini candidate, {} where it has none."""
    result = candidate.logprobs_result if candidate is not None else None
    steps = (result.top_candidates if result is not None else None) or []
    first = (steps[0].candidates if steps else None) or []
    return {
        entry.token: float(entry.log_probability)
        for entry in first
        if entry.token is not None and entry.log_probability is not None
    }
