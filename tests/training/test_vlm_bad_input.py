"""What a machine, a dataset or a disk does wrong ends with one sentence and loses nothing."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.__main__ import main
from training.vlm.config import Recipe
from training.vlm.errors import MachineError
from training.vlm.model import Vlm
from training.vlm.prepare import check_disk, leave_cores
from training.vlm.run import StageRequest, run_stage

Spoil = Callable[[dict[str, Any]], object]
TIMED_FILES = ("metrics.jsonl", "result.json")


def _no_pictures(row: dict[str, Any]) -> None:
    row["images"] = [{"bytes": None, "path": "pages/1.png"}]


def _long(row: dict[str, Any]) -> None:
    row["messages"][1]["content"] *= 60


@pytest.mark.parametrize(
    ("spoil", "settings", "says"),
    [
        (_no_pictures, [], "'placeholder without image': 24}; the rows speak of pictures and hold"),
        (_long, [], "'longer than max_length': 24}; a sample is never cut: raise max_length"),
        (
            lambda row: None,
            ["stage1.max_length=16", "image.min_pixels=25088", "image.max_pixels=25088"],
            "'image longer than max_length': 24}; pictures alone take more tokens than max_length",
        ),
        (lambda row: row.update(images=[{"bytes": b"no", "path": None}]), [], "'unreadable image'"),
    ],
    ids=["missing-picture", "long", "long-picture", "broken-picture"],
)
def test_rows_that_cannot_be_used_are_told_with_what_to_do(
    arguments: list[str],
    write: Callable[..., Path],
    make_sample: Callable[..., dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Spoil,
    settings: list[str],
    says: str,
) -> None:
    rows = [make_sample(i) for i in range(24)]
    for row in rows:
        spoil(row)
    arguments[arguments.index("--dataset") + 1] = str(write(tmp_path / "data", rows))
    capsys.readouterr()
    sets = [w for s in ("stage1.epochs=1", *settings) for w in ("--set", s)]
    assert main([*arguments, *sets]) == 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.match(
        "DatasetError: no row of the dataset could be used: {.*" + re.escape(says), last
    )
    assert not (tmp_path / "out").exists()


def _request(release: Path, recipe: Callable[..., Recipe], out: Path) -> StageRequest:
    made = recipe(stage1={"max_steps": 4}, machine={"checkpoint_every": 1})
    return StageRequest("test", made, "stage1", release, out)


@pytest.fixture
def request_of(
    release: Path, recipe: Callable[..., Recipe], tmp_path: Path
) -> Callable[[str], StageRequest]:
    return lambda name: _request(release, recipe, tmp_path / name)


@pytest.fixture(scope="module")
def unbroken(
    release: Path, recipe: Callable[..., Recipe], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """What the run makes on a disk with room."""
    request = _request(release, recipe, tmp_path_factory.mktemp("unbroken") / "out")
    run_stage(request)
    return _bytes(request.out)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in TIMED_FILES}


def _whole_checkpoints(request: StageRequest) -> None:
    """What is there can be read; what could not be written is not there."""
    work = request.out.with_name(f".{request.out.name}.work")
    for folder in work.glob("*/step-*"):
        assert sorted(p.name for p in folder.iterdir()) == [
            "optimizer.safetensors",
            "state.json",
            "weights.safetensors",
        ]
    assert not list(work.glob("*/.*.part"))
    assert not request.out.exists()


# the base is 0.8 MB, its vocabulary 30 kB, weights and moments of the projector 0.1 and 0.2 MB
@pytest.mark.parametrize("n_bytes", [0, 2_000, 20_000, 90_000, 120_000, 300_000, 600_000])
def test_disk_full_at_any_size_loses_nothing(
    request_of: Callable[[str], StageRequest], unbroken: dict[str, bytes], n_bytes: int
) -> None:
    request = request_of("full")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        with pytest.raises(MachineError, match="cannot be written"):
            run_stage(request)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _whole_checkpoints(request)
    run_stage(request)
    assert _bytes(request.out) == unbroken


@pytest.mark.parametrize("number", [1, 9, 12, 15, 17, 20, 28, 32])
def test_disk_full_at_any_write_loses_nothing(
    request_of: Callable[[str], StageRequest],
    unbroken: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    request = request_of("full")
    fsync, n_calls = os.fsync, 0

    def fill(descriptor: int) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls >= number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        with pytest.raises(MachineError, match="No space left on device"):
            run_stage(request)
    _whole_checkpoints(request)
    run_stage(request)
    assert _bytes(request.out) == unbroken


@pytest.mark.parametrize(("n_kept", "n_there"), [(1, 0), (2, 0), (2, 2)])
def test_room_is_asked_for_all_checkpoints_but_those_that_are_there(
    vlm: Vlm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_kept: int, n_there: int
) -> None:
    size = 12 * sum(p.numel() for p in vlm.model.parameters() if p.requires_grad)
    for step in range(n_there):
        folder = tmp_path / f"step-{step:08d}"
        folder.mkdir()
        (folder / "weights.safetensors").touch()
        os.truncate(folder / "weights.safetensors", size)
    needed = (n_kept + 1 - n_there) * size + 4 * vlm.model.num_parameters()
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed))
    check_disk(tmp_path, vlm, n_kept, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed - 1))
    with pytest.raises(MachineError, match="GB free and this run needs"):
        check_disk(tmp_path, vlm, n_kept, tmp_path)


def test_disk_too_small_for_the_run_is_refused_before_it_begins(
    request_of: Callable[[str], StageRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10_000))
    with pytest.raises(MachineError, match=r"has 0\.0 GB free and this run needs"):
        run_stage(request_of("out"))
    _whole_checkpoints(request_of("out"))


@pytest.mark.parametrize(
    ("n_cores", "n_threads", "n_workers", "n_left"),
    [(8, 8, 2, 6), (8, 4, 2, 4), (2, 2, 2, 1), (2, 2, 9, 1), (2, 2, 0, 2), (8, 1, 0, 1)],
)
def test_operators_leave_the_decoders_their_cores(
    monkeypatch: pytest.MonkeyPatch, n_cores: int, n_threads: int, n_workers: int, n_left: int
) -> None:
    import torch

    before = torch.get_num_threads()
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(n_cores)))
    try:
        torch.set_num_threads(n_threads)
        leave_cores(n_workers)
        assert torch.get_num_threads() == n_left
    finally:
        torch.set_num_threads(before)
