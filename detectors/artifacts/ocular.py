"""Blinks, told by their field and by how far they stand out of the page's own background.

Reads the 40-Hz view of :mod:`detectors.signal.row_statistics`; needs single electrodes, so a bipolar
recording is not judged. How a moment stands out is in :mod:`detectors.artifacts._eyes`, lateral eye
movements are in :mod:`detectors.artifacts.gaze`, other artifacts in :mod:`detectors.artifacts.chain`.
Signs are the signal's own: the eye's front is positive, so a blink (eyes roll up) is positive at Fp1
and Fp2 (``clinical.md`` 8).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, make_finding, margin_confidence
from detectors.artifacts._eyes import Asked, Moments, conclude_eyes, eye_moments, low_passed
from detectors.montage import rows_of
from detectors.signal.field_filter import Matched, field_of
from detectors.signal.row_statistics import N_SLOW, SLOW_HZ
from detectors.types import CANONICAL19, Finding, RuleResult, SegmentBatch

VERSION = "4"
"""Version of the blink rule, part of every finding's source."""

_E8 = "clinical.md 8, engineering default"
LIMITS: dict[str, Limit] = {
    "blink_seen_sd": Limit(3.9, "SD", "engineering default: of the filtered background"),
    "blink_evidence_sd": Limit(
        2.2, "SD", "engineering default: under 10 an hour on simulated rest"
    ),
    "blink_rival_share": Limit(1.1, "1", "engineering default: of what the blink explains"),
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
    {"Fp1": 1.0, "Fp2": 1.0, "F7": 0.35, "F8": 0.35, "F3": 0.3, "F4": 0.3, "Fz": 0.3,
     "T7": 0.07, "T8": 0.07, "C3": 0.07, "Cz": 0.07, "C4": 0.07}
)  # fmt: skip
"""Of vertical eye movement against a distant reference (shares of Fp; engineering default)."""
_BLINK_S, _RISE_SHARE = 0.28, 0.4
"""A usual blink: foot to foot, and the part of it in which the lid closes (engineering default)."""
_TAPS_REACH = 12


def _bell_taps() -> NDArray[np.float32]:
    """Return a blink's course divided by the spectrum of 1/f activity: its matched filter.

    That spectrum is level below 0.4 Hz and stands on a little white noise; what is below 0.3 Hz is
    left out, as ten seconds hold too little of it.
    """
    n = 256
    u = np.linspace(0.0, 1.0, round(_BLINK_S * SLOW_HZ) // 2 * 2 + 3)[1:-1]
    closing = np.sin(0.5 * np.pi * np.clip(u / _RISE_SHARE, 0, 1)) ** 2
    opening = np.cos(0.5 * np.pi * np.clip((u - _RISE_SHARE) / (1 - _RISE_SHARE), 0, 1)) ** 2
    bell = np.zeros(n)
    first = n // 2 - u.size // 2
    bell[first : first + u.size] = np.where(u < _RISE_SHARE, closing, opening)
    hz = np.fft.rfftfreq(n, 1 / SLOW_HZ)
    spectrum = np.fft.rfft(bell) / (1 / np.maximum(hz, 0.4) + 0.003)
    spectrum[hz < 0.3] = 0.0
    taps = np.fft.irfft(spectrum, n)[n // 2 - _TAPS_REACH : n // 2 + _TAPS_REACH + 1]
    taps -= taps.mean()
    return np.asarray(taps / np.abs(taps).max(), dtype=np.float32)


_ASKED = Asked(
    _bell_taps(), _BLINK_FIELD, _L["blink_seen_sd"], _L["blink_evidence_sd"],
    _L["blink_rival_share"], edge=4,
)  # fmt: skip


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
    has_rows = np.zeros(len(batch), dtype=np.bool_)
    if not batch.schema.is_referential:
        return conclude_eyes(batch, "blink", [], has_rows, "single electrodes")
    has_rows = is_live[:, _FP[0]] & is_live[:, _FP[1]]
    has_rows &= np.logical_or.reduce(is_live[:, _CENTRAL], axis=1)
    moments = eye_moments(slow_uv, is_live, has_rows, _ASKED)
    findings: list[Finding] = []
    if moments.segment.size:
        peaks = _candidates(slow_uv, moments)
        findings = _judge_peaks(batch, is_live, moments.matched, peaks)
    return conclude_eyes(batch, "blink", findings, has_rows, "live Fp1, Fp2 and a central row")


@dataclass(frozen=True, slots=True)
class _Peaks:
    """Candidate blinks: moment, top, evidence, width at half height, 1 s of all rows around."""

    segment: NDArray[np.intp]
    time: NDArray[np.intp]
    top: NDArray[np.intp]
    evidence: NDArray[np.float64]
    width_s: NDArray[np.float64]
    rows: NDArray[np.float32]

    def kept(self, is_kept: NDArray[np.bool_]) -> _Peaks:
        return _Peaks(
            self.segment[is_kept], self.time[is_kept], self.top[is_kept],
            self.evidence[is_kept], self.width_s[is_kept], self.rows[is_kept],
        )  # fmt: skip


def _candidates(slow_uv: NDArray[np.float32], moments: Moments) -> _Peaks:
    segment, page = moments.segment, moments.page
    # the filter sees the whole course, so its time is not quite that of the top
    near = np.clip(moments.time[:, None] + np.arange(-3, 4), 0, N_SLOW - 1)
    top = moments.course_uv[page[:, None], near].argmax(1)
    time = near[np.arange(top.size), top]
    around = np.clip(time[:, None] + np.arange(-20, 21), 0, N_SLOW - 1)
    along = moments.course_uv[page[:, None], around]
    height, width_s = _height(along), _half_width(along) / SLOW_HZ
    is_bell = height >= _L["blink_seen_uv"]
    is_bell &= (width_s >= _L["blink_width_low_s"]) & (width_s <= _L["blink_width_high_s"])
    segment, around = segment[is_bell], around[is_bell]
    every = np.arange(len(CANONICAL19))[None, :, None]
    rows = low_passed(slow_uv[segment[:, None, None], every, around[:, None, :]])
    return _Peaks(
        segment, moments.time[is_bell], time[is_bell], moments.evidence[is_bell],
        width_s[is_bell], rows,
    )  # fmt: skip


def _judge_peaks(
    batch: SegmentBatch, is_live: NDArray[np.bool_], matched: Matched, peaks: _Peaks
) -> list[Finding]:
    peaks = peaks.kept(_has_field(matched, is_live, peaks))
    width_s = peaks.width_s
    correlation = _fp_correlation(peaks.rows)
    # both from the row as it is drawn: the filter's output is an estimate at Fp
    drawn, heights = _height(peaks.rows[:, _FP].mean(1)), _height(peaks.rows)
    findings = []
    for j, i in enumerate(peaks.segment.tolist()):
        peak_s = (float(peaks.top[j]) + 0.5) / SLOW_HZ
        measures = [
            ("amplitude_uv_p2p", float(drawn[j]), "uV"),
            ("peak_s", peak_s, "s"),
            ("width_s", float(width_s[j]), "s"),
            ("correlation", float(correlation[j]), "1"),
            ("background_ratio", float(peaks.evidence[j]), "1"),
            ("reaches_definition", float(drawn[j] >= _L["blink_p2p_uv"]), "1"),
        ]
        confidence = margin_confidence(float(peaks.evidence[j]) / _L["blink_evidence_sd"])
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
