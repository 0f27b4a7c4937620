"""Candidate discharges found by rule, beside the boxes of the waveform detector.

A page is searched by a bank of pointed templates with fields that fall off from one electrode
(:mod:`detectors._matched_filter`); what stands out from the page's own background is a candidate.
It is then asked whether something else fits better than a discharge: one electrode alone, an eye's
field, a slow wave, a train of waves. Whether a candidate is a discharge is for the six criteria
(:mod:`detectors.ifcn`); what becomes of it is decided in :mod:`detectors.epileptiform`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors._matched_filter import LIMITS as FILTER_LIMITS
from detectors._matched_filter import (
    RATE_HZ,
    TEMPLATES,
    Fits,
    Whitened,
    bank,
    centred_s,
    fields,
    fits,
    referred,
    spectrum_of,
    template_spectra,
    whitened,
)
from detectors._rule_common import Limit
from detectors._transient_signal import Rows, second_difference
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
    white: NDArray[np.float64]

    def candidates(self) -> list[Fit]:
        """Return what stands out as negative, strongest first (``clinical.md`` 4.1)."""
        height = np.abs(self.found.z).max(axis=(0, 1))
        margin = round(LIMITS["edge_s"].value * RATE_HZ)
        height[:margin] = height[-margin:] = 0.0
        apart = round(LIMITS["apart_s"].value * RATE_HZ)
        out = []
        while height[top := int(np.argmax(height))] >= LIMITS["candidate_sd"].value:
            fit = self._fit_at(np.arange(len(CANONICAL19) * 2), top, top + 1)
            # saccades' spike potentials, lambda waves and POSTS are positive, discharges rarely are
            if fit.sign < 0:
                out.append(fit)
            height[max(top - apart, 0) : top + apart + 1] = 0.0
        return out

    def nearest(self, sample: int, rows: Sequence[int]) -> Fit:
        """Return the best template around a sample with its maximum on one of some rows."""
        near = round(LIMITS["box_near_s"].value * RATE_HZ)
        middle = sample * RATE_HZ // SFREQ_HZ
        start = min(max(middle - near, 0), self.found.z.shape[2] - 1)
        chosen = np.array([r + w for w in (0, len(CANONICAL19)) for r in rows], dtype=np.intp)
        return self._fit_at(chosen, start, max(middle + near, start) + 1)

    def _fit_at(self, chosen: NDArray[np.intp], start: int, stop: int) -> Fit:
        z = self.found.z[chosen, :, start:stop]
        k, template, lag = np.unravel_index(int(np.argmax(np.abs(z))), z.shape)
        field, at = int(chosen[k]), start + int(lag)
        row = field % len(CANONICAL19)
        kernel = _kernels(self.page)[template]
        window = _window(self.white, at)
        size = window @ kernel
        energy = float(kernel @ kernel)
        shape = referred(fields()[field : field + 1], self.page.good)[0]
        weights = self.found.weights[field]
        single, eye = _other_fields(self.page, size)
        own = abs(float(weights @ size)) + 1e-9
        slow, wave = _other_waves(self.page, weights @ self.white, at, energy)
        chosen_template = TEMPLATES[int(template)]
        return Fit(
            self.place, at * SFREQ_HZ // RATE_HZ, row, chosen_template.kind,
            chosen_template.pointed_s, chosen_template.slow_s, float(abs(z[k, template, lag])),
            float(np.sign(z[k, template, lag])), size / max(energy, 1e-12), single / own, eye / own,
            slow / own, wave / own, weights * (shape[row] / max(float(weights @ shape), 1e-9)),
        )  # fmt: skip


def search(rows: Rows, place: int, high_hz: float) -> Search | None:
    """Search one page, None where too few rows make no field."""
    from scipy import fft

    if rows.good[place].sum() < LIMITS["fewest_rows"].value:
        return None
    page = whitened(rows, place, high_hz)
    n_bins = page.spectrum.shape[1]
    white = fft.irfft(page.spectrum, n=2 * (n_bins - 1), axis=1)[:, _HALF:-_HALF]
    return Search(place, page, fits(page), white.astype(np.float64))


def lone_fit(rows: Rows, place: int, row: int, sample: int) -> Fit:
    """Describe a peak where too few rows are there to gather: its row stands for itself."""
    x_uv = rows.data_uv[place]
    alone = np.zeros(len(CANONICAL19))
    alone[row] = 1.0
    sign = -1.0 if second_difference(x_uv[row])[sample] < 0 else 1.0
    return Fit(
        place, sample, row, "sharp", 0.1, 0.0, 0.0, sign, x_uv[:, sample].copy(),
        0.0, 0.0, 0.0, 0.0, alone,
    )  # fmt: skip


def _kernels(page: Whitened) -> NDArray[np.float64]:
    """Whitened templates in time, 1 s to both sides, for a wave of 1 uV."""
    return _in_time(bank() * page.gain)


def _in_time(spectra: NDArray[np.complex128]) -> NDArray[np.float64]:
    n_out = 2 * (spectra.shape[-1] - 1)
    x = np.fft.irfft(spectra, n=n_out, axis=-1)
    return np.concatenate([x[..., -_HALF:], x[..., :_HALF]], axis=-1)


def _window(x: NDArray[np.float64], at: int) -> NDArray[np.float64]:
    """Return 1 s to both sides of a sample, zero beyond the page."""
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(_HALF, _HALF)])[..., at : at + 2 * _HALF]


@cache
def _eye_fields() -> NDArray[np.float64]:
    """Fields of the eyes' dipoles: vertical, then horizontal (``clinical.md`` 8)."""
    up = {"Fp1": 1.0, "Fp2": 1.0, "F7": 0.4, "F8": 0.4, "F3": 0.4, "F4": 0.4, "Fz": 0.4}
    aside = {"F8": 1.0, "F7": -1.0, "Fp2": 0.45, "Fp1": -0.45, "T8": 0.35, "T7": -0.35,
             "F4": 0.3, "F3": -0.3}  # fmt: skip
    return np.array([[f.get(name, 0.0) for name in CANONICAL19] for f in (up, aside)])


def _other_fields(page: Whitened, size: NDArray[np.float64]) -> tuple[float, float]:
    """How well one electrode alone, and an eye, fit what every row shows at the moment."""
    alone = referred(np.eye(len(CANONICAL19)), page.good)[page.good]
    eyes = referred(_eye_fields(), page.good)
    seen = page.inverse @ size

    def best(field: NDArray[np.float64]) -> float:
        power = np.einsum("fr,rs,fs->f", field, page.inverse, field)
        return float((np.abs(field @ seen) / np.sqrt(np.maximum(power, 1e-12))).max())

    return best(alone), best(eyes)


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
    page: Whitened, x: NDArray[np.float64], at: int, energy: float
) -> tuple[float, float]:
    """How well slow waves and trains fit the gathered row around the moment."""
    kernels = _in_time(template_spectra(page, _rivals()).astype(np.complex128))
    kernels /= np.linalg.norm(kernels, axis=1, keepdims=True)
    reach = round(LIMITS["rival_reach_s"].value * RATE_HZ)
    padded = np.pad(x, _HALF + reach)
    around = np.lib.stride_tricks.sliding_window_view(
        padded[at : at + 2 * (_HALF + reach)], 2 * _HALF
    )
    size = np.abs(kernels @ around.T) * np.sqrt(energy)
    slow = float(size[: len(_SLOW_S)].max())
    pairs = size[len(_SLOW_S) :].reshape(len(_WAVES_HZ), 2, -1)
    return slow, float(np.hypot(pairs[:, 0], pairs[:, 1]).max())
