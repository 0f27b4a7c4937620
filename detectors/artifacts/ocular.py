"""Blinks, told by their field and by how far they stand out of the page's own background.

Reads the 40-Hz view of :mod:`detectors.signal.row_statistics` through the spatial filter of
:mod:`detectors.signal.field_filter`; needs single electrodes, so a bipolar recording is not judged.
Lateral eye movements are in :mod:`detectors.artifacts.gaze`, other artifacts in
:mod:`detectors.artifacts.chain`. Signs are the signal's own: the eye's front is positive, so a
blink (eyes roll up) is positive at Fp1 and Fp2 (``clinical.md`` 8).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, conclude, make_finding, margin_confidence
from detectors.montage import rows_of
from detectors.signal.field_filter import Matched, field_of, match_field
from detectors.signal.row_statistics import N_SLOW, SLOW_HZ
from detectors.types import CANONICAL19, Finding, RuleResult, SegmentBatch

VERSION = "3"
"""Version of the blink rule, part of every finding's source."""

_E8 = "clinical.md 8, engineering default"
LIMITS: dict[str, Limit] = {
    "blink_background_sd": Limit(3.8, "SD", "engineering default: of the filtered background"),
    "blink_seen_uv": Limit(10.0, "uV", "engineering default: 1.5 mm at 7 uV/mm"),
    "blink_p2p_uv": Limit(75.0, "uV", _E8 + "; from here on it hides what lies under it"),
    "blink_one_side_share": Limit(0.5, "1", "engineering default: both Fp take part"),
    "blink_fp_over_c": Limit(3.0, "1", _E8 + "; against the rows' common part"),
    "blink_misfit": Limit(2.5, "1", "engineering default: mean square SDs per row; noise has 1"),
    "blink_misfit_share": Limit(0.05, "1", "engineering default: contacts and faces differ"),
    "blink_width_low_s": Limit(0.08, "s", _E8),
    "blink_width_high_s": Limit(0.4, "s", _E8),
    "blink_field_uv": Limit(37.5, "uV", "engineering default: rows it makes unusable"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
_FP = rows_of("Fp1", "Fp2")
_CENTRAL = rows_of("C3", "Cz", "C4")
_FRONTAL = rows_of("F3", "Fz", "F4", "F7", "F8")
_BLINK_FIELD = field_of(
    {"Fp1": 1.0, "Fp2": 1.0, "F7": 0.4, "F8": 0.4, "F3": 0.35, "F4": 0.35, "Fz": 0.35,
     "T7": 0.1, "T8": 0.1, "C3": 0.1, "Cz": 0.1, "C4": 0.1}
)  # fmt: skip
"""Of vertical eye movement against a distant reference (shares of Fp; engineering default)."""


def _peak_taps() -> NDArray[np.float32]:
    """Return a smoothed sample minus those 0.15 s to either side: a blink's shape over 1/f activity."""
    taps = np.zeros(13)
    taps[[0, 6, 12]] = (-0.5, 1.0, -0.5)
    smooth = np.convolve([0.25, 0.5, 0.25], [0.25, 0.5, 0.25])
    return np.convolve(taps, smooth).astype(np.float32)


_TAPS = _peak_taps()


def find_blinks(
    batch: SegmentBatch, is_live: NDArray[np.bool_], slow_uv: NDArray[np.float32]
) -> RuleResult:
    """Find blinks: positive, at Fp1 and Fp2 alike, brief, gone at the vertex.

    The evidence is how far a moment stands out of the page in the direction of a blink's field;
    the definition's 75 uV are kept as the measure ``reaches_definition``.

    Parameters
    ----------
    batch
        Segments; not judged unless ``referential19``.
    is_live
        bool, shape (n, n_channels).
    slow_uv
        Rows at 40 Hz, shape (n, n_channels, 400).
    """
    if not batch.schema.is_referential:
        reasons = ["needs single electrodes"] * len(batch)
        return conclude(batch.segment_ids, "blink", [], reasons)
    has_rows = is_live[:, _FP[0]] & is_live[:, _FP[1]]
    has_rows &= np.logical_or.reduce(is_live[:, _CENTRAL], axis=1)
    matched = match_field(slow_uv, is_live, _TAPS, _BLINK_FIELD)
    peaks = _candidates(slow_uv, matched, has_rows)
    findings = _judge_peaks(batch, is_live, matched, peaks) if peaks.segment.size else []
    reasons = ["" if ok else "needs live Fp1, Fp2 and a central row" for ok in has_rows]
    return conclude(batch.segment_ids, "blink", findings, reasons)


def low_passed(rows_uv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Low-pass at about 8 Hz (binomial over three 25-ms blocks; clinical.md 8 asks < 10 Hz)."""
    smooth = rows_uv.copy()
    smooth[..., 1:-1] = 0.25 * (rows_uv[..., :-2] + rows_uv[..., 2:]) + 0.5 * rows_uv[..., 1:-1]
    return smooth


def standing_out(
    size: NDArray[np.floating], least: float, reach: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return segment and time of values that reach a limit and are the largest around.

    Parameters
    ----------
    size
        Shape (n, n_times).
    least
        The limit.
    reach
        Samples to either side that must not be larger; of equal ones the first counts.
    """
    segment, time = np.nonzero(size >= least)
    near = np.clip(time[:, None] + np.arange(-reach, reach + 1), 0, size.shape[1] - 1)
    is_top = size[segment, time] >= size[segment[:, None], near].max(1, initial=-np.inf)
    segment, time = segment[is_top], time[is_top]
    is_first = np.ones(segment.size, dtype=np.bool_)
    is_first[1:] = (segment[1:] != segment[:-1]) | (time[1:] - time[:-1] > reach)
    return segment[is_first], time[is_first]


@dataclass(frozen=True, slots=True)
class _Peaks:
    """Candidate blinks: where, their width at half height, and 1 s around them of all rows."""

    segment: NDArray[np.intp]
    time: NDArray[np.intp]
    width_s: NDArray[np.float64]
    rows: NDArray[np.float32]

    def kept(self, is_kept: NDArray[np.bool_]) -> _Peaks:
        return _Peaks(
            self.segment[is_kept], self.time[is_kept], self.width_s[is_kept], self.rows[is_kept]
        )


def _candidates(
    slow_uv: NDArray[np.float32], matched: Matched, has_rows: NDArray[np.bool_]
) -> _Peaks:
    score = np.where(has_rows[:, None], matched.score, 0.0)
    segment, time = standing_out(score, _L["blink_background_sd"], 8)
    is_inside = (time >= 4) & (time < N_SLOW - 4)
    segment, time = segment[is_inside], time[is_inside]
    around = np.clip(time[:, None] + np.arange(-20, 21), 0, N_SLOW - 1)
    pages, at = np.unique(segment, return_inverse=True)
    along = low_passed(matched.output(slow_uv[pages], pages)[at[:, None], around])
    height, width_s = _height(along), _half_width(along) / SLOW_HZ
    is_bell = height >= _L["blink_seen_uv"]
    is_bell &= (width_s >= _L["blink_width_low_s"]) & (width_s <= _L["blink_width_high_s"])
    segment, time, around = segment[is_bell], time[is_bell], around[is_bell]
    every = np.arange(len(CANONICAL19))[None, :, None]
    rows = low_passed(slow_uv[segment[:, None, None], every, around[:, None, :]])
    return _Peaks(segment, time, width_s[is_bell], rows)


def _judge_peaks(
    batch: SegmentBatch, is_live: NDArray[np.bool_], matched: Matched, peaks: _Peaks
) -> list[Finding]:
    peaks = peaks.kept(_has_field(matched, is_live, peaks))
    width_s = peaks.width_s
    score = matched.score[peaks.segment, peaks.time]
    correlation = _fp_correlation(peaks.rows)
    # both from the row as it is drawn: the filter's output is an estimate at Fp
    drawn, heights = _height(peaks.rows[:, _FP].mean(1)), _height(peaks.rows)
    findings = []
    for j, i in enumerate(peaks.segment.tolist()):
        peak_s = (float(peaks.time[j]) + 0.5) / SLOW_HZ
        measures = [
            ("amplitude_uv_p2p", float(drawn[j]), "uV"),
            ("peak_s", peak_s, "s"),
            ("width_s", float(width_s[j]), "s"),
            ("correlation", float(correlation[j]), "1"),
            ("background_ratio", float(score[j]), "1"),
            ("reaches_definition", float(drawn[j] >= _L["blink_p2p_uv"]), "1"),
        ]
        confidence = margin_confidence(float(score[j]) / _L["blink_background_sd"])
        # the base of a bell is about twice its width at half height
        span = (peak_s - float(width_s[j]), peak_s + float(width_s[j]))
        names = [CANONICAL19[r] for r in _rows(heights[j])]
        findings.append(
            make_finding(batch.segment_ids[i], "blink", names, span, measures, confidence, VERSION)
        )
    return findings


def _has_field(matched: Matched, is_live: NDArray[np.bool_], peaks: _Peaks) -> NDArray[np.bool_]:
    """Keep peaks at both Fp, a third of it or less at the vertex, explained by the field.

    Every comparison allows what the page's own background does at that row: one SD.
    """
    segment, time = peaks.segment, peaks.time
    moment, spread = matched.moves[segment, :, time], matched.spread_uv[segment]
    live = is_live[segment]
    fp = moment[:, _FP]
    both = fp.min(1) + spread[:, _FP].mean(1) >= _L["blink_one_side_share"] * fp.max(1)
    n_central = np.maximum(live[:, _CENTRAL].sum(1), 1)
    central = np.abs((moment[:, _CENTRAL] * live[:, _CENTRAL]).sum(1)) / n_central
    noise = (spread[:, _CENTRAL] * live[:, _CENTRAL]).sum(1) / n_central
    gone = (central - noise) * _L["blink_fp_over_c"] <= fp.mean(1)
    score = matched.score[segment, time]
    fits = matched.misfit(segment, time) <= _L["blink_misfit"] + _L["blink_misfit_share"] * score**2
    fits &= matched.is_better_than_a_focus(segment, time)
    return np.asarray(both & gone & fits & (fp.mean(1) > 0))


def _rows(height: NDArray[np.float32]) -> list[int]:
    """Rows to name, stronger Fp first, then the frontal ones it makes unusable."""
    first = _FP[np.argsort(-height[_FP], kind="stable")]
    return [*first.tolist(), *_FRONTAL[height[_FRONTAL] >= _L["blink_field_uv"]].tolist()]


def _fp_correlation(rows_uv: NDArray[np.float32]) -> NDArray[np.float32]:
    pair = rows_uv[:, _FP, 4:37]
    pair = pair - pair.mean(-1, keepdims=True)
    norm = np.sqrt((pair**2).sum(-1).prod(1))
    return np.asarray((pair[:, 0] * pair[:, 1]).sum(-1) / np.maximum(norm, 1e-6))


def _height(around: NDArray[np.float32]) -> NDArray[np.float32]:
    """Peak over the higher of the two feet within 0.4 s."""
    feet = np.maximum(around[..., 4:21].min(-1), around[..., 20:37].min(-1))
    height: NDArray[np.float32] = around[..., 20] - feet
    return height


def _half_width(around: NDArray[np.float32]) -> NDArray[np.intp]:
    """Count samples around the peak that stay above half its height."""
    above = around >= (around[:, 20] - 0.5 * _height(around))[:, None]
    right = np.logical_and.accumulate(above[:, 20:], axis=1).sum(1)
    left = np.logical_and.accumulate(above[:, 20::-1], axis=1).sum(1)
    width: NDArray[np.intp] = left + right - 1
    return width
