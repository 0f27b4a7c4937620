"""Real processes train one model together: same numbers as one, and one's end is everybody's.

With ``NEUROGLOSS_PROCESSES=full`` every stage and way of ending is tried whole and split; by
default each is tried in one of the two.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.training.launching import PROJECT, Launcher, kill
from training.vlm.errors import Busy, MachineError, TrainerError
from training.vlm.parallel import PeerFailed, PeerLost, Team
from training.vlm.signals import StopFlag

pytestmark = pytest.mark.heavy

TOLERANCE = 1e-5
TIMED_FILES = ("metrics.jsonl", "result.json")
PAIR = [{"role": "user", "content": "Is it so?"}, {"role": "assistant", "content": "It is."}]

Words = Callable[..., list[str]]


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    made = Launcher()
    yield made
    made.close()


@pytest.fixture
def mixed(
    write: Callable[..., Path], make_sample: Callable[..., dict[str, Any]], tmp_path: Path
) -> Path:
    """24 rows, 2 of them unusable and 5 without a picture."""
    rows = [make_sample(i) for i in range(24)]
    rows[3]["messages"] = rows[10]["messages"] = []
    for i in (5, 6, 7, 8, 15):
        rows[i] |= {"images": [], "messages": PAIR}
    return write(tmp_path / "data", rows)


@pytest.fixture
def words(recipe_file: Path, mixed: Path, tmp_path: Path) -> Words:
    """The command line of a stage into a folder of its own, with settings replaced."""

    def make(out: str, stage: str = "stage2", **settings: Any) -> list[str]:
        given = {"machine__checkpoint_every": 100} | settings
        sets = [f"{key.replace('__', '.')}={value}" for key, value in given.items()]
        paths = ["--recipe", recipe_file, "--dataset", mixed, "--out", tmp_path / out]
        return [stage, *map(str, paths), *(w for s in sets for w in ("--set", s))]

    return make


def _finish(launcher: Launcher, n: int, arguments: list[str], folder: Path) -> list[int]:
    return [launcher.status(pid) for pid in launcher.start_all(n, arguments, folder)]


def _said(folder: Path, rank: int) -> str:
    return (folder / f"process-{rank}.txt").read_text()


def _result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def _content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in TIMED_FILES}


def _assert_same_run(
    one: Path, other: Path, n_processes: int, *, is_same_base: bool = True
) -> None:
    from safetensors.torch import load_file

    first, second = _result(one), _result(other)
    assert second["losses"] == pytest.approx(first["losses"], abs=TOLERANCE)
    assert second["n_processes"] == n_processes
    # weights that agree to rounding are another base, and so another run
    assert not is_same_base or first["run"] == second["run"]
    for key in ("n_steps", "n_samples", "n_tokens", "n_label_tokens", "n_dropped"):
        assert second[key] == first[key]
    a, b = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    assert a.keys() == b.keys()
    assert max(float((a[n] - b[n]).abs().max()) for n in a) < TOLERANCE


WAYS = ("never", "always")
IS_FULL = os.environ.get("NEUROGLOSS_PROCESSES") == "full"
UNTIED = {"model__is_head_tied": "false"}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "all": ("stage2", {}),
    "everything": (
        "stage2",
        {"stage2__train": "[vision_tower, merger, language_model, head]"} | UNTIED,
    ),
    "packed": ("stage2", {"stage2__packing": 512}),
    "checkpointed": ("stage2", {"stage2__is_checkpointing_gradients": "true"} | UNTIED),
    "frozen-head": ("stage2", {"stage2__train": "[language_model, merger]"} | UNTIED),
    "adapters": ("stage2", {"stage2__train": "[merger]", "stage2__lora": "{rank: 4}"}),
    "projector": ("stage1", {}),
}


def _cases(names: Iterable[Any]) -> list[tuple[Any, str]]:
    """Pair each name with both ways of holding the weights, or with one of them in turn."""
    pairs = [(name, way) for name in names for way in WAYS]
    return pairs if IS_FULL else [p for i, p in enumerate(pairs) if i % 4 in (0, 3)]


@pytest.mark.parametrize(("name", "sharding"), _cases(RUNS))
def test_two_processes_train_what_one_trains(
    launcher: Launcher,
    words: Words,
    tmp_path: Path,
    name: str,
    sharding: str,
) -> None:
    stage, settings = RUNS[name]
    assert _finish(launcher, 1, words("one", stage, **settings), tmp_path) == [0]
    arguments = words("two", stage, **settings, machine__sharding=sharding)
    assert _finish(launcher, 2, arguments, tmp_path) == [0, 0], _said(tmp_path, 0)
    _assert_same_run(tmp_path / "one", tmp_path / "two", 2)
    how = {"never": "each with all weights", "always": "weights split over them"}[sharding]
    assert f"2 processes, {how}" in _said(tmp_path, 0)
    # one process reports, one logs, one writes
    assert "step " not in _said(tmp_path, 1)
    lines = (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 7))
    drops = (tmp_path / "two" / "dropped.jsonl").read_text()
    assert drops == (tmp_path / "one" / "dropped.jsonl").read_text()


def test_more_processes_than_samples_of_a_step(
    launcher: Launcher, words: Words, tmp_path: Path
) -> None:
    settings = {"stage2__micro_batch": 1, "stage2__accumulation": 2, "stage2__max_steps": 3}
    assert _finish(launcher, 1, words("one", **settings), tmp_path) == [0]
    assert _finish(launcher, 3, words("three", **settings), tmp_path) == [0, 0, 0]
    _assert_same_run(tmp_path / "one", tmp_path / "three", 3)


def test_stages_one_after_the_other_meet_again(
    launcher: Launcher, recipe_file: Path, mixed: Path, tmp_path: Path
) -> None:
    (tmp_path / "releases").mkdir()
    (tmp_path / "releases" / "test").symlink_to(mixed)
    start = ["recipe", "--recipe", str(recipe_file), "--releases", str(tmp_path / "releases")]
    for n in (1, 2):
        arguments = [*start, "--out", str(tmp_path / str(n))]
        assert set(_finish(launcher, n, arguments, tmp_path)) == {0}
    for stage in ("stage1", "stage2"):
        _assert_same_run(tmp_path / "1" / stage, tmp_path / "2" / stage, 2, is_same_base=False)


def _steps_logged(out: Path) -> int:
    for path in out.parent.glob(f".{out.name}.work/*/metrics.jsonl"):
        with contextlib.suppress(FileNotFoundError):
            return len(path.read_text().splitlines())
    return 0


def _wait_for_steps(out: Path, n_steps: int, patience_s: float = 120) -> None:
    deadline = time.monotonic() + patience_s
    while _steps_logged(out) < n_steps and not out.exists():
        assert time.monotonic() < deadline, f"{n_steps} steps were not logged in time"
        time.sleep(0.005)


LONG = {"stage2__max_steps": 16, "stage2__epochs": 99, "stage2__max_dropped_share": 0.2}


@pytest.mark.parametrize("sharding", ["never", "always"])
def test_signal_to_one_process_stops_all_at_a_checkpoint_to_carry_on_from(
    launcher: Launcher, words: Words, tmp_path: Path, sharding: str
) -> None:
    # with dropout, so that every process must get its own random state back
    adapters = {"stage2__train": "[merger]", "stage2__lora": "{rank: 4, dropout: 0.2}"}
    settings = LONG | adapters | {"machine__sharding": sharding}
    stopped, whole = words("stopped", **settings), words("whole", **settings)
    pids = launcher.start_all(2, stopped, tmp_path)
    _wait_for_steps(tmp_path / "stopped", 3)
    kill(pids[1], signal.SIGTERM)
    assert [launcher.status(pid) for pid in pids] == [75, 75]
    assert re.search(
        r"^Interrupted: SIGTERM after step \d+; checkpoint step", _said(tmp_path, 0), re.M
    )
    assert "Interrupted" not in _said(tmp_path, 1)
    (checkpoint,) = tmp_path.glob(".stopped.work/*/step-*")
    state = json.loads((checkpoint / "state.json").read_text())
    assert state["n_processes"] == 2
    assert 3 <= state["step"] < 16

    assert _finish(launcher, 2, stopped, tmp_path) == [0, 0]
    assert "bit for bit" not in _said(tmp_path, 0)
    assert _finish(launcher, 2, whole, tmp_path) == [0, 0]
    assert _result(tmp_path / "stopped")["losses"] == _result(tmp_path / "whole")["losses"]
    assert _content(tmp_path / "stopped") == _content(tmp_path / "whole")


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)], ids=["fewer", "more"])
def test_another_number_of_processes_carries_on_and_says_so(
    launcher: Launcher, words: Words, tmp_path: Path, before: int, after: int
) -> None:
    settings = LONG | {"machine__sharding": "always"}
    pids = launcher.start_all(before, words("moved", **settings), tmp_path)
    _wait_for_steps(tmp_path / "moved", 3)
    kill(pids[0], signal.SIGTERM)
    assert {launcher.status(pid) for pid in pids} == {75}
    assert set(_finish(launcher, after, words("moved", **settings), tmp_path)) == {0}
    names = {1: "1 process", 2: "2 processes"}
    sentence = f"was written by {names[before]} and is taken up by {names[after]}: every step"
    assert sentence in _said(tmp_path, 0)
    assert _finish(launcher, 1, words("whole", **settings), tmp_path) == [0]
    _assert_same_run(tmp_path / "whole", tmp_path / "moved", after)


@pytest.mark.parametrize(("dead", "sharding"), _cases((0, 1)))
def test_dead_process_ends_the_other_with_a_sentence(
    launcher: Launcher, words: Words, tmp_path: Path, dead: int, sharding: str
) -> None:
    settings = LONG | {"machine__checkpoint_every": 2, "machine__sharding": sharding}
    pids = launcher.start_all(2, words("killed", **settings), tmp_path)
    _wait_for_steps(tmp_path / "killed", 5)
    begun = time.monotonic()
    kill(pids[dead])
    left = 1 - dead
    assert launcher.status(pids[dead]) == -signal.SIGKILL
    assert launcher.status(pids[left]) == 75
    assert time.monotonic() - begun < 20
    who = "process 1: " if left else ""
    last = _said(tmp_path, left).splitlines()[-1]
    assert last.startswith(f"{who}PeerLost: process {left} of 2 lost another one")
    assert last.endswith("the last checkpoint stays and the same command carries on from it")
    assert _finish(launcher, 2, words("killed", **settings), tmp_path) == [0, 0]
    assert "carrying on from step-" in _said(tmp_path, 0)


def test_signal_is_heard_while_another_process_does_not_answer(
    launcher: Launcher, words: Words, tmp_path: Path
) -> None:
    pids = launcher.start_all(2, words("stuck", **LONG, machine__checkpoint_every=2), tmp_path)
    _wait_for_steps(tmp_path / "stuck", 5)
    kill(pids[1], signal.SIGSTOP)
    try:
        time.sleep(1)
        kill(pids[0], signal.SIGTERM)
        assert launcher.status(pids[0]) == 75
    finally:
        kill(pids[1])
    launcher.status(pids[1])
    last = _said(tmp_path, 0).splitlines()[-1]
    assert last.startswith("PeerLost: SIGTERM, and another process has not answered for 1 s; the")
    assert list(tmp_path.glob(".stuck.work/*/step-00000004"))


def test_cause_that_one_process_alone_knows_is_told_by_all(
    launcher: Launcher, words: Words, mixed: Path, tmp_path: Path
) -> None:
    """A file that only process 1 reads wrong: its sentence is what process 0 says too."""
    rank_of = tmp_path / "other"
    rank_of.mkdir()
    (rank_of / "train.parquet").write_bytes((mixed / "train.parquet").read_bytes()[:-9])
    good, bad = words("out"), words("out")
    bad[bad.index("--dataset") + 1] = str(rank_of)
    start = launcher.meeting(2)
    pids = [start(0, good, tmp_path), start(1, bad, tmp_path)]
    assert [launcher.status(pid) for pid in pids] == [3, 3]
    assert re.search(
        r"^DatasetError: process 1 of 2: dataset file train.parquet cannot be read",
        _said(tmp_path, 0),
        re.M,
    )
    assert "Error" not in _said(tmp_path, 1)


@pytest.mark.parametrize(
    ("error", "kind"), [(MachineError("the disk is full"), PeerFailed), (Busy("wait"), PeerLost)]
)
def test_name_of_the_error_says_whether_to_try_again(
    error: TrainerError, kind: type[TrainerError]
) -> None:
    from torch.distributed import HashStore

    store = HashStore()
    Team(StopFlag(), 1, 2, store).tell(error)
    says = f"process 1 of 2 ended the run: {type(error).__name__}: {error}"
    with pytest.raises(kind, match=says) as caught, Team(StopFlag(), 0, 2, store).reaching():
        raise RuntimeError("gloo: connection closed by peer")
    found = (caught.value.exit_code, caught.value.is_retryable)
    assert found == (error.exit_code, error.is_retryable)


def test_processes_with_other_data_do_not_begin(
    launcher: Launcher, words: Words, release: Path, tmp_path: Path
) -> None:
    other = words("out")
    other[other.index("--dataset") + 1] = str(release)
    start = launcher.meeting(2)
    pids = [start(0, words("out"), tmp_path), start(1, other, tmp_path)]
    assert [launcher.status(pid) for pid in pids] == [5, 5]
    assert "MachineError: process 1 has the hash of recipe, data and base" in _said(tmp_path, 0)
    assert not (tmp_path / "out").exists()


def test_full_disk_ends_all_with_the_first_ones_sentence(
    launcher: Launcher, words: Words, tmp_path: Path
) -> None:
    settings = LONG | {"machine__checkpoint_every": 2}
    pids = launcher.start_all(2, words("full", **settings), tmp_path)
    _wait_for_steps(tmp_path / "full", 3)
    resource.prlimit(pids[0], resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    assert [launcher.status(pid) for pid in pids] == [5, 5]
    assert re.search(r"^MachineError: (checkpoint|output)", _said(tmp_path, 0), re.M)
    for checkpoint in tmp_path.glob(".full.work/*/step-*"):
        assert len(list(checkpoint.iterdir())) == 3
    assert _finish(launcher, 2, words("full", **settings), tmp_path) == [0, 0]
    assert _finish(launcher, 2, words("whole", **settings), tmp_path) == [0, 0]
    assert _content(tmp_path / "full") == _content(tmp_path / "whole")


def test_launcher_that_says_too_little_is_named(
    launcher: Launcher, words: Words, tmp_path: Path
) -> None:
    pid = launcher.start(words("out"), tmp_path / "process-0.txt", {"WORLD_SIZE": "2"})
    assert launcher.status(pid) == 5
    assert "WORLD_SIZE=2 but RANK, MASTER_ADDR, MASTER_PORT is not set" in _said(tmp_path, 0)


@pytest.mark.timeout(600)
def test_torchrun_starts_again_what_was_killed(
    launcher: Launcher, words: Words, tmp_path: Path
) -> None:
    settings = LONG | {"machine__checkpoint_every": 3}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--standalone", "--max-restarts", "1", "-m", "training"]
    program = subprocess.Popen(
        [*command, *words("again", **settings)],
        env=os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        cwd=PROJECT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _wait_for_steps(tmp_path / "again", 4, 240)
    except AssertionError:
        kill(program.pid, signal.SIGTERM)
        raise
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
    ranks = {_environ(int(pid)).get("RANK"): int(pid) for pid in children}
    kill(ranks["1"])
    said = program.communicate(timeout=240)[1]
    assert program.returncode == 0, said[-2000:]
    assert "carrying on from step-" in said
    assert _finish(launcher, 2, words("whole", **settings), tmp_path) == [0, 0]
    assert _content(tmp_path / "again") == _content(tmp_path / "whole")


def _environ(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)
