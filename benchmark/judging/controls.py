"""Planted errors: a true text and the same with one thing made false, for a judge to notice.

The judge is asked about both without knowing which is which; it must score the false one lower. A
judge that does not is no measure, so the share noticed stands beside every judged table
(``evaluation.md`` 6.5, rule 5). Asking is in ``judging/judge.py``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.text.grounding_changes import FREQUENCY_STEP_HZ
from detectors.vocabulary import KINDS, WAVEFORMS

N_PLANTED = 50
"""Pairs asked (``evaluation.md`` 6.5, rule 5)."""
_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)
_SIDES = {"left": "right", "right": "left"}
_NUMBER = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)(?= ?(?:Hz|\u00b5V|ms|s|%)(?!\w))")
_TRENDS = {
    "increase": "decrease", "increases": "decreases", "increased": "decreased",
    "increasing": "decreasing", "rise": "fall", "rises": "falls", "rising": "falling",
    "higher": "lower", "larger": "smaller", "faster": "slower", "stronger": "weaker",
    "more": "less",
}  # fmt: skip
_REVERSED = _TRENDS | {b: a for a, b in _TRENDS.items()}
_TREND = re.compile(rf"\b({'|'.join(sorted(_REVERSED, key=len, reverse=True))})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Planted:
    """One pair.

    Parameters
    ----------
    item_id
        Where the true text is from.
    kind
        What was made false.
    true, false
        The texts.
    """

    item_id: str
    kind: str
    true: str
    false: str


def side_flipped(words: str) -> str:
    """Return a text with left and right exchanged, "" where it names no side."""
    return _exchanged(_SIDE, _SIDES, words)


def trend_reversed(words: str) -> str:
    """Return a text with the direction of every change turned round, "" where there is none."""
    return _exchanged(_TREND, _REVERSED, words)


def number_changed(words: str) -> str:
    """Return a text with its first measured number far off, "" where it has none."""
    match = _NUMBER.search(words)
    if match is None:
        return ""
    value = float(match[1])
    wrong = value + max(FREQUENCY_STEP_HZ, value)
    return f"{words[: match.start()]}{wrong:g}{words[match.end() :]}"


def event_invented(words: str) -> str:
    """Return a text with an event it does not name, "" where it names all of them."""
    lower = words.lower()
    kinds = dict.fromkeys(waveform.kind for waveform in WAVEFORMS.values())
    nouns = [KINDS[kind].noun for kind in kinds if KINDS[kind].noun.lower() not in lower]
    if not nouns:
        return ""
    noun = nouns[len(words) % len(nouns)]
    article = "An" if noun[0] in "aeiou" else "A"
    return f"{words.rstrip()} {article} {noun} is seen at T7 at 4.2 s."


PLANTS: Mapping[str, Callable[[str], str]] = {
    "side flipped": side_flipped,
    "event invented": event_invented,
    "number changed": number_changed,
    "trend reversed": trend_reversed,
}


def planted(texts: Mapping[str, str], *, n: int = N_PLANTED, seed: int = 0) -> tuple[Planted, ...]:
    """Plant one error each in true texts, the kinds in turn.

    Parameters
    ----------
    texts
        True texts by item id.
    n
        Most pairs.
    seed
        Of the order in which items are taken.

    Returns
    -------
    tuple of Planted
        As even over the kinds as the texts allow; a text may serve once for each kind.
    """
    order = sorted(texts, key=lambda item: _number(f"{seed}|{item}"))
    queues = {kind: _pairs(kind, order, texts) for kind in PLANTS}
    found: list[Planted] = []
    at = 0
    while len(found) < n and any(len(queue) > at for queue in queues.values()):
        found += [queue[at] for queue in queues.values() if len(queue) > at]
        at += 1
    return tuple(found[:n])


def _pairs(kind: str, order: Sequence[str], texts: Mapping[str, str]) -> list[Planted]:
    made = ((item, PLANTS[kind](texts[item])) for item in order)
    return [
        Planted(item, kind, texts[item], false)
        for item, false in made
        if false and false != texts[item]
    ]


def _exchanged(pattern: re.Pattern[str], other: Mapping[str, str], words: str) -> str:
    def swap(match: re.Match[str]) -> str:
        new = other[match[1].lower()]
        return new.capitalize() if match[1][0].isupper() else new

    return pattern.sub(swap, words) if pattern.search(words) else ""


def _number(words: str) -> int:
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big")
