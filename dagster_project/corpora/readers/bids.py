"""A recording of a BIDS data set: the file, less the channels ``channels.tsv`` calls no EEG.

The format is chosen by suffix. A channel is out if its type is a BIDS word other than ``EEG``, its
unit is no voltage, or its status is ``bad`` (an expert of the data set has judged it; its row is
then masked as missing, unless the entry keeps bad channels). Types and units ``n/a`` say nothing
and leave the channel in: names decide then. Scale and rate come from the file, never from the
table. What was left out becomes labels in ``labels/bids_channels.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from dagster_project.corpora.bids import nearest_table
from dagster_project.corpora.channels import parse_label
from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.by_suffix import open_by_suffix
from dagster_project.corpora.readers.types import Annotation, Recording, Signal, Traces, remarks_of
from dagster_project.corpora.spec import Entry, NoParams

VOID = {"", "n/a"}
VOLTS = {
    "v",
    "mv",
    "uv",
    "µv",
    "μv",
    "nv",
    "microv",
    "microvolt",
    "microvolts",
    "millivolt",
    "volt",
}
"""Spellings of voltage units, lower case; the micro sign and the Greek letter both occur."""


class BidsParams(Entry):
    """What an entry may say to it.

    Parameters
    ----------
    bad_channels
        ``mask`` leaves channels of status ``bad`` out, ``keep`` takes them as they are.
    """

    bad_channels: Literal["mask", "keep"] = "mask"


def channel_key(name: str) -> str:
    """Return the spelling under which a signal and a row of ``channels.tsv`` meet."""
    parsed = parse_label(name)
    return f"{parsed.type_word}|{parsed.name}".casefold()


def channel_rows(path: Path, labels: Iterable[str]) -> dict[str, Mapping[str, str]]:
    """Return the rows of a recording's ``channels.tsv`` by :func:`channel_key`, empty without one.

    Raises
    ------
    CorpusError
        ``bad_labels`` if the table names none of the file's signals, or has no names.
    """
    rows = nearest_table(path, "channels.tsv")
    if not rows:
        return {}
    if any("name" not in row for row in rows):
        raise CorpusError("bad_labels", "channels.tsv has no column name")
    by_key: dict[str, Mapping[str, str]] = {channel_key(row["name"]): row for row in rows}
    if not by_key.keys() & {channel_key(label) for label in labels}:
        raise CorpusError("bad_labels", f"channels.tsv has {len(rows)} rows, none of this file")
    return by_key


def reason_out(row: Mapping[str, str]) -> str:
    """Return why a row of ``channels.tsv`` is no EEG channel to use, empty if it is one."""
    kind, unit = row.get("type", "").casefold(), row.get("units", "").casefold()
    if kind not in VOID | {"eeg"}:
        return "type"
    if unit not in VOID | VOLTS:
        return "unit"
    return "bad" if row.get("status", "").casefold() == "bad" else ""


class BidsRecording:
    """An open file seen through its ``channels.tsv``."""

    def __init__(self, inner: Recording, kept: tuple[int, ...]) -> None:
        self._inner, self._kept = inner, kept

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._inner.__exit__(kind, error, trace)

    @property
    def format(self) -> str:
        """Name of the file format."""
        return self._inner.format

    @property
    def signals(self) -> tuple[Signal, ...]:
        """The signals that are not known to be something else."""
        signals = self._inner.signals
        return tuple(signals[i] for i in self._kept)

    @property
    def every_signal(self) -> tuple[Signal, ...]:
        """All signals of the file."""
        return self._inner.signals

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the format's reader has to say about the file."""
        return remarks_of(self._inner)

    @property
    def start(self) -> datetime | None:
        """Start of the recording as the header dates it."""
        return self._inner.start

    def pick(self, indices: Sequence[int]) -> Traces:
        """Return the traces of some of :attr:`signals`."""
        return self._inner.pick([self._kept[i] for i in indices])

    def annotations(self) -> tuple[Annotation, ...]:
        """Return the annotations inside the file."""
        return self._inner.annotations()


def open_bids(path: Path, params: BidsParams) -> BidsRecording:
    """Open one recording of a BIDS data set.

    Raises
    ------
    CorpusError
        What the format's reader says, or ``bad_labels`` if ``channels.tsv`` is of another file.
    """
    inner = open_by_suffix(path, NoParams())
    try:
        labels = [signal.label for signal in inner.signals]
        rows = channel_rows(path, labels)
    except BaseException:
        inner.__exit__(None, None, None)
        raise
    tolerated = {"", "bad"} if params.bad_channels == "keep" else {""}
    kept = tuple(
        i
        for i, label in enumerate(labels)
        if reason_out(rows.get(channel_key(label), {})) in tolerated
    )
    return BidsRecording(inner, kept)
