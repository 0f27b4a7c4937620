"""The kinds of question a page can be asked, each with options proved by the page's own rows.

A builder takes the facts of a page and returns drafts: a question, the right option and every
wrong option that the same findings and judgements prove wrong. A kind that was not judged is never
a distractor. Which drafts are asked, with which options, is decided over many pages in
``questions.blocks``, so that nothing can be answered from its wording; letters are dealt in
``questions``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from detectors.vocabulary import CLINICAL_BANDS, KINDS, region_of
from prompts import words
from prompts.facts.findings import FindingFact
from prompts.facts.page import PageFacts

CANNOT_TELL = "Cannot be told from this page"
NONE_OF_THESE = "None of these"
YES, NO = "Yes", "No"

MIN_CONFIDENCE = 0.4
"""A detector finding below this is ``equivocal`` (``clinical.md`` 13.2) and is asked nothing."""

EDGE_MARGIN_HZ = 0.15
"""A rhythm this close to a bin edge is not asked: its error would decide (engineering default,
four times the 0.04-Hz peak error of ``clinical.md`` 3.1)."""

FREQUENCY_BINS = ((6.0, 8.0), (8.0, 9.5), (9.5, 11.0), (11.0, 13.5))
"""Bins of the posterior rhythm, Hz; the search range of ``clinical.md`` 3.1, cut in four."""

EVENT_KINDS = tuple(k for k, kind in KINDS.items() if kind.family != "background")
ARTIFACT_KINDS = tuple(k for k, kind in KINDS.items() if kind.family == "artifact")
_TRANSIENT_KINDS = (
    "spike", "sharp", "spsw", "spindle", "kcomplex", "slow_wave", "vertex_wave", "posts",
)  # fmt: skip
PATTERN_KINDS = (
    *_TRANSIENT_KINDS, "sawtooth", "periodic_discharges", "rhythmic_delta", "rhythmic_spike_wave",
)  # fmt: skip
COUNTED_KINDS = (*_TRANSIENT_KINDS, "blink", "electrode_pop")
SIDED_KINDS = (
    "spike", "sharp", "spsw", "muscle", "flat", "electrode_pop", "asymmetry", "focal_slowing",
    "periodic_discharges", "rhythmic_delta",
)  # fmt: skip
SIDE_OPTIONS = {
    "left": "On the left", "right": "On the right", "midline": "In the midline",
    "bilateral": "On both sides",
}  # fmt: skip
FOCAL_KINDS = ("spike", "sharp", "spsw", "focal_slowing", "muscle")
STAGE_OPTIONS = {"W": "Wake", "N1": "N1", "N2": "N2", "N3": "N3", "REM": "REM"}
TIMED_KINDS = (*PATTERN_KINDS, "blink", "muscle", "movement", "electrode_pop")
HALVES = ("First seen before 5 s", "First seen at 5 s or later")
NOT_SEEN = "Not seen on this page"
TIME_OPTIONS = (*HALVES, NOT_SEEN, CANNOT_TELL)
COUNT_BINS = ("None", "One", "Two or three", "Four or more")


class Draft(NamedTuple):
    """A question before its options are drawn and lettered.

    Parameters
    ----------
    question_type
        One of :data:`BUILDERS` .
    key
        What the draft is about; no page is asked twice about one thing.
    phrasings
        The question in one or more wordings.
    right
        The right option.
    wrong
        Options proved wrong, in a fixed order.
    evidence
        Ids behind the answer.
    is_absence
        The answer is an absence or "cannot be told".
    n_options
        4, or 2 for yes/no questions.
    least_options
        Options it may be asked with where pages for the others are missing.
    is_label_aware
        The answer is copied from the corpus and not measured on the page.
    """

    question_type: str
    key: str
    phrasings: tuple[str, ...]
    right: str
    wrong: tuple[str, ...]
    evidence: tuple[str, ...]
    is_absence: bool = False
    n_options: int = 4
    least_options: int = 4
    is_label_aware: bool = False


class _Page:
    """The facts of a page as builders ask for them again and again, each looked up once."""

    __slots__ = ("_evidence", "_firm", "facts", "masked", "verdicts")

    def __init__(self, facts: PageFacts) -> None:
        self.facts = facts
        self.verdicts = {kind: j.verdict for kind, j in facts.judgements.items()}
        self.masked = {f.kind for f in facts.masked}
        self._evidence: dict[str, tuple[str, ...]] = {}
        self._firm: dict[str, bool] = {}

    def verdict(self, kind: str) -> str:
        """Return the verdict on a kind, as :meth:`prompts.facts.page.PageFacts.verdict` does."""
        return self.verdicts.get(kind, "not_judged")

    def evidence_of(self, kind: str) -> tuple[str, ...]:
        """Return the ids behind a kind."""
        ids = self._evidence.get(kind)
        if ids is None:
            ids = self._evidence[kind] = self.facts.evidence_of(kind)
        return ids

    def is_firm(self, kind: str) -> bool:
        """Whether a kind is present with something firm enough to ask about."""
        found = self._firm.get(kind)
        if found is None:
            found = self._firm[kind] = self.verdict(kind) == "present" and any(
                not f.source.startswith("detector:") or f.confidence >= MIN_CONFIDENCE
                for f in self.facts.of_kind(kind)
            )
        return found

    def hidden(self, kind: str) -> tuple[FindingFact, ...]:
        """Return the findings of a kind that something stronger hides."""
        if kind not in self.masked:
            return ()
        return tuple(f for f in self.facts.masked if f.kind == kind)


def drafts(facts: PageFacts) -> Iterator[Draft]:
    """Yield every draft the page supports, in a fixed order."""
    page = _Page(facts)
    for builder in BUILDERS.values():
        for draft in builder(page):
            if len(draft.wrong) >= min(draft.n_options, draft.least_options) - 1:
                yield draft


@cache
def _option(kind: str) -> str:
    noun = words.several(kind)
    return noun[0].upper() + noun[1:]


@cache
def _verb(kind: str, one: str, many: str) -> str:
    return one if words.several(kind) == KINDS[kind].noun else many


@cache
def _presence_forms(kind: str) -> tuple[str, str]:
    verb, noun = _verb(kind, "Is", "Are"), words.several(kind)
    article = "a " if kind == "posterior_rhythm" else ""
    return (
        f"{verb} {article}{noun} seen on this page?",
        f"{verb} there {article}{noun} on this page?",
    )


def _presence(page: _Page) -> Iterator[Draft]:
    for kind in (*EVENT_KINDS, "posterior_rhythm"):
        verdict = page.verdict(kind)
        if verdict == "not_judged" or (verdict == "present" and not page.is_firm(kind)):
            continue
        is_absent = verdict == "absent"
        right, wrong = (YES, NO) if verdict == "present" else (NO, YES)
        yield Draft(
            "presence", kind, _presence_forms(kind), right, (wrong,), page.evidence_of(kind),
            is_absent, 2, 2,
        )  # fmt: skip


def _which(name: str, kinds: tuple[str, ...], question: str) -> _Builder:
    def build(page: _Page) -> Iterator[Draft]:
        absent = [k for k in kinds if page.verdict(k) == "absent"]
        wrong = tuple([_option(k) for k in absent])
        absence_ids = tuple([page.facts.judgement_id(k) for k in absent])
        for kind in kinds:
            if page.verdict(kind) != "absent" and page.is_firm(kind):
                ids = (*page.evidence_of(kind), *absence_ids)
                yield Draft(name, kind, (question,), _option(kind), (*wrong, NONE_OF_THESE), ids)
        if len(absent) >= 3:
            yield Draft(name, f"{name}-none", (question,), NONE_OF_THESE, wrong, absence_ids, True)

    return build


def _dominant_band(page: _Page) -> Iterator[Draft]:
    facts = page.facts
    usable = [b for b in CLINICAL_BANDS if b not in facts.void_bands["clinical"]]
    if facts.dominant_band not in usable:
        return
    wrong = tuple(b.capitalize() for b in usable if b != facts.dominant_band)
    yield Draft(
        "dominant_band", "band", ("Which band is dominant once the 1/f trend is removed?",),
        facts.dominant_band.capitalize(), wrong, (facts.column("dominant_band"),),
    )  # fmt: skip


def _posterior_frequency(page: _Page) -> Iterator[Draft]:
    facts = page.facts
    question = "What is the frequency of the posterior rhythm?"
    none = "No posterior rhythm is seen"
    bins = [f"{low:g} to {high:g} Hz" for low, high in FREQUENCY_BINS]
    found = facts.of_kind("posterior_rhythm")
    if facts.verdict("posterior_rhythm") == "absent":
        absent = (facts.judgement_id("posterior_rhythm"),)
        yield Draft(
            "posterior_frequency", "absent", (question,), none, tuple(bins), absent, True,
            least_options=3,
        )  # fmt: skip
        return
    if len(found) != 1 or (value := found[0].frequency_hz) is None:
        return
    edges = {edge for pair in FREQUENCY_BINS for edge in pair}
    inside = [b for b, (low, high) in zip(bins, FREQUENCY_BINS, strict=True) if low <= value < high]
    if not inside or min(abs(value - edge) for edge in edges) < EDGE_MARGIN_HZ:
        return
    wrong = (*(b for b in bins if b != inside[0]), none)
    ids = facts.evidence_of("posterior_rhythm")
    yield Draft("posterior_frequency", "bin", (question,), inside[0], wrong, ids, least_options=3)


def _side(page: _Page) -> Iterator[Draft]:
    for kind in SIDED_KINDS:
        if not page.is_firm(kind):
            continue
        sides = {f.side for f in (*page.facts.of_kind(kind), *page.hidden(kind))}
        side = sides.pop()
        if sides or side not in SIDE_OPTIONS:
            continue
        question = f"Where {_verb(kind, 'is', 'are')} the {words.several(kind)} seen?"
        if kind == "asymmetry":
            question = "On which side is the activity larger?"
        wrong = tuple(text for s, text in SIDE_OPTIONS.items() if s != side)
        ids = page.evidence_of(kind)
        yield Draft("side", kind, (question,), SIDE_OPTIONS[side], wrong, ids, least_options=2)


def _channel(page: _Page) -> Iterator[Draft]:
    facts = page.facts
    for kind in EVENT_KINDS:
        if not page.is_firm(kind):
            continue
        found = facts.of_kind(kind)
        touched = {c for f in (*found, *page.hidden(kind)) for c in f.channels}
        leads = {f.channels[:1] for f in found}
        wrong = tuple([c for c in facts.recorded if c not in touched])
        if len(leads) != 1 or () in leads:
            continue
        ((lead,),) = leads
        is_focal = KINDS[kind].family == "epileptiform"
        form = (
            "Where {v} the {n} maximal?" if is_focal else "At which of these channels {v} {n} seen?"
        )
        question = form.format(v=_verb(kind, "is", "are"), n=words.several(kind))
        yield Draft("channel", kind, (question,), lead, wrong, page.evidence_of(kind))
    if facts.highest_channel:
        low = tuple([c for c, tier in facts.tiers.items() if tier == "low"])
        ids = (facts.column("highest_channel"), facts.column("tier"))
        question = "Which of these channels has the highest energy (average reference)?"
        yield Draft("channel", "energy", (question,), facts.highest_channel, low, ids)


@cache
def _others(options: tuple[str, ...], right: str) -> tuple[str, ...]:
    return tuple(o for o in options if o != right)


def _count(page: _Page) -> Iterator[Draft]:
    for kind in COUNTED_KINDS:
        if kind in page.masked or page.verdict(kind) == "not_judged":
            continue
        n = sum([f.count for f in page.facts.of_kind(kind)])
        if n and not page.is_firm(kind):
            continue
        right = COUNT_BINS[0 if n == 0 else 1 if n == 1 else 2 if n <= 3 else 3]
        wrong = _others(COUNT_BINS, right)
        question = f"How many {KINDS[kind].plural} does the page show?"
        ids = page.evidence_of(kind)
        yield Draft("count", kind, (question,), right, wrong, ids, n == 0, least_options=3)


def _time(page: _Page) -> Iterator[Draft]:
    """Ask in which half a kind first appears; "not seen" and "cannot be told" are answers too."""
    for kind in TIMED_KINDS:
        verdict = page.verdicts.get(kind)
        if verdict is None or kind in page.masked:
            continue
        right = NOT_SEEN if verdict == "absent" else CANNOT_TELL if verdict == "not_judged" else ""
        if verdict == "present":
            if not page.is_firm(kind):
                continue
            first = page.facts.of_kind(kind)[0]
            start = first.centre_s if kind in words.TRANSIENTS else first.t0_s
            if abs(start - 5.0) < words.S_STEP:
                continue
            right = HALVES[start >= 5.0]
        question = f"What does the page show of {KINDS[kind].plural}?"
        ids = page.evidence_of(kind)
        wrong = _others(TIME_OPTIONS, right)
        yield Draft(
            "time", kind, (question,), right, wrong, ids, verdict != "present", least_options=3
        )


def _montage(page: _Page) -> Iterator[Draft]:
    facts = page.facts
    n = len(facts.recorded)
    full = "Longitudinal bipolar chains from all 19 scalp electrodes"
    partial = "Longitudinal bipolar chains with scalp electrodes missing"
    few = "Fewer than five bipolar derivations"
    many = "Five or more bipolar derivations as recorded, not from the 19 electrodes"
    by_number = few if n < 5 else many
    by_electrodes = partial if facts.missing else full
    right = by_electrodes if facts.schema.is_referential else by_number
    wrong = tuple(o for o in (full, partial, few, many) if o != right)
    ids = (facts.column("channel_schema"), facts.column("mask"))
    yield Draft(
        "montage", "montage", ("Which montage does the page show?",), right, wrong, ids,
        least_options=2,
    )  # fmt: skip


def _region(page: _Page) -> Iterator[Draft]:
    """Ask where on the head a focal finding lies; a region it touches at all is no distractor."""
    facts = page.facts
    if not facts.schema.is_referential:
        return
    here = {region_of(c) for c in facts.recorded}
    for kind in FOCAL_KINDS:
        if not page.is_firm(kind):
            continue
        found = facts.of_kind(kind)
        regions = {f.region for f in found}
        if len(regions) != 1:
            continue
        (region,) = regions
        touched = {region_of(c) for f in (*found, *page.hidden(kind)) for c in f.channels}
        if region not in here:
            continue
        wrong = tuple(_region_option(r) for r in sorted(here - touched - {region}))
        question = f"Over which region {_verb(kind, 'does', 'do')} the {words.several(kind)} lie?"
        ids = page.evidence_of(kind)
        yield Draft(
            "region", kind, (question,), _region_option(region), wrong, ids, least_options=2
        )


def _region_option(region: str) -> str:
    return f"{region.capitalize()} region"


def _stage(page: _Page) -> Iterator[Draft]:
    """Ask for the copied stage: a page cannot show it, so the item is label-aware."""
    facts = page.facts
    if facts.stage_context not in STAGE_OPTIONS:
        return
    wrong = tuple(text for s, text in STAGE_OPTIONS.items() if s != facts.stage_context)
    yield Draft(
        "sleep_stage", "stage", ("Which stage did the scorer give the epoch this page lies in?",),
        STAGE_OPTIONS[facts.stage_context], wrong, (facts.column("stage_context"),),
        least_options=3, is_label_aware=True,
    )  # fmt: skip


_Builder = Callable[[_Page], Iterator[Draft]]

BUILDERS: Mapping[str, _Builder] = {
    "presence": _presence,
    "event_type": _which(
        "event_type", PATTERN_KINDS, "Which of these patterns is seen on this page?"
    ),
    "artifact_type": _which(
        "artifact_type", ARTIFACT_KINDS, "Which of these artifacts is seen on this page?"
    ),
    "dominant_band": _dominant_band,
    "posterior_frequency": _posterior_frequency,
    "side": _side,
    "region": _region,
    "channel": _channel,
    "count": _count,
    "time": _time,
    "montage": _montage,
    "sleep_stage": _stage,
}
