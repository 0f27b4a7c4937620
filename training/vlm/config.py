"""Recipes of the vision-language trainer: every setting, its unit, its bounds and its source.

A recipe is one YAML file: where the base model comes from, how large pictures may be, and one
block of hyper-parameters per stage it declares. Unknown keys are refused. Machine settings stand
apart because they do not change the result: a run may be resumed with others. How a recipe is found
by name and what ``extends`` takes over is in :mod:`training.recipes`; what is done with a recipe in
:mod:`training.vlm.run`.

Sources: optimiser, rate, schedule, warm-up and batch are CerebraGloss's (ICLR 2026, paper and its
appendix); betas, weight decay and clipping are vision-language fine-tuning practice; everything
marked *engineering default* is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import Field, ValidationError, model_validator

from training.recipes import read_settings
from training.vlm.base_config import BuiltModel, CheckpointModel, ImageConfig, Number, Strict
from training.vlm.errors import RecipeError
from training.vlm.lora import LoraConfig

Component = Literal["vision_tower", "merger", "language_model", "head"]
StageName = Literal["stage0", "stage1", "stage2"]
STAGES: tuple[StageName, ...] = get_args(StageName)
"""In the order they are trained; a recipe declares one or more of them."""


class MachineConfig(Strict):
    """Settings that change speed and safety, never the result.

    Parameters
    ----------
    n_workers
        Threads that decode pictures ahead of the model, each on a core of its own while there are
        any; 0 does it in line. On a CPU that leaves more or fewer threads to add up the rest, so
        with another number results agree to rounding.
    checkpoint_every
        Optimiser steps between checkpoints.
    n_checkpoints_kept
        Newest checkpoints kept.
    sharding
        Whether several processes split the weights among them (FSDP2) or each holds all and they
        add up gradients. ``auto``: split where there are GPUs. Results agree to rounding.
    """

    n_workers: int = Field(default=1, ge=0, le=256)
    checkpoint_every: int = Field(default=50, ge=1)
    n_checkpoints_kept: int = Field(default=2, ge=1)
    sharding: Literal["auto", "always", "never"] = "auto"


class StageConfig(Strict):
    """Hyper-parameters of one stage.

    Parameters
    ----------
    train, lora
        Components trained whole, and adapters beside layers of others; the rest is frozen.
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
    last_batch
        What becomes of the rows left over when ``epochs`` end within an effective batch. ``keep``:
        a last step of their own, so that every row is trained on. ``drop``: no step, the steps are
        rounded down, as the published counts are (7,648 of 1.958 M rows, 1,148 of 294 k). A row set
        aside for a cause shifts those after it, so the last step may hold less under either.
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

    train: list[Component]
    lora: LoraConfig | None = None
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
    last_batch: Literal["keep", "drop"] = "keep"
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

    @model_validator(mode="after")
    def _check_trained(self) -> StageConfig:
        if not (self.train or self.adapted):
            raise ValueError("train names no component and there is no lora: nothing would move")
        if both := ", ".join(c for c in self.adapted if c in self.train):
            raise ValueError(f"{both} in train and in lora.targets; choose one of them")
        return self

    @property
    def adapted(self) -> tuple[str, ...]:
        """Components with adapters."""
        return tuple(self.lora.targets) if self.lora else ()

    @property
    def effective_batch(self) -> int:
        """Samples per optimiser step."""
        return self.micro_batch * self.accumulation


class Recipe(Strict):
    """A whole recipe file.

    Parameters
    ----------
    description
        One sentence for the UI.
    release
        Release of the instruction dataset the model assets are made from.
    releases
        Releases of single stages, where they differ from ``release``.
    note
        What a reader of the model card must know about models of this recipe.
    stage0
        Trains *every* part of a built model from its random weights, in place of the pretraining a
        published checkpoint has behind it; refused for a checkpoint.
    stage1, stage2
        Concept alignment and instruction tuning; an ablation leaves one out.
    model, image, machine
        See their classes.
    """

    description: str
    release: str
    releases: dict[StageName, str] = Field(default_factory=dict)
    note: str = ""
    model: BuiltModel | CheckpointModel = Field(discriminator="source")
    image: ImageConfig = ImageConfig()
    stage0: StageConfig | None = None
    stage1: StageConfig | None = None
    stage2: StageConfig | None = None
    machine: MachineConfig = MachineConfig()

    @model_validator(mode="after")
    def _check_stages(self) -> Recipe:
        if not self.stages:
            raise ValueError(f"a recipe declares at least one stage of {', '.join(STAGES)}")
        if idle := ", ".join(sorted(set(self.releases) - set(self.stages))):
            raise ValueError(f"releases names {idle}, which this recipe does not declare")
        if self.stage0 is None:
            return self
        if isinstance(self.model, CheckpointModel):
            raise ValueError(
                "stage0 trains a built model from random weights and would overwrite what the "
                f"checkpoint {self.model.name!r} knows; remove stage0, or set model.source 'built'"
            )
        frozen = [c for c in get_args(Component) if c not in self.stage0.train]
        if frozen:
            raise ValueError(
                "stage0 trains every part, since none of them knows anything yet; "
                f"add {', '.join(frozen)} to stage0.train"
            )
        return self

    @property
    def stages(self) -> tuple[StageName, ...]:
        """The stages this recipe declares, in their order."""
        return tuple(name for name in STAGES if getattr(self, name) is not None)

    def stage(self, name: StageName) -> StageConfig:
        """Return the block of one stage.

        Raises
        ------
        RecipeError
            If the recipe does not declare it.
        """
        block: StageConfig | None = getattr(self, name)
        if block is None:
            raise RecipeError(
                f"this recipe declares no {name}; it declares {', '.join(self.stages)}"
            )
        return block

    def release_of(self, name: StageName) -> str:
        """Return the release a stage is trained on."""
        return self.releases.get(name, self.release)

    def shown_settings(self) -> dict[str, Any]:
        """Return what goes with a finished model: all settings that shape it, a base by its name."""
        settings = self.model_dump(mode="json", exclude={"machine"})
        if isinstance(self.model, CheckpointModel):
            settings["model"]["name"] = self.model.shown_name
        return settings


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe file.

    Parameters
    ----------
    path
        YAML file; what it ``extends`` is read first.
    overrides
        ``dotted.key=value`` settings that replace those of the file; values are YAML.

    Raises
    ------
    RecipeError
        If the file cannot be read, a key is unknown or a value is out of bounds.
    """
    try:
        raw = read_settings(path)
    except ValueError as error:
        raise RecipeError(str(error)) from error
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
