"""Many trials side by side on one event loop, handed back in the order they came.

A bounded window is held: trials on their way, and those that ended and wait for their turn. The
loop runs while the caller asks for the next one; between two calls the network waits in its
sockets. What a trial asks is its own; how it is asked is for ``online``.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator

from prompts.teachers.base import Outcome
from prompts.teachers.online import Asker, StoppedError
from prompts.teachers.trial import Trial

OPEN_FACTOR, HELD_FACTOR = 2, 20
"""Trials begun, and trials held in all, as multiples of those in flight: the first keeps every
place busy, the second bounds what piles up behind a slow head (engineering defaults)."""
PULL_S, SERVE_S = 0.02, 0.005
"""Trials are pulled for so long at a time, and the loop is run at least so often, so that neither
building requests nor reading outcomes stalls replies (engineering defaults)."""
TICK_S = 0.5
DRAIN_S = 10.0
"""Wait for requests on their way when a run stops, so that what is paid is written down."""


class Window:
    """The trials of one call.

    Parameters
    ----------
    asker
        Answers lines; it is told when the run stops.
    loop
        Where everything runs; not running now.
    n_places
        Most requests in flight.
    """

    def __init__(self, asker: Asker, loop: asyncio.AbstractEventLoop, n_places: int) -> None:
        self._asker = asker
        self._loop = loop
        self._max_open = OPEN_FACTOR * n_places
        self._max_held = HELD_FACTOR * n_places
        self._held: deque[asyncio.Task[Outcome]] = deque()
        self._n_open = 0
        self._changed = asyncio.Event()
        self._is_dry = False
        self._source_error: Exception | None = None
        self._served_at = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether every trial that will come was handed back."""
        return self._is_dry and not self._held and self._source_error is None

    def fill(self, source: Iterator[Trial]) -> None:
        """Pull trials while there is room; an error of the source waits for its turn."""
        until = time.monotonic() + PULL_S
        while self._has_room() and time.monotonic() < until:
            try:
                trial = next(source, None)
            except Exception as error:
                self._source_error, trial = error, None
            if trial is None:
                self._is_dry = True
                return
            self._n_open += 1
            self._held.append(self._loop.create_task(self._work(trial)))

    def head(self) -> Outcome | None:
        """Return the next outcome in order, or None where room or a tick came first.

        Raises
        ------
        Exception
            The error that ends the run, when no earlier outcome is left.
        """
        if not self._held:
            raise self._source_error or RuntimeError("head() of an empty window")
        head = self._held[0]
        if not head.done() or time.monotonic() - self._served_at > SERVE_S:
            self._loop.run_until_complete(self._serve(head))
            self._served_at = time.monotonic()
        if not head.done():
            return None
        self._held.popleft()
        error = head.exception()
        if isinstance(error, StoppedError) and self._asker.stopped_by is not None:
            raise self._asker.stopped_by
        return head.result()

    def drain(self) -> None:
        """Let requests on their way end, for a while; nothing new leaves."""
        self._stop()
        if self._held:
            self._loop.run_until_complete(asyncio.wait(self._held, timeout=DRAIN_S))

    def close(self) -> None:
        """Cancel what is left; what was on its way counts as possibly paid."""
        self._stop()
        for task in self._held:
            task.cancel()
        if self._held:
            self._loop.run_until_complete(asyncio.gather(*self._held, return_exceptions=True))
        self._held.clear()

    def _stop(self) -> None:
        if self._asker.stopped_by is None:
            self._asker.stopped_by = StoppedError("the run is stopping", cause="stopped")

    def _has_room(self) -> bool:
        has_room = self._n_open < self._max_open and len(self._held) < self._max_held
        return has_room and not self._is_dry and self._asker.stopped_by is None

    async def _serve(self, head: asyncio.Task[Outcome]) -> None:
        await asyncio.sleep(0)
        is_late = False

        def ring() -> None:
            nonlocal is_late
            is_late = True
            self._changed.set()

        tick = self._loop.call_later(TICK_S, ring)
        while not (head.done() or is_late or self._has_room()):
            self._changed.clear()
            await self._changed.wait()
        tick.cancel()

    async def _work(self, trial: Trial) -> Outcome:
        try:
            while trial.line is not None:
                trial.take(await self._asker.ask(trial.line))
        except Exception as error:
            if self._asker.stopped_by is None:
                self._asker.stopped_by = error
            raise
        finally:
            self._n_open -= 1
            self._changed.set()
        return trial.end()
