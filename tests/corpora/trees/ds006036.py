"""ds006036 as published: AD-65's people under flashes, with the marks of technician and machine."""

from __future__ import annotations

from pathlib import Path

from trees.ad65 import PEOPLE, write_raw, write_sidecars

DURATION_S = 84
CAL_S = 72.5
Row = tuple[float, str]


def marks() -> list[Row]:
    """Marks of one recording: trains of 5 and 10 Hz, eyes, technician, then calibration.

    Values carry trailing blanks and the ``0x1A`` bytes left where Greek letters were lost.
    """
    rows: list[Row] = [
        (0.0, "PAT Mon-Cz EEG  "),
        (1.0, "RESET condition "),
        (2.0, "PHOTO 5Hz \x1a"),
    ]
    rows += [(2.2 + i / 5, "Photo/HV mark") for i in range(40)]
    rows += [(12.0, "PHOTO 10Hz")]
    rows += [(12.1 + i / 10, "Photo/HV mark   ") for i in range(80)]
    rows += [
        (25.0, "open eyes \x1a\x1a"), (33.0, "eye movement"), (35.0, "\x1a\x1a Swallowing"),
        (45.0, "closed eyes"), (48.0, "some free text of a technician"), (60.0, "open eyes"),
        (CAL_S, "CAL mode "), (76.0, "closed eyes"),
    ]  # fmt: skip
    return rows


def write_events(path: Path, rows: list[Row]) -> None:
    """Write an events table; sample numbers may be fractional."""
    lines = [f"{onset:g}\t0\t{onset * 500 + 0.5:g}\t{value}\n" for onset, value in rows]
    path.write_bytes(("onset\tduration\tsample\tvalue\n" + "".join(lines)).encode())


def write(root: Path, seed: int = 0) -> None:
    """Write five subjects under ``root/ds006036``; the last one's file has no calibration."""
    base = root / "ds006036"
    for i, (subject, *_) in enumerate(PEOPLE):
        stem = f"{subject}_task-photomark"
        folder = base / subject / "eeg"
        write_raw(folder / f"{stem}_eeg.set", seed + 500 + i, DURATION_S)
        write_raw(
            base / "derivatives/eeglab" / subject / f"{stem}_eeg.set", seed + 600 + i, DURATION_S
        )
        write_sidecars(folder, stem, "photomark")
        is_last = i == len(PEOPLE) - 1
        rows = [row for row in marks() if not is_last or not row[1].startswith("CAL")]
        write_events(folder / f"{stem}_events.tsv", rows)
    rows_text = "".join("\t".join(person) + "\r\n" for person in PEOPLE)
    head = "\ufeffparticipant_id \tGender \tAge \tGroup \tMMSE  \r\n"
    (base / "participants.tsv").write_bytes((head + rows_text).encode())
