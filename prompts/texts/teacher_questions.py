"""Demanding multiple choice written by a teacher: one right option, three that the facts contradict.

The right option and the explanation must be supported, every wrong option contradicted, each by the
facts it names. The offline teacher is told what to ask of which page, so that its wording gives nothing
away (``texts.question_plan``); a model asks what it likes. Which letter is right is dealt here by the
seed and never left to a model. Rule-written
questions are in ``questions``; how a teacher is asked, checked and stored is the same for all kinds
(``teacher_texts``, ``texts.check``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from prompts import words
from prompts.facts.page import PageFacts
from prompts.texts.check import TELLTALE, Cited, Draft, Fault, TextKind, statement
from prompts.texts.narrative_template import NarrativeTemplate
from prompts.texts.question_plan import MIN_TOPICS, plan_questions, topics_of

LETTERS = "ABCD"
MAX_LENGTH_RATIO = 1.5
"""A right option this much longer than every wrong one is chosen without looking at the page."""

_LETTERED = re.compile(
    r"\b(?:option|answer|choice)s? \(?[A-D1-4]\b|^\(?[A-D1-4][.):] ", re.IGNORECASE
)


class QuestionReply(BaseModel):
    """A teacher's question."""

    model_config = ConfigDict(extra="forbid", strict=True)
    question: str = Field(min_length=1)
    right: Cited
    wrong: list[Cited] = Field(min_length=3, max_length=3)
    explanation: list[Cited] = Field(min_length=1, max_length=6)


def _read(reply: Any, template: NarrativeTemplate, facts: PageFacts, seed: int) -> Draft:
    right, *explained = (
        statement(s, "question", template.evidence) for s in (reply.right, *reply.explanation)
    )
    wrong = [statement(s, "question", template.evidence) for s in reply.wrong]
    shown = words.shuffled(wrong, seed, facts.segment_id, "options")
    place = words.number(seed, facts.segment_id, "letter") % len(LETTERS)
    shown.insert(place, right)
    columns = {
        "question": reply.question.strip(),
        "options": [s.sentence.text for s in shown],
        "answer": LETTERS[place],
        "answer_text": right.sentence.text,
        "explanation": " ".join(s.sentence.text for s in explained),
        "option_evidence": [list(s.sentence.evidence) for s in shown],
    }
    return Draft(
        (right, *explained),
        tuple(wrong),
        (columns["question"],),
        columns,
        _telltale([s.sentence.text for s in (right, *wrong)], columns),
    )


def _telltale(options: list[str], columns: Mapping[str, Any]) -> Fault | None:
    if len({text.casefold() for text in options}) < len(options):
        return Fault(TELLTALE, "options repeat", "Two options say the same.")
    if len(options[0]) > MAX_LENGTH_RATIO * max(map(len, options[1:])):
        complaint = "The right option is much longer than the wrong ones; give all the same form."
        return Fault(TELLTALE, "the right option is the longest by far", complaint)
    texts = (columns["question"], columns["explanation"], *options)
    if any(_LETTERED.search(text) for text in texts):
        complaint = "Options are named by letter or number; their order is dealt later."
        return Fault(TELLTALE, "options are named by letter", complaint)
    return None


def _lacks(payload: Mapping[str, Any]) -> str:
    return "" if len(topics_of(payload)) >= MIN_TOPICS else "too few facts for a question"


TEACHER_QUESTIONS = TextKind(
    name="question",
    prompt="question-v2",
    reply=QuestionReply,
    read=_read,
    empty={
        "question": "", "options": [], "answer": "", "answer_text": "", "explanation": "",
        "option_evidence": [],
    },
    lacks=_lacks,
    plan=plan_questions,
)  # fmt: skip
