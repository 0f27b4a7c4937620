"""The table of file readers: name, parameters, how a file is opened, and how fast.

A corpus entry names one of these. What a reader offers is
:mod:`dagster_project.corpora.readers.types`; each lives in the module that opens it, imported when
the first file is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.types import Recording
from dagster_project.corpora.spec import Choice, Entry, NoParams


@dataclass(frozen=True, slots=True)
class ReaderKind:
    """One file reader.

    Parameters
    ----------
    target
        ``module:callable`` in this folder, called with the path and the parsed parameters.
    params
        Model of what an entry may say to it.
    is_fast
        Whether it streams at the speed of the disk and holds no more than a block.
    meaning
        What it reads, for the table users see.
    """

    target: str
    params: type[Entry]
    is_fast: bool
    meaning: str

    def open(self, path: Path, params: Entry) -> Recording:
        """Open one file."""
        module, _, name = self.target.partition(":")
        opener: Callable[[Path, Any], Recording] = getattr(
            import_module(f"dagster_project.corpora.readers.{module}"), name
        )
        return opener(path, params)


READERS: dict[str, ReaderKind] = {
    "edf": ReaderKind("edf:open_edf", NoParams, True, "EDF, EDF+C and EDF+D"),
    "mne": ReaderKind("mne:open_mne", NoParams, False, "whatever MNE-Python reads"),
}
"""Readers by the name a corpus entry gives."""


def open_recording(path: Path, reader: Choice) -> Recording:
    """Open one file.

    Raises
    ------
    CorpusError
        If the file cannot be used; operating-system errors become cause ``unreadable``.
    """
    kind = READERS[reader.name]
    try:
        return kind.open(path, reader.parsed(kind.params))
    except OSError as error:
        raise CorpusError("unreadable", f"{type(error).__name__} (errno {error.errno})") from error
