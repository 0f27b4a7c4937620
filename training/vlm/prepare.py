"""What must be true and in place before the loop starts: machine, base model, disk.

Each function refuses with one sentence where something is missing. The order they are called in is
:mod:`training.vlm.run`'s.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.vlm.base_config import BuiltModel
from training.vlm.checkpoint import BYTES_PER_TRAINED_WEIGHT, checkpoint_bytes, write_folder
from training.vlm.config import MachineConfig, Recipe, StageConfig, StageName
from training.vlm.errors import MachineError
from training.vlm.freeze import trained_parameters
from training.vlm.model import (
    Vlm,
    build_model,
    check_checkpoint,
    find_checkpoint,
    fingerprint,
)
from training.vlm.output import PROVENANCE_FILE
from training.vlm.shard import shard


@dataclass(frozen=True, slots=True)
class Base:
    """Where the weights come from.

    Parameters
    ----------
    folder
        ``None`` for a model that is still to be built from its config.
    name
        For the model card.
    fingerprint
        SHA-256 over its files; empty before it is built.
    """

    folder: Path | None
    name: str
    fingerprint: str


def check_machine(config: StageConfig) -> str:
    """Return the device a stage runs on.

    Raises
    ------
    MachineError
        If the recipe asks for what this machine cannot do.
    """
    import torch

    has_gpu = torch.cuda.is_available()
    if config.precision == "bf16" and not (has_gpu and torch.cuda.is_bf16_supported()):
        found = "a GPU without bf16" if has_gpu else "no GPU"
        raise MachineError(
            f"precision 'bf16' needs a GPU that has it and this machine shows {found}; "
            "run it elsewhere, or use precision 'fp32' or the recipe 'tiny'"
        )
    return "cuda" if has_gpu else "cpu"


def leave_cores(n_workers: int) -> None:
    """Keep the threads of PyTorch's operators off the cores that decode pictures.

    Operators wait for the slowest of their threads, and on a CPU one that shares its core with a
    decoder is slow: 2 decoders and 2 threads on 2 cores train at half the speed of 2 and 1
    (measured by ``neurogloss bench train``). The number is only ever lowered, so
    ``OMP_NUM_THREADS`` still bounds it.
    """
    import torch

    n_cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(max(1, min(torch.get_num_threads(), n_cores - n_workers)))


def find_base(recipe: Recipe, given: Path | None) -> Base:
    """Return the base of a stage: the folder given, else the recipe's model.

    Raises
    ------
    ModelError
        If it is missing, of another architecture, or not stored as safetensors.
    """
    source = recipe.model
    if given is not None:
        check_checkpoint(given)
        return Base(given, _given_name(given), fingerprint(given))
    if isinstance(source, BuiltModel):
        return Base(None, f"built from a config, seed {source.seed}", "")
    folder = find_checkpoint(source)
    check_checkpoint(folder)
    revision = f" at {source.revision}" if source.revision else ""
    return Base(folder, f"{source.shown_name}{revision}", fingerprint(folder))


def left_out(recipe: Recipe, stage: StageName, given: Path | None) -> str:
    """Say which stage a run passes over because its model was not given; else nothing."""
    before = [name for name in recipe.stages if name < stage]
    if given is not None or not before:
        return ""
    return (
        f"\n{stage} begins from the recipe's own model, without its {before[-1]}; to begin from that "
        "stage's model, give its folder as --base"
    )


def store_base(recipe: Recipe, base: Base, texts: Iterable[str], work: Path) -> Base:
    """Return the base as a folder, building it first where the recipe says so.

    A built model is stored in the work folder before it is used, so that a run taken up again, and
    every process of a run, begins from the same bytes.
    """
    if base.folder is not None:
        return base
    folder = work / "base"
    if not folder.is_dir():
        if not isinstance(recipe.model, BuiltModel):
            raise TypeError("a base without a folder is one to be built")
        built = build_model(recipe.model, recipe.image, texts)

        def write(part: Path) -> None:
            built.model.save_pretrained(part)
            built.processor.save_pretrained(part)

        write_folder(folder, write)
    return Base(folder, base.name, fingerprint(folder))


def is_sharded(machine: MachineConfig, device: str, n_processes: int) -> bool:
    """Whether a run splits its weights over processes."""
    if n_processes == 1 or machine.sharding == "never":
        return False
    return machine.sharding == "always" or device == "cuda"


def place(
    model: Any, config: StageConfig, device: str, score: Callable[[Any], Any], is_split: bool
) -> Callable[[Any], Any]:
    """Put the model on its device, whole or split over processes.

    Parameters
    ----------
    model, config, device
        Frozen weights are cast: they need no more than the compute precision.
    score
        Runs the model on a batch.
    is_split
        As of :func:`is_sharded`.

    Returns
    -------
    callable
        What runs the placed model on a batch.
    """
    import torch

    if config.precision == "bf16":
        for parameter in model.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.to(torch.bfloat16)
    if config.is_checkpointing_gradients:
        # the older name is the only one before transformers 5.2x and warns after it
        enable = getattr(model, "activation_checkpointing_enable", None)
        (enable or model.gradient_checkpointing_enable)({"use_reentrant": False})
    if is_split:
        return shard(model, device, score)
    model.to(device)
    return score


def check_disk(out: Path, vlm: Vlm, n_checkpoints_kept: int, work: Path) -> None:
    """Refuse to start a run whose checkpoints will not fit.

    Parameters
    ----------
    out
        Home of the finished model.
    vlm, n_checkpoints_kept
        What is trained, and how many checkpoints of it stay.
    work
        Home of the checkpoints; those of an earlier launch have their place already.
    """
    n_trained = sum(p.numel() for p in trained_parameters(vlm.model).values())
    # one more is written before the oldest goes; the finished model comes beside them
    n_checkpoints = n_checkpoints_kept + 1
    needed = n_checkpoints * BYTES_PER_TRAINED_WEIGHT * n_trained
    needed -= min(needed, checkpoint_bytes(work))
    needed += 4 * vlm.model.num_parameters()
    free = shutil.disk_usage(out).free
    if free < needed:
        raise MachineError(
            f"output {str(out)!r} has {free / 1e9:.1f} GB free and this run needs "
            f"{needed / 1e9:.1f} GB for checkpoints and model"
        )


def _given_name(folder: Path) -> str:
    """Name a base folder by what this trainer wrote into it, else by its own name."""
    path = folder / PROVENANCE_FILE
    if not path.is_file():
        return f"folder {folder.name}"
    known = json.loads(path.read_text(encoding="utf-8"))
    return f"{known['stage']} of recipe {known['recipe']}, from {known['base']}"
