"""HMC Sleep Staging 1.1 as PhysioNet lays it out (corpora.md 5.4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from formats.edf import EdfFileSpec, EdfSignalSpec, noise_uv
from formats.edf import write as write_edf

CHANNELS = (
    "EEG F4-M1", "EEG C4-M1", "EEG O2-M1", "EEG C3-M2", "EMG chin", "EOG E1-M2", "EOG E2-M2", "ECG",
)  # fmt: skip
HEADER = "Date, Time, Recording onset, Duration, Annotation, Linked channel"

Row = tuple[float, float, str]
"""Onset, duration, annotation."""

DEFAULT: tuple[Row, ...] = (
    (0, 30, "Sleep stage W"), (12, 0, "Lights off"), (30, 30, "Sleep stage N1"),
    (60, 30, "Sleep stage N2"),
)  # fmt: skip


def write_signals(
    path: Path, duration_s: float = 90, *, channels: Sequence[str] = CHANNELS, seed: int = 0,
    sfreq_hz: float = 256, patient: str = "X X X X", low_pass: str = "LP:35Hz",
) -> None:  # fmt: skip
    data = noise_uv(len(channels), duration_s, sfreq_hz, seed)
    signals = [
        EdfSignalSpec(c, row, sfreq_hz, prefilter=f"HP:0.2Hz {low_pass}")
        for c, row in zip(channels, data, strict=True)
    ]
    write_edf(path, EdfFileSpec(signals, patient=patient, start="01.01.0123.59.30"))


def write_text(path: Path, rows: Sequence[Row]) -> None:
    """Cells parted by a comma and a blank, dotted dates and times."""
    lines = [HEADER]
    for onset, length, text in rows:
        clock = (23 * 3600 + 59 * 60 + 30 + round(onset)) % 86_400
        time = f"{clock // 3600:02d}.{clock // 60 % 60:02d}.{clock % 60:02d}"
        linked = "EEG F4-A1" if text.startswith("Lights") else ""
        lines.append(f"01.01.01, {time}, {onset:g}, {length:g}, {text}, {linked}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_twin(path: Path, rows: Sequence[Row]) -> None:
    """The EDF+ twin: the lights carry their channel behind ``@@``."""
    notes = [
        (onset, length, f"{text}@@EEG F4-A1" if text.startswith("Lights") else text)
        for onset, length, text in rows
    ]
    write_edf(
        path, EdfFileSpec([], annotations=notes, annotation_bytes=4096, start="01.01.0123.59.30",
                          n_records=1)
    )  # fmt: skip


def write_subject(
    folder: Path, number: int, rows: Sequence[Row] = DEFAULT, duration_s: float = 90, *,
    has_text: bool = True, has_twin: bool = True, **signals: object,
) -> Path:  # fmt: skip
    stem = f"SN{number:03d}"
    recordings = folder / "recordings"
    signals.setdefault("seed", number)
    write_signals(recordings / f"{stem}.edf", duration_s, **signals)  # type: ignore[arg-type]
    if has_text:
        write_text(recordings / f"{stem}_sleepscoring.txt", rows)
    if has_twin:
        write_twin(recordings / f"{stem}_sleepscoring.edf", rows)
    return recordings / f"{stem}.edf"


def write(root: Path, seed: int = 0) -> None:
    """Three patients with a gap in their numbers, channels in another order, a short last epoch."""
    folder = root / "hmc-sleep-staging"
    write_subject(folder, 1, seed=seed)
    write_subject(folder, 2, channels=CHANNELS[::-1], seed=seed + 1)
    short = (*DEFAULT[:3], (60.0, 20.0, "Sleep stage N3"))
    write_subject(folder, 4, short, duration_s=120, seed=seed + 2)
    (folder / "RECORDS").write_text("recordings/SN001.edf\nrecordings/SN002.edf\n")
    (folder / "SHA256SUMS.txt").write_text("")
