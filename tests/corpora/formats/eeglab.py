"""EEGLAB ``.set`` files as ``pop_saveset`` writes them: by SciPy (version 5) and h5py (7.3).

Shares nothing with the readers. Layout: EEGLAB's ``pop_saveset`` and ``eeg_checkset``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
from numpy.typing import NDArray

Event = tuple[str | float, float, float | None]
"""Type, latency in samples from 1, and duration in samples or None for an empty field."""


@dataclass
class SetSpec:
    """A recording and how it is saved.

    ``where`` is ``fdt`` (signal beside the .set) or ``set`` (inside it); ``layout`` is ``struct``
    (one variable EEG) or ``fields`` (``save -struct``, each field a variable).
    """

    data_uv: NDArray[Any]
    labels: Sequence[str]
    sfreq_hz: float = 256.0
    events: Sequence[Event] = ()
    where: str = "fdt"
    layout: str = "struct"
    is_compressed: bool = True
    trials: int = 1
    pnts: int | None = None
    datfile: str | None = None
    dtype: str = "f4"


def _fields(path: Path, spec: SetSpec) -> dict[str, Any]:
    n_channels, n_samples = spec.data_uv.shape
    fdt = spec.datfile or path.with_suffix(".fdt").name
    chanlocs = np.empty((1, n_channels), dtype=[("labels", "O"), ("type", "O"), ("X", "O")])
    for i, label in enumerate(spec.labels):
        chanlocs[0, i] = (label, "EEG", 0.1)
    events = np.empty(
        (1, len(spec.events)), dtype=[("type", "O"), ("latency", "O"), ("duration", "O")]
    )
    for i, (kind, latency, duration) in enumerate(spec.events):
        events[0, i] = (kind, latency, np.zeros((0, 0)) if duration is None else duration)
    inside = spec.data_uv.astype(spec.dtype)
    return {
        "setname": "test",
        "filename": path.name,
        "nbchan": float(n_channels),
        "trials": float(spec.trials),
        "pnts": float(spec.pnts if spec.pnts is not None else n_samples // spec.trials),
        "srate": float(spec.sfreq_hz),
        "xmin": 0.0,
        "data": inside if spec.where == "set" else fdt,
        "chanlocs": chanlocs,
        "ref": "common",
        "event": events if len(spec.events) else np.zeros((0, 0)),
        "etc": {"eeglabvers": "2024.0"},
        "datfile": "" if spec.where == "set" else fdt,
    }


def _write_fdt(path: Path, spec: SetSpec) -> None:
    if spec.where == "fdt":
        name = Path(spec.datfile).name if spec.datfile else path.with_suffix(".fdt").name
        spec.data_uv.astype("<f4").T.tofile(path.with_name(name))


def write_set(path: Path, spec: SetSpec) -> Path:
    """Write a version-5 file (and its ``.fdt``) and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = _fields(path, spec)
    content = {"EEG": fields} if spec.layout == "struct" else fields
    scipy.io.savemat(path, content, do_compression=spec.is_compressed, appendmat=False, format="5")
    _write_fdt(path, spec)
    return path


def _put(file: h5py.File, group: h5py.Group, name: str, value: Any) -> None:
    """Write one value the way MATLAB 7.3 does."""
    if isinstance(value, str):
        codes = np.frombuffer(value.encode("utf-16-le"), "<u2").reshape(-1, 1)
        if not value:
            item = group.create_dataset(name, data=np.zeros(2, dtype="<u8"))
            item.attrs["MATLAB_empty"] = np.uint8(1)
        else:
            item = group.create_dataset(name, data=codes)
        item.attrs["MATLAB_class"] = np.bytes_("char")
        return
    if isinstance(value, dict):
        child = group.create_group(name)
        child.attrs["MATLAB_class"] = np.bytes_("struct")
        for key, inner in value.items():
            _put(file, child, key, inner)
        return
    array = np.atleast_2d(np.asarray(value))
    if array.dtype.names:
        _put_structs(file, group, name, array)
        return
    if 0 in array.shape:
        item = group.create_dataset(name, data=np.array(array.shape, dtype="<u8"))
        item.attrs["MATLAB_empty"] = np.uint8(1)
    elif array.size > 1000:
        item = group.create_dataset(name, data=array.T, chunks=True, compression="gzip")
    else:
        item = group.create_dataset(name, data=array.T)
    item.attrs["MATLAB_class"] = np.bytes_({"f4": "single"}.get(array.dtype.str[1:], "double"))


def _put_structs(file: h5py.File, group: h5py.Group, name: str, array: NDArray[Any]) -> None:
    rows = array.reshape(-1)
    child = group.create_group(name)
    child.attrs["MATLAB_class"] = np.bytes_("struct")
    if len(rows) == 1:  # a single struct is no array in 7.3
        for key in array.dtype.names or ():
            _put(file, child, key, rows[0][key])
        return
    refs = file.require_group("#refs#")
    for key in array.dtype.names or ():
        column = child.create_dataset(key, (len(rows), 1), dtype=h5py.ref_dtype)
        for i, row in enumerate(rows):
            place = f"r{len(refs)}"
            _put(file, refs, place, row[key])
            column[i, 0] = refs[place].ref


def write_set73(path: Path, spec: SetSpec) -> Path:
    """Write a version-7.3 file (and its ``.fdt``) and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        fields = _fields(path, spec)
        for key, value in ({"EEG": fields} if spec.layout == "struct" else fields).items():
            _put(file, file, key, value)
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    _write_fdt(path, spec)
    return path
