"""Sleep-deprivation rest (ds004902): what a session number means, and when it took place.

Session 1 is the normal night and session 2 the sleepless one, whichever came first; the order is
``SessionOrder`` of ``participants.tsv``. Sleepiness is the scale's value of that session.
"""

from __future__ import annotations

import math

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.sidecars import number, table
from dagster_project.corpora.labels.types import Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import NoParams

SOURCE = "participants.tsv"
_SESSIONS = {"1": ("NS", "normal_sleep"), "2": ("SD", "sleep_deprivation")}
_SCALES = {"KSS": (1, 9), "SSS": (1, 7)}
"""Karolinska and Stanford sleepiness scales with their ends."""


def read_ds004902(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Condition, order and sleepiness of the session.

    Raises
    ------
    CorpusError
        ``bad_labels`` if the order is neither way round or a scale has a value it cannot have.
    """
    code, condition = _SESSIONS[request.session]
    labels = [Label("recording", "condition", condition, "file name")]
    rows = table(request.folder / SOURCE, "\t") or []
    mine = next((r for r in rows if r.get("participant_id") == f"sub-{request.subject}"), None)
    if mine is None:
        return RecordingLabels(tuple(labels))
    order = mine.get("SessionOrder", "")
    if sorted(order.split("->")) != ["NS", "SD"]:
        raise CorpusError("bad_labels", "SessionOrder is neither NS->SD nor SD->NS")
    taken = "first" if order.startswith(code) else "second"
    labels.append(Label("file", "session_taken", taken, SOURCE))
    for scale, (low, high) in _SCALES.items():
        value = number(mine.get(f"{scale}_{code}"))
        if value is None or math.isnan(value):
            continue
        if not low <= value <= high:
            raise CorpusError("bad_labels", f"{scale} outside {low} to {high}")
        labels.append(Label("recording", f"sleepiness_{scale.lower()}", f"{value:g}", SOURCE))
    return RecordingLabels(tuple(labels))
