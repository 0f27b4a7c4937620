"""Marks of a WFDB annotation twin, such as ``.seizures`` and ``.event``, in seconds.

The format is read by :mod:`dagster_project.corpora.readers.wfdb`; what a mark means is with each
corpus' label reader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.wfdb import read_annotations

VF_ON, VF_OFF = 32, 33
"""Codes ``[`` and ``]``: begin and end of a stretch (WFDB Programmer's Guide, annotation codes)."""

_RESOLUTION = re.compile(r"## time resolution: (\d{1,9}(?:\.\d{1,9})?)\s*\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Mark:
    """One annotation: time in seconds from the record's start, code, and text."""

    t_s: float
    code: int
    text: str


def read_marks(path: Path, sfreq_hz: float) -> tuple[Mark, ...] | None:
    """Read an annotation file, None where there is none.

    Parameters
    ----------
    path
        The file.
    sfreq_hz
        Steps a second where the file does not state its own time resolution.

    Raises
    ------
    CorpusError
        ``bad_labels`` if it is too large, ends inside an annotation or counts back before zero.
    """
    if not path.is_file():
        return None
    found = read_annotations(path)
    stated = (_RESOLUTION.match(note.aux) for note in found)
    steps_hz = next((float(m[1]) for m in stated if m), sfreq_hz)
    if steps_hz <= 0:
        raise CorpusError("bad_labels", "a WFDB annotation file counts no steps a second")
    return tuple(
        Mark(note.sample / steps_hz, note.code, note.aux)
        for note in found
        if note.code and not note.aux.startswith("##")
    )
