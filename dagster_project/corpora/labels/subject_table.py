"""Age, sex and labels from a table with one row per subject, such as ``participants.tsv``.

Only the columns an entry names are looked at, and only words of the entry's own tables come out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.identity import age_band
from dagster_project.corpora.labels.sidecars import number, sex_of, table
from dagster_project.corpora.labels.types import Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import Entry

_VOID = {"", "n/a", "na", "nan", "none", "null"}


class Cut(Entry):
    """A range of a number and its word: ``below`` (exclusive) and ``from`` (inclusive)."""

    value: str
    below: float | None = None
    at_least: float | None = Field(default=None, alias="from")

    def holds(self, x: float) -> bool:
        """Whether a number lies in the range."""
        return (self.below is None or x < self.below) and (
            self.at_least is None or x >= self.at_least
        )


class ColumnLabel(Entry):
    """A label from one column, by its words or its number's cuts; ``file`` scope is never quoted."""

    name: str
    column: str
    values: dict[str, str] = Field(default_factory=dict)
    cuts: tuple[Cut, ...] = ()
    scope: Literal["recording", "file"] = "recording"

    @model_validator(mode="after")
    def _has_words(self) -> ColumnLabel:
        if bool(self.values) == bool(self.cuts):
            raise ValueError(f"label {self.name!r} needs either values or cuts")
        return self


class SubjectTableParams(Entry):
    """Where the table lies and what its columns mean.

    Parameters
    ----------
    file, delimiter
        Name in the corpus folder, and what separates cells.
    key, key_template
        Column that names the subject, and how it spells one; any group of the file pattern.
    age, sex
        Columns, empty where there is none.
    sex_values
        Cell to ``F`` or ``M`` where the cell says neither.
    labels
        Labels of the whole recording.
    """

    file: str
    delimiter: str = "\t"
    key: str = "participant_id"
    key_template: str = "sub-{subject}"
    age: str = ""
    sex: str = ""
    sex_values: dict[str, str] = Field(default_factory=dict)
    labels: tuple[ColumnLabel, ...] = ()


def _label(rule: ColumnLabel, row: Mapping[str, str], source: str) -> Label | None:
    if rule.column not in row:
        raise CorpusError("bad_labels", f"{source} has no column for {rule.name}")
    cell = row[rule.column]
    if cell.lower() in _VOID:
        return Label(rule.scope, rule.name, "unknown", source)
    if rule.values:
        if cell not in rule.values:
            raise CorpusError("bad_labels", f"{rule.name} in {source}: a word not in the entry")
        return Label(rule.scope, rule.name, rule.values[cell], source)
    x = number(cell)
    if x is None:
        raise CorpusError("bad_labels", f"{rule.name} in {source} is not a number")
    word = next((cut.value for cut in rule.cuts if cut.holds(x)), None)
    return Label(rule.scope, rule.name, word, source) if word else None


def read_subject_table(request: LabelRequest, params: SubjectTableParams) -> RecordingLabels:
    """Look the recording's subject up.

    Raises
    ------
    CorpusError
        ``bad_labels`` if a column is missing, a word is not in the entry, or two rows differ.
    """
    source = params.file.rpartition("/")[2]
    rows = table(request.folder / params.file, params.delimiter)
    if rows is None:
        return RecordingLabels((Label("file", "subject_table", "missing", "no sidecar"),))
    groups = {name: text or "" for name, text in request.match.groupdict().items()}
    wanted = params.key_template.format(**groups)
    mine = [row for row in rows if row.get(params.key) == wanted]
    if not mine:
        return RecordingLabels((Label("file", "subject_table", "missing", source),))
    if any(row != mine[0] for row in mine):
        raise CorpusError("bad_labels", f"{len(mine)} differing rows for one subject in {source}")
    row = mine[0]
    sex = row.get(params.sex, "") if params.sex else ""
    found = (_label(rule, row, source) for rule in params.labels)
    return RecordingLabels(
        labels=tuple(label for label in found if label),
        age_band=age_band(number(row.get(params.age))) if params.age else None,
        sex=sex_of(params.sex_values.get(sex, sex)),
    )
