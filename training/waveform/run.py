"""A detector from data to shipped folder: train, export, calibrate, score, write the card.

The command line is in ``cli``; the loop in ``train``.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.types import ExpertEvent
from detectors.vocabulary import WAVEFORMS
from detectors.waveform.card import CARD_NAME, DetectorCard, Variant, WeightsError, read_card
from detectors.waveform.raster import RASTER_VERSION
from training.waveform.backgrounds import ongoing_set, planted, planted_set, real_set
from training.waveform.dataset import SegmentSet, join_sets, make_batch, simulated_set
from training.waveform.errors import TrainerError
from training.waveform.export import (
    LICENCE,
    int8_bytes,
    ms_per_segment,
    onnx_bytes,
    state_bytes,
    weights_id_of,
    write_weights,
)
from training.waveform.judging import Judged, card_fields, judge
from training.waveform.plots import plot_reliability
from training.waveform.recipe import DetectorRecipe
from training.waveform.train import ReportProgress, TrainedNetwork, train_network

log = logging.getLogger(__name__)

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

_PART_NAMES = (
    "of the simulator's own recordings",
    "simulated pages planted anew at every epoch",
    "pages of real recordings planted anew at every epoch",
)

_CODE = ("detectors/waveform", "dagster_project/corpora/simulated")
_TRAINER = (
    "_layers", "backgrounds", "dataset", "evaluate", "export", "judging", "network", "recipe",
    "run", "train",
)  # fmt: skip
"""Sources that shape the weights and their card: two folders, and these modules beside this one."""

INT8_MOST_BYTES, INT8_MOST_LOSS = 1_000_000, 0.005
"""An int8 variant is shipped, and read with on a CPU unless float32 is asked for, if it is smaller and
loses no more mAP than this."""
N_CALIBRATION_ROWS = 64


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


def recipe_data(recipe: DetectorRecipe, root: Path | None = None) -> TrainingData:
    """Make the splits a recipe describes.

    Parameters
    ----------
    recipe
        Its simulation and planting.
    root
        Folder of the recordings it plants on.

    Raises
    ------
    TrainerError
        If recordings are missing.
    """
    planting = recipe.planting
    train = [simulated_set(recipe.simulation, "train")]
    validation = [simulated_set(recipe.simulation, "validation")]
    if planting.n_train_pages:
        train.append(ongoing_set(planting, "train"))
    if planting.n_validation_pages:
        validation.append(planted_set(ongoing_set(planting, "validation"), planting))
    real = {split: real_set(planting, split, root) for split in ("train", "validation")}
    if real["train"] is not None:
        train.append(real["train"])
    if real["validation"] is not None:
        validation.append(planted_set(real["validation"], planting, planting.validation_copies))
    parts = [f"{len(part)} {name}" for part, name in zip(train, _PART_NAMES, strict=False)]
    return TrainingData(
        join_sets(train),
        join_sets(validation),
        f"training segments: {', '.join(parts)}; seeds {recipe.simulation.seed} and "
        f"{planting.seed}",
        real["train"] is None,
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
        Gets the weights as ONNX, in int8 where that is as good, and as safetensors, ``card.json``,
        ``reliability.png`` and a folder ``checkpoints``, from which a killed run goes on.
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
    """Export a trained network, calibrate and score the export, and write files and card."""
    content = onnx_bytes(network.model)
    contents = {"float32": content}
    judged = {"float32": judge(content, data.validation, recipe)}
    quantised = int8_bytes(content, _calibration_rows(data.train, recipe))
    small = judge(quantised, data.validation, recipe)
    whole_map = judged["float32"].map50
    log.info("int8: %d bytes, mAP50 %.4f against %.4f", len(quantised), small.map50, whole_map)
    if len(quantised) < INT8_MOST_BYTES and small.map50 >= whole_map - INT8_MOST_LOSS:
        contents["int8"], judged["int8"] = quantised, small
    weights_id = weights_id_of(content)
    variants = _variants(weights_id, contents, judged, data.validation)
    state = state_bytes(network.model)
    card = DetectorCard(
        weights_id=weights_id,
        weights_file=variants["float32"].file,
        weights_sha256=variants["float32"].sha256,
        classes=tuple(WAVEFORMS),
        raster_version=RASTER_VERSION,
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
        variants=variants,
        state_file=f"{weights_id}.safetensors",
        state_sha256=hashlib.sha256(state).hexdigest(),
        licence=LICENCE,
        limits=_limits(data),
        **_told(judged),
    )
    files = {variants[name].file: each for name, each in contents.items()}
    write_weights(out_dir, {**files, card.state_file: state}, card)
    plot_reliability(card, out_dir / "reliability.png")
    return card


def card_of(folder: Path) -> DetectorCard:
    """Return the card of finished weights; a TrainerError tells what is wrong with it."""
    try:
        return read_card(folder / CARD_NAME)
    except WeightsError as error:
        raise TrainerError(str(error)) from error


def recalibrate(data: TrainingData, folder: Path) -> DetectorCard:
    """Calibrate and score weights again as they are read today, and write their card anew.

    The weights stay as they are; an int8 variant that now loses too much is no longer the default.

    Parameters
    ----------
    data
        The segments they were trained and calibrated on.
    folder
        Card and weights; gets ``card.json`` and ``reliability.png``.

    Raises
    ------
    TrainerError
        If the folder holds no whole weights, or the data are others than the card's.
    """
    old = card_of(folder)
    if data.train.data_hash != old.data_hash:
        raise TrainerError(
            f"weights {old.weights_id} were trained on data {old.data_hash}, these are "
            f"{data.train.data_hash}; calibrated on others they would not be what their card says"
        )
    recipe = DetectorRecipe.model_validate(old.recipe)
    contents = {name: _content(folder, variant) for name, variant in old.variants.items()}
    judged = {name: judge(each, data.validation, recipe) for name, each in contents.items()}
    changed = {
        "variants": _variants(old.weights_id, contents, judged, data.validation),
        "code_version": code_version(),
        "n_validation_segments": len(data.validation),
        "n_validation_subjects": data.validation.n_subjects,
        **_told(judged),
    }
    card = DetectorCard.model_validate({**dict(old), **changed})
    write_weights(folder, {}, card)
    plot_reliability(card, folder / "reliability.png")
    return card


def _content(folder: Path, variant: Variant) -> bytes:
    path = folder / variant.file
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != variant.sha256:
        raise TrainerError(f"{path.name} is missing or not the file its card names")
    return content


def _variants(
    weights_id: str,
    contents: Mapping[str, bytes],
    judged: Mapping[str, Judged],
    validation: SegmentSet,
) -> dict[str, Variant]:
    timed = make_batch(validation, np.arange(min(8, len(validation)))).images
    suffix = {"float32": ".onnx", "int8": ".int8.onnx"}
    return {
        name: Variant(
            file=weights_id + suffix[name],
            sha256=hashlib.sha256(each).hexdigest(),
            n_bytes=len(each),
            map50=round(judged[name].map50, 4),
            ms_per_segment=ms_per_segment(each, timed),
        )
        for name, each in contents.items()
    }


def _told(judged: Mapping[str, Judged]) -> dict[str, Any]:
    """Return what a card says of the variant that is read by default, and which that is."""
    is_small_fine = (
        "int8" in judged and judged["int8"].map50 >= judged["float32"].map50 - INT8_MOST_LOSS
    )
    name = "int8" if is_small_fine else "float32"
    return {"default_precision": name, **card_fields(judged[name])}


def _limits(data: TrainingData) -> tuple[str, ...]:
    if data.is_simulated:
        return LIMITS + LIMITS_SIMULATED
    n_train, n_validation = (
        len({s for s, is_real in zip(part.subject_ids, part.is_real, strict=True) if is_real})
        for part in (data.train, data.validation)
    )
    if not n_train:
        return LIMITS
    return (
        *LIMITS,
        "Trained on simulated recordings and on simulated events planted on simulated pages and on "
        f"the background of {n_train} real recording(s); no event of a patient has been seen.",
        f"Calibrated on simulated events, {n_validation} real background(s) among many simulated "
        "ones; real recordings differ, so thresholds do not hold their precision there.",
        LIMITS_SIMULATED[1],
    )


def _calibration_rows(data: SegmentSet, recipe: DetectorRecipe) -> NDArray[np.uint8]:
    """Return rasters of training segments spread over the set, bare pages planted."""
    index = np.unique(np.linspace(0, len(data) - 1, N_CALIBRATION_ROWS).round().astype(np.int64))
    rng = np.random.default_rng(recipe.seed)

    def plant(
        pages: SegmentSet, index: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], list[tuple[ExpertEvent, ...]]]:
        return planted(pages, index, rng, recipe.planting)

    return make_batch(data, index, None, rng, plant).images


def code_version() -> str:
    """Return a short hash of the sources that shape the weights and their card."""
    root = Path(__file__).resolve().parents[2]
    paths = [path for folder in _CODE for path in sorted((root / folder).glob("*.py"))]
    paths += [Path(__file__).with_name(f"{name}.py") for name in _TRAINER]
    digest = hashlib.sha256()
    for path in paths:
        name = path.relative_to(root).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
