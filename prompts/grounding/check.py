"""Whether a text agrees with the facts of its page, sentence by sentence and claim by claim.

A sentence of this engine's own phrasing is read by ``truth.phrases``; anything else by
``prompts.reading``. Every claim gets one of the classes of the fact score (``evaluation.md`` 6.4):
``supported``, ``contradicted``, ``unsupported`` (checkable, but no row speaks of it),
``unverifiable``, ``not parsed``, and ``overclaim`` for what one 10-s page cannot show (``limits``).
The truth rules are in ``truth.facets`` and ``truth.records``, their tolerances in ``truth.limits``;
scores over many claims are in ``grounding.score``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from prompts.captions.event_words import Sentence
from prompts.facts.findings import FindingFact
from prompts.facts.page import PageFacts, label_texts
from prompts.limits import CITATION, forbidden_claims
from prompts.truth.facets import FINE, Context, are_absent, check_facet
from prompts.truth.limits import RANK, Verdict
from prompts.truth.pages import Page, Pool
from prompts.truth.phrases import Clause, Plan, read_skeleton, skeleton
from prompts.truth.reasons import QUOTED, check_reason, has_own_reason, without_reasons
from prompts.truth.records import check_text

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"µ])")
_QUOTED = re.compile(r'"([^"]*)"')


@dataclass(frozen=True, slots=True)
class ClaimVerdict:
    """What the check says about one claim.

    Parameters
    ----------
    type
        Aspect of closed phrasing, or type of a claim record.
    kinds
        Kinds of finding it may be about.
    verdict, cause
        The class and, where it is not ``supported``, why.
    is_sided
        It names a side.
    credit
        1 where supported, 0.5 where only a neighbouring band is.
    """

    type: str
    kinds: tuple[str, ...]
    verdict: Verdict
    cause: str = ""
    is_sided: bool = False
    credit: float = 1.0


@dataclass(frozen=True, slots=True)
class SentenceVerdict:
    """What the check says about one sentence, why, and the ids it rests on."""

    text: str
    verdict: Verdict
    cause: str = ""
    evidence: tuple[str, ...] = ()
    claims: tuple[ClaimVerdict, ...] = ()


@dataclass(frozen=True, slots=True)
class GroundingReport:
    """What the check says about a text."""

    sentences: tuple[SentenceVerdict, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of any sentence; an empty text is unsupported."""
        if not self.sentences:
            return "unsupported"
        return max((s.verdict for s in self.sentences), key=RANK.__getitem__)

    @property
    def is_supported(self) -> bool:
        """Whether every sentence is supported."""
        return self.verdict == "supported"

    @property
    def cause(self) -> str:
        """``supported``, or the worst verdict with its first cause: the ``grounding`` column."""
        if self.is_supported:
            return "supported"
        if not self.sentences:
            return "unsupported: empty text"
        verdict = self.verdict
        worst = next(s for s in self.sentences if s.verdict == verdict)
        return f"{worst.verdict}: {worst.cause}"

    @property
    def claims(self) -> tuple[ClaimVerdict, ...]:
        """The claims of all sentences."""
        return tuple(c for s in self.sentences for c in s.claims)


def check_grounding(
    text: str | Sequence[Sentence],
    facts: PageFacts,
    trends: Mapping[str, str] | None = None,
) -> GroundingReport:
    """Check a text against the facts of its page.

    Parameters
    ----------
    text
        Sentences with their evidence ids, each checked against the rows it cites, or a plain text,
        which is cut into sentences and checked against everything the page has.
    facts
        The page.
    trends
        Trend word per narrator band, where the text may compare with earlier pages.
    """
    page = Page.of(facts, trends)
    if isinstance(text, str):
        return GroundingReport(tuple(_check_plain(text, page)))
    return GroundingReport(tuple(_check_cited(s, page) for s in text))


def faults(sentences: Sequence[Sentence], facts: PageFacts) -> Iterator[tuple[Verdict, str] | None]:
    """Yield the first fault of each sentence, None where it stands.

    The check of :func:`check_grounding` without a record of every claim: a writer that only has to
    know which of its sentences to keep asks here.
    """
    page = Page.of(facts)
    for sentence in sentences:
        pool = page.cited(sentence.evidence) if sentence.evidence else "none"
        read = None if isinstance(pool, str) else _read(sentence.text, pool)
        if read is None or isinstance(pool, str):
            judged = _check_cited(sentence, page)
            yield None if judged.verdict == "supported" else (judged.verdict, judged.cause)
        else:
            yield _first_fault(read, pool)


def _first_fault(read: _Read, pool: Pool) -> tuple[Verdict, str] | None:
    if '"' in read.text:
        for claim in _check_labels(read.text, pool):
            if claim.verdict != "supported":
                return claim.verdict, claim.cause
    for clause in read.plan.clauses:
        facets = clause.others if are_absent(clause.denied, pool) else clause.facets
        if not facets:
            continue
        named = pool.of_kinds(clause.kinds, is_aside=clause.is_aside) if clause.kinds else ()
        context = Context(pool, pool.page, clause, read.numbers, read.names, named, True)
        for facet in facets:
            result = check_facet(facet, context)
            if result is not FINE:
                return result
    given = check_reason(read.text, pool) if read.has_reason else None
    return None if given is FINE else given


def sentences_of(text: str) -> list[str]:
    """Cut a text into sentences."""
    return [s.strip() for s in _SENTENCE_END.split(text) if s.strip()]


def _check_cited(sentence: Sentence, page: Page) -> SentenceVerdict:
    text, evidence = sentence.text, sentence.evidence
    if not evidence:
        return SentenceVerdict(text, "unsupported", "no evidence id")
    pool = page.cited(evidence)
    if isinstance(pool, str):
        return SentenceVerdict(text, "unsupported", f"no such evidence: {pool}", evidence)
    read = _read(text, pool)
    if read is not None:
        return _judged(text, _check_closed(read, pool, is_strict=True), evidence)
    return _judged(text, _check_free(text, pool), evidence)


def _check_plain(text: str, page: Page) -> list[SentenceVerdict]:
    """Check a text that cites nothing; free sentences next to each other are read together."""
    pool = page.whole()
    verdicts: list[SentenceVerdict] = []
    run: list[str] = []
    for sentence in (*sentences_of(text), ""):
        read = _read(sentence, pool) if sentence else None
        if sentence and read is None:
            run.append(sentence)
            continue
        if run:
            verdicts += _check_run(run, pool)
            run = []
        if read is not None:
            verdicts.append(_judged(sentence, _check_closed(read, pool, is_strict=False)))
    return verdicts


def _check_run(run: Sequence[str], pool: Pool) -> list[SentenceVerdict]:
    """Share the claims of sentences that were read together among them, by their spans."""
    shares: list[list[ClaimVerdict]] = [[*_overclaims(s), *_reasons(s, pool)] for s in run]
    for span, claim in _free_claims(" ".join(map(without_reasons, run)), pool):
        at = next((i for i, s in enumerate(run) if span in s), len(run) - 1)
        shares[at].append(claim)
    return [_judged(s, _once(share)) for s, share in zip(run, shares, strict=True)]


class _Read(NamedTuple):
    """A sentence of closed phrasing: its plan and what stands in its slots."""

    text: str
    plan: Plan
    numbers: tuple[float, ...]
    names: tuple[str, ...]
    has_reason: bool


def _read(text: str, pool: Pool) -> _Read | None:
    """Read closed phrasing; None for anything else."""
    said = text
    for reason in pool.reasons:
        said = said.replace(reason, QUOTED)  # a quoted reason makes no claim
    read = _read_own(said)
    if read is None or said is text:
        return read
    # where nothing is cited, the reason on record may be that of another kind
    return read._replace(text=text, has_reason=read.has_reason or not pool.is_cited)


@lru_cache(maxsize=16384)
def _read_own(text: str) -> _Read | None:
    said = CITATION.sub(_unquoted, text) if '"' in text else text
    bones, numbers, names = skeleton(said)
    plan = read_skeleton(bones)
    if not plan.is_closed or forbidden_claims(bones):
        return None
    return _Read(text, plan, numbers, names, "judged" in bones and has_own_reason(text))


def _unquoted(match: re.Match[str]) -> str:
    return "~" if '"' in match[0] else match[0]


def _check_closed(read: _Read, pool: Pool, *, is_strict: bool) -> list[ClaimVerdict]:
    checked = _check_labels(read.text, pool) if '"' in read.text else []
    for clause in read.plan.clauses:
        if clause.facets:
            checked += _check_clause(clause, read, pool, is_strict)
    return checked + _reasons(read.text, pool) if read.has_reason else checked


def _reasons(text: str, pool: Pool) -> list[ClaimVerdict]:
    result = check_reason(text, pool)
    return [] if result is None else [ClaimVerdict("reason", (), *result)]


def _check_clause(clause: Clause, read: _Read, pool: Pool, is_strict: bool) -> list[ClaimVerdict]:
    """Check a clause against the findings it speaks of.

    Where nothing is cited, its numbers and places must fit one finding, or all of them together.
    """
    named = pool.of_kinds(clause.kinds, is_aside=clause.is_aside) if clause.kinds else ()
    if is_strict or len(named) < 2:
        return _check_facets(clause, read, pool, named, is_strict)
    best: list[ClaimVerdict] = []
    for candidates in (*((f,) for f in named), named):
        checked = _check_facets(clause, read, pool, candidates, is_strict)
        if all(c.verdict == "supported" for c in checked):
            return checked
        if not best or _n_supported(checked) > _n_supported(best):
            best = checked
    return best


def _n_supported(claims: Sequence[ClaimVerdict]) -> int:
    return sum(c.verdict == "supported" for c in claims)


def _check_facets(
    clause: Clause, read: _Read, pool: Pool, named: tuple[FindingFact, ...], is_strict: bool
) -> list[ClaimVerdict]:
    context = Context(pool, pool.page, clause, read.numbers, read.names, named, is_strict)
    checked = []
    for facet in clause.facets:
        verdict, cause = check_facet(facet, context)
        about = (facet.word,) if facet.aspect in ("kind", "count") else clause.kinds
        checked.append(ClaimVerdict(facet.aspect, about, verdict, cause, facet.aspect == "side"))
    return checked


def _check_labels(text: str, pool: Pool) -> list[ClaimVerdict]:
    """Check quoted labels against those of the corpus, letter by letter."""
    known = set(label_texts(pool.page.facts.labels))
    checked = []
    for citation in CITATION.findall(text):
        for label in _QUOTED.findall(citation):
            if label in known:
                checked.append(ClaimVerdict("label", (), "supported"))
            else:
                cause = f"the corpus gives no label {label!r}"
                checked.append(ClaimVerdict("label", (), "contradicted", cause))
    return checked


def _check_free(text: str, pool: Pool) -> list[ClaimVerdict]:
    checked = _check_labels(text, pool) if '"' in text else []
    said = CITATION.sub("", text)
    for reason in pool.reasons:
        said = said.replace(reason, "")
    read = (claim for _, claim in _free_claims(without_reasons(said), pool))
    return _once([*_overclaims(text), *checked, *_reasons(text, pool), *read])


def _once(claims: Sequence[ClaimVerdict]) -> list[ClaimVerdict]:
    """Drop an overclaim that both the table of words and the reader found."""
    over = dict.fromkeys(c for c in claims if c.verdict == "overclaim")
    return [*over, *(c for c in claims if c.verdict != "overclaim")]


def _overclaims(text: str) -> list[ClaimVerdict]:
    return [
        ClaimVerdict("overclaim", (), "overclaim", f"one page cannot show: {name}")
        for name in forbidden_claims(text)
    ]


def _free_claims(text: str, pool: Pool) -> list[tuple[str, ClaimVerdict]]:
    return [
        (c.span, ClaimVerdict(c.type, c.kinds, c.verdict, c.cause, c.is_sided, c.credit))
        for c in check_text(text, pool)
    ]


_AS_SENTENCE: Mapping[Verdict, Verdict] = {
    "not parsed": "supported", "unverifiable": "unsupported",
}  # fmt: skip
"""A sentence is of four classes: what cannot be verified has no support, what says nothing that can
be read passes."""


def _judged(
    text: str, claims: Sequence[ClaimVerdict], evidence: tuple[str, ...] = ()
) -> SentenceVerdict:
    worst = max(claims, key=_rank, default=None)
    if worst is None:
        return SentenceVerdict(text, "supported", "", evidence)
    verdict = _AS_SENTENCE.get(worst.verdict, worst.verdict)
    cause = "" if verdict == "supported" else worst.cause
    return SentenceVerdict(text, verdict, cause, evidence, tuple(claims))


def _rank(claim: ClaimVerdict) -> int:
    return RANK[claim.verdict]
