"""What may not be said from one 10-s page, as a table of words.

The table follows ``clinical.md`` section 10 (ACNS 2021, HED-SCORE, AASM: each statement below
needs a longer recording, a stimulus, a mark, a history or a scorer) and the overclaim words of the
claim-extraction set. Overclaims in other words are read by ``prompts.reading``; whether a permitted
claim is true is ``grounding``'s business.

A copied corpus label is a citation and not a claim of the page; it is written in quotes after the
word ``label`` (``label "seizure"``), and a copied sleep stage as ``scored N2 in the corpus``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

CITATION = re.compile(
    r'\blabels? "[^"]*"(?:(?:, | and )"[^"]*")*|\bscored (?:Wake|W|N[123]|R|REM) in the corpus'
)
_PAGE = "(eeg|recording|study|tracing|page)"
_LOOKS = "(is|was|looks|appears|seems)"

FORBIDDEN: dict[str, str] = {
    "seizure": "seizure; seizures; ictal; status epilepticus; convuls*",
    "normal_eeg": f"normal {_PAGE}; normal background; {_PAGE} {_LOOKS} ... normal; "
                  "within normal limits; unremarkable",
    "abnormal_eeg": f"abnormal {_PAGE}; abnormal background; {_PAGE} {_LOOKS} ... abnormal",
    "diagnosis": "epilepsy; epilepsies; epileptic; encephalopath*; lesion; lesions; tumor; tumors; "
                 "tumour; tumours; stroke; strokes; dementia; parkinson*; alzheimer*; schizophreni*; "
                 "depression; depressive; adhd; autis*; diagnos*; disorder; disorders; disease",
    "medication": "medicat*; drug; drugs; sedat*; benzodiazepin*; barbiturat*; anesthe*; anaesthe*",
    "prognosis": "prognos*; outcome; recover*",
    "cause": "caused by; due to; secondary to; result of; etiolog*; aetiolog*",
    "reactivity": "reactiv*; unreactiv*; nonreactiv*; non-reactiv*; eyes ... closed; eye ... closed; "
                  "eyes ... open*",
    "mental_state": "relaxed; anxious; attentive; calm; stressed; concentrating; happy; sad; drows*; "
                    "asleep; awake",
    "stage_decision": "stage (n1|n2|n3|#|r|rem); (n1|n2|n3|rem) sleep; scored (n1|n2|n3); "
                      "scored as (n1|n2|n3)",
    "incidence": "frequent; frequently; occasional; occasionally; rare; rarely; abundant; "
                 "abundantly; uncommon; uncommonly",
    "burst_suppression": "burst (suppression|attenuation); burst-(suppression|attenuation); "
                         "electrocerebral",
    "age_norm": "for ... age",
    "filler": "(clinical|clinically) correlat*; consistent with; benign",
}  # fmt: skip
"""Claim and the words that make it: ``*`` is any ending, ``...`` one word or none."""


def _compiled(table: Mapping[str, str]) -> re.Pattern[str]:
    groups = []
    for name, phrases in table.items():
        forms = (
            phrase.strip().replace("(", "(?:").replace("*", r"\w*").replace(" ... ", r"(?: \w+)? ")
            for phrase in phrases.split(";")
        )
        groups.append(f"(?P<{name}>{'|'.join(forms)})")
    return re.compile(rf"\b(?:{'|'.join(groups)})(?!\w)")


_FORBIDDEN = _compiled(FORBIDDEN)


@lru_cache(maxsize=65536)
def forbidden_claims(text: str) -> tuple[str, ...]:
    """Return the names of the claims a text makes that one 10-s page cannot support.

    Parameters
    ----------
    text
        Any text about a page, or its skeleton (``prompts.truth.phrases``); copied labels in their
        quoted form are not counted. A denial ("no seizure") counts like an assertion: neither can
        be seen on one page.
    """
    own_words = CITATION.sub("", text).lower()
    found = {
        match.lastgroup for match in _FORBIDDEN.finditer(re.sub(r"(?<=stage )\d", "#", own_words))
    }
    return tuple(name for name in FORBIDDEN if name in found)
