"""Heartbeats seen by scalp electrodes, told by their rhythm where there is no ECG channel.

A QRS complex is briefer than most of the EEG, comes again at every beat, and reaches many rows with
one sign. It hides nothing, but a
sharp transient at the time of a beat is none of the brain's: :func:`beat_times_s` gives the beats
of a finding. Other artifacts are in :mod:`detectors.artifacts.chain`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, conclude_where, make_finding, margin_confidence
from detectors.signal.scalp import electrode_positions
from detectors.types import SEGMENT_S, SFREQ_HZ, Finding, RuleResult, SegmentBatch

VERSION = "1"
"""Version of the rule, part of every finding's source."""

_E8 = "clinical.md 8, engineering default"
LIMITS: dict[str, Limit] = {
    "ecg_low_bpm": Limit(45.0, "1/min", _E8),
    "ecg_high_bpm": Limit(150.0, "1/min", _E8),
    "ecg_row_share": Limit(0.3, "1", _E8 + "; of the live rows, with one sign"),
    "ecg_rows": Limit(6, "rows", "engineering default: fewer show no field"),
    "ecg_background_sd": Limit(3.0, "SD", "engineering default: a beat over the brief background"),
    "ecg_beats": Limit(6, "beats", "engineering default: fewer show no rhythm"),
    "ecg_found_share": Limit(0.8, "1", "engineering default: of the beats the rhythm foretells"),
    "ecg_interval_share": Limit(0.15, "1", "engineering default: an interval off the usual one"),
    "ecg_regular_share": Limit(0.8, "1", "engineering default: of all intervals"),
    "ecg_row_sd": Limit(4.0, "SD", "engineering default: mean of all beats over its error"),
    "ecg_seen_uv": Limit(4.0, "uV", "engineering default: mean complex, half a mm"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
_REFRACTORY = round(0.7 * 60 / _L["ecg_high_bpm"] * SFREQ_HZ)
_HALF, _FEET = 2, 9
"""Samples a complex is averaged over to either side, and how far its feet lie."""


def find_ecg(batch: SegmentBatch, is_live: NDArray[np.bool_]) -> RuleResult:
    """Find brief complexes that come again at 45-150 per minute with one sign on many rows.

    Parameters
    ----------
    batch
        Segments; not judged unless ``referential19``: a derivation of neighbours cancels beats.
    is_live
        bool, shape (n, n_channels).
    """
    if not batch.schema.is_referential:
        never = np.zeros(len(batch), dtype=np.bool_)
        return conclude_where(batch, "ecg", [], never, "needs single electrodes")
    is_judged = is_live.sum(1) >= _L["ecg_rows"]
    at, top, count = _moments(batch.data_uv, is_live & is_judged[:, None])
    findings = []
    for i in np.nonzero((count >= _L["ecg_beats"]).any(1))[0].tolist():
        trains = [
            train
            for k, n in enumerate(count[i].tolist())
            if (train := _train(at[i, k, :n], top[i, k, :n])) is not None
        ]
        if not trains:
            continue
        best = max(trains, key=lambda train: (train.regular_share, train.at.size))
        finding = _finding(batch, i, is_live[i], best)
        if finding is not None:
            findings.append(finding)
    few = f"fewer than {_L['ecg_rows']:g} live rows"
    return conclude_where(batch, "ecg", findings, is_judged, few)


def beat_times_s(finding: Finding) -> tuple[float, ...]:
    """Return the times of the beats of a finding of kind ``ecg``, from the page's start."""
    return tuple(m.value for m in finding.measures if m.name == "beat_s")


def _moments(
    data_uv: NDArray[np.float32], is_live: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int64]]:
    """Return the brief moments of sums of rows a heartbeat's field can have: where, height, count.

    Against a distant or ear reference all rows share its sign; against the average it is a slope
    from one side of the head, or from the front, to the other. Shapes (n, 3, room) twice, and
    (n, 3).
    """
    from detectors.signal import _field_kernels

    place = electrode_positions()
    field = np.stack([np.ones(len(place)), place[:, 0], place[:, 1]])
    weight = (field * is_live[:, None]).astype(np.float32)
    room = data_uv.shape[-1] // _REFRACTORY + 1
    at = np.zeros((len(data_uv), len(field), room), dtype=np.int32)
    top = np.zeros(at.shape, dtype=np.float32)
    count = np.zeros(at.shape[:2], dtype=np.int64)
    shape = np.array([_HALF, _FEET, _REFRACTORY])
    least = _L["ecg_background_sd"]
    data = np.ascontiguousarray(data_uv, dtype=np.float32)
    _field_kernels.brief_moments(data, weight, shape, least, at, top, count)
    return at, top, count


def _brief(rows_uv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of 25 ms less the mean of what lies 45 ms to either side; 0 near the ends."""
    total = np.cumsum(rows_uv, axis=-1, dtype=np.float64)
    width, reach = 2 * _HALF + 1, _HALF + _FEET
    mean = (total[..., width:] - total[..., :-width]) / width
    brief = np.zeros_like(rows_uv)
    brief[..., reach + 1 : -reach] = mean[..., _FEET:-_FEET] - 0.5 * (
        mean[..., : -2 * _FEET] + mean[..., 2 * _FEET :]
    )
    return brief


@dataclass(frozen=True, slots=True)
class _Train:
    """Beats as samples, their usual interval, and the share of intervals that are as long."""

    at: NDArray[np.int32]
    interval_s: float
    regular_share: float


def _train(at: NDArray[np.int32], top: NDArray[np.float32]) -> _Train | None:
    """Return moments as a train of beats if they are regular, else None.

    Beats are alike, so moments half as high as most do not count; an interval of twice the usual is
    a beat that was missed.
    """
    if at.size < _L["ecg_beats"]:
        return None
    at = at[top >= 0.5 * np.median(top)]
    if at.size < _L["ecg_beats"]:
        return None
    gaps = np.diff(at) / SFREQ_HZ
    usual = float(np.median(gaps))
    off = np.minimum(np.abs(gaps - usual), np.abs(gaps - 2 * usual))
    share = float((off <= _L["ecg_interval_share"] * usual).mean())
    is_whole = at.size >= _L["ecg_found_share"] * (SEGMENT_S / usual - 1)
    is_rate = 60 / _L["ecg_high_bpm"] <= usual <= 60 / _L["ecg_low_bpm"]
    is_regular = share >= _L["ecg_regular_share"]
    return _Train(at, usual, share) if is_whole and is_rate and is_regular else None


def _finding(batch: SegmentBatch, i: int, live: NDArray[np.bool_], train: _Train) -> Finding | None:
    """Return the finding if enough rows carry the beats with one sign."""
    beats = _brief(batch.data_uv[i])[:, train.at]
    size = beats.mean(1)
    sure = np.abs(size) * np.sqrt(train.at.size) / (beats.std(1) + 0.05)
    is_row = live & (sure >= _L["ecg_row_sd"])
    n_same = max(int((is_row & (size > 0)).sum()), int((is_row & (size < 0)).sum()))
    largest = float(np.abs(size[is_row]).max(initial=0.0))
    if n_same < _L["ecg_row_share"] * live.sum() or largest < _L["ecg_seen_uv"]:
        return None
    rows = np.nonzero(is_row)[0]
    rows = rows[np.argsort(-np.abs(size[rows]), kind="stable")]
    measures = [
        ("frequency_hz", 1.0 / train.interval_s, "Hz"),
        ("rate_bpm", 60.0 / train.interval_s, "1/min"),
        ("n_beats", float(train.at.size), "1"),
        ("amplitude_uv", largest, "uV"),
        ("row_share", n_same / float(live.sum()), "1"),
        *(("beat_s", float(at) / SFREQ_HZ, "s") for at in train.at),
    ]
    confidence = margin_confidence(
        largest / _L["ecg_seen_uv"], float(sure[rows[0]]) / _L["ecg_row_sd"]
    )
    names = [batch.schema.ch_names[r] for r in rows]
    return make_finding(
        batch.segment_ids[i], "ecg", names, (0, SEGMENT_S), measures, confidence, VERSION
    )
