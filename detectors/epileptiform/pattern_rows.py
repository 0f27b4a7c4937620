"""Rows that repeat themselves: at what rate, which runs they hold, how a run lies over the page.

One row is followed in :mod:`detectors.epileptiform.cycles`; what a run is called is in
:mod:`detectors.epileptiform.periodic`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit
from detectors.epileptiform.cycles import Run, explained_share, follow
from detectors.signal.row_statistics import SLOW_HZ
from detectors.types import CANONICAL19, SFREQ_HZ
from detectors.vocabulary import side_of

_A21 = "ACNS 2021 (clinical.md 7.1)"
LIMITS: dict[str, Limit] = {
    "slowest_hz": Limit(0.6, "Hz", f"{_A21}: six cycles on 10 s"),
    "fastest_hz": Limit(4.0, "Hz", _A21),
    "drift_hz": Limit(0.4, "Hz", "engineering default: slower is no repetition"),
    "screen": Limit(0.4, "1", "engineering default: a page without such a row is passed over"),
    "faster_share": Limit(0.6, "1", "engineering default: a faster rhythm repeats itself as well"),
    "alike": Limit(0.85, "1", "measured: planted runs 0.91 and more, simulated sleep 0.80"),
    "spread": Limit(0.3, "1", "engineering default: of the cycles, over their mean"),
    "explained": Limit(0.5, "1", f"{_A21}: irregular delta is not RDA, so most of it is the run's"),
    "own_low": Limit(0.7, "1", "engineering default: of the run's rate, its own band"),
    "own_high": Limit(1.35, "1", "engineering default: of the run's rate, its own band"),
    "wave_uv": Limit(10.0, "uV", "engineering default: the mean cycle can be seen"),
    "weaker_side": Limit(0.6, "1", "engineering default: symmetric enough to be generalised"),
    "locked": Limit(0.6, "1", "engineering default: the sides keep step"),
    "field_share": Limit(0.5, "1", "clinical.md 9: field = electrodes with half of the peak"),
}
"""Constants of this module with their source marks."""

_SIDE = np.array([{"left": -1, "right": 1, "midline": 0}[side_of(n)] for n in CANONICAL19])
_HALF_HZ = SLOW_HZ // 2
_MULTIPLES = (1, 2, 3)


def repetition(
    slow: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rate at which every row repeats itself, and how much; best of page and halves."""
    from detectors.epileptiform import _repeat_kernels

    n = slow.shape[2] // 2
    lag = np.zeros(slow.shape[:2], dtype=np.int64)
    height = np.zeros(slow.shape[:2])
    _repeat_kernels.repetition(
        np.ascontiguousarray(slow).reshape(-1, slow.shape[2]),
        _slowest_waves(n),
        _slowest_waves(n // 2),
        (
            round(_HALF_HZ / LIMITS["fastest_hz"].value),
            round(_HALF_HZ / LIMITS["slowest_hz"].value),
        ),
        LIMITS["faster_share"].value,
        lag.reshape(-1),
        height.reshape(-1),
    )
    return _HALF_HZ / lag, height


@cache
def _slowest_waves(n: int) -> NDArray[np.float32]:
    """Cosines and sines below ``drift_hz`` of a window of ``n`` samples with as many zeros."""
    hz = np.arange(1, n) * _HALF_HZ / (2 * n)
    angle = 2 * np.pi * hz[hz < LIMITS["drift_hz"].value, None] * np.arange(n) / _HALF_HZ
    waves = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.ascontiguousarray(waves.reshape(-1, n), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Field:
    """Height of the mean cycle on every row, and which rows lead."""

    height_uv: NDArray[np.float64]
    row: int
    main: float
    channels: tuple[str, ...]


def runs_of(
    slow: NDArray[np.float32], rate_hz: NDArray[np.float64], alike: NDArray[np.float64]
) -> Iterator[tuple[Run, int]]:
    """Follow the rows that repeat themselves most clearly; yield what is regular.

    Slow waves behind a pattern repeat themselves as well, at a rate below its own: hence the
    multiples, after the rate itself has been tried on every row.
    """
    strength = alike * slow.std(axis=1)
    strength[alike < LIMITS["screen"].value] = 0.0
    rows = [r for r in np.argsort(-strength, kind="stable")[:3].tolist() if strength[r] > 0]
    for multiple in _MULTIPLES:
        for row in rows if multiple == 1 else rows[:2]:
            hz = multiple * float(rate_hz[row])
            if hz > LIMITS["fastest_hz"].value:
                continue
            run = follow(slow[row].astype(np.float64), hz)
            if run is not None and _is_regular(run):
                yield run, multiple


def _is_regular(run: Run) -> bool:
    """Whether the cycles look alike, keep their length, and come at a rate a page can show."""
    limit = {name: LIMITS[name].value for name in ("slowest_hz", "fastest_hz", "alike", "spread")}
    is_timed = limit["slowest_hz"] <= run.rate_hz <= limit["fastest_hz"]
    return is_timed and run.alike >= limit["alike"] and run.spread <= limit["spread"]


def own_band(run: Run) -> tuple[float, float]:
    """Return the band round a run's rate that holds no multiple of it."""
    return LIMITS["own_low"].value * run.rate_hz, LIMITS["own_high"].value * run.rate_hz


def mean_cycles(x_uv: NDArray[np.float64], run: Run) -> NDArray[np.float64]:
    """Average every row over the cycles of a run, half a cycle to both sides."""
    half = max(round(0.5 * SFREQ_HZ * run.cycle_s), 2)
    marks = np.round(run.marks_s * SFREQ_HZ).astype(np.intp)
    kept = marks[(marks >= half) & (marks < x_uv.shape[1] - half)]
    at = (kept if kept.size else marks)[:, None] + np.arange(-half, half)
    return np.asarray(x_uv[:, np.clip(at, 0, x_uv.shape[1] - 1)].mean(axis=1))


def is_faster(wide: NDArray[np.float64], run: Run, row: int) -> bool:
    """Whether the mean cycle is two or three waves of a faster rhythm."""
    x = mean_cycles(wide, run)[row]
    x = x - x.mean()
    spectrum = np.abs(np.fft.rfft(x)) ** 2
    own = np.fft.irfft(spectrum, n=len(x)) / max(float(x @ x), 1e-9)
    parts = [own[round(len(x) * share)] for share in (1 / 2, 1 / 3)]
    return max(parts) >= LIMITS["faster_share"].value


def field_of(
    wide: NDArray[np.float64], slow: NDArray[np.float32], run: Run, live: NDArray[np.bool_]
) -> Field:
    """Say where a run is large, and whether it is of both sides, of one, or of each by itself.

    Parameters
    ----------
    wide
        Shape (19, N_TIMES): the page in the average reference.
    slow
        Shape (19, 400): the same at 40 Hz.
    run
        The cycles.
    live
        bool, shape (19,).
    """
    mean = mean_cycles(wide, run)
    height = np.where(live, np.ptp(mean, axis=1), 0.0)
    row = int(np.argmax(height))
    left, right = (float(np.sort(height[s == _SIDE])[-3:].mean()) for s in (-1, 1))
    weaker, stronger = sorted((left, right))
    main = 1.0 if weaker >= LIMITS["weaker_side"].value * stronger else 2.0
    others = _other_rows(wide, slow, run, row)
    if others:
        main = 3.0
    order = np.argsort(-height, kind="stable")
    least = LIMITS["field_share"].value * height[row]
    same = mean @ mean[row]
    chosen = [r for r in order.tolist() if height[r] >= least and same[r] > 0 and r not in others]
    return Field(height, row, main, tuple(CANONICAL19[r] for r in (*chosen, *others)))


def _other_rows(
    wide: NDArray[np.float64], slow: NDArray[np.float32], run: Run, row: int
) -> list[int]:
    """Return the rows of a run of the other hemisphere that does not keep step with this one.

    What the reference carries over from this side keeps step, and may be the clearer of the two.
    """
    side = _SIDE[row]
    if not side:
        return []
    there = np.flatnonzero(-side == _SIDE)
    rate_hz, alike = repetition(slow[None, there])
    for other, _multiple in runs_of(slow[there], rate_hz[0], alike[0]):
        mean = mean_cycles(wide[there], other)
        best = int(np.argmax(np.ptp(mean, axis=1)))
        if np.ptp(mean[best]) < LIMITS["wave_uv"].value or _keeps_step(run, other):
            continue
        share = explained_share(wide[there[best]], mean[best], other, own_band(other))
        if share >= LIMITS["explained"].value and not is_faster(wide[there], other, best):
            height = np.ptp(mean, axis=1)
            near = np.argsort(-height, kind="stable").tolist()
            least = LIMITS["field_share"].value * height[best]
            return [int(there[r]) for r in near if height[r] >= least]
    return []


def _keeps_step(run: Run, other: Run) -> bool:
    """Whether the marks of two runs keep one distance, as a share of the cycle."""
    nearest = np.abs(other.marks_s[:, None] - run.marks_s[None]).argmin(axis=1)
    phase = (other.marks_s - run.marks_s[nearest]) / run.cycle_s
    return bool(np.abs(np.exp(2j * np.pi * phase).mean()) >= LIMITS["locked"].value)
