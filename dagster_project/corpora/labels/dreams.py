"""Labels of the DREAMS databases: experts' marks and hypnograms, one plain text each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from dagster_project.corpora.channels import parse_label
from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.sidecars import number, sidecar_text
from dagster_project.corpora.labels.stages import (
    Scored,
    check_scored,
    grid_of,
    hypnogram_label,
    missing_hypnogram,
    stage_intervals,
)
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import Entry
from detectors.types import CANONICAL19, ExpertEvent

STEP_S = 5.0
"""A hypnogram holds one code every five seconds (``corpora.md`` 7.1)."""
MAX_OVERRUN_S = 300.0
"""A hypnogram longer than its signal by more is of another recording (engineering default)."""

_CODES: dict[str, dict[int, str]] = {
    "rk": {5: "W", 4: "REM", 3: "N1", 2: "N2", 1: "N3", 0: "N3"},
    "aasm": {5: "W", 4: "REM", 3: "N1", 2: "N2", 1: "N3"},
}
"""Code to stage; any other, such as a negative one, is no stage."""
_WHOLE = re.compile(r"[+-]?\d{1,3}(\.0{0,9})?\Z", re.ASCII)


class Hypnogram(Entry):
    """A hypnogram's name, with ``{subject}`` in it, and the rules it follows."""

    file: str
    rules: Literal["rk", "aasm"]


class Marks(Entry):
    """The marks of one expert.

    Parameters
    ----------
    file
        Name beside the recording, with ``{subject}`` in it.
    kind
        What was marked: kind of the events.
    source
        Who marked it.
    until_s
        Where the expert stopped looking, 0 for the recording's end.
    """

    file: str
    kind: str
    source: str
    until_s: float = 0.0


class DreamsParams(Entry):
    """Which texts lie beside a recording; the first hypnogram that is there is taken."""

    hypnograms: tuple[Hypnogram, ...]
    marks: tuple[Marks, ...] = ()


def read_dreams(request: LabelRequest, params: DreamsParams) -> RecordingLabels:
    """Stages and the marks of every expert, each with its own source.

    How far an expert looked is an interval label ``<source>_scored``: outside it the absence of a
    mark says nothing.

    Raises
    ------
    CorpusError
        ``bad_labels`` if a text is void, or says what cannot be of this recording.
    """
    found = _stages(request, params)
    labels, intervals, events = list(found.labels), [], []
    for marks in params.marks:
        name = f"{marks.source}_marks"
        text = sidecar_text(_beside(request, marks.file))
        if text is None:
            labels.append(Label("file", name, "missing", "no sidecar"))
            continue
        labels.append(Label("file", name, "present", marks.source))
        until_s = min(marks.until_s or request.duration_s, request.duration_s)
        scored = Label("file", f"{marks.source}_scored", marks.kind, marks.source)
        intervals.append(Interval(0.0, until_s, scored))
        events += _events(text, marks, request, until_s)
    return RecordingLabels(
        labels=tuple(labels),
        intervals=tuple(intervals),
        stages=found.stages,
        events=tuple(events),
        grid_s=found.grid_s,
    )


def _beside(request: LabelRequest, template: str) -> Path:
    return request.path.with_name(template.format(subject=request.path.stem))


def _stages(request: LabelRequest, params: DreamsParams) -> RecordingLabels:
    for hypnogram in params.hypnograms:
        text = sidecar_text(_beside(request, hypnogram.file))
        if text is not None:
            break
    else:
        return RecordingLabels(labels=(missing_hypnogram(),))
    stage_of = _CODES[hypnogram.rules]
    codes = _codes(text)
    if len(codes) * STEP_S > request.duration_s + MAX_OVERRUN_S:
        raise CorpusError("bad_labels", f"a hypnogram of {len(codes) * STEP_S:g} s for "
                          f"{request.duration_s:g} s recorded")  # fmt: skip
    scored = [Scored(i * STEP_S, STEP_S, stage_of.get(code)) for i, code in enumerate(codes)]
    entries = check_scored(scored, request.duration_s)
    source = f"hypnogram {hypnogram.rules}"
    return RecordingLabels(
        labels=(hypnogram_label(entries, request.duration_s, source),),
        stages=stage_intervals(entries, request.duration_s, source),
        grid_s=grid_of(entries),
    )


def _codes(text: str) -> list[int]:
    """Whole numbers, one a line, below one line of header."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and not _WHOLE.match(lines[0]):
        del lines[0]
    if not all(map(_WHOLE.match, lines)):
        raise CorpusError("bad_labels", "a hypnogram holds more than codes below its header")
    return [int(float(line)) for line in lines]


def _events(text: str, marks: Marks, request: LabelRequest, until_s: float) -> list[ExpertEvent]:
    """``onset duration`` in seconds, one a line, below ``[what/channel]``."""
    channels: tuple[str, ...] = ()
    events = []
    for i, line in enumerate(line for line in text.splitlines() if line.strip()):
        if i == 0 and line.lstrip().startswith("["):
            name = parse_label(line.strip().strip("[]").rpartition("/")[2]).name
            name = request.spec.channels.aliases.get(name, name)
            channels = (name,) if name in CANONICAL19 else ()
            continue
        cells = [number(cell) for cell in line.split()]
        onset_s, length_s = [*cells, None, None][:2]
        if onset_s is None or length_s is None or not length_s > 0:
            raise CorpusError("bad_labels", f"line {i + 1} of a scoring is no onset and duration")
        if not 0 <= onset_s < request.duration_s or onset_s > until_s:
            raise CorpusError("bad_labels", f"a mark at {onset_s:g} s, where none can be")
        t1_s = min(onset_s + length_s, request.duration_s)
        events.append(ExpertEvent(marks.kind, channels, onset_s, t1_s, marks.source))
    return events
