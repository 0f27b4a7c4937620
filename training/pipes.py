"""The trainers' line to Dagster: logs, numbers and the materialisation, through Dagster Pipes.

Only the small ``dagster-pipes`` package is used, never Dagster itself, and a program that Dagster
did not launch gets a silent stand-in. What to report is each trainer's business; how a trainer is
launched from an asset is the rim's.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

_CONTEXT_VARIABLE = "DAGSTER_PIPES_CONTEXT"
"""Set by every Pipes client that hands its context over in the environment."""

LAUNCHER_VARIABLE = "NEUROGLOSS_LAUNCHED_BY"
"""Process id of whoever started this program on this machine and waits for it."""
_LOOK_S = 1.0
NUMBERS_KEY = "neurogloss/numbers"
"""Key of a custom message that holds numbers on the way."""


class PipesSession(Protocol):
    """What a trainer may say to whoever launched it."""

    @property
    def is_active(self) -> bool:
        """Whether Dagster is listening."""

    @property
    def extras(self) -> Mapping[str, Any]:
        """Values the launcher passed along."""

    def log(self, text: str) -> None:
        """Write to the log of the Dagster run."""

    def observe(self, numbers: Mapping[str, float]) -> None:
        """Report how things stand while the asset is being made.

        Pipes takes one materialisation of an asset, at its end, so numbers on the way travel as
        custom messages; the rim records them as observations of the asset as they come.
        """

    def materialize(self, metadata: Mapping[str, Any], data_version: str) -> None:
        """Report the asset as made.

        Parameters
        ----------
        metadata
            Numbers and texts, or ``{"raw_value": ..., "type": ...}`` for Markdown, JSON and paths.
        data_version
            Content hash of what was made.
        """


class _Silent:
    """Stands in where Dagster is not listening."""

    is_active = False
    extras: Mapping[str, Any] = {}

    def log(self, text: str) -> None:
        """Nobody listens."""

    def observe(self, numbers: Mapping[str, float]) -> None:
        """Nobody listens."""

    def materialize(self, metadata: Mapping[str, Any], data_version: str) -> None:
        """Nobody listens."""


class _Listening:
    """Forwards to the Pipes context of this process."""

    is_active = True

    def __init__(self, context: Any) -> None:
        self._context = context

    @property
    def extras(self) -> Mapping[str, Any]:
        return self._context.extras

    def log(self, text: str) -> None:
        self._context.log.info(text)

    def observe(self, numbers: Mapping[str, float]) -> None:
        self._context.report_custom_message({NUMBERS_KEY: dict(numbers)})

    def materialize(self, metadata: Mapping[str, Any], data_version: str) -> None:
        if self._context.is_asset_step:
            self._context.report_asset_materialization(
                metadata=dict(metadata), data_version=data_version
            )


@contextmanager
def pipes_session() -> Iterator[PipesSession]:
    """Open the line to Dagster if it launched this program, else a silent one.

    Of several processes that torchrun started only the first speaks: all of them inherit the line.
    An exception that leaves the context is reported to Dagster before it goes on.
    """
    is_other = os.environ.get("RANK", "0") != "0"
    if is_other or _CONTEXT_VARIABLE not in os.environ:
        yield _Silent()
        return
    from dagster_pipes import open_dagster_pipes

    with _watched_launcher(), open_dagster_pipes() as context:
        yield _Listening(context)


@contextmanager
def _watched_launcher() -> Iterator[None]:
    """End as by SIGTERM when a launcher on this machine is gone.

    A program left behind by a killed launcher would keep the output folder from the one that a
    retry starts; ended so, it leaves its checkpoint to it.
    """
    launcher = os.environ.get(LAUNCHER_VARIABLE, "")
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_LOOK_S):
            if not _is_alive(int(launcher)):
                os.kill(os.getpid(), signal.SIGTERM)
                return

    if launcher.isdigit():
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
