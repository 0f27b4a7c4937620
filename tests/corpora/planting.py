"""Invented people, planted in every place of every format where files name real ones.

Works on the bytes of files as they lie, so that it shares nothing with our readers. ``quiet`` plants
go where a reader has nothing to look for; ``loud`` ones stand where it looks for its words.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import openpyxl
import scipy.io
import xlrd
import xlwt

NAME = "Zephrania Quillonby"
BORN = "1951-05-02"
NUMBER = "MRN7734182"
HOME = "14 Marrowgate Lane"
PHONE = "0207 555 0142"
DOCTOR = "Dr Thistlewick"
ALL = f"{NAME} born {BORN} {NUMBER} {HOME} tel {PHONE} seen by {DOCTOR}"
DATES = (
    "1951-05-02", "1951/05/02", "19510502", "02.05.1951", "02.05.51", "02/05/1951", "05/02/1951",
    "02-may-1951", "2 may 1951", "may 2, 1951",
)  # fmt: skip
TRACES = (
    "zephrania", "quillonby", "7734182", "marrowgate", "thistlewick", "555 0142", "555-0142",
    "5550142", *DATES,
)  # fmt: skip
"""What may be found nowhere, lower case; each a part no hash or number of ours holds."""
OLD_YEARS = 93
_UNUSED = (
    "EMG", "ECG", "EKG", "RESP", "VEOG", "HEOG", "EOG", "ROC-LOC", "Chin", "ABD", "SaO2", "Belt",
)  # fmt: skip


def traces(text: str) -> list[str]:
    """Return what a text tells about the planted person."""
    lower = text.lower()
    return [trace for trace in TRACES if trace in lower]


def _field(text: str, size: int) -> bytes:
    return text.encode("latin-1")[:size].ljust(size)


def _edf_annotations(raw: bytearray, start: int, width: int) -> None:
    """Put a note behind each time-keeping note and one into the list of it, where there is room."""
    used = raw[start : start + width].rstrip(b"\0")
    end = used.find(b"\x14\x14")
    if end < 0:
        return
    onset = bytes(used[:end])
    body = onset + b"\x14\x14" + NAME.encode() + b"\x14\0" + bytes(used[end + 3 :])
    body += b"\0" + onset + b"\x14" + f"{HOME} {BORN}".encode() + b"\x14\0"
    if len(body) <= width:
        raw[start : start + width] = body.ljust(width, b"\0")


def plant_edf(path: Path, is_loud: bool, age: int | None) -> None:
    """EDF and BDF: patient, recording, transducer, prefilter, reserved, labels, annotations."""
    raw = bytearray(path.read_bytes())
    n = int(raw[252:256])
    person = raw[8:88].decode("latin-1").strip()
    if "Age:" in person:
        head, _, years = person.partition(" Age:")
        raw[8:88] = _field(f"{head} Age:{years if age is None else age} {NAME} {NUMBER}", 80)
    else:
        raw[8:88] = _field(f"{NUMBER} F 02-MAY-1951 {NAME.replace(' ', '_')} {HOME}", 80)
    raw[88:168] = _field(f"Startdate 02-MAY-1951 {NUMBER} {DOCTOR} {PHONE}", 80)

    def field(offset: int, size: int, i: int) -> slice:
        at = 256 + offset * n + size * i
        return slice(at, at + size)

    labels = [raw[field(0, 16, i)].decode("latin-1").strip() for i in range(n)]
    for i, label in enumerate(labels):
        if label.endswith(" Annotations"):
            continue
        if label.startswith(_UNUSED):
            raw[field(0, 16, i)] = _field(f"Quillonby{'-Z' if is_loud else ' '}{i}", 16)
        raw[field(16, 80, i)] = _field(f"{NAME} {HOME}", 80)
        prefilter = raw[field(136, 80, i)].decode("latin-1").strip()
        raw[field(136, 80, i)] = _field(f"{prefilter} {DOCTOR} {PHONE}", 80)
        raw[field(224, 32, i)] = _field(f"{NAME} {BORN}", 32)
    if is_loud:
        _plant_records(raw, labels, [int(raw[field(216, 8, i)]) for i in range(n)])
    path.write_bytes(raw)


def _plant_records(raw: bytearray, labels: list[str], counts: list[int]) -> None:
    width = 3 if raw[0] == 0xFF else 2
    record = width * sum(counts)
    for i, label in enumerate(labels):
        if label.endswith(" Annotations"):
            at = int(raw[184:192]) + width * sum(counts[:i])
            while at < len(raw):
                _edf_annotations(raw, at, width * counts[i])
                at += record


def _years(cell: str, age: int | None) -> str:
    if age is None or not any(c.isdigit() for c in cell):
        return cell
    return f"{age - age % 5}-{age - age % 5 + 5}" if "-" in cell else str(age)


def plant_table(path: Path, is_loud: bool, age: int | None) -> None:
    """Tables of text: a column of free text, a person nobody recorded, an age; loud, every word."""
    text = path.read_bytes().decode("utf-8-sig", "replace")
    mark = "\ufeff" if path.read_bytes().startswith(b"\xef\xbb\xbf") else ""
    if text.startswith("#"):
        path.write_text(text.replace("\n", f"\n# {ALL}\n# patient = {NAME}\n", 1))
        return
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    is_headed = any(c.isalpha() for c in "".join(rows[0]))
    if not is_headed or (path.name.endswith("_data.csv") and not is_loud):
        return
    head, *body = rows
    ages = [i for i, name in enumerate(head) if name.strip().lower().startswith("age")]
    words = [i for i, name in enumerate(head) if name.strip().lower() in LOUD_COLUMNS]
    for number, row in enumerate(body):
        row += [""] * (len(head) - len(row))
        for i in ages:
            row[i] = _years(row[i], age)
        for i in words if is_loud and number % 3 == 1 else ():
            row[i] = f"{NAME} {BORN}"
        row.append(ALL)
    free = "".join(c if c.isalnum() or c in " -" else " " for c in f"remark {NAME}")
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator="\n").writerows([[*head, free], *body])
    path.write_bytes((mark + written.getvalue()).encode())


LOUD_COLUMNS = {
    "trial_type", "value", "description", "annotation", "event", "group", "sex", "gender", "type",
    "diagnosis", "pathology", "units", "status", "sleepstage", "label", "comment",
}  # fmt: skip


def plant_json(path: Path, is_loud: bool, age: int | None) -> None:
    said = json.loads(path.read_text("utf-8"))
    said |= {"InstitutionName": HOME, "SubjectArtefactDescription": ALL, "Authors": [NAME]}
    said |= {"Levels": {NAME: PHONE}, "DeviceSerialNumber": NUMBER}
    if is_loud:
        said |= {
            "EEGReference": f"{NAME} Cz",
            "PowerLineFrequency": BORN,
            "SamplingFrequency": BORN,
        }
    path.write_text(json.dumps(said))


def plant_text(path: Path, is_loud: bool, age: int | None) -> None:
    """Lists, summaries, scorings and exports: brackets, header blocks, comments, a last line."""
    text = path.read_bytes().decode("utf-8", "replace")
    head, _, rest = text.partition("\n")
    if head.startswith("["):
        text = f"{head.rstrip().rstrip(']')}/{NAME}]\n{rest}"
    elif head.startswith("RemLogic"):
        text = f"{head}\nPatient:\t{NAME}\nBirth date:\t{BORN}\nRemarks:\t{ALL}\n{rest}"
    elif "," not in head and "\t" not in head and "version" not in head:
        text = f"{text.rstrip()}\n\n{ALL}\n"
    if is_loud:
        if "Lights off" in text:  # a scoring whose rows may say anything
            text = text.replace("Lights off", f"{NAME} {BORN}")
        else:
            text = f"{text.rstrip()}\n{NAME} {BORN}\n"
    path.write_bytes(text.encode())


def plant_people(path: Path, is_loud: bool, age: int | None) -> None:
    """CHB-MIT's table of cases."""
    lines = path.read_bytes().decode().splitlines()
    body = [line.split("\t") for line in lines if line]
    for row in body[1:] if age is not None else ():
        row[2] = str(age)
    path.write_text("\r\n".join("\t".join(row) for row in [*body, [ALL]]) + "\r\n")


def plant_comments(path: Path, is_loud: bool, age: int | None) -> None:
    """Comment lines at the end, as WFDB headers and TUH files have them."""
    path.write_text(path.read_text().rstrip("\n") + f"\n# {ALL}\n#<age>: 93 <name>: {NAME}\n")


def plant_marks(path: Path, is_loud: bool, age: int | None) -> None:
    """WFDB annotations: a note whose text is a name."""
    raw, text = path.read_bytes(), f"{NAME} {BORN}".encode()
    note = (22 << 10 | 1).to_bytes(2, "little") + (63 << 10 | len(text)).to_bytes(2, "little")
    if raw.endswith(b"\0\0"):
        path.write_bytes(raw[:-2] + note + text + b"\0" * (len(text) % 2) + b"\0\0")


def plant_vhdr(path: Path, is_loud: bool, age: int | None) -> None:
    text = path.read_bytes().decode("utf-8")
    text = text.replace("; written for a test", f"; {ALL}")
    text = text.replace("[Comment]", f"[Comment]\r\nPatient {ALL}\r\n")
    path.write_bytes(text.encode())


def plant_vmrk(path: Path, is_loud: bool, age: int | None) -> None:
    text = path.read_bytes().decode("utf-8").rstrip()
    text += f"\r\nMk998=Comment,{ALL},5,1,0\r\nMk999={NAME},{BORN},9,1,0\r\n"
    path.write_bytes(text.encode())


def _struct(rows: Any, **more: str) -> Any:
    """Add fields of text to an array of structs."""
    dtype = [(name, "O") for name in (*rows.dtype.names, *more)]
    wider = np.empty(rows.shape, dtype=dtype)
    for at in np.ndindex(rows.shape):
        wider[at] = (*rows[at].tolist(), *more.values())
    return wider


def plant_set(path: Path, is_loud: bool, age: int | None) -> None:
    """EEGLAB: subject, comments, history, places of electrodes, event types, the name of the data."""
    top = scipy.io.loadmat(path)
    fields = {n: v for n, v in top.items() if not n.startswith("__")}
    if "EEG" in fields:
        fields = {n: fields["EEG"][n][0, 0] for n in fields["EEG"].dtype.names}
    fields |= {"subject": NAME, "comments": ALL, "history": f"% {ALL}", "group": HOME}
    fields |= {"setname": NAME, "filepath": f"/home/{NAME}", "session": BORN}
    fields["etc"] = {"desc": {"name": NAME, "phone": PHONE}}
    fields["chanlocs"] = _struct(fields["chanlocs"], description=NAME)
    if fields["event"].size:
        events = _struct(fields["event"], comment=ALL)
        more = events[:, -1:].copy()
        more[0, 0]["type"] = NAME
        fields["event"] = np.concatenate([events, more], axis=1)
    twin = path.with_suffix(".fdt")
    if twin.exists():
        free = twin.with_name(f"{twin.stem} {NAME}.fdt") if is_loud else twin
        twin.rename(free)
        fields |= {"data": free.name, "datfile": free.name}
    scipy.io.savemat(path, {"EEG": fields} if "EEG" in top else fields, appendmat=False)


def plant_mat(path: Path, is_loud: bool, age: int | None) -> None:
    """MATLAB: the header's text and one more variable."""
    raw = path.read_bytes()
    if h5py.is_hdf5(path):
        with h5py.File(path, "r+") as file:
            file.attrs["patient"] = NAME
            codes = np.frombuffer(ALL.encode("utf-16-le"), "<u2").reshape(-1, 1)
            file.create_dataset("patient", data=codes).attrs["MATLAB_class"] = np.bytes_("char")
        raw = path.read_bytes()
    elif raw.startswith(b"MATLAB 5.0"):
        extra = io.BytesIO()
        scipy.io.savemat(extra, {"patient": ALL, "note": {"born": BORN}})
        raw += extra.getvalue()[128:]
    if raw.startswith(b"MATLAB"):
        path.write_bytes(raw[:10] + f" {NAME} {BORN} {NUMBER}".encode().ljust(106) + raw[116:])


def plant_cnt(path: Path, is_loud: bool, age: int | None) -> None:
    """Neuroscan: id, operator, doctor, referral, hospital, patient, and what was taken."""
    raw = bytearray(path.read_bytes())
    texts = {21: NUMBER, 41: DOCTOR, 61: DOCTOR, 81: NAME, 101: HOME, 121: NAME, 145: PHONE}
    for at, text in texts.items():
        raw[at : at + 20] = text.encode()[:19].ljust(20, b"\0")
    raw[225:235] = b"05/02/1951"
    path.write_bytes(raw)


def plant_xlsx(path: Path, is_loud: bool, age: int | None) -> None:
    book = openpyxl.load_workbook(path)
    book.properties.creator = NAME
    for row in book.active.iter_rows():
        if age is not None and isinstance(row[2].value, int):
            row[2].value = age
        book.active.cell(row[0].row, len(row) + 1, ALL)
    book.active.append([NUMBER, NAME, BORN])
    book.save(path)


def plant_xls(path: Path, is_loud: bool, age: int | None) -> None:
    rows = xlrd.open_workbook(path).sheet_by_index(0)
    book = xlwt.Workbook()
    sheet = book.add_sheet(NAME)
    column = next(
        j
        for i in range(2)
        for j in range(rows.ncols)
        if str(rows.cell_value(i, j)).lower() == "age"
    )
    for i in range(rows.nrows):
        for j in range(rows.ncols):
            value = rows.cell_value(i, j)
            is_age = j == column and isinstance(value, float) and age is not None
            sheet.write(i, j, age if is_age else value)
        sheet.write(i, rows.ncols, ALL)
    book.save(path)


def plant_set73(path: Path) -> None:
    """EEGLAB 7.3: fields beside the others, attributes, and the text in front of the HDF5 part."""
    with h5py.File(path, "r+") as file:
        file.attrs["patient"] = NAME
        for name in ("subject", "comments", "history"):
            codes = np.frombuffer(ALL.encode("utf-16-le"), "<u2").reshape(-1, 1)
            item = file["EEG"].create_dataset(name, data=codes)
            item.attrs["MATLAB_class"] = np.bytes_("char")
    raw = path.read_bytes()
    path.write_bytes(raw[:10] + f" {NAME} {BORN} {NUMBER}".encode().ljust(106) + raw[116:])


Planter = Callable[[Path, bool, int | None], None]
PLANTERS: dict[str, Planter] = {
    ".edf": plant_edf, ".bdf": plant_edf, ".tsv": plant_table, ".csv": plant_table,
    ".csv_bi": plant_table, ".json": plant_json, ".txt": plant_text, ".list": plant_text,
    "SUBJECT-INFO": plant_people, ".hea": plant_comments, ".rec": plant_text, ".lab": plant_text,
    ".tse": plant_text, ".tse_agg": plant_text, ".lbl": plant_comments, ".lbl_agg": plant_comments,
    ".event": plant_marks, ".seizures": plant_marks, ".arousal": plant_marks,
    ".vhdr": plant_vhdr, ".vmrk": plant_vmrk, ".set": plant_set, ".mat": plant_mat,
    ".cnt": plant_cnt, ".xlsx": plant_xlsx, ".xls": plant_xls,
}  # fmt: skip
NOTHING_TO_SAY = {".fdt", ".eeg", ".st", ".htk", "RECORDS", "RECORDS-WITH-SEIZURES"}
"""Samples alone, files nothing reads, and lists of file names."""


def plant(root: Path, is_loud: bool, age: int | None = OLD_YEARS) -> None:
    """Plant in every file below a root, and add the files every data set has beside its own."""
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        kind = path.suffix or path.name
        if not path.exists() or kind in NOTHING_TO_SAY:  # a .set takes its .fdt along
            continue
        PLANTERS[kind](path, is_loud, age)
    for folder in [p for p in root.iterdir() if p.is_dir()]:
        for name in ("README", "CHANGES", "README.md", "LICENSE"):
            if not (folder / name).exists():
                (folder / name).write_text(f"{ALL}\n")
        for person in [p for p in folder.glob("sub-*") if p.is_dir()]:
            scans = f"filename\tacq_time\toperator\neeg/x.edf\t{BORN}T09:30:00\t{NAME}\n"
            (person / f"{person.name}_scans.tsv").write_text(scans)


def plant_names(folder: Path, below: str) -> Iterator[str]:
    """Copy a recording below a folder and under a file name that name a person.

    The folder comes last in order, so that the recording itself is no repetition of the copy.
    """
    free = folder / f"zz {NAME} {BORN}" / below
    free.parent.mkdir(parents=True)
    shutil.copy(folder / below, free)
    yield free.relative_to(folder).as_posix()
    named = (folder / below).with_name(f"{NAME} 02.05.1951{Path(below).suffix}")
    shutil.copy(folder / below, named)
    yield named.relative_to(folder).as_posix()
    stem, suffix = Path(below).stem, Path(below).suffix
    longer = (folder / below).with_name(f"{stem}_{NAME.replace(' ', '_')}{suffix}")
    shutil.copy(folder / below, longer)
    yield longer.relative_to(folder).as_posix()
