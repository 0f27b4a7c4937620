"""Neuroscan .cnt files byte by byte from the SETUP, ELECTLOC and TEEG structures.

Shares nothing with the reader. Offsets: P. Bourke, "Neuroscan 4.1 file formats".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass
class CntSpec:
    """A recording: ``steps`` (n_channels, n_times) are stored values.

    A sample means (value - baseline) x sensitivity x calibration / 204.8 microvolts. ``events`` are
    (sample, stimulus code).
    """

    labels: Sequence[str]
    steps: NDArray[np.int64]
    sfreq_hz: int = 1000
    width: int = 4
    sensitivity: float = 1.0
    calibration: float = 20.48
    baselines: Sequence[int] = ()
    events: Sequence[tuple[int, int]] = ()
    event_kind: int = 2
    block: int = 1
    patient: str = ""
    date: str = "10/27/13"
    time: str = "09:30:00"
    n_samples: int | None = None
    version: str = "Version 3.0"


def write(path: Path, spec: CntSpec) -> Path:
    """Write the file and return its path."""
    n_channels, n_times = np.asarray(spec.steps).shape
    setup = bytearray(900)
    setup[0:12] = spec.version.encode().ljust(12, b"\0")
    setup[121:141] = spec.patient.encode()[:20].ljust(20, b"\0")
    setup[225:235] = spec.date.encode().ljust(10, b"\0")
    setup[235:247] = spec.time.encode().ljust(12, b"\0")
    struct.pack_into("<H", setup, 370, n_channels)
    struct.pack_into("<H", setup, 376, spec.sfreq_hz)
    struct.pack_into("<I", setup, 864, n_times if spec.n_samples is None else spec.n_samples)
    start = 900 + 75 * n_channels
    n_data = n_channels * n_times * spec.width
    struct.pack_into("<i", setup, 886, start + n_data)
    struct.pack_into("<f", setup, 890, n_times / spec.sfreq_hz)
    struct.pack_into("<i", setup, 894, spec.block * spec.width if spec.block > 1 else 0)
    electrodes = bytearray()
    baselines = list(spec.baselines) or [0] * n_channels
    for i, label in enumerate(spec.labels):
        one = bytearray(75)
        one[0:10] = label.encode()[:9].ljust(10, b"\0")
        struct.pack_into("<ff", one, 19, float(i), float(i % 5))
        struct.pack_into("<h", one, 47, baselines[i])
        struct.pack_into("<f", one, 59, spec.sensitivity)
        struct.pack_into("<f", one, 71, spec.calibration)
        electrodes += one
    stored = np.asarray(spec.steps).astype("<i4" if spec.width == 4 else "<i2")
    blocks = stored.reshape(n_channels, n_times // spec.block, spec.block).transpose(1, 0, 2)
    table = bytearray()
    for sample, code in spec.events:
        offset = start + sample * n_channels * spec.width
        if spec.event_kind == 1:
            table += struct.pack("<HBBi", code, 0, 0, offset)
        else:
            table += struct.pack("<HBBihhfBBB", code, 0, 0, offset, 0, 0, 0.0, 0, 0, 0)
    teeg = struct.pack("<Bii", spec.event_kind, len(table), 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(setup) + bytes(electrodes) + blocks.tobytes() + teeg + bytes(table))
    return path
