"""The simulated corpus as files: EDF recordings and truth sidecars in a tree of subjects.

Layout::

    <root>/sub-01/sub-01_wake.edf
    <root>/sub-01/sub-01_wake_truth.json

The same configuration writes the same bytes, and files whose bytes would not change are not
touched, so that a sensor on modification times stays quiet.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from datetime import datetime
from pathlib import Path

import numpy as np
import pyedflib

from dagster_project.corpora.simulated.config import SimulatorConfig
from dagster_project.corpora.simulated.geometry import FloatArray
from dagster_project.corpora.simulated.subject import simulate_subject
from dagster_project.corpora.simulated.truth import truth_json, truth_of
from detectors.types import CANONICAL19

START = datetime(2000, 1, 1, 12, 0, 0)
"""Start of every recording: a constant, since nothing was recorded at any time."""

_STEP_UV = 0.05
"""One digital step, the step of stored segments; the range is then +-1638 uV."""


def write_corpus(root: Path, config: SimulatorConfig) -> tuple[Path, ...]:
    """Write a simulated corpus.

    Parameters
    ----------
    root
        Folder of the corpus; made where absent. Subjects left over from an earlier, larger corpus
        stay: what was withdrawn is for the owner of the folder to remove.
    config
        What to simulate.

    Returns
    -------
    tuple of Path
        Every EDF file and sidecar of the configuration, sorted.
    """
    written: list[Path] = []
    for index in range(1, config.n_subjects + 1):
        subject = simulate_subject(config.seed, index, config)
        name = f"sub-{index:0{max(2, len(str(config.n_subjects)))}d}"
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for recording in subject.recordings:
            truth = truth_json(truth_of(recording, subject.traits, config))
            edf = edf_bytes(recording.data_uv, config.sfreq_hz, f"{name}_{recording.state}")
            # the recording comes last: where it is, its truth is
            for suffix, content in (("_truth.json", truth), (".edf", edf)):
                path = folder / f"{name}_{recording.state}{suffix}"
                _write_if_changed(path, content)
                written.append(path)
    return tuple(sorted(written))


def edf_bytes(data_uv: FloatArray, sfreq_hz: int, name: str) -> bytes:
    """Encode 19 channels as an EDF file.

    Parameters
    ----------
    data_uv
        Shape (19, n_times), canonical order, a whole number of seconds; clipped to the range.
    sfreq_hz
        Rate, a whole number.
    name
        Goes into the recording field of the header.

    Raises
    ------
    ValueError
        If the samples are no whole number of seconds, which EDF data records need.
    """
    if data_uv.shape != (len(CANONICAL19), data_uv.shape[1]) or data_uv.shape[1] % sfreq_hz:
        raise ValueError(
            f"data of shape {data_uv.shape} at {sfreq_hz} Hz; EDF needs {len(CANONICAL19)} rows "
            "and whole seconds"
        )
    digital = np.clip(np.rint(data_uv / _STEP_UV), -32768, 32767).astype(np.int32)
    with tempfile.TemporaryDirectory(prefix="neurogloss-edf-") as folder:
        path = Path(folder) / "recording.edf"
        writer = pyedflib.EdfWriter(str(path), len(CANONICAL19), file_type=pyedflib.FILETYPE_EDF)
        try:
            writer.setStartdatetime(START)
            writer.setPatientCode("simulated")
            writer.setRecordingAdditional(name)
            with warnings.catch_warnings():
                # the physical range has more digits than the header holds; it is exact all the same
                warnings.simplefilter("ignore", UserWarning)
                writer.setSignalHeaders([_signal_header(c, sfreq_hz) for c in CANONICAL19])
            writer.writeSamples(list(digital), digital=True)
        finally:
            writer.close()
        return path.read_bytes()


def _signal_header(ch_name: str, sfreq_hz: int) -> dict[str, object]:
    return {
        "label": f"EEG {ch_name}-REF",
        "dimension": "uV",
        "sample_frequency": sfreq_hz,
        "physical_min": -32768 * _STEP_UV,
        "physical_max": 32767 * _STEP_UV,
        "digital_min": -32768,
        "digital_max": 32767,
        "transducer": "simulated",
        "prefilter": "",
    }


def _write_if_changed(path: Path, content: bytes) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
