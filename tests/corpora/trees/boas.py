"""BOAS, OpenNeuro ds005555, as its snapshot lays it out (corpora.md 8.4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from formats.edf import write_eeg

PSG = (
    "PSG_F3", "PSG_F4", "PSG_C3", "PSG_C4", "PSG_O1", "PSG_O2", "PSG_EOGL", "PSG_EOGR", "PSG_EMG",
    "PSG_THOR", "PSG_ABD",
)  # fmt: skip
HEADBAND = ("HB_1", "HB_2", "HB_IMU_1", "HB_PULSE")
SFREQ_HZ = 256

Epoch = tuple[int | None, int]
"""Human and model code of one epoch of 30 s; None where the human column is not there."""


def write_events(path: Path, epochs: Sequence[Epoch], *, has_human: bool = True) -> None:
    """``begsample`` counts from one."""
    names = ["onset", "duration", "begsample", "endsample", *(["stage_hum"] if has_human else []),
             "stage_ai"]  # fmt: skip
    lines = ["\t".join(names)]
    for i, (human, model) in enumerate(epochs):
        first, last = i * 30 * SFREQ_HZ + 1, (i + 1) * 30 * SFREQ_HZ
        cells = [30 * i, 30, first, last, *([human] if has_human else []), model]
        lines.append("\t".join(map(str, cells)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_night(
    folder: Path, number: int, epochs: Sequence[Epoch] = ((3, 3), (2, 2)), *,
    psg: Sequence[str] = PSG, has_headband: bool = True, seed: int = 0,
) -> Path:  # fmt: skip
    """Write the two recordings of a night; returns the path of the polysomnogram."""
    place = folder / f"sub-{number}/eeg"
    stem = f"sub-{number}_task-Sleep_acq-"
    for name, channels in (("psg", psg), ("headband", HEADBAND)):
        if name == "headband" and not has_headband:
            continue
        write_eeg(
            place / f"{stem}{name}_eeg.edf", channels, sfreq_hz=SFREQ_HZ,
            duration_s=30 * len(epochs), seed=1000 * seed + 2 * number + (name == "psg"),
        )  # fmt: skip
        rows = "\n".join(f"{c}\tEEG\tuV" for c in channels)
        (place / f"{stem}{name}_channels.tsv").write_text(f"name\ttype\tunits\n{rows}\n")
        write_events(place / f"{stem}{name}_events.tsv", epochs, has_human=name == "psg")
        (place / f"{stem}{name}_events.json").write_text("{}")
    return place / f"{stem}psg_eeg.edf"


def write_people(folder: Path, rows: Sequence[tuple[int, str, float, str]]) -> None:
    """Write ``participants.tsv``: night, person, age, sex."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["participant_id\tage\tsex\tbmi\tpid"]
    lines += [f"sub-{n}\t{age:g}\t{sex}\t22.5\t{pid}" for n, pid, age, sex in rows]
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")


def write(root: Path, seed: int = 0) -> None:
    """Four nights of three people."""
    folder = root / "boas"
    write_people(
        folder, [(1, "1", 25, "F"), (2, "2", 41, "M"), (3, "1", 25, "F"), (10, "3", 60, "M")]
    )
    for number in (1, 2, 3, 10):
        write_night(folder, number, seed=seed)
