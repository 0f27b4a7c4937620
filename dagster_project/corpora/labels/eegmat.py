"""Labels of the mental-arithmetic corpus: task by file name, the rest from its subject table."""

from __future__ import annotations

import csv

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.identity import age_band
from dagster_project.corpora.labels.sidecars import nearest, number, sex_of, sidecar_text
from dagster_project.corpora.labels.types import Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import NoParams

_EEGMAT_TASKS = {"1": "rest", "2": "mental_arithmetic"}
_EEGMAT_QUALITY = {"0": "bad", "1": "good"}


def read_eegmat(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Task by file suffix; counting quality, age and sex from ``subject-info.csv``.

    The EDF header's sex is a placeholder and is not looked at.
    """
    task = Label("recording", "task", _EEGMAT_TASKS[request.session], "file name")
    text = sidecar_text(nearest(request.path, "subject-info.csv"))
    if text is None:
        return RecordingLabels(labels=(task,))
    rows = [{k.strip(): v for k, v in row.items() if k and isinstance(v, str)}
            for row in csv.DictReader(text.splitlines())]  # fmt: skip
    mine = [row for row in rows if row.get("Subject", "").strip() == request.subject]
    if not mine:
        return RecordingLabels(labels=(task,))
    quality = _EEGMAT_QUALITY.get(mine[0].get("Count quality", "").strip())
    if len(mine) > 1 or quality is None:
        raise CorpusError(
            "bad_labels", f"{len(mine)} rows for the subject, or a void count quality"
        )
    counted = Label("recording", "count_quality", quality, "subject-info.csv")
    return RecordingLabels(
        labels=(task, counted),
        age_band=age_band(number(mine[0].get("Age"))),
        sex=sex_of(mine[0].get("Gender")),
    )
