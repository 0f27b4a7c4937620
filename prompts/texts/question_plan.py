"""What the offline teacher asks of which page: blocks whose wording gives nothing away.

An option joins two claims. Four pages share a question and its four options, and each option is the
right one on exactly one of them (``questions.blocks``, as for rule questions); on the others the
page's own facts contradict it. What a page can be asked is read from its payload, as a model would
read it; how a claim is written is in ``texts.template_questions``. A hosted teacher is not planned
for: it asks what it likes, and how much its wording gives away is measured, not prevented.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

from prompts import words
from prompts.facts.page import PageFacts
from prompts.questions.blocks import make_blocks
from prompts.questions.types import Draft
from prompts.texts.narrative_template import UNSEEN, narrative_template
from prompts.texts.template_questions import Claim, claim_text, joined

ASKED_KINDS = (
    "posterior_rhythm", "asymmetry", "focal_slowing", "generalised_slowing", "spindle", "kcomplex",
    "vertex_wave", "sharp", "spike", "spsw", "periodic_discharges", "rhythmic_delta", "blink",
    "lateral_eye", "muscle", "mains",
)  # fmt: skip
"""Kinds seen often enough that their absence can be asked about; of others it goes without saying."""
ASKED_BANDS = ("delta", "theta", "alpha", "beta")
MAX_SHARE_OF_TOP = 1 / 3
"""A band offered as the strongest in error has at most this share of the strongest's power, so that
no other way of taking the bands makes it right."""
SHIFT_HZ = 3.0
"""How far a wrong frequency lies from the measured one at least: beyond any tolerance of the check."""
RHYTHM_HZ = tuple(6.0 + 0.5 * i for i in range(16))
"""Frequencies a posterior rhythm is said to have: its search range (``clinical.md`` 3.1) in the steps
frequencies are written in."""
N_PAIRS = 96
"""Pairs of topics asked about in a shard, drawn by the seed: with half of the 189 there are, 98 of 100
planted pages find their block (engineering default; bounds memory)."""
N_OPTIONS = 4
MIN_TOPICS = 2
"""Facts that a question joins; a page with fewer is not asked about."""

Topic = tuple[Claim, tuple[Claim, ...]]
"""What holds of a page on one topic, and what its facts contradict."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one page is asked.

    Parameters
    ----------
    payload
        Entry ``ask`` of the page's payload.
    block_id
        Same for the pages that share its options.
    """

    payload: Mapping[str, Any]
    block_id: str


def plan_questions(pages: Iterable[PageFacts], seed: int = 0) -> dict[str, Ask]:
    """Decide what each page of a shard is asked; a page that fits into no block is left out.

    Parameters
    ----------
    pages
        Pages of one shard, read once and not kept.
    seed
        Draws pairs of topics, pages and partners.
    """
    known: dict[str, tuple[Claim, ...]] = {}
    # what a kind is like says that it is there
    apart = [p for p in combinations(_TOPICS, 2) if p[0].split()[0] != p[1].split()[0]]
    pairs = words.shuffled(apart, seed, "", "pairs")[:N_PAIRS]
    ids: list[str] = []

    def drafts_of(facts: PageFacts) -> Iterator[Draft]:
        ids.append(facts.segment_id)
        topics = topics_of(narrative_template(facts).payload)
        said = {name: _said(topic) for name, topic in topics.items()}
        for first, second in pairs:
            if first in said and second in said:
                yield _draft(f"{first}+{second}", said[first], said[second], known)

    items = make_blocks(pages, seed, 1, drafts_of)
    return {
        ids[item.page]: Ask(
            {
                "right": {"claims": list(known[item.draft.right])},
                "wrong": [
                    {"claims": list(known[text])}
                    for text in item.options
                    if text != item.draft.right
                ],
            },
            item.block_id,
        )
        for item in items
    }


def topics_of(payload: Mapping[str, Any]) -> dict[str, Topic]:
    """Return what a page can be asked about, by topic."""
    found = ((name, read(payload)) for name, read in _TOPICS.items())
    return {name: topic for name, topic in found if topic is not None}


def _said(topic: Topic) -> list[tuple[str, Claim]]:
    """Return the claims of a topic with their words, the true one first."""
    return [(claim_text(claim), claim) for claim in (topic[0], *topic[1])]


def _draft(
    name: str,
    one: Sequence[tuple[str, Claim]],
    other: Sequence[tuple[str, Claim]],
    known: dict[str, tuple[Claim, ...]],
) -> Draft:
    texts = []
    for (first, claim), (second, other_claim) in product(one, other):
        text = joined((first, second))
        texts.append(text)
        if text not in known:
            known[text] = (claim, other_claim)
    right, *wrong = texts
    return Draft(name, name, ("",), right, tuple(wrong), (), n_options=N_OPTIONS)


def _presence(kind: str) -> Callable[[Mapping[str, Any]], Topic | None]:
    def read(payload: Mapping[str, Any]) -> Topic | None:
        found = [entry for entry in payload["findings"] if entry["kind"] == kind]
        if found:
            # what is only probable is neither there nor not there for a plain statement
            verdict = "" if any(entry["hedge"] for entry in found) else "present"
        else:
            verdict = next((v for v in UNSEEN if kind in payload[v]), "")
        if not verdict:
            return None
        wrong = [v for v in ("present", *UNSEEN) if v != verdict]
        return _claim(kind, verdict), tuple(_claim(kind, v) for v in wrong)

    return read


def _claim(kind: str, verdict: str) -> Claim:
    return {"kind": kind, "verdict": verdict}


def _only(payload: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    found: Sequence[Mapping[str, Any]] = [e for e in payload["findings"] if e["kind"] == kind]
    return found[0] if len(found) == 1 and not found[0]["hedge"] else None


def _larger_side(payload: Mapping[str, Any]) -> Topic | None:
    entry = _only(payload, "asymmetry")
    if entry is None or entry["side"] not in {"left", "right"}:
        return None
    other = {"left": "right", "right": "left"}[entry["side"]]
    true, false = ({"kind": "asymmetry", "side": side} for side in (entry["side"], other))
    return true, (false,)


def _rhythm(payload: Mapping[str, Any]) -> Topic | None:
    entry = _only(payload, "posterior_rhythm")
    if entry is None or "frequency_hz" not in entry:
        return None
    measured = entry["frequency_hz"]
    said = min(RHYTHM_HZ, key=lambda hz: abs(hz - measured))
    wrong = [hz for hz in RHYTHM_HZ if abs(hz - measured) >= SHIFT_HZ]

    def claim(hz: float) -> Claim:
        return {"kind": "posterior_rhythm", "frequency_hz": hz}

    return claim(said), tuple(claim(hz) for hz in wrong)


def _strongest_band(payload: Mapping[str, Any]) -> Topic | None:
    if "spectrum" not in payload:
        return None
    powers = {entry["band"]: entry["power_uv2"] for entry in payload["spectrum"]["bands"]}
    top = payload["spectrum"]["highest_power_band"]
    weak = [b for b in ASKED_BANDS if b in powers and powers[b] < MAX_SHARE_OF_TOP * powers[top]]
    claims = [{"highest_power_band": band} for band in weak]
    return ({"highest_power_band": top}, tuple(claims)) if claims else None


def _strongest_channel(payload: Mapping[str, Any]) -> Topic | None:
    if "energy" not in payload:
        return None
    energy = payload["energy"]
    low = [name for tier in energy["tiers"] if tier["tier"] == "low" for name in tier["channels"]]
    claims = tuple({"highest_channel": name} for name in low)
    return ({"highest_channel": energy["highest_channel"]}, claims) if claims else None


_TOPICS: Mapping[str, Callable[[Mapping[str, Any]], Topic | None]] = {
    **{kind: _presence(kind) for kind in ASKED_KINDS},
    "asymmetry side": _larger_side,
    "posterior_rhythm frequency": _rhythm,
    "spectrum": _strongest_band,
    "energy": _strongest_channel,
}
