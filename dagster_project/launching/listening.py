"""What a started program says over Pipes beyond its result: numbers on the way, and its last words.

Dagster keeps one materialisation of an asset, reported at the end, and only collects custom
messages. Here the numbers in them become observations of the asset as they come, so that its page
plots a run that is still going; and the error a program ended with is kept, for a failure that says
more than a status. How a program is started is in the modules beside this one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg

from training.pipes import NUMBERS_KEY

OBSERVE_EVERY_S = 10.0
"""Least time between two observations, seconds: an event per step would swamp the asset's page."""


class Ear:
    """Listens to one program.

    Parameters
    ----------
    context
        Of the asset it makes.
    every_s
        Least time between two observations, seconds.
    clock
        Seconds from any moment.
    """

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        every_s: float = OBSERVE_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context, self._every_s, self._clock = context, every_s, clock
        self._observed_at: float | None = None
        self._pending: Mapping[str, Any] | None = None
        self._lock = threading.Lock()
        self.error_name = ""
        self.last_words = ""

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take one Pipes message."""
        method, params = message.get("method"), message.get("params") or {}
        with self._lock:
            if method == "report_custom_message":
                numbers = (params.get("payload") or {}).get(NUMBERS_KEY)
                if numbers:
                    self._take(numbers)
            elif method == "closed":
                self._observe()
                if error := params.get("exception"):
                    self.error_name = str(error.get("name") or "")
                    self.last_words = str(error.get("message") or "").partition(": ")[2].strip()

    def _take(self, numbers: Mapping[str, Any]) -> None:
        self._pending = numbers
        now = self._clock()
        if self._observed_at is None or now - self._observed_at >= self._every_s:
            self._observed_at = now
            self._observe()

    def _observe(self) -> None:
        if self._pending is None:
            return
        numbers, self._pending = self._pending, None
        partition = self._context.partition_key if self._context.has_partition_key else None
        self._context.log_event(
            dg.AssetObservation(
                self._context.asset_key,
                description="how the running trainer stands",
                partition=partition,
                metadata={k: v for k, v in numbers.items() if isinstance(v, int | float | str)},
            )
        )


class _Handler:
    """A Pipes message handler with an ear to it."""

    def __init__(self, handler: dg.PipesMessageHandler, ear: Ear) -> None:
        self._inner, self._ear = handler, ear

    def handle_message(self, message: Any) -> None:
        self._inner.handle_message(message)
        self._ear.hear(message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def heard(reader: type[dg.PipesMessageReader], ear: Ear, **arguments: Any) -> Any:
    """Return a message reader of the given type that an ear listens to.

    A subtype, because clients look at the type of their reader.
    """

    class Heard(reader):  # type: ignore[valid-type, misc]
        @contextmanager
        def read_messages(self, handler: Any) -> Iterator[Any]:
            with super().read_messages(_Handler(handler, ear)) as params:
                yield params

    return Heard(**arguments)
