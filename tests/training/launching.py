"""Starts the trainer's command line as processes of their own, without its imports each time.

A server that has loaded the libraries once forks for every start, so that a run costs a second and
not ten, and what is killed is a process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from training.vlm.signals import SHUTDOWN_VARIABLE

PROJECT = Path(__file__).resolve().parents[2]

_SERVER = """
import json, os, sys
from training import torchvision_shim
torchvision_shim.install()
import torch.distributed
import transformers.models.qwen2_5_vl.modeling_qwen2_5_vl
import training.vlm.cli
from training.__main__ import main
for line in sys.stdin:
    told = json.loads(line)
    if "wait" in told:
        answer = os.waitstatus_to_exitcode(os.waitpid(told["wait"], 0)[1])
    else:
        answer = os.fork()
        if answer == 0:
            output = os.open(told["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.environ.update(told["environment"])
            status = main(told["arguments"])
            sys.stdout.flush()
            os._exit(status)
    print(answer, flush=True)
"""


class Launcher:
    """Starts ``python -m training ...`` by forking a process that has its libraries loaded."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            env=os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        )

    def start(
        self,
        arguments: list[str],
        output: Path = Path(os.devnull),
        environment: Mapping[str, str] | None = None,
    ) -> int:
        """Start a run and return its process id; what it says goes to a file."""
        told = {
            "arguments": arguments,
            "output": str(output),
            "environment": dict(environment or {}),
        }
        return self._ask(told)

    def start_all(self, n: int, arguments: list[str], folder: Path) -> list[int]:
        """Start a run of several processes, as ``torchrun`` does; each speaks to its own file."""
        start = self.meeting(n)
        return [start(rank, arguments, folder) for rank in range(n)]

    def meeting(self, n: int) -> Callable[[int, list[str], Path], int]:
        """Return what starts one of ``n`` processes, by its number, arguments and folder."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = {"WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}

        def start(rank: int, arguments: list[str], folder: Path) -> int:
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank), SHUTDOWN_VARIABLE: "2"}
            return self.start(arguments, folder / f"process-{rank}.txt", shared | own)

        return start

    def status(self, pid: int) -> int:
        """Wait for a run and return its exit status, minus the signal that killed it."""
        return self._ask({"wait": pid})

    def close(self) -> None:
        """End the server."""
        self._server.communicate(timeout=60)

    def _ask(self, told: Mapping[str, object]) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(told) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process of the launcher, unless it has ended."""
    # the server has not reaped it unless it has ended, so the id is its own or nobody's
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
