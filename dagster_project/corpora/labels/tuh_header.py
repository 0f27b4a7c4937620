"""What a TUH recording's header, folders and lists say about it as a whole.

Age and sex are in the free patient field of the EDF header only. The EDF reader passes over that
field unread; :func:`demographics` reads exactly those bytes for exactly these two values, and
nothing else of them is returned, stored or logged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dagster_project.corpora.channels import parse_label
from dagster_project.corpora.identity import age_band
from dagster_project.corpora.labels.sidecars import sidecar_text
from dagster_project.corpora.labels.types import Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import Entry, NoParams
from detectors.types import CANONICAL19

PATIENT_FIELD = slice(8, 88)
"""Bytes of the local patient identification (Kemp et al. 1992)."""
_AGE = re.compile(r"\bAge:\s*(\d{1,3}(?:\.\d+)?)(?![\d.])")
_SEX = re.compile(r"\s*\S+\s+([FM])(?=\s|\Z)")
_RELEASE_FOLDER = re.compile(r"v(\d{1,2}\.\d{1,2}\.\d{1,2})\Z")
_RELEASE_LINE = re.compile(
    r"^[ \t#*]*version[ \t]*:?[ \t]*v?(\d{1,2}\.\d{1,2}\.\d{1,2})\b", re.I | re.M
)
_READMES = ("AAREADME.txt", "_AAREADME.txt", "README.txt", "README", "DOCS/AAREADME.txt")
_VISIT = re.compile(r"(?<![a-z0-9])([a-z]{8})[_/\\](s\d{3})(?!\d)")


@dataclass(frozen=True, slots=True)
class Demographics:
    """Age in years and ``F`` or ``M``, each None where the header states none."""

    age_years: float | None
    sex: str | None


def demographics(path: Path) -> Demographics:
    """Return age and sex from an EDF header's patient field, the rest of which is dropped.

    The field reads ``<id> <sex> <date> <id> Age:<years>``; infants have fractions of a year, dates
    may be of the year 0 and are not looked at.
    """
    with path.open("rb") as file:
        file.seek(PATIENT_FIELD.start)
        field = file.read(PATIENT_FIELD.stop - PATIENT_FIELD.start).decode("latin-1")
    age, sex = _AGE.search(field), _SEX.match(field)
    return Demographics(float(age[1]) if age else None, sex[1] if sex else None)


def _folders(request: LabelRequest) -> Iterator[Path]:
    """Folders from the recording's up to the corpus' own."""
    for folder in request.path.parents:
        yield folder
        if folder == request.folder:
            return


def _release(request: LabelRequest) -> Label:
    for folder in _folders(request):
        found = _RELEASE_FOLDER.match(folder.name)
        if found and folder != request.folder:
            return Label("file", "release", found[1], "folder name")
        for name in _READMES:
            line = _RELEASE_LINE.search(sidecar_text(folder / name) or "")
            if line:
                return Label("file", "release", line[1], "README")
    return Label("file", "release", "unknown", "neither folder name nor README")


def read_tuh_header(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Age band, sex, montage, release, and which of the 19 electrodes the file lacks."""
    person = demographics(request.path)
    labels = [_release(request)]
    montage = (request.match.groupdict().get("montage") or "").lower()
    if montage:
        labels.append(Label("file", "montage", montage[3:], "folder name"))
    present = {parse_label(signal.label).name for signal in request.recording.signals}
    missing = [name for name in CANONICAL19 if name not in present]
    if missing:
        labels.append(Label("file", "missing_electrodes", ",".join(missing), "file header"))
    return RecordingLabels(
        labels=tuple(labels), age_band=age_band(person.age_years), sex=person.sex
    )


class ListedParams(Entry):
    """A label from lists of sessions or files in the corpus.

    Parameters
    ----------
    label
        Label name.
    files
        Path of a list below the corpus folder (or a release folder in it) to what it says of a
        recording it names.
    otherwise
        Value for recordings that lists which are there do not name.
    """

    label: str
    files: dict[str, str]
    otherwise: str = "unknown"


def _names(text: str) -> frozenset[str]:
    """Sessions ``<patient>_<session>`` and file stems a list holds, however it spells paths."""
    names = {"_".join(found) for found in _VISIT.findall(text)}
    paths = (word.replace("\\", "/") for word in text.split())
    names |= {path.rpartition("/")[2].partition(".")[0] for path in paths}
    return frozenset(names)


def read_tuh_listed(request: LabelRequest, params: ListedParams) -> RecordingLabels:
    """Say what the corpus' lists say about a recording; ``missing`` where none is there."""
    visit = f"{request.subject}_{request.session.partition('_')[0]}"
    mine = {visit, request.path.stem}
    n_lists = 0
    for name, value in params.files.items():
        texts = (sidecar_text(folder / name) for folder in _folders(request))
        text = next((t for t in texts if t is not None), None)
        n_lists += text is not None
        if text is not None and mine & _names(text):
            return RecordingLabels((Label("file", params.label, value, Path(name).name),))
    value = params.otherwise if n_lists else "missing"
    source = "lists" if n_lists else "no list"
    return RecordingLabels((Label("file", params.label, value, source),))
