"""Checkpoints a run can be taken up from: trained weights, optimiser, random state, position.

A checkpoint is a folder that appears by one rename, so a kill leaves it whole or absent. Tensors
are safetensors and the rest is JSON; nothing is pickled. Frozen weights are not in it: they come
from the base again. The finished model is written by :mod:`training.vlm.output`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from training.vlm.data import Position
from training.vlm.errors import MachineError
from training.vlm.optim import optimizer_tensors, restore_optimizer

_STATE = "state.json"
_WEIGHTS = "weights.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_PREFIX = "step-"

BYTES_PER_TRAINED_WEIGHT = 12
"""A float32 weight and AdamW's two float32 moments."""


@dataclass(frozen=True, slots=True)
class TrainState:
    """Everything about a run that is not a tensor.

    Parameters
    ----------
    step
        Optimiser steps done.
    position
        Where the data goes on.
    n_samples, n_tokens, n_label_tokens
        Trained on so far.
    n_dropped
        Rows dropped so far, by cause.
    """

    step: int = 0
    position: Position = field(default_factory=Position)
    n_samples: int = 0
    n_tokens: int = 0
    n_label_tokens: int = 0
    n_dropped: Mapping[str, int] = field(default_factory=dict)


class CheckpointStore:
    """The checkpoints of one run.

    Parameters
    ----------
    folder
        Their home.
    n_kept
        Newest ones kept.
    """

    def __init__(self, folder: Path, n_kept: int) -> None:
        self.folder = folder
        self._n_kept = n_kept

    def latest(self) -> Path | None:
        """Return the newest whole checkpoint, or ``None``."""
        found = self._all()
        return found[-1] if found else None

    def save(
        self,
        state: TrainState,
        parameters: Mapping[str, Any],
        optimizer: Any,
        rng: Mapping[str, Any],
    ) -> Path:
        """Write a checkpoint and drop the oldest beyond those kept.

        Raises
        ------
        MachineError
            If it cannot be written; nothing half-written is left and older ones stay.
        """
        from safetensors.torch import save_file

        def write(folder: Path) -> None:
            weights = {n: p.detach().contiguous() for n, p in parameters.items()}
            save_file(weights, folder / _WEIGHTS)
            moments = optimizer_tensors(optimizer, parameters)
            save_file(moments | {f"rng/{k}": v for k, v in rng.items()}, folder / _OPTIMIZER)
            text = json.dumps(asdict(state), indent=1, sort_keys=True)
            (folder / _STATE).write_text(text, encoding="utf-8")

        path = self.folder / f"{_PREFIX}{state.step:08d}"
        try:
            write_folder(path, write)
        except OSError as error:
            kept = self.latest()
            detail = f"the one of {kept.name} stays" if kept else "there is no earlier one"
            raise MachineError(
                f"checkpoint of step {state.step} cannot be written ({error}); {detail}. "
                "Free space and run the same command again"
            ) from error
        for old in self._all()[: -self._n_kept]:
            shutil.rmtree(old)
        return path

    def restore(
        self, path: Path, parameters: Mapping[str, Any], optimizer: Any
    ) -> tuple[TrainState, dict[str, Any]]:
        """Read a checkpoint into the model and optimiser; return state and random state."""
        import torch
        from safetensors.torch import load_file

        raw = json.loads((path / _STATE).read_text(encoding="utf-8"))
        state = TrainState(**(raw | {"position": Position(**raw["position"])}))
        weights = load_file(path / _WEIGHTS)
        if weights.keys() != parameters.keys():
            raise MachineError(
                f"checkpoint {str(path)!r} holds other tensors than are trained; delete it"
            )
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(weights[name])
        tensors = load_file(path / _OPTIMIZER)
        rng = {
            k.removeprefix("rng/"): tensors.pop(k) for k in list(tensors) if k.startswith("rng/")
        }
        restore_optimizer(optimizer, parameters, tensors)
        return state, rng

    def _all(self) -> list[Path]:
        return sorted(p for p in self.folder.glob(f"{_PREFIX}*") if (p / _STATE).is_file())


def rng_tensors() -> dict[str, Any]:
    """Return torch's random state on every device."""
    import torch

    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state |= {f"cuda{i}": s for i, s in enumerate(torch.cuda.get_rng_state_all())}
    return state


def restore_rng(state: Mapping[str, Any]) -> None:
    """Put back what :func:`rng_tensors` returned; devices that are gone are passed over."""
    import torch

    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            if f"cuda{i}" in state:
                torch.cuda.set_rng_state(state[f"cuda{i}"], i)


def write_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Fill a folder beside ``path`` and put it in place, replacing what is there.

    A kill leaves the old folder, the new one, or for an instant the old one under another name,
    which :func:`recover_folder` puts back.

    Raises
    ------
    OSError
        If it cannot be written; no part of it is left.
    """
    from safetensors import SafetensorError

    part, old = _sibling(path, "part"), _sibling(path, "old")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        write(part)
        mode = part.stat().st_mode & 0o666  # safetensors writes for the owner alone
        for file in sorted(part.rglob("*")):
            file.chmod(mode)
            _fsync(file)
        _fsync(part)
    except SafetensorError as error:  # its writer wraps the operating system's error
        shutil.rmtree(part, ignore_errors=True)
        raise OSError(str(error)) from error
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    part.rename(path)
    _fsync(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover_folder(path: Path) -> None:
    """Put back the old folder where a kill fell between the two renames of a replacement."""
    old = _sibling(path, "old")
    if old.is_dir() and not path.exists():
        old.rename(path)
    shutil.rmtree(_sibling(path, "part"), ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a small text file so that a kill leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _sibling(path, "part")
    part.write_text(text, encoding="utf-8")
    _fsync(part)
    part.replace(path)


def _sibling(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}.{suffix}")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
