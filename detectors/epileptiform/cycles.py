"""The cycles of a repeating row: followed one by one, and the shape of their mean.

What a run of cycles is called, and on which rows it lies, is in :mod:`detectors.epileptiform.periodic`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit
from detectors.signal.row_statistics import SLOW_HZ
from detectors.types import SEGMENT_S, SFREQ_HZ

_A21 = "ACNS 2021 (clinical.md 7.1)"
_A12 = "ACNS 2012 (clinical.md 7.1)"
LIMITS: dict[str, Limit] = {
    "cycles": Limit(6, "cycles", _A21),
    "cycle_change": Limit(0.5, "1", f"{_A21}: from one cycle to the next"),
    "steady_share": Limit(0.5, "1", f"{_A21}: of cycle pairs, more than"),
    "one_alike": Limit(0.5, "1", "engineering default: a cycle's correlation with the mean one"),
    "one_size": Limit(0.4, "1", "engineering default: a cycle's height beside the mean one"),
    "busy_level": Limit(0.2, "1", "engineering default: of the largest excursion"),
    "busy_share": Limit(0.7, "1", "engineering default: a mean cycle this busy has no gap"),
    "spike_share": Limit(0.25, "1", "engineering default: of the mean cycle's peak to peak"),
    "spike_s": Limit(0.2, "s", f"{_A12}: sharp up to 200 ms"),
    "spiky_s": Limit(0.07, "s", _A12),
    "pointed": Limit(0.3, "1", "engineering default: bend at the peak over its height"),
    "phase_share": Limit(0.2, "1", "engineering default: a phase reaches this share of the largest"),
    "plus_fast": Limit(2.0, "1", "engineering default: fast activity in the waves over between"),
    "plus_rhythm": Limit(0.6, "1", "engineering default: what the mean cycle leaves repeats itself"),
    "slow_low_hz": Limit(0.6, "Hz", f"{_A21}: six cycles on 10 s"),
    "slow_high_hz": Limit(6.0, "Hz", "engineering default: delta and what shapes its waves"),
    "evolve_hz": Limit(0.5, "Hz", f"{_A21}: each of two changes in one direction"),
    "evolve_cycles": Limit(3, "cycles", f"{_A21}: each held as long"),
}  # fmt: skip
"""Constants of this module with their source marks."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Run:
    """Cycles that follow each other.

    Parameters
    ----------
    marks_s
        Time of every cycle's largest excursion.
    cycle_s
        Median cycle.
    alike
        Mean correlation of each cycle with the mean of the others.
    steady_share
        Share of cycle pairs whose length changes by less than half.
    spread
        Standard deviation of the cycles about their trend, over their mean.
    """

    marks_s: Floats
    cycle_s: float
    alike: float
    steady_share: float
    spread: float

    @property
    def rate_hz(self) -> float:
        """Cycles per second."""
        return 1.0 / self.cycle_s

    @property
    def span_s(self) -> tuple[float, float]:
        """Half a cycle before the first mark to half a cycle after the last."""
        half = 0.5 * self.cycle_s
        return max(self.marks_s[0] - half, 0.0), min(self.marks_s[-1] + half, float(SEGMENT_S))

    @property
    def is_evolving(self) -> bool:
        """Whether the rate changes twice in one direction, each held for three cycles."""
        cycles = np.diff(self.marks_s)
        middle = 0.5 * (self.marks_s[1:] + self.marks_s[:-1])
        # thirds in time: by count the faster end would fill two of them
        third = (3 * (middle - self.marks_s[0]) / np.ptp(self.marks_s)).astype(int).clip(0, 2)
        parts = [cycles[third == i] for i in range(3)]
        if min(map(len, parts)) < LIMITS["evolve_cycles"].value:
            return False
        steps = np.diff([1.0 / float(np.median(part)) for part in parts])
        step = LIMITS["evolve_hz"].value
        return bool(np.all(steps >= step) or np.all(steps <= -step))


def follow(x_uv: Floats, rate_hz: float) -> Run | None:
    """Follow the cycles of a row, None where fewer than six look alike.

    Parameters
    ----------
    x_uv
        Shape (400,): the row at 40 Hz.
    rate_hz
        About how often it repeats itself.
    """
    from detectors.epileptiform import _repeat_kernels

    marks, cycle, alike, lead = _repeat_kernels.follow(
        x_uv - x_uv.mean(),
        SLOW_HZ / rate_hz,
        round(LIMITS["cycles"].value),
        LIMITS["one_alike"].value,
        LIMITS["one_size"].value,
    )
    if not marks.size:
        return None
    cycles = np.diff(marks)
    change = np.abs(np.diff(cycles)) / cycles[:-1]
    steady = float((change < LIMITS["cycle_change"].value).mean())
    if steady <= LIMITS["steady_share"].value:
        return None
    times = np.clip((marks + lead) / SLOW_HZ, 0.0, SEGMENT_S - 1.0 / SLOW_HZ)
    # a rate that rises or falls steadily is no irregular one
    at = marks[1:] - marks[1:].mean()
    slope = float(at @ cycles) / float(at @ at)
    spread = float(np.std(cycles - slope * at) / np.mean(cycles))
    return Run(times, cycle / SLOW_HZ, alike, steady, spread)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the mean cycle of the leading row looks like.

    Parameters
    ----------
    base_s
        Foot to foot of the sharpest phase.
    sharpness
        0 spiky, 1 sharp, 2 sharply contoured, 3 blunt.
    phases
        Deflections from the baseline to either side.
    busy_share
        Share of the cycle away from the baseline: the rest is gap.
    spike_share
        Height of what is left of the cycle when its slow part is taken off, of its peak to peak.
    is_triphasic
        Three phases, each longer than the one before, the second positive and largest.
    """

    base_s: float
    sharpness: int
    phases: int
    busy_share: float
    spike_share: float
    is_triphasic: bool

    @property
    def kind(self) -> str:
        """Which of the three patterns the cycle makes."""
        if self.busy_share < LIMITS["busy_share"].value:
            return "periodic_discharges"
        is_spiked = self.spike_share >= LIMITS["spike_share"].value and self.sharpness < 2
        return "rhythmic_spike_wave" if is_spiked else "rhythmic_delta"

    def plus(self, x_uv: Floats, run: Run) -> str:
        """Return the plus letters: fast activity, rhythmic delta, sharp waves on the run."""
        letters = ""
        if _fast_ratio(x_uv, run) >= LIMITS["plus_fast"].value and self.sharpness > 1:
            letters += "F"
        if self.kind == "periodic_discharges" and _rest_rhythm(x_uv, run):
            letters += "R"
        is_contoured = 0.5 * LIMITS["spike_share"].value <= self.spike_share
        if self.kind == "rhythmic_delta" and is_contoured and self.sharpness < 2:
            letters += "S"
        return letters


def shape_of(mean_uv: Floats, cycle_s: float) -> Shape:
    """Describe a mean cycle, its mark in the middle, at 200 Hz."""
    x = np.convolve(np.pad(mean_uv, 1, mode="edge"), np.full(3, 1 / 3), "valid")
    x = x - np.median(x)
    size = max(float(np.abs(x).max()), 1e-9)
    busy = float((np.abs(x) > LIMITS["busy_level"].value * size).mean())
    width = round(0.15 * SFREQ_HZ)
    smooth = np.convolve(
        np.pad(x, width, mode="wrap"), np.hanning(width) / np.hanning(width).sum(), "same"
    )
    rest = x - smooth[width:-width]
    peak = int(np.argmax(np.abs(rest)))
    share = float(np.abs(rest).max()) / max(float(np.ptp(x)), 1e-9)
    if share < LIMITS["spike_share"].value:
        peak = int(np.argmax(np.abs(x)))
    base_s, bend = _base(x, peak)
    pointed = bend >= LIMITS["pointed"].value
    if base_s < LIMITS["spiky_s"].value:
        sharpness = 0
    elif base_s <= LIMITS["spike_s"].value:
        sharpness = 1
    else:
        sharpness = 2 if pointed else 3
    spans = _phases(x, LIMITS["phase_share"].value * size)
    return Shape(base_s, sharpness, len(spans), busy, share, _is_triphasic(x, spans))


def _base(x: Floats, peak: int) -> tuple[float, float]:
    """Foot to foot of the wave at a sample, and how far its tip bends over its height."""
    y = x * np.sign(x[peak])
    level = 0.1 * y[peak]
    turned = np.roll(y, len(y) // 2 - peak)
    middle = len(y) // 2
    left = middle - _foot(turned[: middle + 1][::-1], level)
    right = middle + _foot(turned[middle:], level)
    lag = max((right - left) // 6, 1)
    height = max(turned[middle] - min(turned[left], turned[right]), 1e-9)
    ends = turned[max(middle - lag, 0)] + turned[min(middle + lag, len(y) - 1)]
    return (right - left) / SFREQ_HZ, float((turned[middle] - 0.5 * ends) / height)


def _foot(y: Floats, level: float) -> int:
    """Count samples from a peak to where it has fallen to a level or turns."""
    low = np.flatnonzero(y <= level)
    turn = np.flatnonzero(np.diff(y) > 0)
    turn = turn[turn >= 3]
    ends = [int(part[0]) for part in (low, turn) if part.size]
    return min(ends, default=len(y) - 1)


def _phases(x: Floats, level: float) -> list[tuple[int, int]]:
    """Return start and stop of stretches beyond a level, of either sign, in order."""
    side = np.where(x > level, 1, np.where(x < -level, -1, 0))
    edges = np.flatnonzero(np.diff(side)) + 1
    bounds = [0, *edges.tolist(), len(x)]
    return [(a, b) for a, b in itertools.pairwise(bounds) if side[a] and b - a >= 3]


def _is_triphasic(x: Floats, spans: list[tuple[int, int]]) -> bool:
    if len(spans) != 3:
        return False
    lengths = [b - a for a, b in spans]
    signs = [float(np.sign(x[a:b].mean())) for a, b in spans]
    heights = [float(np.abs(x[a:b]).max()) for a, b in spans]
    grows = lengths[0] < lengths[1] < lengths[2]
    return signs == [-1.0, 1.0, -1.0] and grows and heights[1] == max(heights)


def _fast_ratio(x_uv: Floats, run: Run) -> float:
    """Fast activity (13-40 Hz) inside the run over outside it; 1 where the run fills the page."""
    spectrum = np.fft.rfft(x_uv)
    hz = np.fft.rfftfreq(len(x_uv), 1 / SFREQ_HZ)
    fast = np.fft.irfft(np.where((hz >= 13) & (hz <= 40), spectrum, 0), len(x_uv))
    start, stop = (round(t * SFREQ_HZ) for t in run.span_s)
    outside = np.concatenate([fast[:start], fast[stop:]])
    if outside.size < SFREQ_HZ:
        return 1.0
    return float(fast[start:stop].std() / max(outside.std(), 1e-9))


def explained_share(x_uv: Floats, mean_uv: Floats, run: Run, band_hz: tuple[float, float]) -> float:
    """Return the share of the page's activity in a band that the mean cycle at every mark makes up.

    Parameters
    ----------
    x_uv
        Shape (N_TIMES,): the leading row.
    mean_uv
        Its mean cycle, the mark in the middle.
    run
        The cycles.
    band_hz
        From, to.
    """
    hz = np.fft.rfftfreq(len(x_uv), 1 / SFREQ_HZ)
    is_inside = (hz >= band_hz[0]) & (hz <= band_hz[1])
    half = len(mean_uv) // 2
    made = np.zeros(len(x_uv) + 2 * half)
    for mark in np.round(run.marks_s * SFREQ_HZ).astype(int).tolist():
        made[mark : mark + 2 * half] = mean_uv - mean_uv.mean()
    there, rest = (
        np.abs(np.fft.rfft(y)[is_inside]) ** 2 for y in (x_uv, x_uv - made[half : half + len(x_uv)])
    )
    return 1.0 - float(rest.sum()) / max(float(there.sum()), 1e-9)


def _rest_rhythm(x_uv: Floats, run: Run) -> bool:
    """Whether the row between discharges repeats itself at another rate in the delta band."""
    half = round(0.5 * run.cycle_s * SFREQ_HZ)
    marks = np.round(run.marks_s * SFREQ_HZ).astype(int)
    inside = [m for m in marks.tolist() if half <= m < len(x_uv) - half]
    if not inside:
        return False
    mean = np.mean([x_uv[m - half : m + half] for m in inside], axis=0)
    rest = x_uv.copy()
    for m in inside:
        rest[m - half : m + half] -= mean
    rest = rest[inside[0] - half : inside[-1] + half]
    spectrum = np.fft.rfft(rest - rest.mean(), n=2 * len(rest))
    hz = np.fft.rfftfreq(2 * len(rest), 1 / SFREQ_HZ)
    lags = np.fft.irfft(np.abs(spectrum) ** 2 * ((hz >= 0.5) & (hz <= 20)))
    lags = lags[: len(rest) // 2] / max(lags[0], 1e-9)
    first, last = SFREQ_HZ // 4, min(SFREQ_HZ, len(lags) - 1)
    return bool(last > first and lags[first:last].max() >= LIMITS["plus_rhythm"].value)
