"""The check of what a teacher wrote: does it fit, is it true, is it proved, is it complete.

A reply of any kind is read into a :class:`Draft`: what it claims, what must be false, what it asks. A
draft stands when every claim is supported by the rows its fact keys point at, every wrong option is
contradicted by the facts, nothing claims more than a page can show, and nothing that must be told is
left out. What keeps it from standing is a :class:`Fault`: a closed cause to count, a detail for the
table, and a complaint for the teacher. Whether a sentence is true is decided in ``grounding``; how the
kinds differ, in their modules; who asks and what becomes a row, in ``teacher_texts``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from detectors.vocabulary import KINDS
from prompts import words
from prompts.captions.event_words import Sentence
from prompts.facts.page import PageFacts
from prompts.grounding.check import check_grounding
from prompts.limits import forbidden_claims
from prompts.texts.narrative_template import NarrativeTemplate
from prompts.texts.question_plan import Ask

SUPPORTED = "supported"
NO_SCHEMA = "reply does not fit the schema"
UNKNOWN_KEY = "unknown fact key"
OMISSION = "omission"
NOT_PROVED = "option not proved wrong"
TELLTALE = "options give the answer away"
CAUSES = (
    "contradicted", "unsupported", "overclaim", NO_SCHEMA, UNKNOWN_KEY, OMISSION, NOT_PROVED, TELLTALE,
)  # fmt: skip
"""Closed phrases under which a reply that may not stand is counted."""

MAX_COMPLAINTS = 6
"""Faults named in one complaint; a reply with more is not mended by a longer list."""


def counted_cause(grounding: str) -> str:
    """Return the closed phrase a row is counted under, from what its table keeps."""
    head, _, rest = grounding.partition(": ")
    return rest if head == "dropped" else head


class Cited(BaseModel):
    """One sentence of a reply and the fact keys it rests on."""

    model_config = ConfigDict(extra="forbid", strict=True)
    text: str = Field(min_length=1)
    facts: list[str] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of a reply, with the fact keys it gave and the ids behind them."""

    sentence: Sentence
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a reply may not stand.

    Parameters
    ----------
    cause
        One of :data:`CAUSES`.
    detail
        What the table keeps behind the cause.
    complaint
        The same for the teacher: plain words, facts only, no ids.
    """

    cause: str
    detail: str
    complaint: str


@dataclass(frozen=True, slots=True)
class Draft:
    """What a reply says, whatever its shape.

    Parameters
    ----------
    claims
        What must be supported.
    denied
        What must be contradicted: wrong options.
    asked
        What claims nothing and may not presume what a page cannot show: questions.
    columns
        The table's own columns.
    fault
        What the shape of this kind forbids beyond its schema, or None.
    """

    claims: tuple[Statement, ...]
    denied: tuple[Statement, ...] = ()
    asked: tuple[str, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    fault: Fault | None = None


Reader = Callable[[Any, NarrativeTemplate, PageFacts, int], Draft]


@dataclass(frozen=True, slots=True)
class TextKind:
    """One kind of text that a teacher writes.

    Parameters
    ----------
    name
        Singular; part of sample ids and seeds.
    prompt
        File stem of its prompt.
    reply
        Strict shape of a reply.
    read
        Makes a draft of a parsed reply, its template, its page and the seed.
    empty
        The table's own columns where a row was dropped.
    is_compared
        Whether it speaks of earlier pages.
    must_tell_all
        Whether every epileptiform finding has to be told.
    lacks
        Says what a page lacks for this kind, ``""`` where nothing; such a page is not asked about.
    plan
        Decides over all pages of a shard what the offline teacher asks of which; None where a page is
        written about by itself.
    """

    name: str
    prompt: str
    reply: type[BaseModel]
    read: Reader
    empty: Mapping[str, Any]
    is_compared: bool = False
    must_tell_all: bool = False
    lacks: Callable[[Mapping[str, Any]], str] = lambda payload: ""
    plan: Callable[[Iterable[PageFacts], int], Mapping[str, Ask]] | None = None


def prose(
    sentences: Sequence[Cited], section: str, evidence: Mapping[str, tuple[str, ...]]
) -> Draft:
    """Read a reply that is nothing but cited sentences: its text is they, one after the other.

    Parameters
    ----------
    sentences
        In the order of the text.
    section
        Section of every claim, the kind of text.
    evidence
        Evidence ids by the key a teacher cites.
    """
    claims = tuple(statement(s, section, evidence) for s in sentences)
    return Draft(claims, columns={"text": " ".join(s.sentence.text for s in claims)})


def statement(cited: Cited, section: str, evidence: Mapping[str, tuple[str, ...]]) -> Statement:
    """Put the ids of the page behind the fact keys of a sentence; unknown keys have none."""
    ids = dict.fromkeys(e for key in cited.facts for e in evidence.get(key, ()))
    return Statement(Sentence(cited.text.strip(), section, tuple(ids)), tuple(cited.facts))


@dataclass(frozen=True, slots=True)
class Judged:
    """The page a reply is judged by.

    Parameters
    ----------
    kind
        What was to be written.
    facts
        The page.
    template
        What the teacher was given, with the ids behind each fact key.
    """

    kind: TextKind
    facts: PageFacts
    template: NarrativeTemplate

    def without_ids(self, text: str) -> str:
        """Put fact keys in the place of ids, longest first: a complaint leaves the machine."""
        pairs = {e: key for key, ids in self.template.evidence.items() for e in ids}
        for evidence in sorted(pairs, key=len, reverse=True):
            text = text.replace(evidence, pairs[evidence])
        return text.replace(self.facts.segment_id, "this page")


def read_reply(data: Mapping[str, Any], page: Judged, seed: int) -> Draft | Fault:
    """Read a parsed reply into a draft, or say why it fits no schema.

    Parameters
    ----------
    data
        The reply.
    page
        What it is about.
    seed
        Deals the letters of options.
    """
    try:
        parsed = page.kind.reply.model_validate(dict(data))
    except ValidationError as error:
        return _schema_fault(error)
    return page.kind.read(parsed, page.template, page.facts, seed)


def fault_of(draft: Draft, page: Judged) -> Fault | None:
    """Return why a draft may not stand, the first reason found, or None."""
    if draft.fault is not None:
        return draft.fault
    for check in (_unknown_keys, _overclaims, _ungrounded, _unproved, _omitted):
        fault = check(draft, page)
        if fault is not None:
            return fault
    return None


def _unknown_keys(draft: Draft, page: Judged) -> Fault | None:
    known = page.template.evidence
    lost = [(s, key) for s in (*draft.claims, *draft.denied) for key in s.keys if key not in known]
    if not lost:
        return None
    told = [f"{_quoted(s)} names the fact {key!r}, which is not given." for s, key in lost]
    return Fault(UNKNOWN_KEY, f"{len(lost)} keys", _joined(told))


def _overclaims(draft: Draft, page: Judged) -> Fault | None:
    for text in (*draft.asked, *(s.sentence.text for s in draft.denied)):
        over = words.join(forbidden_claims(text))
        if over:
            told = f'"{text}" presumes what one page cannot show: {over}.'
            return Fault("overclaim", f"a question or option presumes: {over}", told)
    return None


def _ungrounded(draft: Draft, page: Judged) -> Fault | None:
    sentences = [s.sentence for s in draft.claims]
    report = check_grounding(sentences, page.facts, page.template.trends)
    if report.is_supported:
        return None
    told = [
        f"{_quoted(s)} is {_PLAIN[judged.verdict]}: {judged.cause}."
        for s, judged in zip(draft.claims, report.sentences, strict=True)
        if judged.verdict in _PLAIN
    ]
    verdict, _, why = report.cause.partition(": ")
    return Fault(verdict, why, page.without_ids(_joined(told)))


def _unproved(draft: Draft, page: Judged) -> Fault | None:
    options = [s.sentence for s in draft.denied]
    report = check_grounding(options, page.facts, page.template.trends)
    for option, judged in zip(draft.denied, report.sentences, strict=True):
        if judged.verdict != "contradicted":
            told = f"{_quoted(option)} is offered as wrong, but no fact given contradicts it."
            return Fault(NOT_PROVED, f"a wrong option is {judged.verdict}", told)
    return None


def _omitted(draft: Draft, page: Judged) -> Fault | None:
    if not page.kind.must_tell_all:
        return None
    told = {key for s in draft.claims for key in s.keys}
    left = [
        f for f in page.template.payload["findings"]
        if KINDS[f["kind"]].family == "epileptiform" and f["key"] not in told
    ]  # fmt: skip
    if not left:
        return None
    named = words.join([f"{KINDS[f['kind']].noun} ({f['key']})" for f in left])
    return Fault(OMISSION, f"{len(left)} findings", f"It does not tell of the {named}.")


_PLAIN = {
    "contradicted": "contradicted by the facts",
    "unsupported": "not supported by the facts it names",
    "overclaim": "more than one page can show",
}


def _schema_fault(error: ValidationError) -> Fault:
    wrong = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    told = [f"{w}." for w in wrong]
    detail = f"{error.error_count()} errors"
    return Fault(NO_SCHEMA, detail, f"The reply does not fit the schema. {_joined(told)}")


def _quoted(said: Statement) -> str:
    return f'"{said.sentence.text}"'


def _joined(complaints: Sequence[str]) -> str:
    return " ".join(complaints[:MAX_COMPLAINTS])
