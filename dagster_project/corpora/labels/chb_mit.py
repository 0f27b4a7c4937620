"""Labels of CHB-MIT: seizures from the case summaries, sex and age from SUBJECT-INFO."""

from __future__ import annotations

import re

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.identity import age_band
from dagster_project.corpora.labels.sidecars import nearest, number, sex_of, sidecar_text
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import NoParams

_SEIZURE_LINE = re.compile(r"Seizure\s*(?:\d+\s+)?(Start|End) Time\s*:\s*(\d+)\s*seconds", re.I)
_SEIZURE_COUNT = re.compile(r"Number of Seizures in File\s*:\s*(\d+)", re.I)


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


def read_chb_mit(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Seizures from ``chbNN-summary.txt``; sex and age from ``SUBJECT-INFO``.

    A file the summary does not name (a cut, a renamed copy) has seizures ``unknown``: its place in
    the original record is not guessed from clock times.
    """
    band, sex = _chb_subject(request)
    text = sidecar_text(nearest(request.path, f"{request.subject}-summary.txt"))
    section = None if text is None else chb_section(text, request.path.name)
    if section is None:
        why = "no summary" if text is None else "not named in the summary"
        unknown = Label("recording", "seizure", "unknown", why)
        return RecordingLabels(labels=(unknown,), age_band=band, sex=sex)
    source = f"{request.subject}-summary.txt"
    seizures = chb_seizures(section, request.duration_s)
    whole = Label("recording", "seizure", "present" if seizures else "absent", source)
    here = Label("segment", "seizure", "present", source)
    return RecordingLabels(
        labels=(whole,),
        intervals=tuple(Interval(a, b, here) for a, b in seizures),
        defaults=(Label("segment", "seizure", "absent", source),),
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
