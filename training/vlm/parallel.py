"""Several processes that train one model: who they are, what they tell each other, how one ends.

Processes come from ``torchrun`` or ``accelerate launch``; which one this is stands in the
environment. All of them run the same program side by side. Small Python values are exchanged
between processors (gloo), in the same places on every process, and each exchange also carries
whether a signal was heard: so all stop at the same place. Process 0 alone writes and reports; what
fails in one place ends all of them with the same sentence.

How weights are split over processes is in :mod:`training.vlm.shard`; which rows a process encodes,
in :mod:`training.vlm.batch`.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from training.vlm.errors import EX_TEMPFAIL, MachineError, TrainerError
from training.vlm.signals import StopFlag

TIMEOUT = timedelta(minutes=30)
"""Longest wait for another process; writing a checkpoint of a large model takes minutes of it.
Engineering default."""

BUCKET = 2**24
"""Numbers summed over processes in one go: 64 MB of float32. Engineering default."""

_CAUSE = "neurogloss/cause"
_ATTEMPT = "TORCHELASTIC_RESTART_COUNT"
_MEETINGS = itertools.count()
_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class PeerLost(TrainerError):
    """Another process of the run is gone."""

    is_retryable = True
    exit_code = EX_TEMPFAIL


class PeerFailed(TrainerError):
    """Another process of the run ended it, for a cause that it alone knew."""


class Team:
    """The processes of a run, seen from one of them.

    Parameters
    ----------
    stop
        Set by a signal to this process.
    rank, size
        Number of this process from 0, and of all.
    store
        Key-value store all of them reach; ``None`` for a process that is alone.
    """

    def __init__(self, stop: StopFlag, rank: int = 0, size: int = 1, store: Any = None) -> None:
        self.rank = rank
        self.size = size
        self._stop = stop
        self._store = store
        self._agreed = ""

    @property
    def is_first(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    @property
    def stop_name(self) -> str:
        """Name of the signal that ends the run, or nothing.

        The same on all processes: beside others, a signal counts from the next exchange on.
        """
        return self._stop.signal_name if self.size == 1 else self._agreed

    def gather(self, value: Any) -> list[Any]:
        """Return the value of every process in the order of their numbers, on all of them.

        Raises
        ------
        PeerLost
            If one of them is gone.
        PeerFailed
            If one of them left word of why it ended.
        """
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        found: list[Any] = [None] * self.size
        with self.reaching():
            dist.all_gather_object(found, (self._stop.signal_name, value))
        self._agreed = next((name for name, _ in found if name), self._agreed)
        return [value for _, value in found]

    def all(self, call: Callable[[], Any]) -> Any:
        """Return what ``call`` returns here; an error of one process is raised on all of them."""
        value, error = _outcome(call)
        errors = self.gather(error)
        failed = next((rank for rank, e in enumerate(errors) if e is not None), None)
        if failed is not None:
            raise self._shared(errors[failed], failed)
        return value

    def first(self, call: Callable[[], Any]) -> Any:
        """Call on process 0 only, and return its value or raise its error on all of them."""
        value, error = _outcome(call) if self.is_first else (None, None)
        value, error = self.gather((value, error))[0]
        if error is not None:
            raise self._shared(error, 0)
        return value

    def same(self, value: Any, what: str) -> None:
        """Refuse to go on where processes differ.

        Raises
        ------
        MachineError
            Naming ``what`` differs.
        """
        found = self.gather(value)
        other = next((rank for rank, v in enumerate(found) if v != found[0]), None)
        if other is not None:
            error = MachineError(
                f"process {other} has {what} {found[other]!r} and process 0 has {found[0]!r}; "
                "all processes need the same command, data and output folder on shared storage"
            )
            raise self._shared(error, 0)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Mark what is raised inside as raised by all processes alike."""
        try:
            yield
        except TrainerError as error:
            error.is_shared = self.size > 1
            raise

    def sum_gradients(self, parameters: Iterable[Any]) -> None:
        """Add up gradients over all processes, in place.

        A tensor without a gradient on every process keeps none.
        """
        if self.size == 1:
            return
        import torch
        import torch.distributed as dist

        held = list(parameters)
        reached = [p.grad is not None for p in held]
        anywhere = [any(flags) for flags in zip(*self.gather(reached), strict=True)]
        chosen = [p for p, is_reached in zip(held, anywhere, strict=True) if is_reached]
        for parameter in chosen:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for bucket in _buckets([p.grad for p in chosen]):
            flat = torch.cat([g.reshape(-1) for g in bucket])
            with self.reaching():
                dist.all_reduce(flat)
            for gradient, summed in zip(
                bucket, flat.split([g.numel() for g in bucket]), strict=True
            ):
                gradient.copy_(summed.view_as(gradient))

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Say in a sentence when a process that is needed inside is gone."""
        was_waiting, self._stop.is_waiting = self._stop.is_waiting, True
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not _is_lost_connection(error):
                raise
            raise self._lost() from error
        finally:
            self._stop.is_waiting = was_waiting

    def tell(self, error: BaseException) -> None:
        """Leave word for the others of why this process ends."""
        is_known = isinstance(error, PeerLost | PeerFailed) or getattr(error, "is_shared", False)
        if self._store is None or is_known:
            return
        word = {
            "rank": self.rank,
            "text": f"{type(error).__name__}: {error}",
            "exit_code": getattr(error, "exit_code", 1),
            "is_retryable": getattr(error, "is_retryable", False),
        }
        with contextlib.suppress(Exception):  # the store may have ended with its process
            self._store.set(_CAUSE, json.dumps(word))

    def _lost(self) -> PeerLost | PeerFailed:
        word = None
        with contextlib.suppress(Exception):
            self._store.wait([_CAUSE], timedelta(seconds=1))
            word = json.loads(self._store.get(_CAUSE))
        if word is None:
            return PeerLost(
                f"process {self.rank} of {self.size} lost another one, which was killed or whose "
                "machine is gone; the last checkpoint stays and the same command carries on from it"
            )
        # the launcher that asks whether to try again hears only the name of an error
        kind = PeerLost if word["is_retryable"] else PeerFailed
        found = kind(f"process {word['rank']} of {self.size} ended the run: {word['text']}")
        found.exit_code = word["exit_code"]
        return found

    def _shared(self, error: TrainerError, rank: int) -> TrainerError:
        if rank:
            found = type(error)(f"process {rank} of {self.size}: {error}")
            found.exit_code, found.is_retryable = error.exit_code, error.is_retryable
            error = found
        error.is_shared = self.size > 1
        return error


def launched_rank() -> int:
    """Return the number a launcher gave this process; 0 without one."""
    return int(os.environ.get("RANK", "0")) if launched_size() > 1 else 0


def launched_size() -> int:
    """Return how many processes a launcher started; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def tell_error(error: TrainerError) -> int:
    """Write an error once, whichever process it came to, and return the exit status.

    What all processes raise alike is told by the first; what one alone knows, by that one.
    """
    rank = launched_rank()
    if rank == 0 or not error.is_shared:
        who = f"process {rank}: " if rank else ""
        sys.stderr.write(f"{who}{type(error).__name__}: {error}\n")
    return error.exit_code


@contextmanager
def joined() -> Iterator[Team]:
    """Meet the other processes of the launcher, or be alone; signals are heard inside.

    Raises
    ------
    MachineError
        If the launcher's words are incomplete, a GPU is wanting, or the others do not come.
    """
    size = launched_size()
    if size == 1:
        with StopFlag() as stop:
            yield Team(stop)
        return
    import torch.distributed as dist

    store = _meet(size)
    with StopFlag(is_launched=True) as stop:
        team = Team(stop, dist.get_rank(), size, store)
        try:
            yield team
        except BaseException as error:
            team.tell(error)
            raise
    dist.destroy_process_group()


def _meet(size: int) -> Any:
    """Join the process group and return the store its members share."""
    import torch
    import torch.distributed as dist

    missing = [name for name in _VARIABLES if name not in os.environ]
    if missing:
        raise MachineError(
            f"WORLD_SIZE={size} but {', '.join(missing)} is not set; start several processes with "
            "torchrun or accelerate launch, or unset WORLD_SIZE for one"
        )
    # seeing this, transformers would load weights on the first process only
    os.environ.pop("ACCELERATE_USE_FSDP", None)
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        local, n_gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local >= n_gpus:
            raise MachineError(
                f"process {local} of this machine has no GPU: there are {n_gpus}; "
                f"start at most {n_gpus} processes on it"
            )
        torch.cuda.set_device(local)
    try:
        found, rank, size = _rendezvous()
        # the launcher may keep its store when it starts processes again, with the old addresses
        attempt = os.environ.get(_ATTEMPT, "0")
        store = dist.PrefixStore(f"attempt-{attempt}/meeting-{next(_MEETINGS)}", found)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if has_gpu else "gloo",
            store=store,
            rank=rank,
            world_size=size,
            timeout=TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:
        raise MachineError(f"the {size} processes cannot meet: {error}") from error
    return store


@functools.cache
def _rendezvous() -> tuple[Any, int, int]:
    """Return the launcher's store, this process's number and their count, once for all meetings.

    A store made anew for the next stage would lie at the address of the old one, and a fast process
    would find the old one still closing there.
    """
    import torch.distributed as dist

    found: tuple[Any, int, int] = next(dist.rendezvous("env://", timeout=TIMEOUT))
    return found


def _outcome(call: Callable[[], Any]) -> tuple[Any, TrainerError | None]:
    try:
        return call(), None
    except TrainerError as error:
        return None, error


def _is_lost_connection(error: RuntimeError) -> bool:
    import torch.distributed as dist

    words = ("gloo", "nccl", "connection")
    return isinstance(error, dist.DistError) or any(w in str(error).lower() for w in words)


def _buckets(tensors: Iterable[Any]) -> Iterator[list[Any]]:
    """Group tensors of one type, in their order."""
    bucket: list[Any] = []
    for tensor in tensors:
        n_held = sum(t.numel() for t in bucket)
        if bucket and (n_held + tensor.numel() > BUCKET or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
