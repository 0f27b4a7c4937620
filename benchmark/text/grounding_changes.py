"""What is done to a caption sentence to see whether its check notices: flips and paraphrases.

A flip makes one checkable word false: a side, a frequency, a presence, a count, a channel, a band. A
paraphrase says the same in words no template uses. Word overlap (ROUGE-1) cannot tell the two apart,
which is why it stands beside the grounded score. Measuring is in ``text.grounding``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from detectors.types import CANONICAL19
from detectors.vocabulary import CLINICAL_BANDS, KINDS

FREQUENCY_STEP_HZ = 3.0
"""How far a flipped frequency lies off: far beyond any tolerance of the score."""
COUNT_STEP = 2
_SWAPPED = {"left": "right", "right": "left"}
_SIDE = re.compile(r"\b(left|right)\b")
_HZ = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)(?= Hz)")
_CHANNEL = re.compile(r"(?<![\w-])(?:Fp[12]|F[3478z]|T[78]|C[34z]|P[3478z]|O[12])(?![\w-])")
_COUNT = re.compile(r"^(\d+)(?= )")
_BAND = re.compile(r"\b(" + "|".join(CLINICAL_BANDS) + r")\b")
_NOUNS = sorted(
    {n for kind in KINDS.values() for n in (kind.noun, kind.plural)}, key=len, reverse=True
)
_HEDGE = r"(?:probable |possible |equivocal )?"
_TOLD = re.compile(
    r"^(?P<lead>(?:.* there (?:is|are) )?)(?P<article>(?:an? |\d+ )?)(?P<rest>" + _HEDGE + "(?:"
    + "|".join(map(re.escape, _NOUNS)) + r")\b.*)$", re.IGNORECASE,
)  # fmt: skip
_DENIED = re.compile(r"^(?P<lead>There (?:is|are) )?no (?P<rest>.*)$", re.IGNORECASE)

_UNJUDGED = re.compile(
    r"^(?:Not judged: (?P<listed>[^(]+) \(|(?P<named>.+?) (?:could not be |cannot be |not )judged(?:: | \())"
)


def flips(text: str) -> Iterator[tuple[str, str]]:
    """Yield ``(what, text)`` for each checkable word that can be made false; quotes are left alone."""
    if '"' in text:
        return
    for what, flip in FLIPS.items():
        for flipped in flip(text):
            yield what, flipped


def _sides(text: str) -> Iterator[str]:
    if _SIDE.search(text):
        yield _SIDE.sub(lambda m: _SWAPPED[m[1]], text)


def _frequencies(text: str) -> Iterator[str]:
    for match in _HZ.finditer(text):
        wrong = f"{float(match[1]) + FREQUENCY_STEP_HZ:g}"
        yield text[: match.start()] + wrong + text[match.end() :]


def _presence(text: str) -> Iterator[str]:
    unjudged = _UNJUDGED.match(text)
    if unjudged:
        named = unjudged["listed"] or unjudged["named"]
        yield f"{named[0].upper()}{named[1:]} seen on this page."
        return
    denied = _DENIED.match(text)
    if denied:
        rest = f"{denied['lead'] or ''}{denied['rest']}"
        yield rest[0].upper() + rest[1:]
        return
    told = _TOLD.match(text)
    if told:
        said = f"{told['lead']}no {told['rest'][0].lower()}{told['rest'][1:]}"
        yield said[0].upper() + said[1:]


def _counts(text: str) -> Iterator[str]:
    match = _COUNT.search(text)
    if match:
        yield f"{int(match[1]) + COUNT_STEP}{text[match.end() :]}"


def _channels(text: str) -> Iterator[str]:
    said = set(_CHANNEL.findall(text))
    free = [name for name in CANONICAL19 if name not in said]
    for match in _CHANNEL.finditer(text):
        if free:
            wrong = free[(match.start() + len(text)) % len(free)]
            yield text[: match.start()] + wrong + text[match.end() :]


def _bands(text: str) -> Iterator[str]:
    order = list(CLINICAL_BANDS)
    said = set(_BAND.findall(text))
    for match in _BAND.finditer(text):
        if "rhythmic delta" in text:
            continue
        wrong = next(b for b in (*order[order.index(match[1]) :], *order) if b not in said)
        yield text[: match.start()] + wrong + text[match.end() :]


FLIPS: Mapping[str, Callable[[str], Iterator[str]]] = {
    "side": _sides, "frequency": _frequencies, "presence": _presence, "count": _counts,
    "channel": _channels, "band": _bands,
}  # fmt: skip

PARAPHRASES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"^No ([\w -]+) (?:seen|on this page)\.$", r"I could not find any \1."),
        (r"^There (?:is|are) no ([\w -]+) on this page\.$", r"I could not find any \1."),
        (r"^Posterior rhythm of ([\d.]+ Hz) and (\d+ µV) peak-to-peak at ([^.]+)\.$",
         r"The PDR runs at roughly \1 over \3 and reaches about \2."),
        (r"^Posterior rhythm of ([\d.]+ Hz) at ([^.]+)\.$", r"The PDR runs at roughly \1 over \2."),
        (r"^Asymmetry(?: between [^,]+)?, larger on the (left|right) by (\d+) %\.$",
         r"Activity over the \1 hemisphere is about \2 % higher than on the other side."),
        (r"^Background voltage (?:is |of )?(\d+ µV) peak-to-peak\.$", r"The amplitude reaches about \1."),
        (r"^([A-Z][a-z]+ ?[a-z]*), ([\d.]+ m?s), maximum at (\w+) \([^)]*\), at ([\d.]+ s)\.$",
         r"One \1 shows up over \3 at roughly \4, lasting about \2."),
        (r"^Muscle activity(?:, [^,]+ rms)?, at (\w+)(?: \([^)]*\))?, from ([\d.]+) to ([\d.]+) s\.$",
         r"EMG artefact contaminates \1 between \2 and \3 s."),
        (r"^Eye blink, .*at (Fp1|Fp2|Fp1 and Fp2)(?: \([^)]*\))?, at ([\d.]+ s)\.$",
         r"The subject blinks at roughly \2, best visible over \1."),
        (r"^(?:The dominant band after removal of the 1/f trend is|With the 1/f trend removed,) (\w+)"
         r"(?: is the dominant band)?\.$", r"Without the 1/f background, \1 power dominates."),
        (r"^.*; (\w+) has the highest raw power\.$", r"Most of the power lies in \1."),
    )
)  # fmt: skip
"""Sentences of captions and the same in other words, independent of the writer's phrasings."""


def paraphrase(text: str) -> str:
    """Return a sentence in other words, ``""`` where no rule fits."""
    for pattern, words in PARAPHRASES:
        match = pattern.match(text)
        if match:
            return match.expand(words)
    return ""


def rouge_1(text: str, other: str) -> float:
    """Return the F1 of shared words, lower case, punctuation dropped (Lin 2004, ROUGE-1)."""
    a, b = (Counter(re.findall(r"[\w.%/-]*\w|%", t.lower())) for t in (text, other))
    shared = (a & b).total()
    return 2 * shared / ((a.total() + b.total()) or 1)
