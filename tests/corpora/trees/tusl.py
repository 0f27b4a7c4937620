"""A small TUSL: 10-s events, agreed and single annotators' files, numeric names, empty folders.

``corpora.md`` 5.15.
"""

from __future__ import annotations

from pathlib import Path

from formats.tuh import csv, edf, lbl, tse

AGREED = "edf/aaaaaaju/s005_2010/01_tcp_ar/aaaaaaju_s005_t000.edf"
LEGACY = "edf/aaaaamoa/s003_2013/01_tcp_ar/00008476_s003_t010.edf"
LINKED = "edf/aaaaanrc/s004_2012/02_tcp_le/aaaaanrc_s004_t001.edf"
EMPTY = "edf/aaaaaaju/s005_2010_11_15"


def write_files(folder: Path, seed: int = 0, duration_s: int = 60) -> None:
    """Write three recordings: one with csv, one with the graph format, one with plain rows."""
    edf(folder / AGREED, duration_s=duration_s, seed=seed * 100 + 1)
    marks = [(pair, 13.0, 23.0, "slow") for pair in ("FP1-F7", "F7-T3")]
    marks += [("T4-A2", 43.0, 53.0, "bckg")]
    csv((folder / AGREED).with_suffix(".csv"), marks, duration_s)
    tse((folder / AGREED).with_suffix(".tse_agg"), [(13, 23, "slow"), (43, 53, "bckg")])
    lbl((folder / AGREED).with_name("aaaaaaju_s005_t000_00.lbl"), [(0, 13, 23, "slow")])
    tse((folder / AGREED).with_name("aaaaaaju_s005_t000_00.tse"), [(13, 23, "slow")])
    lbl((folder / AGREED).with_name("aaaaaaju_s005_t000_01.lbl"), [(1, 12, 23, "seiz")])
    (folder / EMPTY).mkdir(parents=True)
    edf(folder / LEGACY, sfreq_hz=512, duration_s=duration_s, seed=seed * 100 + 2)
    lbl((folder / LEGACY).with_suffix(".lbl_agg"), [(8, 20, 30, "seiz"), (21, 30, 40, "bckg")])
    edf(folder / LINKED, reference="LE", sfreq_hz=256, duration_s=duration_s, seed=seed * 100 + 3)
    tse((folder / LINKED).with_suffix(".tse_agg"), [(5, 15, "slow"), (54, 64, "bckg")])


def write(root: Path, seed: int = 0) -> None:
    """Write the default tree under the data root."""
    write_files(root / "tusl", seed)
