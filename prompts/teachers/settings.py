"""Settings of the teachers: strict, with bounds and words for the launchpad; never a key.

Keys come from the environment variable a setting names; they are read when a client is built and
appear in no setting, row, log line or error.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from prompts.teachers.base import TeacherConfigError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TemplateSettings(_Strict):
    """The offline writer: no model, no key, no cost."""

    provider: Literal["template"] = "template"


class _Hosted(_Strict):
    max_output_tokens: int = Field(
        default=1024, ge=64, le=16384, description="Token limit of one reply."
    )
    temperature: float = Field(default=0.7, ge=0.0, le=2.0, description="Sampling temperature.")
    timeout_s: float = Field(
        default=120.0, gt=0.0, le=600.0, description="Time for one attempt, seconds."
    )
    max_attempts: int = Field(
        default=5, ge=1, le=10, description="Attempts on 408, 409, 429 and 5xx."
    )
    max_usd: float = Field(
        default=1.0, ge=0.0, description="Hard spend cap of one run, US dollars."
    )
    input_usd_per_mtok: float | None = Field(
        default=None, ge=0.0, description="Price of input tokens."
    )
    output_usd_per_mtok: float | None = Field(
        default=None, ge=0.0, description="Price of output tokens."
    )


class OpenAISettings(_Hosted):
    """OpenAI's chat completions with a strict JSON schema."""

    provider: Literal["openai"] = "openai"
    model: str = Field(default="gpt-4.1", min_length=1, description="Model id.")
    base_url: str | None = Field(default=None, description="Other address of the same service.")
    api_key_env: str = Field(
        default="OPENAI_API_KEY", description="Environment variable with the key."
    )


class OpenAICompatibleSettings(_Hosted):
    """Any server that speaks the chat completions protocol; local ones cost nothing by default."""

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
    input_usd_per_mtok: float | None = Field(
        default=0.0, ge=0.0, description="Price of input tokens."
    )
    output_usd_per_mtok: float | None = Field(
        default=0.0, ge=0.0, description="Price of output tokens."
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
