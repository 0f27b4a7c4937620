"""Rows whose extremes are cut off: at the rail of the amplifier or of the stored range.

What is stored went through filters, so a cut extreme is not exactly level any more. It stays what
no brain or muscle makes: at the row's own extreme, again and again, the signal stands still for
longer than anywhere on a smooth peak. That is judged against the row's usual change, not in
microvolts. Samples beyond the stored range (``clip_count`` of a segment) lie on its rail and are
found there. Rows that are dead are :mod:`detectors.artifacts.technical`'s business.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import (
    Box,
    Limit,
    boxes_by_group,
    close_gaps,
    conclude_where,
    duration_of,
    finding_of_group,
    margin_confidence,
    runs,
)
from detectors.signal.row_statistics import CELL_S, RowStatistics, rail_samples
from detectors.types import N_TIMES, SFREQ_HZ, Finding, RuleResult, SegmentBatch

VERSION = "5"
"""Version of the rule, part of every finding's source."""

LIMITS: dict[str, Limit] = {
    "rail_uv": Limit(1556.0, "uV", "95 % of the stored range of +-1638 uV; clinical.md 8"),
    "plateau_uv": Limit(250.0, "uV", "engineering default: only large values can be a rail"),
    "plateau_tolerance_uv": Limit(0.25, "uV", "engineering default: five stored steps"),
    "plateau_samples": Limit(8, "samples", "clinical.md 8 asks 5 raw samples; 8 after filtering"),
    "still_lag": Limit(2, "samples", "engineering default: a low-pass at 75 Hz rings faster"),
    "still_share": Limit(0.16, "SD", "engineering default: of the row's own changes"),
    "still_floor_uv": Limit(0.11, "uV", "engineering default: two stored steps"),
    "still_samples": Limit(3, "samples", "engineering default: 5 samples at 200 Hz, lag included"),
    "still_near_share": Limit(0.4, "SD", "engineering default: of changes, below the extreme"),
    "still_bend_share": Limit(0.03, "1", "engineering default: of the extreme; 0.1-Hz high-pass"),
    "still_level_share": Limit(
        0.5, "1", "engineering default: of the row's extreme, as drift goes"
    ),
    "still_reach_s": Limit(1.0, "s", "engineering default: the 0.1-Hz high-pass moves the level"),
    "still_dead_s": Limit(0.5, "s", "clinical.md 8: so long without a move is a flat row"),
    "still_needed": Limit(5.0, "samples", "engineering default: 1 of 5000 whole rows has as many"),
    "still_least_uv": Limit(0.35, "uV", "engineering default: below, stored steps are too coarse"),
    "still_usual_share": Limit(0.22, "1", "engineering default: 0.13 where changes are Gaussian"),
    "smooth_ratio": Limit(
        2.0, "1", "engineering default: change over bend; above, peaks are round"
    ),
    "gap_s": Limit(0.5, "s", "systems.md 6.6, engineering default"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}


def find_saturation(batch: SegmentBatch, statistics: RowStatistics) -> RuleResult:
    """Rows at the rail, or stuck at their own extreme.

    Parameters
    ----------
    batch, statistics
        Segments and their row statistics.
    """
    extreme = np.maximum(statistics.cell_max_uv.max(-1), -statistics.cell_min_uv.min(-1))
    ratio, stuck = _cut_rows(batch, statistics)
    boxes: list[list[Box]] = [[] for _ in batch.segment_ids]
    is_large = extreme >= _L["plateau_uv"]
    for i, c in zip(*np.nonzero(batch.mask & (is_large | (ratio >= 1.0))), strict=True):
        is_stuck = stuck.get((int(i), int(c)), np.zeros(N_TIMES, dtype=np.bool_))
        if is_large[i, c]:
            is_stuck = is_stuck | _at_rail(batch.data_uv[i, c])
        _, starts, stops = runs(close_gaps(is_stuck[None], round(_L["gap_s"] * SFREQ_HZ)))
        boxes[i].extend(
            Box(int(c), a / SFREQ_HZ, b / SFREQ_HZ, float(extreme[i, c]))
            for a, b in zip(starts, stops, strict=True)
        )
    findings = [_finding(batch, i, group, ratio[i]) for i, group in boxes_by_group(boxes)]
    return conclude_where(
        batch, "saturation", findings, np.logical_or.reduce(batch.mask, axis=1), "no recorded row"
    )


def _finding(batch: SegmentBatch, i: int, group: list[Box], ratio: NDArray[np.float64]) -> Finding:
    level = max(box.weight for box in group)
    still = max(float(ratio[box.row]) for box in group)
    is_rail = still < 1.0
    confidence = margin_confidence(max(1.5 if is_rail else still, level / _L["rail_uv"]))
    measures = [("level_uv", level, "uV"), ("still_ratio", still, "1"), duration_of(group)]
    return finding_of_group(batch, i, "saturation", group, measures, confidence, VERSION)


def _at_rail(row_uv: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark samples of a row that are level at a large extreme, or near the end of the stored range."""
    size = np.abs(row_uv)
    stuck = rail_samples(row_uv, _L["plateau_tolerance_uv"], int(_L["plateau_samples"]))
    return np.asarray((stuck & (size >= _L["plateau_uv"])) | (size >= _L["rail_uv"]))


def _cut_rows(
    batch: SegmentBatch, statistics: RowStatistics
) -> tuple[NDArray[np.float64], dict[tuple[int, int], NDArray[np.bool_]]]:
    """Compare the still moments at each row's extremes with those a cut needs, shape of the mask.

    Also returns the samples in plateaus of the rows that reach it.
    """
    from detectors.artifacts._plateau_kernels import plateaus

    ratio = np.zeros(batch.mask.shape)
    rows = np.flatnonzero(batch.mask)
    data = np.ascontiguousarray(batch.data_uv, dtype=np.float32).reshape(-1, N_TIMES)
    low, high = (
        cells.reshape(len(data), -1) for cells in (statistics.cell_min_uv, statistics.cell_max_uv)
    )
    settings = _settings()
    score = np.zeros((rows.size, 2), dtype=np.float32)
    usual = np.zeros(rows.size, dtype=np.float32)
    plateaus(data, rows, low, high, settings, score, usual, np.zeros((1, N_TIMES), dtype=np.bool_))
    is_near = (score.max(1, initial=0.0) >= _L["still_needed"]) & (usual >= _L["still_least_uv"])
    rows, usual = rows[is_near], usual[is_near]
    needed = _L["still_needed"] * _ease(data[rows], usual, statistics.rms_uv.reshape(-1)[rows])
    best = score[is_near].max(1, initial=0.0) / needed
    ratio.reshape(-1)[rows] = best
    rows = rows[best >= 1.0]
    stuck = np.zeros((max(rows.size, 1), N_TIMES), dtype=np.bool_)
    plateaus(data, rows, low, high, settings, score, usual, stuck)
    n_rows = batch.mask.shape[1]
    return ratio, {divmod(int(r), n_rows): stuck[k] for k, r in enumerate(rows)}


def _ease(
    rows_uv: NDArray[np.float32], usual: NDArray[np.float32], rms_uv: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Say how much more easily than others a row stands still by itself, 1 where it does not.

    Smooth rows do, as a low-pass leaves them or a large slow wave makes them, on their own peaks;
    so do rows in coarse steps, anywhere.
    """
    if not rows_uv.size:
        return np.ones(0)
    lag = int(_L["still_lag"])
    moves = np.abs(rows_uv[:, lag:] - rows_uv[:, :-lag])
    slope = np.maximum(_L["still_share"] * usual, _L["still_floor_uv"])
    crowd = (moves <= slope[:, None]).mean(1) / _L["still_usual_share"]
    bend = 1.2533 * np.abs(np.diff(rows_uv, n=2, axis=1)).mean(1)
    smooth = usual / np.maximum(bend, 1e-3) / _L["smooth_ratio"]
    # moments a round peak as high as the row's extreme stays within the slope
    own = usual.astype(np.float64) / lag
    height = np.abs(rows_uv).max(1)
    round_peak = 2 * _L["still_share"] * rms_uv**2 / np.maximum(own * height, 1e-3)
    # runs of chance grow faster than the share of still moments, a round peak just takes longer
    return np.asarray(np.maximum.reduce([np.ones(len(usual)), smooth**2, crowd**2, round_peak]))


def _settings() -> NDArray[np.float64]:
    return np.array(
        [
            _L["still_lag"],
            round(_L["still_reach_s"] / CELL_S),
            _L["still_samples"],
            round(_L["still_dead_s"] * SFREQ_HZ),
            _L["still_share"],
            _L["still_floor_uv"],
            _L["still_near_share"],
            _L["plateau_uv"],
            _L["still_bend_share"],
            _L["still_level_share"],
        ]
    )
