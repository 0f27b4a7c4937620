"""Rows of table ``scores`` for free text: word overlap, embeddings, slots, facts; never blended.

What each number is lives in ``scores/metrics.py``, ``scores/bert_overlap.py`` and
``scores/fact_scores.py``. What could not be computed is a row without a value whose note says why,
so that a table cannot hide it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.scores.bert_overlap import NO_ENCODER
from benchmark.scores.fact_scores import (
    FACT_NOTE,
    FACT_PARTS,
    SLOT_NOTE,
    SLOT_PARTS,
    FactCounter,
    part_intervals,
    slot_sums,
)
from benchmark.scores.intervals import Interval, mean_interval
from benchmark.scores.metrics import WordOverlap, word_overlaps
from benchmark.tasks.task import Row

if TYPE_CHECKING:
    from benchmark.scores.bert_pairs import TextEncoder
    from prompts.facts.page import PageFacts

Make = Callable[..., dict[str, Any]]
OVERLAP_NOTE = "rouge-score, stemmed, mean over items; word overlap rewards style, not truth"
NO_FACTS = "skipped: the facts of the pages were not given, so no claim was checked"

_OVERLAPS: dict[str, Callable[[WordOverlap], float]] = {
    "rouge1": lambda o: o.rouge1,
    "rouge1_raw": lambda o: o.rouge1_raw,
    "rouge1_recall": lambda o: o.rouge1_recall,
    "rougeL": lambda o: o.rouge_l,
}


def text_rows(
    make: Make,
    items: Sequence[Row],
    texts: Sequence[str],
    seed: int,
    facts: Mapping[str, PageFacts] | None,
    encoder: TextEncoder | None,
) -> tuple[list[dict[str, Any]], list[float]]:
    """Return the rows of one run, and ROUGE-1 per item.

    Parameters
    ----------
    make
        From :func:`benchmark.scores.scoring.row_maker`.
    items, texts
        Items and the answer to each, ``""`` where there is none.
    seed
        Of the bootstrap.
    facts
        Facts by segment id; every item's page must be there where any is.
    encoder
        Encoder of BERTScore.
    """
    subjects = [i["subject_id"] for i in items]
    references = [str(i["answer"]) for i in items]
    overlaps = word_overlaps(references, texts)
    rows = [
        make(metric, mean_interval(subjects, [take(o) for o in overlaps], seed=seed), OVERLAP_NOTE)
        for metric, take in _OVERLAPS.items()
    ]
    rows.append(_bert_row(make, subjects, references, texts, seed, encoder))
    slots = [slot_sums(true, said) for true, said in zip(references, texts, strict=True)]
    for metric, interval in part_intervals(SLOT_PARTS, subjects, slots, seed=seed).items():
        rows.append(make(metric, interval, SLOT_NOTE))
    rows += _fact_rows(make, items, texts, seed, facts)
    return rows, [o.rouge1 for o in overlaps]


def _bert_row(
    make: Make, subjects: Sequence[str], references: Sequence[str], texts: Sequence[str],
    seed: int, encoder: TextEncoder | None,
) -> dict[str, Any]:  # fmt: skip
    if encoder is None:
        return make("bertscore_f1", _void(subjects), NO_ENCODER)
    values = encoder.scores(references, texts)
    return make("bertscore_f1", mean_interval(subjects, values, seed=seed), encoder.note)


def _fact_rows(
    make: Make, items: Sequence[Row], texts: Sequence[str], seed: int,
    facts: Mapping[str, PageFacts] | None,
) -> list[dict[str, Any]]:  # fmt: skip
    subjects = [i["subject_id"] for i in items]
    if facts is None or any(i["segment_id"] not in facts for i in items):
        return [make("fact_precision", _void(subjects), NO_FACTS)]
    counter = FactCounter(facts)
    sums = [counter.sums(i["segment_id"], text) for i, text in zip(items, texts, strict=True)]
    parts = part_intervals(FACT_PARTS, subjects, sums, seed=seed)
    return [make(metric, interval, FACT_NOTE) for metric, interval in parts.items()]


def _void(subjects: Sequence[str]) -> Interval:
    return Interval(math.nan, None, None, len(set(subjects)))
