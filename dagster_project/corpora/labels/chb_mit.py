"""Labels of CHB-MIT: seizures from summaries and .seizures files, sex and age from SUBJECT-INFO."""

from __future__ import annotations

import re
from pathlib import Path

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.identity import age_band
from dagster_project.corpora.labels.sidecars import nearest, number, sex_of, sidecar_text
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.labels.wfdb_marks import VF_OFF, VF_ON, read_marks
from dagster_project.corpora.spec import NoParams
from detectors.types import ExpertEvent

Spans = list[tuple[float, float]]

SOURCE_TOLERANCE_S = 1.0
"""Summaries count whole seconds, ``.seizures`` files ticks (engineering default)."""

_SEIZURE_LINE = re.compile(r"Seizure\s*(?:\d+\s+)?(Start|End) Time\s*:\s*(\d+)\s*seconds", re.I)
_SEIZURE_COUNT = re.compile(r"Number of Seizures in File\s*:\s*(\d{1,6})\b", re.I)


def chb_section(text: str, file_name: str) -> str | None:
    """Return the lines of a summary about one file."""
    for section in re.split(r"(?m)^File Name\s*:\s*", text)[1:]:
        if section.split("\n", 1)[0].strip() == file_name:
            return section
    return None


def chb_seizures(section: str, duration_s: float) -> list[tuple[float, float]]:
    """Return the seizures of a summary's section, clipped to the recording.

    Raises
    ------
    CorpusError
        ``bad_labels`` if starts, ends and the declared count differ, or one lies outside.
    """
    found = _SEIZURE_LINE.findall(section)
    starts = [float(t) for edge, t in found if edge.lower() == "start"]
    ends = [float(t) for edge, t in found if edge.lower() == "end"]
    count = _SEIZURE_COUNT.search(section)
    if count is None or not int(count[1]) == len(starts) == len(ends):
        raise CorpusError("bad_labels", f"{len(starts)} seizure starts, {len(ends)} ends, "
                          f"{count[1] if count else 'no'} declared")  # fmt: skip
    if any(end <= start or start >= duration_s for start, end in zip(starts, ends, strict=True)):
        raise CorpusError("bad_labels", f"a seizure lies outside the {duration_s:g} s recorded")
    return [(a, min(b, duration_s)) for a, b in zip(starts, ends, strict=True)]


def marked_seizures(path: Path, sfreq_hz: float, duration_s: float) -> Spans | None:
    """Return the seizures of a ``.seizures`` file, None where there is none.

    Raises
    ------
    CorpusError
        ``bad_labels`` if begins and ends do not alternate or a seizure does not lie in the file.
    """
    marks = read_marks(path, sfreq_hz)
    if marks is None:
        return None
    edges = [m for m in marks if m.code in {VF_ON, VF_OFF}]
    if [m.code for m in edges] != [VF_ON, VF_OFF] * (len(edges) // 2):
        raise CorpusError("bad_labels", "begins and ends of a .seizures file do not alternate")
    spans = [(a.t_s, b.t_s) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    if any(b <= a or a >= duration_s for a, b in spans):
        raise CorpusError("bad_labels", f"a seizure lies outside the {duration_s:g} s recorded")
    return [(a, min(b, duration_s)) for a, b in spans]


def _agree(one: Spans, other: Spans) -> bool:
    """Whether two sources tell the same seizures, to the second."""
    return len(one) == len(other) and all(
        abs(a - c) <= SOURCE_TOLERANCE_S and abs(b - d) <= SOURCE_TOLERANCE_S
        for (a, b), (c, d) in zip(sorted(one), sorted(other), strict=True)
    )


def _is_listed(request: LabelRequest, name: str) -> bool | None:
    """Whether a list of records names the recording, None where there is no list."""
    text = sidecar_text(nearest(request.path, name))
    wanted = f"{request.path.parent.name}/{request.path.name}"
    return None if text is None else wanted in {line.strip() for line in text.splitlines()}


def _seizures(request: LabelRequest) -> tuple[Spans | None, str]:
    """Return the seizures and where they were read, or None and why they are unknown."""
    text = sidecar_text(nearest(request.path, f"{request.subject}-summary.txt"))
    section = None if text is None else chb_section(text, request.path.name)
    told = None if section is None else chb_seizures(section, request.duration_s)
    rate_hz = max((float(s.sfreq) for s in request.recording.signals), default=0.0)
    twin = request.path.with_name(request.path.name + ".seizures")
    marked = marked_seizures(twin, rate_hz, request.duration_s)
    if told is not None:
        if marked is not None and not _agree(told, marked):
            raise CorpusError(
                "bad_labels", f"{len(told)} seizures in the summary, others in the .seizures file"
            )
        return told, "summary"
    if marked is not None:
        return marked, "seizures file"
    if _is_listed(request, "RECORDS") and _is_listed(request, "RECORDS-WITH-SEIZURES") is False:
        return [], "RECORDS-WITH-SEIZURES"
    return None, "no summary" if text is None else "not named in the summary"


def read_chb_mit(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Seizures from ``chbNN-summary.txt`` and ``.seizures``; sex and age from ``SUBJECT-INFO``.

    A file the summary does not name is looked up in its ``.seizures`` file, then in the corpus'
    list of records with seizures (chb24). What none of them names (a cut, a renamed copy) has
    seizures ``unknown``: its place in the original record is not guessed from clock times.
    """
    band, sex = _chb_subject(request)
    seizures, source = _seizures(request)
    if seizures is None:
        unknown = Label("recording", "seizure", "unknown", source)
        return RecordingLabels(labels=(unknown,), age_band=band, sex=sex)
    whole = Label("recording", "seizure", "present" if seizures else "absent", source)
    here = Label("segment", "seizure", "present", source)
    return RecordingLabels(
        labels=(whole,),
        intervals=tuple(Interval(a, b, here) for a, b in seizures),
        defaults=(Label("segment", "seizure", "absent", source),),
        events=tuple(ExpertEvent("seizure", (), a, b, source) for a, b in seizures),
        age_band=band,
        sex=sex,
    )


def _chb_subject(request: LabelRequest) -> tuple[str | None, str | None]:
    text = sidecar_text(nearest(request.path, "SUBJECT-INFO")) or ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) == 3 and cells[0] == request.subject:
            return age_band(number(cells[2])), sex_of(cells[1])
    return None, None
