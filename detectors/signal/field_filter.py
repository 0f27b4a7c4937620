"""Spatial filters made from a page itself: what stands out of it in the direction of one field.

A blink, a look aside and a popping electrode have a known field; the page's own background has
another. Weighing rows by the inverse of the background's covariance (a matched filter, minimum
variance with unit gain for the field) leaves the event and takes away what the background holds in
common, so that an event is told by its ratio to the background instead of by its microvolts. The
covariance of ten seconds is shrunk towards that of any head, where correlation falls with the angle
between electrodes. What a rule makes of it is in :mod:`detectors.artifacts.ocular` and
:mod:`detectors.artifacts.technical`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit
from detectors.signal.scalp import electrode_positions
from detectors.types import CANONICAL19

LIMITS: dict[str, Limit] = {
    "prior_share": Limit(0.4, "1", "engineering default: ten seconds know the rest"),
    "prior_width_deg": Limit(
        60.0, "deg", "engineering default: neighbours 36 degrees apart correlate at 0.8"
    ),
    "prior_own_share": Limit(0.05, "1", "engineering default: of a row's power, not shared"),
    "focus_width_deg": Limit(35.0, "deg", "engineering default: a cortical patch's field"),
    "focus_share": Limit(0.9, "1", "engineering default: of what the best focus explains"),
    "ridge": Limit(0.02, "1", "engineering default: contacts differ, fields are not exact"),
    "common": Limit(100.0, "1", "engineering default: takes any common reference out"),
    "quiet_sd": Limit(1.15, "SD", "engineering default: three quarters of a Gaussian"),
}
"""Constants of this module with their source marks."""

_L = {name: entry.value for name, entry in LIMITS.items()}


@dataclass(frozen=True, slots=True)
class Matched:
    """What one field's filter makes of pages.

    Parameters
    ----------
    score
        float32, shape (n, N_SLOW): output in SDs of the page's own background.
    weight
        float32, shape (n, 19): filter with unit gain for the field.
    moves
        float32, shape (n, 19, N_SLOW): rows after the filter in time.
    inverse
        float32, shape (n, 19, 19): inverse covariance of ``moves`` away from events.
    spread_uv
        float32, shape (n, 19): SD of ``moves`` there.
    field
        float64, shape (19,).
    """

    score: NDArray[np.float32]
    weight: NDArray[np.float32]
    moves: NDArray[np.float32]
    inverse: NDArray[np.float32]
    spread_uv: NDArray[np.float32]
    field: NDArray[np.float64]

    def output(
        self, rows_uv: NDArray[np.float32], segment: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Weigh rows, shape (n_kept, 19, n_times), of the segments given, into one of the field."""
        return np.asarray(np.einsum("kc,kct->kt", self.weight[segment], rows_uv))

    def is_better_than_a_focus(
        self, segment: NDArray[np.intp], time: NDArray[np.intp]
    ) -> NDArray[np.bool_]:
        """Whether the field explains each moment nearly as well as the best single focus does.

        A focus is a source under one electrode with a field as wide as a cortical patch's; slow
        waves, K-complexes and discharges have such fields.
        """
        moment = self.moves[segment, :, time].astype(np.float64)
        inverse = self.inverse[segment].astype(np.float64)
        towards = np.einsum("kcd,kd->kc", inverse, moment)
        fields = np.concatenate([self.field[None], _foci()])
        gain = (np.matmul(inverse, fields.T) * fields.T).sum(1)
        explained = (towards @ fields.T) ** 2 / np.maximum(gain, 1e-12)
        best = explained[:, 1:].max(1, initial=0.0)
        return np.asarray(explained[:, 0] >= _L["focus_share"] * best)

    def misfit(self, segment: NDArray[np.intp], time: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return how much of each moment the field does not explain, mean square SDs per row."""
        moment = self.moves[segment, :, time].astype(np.float64)
        inverse = self.inverse[segment].astype(np.float64)
        whole = np.einsum("kc,kcd,kd->k", moment, inverse, moment)
        along = np.einsum("kc,kcd,d->k", moment, inverse, self.field)
        gain = np.einsum("c,kcd,d->k", self.field, inverse, self.field)
        left: NDArray[np.float64] = (whole - along**2 / np.maximum(gain, 1e-12)).clip(0)
        return left / len(self.field)


def field_of(weights: Mapping[str, float]) -> NDArray[np.float64]:
    """Return a field given by electrode, zero elsewhere, shape (19,)."""
    return np.array([weights.get(name, 0.0) for name in CANONICAL19])


def match_field(
    slow_uv: NDArray[np.float32],
    is_live: NDArray[np.bool_],
    taps: NDArray[np.float32],
    field: NDArray[np.float64],
) -> Matched:
    """Filter pages in time by taps and in space by the page's own background.

    Parameters
    ----------
    slow_uv
        Rows at 40 Hz, shape (n, 19, N_SLOW), any common reference.
    is_live
        bool, shape (n, 19).
    taps
        Odd number of weights around each sample.
    field
        Shape (19,), the event's size at each electrode.
    """
    from detectors.signal import _field_kernels

    n, n_rows, n_slow = slow_uv.shape
    score = np.zeros((n, n_slow), dtype=np.float32)
    weight = np.zeros((n, n_rows), dtype=np.float32)
    moves = np.zeros(slow_uv.shape, dtype=np.float32)
    inverse = np.zeros((n, n_rows, n_rows), dtype=np.float32)
    spread = np.ones((n, n_rows), dtype=np.float32)
    settings = np.array([_L["prior_share"], _L["ridge"], _L["common"], _L["quiet_sd"]])
    _field_kernels.match_field(
        slow_uv, is_live, taps, field, _prior(), settings, score, weight, moves, inverse, spread
    )
    return Matched(score, weight, moves, inverse, spread, field)


def own_steps(
    slow_uv: NDArray[np.float32], is_live: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return moves of each row over 50 ms that the other rows do not foretell, and their SD.

    Parameters
    ----------
    slow_uv, is_live
        As for :func:`match_field`.

    Returns
    -------
    tuple
        Microvolts, shapes (n, 19, N_SLOW) and (n, 19).
    """
    from detectors.signal import _field_kernels

    steps = np.zeros(slow_uv.shape, dtype=np.float32)
    scale = np.ones(slow_uv.shape[:2], dtype=np.float32)
    settings = np.array([_L["prior_share"], _L["ridge"], 0.0])
    _field_kernels.own_steps(slow_uv, is_live, _prior(), settings, steps, scale)
    return steps, scale


@cache
def _foci() -> NDArray[np.float64]:
    """Fields of sources under each electrode, Gaussians of the angle, shape (19, 19)."""
    return np.asarray(np.exp(-0.5 * (_angles() / np.deg2rad(_L["focus_width_deg"])) ** 2))


@cache
def _prior() -> NDArray[np.float64]:
    """Correlation of the background of any head: a Gaussian of the angle between electrodes."""
    shared = np.exp(-0.5 * (_angles() / np.deg2rad(_L["prior_width_deg"])) ** 2)
    own = _L["prior_own_share"]
    return np.asarray((1 - own) * shared + own * np.eye(len(shared)))


@cache
def _angles() -> NDArray[np.float64]:
    """Angles between electrodes seen from the middle of the head, shape (19, 19)."""
    flat = electrode_positions()
    polar = np.hypot(flat[:, 0], flat[:, 1]) * np.pi / 2
    azimuth = np.arctan2(flat[:, 0], flat[:, 1])
    solid = np.stack(
        [np.sin(polar) * np.sin(azimuth), np.sin(polar) * np.cos(azimuth), np.cos(polar)], axis=1
    )
    return np.asarray(np.arccos(np.clip(solid @ solid.T, -1.0, 1.0)))
