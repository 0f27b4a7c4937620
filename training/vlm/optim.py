"""The optimiser, its schedule, and its state by tensor name.

The schedule is the cosine with warm-up of ``transformers`` (a test holds the two equal), because
every framework the published runs may have used takes it from there. It counts *planned* steps;
where the run stops is the recipe's business.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from training.vlm.config import StageConfig
from training.vlm.errors import ModelError, RecipeError
from training.vlm.shard import placed_like

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a run is and how long its schedule was planned to be, in optimiser steps."""

    n_steps: int
    planned_steps: int
    warmup_steps: int
    peak_lr: float

    def lr(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        if step < self.warmup_steps:
            return self.peak_lr * step / self.warmup_steps
        span = max(1, self.planned_steps - self.warmup_steps)
        progress = (step - self.warmup_steps) / span
        return self.peak_lr * max(0.0, 0.5 * (1 + math.cos(math.pi * progress)))

    def describe(self) -> str:
        """Return the schedule in one sentence, saying so where the peak is never reached."""
        text = (
            f"{self.n_steps} steps of a cosine schedule planned for {self.planned_steps}, "
            f"{self.warmup_steps} of them warm-up, peak learning rate {self.peak_lr:g}"
        )
        if self.n_steps <= self.warmup_steps:
            text += f"; the run stops inside the warm-up, at {self.lr(self.n_steps - 1):.3g}"
        return text


def plan_steps(config: StageConfig, n_rows: int) -> Plan:
    """Return the plan of a stage over a dataset.

    Raises
    ------
    RecipeError
        If the schedule is planned shorter than the run, or no batch is ever full and the recipe
        drops those that are not.
    """
    n_samples = n_rows * config.epochs
    available, n_over = divmod(n_samples, config.effective_batch)
    if config.last_batch == "keep":
        available += n_over > 0
    if not available:
        raise RecipeError(
            f"{n_samples:,} samples fill no batch of {config.effective_batch}, and last_batch 'drop' "
            "leaves out one that is not full: set last_batch 'keep', or lower accumulation"
        )
    n_steps = min(config.max_steps or available, available)
    planned = config.planned_steps or n_steps
    if planned < n_steps:
        raise RecipeError(
            f"planned_steps {planned} is below the {n_steps} steps of the run; "
            "leave it out, or plan at least as many"
        )
    return Plan(n_steps, planned, math.ceil(planned * config.warmup_ratio), config.lr)


def build_optimizer(parameters: Mapping[str, Any], config: StageConfig) -> Any:
    """Return AdamW over named tensors; weight decay acts on matrices only."""
    import torch

    matrices = [p for p in parameters.values() if p.ndim >= 2]
    others = [p for p in parameters.values() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    beta1, beta2 = config.betas
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=config.lr, betas=(beta1, beta2))


def optimizer_tensors(optimizer: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the optimiser's state as flat tensors named ``moment/parameter``.

    A tensor that has had no gradient yet has no state and is left out.
    """
    return {
        f"{moment}/{name}": optimizer.state[parameter][moment]
        for name, parameter in parameters.items()
        if parameter in optimizer.state
        for moment in _MOMENTS
    }


def restore_optimizer(
    optimizer: Any, parameters: Mapping[str, Any], tensors: Iterable[tuple[str, Any]]
) -> None:
    """Put back what :func:`optimizer_tensors` returned, one tensor after another.

    Raises
    ------
    ModelError
        If it names a tensor that is not trained.
    """
    for key, value in tensors:
        moment, _, name = key.partition("/")
        if name not in parameters:
            raise ModelError(f"checkpoint holds optimiser state of {name!r}, which is not trained")
        parameter = parameters[name]
        # torch keeps the step counter on the CPU in float32
        placed = value if moment == "step" else placed_like(value, parameter)
        optimizer.state[parameter][moment] = placed
