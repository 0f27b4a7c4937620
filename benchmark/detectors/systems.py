"""The systems measured side by side on the same pages.

Ours is rules and shipped detector merged as the graph merges them; each is also run alone. YASA is
called as its documentation says, with the spindle band of the AASM; the plain detector is in
``detectors.threshold_detector``. All see one page of 10 s at a time.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from benchmark.detectors.events import Found, grouped
from benchmark.detectors.threshold_detector import threshold_events
from detectors.merge import Page, merge_findings
from detectors.rows import is_masked
from detectors.rules import rule_findings
from detectors.signal.spectra import spectral_features
from detectors.types import SFREQ_HZ, Judgement, RuleResult, SegmentBatch, WaveformEvent
from detectors.waveform.infer import MAP_THRESHOLD

if TYPE_CHECKING:
    from detectors.waveform.infer import WaveformDetector

OURS, RULES, DETECTOR, YASA, THRESHOLD = "ours", "rules", "detector", "yasa", "threshold"
SYSTEMS = (OURS, RULES, DETECTOR, YASA, THRESHOLD)

_EPILEPTIFORM = ("spike", "sharp", "spsw")
_BOX_KINDS = (*_EPILEPTIFORM, "spindle", "kcomplex", "blink", "lateral_eye", "muscle")
KINDS_OF: dict[str, tuple[str, ...]] = {
    OURS: (*_BOX_KINDS, "electrode_pop", "flat", "posterior_rhythm"),
    RULES: (*_BOX_KINDS, "electrode_pop", "flat", "posterior_rhythm"),
    DETECTOR: _BOX_KINDS,
    YASA: ("spindle", "kcomplex"),
    THRESHOLD: (*_BOX_KINDS, "electrode_pop", "flat", "posterior_rhythm"),
}
"""Kinds a system can be asked for; the threshold detector calls every discharge a spike."""

_YASA_ROWS = ("F3", "Fz", "F4", "C3", "Cz", "C4")
YASA_SPINDLE_HZ = (11, 16)
"""AASM's band; the package's default is 12 to 15."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What all systems say about a batch.

    Parameters
    ----------
    found
        Events by system.
    boxes
        Every box of the detector down to the confidence average precision needs.
    judgements
        Ours, so that it can be told what was not judged.
    """

    found: dict[str, list[Found]]
    boxes: list[WaveformEvent]
    judgements: tuple[Judgement, ...]


def has_yasa() -> bool:
    """Whether YASA is installed (extra ``bench``)."""
    return find_spec("yasa") is not None


def read_batch(
    batch: SegmentBatch, detector: WaveformDetector, systems: Sequence[str] = SYSTEMS
) -> Reading:
    """Run systems on a batch.

    Parameters
    ----------
    batch
        Pages; the waveform detector reads ``referential19`` only and is silent on others.
    detector
        Loaded weights.
    systems
        Which of :data:`SYSTEMS`; :data:`YASA` needs the package.
    """
    rules = rule_findings(batch, spectral_features(batch))
    boxes = detector.detect(batch, MAP_THRESHOLD) if batch.schema.is_referential else []
    pages = [
        Page(s, batch.schema, tuple(np.array(batch.schema.ch_names)[m].tolist()))
        for s, m in zip(batch.segment_ids, batch.mask, strict=True)
    ]
    limits = detector.card.thresholds
    seen = [b for b in boxes if b.confidence >= limits[b.waveform]]
    merged = merge_findings(pages, rules, seen, detector=detector.weights_id, batches=[batch])
    makers = {
        OURS: lambda: _shown(merged),
        RULES: lambda: _shown(merge_findings(pages, rules, [], detector="", batches=[batch])),
        DETECTOR: lambda: _shown(
            merge_findings(
                pages, RuleResult(), seen, detector=detector.weights_id, batches=[batch]
            ),
            "detector:",  # the merge searches discharges by rule as well
        ),
        YASA: lambda: yasa_events(batch),
        THRESHOLD: lambda: threshold_events(batch),
    }
    found = {name: makers[name]() for name in systems}
    return Reading(found, boxes, merged.judgements)


def _shown(result: RuleResult, source: str = "") -> list[Found]:
    """Return what is not masked, of findings that name a source."""
    return [
        Found(
            f.segment_id, f.kind, f.channels, f.t0_s, f.t1_s, f.confidence,
            f.measure("frequency_hz") or 0.0,
        )
        for f in result.findings
        if not is_masked(f) and source in f.source
    ]  # fmt: skip


def yasa_events(batch: SegmentBatch) -> list[Found]:
    """Return YASA's spindles, and its slow waves as K-complexes: it has no detector for those."""
    found = []
    for i, segment_id in enumerate(batch.segment_ids):
        recorded = [n for n, m in zip(batch.schema.ch_names, batch.mask[i], strict=True) if m]
        names = [n for n in recorded if n in _YASA_ROWS] or recorded
        if not names:
            continue
        rows = batch.data_uv[i, [batch.schema.ch_names.index(n) for n in names]]
        found += _yasa_page(segment_id, rows.astype(np.float64), names)
    return found


def _yasa_page(
    segment_id: str, rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]], names: list[str]
) -> list[Found]:
    import yasa

    found: list[Found] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = {
            "spindle": yasa.spindles_detect(
                rows, SFREQ_HZ, ch_names=names, freq_sp=YASA_SPINDLE_HZ, verbose="ERROR"
            ),
            "kcomplex": yasa.sw_detect(rows, SFREQ_HZ, ch_names=names, verbose="ERROR"),
        }
    for kind, result in results.items():
        if result is None:
            continue
        table = result.summary()
        strength = table["RelPower" if kind == "spindle" else "PTP"]
        single = [
            Found(segment_id, kind, (str(name),), float(a), float(b), float(c))
            for name, a, b, c in zip(
                table["Channel"], table["Start"], table["End"], strength, strict=True
            )
        ]
        found += grouped(single)
    return found
