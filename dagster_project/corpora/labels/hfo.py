"""Labels of the paediatric HFO corpus (ds003555): stages of its intervals, detected ripples.

The ripples are a detector's output, never a person's marks, and their source says so.
"""

from __future__ import annotations

import re
from pathlib import Path

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.sidecars import number, table
from dagster_project.corpora.labels.stages import (
    Scored,
    check_scored,
    hypnogram_label,
    missing_hypnogram,
    stage_intervals,
)
from dagster_project.corpora.labels.timed import places
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.readers.table import open_recording
from dagster_project.corpora.readers.types import clock_s
from dagster_project.corpora.spec import Choice, NoParams
from detectors.types import ExpertEvent

DETECTOR = "detector output of ds003555"
KIND = "ripple"
LENGTH_SLACK_S = 1.0
"""A run and the interval it was cut from differ by less, or an index is at another rate."""

_STAGES = {"W": "W", "AWAKE": "W", "N1": "N1", "N2": "N2", "N3": "N3", "R": "REM", "REM": "REM"}


def read_hfo(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Stages from ``DataIntervals.tsv``; ripples from the events of each run cut from N3.

    Interval indexes count raw samples; event indexes count samples of the run's own file, whose
    header has the rate (its ``channels.tsv`` has a wrong one).

    Raises
    ------
    CorpusError
        ``bad_labels`` if an interval lies outside the recording, a run's length is not that of its
        interval, or an event is outside its run.
    """
    folder = request.folder / "derivatives" / Path(request.below).parent
    rows = table(folder / "DataIntervals.tsv", "\t")
    if not rows:
        return RecordingLabels(labels=(missing_hypnogram(),))
    sfreq_hz = float(max(signal.sfreq for signal in request.recording.signals))
    scored: list[Scored] = []
    intervals: list[Interval] = []
    events: list[ExpertEvent] = []
    n_lost = 0
    for row in rows:
        t0_s, t1_s = _span(row, sfreq_hz, request.duration_s)
        stage = _STAGES.get(row.get("SleepStage", "N3").upper())
        scored.append(Scored(t0_s, t1_s - t0_s, stage))
        run = _run(row)
        stem = re.sub(r"_eeg$", f"_run-{run:02d}", request.path.stem)
        found = _ripples(folder / stem, t0_s, t1_s) if run > 0 else []
        if found is None:
            n_lost += 1
        elif run > 0:
            events += found
            judged = Label("file", "ripples_detected_on", "interval", DETECTOR)
            intervals.append(Interval(t0_s, t1_s, judged))
    entries = check_scored(_joined(scored), request.duration_s)
    labels = [hypnogram_label(entries, request.duration_s, "DataIntervals.tsv")]
    if n_lost:
        labels.append(Label("file", "ripples", "incomplete", "no sidecar"))
    return RecordingLabels(
        labels=tuple(labels),
        intervals=tuple(intervals),
        stages=stage_intervals(entries, request.duration_s, "DataIntervals.tsv"),
        events=tuple(events),
    )


def _span(row: dict[str, str], sfreq_hz: float, duration_s: float) -> tuple[float, float]:
    first, last = number(row.get("StartInd")), number(row.get("EndInd"))
    if first is None or last is None or not 0 <= first < last:
        raise CorpusError("bad_labels", "an interval without a first and a later last sample")
    if last / sfreq_hz > duration_s + LENGTH_SLACK_S:
        raise CorpusError(
            "bad_labels", f"an interval ends at {last / sfreq_hz:g} s, behind the end"
        )
    return max(first - 1, 0.0) / sfreq_hz, last / sfreq_hz


def _run(row: dict[str, str]) -> int:
    """Return the number of the run cut from an interval, 0 for none."""
    text = row.get("RunNb", "")
    if not re.fullmatch(r"\d{1,4}(\.0)?", text, re.ASCII):
        raise CorpusError("bad_labels", "an interval whose run is no number")
    return int(text.partition(".")[0])


def _joined(scored: list[Scored]) -> list[Scored]:
    """Intervals of one stage that lie in or on each other, as one."""
    joined: list[Scored] = []
    for entry in sorted(scored, key=lambda s: s.onset_s):
        last = joined[-1] if joined else None
        if last and last.stage == entry.stage and entry.onset_s < last.onset_s + last.duration_s:
            end_s = max(last.onset_s + last.duration_s, entry.onset_s + entry.duration_s)
            joined[-1] = Scored(last.onset_s, end_s - last.onset_s, last.stage)
        else:
            joined.append(entry)
    return joined


def _ripples(stem: Path, t0_s: float, t1_s: float) -> list[ExpertEvent] | None:
    """Events of one run on the raw clock; None where the run or its events are not there."""
    rows = table(stem.with_name(f"{stem.name}_events.tsv"), "\t")
    run = stem.with_name(f"{stem.name}_eeg.edf")
    if rows is None or not run.is_file():
        return None
    with open_recording(run, Choice(name="edf")) as derived:
        if not derived.signals:
            raise CorpusError("bad_labels", "a run's file without signals")
        traces = derived.pick([0])
        sfreq_hz, length_s = float(traces.sfreq), clock_s(traces)
    if abs(length_s - (t1_s - t0_s)) > LENGTH_SLACK_S:
        raise CorpusError("bad_labels", f"a run of {length_s:g} s of an interval of "
                          f"{t1_s - t0_s:g} s: an index is at another rate")  # fmt: skip
    events = []
    for row in rows:
        first, last = number(row.get("indStart")), number(row.get("indStop"))
        if first is None or last is None or not 1 <= first <= last <= length_s * sfreq_hz:
            raise CorpusError("bad_labels", "an event without indexes inside its run")
        if number(row.get("EvPassRejection")) != 1:
            continue
        where = places(row.get("strChannelName", ""))
        span = (t0_s + (first - 1) / sfreq_hz, t0_s + last / sfreq_hz)
        events.append(ExpertEvent(KIND, where, *span, DETECTOR))
    return events
