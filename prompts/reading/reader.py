"""Reading claims out of English about a page of EEG.

How to use::

    from prompts.reading.reader import read_claims, unread_clauses

    for claim in read_claims("PDR 9 Hz, 40 uV. No spikes at T3."):
        claim.type, claim.label, claim.band, claim.value, claim.unit, claim.channels, ...
    unread_clauses(text)    # clauses that are neither claims nor known to be none: "not parsed"

:class:`prompts.reading.records.Claim` has the 13 fields of ``data/claims/README.md``;
``claim.polarity`` is ``"absent"`` for a denied finding, ``claim.span`` is where it stands. Nothing
here knows a page: ``prompts.grounding.check`` compares claims with facts.

The reader is a grammar, not a model: ``tokens`` makes items, ``clauses`` cuts them into statements,
``statements``, ``bands`` and ``events`` read one clause each into a ``state`` that later clauses refer
to, ``findings`` turns what was read into claims.
"""

from __future__ import annotations

from prompts.reading.emission import finding_claims
from prompts.reading.findings import Finding
from prompts.reading.records import FIELDS, Claim
from prompts.reading.sentences import read_sentence
from prompts.reading.state import State
from prompts.reading.tokens import itemise
from prompts.reading.turns import split_sentences

__all__ = ["Claim", "read_claims", "unread_clauses"]

_SAID = tuple(name for name in FIELDS if name not in ("span", "hedge"))
"""What makes two claims the same one, told once (rule 6)."""


def read_claims(text: str) -> tuple[Claim, ...]:
    """Return the claims a text makes about its page, in order of reading.

    Parameters
    ----------
    text
        Sentences, terse notes or a dialogue about one page of 10 s.
    """
    return _read(text)[0]


def unread_clauses(text: str) -> tuple[str, ...]:
    """Return the clauses that gave no claim and are not known to be none (instructions, rules ...)."""
    return _read(text)[1]


def _read(text: str) -> tuple[tuple[Claim, ...], tuple[str, ...]]:
    items = itemise(text)
    state = State(text)
    unread: list[str] = []
    for sentence in split_sentences(items, text):
        unread += read_sentence(sentence, state)
    claims: list[Claim] = []
    seen: set[tuple[object, ...]] = set()
    for entry in state.out:
        if isinstance(entry, Finding):
            entry.is_in_sleep = state.is_in_sleep
        made = finding_claims(entry, text) if isinstance(entry, Finding) else (entry,)
        if isinstance(entry, Finding) and entry.is_asked:
            continue
        for claim in made:
            key = (*(getattr(claim, name) for name in _SAID),)
            if key not in seen:
                seen.add(key)
                claims.append(claim)
    return tuple(claims), tuple(unread)
