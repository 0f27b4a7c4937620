"""EDF files for the corpora tests, written by edfio, which the reader shares no code with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import edfio
import numpy as np
import pytest
from numpy.typing import NDArray

NAMES19 = "Fp1 Fp2 F7 F3 Fz F4 F8 T3 C3 Cz C4 T4 T5 P3 Pz P4 T6 O1 O2".split()

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
    file = edfio.Edf(
        [*signals, *extra], annotations=notes or None, data_record_duration=record_s
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    file.write(path)
    return path


@pytest.fixture(scope="session")
def write_edf() -> WriteEdf:
    """Return a writer of EDF files: path, data in microvolts, and keywords."""
    return _write
