"""Killed at any moment, the trainer comes back to the weights of the unbroken run, bit for bit.

Two kills by default, 20 with ``NEUROGLOSS_KILLS=full``, N with ``NEUROGLOSS_KILLS=N``.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.launching import Launcher, kill

_ASKED = os.environ.get("NEUROGLOSS_KILLS", "2")
N_KILLS = 20 if _ASKED == "full" else int(_ASKED)
N_STEPS = 16
TIMED_FILES = ("metrics.jsonl", "result.json")
"""Files of a finished model that hold timings; all others must be the same bytes."""


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    made = Launcher()
    yield made
    made.close()


@pytest.fixture
def stage2(arguments: list[str], tmp_path: Path) -> list[str]:
    """A run of 16 steps that writes a checkpoint after each; its last word is the output folder."""
    settings = [f"stage2.max_steps={N_STEPS}", "stage2.epochs=99", "machine.checkpoint_every=1"]
    words = ["stage2", *arguments[1 : arguments.index("--out")]]
    return words + [w for s in settings for w in ("--set", s)] + ["--out"]


def _content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in TIMED_FILES}


def _losses(folder: Path) -> list[float]:
    return json.loads((folder / "result.json").read_text())["losses"]


@pytest.mark.heavy
@pytest.mark.timeout(60 + 60 * N_KILLS)
def test_kill_at_random_moments_changes_no_bit(
    launcher: Launcher, stage2: list[str], tmp_path: Path
) -> None:
    assert launcher.status(launcher.start([*stage2, str(tmp_path / "whole")])) == 0
    moments = random.Random(7)
    n_killed = n_runs = 0
    while n_killed < N_KILLS:
        out = tmp_path / f"killed{n_runs}"
        n_runs += 1
        status = -signal.SIGKILL
        while status == -signal.SIGKILL:
            n_done = len(_log(out))
            pid = launcher.start([*stage2, str(out)])
            if n_killed < N_KILLS:
                _wait_for_steps(out, moments.randint(n_done, N_STEPS))
                # a step with its checkpoint takes about a tenth of a second, the last writes longer
                time.sleep(moments.uniform(0, 0.3))
                kill(pid)
            status = launcher.status(pid)
            n_killed += status == -signal.SIGKILL
        assert status == 0
        assert _losses(out) == _losses(tmp_path / "whole")
        assert _content(out) == _content(tmp_path / "whole")
    assert not list(tmp_path.glob(".killed*.work"))


@pytest.mark.heavy
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "ctrl-c"])
def test_signal_leaves_a_checkpoint_to_carry_on_from(
    launcher: Launcher, stage2: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    # no checkpoint but the one of the signal
    words = [*stage2[:-1], "--set", "machine.checkpoint_every=1000", "--out"]
    out = tmp_path / "stopped"
    pid = launcher.start([*words, str(out)])
    _wait_for_steps(out, 3)
    os.kill(pid, number)
    assert launcher.status(pid) == 75
    assert not out.exists()
    (checkpoint,) = tmp_path.glob(".stopped.work/*/step-*")
    step = json.loads((checkpoint / "state.json").read_text())["step"]
    assert 3 <= step < N_STEPS

    for name in ("stopped", "whole"):
        assert launcher.status(launcher.start([*words, str(tmp_path / name)])) == 0
    assert _losses(out) == _losses(tmp_path / "whole")
    assert _content(out) == _content(tmp_path / "whole")
    lines = (out / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, N_STEPS + 1))


def _log(out: Path) -> list[str]:
    """Return the steps a run has logged while it goes."""
    for path in out.parent.glob(f".{out.name}.work/*/metrics.jsonl"):
        # a run that ends takes the folder away under the reader
        with contextlib.suppress(FileNotFoundError):
            return path.read_text().splitlines()
    return []


def _wait_for_steps(out: Path, n_steps: int) -> None:
    """Wait until that many steps are logged or the run is finished."""
    deadline = time.monotonic() + 120
    while len(_log(out)) < n_steps and not out.exists():
        assert time.monotonic() < deadline, f"{n_steps} steps were not logged in time"
        time.sleep(0.01)
