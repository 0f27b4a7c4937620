"""A detector from data to shipped folder: train, calibrate, score, export, write the card.

The command line is in ``cli``; the loop in ``train``.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.vocabulary import WAVEFORMS
from detectors.waveform.card import ClassScore, DetectorCard
from detectors.waveform.raster import RASTER_VERSION
from training.waveform.dataset import SegmentSet
from training.waveform.errors import TrainerError
from training.waveform.evaluate import Forward, calibrate, detect_set, mean_ap, score_set
from training.waveform.export import LICENCE, onnx_bytes, weights_id_of, write_weights
from training.waveform.recipe import DetectorRecipe
from training.waveform.train import ReportProgress, TrainedNetwork, train_network

LIMITS = (
    "Research software, not a medical device; no clinical claim may rest on it.",
    "Reads 19 referential 10-20 channels; not trained on bipolar derivations.",
)
LIMITS_SIMULATED = (
    "Trained and calibrated on simulated signals alone; real recordings differ, so thresholds do "
    "not hold their precision there.",
    "Not trained on seizures, periodic patterns, chewing, sweat, children or intensive-care "
    "recordings; of what resembles discharges only simulated vertex waves, theta and alpha bursts, "
    "heartbeats, electrode pops and cable movement.",
)

_CODE = ("training/waveform", "detectors/waveform", "dagster_project/corpora/simulated")


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Two splits that share no subject, and where they come from.

    Raises
    ------
    TrainerError
        If a split is empty or they share a subject.
    """

    train: SegmentSet
    validation: SegmentSet
    description: str
    is_simulated: bool

    def __post_init__(self) -> None:
        for name, part in (("training", self.train), ("validation", self.validation)):
            if not any(len(b) for b in part.boxes):
                raise TrainerError(
                    f"the {name} split has {len(part)} segments without any box; give annotated "
                    "segments of both splits"
                )
        shared = set(self.train.subject_ids) & set(self.validation.subject_ids)
        if shared:
            raise TrainerError(
                f"{len(shared)} subjects are in training and validation, {sorted(shared)[0]} among "
                "them; splits must be disjoint by subject"
            )


def train_detector(
    data: TrainingData,
    recipe: DetectorRecipe,
    out_dir: Path,
    report: ReportProgress = lambda _: None,
) -> DetectorCard:
    """Train a detector and write its weights and card to ``out_dir``.

    Parameters
    ----------
    data
        Training and validation segments.
    recipe
        Network, optimiser and targets.
    out_dir
        Gets ``<weights id>.onnx``, ``card.json`` and a folder ``checkpoints``, from which a killed
        run goes on.
    report
        Called after every epoch.

    Returns
    -------
    DetectorCard
        The card written.

    Raises
    ------
    TrainerError
        As :func:`~training.waveform.train.train_network` and
        :func:`~training.waveform.export.onnx_bytes`.
    """
    network = train_network(data.train, recipe, out_dir / "checkpoints", report)
    return finish(data, recipe, network, out_dir)


def finish(
    data: TrainingData, recipe: DetectorRecipe, network: TrainedNetwork, out_dir: Path
) -> DetectorCard:
    """Export a trained network, calibrate and score the export, and write both files."""
    content = onnx_bytes(network.model)
    found = detect_set(onnx_forward(content), data.validation, recipe.nms_iou)
    thresholds = calibrate(found, data.validation, recipe.target_precision)
    scores = score_set(found, data.validation, thresholds)
    weights_id = weights_id_of(content)
    card = DetectorCard(
        weights_id=weights_id,
        weights_file=f"{weights_id}.onnx",
        weights_sha256=hashlib.sha256(content).hexdigest(),
        classes=tuple(WAVEFORMS),
        raster_version=RASTER_VERSION,
        thresholds=thresholds,
        nms_iou=recipe.nms_iou,
        recipe=recipe.model_dump(mode="json"),
        recipe_hash=recipe.recipe_hash,
        data_hash=data.train.data_hash,
        data_description=data.description,
        n_train_segments=len(data.train),
        n_train_subjects=data.train.n_subjects,
        n_validation_segments=len(data.validation),
        n_validation_subjects=data.validation.n_subjects,
        code_version=code_version(),
        ultralytics_version=version("ultralytics"),
        map50=round(mean_ap(scores), 4),
        scores={name: _score(values) for name, values in scores.items()},
        licence=LICENCE,
        limits=LIMITS + (LIMITS_SIMULATED if data.is_simulated else ()),
    )
    write_weights(out_dir, content, card)
    return card


def onnx_forward(content: bytes) -> Forward:
    """Return a forward function over exported weights."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def forward(rows: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {"rows": rows})[0])

    return forward


def code_version() -> str:
    """Return a short hash of the sources that shape the weights."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for folder in _CODE:
        for path in sorted((root / folder).glob("*.py")):
            digest.update(f"{folder}/{path.name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _score(values: dict[str, float]) -> ClassScore:
    known: dict[str, float | None] = {
        k: None if math.isnan(v) else v for k, v in values.items() if k != "n_truth"
    }
    return ClassScore.model_validate({**known, "n_truth": int(values["n_truth"])})
