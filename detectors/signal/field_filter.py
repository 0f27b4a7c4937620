"""Spatial filters made from a page itself: what stands out of it in the direction of one field.

A blink, a look aside and a popping electrode have a known field; the page's own background has
another. Weighing rows by the inverse of the background's covariance (a matched filter, minimum
variance with unit gain for the field) leaves the event and takes away what the background holds in
common, so that an event is told by its ratio to the background instead of by its microvolts. The
covariance of ten seconds is shrunk towards that of any head, where correlation falls with the angle
between electrodes. What a rule makes of it is in :mod:`detectors.artifacts.ocular` and
:mod:`detectors.artifacts.pops`.
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
    "narrow_deg": Limit(20.0, "deg", "engineering default: the narrowest cortical patch's field"),
    "focus_deg": Limit(35.0, "deg", "engineering default: a cortical patch's field"),
    "wide_deg": Limit(55.0, "deg", "engineering default: of K-complexes and slow waves"),
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

    def rival_share(self, segment: NDArray[np.intp], time: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return what the best rival explains of each moment, as a share of what the field does.

        Rivals are sources under one electrode with fields as wide as cortical patches have them,
        which slow waves, K-complexes and discharges do, and single electrodes, which pop.
        """
        moment = self.moves[segment, :, time].astype(np.float64)
        inverse = self.inverse[segment].astype(np.float64)
        fields = np.concatenate([self.field[None], _rivals()])
        towards = np.matmul(inverse, moment[:, :, None])[:, :, 0]
        gain = (np.matmul(inverse, fields.T) * fields.T).sum(1)
        explained = (towards @ fields.T) ** 2 / np.maximum(gain, 1e-12)
        best = explained[:, 1:].max(1, initial=0.0)
        return np.asarray(best / np.maximum(explained[:, 0], 1e-12))

    def unrest(
        self, segment: NDArray[np.intp], time: NDArray[np.intp], reach: int, step: int
    ) -> NDArray[np.float64]:
        """Return how lively the page is around each moment, in SDs of its quiet times.

        Parameters
        ----------
        segment, time
            The moments.
        reach, step
            Samples to either side, and from one looked at to the next. Half of them may be events.
        """
        middle = np.clip(time, reach, self.moves.shape[2] - 1 - reach)
        near = middle[:, None] + np.arange(-reach, reach + 1, step)
        moves = self.moves[segment[:, None], :, near]
        power = (np.matmul(moves, self.inverse[segment]) * moves).sum(-1)
        return np.asarray(np.sqrt(np.median(power, axis=1) / len(self.field)))

    def misfit(self, segment: NDArray[np.intp], time: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return how much of each moment the field does not explain, mean square SDs per row."""
        moment = self.moves[segment, :, time].astype(np.float64)
        inverse = self.inverse[segment].astype(np.float64)
        towards = np.matmul(inverse, moment[:, :, None])[:, :, 0]
        whole, along = (towards * moment).sum(1), towards @ self.field
        gain = np.matmul(inverse, self.field) @ self.field
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
def _rivals() -> NDArray[np.float64]:
    """Fields of sources under each electrode, Gaussians of the angle, and of single electrodes."""
    widths = [np.deg2rad(_L[name]) for name in ("narrow_deg", "focus_deg", "wide_deg")]
    foci = [np.exp(-0.5 * (_angles() / width) ** 2) for width in widths]
    return np.concatenate([*foci, np.eye(len(CANONICAL19))])


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
