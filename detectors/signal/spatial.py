"""Spatial energy tiers by exact one-dimensional 3-means.

Here live the energies of the average-referenced rows and their tiers: which rows carry most and
least of the page's energy. All rows are listed. Maps of the same numbers are drawn by the topomap
renderer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit
from detectors.montage import average_reference
from detectors.types import SegmentBatch

LIMITS: dict[str, Limit] = {
    "tier_rows": Limit(16, "rows", "systems.md 6.6: no topography with fewer than 16 channels"),
    "silent_uv2": Limit(0.25, "uV2", "flat: SD < 0.5 uV (clinical.md 8), engineering default"),
}
"""Constants of this module with their source marks."""

TIERS = ("low", "medium", "high")
"""Tier words by number; -1 is ``missing``."""
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class SpatialFeatures:
    """Energy tiers of a batch.

    Parameters
    ----------
    energy_uv2
        float32, shape (n, n_channels): mean square in the average reference of live rows; NaN for
        rows not recorded or silent, and for whole segments that are not judged.
    tier
        int8, same shape: 2 high, 1 medium, 0 low, -1 missing.
    highest_channel
        Row with the largest energy, ``""`` where not judged.
    reason
        Why a segment was not judged, ``""`` where it was.
    """

    energy_uv2: NDArray[np.float32]
    tier: NDArray[np.int8]
    highest_channel: tuple[str, ...]
    reason: tuple[str, ...]

    def rows(self, batch: SegmentBatch) -> list[dict[str, Any]]:
        """Return one row per segment of table ``spatial_features``."""
        words = np.array([*TIERS, "missing"])
        energies, tiers = self.energy_uv2.tolist(), words[self.tier].tolist()
        return [
            {
                "segment_id": segment_id,
                "ch_names": list(batch.schema.ch_names),
                "energy_uv2": energies[i],
                "tier": tiers[i],
                "highest_channel": self.highest_channel[i],
                "is_judged": not self.reason[i],
                "reason": self.reason[i],
            }
            for i, segment_id in enumerate(batch.segment_ids)
        ]


def spatial_features(batch: SegmentBatch) -> SpatialFeatures:
    """Measure energies and tiers.

    Energies are taken in the average reference of live rows, so that the tiers do not depend on
    where the recording's reference was; tiers are formed on their logarithm (``systems.md`` 6.13).
    Bipolar rows have no place of their own and are not judged; nor is a page with fewer than 16
    live rows, whose average reference is not the head's, or one that was not recorded to its end.

    Parameters
    ----------
    batch
        Segments of one channel schema.
    """
    shape = batch.mask.shape
    if not batch.schema.is_referential:
        reason = "tiers need single electrodes"
        energy = np.full(shape, np.nan, dtype=np.float32)
        tier = np.full(shape, -1, dtype=np.int8)
        return SpatialFeatures(energy, tier, ("",) * len(batch), (reason,) * len(batch))
    short = batch.why_short
    is_live = batch.mask & (batch.data_uv.var(axis=-1) > LIMITS["silent_uv2"].value)
    is_judged = (is_live.sum(1) >= LIMITS["tier_rows"].value) & batch.is_whole
    used = is_live & is_judged[:, None]
    measured = _energy(batch.data_uv, used)
    tier = exact_tiers(np.log10(np.where(used, measured, 1.0)), used)
    best = np.where(used, measured, -np.inf).argmax(1)
    names = batch.schema.ch_names
    highest = tuple(names[b] if j else "" for b, j in zip(best, is_judged, strict=True))
    reason = f"fewer than {LIMITS['tier_rows'].value:.0f} live rows"
    return SpatialFeatures(
        np.where(used, measured, np.nan).astype(np.float32),
        tier,
        highest,
        tuple("" if j else why or reason for j, why in zip(is_judged, short, strict=True)),
    )


def exact_tiers(values: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Split every row of values into low, medium and high by exact 3-means.

    In one dimension the best clusters are intervals, so all cut pairs of the sorted values (153 for
    19) are tried with prefix sums: the inertia is never above that of any seeded k-means, and there
    is no seed. Tie rule: among cut pairs of equal inertia the first in order of (lower cut, upper
    cut), the smallest low tier, wins; equal values always share a tier.

    Parameters
    ----------
    values
        Shape (n, k).
    mask
        bool, shape (n, k); only these take part.

    Returns
    -------
    numpy.ndarray
        int8, shape (n, k): 0 low, 1 medium, 2 high, -1 outside the mask. With two distinct values
        there is a low and a high tier, with one all are medium.

    Raises
    ------
    ValueError
        If the shapes differ or a value inside the mask is not finite.
    """
    if values.shape != mask.shape or values.ndim != 2:
        raise ValueError(f"values {values.shape} and mask {mask.shape} must share one (n, k) shape")
    if not np.isfinite(values[mask]).all():
        raise ValueError("values inside the mask must be finite; mask out missing channels")
    tiers = np.full(values.shape, -1, dtype=np.int8)
    if mask.all() and len(values) <= _BLOCK:  # the common page, without picking rows apart
        return _tiers_of(values.astype(np.float64)) if values.size else tiers
    counts = mask.sum(1)
    for count in np.unique(counts[counts > 0]):
        chosen = np.nonzero(counts == count)[0]
        for start in range(0, chosen.size, _BLOCK):
            rows = chosen[start : start + _BLOCK]
            taken = values[rows][mask[rows]].reshape(rows.size, count).astype(np.float64)
            out = np.full((rows.size, values.shape[1]), -1, dtype=np.int8)
            out[mask[rows]] = _tiers_of(taken).ravel()
            tiers[rows] = out
    return tiers


@cache
def _cut_pairs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    first, second = np.triu_indices(count - 1, k=1)
    return first + 1, second + 1


def _tiers_of(values: NDArray[np.float64]) -> NDArray[np.int8]:
    """Tier complete rows, shape (m, count)."""
    ordered = np.sort(values, axis=1)
    is_new = np.diff(ordered, axis=1) > 0
    is_split = is_new.sum(1) >= 2
    if values.shape[1] < 3 or not is_split.any():
        return _simple_tiers(values, ordered)
    first, second = _cut_pairs(values.shape[1])
    total = np.zeros((ordered.shape[0], ordered.shape[1] + 1))
    np.cumsum(ordered - ordered.mean(1, keepdims=True), axis=1, out=total[:, 1:])
    left, middle = total[:, first], total[:, second]
    # the centred total is zero up to rounding, so the upper tier's sum is -middle
    score = left**2 / first
    score += (middle - left) ** 2 / (second - first)
    score += middle**2 / (values.shape[1] - second)
    if not is_new.all():  # a cut between equal values is never better than the cut beside them
        score[~(is_new[:, first - 1] & is_new[:, second - 1])] = -np.inf
    best = score.argmax(1)
    at = np.arange(len(values))
    lower, upper = ordered[at, first[best]], ordered[at, second[best]]
    tiers = (values >= lower[:, None]).astype(np.int8) + (values >= upper[:, None])
    if is_split.all():
        return tiers
    return np.where(is_split[:, None], tiers, _simple_tiers(values, ordered))


def _simple_tiers(values: NDArray[np.float64], ordered: NDArray[np.float64]) -> NDArray[np.int8]:
    """Tier rows of fewer than three distinct values: two make low and high, one makes medium."""
    low, high = ordered[:, :1], ordered[:, -1:]
    return np.where(values > low, 2, np.where(low < high, 0, 1)).astype(np.int8)


def _energy(data_uv: NDArray[np.float32], used: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean square in the average reference, by blocks that stay in cache."""
    energy = np.empty(used.shape)
    for start in range(0, len(used), 8):
        part = slice(start, start + 8)
        referred = average_reference(data_uv[part], used[part])
        energy[part] = np.einsum("nct,nct->nc", referred, referred) / data_uv.shape[-1]
    return np.maximum(energy, 1e-9)
