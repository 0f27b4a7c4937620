"""``neurogloss bench train``: what a training step yields, packed, padded and by another trainer.

Every system trains the same tiny Qwen2.5-VL on the same release in a program of its own, one after
another in every round, so a machine that slows down slows all of them. Counted are tokens the model
needs, loss-bearing ones apart, over the time of every step but the first; rates of the rounds are
put together by their median. The first two systems are this project's trainer and are read from the
record it leaves; TRL's ``SFTTrainer`` runs in ``train.trl_worker``. Rooms of one floor do not import each
other, so the trainer is only ever started as a program.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from rich.table import Table

MIN_SPEEDUP = 1.5
"""Loss-bearing tokens a second, packed over padded."""
MAX_DATA_WAIT = 0.05
"""Share of the time of a packed run spent waiting for data."""
PACKED, PADDED, TRL = "packed", "padded", "TRL SFTTrainer"
MFU_FORMULA = (
    "MFU = model operations of the samples / (time x dense bf16 peak of the device); operations by "
    "training/vlm/flops.py, without padding, recomputation and optimiser"
)


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What is measured.

    Parameters
    ----------
    recipe
        Recipe of the model.
    micro_batch
        Samples side by side where they are padded, and of an optimiser step in all systems.
    steps, rounds
        Optimiser steps of a run, and runs of each system.
    packing
        Tokens of a packed sequence.
    """

    recipe: str = "tiny"
    micro_batch: int = 8
    steps: int = 15
    rounds: int = 3
    packing: int = 8192


@dataclass(frozen=True, slots=True)
class TrainRate:
    """What one system came to.

    Parameters
    ----------
    tokens_per_s, label_tokens_per_s
        All tokens of samples, and those that carry loss.
    padded_share
        Share of computed token places that held no token.
    data_wait_share
        Share of the time spent waiting for data; ``None`` where the system does not say.
    tflops_per_s, mfu
        Model operations, 10^12 a second, and their share of the device's peak; ``None`` where
        unknown, and the share always on a CPU.
    memory_mb
        Peak.
    """

    tokens_per_s: float
    label_tokens_per_s: float
    padded_share: float
    data_wait_share: float | None
    tflops_per_s: float | None
    mfu: float | None
    memory_mb: float


@dataclass(frozen=True, slots=True)
class TrainReport:
    """All systems, and why one is missing."""

    settings: TrainSettings
    rates: Mapping[str, TrainRate]
    notes: list[str] = field(default_factory=list)

    def speedup(self, over: str) -> float | None:
        """Return packed over another system, in loss-bearing tokens a second."""
        if over not in self.rates:
            return None
        return self.rates[PACKED].label_tokens_per_s / self.rates[over].label_tokens_per_s

    def misses(self) -> list[str]:
        """Return every figure beyond its bound."""
        wrong = []
        speedup = self.speedup(PADDED)
        if speedup is not None and speedup < MIN_SPEEDUP:
            wrong.append(f"train: packed is {speedup:.2f} x padded, floor {MIN_SPEEDUP}")
        wait = self.rates[PACKED].data_wait_share
        if wait is not None and wait > MAX_DATA_WAIT:
            wrong.append(f"train: {wait:.1%} of the time waits for data, bound {MAX_DATA_WAIT:.0%}")
        return wrong

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data; keys are stable, what was not measured is null."""
        return {
            "settings": asdict(self.settings),
            "systems": {name: asdict(rate) for name, rate in self.rates.items()},
            "packed_over_padded": self.speedup(PADDED),
            "packed_over_trl": self.speedup(TRL),
            "mfu_formula": MFU_FORMULA,
            "notes": self.notes,
            "misses": self.misses(),
        }


def bench_train(
    dataset: Path,
    settings: TrainSettings | None = None,
    on_progress: Callable[[str], None] = lambda step: None,
) -> TrainReport:
    """Measure every system on a release.

    Parameters
    ----------
    dataset
        Folder of the release; its ``train`` rows give the mix of lengths.
    settings
        What is measured.
    on_progress
        Told what runs.

    Raises
    ------
    BenchmarkError
        If there is no release, or a run of the trainer fails.
    """
    if not any(dataset.rglob("*.parquet")):
        raise BenchmarkError(
            f"dataset {str(dataset)!r} holds no Parquet file; run `neurogloss demo` for the demo's "
            "release, or name another with --dataset"
        )
    given = settings or TrainSettings()
    rounds: dict[str, list[TrainRate]] = {}
    notes = []
    has_trl = importlib.util.find_spec("trl") is not None
    if not has_trl:
        notes.append("TRL's SFTTrainer was not measured: the package trl is not installed")
    with tempfile.TemporaryDirectory() as home:
        for number in range(given.rounds):
            for name, packing in ((PADDED, "null"), (PACKED, str(given.packing))):
                on_progress(f"round {number + 1}: {name}")
                out = Path(home, f"{name}-{number}")
                rounds.setdefault(name, []).append(_ours(dataset, out, packing, given))
            if has_trl:
                on_progress(f"round {number + 1}: {TRL}")
                base = Path(home, f"{PADDED}-{number}")
                rounds.setdefault(TRL, []).append(_trl(dataset, base, given))
    rates = {name: _median(runs) for name, runs in rounds.items()}
    if rates[PACKED].mfu is None:
        notes.append("MFU is not measured: no GPU with a known bf16 peak")
    if has_trl:
        notes.append(
            "TRL counts the last answer of a conversation as loss-bearing, this trainer every one; "
            "compare all tokens a second too"
        )
    return TrainReport(given, rates, notes)


def _ours(dataset: Path, out: Path, packing: str, settings: TrainSettings) -> TrainRate:
    changed = {
        "packing": packing,
        "micro_batch": settings.micro_batch,
        "accumulation": 1,
        "max_steps": settings.steps,
        "epochs": 1000,
    }
    words = [f"--set=stage2.{key}={value}" for key, value in changed.items()]
    words += ["--set=machine.checkpoint_every=100000", "--json", "--out", str(out)]
    result = _run(
        ["training", "stage2", "--recipe", settings.recipe, "--dataset", str(dataset), *words]
    )
    return TrainRate(**{name: result[name] for name in TrainRate.__slots__})


def _trl(dataset: Path, base: Path, settings: TrainSettings) -> TrainRate:
    words = ["--dataset", str(dataset), "--model", str(base), "--steps", str(settings.steps)]
    words += ["--micro-batch", str(settings.micro_batch)]
    return TrainRate(**_run(["benchmark.train.trl_worker", *words]))


def _run(words: Sequence[str]) -> dict[str, Any]:
    """Run a module as a program and return the JSON object of its last line."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise BenchmarkError(f"{words[0]} ended with status {done.returncode}: {said}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def _median(runs: Sequence[TrainRate]) -> TrainRate:
    columns = {name: [getattr(run, name) for run in runs] for name in TrainRate.__slots__}
    middle: dict[str, Any] = {
        name: None if None in values else statistics.median(values)
        for name, values in columns.items()
    }
    return TrainRate(**middle)


def report_tables(report: TrainReport) -> Iterator[Table]:
    """Yield the table of a report, for a terminal."""
    from rich.table import Table

    columns = (
        "system", "tokens/s", "answers/s", "padded", "data wait", "TFLOP/s", "MFU", "MB",
        "packed over it",
    )  # fmt: skip
    s = report.settings
    title = f"training, {s.micro_batch} samples a step, {s.rounds} x {s.steps} steps"
    table = Table(*columns, title=title)
    for name, r in report.rates.items():
        table.add_row(
            name,
            f"{r.tokens_per_s:.0f}",
            f"{r.label_tokens_per_s:.0f}",
            f"{r.padded_share:.1%}",
            _shown(r.data_wait_share, ".1%"),
            _shown(r.tflops_per_s, ".4f"),
            _shown(r.mfu, ".1%"),
            f"{r.memory_mb:.0f}",
            _shown(report.speedup(name), ".2f"),
        )
    yield table


def _shown(value: float | None, form: str) -> str:
    return "not measured" if value is None else format(value, form)
