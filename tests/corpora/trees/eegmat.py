"""Workload (eegmat) as PhysioNet lists it: flat pairs of rest and arithmetic, and a subject table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from formats.edf import EdfFileSpec, EdfSignalSpec, noise_uv
from formats.edf import write as write_edf_file

FOLDER = "workload-eegmat"
SITES = (
    "Fp1", "Fp2", "F3", "F4", "F7", "F8", "T3", "T4", "C3", "C4", "T5", "T6", "P3", "P4", "O1",
    "O2", "Fz", "Cz", "Pz",
)  # fmt: skip
HEAD = "Subject,Age,Gender,Recording year,Number of subtractions,Count quality"
PREFILTER = "HP:0.5Hz LP:45Hz N:50Hz"


def row_of(number: int) -> str:
    """Return the table row of one subject: every fourth counts badly."""
    sex = "M" if number % 4 == 3 else "F"
    return (
        f"Subject{number:02d},{16 + number % 11},{sex},2011,{9.7 + number:g},{int(number % 4 > 0)}"
    )


def write_file(
    folder: Path, number: int, part: int, *, sfreq_hz: float = 500, duration_s: float = 62,
    seed: int = 0,
) -> Path:  # fmt: skip
    """Write one of a pair: 19 sites, the ear difference, and the heart in millivolts."""
    data = noise_uv(20, duration_s, sfreq_hz, seed=10_000 * seed + 10 * number + part)
    labels = [*(f"EEG {site}" for site in SITES), "EEG A2-A1"]
    signals = [
        EdfSignalSpec(label, row, sfreq_hz, prefilter=PREFILTER)
        for label, row in zip(labels, data, strict=True)
    ]
    heart = np.sin(2 * np.pi * 1.2 * np.arange(data.shape[1]) / sfreq_hz)
    signals.append(EdfSignalSpec("ECG ECG", heart, sfreq_hz, unit="mV", physical=(-5, 5)))
    notes = ((0.0, None, f"[Total time]+{duration_s:.3f}"),) if number < 2 else ()
    spec = EdfFileSpec(signals, patient="Subject X M", annotations=notes, is_plus=True)
    return write_edf_file(folder / f"Subject{number:02d}_{part}.edf", spec)


def write_table(folder: Path, rows: Mapping[int, str]) -> None:
    """Write the subject table."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "\r\n".join([HEAD, *(rows[number] for number in sorted(rows))]) + "\r\n"
    (folder / "subject-info.csv").write_bytes(text.encode())


def write(root: Path, seed: int = 0) -> None:
    """Write three pairs, rest longer than the task."""
    folder = root / FOLDER
    for number in range(3):
        write_file(folder, number, 1, duration_s=92, seed=seed)
        write_file(folder, number, 2, duration_s=62, seed=seed)
    write_table(folder, {number: row_of(number) for number in range(36)})
