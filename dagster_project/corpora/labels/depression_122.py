"""Depression-122 (ds003478): the one subject whose scores are all missing is dropped.

Eyes and scores are said by the generic readers the catalogue entry names.
"""

from __future__ import annotations

import math

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.sidecars import number, table
from dagster_project.corpora.labels.types import LabelRequest, RecordingLabels
from dagster_project.corpora.spec import NoParams

_SCORES = ("sex", "age", "BDI", "STAI")


def read_depression_122(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Refuse recordings of a subject with no score at all.

    sub-038's README entry: "unused in all analyses due to unstable BDI".

    Raises
    ------
    CorpusError
        ``bad_labels`` for such a subject.
    """
    rows = table(request.folder / "participants.tsv", "\t") or []
    for row in rows:
        if row.get("participant_id") == f"sub-{request.subject}":
            scores = [number(row.get(column)) for column in _SCORES]
            if all(score is None or math.isnan(score) for score in scores):
                raise CorpusError("bad_labels", "all scores missing: dropped as its authors did")
    return RecordingLabels()
