"""What captions say of planted events: said, set aside, not judged or denied, never passed over.

``NEUROGLOSS_TRUTH=full`` takes 400 pages; ``--log-cli-level=INFO`` shows the counts.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from benchmark.detectors.pages import PageSettings, made_samples
from benchmark.planted.planting import Planted
from benchmark.text.grounding_pages import facts_of_batch
from detectors.vocabulary import KINDS
from prompts.captions.caption import Caption, write_caption
from prompts.facts.findings import FindingFact
from prompts.facts.page import PageFacts
from prompts.grounding.check import check_grounding

log = logging.getLogger(__name__)

WHOLE = os.environ.get("NEUROGLOSS_TRUTH") == "full"
SETTINGS = (
    PageSettings(n_subjects=10, pages_per_recording=5, seed=11, sizes_k=(4.0, 8.0))
    if WHOLE
    else PageSettings(n_subjects=2, pages_per_recording=5, seed=11, sizes_k=(8.0,))
)
N_PAGES = 400 if WHOLE else 40
NEAR_S = 0.15
"""How far beside a planted event its finding may lie."""
SAID_FLOOR = 0.75
"""Least share of planted events that captions mention, by any name; detectors have floors of their
own, this one notices words that drop what was found."""


class Page(NamedTuple):
    facts: PageFacts
    caption: Caption
    truth: tuple[Planted, ...]

    @property
    def cited(self) -> frozenset[str]:
        return frozenset(e for s in self.caption.sentences for e in s.evidence)


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    return list(_pages())


def _pages() -> Iterator[Page]:
    for at, sample in enumerate(made_samples(SETTINGS)):
        for facts in facts_of_batch(sample.batch, sample.origin.name, at):
            truth = tuple(t for t in sample.truth if t.segment_id == facts.segment_id)
            yield Page(facts, write_caption(facts, "label_aware", seed=at), truth)


def _near(event: Planted, found: FindingFact) -> bool:
    return found.t0_s <= event.t1_s + NEAR_S and event.t0_s <= found.t1_s + NEAR_S


def _is_same(event: Planted, found: FindingFact) -> bool:
    return found.kind == event.kind and _near(event, found)


def _is_renamed(event: Planted, found: FindingFact) -> bool:
    family = KINDS[event.kind].family
    names = set(event.channels) & set(found.channels)
    return family != "background" and KINDS[found.kind].family == family and bool(names) and _near(
        event, found
    )  # fmt: skip


def fate(event: Planted, page: Page) -> str:
    """What became of a planted event, by what the tables hold and the caption cites."""
    facts = page.facts
    if any(_is_same(event, f) and f.finding_id in page.cited for f in facts.findings):
        return "mentioned"
    if any(_is_renamed(event, f) and f.finding_id in page.cited for f in facts.findings):
        return "mentioned by another name"
    if any(_is_same(event, f) and (f.masked_by or f.mask_reason) for f in facts.masked):
        return "set aside with a reason"
    judgement = facts.judgements[event.kind]
    if judgement.verdict == "not_judged":
        return "not judged, with a reason" if judgement.reason else "lost"
    if judgement.judgement_id not in page.cited:
        return "lost"
    return "said to be absent" if judgement.verdict == "absent" else "others of its kind mentioned"


def test_every_sentence_about_planted_pages_is_supported(pages: list[Page]) -> None:
    assert len(pages) == N_PAGES
    verdicts = Counter(
        s.verdict
        for page in pages
        for s in check_grounding(page.caption.sentences, page.facts).sentences
    )
    log.info("sentences: %s", dict(verdicts))
    assert set(verdicts) == {"supported"}


def test_no_planted_event_is_lost(pages: list[Page]) -> None:
    fates = Counter(fate(event, page) for page in pages for event in page.truth)
    n = fates.total()
    log.info("planted: %d; %s", n, dict(fates.most_common()))
    assert n > N_PAGES
    assert not fates["lost"]
    assert fates["mentioned"] + fates["mentioned by another name"] >= SAID_FLOOR * n


def test_every_finding_is_said_or_set_aside(pages: list[Page]) -> None:
    for page in pages:
        said = {f.finding_id for f in page.facts.findings}
        hidden = {f.finding_id for f in page.facts.masked if f.masked_by}
        assert said | hidden <= page.cited
        assert all(f.masked_by or f.mask_reason for f in page.facts.masked)


def test_every_judgement_is_said(pages: list[Page]) -> None:
    spared = {"posterior_rhythm"}  # where alpha stands out everywhere, its absence is not said
    for page in pages:
        for kind, judgement in page.facts.judgements.items():
            if judgement.verdict == "not_judged":
                assert judgement.reason
                assert judgement.judgement_id in page.cited
            elif KINDS[kind].family != "background" and kind not in spared:
                assert judgement.judgement_id in page.cited


def test_findings_are_called_by_their_name(pages: list[Page]) -> None:
    for page in pages:
        kinds = {f.finding_id: f.kind for f in page.facts.findings}
        for sentence in page.caption.sentences:
            told = {kinds[e] for e in sentence.evidence if e in kinds}
            for kind in told if sentence.section != "limits" else ():
                names = {KINDS[kind].noun, KINDS[kind].plural, "rhythm that stands out most"}
                assert any(name in sentence.text.lower() for name in map(str.lower, names))
