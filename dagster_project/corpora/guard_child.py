"""The child's side of :mod:`dagster_project.corpora.guard`: limits on itself, then file after file.

Started with ``python -m``; it holds nothing but a line to its parent and ends with it.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

READY = "ready"
GRACE_S = 5
"""An orphan ends itself this long after its file's deadline."""
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


@dataclass(frozen=True, slots=True)
class Order:
    """One item to work on, and what it may cost."""

    function: Callable[[Any], Any]
    item: Any
    room_bytes: int
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Grown:
    """Bytes of memory above what the child held when its libraries were loaded.

    Parameters
    ----------
    bytes_now
        Address space still held after the file.
    bytes_peak
        Most resident memory while it was read.
    """

    bytes_now: int
    bytes_peak: int


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, or the error no function should raise, and what it cost."""

    answer: Any
    error: Exception | None
    grown: Grown

    def result(self) -> Any:
        """Return the answer.

        Raises
        ------
        Exception
            What the function raised: a fault of ours, not of a file.
        """
        if self.error is not None:
            raise self.error
        return self.answer


def _memory() -> dict[str, int]:
    """Return the kernel's figures for this process in bytes; nothing where it keeps none."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.startswith(("VmSize", "VmRSS", "VmHWM")))
    return {name.rstrip(":"): int(value) << 10 for name, value, *_ in fields}


def _limit_space(room_bytes: int) -> None:
    size = _memory().get("VmSize")
    if size is None:  # no /proc: the deadline alone must do
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = size + room_bytes
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _work(order: Order, base: dict[str, int]) -> Reply:
    """Run one order under its limits."""
    with suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK)
    before = _memory()
    _limit_space(order.room_bytes)
    signal.alarm(math.ceil(order.deadline_s) + GRACE_S)
    answer, error = None, None
    try:
        answer = order.function(order.item)
    except Exception as caught:  # functions answer for bad files; this is a fault to be told
        frame = traceback.extract_tb(caught.__traceback__)[-1]
        # what it says may quote the file, and files name people
        error = RuntimeError(f"{type(caught).__name__} in {frame.name}:{frame.lineno}")
    finally:
        signal.alarm(0)
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    after = _memory()
    peak = after.get("VmHWM", 0) - before.get("VmRSS", 0)
    return Reply(answer, error, Grown(after.get("VmSize", 0) - base.get("VmSize", 0), peak))


def _prepare(libraries: list[str]) -> None:
    import pyarrow as pa

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    pa.array([1.0])  # pyarrow looks for pandas once, which takes a second where it is installed
    for name in ("dagster_project.corpora.segments", "dagster_project.corpora.inventory"):
        import_module(name)
    for name in libraries:
        with suppress(ImportError):  # its reader will say what to install
            import_module(name)


def serve(line: Connection, libraries: list[str]) -> None:
    """Answer orders until the parent closes the line."""
    _prepare(libraries)
    base = _memory()
    line.send(READY)
    while True:
        try:
            order = line.recv()
        except EOFError:
            return
        reply = _work(order, base)
        try:
            line.send(reply)
        except (TypeError, AttributeError, pickle.PicklingError, MemoryError) as error:
            fault = RuntimeError(f"the answer cannot be sent: {type(error).__name__}")
            line.send(Reply(None, fault, reply.grown))


if __name__ == "__main__":
    from dagster_project.corpora import guard_child

    with suppress(BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        guard_child.serve(Connection(int(sys.argv[1])), sys.argv[2:])
    os._exit(0)
