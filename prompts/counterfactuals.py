"""Pairs of texts about a page and the same page edited, and whether the texts moved in step.

A text that rests on the signal changes when the signal does: the head mirrored swaps the sides, an
event taken out is no longer told, an artifact laid over a clean page is named, and nothing else
moves (``evaluation.md`` 6.4, "counterfactual tests"). Signals are edited in
``dagster_project/corpora/edits.py``; here both pages go through features, rules and merge, both
captions are written, and a row says what must change, what must not, and what did.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from detectors.merge import Page, merge_findings
from detectors.montage import HOMOLOGOUS
from detectors.rows import finding_row, judgement_row
from detectors.rules import rule_findings
from detectors.signal.spatial import spatial_features
from detectors.signal.spectra import spectral_features
from detectors.types import CANONICAL19, SEGMENT_S, ExpertEvent, SegmentBatch, WaveformEvent
from detectors.vocabulary import KINDS
from prompts import words
from prompts.captions.caption import CAPTIONS_VERSION, caption_rows
from prompts.facts.page import PageFacts, Row, page_facts

PAIRS_VERSION = "1"
"""Raised whenever the row of the same two pages may differ."""

AWAKE_KINDS = frozenset({"blink", "lateral_eye", "muscle"})
"""Kinds whose presence argues against sleep, so that sleep findings may rightly move with them."""

_OTHER = {a: b for left, right in HOMOLOGOUS for a, b in ((left, right), (right, left))}
_SWAPPED = _OTHER | {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
_NAMES = "|".join(sorted(CANONICAL19, key=len, reverse=True))
_SIDED = re.compile(rf"\b({_NAMES}|[Ll]eft|[Rr]ight)\b")
_LISTED = re.compile(rf"\b(?:{_NAMES})(?:(?:, | and )(?:{_NAMES}))+\b")
_NAME = re.compile(rf"\b(?:{_NAMES})\b")


class Detector(Protocol):
    """What is asked of a waveform detector."""

    @property
    def weights_id(self) -> str:
        """Pinned id."""

    def detect(self, batch: SegmentBatch) -> Iterable[WaveformEvent]:
        """Return boxes."""


@dataclass(frozen=True, slots=True)
class Change:
    """One fact about a kind before and after the edit; ``what`` is ``verdict`` or ``side``."""

    kind: str
    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Edit:
    """What was done to a page.

    Parameters
    ----------
    name
        ``mirrored``, ``event_removed`` or ``artifact_added``.
    seed
        Of the wave.
    event
        What was taken out or laid over; None for a mirrored head.
    """

    name: str
    seed: int
    event: ExpertEvent | None = None

    @property
    def kind(self) -> str:
        """The kind taken out or laid over, ``""`` for a mirrored head."""
        return self.event.kind if self.event else ""


def facts_of_batch(
    batch: SegmentBatch, segment_rows: Mapping[str, Row], detector: Detector | None = None
) -> list[PageFacts]:
    """Take pages through features, rules, detector and merge, as the assets do.

    Parameters
    ----------
    batch
        The pages.
    segment_rows
        Rows of table ``segments`` by id, without the signal; rows missing from the batch are taken
        as not recorded.
    detector
        A waveform detector, or None: its kinds are then judged by the rules alone.
    """
    spectral = spectral_features(batch)
    rules = rule_findings(batch, spectral)
    boxes = list(detector.detect(batch)) if detector and batch.schema.is_referential else []
    pages = [
        Page(
            segment_id,
            batch.schema,
            tuple(n for n, ok in zip(batch.schema.ch_names, batch.mask[i], strict=True) if ok),
            SEGMENT_S if batch.recorded_s is None else float(batch.recorded_s[i]),
        )
        for i, segment_id in enumerate(batch.segment_ids)
    ]
    used = detector.weights_id if detector else ""
    merged = merge_findings(pages, rules, boxes, detector=used, batches=[batch])
    findings = _by_segment(map(finding_row, merged.findings))
    judgements = _by_segment(map(judgement_row, merged.judgements))
    spectra = {row["segment_id"]: row for row in spectral.rows(batch)}
    maps = {row["segment_id"]: row for row in spatial_features(batch).rows(batch)}
    return [
        page_facts(
            {**segment_rows[s], "mask": batch.mask[i].tolist()},
            findings.get(s, ()),
            judgements.get(s, ()),
            spectra[s],
            maps[s],
        )
        for i, s in enumerate(batch.segment_ids)
    ]


def pair_row(edit: Edit, before: PageFacts, after: PageFacts, text_seed: int = 0) -> dict[str, Any]:
    """Return the row of table ``counterfactual_pairs`` without its signals.

    Parameters
    ----------
    edit
        What was done.
    before, after
        The facts of both pages, under one segment id, so that phrasings are the same.
    text_seed
        Of the captions.
    """
    texts = [_label_free(facts, text_seed) for facts in (before, after)]
    changes, stays = expected(edit, before)
    wrong = [
        *_faults(edit, before, after, changes, stays),
        *_text_faults(edit, before, after, texts),
    ]
    event = edit.event
    return {
        "pair_id": words.sample_id(
            "pair", PAIRS_VERSION, CAPTIONS_VERSION, before.segment_id, edit.name, edit.kind,
            edit.seed, text_seed,
        ),
        "segment_id": before.segment_id,
        "edit": edit.name,
        "kind": edit.kind,
        "channels": list(event.channels) if event else [],
        "t0_s": event.t0_s if event else 0.0,
        "t1_s": event.t1_s if event else float(SEGMENT_S),
        "edit_seed": edit.seed,
        "text_seed": text_seed,
        "text_before": " ".join(texts[0]),
        "text_after": " ".join(texts[1]),
        "findings_before": _listed(before),
        "findings_after": _listed(after),
        "must_change": [_change(c) for c in changes],
        "must_not_change": [_change(c) for c in stays],
        "is_consistent": not wrong,
        "differences": wrong,
    }  # fmt: skip


def expected(edit: Edit, before: PageFacts) -> tuple[list[Change], list[Change]]:
    """Return what an edit must change and what it must leave.

    Mirrored: every lateral finding changes its side, every verdict stays. Otherwise the kind's own
    verdict changes; a kind judged absent must not appear, and one present at other times stays
    (events that touch the edited time may be hidden by it, or come out from under it). Nothing is
    claimed of sleep where :data:`AWAKE_KINDS` come or go: they are signs of wakefulness.
    """
    if edit.event is None:
        sides = {(f.kind, f.side) for f in before.findings if f.side in ("left", "right")}
        changes = [Change(kind, "side", side, _SWAPPED[side]) for kind, side in sorted(sides)]
        stays = [Change(k, "verdict", before.verdict(k), before.verdict(k)) for k in KINDS]
        return changes, stays
    was, becomes = ("present", "absent") if edit.name == "event_removed" else ("absent", "present")
    stays = []
    for kind in KINDS:
        verdict = before.verdict(kind)
        touched = any(
            f.t0_s < edit.event.t1_s and edit.event.t0_s < f.t1_s for f in before.of_kind(kind)
        )
        is_gated = edit.kind in AWAKE_KINDS and KINDS[kind].family == "sleep"
        if kind != edit.kind and verdict != "not_judged" and not (touched or is_gated):
            stays.append(Change(kind, "verdict", verdict, verdict))
    return [Change(edit.kind, "verdict", was, becomes)], stays


def mirrored_text(text: str) -> str:
    """Swap sides and homologous electrodes in a text."""
    return _SIDED.sub(lambda found: _SWAPPED.get(found[1], found[1]), text)


def text_key(sentences: Sequence[str]) -> Counter[str]:
    """Return sentences without the orders that a mirror may change.

    The order of sentences of one time, and of electrodes in a list, says nothing; what is said of a
    list's length and members stays.
    """
    return Counter(_LISTED.sub(_in_order, sentence) for sentence in sentences)


def _in_order(found: re.Match[str]) -> str:
    return ", ".join(sorted(_NAME.findall(found[0])))


def _label_free(facts: PageFacts, seed: int) -> list[str]:
    row = next(r for r in caption_rows(facts, seed) if r["variant"] == "label_free")
    return [sentence["text"] for sentence in row["sentences"]]


def _faults(
    edit: Edit,
    before: PageFacts,
    after: PageFacts,
    changes: Sequence[Change],
    stays: Sequence[Change],
) -> list[str]:
    found = []
    for change in changes:
        if change.what == "side":
            sides = {f.side for f in after.of_kind(change.kind)}
            if change.after not in sides:
                found.append(f"{change.kind}: no finding on the {change.after} after the mirror")
            continue
        for when, facts, wanted in (
            ("before", before, change.before),
            ("after", after, change.after),
        ):
            verdict = facts.verdict(change.kind)
            # what hides the absence of an event is no fault of the edit
            is_fair = wanted == "absent" and verdict == "not_judged"
            if verdict != wanted and not is_fair:
                found.append(f"{change.kind}: {verdict} {when} the edit, {wanted} expected")
    for stay in stays:
        verdict = after.verdict(stay.kind)
        is_hidden = edit.event is not None and verdict == "not_judged"
        if verdict != stay.after and not is_hidden:
            found.append(f"{stay.kind}: {stay.after} before the edit, {verdict} after it")
    return found


def _text_faults(
    edit: Edit, before: PageFacts, after: PageFacts, texts: Sequence[Sequence[str]]
) -> list[str]:
    if edit.event is None:
        wanted = text_key([mirrored_text(sentence) for sentence in texts[0]])
        found = text_key(texts[1])
        missing, more = wanted - found, found - wanted
        return [
            *(f"text: mirrored sentence is missing: {s}" for s in missing.elements()),
            *(f"text: sentence has no mirror: {s}" for s in more.elements()),
        ]
    is_added = edit.name == "artifact_added"
    is_told = [tells(t, facts, edit.kind) for t, facts in zip(texts, (before, after), strict=True)]
    noun = KINDS[edit.kind].noun
    if is_told[1] != is_added:
        return [f"text: {noun} is {'not named' if is_added else 'still told'} after the edit"]
    if is_told[0] == is_added:
        return [f"text: {noun} is {'told' if is_added else 'not told'} before the edit"]
    return []


def tells(sentences: Sequence[str], facts: PageFacts, kind: str) -> bool:
    """Whether sentences tell a kind as present: they name it, and not as absent or set aside."""
    names = {KINDS[kind].noun.lower(), KINDS[kind].plural.lower()}
    denials = ("no ", "there are no", "there is no", "not judged", "set aside")
    for sentence in sentences:
        low = sentence.lower()
        if low.startswith(denials) or "could not be judged" in low:
            continue
        if any(re.search(rf"(?<![\w-]){re.escape(n)}(?![\w-])", low) for n in names):
            return True
    return False


def _by_segment(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["segment_id"], []).append(row)
    return found


def _listed(facts: PageFacts) -> list[dict[str, Any]]:
    return [
        {
            "finding_id": f.finding_id, "kind": f.kind, "channels": list(f.channels),
            "side": f.side, "t0_s": f.t0_s, "t1_s": f.t1_s, "confidence": f.confidence,
            "is_masked": f.is_masked,
        }
        for f in (*facts.findings, *facts.masked)
    ]  # fmt: skip


def _change(change: Change) -> dict[str, str]:
    return {
        "kind": change.kind, "what": change.what, "before": change.before, "after": change.after,
    }  # fmt: skip
