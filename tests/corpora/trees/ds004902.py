"""ds004902 as published: 61 channels, .set and .fdt, two sessions whose order is in a table."""

from __future__ import annotations

import json
from pathlib import Path

from formats.edf import noise_uv
from formats.eeglab import SetSpec, write_set

EEG = (
    "Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T7", "T8", "P7",
    "P8", "Fz", "Cz", "Pz", "FC1", "FC2", "CP1", "CP2", "FC5", "FC6", "CP5", "CP6", "TP9", "TP10",
    "POz", "Oz", "AF3", "AF4", "AF7", "AF8",
)  # fmt: skip
"""35 of the 61 electrodes; the others are read the same way."""
PEOPLE = (
    ("sub-01", "M", "22", "NS->SD", "3", "5", "n/a", "n/a"),
    ("sub-08", "M", "19", "SD->NS", "5", "2", "n/a", "n/a"),
    ("sub-40", "F", "19", "SD->NS", "n/a", "n/a", "5", "7"),
)
HEAD = "participant_id\tGender\tAge\tSessionOrder\tSSS_NS\tSSS_SD\tKSS_NS\tKSS_SD\n"
FILES = (
    ("sub-01", "1", "eyesopen", 500), ("sub-01", "1", "eyesclosed", 500),
    ("sub-01", "2", "eyesopen", 500), ("sub-01", "2", "eyesclosed", 500),
    ("sub-08", "1", "eyesopen", 500), ("sub-08", "2", "eyesclosed", 500),
    ("sub-40", "2", "eyesopen", 5000),
)  # fmt: skip


def write(root: Path, seed: int = 0) -> None:
    """Write three people under ``root/ds004902``, not all four recordings each, one at 5000 Hz."""
    base = root / "ds004902"
    for i, (subject, session, task, sfreq_hz) in enumerate(FILES):
        folder = base / subject / f"ses-{session}" / "eeg"
        stem = f"{subject}_ses-{session}_task-{task}"
        data = noise_uv(len(EEG), 32, sfreq_hz, seed + i)
        write_set(folder / f"{stem}_eeg.set", SetSpec(data, EEG, sfreq_hz))
        said = {"PowerLineFrequency": 50, "EEGReference": "FCz", "SamplingFrequency": sfreq_hz,
                "EOGChannelCount": 0}  # fmt: skip
        (folder / f"{stem}_eeg.json").write_text(json.dumps(said))
    (base / "sub-01/ses-1/beh").mkdir(parents=True)
    (base / "sub-01/ses-1/beh/sub-01_ses-1_task-pvt_beh.tsv").write_text("trial\trt\n1\t300\n")
    rows = "".join("\t".join(person) + "\n" for person in PEOPLE)
    (base / "participants.tsv").write_text(HEAD + rows)
