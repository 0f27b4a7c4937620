"""A hospital's BIDS-EEG data set: four formats, inherited sidecars, typed channels, free text."""

from __future__ import annotations

import json
from pathlib import Path

from formats.edf import EdfFileSpec, EdfSignalSpec, noise_uv
from formats.edf import write as write_edf
from formats.eeglab import SetSpec, write_set
from trees.lemon import write_triplet

FOLDER = "our-clinic"
EEG = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz",
    "P4", "P8", "O1", "O2",
)  # fmt: skip
LABELS = (*EEG, "VEOG", "ECG", "Belt")
SECRET = "Mrs Planted-Name was restless"
"""Free text of a technician; must reach no table."""
SFREQ_HZ = 256
DURATION_S = 62


def _edf(path: Path, seed: int, is_bdf: bool = False) -> None:
    data = noise_uv(len(LABELS), DURATION_S, SFREQ_HZ, seed)
    units = {"Belt": "mmHg"}
    signals = [
        EdfSignalSpec(n, row, SFREQ_HZ, units.get(n, "uV"))
        for n, row in zip(LABELS, data, strict=True)
    ]
    write_edf(path, EdfFileSpec(signals, is_bdf=is_bdf))


def channels_tsv(bad: tuple[str, ...] = (), mark: str = "\ufeff") -> str:
    """Text of a channels table; a byte-order mark in front, as NEMAR's have."""
    kinds = {"VEOG": ("VEOG", "uV"), "ECG": ("ECG", "mV"), "Belt": ("RESP", "mmHg")}
    rows = []
    for name in LABELS:
        kind, unit = kinds.get(name, ("EEG", "µV"))
        rows.append(f"{name}\t{kind}\t{unit}\t{'bad' if name in bad else 'good'}\n")
    return mark + "name\ttype\tunits\tstatus\n" + "".join(rows)


def write(root: Path, seed: int = 0) -> None:
    """Write four subjects under ``root/our-clinic``, one format each."""
    base = root / FOLDER
    eeg = {n: base / f"sub-{n}" / "ses-01" / "eeg" for n in ("A01", "A02", "A03")}
    eeg["A04"] = base / "sub-A04" / "eeg"
    for folder in eeg.values():
        folder.mkdir(parents=True)
    _edf(eeg["A01"] / "sub-A01_ses-01_task-rest_eeg.edf", seed)
    _edf(eeg["A02"] / "sub-A02_ses-01_task-rest_eeg.bdf", seed + 1, is_bdf=True)
    data = noise_uv(len(LABELS), DURATION_S, SFREQ_HZ, seed + 2)
    write_set(eeg["A03"] / "sub-A03_ses-01_task-rest_eeg.set", SetSpec(data, LABELS, SFREQ_HZ))
    data = noise_uv(len(LABELS), DURATION_S, SFREQ_HZ, seed + 3)
    write_triplet(
        eeg["A04"] / "sub-A04_task-rest_eeg.vhdr", data, LABELS, SFREQ_HZ,
        [("New Segment", "", 1)],
    )  # fmt: skip
    _write_sidecars(base, eeg)


def _write_sidecars(base: Path, eeg: dict[str, Path]) -> None:
    said = {"PowerLineFrequency": 50, "EEGReference": "linked mastoids", "SamplingFrequency": 256}
    (base / "task-rest_eeg.json").write_text(json.dumps(said))
    nearer = json.dumps({"PowerLineFrequency": 60})
    (eeg["A02"] / "sub-A02_ses-01_task-rest_eeg.json").write_text(nearer)
    (base / "task-rest_channels.tsv").write_text(channels_tsv(), "utf-8")
    (eeg["A01"] / "sub-A01_ses-01_task-rest_channels.tsv").write_text(
        channels_tsv(("T7", "O1")), "utf-8"
    )
    rows = [
        "0.0\t30.0\teyes_closed\tn/a", "30.0\tn/a\tEYES_OPEN \tn/a", f"31.0\t2\t{SECRET}\tn/a",
        "40.5\t1.5\tspike\tF7", "59.0\t9.0\teyes_closed\tn/a", "70.0\t1.0\teyes_open\tn/a",
    ]  # fmt: skip
    table = "\ufeffonset\tduration\ttrial_type\tchannel\r\n" + "".join(f"{r}\r\n" for r in rows)
    (eeg["A01"] / "sub-A01_ses-01_task-rest_events.tsv").write_bytes(table.encode())
    (base / "participants.tsv").write_text(
        "\ufeffparticipant_id\tage\tsex\tgroup\tremark\n"
        f"sub-A01\t34\tF\tpatient\t{SECRET}\nsub-A02\t93\tm\tcontrol\tn/a\n"
        "sub-A03\tn/a\tn/a\tn/a\tn/a\n",
        "utf-8",
    )
    (base / "dataset_description.json").write_text('{"Name": "Our clinic", "BIDSVersion": "1.9.0"}')
    copy = base / "derivatives/clean/sub-A01/eeg/sub-A01_ses-01_task-rest_eeg.edf"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"not walked")
