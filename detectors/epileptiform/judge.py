"""Candidates of detector and rule to epileptiform findings that carry their evidence.

Boxes of the three epileptiform classes that peak at the same time are one candidate, and so is what
:mod:`detectors.epileptiform.discharges` finds there. A candidate is measured in the segment's own
signal, on the rows its field reaches taken together: the six IFCN criteria
(:mod:`detectors.epileptiform.ifcn`), where it lies (:mod:`detectors.epileptiform.localisation`),
and what else it may be (:mod:`detectors.epileptiform.benign`). One that fails stays in the table,
masked, with the reason. Bursts are joined by :mod:`detectors.pruning`, what artifacts cover is
masked in :mod:`detectors.merge`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detectors._rule_common import Limit
from detectors.artifacts.cardiac import beat_times_s
from detectors.epileptiform.benign import Clues, LookAlike, look_alike, trains
from detectors.epileptiform.candidates import LIMITS as CANDIDATE_LIMITS
from detectors.epileptiform.candidates import ROW, Candidate, candidates_of
from detectors.epileptiform.discharges import LIMITS as DISCHARGE_LIMITS
from detectors.epileptiform.discharges import Fit
from detectors.epileptiform.ifcn import LIMITS as IFCN_LIMITS
from detectors.epileptiform.ifcn import IfcnRecord, failed_words, ifcn_records
from detectors.epileptiform.localisation import (
    ADJACENT,
    Location,
    likeness_to_slow,
    locate,
)
from detectors.epileptiform.transient_signal import (
    Peaks,
    Rows,
    measure_peaks,
    referred_rows,
)
from detectors.montage import side_and_region
from detectors.pruning import grouped_findings, joined_bursts
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

VERSION = "3"
"""Version of these rules."""

LIMITS: dict[str, Limit] = CANDIDATE_LIMITS | {
    "boundary_low_s": Limit(0.06, "s", "clinical.md 4.3: spike/sharp boundary"),
    "boundary_high_s": Limit(0.08, "s", "clinical.md 4.3: spike/sharp boundary"),
    "probable_confidence": Limit(0.89, "1", "engineering default: four criteria are 'probable'"),
    "edge_s": Limit(0.05, "s", "clinical.md 10: an event at the page edge is censored"),
    "complex_share": Limit(1.0, "1", "engineering default: such an after-wave makes a complex"),
    "rival_share": Limit(1.0, "1", "engineering default: what fits better speaks against it"),
    "beat_s": Limit(0.04, "s", "engineering default: a transient this near is the heart's"),
    "company_s": Limit(0.1, "s", "engineering default: an artifact this near is in its company"),
    "crest_share": Limit(0.4, "1", "AASM: sharp negative, then positive; share is measured"),
    "company_sharpness_sd": Limit(6.0, "1", "engineering default: twice criterion 1 (clinical.md 9)"),
}  # fmt: skip
"""Constants of this module with their source marks."""

EPILEPTIFORM = frozenset(k for k, entry in KINDS.items() if entry.family == "epileptiform")
"""Kinds this module decides on."""

DISCHARGES = frozenset(WAVEFORMS[name].kind for name in ("spike", "sharp", "spsw"))
"""Single discharges: what the rule searches for beside the detector."""
PATTERNS = EPILEPTIFORM - DISCHARGES
"""What discharges or waves make when they repeat themselves, see :mod:`detectors.epileptiform.periodic`."""

_COMPANY = ("movement", "muscle", "electrode_pop", "blink", "lateral_eye")
"""Artifacts that reach rows they are not found on: the average reference mirrors them."""
_SLOW = frozenset({"kcomplex", "slow_wave"})
_AWAKE = frozenset({"posterior_rhythm", "blink"})
"""Signs of a waking page, blinks once they are as large as defined: K-complexes boxed there are not."""
_AT_ONCE = 64  # pages judged together: what is kept of them is 20 MB


@dataclass(frozen=True, slots=True)
class _Doubt:
    """What speaks against a candidate beside its six criteria."""

    similar: LookAlike | None
    company: str
    is_cut: bool
    is_supported: bool
    rival: str
    is_beat: bool


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
    found: dict[str, list[Finding]] = {segment_id: [] for segment_id in batch.segment_ids}
    boxes = {
        segment_id: [
            e for e in events.get(segment_id, ()) if WAVEFORMS[e.waveform].kind in EPILEPTIFORM
        ]
        for segment_id in batch.segment_ids
    }
    if not batch.schema.is_referential:
        if not any(boxes.values()):
            return found
        raise ValueError(
            f"epileptiform candidates on schema {batch.schema.name!r}; the six criteria are measured "
            "on referential19 only"
        )
    for start in range(0, len(batch), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        rows = referred_rows(batch.data_uv[part], batch.mask[part], batch.line_freq_hz)
        candidates = candidates_of(batch, start, rows, boxes)
        if not candidates:
            continue
        peaks = _peaks(rows, candidates)
        records = ifcn_records(rows, peaks)
        places = locate(peaks.field_uv, peaks.row, rows.good[peaks.segment])
        around = {
            s: _seen_around(s, seen.get(s, ()), events.get(s, ()), detector)
            for s in {c.segment_id for c in candidates}
        }
        doubts = _doubts(rows, peaks, candidates, records, around)
        for k, candidate in enumerate(candidates):
            peak_s = float(peaks.sample[k]) / SFREQ_HZ
            finding = _finding(candidate, records[k], places[k], doubts[k], peak_s, detector)
            found[finding.segment_id].append(finding)
    return {s: sorted(f, key=lambda f: (f.t0_s, f.t1_s, f.channels)) for s, f in found.items()}


def ruled_kinds(recorded: Sequence[str]) -> frozenset[str]:
    """Return the kinds the rule can judge on a page with these rows: none with too few of them."""
    n_rows = len(set(recorded) & set(CANONICAL19))
    return DISCHARGES if n_rows >= DISCHARGE_LIMITS["fewest_rows"].value else frozenset()


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


def _peaks(rows: Rows, candidates: Sequence[Candidate]) -> Peaks:
    """Measure candidates; the maximum is looked for on their rows and the adjacent ones."""
    own = np.zeros((len(candidates), len(CANONICAL19)), dtype=np.bool_)
    for k, candidate in enumerate(candidates):
        own[k, list(candidate.own_rows)] = True
    near = own | (own[:, :, None] & ADJACENT[None]).any(axis=1)
    fits = [c.fit for c in candidates]
    return measure_peaks(
        rows,
        np.array([f.place for f in fits], dtype=np.intp),
        np.array([f.sample for f in fits], dtype=np.intp),
        np.stack([f.amplitude_uv for f in fits]),
        np.stack([f.source for f in fits]),
        np.array([f.sign for f in fits]),
        near,
    )


def _seen_around(
    segment_id: str, seen: Sequence[Finding], events: Sequence[WaveformEvent], detector: str
) -> list[Finding]:
    """Return what the rules show on a page, and the detector's K-complexes where it sleeps."""
    shown = [f for f in seen if not is_masked(f)]
    boxes = [e for e in events if WAVEFORMS[e.waveform].kind == "kcomplex"]
    is_awake = any(f.kind in _AWAKE and f.measure("reaches_definition") != 0.0 for f in shown)
    if not boxes or is_awake:
        return shown
    return shown + [f for f in grouped_findings(segment_id, boxes, detector) if not is_masked(f)]


def _doubts(
    rows: Rows,
    peaks: Peaks,
    candidates: Sequence[Candidate],
    records: Sequence[IfcnRecord],
    around: Mapping[str, Sequence[Finding]],
) -> list[_Doubt]:
    """Say what else each candidate may be, and what is seen at the same time."""
    found = []
    for k, (candidate, record, train) in enumerate(
        zip(candidates, records, trains(peaks), strict=True)
    ):
        peak_s = peaks.sample[k] / SFREQ_HZ
        others = around[candidate.segment_id]
        near, margin = LIMITS["company_s"].value, LIMITS["edge_s"].value * SFREQ_HZ
        at_once = {f.kind for f in others if f.t0_s - near <= peak_s < f.t1_s + near}
        own = [f for f in others if f.kind == "kcomplex" and f.t0_s <= peak_s < f.t1_s]
        if not own:
            at_once.discard("kcomplex")  # a spike just before leads a complex
        place = candidate.fit.place
        clues = Clues(
            lead=CANONICAL19[peaks.row[k]],
            is_negative=bool(peaks.peak_uv[k] < 0),
            record=record,
            train=train,
            on_page={f.kind for f in others if not _may_be_part(f, peak_s)},
            at_once=at_once,
            slow_share=candidate.fit.slow_share,
            field_likeness=likeness_to_slow(
                rows.wide_uv[place], int(peaks.sample[k]), peaks.field_uv[k], rows.good[place]
            ),
            is_at_crest=any(_is_at_crest(f, peak_s) for f in own),
        )
        company = next((kind for kind in _COMPANY if kind in at_once), "")
        first, last = peaks.sample[k] - peaks.lead[k], peaks.sample[k] + peaks.trail[k]
        is_cut = bool(first < margin or last >= N_TIMES - margin)
        beats = [t for f in others if f.kind == "ecg" for t in beat_times_s(f)]
        is_beat = any(abs(t - peak_s) <= LIMITS["beat_s"].value for t in beats)
        similar, rival = look_alike(clues), _rival(candidate.fit)
        found.append(_Doubt(similar, company, is_cut, candidate.is_supported, rival, is_beat))
    return found


def _may_be_part(wave: Finding, peak_s: float) -> bool:
    """Whether a slow wave may be the transient's own, and so no sign of sleep beside it."""
    reach = IFCN_LIMITS["after_to_s"].value
    return wave.kind in _SLOW and wave.t0_s < peak_s + reach and wave.t1_s > peak_s


def _is_at_crest(wave: Finding, peak_s: float) -> bool:
    """Whether a moment lies in the negative phase of a K-complex; of several, anywhere."""
    if (wave.measure("count") or 1.0) > 1.0:
        return True
    return peak_s < wave.t0_s + LIMITS["crest_share"].value * (wave.t1_s - wave.t0_s)


def _rival(fit: Fit) -> str:
    """Name what fits better than a discharge does, or return ``""``."""
    rivals = {
        "one electrode alone": fit.single_share,
        "an eye movement's field": fit.eye_share,
        "a slow wave": fit.slow_share,
        "a train of waves": fit.wave_share,
    }
    worst = max(rivals, key=lambda name: rivals[name])
    return worst if rivals[worst] > LIMITS["rival_share"].value else ""


def _why(record: IfcnRecord, location: Location, doubt: _Doubt) -> str:
    """Why a candidate may not be called epileptiform, or ``""``."""
    if doubt.is_cut:
        return "cut by the page edge, criteria not judgeable"
    if not record.is_discharge:
        return failed_words(record)
    if doubt.is_beat:
        return "on a heartbeat"
    if doubt.rival:
        return f"better explained by {doubt.rival}"
    is_backed = doubt.is_supported or (location.reversal in ROW and record.met[0] is True)
    if not is_backed and record.n_criteria < IFCN_LIMITS["discharge_criteria"].value:
        return "no support on an adjacent row, no pointed phase reversal, fewer than five criteria"
    if doubt.company and record.sharpness_sd < LIMITS["company_sharpness_sd"].value:
        return f"not sharp enough beside {KINDS[doubt.company].noun}"
    similar = doubt.similar
    return f"benign:{similar.name}" if similar is not None and similar.is_decisive else ""


def _finding(
    candidate: Candidate,
    record: IfcnRecord,
    location: Location,
    doubt: _Doubt,
    peak_s: float,
    detector: str,
) -> Finding:
    why = _why(record, location, doubt)
    is_placed = record.met[5] is not False
    own = tuple(CANONICAL19[row] for row in candidate.own_rows)
    channels = location.channels if is_placed else own
    side, region = side_and_region(channels)
    kind, (t0_s, t1_s) = candidate.kind, candidate.span_s
    has_wave = record.after_wave_share >= LIMITS["complex_share"].value
    # the wave after a point in a K-complex is the K-complex's own
    is_lent = doubt.similar is not None and doubt.similar.lies_below
    if not candidate.boxes and kind != "spsw" and has_wave and not is_lent:
        kind, t1_s = "spsw", min(t1_s + record.after_wave_s, float(SEGMENT_S))
    measures = [
        ("count", 1.0, "1"),
        ("duration_s", candidate.duration_s if candidate.boxes else t1_s - t0_s, "s"),
        *record.measures,
        ("peak_s", peak_s, "s"),
        ("template_fit_sd", candidate.fit.score_sd, "1"),
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
    confidence = candidate.confidence
    if record.n_criteria < IFCN_LIMITS["discharge_criteria"].value:
        confidence = min(confidence, LIMITS["probable_confidence"].value)
    return Finding(
        segment_id=candidate.segment_id,
        kind=kind,
        channels=channels,
        t0_s=round(t0_s, 3),
        t1_s=round(t1_s, 3),
        measures=tuple(Measure(n, round(float(v), 4), u) for n, v, u in measures),
        confidence=round(confidence, 4),
        source=candidate.source(detector),
        side=side,
        region=region,
        mask_reason=why,
    )
