"""Labels of the Helsinki newborns: three experts' seizures second by second, kept apart.

Each expert is a source of their own; beside them stands how many of the three agree, and as an event
what most of them marked. Nobody's mark is folded into another's.
"""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.identity import age_band
from dagster_project.corpora.labels.sidecars import sex_of, sidecar_text, table
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import NoParams
from detectors.types import ExpertEvent

EXPERTS = {
    "expert A": "annotations_2017_A_fixed.csv",
    "expert B": "annotations_2017_B.csv",
    "expert C": "annotations_2017_C.csv",
}
"""One table each; the first version of A's held an error, so only the mended one is read."""
MAJORITY = 2
"""Experts of the three whose agreement is an event."""

_MARKS = {"0": 0, "0.0": 0, "1": 1, "1.0": 1}
_VOID = {"", "nan", "n/a"}
_NUMBER = re.compile(r"[A-Za-z]{0,20} {0,3}(\d{1,4})")


def _column(header: str, number: int) -> tuple[int, bool]:
    """Return where a neonate's column is, and whether the first line is a header.

    Headers count the neonates from 0 or from 1, behind a blank cell where rows are numbered; a
    table without one begins with neonate 1.

    Raises
    ------
    CorpusError
        ``bad_labels`` if the header does not count, or has no such neonate.
    """
    cells = [cell.strip().strip('"') for cell in header.split(",")]
    first = 1 if cells[0] == "" else 0
    counted = cells[first:]
    matches = [_NUMBER.fullmatch(cell) for cell in counted]
    numbers = [int(match[1]) for match in matches if match]
    is_header = any(numbers == [*range(base, base + len(counted))] for base in (0, 1))
    if not is_header and any(cell.lower() not in {*_MARKS, *_VOID} for cell in counted):
        raise CorpusError("bad_labels", "the header of an expert's table does not count neonates")
    if not 0 < number <= len(counted):
        raise CorpusError("bad_labels", f"{len(counted)} columns; none for this neonate")
    return first + number - 1, is_header


def expert_seconds(text: str, number: int, duration_s: float) -> list[int]:
    """Return an expert's mark of every second of one neonate.

    Parameters
    ----------
    text
        The expert's table: a column per neonate, a row per second, no number after the end.
    number
        Neonate, from 1.
    duration_s
        Length of the recording.

    Raises
    ------
    CorpusError
        ``bad_labels`` if the column is not as long as the recording has whole seconds, has a hole,
        or holds anything but 0 and 1.
    """
    lines = text.strip("\n").split("\n")
    at, has_header = _column(lines[0], number)
    marks: list[int] = []
    has_ended = False
    for line in lines[has_header:]:
        cells = line.split(",")
        cell = cells[at].strip().strip('"').lower() if at < len(cells) else ""
        if cell in _VOID:
            has_ended = True
        elif cell not in _MARKS or has_ended:
            raise CorpusError("bad_labels", "an expert's second is neither 0 nor 1, or after a gap")
        else:
            marks.append(_MARKS[cell])
    if len(marks) != int(duration_s):
        raise CorpusError("bad_labels", f"{len(marks)} labelled seconds in {duration_s:g} s")
    return marks


def _stretches(marks: list[int]) -> list[tuple[int, int, int]]:
    """Return value, first second and end of every run of equal values."""
    found, at = [], 0
    for value, run in groupby(marks):
        length = len(list(run))
        found.append((value, at, at + length))
        at += length
    return found


def _sex(folder: Path, number: int) -> str | None:
    """Sex from the clinical table; which columns it has is looked for by name."""
    for row in table(folder / "clinical_information.csv") or []:
        cells = {name.lower(): cell for name, cell in row.items()}
        who = cells.get("id") or cells.get("eeg file") or ""
        if who.lower().removeprefix("eeg") == str(number):
            return sex_of(cells.get("gender") or cells.get("sex"))
    return None


def read_helsinki(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Seizures by each expert, their votes, and sex; all are newborns at term.

    An expert whose table is missing has seizures ``unknown`` and no vote; without all three there
    are no votes. What two of three experts marked is also an event.
    """
    number = int(request.subject.lower().removeprefix("eeg"))
    labels: list[Label] = []
    intervals: list[Interval] = []
    defaults: list[Label] = []
    marked: list[list[int]] = []
    events: tuple[ExpertEvent, ...] = ()
    for expert, name in EXPERTS.items():
        text = sidecar_text(request.folder / name)
        if text is None:
            labels.append(Label("recording", "seizure", "unknown", expert))
            continue
        marks = expert_seconds(text, number, request.duration_s)
        marked.append(marks)
        labels.append(Label("recording", "seizure", "present" if any(marks) else "absent", expert))
        present = Label("segment", "seizure", "present", expert)
        intervals += [Interval(a, b, present) for value, a, b in _stretches(marks) if value]
        defaults.append(Label("segment", "seizure", "absent", expert))
    if len(marked) == len(EXPERTS):
        n_experts = sum(map(any, marked))
        labels.append(Label("recording", "seizure_experts", str(n_experts), "three experts"))
        votes = [sum(second) for second in zip(*marked, strict=True)]
        intervals += [
            Interval(a, b, Label("interval", "seizure_votes", str(n), "three experts"))
            for n, a, b in _stretches(votes)
        ]
        agreed = _stretches([int(n >= MAJORITY) for n in votes])
        events = tuple(
            ExpertEvent("seizure", (), a, b, "two of three experts")
            for is_one, a, b in agreed
            if is_one
        )
    return RecordingLabels(
        labels=tuple(labels),
        intervals=tuple(intervals),
        defaults=tuple(defaults),
        events=events,
        age_band=age_band(0.0),
        sex=_sex(request.folder, number),
    )
