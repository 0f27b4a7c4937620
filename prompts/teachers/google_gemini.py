"""Gemini through the real ``google-genai`` client.

One request in, one exchange or error out. Jobs of many requests are in ``gemini_batch``; when a
request is sent, and sent again, is for the gateway. That client speaks API version ``v1`` unless it
is told otherwise, which is a setting, and tries twice on its own unless it is told not to.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from prompts.teachers.base import (
    BatchApi,
    Exchange,
    Repair,
    TeacherBusyError,
    TeacherError,
    TeacherMalformedError,
    TeacherRefusedError,
    TeacherRequest,
    TeacherRequestError,
    TeacherTruncatedError,
)
from prompts.teachers.pictures import framed, gemini_logprobs, gemini_parts
from prompts.teachers.settings import GeminiSettings, read_key
from prompts.teachers.wire import (
    IDEMPOTENCY_HEADER,
    clean_words,
    duration_s,
    rate_headers,
    repair_words,
    retry_after_s,
    transport_errors,
)

if TYPE_CHECKING:
    from google import genai
    from google.genai import errors, types

    from prompts.teachers.gemini_batch import GeminiBatch

RETRYABLE_STATUS = frozenset({408, 409, 429})
"""Besides 5xx."""
_FULL_STOPS = frozenset({"STOP", "FINISH_REASON_UNSPECIFIED"})
_MALFORMED_STOPS = frozenset(
    {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"}
)
"""Reasons that are the model's slip; those named nowhere here are refusals (safety, recitation)."""


class GeminiProvider:
    """``models.generate_content`` with a JSON schema.

    Parameters
    ----------
    settings
        Of the provider.

    Raises
    ------
    TeacherConfigError
        If the variable that should hold the key is not set.
    """

    is_offline = False
    is_inside = False

    def __init__(self, settings: GeminiSettings) -> None:
        self._settings = settings
        self._key = read_key(settings.api_key_env) if settings.api_key_env else ""
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, genai.Client] = (
            WeakKeyDictionary()
        )
        self._batch: GeminiBatch | None = None

    @property
    def teacher_id(self) -> str:
        """Name stored in every row."""
        return f"gemini:{self._settings.model}"

    @property
    def max_output_tokens(self) -> int:
        """Token limit of one reply, without reasoning."""
        return self._settings.max_output_tokens

    @property
    def reasoning_tokens(self) -> int:
        """Most reasoning tokens, billed as output."""
        return self._settings.thinking_budget

    @property
    def sampling(self) -> str:
        """Every setting that shapes a reply."""
        settings = self._settings
        asked = {"top_logprobs": settings.top_logprobs} if settings.top_logprobs else {}
        return json.dumps(
            {
                "max_output_tokens": settings.max_output_tokens,
                "temperature": settings.temperature,
                "thinking_budget": settings.thinking_budget,
                **asked,
            }
        )

    @property
    def batch(self) -> BatchApi:
        """Batch mode."""
        from prompts.teachers.gemini_batch import GeminiBatch

        if self._batch is None:
            self._batch = GeminiBatch(self._settings, self._key)
        return self._batch

    async def send(
        self,
        request: TeacherRequest,
        *,
        repair: Repair | None,
        idempotency_key: str,
        max_output_tokens: int | None = None,
    ) -> Exchange:
        """Send one request once; see :class:`prompts.teachers.base.Provider`."""
        from google.genai import errors

        shown = "".join(picture.base64 for picture in request.pictures)
        sent = request.payload_text + shown + (repair.previous_text if repair is not None else "")
        try:
            reply = await self._client().aio.models.generate_content(
                model=self._settings.model,
                contents=contents(request, repair),  # type: ignore[arg-type]
                config=_config(self._settings, request, max_output_tokens, idempotency_key),
            )
        except errors.APIError as error:
            # the client's error carries the request and may echo the key: it is not chained
            raise translate(error, self._key, sent) from None
        except transport_errors() as error:
            raise no_connection(error, self._key, sent) from None
        except ValueError:
            raise TeacherBusyError(
                "the provider's answer is no reply", cause="broken answer"
            ) from None
        return read_reply(reply, is_plain=request.prompt.is_plain)

    async def aclose(self) -> None:
        """Close the running loop's connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aio.aclose()
            client.close()

    def _client(self) -> genai.Client:
        """Return the running loop's client: connections belong to the loop that opened them."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = make_client(self._settings, self._key)
            self._clients[loop] = client
        return client


def make_client(settings: GeminiSettings, key: str) -> genai.Client:
    """Return a client that tries once."""
    from google import genai
    from google.genai import types

    options = types.HttpOptions(
        base_url=settings.base_url,
        api_version=settings.api_version,
        timeout=int(settings.timeout_s * 1000),
        # without any retry options the client silently tries broken connections a second time
        retry_options=types.HttpRetryOptions(attempts=1),
    )
    return genai.Client(vertexai=False, api_key=key, http_options=options)


def contents(request: TeacherRequest, repair: Repair | None) -> list[dict[str, Any]]:
    """Return the turns, the same online and in a batch."""
    if request.prompt.is_plain:
        parts = gemini_parts(request.pictures, request.prompt.system)
        return [{"role": "user", "parts": parts}]
    turns = [("user", request.payload_text)]
    if repair is not None:
        if repair.previous_text:
            turns.append(("model", repair.previous_text))
        turns.append(("user", repair_words(repair)))
    return [{"role": role, "parts": [{"text": text}]} for role, text in turns]


def _config(
    settings: GeminiSettings,
    request: TeacherRequest,
    max_output_tokens: int | None,
    idempotency_key: str,
) -> types.GenerateContentConfig:
    from google.genai import types

    prompt, top = request.prompt, settings.top_logprobs
    asked: dict[str, Any] = {"response_logprobs": True, "logprobs": top} if top else {}
    if not prompt.is_plain:
        asked = {
            "system_instruction": prompt.system,
            "response_mime_type": "application/json",
            "response_json_schema": prompt.schema,
        }
    return types.GenerateContentConfig(
        **asked,
        temperature=settings.temperature,
        max_output_tokens=(max_output_tokens or settings.max_output_tokens)
        + settings.thinking_budget,
        seed=request.seed % 2**31,
        thinking_config=types.ThinkingConfig(thinking_budget=settings.thinking_budget),
        http_options=types.HttpOptions(headers={IDEMPOTENCY_HEADER: idempotency_key}),
    )


def read_reply(reply: types.GenerateContentResponse, *, is_plain: bool = False) -> Exchange:
    """Return the exchange of a reply; plain text may end at its limit and is framed.

    Raises
    ------
    TeacherError
        Refused, blocked, truncated, malformed or empty, with what was billed.
    """
    candidate = reply.candidates[0] if reply.candidates else None
    parts = (candidate.content.parts if candidate and candidate.content else None) or []
    text = "".join(part.text for part in parts if part.text and not part.thought)
    is_said = is_plain and bool(text.strip())
    exchange = _exchange(reply, framed(text, gemini_logprobs(candidate)) if is_said else text)
    feedback = reply.prompt_feedback
    if feedback is not None and feedback.block_reason is not None:
        raise TeacherRefusedError(
            "the provider blocked this page's request", cause="refused", exchange=exchange
        )
    stop = _stop(candidate)
    if stop == "MAX_TOKENS" and not is_said:
        raise TeacherTruncatedError(
            "the reply ended at the token limit; raise max_output_tokens",
            cause="truncated",
            exchange=exchange,
        )
    if stop in _MALFORMED_STOPS:
        raise TeacherMalformedError(
            f"the model stopped with {stop}", cause="malformed reply", exchange=exchange
        )
    if stop not in _FULL_STOPS and not (is_said and stop == "MAX_TOKENS"):
        raise TeacherRefusedError(
            f"the model stopped with {stop}", cause="refused", exchange=exchange
        )
    if not text.strip():
        raise TeacherMalformedError(
            "the provider sent no text", cause="empty reply", exchange=exchange
        )
    return exchange


def _stop(candidate: types.Candidate | None) -> str:
    """Return the name of the reason to stop; a reply without one counts as complete."""
    reason = candidate.finish_reason if candidate is not None else None
    return "STOP" if reason is None else str(reason.value)


def _exchange(reply: types.GenerateContentResponse, text: str) -> Exchange:
    usage, http = reply.usage_metadata, reply.sdk_http_response
    headers: Mapping[str, str] = (http.headers if http is not None else None) or {}
    model = reply.model_version or ""
    if usage is None:
        return Exchange(text, 0, 0, 0, model, rate_headers(headers))
    return Exchange(
        text,
        usage.prompt_token_count or 0,
        (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        usage.cached_content_token_count or 0,
        model,
        rate_headers(headers),
    )


def translate(error: errors.APIError, key: str, sent: str | None) -> TeacherError:
    """Return our error for the client's, without key and payload."""
    words = clean_words(error.message, key, sent) or clean_words(error.status, key, "")
    headers = getattr(error.response, "headers", None) or {}
    wait_s = retry_after_s(headers)
    return status_error(error.code, words, _asked_wait_s(error) if wait_s is None else wait_s)


def status_error(status: int, words: str, wait_s: float | None = None) -> TeacherError:
    """Return our error for a status, online or in a line of a batch."""
    message, cause = f"status {status}: {words}", f"status {status}"
    if status in RETRYABLE_STATUS or status >= 500:
        return TeacherBusyError(message, cause=cause, retry_after_s=wait_s)
    return TeacherRequestError(message, cause=cause)


def no_connection(error: Exception, key: str, sent: str | None) -> TeacherBusyError:
    """Return our error for an answer that never came."""
    words = clean_words(error, key, sent) or type(error).__name__
    return TeacherBusyError(f"no connection: {words}", cause="no connection")


def _asked_wait_s(error: errors.APIError) -> float | None:
    """Return the wait in the error's ``RetryInfo``, seconds."""
    body = error.details if isinstance(error.details, dict) else {}
    inner = body.get("error", body)
    details = inner.get("details") if isinstance(inner, dict) else None
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and "retryDelay" in detail:
            return duration_s(detail["retryDelay"])
    return None
