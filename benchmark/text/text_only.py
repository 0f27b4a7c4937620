"""What a reader who never sees the page gets from the questions alone: it must be chance.

A baseline learns from half of the items how often each option is the right answer to its question,
and how often each letter is, and answers the other half; then the halves change places. Items of
one block stay together, because a half block would teach the opposite of its other half. How
questions are made so that this fails is in :mod:`prompts.questions.blocks`; the benchmark's own
text-only system is in :mod:`benchmark.asking.models`.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.scores.intervals import Interval, mean_interval

MIN_ITEMS = 100
"""Below this many items nothing is concluded (engineering default)."""

STRICTNESS_SD = 3.29
"""Standard errors allowed: the two-sided 99.9 % point of the normal distribution, since hundreds of
shards are judged. The error is the larger of that over subjects and that over items as if
independent: with a handful of subjects the former is too small (``evaluation.md`` 6.9)."""
_SD_OF_95 = 1.96

Item = Mapping[str, Any]
"""A row of table ``questions`` with its page's ``subject_id``."""


@dataclass(frozen=True, slots=True)
class TextOnly:
    """How well the text alone answers.

    Parameters
    ----------
    accuracy
        Share answered right, with its interval over subjects.
    over_chance
        Mean of right or wrong minus one over the number of options, with its interval.
    margin
        How far from zero that may lie by chance, see :data:`STRICTNESS_SD`.
    n_items
        Items answered.
    """

    accuracy: Interval
    over_chance: Interval
    margin: float
    n_items: int

    @property
    def is_chance(self) -> bool:
        """Whether chance explains the result; few items prove nothing against it."""
        return self.n_items < MIN_ITEMS or abs(self.over_chance.value) <= self.margin


def text_only(items: Sequence[Item], *, seed: int = 0) -> TextOnly:
    """Answer questions from their text, each half by what the other half teaches.

    Parameters
    ----------
    items
        At least one.
    seed
        Of the halves and of the bootstrap.

    Raises
    ------
    ValueError
        If there are no items.
    """
    halves: tuple[list[Item], list[Item]] = ([], [])
    for item in items:
        digest = hashlib.sha256(f"{seed}|{item['block_id']}".encode()).digest()
        halves[digest[0] & 1].append(item)
    subjects: list[str] = []
    right: list[float] = []
    chance: list[float] = []
    for learnt, asked in (halves, halves[::-1]):
        rates = _rates(learnt)
        for item in asked:
            subjects.append(item["subject_id"])
            right.append(float(_answer(item, rates) == item["answer_text"]))
            chance.append(1.0 / len(item["options"]))
    gains = [r - c for r, c in zip(right, chance, strict=True)]
    over_chance = mean_interval(subjects, gains, seed=seed)
    errors = [statistics.pstdev(gains) / math.sqrt(len(gains))]
    if over_chance.low is not None and over_chance.high is not None:
        errors.append((over_chance.high - over_chance.low) / 2 / _SD_OF_95)
    accuracy = mean_interval(subjects, right, seed=seed)
    return TextOnly(accuracy, over_chance, STRICTNESS_SD * max(errors), len(right))


def _rates(items: Sequence[Item]) -> dict[tuple[str, str], float]:
    """Return how often each option, and each place, is right where it is shown, smoothed by one."""
    shown, right = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for item in items:
        for place, option in enumerate(item["options"]):
            for key in ((item["question"], option), ("place", str(place))):
                shown[key] += 1
                right[key] += option == item["answer_text"]
    return {key: (right[key] + 1) / (n + 2) for key, n in shown.items()}


def _answer(item: Item, rates: Mapping[tuple[str, str], float]) -> str:
    def belief(place: int) -> tuple[float, float]:
        option = item["options"][place]
        return rates.get((item["question"], option), 0.5), rates.get(("place", str(place)), 0.5)

    best: str = item["options"][max(range(len(item["options"])), key=belief)]
    return best
