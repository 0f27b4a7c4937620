"""Muscle activity and chewing, told by what a row does above 30 Hz against its own quiet time.

Starts from the cells of :mod:`detectors.signal.row_statistics` and works on any rows, bipolar ones too.
Any activity that waxes grows above 30 Hz too, so what the row's own 15-30 Hz foretells does not
count: muscle is flat where 1/f activity falls. Muscle that fills the page leaves no quiet time, so
the definition's absolute size counts as well (``clinical.md`` 8.2). Other artifacts are in
:mod:`detectors.artifacts.chain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin

from detectors._rule_common import (
    Box,
    Limit,
    boxes_by_group,
    conclude_where,
    duration_of,
    finding_of_group,
    make_finding,
    margin_confidence,
    percentile,
    runs,
)
from detectors.montage import electrodes_of
from detectors.signal.row_statistics import CELL_S, N_CELLS, RowStatistics
from detectors.signal.spectra import SpectralFeatures
from detectors.types import SFREQ_HZ, Finding, RuleResult, SegmentBatch

VERSION = "3"
"""Version of these rules, part of every finding's source."""

_E8 = "clinical.md 8, engineering default"
LIMITS: dict[str, Limit] = {
    "muscle_rms_uv": Limit(10.0, "uV", _E8 + "; alone where it fills the page"),
    "muscle_held_rms_uv": Limit(7.0, "uV", "engineering default: hysteresis, -3 dB"),
    "muscle_background_ratio": Limit(1.55, "1", "engineering default: RMS over that of quiet time"),
    "muscle_common_ratio": Limit(1.6, "1", "engineering default: most that all rows share"),
    "muscle_held_ratio": Limit(1.3, "1", "engineering default: hysteresis"),
    "muscle_tail_share": Limit(0.2, "1", "engineering default: of a burst's fullest cell"),
    "muscle_beside_share": Limit(0.12, "1", "engineering default: of the row's fullest cell"),
    "muscle_seen_uv": Limit(1.2, "uV", "engineering default: a trace thicker by 0.7 mm"),
    "muscle_hiding_rms_uv": Limit(6.0, "uV", "engineering default: what hides a small transient"),
    "muscle_row_share": Limit(0.25, "1", "engineering default: of the strongest row, to be named"),
    "muscle_exponent": Limit(2.0, "1", "engineering default for 'flat above 30 Hz'"),
    "muscle_frequency_share": Limit(0.35, "1", "engineering default: of 30 Hz to the band's end"),
    "muscle_over_beta": Limit(1.8, "1", "engineering default: RMS over what 15-30 Hz foretells"),
    "muscle_flat_share": Limit(0.5, "1", "engineering default: what is new, of a flat spectrum"),
    "muscle_least_rms_uv": Limit(2.0, "uV", "engineering default: 12 uV peak to peak, 2 mm"),
    "muscle_beside_beta": Limit(1.35, "1", "engineering default: on rows beside a sure one"),
    "muscle_beside_rms_uv": Limit(1.3, "uV", "engineering default: on rows beside a sure one"),
    "muscle_s": Limit(0.2, "s", "clinical.md 5, engineering default"),
    "muscle_band_high_hz": Limit(40.0, "Hz", "engineering default: 10 Hz are left above 30 Hz"),
    "quiet_percent": Limit(25.0, "%", "engineering default: share of a page that is quiet"),
    "quiet_still_uv": Limit(1.0, "uV", _E8 + " of a flat row"),
    "quiet_row_share": Limit(0.25, "1", "engineering default: no floor far under other rows'"),
    "quiet_mains_share": Limit(0.35, "1", "engineering default: of the mains power taken off"),
    "gap_s": Limit(0.3, "s", "engineering default: systems.md 6.6 joins up to 0.5 s"),
    "chew_low_hz": Limit(0.8, "Hz", _E8),
    "chew_high_hz": Limit(2.5, "Hz", _E8),
    "chew_bursts": Limit(4, "bursts", "engineering default: fewer have no rhythm"),
    "chew_rms_uv": Limit(6.0, "uV", "engineering default: as what hides a small transient"),
    "chew_ratio": Limit(2.0, "1", "engineering default: RMS of bursts over that between them"),
    "chew_rows": Limit(2, "rows", "engineering default: chewing is no twitch of one row"),
    "chew_spread": Limit(0.3, "1", "engineering default: SD of intervals over their mean"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}
_FAST_FROM_HZ = 30.0
_BETA_WIDTH_HZ = 15.0
_FULL_BAND_HZ = 40.0
"""Width of 30-70 Hz; a narrower band gives each cell fewer independent values."""
_CHEWING_ROWS = frozenset({"T7", "T8", "F7", "F8"})


@dataclass(frozen=True, slots=True)
class _Levels:
    """Above 30 Hz: level of every cell, quiet floor of every row, and which cells stand out.

    Shape (n, n_channels, N_CELLS), of the floor and of whether a row is flat there (n, n_channels).
    """

    level_uv2: NDArray[np.float32]
    floor_uv2: NDArray[np.floating]
    is_strong: NDArray[np.bool_]
    is_held: NDArray[np.bool_]
    is_flat: NDArray[np.bool_]


def find_muscle(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    statistics: RowStatistics,
    mains_uv2: NDArray[np.float32],
) -> RuleResult:
    """Find stretches that stand out above 30 Hz, of a row over its own quiet time, flat there.

    Parameters
    ----------
    batch, spectra, statistics
        Segments, their spectra and row statistics. Not judged where the source's band ends less
        than 10 Hz above 30 Hz.
    mains_uv2
        Mains power of every row, shape (n, n_channels), which is no muscle.
    """
    is_judged = batch.band_hz[:, 1] >= _L["muscle_band_high_hz"]
    exponent = _fast_exponent(batch, spectra)
    is_live = spectra.is_live & is_judged[:, None]
    levels = _levels(statistics, mains_uv2, is_live, exponent, batch.band_hz[:, 1])
    segment, channel = np.nonzero(is_live & levels.is_strong.any(-1))
    boxes = _boxes(batch, statistics, levels, mains_uv2, segment, channel)
    findings = []
    for i, group in boxes_by_group(boxes, 0.3):
        top = group[0]
        named = [b for b in group if b.weight >= _L["muscle_row_share"] * top.weight]
        floor = float(np.sqrt(max(levels.floor_uv2[i, top.row], 1e-6)))
        is_defined = top.weight >= _L["muscle_rms_uv"]
        n_hidden = len({b.row for b in named if b.weight >= _L["muscle_hiding_rms_uv"]})
        measures = [
            ("rms_uv", top.weight, "uV"),
            ("background_ratio", min(top.weight / floor, 99.0), "1"),
            ("spectral_exponent", exponent[i, top.row], "1"),
            ("band_low_hz", _FAST_FROM_HZ, "Hz"),
            ("band_high_hz", min(70.0, float(batch.band_hz[i, 1])), "Hz"),
            ("reaches_definition", float(is_defined), "1"),
            ("n_hiding_rows", n_hidden, "1"),
            duration_of(named),
        ]
        ratio = max(
            top.weight / floor / _L["muscle_background_ratio"], top.weight / _L["muscle_rms_uv"]
        )
        findings.append(
            finding_of_group(batch, i, "muscle", named, measures, margin_confidence(ratio), VERSION)
        )
    return conclude_where(batch, "muscle", findings, is_judged, "source band ends below 40 Hz")


def _levels(
    statistics: RowStatistics,
    mains_uv2: NDArray[np.float32],
    is_live: NDArray[np.bool_],
    exponent: NDArray[np.float64],
    band_high_hz: NDArray[np.float32],
) -> _Levels:
    from detectors.signal import _rule_kernels

    power = statistics.cell_fast_uv2 - mains_uv2[..., None]
    level = np.empty_like(power)
    _rule_kernels.median_of_five(power.reshape(-1, N_CELLS), level.reshape(-1, N_CELLS))
    is_still = statistics.cell_max_uv - statistics.cell_min_uv < _L["quiet_still_uv"]
    floor = _quiet_level(level, is_still)
    # mains beats, so that what is left of it comes and goes
    floor = np.maximum(floor, _L["quiet_mains_share"] * mains_uv2).clip(1e-6)
    # nor is a row's floor far under that of the others
    usual = _median_of_rows(floor, is_live)
    floor = np.maximum(floor, _L["quiet_row_share"] ** 2 * usual[:, None])
    # what half of all rows do at a time is the background's coming and going
    common = _median_of_rows((level / floor[..., None]).swapaxes(1, 2), is_live[:, None])
    common = common.clip(1.0, _L["muscle_common_ratio"] ** 2)[:, None]
    fewer = np.sqrt(_FULL_BAND_HZ / (np.minimum(70.0, band_high_hz) - _FAST_FROM_HZ).clip(1.0))
    is_flat = exponent <= _L["muscle_exponent"]

    def least(ratio: float, seen_uv: float, absolute_uv: float) -> NDArray[np.float32]:
        wanted = 1.0 + (ratio**2 - 1.0) * fewer.clip(1.0)
        relative = wanted[:, None, None] * floor[..., None] * common
        relative = np.maximum(relative, floor[..., None] + seen_uv**2)
        enough = np.minimum(relative, absolute_uv**2)
        return np.where(is_flat[..., None], enough, relative).astype(np.float32)

    seed = least(_L["muscle_background_ratio"], _L["muscle_seen_uv"], _L["muscle_rms_uv"])
    held = least(_L["muscle_held_ratio"], 0.0, _L["muscle_held_rms_uv"])
    return _Levels(level, floor, level >= seed, level >= held, is_flat)


def _quiet_level(level: NDArray[np.float32], is_still: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a low percentile of the cells of each row; cells without any signal do not count."""
    at = round(_L["quiet_percent"] / 100 * N_CELLS)
    floor = np.partition(level, at, axis=-1)[..., at]
    segment, row = np.nonzero(is_still.any(-1))
    if segment.size:
        still = is_still[segment, row]
        ordered = np.sort(np.where(still, np.inf, level[segment, row]), axis=1)
        n_left = N_CELLS - still.sum(1)
        nth = (_L["quiet_percent"] / 100 * n_left).astype(np.intp).clip(0, N_CELLS - 1)
        lowest = np.take_along_axis(ordered, nth[:, None], axis=1)[:, 0]
        floor[segment, row] = np.where(n_left > 0, lowest, 0.0)
    return np.asarray(floor)


def _median_of_rows(
    values: NDArray[np.floating], is_live: NDArray[np.bool_]
) -> NDArray[np.floating]:
    """Median over the last axis of the live rows only, 0 where there is none."""
    n = is_live.sum(-1)
    middle = np.maximum(n - 1, 0) // 2
    live = values if is_live.all() else np.where(is_live, values, np.inf)
    ordered = np.partition(live, np.unique(middle), axis=-1)
    at = np.broadcast_to(middle, ordered.shape[:-1])[..., None]
    found = np.take_along_axis(ordered, at, axis=-1)[..., 0]
    return np.where(n > 0, found, np.zeros((), dtype=found.dtype))


def _boxes(
    batch: SegmentBatch,
    statistics: RowStatistics,
    levels: _Levels,
    mains_uv2: NDArray[np.float32],
    segment: NDArray[np.intp],
    channel: NDArray[np.intp],
) -> list[list[Box]]:
    """Per segment, the stretches of each row that are strong, fast and more than its beta waxing."""
    from detectors.artifacts import _muscle_kernels

    width = (np.minimum(70.0, batch.band_hz[:, 1]) - _FAST_FROM_HZ).clip(1.0)
    slowest = (_FAST_FROM_HZ + _L["muscle_frequency_share"] * width).astype(np.float32)
    # of a flat spectrum the power goes as the width of the band
    flat = width.astype(np.float64) / _BETA_WIDTH_HZ
    limits = np.array([
        round(_L["gap_s"] / CELL_S), round(_L["muscle_s"] / CELL_S), _L["muscle_tail_share"] ** 2,
        _L["muscle_beside_share"], _L["muscle_beside_rms_uv"], 0.75, 0.25 * N_CELLS,
    ])  # fmt: skip
    # two stretches have at least one cell between them
    out = np.zeros((segment.size * N_CELLS // 2, 3), dtype=np.int32)
    size = np.zeros(out.shape)
    n = _muscle_kernels.stretches(
        np.ascontiguousarray(batch.data_uv, dtype=np.float32), segment, channel, levels.level_uv2,
        levels.is_strong, levels.is_held, statistics.cell_fast_uv2,
        statistics.cell_fast_change_uv2, mains_uv2, slowest, flat, _beta_taps(), limits, out, size,
    )  # fmt: skip
    out, size = out[:n], size[:n]
    # muscle that fills the page is its own background, so there the definition's size decides
    is_defined = (size[:, 0] >= _L["muscle_rms_uv"]) & levels.is_flat[segment, channel][out[:, 0]]
    is_kept = _are_muscle(segment[out[:, 0]], out, size, is_defined)
    boxes: list[list[Box]] = [[] for _ in range(len(batch))]
    for (k, a, b), rms in zip(out[is_kept].tolist(), size[is_kept, 0].tolist(), strict=True):
        boxes[segment[k]].append(Box(int(channel[k]), a * CELL_S, b * CELL_S, rms))
    return boxes


def _are_muscle(
    segment: NDArray[np.intp],
    cells: NDArray[np.int32],
    size: NDArray[np.float64],
    is_defined: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Keep stretches that are surely more than the row's beta waxing, and what lies beside them.

    Those that are muscle by their size and flat spectrum alone (``is_defined``) are sure as well.

    ``cells`` (n, 3) as ``_muscle_kernels.stretches`` fills them, ``size`` RMS, power over what beta
    foretells and flatness of what is new.
    """
    is_sure = (size[:, 1] >= _L["muscle_over_beta"] ** 2) & (size[:, 2] >= _L["muscle_flat_share"])
    is_sure &= size[:, 0] >= _L["muscle_least_rms_uv"]
    is_sure |= is_defined
    start, stop = cells[:, 1], cells[:, 2]
    shared = np.minimum(stop[:, None], stop) - np.maximum(start[:, None], start)
    whole = np.maximum(stop[:, None], stop) - np.minimum(start[:, None], start)
    is_beside = (shared >= 0.3 * whole) & (segment[:, None] == segment) & is_sure
    is_likely = size[:, 1] >= _L["muscle_beside_beta"] ** 2
    return np.asarray(is_sure | (is_likely & is_beside.any(1)))


@cache
def _beta_taps() -> NDArray[np.float32]:
    """Band-pass 15-30 Hz, half amplitude at both edges, 13 Hz wide there."""
    taps = firwin(49, (_FAST_FROM_HZ - _BETA_WIDTH_HZ, _FAST_FROM_HZ), pass_zero=False, fs=SFREQ_HZ)
    return np.asarray(taps, dtype=np.float32)


def _fast_exponent(batch: SegmentBatch, spectra: SpectralFeatures) -> NDArray[np.float64]:
    """Fall-off of the density above 30 Hz from its two halves, off the mains; per row."""
    freqs = spectra.freqs_hz
    top = np.minimum(70.0, 0.9 * batch.band_hz[:, 1:])
    middle = 0.5 * (_FAST_FROM_HZ + top)
    off_mains = np.abs(freqs - batch.line_freq_hz) > 2
    lower = ((freqs >= _FAST_FROM_HZ) & (freqs < middle) & off_mains).astype(np.float32)
    upper = ((freqs >= middle) & (freqs <= top) & off_mains).astype(np.float32)
    halves = np.stack([lower, upper], axis=2)
    mean = np.matmul(spectra.psd_uv2_hz, halves) / np.maximum(halves.sum(1), 1)[:, None]
    octaves = np.log((middle + top) / (_FAST_FROM_HZ + middle))
    ratio = np.log((mean[..., 0] + 1e-12) / (mean[..., 1] + 1e-12))
    exponent: NDArray[np.float64] = ratio / np.maximum(octaves, 1e-6)
    return exponent


def find_chewing(
    batch: SegmentBatch, spectra: SpectralFeatures, statistics: RowStatistics
) -> RuleResult:
    """Find at least four bursts above 30 Hz at 0.8-2.5 Hz over the temples.

    Parameters
    ----------
    batch, spectra, statistics
        Segments with at least one of T7, T8, F7, F8, their spectra and row statistics.
    """
    names = batch.schema.ch_names
    rows = [r for r, name in enumerate(names) if _CHEWING_ROWS & set(electrodes_of(name))]
    if not rows:
        never = np.zeros(len(batch), dtype=np.bool_)
        return conclude_where(batch, "chewing", [], never, "needs T7, T8, F7 or F8")
    has_band = batch.band_hz[:, 1] >= _L["muscle_band_high_hz"]
    is_live = spectra.is_live[:, rows] & has_band[:, None]
    power = statistics.cell_fast_uv2[:, rows]
    smooth = power.copy()
    smooth[..., 1:-1] = 0.25 * (power[..., :-2] + power[..., 2:]) + 0.5 * power[..., 1:-1]
    is_loud = is_live & ((smooth >= _L["chew_rms_uv"] ** 2).sum(-1) >= _L["chew_bursts"])
    found: dict[int, list[tuple[int, _Bursts]]] = {}
    segment, at = np.nonzero(is_loud)
    rms = np.sqrt(smooth[segment, at])
    high, low = (percentile(rms, percent) for percent in (90, 15))
    is_full = rms >= np.sqrt(high * np.maximum(low, 0.1 * high))[:, None]
    n_bursts = (is_full[:, 1:] & ~is_full[:, :-1]).sum(1) + is_full[:, 0]
    is_train = high >= np.maximum(_L["chew_rms_uv"], _L["chew_ratio"] * low)
    for j in np.nonzero(is_train & (n_bursts >= _L["chew_bursts"]))[0].tolist():
        bursts = _bursts(is_full[j], float(high[j]))
        if bursts is not None:
            found.setdefault(int(segment[j]), []).append((rows[at[j]], bursts))
    # both temples chew; bursts on one row alone are that muscle's own
    both = {i: trains for i, trains in found.items() if len(trains) >= _L["chew_rows"]}
    findings = [_chewing(batch, i, trains) for i, trains in both.items()]
    is_judged = np.logical_or.reduce(is_live, axis=1)
    why = "no live temporal row with a band above 40 Hz"
    return conclude_where(batch, "chewing", findings, is_judged, why)


@dataclass(frozen=True, slots=True)
class _Bursts:
    """A train of bursts on one row."""

    t0_s: float
    t1_s: float
    n: int
    rate_hz: float
    rms_uv: float


def _bursts(is_full: NDArray[np.bool_], rms_uv: float) -> _Bursts | None:
    """Return the longest regular train of bursts of one row, or None."""
    _, start, stop = runs(is_full[None])
    middle = 0.5 * (start + stop) * CELL_S
    best: _Bursts | None = None
    for a in range(len(middle)):
        for b in range(len(middle), a + int(_L["chew_bursts"]) - 1, -1):
            gaps = np.diff(middle[a:b])
            rate = 1.0 / max(float(gaps.mean()), 1e-6)
            is_steady = float(gaps.std()) <= _L["chew_spread"] * float(gaps.mean())
            if is_steady and _L["chew_low_hz"] <= rate <= _L["chew_high_hz"]:
                if best is None or b - a > best.n:
                    span = (float(start[a]) * CELL_S, float(stop[b - 1]) * CELL_S)
                    best = _Bursts(*span, b - a, rate, rms_uv)
                break
    return best


def _chewing(batch: SegmentBatch, i: int, trains: Sequence[tuple[int, _Bursts]]) -> Finding:
    ranked = sorted(trains, key=lambda train: (-train[1].rms_uv, train[0]))
    top = ranked[0][1]
    measures = [
        ("frequency_hz", top.rate_hz, "Hz"),
        ("n_bursts", float(top.n), "1"),
        ("rms_uv", top.rms_uv, "uV"),
        ("duration_s", top.t1_s - top.t0_s, "s"),
    ]
    confidence = margin_confidence(top.rms_uv / _L["chew_rms_uv"], top.n / _L["chew_bursts"] + 0.3)
    names = [batch.schema.ch_names[row] for row, _ in ranked]
    span = (top.t0_s, top.t1_s)
    return make_finding(batch.segment_ids[i], "chewing", names, span, measures, confidence, VERSION)
