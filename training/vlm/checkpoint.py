"""Checkpoints a run can be taken up from: trained weights, optimiser, random state, position.

A checkpoint is a folder that appears by one rename, so a kill leaves it whole or absent. Tensors
are safetensors and the rest is JSON; nothing is pickled. Frozen weights are not in it: they come
from the base again. Tensors are whole, however many processes held a part, so another number of
processes can carry on. Each says which format it is of and by which code it came; what follows from
that is in :mod:`training.vlm.work`. The finished model is written by :mod:`training.vlm.output`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from training.vlm.data import Position
from training.vlm.errors import MachineError
from training.vlm.optim import restore_optimizer
from training.vlm.shard import placed_like

STATE_VERSION = 1
"""Format of a checkpoint: what is stored in it, *and* what a step does with the same recipe and data.

To be raised with any change to either: names or meaning of what is stored, which samples a step
holds, how they become tokens and pixels, the loss, the update. A change that leaves all of it alone
(speed, messages, a patch release) keeps the number, and checkpoints are then taken up by the new
code. Those without a number are older than it.
"""

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
    n_processes
        That train together.
    codes
        Hashes of the trainer's source by which it came so far, in their order.
    """

    step: int = 0
    position: Position = field(default_factory=Position)
    n_samples: int = 0
    n_tokens: int = 0
    n_label_tokens: int = 0
    n_dropped: Mapping[str, int] = field(default_factory=dict)
    n_processes: int = 1
    codes: tuple[str, ...] = ()


class CheckpointStore:
    """The checkpoints of one run.

    Parameters
    ----------
    folder
        Their home.
    n_kept
        Newest ones kept.
    code
        Hash of the source of the trainer that writes.
    """

    def __init__(self, folder: Path, n_kept: int, code: str = "") -> None:
        self.folder = folder
        self._n_kept, self._code = n_kept, code

    def latest(self) -> Path | None:
        """Return the newest whole checkpoint, or ``None``."""
        found = self._all()
        return found[-1] if found else None

    def save(
        self,
        state: TrainState,
        weights: Mapping[str, Any],
        moments: Mapping[str, Any],
        rng: Sequence[Mapping[str, Any]],
    ) -> Path:
        """Write a checkpoint and drop the oldest beyond those kept.

        One of the same step stays as it is: the run is the same, and so is the state of a step.

        Parameters
        ----------
        state
            What is no tensor.
        weights
            Trained tensors by name, whole.
        moments
            As of :func:`training.vlm.optim.optimizer_tensors`, whole.
        rng
            As of :func:`rng_tensors`, of every process.

        Raises
        ------
        MachineError
            If it cannot be written; nothing half-written is left and older ones stay.
        """
        from safetensors.torch import save_file

        def write(folder: Path) -> None:
            save_file({n: w.detach().contiguous() for n, w in weights.items()}, folder / _WEIGHTS)
            states = {f"rng/{i}/{k}": v for i, own in enumerate(rng) for k, v in own.items()}
            save_file({**moments, **states}, folder / _OPTIMIZER)
            codes = [c for c in state.codes if c != self._code] + [self._code]
            known = asdict(state) | {"format": STATE_VERSION, "codes": [c for c in codes if c]}
            text = json.dumps(known, indent=1, sort_keys=True)
            (folder / _STATE).write_text(text, encoding="utf-8")

        path = self.folder / f"{_PREFIX}{state.step:08d}"
        if path in self._all():
            return path
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
        self, path: Path, parameters: Mapping[str, Any], optimizer: Any, rank: int = 0
    ) -> tuple[TrainState, dict[str, Any]]:
        """Read a checkpoint into the model and optimiser.

        Returns
        -------
        TrainState
            As it was saved.
        dict
            Random state of process ``rank``; empty where it was not there.

        Raises
        ------
        MachineError
            If it cannot be read, is of another format, or holds other tensors.
        """
        import torch
        from safetensors import SafetensorError, safe_open

        try:
            raw = _read_state(path)
            position, codes = Position(**raw["position"]), tuple(raw["codes"])
            state = TrainState(**(raw | {"position": position, "codes": codes}))
            with safe_open(path / _WEIGHTS, "pt") as file, torch.no_grad():
                names = file.keys()
                shapes = {n: tuple(file.get_slice(n).get_shape()) for n in names}
                if shapes != {n: tuple(p.shape) for n, p in parameters.items()}:
                    raise MachineError(
                        f"checkpoint {str(path)!r} holds other tensors than are trained; delete it"
                    )
                for name, parameter in parameters.items():
                    parameter.copy_(placed_like(file.get_tensor(name), parameter))
            with safe_open(path / _OPTIMIZER, "pt") as file:
                own = f"rng/{rank}/"
                names = file.keys()
                rng = {n.removeprefix(own): file.get_tensor(n) for n in names if n.startswith(own)}
                moments = (n for n in names if not n.startswith("rng/"))
                pairs = ((n, file.get_tensor(n)) for n in moments)
                restore_optimizer(optimizer, parameters, pairs)
        except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
            raise MachineError(
                f"checkpoint {str(path)!r} cannot be read ({error}); delete it, and the same "
                "command carries on from the one before"
            ) from error
        return state, rng

    def _all(self) -> list[Path]:
        return sorted(p for p in self.folder.glob(f"{_PREFIX}*") if (p / _STATE).is_file())


def codes_of(path: Path) -> tuple[str, ...]:
    """Return the codes a checkpoint came by; none where it cannot be read, which restoring tells.

    Raises
    ------
    MachineError
        If it is of another format.
    """
    try:
        return tuple(_read_state(path)["codes"])
    except (OSError, ValueError, TypeError, KeyError):
        return ()


def _read_state(path: Path) -> dict[str, Any]:
    """Read what is no tensor, format taken off."""
    raw: dict[str, Any] = json.loads((path / _STATE).read_text(encoding="utf-8"))
    version = raw.pop("format", 0)
    if version != STATE_VERSION:
        by = f" (code {raw['codes'][-1]})" if raw.get("codes") else ""
        raise MachineError(
            f"checkpoint {path.name} is of format {version} and this trainer of format "
            f"{STATE_VERSION}: what is stored, or what a step does, has changed between them, so it "
            f"is not taken up and nothing of it is lost. Finish the run with the trainer that began "
            f"it{by}, or begin anew with --fresh (is_fresh in the launchpad)"
        )
    return raw


def clear_leftovers(folder: Path) -> None:
    """Remove what a killed program had not finished writing into a folder of checkpoints."""
    for part in folder.glob(f".{_PREFIX}*.part"):
        shutil.rmtree(part, ignore_errors=True)


def checkpoint_bytes(folder: Path) -> int:
    """Return the bytes of all checkpoints in a folder."""
    return sum(file.stat().st_size for file in folder.glob(f"{_PREFIX}*/*"))


def rng_tensors() -> dict[str, Any]:
    """Return this process's random state, on the processor and on its GPU."""
    import torch

    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_rng(state: Mapping[str, Any]) -> None:
    """Put back what :func:`rng_tensors` returned; a device that is gone is passed over."""
    import torch

    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available() and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


def seed_rng(seed: int, step: int, rank: int) -> None:
    """Begin a random state that is this process's own and comes back with the same arguments."""
    import torch

    key = hashlib.sha256(f"{seed}/{step}/{rank}".encode()).digest()
    torch.manual_seed(int.from_bytes(key[:8], "little"))


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
    try:
        part.write_text(text, encoding="utf-8")
        _fsync(part)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _sibling(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}.{suffix}")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
