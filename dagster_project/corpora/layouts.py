"""Short entries for a user's own data: ``layout: bids`` and ``layout: folder`` written out.

A short entry says where the files lie and what their words mean; this module turns it into the full
entry of :mod:`dagster_project.corpora.spec`, which is then checked like any other. Whatever the
short entry also says in full (licence, channels, further labels ...) is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError

from dagster_project.corpora.faults import first_fault
from dagster_project.corpora.labels.path import PathLabel
from dagster_project.corpora.labels.subject_table import ColumnLabel, SubjectTableParams
from dagster_project.corpora.labels.timed import TimedEvent, TimedLabel
from dagster_project.corpora.spec import Entry

_WORD = "[A-Za-z0-9]+"
BIDS_PATTERN = (
    rf"(?:^|/)sub-(?P<subject>{_WORD})/(?:ses-(?P<session>{_WORD})/)?eeg/sub-(?P=subject)"
    rf"(?:_ses-(?P=session))?(?:_task-(?P<task>{_WORD}))?(?:_acq-(?P<acq>{_WORD}))?"
    rf"(?:_run-(?P<run>{_WORD}))?(?:_\w+-{_WORD})*_eeg\.(?i:edf|bdf|set|vhdr)$"
)
FOLDER_PATTERN = r"^(?P<subject>[^/]+?)(?:/.+)?\.(?i:edf|bdf|set|vhdr)$"
"""The first folder is the subject; of a file in no folder, its name."""

_SUFFIXES = [".edf", ".bdf", ".set", ".vhdr"]
_SUBJECT_COMPANIONS = [
    rf"(?:^|/)sub-(?P<subject>{_WORD})/(?:.+/)?[^/]+_(?:events\.tsv|channels\.tsv|eeg\.json)$",
    rf"(?:^|/)sub-(?P<subject>{_WORD})/(?:.+/)?[^/]+_eeg\.(?:fdt|eeg|vmrk)$",
]
OWN_LICENCE = {
    "id": "LicenseRef-own-data", "url": "", "is_gated": True, "allows_hosted_teachers": False,
}  # fmt: skip
"""Nothing of data whose terms nobody states leaves the storage root; an entry that names a licence
must still say ``is_gated: false`` to open it."""


class BidsLayout(Entry):
    """A BIDS-EEG data set.

    Parameters
    ----------
    kind
        ``bids``.
    path
        Labels from the groups ``session``, ``task``, ``acq`` and ``run`` of the file name.
    age, sex, sex_values
        Columns of ``participants.tsv`` and how it spells sexes.
    participants
        Labels from further columns of ``participants.tsv``.
    events, timed_events
        Labels of stretches, and events, from ``*_events.tsv``.
    bad_channels
        Whether channels ``channels.tsv`` calls bad are masked or kept.
    """

    kind: Literal["bids"]
    path: tuple[PathLabel, ...] = ()
    age: str = "age"
    sex: str = "sex"
    sex_values: dict[str, str] = Field(default_factory=dict)
    participants: tuple[ColumnLabel, ...] = ()
    events: tuple[TimedLabel, ...] = ()
    timed_events: tuple[TimedEvent, ...] = ()
    bad_channels: Literal["mask", "keep"] = "mask"


class FolderLayout(Entry):
    """Any folder of EDF, BDF, EEGLAB or BrainVision files.

    Parameters
    ----------
    kind
        ``folder``.
    pattern
        Regular expression searched in the path below the corpus folder, with a group ``subject``;
        left out, the first folder is the subject, or the file name of a file in no folder.
    path
        Labels from groups of the pattern.
    subjects
        Table with one row per subject.
    events, timed_events
        Labels of stretches, and events, from the annotations inside the files.
    """

    kind: Literal["folder"]
    pattern: str = FOLDER_PATTERN
    path: tuple[PathLabel, ...] = ()
    subjects: SubjectTableParams | None = None
    events: tuple[TimedLabel, ...] = ()
    timed_events: tuple[TimedEvent, ...] = ()


def _row(name: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "params": dict(params or {})}


def _plain(models: tuple[Entry, ...]) -> list[Any]:
    return [model.model_dump(mode="json", by_alias=True) for model in models]


def _timed(layout: BidsLayout | FolderLayout) -> dict[str, Any]:
    return {"labels": _plain(layout.events), "events": _plain(layout.timed_events)}


def _bids(layout: BidsLayout) -> dict[str, Any]:
    people = {
        "file": "participants.tsv", "age": layout.age, "sex": layout.sex,
        "sex_values": layout.sex_values, "labels": _plain(layout.participants),
    }  # fmt: skip
    labels = [_row("subject-table", people), _row("bids-recording"), _row("bids-channels")]
    if layout.path:
        labels.append(_row("path", {"labels": _plain(layout.path)}))
    if layout.events or layout.timed_events:
        labels.append(_row("bids-events", _timed(layout)))
    root_companions = [r"^participants\.tsv$", r"^[^/]*(?:events\.tsv|channels\.tsv|eeg\.json)$"]
    return {
        "files": {
            "suffixes": _SUFFIXES,
            "pattern": BIDS_PATTERN,
            "companions": _SUBJECT_COMPANIONS + root_companions,
        },
        "reader": _row("bids", {"bad_channels": layout.bad_channels}),
        "labels": labels,
    }


def _folder(layout: FolderLayout) -> dict[str, Any]:
    labels, companions = [], [r"\.(?:fdt|vmrk|eeg)$"]
    if layout.path:
        labels.append(_row("path", {"labels": _plain(layout.path)}))
    if layout.subjects:
        labels.append(_row("subject-table", layout.subjects.model_dump(mode="json", by_alias=True)))
        companions.append(f"^{_literal(layout.subjects.file)}$")
    if layout.events or layout.timed_events:
        labels.append(_row("annotations", _timed(layout)))
    files = {"suffixes": _SUFFIXES, "pattern": layout.pattern, "companions": companions}
    return {"files": files, "reader": _row("any"), "labels": labels}


def _literal(name: str) -> str:
    return "".join(f"\\{c}" if c in r".^$*+?{}[]\|()" else c for c in name)


@dataclass(frozen=True, slots=True)
class LayoutKind:
    """One layout: the model of what a short entry may say, and how it is written out."""

    model: type[Entry]
    expand: Callable[[Any], dict[str, Any]]


LAYOUTS: dict[str, LayoutKind] = {
    "bids": LayoutKind(BidsLayout, _bids),
    "folder": LayoutKind(FolderLayout, _folder),
}
"""Layouts by the name a short entry gives."""


def layout_of(content: Mapping[str, Any]) -> tuple[LayoutKind, dict[str, Any]]:
    """Return the kind of a short entry's layout and what it says about it.

    Raises
    ------
    ValueError
        If there is no such layout, or the entry says in full what a layout writes.
    """
    said = content["layout"]
    params = {"kind": said} if isinstance(said, str) else said
    known = ", ".join(LAYOUTS)
    if not isinstance(params, dict) or params.get("kind") not in LAYOUTS:
        shown = params.get("kind") if isinstance(params, dict) else said
        raise ValueError(f"layout {shown!r} is not known; use one of {known}")
    double = {"files", "reader"} & content.keys()
    if double:
        raise ValueError(
            f"layout writes {' and '.join(sorted(double))}; leave out one or the other"
        )
    return LAYOUTS[params["kind"]], params


def written_out(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the full entry of a short one.

    Raises
    ------
    ValueError
        As :func:`layout_of`, or if the layout has a key it does not know or a wrong value.
    """
    kind, params = layout_of(content)
    try:
        layout = kind.model.model_validate_json(json.dumps(params))
    except ValidationError as error:
        raise ValueError(first_fault(error, kind.model, "layout")) from error
    made = kind.expand(layout)
    key = content.get("key", "")
    defaults = {
        "title": key, "citation": "own data", "licence": OWN_LICENCE, "folders": [key],
        "identity": {"family": key}, "n_shards": 1,
    }  # fmt: skip
    rest = {name: value for name, value in content.items() if name != "layout"}
    if isinstance(rest.get("licence"), dict):
        rest["licence"] = {**OWN_LICENCE, **rest["licence"]}
    labels = [*made.pop("labels"), *rest.pop("labels", [])]
    return {**defaults, **made, **rest, "labels": labels}
