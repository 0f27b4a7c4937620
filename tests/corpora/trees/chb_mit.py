"""CHB-MIT as PhysioNet lists it: a folder per case, bipolar EDF, summaries and .seizures twins."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from formats import wfdb_marks
from formats.edf import write_eeg

FOLDER = "chb-mit"
BIPOLAR = (
    "FP1-F7", "F7-T7", "T7-P7", "P7-O1", "FP1-F3", "F3-C3", "C3-P3", "P3-O1", "FP2-F4", "F4-C4",
    "C4-P4", "P4-O2", "FP2-F8", "F8-T8", "T8-P8", "P8-O2", "FZ-CZ", "CZ-PZ", "P7-T7", "T7-FT9",
    "FT9-FT10", "FT10-T8", "T8-P8",
)  # fmt: skip
WITH_DUMMIES = (
    *BIPOLAR[:4], "-", *BIPOLAR[4:8], "-", *BIPOLAR[16:18], "-", *BIPOLAR[8:12], "-",
    *BIPOLAR[12:16], "-", *BIPOLAR[18:], "ECG", "VNS", "LOC-ROC",
)  # fmt: skip
SITES = (
    "F7", "T7", "P7", "FP1", "F3", "C3", "P3", "O1", "FZ", "CZ", "PZ", "FP2", "F4", "C4", "P4",
    "O2", "F8", "T8", "P8",
)  # fmt: skip
UNIPOLAR_CS2 = tuple(f"{site}-CS2" for site in SITES)
UNIPOLAR = (
    "F7", "T7", "P7", "-", "FP1", "F3", "C3", "P3", "01", "-", "FZ", "CZ", "PZ", "-", "FP2", "F4",
    "C4", "P4", "O2", "-", "F8", "T8", "P8", "EKG1-CHIN",
)  # fmt: skip
INFO = (
    "Case\tGender\tAge (years)\r\n\r\nchb01\tF\t11\r\nchb02\tM\t11\r\nchb06\tF\t 1.5\r\n"
    "chb12\tF\t 2\r\nchb17\tF\t12\r\nchb21\tF\t13\r\n"
)

Seizures = Sequence[tuple[int, int]]


@dataclass
class Entry:
    """One file of a summary."""

    name: str
    seizures: Seizures = ()
    start: str = "11:42:54"
    end: str = "12:42:54"
    is_numbered: bool = False


def summary(entries: Sequence[Entry], channels: Sequence[str] = BIPOLAR) -> str:
    """Write a case's summary, seizures in either spelling."""
    text = "Data Sampling Rate: 256 Hz\n*************************\n\nChannels in EDF Files:\n"
    text += "**********************\n"
    text += "".join(f"Channel {i}: {label}\n" for i, label in enumerate(channels, 1))
    for entry in entries:
        text += f"\nFile Name: {entry.name}\n"
        if entry.start:
            text += f"File Start Time: {entry.start}\nFile End Time: {entry.end}\n"
        text += f"Number of Seizures in File: {len(entry.seizures)}\n"
        for i, (start, end) in enumerate(entry.seizures, 1):
            number = f"{i} " if entry.is_numbered else ""
            text += f"Seizure {number}Start Time: {start} seconds\n"
            text += f"Seizure {number}End Time:  {end} seconds\n"
    return text


def write_seizures(path: Path, seizures: Seizures) -> None:
    """Write the binary twin of a recording."""
    marks = []
    for start, end in seizures:
        marks += [(256 * start, wfdb_marks.VF_ON, ""), (256 * end, wfdb_marks.VF_OFF, "")]
    wfdb_marks.write(path.with_name(path.name + ".seizures"), marks, 256)


def write_file(
    root: Path, name: str, *, labels: Sequence[str] = BIPOLAR, duration_s: float = 40, seed: int = 0
) -> Path:
    """Write one recording into its case's folder."""
    path = root / FOLDER / name[:5] / name
    return write_eeg(path, labels, duration_s=duration_s, seed=seed + zlib.crc32(name.encode()))


def write_tables(root: Path, summaries: Mapping[str, str], with_seizures: Sequence[str]) -> None:
    """Write summaries by case, SUBJECT-INFO, RECORDS and RECORDS-WITH-SEIZURES."""
    folder = root / FOLDER
    for case, text in summaries.items():
        (folder / case).mkdir(parents=True, exist_ok=True)
        (folder / case / f"{case}-summary.txt").write_text(text)
    (folder / "SUBJECT-INFO").write_text(INFO)
    records = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.edf"))
    (folder / "RECORDS").write_text("\n".join(records) + "\n")
    listed = [r for r in records if r.rpartition("/")[2] in with_seizures]
    (folder / "RECORDS-WITH-SEIZURES").write_text("\n".join(listed) + "\n\n")


def write(root: Path, seed: int = 0) -> None:
    """Write four cases of three people with odd names, dummies and a unipolar file."""
    names = {
        "chb01_03.edf": BIPOLAR, "chb02_16+.edf": BIPOLAR, "chb17a_03.edf": WITH_DUMMIES,
        "chb21_01.edf": WITH_DUMMIES[:20], "chb12_27.edf": UNIPOLAR_CS2,
    }  # fmt: skip
    for i, (name, labels) in enumerate(names.items()):
        write_file(root, name, labels=labels, seed=1000 * seed + i)
    planted = {"chb01_03.edf": [(12, 25)], "chb12_27.edf": [(3, 9)]}
    summaries = {
        name[:5]: summary([Entry(name, planted.get(name, []), start="24:10:01", end="25:10:01")])
        for name in names
    }
    for name, seizures in planted.items():
        write_seizures(root / FOLDER / name[:5] / name, seizures)
    write_tables(root, summaries, list(planted))
