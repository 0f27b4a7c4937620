"""Slow drift of the baseline, below what the EEG's slowest rhythms do.

Ten seconds hold two breaths and no more than a wave of skin potential, so neither can be named:
the page shows a slow drift, rhythmic or wandering (``clinical.md`` 8, 10). It hides nothing. Reads
the 40-Hz view of :mod:`detectors.signal.row_statistics`; other artifacts are in
:mod:`detectors.artifacts.chain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit, conclude, make_finding, margin_confidence
from detectors.signal.row_statistics import N_SLOW
from detectors.types import SEGMENT_S, Finding, RuleResult, SegmentBatch

VERSION = "1"
"""Version of the rule, part of every finding's source."""

_E8 = "clinical.md 8, engineering default"
LIMITS: dict[str, Limit] = {
    "drift_high_hz": Limit(0.5, "Hz", _E8),
    "drift_share": Limit(0.7, "1", _E8 + "; of the power of 0.1-4 Hz"),
    "drift_rows": Limit(2, "rows", _E8 + "; one is enough for a rhythmic one"),
    "rhythmic_rows": Limit(4, "rows", _E8 + "; a rhythmic one is on fewer"),
    "rhythmic_low_hz": Limit(0.15, "Hz", _E8),
    "rhythmic_share": Limit(0.9, "1", "engineering default: of the power below 1 Hz, in its peak"),
    "drift_p2p_uv": Limit(100.0, "uV", "engineering default: plain 1/f activity seldom reaches it"),
    "drift_band_low_hz": Limit(0.3, "Hz", "engineering default: above, the source holds no drift"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
_SLOW_KINDS = frozenset({"lateral_eye", "electrode_pop", "movement", "saturation", "flat"})
_RATE_HZ = 10
_N = _RATE_HZ * SEGMENT_S


def find_slow_drift(
    batch: SegmentBatch,
    is_live: NDArray[np.bool_],
    slow_uv: NDArray[np.float32],
    known: Sequence[Finding] = (),
) -> RuleResult:
    """Find rows whose power of 0.1-4 Hz lies below 0.5 Hz for the most part.

    Parameters
    ----------
    batch
        Segments; not judged where the source's high-pass took what is slow.
    is_live
        bool, shape (n, n_channels).
    slow_uv
        Rows at 40 Hz, shape (n, n_channels, N_SLOW).
    known
        Other artifacts, whose rows are not judged: looks aside, pops and tugs are slow as well.
    """
    has_band = batch.band_hz[:, 0] <= _L["drift_band_low_hz"]
    rows = _wide_rows(batch, is_live & has_band[:, None], slow_uv, known)
    findings = [
        _finding(batch, int(i), rows, at)
        for i in np.unique(rows.segment[rows.is_drift])
        if (at := np.nonzero(rows.is_drift & (rows.segment == i))[0]).size >= _L["drift_rows"]
        or rows.is_regular(at)
    ]
    reasons = [
        "" if any_live and band
        else "no live row" if not any_live
        else "the source's high-pass takes what is as slow"
        for any_live, band in zip(np.logical_or.reduce(is_live, axis=1), has_band, strict=True)
    ]  # fmt: skip
    return conclude(batch.segment_ids, "slow_drift", findings, reasons)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows that swing widely: where they are, their swing, and what their slow power looks like."""

    segment: NDArray[np.intp]
    row: NDArray[np.intp]
    swing_uv: NDArray[np.float32]
    share: NDArray[np.float64]
    peak_hz: NDArray[np.float64]
    peak_share: NDArray[np.float64]

    @property
    def is_drift(self) -> NDArray[np.bool_]:
        return np.asarray(self.share >= _L["drift_share"])

    def is_regular(self, at: NDArray[np.intp]) -> bool:
        """Whether these rows are few and each has one frequency a breath could have."""
        peak_hz = self.peak_hz[at]
        is_rhythmic = self.peak_share[at] >= _L["rhythmic_share"]
        is_rhythmic &= (peak_hz >= _L["rhythmic_low_hz"]) & (peak_hz <= _L["drift_high_hz"])
        return bool(is_rhythmic.all()) and at.size < _L["rhythmic_rows"]


def _wide_rows(
    batch: SegmentBatch,
    is_judged: NDArray[np.bool_],
    slow_uv: NDArray[np.float32],
    known: Sequence[Finding],
) -> _Rows:
    seen = slow_uv[..., :: N_SLOW // _N]
    swing = seen.max(-1) - seen.min(-1)
    is_wide = is_judged & (swing >= _L["drift_p2p_uv"])
    at_page = {segment_id: i for i, segment_id in enumerate(batch.segment_ids)}
    at_row = {name: r for r, name in enumerate(batch.schema.ch_names)}
    for finding in known:
        if finding.kind in _SLOW_KINDS:
            rows = [at_row[name] for name in finding.channels]
            is_wide[at_page[finding.segment_id], rows] = False
    segment, row = np.nonzero(is_wide)
    rows_uv = slow_uv[segment, row].reshape(-1, _N, N_SLOW // _N).mean(-1)
    return _Rows(segment, row, swing[segment, row], *_low_shares(rows_uv))


def _finding(batch: SegmentBatch, i: int, rows: _Rows, at: NDArray[np.intp]) -> Finding:
    is_regular = rows.is_regular(at)
    at = at[np.argsort(-rows.swing_uv[at], kind="stable")]
    top = at[0]
    swing, share = float(rows.swing_uv[top]), float(rows.share[top])
    measures = [
        ("amplitude_uv_p2p", swing, "uV"),
        ("power_share", share, "1"),
        ("is_rhythmic", float(is_regular), "1"),
    ]
    if is_regular:
        measures.append(("frequency_hz", float(rows.peak_hz[top]), "Hz"))
    confidence = margin_confidence(swing / _L["drift_p2p_uv"], share / _L["drift_share"])
    names = [batch.schema.ch_names[r] for r in rows.row[at]]
    span = (0, SEGMENT_S)
    return make_finding(
        batch.segment_ids[i], "slow_drift", names, span, measures, confidence, VERSION
    )


def _low_shares(
    rows_uv: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return per row the share of 0.1-4 Hz below 0.5 Hz, the peak, and the peak's own share."""
    power = np.abs(np.fft.rfft((rows_uv - rows_uv.mean(-1, keepdims=True)) * _window(), axis=-1))
    power = power[:, : 4 * SEGMENT_S + 1] ** 2
    power[:, 0] = 0.0
    n_low = round(_L["drift_high_hz"] * SEGMENT_S)
    share = power[:, : n_low + 1].sum(1) / np.maximum(power.sum(1), 1e-9)
    peak = power[:, : n_low + 1].argmax(1)
    # with this window a sine fills three bins
    near = np.clip(peak[:, None] + np.arange(-1, 2), 1, None)
    own = np.take_along_axis(power, near, axis=1)
    own[:, 0] *= peak > 1
    low = np.maximum(power[:, : SEGMENT_S + 1].sum(1), 1e-9)
    return share, peak / SEGMENT_S, own.sum(1) / low


@cache
def _window() -> NDArray[np.float32]:
    return np.hanning(_N).astype(np.float32)
