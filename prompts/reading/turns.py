"""Sentences of a text: lines, full stops that are none, turns of a dialogue, questions.

How a sentence is cut into statements is in ``clauses``.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from prompts.reading import cues
from prompts.reading.statement_words import QUESTION_STARTS
from prompts.reading.tokens import Item

_STARTS = frozenset(QUESTION_STARTS)
_ENDS = frozenset((".", "!", "?"))
_LONG = 12
"""A line of more items that ends in a question mark asks, however it starts."""


@dataclass(slots=True)
class Sentence:
    """Items of one sentence, who says it, and whether it asks."""

    items: list[Item]
    is_question: bool = False
    is_asker: bool = False
    is_answer_start: bool = False


class _Turns:
    """Sentences so far, and who is speaking."""

    def __init__(self) -> None:
        self.sentences: list[Sentence] = []
        self.items: list[Item] = []
        self.is_asker = False
        self.is_answer_start = False

    def close(self, end: str = "") -> None:
        """End the sentence; the first one of an answer is marked."""
        if not self.items:
            return
        is_question = end == "?" and (self.is_asker or _asks(self.items))
        done = Sentence(self.items, is_question, self.is_asker, self.is_answer_start)
        self.sentences.append(done)
        self.items, self.is_answer_start = [], False

    def doubt(self, mark: Item, after: Item | None, text: str) -> None:
        """Read "Spikes? No." as question and answer, and any other "?" in notes as a doubt."""
        if after is not None and after.t in cues.NO | cues.YES:
            self.sentences.append(Sentence(self.items, True, True))
            self.items, self.is_answer_start = [], True
            return
        self.items.append(Item({"hedge": "possible"}, "?", mark.s, mark.e))
        if after is not None and "C" not in after.m and text[after.s].isupper():
            self.close()

    def speaker(self, text: str) -> bool:
        """Whether the colon after these items names who speaks; if so, the turn is theirs."""
        if len(self.items) != 1 or not _is_line_start(text, self.items[0].s):
            return False
        name = self.items[0].t
        if name not in cues.ASKING and name not in cues.ANSWERING:
            return False
        self.is_asker = name in cues.ASKING
        self.is_answer_start = not self.is_asker
        self.items = []
        return True


def split_sentences(items: list[Item], text: str) -> list[Sentence]:
    """Return the sentences of a text, line by line and stop by stop."""
    turns = _Turns()
    at = 0
    for k, item in enumerate(items):
        if text.find("\n", at, item.s) >= 0:
            turns.close()
        at = item.e
        if item.t == ":" and turns.speaker(text):
            continue
        if item.t not in _ENDS:
            turns.items.append(item)
        elif item.t == "?" and turns.items and not turns.is_asker and not _asks(turns.items):
            turns.doubt(item, items[k + 1] if k + 1 < len(items) else None, text)
        elif not (
            item.t == "." and turns.items and _is_abbreviation(turns.items[-1], text, item.e)
        ):
            turns.close(item.t)
    turns.close()
    return turns.sentences


def _asks(items: list[Item]) -> bool:
    if items[0].t in _STARTS or items[0].t in ("and", "so", "then", "but"):
        return True
    after_comma = (b.t in _STARTS for a, b in itertools.pairwise(items) if a.t == ",")
    return len(items) > _LONG or any(after_comma)


def _is_line_start(text: str, s: int) -> bool:
    before = text[:s].rstrip(" *#>-")
    return not before or before.endswith(("\n", ".", "?", "!"))


def _is_abbreviation(item: Item, text: str, e: int) -> bool:
    """Whether a full stop only ends an abbreviation: what follows goes on in the same sentence."""
    rest = text[e : e + 3].lstrip()
    goes_on = rest[:1].islower() or rest[:1].isdigit() or rest[:1] in (",", ";", ")", "/", ":")
    return goes_on and item.t in cues.ABBREVIATIONS
