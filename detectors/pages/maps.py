"""The field of a finding: its map at the peak beside its map at the mid-point.

One map at one middle sample hides a transient (``clinical.md`` 12), so the moment is found from the
signal: the sample of largest global field power inside the finding. The signal is average
referenced and has the page's display band, so a map shows what the page shows. Painting is in
:mod:`detectors.pages.topomap`, boxes over a page in :mod:`detectors.pages.overlay`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.montage import average_reference
from detectors.pages.geometry import PAGE_STYLES, PageStyle
from detectors.pages.page import display_filter
from detectors.pages.topomap import TOPOMAP_STYLES, TopomapStyle, render_topomaps, scale_limits
from detectors.types import CANONICAL19, N_TIMES, SEGMENT_S, SFREQ_HZ

_PAGE = PAGE_STYLES["clinical-2"]
_SCALP = TOPOMAP_STYLES["scalp-1"]


@dataclass(frozen=True, slots=True)
class FindingMaps:
    """Two maps that share one colour scale, and the moments they show.

    Parameters
    ----------
    image
        uint8, shape (height, 2 * width, 3): the peak left, the mid-point right.
    peak, midpoint
        Samples from segment start.
    values_uv
        float32, shape (2, 19): the potentials of both, average reference; zero where not recorded.
    """

    image: NDArray[np.uint8]
    peak: int
    midpoint: int
    values_uv: NDArray[np.float32]

    @property
    def peak_s(self) -> float:
        """Moment of the left map."""
        return self.peak / SFREQ_HZ

    @property
    def midpoint_s(self) -> float:
        """Moment of the right map."""
        return self.midpoint / SFREQ_HZ


def global_field_power(
    data_uv: NDArray[np.float32], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the spatial standard deviation of the potential at every sample.

    Parameters
    ----------
    data_uv
        float32, shape (n_channels, n_times), microvolts; the reference does not matter.
    mask
        bool, shape (n_channels,), True for the electrodes that take part.

    Returns
    -------
    gfp_uv : float32, shape (n_times,)
        Root mean square over the electrodes in their average reference (Lehmann and Skrandies,
        1980); zero where none takes part.
    """
    referred = average_reference(data_uv[None], mask[None])[0]
    mean_square = np.einsum("ct,ct->t", referred, referred) / max(int(mask.sum()), 1)
    gfp: NDArray[np.float32] = np.sqrt(mean_square).astype(np.float32)
    return gfp


def peak_sample(
    data_uv: NDArray[np.float32], mask: NDArray[np.bool_], t0_s: float, t1_s: float
) -> int:
    """Return the sample of largest global field power in ``[t0_s, t1_s)``, the first of equals.

    Of a spike-and-slow-wave complex this may be the wave: ask for the spike's own interval.

    Parameters
    ----------
    data_uv, mask
        As in :func:`global_field_power`, one segment long.
    t0_s, t1_s
        Interval in seconds from segment start.

    Raises
    ------
    ValueError
        If the interval holds no sample of the segment.
    """
    first, last = _samples(t0_s, t1_s)
    return first + int(global_field_power(data_uv[:, first:last], mask).argmax())


def finding_maps(
    data_uv: NDArray[np.float32],
    mask: NDArray[np.bool_],
    t0_s: float,
    t1_s: float,
    *,
    page_style: PageStyle = _PAGE,
    style: TopomapStyle = _SCALP,
    limits: tuple[float, float] | None = None,
) -> FindingMaps:
    """Draw the field of a finding at its peak and at its mid-point.

    Parameters
    ----------
    data_uv
        float32, shape (19, N_TIMES), microvolts, canonical order.
    mask
        bool, shape (19,): recorded electrodes; leave broken ones out.
    t0_s, t1_s
        The finding's interval.
    page_style
        Whose display band the signal gets.
    style
        A style of :data:`detectors.pages.topomap.TOPOMAP_STYLES`.
    limits
        Ends of the colour scale; None takes the larger map's, symmetric about zero.

    Raises
    ------
    ValueError
        If the signal is not a referential segment, an electrode used is not finite, too few
        electrodes were recorded, or the interval holds no sample.
    """
    expected = (len(CANONICAL19), N_TIMES)
    if data_uv.shape != expected or mask.shape != expected[:1]:
        raise ValueError(
            f"data_uv has shape {data_uv.shape} and mask {mask.shape}; maps need the referential "
            f"schema, {expected} and {expected[:1]}"
        )
    if not np.isfinite(data_uv[mask]).all():
        raise ValueError("a recorded electrode has samples that are not finite; mask it out first")
    used = np.where(mask[:, None], data_uv, np.float32(0))
    shown = average_reference(display_filter(used, page_style)[None], mask[None])[0]
    first, last = _samples(t0_s, t1_s)
    peak = peak_sample(shown, mask, t0_s, t1_s)
    midpoint = (first + last - 1) // 2
    values = np.ascontiguousarray(shown[:, [peak, midpoint]].T)
    both = limits or scale_limits(values[:, mask], "diverging")
    pictures = [
        render_topomaps(
            values[i : i + 1], mask, style=style, scale="diverging", unit="\u00b5V",
            label=f"{name} {sample / SFREQ_HZ:.3f} s, average reference", limits=both,
        )[0]
        for i, (name, sample) in enumerate((("peak", peak), ("mid-point", midpoint)))
    ]  # fmt: skip
    return FindingMaps(np.concatenate(pictures, axis=1), peak, midpoint, values)


def _samples(t0_s: float, t1_s: float) -> tuple[int, int]:
    """Return the half-open range of samples in an interval, cut to the segment."""
    # a time written to a millisecond must not lose its own sample
    first = max(math.ceil(t0_s * SFREQ_HZ - 1e-6), 0)
    last = min(math.ceil(t1_s * SFREQ_HZ - 1e-6), N_TIMES)
    if not first < last:
        raise ValueError(
            f"interval {t0_s} to {t1_s} s holds no sample; give t0_s < t1_s within 0 to {SEGMENT_S}"
        )
    return first, last
