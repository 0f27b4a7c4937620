"""What may not be said from one 10-s page, as patterns.

The table follows ``clinical.md`` section 10 (ACNS 2021, HED-SCORE, AASM: each statement below
needs a longer recording, a stimulus, a mark, a history or a scorer) and the overclaim words of the
claim-extraction set. Whether a permitted claim is true is ``grounding``'s business.

A copied corpus label is a citation and not a claim of the page; it is written in quotes after the
word ``label`` (``label "seizure"``), and a copied sleep stage as ``scored N2 in the corpus``.
"""

from __future__ import annotations

import re

_CITATION = re.compile(r'\blabels? "[^"]*"|\bscored (?:Wake|W|N[123]|R|REM) in the corpus')

_PATTERNS: dict[str, str] = {
    "seizure": r"\bseizures?\b|\bictal\b|\bstatus epilepticus\b|\bconvuls\w+",
    "normal_eeg": (
        r"\bnormal (?:eeg|recording|study|tracing|page|background)\b"
        r"|\b(?:eeg|recording|study|tracing|page) (?:is|was|looks|appears|seems) (?:\w+ )?normal\b"
        r"|\bwithin normal limits\b|\bunremarkable\b"
    ),
    "abnormal_eeg": (
        r"\babnormal (?:eeg|recording|study|tracing|page|background)\b"
        r"|\b(?:eeg|recording|study|tracing|page) (?:is|was|looks|appears|seems) (?:\w+ )?abnormal\b"
    ),
    "diagnosis": (
        r"\bepilep(?:sy|sies|tic)\b|\bencephalopath\w+|\blesions?\b|\btumou?rs?\b|\bstrokes?\b"
        r"|\bdementia\b|\bparkinson\w*|\balzheimer\w*|\bschizophreni\w+|\bdepressi(?:on|ve)\b"
        r"|\badhd\b|\bautis\w+|\bdiagnos\w+|\bdisorders?\b|\bdisease\b"
    ),
    "medication": (
        r"\bmedicat\w+|\bdrugs?\b|\bsedat\w+|\bbenzodiazepin\w+|\bbarbiturat\w+|\bana?esthe\w+"
    ),
    "prognosis": r"\bprognos\w+|\boutcome\b|\brecover\w*",
    "cause": r"\bcaused by\b|\bdue to\b|\bsecondary to\b|\bresult of\b|\betiolog\w+|\baetiolog\w+",
    "reactivity": r"\b(?:un|non-?)?reactiv\w+|\beyes? (?:are |were |is )?(?:closed|open)\w*",
    "mental_state": (
        r"\b(?:relaxed|anxious|attentive|calm|stressed|concentrating|happy|sad)\b"
        r"|\bdrows\w+|\basleep\b|\bawake\b"
    ),
    "stage_decision": r"\bstage (?:N?[123]|R|REM)\b|\b(?:N[123]|REM) sleep\b|\bscored (?:as )?N[123]",
    "incidence": r"\b(?:frequent|occasional|rare|abundant|uncommon)(?:ly)?\b",
    "burst_suppression": r"\bburst[- ](?:suppression|attenuation)\b|\belectrocerebral\b",
    "age_norm": r"\bfor (?:the |this |his |her )?age\b",
    "filler": r"\bclinical(?:ly)? correlat\w+|\bconsistent with\b|\bbenign\b",
}

FORBIDDEN = {name: re.compile(text, re.IGNORECASE) for name, text in _PATTERNS.items()}
_ANY = re.compile("|".join(_PATTERNS.values()), re.IGNORECASE)


def forbidden_claims(text: str) -> tuple[str, ...]:
    """Return the names of the claims a text makes that one 10-s page cannot support.

    Parameters
    ----------
    text
        Any text about a page; copied labels in their quoted form are not counted. A denial
        ("no seizure") counts like an assertion: neither can be seen on one page.
    """
    if not _ANY.search(text):
        return ()
    own_words = _CITATION.sub("", text)
    return tuple(name for name, pattern in FORBIDDEN.items() if pattern.search(own_words))
