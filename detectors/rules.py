"""The chain of all rules: artifacts first, then background and sleep on what is left clean.

Rules live in rooms: :mod:`detectors.artifacts`, :mod:`detectors.background`, :mod:`detectors.sleep`
and :mod:`detectors.epileptiform`, each with the chain or the judge that calls them; what they share
of the signal is in :mod:`detectors.signal`. Here is only the order in which they run. Single
discharges are found by :mod:`detectors.epileptiform.discharges` and by the waveform detector, judged
in :mod:`detectors.epileptiform.judge`; all meet in :mod:`detectors.merge`.
"""

from __future__ import annotations

from detectors import merge, pruning
from detectors._rule_common import Limit
from detectors.artifacts import _eyes, cardiac, drift, gaze, muscle, ocular, readable, technical
from detectors.artifacts import chain as artifacts
from detectors.background import continuity, slowing, voltage
from detectors.background import rhythms as background
from detectors.epileptiform import (
    benign,
    discharges,
    ifcn,
    localisation,
    periodic,
    transient_signal,
)
from detectors.epileptiform import judge as epileptiform
from detectors.signal import field_filter, spatial, spectra
from detectors.signal.spectra import SpectralFeatures
from detectors.sleep import chain as sleep
from detectors.sleep import slow_waves
from detectors.types import Judgement, RuleResult, SegmentBatch

_VERSIONED = {
    "artifacts": artifacts, "technical": technical, "ocular": ocular, "gaze": gaze,
    "muscle": muscle, "cardiac": cardiac, "drift": drift, "background": background,
    "voltage": voltage, "continuity": continuity, "sleep": sleep, "slow_waves": slow_waves,
    "slowing": slowing, "periodic": periodic,
}  # fmt: skip

RULES_VERSION = "-".join(f"{name}{module.VERSION}" for name, module in _VERSIONED.items())
"""Versions of all rule modules in one word, for code versions and provenance."""

_LIMITED = _VERSIONED | {
    "spectra": spectra, "spatial": spatial, "pruning": pruning, "merge": merge,
    "transient_signal": transient_signal, "epileptiform": epileptiform, "ifcn": ifcn,
    "localisation": localisation, "benign": benign, "discharges": discharges,
    "field_filter": field_filter, "eyes": _eyes,
}  # fmt: skip


def rule_findings(batch: SegmentBatch, spectral: SpectralFeatures) -> RuleResult:
    """Run every rule on a batch.

    Parameters
    ----------
    batch
        Segments of one channel schema.
    spectral
        Their spectra.

    Returns
    -------
    RuleResult
        Findings ordered by segment, then rule, then time; one judgement per segment and kind the
        rules know, in the same order. The order does not depend on how segments are batched.
        Segments that were not recorded to their end carry no finding and say why.
    """
    batch, spectral = readable.finite_rows(batch, spectral)
    scan = artifacts.scan_artifacts(batch, spectral)
    ongoing = background.find_background(batch, spectral, scan.statistics, scan.usable)
    result = (
        scan.result
        + periodic.find_periodic(batch, scan.statistics, scan.result.findings)
        + ongoing
        + sleep.find_sleep(batch, spectral, scan.statistics, scan.usable, scan.result + ongoing)
    )
    # what artifacts, rhythms and sleep explain is not called slowing, so it comes after them
    result += slowing.find_slowing(batch, spectral, scan.statistics, scan.usable, result.findings)
    result = _without_short(batch, result)
    place = {segment_id: i for i, segment_id in enumerate(batch.segment_ids)}
    return RuleResult(
        tuple(sorted(result.findings, key=lambda f: place[f.segment_id])),
        tuple(sorted(result.judgements, key=lambda j: place[j.segment_id])),
    )


def _without_short(batch: SegmentBatch, result: RuleResult) -> RuleResult:
    """Judge nothing on segments that were not recorded to their end: their rest is zero."""
    why = {
        s: reason for s, reason in zip(batch.segment_ids, batch.why_short, strict=True) if reason
    }
    if not why:
        return result
    judgements = tuple(
        Judgement(j.segment_id, j.kind, "not_judged", why[j.segment_id])
        if j.segment_id in why
        else j
        for j in result.judgements
    )
    return RuleResult(tuple(f for f in result.findings if f.segment_id not in why), judgements)


def all_limits() -> dict[str, Limit]:
    """Return every constant of every rule as ``module.name``, for provenance records."""
    return {
        f"{room}.{name}": limit
        for room, module in _LIMITED.items()
        for name, limit in module.LIMITS.items()
    }
