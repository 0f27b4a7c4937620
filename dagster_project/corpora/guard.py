"""Reading hostile files in a child process with limits, so that each can only cost itself.

Readers that hand a file's bytes to C libraries (HDF5, MATLAB, MNE-Python) are run here: one child
per worker lives on from file to file, with a limit on its address space and a deadline for each
file, and is started anew when it dies or overruns. Readers on the fast path stay in the process
(:mod:`dagster_project.corpora.pool`); which is which says
:data:`dagster_project.corpora.readers.table.READERS`. One door stays open: an EDF header the fast
path refuses is tried with MNE-Python in the process, after its counts were checked against the file.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.guard_child import READY, Grown, Order, Reply
from dagster_project.corpora.pool import THREAD_LIMITS, map_in_order

logger = logging.getLogger(__name__)

START_S = 120.0
"""A child that has not said it is ready by then never will (engineering default)."""
MOST_ROOM_BYTES = 4 << 30
"""No file gets more address space, however large it says it is: sparse ones cost nothing."""
DATA_SUFFIXES = (".fdt", ".eeg", ".dat", ".mat")
"""Ends of files in which the samples lie where a recording is named by its header."""
RECYCLE_SHARE = 0.5
"""A child that has grown by so much of its head-room is replaced before the next file."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Visit:
    """What one file cost: wall time, and memory above what the child held before it."""

    seconds: float
    peak_bytes: int
    cause: str | None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost.

    Parameters
    ----------
    head_room_bytes
        Address space above what the child holds once its libraries are loaded.
    head_room_per_byte
        Where this many times the size of the file is more, that much instead: formats that are
        read whole hold a file two or three times.
    base_s, bytes_per_s
        Deadline: so long, and the time to read the file at that speed.
    on_visit
        Called in this process after every file, from the thread that waited for it.
    """

    head_room_bytes: int = 1 << 30
    head_room_per_byte: int = 3
    base_s: float = 60.0
    bytes_per_s: float = 1e6
    on_visit: Callable[[Visit], None] | None = None

    def deadline_s(self, n_bytes: int) -> float:
        """Return how long a file of this size may take."""
        return self.base_s + n_bytes / self.bytes_per_s

    def room_bytes(self, n_bytes: int) -> int:
        """Return the address space a file of this size may take."""
        return max(self.head_room_bytes, min(self.head_room_per_byte * n_bytes, MOST_ROOM_BYTES))


LIMITS = Limits()
_SILENT = object()


class _Child:
    """One child process and the line to it."""

    def __init__(self, libraries: Sequence[str]) -> None:
        self.setting = _setting(libraries)
        ours, theirs = socket.socketpair()
        with theirs:
            os.set_inheritable(theirs.fileno(), True)
            command = [sys.executable, "-W", "ignore", "-m", "dagster_project.corpora.guard_child"]
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), *libraries],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(),
            )
        self._line = Connection(ours.detach())
        if self._wait(START_S) != READY:
            self.stop()
            raise RuntimeError("the child process that reads files did not start; see its errors")

    def _wait(self, seconds: float) -> Any:
        """Return what the child says, None if it ends, :data:`_SILENT` if it says nothing."""
        try:
            return self._line.recv() if self._line.poll(seconds) else _SILENT
        except (EOFError, OSError):
            return None

    def ask(self, order: Order) -> Reply | CorpusError:
        """Have one file read; the child is gone where the answer is an error."""
        try:
            self._line.send(order)
        except OSError:
            said = None
        else:
            said = self._wait(order.deadline_s)
        if isinstance(said, Reply):
            return said
        code = self.stop()
        if said is _SILENT:
            return CorpusError("too_slow", f"not read within {order.deadline_s:.0f} s")
        return CorpusError("worker_died", f"the process reading it ended with status {code}")

    def stop(self) -> int:
        """End the child and return its exit status."""
        self._line.close()
        if self._process.poll() is None:
            self._process.kill()
        return self._process.wait()


def n_bytes_of(path: Path) -> int:
    """Return the size of a recording: its file, and those with its samples under the same stem."""
    files = {path, *(path.with_suffix(suffix) for suffix in DATA_SUFFIXES)}
    return sum(file.stat().st_size for file in files if file.is_file())


_PLAIN_MEMORY = {"MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Other allocators take address space by the gigabyte, which is what the limit is on."""


def _environment() -> dict[str, str]:
    """One thread each; the child finds modules where we do and reserves no memory in advance."""
    limits = dict.fromkeys(THREAD_LIMITS, "1")
    path = os.pathsep.join(p for p in sys.path if p)
    return {**os.environ, **limits, "PYTHONPATH": path, **_PLAIN_MEMORY}


def _setting(libraries: Sequence[str]) -> tuple[Any, ...]:
    return os.getpid(), tuple(sys.path), tuple(libraries)


_idle: list[_Child] = []
_idle_lock = threading.Lock()
MAX_IDLE = 1
"""Children kept for the next shard: starting one costs a second."""


def _taken(libraries: Sequence[str]) -> _Child:
    """Return an idle child of the same setting, or a new one."""
    with _idle_lock:
        child = _idle.pop() if _idle else None
    if child is not None and child.setting == _setting(libraries):
        return child
    if child is not None and child.setting[0] == os.getpid():
        child.stop()
    return _Child(libraries)


def _given_back(child: _Child) -> None:
    with _idle_lock:
        is_kept = len(_idle) < MAX_IDLE
        if is_kept:
            _idle.append(child)
    if not is_kept:
        child.stop()


@atexit.register
def _stop_idle() -> None:
    while _idle:
        child = _idle.pop()
        if child.setting[0] == os.getpid():
            with suppress(OSError):
                child.stop()


class _Worker:
    """Asks one child for file after file, replacing it when it has to be."""

    def __init__(self, limits: Limits, libraries: Sequence[str]) -> None:
        self._limits, self._libraries = limits, libraries
        self._child: _Child | None = None

    def read(self, function: Callable[[Any], Any], item: Any, n_bytes: int) -> Reply | CorpusError:
        """Return the child's reply about one item."""
        child = self._child or _taken(self._libraries)
        self._child = None
        room = self._limits.room_bytes(n_bytes)
        began = time.monotonic()
        found = child.ask(Order(function, item, room, self._limits.deadline_s(n_bytes)))
        seconds = time.monotonic() - began
        if isinstance(found, CorpusError):
            logger.warning("a file was lost: %s", found.cause)
            grown, cause = Grown(0, room), found.cause
        else:
            grown, cause = found.grown, None
        if self._limits.on_visit:
            self._limits.on_visit(Visit(seconds, grown.bytes_peak, cause))
        if isinstance(found, Reply):
            if grown.bytes_now < RECYCLE_SHARE * self._limits.head_room_bytes:
                self._child = child
            else:
                child.stop()
        return found

    def close(self) -> None:
        """Leave the child for the next shard."""
        if self._child is not None:
            _given_back(self._child)


def map_guarded(
    function: Callable[[Item], Answer],
    items: Sequence[Item],
    n_workers: int,
    lost: Callable[[Item, CorpusError], Answer],
    size: Callable[[Item], int],
    *,
    limits: Limits = LIMITS,
    libraries: Sequence[str] = (),
) -> Iterator[Answer]:
    """Apply a function to items in child processes with limits, answers in order of the items.

    Parameters
    ----------
    function
        A module-level function; it must not raise for bad input but answer with what went wrong.
    items
        Picklable work, each about one file.
    n_workers
        Most children; one is used even for 1.
    lost
        Answer for an item whose child died or overran.
    size
        Bytes of an item's file, from which its limits follow.
    limits
        What one file may cost.
    libraries
        Modules a child imports before its first file's time begins.

    Raises
    ------
    RuntimeError
        If no child can be started.
    """
    workers: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
    n = max(1, min(n_workers, len(items)))
    made = [_Worker(limits, libraries) for _ in range(n)]
    for worker in made:
        workers.put(worker)

    def one(item: Item) -> Answer:
        worker = workers.get()
        try:
            found = worker.read(function, item, size(item))
        finally:
            workers.put(worker)
        if isinstance(found, CorpusError):
            return lost(item, found)
        answer: Answer = found.result()
        return answer

    try:
        if n == 1:
            yield from map(one, items)
        else:
            with ThreadPoolExecutor(n, thread_name_prefix="guard") as threads:
                yield from threads.map(one, items)
    finally:
        for worker in made:
            worker.close()


def map_files(
    function: Callable[[Item], Answer],
    items: Sequence[Item],
    n_workers: int,
    lost: Callable[[Item, CorpusError], Answer],
    size: Callable[[Item], int],
    *,
    is_guarded: Callable[[Item], bool],
    limits: Limits | None = None,
    libraries: Sequence[str] = (),
) -> Iterator[Answer]:
    """Apply a function to files, some in children with limits, answers in order of the items.

    Parameters
    ----------
    function, items, lost, size, libraries
        As for :func:`map_guarded`.
    n_workers
        Most processes; with 1 the files that need no guard are read in this one.
    is_guarded
        Whether an item's file is read in a child with limits.
    limits
        What one file may cost; given, every file is read in a child.
    """
    in_child = [limits is not None or is_guarded(item) for item in items]
    guarded = [item for item, is_in in zip(items, in_child, strict=True) if is_in]
    free = [item for item, is_in in zip(items, in_child, strict=True) if not is_in]
    ended = CorpusError("worker_died", "the worker ended twice while reading this file")
    answers = map_guarded(
        function, guarded, n_workers, lost, size, limits=limits or LIMITS, libraries=libraries
    )
    others = map_in_order(function, free, n_workers, lambda item: lost(item, ended))
    for is_in in in_child:
        yield next(answers if is_in else others)
