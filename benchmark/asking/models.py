"""Models under test: the protocol they follow, and the baselines that look at no page.

A vision-language model from a folder is in ``asking/vlm.py``; the waveform detector enters through
``scores/detection_scores.py``. Baselines are fitted on training rows only, so they say what a reader of
the training text would score without any page.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmark.asking.answers import LETTERS, Item, Reply
from benchmark.scores.metrics import word_overlaps
from benchmark.tasks.task import Row, Task

MEDOID_CANDIDATES = 40
"""Training captions compared with each other to find the most typical one; engineering default."""


class AnswerModel(Protocol):
    """Anything that can be asked."""

    @property
    def name(self) -> str:
        """Name in tables."""

    def answer(self, items: Sequence[Item], pages: Sequence[bytes | None]) -> list[Reply]:
        """Answer items, one reply each in order; a page of None means text only."""


@dataclass(frozen=True, slots=True)
class Majority:
    """Always the letter that is right most often in training."""

    letter: str
    name: str = "majority"

    @classmethod
    def fit(cls, train: Sequence[Row]) -> Majority:
        """Count letters of training rows of table ``questions``; ``A`` where there are none."""
        counts = Counter(row["answer"] for row in train)
        return cls(min(counts, key=lambda letter: (-counts[letter], letter), default="A"))

    def answer(self, items: Sequence[Item], pages: Sequence[bytes | None]) -> list[Reply]:
        """Give the same letter to every item; the first where an item has fewer options."""
        return [
            Reply(self.letter if self.letter in LETTERS[: len(i.options)] else "A") for i in items
        ]


@dataclass(frozen=True, slots=True)
class Prior:
    """Of the options shown, the one that is right most often in training for that question type.

    This is what answering from the text alone can reach; a model must beat it, not only chance.
    """

    rates: Mapping[tuple[str, str], float]
    name: str = "prior"

    @classmethod
    def fit(cls, train: Sequence[Row]) -> Prior:
        """Estimate how often an option is right where it is shown, add-one smoothed."""
        shown, right = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for row in train:
            shown.update((row["question_type"], text) for text in row["options"])
            right[row["question_type"], row["answer_text"]] += 1
        return cls({key: (right[key] + 1) / (n + 2) for key, n in shown.items()})

    def answer(self, items: Sequence[Item], pages: Sequence[bytes | None]) -> list[Reply]:
        """Choose by the training rate; an option never seen counts as one in two, ties go first."""
        return [Reply(self._letter(item)) for item in items]

    def _letter(self, item: Item) -> str:
        rates = [self.rates.get((item.category, text), 0.5) for text in item.options]
        return LETTERS[rates.index(max(rates))]


@dataclass(frozen=True, slots=True)
class ConstantText:
    """The most typical training caption, whatever the page."""

    text: str
    name: str = "constant_template"

    @classmethod
    def fit(cls, train: Sequence[Row]) -> ConstantText:
        """Choose the ROUGE-1 medoid of at most :data:`MEDOID_CANDIDATES` training captions."""
        texts = sorted(
            {row["text"] for row in train if row["text"].strip()},
            key=lambda text: hashlib.sha256(text.encode()).hexdigest(),
        )[:MEDOID_CANDIDATES]
        if not texts:
            return cls("")
        totals = [
            sum(o.rouge1 for o in word_overlaps(texts, [text] * len(texts))) for text in texts
        ]
        return cls(texts[totals.index(max(totals))])

    def answer(self, items: Sequence[Item], pages: Sequence[bytes | None]) -> list[Reply]:
        """Give the same text to every item."""
        return [Reply(self.text)] * len(items)


@dataclass(frozen=True, slots=True)
class ShuffledReference:
    """The right answer to another item: perfect style, wrong page.

    The only baseline that sees references; it marks the score that style alone earns.
    """

    answers: Mapping[str, str]
    name: str = "shuffled_reference"

    @classmethod
    def fit(cls, items: Sequence[Row]) -> ShuffledReference:
        """Pair every item of table ``benchmark_items`` with the next in hash order."""
        ring = sorted(items, key=lambda row: hashlib.sha256(row["item_id"].encode()).hexdigest())
        after = [*ring[1:], *ring[:1]]
        return cls(
            {row["item_id"]: other["answer"] for row, other in zip(ring, after, strict=True)}
        )

    def answer(self, items: Sequence[Item], pages: Sequence[bytes | None]) -> list[Reply]:
        """Give the answer of the paired item."""
        return [Reply(self.answers[item.item_id]) for item in items]


def baselines(
    task: Task, questions: Sequence[Row], captions: Sequence[Row], items: Sequence[Row] = ()
) -> list[AnswerModel]:
    """Return the baselines that stand beside every score of a task.

    Parameters
    ----------
    task
        The task; boxes have no baseline here.
    questions, captions
        Rows of those tables of *training* subjects; captions of any variant, of which the
        label-free ones are used.
    items
        Rows of table ``benchmark_items``; with them a text task also gets the shuffled reference.
    """
    if task.kind == "choice":
        return [Majority.fit(questions), Prior.fit(questions)]
    if task.kind == "text":
        label_free = [row for row in captions if row["variant"] == "label_free"]
        shuffled = [ShuffledReference.fit(items)] if items else []
        return [ConstantText.fit(label_free), *shuffled]
    return []
