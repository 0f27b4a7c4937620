"""Helsinki neonatal as Zenodo lists it: flat EDF files, one table per expert, a clinical table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from formats.edf import write_eeg
from numpy.typing import NDArray

FOLDER = "helsinki-neonatal"
SITES = (
    "Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T3", "T4", "T5",
    "T6", "Fz", "Cz", "Pz",
)  # fmt: skip
LABELS = (*(f"EEG {site}-Ref" for site in SITES), "ECG EKG", "Resp Effort")
TABLES = {
    "A": "annotations_2017_A_fixed.csv", "B": "annotations_2017_B.csv",
    "C": "annotations_2017_C.csv",
}  # fmt: skip
CLINICAL = (
    "ID,EEG file,Gender,BW (g),GA (weeks),Diagnosis\n"
    "1,eeg1,f,3500to4000,40to41,mild/moderate asphyxia\n2,eeg2,m,,39to40,\n3,eeg3,,3000to3500,,\n"
)


def seconds(duration_s: float, seizures: Sequence[tuple[int, int]]) -> NDArray[np.int8]:
    """Return 1 in every second of a seizure [start, end), else 0."""
    marks = np.zeros(int(duration_s), dtype=np.int8)
    for start, end in seizures:
        marks[start:end] = 1
    return marks


def write_table(
    path: Path, columns: Sequence[NDArray[np.int8]], *, base: int | None = 1, void: str = "NaN",
    is_numbered: bool = False,
) -> None:  # fmt: skip
    """Write one expert's table.

    ``base`` is the first number of the header (None: no header); ``is_numbered`` adds a first
    column that counts the rows under a blank name.
    """
    lines = []
    lead = [""] if is_numbered else []
    if base is not None:
        lines.append(",".join([*lead, *(str(i + base) for i in range(len(columns)))]))
    for second in range(max(map(len, columns))):
        cells = [str(int(c[second])) if second < len(c) else void for c in columns]
        lines.append(",".join(([str(second)] if is_numbered else []) + cells))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_tables(
    root: Path, durations_s: Sequence[float],
    seizures: Mapping[str, Mapping[int, Sequence[tuple[int, int]]]], base: int | None = 1,
) -> None:  # fmt: skip
    """Write all three tables; ``seizures`` is by expert, then by neonate from 1."""
    for expert, name in TABLES.items():
        mine = seizures.get(expert, {})
        columns = [seconds(d, mine.get(i, ())) for i, d in enumerate(durations_s, 1)]
        write_table(root / FOLDER / name, columns, base=base)


def write_file(
    root: Path, number: int, duration_s: float, *, seed: int = 0, sfreq_hz: float = 256
) -> Path:
    """Write one recording; half seconds are half records."""
    record_s = 1.0 if float(duration_s).is_integer() else 0.5
    return write_eeg(
        root / FOLDER / f"eeg{number}.edf", LABELS, sfreq_hz=sfreq_hz, duration_s=duration_s,
        seed=100 * seed + number, record_s=record_s,
    )  # fmt: skip


def write(root: Path, seed: int = 0) -> None:
    """Write three neonates; the experts disagree about the first, none finds any in the third."""
    durations_s = (62, 45.5, 33)
    for number, duration_s in enumerate(durations_s, 1):
        write_file(root, number, duration_s, seed=seed)
    found = {
        "A": {1: [(12, 31)], 2: [(0, 5)]}, "B": {1: [(15, 28), (50, 62)], 2: [(1, 6)]},
        "C": {2: [(0, 7)]},
    }  # fmt: skip
    write_tables(root, durations_s, found)
    (root / FOLDER / "clinical_information.csv").write_text(CLINICAL)
