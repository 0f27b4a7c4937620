"""Multiple choice by template: a claim is what a payload's closed words say, an option joins two.

Here claims become words: of the right option, of the wrong ones, and of the sentences that explain.
Which two facts a page is asked about, and against which other pages, is decided over a whole shard in
``texts.question_plan`` and stands in the payload under ``ask``. Other sentences come from
``texts.template_writer``; letters are dealt where rows are made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from detectors.vocabulary import KINDS
from prompts import words
from prompts.texts.narrative_template import UNSEEN
from prompts.texts.template_writer import Payload, Said, finding_sentence, spectrum_sentences

Claim = Mapping[str, Any]
"""One fact that a page may have or not, in keys and words that a payload may hold."""

_STEMS = (
    "Which pair of statements fits this page?",
    "Which option describes this page correctly?",
    "Only one option agrees with the page in both parts. Which one?",
)


def write_question(payload: Payload, seed: int) -> dict[str, Any]:
    """Write the question that ``ask`` puts, with one right and three wrong options.

    Parameters
    ----------
    payload
        With ``ask``: ``right`` and three ``wrong``, two claims each.
    seed
        Chooses phrasing of the explanation. The stem hangs on the options alone, so that it is the
        same on every page that they are asked of.

    Raises
    ------
    ValueError
        If the payload does not say what to ask.
    """
    if "ask" not in payload:
        raise ValueError(
            "the payload does not say what to ask; plan the pages of a shard together "
            "(prompts.texts.question_plan)"
        )
    right, *wrong = options_of(payload["ask"])
    keys = list(dict.fromkeys(key for claim in right for key in _keys(claim, payload)))
    texts = [option_text(claims) for claims in (right, *wrong)]
    return {
        "question": words.pick(_STEMS, 0, json.dumps(sorted(texts)), "stem"),
        "right": {"text": texts[0], "facts": keys},
        "wrong": [{"text": text, "facts": keys} for text in texts[1:]],
        "explanation": [
            {"text": text, "facts": list(facts)}
            for text, facts in (_why(claim, payload, seed) for claim in right)
        ],
    }


def options_of(ask: Mapping[str, Any]) -> list[Sequence[Claim]]:
    """Return the claims of each option, the right one first."""
    return [ask["right"]["claims"], *(option["claims"] for option in ask["wrong"])]


def option_text(claims: Sequence[Claim]) -> str:
    """Join claims into the statement of an option."""
    return joined([claim_text(claim) for claim in claims])


def joined(texts: Sequence[str]) -> str:
    """Join the words of claims into a statement."""
    text = "; ".join(texts)
    return f"{text[0].upper()}{text[1:]}."


def claim_text(claim: Claim) -> str:
    """Write one claim, the same on every page."""
    return next(form(claim) for key, form in _FORMS.items() if key in claim)


def _verdict_text(claim: Claim) -> str:
    noun = words.several(claim["kind"])
    return _VERDICT_FORMS[claim["verdict"]].format(noun)


_VERDICT_FORMS = {
    "present": "{} on the page",
    "absent": "no {} on the page",
    "not_judged": "{} could not be judged",
}
_FORMS: Mapping[str, Callable[[Claim], str]] = {
    "verdict": _verdict_text,
    "side": lambda claim: f"{KINDS[claim['kind']].noun}, larger on the {claim['side']}",
    "frequency_hz": lambda claim: (
        f"{KINDS[claim['kind']].noun} of {words.hz(claim['frequency_hz'])}"
    ),
    "highest_power_band": lambda claim: (
        f"{words.band_word(claim['highest_power_band'])} has the highest power"
    ),
    "highest_channel": lambda claim: f"the highest energy lies at {claim['highest_channel']}",
}
"""Key that tells what a claim is about, and how it is written."""


def _keys(claim: Claim, payload: Payload) -> list[str]:
    """Return the keys of the facts that decide a claim."""
    if "highest_power_band" in claim:
        return ["spectrum"]
    if "highest_channel" in claim:
        return ["energy"]
    kind = claim["kind"]
    if any(kind in payload[verdict] for verdict in UNSEEN):
        return [kind]
    return [entry["key"] for entry in payload["findings"] if entry["kind"] == kind]


def _why(claim: Claim, payload: Payload, seed: int) -> Said:
    """Return the sentence that says why a true claim holds."""
    if "highest_power_band" in claim:
        return spectrum_sentences(payload, seed)[0]
    if "highest_channel" in claim:
        return f"The highest energy lies at {claim['highest_channel']}.", ["energy"]
    kind = claim["kind"]
    if kind in payload["absent"]:
        return f"No {words.several(kind)} on this page.", [kind]
    if kind in payload["not_judged"]:
        noun = words.several(kind)
        return f"{noun[0].upper()}{noun[1:]} could not be judged.", [kind]
    entry = next(e for e in payload["findings"] if e["kind"] == kind)
    return finding_sentence(entry), [entry["key"]]
