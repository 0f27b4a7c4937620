"""Candidate discharges: what the rule's templates and the detector's boxes show at one peak.

Boxes that peak or lie together are one candidate, and with them what :mod:`detectors.epileptiform.discharges`
finds there. What a candidate is worth is decided in :mod:`detectors.epileptiform.judge`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detectors._rule_common import Limit, margin_confidence
from detectors.epileptiform.discharges import LIMITS as DISCHARGE_LIMITS
from detectors.epileptiform.discharges import VERSION, Fit, Search, lone_fit, search
from detectors.epileptiform.localisation import ADJACENT
from detectors.epileptiform.transient_signal import Rows, box_peak, second_difference
from detectors.types import CANONICAL19, SEGMENT_S, SFREQ_HZ, SegmentBatch, WaveformEvent
from detectors.vocabulary import KINDS, WAVEFORMS

LIMITS: dict[str, Limit] = {
    "same_peak_s": Limit(0.06, "s", "engineering default: rows of one discharge peak within this"),
    "same_box_iou": Limit(0.5, "1", "engineering default: rows of one discharge overlap this far"),
}
"""Constants of this module with their source marks."""

ROW = {name: i for i, name in enumerate(CANONICAL19)}
"""Place of every electrode in the canonical order."""


_Peaked = tuple[int, WaveformEvent]
"""A box with the sample it peaks at on its own row."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What was seen at one peak: the rule's template, the detector's boxes, or both.

    ``fit`` is measured for boxes too; ``is_ruled`` says that the rule found it by itself.
    """

    segment_id: str
    fit: Fit
    is_ruled: bool
    boxes: tuple[WaveformEvent, ...]

    @property
    def kind(self) -> str:
        """The class most strongly believed in, the stronger kind where two are equal."""
        belief: dict[str, float] = {}
        for box in self.boxes:
            kind = WAVEFORMS[box.waveform].kind
            belief[kind] = belief.get(kind, 0.0) + box.confidence
        if not belief:
            return self.fit.kind
        return max(belief, key=lambda kind: (round(belief[kind], 6), KINDS[kind].priority))

    @property
    def own_rows(self) -> tuple[int, ...]:
        """Rows it was seen on."""
        return tuple(dict.fromkeys([self.fit.row, *(ROW[box.channel] for box in self.boxes)]))

    @property
    def is_supported(self) -> bool:
        """Whether two adjacent rows carry it (``systems.md`` 6.6); the rule's field does."""
        own = [ROW[box.channel] for box in self.boxes]
        return self.is_ruled or bool(ADJACENT[np.ix_(own, own)].any())

    @property
    def span_s(self) -> tuple[float, float]:
        """From the first foot to the last, as the boxes or the template have it."""
        if not self.boxes:
            start, stop = self.fit.span_s
            return max(start, 0.0), min(stop, float(SEGMENT_S))
        return min(b.t0_s for b in self.boxes), max(b.t1_s for b in self.boxes)

    @property
    def duration_s(self) -> float:
        """Median length of the boxes, or the template's."""
        lengths = sorted(box.t1_s - box.t0_s for box in self.boxes)
        return lengths[len(lengths) // 2] if lengths else self.fit.pointed_s + self.fit.slow_s

    @property
    def confidence(self) -> float:
        """Of the strongest box; of the rule by how far it stands out; both added up."""
        boxed = max((box.confidence for box in self.boxes), default=0.0)
        ruled = 0.0
        if self.is_ruled:
            ruled = margin_confidence(self.fit.score_sd / DISCHARGE_LIMITS["candidate_sd"].value)
        return 1.0 - (1.0 - boxed) * (1.0 - ruled)

    def source(self, detector: str) -> str:
        """Who saw it."""
        seen = [f"rule:discharge@{VERSION}"] if self.is_ruled else []
        return "+".join([*seen, *([f"detector:{detector}"] if self.boxes else [])])


def candidates_of(
    batch: SegmentBatch, start: int, rows: Rows, boxes: Mapping[str, Sequence[WaveformEvent]]
) -> list[Candidate]:
    """Search every page and join what the detector boxed there."""
    out = []
    for place in range(len(rows.good)):
        segment_id = batch.segment_ids[start + place]
        if not batch.is_whole[start + place]:
            continue
        page = search(rows, place, float(batch.band_hz[start + place, 1]))
        fits = page.candidates() if page else []
        if boxes[segment_id]:
            out += _with_boxes(segment_id, page, rows, place, boxes[segment_id], fits)
        else:
            out += [Candidate(segment_id, fit, True, ()) for fit in fits]
    return out


def _with_boxes(
    segment_id: str,
    page: Search | None,
    rows: Rows,
    place: int,
    boxes: Sequence[WaveformEvent],
    fits: Sequence[Fit],
) -> list[Candidate]:
    """Join what the rule found on one page and the detector's boxes there."""
    own = np.array(sorted({ROW[box.channel] for box in boxes}), dtype=np.intp)
    x_uv = rows.rows_uv(np.full(own.shape, place, dtype=np.intp), own)
    bend_uv = second_difference(x_uv)
    at = {row: k for k, row in enumerate(own.tolist())}
    peaked = [
        (box_peak(x_uv[at[row]], bend_uv[at[row]], box.t0_s, box.t1_s), box)
        for box, row in ((box, ROW[box.channel]) for box in boxes)
    ]
    groups = _grouped(peaked, fits)
    alone = iter(_fits_of(page, rows, place, [group for fit, group in groups if not fit]))
    return [
        Candidate(segment_id, fit or next(alone), fit is not None, tuple(b for _, b in group))
        for fit, group in groups
    ]


def _grouped(
    peaked: Sequence[_Peaked], fits: Sequence[Fit]
) -> list[tuple[Fit | None, list[_Peaked]]]:
    """Group boxes that peak or lie together, and with them what the rule found there."""
    near = LIMITS["same_peak_s"].value * SFREQ_HZ
    groups: list[tuple[int, Fit | None, list[_Peaked]]] = [(f.sample, f, []) for f in fits]
    for sample, box in sorted(peaked, key=lambda p: _by_confidence(p[1])):
        home = next(
            (
                group
                for at, fit, group in groups
                if abs(at - sample) <= near
                or (group and _is_same(group[0][1], box))
                or (fit is not None and _leads(at / SFREQ_HZ, box))
            ),
            None,
        )
        if home is None:
            groups.append((sample, None, [(sample, box)]))
        else:
            home.append((sample, box))
    return [(fit, group) for _, fit, group in groups]


def _by_confidence(box: WaveformEvent) -> tuple[float, float, float, str, str]:
    return (-box.confidence, box.t0_s, box.t1_s, box.channel, box.waveform)


def _fits_of(
    page: Search | None, rows: Rows, place: int, groups: Sequence[Sequence[_Peaked]]
) -> list[Fit]:
    """Measure what the detector alone boxed; the strongest box of each group says where."""
    asked = []
    for group in groups:
        sample, strongest = group[0]
        own = [ROW[box.channel] for _, box in group]
        near = np.flatnonzero(ADJACENT[own].any(axis=0)).tolist()
        asked.append((ROW[strongest.channel], sample, sorted({*own, *near})))
    if page is None:
        return [lone_fit(rows, place, row, sample) for row, sample, _ in asked]
    return page.nearest([(sample, near) for _, sample, near in asked])


def _leads(peak_s: float, box: WaveformEvent) -> bool:
    """Whether a peak lies in the first half of a box: in a complex the point comes first."""
    return box.t0_s <= peak_s < 0.5 * (box.t0_s + box.t1_s)


def _is_same(a: WaveformEvent, b: WaveformEvent) -> bool:
    shared = min(a.t1_s, b.t1_s) - max(a.t0_s, b.t0_s)
    whole = max(a.t1_s, b.t1_s) - min(a.t0_s, b.t0_s)
    return shared >= LIMITS["same_box_iou"].value * whole
