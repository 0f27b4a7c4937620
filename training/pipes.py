"""The trainers' line to Dagster: logs, metrics and the materialisation, through Dagster Pipes.

Only the small ``dagster-pipes`` package is used, never Dagster itself, and a program that Dagster
did not launch gets a silent stand-in. What to report is each trainer's business; how a trainer is
launched from an asset is the rim's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

_CONTEXT_VARIABLE = "DAGSTER_PIPES_CONTEXT"
"""Set by every Pipes client that hands its context over in the environment."""


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

    def materialize(self, metadata: Mapping[str, Any], data_version: str) -> None:
        if self._context.is_asset_step:
            self._context.report_asset_materialization(
                metadata=dict(metadata), data_version=data_version
            )


@contextmanager
def pipes_session() -> Iterator[PipesSession]:
    """Open the line to Dagster if it launched this program, else a silent one.

    An exception that leaves the context is reported to Dagster before it goes on.
    """
    if _CONTEXT_VARIABLE not in os.environ:
        yield _Silent()
        return
    from dagster_pipes import open_dagster_pipes

    with open_dagster_pipes() as context:
        yield _Listening(context)
