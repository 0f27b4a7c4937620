"""Labels of Sleep-EDF Expanded: stages from the hypnogram twin, age and sex from the two tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.identity import age_band
from dagster_project.corpora.labels.stages import (
    RK_STAGES,
    Scored,
    around_sleep,
    check_scored,
    edf_annotations,
    grid_of,
    hypnogram_label,
    missing_hypnogram,
    stage_intervals,
)
from dagster_project.corpora.labels.types import Label, LabelRequest, RecordingLabels
from dagster_project.corpora.labels.workbooks import Row, xls_rows
from dagster_project.corpora.spec import NoParams

_STAGE_WORD = "Sleep stage "
_SEX = {"sex (F=1)": {1: "F", 2: "M"}, "M1/F2": {1: "M", 2: "F"}}
"""The two tables code sex the other way round."""
_SUBJECT = {"SC": "subject", "ST": "Nr"}
_AGE = {"SC": "age", "ST": "Age"}


def read_sleep_edfx(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Stages from the hypnogram whose name shares subject and night with the recording's.

    The last letter of a hypnogram's name is its scorer and varies. Unscored (``?``) and movement
    time carry no stage. Records run round the clock, so what is kept is half an hour on both sides
    of sleep.

    Raises
    ------
    CorpusError
        ``bad_labels`` if there are two hypnograms, or its stages or a table do not fit.
    """
    band, sex = _subject(request)
    stem = request.path.name.split("-")[0][:-1]
    pattern = re.compile(re.escape(stem) + r"(\w)-Hypnogram\.edf", re.I)
    beside = [(p, m) for p in request.path.parent.iterdir() if (m := pattern.fullmatch(p.name))]
    if not beside:
        return RecordingLabels(labels=(missing_hypnogram(),), age_band=band, sex=sex)
    if len(beside) > 1:
        raise CorpusError("bad_labels", f"{len(beside)} hypnograms for one recording")
    path, match = beside[0]
    notes = edf_annotations(path, request.recording)
    entries = check_scored(
        [
            Scored(n.onset_s, n.duration_s, RK_STAGES.get(n.text.removeprefix(_STAGE_WORD)))
            for n in notes
            if n.text.startswith((_STAGE_WORD, "Movement time"))
        ],
        request.duration_s,
    )
    stages = stage_intervals(entries, request.duration_s, "hypnogram")
    return RecordingLabels(
        labels=(
            hypnogram_label(entries, request.duration_s, "hypnogram"),
            Label("file", "scorer", match[1].lower(), "file name"),
        ),
        stages=stages,
        grid_s=grid_of(entries),
        keep=around_sleep(stages, request.duration_s),
        age_band=band,
        sex=sex,
    )


def _subject(request: LabelRequest) -> tuple[str | None, str | None]:
    """Age band and sex of the person, none where the table or its row is not there."""
    study, nr = request.subject[:2].upper(), int(request.subject[3:])
    rows = xls_rows(request.folder / f"{study}-subjects.xls")
    if rows is None:
        return None, None
    columns, body = _columns(rows, _SUBJECT[study])
    sex_column = next((name for name in _SEX if name in columns), None)
    if sex_column is None or _AGE[study] not in columns:
        raise CorpusError("bad_labels", "the subject table has no column of age or sex")
    mine = [row for row in body if row[columns[_SUBJECT[study]]] == nr]
    people = {(row[columns[_AGE[study]]], row[columns[sex_column]]) for row in mine}
    if len(people) > 1:
        raise CorpusError("bad_labels", "the subject table gives one person two ages or sexes")
    if not people:
        return None, None
    age, code = people.pop()
    band = age_band(age) if isinstance(age, float) else None
    return band, _SEX[sex_column].get(code)


def _columns(rows: Sequence[Row], key: str) -> tuple[dict[str, int], Sequence[Row]]:
    """Find the row of column names, one or two down (ST has a row of groups above it)."""
    for i, row in enumerate(rows[:5]):
        names = [str(cell).strip() for cell in row]
        if key in names:
            return {name: at for at, name in enumerate(names) if name}, rows[i + 1 :]
    raise CorpusError("bad_labels", "the subject table has no row of column names")
