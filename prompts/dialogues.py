"""Dialogues: several turns about one page, written by a teacher from the same facts as narratives.

Questions are the learner's and claim nothing; every answer is checked by ``grounding`` with the
ids behind its fact keys. Teachers live in ``teachers``, the payload is built in ``narratives``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prompts import words
from prompts.event_words import Sentence
from prompts.facts import PageFacts
from prompts.grounding import check_grounding
from prompts.limits import forbidden_claims
from prompts.narratives import (
    NarrativeTemplate,
    ask,
    cited,
    narrative_template,
    teacher_columns,
)
from prompts.teachers.base import Teacher, TeacherReply, TeacherRequest
from prompts.teachers.prompt_files import load_prompt

DIALOGUE_PROMPT = "dialogue-v1"


class DialogueTurn(BaseModel):
    """One exchange of a reply and the fact keys its answer rests on."""

    model_config = ConfigDict(extra="forbid", strict=True)
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    facts: list[str] = Field(min_length=1)


class DialogueReply(BaseModel):
    """A teacher's dialogue."""

    model_config = ConfigDict(extra="forbid", strict=True)
    turns: list[DialogueTurn] = Field(min_length=2, max_length=8)


def dialogue_request(
    template: NarrativeTemplate, facts: PageFacts, *, is_gated: bool, seed: int
) -> TeacherRequest:
    """Build the request for one dialogue."""
    page_seed = words.number(seed, facts.segment_id, DIALOGUE_PROMPT) % 2**31
    return TeacherRequest(load_prompt(DIALOGUE_PROMPT), template.payload, is_gated, page_seed)


def dialogue_rows(
    pages: Iterable[PageFacts], teacher: Teacher, *, is_gated: bool, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """Yield rows of table ``dialogues``; a dropped one has no messages and its cause in ``grounding``.

    Parameters
    ----------
    pages
        The pages; a dialogue looks at one page only, so trends are not part of it.
    teacher, is_gated, seed
        As in :func:`prompts.narratives.narrative_rows`.

    Raises
    ------
    TeacherError
        If the teacher fails for a reason that the next page would share.
    """
    for facts in pages:
        template = narrative_template(facts)
        request = dialogue_request(template, facts, is_gated=is_gated, seed=seed)
        reply, cause = ask(teacher, request)
        turns: list[tuple[str, Sentence]] = []
        if reply is not None:
            turns, cause = _grounded(reply, template, facts)
        messages = [
            message
            for question, answer in turns
            for message in (
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer.text},
            )
        ]
        yield {
            "sample_id": words.sample_id(
                "dialogue", facts.segment_id, teacher.teacher_id, request.prompt.prompt_hash
            ),
            "segment_id": facts.segment_id,
            "messages": messages,
            **teacher_columns(teacher, request, reply, cause, [a for _, a in turns]),
        }


def _grounded(
    reply: TeacherReply, template: NarrativeTemplate, facts: PageFacts
) -> tuple[list[tuple[str, Sentence]], str]:
    try:
        parsed = DialogueReply.model_validate(dict(reply.data))
    except ValidationError as error:
        return [], f"dropped: reply does not fit the schema ({error.error_count()} errors)"
    turns = [
        (
            t.question.strip(),
            Sentence(t.answer.strip(), "dialogue", cited(t.facts, template.evidence)),
        )
        for t in parsed.turns
    ]
    over = [claim for question, _ in turns for claim in forbidden_claims(question)]
    if over:
        return [], f"overclaim: a question presumes {over[0]}"
    report = check_grounding([answer for _, answer in turns], facts)
    return (turns, report.cause) if report.is_supported else ([], report.cause)
