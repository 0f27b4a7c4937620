"""Low-voltage intervals: stretches in which the page falls silent without being disconnected.

ACNS 2021 on longitudinal bipolar rows: below 10 uV is what the standard calls suppressed, from 10 uV
on but below half of the background is attenuated. Ten seconds show intervals; the patterns that are
named after them need several cycles and are never named here (``clinical.md`` 10). The voltage of
the whole page is in :mod:`detectors.background.voltage`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import (
    Limit,
    conclude,
    make_finding,
    margin_confidence,
    runs,
)
from detectors.background.voltage import LongitudinalCells, too_few_rows
from detectors.signal.row_statistics import CELL_S, N_CELLS
from detectors.types import SEGMENT_S, Finding, RuleResult, SegmentBatch

VERSION = "1"
"""Version of the continuity rule, part of every finding's source."""

LIMITS: dict[str, Limit] = {
    "interval_s": Limit(0.5, "s", "ACNS 2021: bursts and intervals last 0.5 s or more"),
    "silent_uv": Limit(10.0, "uV", "ACNS 2021"),
    "background_share": Limit(0.5, "1", "ACNS 2012: below 50 % of the background"),
    "row_share": Limit(0.8, "1", "engineering default: of the clean rows, at the same time"),
    "least_rows": Limit(6, "rows", "engineering default: a third of LB-18.1"),
    "judged_s": Limit(4.0, "s", "clinical.md 2, engineering default"),
    "background_percent": Limit(75.0, "%", "engineering default: of a row's own 0.5-s windows"),
    "screen_share": Limit(0.7, "1", "engineering default: looser than the rule"),
    "silent_rows": Limit(0.4, "1", "engineering default: half of the rows the rule asks for"),
    "nearly_continuous": Limit(0.1, "1", "ACNS 2012 and 2021: < 10 %"),
    "discontinuous": Limit(0.5, "1", "ACNS 2012 and 2021: 10-49 %"),
    "throughout": Limit(0.99, "1", "ACNS 2021: 50-99 %"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
_WINDOW = round(_L["interval_s"] / CELL_S)


def continuity_word(share: float) -> str:
    """Return the word for a page by the share of it that is of low voltage.

    The first three are ACNS words; above half the standard names patterns that ten seconds cannot
    show (``clinical.md`` 10), so the share is said as it is.
    """
    if share <= 0:
        return "continuous"
    if share < _L["nearly_continuous"]:
        return "nearly continuous"
    if share < _L["discontinuous"]:
        return "discontinuous"
    return "mostly low voltage" if share < _L["throughout"] else "low voltage throughout"


def find_attenuation(batch: SegmentBatch, cells: LongitudinalCells) -> RuleResult:
    """Find stretches of 0.5 s or more in which nearly all longitudinal bipolar rows are low.

    A row is low while the peak-to-peak of 0.5 s stays below 10 uV or below half of its own
    background, the 75th percentile of its clean 0.5-s windows; a page is low while four fifths of
    its clean rows are. Every interval is a finding that carries the share of the page all
    intervals fill.

    Parameters
    ----------
    batch
        Segments of one channel schema.
    cells
        Their longitudinal bipolar rows.
    """
    kind = "attenuation"
    reasons = too_few_rows(cells.usable)
    if len(cells.names) < _L["least_rows"]:
        return conclude(batch.segment_ids, kind, [], reasons)
    from detectors.signal import _longitudinal_kernels

    n, n_rows, n_cells = cells.low_uv.shape
    p2p = np.empty((n, n_rows, n_cells - _WINDOW + 1), dtype=np.float32)
    _longitudinal_kernels.sliding_p2p(cells.low_uv, cells.high_uv, p2p)
    # a window is clean where the seconds it begins and ends in are
    clean_cells = np.repeat(cells.usable, N_CELLS // SEGMENT_S, axis=-1)
    is_clean = clean_cells[..., : p2p.shape[-1]] & clean_cells[..., _WINDOW - 1 :]
    may_be_low = np.zeros(n, dtype=np.bool_)
    screen = (_L["silent_uv"], _L["screen_share"], _L["silent_rows"])
    _longitudinal_kernels.quiet_moments(p2p, is_clean, *screen, may_be_low)
    candidates = np.nonzero(may_be_low & [not why for why in reasons])[0]
    findings = [
        finding
        for i in candidates.tolist()
        for finding in _intervals(batch.segment_ids[i], cells.names, p2p[i], is_clean[i])
    ]
    return conclude(batch.segment_ids, kind, findings, reasons)


def _intervals(
    segment_id: str,
    names: tuple[str, ...],
    p2p_uv: NDArray[np.float32],
    is_clean: NDArray[np.bool_],
) -> list[Finding]:
    """Find the low-voltage intervals of one page from its rows' 0.5-s windows."""
    rows = np.nonzero(is_clean.sum(1) * CELL_S >= _L["judged_s"])[0]
    if rows.size < _L["least_rows"]:
        return []
    clean = is_clean[rows]
    ordered = np.sort(np.where(clean, p2p_uv[rows], np.inf), axis=1)
    at = (_L["background_percent"] / 100 * (clean.sum(1) - 1)).round().astype(int)
    own_uv = ordered[np.arange(rows.size), at]
    ceiling = np.maximum(_L["silent_uv"], _L["background_share"] * own_uv)
    is_low = (p2p_uv[rows] < ceiling[:, None]) & clean
    n_clean = clean.sum(0)
    is_page_low = (is_low.sum(0) >= _L["row_share"] * n_clean) & (n_clean >= _L["least_rows"])
    _, starts, stops = runs(is_page_low[None])
    spans = list(zip(starts.tolist(), stops.tolist(), strict=True))
    if not spans:
        return []
    is_covered = np.zeros(N_CELLS, dtype=np.bool_)
    for start, stop in spans:
        is_covered[start : stop + _WINDOW - 1] = True
    share = float(is_covered.mean())
    background_uv = float(np.median(own_uv))
    findings = []
    for start, stop in spans:
        here = np.where(is_low[:, start:stop], p2p_uv[rows, start:stop], np.nan)
        amplitude_uv = float(np.nanmedian(here))
        span = (start * CELL_S, (stop + _WINDOW - 1) * CELL_S)
        held = is_low[:, start:stop].mean(1) >= _L["background_share"]
        measures = [
            ("amplitude_uv_p2p", amplitude_uv, "uV"),
            ("background_uv_p2p", background_uv, "uV"),
            ("duration_s", span[1] - span[0], "s"),
            ("share", share, "1"),
            ("row_share", float(held.sum() / rows.size), "1"),
        ]
        limit_uv = max(_L["silent_uv"], _L["background_share"] * background_uv)
        confidence = margin_confidence(limit_uv / max(amplitude_uv, 1e-3))
        low_rows = [names[r] for r in rows[held]]
        findings.append(
            make_finding(segment_id, "attenuation", low_rows, span, measures, confidence, VERSION)
        )
    return findings
