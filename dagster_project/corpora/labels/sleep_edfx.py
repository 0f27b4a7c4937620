"""Labels of Sleep-EDF Expanded: Rechtschaffen & Kales stages from the hypnogram twin."""

from __future__ import annotations

import re

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.readers.types import Annotation
from dagster_project.corpora.spec import Choice, NoParams

_STAGES = {
    "Sleep stage W": "W", "Sleep stage 1": "N1", "Sleep stage 2": "N2", "Sleep stage 3": "N3",
    "Sleep stage 4": "N3", "Sleep stage R": "REM",
}  # fmt: skip
"""Rechtschaffen & Kales to AASM: stages 3 and 4 are N3 (AASM manual, corpus practice)."""
EPOCH_S = 30.0


def read_sleep_edfx(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Stages from the hypnogram whose name shares subject and night with the recording's.

    The last letter of a hypnogram's name is its scorer and varies. Unscored (``?``) and movement
    time carry no stage.
    """
    stem = request.path.name.split("-")[0][:-1]
    pattern = re.compile(re.escape(stem) + r"\w-Hypnogram\.edf", re.I)
    beside = sorted(p for p in request.path.parent.iterdir() if pattern.fullmatch(p.name))
    if not beside:
        return RecordingLabels((Label("recording", "hypnogram", "missing", "no sidecar"),))
    if len(beside) > 1:
        raise CorpusError("bad_labels", f"{len(beside)} hypnograms for one recording")
    with open_recording(beside[0], Choice(name="edf")) as hypnogram:
        notes, start = hypnogram.annotations(), hypnogram.start
    late_s = 0.0
    if start and request.recording.start:
        late_s = (start - request.recording.start).total_seconds()
    scored = [Annotation(a.onset_s + late_s, a.duration_s, a.text) for a in notes]
    stages = _stages(scored, request.duration_s)
    grid_s = scored[0].onset_s % EPOCH_S if scored else None
    label = Label("recording", "hypnogram", "present", "hypnogram")
    return RecordingLabels(labels=(label,), stages=stages, grid_s=grid_s)


def _stages(notes: list[Annotation], duration_s: float) -> tuple[Interval, ...]:
    stages, end = [], float("-inf")
    for note in sorted(notes, key=lambda a: a.onset_s):
        if not note.text.startswith(("Sleep stage", "Movement time")):
            continue
        if note.onset_s < end - 1e-6 or note.duration_s <= 0:
            raise CorpusError("bad_labels", f"stages overlap at {note.onset_s:g} s")
        end = note.onset_s + note.duration_s
        stage = _STAGES.get(note.text)
        if stage and note.onset_s < duration_s and end > 0:
            label = Label("epoch", "stage", stage, "hypnogram")
            stages.append(Interval(note.onset_s, min(end, duration_s), label))
    return tuple(stages)
