"""Labels of corpora whose files hold numbered trials with one code each (SEED, SEED-IV).

The codes are the same for everybody and lie in the entry; where a corpus also ships them as a file,
the two must agree. The trials come from the recording's annotations
(:mod:`dagster_project.corpora.readers.trials`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.readers.mat5 import check_mat5
from dagster_project.corpora.spec import Entry

MAX_LABEL_BYTES = 1 << 20


class TrialCodesParams(Entry):
    """What the trials of a recording are.

    Parameters
    ----------
    name
        Name of the label.
    values
        Code, as text, to label value.
    codes
        Session to codes in order of the trials; session ``all`` where they do not differ.
    file, variable
        MATLAB file beside the recording with the same codes; empty if there is none.
    session
        ``group``: the file pattern's group of that name; ``date``: the rank of its group ``date``
        among the subject's files; empty: there are none.
    sexes
        Sex of subjects 1, 2, ... as one letter each.
    """

    name: str
    values: dict[str, str]
    codes: dict[str, tuple[int, ...]] = Field(min_length=1)
    file: str = ""
    variable: str = "label"
    session: Literal["", "group", "date"] = ""
    sexes: str = Field(default="", pattern="^[MF]*$")


def _session(request: LabelRequest, params: TrialCodesParams) -> str:
    if params.session != "date":
        return request.match["session"] if params.session else ""
    beside = (
        request.below.rpartition("/")[0] + "/" + p.name for p in request.path.parent.iterdir()
    )
    matches = (request.spec.match_file(below.lstrip("/")) for below in beside)
    dates = {m["date"] for m in matches if m and m["subject"] == request.subject}
    return str(sorted(dates).index(request.match["date"]) + 1)


def _file_codes(path: Path, variable: str) -> tuple[int, ...] | None:
    """Codes of a MATLAB file, None where there is none.

    Raises
    ------
    CorpusError
        ``bad_labels`` if it holds no list of whole numbers of that name.
    """
    if not path.is_file():
        return None
    from scipy.io import loadmat

    try:
        check_mat5(path, MAX_LABEL_BYTES)
        found: Mapping[str, Any] = loadmat(path, variable_names=[variable])
        codes = np.asarray(found[variable]).reshape(-1)
    except OSError:
        raise
    except Exception as error:  # the library raises whatever a hostile file provokes
        raise CorpusError("bad_labels", f"{path.name} holds no codes") from error
    if codes.dtype.kind not in "iuf" or not (codes == np.rint(codes)).all():
        raise CorpusError("bad_labels", f"{path.name} holds no whole numbers")
    return tuple(int(code) for code in codes)


def read_trial_codes(request: LabelRequest, params: TrialCodesParams) -> RecordingLabels:
    """Give every trial its number and its code's meaning.

    Raises
    ------
    CorpusError
        ``bad_labels`` if the file of codes says other than the entry, or a trial has no code.
    """
    session = _session(request, params)
    codes = params.codes.get(session) or params.codes.get("all")
    if not codes:
        raise CorpusError("bad_labels", f"session {session!r} has no codes")
    source = "order of trials"
    if params.file:
        stated = _file_codes(request.path.parent / params.file, params.variable)
        if stated is not None and stated != codes:
            raise CorpusError("bad_labels", f"{params.file} contradicts the published order")
        source = params.file if stated is not None else source
    intervals: list[Interval] = []
    seen: set[int] = set()
    for note in request.recording.annotations():
        match = re.fullmatch(r"trial (\d+)", note.text)
        if not match:
            continue
        number = int(match[1])
        if not 1 <= number <= len(codes):
            raise CorpusError("bad_labels", f"trial {number} of {len(codes)} has no code")
        seen.add(number)
        value = params.values[str(codes[number - 1])]
        said = (
            Label("file", "trial", str(number), "variable name"),
            Label("interval", params.name, value, source),
        )
        end_s = note.onset_s + note.duration_s
        intervals += [Interval(note.onset_s, end_s, label) for label in said]
    labels = [Label("file", "session", session, "file name")] if session else []
    if len(seen) < len(codes):
        labels.append(Label("file", "trials", f"{len(seen)} of {len(codes)}", "file"))
    at = int(request.subject) - 1 if request.subject.isdecimal() else -1
    sex = params.sexes[at] if 0 <= at < len(params.sexes) else None
    return RecordingLabels(labels=tuple(labels), intervals=tuple(intervals), sex=sex)
