"""Recipes of the vision-language trainer: every setting, its unit, its bounds and its source.

A recipe is one YAML file: where the base model comes from, how large pictures may be, and one
block of hyper-parameters per stage. Unknown keys are refused. Machine settings stand apart because
they do not change the result: a run may be resumed with others. How a recipe is found by name is
in :mod:`training.recipes`; what is done with it in :mod:`training.vlm.run`.

Sources: optimiser, rate, schedule, warm-up and batch are CerebraGloss's (ICLR 2026, paper and its
appendix); betas, weight decay and clipping are vision-language fine-tuning practice; everything
marked *engineering default* is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.vlm.errors import RecipeError

Component = Literal["vision_tower", "merger", "language_model", "head"]
StageName = Literal["stage1", "stage2"]

PATCH_PX = 14
"""Side of a vision patch of Qwen2.5-VL, pixels."""
TOKEN_PX = 2 * PATCH_PX
"""Side of the square one image token stands for: 2 x 2 patches are merged."""

# YAML 1.1 reads 1e-5 as text; numbers are therefore parsed, not only checked
Number = Annotated[float, Field(strict=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TextShape(_Strict):
    """Shape of a language model built from nothing.

    Parameters
    ----------
    hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads
        As in ``transformers.Qwen2_5_VLTextConfig``.
    """

    hidden_size: int = Field(default=64, ge=8)
    intermediate_size: int = Field(default=128, ge=8)
    num_hidden_layers: int = Field(default=2, ge=1)
    num_attention_heads: int = Field(default=4, ge=1)
    num_key_value_heads: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _check_heads(self) -> TextShape:
        width, rest = divmod(self.hidden_size, self.num_attention_heads)
        if rest or width % 16:
            raise ValueError(
                f"hidden_size {self.hidden_size} over {self.num_attention_heads} heads must give a "
                "head width that is a multiple of 16, so that the three rotary sections fit"
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError("num_attention_heads must be a multiple of num_key_value_heads")
        return self

    @property
    def mrope_section(self) -> list[int]:
        """Rotary pairs for time, height and width: 1/4, 3/8, 3/8, as 16, 24, 24 of the real 64."""
        pairs = self.hidden_size // self.num_attention_heads // 2
        return [pairs // 4, 3 * pairs // 8, 3 * pairs // 8]


class VisionShape(_Strict):
    """Shape of a vision tower built from nothing; as in ``Qwen2_5_VLVisionConfig``."""

    depth: int = Field(default=2, ge=1)
    hidden_size: int = Field(default=32, ge=8)
    intermediate_size: int = Field(default=64, ge=8)
    num_heads: int = Field(default=2, ge=1)
    window_size: int = Field(default=112, ge=TOKEN_PX)
    fullatt_block_indexes: list[int] = Field(default_factory=lambda: [1])


class BuiltModel(_Strict):
    """A small Qwen2.5-VL built from a config, with a vocabulary trained on the dataset's text.

    Parameters
    ----------
    vocab_size
        Tokens of the trained byte-level BPE, Qwen's 22 added tokens included.
    is_head_tied
        Whether the head shares the input embeddings, as in 3B; 7B does not.
    seed
        Seed of the random weights.
    """

    source: Literal["built"]
    licence: str = "apache-2.0"
    text: TextShape = TextShape()
    vision: VisionShape = VisionShape()
    vocab_size: int = Field(default=768, ge=300)
    is_head_tied: bool = True
    seed: int = Field(default=0, ge=0)


class CheckpointModel(_Strict):
    """A published Qwen2.5-VL checkpoint.

    Parameters
    ----------
    name
        Local folder or hub id.
    revision
        Commit of the hub repository, 40 hex digits: a branch name would let the weights change
        under the recipe. Not used for a local folder.
    licence
        Licence id of the weights, repeated on the model card.
    """

    source: Literal["checkpoint"]
    name: str
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    licence: str


class ImageConfig(_Strict):
    """Limits of a picture after rescaling, in pixels; 28 x 28 pixels are one token."""

    min_pixels: int = Field(default=4 * TOKEN_PX**2, ge=TOKEN_PX**2)
    max_pixels: int = Field(default=1288 * 896, ge=TOKEN_PX**2)

    @model_validator(mode="after")
    def _check_order(self) -> ImageConfig:
        if self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels {self.min_pixels} is above max_pixels {self.max_pixels}")
        return self


class MachineConfig(_Strict):
    """Settings that change speed and safety, never the result.

    Parameters
    ----------
    n_workers
        Threads that decode pictures ahead of the model; 0 does it in line.
    checkpoint_every
        Optimiser steps between checkpoints.
    n_checkpoints_kept
        Newest checkpoints kept.
    """

    n_workers: int = Field(default=1, ge=0, le=256)
    checkpoint_every: int = Field(default=50, ge=1)
    n_checkpoints_kept: int = Field(default=2, ge=1)


class StageConfig(_Strict):
    """Hyper-parameters of one stage.

    Parameters
    ----------
    train
        Components that are trained; all others are frozen.
    lr
        Peak learning rate [CerebraGloss].
    warmup_ratio
        Share of the *planned* steps spent warming up [CerebraGloss].
    betas, weight_decay, max_grad_norm
        AdamW and clipping; practice. Decay applies to matrices, not to norms and biases.
    micro_batch, accumulation
        Samples per forward pass and passes per optimiser step; their product is the effective
        batch, 256 in CerebraGloss.
    packing
        Tokens of a packed sequence, at least ``max_length``; ``None`` pads instead. Samples of one
        optimiser step then share sequences as they fit and ``micro_batch`` says no more than its
        product with ``accumulation``. Which samples a step holds, and its loss, stay the same.
    max_steps
        Stop after this many optimiser steps; ``None``: at the end of ``epochs``.
    planned_steps
        Length of the schedule; ``None``: as long as the run. A run that stops before its planned
        end (CerebraGloss's stage 1, near 0.05 epoch) states both numbers, because a stop inside
        the warm-up never reaches ``lr``.
    epochs
        Passes over the data when ``max_steps`` is ``None``, and their limit otherwise.
    max_length
        Tokens of the longest sample, image tokens included; longer samples are dropped and
        counted, never cut. Engineering default 4,096.
    precision
        ``bf16``: autocast over fp32 weights, needs a GPU. ``fp32``: anything.
    is_checkpointing_gradients
        Recompute activations in the backward pass: less memory, about a third more time.
    shuffle_rows
        Rows shuffled together and held in memory, still encoded. Engineering default.
    max_dropped_share
        Share of rows that may be dropped before the run stops. Engineering default.
    seed
        Seed of the data order.
    """

    train: list[Component] = Field(min_length=1)
    lr: Number = Field(default=1e-5, gt=0, le=1)
    warmup_ratio: Number = Field(default=0.1, ge=0, le=1)
    betas: list[Number] = Field(default_factory=lambda: [0.9, 0.999], min_length=2, max_length=2)
    weight_decay: Number = Field(default=0.0, ge=0)
    max_grad_norm: Number = Field(default=1.0, gt=0)
    micro_batch: int = Field(default=1, ge=1)
    accumulation: int = Field(default=256, ge=1)
    packing: int | None = Field(default=None, ge=16)
    max_steps: int | None = Field(default=None, ge=1)
    planned_steps: int | None = Field(default=None, ge=1)
    epochs: int = Field(default=1, ge=1)
    max_length: int = Field(default=4096, ge=16)
    precision: Literal["fp32", "bf16"] = "fp32"
    is_checkpointing_gradients: bool = False
    shuffle_rows: int = Field(default=2048, ge=1)
    max_dropped_share: Number = Field(default=0.05, ge=0, le=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check_packing(self) -> StageConfig:
        if self.packing is not None and self.packing < self.max_length:
            raise ValueError(
                f"packing {self.packing} is below max_length {self.max_length}, so a long sample "
                "would fit no sequence; raise packing or lower max_length"
            )
        return self

    @property
    def effective_batch(self) -> int:
        """Samples per optimiser step."""
        return self.micro_batch * self.accumulation


class Recipe(_Strict):
    """A whole recipe file.

    Parameters
    ----------
    description
        One sentence for the UI.
    release
        Release of the instruction dataset the model assets are made from.
    note
        What a reader of the model card must know about models of this recipe.
    model, image, stage1, stage2, machine
        See their classes.
    """

    description: str
    release: str
    note: str = ""
    model: BuiltModel | CheckpointModel = Field(discriminator="source")
    image: ImageConfig = ImageConfig()
    stage1: StageConfig
    stage2: StageConfig
    machine: MachineConfig = MachineConfig()

    def stage(self, name: StageName) -> StageConfig:
        """Return the block of one stage."""
        return self.stage1 if name == "stage1" else self.stage2


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe file.

    Parameters
    ----------
    path
        YAML file.
    overrides
        ``dotted.key=value`` settings that replace those of the file; values are YAML.

    Raises
    ------
    RecipeError
        If the file cannot be read, a key is unknown or a value is out of bounds.
    """
    if not path.is_file():
        raise RecipeError(f"recipe {str(path)!r} is not a file; give a YAML file or a recipe name")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RecipeError(f"recipe {path.name} is not YAML: {error}") from error
    if not isinstance(raw, dict):
        raise RecipeError(f"recipe {path.name} must hold settings, found {type(raw).__name__}")
    for text in overrides:
        _override(raw, text)
    return parse_recipe(raw, path.name)


def parse_recipe(raw: Mapping[str, Any], name: str) -> Recipe:
    """Check the settings of a recipe.

    Raises
    ------
    RecipeError
        With one sentence that names every wrong key, its value and what is allowed.
    """
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        faults = "; ".join(_fault(e) for e in error.errors())
        raise RecipeError(f"recipe {name}: {faults}") from error


def _fault(error: Any) -> str:
    # the discriminator's tag is not part of the key the user wrote
    key = ".".join(str(part) for part in error["loc"] if part not in ("built", "checkpoint"))
    if error["type"] == "extra_forbidden":
        return f"key {key!r} is not known; remove it or correct its name"
    given = f" (got {error['input']!r})" if not isinstance(error["input"], dict) else ""
    return f"{key}: {error['msg']}{given}"


def _override(raw: dict[str, Any], text: str) -> None:
    key, sep, value = text.partition("=")
    if not sep or not key:
        raise RecipeError(f"--set {text!r} must read key=value, such as stage1.max_steps=20")
    *parents, leaf = key.split(".")
    node = raw
    for part in parents:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise RecipeError(f"--set {text!r}: {part!r} is a value, not a block of settings")
    try:
        node[leaf] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {text!r}: the value is not YAML") from error
