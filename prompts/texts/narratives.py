"""Narratives: a teacher's prose about one page and its trends against the pages before it.

What the teacher is given is built in ``narrative_template``; how it is asked, checked and stored is
the same for all kinds (``teacher_texts``, ``texts.check``).
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from prompts.facts.page import PageFacts
from prompts.texts.check import Cited, Draft, TextKind, prose
from prompts.texts.narrative_template import NarrativeTemplate

MAX_SENTENCES = 30
"""Ten are asked for; a page full of findings may take more, a reply without end is none."""


class NarrativeReply(BaseModel):
    """A teacher's narrative."""

    model_config = ConfigDict(extra="forbid", strict=True)
    sentences: list[Cited] = Field(min_length=1, max_length=MAX_SENTENCES)


def _read(reply: Any, template: NarrativeTemplate, facts: PageFacts, seed: int) -> Draft:
    return prose(reply.sentences, "narrative", template.evidence)


NARRATIVES = TextKind(
    name="narrative",
    prompt="narrative-v3",
    reply=NarrativeReply,
    read=_read,
    empty={"text": ""},
    is_compared=True,
)
