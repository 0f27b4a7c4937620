"""What a run says while it goes: one report per optimiser step, to any number of listeners.

Listeners here: a JSON-lines file, the terminal, and the program log. TensorBoard's is in
:mod:`training.vlm.tensorboard`, the one that forwards to Dagster in :mod:`training.vlm.cli`.
"""

from __future__ import annotations

import json
import logging
import resource
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from training.vlm.checkpoint import write_text
from training.vlm.encode import Drop

_LOG = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"
DROPPED_FILE = "dropped.jsonl"


@dataclass(frozen=True, slots=True)
class StepReport:
    """One optimiser step.

    Parameters
    ----------
    step, n_steps
        Number of the step from 1, and of all steps.
    epoch
        Pass over the data, from 0.
    loss
        Mean cross-entropy per loss-bearing token of the step, nats.
    lr
        Learning rate used.
    grad_norm
        Norm of the gradient before clipping.
    n_samples, n_tokens, n_label_tokens, n_image_tokens
        Counts of the step, without padding.
    padded_share
        Share of the computed token places that were padding.
    tokens_per_s, label_tokens_per_s
        Tokens of either kind over the time of the step.
    data_wait_share
        Share of that time spent waiting for data.
    tflops_per_s
        Model operations over the time of the step (:mod:`training.vlm.flops`), 10^12 a second.
    mfu
        Their share of the device's dense bf16 peak; ``None`` on a CPU, in another precision and on
        a device whose peak is not known.
    step_s
        Time of the step, seconds.
    memory_mb
        Peak so far: of the GPU where there is one, else of the process.
    """

    step: int
    n_steps: int
    epoch: int
    loss: float
    lr: float
    grad_norm: float
    n_samples: int
    n_tokens: int
    n_label_tokens: int
    n_image_tokens: int
    padded_share: float
    tokens_per_s: float
    label_tokens_per_s: float
    data_wait_share: float
    tflops_per_s: float
    mfu: float | None
    step_s: float
    memory_mb: float

    def line(self) -> str:
        """Return the report in one line."""
        mfu = "" if self.mfu is None else f"MFU {self.mfu:.0%} "
        return (
            f"step {self.step}/{self.n_steps} loss {self.loss:.4f} lr {self.lr:.2e} "
            f"grad {self.grad_norm:.3g} tokens/s {self.tokens_per_s:.0f} "
            f"(answers {self.label_tokens_per_s:.0f}) wait {self.data_wait_share:.0%} "
            f"padded {self.padded_share:.0%} {mfu}memory {self.memory_mb:.0f} MB"
        )


class Reporter(Protocol):
    """Anything that listens to a run."""

    def message(self, text: str) -> None:
        """Take a line of prose, such as the freeze map."""

    def step(self, report: StepReport) -> None:
        """Take the report of one step."""


class Reporters:
    """Many listeners as one."""

    def __init__(self, listeners: Sequence[Reporter]) -> None:
        self._listeners = tuple(listeners)

    def message(self, text: str) -> None:
        """Pass a line of prose on."""
        for listener in self._listeners:
            listener.message(text)

    def step(self, report: StepReport) -> None:
        """Pass a report on."""
        for listener in self._listeners:
            listener.step(report)


class LogReporter:
    """Writes to the program log, for output that is not a terminal."""

    def message(self, text: str) -> None:
        """Log a line of prose."""
        _LOG.info("%s", text)

    def step(self, report: StepReport) -> None:
        """Log a step."""
        _LOG.info("%s", report.line())


class TerminalReporter:
    """Draws a progress bar on a terminal; use as a context."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} {task.fields[line]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task: Any = None

    def __enter__(self) -> TerminalReporter:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def message(self, text: str) -> None:
        """Print a line of prose above the bar."""
        self._bar.console.print(text, markup=False, highlight=False)

    def step(self, report: StepReport) -> None:
        """Move the bar."""
        if self._task is None:
            self._task = self._bar.add_task("", total=report.n_steps, line="")
        line = f"loss {report.loss:.3f}  {report.tokens_per_s:.0f} tokens/s"
        self._bar.update(self._task, completed=report.step, line=line)


class StepLog:
    """The JSON-lines record of a run; the loss curve is read from it.

    Parameters
    ----------
    folder
        Gets ``metrics.jsonl`` and ``dropped.jsonl``.

    Attributes
    ----------
    dropped
        The file that names the rows set aside.
    """

    def __init__(self, folder: Path) -> None:
        self._metrics = folder / METRICS_FILE
        self.dropped = folder / DROPPED_FILE

    def rewind(self, step: int) -> None:
        """Keep what was recorded up to a step; ``0`` begins anew."""
        for path in (self._metrics, self.dropped):
            kept = [e for e in _read_lines(path) if e["step"] <= step]
            write_text(path, "".join(json.dumps(e) + "\n" for e in kept))

    def step(self, report: StepReport) -> None:
        """Append a step."""
        _append(self._metrics, asdict(report))

    def drops(self, step: int, drops: Sequence[Drop]) -> None:
        """Append rows that were dropped on the way to a step."""
        for drop in drops:
            _append(self.dropped, {"step": step, **asdict(drop)})

    def losses(self) -> list[float]:
        """Return the loss of every step so far."""
        return [e["loss"] for e in self.entries()]

    def entries(self) -> list[dict[str, Any]]:
        """Return every recorded step."""
        return _read_lines(self._metrics)

    def copy_to(self, folder: Path) -> None:
        """Copy both files into a folder."""
        for path in (self._metrics, self.dropped):
            shutil.copyfile(path, folder / path.name)


def memory_mb() -> float:
    """Return the peak memory so far in MB (2**20 bytes): of the GPU, or else of the process.

    Linux hands the peak of the process that started this one down to ``getrusage``, so the own
    one is read where it is told.
    """
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (2**20 if sys.platform == "darwin" else 2**10)


def _append(path: Path, entry: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def _read_lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            break  # a kill cut the last line short
    return entries
