"""Paediatric scalp HFO, OpenNeuro ds003555, as its snapshot lays it out (corpora.md 8.7)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from formats.edf import write_eeg

CHANNELS = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T3", "C3", "Cz", "C4", "T4", "T5", "P3", "Pz", "P4",
    "T6", "O1", "O2", "A1", "A2", "T1", "T2",
)  # fmt: skip
SFREQ_HZ = 1024

Interval = tuple[int, int, int, str]
"""Run number (0 for none), first and last raw sample, stage."""
Event = tuple[str, int, int, int]
"""Channel, first and last sample of the run, whether it passed."""


def write_intervals(path: Path, intervals: Sequence[Interval]) -> None:
    lines = ["RunNb\tStartInd\tEndInd\tSleepStage"]
    lines += ["\t".join(map(str, row)) for row in intervals]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_run(
    stem: Path, events: Sequence[Event], duration_s: float, sfreq_hz: float = SFREQ_HZ
) -> None:
    """Write a run's signal and detections; its channels.tsv states a wrong rate, as theirs do."""
    write_eeg(
        stem.with_name(f"{stem.name}_eeg.edf"), ["Fp1-F3", "T3-T5"], sfreq_hz=sfreq_hz,
        duration_s=duration_s,
    )  # fmt: skip
    lines = ["nChannel\tstrChannelName\tindStart\tindStop\tEvPassRejection"]
    lines += [f"1\t{name}\t{a}\t{b}\t{ok}" for name, a, b, ok in events]
    stem.with_name(f"{stem.name}_events.tsv").write_text("\n".join(lines) + "\n")
    stem.with_name(f"{stem.name}_channels.tsv").write_text(
        "name\ttype\tunits\tsampling_frequency\nFp1-F3\tEEG\tuV\t2000\nT3-T5\tEEG\tuV\t2000\n"
    )


def write_subject(
    folder: Path, number: int, intervals: Sequence[Interval] = (),
    events: Sequence[Event] = (("T3-T5", 1025, 2048, 1),), *, duration_s: float = 40,
    run_s: float = 20, run_sfreq_hz: float = SFREQ_HZ, channels: Sequence[str] = CHANNELS,
    seed: int = 0,
) -> Path:  # fmt: skip
    """Write one child; by default awake for 10 s, then 20 s of N3 that are run 1."""
    subject = f"sub-{number:02d}"
    stem = f"{subject}_ses-01_task-hfo"
    path = folder / f"{subject}/ses-01/eeg/{stem}_eeg.edf"
    write_eeg(path, channels, sfreq_hz=SFREQ_HZ, duration_s=duration_s, seed=100 * seed + number)
    derived = folder / f"derivatives/{subject}/ses-01/eeg"
    k = SFREQ_HZ
    rows = intervals or ((0, 1, 10 * k, "Awake"), (1, 10 * k + 1, 30 * k, "N3"))
    write_intervals(derived / "DataIntervals.tsv", rows)
    write_run(derived / f"{stem}_run-01", events, run_s, run_sfreq_hz)
    return path


def write_people(folder: Path, rows: Sequence[tuple[int, float, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["participant_id\tage\tsex\tpathology"]
    lines += [f"sub-{n:02d}\t{age:g}\t{sex}\tfree text of a clinic" for n, age, sex in rows]
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")


def write(root: Path, seed: int = 0) -> None:
    """Three children."""
    folder = root / "hfo-ds003555"
    write_people(folder, [(1, 9.5, "f"), (2, 11.25, "m"), (3, 4.0, "m")])
    for number in (1, 2, 3):
        write_subject(folder, number, seed=seed)
