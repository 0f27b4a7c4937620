"""Why something could not be judged: a text may give the reason on record, and no other.

Judgements carry their reason in this engine's own words. A caption quotes it; whoever writes freely
may shorten it, or give none. Here the reason is found in a sentence and compared; that the kind was
not judged at all is a claim of its own (``facets``, ``records``).
"""

from __future__ import annotations

import re
from functools import lru_cache

from prompts.truth.facets import FINE, Result
from prompts.truth.pages import Pool
from prompts.truth.phrases import kinds_named, skeleton

QUOTED = "~"
"""What stands for a reason on record that was found word for word."""
_QUOTE = re.compile(rf"{QUOTED}(\d+){QUOTED}")
SHARED_WORDS = 0.5
"""Least share of a free reason's own words that the one on record has (engineering default)."""
_STEM = 5
"""Letters by which words are told to be the same: ``covers`` and ``covered``."""

_NOT_JUDGED = re.compile(
    r"\bnot (?:be )?judged\b|\bunjudged\b"
    r"|\b(?:could|can)(?: ?not|n't) be (?:judged|read|assessed|evaluated|determined|told)\b"
    r"|\b(?:is|are) not (?:judged|assessed|assessable)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r";\s+(?![^(]*\))")
_SAID = re.compile(
    r"\s*\((?P<bracket>.*)\)|:\s+(?P<colon>.+)"
    r"|\b(?:because(?: of)?|since|as(?! well\b)|due to|owing to|on account of)\s+(?P<because>.+)",
    re.IGNORECASE,
)  # fmt: skip
_SAID_FIRST = re.compile(
    r"^(?:because(?: of)?|since|as|due to|owing to|on account of)\s+(?P<reason>[^;]+?),\s",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]{3,}")
_LITTLE_WORDS = """
all and any are but can cannot could for from has have its not only that the there they this too was
were which with
"""
_LITTLE = frozenset(_LITTLE_WORDS.split())


def check_reason(text: str, pool: Pool) -> Result | None:
    """Decide whether the reason a sentence gives for not judging is the one on record.

    Returns
    -------
    tuple of str, or None
        Verdict and cause; None where the sentence gives no reason.
    """
    if not _NOT_JUDGED.search(text):
        return None
    # the longest first: one reason may be part of another, and semicolons in it end no clause
    quotable = sorted({r for r in pool.reasons if r in text}, key=lambda r: (-len(r), r))
    for i, reason in enumerate(quotable):
        text = text.replace(reason, f"{QUOTED}{i}{QUOTED}")
    found = None
    for clause in _CLAUSE.split(text):
        kinds, said = reason_given(clause)
        if not said:
            continue
        quoted = _QUOTE.fullmatch(said)
        found = _compared(quotable[int(quoted[1])] if quoted else said, _on_record(kinds, pool))
        if found is not FINE:
            break
    return found


def without_reasons(text: str) -> str:
    """Return a sentence without the reasons it gives: their words are no claims of their own."""
    if not _NOT_JUDGED.search(text):
        return text
    for clause in _CLAUSE.split(text):
        if said := reason_given(clause)[1]:
            text = text.replace(said, "")
    return text


def has_own_reason(text: str) -> bool:
    """Whether a sentence in which reasons on record are marked gives one of its own."""
    return any(reason_given(clause)[1] not in {"", QUOTED} for clause in _CLAUSE.split(text))


@lru_cache(maxsize=16384)
def reason_given(clause: str) -> tuple[tuple[str, ...], str]:
    """Return the kinds a clause says were not judged, and its reason; ``""`` where it gives none."""
    frame = _NOT_JUDGED.search(clause)
    if frame is None:
        return (), ""
    before, after = clause[: frame.start()], clause[frame.end() :].rstrip(" .")
    if first := _SAID_FIRST.match(before):
        return kinds_named(before[first.end() :]), first["reason"].strip()
    kinds = kinds_named(before)
    if not kinds and after.startswith(":"):
        # "Not judged: spikes (...)": what follows the colon is what was not judged
        kinds, after = kinds_named(after.partition("(")[0]), after[1:]
    match = _SAID.search(after)
    if match is None:
        return kinds, ""
    reason = next(group for group in match.groups() if group is not None)
    return kinds, reason.strip(" .")


def _on_record(kinds: tuple[str, ...], pool: Pool) -> list[str]:
    judgements = pool.page.facts.judgements
    named = [judgements[kind].reason for kind in kinds if kind in judgements]
    return [reason for reason in named if reason] or [r for r in pool.reasons if r]


def _compared(said: str, known: list[str]) -> Result:
    if not known:
        return "unsupported", "no reason for not judging it is on record"
    if said in known or any(_is_same(said, reason) for reason in known):
        return FINE
    return "contradicted", "the reason on record for not judging it is another"


def _is_same(said: str, known: str) -> bool:
    """Whether every number and channel said is on record, and most of the words are."""
    bones, *slots = skeleton(said)
    known_bones, *known_slots = skeleton(known)
    if any(not set(mine) <= set(theirs) for mine, theirs in zip(slots, known_slots, strict=True)):
        return False
    words, known_words = _stems(bones), _stems(known_bones)
    if not words:
        return any(slots)
    return len(words & known_words) >= SHARED_WORDS * len(words)


def _stems(text: str) -> set[str]:
    return {w[:_STEM] for w in _WORD.findall(text.lower()) if w not in _LITTLE}
