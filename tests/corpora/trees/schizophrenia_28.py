"""Schizophrenia-28 as RepOD lists it: 28 flat files, 250 Hz, 19 channels against FCz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from formats.edf import write_eeg

FOLDER = "schizophrenia-28"
LABELS = (
    "Fp2", "F8", "T4", "T6", "O2", "Fp1", "F7", "T3", "T5", "O1", "F4", "C4", "P4", "F3", "C3",
    "P3", "Fz", "Cz", "Pz",
)  # fmt: skip


def write_file(folder: Path, stem: str, *, duration_s: float = 31, seed: int = 0) -> Path:
    """Write one recording; the order of channels differs from file to file."""
    number = 100 * (stem[0] == "s") + int(stem[1:])
    labels = list(LABELS)
    if number % 2:
        np.random.default_rng(number).shuffle(labels)
    return write_eeg(
        folder / f"{stem}.edf",
        labels,
        sfreq_hz=250,
        duration_s=duration_s,
        seed=1000 * seed + number,
    )


def write_all(root: Path, duration_s: float = 12, seed: int = 0) -> None:
    """Write all 28 files."""
    for group in "hs":
        for number in range(1, 15):
            write_file(root / FOLDER, f"{group}{number:02d}", duration_s=duration_s, seed=seed)


def write(root: Path, seed: int = 0) -> None:
    """Write four people."""
    for stem, duration_s in (("h01", 31), ("h02", 45), ("s01", 38), ("s14", 31)):
        write_file(root / FOLDER, stem, duration_s=duration_s, seed=seed)
