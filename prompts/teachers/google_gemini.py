"""Gemini through the real ``google-genai`` client.

That client does not retry unless it is told to, and speaks API version ``v1`` unless it is told
otherwise; both are settings here.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from prompts.teachers.base import (
    TeacherBusyError,
    TeacherError,
    TeacherMalformedError,
    TeacherRefusedError,
    TeacherRequest,
    TeacherRequestError,
    TeacherTruncatedError,
)
from prompts.teachers.hosted import Exchange, HostedTeacher
from prompts.teachers.prices import Budget, price_of
from prompts.teachers.settings import GeminiSettings, read_key, redact

if TYPE_CHECKING:
    from google.genai import errors, types

_RETRYABLE_STATUS = (408, 429, 500, 502, 503, 504)
_REFUSALS = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "OTHER"}
)


class GeminiTeacher(HostedTeacher):
    """``models.generate_content`` with a JSON schema."""

    def __init__(self, settings: GeminiSettings) -> None:
        from google import genai

        price = price_of(settings.model, settings.input_usd_per_mtok, settings.output_usd_per_mtok)
        super().__init__(
            f"gemini:{settings.model}",
            price,
            Budget(settings.max_usd),
            settings.max_output_tokens + settings.thinking_budget,
            may_gated=False,
        )
        self._settings = settings
        self._key = read_key(settings.api_key_env)
        self._client = genai.Client(
            vertexai=False, api_key=self._key, http_options=_http_options(settings)
        )

    def _send(self, request: TeacherRequest) -> Exchange:
        from google.genai import errors

        try:
            reply = self._client.models.generate_content(
                model=self._settings.model,
                contents=request.payload_text,
                config=_config(self._settings, request),
            )
        except errors.APIError as error:
            raise _translate(error, self._key) from None
        except errors.UnknownApiResponseError:
            raise TeacherMalformedError(
                "the provider's answer is no JSON; try again", cause="malformed reply"
            ) from None
        except _transport_errors() as error:
            text = redact(str(error), self._key)
            raise TeacherBusyError(f"no connection: {text}", cause="no connection") from None
        return _read(reply)


def _transport_errors() -> tuple[type[Exception], ...]:
    """Return the transport errors of the HTTP libraries this client may be built on."""
    present = [n for n in ("httpx", "httpx2") if importlib.util.find_spec(n) is not None]
    return tuple(importlib.import_module(name).TransportError for name in present)


def _http_options(settings: GeminiSettings) -> types.HttpOptions:
    from google.genai import types

    return types.HttpOptions(
        base_url=settings.base_url,
        api_version=settings.api_version,
        timeout=int(settings.timeout_s * 1000),
        retry_options=types.HttpRetryOptions(
            attempts=settings.max_attempts,
            initial_delay=1.0,
            max_delay=30.0,
            http_status_codes=list(_RETRYABLE_STATUS),
        ),
    )


def _config(settings: GeminiSettings, request: TeacherRequest) -> types.GenerateContentConfig:
    from google.genai import types

    return types.GenerateContentConfig(
        system_instruction=request.prompt.system,
        response_mime_type="application/json",
        response_json_schema=request.prompt.schema,
        temperature=settings.temperature,
        max_output_tokens=settings.max_output_tokens + settings.thinking_budget,
        seed=request.seed % 2**31,
        thinking_config=types.ThinkingConfig(thinking_budget=settings.thinking_budget),
    )


def _read(reply: Any) -> Exchange:
    feedback = reply.prompt_feedback
    if feedback is not None and feedback.block_reason is not None:
        raise TeacherRefusedError("the provider blocked this page's request", cause="refused")
    if not reply.candidates:
        raise TeacherBusyError("the provider sent no candidate; try again", cause="empty reply")
    finish = getattr(reply.candidates[0].finish_reason, "name", "STOP")
    if finish in _REFUSALS:
        raise TeacherRefusedError(f"the model stopped with {finish}", cause="refused")
    if finish == "MAX_TOKENS":
        raise TeacherTruncatedError(
            "the reply ended at the token limit; raise max_output_tokens", cause="truncated"
        )
    usage = reply.usage_metadata
    if usage is None:
        return Exchange(reply.text or "", 0, 0)
    output = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    return Exchange(reply.text or "", usage.prompt_token_count or 0, output)


def _translate(error: errors.APIError, key: str) -> TeacherError:
    message = f"status {error.code}: {redact(str(error.message or error.status or ''), key)}"
    if error.code in _RETRYABLE_STATUS or error.code >= 500:
        return TeacherBusyError(message, cause=f"status {error.code}")
    return TeacherRequestError(message, cause=f"status {error.code}")
