"""OpenAI and every server that speaks its chat completions, through the real ``openai`` client.

One request in, one exchange or error out. Jobs of many requests are in ``openai_batch``; when a
request is sent, and sent again, is for the gateway: the client's own retries are off.
"""

from __future__ import annotations

import asyncio
import importlib.util
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
from prompts.teachers.pictures import chat_logprobs, chat_parts, framed
from prompts.teachers.settings import OpenAICompatibleSettings, OpenAISettings, read_key
from prompts.teachers.wire import (
    IDEMPOTENCY_HEADER,
    MAX_CONNECTIONS,
    clean_words,
    rate_headers,
    repair_words,
    retry_after_s,
    transport_errors,
)

if TYPE_CHECKING:
    import openai

    from prompts.teachers.openai_batch import OpenAIBatch

Settings = OpenAISettings | OpenAICompatibleSettings

RETRYABLE_STATUS = frozenset({408, 409, 429})
"""Besides 5xx."""
_SPENT_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Sent with 429, but no wait cures them."""
_REFUSAL_CODES = frozenset({"content_filter", "content_policy_violation"})


class OpenAIProvider:
    """Chat completions with a strict JSON schema.

    Parameters
    ----------
    settings
        Of OpenAI, or of a server that speaks its protocol.

    Raises
    ------
    TeacherConfigError
        If the variable that should hold the key is not set.
    """

    is_offline = False
    reasoning_tokens = 0

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = read_key(settings.api_key_env) if settings.api_key_env else ""
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, openai.AsyncOpenAI] = (
            WeakKeyDictionary()
        )
        self._batch: OpenAIBatch | None = None

    @property
    def teacher_id(self) -> str:
        """Name stored in every row."""
        return f"{self._settings.provider}:{self._settings.model}"

    @property
    def is_inside(self) -> bool:
        """Whether rows of gated corpora may be sent."""
        return isinstance(self._settings, OpenAICompatibleSettings) and self._settings.is_local

    @property
    def max_output_tokens(self) -> int:
        """Token limit of one reply."""
        return self._settings.max_output_tokens

    @property
    def sampling(self) -> str:
        """Every setting that shapes a reply."""
        settings = self._settings
        asked = {"top_logprobs": settings.top_logprobs} if settings.top_logprobs else {}
        return json.dumps(
            {
                "max_output_tokens": settings.max_output_tokens,
                "temperature": settings.temperature,
                **asked,
            }
        )

    @property
    def batch(self) -> BatchApi:
        """Batch mode; a compatible server without one answers its first call with 404."""
        from prompts.teachers.openai_batch import OpenAIBatch

        if self._batch is None:
            self._batch = OpenAIBatch(self._settings, self._key)
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
        import httpx2
        import openai

        body = chat_body(self._settings, request, repair, max_output_tokens)
        sent = sent_text(request, repair)
        try:
            # not through chat.completions.create: it walks every node of messages and schema to
            # find what it might rename, a third of a request's time, and renames nothing here
            raw = await self._client().post(
                "/chat/completions",
                cast_to=httpx2.Response,
                body=body,
                options={"headers": {IDEMPOTENCY_HEADER: idempotency_key}},
            )
            text, headers = raw.text, raw.headers
        except openai.OpenAIError as error:
            # the client's error carries the request and may echo the key: it is not chained
            raise translate(error, self._key, sent) from None
        except transport_errors() as error:
            raise no_connection(error, self._key, sent) from None
        return read_reply(parsed(text), rate_headers(headers), is_plain=request.prompt.is_plain)

    async def aclose(self) -> None:
        """Close the running loop's connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    def _client(self) -> openai.AsyncOpenAI:
        """Return the running loop's client: connections belong to the loop that opened them."""
        import openai

        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = openai.AsyncOpenAI(
                api_key=self._key or "none",
                base_url=self._settings.base_url,
                timeout=self._settings.timeout_s,
                max_retries=0,
                http_client=_http_client(self._settings.timeout_s),
            )
            self._clients[loop] = client
        return client


def _http_client(timeout_s: float) -> Any:
    """Return the transport: with 200 requests in flight aiohttp takes half of httpx2's time."""
    import httpx2
    import openai

    limits = httpx2.Limits(
        max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS
    )
    if importlib.util.find_spec("aiohttp") is not None:
        return openai.DefaultAioHttpClient(limits=limits, timeout=timeout_s)
    return openai.DefaultAsyncHttpxClient(limits=limits, timeout=timeout_s)


def chat_body(
    settings: Settings,
    request: TeacherRequest,
    repair: Repair | None = None,
    max_output_tokens: int | None = None,
) -> dict[str, Any]:
    """Return the body of one chat completion, the same online and in a batch."""
    limit = max_output_tokens or settings.max_output_tokens
    if request.prompt.is_plain:
        return _plain_body(settings, request, limit)
    messages = [
        {"role": "system", "content": request.prompt.system},
        {"role": "user", "content": request.payload_text},
    ]
    if repair is not None:
        if repair.previous_text:
            messages.append({"role": "assistant", "content": repair.previous_text})
        messages.append({"role": "user", "content": repair_words(repair)})
    return {
        "model": settings.model,
        "messages": messages,
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": request.prompt.name.replace("-", "_"),
                "schema": request.prompt.schema,
                "strict": True,
            },
        },
        "max_completion_tokens": limit,
        "seed": request.seed % 2**31,
        **_temperature(settings),
    }


def _plain_body(settings: Settings, request: TeacherRequest, limit: int) -> dict[str, Any]:
    """Return the body for a model under test: one user turn, free text back."""
    content = chat_parts(request.pictures, request.prompt.system)
    asked = {"logprobs": True, "top_logprobs": settings.top_logprobs}
    return {
        "model": settings.model,
        "messages": [{"role": "user", "content": content}],
        "max_completion_tokens": limit,
        "seed": request.seed % 2**31,
        **_temperature(settings),
        **(asked if settings.top_logprobs else {}),
    }


def _temperature(settings: Settings) -> dict[str, float]:
    return {} if settings.temperature is None else {"temperature": settings.temperature}


def sent_text(request: TeacherRequest, repair: Repair | None) -> str:
    """Return what no error may repeat."""
    shown = "".join(picture.base64 for picture in request.pictures)
    return request.payload_text + shown + (repair.previous_text if repair is not None else "")


def parsed(text: str) -> Any:
    """Return the JSON of an answer's body; a broken one may have been billed all the same."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise TeacherBusyError(
            f"the provider's answer of {len(text)} characters is no JSON", cause="broken answer"
        ) from None


def read_reply(
    body: Any, rates: Mapping[str, str] | None = None, *, is_plain: bool = False
) -> Exchange:
    """Return the exchange of a chat completion.

    Parameters
    ----------
    body
        The parsed answer.
    rates
        Its rate limit headers.
    is_plain
        Free text: it may end at the token limit, and is framed with what its first token could be.

    Raises
    ------
    TeacherError
        Refused, truncated or empty, with what was billed; or no chat completion at all.
    """
    if not isinstance(body, dict) or not isinstance(body.get("choices"), list):
        raise TeacherBusyError("the provider's answer is no chat completion", cause="broken answer")
    usage = _mapping(body.get("usage"))
    choice = _mapping(body["choices"][0]) if body["choices"] else {}
    message = _mapping(choice.get("message"))
    content = message.get("content")
    text = content if isinstance(content, str) else ""
    exchange = Exchange(
        framed(text, chat_logprobs(choice)) if is_plain and text.strip() else text,
        _count(usage, "prompt_tokens"),
        _count(usage, "completion_tokens"),
        _count(_mapping(usage.get("prompt_tokens_details")), "cached_tokens"),
        str(body.get("model") or ""),
        rates or {},
    )
    if choice.get("finish_reason") == "content_filter" or message.get("refusal"):
        raise TeacherRefusedError("the model refused this page", cause="refused", exchange=exchange)
    if choice.get("finish_reason") == "length" and not is_plain:
        raise TeacherTruncatedError(
            "the reply ended at the token limit; raise max_output_tokens",
            cause="truncated",
            exchange=exchange,
        )
    if not exchange.text.strip():
        raise TeacherMalformedError(
            "the provider sent no text", cause="empty reply", exchange=exchange
        )
    return exchange


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def translate(error: openai.OpenAIError, key: str, sent: str | None) -> TeacherError:
    """Return our error for the client's, without key and payload."""
    import openai

    if isinstance(error, openai.APIStatusError):
        return status_error(
            error.status_code,
            error.code or "",
            clean_words(error.message, key, sent) or clean_words(error.code, key, ""),
            retry_after_s(error.response.headers),
        )
    if isinstance(error, openai.APIConnectionError):
        return no_connection(error, key, sent)
    if isinstance(error, openai.APIResponseValidationError):
        return TeacherBusyError("the provider's answer is no reply", cause="broken answer")
    return TeacherRequestError(
        f"{type(error).__name__}: {clean_words(error, key, sent)}", cause="client error"
    )


def status_error(status: int, code: str, words: str, wait_s: float | None = None) -> TeacherError:
    """Return our error for a status and the provider's code, online or in a line of a batch."""
    message = f"status {status}: {words}"
    cause = f"status {status}"
    if code in _SPENT_CODES:
        return TeacherRequestError(f"{message}; the account's money is spent", cause="quota spent")
    if code in _REFUSAL_CODES:
        return TeacherRefusedError("the provider refused this page", cause="refused")
    if status in RETRYABLE_STATUS or status >= 500:
        return TeacherBusyError(message, cause=cause, retry_after_s=wait_s)
    return TeacherRequestError(message, cause=cause)


def no_connection(error: Exception, key: str, sent: str | None) -> TeacherBusyError:
    """Return our error for an answer that never came."""
    words = clean_words(error, key, sent) or type(error).__name__
    return TeacherBusyError(f"no connection: {words}", cause="no connection")
