"""A page indexed for checking, and the part of it that one sentence's ids point at.

The facts themselves are in ``prompts.facts.page``; whether words agree with them is decided in ``facets``
(closed phrasing) and ``records`` (claims read out of free text).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from prompts.facts.findings import FindingFact
from prompts.facts.page import EVIDENCE_COLUMNS, PageFacts

EVERYTHING = frozenset({"*"})
"""The columns of a pool that no ids narrow."""


@dataclass(slots=True)
class Pool:
    """What a statement may rest on.

    Parameters
    ----------
    page
        The page.
    findings
        Findings, hidden ones included.
    kinds
        Kinds of those findings and of the cited judgements.
    columns
        Cited columns, or :data:`EVERYTHING`.
    reasons
        Why cited kinds could not be judged.
    """

    page: Page
    findings: tuple[FindingFact, ...]
    kinds: Set[str]
    columns: Set[str]
    reasons: tuple[str, ...]

    @property
    def is_cited(self) -> bool:
        """Whether ids narrow it."""
        return self.columns is not EVERYTHING

    def of_kinds(self, kinds: Sequence[str], *, is_aside: bool) -> tuple[FindingFact, ...]:
        """Return its findings of some kinds, hidden ones where the statement is about those."""
        if not self.findings:
            return ()
        return tuple([f for f in self.findings if f.kind in kinds and f.is_masked == is_aside])


@dataclass(slots=True)
class Page:
    """The facts of a page by id and by kind, and the trends against earlier pages."""

    facts: PageFacts
    trends: Mapping[str, str]
    by_id: dict[str, tuple[str, FindingFact | None, str]]
    by_kind: Mapping[str, tuple[FindingFact, ...]]
    prefix: str

    @classmethod
    def of(cls, facts: PageFacts, trends: Mapping[str, str] | None = None) -> Page:
        """Index a page."""
        by_id: dict[str, tuple[str, FindingFact | None, str]] = {
            j.judgement_id: (kind, None, j.reason) for kind, j in facts.judgements.items()
        }
        for finding in (*facts.findings, *facts.masked):
            by_id[finding.finding_id] = (finding.kind, finding, "")
        return cls(facts, trends or {}, by_id, facts.by_kind, f"s-{facts.segment_id}:")

    def whole(self) -> Pool:
        """Return the pool of all there is."""
        facts = self.facts
        every = (*facts.findings, *facts.masked)
        reasons = tuple(j.reason for j in facts.judgements.values() if j.reason)
        kinds = frozenset((*facts.judgements, *(f.kind for f in every)))
        return Pool(self, every, kinds, EVERYTHING, reasons)

    def cited(self, evidence: Sequence[str]) -> Pool | str:
        """Return the pool of some ids, or the first id that the page does not have."""
        findings: list[FindingFact] = []
        kinds: set[str] = set()
        columns: set[str] = set()
        reasons: list[str] = []
        look_up = self.by_id.get
        for evidence_id in evidence:
            row = look_up(evidence_id)
            if row is None:
                column = evidence_id.removeprefix(self.prefix)
                if column not in EVIDENCE_COLUMNS or column == evidence_id:
                    return evidence_id
                columns.add(column)
                continue
            kind, finding, reason = row
            kinds.add(kind)
            if finding is not None:
                findings.append(finding)
            if reason:
                reasons.append(reason)
        return Pool(self, tuple(findings), kinds, columns, tuple(reasons))
