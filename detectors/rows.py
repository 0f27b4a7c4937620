"""Findings, judgements and detector events as table rows, and back.

The columns are those of the tables ``findings``, ``judgements`` and ``waveform_events``; types and
meanings are registered in ``dagster_project.tables``. Only the shape changes here, nothing is
decided.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from detectors.types import Finding, Judgement, Measure, WaveformEvent
from detectors.vocabulary import KINDS, WAVEFORMS


def finding_row(finding: Finding) -> dict[str, Any]:
    """Return the row of a finding.

    Raises
    ------
    KeyError
        If its kind is not in the closed vocabulary.
    """
    kind = KINDS[finding.kind]
    return {
        "finding_id": finding.finding_id,
        "segment_id": finding.segment_id,
        "kind": finding.kind,
        "family": kind.family,
        "channels": list(finding.channels),
        "side": finding.side,
        "region": finding.region,
        "t0_s": finding.t0_s,
        "t1_s": finding.t1_s,
        "measures": [{"name": m.name, "value": m.value, "unit": m.unit} for m in finding.measures],
        "confidence": finding.confidence,
        "source": finding.source,
        "hed": kind.hed,
        "is_masked": is_masked(finding),
        "masked_by": finding.masked_by,
        "mask_reason": finding.mask_reason,
    }


def is_masked(finding: Finding) -> bool:
    """Return whether a finding is hidden by a stronger one or pruned."""
    return bool(finding.masked_by or finding.mask_reason)


def finding_from_row(row: Mapping[str, Any]) -> Finding:
    """Rebuild a finding; its id comes out the same."""
    return Finding(
        segment_id=row["segment_id"],
        kind=row["kind"],
        channels=tuple(row["channels"]),
        t0_s=row["t0_s"],
        t1_s=row["t1_s"],
        measures=tuple(Measure(m["name"], m["value"], m["unit"]) for m in row["measures"]),
        confidence=row["confidence"],
        source=row["source"],
        side=row["side"],
        region=row["region"],
        masked_by=row["masked_by"],
        mask_reason=row["mask_reason"],
    )


def judgement_row(judgement: Judgement) -> dict[str, Any]:
    """Return the row of a judgement."""
    return {
        "judgement_id": judgement.judgement_id,
        "segment_id": judgement.segment_id,
        "kind": judgement.kind,
        "hed": KINDS[judgement.kind].hed,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "finding_ids": list(judgement.finding_ids),
    }


def judgement_from_row(row: Mapping[str, Any]) -> Judgement:
    """Rebuild a judgement."""
    return Judgement(
        row["segment_id"], row["kind"], row["verdict"], row["reason"], tuple(row["finding_ids"])
    )


def event_row(event: WaveformEvent, detector: str) -> dict[str, Any]:
    """Return the row of a detector event.

    Parameters
    ----------
    event
        The box.
    detector
        Pinned weights id.

    Raises
    ------
    KeyError
        If its class is not one of the nine.
    """
    if event.waveform not in WAVEFORMS:
        raise KeyError(f"waveform {event.waveform!r} is not one of {', '.join(WAVEFORMS)}")
    key = (
        f"{event.segment_id}|{event.waveform}|{event.channel}"
        f"|{event.t0_s:.4f}|{event.t1_s:.4f}|{detector}"
    )
    return {
        "event_id": "w-" + hashlib.sha256(key.encode()).hexdigest()[:16],
        "segment_id": event.segment_id,
        "waveform": event.waveform,
        "channel": event.channel,
        "t0_s": event.t0_s,
        "t1_s": event.t1_s,
        "confidence": event.confidence,
        "detector": detector,
    }


def event_from_row(row: Mapping[str, Any]) -> WaveformEvent:
    """Rebuild a detector event."""
    return WaveformEvent(
        row["segment_id"], row["waveform"], row["channel"], row["t0_s"], row["t1_s"],
        row["confidence"],
    )  # fmt: skip
