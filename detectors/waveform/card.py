"""The card of detector weights: where they come from, what they can do, when they must not be used.

One strict JSON file beside the ONNX file. Written by ``training.waveform``, read here; weights
whose classes or raster are not this code's are refused.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from detectors.vocabulary import WAVEFORMS
from detectors.waveform.raster import RASTER_VERSION

CARD_NAME = "card.json"


class WeightsError(RuntimeError):
    """Detector weights that cannot be used; ``is_retryable`` is False."""

    is_retryable = False


class ClassScore(BaseModel):
    """Scores of one class on the validation subjects.

    ``ap50`` is average precision at an overlap in time of 0.5 on the same channel. Precision, recall
    and F1 are of events at the card's threshold, by the rules of
    :data:`detectors.waveform.scoring.EVENT_RULES`; ``f1_iou50`` is F1 at an overlap of 0.5, and
    ``false_per_hour`` counts boxes, not events of several channels, and ``false_per_bare_hour`` those
    on pages without any truth. A value is None where the class did not occur.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ap50: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    f1_iou50: float | None
    false_per_hour: float
    false_per_bare_hour: float | None
    n_truth: int


class SizeScore(BaseModel):
    """Scores of one class on events of one range of sizes, in multiples of the background.

    Detections of other sizes' events are left out, false ones are not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float
    high: float
    ap50: float | None
    precision: float | None
    recall: float | None
    n_truth: int


class ReliabilityBin(BaseModel):
    """Detections of about one confidence: what was predicted, what share was right, how many."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    predicted: float
    observed: float
    n: int


class Variant(BaseModel):
    """One file of the weights: its size, its score, and milliseconds per segment on one thread."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    sha256: str
    n_bytes: int
    map50: float
    ms_per_segment: float


Curve = tuple[tuple[float, float], ...]
"""Points (network score, probability), both rising strictly from 0; straight lines between."""


class DetectorCard(BaseModel):
    """What weights say about themselves.

    Parameters
    ----------
    weights_id, weights_file, weights_sha256
        Which weights.
    classes
        Class names in output order.
    raster_version
        Version of the raster they were trained on.
    default_precision
        Variant a CPU reads with where none is asked for; calibration and all scores are of it.
    calibration
        By class, how the network's score becomes a confidence: the share of such boxes that were
        right on one half of the validation subjects.
    thresholds
        Smallest confidence by class.
    nms_iou
        Overlap of suppression.
    recipe, recipe_hash
        What they were trained with.
    data_hash, data_description, n_train_segments, n_train_subjects, n_validation_segments,
    n_validation_subjects
        What they were trained and calibrated on.
    code_version, ultralytics_version
        With which code.
    map50, scores
        Mean AP@0.5 and scores by class on the validation subjects.
    scores_by_size
        By class and size, where events of known size were planted.
    reliability
        By class, confidence against truth on the half of the validation subjects that the
        calibration has not seen.
    variants
        Files of the same weights by precision: ``float32`` and, where it is as good, ``int8``;
        each one's ``map50`` is its own.
    state_file, state_sha256
        The trained weights as safetensors, to go on training from.
    licence
        Licence of the weights.
    limits
        What they were not trained on and must not be used for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights_id: str
    weights_file: str
    weights_sha256: str
    classes: tuple[str, ...]
    raster_version: int
    default_precision: Literal["float32", "int8"] = "float32"
    calibration: dict[str, Curve]
    thresholds: dict[str, float]
    nms_iou: float
    recipe: dict[str, Any]
    recipe_hash: str
    data_hash: str
    data_description: str
    n_train_segments: int
    n_train_subjects: int
    n_validation_segments: int
    n_validation_subjects: int
    code_version: str
    ultralytics_version: str
    map50: float
    scores: dict[str, ClassScore]
    scores_by_size: dict[str, tuple[SizeScore, ...]]
    reliability: dict[str, tuple[ReliabilityBin, ...]]
    variants: dict[str, Variant]
    state_file: str
    state_sha256: str
    licence: str
    limits: tuple[str, ...]

    @field_validator("calibration")
    @classmethod
    def _rises(cls, curves: dict[str, Curve]) -> dict[str, Curve]:
        for name, curve in curves.items():
            columns = list(zip(*curve, strict=True))
            if len(curve) < 2 or any(
                c[0] < 0 or c[-1] > 1 or any(b <= a for a, b in pairwise(c)) for c in columns
            ):
                raise ValueError(f"the curve of {name} must rise strictly within 0 to 1")
        return curves


def read_card(path: Path) -> DetectorCard:
    """Read a card and check that this code can use its weights.

    Raises
    ------
    WeightsError
        In one sentence: the card is missing or broken, or its classes or raster are others.
    """
    if not path.is_file():
        raise WeightsError(
            f"no detector weights in {path.parent}: {path.name} is missing; name a folder written "
            "by 'python -m training.waveform train'"
        )
    try:
        card = DetectorCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise WeightsError(f"detector card {path}: {where}: {first['msg']}") from error
    named = (set(card.thresholds), set(card.calibration))
    if card.classes != tuple(WAVEFORMS) or any(names != set(WAVEFORMS) for names in named):
        raise WeightsError(
            f"detector weights {card.weights_id} have classes {', '.join(card.classes)}; this code "
            f"needs {', '.join(WAVEFORMS)} in this order; train them again"
        )
    if card.raster_version != RASTER_VERSION:
        raise WeightsError(
            f"detector weights {card.weights_id} are for raster version {card.raster_version}; this "
            f"code draws version {RASTER_VERSION}; train them again"
        )
    return card
