"""The kinds of text that teachers write, by the table they are kept in."""

from __future__ import annotations

from collections.abc import Mapping

from prompts.texts.check import TextKind
from prompts.texts.descriptions import DESCRIPTIONS
from prompts.texts.dialogues import DIALOGUES
from prompts.texts.narratives import NARRATIVES
from prompts.texts.teacher_questions import TEACHER_QUESTIONS

TEXT_KINDS: Mapping[str, TextKind] = {
    "narratives": NARRATIVES,
    "descriptions": DESCRIPTIONS,
    "teacher_questions": TEACHER_QUESTIONS,
    "dialogues": DIALOGUES,
}
