"""Eye artifacts: blinks and lateral eye movements, told by their field.

Both rules read the 40-Hz view of :mod:`detectors.row_statistics`; both need single electrodes, so a
bipolar recording is not judged. Other artifacts are in :mod:`detectors.artifacts`. Signs are the
signal's own: the eye's front is positive, so a blink (eyes roll up) is positive at Fp1 and Fp2, and
eyes right is positive at F8 and negative at F7 (``clinical.md`` 8).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, conclude, make_finding, margin_confidence
from detectors.montage import rows_of
from detectors.row_statistics import N_SLOW, SLOW_HZ
from detectors.types import CANONICAL19, SEGMENT_S, Finding, RuleResult, SegmentBatch

VERSION = "2"
"""Version of the eye rules, part of every finding's source."""

_E8 = "clinical.md 8, engineering default"
LIMITS: dict[str, Limit] = {
    "blink_p2p_uv": Limit(75.0, "uV", _E8 + "; undone for an average reference"),
    "average_reference_share": Limit(0.15, "1", "engineering default: mean of rows over their SD"),
    "blink_mean_share": Limit(
        0.2, "1", "engineering default: what a blink's field has as its mean"
    ),
    "blink_over_central": Limit(0.8, "1", "engineering default: stands out of the page"),
    "blink_one_side_share": Limit(0.5, "1", "engineering default: both Fp take part"),
    "blink_correlation": Limit(0.8, "1", _E8),
    "blink_fp_over_c": Limit(3.0, "1", _E8 + "; as regression on Fp, so that EEG at C drops out"),
    "blink_width_low_s": Limit(0.08, "s", _E8),
    "blink_width_high_s": Limit(0.4, "s", _E8),
    "blink_field_uv": Limit(37.5, "uV", "engineering default: rows it makes unusable"),
    "lateral_step_uv": Limit(40.0, "uV", _E8),
    "lateral_rise_share": Limit(0.7, "1", "clinical.md 8: step within 150 ms"),
    "lateral_restless_share": Limit(0.2, "1", "engineering default: box-like, level on both sides"),
    "lateral_correlation": Limit(-0.6, "1", _E8),
    "lateral_one_side_share": Limit(0.25, "1", "engineering default: opposite sign at both"),
    "lateral_behind_share": Limit(0.33, "1", "engineering default: of F8 - F7, at C, P and O"),
    "lateral_fp_share": Limit(0.15, "1", "engineering default: of F8 - F7, at Fp2 - Fp1"),
    "lateral_rest_share": Limit(0.35, "1", "engineering default: of the step, off the median"),
    "lateral_return_s": Limit(0.25, "s", "engineering default: out and back are one movement"),
    "lateral_return_ratio": Limit(1.5, "1", "engineering default: larger goes on to the far side"),
    "lateral_longest_s": Limit(2.0, "s", "engineering default: box ends with the return step"),
}
"""Constants of this module with their source marks."""

_FP = rows_of("Fp1", "Fp2")
_CENTRAL = rows_of("C3", "Cz", "C4")
_FRONTAL = rows_of("F3", "Fz", "F4", "F7", "F8")
_F7, _F8 = rows_of("F7", "F8")
_MIDDLE = rows_of("Fz", "Cz", "Pz", "C3", "C4", "P3", "P4")
_BEHIND = rows_of("C3", "Cz", "C4", "P7", "P3", "Pz", "P4", "P8", "O1", "O2")
_BIPOLAR = "needs single electrodes"


@dataclass(frozen=True, slots=True)
class _Peaks:
    """Candidate blinks: where, and 1 s of every row around them, shape (n_peaks, 19, 41)."""

    segment: NDArray[np.intp]
    time: NDArray[np.intp]
    around: NDArray[np.float32]


def find_blinks(
    batch: SegmentBatch, is_live: NDArray[np.bool_], slow_uv: NDArray[np.float32]
) -> RuleResult:
    """Find blinks: positive, at Fp1 and Fp2 alike, brief, gone at the vertex.

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
        return conclude(batch.segment_ids, "blink", [], [_BIPOLAR] * len(batch))
    has_rows = is_live[:, _FP[0]] & is_live[:, _FP[1]]
    has_rows &= np.logical_or.reduce(is_live[:, _CENTRAL], axis=1)
    peaks = _candidate_peaks(slow_uv, has_rows)
    findings = _judge_peaks(batch, is_live, slow_uv, peaks) if peaks.segment.size else []
    reasons = ["" if ok else "needs live Fp1, Fp2 and a central row" for ok in has_rows]
    return conclude(batch.segment_ids, "blink", findings, reasons)


def _smooth(slow_uv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Low-pass at about 8 Hz (binomial over three 25-ms blocks; clinical.md 8 asks < 10 Hz)."""
    smooth = slow_uv.copy()
    smooth[..., 1:-1] = 0.25 * (slow_uv[..., :-2] + slow_uv[..., 2:]) + 0.5 * slow_uv[..., 1:-1]
    return smooth


def _candidate_peaks(slow_uv: NDArray[np.float32], has_rows: NDArray[np.bool_]) -> _Peaks:
    """Largest values within 0.2 s of the Fp mean that stand out at least half a blink."""
    frontopolar = _smooth(slow_uv[:, _FP]).mean(1)
    frontopolar[~has_rows] = 0.0
    level = np.median(frontopolar, axis=1, keepdims=True)
    is_high = frontopolar - level >= 0.5 * LIMITS["blink_p2p_uv"].value
    segment, time = np.nonzero(is_high)
    near = np.clip(time[:, None] + np.arange(-8, 9), 0, N_SLOW - 1)
    is_peak = frontopolar[segment, time] >= frontopolar[segment[:, None], near].max(
        1, initial=-np.inf
    )
    is_peak &= (time >= 4) & (time < N_SLOW - 4)
    is_peak[1:] &= ~(is_peak[:-1] & (segment[1:] == segment[:-1]) & (time[1:] - time[:-1] < 8))
    segment, time = segment[is_peak], time[is_peak]
    around = np.clip(time[:, None] + np.arange(-20, 21), 0, N_SLOW - 1)
    rows = np.arange(len(CANONICAL19))[None, :, None]
    return _Peaks(segment, time, _smooth(slow_uv[segment[:, None, None], rows, around[:, None, :]]))


def _judge_peaks(
    batch: SegmentBatch,
    is_live: NDArray[np.bool_],
    slow_uv: NDArray[np.float32],
    peaks: _Peaks,
) -> list[Finding]:
    limit = {name: entry.value for name, entry in LIMITS.items()}
    fp = peaks.around[:, _FP]
    mean = fp.mean(1)
    each = _height(fp)
    height = _height(mean)
    width_s = _half_width(mean, height) / SLOW_HZ
    core = slice(4, 37)
    centred = peaks.around[..., core] - peaks.around[..., core].mean(-1, keepdims=True)
    driver = centred[:, _FP].mean(1)
    driver_power = np.maximum((driver**2).sum(-1), 1e-6)
    slope = np.einsum("kct,kt->kc", centred, driver) / driver_power[:, None]
    slope[~is_live[peaks.segment]] = 0.0
    central_live = is_live[peaks.segment][:, _CENTRAL]
    central = np.abs(slope[:, _CENTRAL].sum(1)) / np.maximum(central_live.sum(1), 1)
    left, right = centred[:, _FP[0]], centred[:, _FP[1]]
    norm = np.sqrt((left**2).sum(-1) * (right**2).sum(-1))
    correlation = (left * right).sum(-1) / np.maximum(norm, 1e-6)
    over, quiet = _reference_and_quiet(slow_uv, is_live, peaks.segment)
    is_blink = height * over >= limit["blink_p2p_uv"]
    is_blink &= height * over >= limit["blink_over_central"] * quiet
    is_blink &= correlation >= limit["blink_correlation"]
    is_blink &= each.min(1) * over >= limit["blink_one_side_share"] * limit["blink_p2p_uv"]
    is_blink &= (width_s >= limit["blink_width_low_s"]) & (width_s <= limit["blink_width_high_s"])
    is_blink &= central * limit["blink_fp_over_c"] <= 1.0
    findings = []
    for j in np.nonzero(is_blink)[0]:
        peak_s = (float(peaks.time[j]) + 0.5) / SLOW_HZ
        ratio = min(1.0 / max(float(central[j]), 1e-3), 99.0)
        measures = [
            ("amplitude_uv_p2p", float(height[j]), "uV"),
            ("peak_s", peak_s, "s"),
            ("width_s", float(width_s[j]), "s"),
            ("correlation", float(correlation[j]), "1"),
            ("fp_over_c", ratio, "1"),
        ]
        confidence = margin_confidence(
            float(height[j]) / limit["blink_p2p_uv"], ratio / limit["blink_fp_over_c"]
        )
        size = slope[j] * height[j]
        rows = [*_FP[np.argsort(-each[j], kind="stable")]]
        rows += [r for r in _FRONTAL if size[r] >= limit["blink_field_uv"]]
        # the base of a bell is about twice its width at half height
        span = (peak_s - float(width_s[j]), peak_s + float(width_s[j]))
        names = [CANONICAL19[r] for r in rows]
        segment_id = batch.segment_ids[peaks.segment[j]]
        findings.append(
            make_finding(segment_id, "blink", names, span, measures, confidence, VERSION)
        )
    return findings


def _reference_and_quiet(
    slow_uv: NDArray[np.float32], is_live: NDArray[np.bool_], segment: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gain that undoes an average reference, and what the central rows do when they are quiet.

    The latter is the third lowest of ten 1-s peak-to-peaks, so that movement does not raise it.
    Shape (n_peaks,) each. Rows of an average reference add up to nothing; it takes from a blink
    what it puts on the rows behind.
    """
    page, back = np.unique(segment, return_inverse=True)
    live = is_live[page]
    rows = slow_uv[page] * live[..., None]
    common = rows.sum(1).std(-1) / np.maximum(live.sum(1), 1)
    own = rows.std(-1).sum(1) / np.maximum(live.sum(1), 1)
    is_average = common < LIMITS["average_reference_share"].value * own
    over = np.where(is_average, 1.0 / (1.0 - LIMITS["blink_mean_share"].value), 1.0)
    seconds = rows[:, _CENTRAL].reshape(len(page), len(_CENTRAL), -1, SLOW_HZ)
    typical = np.sort(seconds.max(-1) - seconds.min(-1), axis=-1)[..., 2]
    quiet = typical.sum(1) / np.maximum(live[:, _CENTRAL].sum(1), 1)
    return over[back], quiet[back]


def _height(around: NDArray[np.float32]) -> NDArray[np.float32]:
    """Peak over the higher of the two feet within 0.4 s."""
    feet = np.maximum(around[..., 4:21].min(-1), around[..., 20:37].min(-1))
    height: NDArray[np.float32] = around[..., 20] - feet
    return height


def _half_width(mean: NDArray[np.float32], height: NDArray[np.float32]) -> NDArray[np.intp]:
    """Count samples around the peak that stay above half its height."""
    above = mean >= (mean[:, 20] - 0.5 * height)[:, None]
    right = np.logical_and.accumulate(above[:, 20:], axis=1).sum(1)
    left = np.logical_and.accumulate(above[:, 20::-1], axis=1).sum(1)
    width: NDArray[np.intp] = left + right - 1
    return width


@dataclass(frozen=True, slots=True)
class _Held:
    """The latest movement: its segment, when its level came back, its step."""

    segment: int
    end_s: float
    step_uv: float

    def is_ended_by(self, segment: int, start_s: float, step_uv: float) -> bool:
        """Whether a step is this movement's own return: opposite, at its end, not much larger."""
        is_opposite = segment == self.segment and step_uv * self.step_uv < 0
        is_now = abs(start_s - self.end_s) <= LIMITS["lateral_return_s"].value
        largest = LIMITS["lateral_return_ratio"].value * abs(self.step_uv)
        return is_opposite and is_now and abs(step_uv) <= largest


def find_lateral_eye(
    batch: SegmentBatch, is_live: NDArray[np.bool_], slow_uv: NDArray[np.float32]
) -> RuleResult:
    """Find lateral eye movements: a quick step of F7 against F8 that holds.

    Parameters
    ----------
    batch, is_live, slow_uv
        As for :func:`find_blinks`.
    """
    if not batch.schema.is_referential:
        return conclude(batch.segment_ids, "lateral_eye", [], [_BIPOLAR] * len(batch))
    limit = {name: entry.value for name, entry in LIMITS.items()}
    has_rows = is_live[:, _F7] & is_live[:, _F8]
    pair = _smooth(slow_uv[:, [_F7, _F8]])
    pair[~has_rows] = 0.0
    step = _step(pair)
    difference = step[:, 0] - step[:, 1]
    size = np.abs(difference)
    segment, time = np.nonzero(size >= limit["lateral_step_uv"])
    near = np.clip(time[:, None] + np.arange(-8, 9), 0, N_SLOW - 1)
    is_step = size[segment, time] >= size[segment[:, None], near].max(1, initial=0.0)
    is_step[1:] &= ~(is_step[:-1] & (segment[1:] == segment[:-1]) & (time[1:] - time[:-1] < 8))
    segment, time = segment[is_step], time[is_step]
    is_eye, correlation, onset = _is_conjugate(pair, step, segment, time)
    is_eye[is_eye] = _is_eye_field(slow_uv, is_live, segment[is_eye], time[is_eye])
    findings = []
    last = _Held(-1, 0.0, 0.0)
    for j in np.nonzero(is_eye)[0]:
        i, t = int(segment[j]), int(time[j])
        step_uv, at = float(difference[i, t]), int(onset[j])
        onset_s = (at + 0.5) / SLOW_HZ
        if last.is_ended_by(i, onset_s - 0.075, step_uv):
            last = _Held(-1, 0.0, 0.0)
            continue
        gaze = pair[i, 0] - pair[i, 1]
        if _is_return(gaze, at, step_uv):
            # it began before the page or too near its start to be seen
            begin_s = SEGMENT_S - _hold_end(gaze[::-1], N_SLOW - 1 - at, -step_uv)
            start_s, end, step_uv = begin_s, onset_s + 0.075, -step_uv
        else:
            start_s, end = onset_s - 0.075, _hold_end(gaze, at, step_uv)
            last = _Held(i, end, step_uv)
        measures = [
            ("step_uv", float(size[i, t]), "uV"),
            ("correlation", float(correlation[j]), "1"),
            ("gaze_right", -float(np.sign(step_uv)), "1"),
            ("duration_s", end - start_s, "s"),
        ]
        confidence = margin_confidence(float(size[i, t]) / limit["lateral_step_uv"])
        names = ("F7", "F8") if abs(step[i, 0, t]) >= abs(step[i, 1, t]) else ("F8", "F7")
        findings.append(
            make_finding(
                batch.segment_ids[i], "lateral_eye", names, (start_s, end), measures, confidence,
                VERSION,
            )
        )  # fmt: skip
    reasons = ["" if ok else "needs live F7 and F8" for ok in has_rows]
    return conclude(batch.segment_ids, "lateral_eye", findings, reasons)


def _step(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean of 75-225 ms after minus mean of 75-225 ms before every sample; 0 near the ends."""
    total = np.cumsum(rows, axis=-1, dtype=np.float64)
    step = np.zeros(rows.shape)
    after = total[..., 19:] - total[..., 13:-6]
    before = total[..., 6:-13] - total[..., :-19]
    step[..., 10:-9] = (after - before) / 6
    return step


def _is_conjugate(
    pair: NDArray[np.float32],
    step: NDArray[np.float64],
    segment: NDArray[np.intp],
    time: NDArray[np.intp],
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.intp]]:
    """Keep steps that are quick, opposite and anti-correlated; with correlation and time.

    The means of :func:`_step` are level over 150 ms around a step, so its time is where the
    difference itself moves most within 150 ms.
    """
    limit = {name: entry.value for name, entry in LIMITS.items()}
    around = np.clip(time[:, None] + np.arange(-20, 21), 0, N_SLOW - 1)
    part = pair[segment[:, None, None], np.arange(2)[None, :, None], around[:, None, :]]
    centred = part - part.mean(-1, keepdims=True)
    norm = np.sqrt((centred**2).sum(-1).prod(1))
    correlation = (centred[:, 0] * centred[:, 1]).sum(-1) / np.maximum(norm, 1e-6)
    left, right = step[segment, 0, time], step[segment, 1, time]
    size = np.abs(left - right)
    rise = part[:, 0] - part[:, 1]
    quickest = np.abs(rise[:, 19:28] - rise[:, 13:22])
    onset = time + quickest.argmax(1) - 4
    fastest = quickest.max(1, initial=0.0)
    is_eye = fastest >= np.maximum(limit["lateral_step_uv"], limit["lateral_rise_share"] * size)
    is_eye &= (left * right < 0) & (correlation <= limit["lateral_correlation"])
    weaker = np.minimum(np.abs(left), np.abs(right))
    is_eye &= weaker >= limit["lateral_one_side_share"] * size
    levels = np.stack([rise[:, 11:17], rise[:, 24:30]])
    restlessness = np.sqrt(((levels - levels.mean(-1, keepdims=True)) ** 2).mean((0, 2)))
    is_eye &= restlessness <= limit["lateral_restless_share"] * size
    return is_eye, correlation.astype(np.float64), onset


def _is_eye_field(
    slow_uv: NDArray[np.float32],
    is_live: NDArray[np.bool_],
    segment: NDArray[np.intp],
    time: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """Keep steps whose field is the eyes': Fp1 and Fp2 take part, what lies behind hardly does."""
    reach = np.arange(4, 10)
    rows = np.arange(slow_uv.shape[1])[None, :, None]
    at = segment[:, None, None]
    after = slow_uv[at, rows, np.minimum(time[:, None] + reach, N_SLOW - 1)[:, None]].mean(-1)
    before = slow_uv[at, rows, np.maximum(time[:, None] - reach, 0)[:, None]].mean(-1)
    step = after - before
    across = step[:, _F8] - step[:, _F7]
    size = np.abs(across)
    behind = is_live[segment][:, _BEHIND]
    middle = (step[:, _MIDDLE] * is_live[segment][:, _MIDDLE]).sum(1)
    middle /= np.maximum(is_live[segment][:, _MIDDLE].sum(1), 1)
    beyond = np.abs(np.where(behind, step[:, _BEHIND] - middle[:, None], 0.0))
    is_field = beyond.max(1, initial=0.0) <= LIMITS["lateral_behind_share"].value * size
    frontopolar = (step[:, _FP[1]] - step[:, _FP[0]]) * np.sign(across)
    has_fp = is_live[segment][:, _FP[0]] & is_live[segment][:, _FP[1]]
    is_field &= ~has_fp | (frontopolar >= LIMITS["lateral_fp_share"].value * size)
    return np.asarray(is_field)


def _is_return(gaze_uv: NDArray[np.float32], t: int, step_uv: float) -> bool:
    """Whether a step ends at the page's usual level instead of leaving it."""
    rest = float(np.median(gaze_uv))
    before = abs(float(gaze_uv[max(t - 9, 0) : t - 2].mean()) - rest)
    after = abs(float(gaze_uv[t + 3 : t + 10].mean()) - rest)
    share = LIMITS["lateral_rest_share"].value
    return after <= share * abs(step_uv) and before >= (1 - share) * abs(step_uv)


def _hold_end(difference: NDArray[np.float32], t: int, step_uv: float) -> float:
    """Time at which the difference has come back by half, or the longest box ends."""
    longest = int(LIMITS["lateral_longest_s"].value * SLOW_HZ)
    level = difference[max(t - 9, 0) : t - 2].mean()
    held = (difference[t + 3 : t + longest] - level) * np.sign(step_uv)
    back = np.nonzero(held < 0.5 * abs(step_uv))[0]
    n = int(back[0]) if back.size else held.size
    return (t + 3 + n) / SLOW_HZ
