"""The chain of all rules: artifacts first, then background and sleep on what is left clean.

The rules themselves are in :mod:`detectors.artifacts`, :mod:`detectors.technical`,
:mod:`detectors.ocular`, :mod:`detectors.gaze`, :mod:`detectors.muscle`,
:mod:`detectors.cardiac`, :mod:`detectors.drift`, :mod:`detectors.background`, :mod:`detectors.voltage`,
:mod:`detectors.continuity`, :mod:`detectors.sleep`, :mod:`detectors.slow_waves` and
:mod:`detectors.slowing`; patterns that repeat themselves are in :mod:`detectors.periodic`. Single
discharges are found by :mod:`detectors.discharges` and by the waveform detector, judged in
:mod:`detectors.epileptiform`; all meet in :mod:`detectors.merge`.
"""

from __future__ import annotations

from detectors import (
    _transient_signal,
    artifacts,
    background,
    benign,
    cardiac,
    continuity,
    discharges,
    drift,
    epileptiform,
    field_filter,
    gaze,
    ifcn,
    localisation,
    merge,
    muscle,
    ocular,
    periodic,
    pruning,
    readable,
    sleep,
    slow_waves,
    slowing,
    spatial,
    spectra,
    technical,
    voltage,
)
from detectors._rule_common import Limit
from detectors.spectra import SpectralFeatures
from detectors.types import Judgement, RuleResult, SegmentBatch

_VERSIONED = (
    artifacts, technical, ocular, gaze, muscle, cardiac, drift, background, voltage, continuity,
    sleep, slow_waves, slowing, periodic,
)  # fmt: skip

RULES_VERSION = "-".join(
    f"{module.__name__.rpartition('.')[2]}{module.VERSION}" for module in _VERSIONED
)
"""Versions of all rule modules in one word, for code versions and provenance."""

_LIMITED = (
    spectra, spatial, artifacts, technical, ocular, background, voltage, continuity, sleep,
    slow_waves, slowing, pruning, merge, _transient_signal, epileptiform, ifcn, localisation, benign,
    discharges, periodic, field_filter, gaze, muscle, cardiac, drift,
)  # fmt: skip


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
        f"{module.__name__.rpartition('.')[2]}.{name}": limit
        for module in _LIMITED
        for name, limit in module.LIMITS.items()
    }
