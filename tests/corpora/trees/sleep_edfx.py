"""Sleep-EDF Expanded 1.0.0 as PhysioNet lays it out (corpora.md 8.2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import xlwt
from formats.edf import EdfFileSpec, EdfSignalSpec, noise_uv
from formats.edf import write as write_edf

FAST = ("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal")
SLOW = ("Resp oro-nasal", "EMG submental", "Temp rectal", "Event marker")
START = "24.04.8916.13.00"

Stage = tuple[float, float, str]
"""Onset, duration, annotation; runs of epochs of one stage are one entry."""


def write_psg(path: Path, duration_s: float = 120, seed: int = 0) -> None:
    """EEG and EOG at 100 Hz, everything else at 1 Hz, in records of 30 s."""
    fast, slow = noise_uv(len(FAST), duration_s, 100, seed), noise_uv(len(SLOW), duration_s, 1, 1)
    signals = [EdfSignalSpec(c, row, 100) for c, row in zip(FAST, fast, strict=True)]
    signals += [EdfSignalSpec(c, row, 1, unit="") for c, row in zip(SLOW, slow, strict=True)]
    write_edf(path, EdfFileSpec(signals, record_s=30, start=START, patient="X F X Female_33yr"))


def write_hypnogram(path: Path, stages: Sequence[Stage], start: str = START) -> None:
    write_edf(
        path,
        EdfFileSpec([], annotations=stages, annotation_bytes=4096, n_records=1, start=start),
    )


def write_sc_table(path: Path, rows: Sequence[tuple[float, ...]]) -> None:
    """``subject, night, age, sex (F=1), LightsOff``."""
    book = xlwt.Workbook()
    sheet = book.add_sheet("SC")
    for i, name in enumerate(("subject", "night", "age", "sex (F=1)", "LightsOff")):
        sheet.write(0, i, name)
    for r, row in enumerate(rows, 1):
        for c, value in enumerate(row):
            sheet.write(r, c, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(str(path))


def write_st_table(path: Path, rows: Sequence[tuple[float, ...]]) -> None:
    """Two rows of names: groups, then ``Nr, Age, M1/F2, night nr, lights off`` twice."""
    book = xlwt.Workbook()
    sheet = book.add_sheet("ST")
    for at, group in ((0, "Subject - age - sex"), (3, "Placebo night"), (5, "Temazepam night")):
        sheet.write(0, at, group)
    names = ("Nr", "Age", "M1/F2", "night nr", "lights off", "night nr", "lights off")
    for i, name in enumerate(names):
        sheet.write(1, i, name)
    for r, row in enumerate(rows, 2):
        for c, value in enumerate(row):
            sheet.write(r, c, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(str(path))


DEFAULT: tuple[Stage, ...] = (
    (0, 30, "Sleep stage W"), (30, 30, "Sleep stage 1"), (60, 30, "Sleep stage 2"),
    (90, 30, "Sleep stage R"),
)  # fmt: skip


def write_night(
    folder: Path, stem: str, scorer: str = "C", stages: Sequence[Stage] | None = DEFAULT,
    duration_s: float = 120, seed: int = 0,
) -> Path:  # fmt: skip
    """Write one night, ``stem`` being subject and night (``SC4001``, ``ST7011``)."""
    cassette = stem.startswith("SC")
    place = folder / ("sleep-cassette" if cassette else "sleep-telemetry")
    letter = "E" if cassette else "J"
    path = place / f"{stem}{letter}0-PSG.edf"
    write_psg(path, duration_s, seed)
    if stages is not None:
        write_hypnogram(place / f"{stem}{letter}{scorer}-Hypnogram.edf", stages)
    return path


def write(root: Path, seed: int = 0) -> None:
    """Two people of one study, one of the other; one of them with two nights."""
    folder = root / "sleep-edfx"
    for i, (stem, scorer) in enumerate(
        (("SC4001", "C"), ("SC4002", "C"), ("SC4011", "H"), ("ST7011", "P"))
    ):
        write_night(folder, stem, scorer, seed=seed * 10 + i)
    write_sc_table(folder / "SC-subjects.xls", [(0, 1, 33, 1, 0.5), (0, 2, 33, 1, 0.9),
                                                (1, 1, 33, 1, 0.9)])  # fmt: skip
    write_st_table(folder / "ST-subjects.xls", [(1, 60, 1, 1, 0.95, 2, 0.99)])
