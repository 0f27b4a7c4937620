"""Detailed descriptions: a teacher's prose about everything found on one page, and nothing else.

What the teacher is given is built in ``narrative_template``; how it is asked, checked and stored is
the same for all kinds (``teacher_texts``, ``texts.check``).
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from prompts.facts.page import PageFacts
from prompts.texts.check import Cited, Draft, TextKind, prose
from prompts.texts.narrative_template import NarrativeTemplate


class DescriptionReply(BaseModel):
    """A teacher's description."""

    model_config = ConfigDict(extra="forbid", strict=True)
    sentences: list[Cited] = Field(min_length=3)


def _read(reply: Any, template: NarrativeTemplate, facts: PageFacts, seed: int) -> Draft:
    return prose(reply.sentences, "description", template.evidence)


DESCRIPTIONS = TextKind(
    name="description",
    prompt="description-v2",
    reply=DescriptionReply,
    read=_read,
    empty={"text": ""},
    must_tell_all=True,
)
