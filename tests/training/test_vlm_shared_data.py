"""Several processes share the rows of a step out and train on each exactly once."""

from __future__ import annotations

import copy
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from training.vlm.batch import Batch, Fillers, batches, collate, collate_packed
from training.vlm.config import Recipe, StageConfig
from training.vlm.data import InstructionDataset, Position, open_dataset
from training.vlm.encode import Encoder
from training.vlm.loop import answer_loss
from training.vlm.model import Vlm
from training.vlm.packing import use_packed_attention
from training.vlm.parallel import Team
from training.vlm.signals import StopFlag
from training.vlm.tokenizer import PAD

PAIR = [{"role": "user", "content": "Is it so?"}, {"role": "assistant", "content": "It is."}]


class Threads:
    """Exchange between threads instead of processes."""

    def __init__(self, size: int) -> None:
        self._barrier = threading.Barrier(size, timeout=30)
        self._values: list[Any] = [None] * size

    def exchange(self, rank: int, value: Any) -> list[Any]:
        self._values[rank] = value
        self._barrier.wait()
        found = list(self._values)
        self._barrier.wait()
        return found


class Threaded(Team):
    """One of several threads that stand for processes."""

    def __init__(self, rank: int, size: int, threads: Threads) -> None:
        super().__init__(StopFlag(), rank, size)
        self._threads = threads

    def gather(self, value: Any) -> list[Any]:
        return self._threads.exchange(self.rank, value)


Steps = list[list[Batch]]
Shared = Callable[..., list[Steps]]


def _steps(found: Iterator[Batch]) -> Steps:
    steps: Steps = [[]]
    for batch in found:
        steps[-1].append(batch)
        if batch.is_step_end:
            steps.append([])
    return [step for step in steps if step]  # the end of the data ends a step too


@pytest.fixture(scope="module")
def data(
    write: Callable[..., Path],
    make_sample: Callable[..., dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> InstructionDataset:
    """26 rows: 3 of them unusable and side by side in the file, 5 without a picture."""
    rows = [make_sample(i) for i in range(26)]
    for i in (10, 11, 12):
        rows[i]["messages"] = []
    for i in (3, 4, 17, 18, 19):
        rows[i] |= {"images": [], "messages": PAIR}
    return open_dataset(write(tmp_path_factory.mktemp("shared") / "d", rows), "train")


@pytest.fixture
def share(vlm: Vlm, data: InstructionDataset) -> Shared:
    """Return the steps of every one of ``size`` processes."""
    encode = Encoder(vlm.processor, 512)
    pad_id = vlm.processor.tokenizer.convert_tokens_to_ids(PAD)
    fillers = Fillers.of(pad_id, vlm.processor.image_token_id)

    def run(
        size: int, config: StageConfig, start: Position | None = None, is_filled: bool = False
    ) -> list[Steps]:
        threads = Threads(size)

        def one(rank: int) -> Steps:
            team = Threaded(rank, size, threads)
            rows = data.rows(
                config.seed,
                config.shuffle_rows,
                start or Position(),
                config.epochs,
                lambda at: at.row % size == rank,
            )
            filled = fillers if is_filled else None
            return _steps(batches(rows, encode, config, pad_id, 1, team, filled))

        with ThreadPoolExecutor(size) as pool:
            return list(pool.map(one, range(size)))

    return run


@pytest.fixture(params=[None, 512], ids=["padded", "packed"])
def config(request: pytest.FixtureRequest, recipe: Callable[..., Recipe]) -> StageConfig:
    """Steps of 6 samples over two epochs of 23 usable rows."""
    changes = {"micro_batch": 2, "accumulation": 3, "epochs": 2, "packing": request.param}
    return recipe(stage1=changes).stage1


def _ids(steps: Steps) -> list[list[str]]:
    return [sorted(i for batch in step for i in batch.sample_ids) for step in steps]


def _together(found: list[Steps]) -> list[list[str]]:
    return [sorted(chain(*ids)) for ids in zip(*map(_ids, found), strict=True)]


@pytest.mark.parametrize("size", [2, 3, 8])
def test_a_step_holds_the_samples_it_holds_with_one_process(
    share: Shared, config: StageConfig, size: int
) -> None:
    (alone,), found = share(1, config), share(size, config)
    assert _together(found) == _ids(alone)
    assert set(Counter(i for ids in _ids(alone) for i in ids).values()) == {2}
    for steps in found:
        ends = [step[-1].position for step in steps]
        assert ends == [step[-1].position for step in alone]
        assert _drops(steps) == _drops([*alone])
    n_each = [sum(len(ids) for ids in _ids(steps)) for steps in found]
    assert max(n_each) - min(n_each) <= 4 * 46 // (6 * size) + 4


def _drops(steps: Steps) -> list[str]:
    return [drop.sample_id for step in steps for batch in step for drop in batch.drops]


def test_taken_up_at_any_step_every_process_gets_its_own_rows_again(
    share: Shared, config: StageConfig
) -> None:
    found = share(2, config)
    for number, step in enumerate(found[0][:-1]):
        again = share(2, config, step[-1].position)
        assert [_ids(steps) for steps in again] == [_ids(steps[number + 1 :]) for steps in found]


def test_filled_up_processes_run_the_same_parts_equally_often(
    share: Shared, config: StageConfig
) -> None:
    plain, filled = share(3, config), share(3, config, is_filled=True)
    assert _together(filled) == _together(plain)
    shapes = [
        [[("pixel_values" in b.inputs, b.is_step_end) for b in step] for step in steps]
        for steps in filled
    ]
    assert shapes[0] == shapes[1] == shapes[2]
    batches = [b for steps in filled for step in steps for b in step]
    assert any(b.filler_lengths for b in batches)
    # what fills up is in no count, carries no loss, and is there only where it is needed
    assert sum(b.n_tokens for b in batches) == sum(
        b.n_tokens for steps in plain for step in steps for b in step
    )
    for batch in batches:
        assert int((batch.labels != -100).sum()) <= batch.n_label_tokens
        assert batch.sample_ids or batch.filler_lengths


@pytest.mark.parametrize("is_packed", [False, True], ids=["padded", "packed"])
def test_filler_changes_no_loss_and_no_gradient(
    vlm: Vlm, make_sample: Callable[..., dict[str, Any]], is_packed: bool
) -> None:
    model = copy.deepcopy(vlm.model)
    encode = Encoder(vlm.processor, 512)
    pad_id = vlm.processor.tokenizer.convert_tokens_to_ids(PAD)
    fillers = Fillers.of(pad_id, vlm.processor.image_token_id)
    sample = encode(make_sample(0, images=[], messages=PAIR))

    def outcome(batch: Batch) -> tuple[float, dict[str, Any]]:
        model.zero_grad(set_to_none=True)
        loss = answer_loss(model, batch, "cpu")
        loss.backward()
        return loss.item(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}

    def batch(samples: list[Any], filler: Any = None) -> Batch:
        at = Position()
        if is_packed:
            return collate_packed(samples, at, (), filler)
        return collate(samples, pad_id, at, (), filler)

    if is_packed:
        use_packed_attention(model, "cpu", "fp32")
    loss, gradients = outcome(batch([sample]))
    same, more = outcome(batch([sample], fillers.picture))
    assert same == pytest.approx(loss, abs=1e-5)
    assert all(more[n].allclose(g, atol=1e-5) for n, g in gradients.items())
    seen = [g for n, g in more.items() if "visual" in n]
    assert seen
    assert not any(g.any() for g in seen)
    for filler in (fillers.text, fillers.picture):
        nothing, none = outcome(batch([], filler))
        assert nothing == 0
        assert none
        assert not any(g.any() for g in none.values())
