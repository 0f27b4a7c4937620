"""What a detector recipe says, validated at the border.

A recipe is one YAML file in ``recipes``; its numbers decide the network, the training set and the
optimiser, and its hash goes into checkpoints and into the card of the weights. Running it is
``train``'s business.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.waveform.errors import TrainerError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkRecipe(_Strict):
    """Width of the network by level: stem, then strides 4, 8, 16 and 32 along time.

    ultralytics rounds each up to a multiple of eight.
    """

    channels: tuple[int, int, int, int, int] = (16, 32, 64, 96, 128)


class SimulationRecipe(_Strict):
    """The simulator's own recordings, used where no files are given.

    ``rate_scale`` makes training segments denser in events than the default rates; validation
    segments always have the default rates, since thresholds are calibrated on them.
    """

    seed: int = 7
    n_train_subjects: Annotated[int, Field(ge=1, le=5000)] = 250
    n_validation_subjects: Annotated[int, Field(ge=1, le=2000)] = 40
    seconds_per_recording: Annotated[int, Field(ge=20, le=600)] = 20
    rate_scale: Annotated[float, Field(gt=0, le=5)] = 1.6


class RealBackground(_Strict):
    """A recording whose pages are planted on.

    Parameters
    ----------
    path
        File below the data root.
    subject, split
        Whose it is, and which split it serves: a person serves one.
    reader, reader_params
        How the corpora's readers open it.
    reference
        How it was referenced, so that planted fields are; ``""`` where unknown, then one is drawn.
    line_freq_hz, high_hz
        Mains of the site, and low-pass of the source where known.
    step_s
        Distance of pages; overlapping ones are the same background at other places.
    quiet_uv
        Pages with a larger peak to peak within a second, 1-40 Hz, are left out.
    """

    path: str
    subject: str
    split: Literal["train", "validation"]
    reader: str = "any"
    reader_params: dict[str, Any] = {}
    reference: Literal["", "distant", "average", "linked_ears"] = ""
    line_freq_hz: float = 50.0
    high_hz: float | None = None
    step_s: Annotated[float, Field(ge=0.5, le=60)] = 10.0
    quiet_uv: Annotated[float, Field(gt=0)] = 200.0


class PlantingRecipe(_Strict):
    """Pages that events are planted on: at every epoch other ones, at sizes relative to the page.

    ``validation_copies`` says how often a real page of the validation split is planted.
    """

    seed: int = 11
    n_train_pages: Annotated[int, Field(ge=0, le=5000)] = 0
    n_validation_pages: Annotated[int, Field(ge=0, le=2000)] = 0
    sizes_k: tuple[float, float] = (1.5, 12.0)
    bare_chance: Annotated[float, Field(ge=0, le=1)] = 0.15
    real: tuple[RealBackground, ...] = ()
    validation_copies: Annotated[int, Field(ge=1, le=20)] = 3


class AugmentationRecipe(_Strict):
    """Changes a signal may undergo without changing its truth.

    Polarity is never flipped and pictures are never moved, scaled, mosaicked or recoloured: a
    raster row is a channel and grey is microvolts.
    """

    gain: tuple[float, float] = (0.75, 1.33)
    mirror_chance: Annotated[float, Field(ge=0, le=1)] = 0.5
    drop_channel_chance: Annotated[float, Field(ge=0, le=1)] = 0.15
    noise_uv: Annotated[float, Field(ge=0, le=10)] = 1.0


class OptimiserRecipe(_Strict):
    """AdamW with warm-up and cosine decay; gains are those of the YOLO loss.

    Parameters
    ----------
    epochs
        All of them.
    restart_epoch, restart_fraction
        After so many epochs, 0 for never, the rate has decayed and starts once more from this
        fraction of its peak (SGDR, Loshchilov & Hutter 2017).
    """

    epochs: Annotated[int, Field(ge=1, le=1000)] = 40
    restart_epoch: Annotated[int, Field(ge=0)] = 0
    restart_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    batch_size: Annotated[int, Field(ge=1, le=256)] = 16
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] = 0.002
    final_fraction: Annotated[float, Field(ge=0, le=1)] = 0.02
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.001
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    clip_norm: Annotated[float, Field(gt=0)] = 10.0
    precision: Literal["float32", "bfloat16"] = "float32"
    box_gain: float = 7.5
    class_gain: float = 0.5
    distance_gain: float = 1.5


class DetectorRecipe(_Strict):
    """A whole recipe.

    Parameters
    ----------
    release
        Release whose annotations the asset trains on; simulated where trained with ``--simulate``.
    description
        One sentence for the UI.
    seed
        Seed of initial weights, order and augmentation.
    target_precision
        Precision each class's threshold is calibrated to on validation subjects
        (``systems.md`` 6.3).
    target_precision_of
        Other targets by class: a class that is rare on real pages must be surer than the validation
        split, which is dense in events, asks for.
    nms_iou
        Overlap in time above which the weaker box of a class goes.
    """

    release: str
    description: str
    seed: int = 0
    network: NetworkRecipe = NetworkRecipe()
    simulation: SimulationRecipe = SimulationRecipe()
    planting: PlantingRecipe = PlantingRecipe()
    augmentation: AugmentationRecipe = AugmentationRecipe()
    optimiser: OptimiserRecipe = OptimiserRecipe()
    target_precision: Annotated[float, Field(gt=0, lt=1)] = 0.8
    target_precision_of: dict[str, Annotated[float, Field(gt=0, lt=1)]] = {}
    nms_iou: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @property
    def recipe_hash(self) -> str:
        """Hash of everything the recipe says."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_recipe(path: Path) -> DetectorRecipe:
    """Read a recipe.

    Raises
    ------
    TrainerError
        If the file is missing, no YAML mapping, or says something the recipe does not know; the
        message names the field.
    """
    if not path.is_file():
        raise TrainerError(f"recipe {path} does not exist; give the path of a recipe YAML")
    try:
        return DetectorRecipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise TrainerError(f"recipe {path.name} is not YAML: {error}") from error
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']}" for e in error.errors()
        )
        raise TrainerError(f"recipe {path.name}: {told}") from error
