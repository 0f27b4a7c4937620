"""PhysioNet/CinC Challenge 2018 as PhysioNet lays it out (corpora.md 8.6).

Signals in a MATLAB v4 file described by a WFDB header, annotations in MIT format.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from formats import wfdb
from formats.edf import noise_uv

CHANNELS = (
    "F3-M2", "F4-M1", "C3-M2", "C4-M1", "O1-M2", "O2-M1", "E1-M2", "Chin1-Chin2", "ABD", "CHEST",
    "AIRFLOW", "SaO2", "ECG",
)  # fmt: skip
SFREQ_HZ = 200
STEPS_PER_UV = 32.0

Note = tuple[float, str]
"""Onset in seconds and text."""

DEFAULT: tuple[Note, ...] = (
    (0, "W"), (30, "N1"), (45, "(resp_hypopnea"), (56, "resp_hypopnea)"), (60, "N2"),
    (62, "(arousal_rera"), (66, "arousal_rera)"),
)  # fmt: skip


def write_signals(folder: Path, record: str, duration_s: float = 90, seed: int = 0) -> None:
    """Write ``record.mat`` and ``record.hea``; saturation is in percent, ECG in millivolts."""
    steps = np.rint(noise_uv(len(CHANNELS), duration_s, SFREQ_HZ, seed) * STEPS_PER_UV)
    data = np.clip(steps, -32767, 32767).astype(np.int64)
    units = {"SaO2": "%", "ECG": "mV"}
    gains = [f"{STEPS_PER_UV:g}(0)/{units.get(channel, 'uV')}" for channel in CHANNELS]
    file = wfdb.WfdbFile(f"{record}.mat", CHANNELS, data, gains=gains, is_matlab=True)
    wfdb.write(folder, record, [file], rate=str(SFREQ_HZ))


def write_notes(path: Path, notes: Sequence[Note]) -> None:
    """Notes (code 22) with the text of each."""
    wfdb.write_annotations(path, [(round(at * SFREQ_HZ), 22, text) for at, text in notes])


def write_night(
    folder: Path, record: str, notes: Sequence[Note] | None = DEFAULT, duration_s: float = 90,
    seed: int = 0,
) -> Path:  # fmt: skip
    """Write one night below ``training`` (``tr..``) or ``test`` (``te..``)."""
    place = folder / ("training" if record.startswith("tr") else "test") / record
    write_signals(place, record, duration_s, seed)
    if notes is not None:
        write_notes(place / f"{record}.arousal", notes)
        (place / f"{record}-arousal.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(512, b"\0"))
    return place / f"{record}.mat"


def write(root: Path, seed: int = 0) -> None:
    """Two training nights and a test night without labels."""
    folder = root / "physionet-2018"
    for i, record in enumerate(("tr03-0005", "tr04-0029", "te03-0024")):
        write_night(folder, record, None if record.startswith("te") else DEFAULT, seed=9 * seed + i)
    (folder / "age-sex.csv").write_text(
        "Record,Age,Sex\ntr03-0005,54,M\ntr04-0029,62,F\nte03-0024,33,F\n"
    )
