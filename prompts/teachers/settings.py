"""Settings of the teachers: strict, with bounds and words for the launchpad; never a key.

Keys come from the environment variable a setting names; they are read when a client is built and
appear in no setting, row, log line or error.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from prompts.teachers.base import TeacherConfigError
from prompts.teachers.batches import BatchLimits
from prompts.teachers.limits import LimitSettings
from prompts.teachers.pictures import IMAGE_TOKENS
from prompts.teachers.prices import PRICES_AS_OF

_PRICE = (
    f"US dollars per million tokens; None takes a table written down on {PRICES_AS_OF}, which may be "
    "out of date, and refuses a model that is not in it."
)
_FIND_POLLS = 4
"""First waits that fit into the one before a lost job is looked for again (engineering default)."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GatewaySettings(_Strict):
    """How requests travel: mode, limits, patience."""

    mode: Literal["online", "batch"] = Field(
        default="online",
        description="One by one, or as the provider's batch jobs: half price, within a day.",
    )
    requests_per_min: float | None = Field(
        default=None, gt=0.0, description="Allowance; None learns it from the replies' headers."
    )
    tokens_per_min: float | None = Field(
        default=None, gt=0.0, description="Allowance, input and output; None learns it likewise."
    )
    max_in_flight: int = Field(
        default=200, ge=1, le=2000, description="Most requests on their way at once."
    )
    max_attempts: int = Field(
        default=8, ge=1, le=20, description="Tries of one request on 408, 409, 429, 5xx, no reply."
    )
    backoff_s: float = Field(
        default=1.0, ge=0.0, le=60.0, description="Longest first wait before another try, seconds."
    )
    max_backoff_s: float = Field(
        default=60.0, ge=0.0, le=600.0, description="Longest wait before another try, seconds."
    )
    breaker_failures: int = Field(
        default=50, ge=1, description="Failures in a row after which the teacher is left alone."
    )
    breaker_cooloff_s: float = Field(
        default=15.0, ge=0.0, le=600.0, description="For so long, seconds; then one probe is sent."
    )
    breaker_cooloffs: int = Field(
        default=4, ge=1, le=100, description="Failed probes after which the run stops."
    )
    batch_window: int = Field(
        default=20_000,
        ge=1,
        le=200_000,
        description="Tasks looked at together in batch mode; memory grows with it.",
    )
    batch_lines: int = Field(
        default=10_000, ge=1, le=50_000, description="Most requests in one batch job."
    )
    batch_poll_s: float = Field(
        default=5.0,
        gt=0.0,
        le=600.0,
        description="First wait between looks at batch jobs, seconds; it grows to batch_max_poll_s.",
    )
    batch_max_poll_s: float = Field(
        default=60.0, gt=0.0, le=3600.0, description="Longest wait between such looks, seconds."
    )
    batch_find_s: float | None = Field(
        default=None,
        gt=0.0,
        le=3600.0,
        description="Wait before a job that a killed run may have submitted is looked for again, "
        "seconds; None takes four first waits.",
    )

    def limits(self) -> LimitSettings:
        """Return the bounds that ``limits`` keeps."""
        return LimitSettings(
            requests_per_min=self.requests_per_min,
            tokens_per_min=self.tokens_per_min,
            max_in_flight=self.max_in_flight,
            backoff_s=self.backoff_s,
            max_backoff_s=self.max_backoff_s,
            n_failures=self.breaker_failures,
            cooloff_s=self.breaker_cooloff_s,
            n_cooloffs=self.breaker_cooloffs,
        )

    def batch_limits(self) -> BatchLimits:
        """Return the bounds that ``batches`` keeps."""
        return BatchLimits(
            max_lines=self.batch_lines,
            poll_s=self.batch_poll_s,
            max_poll_s=max(self.batch_poll_s, self.batch_max_poll_s),
            find_s=self.batch_find_s or _FIND_POLLS * self.batch_poll_s,
        )


class TemplateSettings(_Strict):
    """The offline writer: no model, no key, no cost."""

    provider: Literal["template"] = "template"


class _Hosted(GatewaySettings):
    max_output_tokens: int = Field(
        default=1024, ge=64, le=16384, description="Token limit of one reply."
    )
    temperature: float | None = Field(
        default=0.7,
        ge=0.0,
        le=2.0,
        description="Sampling temperature; null leaves it to the model.",
    )
    top_logprobs: int = Field(
        default=0,
        ge=0,
        le=20,
        description="Candidates whose log-probability a model under test reports; 0: none asked.",
    )
    image_tokens: int = Field(
        default=IMAGE_TOKENS,
        ge=1,
        le=200_000,
        description="Most input tokens one picture is billed as; the spend cap counts on it.",
    )
    timeout_s: float = Field(
        default=120.0, gt=0.0, le=600.0, description="Time for one attempt, seconds."
    )
    max_usd: float = Field(
        default=1.0, ge=0.0, description="Hard spend cap of one run, US dollars."
    )
    input_usd_per_mtok: float | None = Field(default=None, ge=0.0, description=_PRICE)
    output_usd_per_mtok: float | None = Field(default=None, ge=0.0, description=_PRICE)


class OpenAISettings(_Hosted):
    """OpenAI's chat completions with a strict JSON schema."""

    provider: Literal["openai"] = "openai"
    model: str = Field(default="gpt-4.1", min_length=1, description="Model id.")
    base_url: str | None = Field(default=None, description="Other address of the same service.")
    api_key_env: str = Field(
        default="OPENAI_API_KEY", description="Environment variable with the key."
    )


class OpenAICompatibleSettings(_Hosted):
    """Any server that speaks the chat completions protocol; a local one costs nothing unless told."""

    provider: Literal["openai_compatible"] = "openai_compatible"
    model: str = Field(min_length=1, description="Model id as the server names it.")
    base_url: str = Field(min_length=1, description="Address of the server, ending in /v1.")
    api_key_env: str | None = Field(
        default=None, description="Environment variable with the key, if any."
    )
    is_local: bool = Field(
        default=False,
        description="Runs inside the storage root's walls: gated corpora may be sent.",
    )


class GeminiSettings(_Hosted):
    """Google's Gemini through google-genai."""

    provider: Literal["gemini"] = "gemini"
    model: str = Field(default="gemini-2.5-flash", min_length=1, description="Model id.")
    base_url: str | None = Field(default=None, description="Other address of the same service.")
    api_version: str | None = Field(
        default=None,
        description="API version; None takes the client's own, test servers need v1beta.",
    )
    api_key_env: str = Field(
        default="GEMINI_API_KEY", description="Environment variable with the key."
    )
    thinking_budget: int = Field(
        default=0,
        ge=0,
        le=24576,
        description="Reasoning tokens, billed as output; 0 switches it off.",
    )


TeacherSettings = Annotated[
    TemplateSettings | OpenAISettings | OpenAICompatibleSettings | GeminiSettings,
    Field(discriminator="provider"),
]


def read_key(variable: str) -> str:
    """Return the key in an environment variable.

    Raises
    ------
    TeacherConfigError
        If it is not set; the message names the variable and the offline choice.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        raise TeacherConfigError(
            f"environment variable {variable} is not set; set it to the provider's key, or use "
            "provider 'template' to write offline",
            cause="no key",
        )
    return value


def redact(text: str, key: str) -> str:
    """Remove a key, and the tail some providers echo, from a text."""
    cleaned = text.replace(key, "***") if key else text
    return cleaned.replace(key[-4:], "***") if len(key) > 8 else cleaned
