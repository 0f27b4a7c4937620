"""A small TUAR: flat montage folders, pairs of artifacts, seizures in a second file.

``corpora.md`` 5.12. Patient ``aaaaaasz`` is in the small TUSZ too.
"""

from __future__ import annotations

from pathlib import Path

from formats.tuh import csv, edf

AR = "edf/01_tcp_ar/aaaaaasz_s005_t000.edf"
LE = "edf/02_tcp_le/aaaaaagg_s002_t001.edf"
EARLESS = "edf/03_tcp_ar_a/aaaaaahh_s001_t002.edf"


def write_files(folder: Path, seed: int = 0, duration_s: int = 40) -> None:
    """Write three recordings with their marks."""
    edf(folder / AR, duration_s=duration_s, seed=seed * 100 + 1)
    csv(
        (folder / AR).with_suffix(".csv"),
        [
            ("FP1-F7", 2.0, 4.5, "eyem"),
            ("FP2-F8", 2.0, 4.5, "eyem"),
            ("A1-T3", 11.0, 16.0, "eyem_musc"),
            ("T4-A2", 35.0, duration_s + 5.0, "elec"),
            ("C3-CZ", duration_s + 1.0, duration_s + 2.0, "musc"),
        ],
        duration_s,
    )
    csv(
        (folder / AR).with_name("aaaaaasz_s005_t000_seiz.csv"),
        [("FP1-F7", 21.0, 29.0, "fnsz"), ("F7-T3", 21.5, 29.0, "fnsz")],
        duration_s,
    )
    edf(
        folder / LE, reference="LE", sfreq_hz=400, duration_s=duration_s, seed=seed * 100 + 2,
        person="F 01-JAN-0000", age="61", extras=("EEG EKG-LE", "EEG 21-LE", "RESP"),
    )  # fmt: skip
    csv(
        (folder / LE).with_suffix(".csv"),
        [("CZ-C4", 5.0, 8.0, "chew"), ("O1-O2", 12.0, 13.5, "shiv"), ("P4-O2", 31.0, 33.0, "elpp")],
        duration_s + 0.4,
        version="csv_v1.0.2",
    )
    edf(
        folder / EARLESS, without=("A1", "A2"), sfreq_hz=256, duration_s=duration_s,
        seed=seed * 100 + 3, start="00.00.0000.00.00",
    )  # fmt: skip
    csv(
        (folder / EARLESS).with_suffix(".csv"),
        [("T3-C3", 20.0, 21.5, "musc_elec"), ("C4-T4", 20.0, 21.5, "chew_musc")],
        duration_s,
        montage="03_tcp_ar_a_montage.txt",
    )


def write(root: Path, seed: int = 0) -> None:
    """Write the default tree under the data root."""
    write_files(root / "tuar", seed)
