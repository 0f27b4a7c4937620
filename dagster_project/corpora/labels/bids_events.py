"""Timed words of a BIDS ``events.tsv``; what they mean is the entry's, see ``timed.py``."""

from __future__ import annotations

import math

from dagster_project.corpora.bids import nearest_table
from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.sidecars import number
from dagster_project.corpora.labels.timed import Mark, TimedParams, timed_labels
from dagster_project.corpora.labels.types import Label, LabelRequest, RecordingLabels

SOURCE = "events.tsv"


def event_marks(request: LabelRequest) -> list[Mark] | None:
    """Return the rows of a recording's ``events.tsv``, None where there is none.

    Raises
    ------
    CorpusError
        ``bad_labels`` if a row has no onset.
    """
    rows = nearest_table(request.path, SOURCE)
    if rows is None:
        return None
    marks = []
    for i, row in enumerate(rows):
        onset_s = number(row.get("onset"))
        if onset_s is None or not math.isfinite(onset_s):
            raise CorpusError("bad_labels", f"{SOURCE} row {i + 1}: the onset is no number")
        duration_s = number(row.get("duration")) or 0.0
        is_length = math.isfinite(duration_s) and duration_s > 0
        marks.append(Mark(onset_s, duration_s if is_length else 0.0, row))
    return marks


def read_bids_events(request: LabelRequest, params: TimedParams) -> RecordingLabels:
    """Labels and events of stretches, by the entry's rules.

    Raises
    ------
    CorpusError
        ``bad_labels`` if a column of a rule is missing, or as :func:`timed_labels`.
    """
    marks = event_marks(request)
    if marks is None:
        return RecordingLabels((Label("file", "events", "missing", "no sidecar"),))
    columns = [rule.column for rule in params.labels] + [event.column for event in params.events]
    for column in dict.fromkeys(columns):
        if marks and column not in marks[0].words:
            raise CorpusError("bad_labels", f"{SOURCE} has no column {column!r}")
    return timed_labels(marks, params, request.duration_s, SOURCE)
