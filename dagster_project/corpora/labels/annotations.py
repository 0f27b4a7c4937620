"""Timed words inside the file (EDF+ annotations, BrainVision markers, EEGLAB events).

What they mean is the entry's, see ``timed.py``.
"""

from __future__ import annotations

from dagster_project.corpora.labels.timed import Mark, TimedParams, timed_labels
from dagster_project.corpora.labels.types import Label, LabelRequest, RecordingLabels

COLUMN = "trial_type"
"""Annotations have one word; rules leave the column at its default."""


def read_annotations(request: LabelRequest, params: TimedParams) -> RecordingLabels:
    """Labels and events of stretches, by the entry's rules.

    Raises
    ------
    CorpusError
        As :func:`timed_labels`.
    """
    notes = request.recording.annotations()
    if not notes:
        return RecordingLabels((Label("file", "events", "missing", "file annotations"),))
    marks = [Mark(n.onset_s, max(n.duration_s or 0.0, 0.0), {COLUMN: n.text}) for n in notes]
    return timed_labels(marks, params, request.duration_s, "file annotations")
