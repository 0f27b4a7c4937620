"""A planted event before and after it meets a recording: the patch and its ground truth.

A patch is what one generator in cerebral or extracerebral tissue adds to the 19 electrodes; the
truth is measured on the patch after re-referencing, so it is exact whatever lies under it. The
shapes themselves come from ``transients`` and ``artifacts``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagster_project.corpora.simulated.geometry import FloatArray
from detectors.types import CANONICAL19, ExpertEvent, Measure

SOURCE = "simulator@2"
"""Source id of every planted event; raised whenever shapes or truth can change."""

_LISTED_SHARE = 0.1
"""Channels below this share of the largest peak-to-peak are not listed in the truth."""

_LISTED_UV = 2.0
"""Channels below this amplitude are not listed; below it nothing can be seen or measured."""


@dataclass(frozen=True, slots=True)
class Patch:
    """One event as potentials against a distant reference.

    Parameters
    ----------
    kind
        Key of :data:`detectors.vocabulary.KINDS`, or ``""`` for an unlabelled look-alike.
    waveform
        Detector class, or ``""``; lateral eye movements take theirs per channel from the sign.
    samples_uv
        float64, shape (19, n).
    lead_s
        Time from the first sample to the onset of the event (its foot).
    duration_s
        Foot to foot, from onset to return to baseline.
    measures
        What the generator drew: frequency and the like.
    """

    kind: str
    waveform: str
    samples_uv: NDArray[np.float64]
    lead_s: float
    duration_s: float
    measures: tuple[Measure, ...] = ()


def plant(
    data_uv: FloatArray,
    patch: Patch,
    t0_s: float,
    sfreq_hz: float,
    reference: FloatArray | None = None,
) -> tuple[FloatArray, ExpertEvent]:
    """Add one event to a recording.

    Parameters
    ----------
    data_uv
        Shape (19, n_times), canonical order; not changed.
    patch
        The event.
    t0_s
        Onset (foot) in the recording.
    sfreq_hz
        Rate of both.
    reference
        Matrix of :func:`~dagster_project.corpora.simulated.geometry.reference_matrix`, None for a
        distant reference.

    Returns
    -------
    data_uv : ndarray, shape (19, n_times)
        A copy with the event.
    event : ExpertEvent
        Its ground truth.
    """
    out = data_uv.copy()
    return out, plant_into(out, patch, t0_s, sfreq_hz, reference)


def plant_into(
    data_uv: FloatArray,
    patch: Patch,
    t0_s: float,
    sfreq_hz: float,
    reference: FloatArray | None = None,
) -> ExpertEvent:
    """Add one event to a recording in place and return its truth; arguments as for :func:`plant`.

    Raises
    ------
    ValueError
        If the event does not lie wholly inside the recording.
    """
    samples = patch.samples_uv if reference is None else reference @ patch.samples_uv
    onset = round(t0_s * sfreq_hz)
    first = onset - round(patch.lead_s * sfreq_hz)
    # a tail that decays past the end of the recording is cut, as a real one would be
    samples = samples[:, : max(0, data_uv.shape[1] - first)]
    last = first + samples.shape[1]
    if first < 0 or onset + round(patch.duration_s * sfreq_hz) > data_uv.shape[1]:
        raise ValueError(
            f"{patch.kind or 'look-alike'} at {t0_s:.3f} s spans samples {first} to {last} of a "
            f"recording of {data_uv.shape[1]}; choose a time at which it fits"
        )
    data_uv[:, first:last] += samples
    lead = onset - first
    core = samples[:, lead : lead + max(1, round(patch.duration_s * sfreq_hz))]
    return truth_of(patch, core, onset / sfreq_hz)


def truth_of(
    patch: Patch, core_uv: FloatArray, t0_s: float, listed_uv: float = _LISTED_UV
) -> ExpertEvent:
    """Return the truth of a patch from its samples between foot and foot, after re-referencing.

    Parameters
    ----------
    patch
        The event.
    core_uv
        Shape (19, n), what was added to the recording between onset and end.
    t0_s
        Onset.
    listed_uv
        Rows of smaller peak-to-peak are not listed.
    """
    # the foot is zero by construction, so peak-to-peak is measured with it included
    high, low = core_uv.max(axis=1).clip(min=0.0), core_uv.min(axis=1).clip(max=0.0)
    p2p = high - low
    listed = [
        i
        for i in np.argsort(-p2p, kind="stable")
        if p2p[i] >= max(listed_uv, _LISTED_SHARE * p2p.max())
    ]
    per_channel: list[Measure] = []
    for i in listed:
        sign = 1.0 if high[i] >= -low[i] else -1.0
        per_channel += [
            Measure(f"p2p_uv:{CANONICAL19[i]}", round(float(p2p[i]), 2), "uV"),
            Measure(f"sign:{CANONICAL19[i]}", sign, "1"),
        ]
    return ExpertEvent(
        kind=patch.kind,
        channels=tuple(CANONICAL19[i] for i in listed),
        t0_s=round(t0_s, 6),
        t1_s=round(t0_s + patch.duration_s, 6),
        source=SOURCE,
        measures=(
            Measure("duration_s", round(patch.duration_s, 6), "s"),
            *patch.measures,
            *per_channel,
        ),
    )
