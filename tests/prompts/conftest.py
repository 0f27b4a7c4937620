"""Planted pages: table rows written by hand, so that every expected word is known."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from detectors.types import CANONICAL19, Finding, Judgement, Measure
from detectors.vocabulary import BAND_SCHEMES, KINDS
from prompts.facts.page import PageFacts, page_facts

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode adds no path for helpers beside it

MIRROR = {
    "Fp1": "Fp2", "F7": "F8", "F3": "F4", "T7": "T8", "C3": "C4", "P7": "P8", "P3": "P4",
    "O1": "O2",
}  # fmt: skip
MIRROR |= {right: left for left, right in MIRROR.items()}
SWAP = {"left": "right", "right": "left"}


def finding_row(finding: Finding) -> dict[str, Any]:
    return {
        "finding_id": finding.finding_id,
        "segment_id": finding.segment_id,
        "kind": finding.kind,
        "family": KINDS[finding.kind].family,
        "channels": list(finding.channels),
        "side": finding.side,
        "region": finding.region,
        "t0_s": finding.t0_s,
        "t1_s": finding.t1_s,
        "measures": [{"name": m.name, "value": m.value, "unit": m.unit} for m in finding.measures],
        "confidence": finding.confidence,
        "source": finding.source or "rule:planted@1",
        "hed": KINDS[finding.kind].hed,
        "is_masked": bool(finding.masked_by or finding.mask_reason),
        "masked_by": finding.masked_by,
        "mask_reason": finding.mask_reason,
    }


def judgement_row(judgement: Judgement) -> dict[str, Any]:
    return {
        "judgement_id": judgement.judgement_id,
        "segment_id": judgement.segment_id,
        "kind": judgement.kind,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "finding_ids": list(judgement.finding_ids),
    }


def segment_row(segment_id: str, **changes: Any) -> dict[str, Any]:
    row = {
        "segment_id": segment_id,
        "recording_id": "rec-a",
        "corpus": "planted",
        "subject_id": "subj-a",
        "split": "train",
        "start_s": 0.0,
        "channel_schema": "referential19",
        "ch_names": list(CANONICAL19),
        "mask": [True] * 19,
        "band_low_hz": 0.1,
        "band_high_hz": 75.0,
        "labels": [],
        "stage_context": None,
        "is_simulated": True,
    }
    return row | changes


def spectral_row(segment_id: str, n_rows: int = 19, **changes: Any) -> dict[str, Any]:
    base = {
        "delta": 40.0,
        "theta": 12.0,
        "alpha": 60.0,
        "beta": 5.0,
        "gamma": 1.0,
        "high_gamma": 0.5,
    }
    row: dict[str, Any] = {
        "segment_id": segment_id,
        "ch_names": list(CANONICAL19)[:n_rows],
        "void_bands": [],
        "dominant_hz": [10.0] * n_rows,
        "dominant_band": "alpha",
        "dominant_band_raw": "alpha",
        "aperiodic_exponent": 1.2,
    }
    for scheme, bands in BAND_SCHEMES.items():
        for band in bands:
            row[f"{scheme}_{band}_uv2"] = [base[band]] * n_rows
    return row | changes


def spatial_row(segment_id: str, **changes: Any) -> dict[str, Any]:
    tier = {"O1": "high", "O2": "high", "P3": "medium", "P4": "medium"}
    energy = {"O1": 103.26, "O2": 95.0, "P3": 50.0, "P4": 48.0}
    row = {
        "segment_id": segment_id,
        "ch_names": list(CANONICAL19),
        "energy_uv2": [energy.get(c, 10.0) for c in CANONICAL19],
        "tier": [tier.get(c, "low") for c in CANONICAL19],
        "highest_channel": "O1",
        "is_judged": True,
        "reason": "",
    }
    return row | changes


def planted_findings(segment_id: str) -> list[Finding]:
    return [
        Finding(segment_id, "posterior_rhythm", ("O1", "O2"), 0.0, 10.0,
                (Measure("frequency_hz", 9.63, "Hz"), Measure("amplitude_uv_p2p", 41.0, "uV")),
                side="bilateral", region="occipital", source="rule:background@1"),
        Finding(segment_id, "asymmetry", ("O2", "O1"), 0.0, 10.0,
                (Measure("asymmetry", 0.34, "1"),), side="right", source="rule:background@1"),
        Finding(segment_id, "sharp", ("T7", "F7", "P7"), 3.365, 3.475,
                (Measure("duration_s", 0.11, "s"), Measure("amplitude_uv_p2p", 84.0, "uV")),
                confidence=0.95, side="left", region="mid-temporal", source="detector:w1"),
        Finding(segment_id, "blink", ("Fp1", "Fp2"), 1.0, 1.4,
                (Measure("amplitude_uv_p2p", 182.0, "uV"),), side="bilateral",
                region="frontopolar", source="rule:artifacts@1"),
        Finding(segment_id, "muscle", ("T8",), 5.0, 7.0, (Measure("rms_uv", 14.0, "uV"),),
                side="right", region="mid-temporal", source="rule:artifacts@1"),
    ]  # fmt: skip


def mirrored(finding: Finding) -> Finding:
    channels = tuple(MIRROR.get(c, c) for c in finding.channels)
    return Finding(
        finding.segment_id, finding.kind, channels, finding.t0_s, finding.t1_s, finding.measures,
        finding.confidence, finding.source, SWAP.get(finding.side, finding.side), finding.region,
        finding.masked_by, finding.mask_reason,
    )  # fmt: skip


def judged(segment_id: str, findings: list[Finding], not_judged: dict[str, str]) -> list[Judgement]:
    present = {f.kind for f in findings if not f.mask_reason and not f.masked_by}
    rows = []
    for kind in KINDS:
        if kind in not_judged:
            rows.append(Judgement(segment_id, kind, "not_judged", not_judged[kind]))
        else:
            rows.append(Judgement(segment_id, kind, "present" if kind in present else "absent"))
    return rows


@pytest.fixture(scope="session")
def rows() -> dict[str, Callable[..., Any]]:
    """Builders of single table rows."""
    return {
        "segment": segment_row,
        "spectral": spectral_row,
        "spatial": spatial_row,
        "finding": finding_row,
        "judgement": judgement_row,
        "mirrored": mirrored,
        "planted": planted_findings,
    }


@pytest.fixture(scope="session")
def plant() -> Callable[..., PageFacts]:
    """Facts of one page from findings; every kind is judged, absent unless found or excused."""

    def build(
        findings: list[Finding] | None = None,
        *,
        segment_id: str = "seg-0",
        not_judged: dict[str, str] | None = None,
        segment: dict[str, Any] | None = None,
        spectral: dict[str, Any] | None = None,
        spatial: dict[str, Any] | None = None,
    ) -> PageFacts:
        found = planted_findings(segment_id) if findings is None else findings
        n_rows = len((segment or {}).get("ch_names", CANONICAL19))
        return page_facts(
            segment_row(segment_id, **(segment or {})),
            [finding_row(f) for f in found],
            [judgement_row(j) for j in judged(segment_id, found, not_judged or {})],
            spectral_row(segment_id, n_rows, **(spectral or {})),
            spatial_row(segment_id, **(spatial or {})),
        )

    return build


@pytest.fixture(scope="session")
def shard_tables() -> Callable[[int], dict[str, pl.DataFrame]]:
    """Tables of a shard of ``n`` planted pages that take turns in what they show."""

    def build(n: int) -> dict[str, pl.DataFrame]:
        tables: dict[str, list[dict[str, Any]]] = {
            name: [] for name in ("segments", "findings", "judgements", "spectral", "spatial")
        }
        for i in range(n):
            segment_id = f"seg-{i:05d}"
            found = [f for j, f in enumerate(planted_findings(segment_id)) if (i >> j) & 1]
            excused = {"spindle": "central channels missing"} if i % 3 == 0 else {}
            tables["segments"].append(
                segment_row(
                    segment_id, recording_id=f"rec-{i // 8:03d}", start_s=10.0 * (i % 8),
                    subject_id=f"subj-{i // 16:03d}",
                    split=("train", "train", "validation", "test")[(i // 16) % 4],
                )
            )  # fmt: skip
            tables["findings"] += [finding_row(f) for f in found]
            tables["judgements"] += [judgement_row(j) for j in judged(segment_id, found, excused)]
            wave = 20.0 + 7.0 * (i % 5)
            tables["spectral"].append(spectral_row(segment_id, narrator_delta_uv2=[wave] * 19))
            tables["spatial"].append(spatial_row(segment_id))
        return {name: pl.DataFrame(rows, infer_schema_length=None) for name, rows in tables.items()}

    return build
