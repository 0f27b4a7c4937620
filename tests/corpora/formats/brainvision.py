"""BrainVision triples byte by byte from the Core Data Format 1.0; shares nothing with the reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass
class BrainVisionSpec:
    """A recording: ``steps`` (n_channels, n_times) are stored values, before resolution.

    ``markers`` are (type, description, position from 1, size, date of a new segment or "").
    """

    labels: Sequence[str]
    steps: NDArray[np.float64]
    interval_us: str = "4000"
    resolution: Sequence[str] = ()
    units: Sequence[str] = ()
    binary: str = "INT_16"
    orientation: str = "MULTIPLEXED"
    markers: Sequence[tuple[str, str, int, int, str]] = ()
    data_name: str = ""
    marker_name: str = ""
    codepage: str = "UTF-8"
    data_points: int | None = None
    has_markers: bool = True
    comment: str = ""


_TYPES = {"INT_16": "<i2", "INT_32": "<i4", "IEEE_FLOAT_32": "<f4"}


def _header(stem: str, spec: BrainVisionSpec) -> str:
    n = len(spec.labels)
    resolution = list(spec.resolution) or ["0.1"] * n
    units = list(spec.units) or ["\u00b5V"] * n
    lines = ["Brain Vision Data Exchange Header File Version 1.0", "; written for a test", ""]
    lines += ["[Common Infos]"] + ([f"Codepage={spec.codepage}"] if spec.codepage else [])
    lines += [f"DataFile={spec.data_name or stem + '.eeg'}"]
    lines += [f"MarkerFile={spec.marker_name or stem + '.vmrk'}"]
    lines += ["DataFormat=BINARY", f"DataOrientation={spec.orientation}", "DataType=TIMEDOMAIN"]
    lines += [f"NumberOfChannels={n}"]
    if spec.data_points is not None:
        lines += [f"DataPoints={spec.data_points}"]
    lines += [f"SamplingInterval={spec.interval_us}", "", "[Binary Infos]"]
    lines += [f"BinaryFormat={spec.binary}", "", "[Channel Infos]"]
    for i, (label, step, unit) in enumerate(zip(spec.labels, resolution, units, strict=True)):
        name = label.replace(",", "\\1")
        lines.append(f"Ch{i + 1}={name},,{step},{unit}")
    lines += ["", "[Comment]", spec.comment, ""]
    return "\r\n".join(lines)


def _marker_file(stem: str, spec: BrainVisionSpec) -> str:
    lines = ["Brain Vision Data Exchange Marker File, Version 1.0", "", "[Common Infos]"]
    lines += [f"Codepage={spec.codepage}"] if spec.codepage else []
    lines += [f"DataFile={spec.data_name or stem + '.eeg'}", "", "[Marker Infos]"]
    for i, (kind, what, at, size, date) in enumerate(spec.markers):
        tail = f",{date}" if date else ""
        lines.append(f"Mk{i + 1}={kind},{what},{at},{size},0{tail}")
    return "\r\n".join([*lines, ""])


def write(path: Path, spec: BrainVisionSpec) -> Path:
    """Write ``path`` (.vhdr) and the two files beside it under the same stem; return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = "utf-8" if spec.codepage else "latin-1"
    path.write_bytes(_header(path.stem, spec).encode(code))
    stored = np.asarray(spec.steps).astype(_TYPES[spec.binary])
    flat = stored.T if spec.orientation == "MULTIPLEXED" else stored
    path.with_suffix(".eeg").write_bytes(np.ascontiguousarray(flat).tobytes())
    if spec.has_markers:
        path.with_suffix(".vmrk").write_bytes(_marker_file(path.stem, spec).encode(code))
    return path
