"""Picks the reader by the end of the file name, for folders of mixed formats.

The readers themselves are the other rows of :mod:`dagster_project.corpora.readers.table`.
"""

from __future__ import annotations

from pathlib import Path

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.types import Recording
from dagster_project.corpora.spec import Choice, NoParams

READER_OF_SUFFIX = {".edf": "edf", ".bdf": "edf", ".set": "eeglab", ".vhdr": "brainvision"}
"""The four formats BIDS allows for EEG."""


def open_by_suffix(path: Path, _: NoParams) -> Recording:
    """Open one file with the reader of its suffix.

    Raises
    ------
    CorpusError
        ``file_name`` for a suffix no reader has, else what the reader says.
    """
    from dagster_project.corpora.readers.table import open_recording

    name = READER_OF_SUFFIX.get(path.suffix.lower())
    if name is None:
        known = ", ".join(READER_OF_SUFFIX)
        raise CorpusError("file_name", f"no reader for this suffix; use {known}")
    return open_recording(path, Choice(name=name))
