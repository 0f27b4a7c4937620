"""Depression-122 (ds003478) as published: .set and .fdt, upper-case labels, markers by value."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from formats.edf import noise_uv
from formats.eeglab import SetSpec, write_set

EEG = (
    "FP1", "FPZ", "FP2", "AF3", "AF4", "F7", "F5", "F3", "F1", "FZ", "F2", "F4", "F6", "F8",
    "FT7", "FC5", "FC3", "FC1", "FCZ", "FC2", "FC4", "FC6", "FT8", "T7", "C5", "C3", "C1", "CZ",
    "C2", "C4", "C6", "T8", "M1", "TP7", "CP5", "CP3", "CP1", "CPZ", "CP2", "CP4", "CP6", "TP8",
    "M2", "P7", "P5", "P3", "P1", "PZ", "P2", "P4", "P6", "P8", "PO7", "PO5", "PO3", "POZ", "PO4",
    "PO6", "PO8", "CB1", "O1", "OZ", "O2", "CB2",
)  # fmt: skip
AUX = ("HEOG", "VEOG")
PEOPLE = (
    ("sub-001", "507", "1", "19", "0", "23", "No Interview", "n/a", "NaN"),
    ("sub-003", "509", "1", "18", "7", "44", "No Interview", "n/a", "NaN"),
    ("sub-010", "516", "1", "18", "0", "28", "No Interview", "n/a", "NaN"),
    ("sub-038", "544", "NaN", "NaN", "NaN", "NaN", "No Interview", "INVALID PARTICIPANT", "NaN"),
    ("sub-107", "613", "1", "20", "28", "58", "Past MDD", "past MDD", "11"),
)
HEAD = "participant_id\tOriginal_ID\tsex\tage\tBDI\tSTAI\tSCID\tSCID_notes\tHamD\n"
BLOCKS = ((1, 4.0), (2, 25.0), (4, 45.0), (3, 66.0))
"""Marker value and start of each block; 16 s of marks each, in place of a minute."""
BLOCK_S = 16.0
DURATION_S = 84


def marker_rows() -> list[str]:
    """Rows of an events table: 500-ms and 2000-ms markers, keyboard and boundary rows between."""
    marks: list[tuple[float, str]] = [(0.016, "keyboard0"), (0.04, "boundary"), (3.9, "17")]
    for code, start_s in BLOCKS:
        marks += [(start_s + 0.5 * i, str(code)) for i in range(int(BLOCK_S * 2) + 1)]
        marks += [(start_s + 0.05 + 2.0 * i, str(code + 10)) for i in range(int(BLOCK_S / 2))]
        marks.append((start_s + 3.3, "keyboard0"))
    marks.append((83.0, "17"))
    return [f"{t:.10f}\tn/a\tn/a\tSTATUS\tn/a\tn/a\t{value}\n" for t, value in sorted(marks)]


def write_run(folder: Path, stem: str, seed: int, has_ekg: bool = False) -> np.ndarray:
    """Write one run with its sidecars and return its microvolts."""
    labels = EEG + AUX + (("EKG",) if has_ekg else ())
    data = noise_uv(len(labels), DURATION_S, 500, seed)
    write_set(folder / f"{stem}_eeg.set", SetSpec(data, labels, 500))
    head = "onset\tduration\tsample\ttrial_type\tresponse_time\tstim_file\tvalue\n"
    (folder / f"{stem}_events.tsv").write_text(head + "".join(marker_rows()))
    rows = "".join(f"{name}\tn/a\tn/a\n" for name in labels)
    (folder / f"{stem}_channels.tsv").write_text("name\ttype\tunits\n" + rows)
    said = {"PowerLineFrequency": 60, "EEGReference": "Between Cz & CPz", "EEGGround": "AFz",
            "SamplingFrequency": 500, "MiscChannelCount": 66}  # fmt: skip
    (folder / f"{stem}_eeg.json").write_text(json.dumps(said))
    return data


def write(root: Path, seed: int = 0) -> None:
    """Write five people under ``root/ds003478``: sub-010 without run-02, sub-107's runs equal."""
    base = root / "ds003478"
    for i, (subject, *_) in enumerate(PEOPLE):
        folder = base / subject / "eeg"
        first, second = (f"{subject}_task-Rest_run-{n:02d}" for n in (1, 2))
        write_run(folder, first, seed + 2 * i, has_ekg=subject == "sub-001")
        if subject == "sub-107":
            for ending in ("eeg.fdt", "eeg.json", "events.tsv", "channels.tsv"):
                shutil.copy(folder / f"{first}_{ending}", folder / f"{second}_{ending}")
            data = noise_uv(len(EEG + AUX), DURATION_S, 500, seed + 2 * i)
            write_set(folder / f"{second}_eeg.set", SetSpec(data, EEG + AUX, 500))
        elif subject == "sub-003":
            write_run(folder, second, seed + 2 * i + 1)
    rows = "".join("\t".join(person) + "\n" for person in PEOPLE)
    (base / "participants.tsv").write_text(HEAD + rows)
