"""Fact score and slots of free text as rows of numbers per item, so that subjects can be redrawn.

The fact score of ``prompts.grounding.score`` is against the facts of the page; its parts stay apart.
Slots compare an answer with its reference, both read by ``prompts.reading``: NeuroNarrator's Fact-F1
is of this kind but not published (``evaluation.md`` 6.3), so ours has a name of its own.
Truth made by the engine that wrote the training text is circular; the note of each row says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from benchmark.scores.intervals import Floats, Interval, cluster_interval, ratio, subject_totals
from prompts.facts.page import PageFacts
from prompts.grounding.score import FactTally, count_text
from prompts.reading.reader import read_claims

FACT_NOTE = "claims pooled over texts; truth of the engine itself, so a copy of its rules scores 1"
SLOT_NOTE = "slots of answer and reference read by our own reader, pooled; not a published score"

_SUMS = (
    "credit", "checkable", "contradicted", "untrue", "overclaim", "every", "sided", "sided_wrong",
    "must", "told", "severe", "severe_left",
)  # fmt: skip
_AT = {name: i for i, name in enumerate(_SUMS)}


def _part(part: str, whole: str) -> Callable[[Floats], Floats]:
    def statistic(sums: Floats) -> Floats:
        return ratio(sums[:, [_AT[part], _AT[whole]]])

    return statistic


def _f1(sums: Floats) -> Floats:
    precision, recall = _part("credit", "checkable")(sums), _part("told", "must")(sums)
    # void only where nothing had to be said: an answer without a true claim has 0, silence as well
    told = np.nan_to_num(precision)
    both = told + recall
    f1: Floats = 2 * told * recall / np.where(both == 0, 1.0, both)
    return f1


FACT_PARTS: dict[str, Callable[[Floats], Floats]] = {
    "fact_precision": _part("credit", "checkable"),
    "fact_recall": _part("told", "must"),
    "fact_f1": _f1,
    "fact_hallucination": _part("untrue", "checkable"),
    "fact_contradiction": _part("contradicted", "checkable"),
    "fact_severe_omission": _part("severe_left", "severe"),
    "fact_overclaim": _part("overclaim", "every"),
    "fact_laterality_error": _part("sided_wrong", "sided"),
    "fact_coverage": _part("checkable", "every"),
}
"""The parts, each from the sums of a set of texts."""

SLOT_PARTS: dict[str, Callable[[Floats], Floats]] = {
    "slot_precision": lambda sums: ratio(sums[:, [0, 1]]),
    "slot_recall": lambda sums: ratio(sums[:, [0, 2]]),
    "slot_f1": lambda sums: ratio(np.column_stack([2 * sums[:, 0], sums[:, 1] + sums[:, 2]])),
}


class FactCounter:
    """Counts texts against pages; the same text about the same page is checked once."""

    def __init__(self, facts: Mapping[str, PageFacts]) -> None:
        self.facts = facts
        self._seen: dict[tuple[str, str], Floats] = {}

    def sums(self, segment_id: str, text: str) -> Floats:
        """Return the sums of one text, shape (12,)."""
        key = segment_id, text
        if key not in self._seen:
            tally = FactTally()
            count_text(tally, text, self.facts[segment_id])
            self._seen[key] = _as_sums(tally)
        return self._seen[key]


def _as_sums(tally: FactTally) -> Floats:
    checkable = tally.n("supported", "contradicted", "unsupported")
    return np.array([
        tally.credit, checkable, tally.n("contradicted"), tally.n("contradicted", "unsupported"),
        tally.n("overclaim"), sum(tally.verdicts.values()), tally.n_sided, tally.n_sided_wrong,
        tally.must, tally.told, tally.n_severe, tally.n_severe_left,
    ], dtype=np.float64)  # fmt: skip


@lru_cache(maxsize=65536)
def slots(text: str) -> tuple[Hashable, ...]:
    """Return the slots a text fills: type, finding or band, polarity, channels, side and regions."""
    return tuple(
        (c.type, c.label, c.band, c.polarity, frozenset(c.channels), c.side, frozenset(c.regions))
        for c in read_claims(text)
    )


def slot_sums(reference: str, answer: str) -> Floats:
    """Return shared, answered and true slots of one text, shape (3,)."""
    true, said = Counter(slots(reference)), Counter(slots(answer))
    return np.array([(true & said).total(), said.total(), true.total()], dtype=np.float64)


def part_intervals(
    parts: Mapping[str, Callable[[Floats], Floats]],
    subjects: Sequence[str],
    sums: Sequence[Floats],
    *,
    seed: int,
) -> dict[str, Interval]:
    """Return every part with its interval clustered by subject; NaN where nothing was to count."""
    _, totals = subject_totals(subjects, np.stack(sums))
    return {name: cluster_interval(totals, part, seed=seed) for name, part in parts.items()}
