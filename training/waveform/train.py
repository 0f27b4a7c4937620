"""The training loop of the waveform detector: ultralytics' network and loss, our own data and steps.

ultralytics' trainer is not used: it keeps pickled checkpoints, which this project never loads, and
augments pictures in ways that would falsify a raster. Checkpoints are safetensors plus JSON; a run
that was killed goes on from the last finished epoch and ends with the same weights. Scoring is in
``evaluate``, the shipped form in ``export``.
"""

from __future__ import annotations

import copy
import json
import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.types import SFREQ_HZ, ExpertEvent
from detectors.waveform.raster import N_GRID_ROWS, ROW_PX, WIDTH_PX
from training.waveform.backgrounds import planted
from training.waveform.dataset import Batch, SegmentSet, make_batch
from training.waveform.errors import TrainerError
from training.waveform.network import MARGIN_S, build_network
from training.waveform.recipe import DetectorRecipe, OptimiserRecipe

log = logging.getLogger(__name__)

STATE_VERSION = 1
"""Format of a checkpoint: what is stored, and what an epoch does with the same recipe and data. To be
raised with a change to either; one of another format is refused, one without is older."""
_TENSORS, _STATE = "checkpoint.safetensors", "checkpoint.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """What one epoch did; losses are means per segment."""

    epoch: int
    n_epochs: int
    loss: float
    box_loss: float
    class_loss: float
    learning_rate: float


ReportProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A trained network: its averaged weights, and the loss by epoch."""

    model: Any
    history: tuple[Progress, ...]


def train_network(
    data: SegmentSet,
    recipe: DetectorRecipe,
    out_dir: Path,
    report: ReportProgress = lambda _: None,
) -> TrainedNetwork:
    """Train from the recipe's seed, or go on from the checkpoint in ``out_dir``.

    Parameters
    ----------
    data
        Training segments.
    recipe
        Everything else.
    out_dir
        Where checkpoints lie; made where absent.
    report
        Called after every epoch.

    Raises
    ------
    TrainerError
        If there are no boxes to learn from, the loss stops being finite, or the checkpoint is of
        another recipe, data set or format.
    """
    import torch

    if not any(len(b) for b in data.boxes) and not data.is_ground.any():
        raise TrainerError(f"{len(data)} training segments hold no box; nothing can be learnt")
    out_dir.mkdir(parents=True, exist_ok=True)
    run = _Run(data, recipe)
    run.resume(out_dir)
    steps = _steps_per_epoch(data, recipe.optimiser)
    for epoch in range(len(run.history), recipe.optimiser.epochs):
        run.model.train()
        sums = np.zeros(3)
        for k, batch in enumerate(_batches(data, recipe, epoch)):
            sums += run.step(batch, epoch * steps + k, steps * recipe.optimiser.epochs)
        total, box, class_ = sums / len(data)
        if not math.isfinite(total):
            raise TrainerError(f"loss is {total} in epoch {epoch}; lower the learning rate")
        rate = run.optimiser.param_groups[0]["lr"]
        run.history.append(Progress(epoch + 1, recipe.optimiser.epochs, total, box, class_, rate))
        run.save(out_dir)
        report(run.history[-1])
    with torch.no_grad():
        run.average.eval()
    return TrainedNetwork(run.average, tuple(run.history))


class _Run:
    """Weights, their average, the optimiser and the history of one run."""

    def __init__(self, data: SegmentSet, recipe: DetectorRecipe) -> None:
        import torch

        self._recipe = recipe
        self._key = {
            "recipe": recipe.recipe_hash,
            "data": data.data_hash,
            "format": str(STATE_VERSION),
        }
        self.model = self.build(recipe)
        self.average = copy.deepcopy(self.model).eval()
        self.average.requires_grad_(False)
        self.history: list[Progress] = []
        self.optimiser = torch.optim.AdamW(
            _parameter_groups(self.model, recipe.optimiser.weight_decay),
            lr=recipe.optimiser.learning_rate,
        )

    def step(self, batch: Batch, step: int, n_steps: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Take one optimiser step; return summed total, box and class loss."""
        import torch

        recipe = self._recipe.optimiser
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(recipe, step, n_steps)
        images = torch.from_numpy(batch.images).to(memory_format=torch.channels_last).float() / 255
        is_half = recipe.precision == "bfloat16"
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            predicted = self.model(images)
        losses = self.losses(predicted, batch)
        self.optimiser.zero_grad(set_to_none=True)
        losses.sum().div(len(batch.images)).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip_norm)
        self.optimiser.step()
        self._follow(step)
        parts = losses.detach().double().numpy()
        return np.array([parts.sum(), parts[0], parts[1]])

    def build(self, recipe: DetectorRecipe) -> Any:
        """Return a fresh network."""
        return build_network(recipe.network, recipe.optimiser, recipe.seed)

    def losses(self, predicted: dict[str, Any], batch: Batch) -> Any:
        """Return box, class and distance loss, summed over the segments."""
        losses, _ = self.model.loss(*_by_row(predicted, batch))
        return losses / N_GRID_ROWS

    def _follow(self, step: int) -> None:
        """Move the averaged weights towards the trained ones, faster at the start of a run."""
        import torch

        decay = self._recipe.optimiser.ema_decay * (1 - math.exp(-(step + 1) / 200))
        with torch.no_grad():
            mine, theirs = self.average.state_dict(), self.model.state_dict()
            for name, value in mine.items():
                if value.dtype.is_floating_point:
                    value.lerp_(theirs[name], 1 - decay)
                else:
                    value.copy_(theirs[name])

    def save(self, out_dir: Path) -> None:
        """Write the checkpoint: tensors first, the state that names them last, both atomically."""
        from safetensors.torch import save_file

        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for i, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{i}.{k}": v for k, v in state.items()}
        tensors = {k: v.contiguous().clone() for k, v in tensors.items()}
        mine = out_dir / f"{len(self.history):04d}.{_TENSORS}"
        part = out_dir / f"{mine.name}.part"
        save_file(tensors, part)
        part.replace(mine)
        state = {**self._key, "history": [_as_list(p) for p in self.history]}
        part = out_dir / f"{_STATE}.part"
        part.write_text(json.dumps(state, indent=1), encoding="utf-8")
        part.replace(out_dir / _STATE)
        for old in set(out_dir.glob(f"*.{_TENSORS}")) - {mine}:
            old.unlink()

    def resume(self, out_dir: Path) -> None:
        """Take up the checkpoint in ``out_dir``, where there is one."""
        if not (out_dir / _STATE).is_file():
            return
        from safetensors.torch import load_file

        state = json.loads((out_dir / _STATE).read_text(encoding="utf-8"))
        for name, mine in self._key.items():
            if (theirs := state.get(name, "0")) != mine:
                raise TrainerError(
                    f"the checkpoint in {out_dir.name} is of {name} {theirs}, this run is of "
                    f"{mine}; choose another folder or remove it"
                )
        self.history = [Progress(*row) for row in state["history"]]
        tensors = load_file(out_dir / f"{len(self.history):04d}.{_TENSORS}")
        self.model.load_state_dict(_under(tensors, "model."))
        self.average.load_state_dict(_under(tensors, "average."))
        states: dict[int, dict[str, Any]] = {}
        for name, value in _under(tensors, "optimiser.").items():
            number, _, key = name.partition(".")
            states.setdefault(int(number), {})[key] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": states, "param_groups": groups})
        log.info("resumed after epoch %d", len(self.history))


def _by_row(predicted: dict[str, Any], batch: Batch) -> tuple[dict[str, Any], dict[str, Any]]:
    """Present every channel row to the YOLO loss as a picture of its own.

    A box is one row high, so only anchors of its row can hold it. Saying so to the assigner leaves
    its choice as it is and spares it comparing each box with the other nineteen rows.
    """
    import torch

    n_columns = WIDTH_PX // ROW_PX
    rows = {
        name: predicted[name]
        .float()
        .unflatten(2, (N_GRID_ROWS, n_columns))
        .transpose(1, 2)
        .flatten(0, 1)
        for name in ("boxes", "scores")
    }
    n_pictures = len(batch.images) * N_GRID_ROWS
    rows["feats"] = [torch.zeros(n_pictures, 1, 1, n_columns)]
    row = np.floor(batch.boxes[:, 1] * N_GRID_ROWS)
    picture = batch.segment_index * N_GRID_ROWS + row
    order = np.argsort(picture, kind="stable")
    boxes = batch.boxes[order].copy()
    boxes[:, 1], boxes[:, 3] = 0.5, 1.0
    boxes[:, 2] += 2 * MARGIN_S * SFREQ_HZ / WIDTH_PX
    targets = {
        "batch_idx": torch.from_numpy(picture[order]),
        "cls": torch.from_numpy(batch.classes[order])[:, None],
        "bboxes": torch.from_numpy(boxes),
    }
    return targets, rows


def learning_rate(recipe: OptimiserRecipe, step: int, n_steps: int) -> float:
    """Return the rate of one step: linear warm-up, then cosine decay to a fraction, maybe twice."""
    peak, done_before = recipe.learning_rate, 0
    if 0 < recipe.restart_epoch < recipe.epochs:
        n_first = n_steps // recipe.epochs * recipe.restart_epoch
        if step < n_first:
            n_steps = n_first
        else:
            peak, done_before = peak * recipe.restart_fraction, n_first
    step, n_steps = step - done_before, n_steps - done_before
    if step < recipe.warmup_steps:
        return peak * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(1, n_steps - recipe.warmup_steps)
    low = recipe.final_fraction * recipe.learning_rate / peak
    return peak * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done)))


def _steps_per_epoch(data: SegmentSet, recipe: OptimiserRecipe) -> int:
    return -(-len(data) // recipe.batch_size)


def _batches(data: SegmentSet, recipe: DetectorRecipe, epoch: int) -> Iterator[Batch]:
    # order, events and augmentation depend on seed and epoch alone, so a resumed run sees the same
    rng = np.random.default_rng([recipe.seed, epoch])
    order = rng.permutation(len(data))
    size = recipe.optimiser.batch_size

    def plant(
        pages: SegmentSet, index: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], list[tuple[ExpertEvent, ...]]]:
        return planted(pages, index, rng, recipe.planting)

    def batch(start: int) -> Batch:
        return make_batch(data, order[start : start + size], recipe.augmentation, rng, plant)

    # one batch is made while the network works on the one before; always by the same single thread
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(batch, 0)
        for start in range(size, len(order), size):
            ready, coming = coming.result(), maker.submit(batch, start)
            yield ready
        yield coming.result()


def _parameter_groups(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay acts on matrices and kernels, not on biases and norms."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _under(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _as_list(progress: Progress) -> list[float]:
    return [getattr(progress, name) for name in Progress.__slots__]
