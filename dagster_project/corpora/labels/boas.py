"""Labels of BOAS (ds005555): the human consensus hypnogram of the polysomnogram."""

from __future__ import annotations

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.sidecars import number, table
from dagster_project.corpora.labels.stages import (
    Scored,
    check_scored,
    grid_of,
    hypnogram_label,
    missing_hypnogram,
    stage_intervals,
)
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import NoParams

_STAGES = {0: "W", 1: "N1", 2: "N2", 3: "N3", 4: "REM"}
_DISCONNECTION = 8
_SLACK_SAMPLES = 1.5
"""``begsample`` counts from 1: less than two samples off the onset it agrees with it."""
_SOURCE = "consensus of human scorers"


def read_boas(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Stages from column ``stage_hum`` of the events beside the recording.

    ``stage_hum`` is what two of three scorers agree on, a fourth deciding ties. ``stage_ai`` is the
    output of a model and never a truth, so a headband recording, which has nothing else, carries no
    stage: its ``hypnogram`` is ``model_only``.

    Raises
    ------
    CorpusError
        ``bad_labels`` if a row has no time, two clocks that differ, or a code nobody knows.
    """
    rows = table(request.path.with_name(request.path.name.replace("_eeg.", "_events.")
                                        .replace(".edf", ".tsv")), "\t")  # fmt: skip
    if not rows:
        return RecordingLabels(labels=(missing_hypnogram(),))
    if "stage_hum" not in rows[0]:
        model = "model_only" if "stage_ai" in rows[0] else "missing"
        return RecordingLabels(labels=(Label("file", "hypnogram", model, "events.tsv"),))
    sfreq_hz = float(max(signal.sfreq for signal in request.recording.signals))
    scored, faults = [], []
    for row in rows:
        onset_s, length_s = _when(row, sfreq_hz)
        if "stage_hum" not in row:
            raise CorpusError("bad_labels", "a row of the events ends before its stage")
        code = number(row["stage_hum"])
        if code is not None and code not in _STAGES and code != _DISCONNECTION:
            raise CorpusError("bad_labels", f"stage_hum {code:g} has no meaning we know")
        scored.append(Scored(onset_s, length_s, None if code is None else _STAGES.get(int(code))))
        if code == _DISCONNECTION:
            label = Label("interval", "recording_fault", "disconnection", _SOURCE)
            faults.append(Interval(onset_s, min(onset_s + length_s, request.duration_s), label))
    entries = check_scored(scored, request.duration_s)
    return RecordingLabels(
        labels=(hypnogram_label(entries, request.duration_s, _SOURCE),),
        intervals=tuple(i for i in faults if i.t0_s < i.t1_s),
        stages=stage_intervals(entries, request.duration_s, _SOURCE),
        grid_s=grid_of(entries),
    )


def _when(row: dict[str, str], sfreq_hz: float) -> tuple[float, float]:
    """Onset and length of a row in seconds, checked against its one-based first sample."""
    onset_s, length_s = number(row.get("onset")), number(row.get("duration"))
    first, last = number(row.get("begsample")), number(row.get("endsample"))
    if onset_s is None and first is not None:
        onset_s = (first - 1) / sfreq_hz
    if length_s is None and first is not None and last is not None:
        length_s = (last - first + 1) / sfreq_hz
    if onset_s is None or length_s is None:
        raise CorpusError("bad_labels", "a row of the events has no onset or duration")
    if first is not None and abs((first - 1) / sfreq_hz - onset_s) > _SLACK_SAMPLES / sfreq_hz:
        raise CorpusError("bad_labels", f"sample {first:g} is not at {onset_s:g} s")
    return onset_s, length_s
