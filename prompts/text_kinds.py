"""The kinds of text that teachers write, by the table they are kept in."""

from __future__ import annotations

from collections.abc import Mapping

from prompts.descriptions import DESCRIPTIONS
from prompts.dialogues import DIALOGUES
from prompts.narratives import NARRATIVES
from prompts.teacher_questions import TEACHER_QUESTIONS
from prompts.text_check import TextKind

TEXT_KINDS: Mapping[str, TextKind] = {
    "narratives": NARRATIVES,
    "descriptions": DESCRIPTIONS,
    "teacher_questions": TEACHER_QUESTIONS,
    "dialogues": DIALOGUES,
}
