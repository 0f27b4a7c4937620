"""WFDB records byte by byte from header(5), signal(5) and annot(5); shares nothing with the reader."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass
class WfdbFile:
    """One signal file: ``steps`` (n_signals, n_times) are ADC values.

    ``gains`` are the third field of a signal line, such as ``1000/mV`` or ``20(-4)/uV``.
    """

    name: str
    labels: Sequence[str]
    steps: NDArray[np.int64]
    fmt: str = "16"
    gains: Sequence[str] = ()
    zeros: Sequence[int] = ()
    is_matlab: bool = False
    per_frame: Sequence[int] = ()


def _pack(flat: NDArray[np.int64], fmt: str) -> bytes:
    if fmt == "16":
        return flat.astype("<i2").tobytes()
    if fmt == "32":
        return flat.astype("<i4").tobytes()
    if fmt == "24":
        return b"".join(int(v & 0xFFFFFF).to_bytes(3, "little") for v in flat)
    out = bytearray()
    values = [int(v) & 0xFFF for v in flat]
    for i in range(0, len(values), 2):
        a = values[i]
        if i + 1 == len(values):
            out += bytes([a & 0xFF, a >> 8])
        else:
            b = values[i + 1]
            out += bytes([a & 0xFF, (a >> 8) | (b >> 8) << 4, b & 0xFF])
    return bytes(out)


def _frames(file: WfdbFile) -> NDArray[np.int64]:
    """Interleave: of each signal as many samples a frame as it has."""
    per = list(file.per_frame) or [1] * len(file.labels)
    n_frames = file.steps.shape[1] // max(per)
    parts = [
        row[: n_frames * n].reshape(n_frames, n) for row, n in zip(file.steps, per, strict=True)
    ]
    return np.concatenate(parts, axis=1)


def write(
    folder: Path,
    record: str,
    files: Sequence[WfdbFile],
    rate: str = "200",
    tail: str = "",
    comments: Sequence[str] = (),
) -> Path:
    """Write a record; ``tail`` is base time and date. Return the header's path."""
    folder.mkdir(parents=True, exist_ok=True)
    n_signals = sum(len(f.labels) for f in files)
    n_frames = len(_frames(files[0]))
    lines = [f"{record} {n_signals} {rate} {n_frames} {tail}".rstrip()]
    for file in files:
        frames = _frames(file)
        body = _pack(frames.reshape(-1), file.fmt)
        if file.is_matlab:
            kind = {"16": 30, "32": 20}[file.fmt]
            head = struct.pack("<5i4s", kind, frames.shape[1], frames.shape[0], 0, 4, b"val\0")
            body = head + body
        (folder / file.name).write_bytes(body)
        gains = list(file.gains) or ["1/uV"] * len(file.labels)
        zeros = list(file.zeros) or [0] * len(file.labels)
        per = list(file.per_frame) or [1] * len(file.labels)
        for label, row, gain, zero, n in zip(
            file.labels, file.steps, gains, zeros, per, strict=True
        ):
            total = int(row.sum()) & 0xFFFF
            checksum = total - 65536 if total > 32767 else total
            form = file.fmt + (f"x{n}" if n > 1 else "") + ("+24" if file.is_matlab else "")
            lines.append(f"{file.name} {form} {gain} 16 {zero} {row[0]} {checksum} 0 {label}")
    lines += [f"# {text}" for text in comments]
    path = folder / f"{record}.hea"
    path.write_text("\n".join(lines) + "\n")
    return path


def write_annotations(
    path: Path, notes: Sequence[tuple[int, int, str]], resolution: str = ""
) -> Path:
    """Write an MIT annotation file of (sample, code, aux text), in order of sample."""

    def word(code: int, low: int) -> bytes:
        return struct.pack("<H", code << 10 | low & 0x3FF)

    def aux(text: str) -> bytes:
        raw = text.encode()
        return word(63, len(raw)) + raw + b"\0" * (len(raw) % 2)

    body, at = b"", 0
    if resolution:
        body += word(22, 0) + aux(f"## time resolution: {resolution}")
    for sample, code, text in notes:
        step = sample - at
        if step > 1023:
            high, low = step >> 16, step & 0xFFFF
            body += word(59, 0) + struct.pack("<hH", high, low)
            step = 0
        body += word(code, step) + (aux(text) if text else b"")
        at = sample
    path.write_bytes(body + b"\0\0")
    return path
