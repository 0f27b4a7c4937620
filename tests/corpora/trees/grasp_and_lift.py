"""A small Grasp-and-Lift tree: CSV of integers with a row name, and six columns of 0 and 1 beside.

From the corpus' description: unpadded numbers in names, ``id`` = ``subj1_series1_0``, 32 channels at
500 Hz, windows of 150 samples to either side of an event that overlap each other, series 9 and 10
without events.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

CHANNELS = [
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "FC5", "FC1", "FC2", "FC6", "T7", "C3", "Cz",
    "C4", "T8", "TP9", "CP5", "CP1", "CP2", "CP6", "TP10", "P7", "P3", "Pz", "P4", "P8", "PO9",
    "O1", "Oz", "O2", "PO10",
]  # fmt: skip
EVENTS = (
    "HandStart", "FirstDigitTouch", "BothStartLoadPhase", "LiftOff", "Replace", "BothReleased",
)  # fmt: skip
AT = (600, 1500, 1600, 1700, 6000, 6400)
"""Sample of each event of the one trial written; the middle three windows overlap."""
RATE = 500


def eeg(seed: int, n: int, rms_uv: float = 12.0) -> np.ndarray:
    """Return drifting noise of some microvolts, shape (n, 32)."""
    rng = np.random.default_rng(seed)
    drift = 200 * np.sin(2 * np.pi * 0.05 * np.arange(n) / RATE)[:, None]
    return rms_uv * rng.standard_normal((n, 32)) + drift


def write_series(
    folder: Path, subject: int, series: int, *, step_uv: float = 0.1, seconds: int = 32,
    has_events: bool = True, seed: int = 0,
) -> np.ndarray:  # fmt: skip
    """Write one series; return its microvolts, shape (n, 32)."""
    n = RATE * seconds
    steps = np.rint(eeg(1000 * seed + 100 * subject + series, n) / step_uv).astype(int)
    stem = f"subj{subject}_series{series}"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["id," + ",".join(CHANNELS)]
    lines += [f"{stem}_{i}," + ",".join(map(str, row)) for i, row in enumerate(steps.tolist())]
    (folder / f"{stem}_data.csv").write_text("\n".join(lines) + "\n")
    if has_events:
        flags = np.zeros((n, 6), dtype=int)
        for column, at in enumerate(AT):
            flags[at - 75 : at + 75, column] = 1
        lines = ["id," + ",".join(EVENTS)]
        lines += [f"{stem}_{i}," + ",".join(map(str, row)) for i, row in enumerate(flags.tolist())]
        (folder / f"{stem}_events.csv").write_text("\n".join(lines) + "\n")
    return steps * step_uv


def write(root: Path, seed: int = 0) -> dict[str, np.ndarray]:
    """Write three subjects, one of them twice, and an unlabelled series."""
    base = root / "grasp-and-lift"
    planted = {
        f"train/{s}_{n}": write_series(base / "train", s, n, seed=seed)
        for s, n in ((1, 1), (2, 8), (10, 3))
    }
    planted["test/1_9"] = write_series(base / "test", 1, 9, has_events=False, seed=seed)
    return planted
