"""Candidate discharges found by rule, beside the boxes of the waveform detector.

A page is searched by a bank of pointed templates with fields that fall off from one electrode
(:mod:`detectors.epileptiform.matched_filter`); what stands out from the page's own background is a candidate.
It is then asked whether something else fits better than a discharge: one electrode alone, an eye's
field, a slow wave, a train of waves. Whether a candidate is a discharge is for the six criteria
(:mod:`detectors.epileptiform.ifcn`); what becomes of it is decided in :mod:`detectors.epileptiform.judge`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit
from detectors.epileptiform.matched_filter import LIMITS as FILTER_LIMITS
from detectors.epileptiform.matched_filter import (
    RATE_HZ,
    TEMPLATES,
    Fits,
    Whitened,
    bank,
    centred_s,
    fits,
    referred,
    scaled,
    spectrum_of,
    whitened,
)
from detectors.epileptiform.transient_signal import Rows, second_difference
from detectors.types import CANONICAL19, SFREQ_HZ

VERSION = "1"
"""Version of this rule, part of a finding's source."""

LIMITS: dict[str, Limit] = {
    "candidate_sd": Limit(4.9, "1", "measured: 11 false per hour on bare simulated pages"),
    "apart_s": Limit(0.15, "s", "engineering default: nearer maxima are one transient"),
    "edge_s": Limit(0.05, "s", "clinical.md 10: an event at the page edge is censored"),
    "box_near_s": Limit(0.04, "s", "engineering default: a box's peak may lie off by this"),
    "fewest_rows": Limit(12, "rows", "engineering default: fewer make no field"),
    "rival_reach_s": Limit(0.1, "s", "engineering default: rivals may peak this far away"),
} | FILTER_LIMITS  # fmt: skip
"""Constants of this module with their source marks."""

_WAVES_HZ = (4.0, 5.5, 7.5, 10.0, 13.5)
_SLOW_S = (0.3, 0.5, 0.8)
_HALF = RATE_HZ


@dataclass(frozen=True, slots=True)
class Fit:
    """The best template at one moment of one page.

    Parameters
    ----------
    place, sample
        Segment of the batch, and the peak on its clock of 200 Hz.
    row
        Electrode the field falls off from.
    kind, pointed_s, slow_s
        Of the template.
    score_sd
        How far the fit stands out, in local standard deviations.
    sign
        Polarity at the electrode.
    amplitude_uv
        Shape (n_rows,): the template's height on every row.
    single_share, eye_share, slow_share, wave_share
        Fit of rivals beside the template's own: one electrode, an eye's field, a slow wave, a train.
    source
        Shape (n_rows,): weights that gather the field and leave the page's noise out, so that the
        gathered row has the voltage of the electrode.
    """

    place: int
    sample: int
    row: int
    kind: str
    pointed_s: float
    slow_s: float
    score_sd: float
    sign: float
    amplitude_uv: NDArray[np.float64]
    single_share: float
    eye_share: float
    slow_share: float
    wave_share: float
    source: NDArray[np.float64]

    @property
    def span_s(self) -> tuple[float, float]:
        """From the first foot to the last."""
        peak = self.sample / SFREQ_HZ
        return peak - 0.4 * self.pointed_s, peak + 0.6 * self.pointed_s + self.slow_s


@dataclass(frozen=True, slots=True)
class Search:
    """One page searched: where something stands out, and what fits elsewhere when asked."""

    place: int
    page: Whitened
    found: Fits

    def candidates(self) -> list[Fit]:
        """Return what stands out as negative, strongest first (``clinical.md`` 4.1)."""
        from detectors.epileptiform._discharge_kernels import highest_moments

        margin = round(LIMITS["edge_s"].value * RATE_HZ)
        apart = round(LIMITS["apart_s"].value * RATE_HZ)
        height, least = self.found.height, LIMITS["candidate_sd"].value
        at = highest_moments(height, margin, apart, least)
        # saccades' spike potentials, lambda waves and POSTS are positive, discharges rarely are
        at = at[height[at] < 0]
        return self._described(at, self.found.which[at], height[at]) if at.size else []

    def nearest(self, asked: Sequence[tuple[int, Sequence[int]]]) -> list[Fit]:
        """Return for each (sample, rows) the best template around it with its maximum there."""
        if not asked:
            return []
        near = round(LIMITS["box_near_s"].value * RATE_HZ)
        n_fields, n_out = len(self.found.weights), len(self.found.height)
        wanted = sorted({row for _, rows in asked for row in rows})
        chosen = np.array([r + w for w in (0, len(CANONICAL19)) for r in wanted], dtype=np.intp)
        z = np.zeros((n_fields, len(TEMPLATES), n_out), dtype=np.float32)
        z[chosen] = scaled(self.page, self.found.weights[chosen])
        at, which, height = [], [], []
        for sample, rows in asked:
            middle = sample * RATE_HZ // SFREQ_HZ
            start = min(max(middle - near, 0), n_out - 1)
            own = np.array([r + w for w in (0, len(CANONICAL19)) for r in rows], dtype=np.intp)
            around = z[own, :, start : max(middle + near, start) + 1]
            k, template, lag = np.unravel_index(int(np.argmax(np.abs(around))), around.shape)
            at.append(start + int(lag))
            which.append((int(own[k]), int(template)))
            height.append(float(around[k, template, lag]))
        return self._described(np.array(at), np.array(which), np.array(height))

    def _described(
        self, at: NDArray[np.intp], which: NDArray[np.intp], height: NDArray[np.floating[Any]]
    ) -> list[Fit]:
        """Measure fits at some moments: voltage on every row, and how well rivals do there."""
        from detectors.epileptiform._discharge_kernels import measure_moments

        field, template = which[:, 0], which[:, 1]
        row = field % len(CANONICAL19)
        kernel, rivals = _kernels(self.page, template)
        energy = (kernel * kernel).sum(axis=1)
        weights = self.found.weights[field]
        size = np.empty((len(at), len(CANONICAL19)))
        fitted = np.empty((len(at), 2 * _reach() + 1, len(rivals)))
        measure_moments(self.page.white, at, weights, kernel, rivals, size, fitted)
        own = np.abs((weights * size).sum(axis=1)) + 1e-9
        single, eye = _other_fields(self.page, size)
        slow, wave = _other_waves(fitted * np.sqrt(energy)[:, None, None])
        shape = self.found.seen[field]
        passed = np.maximum((weights * shape).sum(axis=1), 1e-9)
        source = weights * (shape[np.arange(len(at)), row] / passed)[:, None]
        amplitude = size / np.maximum(energy, 1e-12)[:, None]
        single, eye, slow, wave = (share / own for share in (single, eye, slow, wave))
        return [
            Fit(
                self.place, int(at[k]) * SFREQ_HZ // RATE_HZ, int(row[k]), chosen.kind,
                chosen.pointed_s, chosen.slow_s, float(abs(height[k])),
                float(np.sign(height[k])), amplitude[k], float(single[k]), float(eye[k]),
                float(slow[k]), float(wave[k]), source[k],
            )
            for k, chosen in enumerate(TEMPLATES[t] for t in template.tolist())
        ]  # fmt: skip


def search(rows: Rows, place: int, high_hz: float) -> Search | None:
    """Search one page, None where too few rows make no field."""
    if rows.good[place].sum() < LIMITS["fewest_rows"].value:
        return None
    page = whitened(rows, place, high_hz)
    return Search(place, page, fits(page, LIMITS["candidate_sd"].value))


def lone_fit(rows: Rows, place: int, row: int, sample: int) -> Fit:
    """Describe a peak where too few rows are there to gather: its row stands for itself."""
    x_uv = rows.page_uv(place)
    alone = np.zeros(len(CANONICAL19))
    alone[row] = 1.0
    sign = -1.0 if second_difference(x_uv[row])[sample] < 0 else 1.0
    return Fit(
        place, sample, row, "sharp", 0.1, 0.0, 0.0, sign, x_uv[:, sample].copy(),
        0.0, 0.0, 0.0, 0.0, alone,
    )  # fmt: skip


def _kernels(
    page: Whitened, template: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return some whitened templates for a wave of 1 uV, and all rivals, of unit energy.

    In time, 1 s to both sides.
    """
    from scipy import fft

    n, drawn = len(template), _drawn()
    chosen = np.concatenate([template, np.arange(len(TEMPLATES), len(drawn))])
    x = fft.irfft(drawn[chosen] * page.gain, n=2 * (drawn.shape[1] - 1), axis=1)
    kernels = np.concatenate([x[:, -_HALF:], x[:, :_HALF]], axis=1, dtype=np.float64)
    rivals = kernels[n:]
    return kernels[:n], rivals / np.sqrt((rivals * rivals).sum(axis=1, keepdims=True))


@cache
def _drawn() -> NDArray[np.complex64]:
    """Spectra of all templates, then of all rivals."""
    return np.concatenate([bank(), _rivals()]).astype(np.complex64)


def _reach() -> int:
    return round(LIMITS["rival_reach_s"].value * RATE_HZ)


@cache
def _eye_fields() -> NDArray[np.float64]:
    """Fields of the eyes' dipoles: vertical, then horizontal (``clinical.md`` 8)."""
    up = {"Fp1": 1.0, "Fp2": 1.0, "F7": 0.4, "F8": 0.4, "F3": 0.4, "F4": 0.4, "Fz": 0.4}
    aside = {"F8": 1.0, "F7": -1.0, "Fp2": 0.45, "Fp1": -0.45, "T8": 0.35, "T7": -0.35,
             "F4": 0.3, "F3": -0.3}  # fmt: skip
    return np.array([[f.get(name, 0.0) for name in CANONICAL19] for f in (up, aside)])


def _other_fields(
    page: Whitened, size: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How well one electrode alone, and an eye, fit what every row shows at some moments."""
    rivals = _rival_fields(page.good.tobytes())
    whitened_fields = rivals @ page.inverse
    power = (whitened_fields * rivals).sum(axis=1)
    fit = np.abs(size @ whitened_fields.T) / np.sqrt(np.maximum(power, 1e-12))
    n_alone = int(page.good.sum())
    return fit[:, :n_alone].max(axis=1), fit[:, n_alone:].max(axis=1)


@lru_cache(maxsize=64)
def _rival_fields(good_rows: bytes) -> NDArray[np.float64]:
    """Return fields of every good row alone and of the eyes, in the good rows' own reference."""
    good = np.frombuffer(good_rows, dtype=np.bool_)
    return referred(np.concatenate([np.eye(len(good))[good], _eye_fields()]), good)


@cache
def _rivals() -> NDArray[np.complex128]:
    t = centred_s()
    slow = [np.where(np.abs(t) < s / 2, np.cos(np.pi * t / s), 0.0) for s in _SLOW_S]
    waves = []
    for hz in _WAVES_HZ:
        bell = np.where(np.abs(t) < 1.75 / hz, np.cos(np.pi * t * hz / 3.5) ** 2, 0.0)
        waves += [bell * np.cos(2 * np.pi * hz * t), bell * np.sin(2 * np.pi * hz * t)]
    return spectrum_of(np.stack([*slow, *waves]))


def _other_waves(
    fitted: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How well slow waves and trains fit, of each rival's fit at every lag (n, n_lags, n_rivals)."""
    size = np.abs(fitted)
    n_slow = len(_SLOW_S)
    slow = size[:, :, :n_slow].max(axis=(1, 2))
    pairs = size[:, :, n_slow:].reshape(*size.shape[:2], len(_WAVES_HZ), 2)
    return slow, np.hypot(pairs[..., 0], pairs[..., 1]).max(axis=(1, 2))
