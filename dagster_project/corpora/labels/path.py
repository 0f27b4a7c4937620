"""Labels a corpus writes into its folder and file names.

Words come from the entry's own table, never from the name itself unless the entry says so.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.types import Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import Entry


class PathLabel(Entry):
    """One label.

    Parameters
    ----------
    name
        Label name.
    group
        Named group of the entry's file pattern.
    values
        Text of the group, lower case, to label value; empty: the text itself.
    scope
        ``file`` for a remark that no text should quote.
    """

    name: str
    group: str
    values: dict[str, str] = Field(default_factory=dict)
    scope: Literal["recording", "file"] = "recording"


class PathParams(Entry):
    """The labels that names carry."""

    labels: tuple[PathLabel, ...]


def read_path(request: LabelRequest, params: PathParams) -> RecordingLabels:
    """Labels of the whole recording from the named groups of its path.

    Raises
    ------
    CorpusError
        ``bad_labels`` if a group says something the entry gives no word for.
    """
    groups = request.match.groupdict()
    labels = []
    for rule in params.labels:
        said = (groups.get(rule.group) or "").lower()
        if not said:
            continue
        if rule.values and said not in rule.values:
            known = ", ".join(sorted(rule.values))
            raise CorpusError("bad_labels", f"{rule.name}: the name says none of {known}")
        labels.append(Label(rule.scope, rule.name, rule.values.get(said, said), "file name"))
    return RecordingLabels(labels=tuple(labels))
