"""Labels of Grasp-and-Lift: six independent events in a table aligned with the samples by name.

Windows overlap, so a moment may carry several events. Series 9 and 10 were published without
labels; the file of another series that lacks them is an incomplete copy.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as pacsv

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import Entry


class EventColumnsParams(Entry):
    """Where the events are.

    Parameters
    ----------
    replace, by
        Text of the recording's file name and what stands there in its twin's.
    id
        Column that names the row, in both files.
    events
        Column to label value.
    name
        Name of the label.
    unlabelled
        Sessions published without events.
    """

    replace: str = "_data."
    by: str = "_events."
    id: str = "id"
    events: dict[str, str]
    name: str = "event"
    unlabelled: tuple[str, ...] = ()


def _columns(path: Path, texts: tuple[str, ...], flags: tuple[str, ...] = ()) -> pa.Table:
    """Columns of a table: texts, then flags.

    Raises
    ------
    CorpusError
        ``bad_labels`` if a column is missing or a flag is neither 0 nor 1.
    """
    types = {**dict.fromkeys(texts, pa.string()), **dict.fromkeys(flags, pa.int8())}
    try:
        return pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(use_threads=False),
            convert_options=pacsv.ConvertOptions(
                include_columns=[*texts, *flags], column_types=types
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise CorpusError("bad_labels", "the events are no table of names and flags") from error


def _runs_of_ones(flags: NDArray[np.int8]) -> list[tuple[int, int]]:
    edges = np.diff(np.concatenate([[0], flags, [0]]))
    return list(zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True))


def read_event_columns(request: LabelRequest, params: EventColumnsParams) -> RecordingLabels:
    """Every run of ones of every column is an interval.

    Raises
    ------
    CorpusError
        ``bad_labels`` if the twin has other rows than the recording or a flag is no flag.
    """
    twin = request.path.with_name(request.path.name.replace(params.replace, params.by))
    (unit_uv,) = {signal.unit_uv for signal in request.recording.signals}
    labels = [Label("file", "unit_uv", f"{unit_uv:g}", "amplitude")]
    if twin == request.path or not twin.is_file():
        said = "unpublished" if request.session in params.unlabelled else "missing"
        labels.append(Label("file", f"{params.name}s", said, "no sidecar"))
        return RecordingLabels(labels=tuple(labels))
    table = _columns(twin, (params.id,), tuple(params.events))
    mine = _columns(request.path, (params.id,))
    if not table[params.id].combine_chunks().equals(mine[params.id].combine_chunks()):
        raise CorpusError(
            "bad_labels",
            f"{table.num_rows} rows of events are not those of {mine.num_rows} samples",
        )
    rate = float(request.recording.signals[0].sfreq)
    found = (
        _intervals(table[column], Label("interval", params.name, value, column), rate)
        for column, value in params.events.items()
    )
    intervals = tuple(sorted(chain.from_iterable(found), key=lambda i: (i.t0_s, i.t1_s)))
    if not intervals:
        raise CorpusError("bad_labels", "not one event in the table of events")
    labels.append(Label("file", f"{params.name}s", "present", "events table"))
    return RecordingLabels(labels=tuple(labels), intervals=intervals)


def _intervals(column: pa.ChunkedArray, label: Label, rate: float) -> list[Interval]:
    if column.null_count:
        raise CorpusError("bad_labels", "a flag is missing in the events")
    flags = column.to_numpy()
    if not np.isin(flags, (0, 1)).all():
        raise CorpusError("bad_labels", "a flag is neither 0 nor 1")
    return [Interval(a / rate, b / rate, label) for a, b in _runs_of_ones(flags)]
