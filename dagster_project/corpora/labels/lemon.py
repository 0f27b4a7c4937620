"""LEMON's subject table: sex and an age bin of five years, in the csv the original release names.

The NEMAR copy's ``participants.tsv`` is all n/a and says nothing. Eyes open and closed are markers
of the recording, read by ``annotations.py``.
"""

from __future__ import annotations

import re

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.identity import age_band
from dagster_project.corpora.labels.sidecars import sex_of, table
from dagster_project.corpora.labels.types import Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import NoParams

META = "META_File_IDs_Age_Gender_Education_Drug_Smoke_SKID_LEMON.csv"
_BIN = re.compile(r"(\d{2})\s*-\s*(\d{2})\Z")
_SEX = {"1": "F", "2": "M"}
OLD_FROM_YEARS = 55
"""The study recruited 20 to 35 and 59 to 77 years (Babayan 2019); no bin lies between."""


def read_lemon(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Sex, age band and age group of the subject.

    Raises
    ------
    CorpusError
        ``bad_labels`` if the age is no five-year bin.
    """
    rows = table(request.folder / META)
    if rows is None:
        return RecordingLabels((Label("file", "subject_table", "missing", "no sidecar"),))
    mine = [row for row in rows if row.get("ID") == f"sub-{request.subject}"]
    if not mine:
        return RecordingLabels((Label("file", "subject_table", "missing", META),))
    age = _BIN.match(mine[0].get("Age", ""))
    if not age or int(age[2]) - int(age[1]) != 5:
        raise CorpusError("bad_labels", "the age is no bin of five years")
    low = int(age[1])
    sexes = [value for name, value in mine[0].items() if name.startswith("Gender")]
    group = "older" if low >= OLD_FROM_YEARS else "younger"
    return RecordingLabels(
        labels=(Label("recording", "age_group", group, META),),
        age_band=age_band(low),
        sex=sex_of(_SEX.get(sexes[0] if sexes else "", "")),
    )
