"""Labels of HMC Sleep Staging: AASM stages and lights from the scoring beside the recording."""

from __future__ import annotations

from pathlib import Path

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.sidecars import number, sex_of, table
from dagster_project.corpora.labels.stages import (
    AASM_STAGES,
    Scored,
    check_scored,
    edf_annotations,
    grid_of,
    hypnogram_label,
    missing_hypnogram,
    stage_intervals,
)
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.readers.types import Annotation
from dagster_project.corpora.spec import NoParams

_STAGE_WORD = "Sleep stage "
_LIGHTS_WORD = "Lights "


def read_hmc(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Stages from ``SNnnn_sleepscoring.txt``, or from its EDF+ twin where there is no text.

    ``Lights off`` and ``Lights on`` are no stages: they say in what light a stretch was recorded.

    Raises
    ------
    CorpusError
        ``bad_labels`` if a row is neither a stage nor about lights, or the stages do not fit.
    """
    sex = _sex(request.path)
    beside = request.path.with_name(f"{request.path.stem}_sleepscoring")
    notes, source = _text_notes(beside.with_suffix(".txt")), "sleepscoring.txt"
    if notes is None and beside.with_suffix(".edf").is_file():
        notes = edf_annotations(beside.with_suffix(".edf"), request.recording)
        source = "sleepscoring.edf"
    if notes is None:
        return RecordingLabels(labels=(missing_hypnogram(),), sex=sex)
    scored, lights = [], []
    for note in notes:
        text = note.text.partition("@@")[0].strip()  # the twin appends the linked channel
        word = text.removeprefix(_STAGE_WORD)
        if text.startswith(_LIGHTS_WORD):
            lights.append((note.onset_s, text.removeprefix(_LIGHTS_WORD)))
        elif text.startswith(_STAGE_WORD) and word in AASM_STAGES:
            scored.append(Scored(note.onset_s, note.duration_s, AASM_STAGES[word]))
        else:
            raise CorpusError("bad_labels", "a row is neither one of five stages nor about lights")
    entries = check_scored(scored, request.duration_s)
    return RecordingLabels(
        labels=(hypnogram_label(entries, request.duration_s, source),),
        intervals=_light_intervals(lights, request.duration_s, source),
        stages=stage_intervals(entries, request.duration_s, source),
        grid_s=grid_of(entries),
        sex=sex,
    )


def _text_notes(path: Path) -> list[Annotation] | None:
    """Rows of the text; its cells are parted by a comma and a blank."""
    rows = table(path)
    if rows is None:
        return None
    notes = []
    for row in rows:
        onset_s, length_s = number(row.get("Recording onset")), number(row.get("Duration"))
        text = row.get("Annotation")
        if onset_s is None or not text:
            raise CorpusError("bad_labels", "a row without onset or annotation")
        notes.append(Annotation(onset_s, length_s or 0.0, text))
    return notes


def _light_intervals(
    lights: list[tuple[float, str]], duration_s: float, source: str
) -> tuple[Interval, ...]:
    """Return the stretches of known light: before the first mark, between marks, after ``on``."""
    marks = sorted(lights)
    if any(word not in ("off", "on") for _, word in marks):
        raise CorpusError("bad_labels", "a row about lights says neither off nor on")
    edges = [t for t, _ in marks] + [duration_s]
    found = [(0.0, marks[0][0], "on")] if marks and marks[0][1] == "off" else []
    found += [(t, end, word) for (t, word), end in zip(marks, edges[1:], strict=True)]
    return tuple(
        Interval(t0, min(t1, duration_s), Label("interval", "lights", word, source))
        for t0, t1, word in found
        if t0 < min(t1, duration_s)
    )


def _sex(path: Path) -> str | None:
    """Sex as EDF+ places it, the second word of the patient field; None where it is no sex."""
    with path.open("rb") as file:
        words = file.read(88)[8:].decode("latin-1").split()
    return sex_of(words[1]) if len(words) >= 4 and words[1] in ("F", "M") else None
