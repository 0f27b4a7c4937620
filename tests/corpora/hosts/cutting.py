"""A TCP relay that hangs up in the middle of the first long answer, as networks do."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cutting_relay(port: int, after_bytes: int, n_cuts: int = 1) -> Iterator[str]:
    """Relay to a local port; the first connections with so long an answer are cut there."""
    listener = socket.create_server(("127.0.0.1", 0))
    left = [n_cuts]
    threading.Thread(target=_accept, args=(listener, port, after_bytes, left), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def _accept(listener: socket.socket, port: int, after_bytes: int, left: list[int]) -> None:
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        far = socket.create_connection(("127.0.0.1", port))
        for pair, limit in (((near, far), None), ((far, near), after_bytes)):
            threading.Thread(target=_pump, args=(*pair, limit, left), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, limit: int | None, left: list[int]) -> None:
    n_passed = 0
    with contextlib.suppress(OSError):
        while block := source.recv(65536):
            if limit is not None and left[0] > 0 and n_passed + len(block) > limit:
                left[0] -= 1
                break
            sink.sendall(block)
            n_passed += len(block)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
