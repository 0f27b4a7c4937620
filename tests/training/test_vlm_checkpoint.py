"""Folders that appear whole or not at all."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from training.vlm.checkpoint import CheckpointStore, TrainState, recover_folder, write_folder
from training.vlm.config import Recipe
from training.vlm.data import Position
from training.vlm.errors import MachineError
from training.vlm.optim import build_optimizer


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


def test_state_and_weights_come_back(tmp_path: Path, recipe: Callable[..., Recipe]) -> None:
    import torch

    weight = torch.nn.Parameter(torch.arange(6.0).reshape(3, 2))
    optimizer = build_optimizer({"w": weight}, recipe().stage1)
    store = CheckpointStore(tmp_path, 2)
    state = TrainState(3, Position(1, 5), 12, 400, 80, {"no answer": 2})
    path = store.save(state, {"w": weight}, optimizer, {"cpu": torch.get_rng_state()})
    other = torch.nn.Parameter(torch.zeros(3, 2))
    assert store.latest() == path
    back, rng = store.restore(path, {"w": other}, build_optimizer({"w": other}, recipe().stage1))
    assert back == state
    assert torch.equal(other, weight)
    assert torch.equal(rng["cpu"], torch.get_rng_state())
    assert _contents(path) == ["optimizer.safetensors", "state.json", "weights.safetensors"]


def test_only_the_newest_are_kept(tmp_path: Path, recipe: Callable[..., Recipe]) -> None:
    import torch

    tensors = {"w": torch.nn.Parameter(torch.zeros(2))}
    store = CheckpointStore(tmp_path, 2)
    for step in (1, 2, 10):
        store.save(TrainState(step), tensors, build_optimizer(tensors, recipe().stage1), {})
    assert _contents(tmp_path) == ["step-00000002", "step-00000010"]


def test_full_disk_leaves_the_earlier_checkpoint(
    tmp_path: Path, recipe: Callable[..., Recipe]
) -> None:
    import torch

    tensors = {"w": torch.nn.Parameter(torch.zeros(1000))}
    optimizer = build_optimizer(tensors, recipe().stage1)
    store = CheckpointStore(tmp_path, 2)
    store.save(TrainState(1), tensors, optimizer, {})
    with (
        _largest_file(2000),
        pytest.raises(MachineError, match=r"step 2 cannot be written .*step-00000001 stays"),
    ):
        store.save(TrainState(2), tensors, optimizer, {})
    assert _contents(tmp_path) == ["step-00000001"]


def test_checkpoint_of_other_tensors_is_refused(
    tmp_path: Path, recipe: Callable[..., Recipe]
) -> None:
    import torch

    one = {"w": torch.nn.Parameter(torch.zeros(2))}
    two = {"v": torch.nn.Parameter(torch.zeros(2))}
    store = CheckpointStore(tmp_path, 1)
    path = store.save(TrainState(1), one, build_optimizer(one, recipe().stage1), {})
    with pytest.raises(MachineError, match="other tensors"):
        store.restore(path, two, build_optimizer(two, recipe().stage1))


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
