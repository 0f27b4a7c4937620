"""Training sets of the detector: segments with boxes, from the simulator or from Parquet files.

Rows are those of the tables ``segments`` and ``waveform_annotations``; splits come with them and
are disjoint by subject. Augmentation acts on the signal, before it becomes a raster, and so does
planting on bare pages, which come from ``backgrounds``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagster_project.corpora.harmonise import harmonise, plan_for
from dagster_project.corpora.simulated.config import RATES_PER_MIN, SimulatorConfig
from dagster_project.corpora.simulated.subject import SimulatedRecording, simulate_subject
from detectors.types import CANONICAL19, N_TIMES, SEGMENT_S, SFREQ_HZ, ExpertEvent
from detectors.vocabulary import WAVEFORMS
from detectors.waveform.boxes import WaveformBox, waveform_boxes
from detectors.waveform.nms import Boxes
from detectors.waveform.raster import HEIGHT_PX, ROW_PX, WIDTH_PX, raster_rows
from training.waveform.recipe import AugmentationRecipe, SimulationRecipe

STEP_UV = 0.05
"""Step of the stored int16 signal."""

_VALIDATION_OFFSET = 100_000
"""Validation subjects are numbered from here, so more training subjects never reach them."""

_HOMOLOGUE = str.maketrans("12345678", "21436587")
MIRROR = tuple(CANONICAL19.index(name.translate(_HOMOLOGUE)) for name in CANONICAL19)
"""Row of each row's homologue; midline rows are their own."""


FULL_BAND_HZ = (0.1, 75.0)
"""Stored band of a recording nothing was filtered out of before."""


def _nothing() -> NDArray[Any]:
    return np.zeros(0)


@dataclass(frozen=True, slots=True)
class SegmentSet:
    """Segments of one split with their boxes.

    Parameters
    ----------
    segment_ids, subject_ids
        One per segment.
    signals
        int16, shape (n, 19, 2000), steps of 0.05 uV.
    masks
        bool, shape (n, 19).
    boxes
        Truth by segment, scores 1.
    band_hz
        Usable band, float32, shape (n, 2).
    references
        Reference by segment, ``""`` where unknown.
    is_ground
        Bare pages that get fresh events at every epoch, shape (n,).
    sizes
        Size of every box by segment, times the background; NaN where unknown.
    is_real
        Whether the background is a person's, shape (n,).
    """

    segment_ids: tuple[str, ...]
    subject_ids: tuple[str, ...]
    signals: NDArray[np.int16]
    masks: NDArray[np.bool_]
    boxes: tuple[Boxes, ...]
    band_hz: NDArray[np.float32] = field(default_factory=_nothing)
    references: tuple[str, ...] = ()
    is_ground: NDArray[np.bool_] = field(default_factory=_nothing)
    sizes: tuple[NDArray[np.float64], ...] = ()
    is_real: NDArray[np.bool_] = field(default_factory=_nothing)

    def __post_init__(self) -> None:
        n = len(self.segment_ids)
        defaults: dict[str, Any] = {
            "band_hz": np.tile(np.array(FULL_BAND_HZ, dtype=np.float32), (n, 1)),
            "references": ("",) * n,
            "is_ground": np.zeros(n, dtype=bool),
            "sizes": tuple(np.full(len(b), np.nan) for b in self.boxes),
            "is_real": np.zeros(n, dtype=bool),
        }
        for name, value in defaults.items():
            if len(getattr(self, name)) != n:
                object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.segment_ids)

    @property
    def n_subjects(self) -> int:
        """How many subjects the segments come from."""
        return len(set(self.subject_ids))

    @property
    def data_hash(self) -> str:
        """Hash of ids, samples and boxes."""
        digest = hashlib.sha256("\n".join(self.segment_ids).encode())
        digest.update(self.signals.tobytes())
        digest.update(self.masks.tobytes())
        digest.update(self.is_ground.tobytes())
        for boxes in self.boxes:
            for column in (boxes.classes, boxes.rows, boxes.t0_s, boxes.t1_s):
                digest.update(column.tobytes())
        return digest.hexdigest()[:16]

    def take(self, index: NDArray[np.int64]) -> SegmentSet:
        """Return some of the segments."""
        taken: dict[str, Any] = {}
        for column in fields(self):
            value = getattr(self, column.name)
            is_array = isinstance(value, np.ndarray)
            taken[column.name] = value[index] if is_array else tuple(value[i] for i in index)
        return SegmentSet(**taken)

    def uv(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return some signals in microvolts, float32, shape (k, 19, 2000)."""
        return self.signals[index].astype(np.float32) * np.float32(STEP_UV)


@dataclass(frozen=True, slots=True)
class Batch:
    """What the network is fed: rasters and boxes in ultralytics' format.

    Parameters
    ----------
    images
        uint8, shape (k, N_PLANES, 20, 2016).
    segment_index, classes
        Segment within the batch and class of every box, float32, shape (m,), by segment.
    boxes
        Centre x, centre y, width, height as fractions of the raster, float32, shape (m, 4), without
        margins.
    """

    images: NDArray[np.uint8]
    segment_index: NDArray[np.float32]
    classes: NDArray[np.float32]
    boxes: NDArray[np.float32]


def truth_boxes(boxes: Sequence[WaveformBox]) -> Boxes:
    """Return boxes as columns, score 1."""
    return Boxes(
        np.array([WAVEFORMS[b[0]].index for b in boxes], dtype=np.int64),
        np.array([CANONICAL19.index(b[1]) for b in boxes], dtype=np.int64),
        np.array([b[2] for b in boxes], dtype=np.float64),
        np.array([b[3] for b in boxes], dtype=np.float64),
        np.ones(len(boxes), dtype=np.float32),
    )


def simulated_set(recipe: SimulationRecipe, split: str) -> SegmentSet:
    """Simulate, harmonise and cut the subjects of one split.

    Parameters
    ----------
    recipe
        Sizes and seed.
    split
        ``train`` or ``validation``.
    """
    is_train = split == "train"
    scale = recipe.rate_scale if is_train else 1.0
    config = SimulatorConfig(
        minutes_per_recording=recipe.seconds_per_recording / 60,
        rates_per_min={kind: rate * scale for kind, rate in RATES_PER_MIN.items()},
    )
    count = recipe.n_train_subjects if is_train else recipe.n_validation_subjects
    first = 1 if is_train else _VALIDATION_OFFSET
    parts = [_subject_segments(recipe.seed, index, config) for index in range(first, first + count)]
    return join_sets(parts)


def _subject_segments(seed: int, index: int, config: SimulatorConfig) -> SegmentSet:
    subject = simulate_subject(seed, index, config)
    parts = [_cut(r, f"sim{seed}-{index}", config) for r in subject.recordings]
    return join_sets(parts)


def _cut(recording: SimulatedRecording, subject_id: str, config: SimulatorConfig) -> SegmentSet:
    data = recording.data_uv.astype(np.float32)

    def read(start: int, stop: int, out: NDArray[np.float32]) -> None:
        out[:] = data[:, start:stop]

    plan = plan_for(Fraction(config.sfreq_hz), config.line_freq_hz, data.shape[1])
    at_200 = np.concatenate(list(harmonise(read, len(data), data.shape[1], plan)), axis=1)
    n_segments = at_200.shape[1] // N_TIMES
    cut = at_200[:, : n_segments * N_TIMES].reshape(len(data), n_segments, N_TIMES)
    return SegmentSet(
        tuple(f"{subject_id}-{recording.state}-{k}" for k in range(n_segments)),
        (subject_id,) * n_segments,
        quantised(np.ascontiguousarray(cut.transpose(1, 0, 2))),
        np.ones((n_segments, len(CANONICAL19)), dtype=bool),
        tuple(
            truth_boxes([b for e in recording.events for b in waveform_boxes_in(e, k * SEGMENT_S)])
            for k in range(n_segments)
        ),
    )


def waveform_boxes_in(event: ExpertEvent, start_s: float) -> list[WaveformBox]:
    """Return the boxes an event of a recording has in the segment that starts at ``start_s``."""
    t0_s, t1_s = max(event.t0_s - start_s, 0.0), min(event.t1_s - start_s, float(SEGMENT_S))
    return waveform_boxes(replace(event, t0_s=t0_s, t1_s=t1_s)) if t1_s > t0_s else []


def quantised(signals_uv: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return signals in steps of the stored segment."""
    return np.clip(np.rint(signals_uv / STEP_UV), -32767, 32767).astype(np.int16)


def size_of(event: ExpertEvent) -> float:
    """Return how many times its background an event was planted, NaN where it was not."""
    return next((m.value for m in event.measures if m.name == "k"), float("nan"))


def join_sets(parts: Sequence[SegmentSet]) -> SegmentSet:
    """Return the segments of several sets in order."""
    joined: dict[str, Any] = {}
    for column in fields(SegmentSet):
        values = [getattr(p, column.name) for p in parts]
        is_array = isinstance(values[0], np.ndarray)
        joined[column.name] = (
            np.concatenate(values) if is_array else tuple(v for part in values for v in part)
        )
    return SegmentSet(**joined)


Plant = Callable[
    [SegmentSet, NDArray[np.int64], np.random.Generator],
    tuple[NDArray[np.float32], list[tuple[ExpertEvent, ...]]],
]
"""Gives some bare pages fresh events."""


def make_batch(
    data: SegmentSet,
    index: NDArray[np.int64],
    augmentation: AugmentationRecipe | None = None,
    rng: np.random.Generator | None = None,
    plant: Plant | None = None,
) -> Batch:
    """Encode some segments as :func:`draw_segments` gives them."""
    signals, masks, boxes = draw_segments(data, index, augmentation, rng, plant)
    rows = raster_rows(signals, masks)
    columns = [
        np.concatenate([np.asarray(getattr(b, name), dtype=np.float32) for b in boxes])
        for name in ("classes", "rows", "t0_s", "t1_s")
    ]
    classes, channel, t0_s, t1_s = columns
    xywh = np.stack(
        [
            (t0_s + t1_s) / 2 * SFREQ_HZ / WIDTH_PX,
            (channel + 0.5) * ROW_PX / HEIGHT_PX,
            (t1_s - t0_s) * SFREQ_HZ / WIDTH_PX,
            np.full_like(t0_s, ROW_PX / HEIGHT_PX),
        ],
        axis=1,
    )
    counts = [len(b) for b in boxes]
    segment_index = np.repeat(np.arange(len(index)), counts).astype(np.float32)
    return Batch(rows, segment_index, classes, xywh)


def draw_segments(
    data: SegmentSet,
    index: NDArray[np.int64],
    augmentation: AugmentationRecipe | None = None,
    rng: np.random.Generator | None = None,
    plant: Plant | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], list[Boxes]]:
    """Return signals, masks and boxes of some segments, as one epoch shows them.

    Bare pages of the set get fresh events, where ``plant`` and randomness are given; then all are
    augmented, where an augmentation and randomness are given.
    """
    signals, masks = data.uv(index), data.masks[index]
    boxes = [data.boxes[i] for i in index]
    grounds = np.flatnonzero(data.is_ground[index])
    if plant is not None and rng is not None and len(grounds):
        signals[grounds], events = plant(data, index[grounds], rng)
        for k, found in zip(grounds.tolist(), events, strict=True):
            boxes[k] = truth_boxes([b for event in found for b in waveform_boxes(event)])
    if augmentation is not None and rng is not None:
        for k in range(len(index)):
            signals[k], masks[k], boxes[k] = _augment(
                signals[k], masks[k], boxes[k], augmentation, rng
            )
    return signals, masks, boxes


def _augment(
    signal_uv: NDArray[np.float32],
    mask: NDArray[np.bool_],
    boxes: Boxes,
    recipe: AugmentationRecipe,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], Boxes]:
    low, high = np.log(recipe.gain)
    signal_uv = signal_uv * np.float32(np.exp(rng.uniform(low, high)))
    noise = rng.uniform(0, recipe.noise_uv) * rng.standard_normal(signal_uv.shape)
    signal_uv = signal_uv + noise.astype(np.float32)
    if rng.random() < recipe.mirror_chance:
        # a sign class belongs to its own electrode, so it moves with the row and keeps its name
        swap = np.array(MIRROR)
        signal_uv, mask = signal_uv[swap], mask[swap]
        boxes = replace(boxes, rows=swap[boxes.rows])
    if rng.random() < recipe.drop_channel_chance:
        dropped = rng.integers(len(mask), size=int(rng.integers(1, 4)))
        mask = mask.copy()
        mask[dropped] = False
        boxes = boxes.take(mask[boxes.rows])
    return signal_uv, mask, boxes
