"""What a queue's job and Dagster tell each other over files on a disk that both see.

A shared disk fails in ways a local one does not: a file is there and may not be read, a handle goes
stale, the end of a file is seen before its bytes. None of that says anything about the job, which
runs elsewhere, so whatever cannot be read is asked for again, and what never could be is said. Which
files there are is in :mod:`dagster_project.launching.jobs`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_pipes import PipesDefaultContextLoader, PipesDefaultMessageWriter

from dagster_project.launching.endings import exit_status

MESSAGES_S = 0.3
"""Seconds between looks at the message file."""
SETTLE_S = 15.0
"""Seconds a shared disk may take to show what a finished job wrote, or the bytes of a line."""
SILENCE_S = 1.0
"""Seconds the last words of a job that did not end well are waited for: a killed one has none."""


class MessagesUnread(RuntimeError):
    """A job ended well and what it reported could not be read; later it may be."""

    is_retryable = True


class SharedContext(dg.PipesContextInjector):
    """Writes the context to the shared disk and leaves it: a waiting job reads it much later."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def inject_context(self, context: Any) -> Iterator[dict[str, str]]:
        """Write the context whole and say where it lies."""
        part = self._path.with_name(f"{self._path.name}.part")
        part.write_text(json.dumps(context), encoding="utf-8")
        part.replace(self._path)
        yield {PipesDefaultContextLoader.FILE_PATH_KEY: str(self._path)}

    def no_messages_debug_text(self) -> str:
        """Say where the context was."""
        return f"The context was written to {self._path.name} in the launch folder."


class SharedMessages(dg.PipesMessageReader):
    """Reads a file on the shared disk from its beginning, as it appears and grows.

    Parameters
    ----------
    path
        The file.
    status
        Returns the job's exit status, ``None`` while there is none.
    warn
        Takes one sentence about what cannot be read, when it begins and when it is over.

    Attributes
    ----------
    trouble
        Why the file could not be read when last looked at; empty where it could.
    """

    def __init__(
        self, path: Path, status: Callable[[], int | None], warn: Callable[[str], None]
    ) -> None:
        self._path, self._status, self._warn = path, status, warn
        self._is_over = threading.Event()
        self._torn: tuple[int, float] | None = None
        self.trouble = ""

    @contextmanager
    def read_messages(self, handler: Any) -> Iterator[dict[str, Any]]:
        """Hand over messages from a thread until the last one, or the wait for it, is over."""
        thread = threading.Thread(target=self._read, args=(handler,), daemon=True)
        thread.start()
        try:
            yield {
                PipesDefaultMessageWriter.FILE_PATH_KEY: str(self._path),
                PipesDefaultMessageWriter.INCLUDE_STDIO_IN_MESSAGES_KEY: False,
            }
        finally:
            self._is_over.set()
            thread.join()

    def _read(self, handler: Any) -> None:
        at, deadline = 0, 0.0
        while True:
            was_over = self._is_over.is_set()
            at = self._forward(handler, at)
            if was_over:
                ended_well = self._status() == 0
                patience = SETTLE_S if ended_well or self.trouble else SILENCE_S
                deadline = deadline or time.monotonic() + patience
                # without a first word there will be no last one, but of a job that ended well
                is_mute = not (handler.received_opened_message or ended_well or self.trouble)
                if is_mute or handler.received_closed_message:
                    return
                if time.monotonic() > deadline:
                    self._forward(handler, at, is_last=True)
                    return
            self._is_over.wait(MESSAGES_S) if not was_over else time.sleep(MESSAGES_S)

    def _forward(self, handler: Any, at: int, *, is_last: bool = False) -> int:
        """Hand over the whole lines from a byte on and return where the next one begins."""
        for line in self._lines(at):
            if not line.endswith(b"\n"):
                break
            try:
                message = json.loads(line)
            except ValueError:
                # a disk may show the length of a line before its bytes
                if not (is_last or self._is_torn_for_good(at)):
                    break
                self._warn(f"{len(line)} bytes of what the job said are no message: passed over")
                at += len(line)
                continue
            at += len(line)
            handler.handle_message(message)
        return at

    def _lines(self, at: int) -> list[bytes]:
        """Return the lines from a byte on; none where the file is not there yet or not readable."""
        try:
            with self._path.open("rb") as file:
                file.seek(at)
                lines = file.readlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            if not self.trouble:
                self._warn(
                    f"what the job says cannot be read ({_named(error)}); the job goes on, and "
                    f"{self._path.name} in its launch folder is tried again until it has ended"
                )
            self.trouble = _named(error)
            return []
        if self.trouble:
            self._warn("what the job says can be read again")
        self.trouble = ""
        return lines

    def _is_torn_for_good(self, at: int) -> bool:
        now = time.monotonic()
        if self._torn is None or self._torn[0] != at:
            self._torn = (at, now)
        return now - self._torn[1] > SETTLE_S

    def no_messages_debug_text(self) -> str:
        """Say where messages were looked for."""
        return f"Messages were looked for in {self._path.name} in the launch folder."


def written_status(path: Path) -> int | None:
    """Return the exit status a job wrote; ``None`` where there is none, or none readable yet."""
    try:
        return exit_status(int(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _named(error: OSError) -> str:
    return f"{type(error).__name__}: {error.strerror or error}"
