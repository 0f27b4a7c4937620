"""A signal in the middle of an effective batch loses nothing and adds nothing."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from training.vlm.batch import Batch, batches
from training.vlm.checkpoint import CheckpointStore
from training.vlm.config import Recipe
from training.vlm.data import Position, open_dataset
from training.vlm.encode import Encoder
from training.vlm.errors import Interrupted
from training.vlm.freeze import apply_freeze_map
from training.vlm.loop import Diverged, TrainTask, answer_loss, train
from training.vlm.model import Vlm
from training.vlm.optim import plan_steps
from training.vlm.parallel import Team
from training.vlm.report import Reporters, StepLog
from training.vlm.signals import StopFlag

Spoil = Callable[[int, Batch], None]


@pytest.fixture
def carry_out(
    vlm: Vlm, release: Path, recipe: Callable[..., Recipe], tmp_path: Path
) -> Callable[..., Any]:
    """Train a copy of the model; ``spoil`` is called with every micro-batch before it is used."""
    config = recipe().stage1
    data = open_dataset(release, "train")
    encode = Encoder(vlm.processor, 512)

    def run(name: str, spoil: Spoil = lambda number, batch: None) -> Any:
        model = copy.deepcopy(vlm.model)
        apply_freeze_map(model, config.train)

        def load(position: Position) -> Iterator[Batch]:
            rows = data.rows(config.seed, config.shuffle_rows, position, config.epochs)
            for number, batch in enumerate(batches(rows, encode, config, 0, 0)):
                spoil(number, batch)
                yield batch

        with StopFlag() as stop:
            train(
                TrainTask(
                    model=model,
                    config=config,
                    plan=plan_steps(config, data.n_rows),
                    device="cpu",
                    load=load,
                    score=lambda batch: answer_loss(model, batch, "cpu"),
                    store=CheckpointStore(tmp_path / name, 2),
                    checkpoint_every=100,
                    log=StepLog(tmp_path / name),
                    reporters=Reporters([]),
                    team=Team(stop),
                )
            )
        return model.model.visual.merger.state_dict()

    return run


@pytest.mark.parametrize("number", [0, 1, 4, 5], ids=lambda n: f"micro-batch-{n}")
def test_signal_at_any_micro_batch_leaves_the_last_whole_step(
    carry_out: Callable[..., Any], tmp_path: Path, number: int
) -> None:
    def interrupt(n: int, batch: Batch) -> None:
        if n == number:
            os.kill(os.getpid(), signal.SIGTERM)

    unbroken = carry_out("whole")
    with pytest.raises(Interrupted, match=rf"after step {number // 2}; "):
        carry_out("broken", interrupt)
    assert [p.name for p in (tmp_path / "broken").glob("step-*")] == [f"step-{number // 2:08d}"]
    resumed = carry_out("broken")
    assert all(unbroken[name].equal(resumed[name]) for name in unbroken)


def test_handlers_are_put_back(carry_out: Callable[..., Any]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    carry_out("whole")
    assert signal.getsignal(signal.SIGTERM) is before


def test_loss_that_is_no_number_stops_the_run(carry_out: Callable[..., Any]) -> None:
    def spoil(number: int, batch: Batch) -> None:
        if number == 2:
            batch.inputs["pixel_values"].fill_(float("nan"))

    with pytest.raises(Diverged, match="the loss of step 2 is nan"):
        carry_out("whole", spoil)
