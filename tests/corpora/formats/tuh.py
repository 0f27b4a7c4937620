"""TUH recordings and annotation files written from the corpora's documents, sharing no reader code.

Text layouts: ``corpora.md`` 5.10 (csv v1, tse v1, lbl v1, TUEV's rec).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from formats.edf import EdfFileSpec, EdfSignalSpec, noise_uv, write

SITES = (
    "FP1", "FP2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T3", "T4", "T5",
    "T6", "A1", "A2", "FZ", "CZ", "PZ",
)  # fmt: skip
TCP = (
    "FP1-F7", "F7-T3", "T3-T5", "T5-O1", "FP2-F8", "F8-T4", "T4-T6", "T6-O2", "A1-T3", "T3-C3",
    "C3-CZ", "CZ-C4", "C4-T4", "T4-A2", "FP1-F3", "F3-C3", "C3-P3", "P3-O1", "FP2-F4", "F4-C4",
    "C4-P4", "P4-O2",
)  # fmt: skip
TCP_A = tuple(pair for pair in TCP if pair not in {"A1-T3", "T4-A2"})
SYMBOLS = (
    "(null)", "spsw", "gped", "pled", "eybl", "artf", "bckg", "seiz", "fnsz", "gnsz", "spsz",
    "cpsz", "absz", "tnsz", "cnsz", "tcsz", "atsz", "mysz", "nesz", "intr", "slow", "eyem",
    "chew", "shiv", "musc", "elpp", "elst", "calb", "hphs", "trip", "elec",
)  # fmt: skip

Mark = tuple[str, float, float | None, str]
"""Channel, start, stop and code; a stop of None is left empty."""


def edf(
    path: Path,
    *,
    reference: str = "REF",
    without: Sequence[str] = (),
    extras: Sequence[str] = (),
    sfreq_hz: int = 250,
    duration_s: int = 40,
    person: str = "M 01-JAN-1978",
    age: str | None = "37",
    start: str = "01.01.7812.00.00",
    recording: str = "Startdate X X X X",
    seed: int = 0,
) -> Path:
    """Write a recording; ``extras`` are full labels, those of no voltage get another rate."""
    labels = [f"EEG {s}-{reference}" for s in SITES if s not in without]
    labels += [e for e in extras if e.startswith(("EEG", "EMG"))]
    data = noise_uv(len(labels), duration_s, sfreq_hz, seed)
    signals = [EdfSignalSpec(name, row, sfreq_hz) for name, row in zip(labels, data, strict=True)]
    others = [name for name in extras if name not in labels]
    slow = noise_uv(len(others), duration_s, 1, seed)
    signals += [EdfSignalSpec(n, row, 1.0, unit="") for n, row in zip(others, slow, strict=True)]
    name = path.stem[:8] if path.stem[:8].isalpha() else path.stem.split("_")[1]
    patient = f"{name} {person} {name}" + (f" Age:{age}" if age is not None else "")
    return write(path, EdfFileSpec(signals, patient=patient, recording=recording, start=start))


def csv(
    path: Path,
    marks: Sequence[Mark],
    duration_s: float = 40,
    *,
    confidence: Sequence[float] = (),
    bname: str | None = None,
    version: str = "csv_v1.0.0",
    montage: str = "nedc_eas_default_montage.txt",
) -> Path:
    """Write ``.csv`` or ``.csv_bi``."""
    name = bname or path.name.split(".")[0].removesuffix("_seiz")
    lines = [
        f"# version = {version}", f"# bname = {name}", f"# duration = {duration_s:.2f} secs",
        f"# montage_file = $NEDC_NFC/lib/{montage}", "#",
        "channel,start_time,stop_time,label,confidence",
    ]  # fmt: skip
    sure = [*confidence, *[1.0] * len(marks)]
    for (channel, t0, t1, code), share in zip(marks, sure, strict=False):
        stop = "" if t1 is None else f"{t1:.4f}"
        lines.append(f"{channel},{t0:.4f},{stop},{code},{share:.4f}")
    path.write_text("\n".join(lines) + "\n")
    return path


def tse(path: Path, marks: Sequence[tuple[float, float, str]]) -> Path:
    """Write ``.tse``, ``.tse_bi`` or ``.tse_agg``."""
    rows = [f"{t0:.4f} {t1:.4f} {code} 1.0000" for t0, t1, code in marks]
    path.write_text("\n".join(["version = tse_v1.0.0", "", *rows]) + "\n")
    return path


def lbl(path: Path, marks: Sequence[tuple[int, float, float, str]], earless: bool = False) -> Path:
    """Write the graph format: channels by their number in the montage block."""
    pairs = TCP_A if earless else TCP
    lines = ["version = lbl_v1.0.0", "", "# montage information", ""]
    for i, pair in enumerate(pairs):
        a, b = pair.split("-")
        lines.append(f"montage = {i:2d}, {pair}: EEG {a}-REF -- EEG {b}-REF")
    names = ", ".join(f"{i}: '{name}'" for i, name in enumerate(SYMBOLS))
    lines += ["", "number_of_levels = 1", "level[0] = 1", f"symbols[0] = {{{names}}}", ""]
    for channel, t0, t1, code in marks:
        hot = ", ".join("1.0" if name == code else "0.0" for name in SYMBOLS)
        lines.append(f"label = {{0, 0, {t0:.4f}, {t1:.4f}, {channel}, [{hot}]}}")
    path.write_text("\n".join(lines) + "\n")
    return path


def rec(path: Path, rows: Sequence[tuple[int, float, float, int]]) -> Path:
    """Write TUEV's headerless table."""
    path.write_text("".join(f"{i},{t0:.1f},{t1:.1f},{code}\n" for i, t0, t1, code in rows))
    return path


def seconds(channel: int, t0: int, t1: int, code: int) -> list[tuple[int, float, float, int]]:
    """Rows of one second each from ``t0`` to ``t1``."""
    return [(channel, float(t), float(t + 1), code) for t in range(t0, t1)]
