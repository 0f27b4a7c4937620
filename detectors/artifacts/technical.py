"""Faults of the recording that last: dead rows and mains.

Called by :mod:`detectors.artifacts.chain`, which holds the other artifact rules. Cut extremes are
in :mod:`detectors.artifacts.clipping`, pops in :mod:`detectors.artifacts.pops`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import (
    Box,
    Limit,
    boxes_by_group,
    conclude,
    conclude_where,
    duration_of,
    finding_of_group,
    make_finding,
    margin_confidence,
    runs,
)
from detectors.signal.row_statistics import CELL_S, RowStatistics
from detectors.signal.spectra import SpectralFeatures
from detectors.types import SEGMENT_S, Finding, RuleResult, SegmentBatch

VERSION = "5"
"""Version of these rules, part of every finding's source."""

_E8 = "clinical.md 8, engineering default"
LIMITS: dict[str, Limit] = {
    "flat_p2p_uv": Limit(1.0, "uV", _E8),
    "flat_bend_uv": Limit(0.5, "uV", "engineering default: drift of a dead row is straight"),
    "flat_s": Limit(0.5, "s", _E8),
    "mains_db": Limit(10.0, "dB", _E8),
    "mains_rms_uv": Limit(5.0, "uV", _E8),
    "mains_notch_db": Limit(-6.0, "dB", "engineering default: a hole means it was filtered out"),
    "mains_beside_hz": Limit(2.0, "Hz", "engineering default: the window's main lobe, and drift"),
    "mains_far_hz": Limit(5.0, "Hz", _E8 + "; 45-55 and 55-65 Hz without the line"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
_MAINS_HZ = (50.0, 60.0)


def find_flat(
    batch: SegmentBatch, spectra: SpectralFeatures, statistics: RowStatistics
) -> RuleResult:
    """Rows whose 0.1-s cells are still for half a second, or whose page is silent."""
    is_still = statistics.cell_max_uv - statistics.cell_min_uv < _L["flat_p2p_uv"]
    is_still &= batch.mask[..., None]
    is_silent = batch.mask & ~spectra.is_live
    segment, channel = np.nonzero((is_still.sum(-1) >= _L["flat_s"] / CELL_S) | is_silent)
    active = is_still[segment, channel]
    middle = 0.5 * (statistics.cell_max_uv + statistics.cell_min_uv)[segment, channel]
    bend = np.abs(np.diff(middle, n=2, axis=-1)) < _L["flat_bend_uv"]
    active[:, 1:-1] &= bend
    active[:, 0] &= active[:, 1]
    active[:, -1] &= active[:, -2]
    active[is_silent[segment, channel]] = True
    boxes: list[list[Box]] = [[] for _ in batch.segment_ids]
    for r, a, b in zip(*runs(active), strict=True):
        if b - a >= round(_L["flat_s"] / CELL_S):
            boxes[segment[r]].append(Box(int(channel[r]), a * CELL_S, b * CELL_S, float(b - a)))
    findings = []
    for i, group in boxes_by_group(boxes):
        p2p = max(_span_p2p(statistics, i, box) for box in group)
        ratio = _L["flat_p2p_uv"] / max(p2p, 0.05)
        measures = [("amplitude_uv_p2p", p2p, "uV"), duration_of(group)]
        findings.append(
            finding_of_group(
                batch, i, "flat", group, measures, margin_confidence(max(ratio, 1)), VERSION
            )
        )
    return conclude_where(
        batch, "flat", findings, np.logical_or.reduce(batch.mask, axis=1), "no recorded row"
    )


def find_mains(
    batch: SegmentBatch, spectra: SpectralFeatures
) -> tuple[RuleResult, NDArray[np.float32]]:
    """Rows with a narrow peak at the mains; also the mains power of every row, uV2.

    Every row is judged against its own neighbouring frequencies. Both mains are looked for, since
    sites are recorded under the wrong one, and the notch takes the one the site is said to have.
    The stored signal went through that notch, so what is measured is what the notch left; a hole
    instead of a peak is not judged. How much mains the source held is measured on the recording
    (table ``recordings``) and does not reach a batch.
    """
    site = _peak_at(batch, spectra, batch.line_freq_hz)
    peaks = [site]
    peaks += [_peak_at(batch, spectra, hz) for hz in _MAINS_HZ if hz != batch.line_freq_hz]
    findings = [f for peak in peaks for f in _mains_findings(batch, peak)]
    live = spectra.is_live
    has_notch = site.is_inside & (site.is_hole.sum(1) > 0.5 * live.sum(1)) & live.any(1)
    reasons = [
        "" if inside and not notch and any_live
        else "no live row" if not any_live
        else "a notch filter took it, so this page cannot show how much there was" if notch
        else "mains lies above the usable band"
        for inside, notch, any_live in zip(
            site.is_inside, has_notch, np.logical_or.reduce(live, axis=1), strict=True
        )
    ]  # fmt: skip
    power = site.power_uv2 + sum(peak.power_uv2 * peak.is_hit for peak in peaks[1:])
    return conclude(batch.segment_ids, "mains", findings, reasons), power.astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Peak:
    """One frequency of every row: power above its neighbours, decibels, and what that makes."""

    hz: float
    level_db: NDArray[np.float32]
    power_uv2: NDArray[np.float32]
    is_inside: NDArray[np.bool_]
    is_hit: NDArray[np.bool_]
    is_hole: NDArray[np.bool_]


def _peak_at(batch: SegmentBatch, spectra: SpectralFeatures, hz: float) -> _Peak:
    freqs = spectra.freqs_hz
    away = np.abs(freqs - hz)
    first = int(np.searchsorted(freqs, hz - _L["mains_far_hz"]))
    part = slice(first, int(np.searchsorted(freqs, hz + _L["mains_far_hz"], side="right")))
    density, away = spectra.psd_uv2_hz[..., part], away[part]
    background = _background(density, freqs[part] - hz, batch.band_hz[:, 1:] - hz)
    floor = np.maximum(background, 1e-12)
    level_db = 10 * np.log10(np.maximum(density[..., away <= 0.5].mean(-1), 1e-12) / floor)
    # a notch of 1 Hz is as narrow as a bin and its half neighbours, so only the middle bin shows it
    middle_db = 10 * np.log10(np.maximum(density[..., away.argmin()], 1e-12) / floor)
    excess = (density[..., away <= 1] - floor[..., None]).clip(0).sum(-1)
    power = np.asarray(excess * (freqs[1] - freqs[0]), dtype=np.float32)
    is_inside = batch.band_hz[:, 1] >= hz + _L["mains_beside_hz"]
    is_hit = spectra.is_live & is_inside[:, None] & (level_db >= _L["mains_db"])
    is_hit &= np.sqrt(power) >= _L["mains_rms_uv"]
    is_hole = spectra.is_live & (middle_db <= _L["mains_notch_db"])
    return _Peak(hz, level_db, power, is_inside, is_hit, is_hole)


def _background(
    density: NDArray[np.float32], offset_hz: NDArray[np.float64], end_hz: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Mean density of the neighbours inside the band, shape (n, n_channels).

    At most twice that of the quieter side, so that a rhythm on one side is no hole at the mains.
    """
    means = []
    for side in (-1, 1):
        is_beside = side * offset_hz >= _L["mains_beside_hz"]
        inside = (is_beside & (offset_hz <= end_hz)).astype(np.float32)
        inside /= np.maximum(inside.sum(-1, keepdims=True), 1)
        means.append(np.matmul(density, inside[..., None])[..., 0])
    return np.asarray(np.minimum(0.5 * (means[0] + means[1]), 2 * np.minimum(*means)))


def _mains_findings(batch: SegmentBatch, peak: _Peak) -> list[Finding]:
    findings = []
    rms = np.sqrt(peak.power_uv2)
    for i in np.nonzero(peak.is_hit.any(1))[0]:
        rows = np.nonzero(peak.is_hit[i])[0]
        rows = rows[np.argsort(-rms[i, rows], kind="stable")]
        top = rows[0]
        measures = [
            ("frequency_hz", peak.hz, "Hz"),
            ("rms_uv", rms[i, top], "uV"),
            ("prominence_db", peak.level_db[i, top], "dB"),
            ("is_of_site", float(peak.hz == batch.line_freq_hz), "1"),
        ]
        confidence = margin_confidence(
            rms[i, top] / _L["mains_rms_uv"], peak.level_db[i, top] / _L["mains_db"]
        )
        names = [batch.schema.ch_names[r] for r in rows]
        findings.append(
            make_finding(
                batch.segment_ids[i], "mains", names, (0, SEGMENT_S), measures, confidence, VERSION
            )
        )
    return findings


def _span_p2p(statistics: RowStatistics, i: int, box: Box) -> float:
    span = slice(round(box.t0_s / CELL_S), round(box.t1_s / CELL_S))
    high = statistics.cell_max_uv[i, box.row, span].max()
    return float(high - statistics.cell_min_uv[i, box.row, span].min())
