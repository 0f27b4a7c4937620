"""The training loop: plain PyTorch, one optimiser step at a time, exact to stop and take up.

A step is the batches up to one that ends it. Its loss is the mean over all its loss-bearing tokens,
whatever their spread over batches: gradients of summed losses add up and are divided once. Only the
positions that carry loss pass the output head, so a page of image tokens costs no logits. A signal
ends the run at the last whole step; what a broken step had read or summed is left behind and done
again.

Shapes: B batch, L tokens, N loss-bearing tokens, D width, V vocabulary.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from training.vlm.batch import Batch
from training.vlm.checkpoint import (
    CheckpointStore,
    TrainState,
    restore_rng,
    rng_tensors,
)
from training.vlm.config import StageConfig
from training.vlm.data import Position
from training.vlm.encode import IGNORED
from training.vlm.errors import DatasetError, Interrupted, TrainerError
from training.vlm.flops import FlopCounter, peak_flops
from training.vlm.freeze import trained_parameters
from training.vlm.optim import Plan, build_optimizer
from training.vlm.packing import packed_hidden, use_packed_attention
from training.vlm.report import Reporters, StepLog, StepReport, memory_mb

MIN_ROWS_JUDGED = 100
"""Rows passed before their dropped share can stop a run. Engineering default."""

ADVICE = {
    "image longer than max_length": (
        "pictures alone take more tokens than max_length allows, and a picture is never cut: "
        "raise max_length (and packing), or lower image.max_pixels (784 pixels are one token)"
    ),
}
"""What to do about a cause, where it is the recipe that is wrong rather than the row."""


class Diverged(TrainerError):
    """The loss is no longer a number."""

    exit_code = 6


class StopFlag:
    """Turns SIGTERM and SIGINT into a flag the loop looks at; use as a context.

    A second signal acts as usual, for the impatient.
    """

    def __init__(self) -> None:
        self.signal_name = ""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopFlag:
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread of a program hears signals
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *exc: object) -> None:
        self._restore()

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.signal_name = signal.Signals(number).name
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


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
    store, checkpoint_every
        Where checkpoints go and how often.
    log, reporters
        The record and the listeners.
    stop
        Set by a signal.
    """

    model: Any
    config: StageConfig
    plan: Plan
    device: str
    load: Callable[[Position], Iterator[Batch]]
    store: CheckpointStore
    checkpoint_every: int
    log: StepLog
    reporters: Reporters
    stop: StopFlag


@dataclass(slots=True)
class _Tally:
    """Counts of one optimiser step."""

    position: Position
    loss_sum: float = 0.0
    n_samples: int = 0
    n_tokens: int = 0
    n_label_tokens: int = 0
    n_image_tokens: int = 0
    n_slots: int = 0
    flops: float = 0.0
    wait_s: float = 0.0
    drops: list[Any] = field(default_factory=list)

    def add(self, batch: Batch) -> None:
        self.position = batch.position
        self.n_samples += len(batch.sample_ids)
        self.n_tokens += batch.n_tokens
        self.n_label_tokens += batch.n_label_tokens
        self.n_image_tokens += batch.n_image_tokens
        self.n_slots += batch.n_slots
        self.drops += batch.drops


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
        If a checkpoint cannot be written.
    """
    if task.config.packing:
        use_packed_attention(task.model, task.device, task.config.precision)
    counter = FlopCounter(task.model, task.config.train)
    parameters = trained_parameters(task.model)
    optimizer = build_optimizer(parameters, task.config)
    state = _restore(task, parameters, optimizer)
    task.model.train()
    with contextlib.closing(_Feed(task.load(state.position))) as feed:
        while state.step < task.plan.n_steps:
            rng, begun = rng_tensors(), time.perf_counter()
            tally = _accumulate(task, feed, counter, state)
            if tally is None:
                path = task.store.save(state, parameters, optimizer, rng)
                raise Interrupted(
                    f"{task.stop.signal_name} after step {state.step}; checkpoint {path.name} is "
                    "written and the same command carries on from it"
                )
            _check_drops(task.config, state, tally)
            if tally.n_samples == 0:
                state = _advance(task, state, tally, n_steps=0)
                break
            grad_norm = _update(task, parameters, optimizer, state.step, tally)
            state = _advance(task, state, tally, n_steps=1)
            report = _report(task, state, tally, grad_norm, time.perf_counter() - begun)
            task.log.step(report)
            task.reporters.step(report)
            if state.step % task.checkpoint_every == 0 and state.step < task.plan.n_steps:
                task.store.save(state, parameters, optimizer, rng_tensors())
    if state.n_samples == 0:
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
        packed_hidden(model, inputs, batch.lengths)
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

    def take(self, tally: _Tally) -> Batch | None:
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
) -> _Tally | None:
    """Sum gradients over one effective batch; ``None`` when a signal came before its end."""
    import torch

    tally = _Tally(state.position)
    precision = (
        torch.autocast(task.device, torch.bfloat16)
        if task.config.precision == "bf16"
        else contextlib.nullcontext()
    )
    while not task.stop.signal_name:
        batch = feed.take(tally)
        if batch is None:
            break
        tally.add(batch)
        if batch.sample_ids:
            with precision:
                loss = answer_loss(task.model, batch, task.device)
            # text-only batches of a projector stage reach no trained tensor
            if loss.requires_grad:
                loss.backward()
            tally.loss_sum += loss.item()
            tally.flops += counter.step(batch)
        if batch.is_step_end:
            break
    return None if task.stop.signal_name else tally


def _update(
    task: TrainTask, parameters: dict[str, Any], optimizer: Any, step: int, tally: _Tally
) -> float:
    import torch

    if not math.isfinite(tally.loss_sum):
        raise Diverged(
            f"the loss of step {step + 1} is {tally.loss_sum}; lower lr or look at its data. "
            "Earlier checkpoints stay"
        )
    gradients = [p.grad for p in parameters.values() if p.grad is not None]
    if gradients:
        torch._foreach_div_(gradients, tally.n_label_tokens)
    norm = torch.nn.utils.clip_grad_norm_(list(parameters.values()), task.config.max_grad_norm)
    for group in optimizer.param_groups:
        group["lr"] = task.plan.lr(step)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(norm)


def _restore(task: TrainTask, parameters: dict[str, Any], optimizer: Any) -> TrainState:
    path = task.store.latest()
    if path is None:
        task.log.rewind(0)
        return TrainState()
    state, rng = task.store.restore(path, parameters, optimizer)
    restore_rng(rng)
    task.log.rewind(state.step)
    task.reporters.message(f"carrying on from {path.name}")
    return state


def _advance(task: TrainTask, state: TrainState, tally: _Tally, n_steps: int) -> TrainState:
    dropped = dict(state.n_dropped)
    for drop in tally.drops:
        dropped[drop.cause] = dropped.get(drop.cause, 0) + 1
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


def _check_drops(config: StageConfig, state: TrainState, tally: _Tally) -> None:
    n_dropped = sum(state.n_dropped.values()) + len(tally.drops)
    n_passed = state.n_samples + tally.n_samples + n_dropped
    if n_passed < MIN_ROWS_JUDGED or n_dropped <= config.max_dropped_share * n_passed:
        return
    causes = sorted({d.cause for d in tally.drops} | set(state.n_dropped))
    raise DatasetError(
        f"{n_dropped} of {n_passed} rows were dropped ({', '.join(causes)}), more than "
        f"max_dropped_share {config.max_dropped_share:g}; dropped.jsonl names them{_advice(causes)}"
    )


def _advice(causes: Iterable[str]) -> str:
    found = [f"; {ADVICE[cause]}" for cause in ADVICE if cause in set(causes)]
    return "".join(found)


def _report(
    task: TrainTask, state: TrainState, tally: _Tally, grad_norm: float, step_s: float
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
        mfu=tally.flops / step_s / peak if peak else None,
        step_s=step_s,
        memory_mb=memory_mb(),
    )
