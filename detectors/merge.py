"""Rules and detector merged: pruned, grouped, agreed, masked, judged. What text is written from.

Order of work on a segment: boxes above threshold become groups of rows at the same time; groups
without the support their kind needs are pruned; where the signal is at hand discharges are searched
by rule and judged by the six IFCN criteria; bursts are joined; two findings of one thing become one;
other names for a complex's own wave are masked, and so is what a stronger kind covers; then every
kind gets exactly one judgement. Pruned and masked findings stay, with the reason; only what ten
seconds cannot show is refused (:mod:`detectors.guard`).
Grouping and pruning are in :mod:`detectors.pruning`; how things are found is elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from detectors._rule_common import Limit
from detectors.artifacts.chain import hiding_rows
from detectors.artifacts.readable import put_aside, unless_unread, why_unreadable
from detectors.artifacts.usable import covered_s, hiding, usable_by_row
from detectors.epileptiform.judge import EPILEPTIFORM, PATTERNS, proven_findings, ruled_kinds
from detectors.guard import guarded
from detectors.montage import side_and_region
from detectors.pruning import grouped_findings, under_one_name
from detectors.rows import event_from_row, finding_from_row, is_masked, judgement_from_row
from detectors.types import (
    SEGMENT_S,
    ChannelSchema,
    Finding,
    Judgement,
    RuleResult,
    SegmentBatch,
    Verdict,
    WaveformEvent,
    why_short,
)
from detectors.vocabulary import KINDS, WAVEFORMS

_Item = TypeVar("_Item", Finding, Judgement, WaveformEvent)

VERSION = "4"
"""Version of the merge."""

LIMITS: dict[str, Limit] = {
    "mask_share": Limit(0.5, "1", "systems.md 6.6, engineering default"),
    "agree_share": Limit(0.5, "1", "engineering default: overlap of the shorter of two"),
    "hidden_share": Limit(0.5, "1", "engineering default: artifacts cover most of the page"),
}
"""Constants of this module with their source marks."""

DETECTOR_KINDS = frozenset(waveform.kind for waveform in WAVEFORMS.values())
"""Kinds the nine detector classes can say something about."""

_FAMILY = {kind: entry.family for kind, entry in KINDS.items()}
_COVERABLE = frozenset(k for k, family in _FAMILY.items() if family != "background")
"""Kinds a stronger one can mask. Background is measured on clean seconds only, so it is not."""
_NEEDED_ROWS: dict[str, tuple[frozenset[str], ...]] = {
    "blink": (frozenset({"Fp1"}), frozenset({"Fp2"})),
    "lateral_eye": (frozenset({"F7"}), frozenset({"F8"})),
    "spindle": (frozenset({"C3", "Cz", "C4"}),),
    "kcomplex": (frozenset({"F3", "Fz", "F4"}),),
    "slow_wave": (frozenset({"F3", "Fz", "F4"}),),
    "vertex_wave": (frozenset({"Cz"}),),
    "sawtooth": (frozenset({"Cz"}),),
    "posts": (frozenset({"O1", "O2"}),),
}
"""Per kind: sets of rows, one of each set must have a usable second, else it is not judged."""


@dataclass(frozen=True, slots=True)
class Page:
    """One segment to be merged.

    Parameters
    ----------
    segment_id
        Which.
    schema
        What its rows are.
    recorded
        Names of the rows that were recorded.
    recorded_s
        Seconds from the start that were recorded; less than all and nothing is judged.
    """

    segment_id: str
    schema: ChannelSchema
    recorded: tuple[str, ...]
    recorded_s: float = SEGMENT_S


def merge_findings(
    pages: Sequence[Page],
    rules: RuleResult,
    events: Iterable[WaveformEvent],
    *,
    detector: str,
    detector_kinds: Collection[str] = DETECTOR_KINDS,
    thresholds: Mapping[str, float] | None = None,
    batches: Iterable[SegmentBatch] = (),
    is_strict: bool = False,
) -> RuleResult:
    """Merge what rules and detector say about segments.

    Parameters
    ----------
    pages
        The segments, in the order the result is wanted.
    rules
        Findings and judgements of the rules, in any order.
    events
        Boxes of the detector, in any order.
    detector
        Pinned weights id; ``""`` where no detector ran.
    detector_kinds
        Kinds that detector can judge.
    thresholds
        Smallest confidence per detector class; classes left out keep every box.
    batches
        The signal of the segments, read once and in turn. Where it is here discharges are
        also searched by rule, and they and the boxes need four of the six IFCN criteria; without it
        boxes are kept or pruned by their neighbours alone and carry no record.
    is_strict
        Raise on a finding that ten seconds cannot show instead of dropping it.

    Returns
    -------
    RuleResult
        All findings, masked ones included, by segment, then time, then kind; and for every segment
        one judgement of every kind of :data:`detectors.vocabulary.KINDS`, in their order.

    Raises
    ------
    ValueError
        If a finding, judgement or event belongs to none of the pages.
    BeyondPageError
        If ``is_strict`` and a finding claims what ten seconds cannot show.
    """
    least = thresholds or {}
    found = _by_segment(pages, rules.findings)
    judged = _by_segment(pages, rules.judgements)
    kept = [e for e in events if e.confidence >= least.get(e.waveform, 0.0)]
    boxes = _by_segment(pages, kept)
    readable = frozenset(detector_kinds) if detector else frozenset()
    proven = proven_findings(batches, boxes, found, detector)
    findings: list[Finding] = []
    judgements: list[Judgement] = []
    for page in pages:
        here = page.segment_id
        merged = _merge_page(page, found[here], boxes[here], detector, proven.get(here))
        unread = why_unreadable(judged[here])
        merged = [put_aside(f, unread) for f in guarded(merged, is_strict=is_strict)]
        findings.extend(merged)
        by_kind = {j.kind: j for j in judged[here]}
        known = readable | ruled_kinds(page.recorded) if here in proven else readable
        judgements.extend(
            unless_unread(_judge(page, kind, merged, by_kind.get(kind), detector, known), unread)
            for kind in KINDS
        )
    return RuleResult(tuple(findings), tuple(judgements))


def merge_shard(
    segments: Iterable[Mapping[str, Any]],
    findings: Iterable[Mapping[str, Any]],
    judgements: Iterable[Mapping[str, Any]],
    events: Iterable[Mapping[str, Any]],
    *,
    detector: str,
    batches: Iterable[SegmentBatch],
) -> RuleResult:
    """Merge the stored rows of one shard.

    Parameters
    ----------
    segments
        Rows with ``segment_id``, ``channel_schema``, ``mask`` and ``recorded_s``.
    findings, judgements
        Rows of ``rule_findings`` and ``rule_judgements``.
    events
        Rows of ``waveform_events``.
    detector
        Id of the weights that read the shard, with or without boxes; ``""`` where no detector ran.
    batches
        The signal of the segments, see :func:`merge_findings`.

    Raises
    ------
    ValueError
        If an event comes from another detector.
    """
    boxes = list(events)
    others = sorted({row["detector"] for row in boxes} - {detector})
    if others:
        raise ValueError(
            f"events of detectors {', '.join(others)} lie in a shard read by {detector!r}; rebuild "
            "its waveform_events with one pinned detector"
        )
    pages = []
    for row in segments:
        schema = ChannelSchema.parse(row["channel_schema"])
        pages.append(Page(row["segment_id"], schema, recorded_names(row), row["recorded_s"]))
    rules = RuleResult(
        tuple(finding_from_row(row) for row in findings),
        tuple(judgement_from_row(row) for row in judgements),
    )
    seen = [event_from_row(row) for row in boxes]
    return merge_findings(pages, rules, seen, detector=detector, batches=batches)


def recorded_names(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the recorded rows of a ``segments`` row."""
    names = ChannelSchema.parse(row["channel_schema"]).ch_names
    return tuple(name for name, there in zip(names, row["mask"], strict=True) if there)


def _by_segment(pages: Sequence[Page], items: Iterable[_Item]) -> dict[str, list[_Item]]:
    sorted_out: dict[str, list[_Item]] = {page.segment_id: [] for page in pages}
    for item in items:
        if item.segment_id not in sorted_out:
            raise ValueError(
                f"segment {item.segment_id!r} of a {type(item).__name__} is not among the "
                f"{len(pages)} merged; rebuild rules and events from the same segments"
            )
        sorted_out[item.segment_id].append(item)
    return sorted_out


def _merge_page(
    page: Page,
    rules: Sequence[Finding],
    events: Sequence[WaveformEvent],
    detector: str,
    proven: Sequence[Finding] | None,
) -> list[Finding]:
    if proven is None:
        detected = grouped_findings(page.segment_id, events, detector)
    else:
        others = [e for e in events if WAVEFORMS[e.waveform].kind not in EPILEPTIFORM]
        detected = [*grouped_findings(page.segment_id, others, detector), *proven]
    findings = _agree(rules, detected)
    findings = _mask(under_one_name(findings))
    order = tuple(KINDS)
    return sorted(findings, key=lambda f: (f.t0_s, order.index(f.kind), f.t1_s, f.channels))


def _agree(rules: Sequence[Finding], detected: Sequence[Finding]) -> list[Finding]:
    """Join a rule's and the detector's finding of the same kind, time and a common row."""
    left = list(detected)
    joined = []
    for finding in rules:
        partners = [
            other
            for other in left
            if other.kind == finding.kind
            and not is_masked(other)
            and set(other.channels) & set(finding.channels)
            and _overlap_share(finding, other) >= LIMITS["agree_share"].value
        ]
        left = [other for other in left if other not in partners]
        for partner in partners:
            finding = _joined(finding, partner)
        joined.append(finding)
    return joined + left


def _joined(first: Finding, second: Finding) -> Finding:
    """One finding of two: both sources, rows of both, union of times, evidence added up.

    Confidence is ``1 - (1 - a) * (1 - b)``: two witnesses taken as independent (engineering
    default). Where both took the same measure the rule's is kept: it names its derivation.
    """
    channels = tuple(dict.fromkeys(first.channels + second.channels))
    side, region = side_and_region(channels)
    taken = {m.name for m in first.measures}
    sources = dict.fromkeys(first.source.split("+") + second.source.split("+"))
    return replace(
        first,
        channels=channels,
        side=side,
        region=region,
        t0_s=min(first.t0_s, second.t0_s),
        t1_s=max(first.t1_s, second.t1_s),
        measures=first.measures + tuple(m for m in second.measures if m.name not in taken),
        confidence=round(1.0 - (1.0 - first.confidence) * (1.0 - second.confidence), 4),
        source="+".join(sources),
    )


def _overlap(a: Finding, b: Finding) -> float:
    return max(0.0, min(a.t1_s, b.t1_s) - max(a.t0_s, b.t0_s))


def _overlap_share(a: Finding, b: Finding) -> float:
    return _overlap(a, b) / max(min(a.t1_s - a.t0_s, b.t1_s - b.t0_s), 1e-9)


def _mask(findings: Sequence[Finding]) -> list[Finding]:
    """Mask every finding that stronger kinds cover for half of its time on its rows."""
    active = [f for f in findings if not is_masked(f)]
    return [f if is_masked(f) or f.kind not in _COVERABLE else _masked(f, active) for f in findings]


def _masked(finding: Finding, active: Sequence[Finding]) -> Finding:
    stronger = [g for g in active if _hides(g, finding) and _overlap(g, finding) > 0]
    if not stronger or not finding.channels:
        return finding
    length = max(finding.t1_s - finding.t0_s, 1e-9)
    covered = 0.0
    for name in finding.channels:
        spans = sorted((g.t0_s, g.t1_s) for g in stronger if name in hiding_rows(g))
        covered += covered_s(spans, finding.t0_s, finding.t1_s)
    if covered < LIMITS["mask_share"].value * length * len(finding.channels):
        return finding

    def weight(g: Finding) -> tuple[float, int, str]:
        rows = len(set(hiding_rows(g)) & set(finding.channels))
        return (rows * _overlap(g, finding), KINDS[g.kind].priority, g.finding_id)

    hider = max(stronger, key=weight)
    reason = f"covered by {KINDS[hider.kind].noun}"
    return replace(finding, masked_by=hider.finding_id, mask_reason=reason)


def _hides(strong: Finding, weak: Finding) -> bool:
    """Whether a kind can hide another; mains sits on one frequency and hides only fast noise."""
    if KINDS[strong.kind].priority <= KINDS[weak.kind].priority:
        return False
    if not set(hiding_rows(strong)) & set(weak.channels):
        return False
    # the discharges a pattern is made of do not hide it
    is_part = weak.kind in PATTERNS and _FAMILY[strong.kind] == "epileptiform"
    return not is_part and (strong.kind != "mains" or weak.kind == "muscle")


def _judge(
    page: Page,
    kind: str,
    findings: Sequence[Finding],
    by_rule: Judgement | None,
    detector: str,
    readable: frozenset[str],
) -> Judgement:
    short = why_short(page.recorded_s)
    if short:
        return Judgement(page.segment_id, kind, "not_judged", short)
    shown = tuple(f.finding_id for f in findings if f.kind == kind and not is_masked(f))
    if shown:
        return Judgement(page.segment_id, kind, "present", "", shown)
    ruled = by_rule is not None and by_rule.verdict != "not_judged"
    detected = kind in readable and page.schema.is_referential and bool(page.recorded)
    if not (ruled or detected):
        reason = _why_unjudged(page, kind, by_rule, bool(detector), readable)
        return Judgement(page.segment_id, kind, "not_judged", reason)
    reason = _hidden(page, kind, findings)
    verdict: Verdict = "not_judged" if reason else "absent"
    return Judgement(page.segment_id, kind, verdict, reason)


def _why_unjudged(
    page: Page,
    kind: str,
    by_rule: Judgement | None,
    has_detector: bool,
    readable: frozenset[str],
) -> str:
    if by_rule is not None and by_rule.reason:
        return by_rule.reason
    if not has_detector:
        return "no detector ran"
    if kind not in readable:
        return "neither rule nor detector knows it"
    return "no recorded row" if not page.recorded else "detector reads referential19 only"


def _hidden(page: Page, kind: str, findings: Sequence[Finding]) -> str:
    """Why an absence cannot be claimed although the kind was looked for, or ``""``."""
    if _FAMILY[kind] == "background":
        return ""
    strong = hiding(findings, KINDS[kind].priority)
    usable = usable_by_row(page.recorded, strong)
    for group in _NEEDED_ROWS.get(kind, ()):
        if page.schema.is_referential and max((usable.get(r, 0.0) for r in group), default=0) < 1:
            return f"no usable second on {'/'.join(sorted(group))}"
    if _FAMILY[kind] in ("sleep", "epileptiform"):
        covered = SEGMENT_S - sum(usable.values()) / max(len(usable), 1)
        if covered >= LIMITS["hidden_share"].value * SEGMENT_S:
            return f"artifacts cover {covered:.0f} of {SEGMENT_S} s"
    return ""
