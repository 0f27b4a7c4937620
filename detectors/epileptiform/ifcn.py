"""The six IFCN criteria of an interictal epileptiform discharge, as booleans with their numbers.

Criteria as tested by Kural et al. 2020 (Neurology 94:e2139): (1) di- or triphasic wave of pointed
shape, (2) duration unlike the ongoing background, (3) asymmetric flanks, (4) after-going slow wave,
(5) background disturbed, (6) a distribution over the scalp that a brain can make. How each is
measured is an engineering default (``clinical.md`` 4.2). Which transients are looked at, and what
becomes of them, is decided in :mod:`detectors.epileptiform.judge`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit
from detectors.epileptiform.localisation import ADJACENT
from detectors.epileptiform.transient_signal import Floats, Ints, Peaks, Rows
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
    own = rows.rows_uv(peaks.segment, peaks.row)
    sharpness = _sharpness(peaks)
    duration = (peaks.lead + peaks.trail) / SFREQ_HZ
    short, cycle = _background_waves(peaks)
    slope = _slope_ratio(peaks)
    height = _height(own, peaks)
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


def _around(peaks: Peaks) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the gathered row 2 s around each peak, turned so that the peak points up.

    The median is taken off; samples beyond the page repeat its edge and are marked outside.
    """
    at = peaks.sample[:, None] + np.arange(-_HALF, _HALF + 1)
    inside = (at >= 0) & (at < N_TIMES)
    y = np.take_along_axis(peaks.gathered_uv, np.clip(at, 0, N_TIMES - 1), axis=1)
    y *= peaks.sign[:, None]
    (base,) = _quantiles(y, inside, (0.5,))
    return y - base[:, None], inside


def _quantiles(y: Floats, inside: NDArray[np.bool_], shares: Sequence[float]) -> tuple[Floats, ...]:
    """Return quantiles of what is inside of each row."""
    ordered = np.sort(np.where(inside, y, np.inf), axis=1)
    last = inside.sum(axis=1) - 1
    k = np.arange(len(y))
    found = []
    for share in shares:
        low = (share * last).astype(np.intp)
        below = ordered[k, low]
        above = ordered[k, np.minimum(low + 1, last)]
        found.append(below + (share * last - low) * (above - below))
    return tuple(found)


def _height(own: Floats, peaks: Peaks) -> Floats:
    """Return how far each row's peak stands above its lower foot."""
    k = np.arange(len(own))
    feet = [
        own[k, np.clip(peaks.sample + step, 0, N_TIMES - 1)] * peaks.sign
        for step in (-peaks.lead, peaks.trail)
    ]
    return own[k, peaks.sample] * peaks.sign - np.minimum(*feet)


def _sharpness(peaks: Peaks) -> Floats:
    """Second difference at each peak over its own flanks, in robust SD of the row's page."""
    from detectors.epileptiform._criteria_kernels import bends

    longest = round(LIMITS["sharpness_lag_s"].value * SFREQ_HZ)
    lags = np.clip((peaks.lead + peaks.trail) // 2, _SHORTEST_LAG, longest)
    bend = np.empty_like(peaks.gathered_uv)
    bends(peaks.gathered_uv, lags, bend)
    at_peak = np.abs(bend[np.arange(len(bend)), peaks.sample])
    bend -= np.median(bend, axis=1, keepdims=True)
    sd = 1.4826 * np.median(np.abs(bend), axis=1)
    return np.asarray(at_peak / np.maximum(sd, 1e-3))


def _background_waves(peaks: Peaks) -> tuple[Floats, Floats]:
    """Return twice the 10th percentile of half-waves and the median cycle of each row, s.

    A half-wave lasts from leaving the middle on one side to leaving it on the other, so that fast
    noise riding on the ongoing rhythm does not count as waves.
    """
    from detectors.epileptiform._criteria_kernels import half_waves

    x = peaks.gathered_uv - np.median(peaks.gathered_uv, axis=1, keepdims=True)
    swing = LIMITS["wave_sd"].value * 1.4826 * np.median(np.abs(x), axis=1)
    found = np.zeros((len(x), 2))
    half_waves(x, swing, LIMITS["short_percentile"].value / 100, found)
    short, cycle = 2 * found.T / SFREQ_HZ
    return short, cycle


def _slope_ratio(peaks: Peaks) -> Floats:
    """Steeper over flatter flank, each between 80 and 20 % of its height."""
    from detectors.epileptiform._criteria_kernels import slope_ratios

    ratio = np.ones(len(peaks.row))
    upright = peaks.gathered_wide_uv * peaks.sign[:, None]
    slope_ratios(upright, peaks.sample, peaks.lead, peaks.trail, ratio)
    return ratio


def _after_wave(around: Floats, inside: NDArray[np.bool_], peaks: Peaks) -> tuple[Floats, Floats]:
    """Return length and relative height of the largest slow wave after the main phase.

    The main phase is bridged by a line and the rest smoothed, so that the spike is not its own
    after-wave; a wave lasts from one turning point of the smooth row to the next but one, and
    is as high as the one between stands off their mean.
    """
    from detectors.epileptiform._criteria_kernels import bridge, largest_waves

    kernel = np.hanning(17)[1:-1]
    kernel /= kernel.sum()
    shortest, longest, latest = (
        LIMITS[name].value * SFREQ_HZ for name in ("after_from_s", "after_to_s", "after_within_s")
    )
    y = around.copy()
    last = _HALF + peaks.trail
    bridge(y, _HALF - peaks.lead, last)
    low, high = _quantiles(y, inside, (0.05, 0.95))
    found = np.zeros((len(y), 2))
    limits = (shortest, longest, latest, _HALF)
    largest_waves(y, inside, last, high - low, kernel, limits, found)
    return found[:, 0] / SFREQ_HZ, found[:, 1]


def _disturbed(around: Floats, inside: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the largest change of a band's power, and whether it stands out.

    The window holds the transient and half a second after it; it is set against windows within 2 s
    that do not overlap it, and against how much these differ among themselves.
    """
    from detectors.epileptiform._criteria_kernels import stand_out

    starts = np.arange(0, 2 * _HALF + 2 - _WINDOW, _HOP)
    own = _HALF - _BEFORE
    at = np.concatenate([[own], starts])[:, None] + np.arange(_WINDOW)
    waves, bands = _band_waves()
    power = (around[:, at] @ waves) ** 2 @ bands
    level = 10.0 * np.log10(power + 1e-9)
    # pages are read without a gap: a window is inside where both of its ends are
    is_other = inside[:, at[1:, 0]] & inside[:, at[1:, -1]] & (np.abs(starts - own) >= _WINDOW)
    change, outside = np.zeros(len(level)), np.zeros(len(level), dtype=np.bool_)
    stand_out(level, is_other, LIMITS["disturbed_sd"].value, change, outside)
    return change, outside


@cache
def _band_waves() -> tuple[Floats, Floats]:
    """Return windowed cosines and sines of every bin in a band, and which band each belongs to."""
    f_hz = np.arange(_WINDOW // 2 + 1) * SFREQ_HZ / _WINDOW
    f_hz = f_hz[(f_hz >= _BANDS_HZ[0][0]) & (f_hz < _BANDS_HZ[-1][1])]
    turn = 2 * np.pi * np.arange(_WINDOW)[:, None] / SFREQ_HZ * f_hz
    waves = np.hanning(_WINDOW)[:, None] * np.concatenate([np.cos(turn), np.sin(turn)], axis=1)
    both = np.concatenate([f_hz, f_hz])
    bands = np.stack([(both >= a) & (both < b) for a, b in _BANDS_HZ], axis=1)
    return waves, bands.astype(np.float64)


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
