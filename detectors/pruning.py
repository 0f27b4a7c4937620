"""One finding per event: same-time rows grouped, unsupported pruned, bursts joined, one name kept.

A box is one row high, so what a reader sees as one event comes as many boxes; and a sharp wave on a
single row is an artifact until its neighbours say otherwise (IFCN, field criterion; ``systems.md``
6.6). One wave may be found under two names as well: a spike-and-wave complex whose slow wave has a
blink's length. Merging with the rules and masking what is covered are in :mod:`detectors.merge`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from detectors._rule_common import Box, Limit, group_boxes
from detectors.montage import NEIGHBOURS, side_and_region
from detectors.rows import is_masked
from detectors.types import CANONICAL19, Finding, Measure, WaveformEvent
from detectors.vocabulary import KINDS, WAVEFORMS, side_of

LIMITS: dict[str, Limit] = {
    "same_time_iou": Limit(0.3, "1", "engineering default: rows of one event"),
    "support_s": Limit(0.1, "s", "systems.md 6.6: adjacent channel within 100 ms"),
    "sleep_rows": Limit(2, "rows", "systems.md 6.6: spindle and K-complex"),
    "gap_s": Limit(0.5, "s", "systems.md 6.6"),
    "same_wave_share": Limit(0.5, "1", "engineering default: of the shorter of two, and of rows"),
    "sure_criteria": Limit(5, "1", "clinical.md 4.2: a discharge meets five or more of six"),
}
"""Constants of this module with their source marks."""

_EPILEPTIFORM = frozenset(k for k, entry in KINDS.items() if entry.family == "epileptiform")
_FRONTOCENTRAL = frozenset({"F3", "Fz", "F4", "C3", "Cz", "C4"})
_FRONTOPOLAR = frozenset({"Fp1", "Fp2"})
_OTHER_NAMES = frozenset({"blink", "slow_wave"})
"""Kinds that the slow wave of a spike-and-wave complex is called besides. A K-complex or a vertex
wave is no such name: it speaks against the complex (:mod:`detectors.epileptiform.benign`)."""
_LATERAL_SIGN = {"eyer+": 1.0, "eyer-": -1.0}


@dataclass(frozen=True, slots=True)
class _Group:
    """Boxes of one kind at the same time, strongest first."""

    kind: str
    boxes: tuple[WaveformEvent, ...]

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(box.channel for box in self.boxes))

    @property
    def t0_s(self) -> float:
        return min(box.t0_s for box in self.boxes)

    @property
    def t1_s(self) -> float:
        return max(box.t1_s for box in self.boxes)


def grouped_findings(
    segment_id: str, events: Sequence[WaveformEvent], detector: str
) -> list[Finding]:
    """Turn the boxes of one segment into findings.

    Parameters
    ----------
    segment_id
        The segment.
    events
        Its boxes, in any order.
    detector
        Pinned weights id.

    Returns
    -------
    list of Finding
        Pruned ones carry a ``mask_reason``. Every finding carries ``count``, the number of events
        joined in it, and ``duration_s``, the median length of its boxes. Its confidence is that of
        its strongest box.
    """
    by_kind: dict[str, list[WaveformEvent]] = {}
    for event in events:
        by_kind.setdefault(WAVEFORMS[event.waveform].kind, []).append(event)
    findings = []
    for kind in sorted(by_kind):
        groups = _same_time(kind, by_kind[kind])
        reasons = [_prune_reason(group, events) for group in groups]
        kept = [g for g, reason in zip(groups, reasons, strict=True) if not reason]
        findings += [_finding(segment_id, burst, detector) for burst in _bursts(kept)]
        findings += [
            replace(_finding(segment_id, [group], detector), mask_reason=reason)
            for group, reason in zip(groups, reasons, strict=True)
            if reason
        ]
    return findings


def _same_time(kind: str, events: Sequence[WaveformEvent]) -> list[_Group]:
    ordered = sorted(events, key=lambda e: (e.t0_s, e.t1_s, e.channel, e.waveform, e.confidence))
    boxes = [Box(k, e.t0_s, e.t1_s, e.confidence) for k, e in enumerate(ordered)]
    return [
        _Group(kind, tuple(ordered[box.row] for box in group))
        for group in group_boxes(boxes, LIMITS["same_time_iou"].value)
    ]


def _has_neighbour(group: _Group, events: Sequence[WaveformEvent]) -> bool:
    """Whether a box of any epileptiform class lies on an adjacent row within 100 ms."""
    near = [e for e in events if WAVEFORMS[e.waveform].kind in _EPILEPTIFORM]
    return any(
        other.channel in NEIGHBOURS.get(box.channel, ())
        and _distance(box, other) <= LIMITS["support_s"].value
        for box in group.boxes
        for other in near
    )


def _distance(a: WaveformEvent, b: WaveformEvent) -> float:
    """Time between two boxes: 0 where they overlap."""
    return max(0.0, max(a.t0_s, b.t0_s) - min(a.t1_s, b.t1_s))


def _has_two_rows(group: _Group, events: Sequence[WaveformEvent]) -> bool:
    del events
    channels = set(group.channels)
    return len(channels) >= LIMITS["sleep_rows"].value and bool(channels & _FRONTOCENTRAL)


def _has_both_fp(group: _Group, events: Sequence[WaveformEvent]) -> bool:
    del events
    return {"Fp1", "Fp2"} <= set(group.channels)


def _has_both_sides(group: _Group, events: Sequence[WaveformEvent]) -> bool:
    del events
    return {"left", "right"} <= {side_of(name) for name in group.channels}


_Check = Callable[[_Group, Sequence[WaveformEvent]], bool]
_SUPPORT: dict[str, tuple[_Check, str]] = {
    "spike": (_has_neighbour, "no support on an adjacent row"),
    "sharp": (_has_neighbour, "no support on an adjacent row"),
    "spsw": (_has_neighbour, "no support on an adjacent row"),
    "spindle": (_has_two_rows, "fewer than two rows with a frontal or central one"),
    "kcomplex": (_has_two_rows, "fewer than two rows with a frontal or central one"),
    "blink": (_has_both_fp, "not on both Fp1 and Fp2"),
    "lateral_eye": (_has_both_sides, "not on both sides"),
}
"""Support a group needs, per kind (``systems.md`` 6.6); muscle may be on one row."""


def _prune_reason(group: _Group, events: Sequence[WaveformEvent]) -> str:
    if group.kind not in _SUPPORT:
        return ""
    has_support, reason = _SUPPORT[group.kind]
    return "" if has_support(group, events) else reason


def _bursts(groups: Sequence[_Group]) -> list[list[_Group]]:
    """Join groups of one kind that share a row and lie less than 0.5 s apart."""
    bursts: list[list[_Group]] = []
    for group in sorted(groups, key=lambda g: (g.t0_s, g.t1_s, g.channels)):
        for burst in bursts:
            is_near = group.t0_s - max(g.t1_s for g in burst) < LIMITS["gap_s"].value
            if is_near and set(group.channels) & {name for g in burst for name in g.channels}:
                burst.append(group)
                break
        else:
            bursts.append([group])
    return bursts


def joined_bursts(findings: Sequence[Finding]) -> list[Finding]:
    """Join findings of one kind that share a row and lie less than 0.5 s apart.

    The strongest speaks for the burst: its channels, its measures; ``count`` says how many there
    are and the interval holds them all. Masked findings stay apart.
    """
    bursts: list[list[Finding]] = []
    for finding in sorted(findings, key=lambda f: (f.t0_s, f.t1_s, f.kind, f.channels)):
        home = None if is_masked(finding) else _burst_of(finding, bursts)
        if home is None:
            bursts.append([finding])
        else:
            home.append(finding)
    return [_spoken_for(burst) for burst in bursts]


def _burst_of(finding: Finding, bursts: Sequence[list[Finding]]) -> list[Finding] | None:
    for burst in bursts:
        if is_masked(burst[0]) or burst[0].kind != finding.kind:
            continue
        is_near = finding.t0_s - max(f.t1_s for f in burst) < LIMITS["gap_s"].value
        if is_near and set(finding.channels) & {name for f in burst for name in f.channels}:
            return burst
    return None


def _spoken_for(burst: Sequence[Finding]) -> Finding:
    if len(burst) == 1:
        return burst[0]
    best = max(burst, key=lambda f: (f.confidence, -f.t0_s))
    n_events = sum(f.measure("count") or 1.0 for f in burst)
    others = tuple(m for m in best.measures if m.name != "count")
    return replace(
        best,
        t0_s=min(f.t0_s for f in burst),
        t1_s=max(f.t1_s for f in burst),
        measures=(Measure("count", n_events, "1"), *others),
    )


def under_one_name(findings: Sequence[Finding]) -> list[Finding]:
    """Mask what is only another name for the wave of a spike-and-slow-wave complex.

    The two share half of the shorter one's time and half of the other's rows. A blink gives way
    only to a complex of five criteria whose maximum is not over the eyes.
    """
    complexes = [f for f in findings if f.kind == "spsw" and not is_masked(f)]
    if not complexes:
        return list(findings)
    return [
        f if is_masked(f) or f.kind not in _OTHER_NAMES else _renamed(f, complexes)
        for f in findings
    ]


def _renamed(finding: Finding, complexes: Sequence[Finding]) -> Finding:
    least = LIMITS["same_wave_share"].value
    for whole in complexes:
        rows = len(set(whole.channels) & set(finding.channels))
        shared_s = min(whole.t1_s, finding.t1_s) - max(whole.t0_s, finding.t0_s)
        shorter_s = min(whole.t1_s - whole.t0_s, finding.t1_s - finding.t0_s)
        is_same = shared_s >= least * shorter_s and rows >= least * len(finding.channels) > 0
        if is_same and (finding.kind != "blink" or _is_no_blink(whole)):
            reason = f"same wave as {KINDS[whole.kind].noun}"
            return replace(finding, masked_by=whole.finding_id, mask_reason=reason)
    return finding


def _is_no_blink(whole: Finding) -> bool:
    criteria = whole.measure("ifcn_n_criteria") or 0.0
    return criteria >= LIMITS["sure_criteria"].value and whole.channels[0] not in _FRONTOPOLAR


def _finding(segment_id: str, burst: Sequence[_Group], detector: str) -> Finding:
    boxes = [box for group in burst for box in group.boxes]
    strength: dict[str, float] = {}
    for box in boxes:
        strength[box.channel] = max(box.confidence, strength.get(box.channel, 0.0))
    channels = sorted(strength, key=lambda n: (-strength[n], CANONICAL19.index(n)))
    lengths = sorted(box.t1_s - box.t0_s for box in boxes)
    measures = [
        Measure("count", float(len(burst)), "1"),
        Measure("duration_s", round(lengths[len(lengths) // 2], 4), "s"),
    ]
    if burst[0].kind == "lateral_eye":
        measures += _gaze(burst[0])
    side, region = side_and_region(tuple(channels))
    return Finding(
        segment_id=segment_id,
        kind=burst[0].kind,
        channels=tuple(channels),
        t0_s=round(min(g.t0_s for g in burst), 3),
        t1_s=round(max(g.t1_s for g in burst), 3),
        measures=tuple(measures),
        confidence=round(max(box.confidence for box in boxes), 4),
        source=f"detector:{detector}",
        side=side,
        region=region,
    )


def _gaze(group: _Group) -> list[Measure]:
    """Direction of the first movement: eyes right is positive on the right (``clinical.md`` 8)."""
    signs = {"left": -1.0, "right": 1.0, "midline": 0.0}
    total = sum(
        _LATERAL_SIGN[box.waveform] * signs[side_of(box.channel)] * box.confidence
        for box in group.boxes
    )
    return [Measure("gaze_right", 1.0 if total > 0 else -1.0, "1")] if total else []
