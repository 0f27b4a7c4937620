"""What the rules of both eye movements begin with: moments that stand out in a field's direction.

Here are the filter of a page, the evidence that a moment is of the field and not of the page's own
background or of a single focus, and the judgement of rows that are missing. What makes a moment a
blink is in :mod:`detectors.artifacts.ocular`, a look aside in :mod:`detectors.artifacts.gaze`; the
spatial filter is :mod:`detectors.signal.field_filter`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, conclude
from detectors.signal.field_filter import Matched, match_field
from detectors.signal.row_statistics import N_SLOW, SLOW_HZ
from detectors.types import Finding, RuleResult, SegmentBatch

LIMITS: dict[str, Limit] = {
    "apart_s": Limit(0.2, "s", "engineering default: of two moments the larger counts"),
    "unrest_s": Limit(0.75, "s", "engineering default: around a moment, so it fills under half"),
    "least_unrest": Limit(1.0, "SD", "engineering default: a lull makes nothing more of a moment"),
    "rival_cost": Limit(0.5, "1", "engineering default: of the evidence, for an equal rival"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
_REACH, _UNREST = (round(_L[name] * SLOW_HZ) for name in ("apart_s", "unrest_s"))
_UNREST_STEP = 3
"""Samples from one looked at to the next."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule asks of a page.

    Parameters
    ----------
    taps, field
        Of :func:`~detectors.signal.field_filter.match_field`.
    seen_sd
        Score from which a moment is looked at, in SDs of the filtered background.
    least_sd
        Evidence from which it counts.
    most_rival
        Largest share a rival may explain of what the field does.
    edge
        Samples at both ends of the page that hold no moment.
    is_two_way
        Whether the field may come with either sign.
    """

    taps: NDArray[np.float32]
    field: NDArray[np.float64]
    seen_sd: float
    least_sd: float
    most_rival: float
    edge: int
    is_two_way: bool = False


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments by segment and time: evidence in SDs, and place of the segment in ``course_uv``.

    ``course_uv`` is the low-passed output of the filter on pages that have a moment.
    """

    matched: Matched
    segment: NDArray[np.intp]
    time: NDArray[np.intp]
    evidence: NDArray[np.float64]
    page: NDArray[np.intp]
    course_uv: NDArray[np.float32]


def eye_moments(
    slow_uv: NDArray[np.float32],
    is_live: NDArray[np.bool_],
    has_rows: NDArray[np.bool_],
    asked: Asked,
) -> Moments:
    """Find the moments of pages that stand out in the direction of a field.

    The evidence of a moment is its score, less where the page is lively around it, and less the
    more of it a focus or a single electrode would explain.

    Parameters
    ----------
    slow_uv
        Rows at 40 Hz, shape (n, n_channels, N_SLOW).
    is_live
        bool, shape (n, n_channels).
    has_rows
        bool, shape (n,): pages that are searched.
    asked
        Of which field, and how much.
    """
    matched = match_field(slow_uv, is_live, asked.taps, asked.field)
    score = np.abs(matched.score) if asked.is_two_way else matched.score
    score = np.where(has_rows[:, None], score, 0.0)
    segment, time = standing_out(score, asked.seen_sd, _REACH)
    is_inside = (time >= asked.edge) & (time < N_SLOW - asked.edge)
    segment, time = segment[is_inside], time[is_inside]
    unrest = np.maximum(matched.unrest(segment, time, _UNREST, _UNREST_STEP), _L["least_unrest"])
    evidence = score[segment, time] / unrest
    is_kept = evidence >= asked.least_sd
    segment, time, evidence = segment[is_kept], time[is_kept], evidence[is_kept]
    rival = matched.rival_share(segment, time)
    evidence = evidence * (1 - _L["rival_cost"] * rival)
    is_kept = (rival <= asked.most_rival) & (evidence >= asked.least_sd)
    segment, time, evidence = segment[is_kept], time[is_kept], evidence[is_kept]
    pages, page = np.unique(segment, return_inverse=True)
    course_uv = low_passed(matched.output(slow_uv[pages], pages))
    return Moments(matched, segment, time, evidence, page, course_uv)


def conclude_eyes(
    batch: SegmentBatch,
    kind: str,
    findings: Sequence[Finding],
    has_rows: NDArray[np.bool_],
    needs: str,
) -> RuleResult:
    """Conclude on an eye movement, which needs some single electrodes."""
    reasons = ["" if ok else f"needs {needs}" for ok in has_rows]
    return conclude(batch.segment_ids, kind, findings, reasons)


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
