"""PD31 (ds002778) as published: BioSemi BDF, 32 scalp channels, eight EXG and Status, 512 Hz."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from formats.edf import EdfFileSpec, EdfSignalSpec, noise_uv
from formats.edf import write as write_file

EEG = (
    "Fp1", "AF3", "F7", "F3", "FC1", "FC5", "T7", "C3", "CP1", "CP5", "P7", "P3", "Pz", "PO3",
    "O1", "Oz", "O2", "PO4", "P4", "P8", "CP6", "CP2", "C4", "T8", "FC6", "FC2", "F4", "F8",
    "AF4", "Fp2", "Fz", "Cz",
)  # fmt: skip
EXG = tuple(f"EXG{i}" for i in range(1, 9))
FILES = (
    ("hc1", "hc", 60), ("hc8", "hc", 50), ("pd3", "off", 60), ("pd3", "on", 60), ("pd6", "off", 60),
    ("pd6", "on", 50),
)  # fmt: skip
"""Subject, session and what the sidecar says of the mains."""
OFFSET_UV = 20_000.0
RANGE_UV = (-262144.0, 262143.0)


def write_bdf(path: Path, seed: int, duration_s: int = 32) -> np.ndarray:
    """Write one file; all channels share a large offset and a common signal.

    Returns
    -------
    ndarray
        Scalp microvolts without offset and common signal, shape (32, n_times).
    """
    own = noise_uv(len(EEG), duration_s, 512, seed)
    common = 100 * np.sin(2 * np.pi * 3 * np.arange(own.shape[1]) / 512)
    rows = [OFFSET_UV + common + row for row in own]
    leads = noise_uv(len(EXG), duration_s, 512, seed + 1, 3000.0)
    signals = [EdfSignalSpec(n, r, 512, physical=RANGE_UV) for n, r in zip(EEG, rows, strict=True)]
    signals += [
        EdfSignalSpec(n, r, 512, physical=RANGE_UV) for n, r in zip(EXG, leads, strict=True)
    ]
    status = np.zeros(own.shape[1])
    status[0] = 65536
    signals.append(EdfSignalSpec("Status", status, 512, "Boolean", (-8388608, 8388607)))
    write_file(path, EdfFileSpec(signals, is_bdf=True))
    return own


def write(root: Path, seed: int = 0) -> None:
    """Write three people and a control more under ``root/ds002778``; two sidecars say 50 Hz."""
    base = root / "ds002778"
    for i, (subject, session, line_hz) in enumerate(FILES):
        stem = f"sub-{subject}_ses-{session}_task-rest"
        folder = base / f"sub-{subject}" / f"ses-{session}" / "eeg"
        write_bdf(folder / f"{stem}_eeg.bdf", seed + 20 * i)
        said = {"TaskName": "rest", "PowerLineFrequency": line_hz, "SamplingFrequency": 512.0,
                "EEGReference": "n/a", "EEGChannelCount": 40}  # fmt: skip
        (folder / f"{stem}_eeg.json").write_text(json.dumps(said))
        head = (
            "name\ttype\tunits\tlow_cutoff\thigh_cutoff\tdescription\tsampling_frequency\tstatus\n"
        )
        rows = [f"{n}\tEEG\tµV\t0.0\t104.0\tElectroEncephaloGram\t512.0\tgood\n" for n in EEG + EXG]
        rows.append("Status\tTRIG\tn/a\t0.0\t104.0\tTrigger\t512.0\tgood\n")
        (folder / f"{stem}_channels.tsv").write_text(head + "".join(rows), "utf-8")
        marks = "onset\tduration\tvalue\tsample\n0.0\t0.0\t65536\t0\n10.88\t0.0\t1\t5571\n"
        (folder / f"{stem}_events.tsv").write_text(marks)
    people = "sub-hc1\t54\tf\nsub-hc8\t71\tf\nsub-pd3\t52\tf\nsub-pd6\t62\tm\n"
    (base / "participants.tsv").write_text("participant_id\tage\tgender\n" + people)
