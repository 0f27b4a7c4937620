"""What may not be said from one 10-s page, as patterns.

The table follows ``clinical.md`` section 10 (ACNS 2021, HED-SCORE, AASM: each statement below
needs a longer recording, a stimulus, a mark, a history or a scorer) and the overclaim words of the
claim-extraction set. Whether a permitted claim is true is ``grounding``'s business.

A copied corpus label is a citation and not a claim of the page; it is written in quotes after the
word ``label`` (``label "seizure"``), and a copied sleep stage as ``scored N2 in the corpus``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_CITATION = re.compile(
    r'\blabels? "[^"]*"(?:(?:, | and )"[^"]*")*|\bscored (?:Wake|W|N[123]|R|REM) in the corpus'
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One claim that a page cannot carry.

    Parameters
    ----------
    triggers
        Lower-case parts of which every match contains at least one; looked for first, because the
        pattern itself is slow and nearly always without a match.
    pattern
        What counts as making the claim.
    """

    triggers: tuple[str, ...]
    pattern: re.Pattern[str]


def _rule(triggers: str, *patterns: str) -> Rule:
    return Rule(tuple(triggers.split("|")), re.compile("|".join(patterns), re.IGNORECASE))


_PAGE = r"(?:eeg|recording|study|tracing|page)"
_LOOKS = r"(?:is|was|looks|appears|seems)"

FORBIDDEN: dict[str, Rule] = {
    "seizure": _rule(
        "seizure|ictal|epilepticus|convuls",
        r"\bseizures?\b|\bictal\b|\bstatus epilepticus\b|\bconvuls\w+",
    ),
    "normal_eeg": _rule(
        "normal|unremarkable",
        rf"\bnormal (?:{_PAGE}|background)\b|\b{_PAGE} {_LOOKS} (?:\w+ )?normal\b",
        r"\bwithin normal limits\b|\bunremarkable\b",
    ),
    "abnormal_eeg": _rule(
        "abnormal",
        rf"\babnormal (?:{_PAGE}|background)\b|\b{_PAGE} {_LOOKS} (?:\w+ )?abnormal\b",
    ),
    "diagnosis": _rule(
        "epilep|encephal|lesion|tumo|stroke|dementia|parkinson|alzheimer|schizo|depress|adhd|autis"
        "|diagnos|disorder|disease",
        r"\bepilep(?:sy|sies|tic)\b|\bencephalopath\w+|\blesions?\b|\btumou?rs?\b|\bstrokes?\b",
        r"\bdementia\b|\bparkinson\w*|\balzheimer\w*|\bschizophreni\w+|\bdepressi(?:on|ve)\b",
        r"\badhd\b|\bautis\w+|\bdiagnos\w+|\bdisorders?\b|\bdisease\b",
    ),
    "medication": _rule(
        "medicat|drug|sedat|benzo|barbit|esthe",
        r"\bmedicat\w+|\bdrugs?\b|\bsedat\w+|\bbenzodiazepin\w+|\bbarbiturat\w+|\bana?esthe\w+",
    ),
    "prognosis": _rule("prognos|outcome|recover", r"\bprognos\w+|\boutcome\b|\brecover\w*"),
    "cause": _rule(
        "caused|due to|secondary|result|etiolog",
        r"\bcaused by\b|\bdue to\b|\bsecondary to\b|\bresult of\b|\ba?etiolog\w+",
    ),
    "reactivity": _rule(
        "reactiv|closed|open",
        r"\b(?:un|non-?)?reactiv\w+|\beyes? (?:are |were |is )?(?:closed|open)\w*",
    ),
    "mental_state": _rule(
        "relaxed|anxious|attentive|calm|stressed|concentrating|happy|sad|drows|asleep|awake",
        r"\b(?:relaxed|anxious|attentive|calm|stressed|concentrating|happy|sad)\b",
        r"\bdrows\w+|\basleep\b|\bawake\b",
    ),
    "stage_decision": _rule(
        "stage |n1 sleep|n2 sleep|n3 sleep|rem sleep|scored",
        r"\bstage (?:N?[123]|R|REM)\b|\b(?:N[123]|REM) sleep\b|\bscored (?:as )?N[123]",
    ),
    "incidence": _rule(
        "frequent|occasional|rare|abundant|uncommon",
        r"\b(?:frequent|occasional|rare|abundant|uncommon)(?:ly)?\b",
    ),
    "burst_suppression": _rule(
        "burst|electrocerebral",
        r"\bburst[- ](?:suppression|attenuation)\b|\belectrocerebral\b",
    ),
    "age_norm": _rule(" age", r"\bfor (?:the |this |his |her )?age\b"),
    "filler": _rule(
        "correlat|consistent|benign",
        r"\bclinical(?:ly)? correlat\w+|\bconsistent with\b|\bbenign\b",
    ),
}
_TRIGGERS = tuple(dict.fromkeys(t for rule in FORBIDDEN.values() for t in rule.triggers))


@lru_cache(maxsize=4096)
def forbidden_claims(text: str) -> tuple[str, ...]:
    """Return the names of the claims a text makes that one 10-s page cannot support.

    Parameters
    ----------
    text
        Any text about a page; copied labels in their quoted form are not counted. A denial
        ("no seizure") counts like an assertion: neither can be seen on one page.
    """
    lowered = text.lower()
    for trigger in _TRIGGERS:
        if trigger in lowered:
            break
    else:
        return ()
    own_words = _CITATION.sub("", text)
    return tuple(name for name, rule in FORBIDDEN.items() if rule.pattern.search(own_words))
