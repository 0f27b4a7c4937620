"""Recordings that are tables of text: one row a sample, one column a signal.

CSV files with a header row (Grasp-and-Lift), ARFF files and tables behind comment lines (OpenBCI).
The entry says rate and unit. A file is parsed by pyarrow a block at a time, once when it is opened
to count its rows, then as often as it is read; asking for samples in order never goes back.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as pacsv
from pydantic import Field, model_validator

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.trials import UV_PER_UNIT, rate_of
from dagster_project.corpora.readers.types import Annotation, OpenFile, Run, Signal
from dagster_project.corpora.spec import Entry

BLOCK_BYTES = 1 << 20
"""Text parsed at once; no line may be longer."""
MAX_HEAD_BYTES = 1 << 20
"""Comments and header of a file."""
MAX_COLUMNS = 4096
NULLS = ["", "NaN", "nan", "NA", "n/a", "?"]
"""Cells that say there is no value."""
UNIT_S = 120.0
"""Time from the middle of a file that decides on its unit (engineering default)."""
TYPICAL_RMS_UV = (5.0, 30.0)
"""RMS of scalp EEG above 1 Hz (``corpora.md`` 5.3)."""
UNIT_FACTOR = 3.0
"""How far off that range the unit chosen may leave it: candidates differ by ten."""


class CsvParams(Entry):
    """What the columns of a table are.

    Parameters
    ----------
    signals
        Columns that are signals, in any case of blanks around; empty: all but ``others``.
    others
        Columns that are none, such as a row's name.
    columns
        Names of all columns where the file has no header row.
    delimiter
        What separates cells.
    comment
        Lines at the top that begin so are passed over.
    skip_through
        The table begins after the line that begins so (``@DATA`` of ARFF), in any case.
    sfreq_hz
        Rate.
    unit
        What one step is.
    unit_candidates_uv
        Microvolts one step may be instead, where nobody knows: each file's amplitude decides.
    """

    signals: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    comment: str = ""
    skip_through: str = ""
    sfreq_hz: float = Field(gt=0)
    unit: Literal["V", "mV", "uV", "nV"] | None = None
    unit_candidates_uv: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _says_unit(self) -> CsvParams:
        if (self.unit is None) == (not self.unit_candidates_uv):
            raise ValueError("give either unit or unit_candidates_uv")
        if any(not 1e-6 <= c <= 1e9 for c in self.unit_candidates_uv):
            raise ValueError("unit_candidates_uv are microvolts of one step, above 0")
        return self


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the table begins, its columns made distinct, and which are signals."""

    path: Path
    n_before: int
    names: tuple[str, ...]
    signals: tuple[str, ...]
    delimiter: str

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Parse the file block by block.

        Raises
        ------
        CorpusError
            ``bad_header`` if a row has other columns or a cell is no number.
        """
        try:
            with pacsv.open_csv(
                self.path,
                read_options=pacsv.ReadOptions(
                    use_threads=False, block_size=BLOCK_BYTES, skip_rows=self.n_before,
                    column_names=list(self.names),
                ),
                parse_options=pacsv.ParseOptions(delimiter=self.delimiter),
                convert_options=pacsv.ConvertOptions(
                    check_utf8=False, null_values=NULLS, include_columns=list(columns),
                    column_types={name: pa.float64() for name in columns},
                ),
            ) as reader:  # fmt: skip
                yield from reader
        except pa.ArrowInvalid as error:
            raise CorpusError("bad_header", "a row is not like the others, or no number") from error
        except pa.ArrowKeyError as error:
            raise CorpusError("bad_header", "a column is missing") from error


def _head_lines(path: Path) -> list[str]:
    """First lines of a file, bounded."""
    with path.open("rb") as file:
        raw = file.read(MAX_HEAD_BYTES)
    if not raw:
        raise CorpusError("empty", "0 bytes")
    if b"\0" in raw:
        raise CorpusError("not_edf", "bytes no text has")
    return raw.decode("utf-8-sig", "replace").split("\n")


def _table_start(lines: list[str], params: CsvParams) -> int:
    """Return the number of lines before the header row or the first row."""
    if params.skip_through:
        wanted = params.skip_through.lower()
        found = (i for i, line in enumerate(lines) if line.lower().startswith(wanted))
        at = next(found, None)
        if at is None:
            raise CorpusError("bad_header", "the line the table begins after is not there")
        return at + 1
    at = 0
    while at < len(lines) and params.comment and lines[at].startswith(params.comment):
        at += 1
    return at


def _layout(path: Path, params: CsvParams) -> _Layout:
    lines = _head_lines(path)
    at = _table_start(lines, params)
    names = list(params.columns)
    if not names:
        if at >= len(lines):
            raise CorpusError("bad_header", "no header row")
        (cells,) = csv.reader([lines[at].rstrip("\r")], delimiter=params.delimiter)
        names = [cell.strip() for cell in cells]
        at += 1
    if len(names) > MAX_COLUMNS:
        raise CorpusError("bad_header", f"{len(names)} columns")
    counts = Counter(names)
    repeated = {name for name, n in counts.items() if n > 1}
    signals = params.signals or tuple(n for n in names if n not in {*params.others, *repeated})
    missing = [name for name in signals if counts[name] != 1]
    if missing or not signals:
        raise CorpusError(
            "bad_header", f"{len(missing)} of {len(signals)} signals are not among its columns"
        )
    distinct = tuple(f"{i}" if name in repeated else name for i, name in enumerate(names))
    return _Layout(path, at, distinct, signals, params.delimiter)


def _columns(batch: pa.RecordBatch) -> NDArray[np.float64]:
    """Return the samples of a parsed block, shape (n_signals, n_rows)."""
    return np.stack([c.to_numpy(zero_copy_only=False) for c in batch.columns])


def rms_above_1_hz(data: NDArray[np.float64], sfreq_hz: float) -> float:
    """Return the median RMS of one-second windows above 1 Hz, over signals and windows.

    Parameters
    ----------
    data
        Shape (n_signals, n_samples), in any unit.
    sfreq_hz
        Rate.
    """
    from scipy.signal import butter, sosfiltfilt

    data = np.nan_to_num(data - np.nanmedian(data, axis=1, keepdims=True))
    slow = sosfiltfilt(butter(2, 1.0, "highpass", fs=sfreq_hz, output="sos"), data, axis=1)
    width = int(sfreq_hz)
    n = slow.shape[1] // width
    windows = slow[:, : n * width].reshape(len(slow), n, width)
    return float(np.median(np.sqrt((windows**2).mean(-1))))


def _decide_unit(rms: float, candidates: Sequence[float]) -> float:
    """Return the candidate that puts the RMS nearest to that of scalp EEG.

    Raises
    ------
    CorpusError
        ``wrong_unit`` if none puts it near, ``flat`` if nothing moves.
    """
    if not rms > 0:
        raise CorpusError("flat", "no signal moves; its unit cannot be told")
    low, high = TYPICAL_RMS_UV
    best = min(candidates, key=lambda c: abs(np.log(rms * c / np.sqrt(low * high))))
    if not low / UNIT_FACTOR <= rms * best <= high * UNIT_FACTOR:
        raise CorpusError(
            "wrong_unit", f"RMS above 1 Hz {rms * best:.3g} uV in the likeliest of the units named"
        )
    return best


class CsvRecording(OpenFile):
    """An open table; see :class:`~dagster_project.corpora.readers.types.Recording`."""

    format = "csv"

    def __init__(self, path: Path, params: CsvParams) -> None:
        self._layout = _layout(path, params)
        self._sfreq = rate_of(params.sfreq_hz)
        (first,) = self._layout.signals[:1]
        self._n_samples = sum(b.num_rows for b in self._layout.batches([first]))
        if not self._n_samples:
            raise CorpusError("empty", "no rows")
        self._unit_uv = UV_PER_UNIT[params.unit] if params.unit else self._measured(params)

    def _measured(self, params: CsvParams) -> float:
        n = min(self._n_samples, int(UNIT_S * params.sfreq_hz))
        if n < 2 * params.sfreq_hz:
            raise CorpusError("too_short", f"{n} samples do not tell the unit")
        start = (self._n_samples - n) // 2
        names = self._layout.signals
        traces = CsvTraces(self._layout, names, self._sfreq, 1.0, self._n_samples)
        data = traces.stored(start, start + n)
        rms = rms_above_1_hz(data, params.sfreq_hz)
        return _decide_unit(rms, params.unit_candidates_uv)

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Every signal column, its unit as stated or as decided by the amplitude."""
        return tuple(Signal(name, self._sfreq, self._unit_uv) for name in self._layout.signals)

    @property
    def start(self) -> datetime | None:
        """Unknown: tables carry no clock."""
        return None

    def annotations(self) -> tuple[Annotation, ...]:
        """Return nothing: tables carry none."""
        return ()

    def pick(self, indices: Sequence[int]) -> CsvTraces:
        """Return the traces of some columns."""
        names = [self._layout.signals[i] for i in indices]
        return CsvTraces(self._layout, names, self._sfreq, self._unit_uv, self._n_samples)


class CsvTraces:
    """Picked columns; see :class:`~dagster_project.corpora.readers.types.Traces`."""

    may_hold_nan = True

    def __init__(
        self, layout: _Layout, names: Sequence[str], sfreq: Fraction, unit_uv: float, n: int
    ) -> None:
        self.sfreq, self.runs = sfreq, (Run(0, n, 0.0),)
        self._layout, self._names, self._unit_uv = layout, tuple(names), unit_uv
        self._rewind()

    def _rewind(self) -> None:
        self._left = self._layout.batches(self._names)
        self._block = np.empty((len(self._names), 0))
        self._at = 0

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Return numbers of the file, float64, shape (n_channels, stop - start)."""
        if start < self._at:
            self._rewind()
        out = np.empty((len(self._names), stop - start))
        done = start
        while done < stop:
            end = self._at + self._block.shape[1]
            if end <= done:
                batch = next(self._left, None)
                if batch is None:
                    raise CorpusError("truncated", "the file ended while it was being read")
                self._block, self._at = _columns(batch), end
                continue
            part = self._block[:, done - self._at : stop - self._at]
            out[:, done - start : done - start + part.shape[1]] = part
            done += part.shape[1]
        return out

    def to_uv(self, stored: NDArray[Any], out: NDArray[Any]) -> None:
        """Scale to float32 microvolts; what is no finite number becomes NaN."""
        with np.errstate(over="ignore", invalid="ignore"):
            np.multiply(stored, self._unit_uv, out=out, casting="unsafe")
        out[~np.isfinite(out)] = np.nan

    def read_uv(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Fill ``out`` with float32 microvolts."""
        self.to_uv(self.stored(start, stop), out)


def open_csv(path: Path, params: CsvParams) -> CsvRecording:
    """Open a table of text."""
    return CsvRecording(path, params)
