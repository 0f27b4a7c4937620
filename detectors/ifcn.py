"""The six IFCN criteria of an interictal epileptiform discharge, as booleans with their numbers.

Criteria as tested by Kural et al. 2020 (Neurology 94:e2139): (1) di- or triphasic wave of pointed
shape, (2) duration unlike the ongoing background, (3) asymmetric flanks, (4) after-going slow wave,
(5) background disturbed, (6) a distribution over the scalp that a brain can make. How each is
measured is an engineering default (``clinical.md`` 4.2). Which transients are looked at, and what
becomes of them, is decided in :mod:`detectors.epileptiform`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit
from detectors._transient_signal import Floats, Ints, Peaks, Rows, second_difference
from detectors.localisation import ADJACENT
from detectors.types import N_TIMES, SFREQ_HZ

LIMITS: dict[str, Limit] = {
    "sharpness_sd": Limit(3.0, "1", "clinical.md 4.2, engineering default"),
    "sharpness_lag_s": Limit(0.06, "s", "engineering default: longest flank a point is seen over"),
    "short_percentile": Limit(10.0, "%", "clinical.md 4.2, engineering default"),
    "cycle_change": Limit(0.3, "1", "clinical.md 4.2, engineering default"),
    "wave_sd": Limit(
        0.5, "1", "engineering default: smaller swings are no waves of the background"
    ),
    "slope_ratio": Limit(1.5, "1", "clinical.md 4.2, engineering default"),
    "after_from_s": Limit(0.13, "s", "clinical.md 4.2, engineering default"),
    "after_to_s": Limit(0.5, "s", "clinical.md 4.2, engineering default"),
    "after_within_s": Limit(0.3, "s", "clinical.md 4.2, engineering default"),
    "after_share": Limit(0.5, "1", "clinical.md 4.2, engineering default"),
    "around_s": Limit(2.0, "s", "clinical.md 4.2, engineering default"),
    "disturbed_db": Limit(6.0, "dB", "engineering default: band power beside 2 s around"),
    "disturbed_sd": Limit(
        2.5, "1", "engineering default: of the band's power in the windows around"
    ),
    "neighbours": Limit(2, "rows", "clinical.md 4.2, engineering default"),
    "neighbour_share": Limit(0.15, "1", "engineering default: of the peak, same sign"),
    "second_maximum": Limit(0.8, "1", "engineering default: of the peak, apart from the first"),
    "fewest_criteria": Limit(4, "1", "systems.md 6.6: four or more of six"),
    "discharge_criteria": Limit(5, "1", "clinical.md 4.2: five or more of six"),
}
"""Constants of this module with their source marks."""

CRITERIA: tuple[str, ...] = (
    "ifcn_1_sharp", "ifcn_2_duration", "ifcn_3_asymmetric", "ifcn_4_after_wave",
    "ifcn_5_disturbed", "ifcn_6_field",
)  # fmt: skip
"""Measures of the six booleans, 1 met and 0 not; one that could not be judged is left out."""

_WORDS = {
    "ifcn_1_sharp": "pointed shape", "ifcn_2_duration": "duration unlike background",
    "ifcn_3_asymmetric": "asymmetric flanks", "ifcn_4_after_wave": "after-going slow wave",
    "ifcn_5_disturbed": "background disturbed", "ifcn_6_field": "physiological field",
}  # fmt: skip
_SHORTEST_LAG = 4  # samples: 20 ms, the shortest spike's base
_HALF = round(LIMITS["around_s"].value * SFREQ_HZ)
_BANDS_HZ = ((1.0, 4.0), (4.0, 8.0), (8.0, 13.0), (13.0, 30.0))
_WINDOW, _HOP, _BEFORE = 150, 25, 50  # samples of criterion 5: 0.75 s every 0.125 s


@dataclass(frozen=True, slots=True)
class IfcnRecord:
    """What the six criteria say about one transient.

    Parameters
    ----------
    met
        One per criterion in the order of :data:`CRITERIA`; None where it could not be judged.
    sharpness_sd
        Second difference at the peak in robust SD of the row.
    duration_s, cycle_s
        Foot to foot, and the median cycle of the row's page.
    slope_ratio
        Steeper over flatter flank.
    after_wave_s, after_wave_share
        Length of the largest slow wave after the peak and its height beside the background's
        peak-to-peak; 0 where there is none.
    disturbed_db
        Largest change of a band's power against the seconds around.
    n_neighbours
        Adjacent rows with the peak's sign and a share of it.
    amplitude_uv_p2p
        Peak to the lower foot.
    """

    met: tuple[bool | None, ...]
    sharpness_sd: float
    duration_s: float
    cycle_s: float
    slope_ratio: float
    after_wave_s: float
    after_wave_share: float
    disturbed_db: float
    n_neighbours: int
    amplitude_uv_p2p: float

    @property
    def n_criteria(self) -> int:
        """How many criteria are met."""
        return sum(m is True for m in self.met)

    @property
    def decision(self) -> str:
        """The words of ``clinical.md`` 4.2 for this record."""
        if self.met[5] is False:
            return "single-electrode transient"
        if self.n_criteria >= LIMITS["discharge_criteria"].value:
            return "epileptiform discharge"
        if self.n_criteria >= LIMITS["fewest_criteria"].value:
            return "probable epileptiform discharge"
        return "sharply contoured transient, not classified"

    @property
    def is_discharge(self) -> bool:
        """Whether it may be called epileptiform, probable ones included."""
        return self.decision.endswith("epileptiform discharge")

    @property
    def failed(self) -> tuple[str, ...]:
        """Words of the criteria that are not met or not judgeable."""
        return tuple(
            _WORDS[name] if m is False else f"{_WORDS[name]} not judgeable"
            for name, m in zip(CRITERIA, self.met, strict=True)
            if m is not True
        )

    @property
    def measures(self) -> tuple[tuple[str, float, str], ...]:
        """Name, value and unit of every number and boolean."""
        booleans = [
            (name, float(m), "1")
            for name, m in zip(CRITERIA, self.met, strict=True)
            if m is not None
        ]
        return (
            ("amplitude_uv_p2p", self.amplitude_uv_p2p, "uV"),
            ("ifcn_n_criteria", float(self.n_criteria), "1"),
            ("ifcn_n_judged", float(len(booleans)), "1"),
            *booleans,
            ("sharpness_sd", self.sharpness_sd, "1"),
            ("foot_to_foot_s", self.duration_s, "s"),
            ("background_cycle_s", self.cycle_s, "s"),
            ("slope_ratio", self.slope_ratio, "1"),
            ("after_wave_s", self.after_wave_s, "s"),
            ("after_wave_share", self.after_wave_share, "1"),
            ("background_change_db", self.disturbed_db, "dB"),
            ("field_neighbours", float(self.n_neighbours), "1"),
        )


def ifcn_records(rows: Rows, peaks: Peaks) -> list[IfcnRecord]:
    """Judge transients by the six criteria.

    Parameters
    ----------
    rows
        Average-referenced rows of 19 electrodes.
    peaks
        Transients in them.

    Returns
    -------
    list of IfcnRecord
        In the order of ``peaks``.
    """
    n = len(peaks.row)
    if n == 0:
        return []
    around, inside = _around(peaks)
    own, _ = _around(peaks, rows.data_uv[peaks.segment, peaks.row])
    sharpness = _sharpness(peaks)
    duration = (peaks.lead + peaks.trail) / SFREQ_HZ
    short, cycle = _background_waves(peaks)
    slope = _slope_ratio(peaks)
    height = own[:, _HALF] - np.minimum(*_feet_uv(own, peaks))
    after_s, after_share = _after_wave(around, inside, peaks)
    change_db, is_outside = _disturbed(around, inside)
    n_near, is_one, is_judged = _field_facts(peaks, rows.good[peaks.segment])
    is_unlike = (duration < short) | (
        np.abs(duration / np.maximum(cycle, 1e-3) - 1.0) >= LIMITS["cycle_change"].value
    )
    is_field = (n_near >= LIMITS["neighbours"].value) & is_one
    met = np.stack(
        [
            sharpness >= LIMITS["sharpness_sd"].value,
            is_unlike,
            slope >= LIMITS["slope_ratio"].value,
            after_share >= LIMITS["after_share"].value,
            (np.abs(change_db) >= LIMITS["disturbed_db"].value) & is_outside,
            is_field,
        ],
        axis=1,
    )
    return [
        IfcnRecord(
            (*(bool(m) for m in met[k, :5]), bool(met[k, 5]) if is_judged[k] else None),
            float(sharpness[k]), float(duration[k]), float(cycle[k]), float(slope[k]),
            float(after_s[k]), float(after_share[k]), float(change_db[k]), int(n_near[k]),
            float(height[k]),
        )
        for k in range(n)
    ]  # fmt: skip


def _around(peaks: Peaks, uv: Floats | None = None) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the gathered row, or another, 2 s around each peak, turned so that the peak points up.

    The median is taken off; samples beyond the page repeat its edge and are marked outside.
    """
    x = peaks.gathered_uv if uv is None else uv
    at = peaks.sample[:, None] + np.arange(-_HALF, _HALF + 1)
    inside = (at >= 0) & (at < N_TIMES)
    y = np.take_along_axis(x, np.clip(at, 0, N_TIMES - 1), axis=1) * peaks.sign[:, None]
    base = np.nanmedian(np.where(inside, y, np.nan), axis=1)
    return y - base[:, None], inside


def _feet_uv(around: Floats, peaks: Peaks) -> tuple[Floats, Floats]:
    n = np.arange(len(around))
    return around[n, _HALF - peaks.lead], around[n, _HALF + peaks.trail]


def _sharpness(peaks: Peaks) -> Floats:
    """Second difference at each peak over its own flanks, in robust SD of the row's page."""
    x = peaks.gathered_uv
    longest = round(LIMITS["sharpness_lag_s"].value * SFREQ_HZ)
    lags = np.clip((peaks.lead + peaks.trail) // 2, _SHORTEST_LAG, longest)
    sharpness = np.zeros(len(x))
    for lag in np.unique(lags).tolist():
        chosen = np.flatnonzero(lags == lag)
        bend = second_difference(x[chosen], lag)
        sd = 1.4826 * np.median(np.abs(bend - np.median(bend, axis=1, keepdims=True)), axis=1)
        at_peak = np.take_along_axis(bend, peaks.sample[chosen, None], axis=1)[:, 0]
        sharpness[chosen] = np.abs(at_peak) / np.maximum(sd, 1e-3)
    return sharpness


def _background_waves(peaks: Peaks) -> tuple[Floats, Floats]:
    """Return twice the 10th percentile of half-waves and the median cycle of each row, s.

    A half-wave lasts from leaving the middle on one side to leaving it on the other, so that fast
    noise riding on the ongoing rhythm does not count as waves.
    """
    short, cycle = np.zeros(len(peaks.row)), np.zeros(len(peaks.row))
    share = LIMITS["short_percentile"].value
    for k, row in enumerate(peaks.gathered_uv):
        x = row - np.median(row)
        swing = LIMITS["wave_sd"].value * 1.4826 * np.median(np.abs(x))
        outside = np.flatnonzero(np.abs(x) > swing)
        turns = outside[1:][np.diff(x[outside] > 0)]
        half_s = np.diff(turns) / SFREQ_HZ
        if half_s.size:
            short[k], cycle[k] = 2 * np.percentile(half_s, share), 2 * np.median(half_s)
    return short, cycle


def _slope_ratio(peaks: Peaks) -> Floats:
    """Steeper over flatter flank, each between 80 and 20 % of its height."""
    x = peaks.gathered_wide_uv * peaks.sign[:, None]
    ratio = np.ones(len(x))
    for k in range(len(x)):
        at, lead, trail = int(peaks.sample[k]), int(peaks.lead[k]), int(peaks.trail[k])
        top = at - 1 + int(np.argmax(x[k, max(at - 1, 0) : at + 2])) if at else at
        rise = _steepness(x[k, max(top - lead, 0) : top + 1][::-1])
        fall = _steepness(x[k, top : top + trail + 1])
        slopes = sorted((rise, fall))
        ratio[k] = slopes[1] / slopes[0] if slopes[0] > 0 else 1.0
    return ratio


def _steepness(x: Floats) -> float:
    """Slope of a flank given from its peak to its foot, uV per sample."""
    height = float(x[0] - x.min())
    if x.size < 2 or height <= 0:
        return 0.0
    level = (x - x.min()) / height
    times = []
    for share in (0.8, 0.2):
        below = int(np.argmax(level <= share))
        step = level[below - 1] - level[below]
        times.append(below - 1 + (level[below - 1] - share) / max(step, 1e-9))
    return 0.6 * height / max(times[1] - times[0], 0.1)


def _after_wave(around: Floats, inside: NDArray[np.bool_], peaks: Peaks) -> tuple[Floats, Floats]:
    """Return length and relative height of the largest slow wave after the main phase.

    The main phase is bridged by a line and the rest smoothed, so that the spike is not its own
    after-wave; a wave lasts from one turning point of the smooth row to the next but one, and
    is as high as the one between stands off their mean.
    """
    n = len(around)
    length, share = np.zeros(n), np.zeros(n)
    kernel = np.hanning(17)[1:-1]
    kernel /= kernel.sum()
    limits = {
        name: LIMITS[name].value * SFREQ_HZ
        for name in ("after_from_s", "after_to_s", "after_within_s")
    }
    for k in range(n):
        y = around[k].copy()
        first, last = _HALF - int(peaks.lead[k]), _HALF + int(peaks.trail[k])
        y[first : last + 1] = np.linspace(y[first], y[last], last - first + 1)
        low, high = np.percentile(y[inside[k]], [5, 95])
        smooth = np.convolve(y, kernel, mode="same")
        turns = last + 1 + np.flatnonzero(np.diff(np.sign(np.diff(smooth[last:]))))
        feet = np.concatenate([[last], turns])
        for start, top, stop in zip(feet, feet[1:], feet[2:], strict=False):
            is_timed = limits["after_from_s"] <= stop - start <= limits["after_to_s"]
            if start - _HALF > limits["after_within_s"] or not is_timed or not inside[k, stop]:
                continue
            rise = abs(smooth[top] - 0.5 * (smooth[start] + smooth[stop]))
            height = float(rise / max(high - low, 1e-3))
            if height > share[k]:
                length[k], share[k] = (stop - start) / SFREQ_HZ, height
    return length, share


def _disturbed(around: Floats, inside: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the largest change of a band's power, and whether it stands out.

    The window holds the transient and half a second after it; it is set against windows within 2 s
    that do not overlap it, and against how much these differ among themselves.
    """
    starts = np.arange(0, 2 * _HALF + 2 - _WINDOW, _HOP)
    own = _HALF - _BEFORE
    at = np.concatenate([[own], starts])[:, None] + np.arange(_WINDOW)
    power = np.abs(np.fft.rfft(around[:, at] * np.hanning(_WINDOW), axis=-1)) ** 2
    f_hz = np.fft.rfftfreq(_WINDOW, 1.0 / SFREQ_HZ)
    bands = [power[..., (f_hz >= a) & (f_hz < b)].sum(axis=-1) for a, b in _BANDS_HZ]
    level = 10.0 * np.log10(np.stack(bands, axis=-1) + 1e-9)
    is_other = inside[:, at[1:]].all(axis=-1) & (np.abs(starts - own) >= _WINDOW)
    others = np.where(is_other[..., None], level[:, 1:], np.nan)
    is_known = np.asarray(is_other.any(axis=1))
    others[~is_known] = level[~is_known, :1]
    middle = np.nanmedian(others, axis=1)
    spread = 1.4826 * np.nanmedian(np.abs(others - middle[:, None]), axis=1)
    change = level[:, 0] - middle
    outside = np.asarray(np.abs(change) >= LIMITS["disturbed_sd"].value * spread)
    outside &= is_known[:, None]
    strength = np.where(outside, np.abs(change), 0.0)
    best = np.argmax(strength, axis=1)
    n = np.arange(len(around))
    return change[n, best], outside[n, best]


def _field_facts(
    peaks: Peaks, good: NDArray[np.bool_]
) -> tuple[Ints, NDArray[np.bool_], NDArray[np.bool_]]:
    """Count supporting neighbours; say whether there is one maximum, and whether one can know.

    Fewer recorded neighbours than are needed cannot support anything: then it is not judged.
    """
    same = peaks.field_uv * np.sign(peaks.peak_uv)[:, None]
    # the average reference lowers every row by the field's mean: rows it does not reach are zero
    level = np.nanmedian(np.where(good, same, np.nan), axis=1)
    same = same - np.minimum(level, 0.0)[:, None]
    own = same[np.arange(len(same)), peaks.row]
    share = np.where(good, same / np.maximum(own, 1e-6)[:, None], -np.inf)
    near = ADJACENT[peaks.row] & good
    n_near = (near & (share >= LIMITS["neighbour_share"].value)).sum(axis=1)
    around = np.where(ADJACENT[None] & good[:, None, :], share[:, None, :], -np.inf).max(axis=2)
    is_top = (share >= LIMITS["second_maximum"].value) & (share > around)
    close = near | (near[:, :, None] & ADJACENT[None]).any(axis=1)
    apart = is_top & ~close
    apart[np.arange(len(apart)), peaks.row] = False
    is_judged = near.sum(axis=1) >= LIMITS["neighbours"].value
    return n_near, ~apart.any(axis=1), is_judged


def failed_words(record: IfcnRecord) -> str:
    """Say which criteria a transient fails, one closed phrase for ``mask_reason``."""
    failed: Sequence[str] = record.failed
    return f"{record.decision}: fails {', '.join(failed)}"
