"""Labels of the motor-imagery corpus: what T0, T1 and T2 mean depends on the run."""

from __future__ import annotations

import re

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
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


def read_eegmmidb(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Task by run number; T0, T1, T2 with the meaning they have in that run."""
    run = int(request.session)
    if run not in _EEGMMIDB_RUNS:
        raise CorpusError("bad_labels", f"run {run} is not one of the corpus' 14 runs")
    task, codes = _EEGMMIDB_RUNS[run]
    manner = task.split("_")[0]
    found = request.recording.annotations()
    if any(re.fullmatch(r"T\d", a.text) and a.text not in codes for a in found):
        raise CorpusError("bad_labels", f"an annotation code has no meaning in run {run}")
    intervals = tuple(
        Interval(
            a.onset_s,
            min(a.onset_s + a.duration_s, request.duration_s),
            Label("interval", "task", _task_value(manner, codes[a.text]), f"annotation {a.text}"),
        )
        for a in found
        if a.text in codes and a.onset_s < request.duration_s
    )
    return RecordingLabels((Label("recording", "task", task, "run number"),), intervals)


def _task_value(manner: str, meaning: str) -> str:
    return meaning if meaning == "rest" else f"{manner}_{meaning}"
