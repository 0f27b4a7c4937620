"""The DREAMS databases as their archives unpack (corpora.md 7.1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from formats.edf import write_eeg

SPINDLE_RATES = {1: 100, 3: 50}
"""Excerpts that are not at 200 Hz."""
NIGHT_OF_SUBJECT = ("FP1-A1", "CZ-A1", "O1-A1", "P8-A1", "P18-A1", "EMG1")
NIGHT_OF_PATIENT = ("FP1-A2", "CZ2-A1", "O1-A2", "FP2-A1", "O2-A1", "EMG1", "EOG1-A1")

Mark = tuple[float, float]
"""Onset and duration in seconds."""


def write_marks(path: Path, what: str, channel: str, marks: Sequence[Mark]) -> None:
    lines = [f"[{what}/{channel}]", *(f"{onset:g} {length:g}" for onset, length in marks)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_hypnogram(path: Path, codes: Sequence[int]) -> None:
    """One code every five seconds below a line of header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["[hypnogram]", *map(str, codes)]) + "\n")


def write_excerpt(
    folder: Path, number: int, *, duration_s: float = 60, what: str = "Spindles",
    expert_1: Sequence[Mark] | None = ((12, 1.5),), expert_2: Sequence[Mark] | None = ((12.2, 1),),
    codes: Sequence[int] | None = None, seed: int = 0,
) -> Path:  # fmt: skip
    """Write one excerpt: channel and rate by its number, as in the database of spindles."""
    rate = SPINDLE_RATES.get(number, 200) if what == "Spindles" else 200
    channel = "C3-A1" if what == "Spindles" and number in (1, 3) else "CZ-A1"
    path = folder / f"excerpt{number}.edf"
    write_eeg(
        path, [channel, "EOG1-A1", "EMG1"], sfreq_hz=rate, duration_s=duration_s,
        seed=100 * seed + number,
    )  # fmt: skip
    (folder / f"excerpt{number}.txt").write_text("[samples]\n1.0\n2.0\n")
    for i, marks in enumerate((expert_1, expert_2), 1):
        if marks is not None:
            write_marks(
                folder / f"Visual_scoring{i}_excerpt{number}.txt", f"vis{i}_{what}", channel, marks
            )
    write_marks(folder / f"Automatic_detection_excerpt{number}.txt", "auto", channel, [(3, 1)])
    steps = [2] * int(duration_s // 5) if codes is None else codes
    write_hypnogram(folder / f"Hypnogram_excerpt{number}.txt", steps)
    return path


def write_night(
    folder: Path, stem: str, channels: Sequence[str], *, duration_s: float = 60,
    aasm: Sequence[int] | None = None, rk: Sequence[int] | None = None, seed: int = 0,
) -> Path:  # fmt: skip
    path = folder / f"{stem}.edf"
    write_eeg(path, channels, sfreq_hz=200, duration_s=duration_s, seed=seed)
    if aasm is not None:
        write_hypnogram(folder / f"HypnogramAASM_{stem}.txt", aasm)
    if rk is not None:
        write_hypnogram(folder / f"HypnogramR&K_{stem}.txt", rk)
    return path


def write(root: Path, seed: int = 0) -> None:
    """All five databases, three recordings each."""
    for n in (1, 2, 3):
        write_excerpt(root / "dreams-spindles/DatabaseSpindles", n, seed=seed)
        write_excerpt(
            root / "dreams-kcomplexes/DatabaseKcomplexes", n, what="Kcomplexes", seed=seed + 10
        )
        write_excerpt(
            root / "dreams-artifacts/DatabaseArtifacts", n, what="Artifacts", expert_2=None,
            seed=seed + 20,
        )  # fmt: skip
        night = {"aasm": [5] * 6 + [2] * 6, "rk": [5] * 6 + [2] * 6, "seed": 31 * seed + n}
        write_night(
            root / "dreams-subjects/DatabaseSubjects", f"subject{n}", NIGHT_OF_SUBJECT, **night
        )
        night["seed"] += 1000
        write_night(
            root / "dreams-patients/DatabasePatients", f"patient{n}", NIGHT_OF_PATIENT, **night
        )
