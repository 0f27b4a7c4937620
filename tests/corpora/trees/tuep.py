"""A small TUEP: 2.x without ``edf/`` and labels, 3.x with ``edf/``, csv files and session lists.

``corpora.md`` 5.13.
"""

from __future__ import annotations

from pathlib import Path

from formats.tuh import csv, edf

SICK = "00_epilepsy/aaaaaanr/s001_2003/02_tcp_le/aaaaaanr_s001_t001.edf"
SICK_TOO = "00_epilepsy/aaaaaasz/s004_2011/01_tcp_ar/aaaaaasz_s004_t000.edf"
WELL = "01_no_epilepsy/aaaaaaaq/s002_2010/03_tcp_ar_a/aaaaaaaq_s002_t000.edf"


def write_files(folder: Path, seed: int = 0, release: int = 3, duration_s: int = 40) -> Path:
    """Write three recordings as release 2 or 3 lays them out; return the folder of the classes."""
    base = folder / "edf" if release == 3 else folder
    edf(base / SICK, reference="LE", duration_s=duration_s, seed=seed * 100 + 1)
    edf(base / SICK_TOO, sfreq_hz=512, duration_s=duration_s, seed=seed * 100 + 2, age="8.5")
    edf(base / WELL, without=("A1", "A2"), sfreq_hz=256, duration_s=duration_s, seed=seed * 100 + 3)
    version = {2: "2.0.1", 3: "3.0.0"}[release]
    (folder / "AAREADME.txt").write_text(f"TUH EEG Epilepsy Corpus\nVersion: {version}\n")
    if release == 3:
        for name in (SICK, WELL):
            csv((base / name).with_suffix(".csv"), [("FP1-F7", 0, duration_s, "bckg")], duration_s)
            csv((base / name).with_suffix(".csv_bi"), [("TERM", 0, duration_s, "bckg")], duration_s)
        csv(
            (base / SICK_TOO).with_suffix(".csv"),
            [
                ("T3-C3", 0, 14, "bckg"),
                ("T3-C3", 14, 26, "cpsz"),
                ("T3-C3", 26, duration_s, "bckg"),
            ],
            duration_s,
        )
        csv(
            (base / SICK_TOO).with_suffix(".csv_bi"),
            [("TERM", 0, 14, "bckg"), ("TERM", 14, 26, "seiz"), ("TERM", 26, duration_s, "bckg")],
            duration_s,
        )
        docs = folder / "DOCS"
        docs.mkdir(parents=True, exist_ok=True)
        (docs / "sessions_common_with_tusz.list").write_text("aaaaaasz/s004_2011\n")
        (docs / "sessions_unique_to_tuep.list").write_text("./00_epilepsy/aaaaaanr/s001_2003\n")
    return base


def write(root: Path, seed: int = 0) -> None:
    """Write the default tree under the data root."""
    write_files(root / "tuep", seed)
