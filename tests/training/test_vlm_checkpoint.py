"""Folders that appear whole or not at all."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from training.vlm.checkpoint import (
    CheckpointStore,
    TrainState,
    clear_leftovers,
    recover_folder,
    write_folder,
)
from training.vlm.config import Recipe
from training.vlm.data import Position
from training.vlm.errors import MachineError
from training.vlm.optim import build_optimizer, optimizer_tensors


@contextmanager
def _largest_file(n_bytes: int) -> Iterator[None]:
    """Let the operating system refuse longer files, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _contents(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture
def save(tmp_path: Path, recipe: Callable[..., Recipe]) -> Callable[..., Path]:
    """Save ``n`` weights after one update, as step ``step``."""
    import torch

    def make(step: int, n: int = 6, name: str = "w", n_kept: int = 2, **state: Any) -> Path:
        weight = torch.nn.Parameter(torch.arange(float(n)))
        weight.grad = torch.ones(n)
        optimizer = build_optimizer({name: weight}, recipe().stage1)
        optimizer.step()
        return CheckpointStore(tmp_path, n_kept).save(
            TrainState(step, **state),
            {name: weight},
            optimizer_tensors(optimizer, {name: weight}),
            [{"cpu": torch.full((4,), rank, dtype=torch.uint8)} for rank in range(2)],
        )

    return make


def _restored(path: Path, recipe: Recipe, rank: int = 0, n: int = 6, name: str = "w") -> Any:
    import torch

    weight = torch.nn.Parameter(torch.zeros(n))
    optimizer = build_optimizer({name: weight}, recipe.stage1)
    store = CheckpointStore(path.parent, 2)
    return weight, optimizer.state, store.restore(path, {name: weight}, optimizer, rank)


def test_everything_comes_back(save: Callable[..., Path], recipe: Callable[..., Recipe]) -> None:
    import torch

    fields = {"position": Position(1, 5), "n_samples": 12, "n_dropped": {"no answer": 2}}
    path = save(3, **fields, n_processes=2)
    assert _contents(path) == ["optimizer.safetensors", "state.json", "weights.safetensors"]
    assert CheckpointStore(path.parent, 2).latest() == path
    weight, moments, (state, rng) = _restored(path, recipe())
    assert state == TrainState(3, **fields, n_processes=2)
    # the first step of AdamW moves every weight by the learning rate, whatever its gradient
    assert torch.allclose(weight, torch.arange(6.0) - 1e-3)
    assert torch.equal(moments[weight]["exp_avg"], torch.full((6,), 0.1))
    assert int(moments[weight]["step"]) == 1
    assert rng["cpu"].tolist() == [0] * 4


@pytest.mark.parametrize(("rank", "names"), [(1, {"cpu"}), (2, set())], ids=["there", "new"])
def test_every_process_has_its_own_random_state(
    save: Callable[..., Path], recipe: Callable[..., Recipe], rank: int, names: set[str]
) -> None:
    *_, (_, rng) = _restored(save(1), recipe(), rank)
    assert rng.keys() == names
    assert all(value.tolist() == [rank] * 4 for value in rng.values())


def test_only_the_newest_are_kept(save: Callable[..., Path], tmp_path: Path) -> None:
    for step in (1, 2, 10):
        save(step)
    assert _contents(tmp_path) == ["step-00000002", "step-00000010"]


def test_step_that_is_kept_is_not_written_again(save: Callable[..., Path]) -> None:
    """A kill while it is replaced would lose it."""
    path = save(4)
    before = path.stat().st_ino
    assert save(4) == path
    assert path.stat().st_ino == before


def test_half_written_ones_are_cleared(save: Callable[..., Path], tmp_path: Path) -> None:
    save(4)
    (tmp_path / ".step-00000007.part").mkdir()
    (tmp_path / ".step-00000007.part" / "weights.safetensors").write_bytes(b"half")
    clear_leftovers(tmp_path)
    assert _contents(tmp_path) == ["step-00000004"]


@pytest.mark.parametrize("n_bytes", [0, 100, 3_000, 6_000, 12_000], ids=lambda n: f"{n}-bytes")
def test_full_disk_leaves_the_earlier_checkpoint(
    save: Callable[..., Path], tmp_path: Path, n_bytes: int
) -> None:
    # weights of 4 kB, moments of 8 kB, a state of 20 kB: each is the one that does not fit once
    fields = {"n": 1_000, "n_dropped": {f"cause {i}": i for i in range(1_000)}}
    save(1, **fields)
    with (
        _largest_file(n_bytes),
        pytest.raises(MachineError, match=r"step 2 cannot be written .*step-00000001 stays"),
    ):
        save(2, **fields)
    assert _contents(tmp_path) == ["step-00000001"]
    save(2, **fields)
    assert _contents(tmp_path) == ["step-00000001", "step-00000002"]


@pytest.mark.parametrize("other", [{"name": "v"}, {"n": 5}], ids=["another-name", "another-shape"])
def test_checkpoint_of_other_tensors_is_refused(
    save: Callable[..., Path], recipe: Callable[..., Recipe], other: dict[str, Any]
) -> None:
    path = save(1)
    with pytest.raises(MachineError, match="holds other tensors than are trained; delete it"):
        _restored(path, recipe(), **other)


@pytest.mark.parametrize("name", ["state.json", "weights.safetensors", "optimizer.safetensors"])
def test_damaged_checkpoint_is_refused_in_a_sentence(
    save: Callable[..., Path], recipe: Callable[..., Recipe], name: str
) -> None:
    path = save(1)
    (path / name).write_bytes((path / name).read_bytes()[:40])
    with pytest.raises(MachineError, match=r"step-00000001' cannot be read .*; delete it, and"):
        _restored(path, recipe())


def test_failed_replacement_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "model"

    def succeed(part: Path) -> None:
        (part / "a").write_text("old")

    def fail(part: Path) -> None:
        (part / "a").write_text("half")
        raise RuntimeError("stopped")

    write_folder(target, succeed)
    with pytest.raises(RuntimeError, match="stopped"):
        write_folder(target, fail)
    assert _contents(tmp_path) == ["model"]
    assert (target / "a").read_text() == "old"


def test_replacement_takes_nothing_over(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for name in ("a", "b"):
        write_folder(target, lambda part, name=name: (part / name).touch())  # type: ignore[misc]
    assert _contents(target) == ["b"]


def test_kill_between_the_renames_is_repaired(tmp_path: Path) -> None:
    for name in (".model.old", ".model.part"):
        (tmp_path / name).mkdir()
    recover_folder(tmp_path / "model")
    assert _contents(tmp_path) == ["model"]
