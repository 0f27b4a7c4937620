"""WFDB annotation files in MIT format, byte by byte from annot(5) of the Programmer's Guide."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

NOTE, VF_ON, VF_OFF = 22, 32, 33


def _word(code: int, low: int) -> bytes:
    return (code << 10 | low).to_bytes(2, "little")


def _skip(ticks: int) -> bytes:
    four = (ticks & 0xFFFFFFFF).to_bytes(4, "big")
    return _word(59, 0) + four[1::-1] + four[:1:-1]


def _aux(text: str) -> bytes:
    raw = text.encode()
    return _word(63, len(raw)) + raw + b"\0" * (len(raw) % 2)


def write(path: Path, marks: Sequence[tuple[int, int, str]], ticks_hz: int) -> Path:
    """Write (tick, code, text) marks behind the note that states the time resolution."""
    body = _word(NOTE, 0) + _aux(f"## time resolution: {ticks_hz}") + _skip(-1) + _word(0, 1)
    now = 0
    for tick, code, text in marks:
        step = tick - now
        if step < 1024:
            body += _word(code, step)
        else:
            body += _skip(step) + _word(code, 0)
        if text:
            body += _aux(text)
        now = tick
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body + b"\0\0")
    return path
