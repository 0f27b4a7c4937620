"""OpenAI and every server that speaks its chat completions, through the real ``openai`` client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prompts.teachers.base import (
    TeacherBusyError,
    TeacherError,
    TeacherRefusedError,
    TeacherRequest,
    TeacherRequestError,
    TeacherTruncatedError,
)
from prompts.teachers.hosted import Exchange, HostedTeacher
from prompts.teachers.prices import Budget, price_of
from prompts.teachers.settings import OpenAICompatibleSettings, OpenAISettings, read_key, redact

if TYPE_CHECKING:
    import openai

_RETRYABLE_STATUS = frozenset({408, 409, 429})


class OpenAITeacher(HostedTeacher):
    """Chat completions with a strict JSON schema."""

    def __init__(self, settings: OpenAISettings | OpenAICompatibleSettings) -> None:
        import openai

        price = price_of(settings.model, settings.input_usd_per_mtok, settings.output_usd_per_mtok)
        super().__init__(
            f"{settings.provider}:{settings.model}",
            price,
            Budget(settings.max_usd),
            settings.max_output_tokens,
            may_gated=isinstance(settings, OpenAICompatibleSettings) and settings.is_local,
        )
        self._settings = settings
        self._key = read_key(settings.api_key_env) if settings.api_key_env else ""
        self._client = openai.OpenAI(
            api_key=self._key or "none",
            base_url=settings.base_url,
            timeout=settings.timeout_s,
            max_retries=settings.max_attempts - 1,
        )

    def _send(self, request: TeacherRequest) -> Exchange:
        import openai

        # plain dictionaries where the client declares typed ones: it takes either
        schema: Any = {
            "type": "json_schema",
            "json_schema": {
                "name": _schema_name(request),
                "schema": request.prompt.schema,
                "strict": True,
            },
        }
        messages: Any = [
            {"role": "system", "content": request.prompt.system},
            {"role": "user", "content": request.payload_text},
        ]
        try:
            reply = self._client.chat.completions.create(
                model=self._settings.model,
                messages=messages,
                response_format=schema,
                temperature=self._settings.temperature,
                max_completion_tokens=self._settings.max_output_tokens,
                seed=request.seed % 2**31,
            )
        except openai.OpenAIError as error:
            # the client's error carries the request and may echo the key: it is not chained
            raise _translate(error, self._key) from None
        return _read(reply)


def _schema_name(request: TeacherRequest) -> str:
    return request.prompt.name.replace("-", "_")


def _read(reply: Any) -> Exchange:
    if not reply.choices:
        raise TeacherBusyError("the provider sent no choice; try again", cause="empty reply")
    choice, usage = reply.choices[0], reply.usage
    if choice.finish_reason == "content_filter" or getattr(choice.message, "refusal", None):
        raise TeacherRefusedError("the model refused this page", cause="refused")
    if choice.finish_reason == "length":
        raise TeacherTruncatedError(
            "the reply ended at the token limit; raise max_output_tokens", cause="truncated"
        )
    if usage is None:
        return Exchange(choice.message.content or "", 0, 0)
    return Exchange(choice.message.content or "", usage.prompt_tokens, usage.completion_tokens)


def _translate(error: openai.OpenAIError, key: str) -> TeacherError:
    import openai

    if isinstance(error, openai.APIStatusError):
        message = f"status {error.status_code}: {redact(error.message, key)}"
        if error.status_code in _RETRYABLE_STATUS or error.status_code >= 500:
            return TeacherBusyError(message, cause=f"status {error.status_code}")
        return TeacherRequestError(message, cause=f"status {error.status_code}")
    if isinstance(error, openai.APIConnectionError):
        return TeacherBusyError(f"no connection: {redact(str(error), key)}", cause="no connection")
    return TeacherRequestError(
        f"{type(error).__name__}: {redact(str(error), key)}", cause="client error"
    )
