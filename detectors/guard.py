"""What ten seconds cannot show, and a finding may therefore never claim (``clinical.md`` 10).

A seizure needs ten seconds of evolution and what lies around them, a sleep stage thirty, a diagnosis
a patient. The guard stands at the end of :mod:`detectors.merge`; that text does not say these
things either is checked in ``prompts``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from functools import lru_cache

from detectors.types import SEGMENT_S, Finding
from detectors.vocabulary import KINDS

_log = logging.getLogger(__name__)

BEYOND_PAGE: dict[str, str] = {
    "seizure": "needs 10 s with evolution or above 2.5 Hz for 10 s, and what lies around the page",
    "ictal": "needs 10 s with evolution or above 2.5 Hz for 10 s, and what lies around the page",
    "status": "needs minutes",
    "normal": "belongs to a recording",
    "abnormal": "belongs to a recording",
    "epilepsy": "is a diagnosis",
    "encephalopathy": "is a diagnosis",
    "lesion": "is a diagnosis",
    "diagnosis": "is a diagnosis",
    "reactive": "needs a stimulus",
    "unreactive": "needs a stimulus",
    "reactivity": "needs a stimulus",
    "stage": "is a decision on 30 s",
    "n1": "is a decision on 30 s",
    "n2": "is a decision on 30 s",
    "n3": "is a decision on 30 s",
    "rem": "is a decision on 30 s",
    "frequent": "needs a recording",
    "abundant": "needs a recording",
    "occasional": "needs a recording",
    "rare": "needs a recording",
    "suppression": "needs several cycles",
    "electrocerebral": "needs 30 min",
    "inactivity": "needs 30 min",
    "drug": "needs the history",
    "respiration": "is too slow for 10 s",
    "sweat": "is too slow for 10 s",
}
"""Words no kind, measure or reason may carry, and why (``clinical.md`` 10; ACNS 2021, AASM)."""

_WORD = re.compile(r"[a-z]+[0-9]?")


class BeyondPageError(ValueError):
    """A finding claims what ten seconds cannot show."""

    is_retryable = False


def beyond_page(finding: Finding) -> str:
    """Say what a finding claims that ten seconds cannot show, ``""`` where it is within limits."""
    if finding.kind not in KINDS:
        return f"kind {finding.kind!r} is not in the closed vocabulary"
    if finding.t0_s < 0 or finding.t1_s > SEGMENT_S or finding.t1_s <= finding.t0_s:
        return f"its interval {finding.t0_s}-{finding.t1_s} s is not inside the page"
    names = (finding.kind, *(m.name for m in finding.measures), finding.mask_reason)
    return next((claim for claim in map(_claim, names) if claim), "")


@lru_cache(maxsize=4096)
def _claim(name: str) -> str:
    """Say what a name claims beyond the page, ``""`` where it does not; few names are in use."""
    for word in _WORD.findall(name.lower()):
        if word in BEYOND_PAGE:
            return f"{name!r} claims {word!r}, which {BEYOND_PAGE[word]}"
    return ""


def guarded(findings: Iterable[Finding], *, is_strict: bool = False) -> list[Finding]:
    """Let through what ten seconds can show.

    Parameters
    ----------
    findings
        Findings of one page or of many.
    is_strict
        Raise instead of dropping and logging.

    Raises
    ------
    BeyondPageError
        If ``is_strict`` and a finding is refused.
    """
    kept = []
    for finding in findings:
        reason = beyond_page(finding)
        if not reason:
            kept.append(finding)
            continue
        if is_strict:
            raise BeyondPageError(f"finding of segment {finding.segment_id!r} refused: {reason}")
        _log.warning("finding of segment %s dropped: %s", finding.segment_id, reason)
    return kept
