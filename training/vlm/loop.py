"""The training loop: plain PyTorch, one optimiser step at a time, exact to stop and take up.

A step is the batches up to one that ends it. Its loss is the mean over all its loss-bearing tokens,
whatever their spread over batches: gradients of summed losses add up and are divided once. Only the
positions that carry loss pass the output head, so a page of image tokens costs no logits. A signal
ends the run at the last whole step; what a broken step had read or summed is left behind and done
again.

Several processes each sum their own samples of a step; loss and gradients are then summed over all
of them and divided once by the answer tokens of all, so their number changes nothing but rounding.

Shapes: B batch, L tokens, N loss-bearing tokens, D width, V vocabulary.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.vlm.batch import Batch
from training.vlm.checkpoint import (
    CheckpointStore,
    TrainState,
    restore_rng,
    rng_tensors,
    seed_rng,
)
from training.vlm.config import StageConfig
from training.vlm.data import Position
from training.vlm.encode import IGNORED
from training.vlm.errors import DatasetError, Interrupted, MachineError, TrainerError
from training.vlm.flops import FlopCounter, peak_flops
from training.vlm.freeze import trained_parameters
from training.vlm.optim import Plan, build_optimizer, optimizer_tensors
from training.vlm.packing import packed_hidden, use_packed_attention
from training.vlm.parallel import Team
from training.vlm.report import Reporters, StepLog, StepReport, memory_mb
from training.vlm.shard import whole_tensors
from training.vlm.tally import Tally

MIN_ROWS_JUDGED = 100
"""Rows passed before their dropped share can stop a run. Engineering default."""

ADVICE = {
    "image longer than max_length": (
        "pictures alone take more tokens than max_length allows, and a picture is never cut: "
        "raise max_length (and packing), or lower image.max_pixels (784 pixels are one token)"
    ),
    "longer than max_length": "a sample is never cut: raise max_length (and packing)",
    "placeholder without image": (
        "the rows speak of pictures and hold none: materialise instruction_dataset with its pictures"
    ),
}
"""What to do about a cause, where it is the recipe that is wrong rather than the row."""


class Diverged(TrainerError):
    """The loss is no longer a number."""

    exit_code = 6


@dataclass(frozen=True, slots=True)
class TrainTask:
    """What the loop is given.

    Parameters
    ----------
    model
        On its device, frozen and cast as the stage wants it.
    config, plan
        Hyper-parameters and the length of the run.
    device
        ``cpu`` or ``cuda``.
    load
        Returns the batches from a position on.
    score
        Returns the summed loss of a batch, as :func:`answer_loss` does.
    store, checkpoint_every
        Where checkpoints go and how often.
    log, reporters
        The record and the listeners.
    team
        The processes of the run.
    is_sharded
        Whether the weights are split over them; gradients then come summed.
    """

    model: Any
    config: StageConfig
    plan: Plan
    device: str
    load: Callable[[Position], Iterator[Batch]]
    score: Callable[[Batch], Any]
    store: CheckpointStore
    checkpoint_every: int
    log: StepLog
    reporters: Reporters
    team: Team
    is_sharded: bool = False


def train(task: TrainTask) -> TrainState:
    """Train to the end of the plan or of the data, from the newest checkpoint if there is one.

    Raises
    ------
    Interrupted
        If a signal came; a checkpoint of the last whole step was left.
    Diverged
        If the loss is not finite.
    DatasetError
        If more rows are dropped than the stage allows, or none is usable.
    MachineError
        If a checkpoint cannot be written, or the memory of a GPU is full.
    PeerLost
        If another process of the run is gone.
    """
    if task.config.packing:
        use_packed_attention(task.model, task.device, task.config.precision)
    counter = FlopCounter(task.model, task.config.train, task.config.adapted)
    parameters = trained_parameters(task.model)
    optimizer = build_optimizer(parameters, task.config)
    state = _restore(task, parameters, optimizer)
    task.model.train()
    with contextlib.closing(_Feed(task.load(state.position))) as feed:
        while state.step < task.plan.n_steps:
            rng, begun = rng_tensors(), time.perf_counter()
            tally = _accumulate(task, feed, counter, state)
            if tally is None:
                path = _save(task, state, parameters, optimizer, rng)
                with task.team.together():
                    raise Interrupted(
                        f"{task.team.stop_name} after step {state.step}; checkpoint {path.name} is "
                        "written and the same command carries on from it"
                    )
            with task.team.together():
                _check_drops(task, state, tally)
            if tally.n_samples == 0:
                state = _advance(task, state, tally, n_steps=0)
                break
            grad_norm = _update(task, parameters, optimizer, state.step, tally)
            state = _advance(task, state, tally, n_steps=1)
            report = _report(task, state, tally, grad_norm, time.perf_counter() - begun)
            if task.team.is_first:
                task.log.step(report)
                task.reporters.step(report)
            if state.step % task.checkpoint_every == 0 and state.step < task.plan.n_steps:
                _save(task, state, parameters, optimizer, rng_tensors())
    if state.n_samples == 0:
        with task.team.together():
            raise DatasetError(
                f"no row of the dataset could be used: {dict(state.n_dropped)}"
                f"{_advice(state.n_dropped)}"
            )
    return state


def answer_loss(model: Any, batch: Batch, device: str) -> Any:
    """Return the summed cross-entropy over the loss-bearing tokens of a batch, in nats."""
    import torch

    inputs = {k: v.to(device, non_blocking=True) for k, v in batch.inputs.items()}
    hidden_BLD = (
        packed_hidden(model, inputs, (*batch.lengths, *batch.filler_lengths))
        if batch.is_packed
        else model.model(**inputs, use_cache=False).last_hidden_state
    )
    targets_BL = batch.labels[:, 1:].to(device)
    is_answer_BL = targets_BL != IGNORED
    logits_NV = model.lm_head(hidden_BLD[:, :-1][is_answer_BL]).float()
    return torch.nn.functional.cross_entropy(logits_NV, targets_BL[is_answer_BL], reduction="sum")


class _Feed:
    """Batches with the time spent waiting for them."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches

    def take(self, tally: Tally) -> Batch | None:
        begun = time.perf_counter()
        batch = next(self._batches, None)
        tally.wait_s += time.perf_counter() - begun
        return batch

    def close(self) -> None:
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()


def _accumulate(
    task: TrainTask, feed: _Feed, counter: FlopCounter, state: TrainState
) -> Tally | None:
    """Sum gradients over one effective batch; ``None`` when a signal came before its end."""
    tally = Tally(state.position)
    while not task.team.stop_name:
        batch = feed.take(tally)
        if batch is None:
            break
        tally.add(batch)
        if batch.sample_ids or batch.filler_lengths:
            tally.loss_sum += _pass(task, batch, state.step)
            tally.flops += counter.step(batch)
        if batch.is_step_end:
            break
    tally.memory_mb = memory_mb()
    total = tally.over_all(task.team)
    return None if task.team.stop_name else total


def _pass(task: TrainTask, batch: Batch, step: int) -> float:
    """Go forward and backward over a batch; return its summed loss."""
    import torch

    precision = (
        # a split weight is another tensor each time it is gathered: its cast is not worth keeping
        torch.autocast(task.device, torch.bfloat16, cache_enabled=not task.is_sharded)
        if task.config.precision == "bf16"
        else contextlib.nullcontext()
    )
    # each with all weights, processes wait for each other only when the gradients are summed
    waiting = task.team.reaching() if task.is_sharded else contextlib.nullcontext()
    try:
        with waiting:
            with precision:
                loss = task.score(batch)
            # text-only batches of a projector stage reach no trained tensor
            if loss.requires_grad:
                loss.backward()
            return float(loss.item())
    except torch.OutOfMemoryError as error:
        raise MachineError(
            f"the GPU's memory is full in step {step + 1}, at {batch.n_slots} token places; lower "
            "micro_batch or packing, or set is_checkpointing_gradients"
        ) from error


def _update(
    task: TrainTask, parameters: dict[str, Any], optimizer: Any, step: int, tally: Tally
) -> float:
    import torch

    _check_finite(task.team, "loss", tally.loss_sum, step)
    if not task.is_sharded:
        task.team.sum_gradients(parameters.values())
    gradients = [p.grad for p in parameters.values() if p.grad is not None]
    if gradients:
        torch._foreach_div_(gradients, tally.n_label_tokens)
    with task.team.reaching():
        norm = torch.nn.utils.clip_grad_norm_(list(parameters.values()), task.config.max_grad_norm)
        length = float(whole_tensors({"norm": norm}, is_kept=True)["norm"])
    _check_finite(task.team, "gradient", length, step)
    for group in optimizer.param_groups:
        group["lr"] = task.plan.lr(step)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return length


def _check_finite(team: Team, what: str, value: float, step: int) -> None:
    if math.isfinite(value):
        return
    with team.together():
        raise Diverged(
            f"the {what} of step {step + 1} is {value}; lower lr or look at its data. "
            "Earlier checkpoints stay"
        )


def _save(
    task: TrainTask, state: TrainState, parameters: dict[str, Any], optimizer: Any, rng: Any
) -> Path:
    """Write a checkpoint of what all processes hold."""
    team = task.team
    with team.reaching():
        weights = whole_tensors(parameters, team.is_first)
        moments = whole_tensors(optimizer_tensors(optimizer, parameters), team.is_first)
    states = team.gather(rng)
    path: Path = team.first(lambda: task.store.save(state, weights, moments, states))
    return path


def _restore(task: TrainTask, parameters: dict[str, Any], optimizer: Any) -> TrainState:
    path, team = task.store.latest(), task.team
    team.same(path and path.name, "the newest checkpoint")
    if path is None:
        if team.is_first:
            task.log.rewind(0)
        seed_rng(task.config.seed, 0, team.rank)
        return TrainState(n_processes=team.size)
    state, rng = team.all(lambda: task.store.restore(path, parameters, optimizer, team.rank))
    if rng:
        restore_rng(rng)
    else:
        seed_rng(task.config.seed, state.step, team.rank)
    if team.is_first:
        task.log.rewind(state.step)
    task.reporters.message(f"carrying on from {path.name}")
    if state.n_processes != team.size:
        task.reporters.message(
            f"{path.name} was written by {_processes(state.n_processes)} and is taken up by "
            f"{_processes(team.size)}: every step trains on the same samples, and numbers agree to "
            "rounding, not bit for bit"
        )
    return replace(state, n_processes=team.size)


def _processes(n: int) -> str:
    return "1 process" if n == 1 else f"{n} processes"


def _advance(task: TrainTask, state: TrainState, tally: Tally, n_steps: int) -> TrainState:
    dropped = dict(state.n_dropped)
    for drop in tally.drops:
        dropped[drop.cause] = dropped.get(drop.cause, 0) + 1
    if task.team.is_first:
        task.log.drops(state.step + n_steps, tally.drops)
    return replace(
        state,
        step=state.step + n_steps,
        position=tally.position,
        n_samples=state.n_samples + tally.n_samples,
        n_tokens=state.n_tokens + tally.n_tokens,
        n_label_tokens=state.n_label_tokens + tally.n_label_tokens,
        n_dropped=dropped,
    )


def _check_drops(task: TrainTask, state: TrainState, tally: Tally) -> None:
    n_dropped = sum(state.n_dropped.values()) + len(tally.drops)
    n_passed = state.n_samples + tally.n_samples + n_dropped
    allowed = task.config.max_dropped_share
    if n_passed < MIN_ROWS_JUDGED or n_dropped <= allowed * n_passed:
        return
    if task.team.is_first:
        task.log.drops(state.step + 1, tally.drops)
    causes = sorted({d.cause for d in tally.drops} | set(state.n_dropped))
    raise DatasetError(
        f"{n_dropped} of {n_passed} rows were dropped ({', '.join(causes)}), more than "
        f"max_dropped_share {allowed:g}; {str(task.log.dropped)!r} names them{_advice(causes)}"
    )


def _advice(causes: Iterable[str]) -> str:
    found = [f"; {ADVICE[cause]}" for cause in ADVICE if cause in set(causes)]
    return "".join(found)


def _report(
    task: TrainTask, state: TrainState, tally: Tally, grad_norm: float, step_s: float
) -> StepReport:
    peak = peak_flops(task.device, task.config.precision)
    return StepReport(
        step=state.step,
        n_steps=task.plan.n_steps,
        epoch=tally.position.epoch,
        loss=tally.loss_sum / tally.n_label_tokens,
        lr=task.plan.lr(state.step - 1),
        grad_norm=grad_norm,
        n_samples=tally.n_samples,
        n_tokens=tally.n_tokens,
        n_label_tokens=tally.n_label_tokens,
        n_image_tokens=tally.n_image_tokens,
        padded_share=1 - tally.n_tokens / tally.n_slots,
        tokens_per_s=tally.n_tokens / step_s,
        label_tokens_per_s=tally.n_label_tokens / step_s,
        data_wait_share=tally.wait_s / step_s,
        tflops_per_s=tally.flops / step_s / 1e12,
        mfu=tally.flops / step_s / (peak * task.team.size) if peak else None,
        step_s=step_s,
        memory_mb=tally.memory_mb,
    )
