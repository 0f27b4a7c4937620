"""Rule captions: the facts of a page as sentences, each with the ids behind it.

Sections follow ``clinical.md`` 13.1 (SCORE order, shortened): montage, state (label-aware text
only), background, sleep, epileptiform, artifacts, limits. Phrasing varies by a seeded hash, the
content never does. Event sentences are built in ``captions.event_words``, those about the background in
``captions.background_words``; questions, narratives and dialogues have their own modules; whether a caption
agrees with its facts is checked in ``grounding``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from detectors.types import Family
from detectors.vocabulary import CLINICAL_BANDS, KINDS
from prompts import words
from prompts.captions.background_words import ABSENT_KINDS, background_sentences
from prompts.captions.event_words import Sentence, event_sentences, masked_sentences
from prompts.facts.page import PageFacts, label_texts
from prompts.grounding.check import faults
from prompts.limits import forbidden_claims

log = logging.getLogger(__name__)

Variant = Literal["label_free", "label_aware"]
VARIANTS: tuple[Variant, ...] = ("label_free", "label_aware")

CAPTIONS_VERSION = "4"
"""Raised whenever a caption of the same facts may read differently."""

_KINDS_OF: dict[Family, tuple[str, ...]] = {
    family: tuple(k for k, kind in KINDS.items() if kind.family == family)
    for family in ("background", "sleep", "epileptiform", "artifact")
}
_EMPTY_LABELS = frozenset({"", "unknown"})
_STAGE_WORDS = {"W": "Wake"}


class CaptionError(ValueError):
    """A sentence a page may not carry; writing it again gives the same sentence."""

    is_retryable = False


@dataclass(frozen=True, slots=True)
class Caption:
    """One caption of one page."""

    segment_id: str
    variant: Variant
    sentences: tuple[Sentence, ...]

    @property
    def text(self) -> str:
        """The sentences joined."""
        return " ".join(s.text for s in self.sentences)


def write_caption(facts: PageFacts, variant: Variant = "label_free", seed: int = 0) -> Caption:
    """Write the caption of a page.

    Parameters
    ----------
    facts
        The page.
    variant
        ``label_free`` says nothing the ten seconds cannot show; ``label_aware`` adds the stage and
        labels of the corpus, as citations.
    seed
        Chooses among phrasings together with the segment id.

    Raises
    ------
    CaptionError
        If a sentence makes a claim that one page cannot support (``clinical.md`` 10).
    """
    sentences = _sentences(facts, variant, seed)
    for sentence in sentences:
        claims = forbidden_claims(sentence.text)
        if claims:
            raise CaptionError(
                f"sentence {sentence.text!r} claims {', '.join(claims)}, which one page cannot "
                "show; reword its template"
            )
    return Caption(facts.segment_id, variant, tuple(sentences))


def _sentences(facts: PageFacts, variant: Variant, seed: int) -> list[Sentence]:
    return [
        sentence
        for section, writer in SECTIONS.items()
        if section != "state" or variant == "label_aware"
        for sentence in writer(facts, seed)
    ]


def caption_rows(facts: PageFacts, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the rows of table ``captions`` for one page, one per variant.

    Every sentence is checked against the facts first; one that is not supported is left out and
    logged with its cause, so what is stored is grounded. The label-aware row is left out where the
    corpus says nothing about the page.
    """
    kept = list(_grounded(_sentences(facts, "label_aware", seed), facts))
    unlabelled = [s for s in kept if s.section != "state"]
    variants: dict[Variant, list[Sentence]] = {"label_free": unlabelled}
    if len(kept) > len(unlabelled):
        variants["label_aware"] = kept
    for variant, sentences in variants.items():
        yield {
            "sample_id": words.sample_id("caption", facts.segment_id, variant, seed),
            "segment_id": facts.segment_id,
            "variant": variant,
            "text": " ".join([s.text for s in sentences]),
            "sentences": [
                {"text": s.text, "section": s.section, "evidence": list(s.evidence)}
                for s in sentences
            ],
        }


def _grounded(sentences: Sequence[Sentence], facts: PageFacts) -> Iterator[Sentence]:
    for sentence, fault in zip(sentences, faults(sentences, facts), strict=True):
        if fault is None:
            yield sentence
        else:
            log.warning("segment %s: %s: %s", facts.segment_id, *fault)


_REFERENTIAL_FRAMES = (
    "Longitudinal bipolar page from {n} of {of} scalp electrodes; usable band {low} to {high} Hz.",
    "The page shows longitudinal bipolar derivations of {n} of {of} scalp electrodes, usable from "
    "{low} to {high} Hz.",
    "Longitudinal bipolar montage, {n} of {of} scalp electrodes recorded, usable band "
    "{low}-{high} Hz.",
    "A longitudinal bipolar page: {n} of {of} scalp electrodes, usable from {low} to {high} Hz.",
    "{n} of {of} scalp electrodes were recorded; longitudinal bipolar montage, usable band {low} to "
    "{high} Hz.",
)
_BIPOLAR_FRAMES = (
    "Bipolar recording of {n} derivations ({names}); usable band {low} to {high} Hz.",
    "The page shows {n} bipolar derivations as recorded ({names}), usable from {low} to {high} Hz.",
    "Recorded bipolar, {n} derivations ({names}), usable band {low}-{high} Hz.",
    "{n} bipolar derivations as recorded ({names}), usable from {low} to {high} Hz.",
    "Bipolar page of {n} derivations ({names}), usable band {low} to {high} Hz.",
)
_MISSING_FRAMES = (
    "{names} {verb} not recorded.",
    "Not recorded: {names}.",
    "On this page {names} {verb} not recorded.",
    "Not recorded on this page: {names}.",
    "{names}: not recorded.",
)
_STAGE_FRAMES = (
    "The 30-s epoch around this page is scored {stage} in the corpus.",
    "This page lies in a 30-s epoch scored {stage} in the corpus.",
    "Around this page, the 30-s epoch is scored {stage} in the corpus.",
    "This page is of a 30-s epoch that is scored {stage} in the corpus.",
    "The 30-s epoch this page lies in is scored {stage} in the corpus.",
)
_LABEL_FRAMES = (
    "At {scope} level the corpus gives the {noun} {labels}.",
    "The corpus gives the {noun} {labels} at {scope} level.",
    "At {scope} level the corpus has the {noun} {labels}.",
    "The corpus has the {noun} {labels} at {scope} level.",
    "The corpus gives, at {scope} level, the {noun} {labels}.",
)
_ABSENT_FRAMES = (
    "No {nouns} seen.",
    "There {are} no {nouns} on this page.",
    "No {nouns} on this page.",
    "No {nouns} can be seen.",
    "There {are} no {nouns} to be seen.",
)
_UNJUDGED_FRAMES = (
    "Not judged: {nouns} ({reason}).",
    "{Nouns} could not be judged: {reason}.",
    "{Nouns} could not be judged ({reason}).",
    "{Nouns} cannot be judged: {reason}.",
    "{Nouns} not judged: {reason}.",
)
_TOP_FRAMES = (
    "Nothing above {hz} Hz can be read from this recording.",
    "Nothing above {hz} Hz can be read on this page.",
    "From this recording nothing above {hz} Hz can be read.",
    "On this page nothing above {hz} Hz can be read.",
    "Nothing above {hz} Hz is usable on this page.",
)


def _montage(facts: PageFacts, seed: int) -> list[Sentence]:
    low, high = (f"{round(edge, 1):g}" for edge in facts.band_hz)
    n_recorded, n_rows = len(facts.recorded), len(facts.schema.ch_names)
    frames = _REFERENTIAL_FRAMES if facts.schema.is_referential else _BIPOLAR_FRAMES
    frame = words.pick(frames, seed, facts.segment_id, "montage")
    names = words.join(facts.recorded)
    if n_recorded > words.MAX_LISTED:
        names = f"first {words.join(facts.recorded[:3])}"
    text = frame.format(n=n_recorded, of=n_rows, low=low, high=high, names=names)
    evidence = tuple(facts.column(c) for c in ("mask", "channel_schema", "band_high_hz"))
    sentences = [Sentence(text, "montage", evidence)]
    if facts.missing:
        verb = "was" if len(facts.missing) == 1 else "were"
        frame = words.pick(_MISSING_FRAMES, seed, facts.segment_id, "missing")
        text = frame.format(names=words.join(facts.missing), verb=verb)
        sentences.append(Sentence(text, "montage", (facts.column("mask"),)))
    return sentences


def _state(facts: PageFacts, seed: int) -> list[Sentence]:
    sentences = []
    if facts.stage_context:
        stage = _STAGE_WORDS.get(facts.stage_context, facts.stage_context)
        text = words.pick(_STAGE_FRAMES, seed, facts.segment_id, "stage").format(stage=stage)
        sentences.append(Sentence(text, "state", (facts.column("stage_context"),)))
    by_scope: dict[str, list[str]] = {}
    for (scope, name, value, _), shown in zip(facts.labels, label_texts(facts.labels), strict=True):
        if name == "stage" or value in _EMPTY_LABELS:
            continue
        by_scope.setdefault(scope, []).append(f'"{shown}"')
    for scope, shown_labels in by_scope.items():
        noun = "label" if len(shown_labels) == 1 else "labels"
        frame = words.pick(_LABEL_FRAMES, seed, facts.segment_id, f"labels-{scope}")
        text = frame.format(scope=scope, noun=noun, labels=words.join(shown_labels))
        sentences.append(Sentence(text, "state", (facts.column("labels"),)))
    return sentences


def _background(facts: PageFacts, seed: int) -> list[Sentence]:
    return background_sentences(facts, seed) + _absent(facts, "background", ABSENT_KINDS, seed)


def _absent(facts: PageFacts, section: str, kinds: tuple[str, ...], seed: int) -> list[Sentence]:
    judged = facts.judgements
    absent = tuple([k for k in kinds if k in judged and judged[k].verdict == "absent"])
    if not absent:
        return []
    frame = words.pick(_ABSENT_FRAMES, seed, facts.segment_id, f"absent-{section}")
    text = frame.format(nouns=_plurals(absent), are="is" if section == "background" else "are")
    return [Sentence(text, section, tuple([judged[k].judgement_id for k in absent]))]


_plurals = lru_cache(maxsize=4096)(words.plurals)
"""What is absent is much the same from page to page."""


def _events(section: str, family: Family) -> Callable[[PageFacts, int], list[Sentence]]:
    def write(facts: PageFacts, seed: int) -> list[Sentence]:
        sentences: list[Sentence] = []
        for kind in _KINDS_OF[family]:
            if kind in facts.by_kind:
                sentences += event_sentences(facts, kind, section, seed)
        return sentences + _absent(facts, section, _KINDS_OF[family], seed)

    return write


def _limits(facts: PageFacts, seed: int) -> list[Sentence]:
    reasons: dict[str, list[str]] = {}
    for kind in KINDS:
        judgement = facts.judgements.get(kind)
        if judgement is not None and judgement.verdict == "not_judged":
            reasons.setdefault(judgement.reason or "no usable signal", []).append(kind)
    frame = words.pick(_UNJUDGED_FRAMES, seed, facts.segment_id, "limits")
    sentences = []
    for reason, kinds in reasons.items():
        nouns = words.plurals(kinds, "and")
        text = frame.format(nouns=nouns, Nouns=nouns[0].upper() + nouns[1:], reason=reason)
        sentences.append(Sentence(text, "limits", tuple(facts.judgement_id(k) for k in kinds)))
    sentences += masked_sentences(facts, seed)
    if facts.band_hz[1] < CLINICAL_BANDS["gamma"][1]:
        frame = words.pick(_TOP_FRAMES, seed, facts.segment_id, "top")
        text = frame.format(hz=f"{round(facts.band_hz[1], 1):g}")
        sentences.append(Sentence(text, "limits", (facts.column("band_high_hz"),)))
    return sentences


SECTIONS: Mapping[str, Callable[[PageFacts, int], list[Sentence]]] = {
    "montage": _montage,
    "state": _state,
    "background": _background,
    "sleep": _events("sleep", "sleep"),
    "epileptiform": _events("epileptiform", "epileptiform"),
    "artifacts": _events("artifacts", "artifact"),
    "limits": _limits,
}
"""Section writers in the order of a description."""
