"""Which teachers there are: a provider's class by the settings' ``provider``, and its gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from prompts.teachers.base import Provider, TeacherConfigError, TeacherRefusedError
from prompts.teachers.cache import TeacherCache
from prompts.teachers.gateway import DEFAULT_RUN, Gateway
from prompts.teachers.limits import Limits
from prompts.teachers.prices import Budget, Price, price_of
from prompts.teachers.settings import (
    GatewaySettings,
    OpenAICompatibleSettings,
    TeacherSettings,
    TemplateSettings,
)


def _template(settings: Any) -> Provider:
    from prompts.teachers.template import TemplateProvider

    return TemplateProvider()


def _openai(settings: Any) -> Provider:
    from prompts.teachers.openai_chat import OpenAIProvider

    return OpenAIProvider(settings)


def _gemini(settings: Any) -> Provider:
    from prompts.teachers.google_gemini import GeminiProvider

    return GeminiProvider(settings)


PROVIDERS: Mapping[str, Callable[[Any], Provider]] = {
    "template": _template,
    "openai": _openai,
    "openai_compatible": _openai,
    "gemini": _gemini,
}


def make_gateway(
    settings: TeacherSettings | Mapping[str, Any],
    cache_path: Path | None,
    *,
    run: str = DEFAULT_RUN,
    is_asking: bool = True,
) -> Gateway:
    """Build the gateway to a teacher from its settings, or from a mapping such as launchpad config.

    Parameters
    ----------
    settings
        Which teacher, and how it is asked.
    cache_path
        The cache's file under the storage root; None forgets replies at the end, as the offline
        writer, which costs nothing, always does.
    run
        Name in the ledger; the spend cap holds over everything under it.
    is_asking
        False for an estimate alone: no key is read then.

    Raises
    ------
    TeacherConfigError
        If the settings are not valid, no price is known, or the key they name is not set.
    """
    if isinstance(settings, Mapping):
        settings = read_settings(settings)
    if isinstance(settings, TemplateSettings):
        provider, travel = PROVIDERS["template"](settings), GatewaySettings()
        cache, price, cap_usd = TeacherCache(None), Price(0.0, 0.0), 0.0
    else:
        price = _price(settings.model, settings, is_free=is_inside(settings))
        asked = settings if is_asking else settings.model_copy(update={"api_key_env": ""})
        provider, travel = PROVIDERS[settings.provider](asked), settings
        cache, cap_usd = TeacherCache(cache_path), settings.max_usd
    limits = Limits(travel.limits())
    return Gateway(provider, price, Budget(cap_usd), cache, limits, travel, run=run)


def _price(model: str, settings: Any, *, is_free: bool) -> Price:
    given = settings.input_usd_per_mtok, settings.output_usd_per_mtok
    if is_free and None in given:
        return Price(*(usd or 0.0 for usd in given))
    return price_of(model, *given)


def is_inside(settings: TeacherSettings) -> bool:
    """Whether a teacher runs inside the storage root's walls: the template, or a local server."""
    if isinstance(settings, OpenAICompatibleSettings):
        return settings.is_local
    return isinstance(settings, TemplateSettings)


def assert_may_read(settings: TeacherSettings, corpus: str, licence: str) -> None:
    """Refuse to send numbers of a corpus whose licence keeps them here to a hosted teacher.

    Called before anyone is asked; a hosted teacher refuses each such request once more.

    Parameters
    ----------
    settings
        The teacher chosen.
    corpus, licence
        Key and licence of a corpus that hosted teachers may not read.

    Raises
    ------
    TeacherRefusedError
        If the teacher is hosted.
    """
    if not is_inside(settings):
        raise TeacherRefusedError(
            f"corpus {corpus!r} (licence {licence}) may not be sent to hosted teacher "
            f"{settings.provider!r}; use provider 'template', or 'openai_compatible' with is_local "
            "for a server of your own",
            cause="gated corpus",
        )


def read_settings(values: Mapping[str, Any]) -> TeacherSettings:
    """Validate teacher settings; unknown fields are refused.

    Raises
    ------
    TeacherConfigError
        Naming each field and what it may be.
    """
    try:
        settings: TeacherSettings = TypeAdapter(TeacherSettings).validate_python(dict(values))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise TeacherConfigError(
            f"teacher settings are not valid: {wrong}; providers are {', '.join(PROVIDERS)}",
            cause="bad settings",
        ) from None
    return settings
