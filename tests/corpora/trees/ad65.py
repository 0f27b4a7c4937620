"""AD-65 (ds004504) as published: 19 channels at 500 Hz, one .set each, derivatives of equal name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from formats.edf import noise_uv
from formats.eeglab import SetSpec, write_set

LABELS = (
    "Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T3", "T4", "T5",
    "T6", "Fz", "Cz", "Pz",
)  # fmt: skip
PEOPLE = (
    ("sub-001", "F", "57", "A", "16"),
    ("sub-002", "F", "78", "A", "22"),
    ("sub-037", "M", "57", "C", "30"),
    ("sub-038", "M", "62", "C", "30"),
    ("sub-066", "M", "73", "F", "20"),
)
SFREQ_HZ = 500


def write_sidecars(folder: Path, stem: str, task: str) -> None:
    """Write the two sidecars every raw recording has."""
    said = {
        "PowerLineFrequency": 50, "EEGPlacementScheme": "10-20", "EEGReference": "A1 A2",
        "SoftwareFilters": {"FilterDescription": {"Description": "0.4 - 50"}},
        "TaskName": task, "EEGChannelCount": 19, "SamplingFrequency": 500,
    }  # fmt: skip
    (folder / f"{stem}_eeg.json").write_text(json.dumps(said, indent=4))
    rows = "".join(f"{name}\tEEG\tmicroV\n" for name in LABELS)
    (folder / f"{stem}_channels.tsv").write_text("name\ttype\tunits\n" + rows)


def write_raw(
    path: Path, seed: int, duration_s: float = 32, flat: str = "", calibrated_from_s: float = 0
) -> np.ndarray:
    """Write one raw file and return its microvolts.

    ``flat`` names a channel that reads zero; from ``calibrated_from_s`` on all channels carry the
    amplifier's square wave of 1 Hz.
    """
    data = noise_uv(len(LABELS), duration_s, SFREQ_HZ, seed)
    if calibrated_from_s:
        n = data.shape[1] - round(calibrated_from_s * SFREQ_HZ)
        square = np.where(np.arange(n) // (SFREQ_HZ // 2) % 2, 50.0, -50.0)
        data[:, -n:] = square + 0.5 * np.random.default_rng(seed).standard_normal((len(LABELS), n))
    if flat:
        data[LABELS.index(flat)] = 0
    write_set(path, SetSpec(data, LABELS, SFREQ_HZ, where="set", is_compressed=False))
    return data


def write(root: Path, seed: int = 0) -> None:
    """Write five subjects of three groups under ``root/ds004504``; Cz of sub-002 is flat.

    sub-038 ends in eight seconds of calibration.
    """
    base = root / "ds004504"
    for i, (subject, *_) in enumerate(PEOPLE):
        stem = f"{subject}_task-eyesclosed"
        for j, top in enumerate((base, base / "derivatives")):
            flat = "Cz" if subject == "sub-002" and j == 0 else ""
            path = top / subject / "eeg" / f"{stem}_eeg.set"
            calibrated_s = 24.0 if subject == "sub-038" else 0
            write_raw(path, seed + 10 * i + j, flat=flat, calibrated_from_s=calibrated_s)
        write_sidecars(base / subject / "eeg", stem, "eyesclosed")
    rows = "".join("\t".join(person) + "\n" for person in PEOPLE)
    (base / "participants.tsv").write_text("participant_id\tGender\tAge\tGroup\tMMSE\n" + rows)
    (base / "dataset_description.json").write_text('{"Name": "A dataset", "BIDSVersion": "1.2.1"}')
