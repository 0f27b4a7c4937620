"""A worker pool for recordings: spawned processes, one thread each, answers in order.

Numerical libraries size their thread pools when they are first imported, so the limits are in the
environment before a worker starts. A worker that dies takes nobody else's answer with it.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

logger = logging.getLogger(__name__)

THREAD_LIMITS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS", "POLARS_MAX_THREADS",
)  # fmt: skip
"""Variables set to 1 for workers: oversubscription costs 4-17x (measured)."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@contextmanager
def _one_thread_each() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in THREAD_LIMITS}
    os.environ.update(dict.fromkeys(THREAD_LIMITS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start_worker() -> None:
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


def map_in_order(
    function: Callable[[Item], Answer],
    items: Sequence[Item],
    n_workers: int,
    lost: Callable[[Item], Answer],
) -> Iterator[Answer]:
    """Apply a function to items, yielding answers in the order of the items.

    Parameters
    ----------
    function
        A module-level function; it must not raise for bad input but answer with what went wrong.
    items
        Picklable work.
    n_workers
        Processes; 1 runs inline, without any process.
    lost
        Answer for an item whose worker died twice, alone the second time.

    Raises
    ------
    ValueError
        If ``n_workers`` is below 1.
    """
    if n_workers < 1:
        raise ValueError(f"n_workers={n_workers} is not allowed; use 1 (inline) or more")
    if n_workers == 1 or len(items) < 2:
        yield from map(function, items)
        return
    with _one_thread_each(), _executor(min(n_workers, len(items))) as executor:
        futures: list[Future[Answer] | None] = []
        for item in items:
            try:
                futures.append(executor.submit(function, item))
            except BrokenProcessPool:
                futures.append(None)
        for item, future in zip(items, futures, strict=True):
            try:
                if future is None:
                    raise BrokenProcessPool
                answer = future.result()
            except BrokenProcessPool:
                answer = _alone(function, item, lost)
            yield answer


def _executor(n_workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(n_workers, mp_context=context, initializer=_start_worker)


def _alone(
    function: Callable[[Item], Answer], item: Item, lost: Callable[[Item], Answer]
) -> Answer:
    """Second try in a process of its own, so that a deadly item harms only itself."""
    logger.warning("a worker died; its work is tried once more alone")
    with _executor(1) as executor:
        try:
            return executor.submit(function, item).result()
        except BrokenProcessPool:
            return lost(item)
