"""Recordings that are plain arrays in a MATLAB file, version 5 or 7.3, described by the entry.

Such files say neither channels nor unit, often not even the rate; the corpus entry does. Only
numeric arrays are loaded, one at a time, after the file was checked element by element
(:mod:`dagster_project.corpora.readers.mat5`): objects and function handles are never built. Each
array is one trial (:mod:`dagster_project.corpora.readers.trials`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.readers.mat5 import check_hdf5, check_mat5, is_hdf5
from dagster_project.corpora.readers.trials import UV_PER_UNIT, Trial, TrialRecording, rate_of
from dagster_project.corpora.spec import Entry

MAX_VARIABLE_BYTES = 256 << 20
"""One variable once inflated; 240 s of 62 channels at 200 Hz have 24 MB, and a copy is made."""
MAX_VARIABLES = 10_000
_NUMERIC = frozenset({
    "double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
})  # fmt: skip
"""MATLAB classes that are numbers."""


class MatlabParams(Entry):
    """What the numbers of a file are.

    Parameters
    ----------
    variable
        Name of the one array; ``{stem}`` stands for the file's name without suffix.
    pattern
        Regular expression searched in variable names instead, with one group for the trial's
        number; every match is a trial, in order of that number.
    orientation
        Which way the arrays lie, as MATLAB shows them.
    channels
        Names in the arrays' order.
    sfreq_hz, sfreq_variable
        The rate, or the variable that holds it.
    unit
        What one step of the numbers is.
    """

    variable: str = ""
    pattern: str = ""
    orientation: Literal["channels_by_samples", "samples_by_channels"]
    channels: tuple[str, ...] = Field(min_length=1)
    sfreq_hz: float | None = Field(default=None, gt=0)
    sfreq_variable: str = ""
    unit: Literal["V", "mV", "uV", "nV"]

    @model_validator(mode="after")
    def _says_what(self) -> MatlabParams:
        if bool(self.variable) == bool(self.pattern):
            raise ValueError("give either variable or pattern")
        if (self.sfreq_hz is None) == (not self.sfreq_variable):
            raise ValueError("give either sfreq_hz or sfreq_variable")
        if self.pattern and re.compile(self.pattern).groups != 1:
            raise ValueError(f"pattern {self.pattern!r} needs one group, for the trial's number")
        return self


@dataclass(frozen=True, slots=True)
class _Array:
    """A variable as the file lists it: shape as MATLAB shows it, and its class."""

    shape: tuple[int, ...]
    kind: str


class _Version5:
    """Variables of a checked version-5 file."""

    format = "mat5"

    def __init__(self, path: Path) -> None:
        check_mat5(path, MAX_VARIABLE_BYTES)
        self._path = path

    def arrays(self) -> dict[str, _Array]:
        from scipy.io import whosmat

        return {name: _Array(shape, kind) for name, shape, kind in whosmat(self._path)}

    def load(self, name: str) -> NDArray[Any]:
        from scipy.io import loadmat

        found: NDArray[Any] = loadmat(self._path, variable_names=[name])[name]
        return found

    def close(self) -> None: ...


class _Version73:
    """Variables of a checked version-7.3 file; HDF5 stores them transposed."""

    format = "mat73"

    def __init__(self, path: Path) -> None:
        import h5py

        check_hdf5(path, MAX_VARIABLE_BYTES)
        self._file = h5py.File(path, "r")

    def arrays(self) -> dict[str, _Array]:
        import h5py

        found = {}
        for name, item in self._file.items():
            if isinstance(item, h5py.Dataset) and item.shape is not None:
                kind = bytes(item.attrs.get("MATLAB_class", b"double")).decode("ascii", "replace")
                kind = kind if item.dtype.kind in "iuf" else "unknown"
                found[name] = _Array(tuple(reversed(item.shape)), kind)
        return found

    def load(self, name: str) -> NDArray[Any]:
        found: NDArray[Any] = self._file[name][()].T
        return found

    def close(self) -> None:
        self._file.close()


def _numbers(source: _Version5 | _Version73, name: str) -> NDArray[Any]:
    try:
        found = source.load(name)
    except (CorpusError, MemoryError, OSError):
        raise
    except Exception as error:  # the library raises whatever a hostile file provokes
        raise CorpusError("bad_header", f"a variable: {type(error).__name__}") from error
    if found.dtype.kind not in "iuf":
        raise CorpusError("bad_header", f"a variable holds {found.dtype.kind!r}, no real numbers")
    return found


def _names(params: MatlabParams, path: Path, arrays: Mapping[str, _Array]) -> list[str]:
    """Names of the arrays that are trials, in order."""
    if params.variable:
        wanted = params.variable.replace("{stem}", path.stem)
        if wanted not in arrays:
            raise CorpusError("bad_header", f"the variable is not among the file's {len(arrays)}")
        return [wanted]
    matches = [(re.search(params.pattern, name), name) for name in arrays]
    numbered = sorted(
        (int(match[1]), name) for match, name in matches if match and (match[1] or "").isdecimal()
    )
    if not numbered:
        raise CorpusError("bad_header", f"none of {len(arrays)} variables is a trial")
    if len({number for number, _ in numbered}) < len(numbered):
        raise CorpusError("bad_header", "two variables have one trial number")
    return [name for _, name in numbered]


def _n_samples(params: MatlabParams, array: _Array) -> int:
    """Length of one array, after checking that it holds the entry's channels."""
    if array.kind not in _NUMERIC or len(array.shape) != 2:
        raise CorpusError("bad_header", f"a {len(array.shape)}-dimensional array of {array.kind}")
    n_rows, n_columns = array.shape
    is_wide = params.orientation == "channels_by_samples"
    n_channels, n_samples = (n_rows, n_columns) if is_wide else (n_columns, n_rows)
    if n_channels != len(params.channels):
        raise CorpusError(
            "bad_header",
            f"an array of {n_rows} x {n_columns}; {len(params.channels)} channels are expected "
            f"as {params.orientation.replace('_', ' ')}",
        )
    return n_samples


def _rate(
    source: _Version5 | _Version73, params: MatlabParams, arrays: Mapping[str, _Array]
) -> float:
    if params.sfreq_hz is not None:
        return params.sfreq_hz
    array = arrays.get(params.sfreq_variable)
    if array is None or array.kind not in _NUMERIC or array.shape != (1, 1):
        raise CorpusError("sampling_rate", "the variable with the rate is no single number")
    return float(_numbers(source, params.sfreq_variable)[0, 0])


def open_matlab(path: Path, params: MatlabParams) -> TrialRecording:
    """Open a MATLAB file of arrays.

    Raises
    ------
    CorpusError
        ``empty``, ``not_edf``, ``truncated`` or ``bad_header`` where the file is not what its
        entry says, ``sampling_rate`` where its rate is none.
    """
    source = (_Version73 if is_hdf5(path) else _Version5)(path)
    try:
        try:
            arrays = source.arrays()
        except Exception as error:  # the library raises whatever a hostile file provokes
            raise CorpusError("bad_header", f"its variables: {type(error).__name__}") from error
        names = _names(params, path, arrays)[:MAX_VARIABLES]
        is_wide = params.orientation == "channels_by_samples"
        number = re.compile(params.pattern) if params.pattern else None
        found = [number.search(name) if number else None for name in names]
        trials = [
            Trial(_n_samples(params, arrays[name]), f"trial {int(m[1])}" if m else "trial 1")
            for name, m in zip(names, found, strict=True)
        ]

        def load(i: int) -> NDArray[np.float64]:
            values = _numbers(source, names[i])
            return (values if is_wide else values.T).astype(np.float64, copy=False)

        rate = rate_of(_rate(source, params, arrays))
        unit_uv = UV_PER_UNIT[params.unit]
        return TrialRecording(
            source.format, params.channels, rate, unit_uv, trials, load, source.close
        )
    except BaseException:
        source.close()
        raise
