"""SIGTERM and SIGINT as a flag the training loop looks at, and a last word for who cannot look.

What the flag leads to is the loop's business; how the processes of one run come to agree on it,
:mod:`training.vlm.parallel`'s.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from types import FrameType
from typing import Any

from training.vlm.errors import EX_TEMPFAIL

_NUMBERS = (signal.SIGTERM, signal.SIGINT)

SHUTDOWN_VARIABLE = "TORCH_ELASTIC_SHUTDOWN_TIMEOUT"
"""Seconds ``torchrun`` leaves its processes after SIGTERM; 30 unless set."""

PATIENCE = 0.5
"""Share of them that a process waits for one that does not answer. Engineering default."""


class StopFlag:
    """Turns SIGTERM and SIGINT into a flag; use as a context.

    Alone, a second signal acts as usual, for the impatient. Beside others, a launcher passes on the
    signal the terminal has sent already, and sends another to whoever is left when the first
    process ends: there any number of signals is one, and an error is told before the end. And
    beside others a process may wait for one that never answers, where Python hears no signal: then
    a thread says so and ends the program.

    Parameters
    ----------
    is_launched
        Whether this is one of several processes that a launcher started.

    Attributes
    ----------
    signal_name
        The signal that came, or nothing.
    is_waiting
        Set by whoever waits for another process.
    """

    def __init__(self, is_launched: bool = False) -> None:
        self.signal_name = ""
        self.is_waiting = False
        self._is_launched = is_launched
        self._before: dict[signal.Signals, Any] = {}
        self._heard = threading.Event()
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def __enter__(self) -> StopFlag:
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread of a program hears signals
        for number in _NUMBERS:
            self._before[number] = signal.signal(number, self._take)
        if self._is_launched:
            self._ends = socket.socketpair()
            self._ends[1].setblocking(False)
            # the number of a signal is written here at once, whatever the main thread is stuck in
            signal.set_wakeup_fd(self._ends[1].fileno(), warn_on_full_buffer=False)
            threading.Thread(target=self._watch, args=(self._ends[0],), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._heard.set()
        if self._ends is not None:
            signal.set_wakeup_fd(-1)
            self._ends[1].close()
        if self._is_launched and kind is not None:
            for number in self._before:
                signal.signal(number, signal.SIG_IGN)
        else:
            self._restore()

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.signal_name = signal.Signals(number).name
        self._heard.set()
        if not self._is_launched:
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _watch(self, wakeups: socket.socket) -> None:
        patience_s = PATIENCE * float(os.environ.get(SHUTDOWN_VARIABLE, "30"))
        with wakeups:
            while number := wakeups.recv(1):
                if number[0] not in _NUMBERS or self._heard.wait(patience_s):
                    continue
                if self.is_waiting:
                    sys.stderr.write(
                        f"PeerLost: {signal.Signals(number[0]).name}, and another process has not "
                        f"answered for {patience_s:g} s; the last checkpoint stays and the same "
                        "command carries on from it\n"
                    )
                    sys.stderr.flush()
                    os._exit(EX_TEMPFAIL)
