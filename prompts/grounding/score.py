"""The signal-grounded fact score: how much of what texts say about pages is true, in separate parts.

The parts and their definitions are those of ``evaluation.md`` 6.4. They are never blended into one
number: a text that says nothing is never wrong, and one that says everything leaves nothing out. The
verdict on each claim is ``grounding``'s, the weights are in ``truth.limits``. Truth made by the
engine that wrote a text is circular; whoever reports a score says which truth it is against.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prompts.captions.event_words import Sentence
from prompts.facts.page import PageFacts
from prompts.grounding.check import GroundingReport, check_grounding
from prompts.truth.limits import SEVERE, WEIGHTS, Verdict

Text = str | Sequence[Sentence]


@dataclass(frozen=True, slots=True)
class FactScore:
    """The parts of the score; NaN where there was nothing to count.

    Parameters
    ----------
    precision
        Supported share of the verifiable claims; a neighbouring band counts half.
    recall
        Share of what must be mentioned that is, weighted by severity.
    f1
        Harmonic mean of the two; 0 where something had to be mentioned and nothing true was said, by
        silence as well, and NaN only where nothing had to be.
    hallucination_rate
        Unsupported and contradicted claims per 100 verifiable ones.
    contradiction_rate
        Contradicted share of the verifiable claims.
    severe_omission_rate
        Share of findings of the highest severity that are not mentioned.
    overclaim_rate
        Share of all claims that say more than one page can show.
    laterality_error_rate
        Share of the verifiable claims with a side whose claim is wrong.
    coverage
        Verifiable share of all claims, clauses that could not be read included.
    n_texts, n_claims
        How much was scored.
    """

    precision: float
    recall: float
    f1: float
    hallucination_rate: float
    contradiction_rate: float
    severe_omission_rate: float
    overclaim_rate: float
    laterality_error_rate: float
    coverage: float
    n_texts: int
    n_claims: int


@dataclass(slots=True)
class FactTally:
    """The sums behind the parts, of some texts: those of two sets of texts add up.

    Parameters
    ----------
    n_texts
        Texts counted.
    credit
        Supported claims, a neighbouring band half.
    n_sided, n_sided_wrong
        Verifiable claims with a side, and the wrong ones of them.
    must, told
        Weight of what must be mentioned, and of what is.
    n_severe, n_severe_left
        Findings of the highest severity, and those left out.
    verdicts
        Claims by verdict.
    """

    n_texts: int = 0
    credit: float = 0.0
    n_sided: int = 0
    n_sided_wrong: int = 0
    must: float = 0.0
    told: float = 0.0
    n_severe: int = 0
    n_severe_left: int = 0
    verdicts: dict[Verdict, int] = field(default_factory=dict)

    def n(self, *verdicts: Verdict) -> int:
        """Return how many claims have one of these verdicts."""
        return sum(self.verdicts.get(v, 0) for v in verdicts)


def must_mention(facts: PageFacts) -> dict[str, int]:
    """Return the kinds a text about a page must mention, and the weight of leaving each out."""
    return {kind: WEIGHTS[kind] for kind in facts.by_kind if facts.verdict(kind) == "present"}


def fact_score(
    pairs: Iterable[tuple[Text, PageFacts]], trends: Mapping[str, Mapping[str, str]] | None = None
) -> FactScore:
    """Score texts against the facts of their pages; claims are pooled over all texts.

    Parameters
    ----------
    pairs
        Texts with their pages; read once, so they may be streamed.
    trends
        Trend word per narrator band, by segment id.
    """
    tally = FactTally()
    for text, facts in pairs:
        count_text(tally, text, facts, (trends or {}).get(facts.segment_id))
    checkable = tally.n("supported", "contradicted", "unsupported")
    every = sum(tally.verdicts.values())
    precision, recall = _ratio(tally.credit, checkable), _ratio(tally.told, tally.must)
    return FactScore(
        precision=precision,
        recall=recall,
        f1=_harmonic(precision, recall),
        hallucination_rate=100 * _ratio(tally.n("contradicted", "unsupported"), checkable),
        contradiction_rate=_ratio(tally.n("contradicted"), checkable),
        severe_omission_rate=_ratio(tally.n_severe_left, tally.n_severe),
        overclaim_rate=_ratio(tally.n("overclaim"), every),
        laterality_error_rate=_ratio(tally.n_sided_wrong, tally.n_sided),
        coverage=_ratio(checkable, every),
        n_texts=tally.n_texts,
        n_claims=every,
    )


def count_text(
    tally: FactTally, text: Text, facts: PageFacts, trends: Mapping[str, str] | None = None
) -> None:
    """Check one text and add what it says to a tally."""
    _count(tally, check_grounding(text, facts, trends), facts)


def _count(tally: FactTally, report: GroundingReport, facts: PageFacts) -> None:
    tally.n_texts += 1
    told: set[str] = set()
    for claim in report.claims:
        tally.verdicts[claim.verdict] = tally.verdicts.get(claim.verdict, 0) + 1
        if claim.verdict == "supported":
            tally.credit += claim.credit
            told.update(claim.kinds)
        if claim.is_sided and claim.verdict in ("supported", "contradicted", "unsupported"):
            tally.n_sided += 1
            tally.n_sided_wrong += claim.verdict != "supported"
    for kind, weight in must_mention(facts).items():
        tally.must += weight
        tally.told += weight * (kind in told)
        tally.n_severe += weight == SEVERE
        tally.n_severe_left += weight == SEVERE and kind not in told


def _harmonic(precision: float, recall: float) -> float:
    said = 0.0 if math.isnan(precision) else precision
    return 2 * said * recall / (said + recall) if said + recall else 0.0


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
