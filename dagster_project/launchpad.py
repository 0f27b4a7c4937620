"""What a person may set in the launchpad, refused in a sentence where it cannot be.

Dagster shows the fields of a config class and checks their types; bounds it leaves to pydantic,
whose error would be a page of stack and two retries. Each config class lives beside its asset.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
from pydantic import ValidationError

from dagster_project.failures import PermanentFailure


class LaunchConfig(dg.Config):
    """Base of every config class: a value out of bounds is a permanent failure.

    Raises
    ------
    PermanentFailure
        Naming each field, its value, what is allowed and what the field means.
    """

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise PermanentFailure("; ".join(self._sentences(error))) from None

    @classmethod
    def _sentences(cls, error: ValidationError) -> list[str]:
        sentences = []
        for part in error.errors(include_url=False):
            name = str(part["loc"][0]) if part["loc"] else cls.__name__
            field = cls.model_fields.get(name)
            told = f" ({field.description})" if field and field.description else ""
            wrong = part["msg"][:1].lower() + part["msg"][1:]
            sentences.append(f"{name}={part['input']!r}: {wrong}; set it in the launchpad{told}")
        return sentences
