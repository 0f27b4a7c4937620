"""Edits of a page whose effect on what can be seen there is known beforehand.

Three edits: the head mirrored, an event planted and taken out again, an artifact laid over a clean
page. Planted waves are the first generator's (:mod:`~dagster_project.corpora.simulated.planting`),
so the wave is known exactly. Only signals are made here; what the rules then find and what the texts
must say is in ``prompts/counterfactuals.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from dagster_project.corpora.segment_table import FULL_SCALE, STEP_UV
from dagster_project.corpora.simulated.patch import SOURCE
from dagster_project.corpora.simulated.planting import PlantingSettings, plant_segments
from detectors.montage import HOMOLOGOUS
from detectors.types import (
    CANONICAL19,
    N_TIMES,
    SEGMENT_S,
    SFREQ_HZ,
    ExpertEvent,
    Measure,
    SegmentBatch,
)

MIRRORED, EVENT_REMOVED, ARTIFACT_ADDED = EDITS = ("mirrored", "event_removed", "artifact_added")
"""What may be done to a page."""

REMOVED_KINDS = ("spike", "sharp", "spsw", "spindle", "kcomplex", "blink", "lateral_eye")
ADDED_KINDS = ("blink", "muscle", "electrode_pop", "mains")

SIZES_K: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "spike": (9.0, 14.0), "sharp": (9.0, 14.0), "spsw": (9.0, 14.0), "spindle": (6.0, 9.0),
        "kcomplex": (7.0, 10.0), "blink": (10.0, 16.0), "lateral_eye": (10.0, 16.0),
        "muscle": (10.0, 16.0), "electrode_pop": (14.0, 22.0),
    }
)  # fmt: skip
"""Sizes relative to the page's background: nobody doubts these events (engineering defaults)."""
MAINS_UV_RMS = (8.0, 20.0)
"""Mains pick-up at its fullest electrode, far above the 1 uV the simulator lists."""

FloatRows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EditedPage:
    """A page before and after its edit.

    Parameters
    ----------
    before_uv, after_uv
        float32, shape (n_channels, N_TIMES), on the grid of stored steps.
    mask
        Recorded rows after the edit; before it they are the page's own.
    event
        What was taken out or laid over; None for a mirrored head.
    """

    before_uv: FloatRows
    after_uv: FloatRows
    mask: NDArray[np.bool_]
    event: ExpertEvent | None


def on_grid(data_uv: NDArray[np.floating]) -> FloatRows:
    """Round a signal to the steps in which segments are stored."""
    return (np.float32(STEP_UV) * steps_of(data_uv)).astype(np.float32)


def steps_of(data_uv: NDArray[np.floating]) -> NDArray[np.int16]:
    """Return a signal as stored steps of 0.05 uV, clipped to their range."""
    steps = np.clip(np.rint(data_uv / STEP_UV), -FULL_SCALE, FULL_SCALE)
    return np.asarray(steps, dtype=np.int16)


def edited_page(batch: SegmentBatch, at: int, edit: str, kind: str, seed: int) -> EditedPage | None:
    """Edit one page.

    Parameters
    ----------
    batch, at
        The batch it lies in and its place there; referential rows only.
    edit
        One of :data:`EDITS`.
    kind
        What is removed (:data:`REMOVED_KINDS`) or added (:data:`ADDED_KINDS`); ``""`` if mirrored.
    seed
        Draws the event; the same seed gives the same wave in the same place.

    Returns
    -------
    EditedPage or None
        None where the event does not reach a recorded row, or mains lies outside the usable band.

    Raises
    ------
    ValueError
        If the rows are not the 19 electrodes, or the edit or its kind is not known.
    """
    if not batch.schema.is_referential:
        raise ValueError(
            f"segment {batch.segment_ids[at]!r} has bipolar rows; edits need {len(CANONICAL19)} "
            "single electrodes"
        )
    kinds = {MIRRORED: ("",), EVENT_REMOVED: REMOVED_KINDS, ARTIFACT_ADDED: ADDED_KINDS}
    if kind not in kinds.get(edit, ()):
        raise ValueError(
            f"edit {edit!r} of {kind!r} is not known; allowed: "
            + "; ".join(f"{name} {', '.join(k) or '-'}" for name, k in kinds.items())
        )
    data, mask = on_grid(batch.data_uv[at]), batch.mask[at]
    if edit == MIRRORED:
        swapped = mirrored_rows()
        return EditedPage(data, data[swapped], mask[swapped], None)
    planted = _planted(batch, at, data, kind, seed)
    if planted is None:
        return None
    wave, event = planted
    if edit == ARTIFACT_ADDED:
        return EditedPage(data, on_grid(data + wave), mask, event)
    before = on_grid(data + wave)
    return EditedPage(before, on_grid(before - wave), mask, event)


def mirrored_rows() -> NDArray[np.intp]:
    """Return for each of the 19 rows the row of its homologue; midline rows stay."""
    other = {a: b for left, right in HOMOLOGOUS for a, b in ((left, right), (right, left))}
    return np.array([CANONICAL19.index(other.get(name, name)) for name in CANONICAL19])


def edited_batch(batch: SegmentBatch, pages: Mapping[int, EditedPage], side: str) -> SegmentBatch:
    """Return the pages of one side as a batch of their own.

    Parameters
    ----------
    batch
        What the pages were made from.
    pages
        Edited pages by their place in it.
    side
        ``before`` or ``after``.
    """
    kept = list(pages)
    is_after = side == "after"
    signals = [p.after_uv if is_after else p.before_uv for p in pages.values()]
    masks = [p.mask if is_after else batch.mask[at] for at, p in pages.items()]
    return replace(
        batch,
        segment_ids=tuple(batch.segment_ids[at] for at in kept),
        data_uv=np.stack(signals),
        mask=np.stack(masks),
        band_hz=batch.band_hz[kept],
        recorded_s=None if batch.recorded_s is None else batch.recorded_s[kept],
    )


def _planted(
    batch: SegmentBatch, at: int, data: FloatRows, kind: str, seed: int
) -> tuple[FloatRows, ExpertEvent] | None:
    rng = np.random.default_rng([seed])
    if kind == "mains":
        return _mains(batch, at, rng)
    settings = PlantingSettings(
        sizes_k=SIZES_K[kind], bare_chance=0.0, mean_events=0.0, most_events=1, repeat_chance=0.0,
        overlap_chance=0.0, edge_chance=0.0, weights={kind: 1.0},
    )  # fmt: skip
    one = slice(at, at + 1)
    planted, events = plant_segments(data[None], batch.mask[one], batch.band_hz[one], rng, settings)
    return (planted[0] - data, events[0][0]) if events[0] else None


def _mains(
    batch: SegmentBatch, at: int, rng: np.random.Generator
) -> tuple[FloatRows, ExpertEvent] | None:
    """Return steady mains pick-up, uneven over the electrodes."""
    frequency_hz = batch.line_freq_hz
    if frequency_hz >= batch.band_hz[at, 1]:
        return None
    rms = rng.uniform(*MAINS_UV_RMS) * rng.uniform(0.4, 1.0, len(CANONICAL19)) * batch.mask[at]
    t = np.arange(N_TIMES) / SFREQ_HZ
    phase = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.3, (len(CANONICAL19), 1))
    wave = np.sqrt(2) * rms[:, None] * np.sin(2 * np.pi * frequency_hz * t + phase)
    listed = [int(i) for i in np.argsort(-rms, kind="stable") if rms[i] > 0]
    names = tuple(CANONICAL19[i] for i in listed)
    measures = (
        Measure("frequency_hz", frequency_hz, "Hz"),
        *(Measure(f"rms_uv:{CANONICAL19[i]}", round(float(rms[i]), 3), "uV") for i in listed),
    )
    event = ExpertEvent("mains", names, 0.0, float(SEGMENT_S), SOURCE, measures)
    return wave.astype(np.float32), event
