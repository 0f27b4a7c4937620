"""The two encodings of a segment measured against each other with an equal, small budget.

Each arm - the signal raster and the rendered page - trains from the same seed on the same segments,
in the same order, with the same augmentation, epochs and optimiser, and is scored on the same
validation segments with the project's own matching. A finished arm leaves ``result.json`` and its
ONNX file and is not trained again for the same recipe and data; a killed one goes on from its last
epoch. The table is in ``compare_table``; intervals by subject and real
corpora are the benchmark's.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.vocabulary import WAVEFORMS
from detectors.waveform.nms import Boxes, decode, suppress
from detectors.waveform.raster import RASTER_VERSION, raster_rows
from detectors.waveform.scoring import EVENT_RULES, match
from training.waveform.backgrounds import planted_set
from training.waveform.compare_table import (
    ArmResult,
    ClassScore,
    Comparison,
    Speed,
    read_result,
    table_text,
)
from training.waveform.dataset import SegmentSet, join_sets
from training.waveform.evaluate import MAP_THRESHOLD
from training.waveform.export import onnx_bytes
from training.waveform.network import reader_of
from training.waveform.page_encoding import decode_page, encoding_id, page_pictures
from training.waveform.page_network import page_onnx_bytes, page_reader_of, train_page_network
from training.waveform.recipe import DetectorRecipe
from training.waveform.run import TrainingData
from training.waveform.train import Progress, ReportProgress, TrainedNetwork, train_network

TIMED_SEGMENTS = 32
"""Segments one after the other over which the milliseconds are the median."""
WARMUP_SHARE = 0.1
"""Largest share of a small budget's steps that the rate may rise."""

Signals = NDArray[np.float32]
Masks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Arm:
    """One encoding and the network that reads it.

    Parameters
    ----------
    name, version
        What it is called, and what its pictures depend on beside the signal.
    train, export, reader
        Data and recipe to network; network to ONNX bytes; network to what maps pictures to boxes.
    encode, decode
        Signals and masks to pictures; one segment's output, thresholds and mask to boxes.
    """

    name: str
    version: str
    train: Callable[[SegmentSet, DetectorRecipe, Path, ReportProgress], TrainedNetwork]
    export: Callable[[Any], bytes]
    reader: Callable[[Any], Any]
    encode: Callable[[Signals, Masks], NDArray[np.uint8]]
    decode: Callable[[NDArray[np.float32], NDArray[np.float32], Masks], Boxes]


def arms() -> tuple[Arm, ...]:
    """Return the encodings that are measured."""
    raster, page = f"raster-{RASTER_VERSION}", encoding_id()
    return (
        Arm("raster", raster, train_network, onnx_bytes, reader_of, raster_rows, decode),
        Arm(
            "page", page, train_page_network, page_onnx_bytes, page_reader_of, page_pictures,
            decode_page,
        ),
    )  # fmt: skip


def small_budget(
    recipe: DetectorRecipe, n_segments: int, epochs: int, batch_size: int | None = None
) -> DetectorRecipe:
    """Return a recipe with a smaller budget; its rate does not rise for longer than a tenth."""
    size = batch_size or recipe.optimiser.batch_size
    steps = -(-n_segments // size) * epochs
    warmup = min(recipe.optimiser.warmup_steps, max(1, round(WARMUP_SHARE * steps)))
    changes = {"epochs": epochs, "batch_size": size, "warmup_steps": warmup}
    return recipe.model_copy(update={"optimiser": recipe.optimiser.model_copy(update=changes)})


def small_data(
    data: TrainingData, recipe: DetectorRecipe, n_segments: int, n_validation: int
) -> TrainingData:
    """Draw segments of both splits by the recipe's seed, and plant on bare ones once and for all.

    Planting at every epoch would show both arms the same, but a fixed set can be named by its hash.
    """
    rng = np.random.default_rng(recipe.seed)
    train, validation = (
        _drawn(data.train, n_segments, rng),
        _drawn(data.validation, n_validation, rng),
    )
    bare = np.flatnonzero(train.is_ground)
    if len(bare):
        rest = _take(train, np.flatnonzero(~train.is_ground))
        train = join_sets([rest, planted_set(_take(train, bare), recipe.planting)])
    return TrainingData(train, validation, data.description, data.is_simulated)


def _drawn(data: SegmentSet, n: int, rng: np.random.Generator) -> SegmentSet:
    return _take(data, np.sort(rng.permutation(len(data))[:n]))


def _take(data: SegmentSet, index: NDArray[np.int64]) -> SegmentSet:
    columns: dict[str, Any] = {}
    for column in fields(SegmentSet):
        values = getattr(data, column.name)
        is_array = isinstance(values, np.ndarray)
        columns[column.name] = values[index] if is_array else tuple(values[i] for i in index)
    return SegmentSet(**columns)


Report = Callable[[str], None]


def compare_encodings(
    data: TrainingData, recipe: DetectorRecipe, out_dir: Path, report: Report = lambda _: None
) -> Comparison:
    """Train and score both arms; write ``compare.json`` and ``compare.txt`` to ``out_dir``.

    Parameters
    ----------
    data
        The segments, all of which are used.
    recipe
        The budget, as :func:`small_budget` gives it.
    out_dir
        Gets a folder per arm, too.
    report
        Told every epoch in one line.

    Raises
    ------
    TrainerError
        As :func:`training.waveform.train.train_network`.
    """
    chosen = arms()
    folders = [out_dir / f"{arm.name}-{_key(arm, data, recipe)}" for arm in chosen]
    results = [
        _arm_result(arm, data, recipe, f, report) for arm, f in zip(chosen, folders, strict=True)
    ]
    contents = [(folder / _ONNX).read_bytes() for folder in folders]
    described = {
        "description": data.description,
        "n_train": len(data.train),
        "n_validation": len(data.validation),
        "train_hash": data.train.data_hash,
        "validation_hash": data.validation.data_hash,
    }
    comparison = Comparison(
        recipe.model_dump(mode="json"),
        recipe.recipe_hash,
        described,
        results,
        measure_speed(chosen, contents, data.validation),
        max(results, key=lambda r: r.map50).arm,
    )
    (out_dir / "compare.json").write_text(comparison.to_json(), encoding="utf-8")
    (out_dir / "compare.txt").write_text(table_text(comparison), encoding="utf-8")
    return comparison


_RESULT, _ONNX, _SECONDS = "result.json", "network.onnx", "seconds.json"


def _key(arm: Arm, data: TrainingData, recipe: DetectorRecipe) -> str:
    parts = (arm.version, recipe.recipe_hash, data.train.data_hash, data.validation.data_hash)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _arm_result(
    arm: Arm, data: TrainingData, recipe: DetectorRecipe, folder: Path, report: Report
) -> ArmResult:
    if (folder / _RESULT).is_file():
        report(f"{arm.name}: already measured")
        return read_result(folder / _RESULT)
    folder.mkdir(parents=True, exist_ok=True)
    clock = _Clock(folder / _SECONDS)

    def tell(progress: Progress) -> None:
        clock.lap()
        report(
            f"{arm.name} epoch {progress.epoch}/{progress.n_epochs}: loss {progress.loss:.3f}, "
            f"box {progress.box_loss:.3f}, class {progress.class_loss:.3f}, {clock.wall_s:.0f} s"
        )

    network = arm.train(data.train, recipe, folder / "checkpoints", tell)
    content = arm.export(network.model)
    _write(folder / _ONNX, content)
    scores = score_classes(
        detect(arm, content, data.validation, recipe.nms_iou), data.validation, recipe
    )
    result = ArmResult(
        arm=arm.name,
        version=arm.version,
        n_parameters=sum(p.numel() for p in network.model.parameters()),
        gflop_per_segment=round(_gflop(arm, network.model, data.validation), 3),
        train_wall_s=round(clock.wall_s, 1),
        train_cpu_s=round(clock.cpu_s, 1),
        losses=[round(p.loss, 4) for p in network.history],
        map50=_mean([s.ap50 for s in scores.values()]),
        event_map=_mean([s.event_ap for s in scores.values()]),
        scores=scores,
    )
    _write(folder / _RESULT, (json.dumps(asdict(result), indent=1) + "\n").encode())
    return result


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


class _Clock:
    """Seconds of the finished epochs, kept over a kill."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.wall_s, self.cpu_s = 0.0, 0.0
        if path.is_file():
            self.wall_s, self.cpu_s = json.loads(path.read_text(encoding="utf-8"))
        self._last = time.perf_counter(), time.process_time()

    def lap(self) -> None:
        now = time.perf_counter(), time.process_time()
        self.wall_s += now[0] - self._last[0]
        self.cpu_s += now[1] - self._last[1]
        self._last = now
        _write(self._path, json.dumps((self.wall_s, self.cpu_s)).encode())


def _session(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def detect(arm: Arm, content: bytes, data: SegmentSet, nms_iou: float) -> list[Boxes]:
    """Return every box above the threshold of average precision, by segment, suppressed."""
    session = _session(content)
    thresholds = np.full(len(WAVEFORMS), MAP_THRESHOLD, dtype=np.float32)
    found: list[Boxes] = []
    for i in range(len(data)):
        index = np.array([i])
        pictures = arm.encode(data.uv(index), data.masks[index])
        output = session.run(None, {"rows": pictures})[0][0]
        found.append(suppress(arm.decode(output, thresholds, data.masks[i]), nms_iou))
    return found


def score_classes(
    found: Sequence[Boxes], data: SegmentSet, recipe: DetectorRecipe
) -> dict[str, ClassScore]:
    """Return the scores of boxes on a split by class."""
    scores: dict[str, ClassScore] = {}
    for name, waveform in WAVEFORMS.items():
        strict = match(found, data.boxes, waveform.index)
        events = match(found, data.boxes, waveform.index, EVENT_RULES[name])
        if not strict.n_truth:
            scores[name] = ClassScore(0, None, None, None)
            continue
        threshold = events.threshold_for(recipe.target_precision)
        recall = 0.0 if threshold is None else events.at(threshold)[1]
        values = strict.average_precision(), events.average_precision(), recall
        scores[name] = ClassScore(strict.n_truth, *(round(v, 4) for v in values))
    return scores


def _mean(values: Sequence[float | None]) -> float:
    known = [v for v in values if v is not None]
    return round(float(np.mean(known)), 4) if known else 0.0


def _gflop(arm: Arm, model: Any, data: SegmentSet) -> float:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    pictures = torch.from_numpy(arm.encode(data.uv(np.array([0])), data.masks[:1]))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        arm.reader(model)(pictures)
    return float(counter.get_total_flops()) / 1e9


def measure_speed(
    chosen: Sequence[Arm], contents: Sequence[bytes], data: SegmentSet
) -> dict[str, Speed]:
    """Time encoding and network of all arms segment by segment, in turns, so none is favoured."""
    sessions = [_session(content) for content in contents]
    laps: dict[str, list[tuple[float, float]]] = {arm.name: [] for arm in chosen}
    for i in range(min(TIMED_SEGMENTS, len(data))):
        index = np.array([i])
        signals, masks = data.uv(index), data.masks[index]
        for arm, session in zip(chosen, sessions, strict=True):
            start = time.perf_counter()
            pictures = arm.encode(signals, masks)
            middle = time.perf_counter()
            session.run(None, {"rows": pictures})
            laps[arm.name].append((middle - start, time.perf_counter() - middle))
    medians = {name: np.median(np.array(values), axis=0) * 1e3 for name, values in laps.items()}
    return {n: Speed(round(float(m[0]), 2), round(float(m[1]), 2)) for n, m in medians.items()}
