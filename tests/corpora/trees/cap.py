"""CAP Sleep Database 1.0.0 as PhysioNet lays it out (corpora.md 8.10)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import openpyxl
from formats.edf import EdfFileSpec, EdfSignalSpec, noise_uv
from formats.edf import write as write_edf

Row = tuple[str, str, float, str]
"""Time of day, event, duration in seconds, location."""

STAGE_LETTER = {"SLEEP-S0": "W", "SLEEP-REM": "R", "SLEEP-MT": "MT"}

DEFAULT: tuple[Row, ...] = (
    ("22:09:33", "SLEEP-S0", 30, "ROC-LOC"), ("22:10:03", "SLEEP-S2", 30, "ROC-LOC"),
    ("22:10:15", "MCAP-A1", 5, "F4-C4"),
)  # fmt: skip


def write_signals(
    path: Path, rates: Sequence[tuple[str, float]], *, duration_s: float = 60,
    start: str = "01.01.0922.09.33", unit: str = "uV", seed: int = 0,
) -> None:  # fmt: skip
    """Signals of different rates in one file."""
    gain = {"uV": 1.0, "mV": 1e-3}[unit]
    signals = [
        EdfSignalSpec(
            label, noise_uv(1, duration_s, rate, 50 * seed + i)[0] * gain, rate, unit=unit,
            physical=(-3276.8 * gain, 3276.7 * gain),
        )
        for i, (label, rate) in enumerate(rates)
    ]  # fmt: skip
    write_edf(path, EdfFileSpec(signals, start=start))


def write_text(
    path: Path, rows: Sequence[Row], *, has_position: bool = True, dots: bool = False,
    comma: bool = False,
) -> None:  # fmt: skip
    """RemLogic's export: a block of header, then a table with or without its position column."""
    names = ["Sleep Stage", *(["Position"] if has_position else []), "Time [hh:mm:ss]", "Event",
             "Duration[s]", "Location"]  # fmt: skip
    lines = ["RemLogic Event Export", "Patient:\tn1", "Recording Date:\t01/01/2009",
             "Events Included:", "SLEEP-S0", "MCAP-A1", "", "\t".join(names)]  # fmt: skip
    for time, event, length, place in rows:
        clock = time.replace(":", ".") if dots else time
        span = f"{length:g}".replace(".", ",") if comma else f"{length:g}"
        stage = STAGE_LETTER.get(event, event[-2:])
        cells = [stage, *(["Unknown Position"] if has_position else []), clock, event, span, place]
        lines.append("\t".join(cells))
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode())


def write_ages(path: Path, rows: Sequence[tuple[str, str, int]]) -> None:
    """No header; names in capitals."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def write_night(
    folder: Path, stem: str, rates: Sequence[tuple[str, float]], rows: Sequence[Row] = DEFAULT,
    *, has_text: bool = True, duration_s: float = 60, start: str = "01.01.0922.09.33",
    unit: str = "uV", seed: int = 0, **text: bool,
) -> Path:  # fmt: skip
    path = folder / f"{stem}.edf"
    write_signals(path, rates, duration_s=duration_s, start=start, unit=unit, seed=seed)
    (folder / f"{stem}.edf.st").write_bytes(b"\0" * 16)
    if has_text:
        write_text(folder / f"{stem}.txt", rows, **text)
    return path


PAIRS = (("F4-C4", 128.0), ("C4-P4", 128.0), ("P4-O2", 128.0), ("ROC-LOC", 128.0), ("ECG1", 256.0))


def write(root: Path, seed: int = 0) -> None:
    """Three people, three montages and spellings."""
    folder = root / "cap"
    write_night(folder, "n1", PAIRS, seed=seed)
    write_night(folder, "nfle2", [("FP1F3", 512.0), ("F3C3", 512.0)], seed=seed + 1, dots=True)
    write_night(
        folder, "sdb1", [("C4A1", 100.0), ("C3A2", 100.0)], seed=seed + 2, has_position=False
    )
    write_ages(folder / "gender-age.xlsx", [("N1", "F", 37), ("NFLE2", "M", 24), ("SBD1", "M", 65)])
