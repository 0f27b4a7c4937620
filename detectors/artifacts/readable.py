"""Whether a page holds EEG that could be read at all.

Noise, shuffled rows, silence, mains alone and values that are no numbers make every other rule guess,
so they are told first.
Single artifacts are in :mod:`detectors.artifacts.chain`, which asks here; the numbers come from
:mod:`detectors.signal.row_statistics`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors._rule_common import Limit
from detectors.rows import is_masked
from detectors.signal.row_statistics import RowStatistics, field_statistics
from detectors.signal.spectra import SpectralFeatures, spectral_features
from detectors.types import SEGMENT_S, Finding, Judgement, SegmentBatch
from detectors.vocabulary import KINDS

UNREADABLE = "not interpretable: "
"""How a reason begins that is about the whole page."""

LIMITS: dict[str, Limit] = {
    "read_share": Limit(0.5, "1", "engineering default: of all row-seconds"),
    "mains_only_share": Limit(0.9, "1", "engineering default: of all power"),
    "field_rows": Limit(12, "rows", "engineering default"),
    "field_excess": Limit(0.25, "1", "measured: recordings >= 0.47, 99 % of shuffled <= 0.21"),
    "field_near": Limit(0.25, "1", "measured: recordings >= 0.6, independent rows <= 0.05"),
    "field_near_sure": Limit(0.8, "1", "measured: shuffled rows <= 0.75"),
    "field_spread": Limit(0.25, "1", "measured: recordings >= 0.3, independent rows <= 0.07"),
}
"""Constants of this module with their source marks."""


def finite_rows(
    batch: SegmentBatch, spectra: SpectralFeatures
) -> tuple[SegmentBatch, SpectralFeatures]:
    """Take rows that hold values that are no numbers for rows that were not recorded.

    Stored segments hold whole steps of microvolts, so this is for batches that were made elsewhere;
    one such value would otherwise reach every row through a reference.

    Parameters
    ----------
    batch, spectra
        Segments and their spectra; returned as they are where all values are numbers.
    """
    is_number = np.isfinite(batch.data_uv.sum(-1))
    if is_number.all():
        return batch, spectra
    data = np.where(is_number[..., None], batch.data_uv, np.float32(0))
    finite = replace(batch, data_uv=data, mask=batch.mask & is_number)
    return finite, spectral_features(finite)


def not_interpretable(
    batch: SegmentBatch,
    spectra: SpectralFeatures,
    statistics: RowStatistics,
    left: NDArray[np.bool_],
) -> tuple[str, ...]:
    """Say which pages hold no EEG that could be read, and why.

    A page counts as read unless all rows are silent, most of it is flat or clipped, mains is all
    there is, or its rows do not go together as rows of a scalp do: either not at all (noise), or in
    other places than their names say (shuffled). That needs 12 live single electrodes.

    Parameters
    ----------
    batch, spectra, statistics
        Segments, their spectra and row statistics.
    left
        bool, shape (n, n_channels, 10): seconds of recorded rows that are neither flat nor clipped.

    Returns
    -------
    tuple of str
        One reason per segment, ``""`` where the page is interpretable.
    """
    limit = {name: entry.value for name, entry in LIMITS.items()}
    n_live = spectra.is_live.sum(1)
    is_dead = left.sum((1, 2)) < limit["read_share"] * SEGMENT_S * batch.mask.sum(1)
    power = spectra.psd_uv2_hz.sum(1)
    at_mains = np.abs(spectra.freqs_hz - batch.line_freq_hz) <= 1
    is_mains = power[:, at_mains].sum(1) >= limit["mains_only_share"] * power.sum(1)
    is_noise = is_shuffled = np.zeros(len(batch), dtype=np.bool_)
    if batch.schema.is_referential:
        field = field_statistics(statistics.slow_uv, spectra.is_live)
        is_loose = (n_live >= limit["field_rows"]) & (field.near_excess < limit["field_excess"])
        is_noise = is_loose & (field.near < limit["field_near"])
        is_shuffled = is_loose & (field.spread >= limit["field_spread"])
        is_shuffled &= field.near < limit["field_near_sure"]
    reasons = {
        "all rows are silent": (n_live == 0) & batch.mask.any(1),
        "most of the page is flat or clipped": is_dead & batch.mask.any(1),
        "mains interference is all there is": is_mains & (n_live > 0),
        "neighbouring electrodes have nothing in common": is_noise,
        "rows do not fit their electrodes": is_shuffled,
    }
    return tuple(
        next((f"{UNREADABLE}{why}" for why, hit in reasons.items() if hit[i]), "")
        for i in range(len(batch))
    )


def why_unreadable(judgements: Iterable[Judgement]) -> str:
    """Return why a page is not interpretable, as its rules' judgements say it, or ``""``."""
    return next((j.reason for j in judgements if j.reason.startswith(UNREADABLE)), "")


def put_aside(finding: Finding, why: str) -> Finding:
    """Mask a finding of a page that is not interpretable; artifacts are what it does show."""
    if not why or KINDS[finding.kind].family == "artifact" or is_masked(finding):
        return finding
    return replace(finding, mask_reason=why)


def unless_unread(judgement: Judgement, why: str) -> Judgement:
    """Take an absence back: nothing is absent from a page that is not interpretable."""
    if not why or judgement.verdict != "absent":
        return judgement
    return replace(judgement, verdict="not_judged", reason=why)
