"""Which teachers there are: one factory per provider, chosen by the settings' ``provider``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from prompts.teachers.base import Teacher, TeacherConfigError, TeacherRefusedError
from prompts.teachers.settings import (
    OpenAICompatibleSettings,
    TeacherSettings,
    TemplateSettings,
)
from prompts.teachers.template import TemplateTeacher


def _template(settings: Any) -> Teacher:
    return TemplateTeacher()


def _openai(settings: Any) -> Teacher:
    from prompts.teachers.openai_chat import OpenAITeacher

    return OpenAITeacher(settings)


def _gemini(settings: Any) -> Teacher:
    from prompts.teachers.google_gemini import GeminiTeacher

    return GeminiTeacher(settings)


FACTORIES: Mapping[str, Callable[[Any], Teacher]] = {
    "template": _template,
    "openai": _openai,
    "openai_compatible": _openai,
    "gemini": _gemini,
}


def make_teacher(settings: TeacherSettings | Mapping[str, Any]) -> Teacher:
    """Build a teacher from its settings, or from a plain mapping such as launchpad config.

    Raises
    ------
    TeacherConfigError
        If the settings are not valid, or the key they name is not set.
    """
    if isinstance(settings, Mapping):
        settings = read_settings(settings)
    return FACTORIES[settings.provider](settings)


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
            f"teacher settings are not valid: {wrong}; providers are {', '.join(FACTORIES)}",
            cause="bad settings",
        ) from None
    return settings
