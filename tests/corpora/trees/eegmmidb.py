"""Motor imagery (eegmmidb) as PhysioNet lists it: 14 EDF+ runs a subject, each with its event twin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from formats import wfdb_marks
from formats.edf import write_eeg

FOLDER = "eegmmidb"
LABELS = (
    "Fc5.", "Fc3.", "Fc1.", "Fcz.", "Fc2.", "Fc4.", "Fc6.", "C5..", "C3..", "C1..", "Cz..", "C2..",
    "C4..", "C6..", "Cp5.", "Cp3.", "Cp1.", "Cpz.", "Cp2.", "Cp4.", "Cp6.", "Fp1.", "Fpz.", "Fp2.",
    "Af7.", "Af3.", "Afz.", "Af4.", "Af8.", "F7..", "F5..", "F3..", "F1..", "Fz..", "F2..", "F4..",
    "F6..", "F8..", "Ft7.", "Ft8.", "T7..", "T8..", "T9..", "T10.", "Tp7.", "Tp8.", "P7..", "P5..",
    "P3..", "P1..", "Pz..", "P2..", "P4..", "P6..", "P8..", "Po7.", "Po3.", "Poz.", "Po4.", "Po8.",
    "O1..", "Oz..", "O2..", "Iz..",
)  # fmt: skip
FEW = ("C3..", "Cz..", "C4..", "T10.", "Iz..")

Event = tuple[float, float, str]


def _tasks(n: int) -> list[str]:
    """Codes of n task trials: both kinds, in no simple order."""
    return ["T1" if i % 4 in (0, 3) else "T2" for i in range(n)]


def regular_events(n_events: int = 30) -> list[Event]:
    """Rest of 4.2 s and task of 4.1 s by turns."""
    found, at = [], 0.0
    for task in _tasks(n_events // 2 + 1):
        for length, code in ((4.2, "T0"), (4.1, task)):
            if len(found) < n_events:
                found.append((round(at, 2), length, code))
                at += length
    return found


def fast_alternating_events() -> list[Event]:
    """S088 and S092: 38 events, 5.12 s of task and 1.38 s of rest by turns."""
    found, at = [], 0.0
    for task in _tasks(19):
        found += [(round(at, 2), 1.38, "T0"), (round(at + 1.38, 2), 5.12, task)]
        at += 6.5
    return found


def slow_events() -> list[Event]:
    """S100: 24 events 5.1 to 5.2 s apart."""
    found, at = [], 0.0
    for task in _tasks(12):
        found += [(round(at, 2), 5.1, "T0"), (round(at + 5.1, 2), 5.2, task)]
        at += 10.3
    return found


def write_run(
    root: Path, subject: int, run: int, events: Sequence[Event], *, duration_s: float,
    sfreq_hz: float = 160, labels: Sequence[str] = FEW, seed: int = 0, twin: bool = True,
    is_annotated: bool = True,
) -> Path:  # fmt: skip
    """Write one run and its event twin."""
    stem = f"S{subject:03d}R{run:02d}"
    path = root / FOLDER / f"S{subject:03d}" / f"{stem}.edf"
    write_eeg(
        path, labels, sfreq_hz=sfreq_hz, duration_s=duration_s,
        seed=100_000 * seed + 100 * subject + run, is_plus=True,
        annotations=tuple(events) if is_annotated else (),
    )  # fmt: skip
    if twin:
        marks = [
            (round(at * sfreq_hz), wfdb_marks.NOTE, f"{code} duration: {length:g}")
            for at, length, code in events
        ]
        wfdb_marks.write(path.with_name(f"{stem}.edf.event"), marks, round(sfreq_hz))
    return path


def baseline(duration_s: float = 61) -> list[Event]:
    """One T0 over the whole baseline."""
    return [(0.0, duration_s, "T0")]


def write_irregular(root: Path) -> dict[str, set[str]]:
    """Write the runs the spec lists as irregular beside regular ones; return their deviations."""
    fast, slow = fast_alternating_events(), slow_events()
    write_run(root, 1, 3, regular_events(), duration_s=125)
    write_run(root, 38, 5, regular_events(), duration_s=124)
    write_run(root, 88, 1, baseline(), duration_s=61)
    write_run(root, 88, 3, fast, duration_s=124, sfreq_hz=128)
    write_run(root, 92, 14, fast, duration_s=124, sfreq_hz=128)
    write_run(root, 100, 4, slow, duration_s=124, sfreq_hz=128)
    write_run(root, 89, 3, regular_events(44), duration_s=181)
    write_run(root, 89, 4, regular_events(), duration_s=123)
    write_run(root, 104, 8, regular_events(26), duration_s=106)
    write_run(root, 106, 5, regular_events(9), duration_s=37)
    return {
        "S001R03": set(), "S038R05": set(), "S088R01": set(), "S089R04": set(),
        "S088R03": {"rate", "n_events", "spacing"}, "S092R14": {"rate", "n_events", "spacing"},
        "S100R04": {"rate", "n_events", "spacing"}, "S089R03": {"duration", "n_events"},
        "S104R08": {"duration", "n_events"}, "S106R05": {"duration", "n_events"},
    }  # fmt: skip


def write(root: Path, seed: int = 0) -> None:
    """Write four subjects, one of them at 128 Hz in its task run."""
    for subject in (1, 2, 106):
        write_run(root, subject, 1, baseline(), duration_s=61, seed=seed)
        write_run(root, subject, 5, regular_events(9), duration_s=37, seed=seed)
    write_run(
        root,
        88,
        3,
        fast_alternating_events(),
        duration_s=124,
        sfreq_hz=128,
        labels=LABELS,
        seed=seed,
    )
