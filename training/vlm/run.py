"""One stage from recipe to finished model: checks first, then the loop, then the folder.

Layout::

    OUT/                      the finished model; appears whole, by one rename
        metrics.jsonl         one line per optimiser step
        dropped.jsonl         rows set aside, with cause
        training.json         provenance
        result.json           what the run came to, timings included
    .OUT.work/<run>/          the same records and checkpoints while the run goes; then removed

``<run>`` is a hash of settings, data and base. A run only ever takes up its own checkpoints
(:mod:`training.vlm.work`), and a finished run asked for again is reported, not repeated.

Several processes of a launcher (:mod:`training.vlm.parallel`) carry out one run together. The first
of them owns the folders; all read them, so they lie on storage that every machine of the run sees.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.vlm.base_config import BuiltModel
from training.vlm.batch import Batch, Fillers, batches
from training.vlm.checkpoint import CheckpointStore, TrainState, recover_folder
from training.vlm.config import Recipe, StageConfig, StageName
from training.vlm.data import InstructionDataset, Position, open_dataset
from training.vlm.encode import Encoder
from training.vlm.errors import RecipeError
from training.vlm.freeze import apply_freeze_map, freeze_table, trained_parameters
from training.vlm.loop import TrainTask, answer_loss, train
from training.vlm.lora import attach_adapters
from training.vlm.model import Vlm, fingerprint, load_model
from training.vlm.optim import Plan, plan_steps
from training.vlm.output import Provenance, code_version, library_versions, write_model
from training.vlm.parallel import Team, joined
from training.vlm.prepare import (
    Base,
    check_disk,
    check_machine,
    find_base,
    is_sharded,
    leave_cores,
    left_out,
    place,
    store_base,
)
from training.vlm.report import Reporter, Reporters, StepLog
from training.vlm.result import RESULT_FILE, Origin, StageResult, stage_result
from training.vlm.shard import whole_tensors
from training.vlm.tokenizer import PAD
from training.vlm.work import beside, check_replaceable, enter, locked, run_key, unwritable

TRAIN_SPLIT = "train"


@dataclass(frozen=True, slots=True)
class StageRequest:
    """What to train.

    Parameters
    ----------
    recipe_name, recipe
        The recipe and what it is called.
    stage
        One the recipe declares.
    dataset
        Folder of the instruction dataset.
    out
        Folder of the finished model; replaced if this trainer wrote it.
    base
        Model folder to begin from instead of the recipe's model: the output of the stage before.
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
class _Run:
    """One launch: what was asked and what it was found to mean."""

    request: StageRequest
    dataset: InstructionDataset
    plan: Plan
    base: Base
    device: str
    begun: float

    @property
    def parts(self) -> dict[str, Any]:
        """All that shapes the result; of the base its recipe where it is still unbuilt."""
        recipe = self.request.recipe
        is_built = self.base.folder is not None
        return {
            "stage": self.request.stage,
            "config": self.request.config.model_dump(),
            "image": recipe.image.model_dump(),
            "base": self.base.fingerprint if is_built else recipe.model.model_dump(),
            "dataset": self.dataset.fingerprint,
        }

    @property
    def key(self) -> str:
        """Hash of all that shapes the result."""
        return run_key(self.parts)

    @property
    def work(self) -> Path:
        """Home of its checkpoints."""
        return beside(self.request.out, "work") / self.key


def run_stage(request: StageRequest, reporters: Sequence[Reporter] = ()) -> StageResult:
    """Train one stage, or report the finished result of the same run.

    Raises
    ------
    TrainerError
        One of its family, in one sentence; see :mod:`training.vlm.errors`.
    """
    begun = time.perf_counter()
    with joined() as team, ExitStack() as held:
        run = team.all(lambda: _understand(request, begun))
        team.same(run.key, "the hash of recipe, data and base")
        listeners = Reporters(reporters if team.is_first else ())
        done = team.first(lambda: _claim(run, held))
        if done is not None:
            listeners.message("already finished with the same recipe, data, base and code")
            result: StageResult = done
            return result
        try:
            return _carry_out(run, listeners, team)
        except OSError as error:
            raise unwritable(request.out, error) from error


def _understand(request: StageRequest, begun: float) -> _Run:
    """Find out what a request means."""
    _check_order(request)
    device = check_machine(request.config)
    dataset = open_dataset(request.dataset, TRAIN_SPLIT)
    plan = plan_steps(request.config, dataset.n_rows)
    base = find_base(request.recipe, request.base)
    return _Run(request, dataset, plan, base, device, begun)


def _claim(run: _Run, held: ExitStack) -> StageResult | None:
    """Take hold of the output folder; return what lies there if it is this run's result."""
    out = run.request.out
    held.enter_context(locked(out))
    recover_folder(out)
    check_replaceable(out)
    if run.request.is_fresh:
        shutil.rmtree(run.work, ignore_errors=True)
        return None
    return _finished(run)


def _check_order(request: StageRequest) -> None:
    """Refuse a later stage on random weights where the recipe says what comes before it."""
    if request.base is None and request.stage != "stage0" and request.recipe.stage0 is not None:
        raise RecipeError(
            f"recipe {request.recipe_name!r} declares stage0, so {request.stage} begins from its "
            "output; give that folder as --base"
        )


def _carry_out(run: _Run, listeners: Reporters, team: Team) -> StageResult:
    request = run.request
    leave_cores(request.recipe.machine.n_workers)
    if said := team.first(lambda: enter(run.work, run.parts, code_version())):
        listeners.message(said)
    base = team.first(lambda: _store_base(run))
    vlm, table = team.all(lambda: _load(run, base))
    is_split = is_sharded(request.recipe.machine, run.device, team.size)
    listeners.message(
        f"{table}\n{run.plan.describe()}; {run.dataset.n_rows:,} rows; device {run.device}"
        f"{_team_words(team, is_split)}{left_out(request.recipe, request.stage, request.base)}"
    )
    n_kept = request.recipe.machine.n_checkpoints_kept
    team.first(lambda: check_disk(request.out.parent, vlm, n_kept, run.work))
    log = StepLog(run.work)
    state = train(_task(run, vlm, log, listeners, team, is_split))
    # where frozen weights were split or rounded to compute with, the base is read again
    is_changed = is_split or (request.config.precision == "bf16" and vlm.dtype != "bfloat16")
    with team.reaching():
        held = trained_parameters(vlm.model)
        trained = whole_tensors(held, team.is_first) if is_changed else None
    result: StageResult = team.first(lambda: _finish(run, vlm, trained, base, table, state, log))
    return result


def _store_base(run: _Run) -> Base:
    try:
        return store_base(run.request.recipe, run.base, run.dataset.texts(), run.work)
    except OSError as error:
        raise unwritable(run.request.out, error) from error


def _load(run: _Run, base: Base) -> tuple[Vlm, str]:
    """Load the base as the stage trains it, and return it with its freeze map."""
    config = run.request.config
    if base.folder is None:
        raise TypeError("the base has not been stored")
    vlm = load_model(base.folder, run.request.recipe.image, base.name)
    if config.lora:
        attach_adapters(vlm.model, config.lora, config.seed)
    return vlm, freeze_table(apply_freeze_map(vlm.model, config.train))


def _finish(
    run: _Run,
    vlm: Vlm,
    trained: Mapping[str, Any] | None,
    base: Base,
    table: str,
    state: TrainState,
    log: StepLog,
) -> StageResult:
    """Write the finished model; ``trained`` are the whole tensors to put on the base, if any."""
    request = run.request
    results: list[StageResult] = []
    if trained is not None:
        vlm, _ = _load(run, base)
        vlm.model.load_state_dict(trained, strict=False)

    def finish(part: Path) -> None:
        log.copy_to(part)
        origin = Origin(
            run=run.key,
            model=str(request.out),
            model_fingerprint=fingerprint(part),
            dataset_fingerprint=run.dataset.fingerprint,
            base_fingerprint=base.fingerprint,
        )
        wall_s = time.perf_counter() - run.begun
        results.append(stage_result(origin, state, log.entries(), wall_s))
        # by name: the folder may be moved, and where it lay is nobody else's business
        text = json.dumps(asdict(results[0]) | {"model": request.out.name}, indent=1)
        (part / RESULT_FILE).write_text(text + "\n", encoding="utf-8")

    try:
        write_model(vlm, request.out, _provenance(run, base, table, state, log), finish)
    except OSError as error:
        raise unwritable(request.out, error) from error
    shutil.rmtree(beside(request.out, "work"), ignore_errors=True)
    return results[0]


def _team_words(team: Team, is_split: bool) -> str:
    if team.size == 1:
        return ""
    how = "weights split over them" if is_split else "each with all weights"
    return f"; {team.size} processes, {how}"


def _task(
    run: _Run, vlm: Vlm, log: StepLog, listeners: Reporters, team: Team, is_split: bool
) -> TrainTask:
    config, machine, tokenizer = (
        run.request.config,
        run.request.recipe.machine,
        vlm.processor.tokenizer,
    )
    encode = Encoder(vlm.processor, config.max_length)
    pad_id = tokenizer.convert_tokens_to_ids(PAD)
    fillers = Fillers.of(pad_id, vlm.processor.image_token_id) if is_split else None
    device = run.device

    def load(position: Position) -> Iterator[Batch]:
        rows = run.dataset.rows(
            config.seed,
            config.shuffle_rows,
            position,
            config.epochs,
            lambda at: at.row % team.size == team.rank,
        )
        return batches(rows, encode, config, pad_id, machine.n_workers, team, fillers)

    return TrainTask(
        model=vlm.model,
        config=config,
        plan=run.plan,
        device=device,
        load=load,
        score=place(
            vlm.model, config, device, lambda batch: answer_loss(vlm.model, batch, device), is_split
        ),
        store=CheckpointStore(run.work, machine.n_checkpoints_kept, code_version()),
        checkpoint_every=machine.checkpoint_every,
        log=log,
        reporters=listeners,
        team=team,
        is_sharded=is_split,
    )


def _provenance(run: _Run, base: Base, table: str, state: TrainState, log: StepLog) -> Provenance:
    recipe = run.request.recipe
    return Provenance(
        stage=run.request.stage,
        recipe=run.request.recipe_name,
        recipe_settings=recipe.shown_settings(),
        schedule=run.plan.describe(),
        base=base.name,
        base_fingerprint=base.fingerprint,
        is_tiny=isinstance(recipe.model, BuiltModel),
        licence=recipe.model.licence,
        dataset_fingerprint=run.dataset.fingerprint,
        dataset_split=run.dataset.split,
        n_rows=run.dataset.n_rows,
        code_version=code_version(),
        earlier_codes=[code for code in state.codes if code != code_version()],
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


def _finished(run: _Run) -> StageResult | None:
    out = run.request.out
    path = out / RESULT_FILE
    if not path.is_file():
        return None
    known = json.loads(path.read_text(encoding="utf-8"))
    # asked first: another version of the trainer may have recorded other fields
    if (known.get("run"), known.get("code_version")) != (run.key, code_version()):
        return None
    result = StageResult(**known | {"model": str(out)})
    return result if fingerprint(out) == result.model_fingerprint else None
