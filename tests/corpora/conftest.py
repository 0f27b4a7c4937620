"""EDF files for the corpora tests, written by edfio, which the reader shares no code with.

Also lets the tests import ``formats`` (file writers) and ``trees`` (corpus trees in their authentic
layout) beside them; ``importlib`` mode adds no path.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import edfio
import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

NAMES19 = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T3", "C3", "Cz", "C4", "T4", "T5", "P3", "Pz",
    "P4", "T6", "O1", "O2",
)  # fmt: skip

WriteEdf = Callable[..., Path]


def _write(
    path: Path,
    data_uv: NDArray[np.float64] | None = None,
    *,
    labels: Sequence[str] = (),
    sfreq_hz: float = 256,
    duration_s: float = 30,
    unit: str = "uV",
    half_range: float = 3276.7,
    annotations: Sequence[tuple[float, float | None, str]] = (),
    record_s: float = 1.0,
    extra: Sequence[edfio.EdfSignal] = (),
    seed: int = 0,
) -> Path:
    labels = list(labels) or [f"EEG {name}" for name in NAMES19]
    if data_uv is None:
        rng = np.random.default_rng(seed)
        data_uv = 20 * rng.standard_normal((len(labels), round(sfreq_hz * duration_s)))
    signals = [
        edfio.EdfSignal(
            row,
            sfreq_hz,
            label=label,
            physical_dimension=unit,
            physical_range=(-half_range, half_range),
        )
        for row, label in zip(data_uv, labels, strict=True)
    ]
    notes = [edfio.EdfAnnotation(*note) for note in annotations]
    file = edfio.Edf([*signals, *extra], annotations=notes or None, data_record_duration=record_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    file.write(path)
    return path


@pytest.fixture(scope="session")
def write_edf() -> WriteEdf:
    """Return a writer of EDF files: path, data in microvolts, and keywords."""
    return _write


def _write_gaps(
    path: Path, onsets_s: Sequence[float], spr: int = 100, seed: int = 5
) -> NDArray[np.int64]:
    """Write an EDF+D file by hand: one signal, one-second records at the given onsets."""
    samples = np.random.default_rng(seed).integers(-2000, 2000, (len(onsets_s), spr))
    rows = [("EEG Cz", "uV", -3276.8, 3276.7, spr), ("EDF Annotations", "", -1, 1, 20)]
    head = b"0".ljust(8) + b"X X X X".ljust(80) + b"Startdate X X X X".ljust(80)
    head += b"01.01.0000.00.00" + str(256 * 3).encode().ljust(8) + b"EDF+D".ljust(44)
    head += str(len(onsets_s)).encode().ljust(8) + b"1".ljust(8) + b"2".ljust(4)
    for width, texts in (
        (16, [r[0] for r in rows]), (80, ["", ""]), (8, [r[1] for r in rows]),
        (8, [r[2] for r in rows]), (8, [r[3] for r in rows]), (8, [-32768] * 2),
        (8, [32767] * 2), (80, ["", ""]), (8, [r[4] for r in rows]), (32, ["", ""]),
    ):  # fmt: skip
        head += b"".join(str(t).encode().ljust(width) for t in texts)
    body = b""
    for onset, record in zip(onsets_s, samples, strict=True):
        body += record.astype("<i2").tobytes() + f"+{onset:g}\x14\x14\0".encode().ljust(40, b"\0")
    path.write_bytes(head + body)
    return samples


@pytest.fixture(scope="session")
def edf_plus_d() -> Callable[..., NDArray[np.int64]]:
    """Return a writer of EDF+D files with gaps: path and record onsets."""
    return _write_gaps
