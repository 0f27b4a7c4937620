"""A ward's folder of EDF and BDF files, sorted by diagnosis, with annotations and a table."""

from __future__ import annotations

from pathlib import Path

from formats.edf import EdfFileSpec, EdfSignalSpec, noise_uv
from formats.edf import write as write_edf

FOLDER = "ward-7"
EEG = (
    "EEG Fp1-REF", "EEG Fp2-REF", "EEG F7-REF", "EEG F3-REF", "EEG Fz-REF", "EEG F4-REF",
    "EEG F8-REF", "EEG T3-REF", "EEG C3-REF", "EEG Cz-REF", "EEG C4-REF", "EEG T4-REF",
    "EEG T5-REF", "EEG P3-REF", "EEG Pz-REF", "EEG P4-REF", "EEG T6-REF", "EEG O1-REF",
    "EEG O2-REF", "ECG EKG",
)  # fmt: skip
SECRET = "Dr Planted-Name says hello"
NOTES = ((0.0, None, "EC"), (12.0, None, SECRET), (20.0, None, "EO"), (40.0, None, "ec "))
FILES = (
    "epilepsy/P001/2024-01-03.edf", "epilepsy/P001/2024-05-01.EDF", "epilepsy/P002/a.bdf",
    "control/P003/long name.edf", "somewhere else/P004/b.edf",
)  # fmt: skip


def write_one(path: Path, seed: int, duration_s: int = 62) -> None:
    """Write one annotated file; EDF+ or BDF by its suffix."""
    data = noise_uv(len(EEG), duration_s, 200, seed)
    signals = [EdfSignalSpec(n, row, 200) for n, row in zip(EEG, data, strict=True)]
    is_bdf = path.suffix.lower() == ".bdf"
    notes = () if is_bdf else NOTES
    write_edf(path, EdfFileSpec(signals, is_bdf=is_bdf, annotations=notes))


def write(root: Path, seed: int = 0) -> None:
    """Write five recordings of four people under ``root/ward-7``."""
    base = root / FOLDER
    for i, name in enumerate(FILES):
        write_one(base / name, seed + i)
    (base / "patients.csv").write_text(
        f"id,age,sex,onset\nP001,8,f,12\nP002,95,m,{SECRET}\n", "utf-8"
    )
