"""The offline template teacher: the default writer, deterministic, and marked as such in every row.

It answers the same prompts with the same reply schemas as a model does, from the payload alone, so
everything behind it runs without a network. It is no model: its prose is plain and repeats itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from prompts.teachers.base import Exchange, Repair, TeacherRequest, TeacherRequestError
from prompts.teachers.payload import assert_payload_is_clean
from prompts.texts.template_questions import write_question
from prompts.texts.template_writer import (
    WRITER_VERSION,
    Payload,
    write_description,
    write_dialogue,
    write_narrative,
)

WRITERS: Mapping[str, Callable[[Payload, int], dict[str, Any]]] = {
    "narrative": write_narrative,
    "description": write_description,
    "dialogue": write_dialogue,
    "question": write_question,
}
"""First word of a prompt's name and who writes it."""


class TemplateProvider:
    """Writes from the payload by template: no network, no model, no money."""

    teacher_id = f"template@{WRITER_VERSION}"
    is_offline = True
    is_inside = True
    max_output_tokens = 0
    reasoning_tokens = 0
    sampling = "{}"
    batch = None

    async def send(
        self,
        request: TeacherRequest,
        *,
        repair: Repair | None,
        idempotency_key: str,
        max_output_tokens: int | None = None,
    ) -> Exchange:
        """Write the reply; it says the same again when asked for a repair.

        Raises
        ------
        TeacherRequestError
            If the prompt is not one it has a writer for.
        """
        return Exchange(json.dumps(_write(request)), 0, 0, model=self.teacher_id)

    async def aclose(self) -> None:
        """Close nothing: it has no connections."""


def _write(request: TeacherRequest) -> dict[str, Any]:
    kind = request.prompt.name.partition("-")[0]
    if kind not in WRITERS:
        raise TeacherRequestError(
            f"the template teacher has no writer for prompt {request.prompt.name!r}; it writes "
            f"{', '.join(WRITERS)}",
            cause="unknown prompt",
        )
    assert_payload_is_clean(request.payload)
    return WRITERS[kind](request.payload, request.seed)
