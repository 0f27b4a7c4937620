"""Rule questions: one right option, distractors proved wrong by the same rows, seeded letters.

What can be asked, and how an option is proved, is in ``question_types``. Here drafts are drawn,
options chosen and letters dealt, so that letters are uniform and at least a fifth of the items of
a shard have an absence or "cannot be told" as their answer (``systems.md`` 6.7).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prompts import words
from prompts.facts import PageFacts
from prompts.question_types import Draft, drafts

QUESTIONS_VERSION = "1"
"""Raised whenever the questions of the same facts may differ."""

LETTERS = "ABCD"
PER_PAGE = 4
"""Questions per page by default (engineering default)."""
ABSENCE_SHARE = 0.35
"""Share of slots drawn from absence drafts, above the 20 % that a shard must reach."""


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
    is_absence
        The answer is an absence or "cannot be told".
    """

    segment_id: str
    question_type: str
    question: str
    options: tuple[str, ...]
    answer: str
    answer_text: str
    evidence: tuple[str, ...]
    is_absence: bool

    @property
    def prompt(self) -> str:
        """The question with its lettered options, one a line."""
        return question_prompt(self.question, self.options)


def question_prompt(question: str, options: tuple[str, ...] | list[str]) -> str:
    """Write a question with its lettered options, one a line."""
    lettered = (f"{letter}. {o}" for letter, o in zip(LETTERS, options, strict=False))
    return "\n".join((question, *lettered))


def write_questions(facts: PageFacts, seed: int = 0, per_page: int = PER_PAGE) -> list[Question]:
    """Write up to ``per_page`` questions about a page, no type and subject twice.

    Parameters
    ----------
    facts
        The page.
    seed
        Draws types, distractors and letters together with the segment id.
    per_page
        Upper bound; pages that support fewer give fewer.
    """
    pools: dict[bool, list[Draft]] = {True: [], False: []}
    for draft in drafts(facts, seed):
        pools[draft.is_absence].append(draft)
    pools = {k: _by_type(pool, facts.segment_id, seed, k) for k, pool in pools.items()}
    chosen: list[Draft] = []
    subjects: set[str] = set()
    slot = 0
    while len(chosen) < per_page and (pools[True] or pools[False]):
        wants_absence = words.number(seed, facts.segment_id, f"slot-{slot}") % 100 < (
            100 * ABSENCE_SHARE
        )
        slot += 1
        draft = (pools[wants_absence] or pools[not wants_absence]).pop(0)
        if draft.key not in subjects:
            subjects.add(draft.key)
            chosen.append(draft)
    return [_lettered(draft, facts.segment_id, seed) for draft in chosen]


def question_rows(
    facts: PageFacts, seed: int = 0, per_page: int = PER_PAGE
) -> Iterator[dict[str, Any]]:
    """Yield the rows of table ``questions`` for one page."""
    for q in write_questions(facts, seed, per_page):
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
            "is_absence_item": q.is_absence,
        }


def _by_type(pool: list[Draft], segment_id: str, seed: int, is_absence: bool) -> list[Draft]:
    """Order drafts so that types take turns: kinds with many drafts do not crowd the others out."""
    mixed = words.shuffled(pool, seed, segment_id, f"pool-{is_absence}")
    seen: dict[str, int] = {}
    ranked = []
    for position, draft in enumerate(mixed):
        turn = seen.get(draft.question_type, 0)
        seen[draft.question_type] = turn + 1
        ranked.append((turn, position, draft))
    return [draft for _, _, draft in sorted(ranked, key=lambda r: r[:2])]


def _lettered(draft: Draft, segment_id: str, seed: int) -> Question:
    key = f"{draft.question_type}-{draft.key}"
    wrong = words.shuffled(draft.wrong, seed, segment_id, f"wrong-{key}")[: draft.n_options - 1]
    position = words.number(seed, segment_id, f"letter-{key}") % draft.n_options
    options = (*wrong[:position], draft.right, *wrong[position:])
    return Question(
        segment_id=segment_id,
        question_type=draft.question_type,
        question=draft.question,
        options=options,
        answer=LETTERS[position],
        answer_text=draft.right,
        evidence=draft.evidence,
        is_absence=draft.is_absence,
    )
