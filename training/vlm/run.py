"""One stage from recipe to finished model: checks first, then the loop, then the folder.

Layout::

    OUT/                      the finished model; appears whole, by one rename
        metrics.jsonl         one line per optimiser step
        dropped.jsonl         rows set aside, with cause
        training.json         provenance
        result.json           what the run came to, timings included
    .OUT.work/<run>/          the same records and checkpoints while the run goes; then removed

``<run>`` is a hash of settings, data and base. A run only ever takes up its own checkpoints, and a
finished run asked for again is reported, not repeated.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from training.vlm.batch import Batch, batches
from training.vlm.checkpoint import CheckpointStore, TrainState, recover_folder
from training.vlm.config import BuiltModel, Recipe, StageConfig, StageName
from training.vlm.data import InstructionDataset, Position, open_dataset
from training.vlm.encode import Encoder
from training.vlm.errors import MachineError
from training.vlm.freeze import apply_freeze_map, freeze_table
from training.vlm.loop import StopFlag, TrainTask, train
from training.vlm.model import Vlm, fingerprint
from training.vlm.optim import Plan, plan_steps
from training.vlm.output import (
    PROVENANCE_FILE,
    Provenance,
    code_version,
    library_versions,
    write_model,
)
from training.vlm.prepare import Base, check_disk, check_machine, find_base, load_base, place
from training.vlm.report import Reporter, Reporters, StepLog
from training.vlm.tokenizer import PAD

RESULT_FILE = "result.json"
TRAIN_SPLIT = "train"


@dataclass(frozen=True, slots=True)
class StageRequest:
    """What to train.

    Parameters
    ----------
    recipe_name, recipe
        The recipe and what it is called.
    stage
        ``stage1`` or ``stage2``.
    dataset
        Folder of the instruction dataset.
    out
        Folder of the finished model; replaced if this trainer wrote it.
    base
        Model folder to begin from instead of the recipe's model: stage 1's output for stage 2.
    is_fresh
        Forget checkpoints and a finished result.
    """

    recipe_name: str
    recipe: Recipe
    stage: StageName
    dataset: Path
    out: Path
    base: Path | None = None
    is_fresh: bool = False

    @property
    def config(self) -> StageConfig:
        """Hyper-parameters of the stage."""
        return self.recipe.stage(self.stage)


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage came to.

    Parameters
    ----------
    run, code_version
        Hash of settings, data and base; hash of the trainer's source.
    model
        Folder of the finished model.
    model_fingerprint
        SHA-256 over its weights, config and vocabulary.
    dataset_fingerprint, base_fingerprint
        What it was made from.
    n_steps, n_samples, n_tokens, n_label_tokens, n_dropped
        What was trained on.
    losses
        Of every step, nats per answer token.
    tokens_per_s, label_tokens_per_s, data_wait_share
        Over all steps but the first, which warms up.
    wall_s
        Time of this launch, loading included.
    memory_mb
        Peak.
    padded_share, tflops_per_s, mfu
        As in :class:`training.vlm.report.StepReport`, over all steps but the first.
    """

    run: str
    code_version: str
    model: str
    model_fingerprint: str
    dataset_fingerprint: str
    base_fingerprint: str
    n_steps: int
    n_samples: int
    n_tokens: int
    n_label_tokens: int
    n_dropped: Mapping[str, int]
    losses: Sequence[float]
    tokens_per_s: float
    label_tokens_per_s: float
    data_wait_share: float
    wall_s: float
    memory_mb: float
    padded_share: float = 0.0
    tflops_per_s: float = 0.0
    mfu: float | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    """One launch: what was asked and what it was found to mean."""

    request: StageRequest
    dataset: InstructionDataset
    plan: Plan
    base: Base
    device: str
    begun: float

    @property
    def key(self) -> str:
        """Hash of all that shapes the result; of the base's recipe where it is still unbuilt."""
        recipe = self.request.recipe
        is_built = self.base.folder is not None
        parts = {
            "stage": self.request.stage,
            "config": self.request.config.model_dump(),
            "image": recipe.image.model_dump(),
            "base": self.base.fingerprint if is_built else recipe.model.model_dump(),
            "dataset": self.dataset.fingerprint,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def work(self) -> Path:
        """Home of its checkpoints."""
        return _beside(self.request.out, "work") / self.key


def run_stage(request: StageRequest, reporters: Sequence[Reporter] = ()) -> StageResult:
    """Train one stage, or report the finished result of the same run.

    Raises
    ------
    TrainerError
        One of its family, in one sentence; see :mod:`training.vlm.errors`.
    """
    begun = time.perf_counter()
    device = check_machine(request.config)
    dataset = open_dataset(request.dataset, TRAIN_SPLIT)
    plan = plan_steps(request.config, dataset.n_rows)
    base = find_base(request.recipe, request.base)
    run = _Run(request, dataset, plan, base, device, begun)
    listeners = Reporters(reporters)
    with _locked(request.out), StopFlag() as stop:
        recover_folder(request.out)
        _check_replaceable(request.out)
        done = None if request.is_fresh else _finished(run)
        if done is not None:
            listeners.message("already finished with the same recipe, data, base and code")
            return done
        if request.is_fresh:
            shutil.rmtree(run.work, ignore_errors=True)
        try:
            return _carry_out(run, listeners, stop)
        except OSError as error:
            raise MachineError(f"output {str(request.out)!r} cannot be written: {error}") from error


def _carry_out(run: _Run, listeners: Reporters, stop: StopFlag) -> StageResult:
    request = run.request
    vlm, base = load_base(request.recipe, run.base, run.dataset.texts(), run.work)
    table = freeze_table(apply_freeze_map(vlm.model, request.config.train))
    listeners.message(
        f"{table}\n{run.plan.describe()}; {run.dataset.n_rows:,} rows; device {run.device}"
    )
    check_disk(request.out.parent, vlm)
    place(vlm.model, request.config, run.device)
    log = StepLog(run.work)
    state = train(_task(run, vlm, log, listeners, stop))
    results: list[StageResult] = []

    def finish(part: Path) -> None:
        log.copy_to(part)
        results.append(_result(run, base, state, log, fingerprint(part)))
        text = json.dumps(asdict(results[0]), indent=1)
        (part / RESULT_FILE).write_text(text + "\n", encoding="utf-8")

    write_model(vlm, request.out, _provenance(run, base, table, state, log), finish)
    shutil.rmtree(_beside(request.out, "work"), ignore_errors=True)
    return results[0]


def _task(run: _Run, vlm: Vlm, log: StepLog, listeners: Reporters, stop: StopFlag) -> TrainTask:
    config, machine = run.request.config, run.request.recipe.machine
    encode = Encoder(vlm.processor, config.max_length)
    pad_id = vlm.processor.tokenizer.convert_tokens_to_ids(PAD)

    def load(position: Position) -> Iterator[Batch]:
        rows = run.dataset.rows(config.seed, config.shuffle_rows, position, config.epochs)
        return batches(rows, encode, config, pad_id, machine.n_workers)

    return TrainTask(
        model=vlm.model,
        config=config,
        plan=run.plan,
        device=run.device,
        load=load,
        store=CheckpointStore(run.work, machine.n_checkpoints_kept),
        checkpoint_every=machine.checkpoint_every,
        log=log,
        reporters=listeners,
        stop=stop,
    )


def _provenance(run: _Run, base: Base, table: str, state: TrainState, log: StepLog) -> Provenance:
    recipe = run.request.recipe
    return Provenance(
        stage=run.request.stage,
        recipe=run.request.recipe_name,
        # machine settings do not change the result, so they are no part of where it came from
        recipe_settings=recipe.model_dump(mode="json", exclude={"machine"}),
        schedule=run.plan.describe(),
        base=base.name,
        base_fingerprint=base.fingerprint,
        is_tiny=isinstance(recipe.model, BuiltModel),
        licence=recipe.model.licence,
        dataset_fingerprint=run.dataset.fingerprint,
        dataset_split=run.dataset.split,
        n_rows=run.dataset.n_rows,
        code_version=code_version(),
        versions=library_versions(),
        freeze_map=table,
        n_steps=state.step,
        n_samples=state.n_samples,
        n_tokens=state.n_tokens,
        n_label_tokens=state.n_label_tokens,
        n_dropped=dict(state.n_dropped),
        losses=log.losses(),
        note=recipe.note,
    )


def _result(run: _Run, base: Base, state: TrainState, log: StepLog, weights: str) -> StageResult:
    entries = log.entries()
    timed = entries[1:] or entries
    seconds = sum(e["step_s"] for e in timed)
    waited = sum(e["data_wait_share"] * e["step_s"] for e in timed)
    tokens = sum(e["n_tokens"] for e in timed)
    shares = [e["mfu"] and e["mfu"] * e["step_s"] for e in timed]
    return StageResult(
        run=run.key,
        code_version=code_version(),
        model=str(run.request.out),
        model_fingerprint=weights,
        dataset_fingerprint=run.dataset.fingerprint,
        base_fingerprint=base.fingerprint,
        n_steps=state.step,
        n_samples=state.n_samples,
        n_tokens=state.n_tokens,
        n_label_tokens=state.n_label_tokens,
        n_dropped=dict(state.n_dropped),
        losses=[e["loss"] for e in entries],
        tokens_per_s=tokens / seconds,
        label_tokens_per_s=sum(e["n_label_tokens"] for e in timed) / seconds,
        data_wait_share=waited / seconds,
        wall_s=time.perf_counter() - run.begun,
        memory_mb=max(e["memory_mb"] for e in entries),
        padded_share=1 - tokens / sum(e["n_tokens"] / (1 - e["padded_share"]) for e in timed),
        tflops_per_s=sum(e["tflops_per_s"] * e["step_s"] for e in timed) / seconds,
        mfu=None if None in shares else sum(shares) / seconds,
    )


def _finished(run: _Run) -> StageResult | None:
    out = run.request.out
    path = out / RESULT_FILE
    if not path.is_file():
        return None
    result = StageResult(**json.loads(path.read_text(encoding="utf-8")))
    is_same = result.run == run.key and result.code_version == code_version()
    return result if is_same and fingerprint(out) == result.model_fingerprint else None


def _check_replaceable(out: Path) -> None:
    """Refuse to replace a folder this trainer did not write."""
    if not out.exists() or (out / PROVENANCE_FILE).is_file():
        return
    if not out.is_dir() or any(out.iterdir()):
        raise MachineError(
            f"output {str(out)!r} exists and holds no model of this trainer; name another folder"
        )


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Keep a second run out of the same folder."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = _beside(out, "lock").open("w")
    except OSError as error:
        raise MachineError(f"output {str(out)!r} cannot be written: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MachineError(f"another run is writing to {str(out)!r}; wait for it") from error
        yield


def _beside(out: Path, suffix: str) -> Path:
    return out.with_name(f".{out.name}.{suffix}")
