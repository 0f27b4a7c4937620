"""Lateral eye movements, told by their field and by how far they stand out of the page.

Reads the 40-Hz view of :mod:`detectors.signal.row_statistics`; needs single electrodes, so a bipolar
recording is not judged. How a moment stands out is in :mod:`detectors.artifacts._eyes`, blinks are in
:mod:`detectors.artifacts.ocular`. Signs are the signal's own: eyes right is positive at F8 and
negative at F7 (``clinical.md`` 8). Sizes are those of F8 minus F7.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, make_finding, margin_confidence
from detectors.artifacts._eyes import Asked, Moments, conclude_eyes, eye_moments
from detectors.montage import rows_of
from detectors.signal.field_filter import field_of
from detectors.signal.row_statistics import N_SLOW, SLOW_HZ
from detectors.types import SEGMENT_S, Finding, RuleResult, SegmentBatch

VERSION = "2"
"""Version of the rule, part of every finding's source."""

_E8 = "clinical.md 8, engineering default"
LIMITS: dict[str, Limit] = {
    "lateral_seen_sd": Limit(4.0, "SD", "engineering default: of the filtered background"),
    "lateral_evidence_sd": Limit(
        3.0, "SD", "engineering default: under 5 an hour on simulated rest"
    ),
    "lateral_rival_share": Limit(1.0, "1", "engineering default: of what the look aside explains"),
    "lateral_seen_uv": Limit(12.0, "uV", "engineering default: nearly 1 mm at each of F7 and F8"),
    "lateral_step_uv": Limit(40.0, "uV", _E8 + "; from here on it hides what lies under it"),
    "lateral_rise_share": Limit(0.7, "1", "clinical.md 8: step within 150 ms"),
    "lateral_restless_share": Limit(0.2, "1", "engineering default: box-like, level on both sides"),
    "lateral_one_side_share": Limit(0.25, "1", "engineering default: opposite sign at both"),
    "lateral_behind_share": Limit(0.33, "1", "engineering default: of F8 - F7, at C, P and O"),
    "lateral_fp_share": Limit(0.15, "1", "engineering default: of F8 - F7, at Fp2 - Fp1"),
    "lateral_misfit": Limit(4.0, "1", "engineering default: mean square SDs per row; noise has 1"),
    "lateral_misfit_share": Limit(0.05, "1", "engineering default: contacts and faces differ"),
    "lateral_rest_share": Limit(0.35, "1", "engineering default: of the step, off the median"),
    "lateral_return_s": Limit(0.25, "s", "engineering default: out and back are one movement"),
    "lateral_return_ratio": Limit(1.5, "1", "engineering default: larger goes on to the far side"),
    "lateral_wobble_share": Limit(0.5, "1", "engineering default: less of the step is no way back"),
    "lateral_same_share": Limit(
        0.5, "1", "engineering default: shared by two looks, of one's time"
    ),
    "lateral_longest_s": Limit(2.0, "s", "engineering default: box ends with the return step"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
_FP = rows_of("Fp1", "Fp2")
_F7, _F8 = rows_of("F7", "F8")
_MIDDLE = rows_of("Fz", "Cz", "Pz", "C3", "C4", "P3", "P4")
_BEHIND = rows_of("C3", "Cz", "C4", "P7", "P3", "Pz", "P4", "P8", "O1", "O2")
_GAZE_FIELD = field_of(
    {"F8": 0.5, "F7": -0.5, "Fp2": 0.2, "Fp1": -0.2, "T8": 0.17, "T7": -0.17, "F4": 0.15,
     "F3": -0.15, "C4": 0.05, "C3": -0.05}
)  # fmt: skip
"""Of eyes to the right, shares of F8 minus F7 (engineering default)."""

_TAPS = np.array([-1, -1, -1, -1, 0, 0, 0, 1, 1, 1, 1], dtype=np.float32) / np.float32(4)
"""Mean of 38-138 ms after minus mean of as long before."""

_ASKED = Asked(
    _TAPS, _GAZE_FIELD, _L["lateral_seen_sd"], _L["lateral_evidence_sd"],
    _L["lateral_rival_share"], edge=6, is_two_way=True,
)  # fmt: skip


def find_lateral_eye(
    batch: SegmentBatch, is_live: NDArray[np.bool_], slow_uv: NDArray[np.float32]
) -> RuleResult:
    """Find lateral eye movements: a quick step of F7 against F8 that holds.

    The evidence is how far a step stands out of the page in the direction of a look aside; the
    definition's 40 uV are kept as the measure ``reaches_definition``.

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
        return conclude_eyes(batch, "lateral_eye", [], has_rows, "single electrodes")
    has_rows = is_live[:, _F7] & is_live[:, _F8]
    moments = eye_moments(slow_uv, is_live, has_rows, _ASKED)
    findings: list[Finding] = []
    if moments.segment.size:
        findings = _findings(batch, moments.course_uv, _steps(moments, is_live))
    return conclude_eyes(batch, "lateral_eye", findings, has_rows, "live F7 and F8")


@dataclass(frozen=True, slots=True)
class _Steps:
    """Steps that are the eyes': segment, row of the course, onset, size, evidence, larger side."""

    segment: NDArray[np.intp]
    page: NDArray[np.intp]
    onset: NDArray[np.intp]
    step_uv: NDArray[np.float64]
    evidence: NDArray[np.float64]
    is_left_larger: NDArray[np.bool_]


def _steps(moments: Moments, is_live: NDArray[np.bool_]) -> _Steps:
    """Keep steps that are quick, level on both sides, opposite at F7 and F8, gone behind."""
    matched, segment, time, page = moments.matched, moments.segment, moments.time, moments.page
    moment = matched.moves[segment, :, time]
    step = np.einsum("kc,kc->k", moment, matched.weight[segment]).astype(np.float64)
    size = np.abs(step)
    score = np.abs(matched.score[segment, time])
    sd = size / np.maximum(score, 1e-6)
    around = np.clip(time[:, None] + np.arange(-20, 21), 0, N_SLOW - 1)
    part = moments.course_uv[page[:, None], around]
    # the filter is level over 75 ms around a step, so its time is where the gaze moves most
    quickest = (part[:, 19:28] - part[:, 13:22]) * np.sign(step)[:, None]
    onset = time + quickest.argmax(1) - 4
    is_eye = size >= _L["lateral_seen_uv"]
    is_eye &= quickest.max(1) + sd >= _L["lateral_rise_share"] * size
    levels = np.stack([part[:, 11:17], part[:, 24:30]])
    restless = np.sqrt(((levels - levels.mean(-1, keepdims=True)) ** 2).mean((0, 2)))
    is_eye &= restless <= _L["lateral_restless_share"] * size + sd
    is_eye &= _has_field(moment, matched.spread_uv[segment], is_live[segment], step)
    limit = _L["lateral_misfit"] + _L["lateral_misfit_share"] * score**2
    is_eye &= matched.misfit(segment, time) <= limit
    left = np.abs(moment[:, _F7]) >= np.abs(moment[:, _F8])
    return _Steps(*(v[is_eye] for v in (segment, page, onset, step, moments.evidence, left)))


def _has_field(
    moment: NDArray[np.float32],
    spread: NDArray[np.float32],
    live: NDArray[np.bool_],
    step: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Whether a step's field is the eyes'; every comparison allows the rows' own background."""
    sign, size = np.sign(step), np.abs(step)
    middle_live = live[:, _MIDDLE]
    middle = (moment[:, _MIDDLE] * middle_live).sum(1) / np.maximum(middle_live.sum(1), 1)
    centred = moment - middle[:, None]
    left, right = -centred[:, _F7] * sign, centred[:, _F8] * sign
    side_sd = spread[:, [_F7, _F8]].mean(1)
    is_field = np.minimum(left, right) + side_sd >= _L["lateral_one_side_share"] * size
    behind = np.abs(centred[:, _BEHIND]) - 2 * spread[:, _BEHIND]
    behind = np.where(live[:, _BEHIND], behind, 0.0)
    is_field &= behind.max(1, initial=0.0) <= _L["lateral_behind_share"] * size
    frontopolar = (moment[:, _FP[1]] - moment[:, _FP[0]]) * sign
    has_fp = live[:, _FP[0]] & live[:, _FP[1]]
    fp_sd = spread[:, _FP].mean(1)
    is_field &= ~has_fp | (frontopolar + fp_sd >= _L["lateral_fp_share"] * size)
    return np.asarray(is_field)


@dataclass(frozen=True, slots=True)
class _Look:
    """A look aside: place of its first step, when it begins and ends, its step to the right."""

    step: int
    segment: int
    start_s: float
    end_s: float
    step_uv: float

    def holds(self, segment: int, onset_s: float, step_uv: float) -> bool:
        """Whether a step belongs to this look: opposite, before or at its end, not much larger."""
        is_opposite = segment == self.segment and step_uv * self.step_uv < 0
        is_now = self.start_s <= onset_s <= self.end_s + _L["lateral_return_s"]
        return (
            is_opposite
            and is_now
            and abs(step_uv) <= _L["lateral_return_ratio"] * abs(self.step_uv)
        )

    def ended_at(self, onset_s: float, step_uv: float) -> _Look:
        """Return this look with a step back in it: one of half its size or more ends it."""
        is_wobble = abs(step_uv) < _L["lateral_wobble_share"] * abs(self.step_uv)
        is_end = onset_s >= self.end_s - _L["lateral_return_s"]
        return self if is_wobble or is_end else replace(self, end_s=onset_s + 0.075)

    def is_same(self, other: _Look) -> bool:
        """Whether two looks to one side share half of the shorter one's time."""
        shared = min(self.end_s, other.end_s) - max(self.start_s, other.start_s)
        shorter = min(self.end_s - self.start_s, other.end_s - other.start_s)
        is_one_side = self.segment == other.segment and self.step_uv * other.step_uv > 0
        return is_one_side and shared >= _L["lateral_same_share"] * shorter


def _looks(gaze_uv: NDArray[np.float32], steps: _Steps) -> list[_Look]:
    """Join a step out and the step back; steps come in order of segment and time."""
    looks: list[_Look] = []
    first = 0
    for j, i in enumerate(steps.segment.tolist()):
        if looks and looks[-1].segment != i:
            first = len(looks)
        step_uv, at = float(steps.step_uv[j]), int(steps.onset[j])
        onset_s = (at + 0.5) / SLOW_HZ
        homes = [n for n in range(first, len(looks)) if looks[n].holds(i, onset_s, step_uv)]
        if homes:
            looks[homes[-1]] = looks[homes[-1]].ended_at(onset_s, step_uv)
            continue
        gaze = gaze_uv[steps.page[j]]
        look = _Look(j, i, onset_s - 0.075, _hold_end(gaze, at, step_uv), step_uv)
        if _is_return(gaze, at, step_uv):
            # it began before the page or too near its start to be seen
            begin_s = SEGMENT_S - _hold_end(gaze[::-1], N_SLOW - 1 - at, -step_uv)
            look = _Look(j, i, begin_s, onset_s + 0.075, -step_uv)
        if not any(look.is_same(other) for other in looks[first:]):
            looks.append(look)
    return looks


def _findings(batch: SegmentBatch, gaze_uv: NDArray[np.float32], steps: _Steps) -> list[Finding]:
    findings = []
    for look in _looks(gaze_uv, steps):
        j, size_uv = look.step, abs(look.step_uv)
        measures = [
            ("step_uv", size_uv, "uV"),
            ("gaze_right", float(np.sign(look.step_uv)), "1"),
            ("background_ratio", float(steps.evidence[j]), "1"),
            ("reaches_definition", float(size_uv >= _L["lateral_step_uv"]), "1"),
            ("duration_s", look.end_s - look.start_s, "s"),
        ]
        confidence = margin_confidence(float(steps.evidence[j]) / _L["lateral_evidence_sd"])
        names = ("F7", "F8") if steps.is_left_larger[j] else ("F8", "F7")
        span = (look.start_s, look.end_s)
        findings.append(
            make_finding(
                batch.segment_ids[look.segment], "lateral_eye", names, span, measures, confidence,
                VERSION,
            )
        )  # fmt: skip
    return findings


def _is_return(gaze_uv: NDArray[np.float32], t: int, step_uv: float) -> bool:
    """Whether a step ends at the page's usual level instead of leaving it."""
    rest = float(np.median(gaze_uv))
    before = abs(float(gaze_uv[max(t - 9, 0) : t - 2].mean()) - rest)
    after = abs(float(gaze_uv[t + 3 : t + 10].mean()) - rest)
    share = _L["lateral_rest_share"]
    return after <= share * abs(step_uv) and before >= (1 - share) * abs(step_uv)


def _hold_end(gaze_uv: NDArray[np.float32], t: int, step_uv: float) -> float:
    """Time at which the gaze has come back by half, or the longest box ends."""
    longest = int(_L["lateral_longest_s"] * SLOW_HZ)
    level = gaze_uv[max(t - 9, 0) : t - 2].mean()
    held = (gaze_uv[t + 3 : t + longest] - level) * np.sign(step_uv)
    back = np.nonzero(held < 0.5 * abs(step_uv))[0]
    n = int(back[0]) if back.size else held.size
    return (t + 3 + n) / SLOW_HZ
