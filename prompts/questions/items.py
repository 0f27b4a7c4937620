"""Rule questions: one right option, distractors proved wrong by the same rows, seeded letters.

What can be asked, and how an option is proved, is in ``questions.types``; which pages are asked what,
so that nobody can answer from the wording, in ``questions.blocks``. Here letters are dealt and rows
are made (``systems.md`` 6.7).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prompts import words
from prompts.facts.page import PageFacts
from prompts.questions.blocks import BlockItem, Drafts, make_blocks
from prompts.questions.types import drafts

QUESTIONS_VERSION = "2"
"""Raised whenever the questions of the same facts may differ."""

LETTERS = "ABCD"
PER_PAGE = 4
"""Most questions about one page by default (engineering default)."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question with lettered options.

    Parameters
    ----------
    segment_id, question_type, question
        The page, the type (a key of ``question_types.BUILDERS``) and the text.
    options
        In shown order; four, or two for yes/no.
    answer, answer_text
        Letter and text of the right one.
    evidence
        Ids behind the answer.
    block_id
        Same for the items that balance each other (``questions.blocks``).
    is_absence
        The answer is an absence or "cannot be told".
    is_label_aware
        The answer is copied from the corpus, not measured on the page.
    """

    segment_id: str
    question_type: str
    question: str
    options: tuple[str, ...]
    answer: str
    answer_text: str
    evidence: tuple[str, ...]
    block_id: str
    is_absence: bool
    is_label_aware: bool

    @property
    def prompt(self) -> str:
        """The question with its lettered options, one a line."""
        return question_prompt(self.question, self.options)


def question_prompt(question: str, options: tuple[str, ...] | list[str]) -> str:
    """Write a question with its lettered options, one a line."""
    lettered = (f"{letter}. {o}" for letter, o in zip(LETTERS, options, strict=False))
    return "\n".join((question, *lettered))


def write_questions(
    pages: Iterable[PageFacts],
    seed: int = 0,
    per_page: int = PER_PAGE,
    drafts_of: Drafts = drafts,
) -> list[Question]:
    """Write the questions of a shard's pages, in blocks that give nothing away.

    Parameters
    ----------
    pages
        All pages of one shard: a page alone cannot be asked anything its wording would not tell.
    seed
        Draws pages, partners, wordings and letters.
    per_page
        Upper bound; pages that support fewer give fewer.
    drafts_of
        What a page can be asked.

    Returns
    -------
    list of Question
        In the order of the pages.
    """
    ids: list[str] = []

    def watched() -> Iterator[PageFacts]:
        for facts in pages:
            ids.append(facts.segment_id)
            yield facts

    items = make_blocks(watched(), seed, per_page, drafts_of)
    return [_lettered(item, ids[item.page], seed) for item in items]


def question_rows(
    pages: Iterable[PageFacts],
    seed: int = 0,
    per_page: int = PER_PAGE,
    drafts_of: Drafts = drafts,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of table ``questions`` for the pages of one shard; as `write_questions`."""
    for q in write_questions(pages, seed, per_page, drafts_of):
        yield {
            "sample_id": words.sample_id(
                "question", q.segment_id, q.question_type, q.question, *q.options
            ),
            "segment_id": q.segment_id,
            "question_type": q.question_type,
            "question": q.question,
            "options": list(q.options),
            "answer": q.answer,
            "answer_text": q.answer_text,
            "evidence": list(q.evidence),
            "block_id": q.block_id,
            "is_absence_item": q.is_absence,
            "is_label_aware": q.is_label_aware,
        }


def _lettered(item: BlockItem, segment_id: str, seed: int) -> Question:
    """Deal letters: any order of the options is as likely as any other."""
    draft = item.draft
    key = f"letter-{draft.question_type}-{draft.key}"
    options = tuple(words.shuffled(item.options, seed, segment_id, key))
    return Question(
        segment_id=segment_id,
        question_type=draft.question_type,
        question=item.question,
        options=options,
        answer=LETTERS[options.index(draft.right)],
        answer_text=draft.right,
        evidence=draft.evidence,
        block_id=item.block_id,
        is_absence=draft.is_absence,
        is_label_aware=draft.is_label_aware,
    )
