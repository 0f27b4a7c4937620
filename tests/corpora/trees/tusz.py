"""A small TUSZ: per-channel types and whole-record seizures, cut sessions, gaps, missing electrodes.

``corpora.md`` 5.16.
"""

from __future__ import annotations

from pathlib import Path

from formats.tuh import csv, edf

TRAIN = "edf/train/aaaaaasz/s001_2003/02_tcp_le/aaaaaasz_s001_t000.edf"
GOES_ON = "edf/train/aaaaaasz/s001_2003/02_tcp_le/aaaaaasz_s001_t001.edf"
UNCOVERED = "edf/train/aaaaaatt/s002_2010/01_tcp_ar/aaaaaatt_s002_t000.edf"
DEV = "edf/dev/aaaaaauu/s001_2012/03_tcp_ar_a/aaaaaauu_s001_t000.edf"
EVAL = "edf/eval/aaaaaavv/s003_2015/04_tcp_le_a/aaaaaavv_s003_t000.edf"


def _annotate(
    path: Path,
    types: list[tuple[str, float, float | None, str]],
    whole: list[tuple[float, float | None, str]],
    duration_s: float,
    sure: tuple[float, ...] = (),
) -> None:
    csv(path.with_suffix(".csv"), types, duration_s, confidence=sure)
    terms = [("TERM", *span) for span in whole]
    csv(path.with_suffix(".csv_bi"), terms, duration_s, confidence=sure)


def write_files(folder: Path, seed: int = 0, duration_s: int = 60) -> None:
    """Write five recordings."""
    end = float(duration_s)
    edf(folder / TRAIN, reference="LE", sfreq_hz=256, duration_s=duration_s, seed=seed * 100 + 1)
    _annotate(
        folder / TRAIN,
        [
            ("FP1-F7", 0, 15, "bckg"), ("FP1-F7", 15, end, "fnsz"), ("T4-A2", 18, 25, "gnsz"),
            ("O1-P3", 0, end, "bckg"),
        ],
        [(0, 15, "bckg"), (15, end, "seiz")],
        duration_s,
    )  # fmt: skip
    edf(folder / GOES_ON, reference="LE", sfreq_hz=256, duration_s=duration_s, seed=seed * 100 + 2)
    _annotate(
        folder / GOES_ON, [("FP1-F7", 0, 8, "fnsz")], [(0, 8, "seiz"), (8, end, "bckg")], duration_s
    )
    edf(
        folder / UNCOVERED, without=("FZ", "PZ"), sfreq_hz=250, duration_s=duration_s,
        seed=seed * 100 + 3, extras=("EEG SP1-REF", "EEG LOC-REF", "EMG-REF"),
    )  # fmt: skip
    _annotate(folder / UNCOVERED, [], [(0, 22, "bckg"), (38, end, "bckg")], duration_s)
    edf(
        folder / DEV, without=("A1", "A2"), sfreq_hz=400, duration_s=duration_s, seed=seed * 100 + 4
    )
    _annotate(
        folder / DEV,
        [("C3-CZ", 32, None, "tcsz")],
        [(32, None, "seiz"), (0, 32, "bckg")],
        duration_s,
        sure=(0.5,),
    )
    edf(
        folder / EVAL, reference="LE", without=("A1", "A2"), sfreq_hz=512, duration_s=duration_s,
        seed=seed * 100 + 5, age="0.5", person="F 01-JAN-0000", start="00.00.0000.00.00",
    )  # fmt: skip
    _annotate(
        folder / EVAL, [("CZ-C4", 0, end, "bckg")], [(0, end - 0.6, "bckg")], duration_s - 0.6
    )


def write(root: Path, seed: int = 0) -> None:
    """Write the default tree under the data root."""
    write_files(root / "tusz", seed)
