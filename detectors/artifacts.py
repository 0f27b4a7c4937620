"""Artifact rules: mains, movement, muscle; the chain of all artifact rules; what stays usable.

All thresholds are absolute microvolts (``clinical.md`` 8): a rule that compares a page with itself
misses muscle that fills the page. Faults of single rows are in :mod:`detectors.technical`, eye
movements in :mod:`detectors.ocular`; the statistics come from :mod:`detectors.row_statistics`.
Movement, muscle and mains work on any rows, bipolar ones too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import (
    Box,
    Limit,
    boxes_by_group,
    close_gaps,
    conclude,
    conclude_where,
    duration_of,
    finding_of_group,
    make_finding,
    margin_confidence,
    runs,
    unless,
)
from detectors.montage import FRONTAL_ROWS, electrodes_of
from detectors.ocular import find_blinks, find_lateral_eye
from detectors.readable import LIMITS as READING_LIMITS
from detectors.readable import not_interpretable
from detectors.row_statistics import CELL_S, RowStatistics, row_statistics
from detectors.spectra import SpectralFeatures
from detectors.technical import find_flat, find_pops, find_saturation
from detectors.types import SEGMENT_S, Finding, RuleResult, SegmentBatch

VERSION = "3"
"""Version of the artifact rules, part of every finding's source."""

_E8 = "clinical.md 8, engineering default"
LIMITS: dict[str, Limit] = {
    "mains_db": Limit(10.0, "dB", _E8),
    "mains_rms_uv": Limit(5.0, "uV", _E8),
    "mains_notch_db": Limit(-6.0, "dB", "engineering default: a hole means it was filtered out"),
    "movement_p2p_uv": Limit(300.0, "uV", _E8),
    "movement_row_share": Limit(0.3, "1", _E8),
    "movement_other_rows": Limit(2, "rows", "clinical.md 8: not frontal-only"),
    "muscle_rms_uv": Limit(10.0, "uV", _E8),
    "muscle_held_rms_uv": Limit(7.0, "uV", "engineering default: hysteresis, -3 dB"),
    "muscle_companion_rms_uv": Limit(6.0, "uV", "engineering default: rows beside a stretch"),
    "muscle_companion_share": Limit(0.5, "1", "engineering default: of the strongest row"),
    "muscle_exponent": Limit(2.0, "1", "engineering default for 'flat above 30 Hz'"),
    "muscle_s": Limit(0.2, "s", "clinical.md 5, engineering default"),
    "muscle_band_high_hz": Limit(40.0, "Hz", "engineering default: band left above 30 Hz"),
    "gap_s": Limit(0.5, "s", "systems.md 6.6, engineering default"),
} | READING_LIMITS
"""Constants of this module and of :mod:`detectors.readable` with their source marks."""

HIDING_KINDS = frozenset(
    {"flat", "saturation", "electrode_pop", "movement", "muscle", "blink", "lateral_eye"}
)
"""Artifacts that make a second of a row unusable; mains sits on one frequency and does not."""


_ROW_KINDS = frozenset({"flat", "saturation", "mains"})
"""Faults of single rows, which stay on a page that cannot be read: they say why."""


@dataclass(frozen=True, slots=True)
class ArtifactScan:
    """What the artifact rules say, with what later rules need.

    Parameters
    ----------
    result
        Findings and judgements.
    usable
        bool, shape (n, n_channels, 10): seconds of recorded rows that no artifact touches.
    statistics
        The compiled pass, for rules that need amplitudes; its ``why_not`` says which pages are not
        interpretable.
    """

    result: RuleResult
    usable: NDArray[np.bool_]
    statistics: RowStatistics


def scan_artifacts(batch: SegmentBatch, spectra: SpectralFeatures) -> ArtifactScan:
    """Run all artifact rules and keep what later rules need.

    Parameters
    ----------
    batch
        Segments of one channel schema.
    spectra
        Their spectra.
    """
    statistics = row_statistics(batch)
    mains, mains_uv2 = _find_mains(batch, spectra)
    result = (
        find_flat(batch, spectra, statistics)
        + find_saturation(batch, statistics)
        + find_pops(batch, spectra, statistics)
        + mains
        + _find_movement(batch, statistics)
        + _find_muscle(batch, spectra, statistics, mains_uv2)
        + find_blinks(batch, spectra.is_live, statistics.slow_uv)
        + find_lateral_eye(batch, spectra.is_live, statistics.slow_uv)
    )
    usable = usable_seconds(batch.segment_ids, batch.schema.ch_names, batch.mask, result.findings)
    dead = [f for f in result.findings if f.kind in ("flat", "saturation")]
    left = usable_seconds(batch.segment_ids, batch.schema.ch_names, batch.mask, dead)
    why_not = not_interpretable(batch, spectra, statistics, left)
    result = unless(result, batch.segment_ids, why_not, _ROW_KINDS)
    return ArtifactScan(result, usable, replace(statistics, why_not=why_not))


def find_artifacts(batch: SegmentBatch, spectra: SpectralFeatures) -> RuleResult:
    """Run all artifact rules.

    Parameters
    ----------
    batch
        Segments of one channel schema.
    spectra
        Their spectra.
    """
    return scan_artifacts(batch, spectra).result


def usable_seconds(
    segment_ids: Sequence[str],
    ch_names: Sequence[str],
    mask: NDArray[np.bool_],
    findings: Iterable[Finding],
) -> NDArray[np.bool_]:
    """Mark the seconds of recorded rows that no finding of an artifact touches.

    Parameters
    ----------
    segment_ids, ch_names
        Meaning of the first two axes.
    mask
        bool, shape (n, n_channels).
    findings
        Findings of any kind; only :data:`HIDING_KINDS` count.

    Returns
    -------
    numpy.ndarray
        bool, shape (n, n_channels, 10).
    """
    usable = np.repeat(mask[:, :, None], SEGMENT_S, axis=2)
    at = {segment_id: i for i, segment_id in enumerate(segment_ids)}
    row = {name: i for i, name in enumerate(ch_names)}
    for finding in findings:
        if finding.kind not in HIDING_KINDS:
            continue
        rows = [row[name] for name in finding.channels if name in row]
        first, last = int(finding.t0_s), int(np.ceil(finding.t1_s - 1e-9))
        usable[at[finding.segment_id], rows, first:last] = False
    return usable


def _find_mains(
    batch: SegmentBatch, spectra: SpectralFeatures
) -> tuple[RuleResult, NDArray[np.float32]]:
    """Rows with a narrow peak at the mains; also the mains power of every row, uV2.

    The stored signal went through the corpus' notch, so what is measured is what the notch left; a
    hole instead of a peak is not judged; how much mains the source held is measured on the
    recording (table ``recordings``) and does not reach a batch.
    """
    limit = {name: entry.value for name, entry in LIMITS.items()}
    freqs, density = spectra.freqs_hz, spectra.psd_uv2_hz
    away = np.abs(freqs - batch.line_freq_hz)
    beside = (away >= 2) & (away <= 5) & (freqs <= batch.band_hz[:, 1:])
    is_near = away <= 1
    background = (density * beside[:, None]).sum(-1) / np.maximum(beside.sum(-1), 1)[:, None]
    peak = density[..., away <= 0.5].mean(-1)
    level_db = 10 * np.log10(np.maximum(peak, 1e-12) / np.maximum(background, 1e-12))
    excess = (density[..., is_near] - background[..., None]).clip(0).sum(-1) * (freqs[1] - freqs[0])
    rms = np.sqrt(excess)
    is_inside = batch.band_hz[:, 1] >= batch.line_freq_hz + 2
    live = spectra.is_live
    # a notch of 1 Hz is as narrow as a bin and its half neighbours, so only the middle bin shows it
    middle_db = 10 * np.log10(
        np.maximum(density[..., away.argmin()], 1e-12) / np.maximum(background, 1e-12)
    )
    n_holes = ((middle_db <= limit["mains_notch_db"]) & live).sum(1)
    has_notch = is_inside & (n_holes > 0.5 * live.sum(1)) & live.any(1)
    is_hit = live & is_inside[:, None] & (level_db >= limit["mains_db"])
    is_hit &= rms >= limit["mains_rms_uv"]
    findings = []
    for i in np.nonzero(is_hit.any(1))[0]:
        rows = np.nonzero(is_hit[i])[0]
        rows = rows[np.argsort(-rms[i, rows], kind="stable")]
        top = rows[0]
        measures = [
            ("frequency_hz", batch.line_freq_hz, "Hz"),
            ("rms_uv", rms[i, top], "uV"),
            ("prominence_db", level_db[i, top], "dB"),
        ]
        confidence = margin_confidence(
            rms[i, top] / limit["mains_rms_uv"], level_db[i, top] / limit["mains_db"]
        )
        names = [batch.schema.ch_names[r] for r in rows]
        findings.append(
            make_finding(
                batch.segment_ids[i], "mains", names, (0, SEGMENT_S), measures, confidence, VERSION
            )
        )
    reasons = [
        "" if inside and not notch and any_live
        else "no live row" if not any_live
        else "a notch filter took it, so this page cannot show how much there was" if notch
        else "mains lies above the usable band"
        for inside, notch, any_live in zip(is_inside, has_notch, live.sum(1) > 0, strict=True)
    ]  # fmt: skip
    return conclude(batch.segment_ids, "mains", findings, reasons), excess.astype(np.float32)


def _find_movement(batch: SegmentBatch, statistics: RowStatistics) -> RuleResult:
    """Seconds in which many rows, not only frontal ones, swing widely."""
    limit = {name: entry.value for name, entry in LIMITS.items()}
    needed = np.maximum(limit["movement_row_share"] * batch.mask.sum(1), 1)
    is_wide_page = (statistics.p2p_uv >= limit["movement_p2p_uv"]).sum(1) >= needed
    candidates = np.nonzero(is_wide_page & batch.mask.any(1))[0]
    window = SEGMENT_S * round(1 / CELL_S) // SEGMENT_S
    low = np.lib.stride_tricks.sliding_window_view(statistics.cell_min_uv[candidates], window, -1)
    high = np.lib.stride_tricks.sliding_window_view(statistics.cell_max_uv[candidates], window, -1)
    is_wide = high.max(-1) - low.min(-1) >= limit["movement_p2p_uv"]
    is_other = np.array(
        [not set(electrodes_of(name)) <= set(FRONTAL_ROWS) for name in batch.schema.ch_names]
    )
    active = is_wide.sum(1) >= needed[candidates, None]
    active &= is_wide[:, is_other].sum(1) >= min(limit["movement_other_rows"], is_other.sum())
    findings = []
    active = close_gaps(active, window + round(limit["gap_s"] / CELL_S))
    for k, a, b in zip(*runs(active), strict=True):
        i = int(candidates[k])
        rows = np.nonzero(is_wide[k, :, a:b].any(-1))[0]
        span = slice(a, b + window - 1)
        p2p = statistics.cell_max_uv[i, :, span].max(-1) - statistics.cell_min_uv[i, :, span].min(
            -1
        )
        rows = rows[np.argsort(-p2p[rows], kind="stable")]
        top = float(p2p[rows[0]])
        measures = [
            ("amplitude_uv_p2p", top, "uV"),
            ("row_share", rows.size / batch.mask[i].sum(), "1"),
        ]
        confidence = margin_confidence(top / limit["movement_p2p_uv"], rows.size / float(needed[i]))
        names = [batch.schema.ch_names[r] for r in rows]
        times = (a * CELL_S, (b + window - 1) * CELL_S)
        findings.append(
            make_finding(
                batch.segment_ids[i], "movement", names, times, measures, confidence, VERSION
            )
        )
    return conclude_where(
        batch, "movement", findings, np.logical_or.reduce(batch.mask, axis=1), "no recorded row"
    )


def _find_muscle(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    statistics: RowStatistics,
    mains_uv2: NDArray[np.float32],
) -> RuleResult:
    """Stretches with strong activity above 30 Hz whose spectrum does not fall off."""
    limit = {name: entry.value for name, entry in LIMITS.items()}
    is_judged = batch.band_hz[:, 1] >= limit["muscle_band_high_hz"]
    power = statistics.cell_fast_uv2 - mains_uv2[..., None]
    exponent = _fast_exponent(batch, spectra)
    flat_rows = spectra.is_live & is_judged[:, None] & (exponent <= limit["muscle_exponent"])
    highest = power.max(-1)
    is_seed = flat_rows & (highest >= limit["muscle_rms_uv"] ** 2)
    is_row = is_seed | (
        spectra.is_live
        & is_seed.any(1)[:, None]
        & (highest >= limit["muscle_companion_rms_uv"] ** 2)
    )
    segment, channel = np.nonzero(is_row)
    core, beside = _muscle_boxes(segment, channel, is_seed[is_row], power[is_row], len(batch))
    findings = []
    for i, strong in boxes_by_group(core, 0.3):
        group = _with_companions(strong, beside[i])
        top = group[0]
        measures = [
            ("rms_uv", top.weight, "uV"),
            ("spectral_exponent", exponent[i, top.row], "1"),
            ("band_low_hz", 30.0, "Hz"),
            ("band_high_hz", min(70.0, float(batch.band_hz[i, 1])), "Hz"),
            duration_of(group),
        ]
        confidence = margin_confidence(top.weight / limit["muscle_rms_uv"])
        findings.append(finding_of_group(batch, i, "muscle", group, measures, confidence, VERSION))
    return conclude_where(batch, "muscle", findings, is_judged, "source band ends below 40 Hz")


def _muscle_boxes(
    segment: NDArray[np.intp],
    channel: NDArray[np.intp],
    is_seed: NDArray[np.bool_],
    power: NDArray[np.float32],
    n_segments: int,
) -> tuple[list[list[Box]], list[list[Box]]]:
    """Per segment, strong stretches of the seed rows, and weaker ones of any row."""
    limit = {name: entry.value for name, entry in LIMITS.items()}
    # the median of half a second, so that the edge of a pop is not taken for a burst
    padded = np.pad(power, [(0, 0), (2, 2)])
    level = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5, axis=-1), axis=-1)
    is_strong = level >= limit["muscle_rms_uv"] ** 2
    # hysteresis: a stretch lasts while it stays above the lower limit
    held = np.where(is_seed, limit["muscle_held_rms_uv"], limit["muscle_companion_rms_uv"])
    active = close_gaps(level >= held[:, None] ** 2, round(limit["gap_s"] / CELL_S))
    shortest = round(limit["muscle_s"] / CELL_S)
    row, start, stop = (part.tolist() for part in runs(active))
    found = list(zip(row, start, stop, strict=True))
    # at an end of the page a cell repeats its neighbour, so that half a burst is needed twice
    is_core = [
        bool(is_seed[r])
        and is_strong[r, a:b].sum() >= shortest * (2 if a == 0 or b == power.shape[-1] else 1)
        for r, a, b in found
    ]
    core: list[list[Box]] = [[] for _ in range(n_segments)]
    beside: list[list[Box]] = [[] for _ in range(n_segments)]
    for (r, a, b), is_own in zip(found, is_core, strict=True):
        if b - a >= shortest:
            rms = float(np.sqrt(level[r, a:b].clip(0).mean()))
            box = Box(int(channel[r]), a * CELL_S, b * CELL_S, rms)
            (core if is_own else beside)[segment[r]].append(box)
    return core, beside


def _with_companions(group: list[Box], beside: Sequence[Box]) -> list[Box]:
    """Add weaker rows that are active for half of a stretch, within its time.

    A row far weaker than the strongest only carries it through the reference: naming it would hide
    blinks and all else on every row of a page with one tense temple.
    """
    least = LIMITS["muscle_companion_share"].value * max(b.weight for b in group)
    start, stop = min(b.t0_s for b in group), max(b.t1_s for b in group)
    rows = {box.row for box in group}
    joined = []
    for box in beside:
        t0, t1 = max(box.t0_s, start), min(box.t1_s, stop)
        if (
            box.row not in rows
            and box.weight >= least
            and t1 - t0 >= 0.5 * min(stop - start, box.t1_s - box.t0_s)
        ):
            joined.append(Box(box.row, t0, t1, box.weight))
    return [*group, *sorted(joined, key=lambda b: (-b.weight, b.row, b.t0_s))]


def _fast_exponent(batch: SegmentBatch, spectra: SpectralFeatures) -> NDArray[np.float64]:
    """Fall-off of the density above 30 Hz from its two halves, off the mains; per row."""
    freqs = spectra.freqs_hz
    top = np.minimum(70.0, 0.9 * batch.band_hz[:, 1:])
    middle = 0.5 * (30.0 + top)
    off_mains = np.abs(freqs - batch.line_freq_hz) > 2
    lower = ((freqs >= 30) & (freqs < middle) & off_mains).astype(np.float32)
    upper = ((freqs >= middle) & (freqs <= top) & off_mains).astype(np.float32)
    low = np.einsum("ncf,nf->nc", spectra.psd_uv2_hz, lower) / np.maximum(lower.sum(1), 1)[:, None]
    high = np.einsum("ncf,nf->nc", spectra.psd_uv2_hz, upper) / np.maximum(upper.sum(1), 1)[:, None]
    octaves = np.log((middle + top) / (30.0 + middle))
    exponent: NDArray[np.float64] = np.log((low + 1e-12) / (high + 1e-12)) / np.maximum(
        octaves, 1e-6
    )
    return exponent
