"""What several experts say together: marks matched, and a share of those who looked.

Each expert's boxes stay as they are in table ``annotator_boxes``; here they become one row per wave
in ``waveform_annotations``. Who drew what is :mod:`dagster_project.corpora.annotations.boxes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dagster_project.corpora.annotations.boxes import AnnotatedPage, Box
from detectors._rule_common import Limit

LIMITS: dict[str, Limit] = {
    "vote_iou": Limit(
        0.2, "1", "evaluation.md 6.8: IoU at which two marks of a graphoelement agree"
    ),
}
"""Constants of this module with their source marks."""

NAMED = ("expert_", "annotator-")
"""How annotators are called where a corpus keeps several apart."""


@dataclass(frozen=True, slots=True)
class Voted:
    """One wave: its box, who marked it, and their share of those who looked."""

    box: Box
    annotators: tuple[str, ...]
    weight: float


def is_named(box: Box) -> bool:
    """Whether a box is one expert's of several."""
    return box.annotator.startswith(NAMED)


def vote(page: AnnotatedPage, boxes: Sequence[Box]) -> list[Voted]:
    """Return one row per wave.

    Boxes of a corpus with one voice count in full, and where there are any of a class, single
    annotators' of that class add nothing: they were agreed on already. Marks of several experts on
    one row that overlap enough are one wave with the mean of their edges; its weight is the share
    of the experts that looked for this kind in this segment.

    Parameters
    ----------
    page
        The segment; its ``looked`` says who looked for what.
    boxes
        Of :func:`~dagster_project.corpora.annotations.boxes_of`.
    """
    agreed = [box for box in boxes if not is_named(box)]
    settled = {box.waveform for box in agreed}
    voted = [Voted(box, (box.annotator,), 1.0) for box in agreed]
    single = [box for box in boxes if is_named(box) and box.waveform not in settled]
    for waveform, channel in sorted({(b.waveform, b.channel) for b in single}):
        here = [b for b in single if (b.waveform, b.channel) == (waveform, channel)]
        voted += _voted(page, here)
    return sorted(voted, key=lambda v: (v.box.t0_s, v.box.channel, v.box.waveform))


def _voted(page: AnnotatedPage, boxes: Sequence[Box]) -> list[Voted]:
    looked = {name for name, kind in page.looked if kind == boxes[0].kind}
    n_experts = len(looked | {box.annotator for box in boxes})
    return [
        Voted(_mean(group), tuple(sorted(b.annotator for b in group)), len(group) / n_experts)
        for group in _groups(boxes)
    ]


def _groups(boxes: Iterable[Box]) -> list[list[Box]]:
    """Match marks in order of onset; a group holds at most one of each expert."""
    groups: list[list[Box]] = []
    for box in sorted(boxes, key=lambda b: (b.t0_s, b.t1_s, b.annotator)):
        open_ones = [
            g
            for g in groups
            if all(b.annotator != box.annotator for b in g)
            and _iou(_mean(g), box) >= LIMITS["vote_iou"].value
        ]
        best = max(open_ones, key=lambda g: _iou(_mean(g), box), default=None)
        if best is None:
            groups.append([box])
        else:
            best.append(box)
    return groups


def _mean(group: Sequence[Box]) -> Box:
    first = min(group, key=lambda b: b.annotator)
    if len(group) == 1:
        return first
    t0_s = sum(b.t0_s for b in group) / len(group)
    t1_s = sum(b.t1_s for b in group) / len(group)
    sources = "+".join(sorted(b.source for b in group))
    return Box(
        first.waveform, first.channel, round(t0_s, 6), round(t1_s, 6), first.kind, sources,
        first.annotator, any(b.is_placed for b in group),
    )  # fmt: skip


def _iou(a: Box, b: Box) -> float:
    shared = min(a.t1_s, b.t1_s) - max(a.t0_s, b.t0_s)
    whole = max(a.t1_s, b.t1_s) - min(a.t0_s, b.t0_s)
    return shared / whole if shared > 0 and whole > 0 else 0.0
