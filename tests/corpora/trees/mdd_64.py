"""MDD-64 as figshare unpacks it: flat, one or two blanks, file numbers, one signal under many names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from formats.edf import write_eeg

FOLDER = "mdd-64"
SITES = (
    "Fp1", "F3", "C3", "P3", "O1", "F7", "T3", "T5", "Fz", "Fp2", "F4", "C4", "P4", "O2", "F8",
    "T4", "T6", "Cz", "Pz",
)  # fmt: skip
LABELS = (*(f"EEG {site}-LE" for site in SITES), "EEG A2-A1")
SPARE = ("EEG 23A-23R", "EEG 24A-24R")
N_SPARE = 112
MISSING = {
    ("H", 12, "EC"), ("H", 18, "EC"), ("H", 25, "EO"), ("H", 20, "TASK"), ("H", 21, "TASK"),
    ("MDD", 4, "EC"), ("MDD", 12, "EC"), ("MDD", 16, "EC"), ("MDD", 7, "EO"), ("MDD", 8, "EC"),
    ("MDD", 8, "EO"), ("MDD", 9, "TASK"),
}  # fmt: skip
ONE_TASK = (1, 2, 3, 4, 7, 10, 11, 12, 17, 29)
"""Healthy subjects whose TASK is one recording."""

Key = tuple[str, int, str]


def source_of(key: Key) -> Key:
    """Return whose samples a recording really holds."""
    group, number, condition = key
    if group == "H" and number == 30:
        return "H", 27, condition
    if group == "MDD" and number == 34:
        return "MDD", 33, condition
    if group == "H" and condition == "TASK" and number in ONE_TASK:
        return "H", 1, "TASK"
    return key


def all_names() -> Iterator[tuple[str, Key]]:
    """Yield the 181 published names with what they are."""
    for group, count in (("H", 30), ("MDD", 34)):
        for number in range(1, count + 1):
            for condition in ("EC", "EO", "TASK"):
                key = (group, number, condition)
                if key in MISSING:
                    continue
                if key == ("H", 15, "EO"):
                    yield "6921143_H S15 EO.edf", key
                    yield "6921959_H S15 EO.edf", key
                    continue
                blanks = "  " if condition == "EO" and number % 3 else " "
                yield f"{group} S{number}{blanks}{condition}.edf", key


def seed_of(key: Key, seed: int) -> int:
    """Seed of the samples a recording holds: equal where the recordings are."""
    group, number, condition = source_of(key)
    return 1000 * seed + 300 * (group == "MDD") + 3 * number + ("EC", "EO", "TASK").index(condition)


def write_file(
    folder: Path, name: str, key: Key, *, duration_s: float = 12, seed: int = 0, spare: bool = False
) -> Path:
    """Write one recording under a name; samples depend on whose they are, not on the name."""
    labels = LABELS + (SPARE if spare else ())
    return write_eeg(folder / name, labels, duration_s=duration_s, seed=seed_of(key, seed))


def write_all(root: Path, duration_s: float = 12, seed: int = 0) -> dict[str, Key]:
    """Write all 181 files, 112 of them with the two spare signals, and litter of an archive."""
    folder = root / FOLDER
    names = dict(all_names())
    counts = Counter(map(source_of, names.values()))
    spare: set[Key] = set()
    n_left = N_SPARE
    for key in sorted(counts):
        if counts[key] <= n_left:
            spare.add(key)
            n_left -= counts[key]
    for name, key in names.items():
        write_file(
            folder, name, key, duration_s=duration_s, seed=seed, spare=source_of(key) in spare
        )
    (folder / "._H S1 EC.edf").write_bytes(b"\0\5\26\7 litter")
    return names


def write(root: Path, seed: int = 0) -> None:
    """Write a small tree of five people with the listed irregularities."""
    folder = root / FOLDER
    for name, key in all_names():
        if key[:2] in {("H", 1), ("H", 2), ("H", 15), ("MDD", 1), ("MDD", 8)}:
            write_file(folder, name, key, duration_s=31, seed=seed, spare=key[1] == 8)
