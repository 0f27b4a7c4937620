"""Metrics by name: what each means, its unit and direction; agreement and word-overlap values.

Agreement metrics are sums per subject, so that the bootstrap of ``scores/intervals.py`` can redraw
them. Box metrics are in ``scores/detection.py``, areas under curves in ``scores/ranking.py``, facts
and slots in ``scores/fact_scores.py``, embeddings in ``scores/bert_overlap.py``, what a mirrored
page does in ``asking/mirror.py``. Ordinary word overlap rewards the wrong report: one with every
side and frequency flipped reaches ROUGE-1 96.6 (``evaluation.md`` 5), so it is secondary and always
stands beside constant and shuffled text.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from benchmark.scores.intervals import Floats, Interval, cluster_interval, subject_totals


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's meaning, its unit and whether more is better."""

    meaning: str
    unit: str
    is_higher_better: bool = True


METRICS: dict[str, Metric] = {
    "accuracy": Metric("share of right letters as generated; unparsed is wrong", "share"),
    "accuracy_wilson": Metric("the same, Wilson interval with items as independent", "share"),
    "accuracy_logprob": Metric("share where the likeliest option letter is right", "share"),
    "balanced_accuracy": Metric("mean recall over right options by type and text", "share"),
    "recall": Metric("share of right answers among pages of one class", "share"),
    "macro_f1": Metric("mean F1 over right options by type and text", "share"),
    "weighted_f1": Metric("the same, weighted by how often each option is right", "share"),
    "kappa": Metric("Cohen's kappa; chance agreement is counted within each type", "index"),
    "auroc": Metric("area under ROC of each option against the rest, from log-probs", "share"),
    "auprc": Metric("average precision of the class named in the note, from log-probs", "share"),
    "unchanged": Metric("share answered word for word as with the page itself", "share", False),
    "mirror_consistency": Metric("share whose sides follow when the page is mirrored", "share"),
    "rouge1": Metric("ROUGE-1 F x100, stemmed, units and numbers normalised", "points"),
    "rouge1_raw": Metric("ROUGE-1 F x100, stemmed, text as it stands", "points"),
    "rouge1_recall": Metric("ROUGE-1 recall x100, stemmed, normalised", "points"),
    "rougeL": Metric("ROUGE-L F x100, stemmed, normalised", "points"),
    "bertscore_f1": Metric("BERTScore F1 x100 of the encoder named in the note", "points"),
    "slot_precision": Metric("share of slots read in the answer that the reference has", "share"),
    "slot_recall": Metric("share of the reference's slots that the answer has", "share"),
    "slot_f1": Metric("F1 of (type, finding or band, polarity, place) slots read by us", "share"),
    "narrator_slot_f1": Metric("mean F1 of a narrative's slots against its template's", "share"),
    "fact_precision": Metric("true share of the verifiable claims", "share"),
    "fact_recall": Metric("share of what must be said that is said, by severity", "share"),
    "fact_f1": Metric("harmonic mean of the two", "share"),
    "fact_hallucination": Metric("untrue or unfounded share of verifiable claims", "share", False),
    "fact_contradiction": Metric("contradicted share of the verifiable claims", "share", False),
    "fact_severe_omission": Metric("share of the severest findings left out", "share", False),
    "fact_overclaim": Metric("share of claims one page cannot show", "share", False),
    "fact_laterality_error": Metric("wrong share of verifiable claims with a side", "share", False),
    "fact_coverage": Metric("verifiable share of all claims", "share"),
    "map50": Metric("mean AP at IoU 0.5 over classes with truth", "share"),
    "map20_50": Metric("mean AP over IoU 0.20 to 0.50 in steps of 0.05", "share"),
    "ap50": Metric("AP at IoU 0.5 of one class", "share"),
    "event_f1": Metric("F1 of events at the detector's threshold, class rules", "share"),
    "event_precision": Metric("precision of the same events", "share"),
    "event_recall": Metric("recall of the same events", "share"),
    "szcore_f1": Metric("F1 of events by timescoring, any overlap counts", "share"),
    "szcore_precision": Metric("precision of the same events", "share"),
    "szcore_sensitivity": Metric("share of true events that overlap a found one", "share"),
    "fp_per_hour": Metric("false events per hour of page time, all rows together", "1/h", False),
}
"""Metric ids of table ``scores``. A suffix ``:x`` names a class, ``[x]`` a slice of the items and
``-x`` a paired difference from a control or another model."""

_CHOICE_SUMS = 3  # right, reference and predicted, per class


def metric_of(metric_id: str) -> Metric:
    """Return the metric behind an id with or without suffix.

    Raises
    ------
    KeyError
        If no such metric is registered.
    """
    return METRICS[re.split(r"[:\[-]", metric_id, maxsplit=1)[0]]


def choice_sums(reference: Sequence[str], predicted: Sequence[str]) -> Floats:
    """Return right, reference and predicted per class as 0/1, shape (n, 3, n_classes).

    Classes are those of the reference, sorted; a prediction that is none of them, such as an
    unparsed ``""``, is wrong and belongs to no class (scikit-learn with ``labels`` given).
    """
    classes = {name: i for i, name in enumerate(sorted(set(reference)))}
    sums = np.zeros((len(reference), _CHOICE_SUMS, len(classes)))
    for row, (true, said) in enumerate(zip(reference, predicted, strict=True)):
        sums[row, 0, classes[true]] = true == said
        sums[row, 1, classes[true]] = 1
        if said in classes:
            sums[row, 2, classes[said]] = 1
    return sums


def recall_mean(sums: Floats) -> Floats:
    """Return the mean recall over classes with reference, for sums of shape (n, 3, n_classes)."""
    return _mean_where(sums[:, 0], sums[:, 1], sums[:, 1] > 0)


def f1_mean(sums: Floats) -> Floats:
    """Return the mean F1 over classes with reference, for sums of shape (n, 3, n_classes)."""
    return _mean_where(2 * sums[:, 0], sums[:, 1] + sums[:, 2], sums[:, 1] > 0)


def f1_weighted(sums: Floats) -> Floats:
    """Return the mean F1 weighted by reference, for sums of shape (n, 3, n_classes)."""
    both = sums[:, 1] + sums[:, 2]
    f1 = 2 * sums[:, 0] / np.where(both > 0, both, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums[:, 1] * f1).sum(axis=1) / sums[:, 1].sum(axis=1)


def kappa_within(groups: Sequence[str]) -> Callable[[Floats], Floats]:
    """Return Cohen's kappa of sums of shape (n, 3, n_classes), chance counted within groups.

    With one group this is Cohen (1960). A reader of a question knows its type, so options of other
    types are no agreement by chance that could have missed.

    Parameters
    ----------
    groups
        Group of each class, in the order of :func:`choice_sums` (sorted classes).
    """
    names = sorted(set(groups))
    is_of = np.array([[group == name for name in names] for group in groups], dtype=np.float64)

    def kappa(sums: Floats) -> Floats:
        n_items = sums[:, 1].sum(axis=1)
        of_group = sums[:, 1] @ is_of
        by_chance = ((sums[:, 1] * sums[:, 2]) @ is_of) / np.where(of_group > 0, of_group, 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            expected = by_chance.sum(axis=1) / n_items
            return (sums[:, 0].sum(axis=1) / n_items - expected) / (1 - expected)

    return kappa


def _mean_where(numerator: Floats, denominator: Floats, is_counted: Any) -> Floats:
    safe = np.where(is_counted, denominator, 1.0)
    shares = np.where(is_counted, numerator / safe, 0.0)
    n_counted = is_counted.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return shares.sum(axis=1) / n_counted


def choice_interval(
    statistic: Callable[[Floats], Floats],
    subjects: Sequence[str],
    reference: Sequence[str],
    predicted: Sequence[str],
    *,
    seed: int,
) -> Interval:
    """Return :func:`recall_mean` or :func:`f1_mean` with its interval clustered by subject."""
    _, totals = subject_totals(subjects, choice_sums(reference, predicted))
    return cluster_interval(totals, statistic, seed=seed)


_UNIT_GAP = re.compile(r"(?<=\d)(?=(?:uv2?|hz|ms|mm|s)\b)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_DECIMAL = re.compile(r"(?<!\d)(?<!\d\.)(\d+)\.(\d+)(?!\.?\d)")


def normalise_words(text: str) -> str:
    """Make units and numbers survive the tokenizer of rouge-score, which knows only ``[a-z0-9]``.

    The micro sign becomes ``u``, superscript two ``2``; ``9.5`` becomes the one token ``9p5`` and
    equals ``9.50``; ``1,200`` becomes ``1200``; ``50uV`` becomes ``50 uv`` (``evaluation.md`` 6.2).
    Applied alike to answer and reference.
    """
    plain = unicodedata.normalize("NFKC", text).lower().replace("\u03bc", "u")
    plain = _UNIT_GAP.sub(" ", _THOUSANDS.sub("", plain))
    return _DECIMAL.sub(_one_token, plain)


def _one_token(match: re.Match[str]) -> str:
    decimals = match[2].rstrip("0")
    return f"{match[1]}p{decimals}" if decimals else match[1]


@dataclass(frozen=True, slots=True)
class WordOverlap:
    """Word overlap of one answer with its reference, all x100."""

    rouge1: float
    rouge1_raw: float
    rouge1_recall: float
    rouge_l: float


def word_overlaps(references: Sequence[str], answers: Sequence[str]) -> list[WordOverlap]:
    """Score texts as rouge-score does (Porter stemmer on, F-measure unless said otherwise).

    Tokens are rouge-score's own; overlap and longest common subsequence are counted here, because
    its table of every pair of words takes a hundred times as long. A test holds them equal. An empty
    answer scores 0. The same pair is scored once.

    Raises
    ------
    ValueError
        If there is not one answer per reference.
    """
    if len(references) != len(answers):
        raise ValueError(f"{len(answers)} answers to {len(references)} references; give one each")
    from nltk.stem.porter import PorterStemmer

    tokens = _Tokenizer(PorterStemmer())
    seen: dict[tuple[str, str], WordOverlap] = {}
    for pair in zip(references, answers, strict=True):
        if pair not in seen:
            seen[pair] = _overlap(tokens, *pair)
    return [seen[pair] for pair in zip(references, answers, strict=True)]


class _Tokenizer:
    """rouge-score's own tokenizer, stemming each word once: a benchmark has few different words."""

    def __init__(self, stemmer: Any) -> None:
        self.stem = lru_cache(maxsize=65536)(stemmer.stem)
        self.raw = lru_cache(maxsize=4096)(self._tokenize)
        self.normal = lru_cache(maxsize=4096)(lambda text: self._tokenize(normalise_words(text)))

    def _tokenize(self, text: str) -> tuple[str, ...]:
        from rouge_score import tokenize

        return tuple(tokenize.tokenize(text, self))


def _overlap(tokens: _Tokenizer, reference: str, answer: str) -> WordOverlap:
    true, said = tokens.normal(reference), tokens.normal(answer)
    plain = tokens.raw(reference), tokens.raw(answer)
    shared, shared_raw = _n_shared(true, said), _n_shared(*plain)
    return WordOverlap(
        rouge1=100 * _f_measure(shared, true, said),
        rouge1_raw=100 * _f_measure(shared_raw, *plain),
        rouge1_recall=100 * shared / max(len(true), 1),
        rouge_l=100 * _f_measure(longest_common(true, said), true, said),
    )


def _n_shared(true: Sequence[str], said: Sequence[str]) -> int:
    return (Counter(true) & Counter(said)).total()


def _f_measure(shared: int, true: Sequence[str], said: Sequence[str]) -> float:
    both = len(true) + len(said)
    return 2 * shared / both if both else 0.0


def longest_common(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, bit-parallel (Hyyro 2004)."""
    places: dict[str, int] = {}
    for i, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << i
    whole = (1 << len(a)) - 1
    row = whole
    for word in b:
        met = row & places.get(word, 0)
        row = ((row + met) | (row - met)) & whole
    return len(a) - row.bit_count()
