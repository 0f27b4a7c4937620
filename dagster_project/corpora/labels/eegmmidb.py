"""Labels of the motor-imagery corpus: what T0, T1 and T2 mean depends on the run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.labels.wfdb_marks import read_marks
from dagster_project.corpora.readers.types import Annotation
from dagster_project.corpora.spec import NoParams

_FISTS = {"T0": "rest", "T1": "left_fist", "T2": "right_fist"}
_LIMBS = {"T0": "rest", "T1": "both_fists", "T2": "both_feet"}
_EEGMMIDB_RUNS: dict[int, tuple[str, dict[str, str]]] = {
    1: ("eyes_open_rest", {"T0": "rest"}),
    2: ("eyes_closed_rest", {"T0": "rest"}),
    **{run: ("executed_fist", _FISTS) for run in (3, 7, 11)},
    **{run: ("imagined_fist", _FISTS) for run in (4, 8, 12)},
    **{run: ("executed_fists_or_feet", _LIMBS) for run in (5, 9, 13)},
    **{run: ("imagined_fists_or_feet", _LIMBS) for run in (6, 10, 14)},
}

RATE_HZ = 160.0
N_EVENTS = 30
SPACING_S = (4.05, 4.25)
"""A regular task run has 30 events about 4.1 to 4.2 s apart (counted in the ds004362 tables) ..."""
TASK_RUN_S = (120.0, 128.0)
BASELINE_S = (59.0, 62.0)
"""... and lasts 123-125 s, a baseline 60-61 s; a few seconds are allowed for."""
TASK_RUNS_FROM = 3

_CODE = re.compile(r"T\d")
_EVENT_TEXT = re.compile(r"(T\d) duration: (\d+(?:\.\d+)?)")


def _coded(request: LabelRequest) -> tuple[list[Annotation], str]:
    """Return the annotations that are codes, from the file or, where it has none, its twin."""
    found = [a for a in request.recording.annotations() if _CODE.fullmatch(a.text)]
    if found:
        return found, "annotation"
    rate_hz = max((float(s.sfreq) for s in request.recording.signals), default=0.0)
    marks = read_marks(request.path.with_name(request.path.name + ".event"), rate_hz) or ()
    texts = ((mark.t_s, _EVENT_TEXT.fullmatch(mark.text)) for mark in marks)
    return [Annotation(at, float(m[2]), m[1]) for at, m in texts if m], "event file"


def _deviations(
    run: int, rate_hz: float, duration_s: float, onsets_s: Sequence[float]
) -> list[str]:
    """Name what is unlike a regular run; nothing here knows a subject's number."""
    found = []
    is_task = run >= TASK_RUNS_FROM
    low_s, high_s = TASK_RUN_S if is_task else BASELINE_S
    if rate_hz != RATE_HZ:
        found.append("rate")
    if not low_s <= duration_s <= high_s:
        found.append("duration")
    if is_task and len(onsets_s) != N_EVENTS:
        found.append("n_events")
    steps = [b - a for a, b in pairwise(sorted(onsets_s))]
    if is_task and steps and not SPACING_S[0] <= median(steps) <= SPACING_S[1]:
        found.append("spacing")
    return found


def _timing(run: int, request: LabelRequest, onsets_s: Sequence[float]) -> list[Label]:
    rate_hz = max((float(s.sfreq) for s in request.recording.signals), default=0.0)
    why = _deviations(run, rate_hz, request.duration_s, onsets_s)
    source = "rate, length and events"
    labels = [Label("file", "timing", "irregular" if why else "regular", source)]
    return labels + [Label("file", "timing_deviation", word, source) for word in why]


def read_eegmmidb(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Task by run number; T0, T1, T2 with the meaning they have in that run.

    Runs unlike the others in rate, length or spacing are ``timing = irregular``. A task run without
    any code has ``events = missing``.

    Raises
    ------
    CorpusError
        ``bad_labels`` if a code has no meaning in the run, or a task run has T1 or T2 only.
    """
    run = int(request.session)
    if run not in _EEGMMIDB_RUNS:
        raise CorpusError("bad_labels", f"run {run} is not one of the corpus' 14 runs")
    task, codes = _EEGMMIDB_RUNS[run]
    manner = task.split("_")[0]
    found, source = _coded(request)
    if any(a.text not in codes for a in found):
        raise CorpusError("bad_labels", f"an annotation code has no meaning in run {run}")
    absent = sorted(set(codes) - {"T0"} - {a.text for a in found})
    if found and absent:
        raise CorpusError("bad_labels", f"run {run} has no {' and no '.join(absent)}")
    intervals = tuple(
        Interval(
            a.onset_s,
            min(a.onset_s + a.duration_s, request.duration_s),
            Label("interval", "task", _task_value(manner, codes[a.text]), f"{source} {a.text}"),
        )
        for a in found
        if a.onset_s < request.duration_s
    )
    labels = [Label("recording", "task", task, "run number")]
    labels += _timing(run, request, [a.onset_s for a in found])
    if run >= TASK_RUNS_FROM and not found:
        labels.append(Label("file", "events", "missing", "no annotation"))
    return RecordingLabels(tuple(labels), intervals)


def _task_value(manner: str, meaning: str) -> str:
    return meaning if meaning == "rest" else f"{manner}_{meaning}"
