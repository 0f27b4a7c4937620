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

from dagster_project.corpora.errors import unread
from dagster_project.corpora.readers.bids import BidsParams
from dagster_project.corpora.readers.cnt import CntParams
from dagster_project.corpora.readers.csv import CsvParams
from dagster_project.corpora.readers.matlab import MatlabParams
from dagster_project.corpora.readers.own import OwnParams
from dagster_project.corpora.readers.types import Recording
from dagster_project.corpora.readers.wfdb import WfdbParams
from dagster_project.corpora.readers.zuco import ZucoParams
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
    guarded_suffixes
        Of a fast reader, the files that it hands to C libraries: they are read in a child process
        with limits, as every file of a reader that is not fast.
    libraries
        Modules worth importing before the first file's time begins to count.
    """

    target: str
    params: type[Entry]
    is_fast: bool
    meaning: str
    guarded_suffixes: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()

    def is_guarded(self, path: Path) -> bool:
        """Whether a file is read in a child process with limits."""
        return not self.is_fast or path.suffix.lower() in self.guarded_suffixes

    def open(self, path: Path, params: Entry) -> Recording:
        """Open one file."""
        module, _, name = self.target.partition(":")
        opener: Callable[[Path, Any], Recording] = getattr(
            import_module(f"dagster_project.corpora.readers.{module}"), name
        )
        return opener(path, params)


READERS: dict[str, ReaderKind] = {
    "any": ReaderKind(
        "by_suffix:open_by_suffix",
        NoParams,
        True,
        "EDF, BDF, EEGLAB or BrainVision, by suffix",
        (".set",),
    ),
    "bids": ReaderKind("bids:open_bids", BidsParams, True, "BIDS-EEG with channels.tsv", (".set",)),
    "brainvision": ReaderKind("brainvision:open_brainvision", NoParams, True, "BrainVision"),
    "cnt": ReaderKind("cnt:open_cnt", CntParams, True, "Neuroscan .cnt, int16 or int32"),
    "csv": ReaderKind("csv:open_csv", CsvParams, False, "tables of text, by parameters"),
    "edf": ReaderKind("edf:open_edf", NoParams, True, "EDF, EDF+ and BDF"),
    "eeglab": ReaderKind(
        "eeglab:open_eeglab",
        NoParams,
        True,
        "continuous EEGLAB recordings, .set with or without .fdt",
        (".set",),
        ("h5py", "scipy.io"),
    ),
    "matlab": ReaderKind(
        "matlab:open_matlab",
        MatlabParams,
        False,
        "MATLAB v5 and v7.3 arrays, by parameters",
        (),
        ("h5py", "scipy.io"),
    ),
    "mne": ReaderKind("mne:open_mne", NoParams, False, "whatever MNE-Python reads", (), ("mne",)),
    "own": ReaderKind("own:open_own", OwnParams, False, "a reader of your own, module:callable"),
    "wfdb": ReaderKind("wfdb:open_wfdb", WfdbParams, True, "WFDB formats 16, 24, 32 and 212"),
    "zuco": ReaderKind(
        "zuco:open_zuco", ZucoParams, False, "ZuCo sentence structs", (), ("h5py", "scipy.io")
    ),
}
"""Readers by the name a corpus entry gives."""


def open_recording(path: Path, reader: Choice) -> Recording:
    """Open one file.

    Raises
    ------
    CorpusError
        If the file cannot be used; operating-system errors become causes as well.
    """
    kind = READERS[reader.name]
    try:
        return kind.open(path, reader.parsed(kind.params))
    except OSError as error:
        raise unread(error) from error
