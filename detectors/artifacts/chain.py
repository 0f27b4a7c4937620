"""The rule for movement; the chain of all artifact rules; what stays usable.

What has a field or a rhythm of its own is found by how far it stands out of the page
(:mod:`detectors.artifacts.ocular`, :mod:`detectors.artifacts.gaze`,
:mod:`detectors.artifacts.muscle`, :mod:`detectors.artifacts.cardiac`,
:mod:`detectors.artifacts.pops`), a cut extreme by how it stands still
(:mod:`detectors.artifacts.clipping`); mains and dead rows (:mod:`detectors.artifacts.technical`),
movement and drift by absolute microvolts (``clinical.md`` 8). What an artifact makes unusable is
absolute, but for faults of a row. The statistics come from :mod:`detectors.signal.row_statistics`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import (
    Limit,
    close_gaps,
    conclude_where,
    make_finding,
    margin_confidence,
    runs,
    unless,
)
from detectors.artifacts.cardiac import find_ecg
from detectors.artifacts.clipping import find_saturation
from detectors.artifacts.drift import find_slow_drift
from detectors.artifacts.gaze import find_lateral_eye
from detectors.artifacts.muscle import find_chewing, find_muscle
from detectors.artifacts.ocular import find_blinks
from detectors.artifacts.pops import find_pops
from detectors.artifacts.readable import LIMITS as READING_LIMITS
from detectors.artifacts.readable import not_interpretable
from detectors.artifacts.technical import find_flat, find_mains
from detectors.montage import FRONTAL_ROWS, electrodes_of
from detectors.signal.row_statistics import CELL_S, RowStatistics, row_statistics
from detectors.signal.spectra import SpectralFeatures
from detectors.types import SEGMENT_S, Finding, RuleResult, SegmentBatch

VERSION = "4"
"""Version of the artifact rules, part of every finding's source."""

_E8 = "clinical.md 8, engineering default"
LIMITS: dict[str, Limit] = {
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
    mains, mains_uv2 = find_mains(batch, spectra)
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
