"""Dialogues: several turns about one page, written by a teacher from the same facts as narratives.

Questions are the learner's and claim nothing, but may not presume what a page cannot show; every
sentence of an answer is checked with the ids behind its own fact keys. How a teacher is asked, checked
and stored is the same for all kinds (``teacher_texts``, ``texts.check``).
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from prompts.facts.page import PageFacts
from prompts.texts.check import Cited, Draft, TextKind, statement
from prompts.texts.narrative_template import NarrativeTemplate


class DialogueTurn(BaseModel):
    """A question and its answer, sentence by sentence."""

    model_config = ConfigDict(extra="forbid", strict=True)
    question: str = Field(min_length=1)
    answer: list[Cited] = Field(min_length=1)


class DialogueReply(BaseModel):
    """A teacher's dialogue."""

    model_config = ConfigDict(extra="forbid", strict=True)
    turns: list[DialogueTurn] = Field(min_length=2, max_length=8)


def _read(reply: Any, template: NarrativeTemplate, facts: PageFacts, seed: int) -> Draft:
    claims, messages = [], []
    for turn in reply.turns:
        said = [statement(s, "dialogue", template.evidence) for s in turn.answer]
        claims += said
        answer = " ".join(s.sentence.text for s in said)
        messages += [
            {"role": "user", "content": turn.question.strip()},
            {"role": "assistant", "content": answer},
        ]
    asked = tuple(m["content"] for m in messages if m["role"] == "user")
    return Draft(tuple(claims), asked=asked, columns={"messages": messages})


DIALOGUES = TextKind(
    name="dialogue", prompt="dialogue-v3", reply=DialogueReply, read=_read, empty={"messages": []}
)
