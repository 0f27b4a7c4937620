"""Siena as PhysioNet lists it: a folder per patient, and seizure lists typed by hand.

Times, misprints and odd names are those of the corpus' section; what the lists of the patients that
are not at hand look like otherwise is modelled on the two that are.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from formats.edf import write_eeg

FOLDER = "siena"
SITES = (
    "Fp1", "F3", "C3", "P3", "O1", "F7", "T3", "T5", "Fc1", "Fc5", "Cp1", "Cp5", "F9", "Fz", "Cz",
    "Pz", "Fp2", "F4", "C4", "P4", "O2", "F8", "T4", "T6", "Fc2", "Fc6", "Cp2", "Cp6", "F10",
)  # fmt: skip
LABELS = (*(f"EEG {site}" for site in SITES), "EKG 1", "EKG 2")
ODD_LABELS = (
    *(f"EEG {s.upper() if s[0] == 'C' and s[1] == 'p' else s}" for s in SITES[:20]), *SITES[20:],
    "EEG O2", "1", "2", "EKG EKG", "SPO2", "HR", "MK",
)  # fmt: skip
"""Upper-case CP1, names without the type word, and O2 a second time."""

SEIZURES: dict[str, list[tuple[int, int]]] = {
    "PN00-1": [(1143, 70)], "PN00-2": [(1220, 54)], "PN00-3": [(765, 60)], "PN00-4": [(1006, 74)],
    "PN00-5": [(904, 67)], "PN01-1": [(10218, 54), (46353, 74)], "PN03-1": [(38673, 111)],
    "PN03-2": [(34921, 133)], "PN05-2": [(7163, 35)], "PN05-3": [(6836, 30)],
    "PN05-4": [(3608, 39)], "PN06-1": [(5583, 64)], "PN06-2": [(8860, 69)], "PN06-3": [(6275, 42)],
    "PN06-4": [(5939, 63)], "PN06-5": [(4783, 44)], "PN07-1": [(22059, 62)], "PN09-1": [(7249, 80)],
    "PN09-2": [(7127, 59)], "PN09-3": [(7221, 64)], "PN10-1": [(7545, 69)], "PN10-2": [(7798, 51)],
    "PN10-3": [(7841, 63)], "PN10-4.5.6": [(2309, 5), (6544, 19), (11225, 57)],
    "PN10-7.8.9": [(2748, 48), (5459, 18), (12923, 15)], "PN10-10": [(7977, 14)],
    "PN11-1": [(7554, 55)], "PN12-1.2": [(1312, 63), (9570, 68)], "PN12-3": [(772, 96)],
    "PN12-4": [(9812, 63)], "PN13-1": [(7062, 48)], "PN13-2": [(7249, 65)], "PN13-3": [(7553, 151)],
    "PN14-1": [(7262, 27)], "PN14-2": [(7479, 12)], "PN14-3": [(17540, 41)], "PN14-4": [(5463, 83)],
    "PN16-1": [(7184, 123)], "PN16-2": [(8574, 107)], "PN17-1": [(8420, 70)], "PN17-2": [(7731, 83)],
}  # fmt: skip
"""Onset and duration in seconds from the start of the file: the regression table of the spec."""

REGISTERED = {
    "PN00-1": "19.39.33", "PN00-2": "02.18.17", "PN00-3": "18.15.44", "PN00-4": "20.51.43",
    "PN00-5": "22.22.04", "PN01-1": "19.00.44", "PN03-1": "22.44.37", "PN03-2": "21.31.04",
    "PN05-2": "06.46.02", "PN05-3": "06.01.23", "PN05-4": "06.38.35", "PN06-1": "04.21.22",
    "PN06-2": "21.11.29", "PN06-3": "06.25.51", "PN06-4": "11.16.09", "PN06-5": "13.24.41",
    "PN07-1": "23.18.10", "PN09-1": "14.08.54", "PN09-2": "15.02.09", "PN09-3": "14.20.23",
    "PN10-1": "05.40.05", "PN10-2": "09.30.15", "PN10-3": "13.32.25", "PN10-4.5.6": "12.11.29",
    "PN10-7.8.9": "16.49.25", "PN10-10": "08.45.22", "PN11-1": "11.25.18", "PN12-1.2": "15.51.31",
    "PN12-3": "08.42.35", "PN12-4": "15.59.19", "PN13-1": "08.24.28", "PN13-2": "06.55.02",
    "PN13-3": "12.00.01", "PN14-1": "11.44.31", "PN14-2": "15.50.13", "PN14-3": "16.13.37",
    "PN14-4": "14.15.40", "PN16-1": "20.45.21", "PN16-2": "00.53.55", "PN17-1": "20.24.30",
    "PN17-2": "13.38.26",
}  # fmt: skip
"""When each file's registration began."""

INFO = (
    "patient_id, age_years, gender, seizure, localization, lateralization, eeg_channel, "
    "number_seizures, rec_time_minutes\n"
    "PN00,55,Male,IAS,T,R,29,5,198\nPN01,46,Male,IAS,T,L,29,2,809\nPN03,54,Male,IAS,T,R,29,2,752\n"
    "PN10,25,Male,FBTC,F,Bilateral,20,10,1002\nPN12,71,Male,IAS,T,L,29,4,246\n"
    "PN14,49,Male,WIAS,T,L,29,4,1408\nPN16,41,Female,IAS,T,L,29,2,303\n\n"
)


@dataclass
class Style:
    """How one patient's list was typed."""

    separator: str = "."
    file_names: dict[str, str] = field(default_factory=dict)
    printed: dict[tuple[str, str], str] = field(default_factory=dict)
    """Stem and line (``registration start``, ``seizure end`` ...) to what is printed."""
    unregistered: frozenset[tuple[str, int]] = frozenset()
    """Stem and number of a seizure in it whose registration lines were left out."""
    remark: str = ""


STYLES = {
    "PN00": Style(printed={("PN00-3", "seizure end"): "19.29.29"}),
    "PN01": Style(file_names={"PN01-1": "PN01"}),
    "PN06": Style(file_names={"PN06-1": "PNO6-1", "PN06-2": "PNO6-2", "PN06-4": "PNO6-4"}),
    "PN10": Style(printed={("PN10-7.8.9", "registration start"): "1 6.49.25"}),
    "PN11": Style(file_names={"PN11-1": "PN11-"}),
    "PN12": Style(separator=":", unregistered=frozenset({("PN12-1.2", 1)})),
    "PN14": Style(separator=":"),
    "PN16": Style(remark=" (in sleep):"),
}


def seconds(clock: str) -> int:
    """Return a clock time as seconds of the day."""
    hour, minute, second = map(int, clock.split("."))
    return 3600 * hour + 60 * minute + second


def clock_of(at: int, separator: str = ".") -> str:
    """Return seconds as a clock time of whatever day it is by then."""
    at %= 24 * 3600
    return separator.join(f"{part:02d}" for part in (at // 3600, at // 60 % 60, at % 60))


def seizure_list(
    patient: str,
    seizures: Mapping[str, Sequence[tuple[int, int]]],
    registered: Mapping[str, str],
    style: Style,
) -> str:
    """Type the list of one patient."""
    text = f"{patient} \n\nData Sampling Rate: 512 Hz\n\nChannels in EDF files:\n"
    text += "".join(
        f"Channel {i}: {'1' if s == 'O1' else s}      \r\n" for i, s in enumerate(SITES, 1)
    )
    text += "Channel 33: EKG 1    \r\nChannel 34: EKG 2\r\n\n\n"
    number = 0
    for stem, found in seizures.items():
        zero = seconds(registered[stem])
        for i, (onset, length) in enumerate(found):
            number += 1
            times = {
                "registration start": zero,
                "registration end": zero + found[-1][0] + found[-1][1] + 600,
                "seizure start": zero + onset,
                "seizure end": zero + onset + length,
            }
            text += f"Seizure n {number}{style.remark or ' ' * (number % 2)}\n"
            text += f"File name: {style.file_names.get(stem, stem)}.edf\n"
            for k, (line, at) in enumerate(times.items()):
                if line.startswith("registration") and (stem, i) in style.unregistered:
                    continue
                printed = style.printed.get((stem, line), clock_of(at, style.separator))
                blank = "" if (number, k) == (2, 3) else " " * (1 + (number + k) % 2)
                text += f"{line.capitalize()} time:{blank}{printed}{' ' * (k == 2)}\n"
            text += "\n"
    return text


def list_of(patient: str) -> str:
    """Type the list of one patient as published."""
    mine = {stem: found for stem, found in SEIZURES.items() if stem.startswith(patient)}
    return seizure_list(patient, mine, REGISTERED, STYLES.get(patient, Style()))


def write_list(root: Path, patient: str, text: str) -> None:
    """Put a list into its patient's folder."""
    folder = root / FOLDER / patient
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"Seizures-list-{patient}.txt").write_bytes(text.encode())


def write_file(
    root: Path, stem: str, *, start: str, duration_s: float, labels: Sequence[str] = LABELS,
    sfreq_hz: float = 512, seed: int = 0,
) -> Path:  # fmt: skip
    """Write one recording whose header states a start clock."""
    path = root / FOLDER / stem[:4] / f"{stem}.edf"
    return write_eeg(
        path, labels, sfreq_hz=sfreq_hz, duration_s=duration_s, seed=seed + zlib.crc32(stem.encode()),
        start=f"01.01.16{start}",
    )  # fmt: skip


def write(root: Path, seed: int = 0) -> None:
    """Write four patients with short recordings, one over midnight, one of two seizures."""
    plan = {
        "PN00-1": ("19.39.33", LABELS, [(21, 12)]), "PN00-2": ("02.18.17", LABELS, [(3, 5)]),
        "PN03-1": ("23.59.50", ODD_LABELS, [(15, 11)]),
        "PN10-4.5.6": ("12.11.29", LABELS, [(2, 5), (31, 4)]),
        "PN12-1.2": ("15.51.31", LABELS, [(4, 6), (22, 7)]),
    }  # fmt: skip
    for i, (stem, (start, labels, _)) in enumerate(plan.items()):
        write_file(root, stem, start=start, duration_s=41, labels=labels, seed=1000 * seed + i)
    for patient in sorted({stem[:4] for stem in plan}):
        mine = {stem: found for stem, (_, _, found) in plan.items() if stem[:4] == patient}
        starts = {stem: start for stem, (start, _, _) in plan.items()}
        style = Style(unregistered=frozenset({("PN12-1.2", 1)}))
        write_list(root, patient, seizure_list(patient, mine, starts, style))
    (root / FOLDER / "subject_info.csv").write_text(INFO)
