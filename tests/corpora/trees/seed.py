"""Small SEED trees: MATLAB v5 files of fifteen clips, variable names with somebody's initials.

From the corpus' description: 62 channels at 200 Hz in microvolts, ``djc_eeg1 ... djc_eeg15`` with
other initials in other files, sessions told by date only, ``label.mat`` beside, raw and feature
folders next to it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io

LABELS = (1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1)
FILES = (
    ("1", "20131027"),
    ("1", "20131030"),
    ("1", "20131107"),
    ("2", "20140404"),
    ("15", "20130709"),
)
RATE = 200


def clip(seed: int, number: int, seconds: float) -> np.ndarray:
    """Return a clip of noise, shape (62, n)."""
    rng = np.random.default_rng((seed, number))
    return 15 * rng.standard_normal((62, round(RATE * seconds)))


def write_file(
    path: Path, initials: str, n_trials: int, *, seconds: float = 11.0, seed: int = 0,
    first: int = 1, is_compressed: bool = False,
) -> None:  # fmt: skip
    """Write one file of clips; clip ``n`` lasts ``seconds`` plus ``n`` / 10."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = range(first, n_trials + 1)
    clips = {f"{initials}_eeg{n}": clip(seed, n, seconds + n / 10) for n in numbers}
    plain = dict(sorted(clips.items()))  # eeg10 before eeg2, as MATLAB may save them
    scipy.io.savemat(path, plain, do_compression=is_compressed)


def write(root: Path, seed: int = 0) -> None:
    """Write five files of three subjects, the codes, and what is no recording."""
    base = root / "seed" / "SEED_EEG"
    for i, (subject, date) in enumerate(FILES):
        path = base / "Preprocessed_EEG" / f"{subject}_{date}.mat"
        write_file(path, ("djc", "jl", "ww_q")[i % 3], 15, seed=seed + i, is_compressed=i == 4)
    scipy.io.savemat(base / "Preprocessed_EEG" / "label.mat", {"label": np.array([LABELS])})
    features = base / "ExtractedFeatures" / "1_20131027.mat"
    features.parent.mkdir()
    scipy.io.savemat(features, {"de_movingAve1": np.zeros((62, 10, 5))})
    (base / "SEED_RAW_EEG").mkdir()
    (base / "SEED_RAW_EEG" / "1_1.cnt").write_bytes(b"Version 3.0" + bytes(1000))
    (base / "SEED_RAW_EEG" / "time.txt").write_text("start_second: [27, 290]\n")
