"""Artifact rules: mains and movement; the chain of all artifact rules; what stays usable.

What has a field or a rhythm of its own is found by how far it stands out of the page
(:mod:`detectors.artifacts.ocular`, :mod:`detectors.artifacts.gaze`,
:mod:`detectors.artifacts.muscle`, :mod:`detectors.artifacts.cardiac`, pops in
:mod:`detectors.artifacts.technical`); mains, movement, drift and faults of single rows by absolute
microvolts (``clinical.md`` 8). What an artifact makes unusable is always absolute. The statistics
come from :mod:`detectors.signal.row_statistics`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import (
    Limit,
    close_gaps,
    conclude,
    conclude_where,
    make_finding,
    margin_confidence,
    runs,
    unless,
)
from detectors.artifacts.cardiac import find_ecg
from detectors.artifacts.drift import find_slow_drift
from detectors.artifacts.gaze import find_lateral_eye
from detectors.artifacts.muscle import find_chewing, find_muscle
from detectors.artifacts.ocular import find_blinks
from detectors.artifacts.readable import LIMITS as READING_LIMITS
from detectors.artifacts.readable import not_interpretable
from detectors.artifacts.technical import find_flat, find_pops, find_saturation
from detectors.montage import FRONTAL_ROWS, electrodes_of
from detectors.signal.row_statistics import CELL_S, RowStatistics, row_statistics
from detectors.signal.spectra import SpectralFeatures
from detectors.types import SEGMENT_S, Finding, RuleResult, SegmentBatch

VERSION = "4"
"""Version of the artifact rules, part of every finding's source."""

_E8 = "clinical.md 8, engineering default"
LIMITS: dict[str, Limit] = {
    "mains_db": Limit(10.0, "dB", _E8),
    "mains_rms_uv": Limit(5.0, "uV", _E8),
    "mains_notch_db": Limit(-6.0, "dB", "engineering default: a hole means it was filtered out"),
    "movement_p2p_uv": Limit(300.0, "uV", _E8),
    "movement_row_share": Limit(0.3, "1", _E8),
    "movement_other_rows": Limit(2, "rows", "clinical.md 8: not frontal-only"),
    "gap_s": Limit(0.5, "s", "systems.md 6.6, engineering default"),
} | READING_LIMITS
"""Constants of this module and of :mod:`detectors.artifacts.readable` with their source marks."""

HIDING_KINDS = frozenset(
    {
        "flat", "saturation", "electrode_pop", "movement", "muscle", "chewing", "blink",
        "lateral_eye",
    }
)  # fmt: skip
"""Artifacts that can make a second of a row unusable, see :func:`hiding_rows`; mains sits on one
frequency and does not, nor do heartbeats and drift."""


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
    live, slow_uv = spectra.is_live, statistics.slow_uv
    mains, mains_uv2 = _find_mains(batch, spectra)
    gaze = find_lateral_eye(batch, live, slow_uv)
    result = (
        find_flat(batch, spectra, statistics)
        + find_saturation(batch, statistics)
        + find_pops(batch, spectra, statistics, gaze.findings)
        + mains
        + _find_movement(batch, statistics)
        + find_muscle(batch, spectra, statistics, mains_uv2)
        + find_chewing(batch, spectra, statistics)
        + find_blinks(batch, live, slow_uv)
        + gaze
        + find_ecg(batch, live)
    )
    result += find_slow_drift(batch, live, slow_uv, result.findings)
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


def hiding_rows(finding: Finding) -> tuple[str, ...]:
    """Return the rows on which an artifact hides what lies under it.

    Artifacts are found by how far they stand out of the background, so a quiet page shows small
    ones that hide nothing. A blink, a look aside and a pop hide once they are as large as
    ``clinical.md`` 8 defines them (measure ``reaches_definition``), muscle on the rows where it
    reaches 6 uV (measure ``n_hiding_rows``, rows come in falling size). What carries neither
    measure, such as a finding of the detector or of another kind, hides on all its rows.
    """
    n_rows = finding.measure("n_hiding_rows")
    if n_rows is not None:
        return finding.channels[: int(n_rows)]
    return () if finding.measure("reaches_definition") == 0.0 else finding.channels


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
        Findings of any kind; only :data:`HIDING_KINDS` count, on their :func:`hiding_rows`.

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
        rows = [row[name] for name in hiding_rows(finding) if name in row]
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
