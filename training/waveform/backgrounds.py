"""Bare pages that events are planted on: simulated ongoing activity, and recordings of real people.

Real recordings are read, filtered and resampled by the corpora's own code; which ones, and for which
split, is the recipe's to say. A recording of one person serves one split only. Pages on which a
second of any row is larger than the recipe's limit are left out: what is on them is nobody's truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from dagster_project.corpora.channels import pick_traces
from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.harmonise import harmonise, plan_for, usable_band
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.readers.types import Run, Traces
from dagster_project.corpora.simulated.ongoing import ongoing_page
from dagster_project.corpora.simulated.planting import PlantingSettings, band_gain, plant_segments
from dagster_project.corpora.spec import Channels, Choice
from detectors.types import CANONICAL19, N_TIMES, SEGMENT_S, SFREQ_HZ, ExpertEvent
from detectors.waveform.boxes import waveform_boxes
from training.waveform.dataset import SegmentSet, join_sets, quantised, size_of, truth_boxes
from training.waveform.errors import TrainerError
from training.waveform.recipe import PlantingRecipe, RealBackground

QUIET_BAND_HZ = (1.0, 40.0)
"""Band in which a page's seconds are held against the recipe's limit."""
_VALIDATION, _REAL = 1, 2


def ongoing_set(recipe: PlantingRecipe, split: str) -> SegmentSet:
    """Draw the simulated bare pages of one split; every page is another person's."""
    is_train = split == "train"
    count = recipe.n_train_pages if is_train else recipe.n_validation_pages
    pages = [
        ongoing_page(np.random.default_rng([recipe.seed, not is_train, index]))
        for index in range(count)
    ]
    names = tuple(f"ongoing{recipe.seed}-{split}-{index}" for index in range(count))
    return SegmentSet(
        names,
        names,
        quantised(np.stack([p.data_uv for p in pages]).astype(np.float32)),
        np.ones((count, len(CANONICAL19)), dtype=bool),
        tuple(truth_boxes(()) for _ in pages),
        band_hz=np.array([p.band_hz for p in pages], dtype=np.float32),
        references=tuple(p.reference for p in pages),
        is_ground=np.ones(count, dtype=bool),
    )


def real_set(recipe: PlantingRecipe, split: str, root: Path | None) -> SegmentSet | None:
    """Read the real bare pages of one split, or None where the recipe names none.

    Raises
    ------
    TrainerError
        If the recipe names recordings and there is no data root, or one of them is missing.
    """
    entries = [entry for entry in recipe.real if entry.split == split]
    if not entries:
        return None
    missing = [e.path for e in recipe.real if root is None or not (root / e.path).is_file()]
    if missing or root is None:
        raise TrainerError(
            f"the recipe plants on recordings that are missing: {', '.join(missing)}, below the "
            "folder that NEUROGLOSS_DATA or --data names; get them, or train with the recipe "
            "'simulated', which needs none"
        )
    return join_sets([_pages_of(entry, root) for entry in entries])


def _pages_of(entry: RealBackground, root: Path) -> SegmentSet:
    try:
        choice = Choice(name=entry.reader, params=dict(entry.reader_params))
        with open_recording(root / entry.path, choice) as opened:
            pick, traces = pick_traces(opened, Channels())
            parts = [_resampled(traces, run, len(pick.indices), entry) for run in traces.runs]
            rate_hz = float(traces.sfreq)
    except CorpusError as error:
        raise TrainerError(f"background {entry.path} cannot be read: {error}") from error
    mask = np.array(pick.mask)
    step = round(entry.step_s * SFREQ_HZ)
    crops = [
        part[:, at : at + N_TIMES]
        for part in parts
        for at in range(0, part.shape[1] - N_TIMES + 1, step)
        if _is_quiet(part[:, at : at + N_TIMES], entry.quiet_uv)
    ]
    if not crops:
        raise TrainerError(f"background {entry.path} has no quiet page; take it out of the recipe")
    signals = np.zeros((len(crops), len(CANONICAL19), N_TIMES), dtype=np.float32)
    signals[:, mask] = np.stack(crops)
    band = usable_band(rate_hz, (None, entry.high_hz))
    return SegmentSet(
        tuple(f"{entry.subject}-{k}" for k in range(len(crops))),
        (entry.subject,) * len(crops),
        quantised(signals),
        np.tile(mask, (len(crops), 1)),
        tuple(truth_boxes(()) for _ in crops),
        band_hz=np.tile(np.array(band, dtype=np.float32), (len(crops), 1)),
        references=(entry.reference,) * len(crops),
        is_ground=np.ones(len(crops), dtype=bool),
        is_real=np.ones(len(crops), dtype=bool),
    )


def _resampled(traces: Traces, run: Run, n_rows: int, entry: RealBackground) -> NDArray[np.float32]:
    plan = plan_for(Fraction(traces.sfreq), entry.line_freq_hz, run.n_samples)

    def read(start: int, stop: int, out: NDArray[np.float32]) -> None:
        traces.read_uv(run.start_sample + start, run.start_sample + stop, out)
        np.nan_to_num(out, copy=False)

    blocks = [block.copy() for block in harmonise(read, n_rows, run.n_samples, plan)]
    return np.concatenate(blocks, axis=1)


def _is_quiet(rows_uv: NDArray[np.float32], quiet_uv: float) -> bool:
    centred = rows_uv - rows_uv.mean(axis=1, keepdims=True)
    spectrum = scipy.fft.rfft(centred, axis=-1) * band_gain(N_TIMES, *QUIET_BAND_HZ)
    cells = scipy.fft.irfft(spectrum, N_TIMES, axis=-1).reshape(len(rows_uv), SEGMENT_S, SFREQ_HZ)
    return bool(np.ptp(cells, axis=-1).max() < quiet_uv)


def planted(
    data: SegmentSet, index: NDArray[np.int64], rng: np.random.Generator, recipe: PlantingRecipe
) -> tuple[NDArray[np.float32], list[tuple[ExpertEvent, ...]]]:
    """Return some bare pages with fresh events; pages of an unknown reference get one drawn."""
    settings = PlantingSettings(sizes_k=recipe.sizes_k, bare_chance=recipe.bare_chance)
    names = ("distant", "average", "linked_ears")
    references = [
        data.references[i] or names[int(rng.integers(len(names)))] for i in index.tolist()
    ]
    return plant_segments(
        data.uv(index), data.masks[index], data.band_hz[index], rng, settings, references
    )


def planted_set(data: SegmentSet, recipe: PlantingRecipe, copies: int = 1) -> SegmentSet:
    """Return a split of bare pages planted once and for all, for validation.

    Pages the planting left bare stay in it: what is found there is false.
    """
    parts = []
    for copy in range(copies):
        rng = np.random.default_rng([recipe.seed, _VALIDATION, _REAL, copy])
        signals, events = planted(data, np.arange(len(data)), rng, recipe)
        boxed = [_boxed(found) for found in events]
        parts.append(
            SegmentSet(
                tuple(f"{name}-{copy}" for name in data.segment_ids),
                data.subject_ids,
                quantised(signals),
                data.masks,
                tuple(truth_boxes(boxes) for boxes, _ in boxed),
                band_hz=data.band_hz,
                references=data.references,
                sizes=tuple(np.array(sizes, dtype=np.float64) for _, sizes in boxed),
                is_real=data.is_real,
            )
        )
    return join_sets(parts)


def _boxed(
    events: Sequence[ExpertEvent],
) -> tuple[list[tuple[str, str, float, float]], list[float]]:
    boxes = [(box, size_of(event)) for event in events for box in waveform_boxes(event)]
    return [box for box, _ in boxes], [size for _, size in boxes]
