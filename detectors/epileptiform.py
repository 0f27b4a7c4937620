"""Detector boxes to epileptiform findings that carry their evidence.

Boxes of the three epileptiform classes that peak at the same time are one candidate. A candidate is
measured in the segment's own signal: the six IFCN criteria (:mod:`detectors.ifcn`), where it lies
(:mod:`detectors.localisation`), and what else it may be (:mod:`detectors.benign`). One that fails
stays in the table, masked, with the reason. Bursts are joined by :mod:`detectors.pruning`, what
artifacts cover is masked in :mod:`detectors.merge`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detectors._rule_common import Limit
from detectors._transient_signal import (
    Peaks,
    Rows,
    box_peak,
    measure_peaks,
    referred_rows,
    second_difference,
)
from detectors.benign import Clues, LookAlike, look_alike, trains
from detectors.ifcn import LIMITS as IFCN_LIMITS
from detectors.ifcn import IfcnRecord, failed_words, ifcn_records
from detectors.localisation import ADJACENT, Location, locate
from detectors.montage import side_and_region
from detectors.pruning import joined_bursts
from detectors.rows import is_masked
from detectors.types import (
    CANONICAL19,
    N_TIMES,
    SEGMENT_S,
    SFREQ_HZ,
    Finding,
    Measure,
    SegmentBatch,
    WaveformEvent,
)
from detectors.vocabulary import KINDS, WAVEFORMS

VERSION = "1"
"""Version of these rules."""

LIMITS: dict[str, Limit] = {
    "same_peak_s": Limit(0.06, "s", "engineering default: rows of one discharge peak within this"),
    "same_box_iou": Limit(0.5, "1", "engineering default: rows of one discharge overlap this far"),
    "boundary_low_s": Limit(0.06, "s", "clinical.md 4.3: spike/sharp boundary"),
    "boundary_high_s": Limit(0.08, "s", "clinical.md 4.3: spike/sharp boundary"),
    "probable_confidence": Limit(0.89, "1", "engineering default: four criteria are 'probable'"),
    "edge_s": Limit(0.05, "s", "clinical.md 10: an event at the page edge is censored"),
    "company_s": Limit(0.1, "s", "engineering default: an artifact this near is in its company"),
    "company_sharpness_sd": Limit(6.0, "1", "engineering default: twice criterion 1 (clinical.md 9)"),
}  # fmt: skip
"""Constants of this module with their source marks."""

EPILEPTIFORM = frozenset(k for k, entry in KINDS.items() if entry.family == "epileptiform")
"""Kinds this module decides on."""

_COMPANY = ("movement", "muscle", "electrode_pop", "blink", "lateral_eye")
"""Artifacts that reach rows they are not found on: the average reference mirrors them."""
_ROW = {name: i for i, name in enumerate(CANONICAL19)}


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Boxes of one peak, strongest first."""

    place: int
    sample: int
    boxes: tuple[WaveformEvent, ...]

    @property
    def kind(self) -> str:
        """The class most strongly believed in, the stronger kind where two are equal."""
        belief: dict[str, float] = {}
        for box in self.boxes:
            kind = WAVEFORMS[box.waveform].kind
            belief[kind] = belief.get(kind, 0.0) + box.confidence
        return max(belief, key=lambda kind: (round(belief[kind], 6), KINDS[kind].priority))

    @property
    def is_supported(self) -> bool:
        """Whether the detector saw it on two adjacent rows (``systems.md`` 6.6)."""
        own = [_ROW[box.channel] for box in self.boxes]
        return bool(ADJACENT[np.ix_(own, own)].any())


@dataclass(frozen=True, slots=True)
class _Doubt:
    """What speaks against a candidate beside its six criteria."""

    similar: LookAlike | None
    company: str
    is_cut: bool
    is_supported: bool


def epileptiform_findings(
    batch: SegmentBatch,
    events: Mapping[str, Sequence[WaveformEvent]],
    seen: Mapping[str, Sequence[Finding]],
    detector: str,
) -> dict[str, list[Finding]]:
    """Judge every epileptiform candidate of a batch by the signal.

    Parameters
    ----------
    batch
        Segments of the schema ``referential19``.
    events
        Boxes of the detector by segment id, of any class.
    seen
        Findings of the rules by segment id: signs of sleep and of open eyes.
    detector
        Pinned weights id.

    Returns
    -------
    dict of str to list of Finding
        By segment id, for every segment of the batch; kept ones by time, then those that failed,
        masked. Each carries its record as measures.
    """
    candidates: list[_Candidate] = []
    found: dict[str, list[Finding]] = {segment_id: [] for segment_id in batch.segment_ids}
    wanted = [
        i
        for i, segment_id in enumerate(batch.segment_ids)
        if any(WAVEFORMS[e.waveform].kind in EPILEPTIFORM for e in events.get(segment_id, ()))
    ]
    if not wanted:
        return found
    if not batch.schema.is_referential:
        raise ValueError(
            f"epileptiform candidates on schema {batch.schema.name!r}; the six criteria are measured "
            "on referential19 only"
        )
    rows = referred_rows(batch.data_uv[wanted], batch.mask[wanted], batch.line_freq_hz)
    bend = second_difference(rows.data_uv)
    for place, i in enumerate(wanted):
        boxes = [
            e for e in events[batch.segment_ids[i]] if WAVEFORMS[e.waveform].kind in EPILEPTIFORM
        ]
        candidates += _candidates(place, rows.data_uv[place], bend[place], boxes)
    peaks = _peaks(rows, candidates)
    records = ifcn_records(rows, peaks)
    judged = zip(
        candidates,
        records,
        locate(peaks.field_uv, peaks.row, rows.good[peaks.segment]),
        _doubts(rows, peaks, candidates, records, seen),
        (peaks.sample / SFREQ_HZ).tolist(),
        strict=True,
    )
    for candidate, record, location, doubt, peak_s in judged:
        finding = _finding(candidate, record, location, doubt, peak_s, detector)
        found[finding.segment_id].append(finding)
    return {s: sorted(f, key=lambda f: (f.t0_s, f.t1_s, f.channels)) for s, f in found.items()}


def proven_findings(
    batches: Iterable[SegmentBatch],
    events: Mapping[str, Sequence[WaveformEvent]],
    seen: Mapping[str, Sequence[Finding]],
    detector: str,
) -> dict[str, list[Finding]]:
    """Judge the candidates of all batches and join bursts, see :func:`epileptiform_findings`.

    Segments of another schema than ``referential19`` are left out: the detector does not read them.
    """
    proven: dict[str, list[Finding]] = {}
    for batch in batches:
        if batch.schema.is_referential:
            judged = epileptiform_findings(batch, events, seen, detector)
            proven |= {segment_id: joined_bursts(found) for segment_id, found in judged.items()}
    return proven


def _candidates(
    place: int, x_uv: np.ndarray, bend_uv: np.ndarray, boxes: Sequence[WaveformEvent]
) -> list[_Candidate]:
    """Group boxes of a segment that peak or lie together; the strongest box says where the peak is."""
    strongest = sorted(boxes, key=lambda b: (-b.confidence, b.t0_s, b.t1_s, b.channel, b.waveform))
    near = LIMITS["same_peak_s"].value * SFREQ_HZ
    groups: list[tuple[int, list[WaveformEvent]]] = []
    for box in strongest:
        row = _ROW[box.channel]
        sample = box_peak(x_uv[row], bend_uv[row], box.t0_s, box.t1_s)
        group = next(
            (g for g in groups if abs(g[0] - sample) <= near or _is_same(g[1][0], box)), None
        )
        if group is None:
            groups.append((sample, [box]))
        else:
            group[1].append(box)
    return [_Candidate(place, sample, tuple(group)) for sample, group in groups]


def _is_same(a: WaveformEvent, b: WaveformEvent) -> bool:
    shared = min(a.t1_s, b.t1_s) - max(a.t0_s, b.t0_s)
    whole = max(a.t1_s, b.t1_s) - min(a.t0_s, b.t0_s)
    return shared >= LIMITS["same_box_iou"].value * whole


def _peaks(rows: Rows, candidates: Sequence[_Candidate]) -> Peaks:
    """Measure candidates; the maximum is looked for on their rows and the adjacent ones."""
    own = np.zeros((len(candidates), len(CANONICAL19)), dtype=np.bool_)
    for k, candidate in enumerate(candidates):
        own[k, [_ROW[box.channel] for box in candidate.boxes]] = True
    near = own | (own[:, :, None] & ADJACENT[None]).any(axis=1)
    return measure_peaks(
        rows,
        np.array([c.place for c in candidates], dtype=np.intp),
        np.array([_ROW[c.boxes[0].channel] for c in candidates], dtype=np.intp),
        np.array([c.sample for c in candidates], dtype=np.intp),
        near,
    )


def _doubts(
    rows: Rows,
    peaks: Peaks,
    candidates: Sequence[_Candidate],
    records: Sequence[IfcnRecord],
    seen: Mapping[str, Sequence[Finding]],
) -> list[_Doubt]:
    """Say what else each candidate may be, and what is seen at the same time."""
    found = []
    for k, (candidate, record, train) in enumerate(
        zip(candidates, records, trains(rows, peaks), strict=True)
    ):
        peak_s = peaks.sample[k] / SFREQ_HZ
        others = [f for f in seen.get(candidate.boxes[0].segment_id, ()) if not is_masked(f)]
        near, margin = LIMITS["company_s"].value, LIMITS["edge_s"].value * SFREQ_HZ
        clues = Clues(
            lead=CANONICAL19[peaks.row[k]],
            is_negative=bool(peaks.peak_uv[k] < 0),
            record=record,
            train=train,
            on_page={f.kind for f in others},
            at_once={f.kind for f in others if f.t0_s <= peak_s < f.t1_s},
        )
        around = {f.kind for f in others if f.t0_s - near <= peak_s < f.t1_s + near}
        company = next((kind for kind in _COMPANY if kind in around), "")
        first, last = peaks.sample[k] - peaks.lead[k], peaks.sample[k] + peaks.trail[k]
        is_cut = bool(first < margin or last >= N_TIMES - margin)
        found.append(_Doubt(look_alike(clues), company, is_cut, candidate.is_supported))
    return found


def _why(record: IfcnRecord, location: Location, doubt: _Doubt) -> str:
    """Why a candidate may not be called epileptiform, or ``""``."""
    if doubt.is_cut:
        return "cut by the page edge, criteria not judgeable"
    if not record.is_discharge:
        return failed_words(record)
    is_backed = doubt.is_supported or (location.reversal in _ROW and record.met[0] is True)
    if not is_backed and record.n_criteria < IFCN_LIMITS["discharge_criteria"].value:
        return "no support on an adjacent row, no pointed phase reversal, fewer than five criteria"
    if doubt.company and record.sharpness_sd < LIMITS["company_sharpness_sd"].value:
        return f"not sharp enough beside {KINDS[doubt.company].noun}"
    similar = doubt.similar
    return f"benign:{similar.name}" if similar is not None and similar.is_decisive else ""


def _finding(
    candidate: _Candidate,
    record: IfcnRecord,
    location: Location,
    doubt: _Doubt,
    peak_s: float,
    detector: str,
) -> Finding:
    boxes = candidate.boxes
    why = _why(record, location, doubt)
    is_placed = record.met[5] is not False
    own = tuple(dict.fromkeys(box.channel for box in boxes))
    channels = location.channels if is_placed else own
    side, region = side_and_region(channels)
    lengths = sorted(box.t1_s - box.t0_s for box in boxes)
    t0_s, t1_s = min(b.t0_s for b in boxes), max(b.t1_s for b in boxes)
    measures = [
        ("count", 1.0, "1"),
        ("duration_s", lengths[len(lengths) // 2], "s"),
        *record.measures,
        ("peak_s", peak_s, "s"),
        *(location.measures if is_placed else ()),
    ]
    foot = record.duration_s
    if LIMITS["boundary_low_s"].value <= foot <= LIMITS["boundary_high_s"].value:
        measures.append(("spike_sharp_boundary", 1.0, "1"))
    if doubt.similar is not None:
        measures.append((f"differential {doubt.similar.name}", 1.0, "1"))
    edge = LIMITS["edge_s"].value
    if t0_s < edge or t1_s > SEGMENT_S - edge:
        measures.append(("censored", 1.0, "1"))
    confidence = max(box.confidence for box in boxes)
    if record.n_criteria < IFCN_LIMITS["discharge_criteria"].value:
        confidence = min(confidence, LIMITS["probable_confidence"].value)
    return Finding(
        segment_id=boxes[0].segment_id,
        kind=candidate.kind,
        channels=channels,
        t0_s=round(t0_s, 3),
        t1_s=round(t1_s, 3),
        measures=tuple(Measure(n, round(float(v), 4), u) for n, v, u in measures),
        confidence=round(confidence, 4),
        source=f"detector:{detector}",
        side=side,
        region=region,
        mask_reason=why,
    )
