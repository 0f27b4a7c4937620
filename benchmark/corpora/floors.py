"""Reading and filtering one EDF or BDF file against MNE-Python, interleaved in one process.

The floors themselves are in :mod:`benchmark.corpora.report`. Both sides get the same file from the
page cache; MNE-Python's side is what scripts do: load the whole file, and filter, notch and
resample arrays in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.engine.recording import LINE_FREQ_HZ
from detectors.types import SFREQ_HZ

BLOCK_S = 60
"""Our side reads into one buffer of so long, as streaming does."""
EXACT_RATES_HZ = (256.0, 512.0)
"""Rates at which MNE-Python's own resampling is exact, so that results can be compared."""
EDGE_S = 40
"""Left out at both ends when results are compared: both sides invent samples there."""


def against_mne(path: str, *, rounds: int) -> dict[str, Any]:
    """Time both sides in turn on the 19 electrodes of a file.

    Parameters
    ----------
    path
        EDF or BDF file with all 19.
    rounds
        Interleaved rounds, after one that is not counted.

    Returns
    -------
    dict
        Per round and side wall and CPU seconds of ``read`` (MNE-Python loads the whole file),
        ``read_picked`` (it loads 19 channels only) and ``filter``; and ``relative_error`` of the
        filtered signal, None at rates where MNE-Python stretches time.
    """
    import mne

    mne.set_log_level("ERROR")
    file = Path(path)
    x_uv, sfreq = _loaded(file)
    theirs_in = x_uv.astype(np.float64)
    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "read": (lambda: _our_read(file), lambda: _their_read(file, is_picked=False)),
        "read_picked": (lambda: _our_read(file), lambda: _their_read(file, is_picked=True)),
        "filter": (lambda: _our_filter(x_uv, sfreq), lambda: _their_filter(theirs_in, sfreq)),
    }
    found: dict[str, Any] = {}
    error = None
    for name, (ours, theirs) in pairs.items():
        found[name] = []
        for i in range(rounds + 1):
            (a, our_wall, our_cpu), (b, their_wall, their_cpu) = _timed(ours), _timed(theirs)
            if i:
                found[name].append(
                    {"wall": their_wall / our_wall, "cpu": their_cpu / our_cpu, "ours_s": our_cpu}
                )
        if name == "filter" and float(sfreq) in EXACT_RATES_HZ:
            error = _relative_error(a, b)
    summary = {
        name: {part: median(r[part] for r in ratios) for part in ("wall", "cpu", "ours_s")}
        for name, ratios in found.items()
    }
    return {**summary, "relative_error": error, "hours": x_uv.shape[1] / float(sfreq) / 3600}


def _timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    made = work()
    return made, time.perf_counter() - wall, time.process_time() - cpu


def _loaded(path: Path) -> tuple[NDArray[np.float32], Any]:
    """Read all of the 19 electrodes."""
    from dagster_project.corpora.channels import pick_traces
    from dagster_project.corpora.readers.table import open_recording
    from dagster_project.corpora.spec import Channels, Choice

    with open_recording(path, Choice(name="edf")) as recording:
        pick, traces = pick_traces(recording, Channels())
        x_uv = np.empty((len(pick.indices), traces.runs[0].n_samples), dtype=np.float32)
        traces.read_uv(0, x_uv.shape[1], x_uv)
        return x_uv, traces.sfreq


def _our_read(path: Path) -> None:
    from dagster_project.corpora.channels import pick_traces
    from dagster_project.corpora.readers.table import open_recording
    from dagster_project.corpora.spec import Channels, Choice

    with open_recording(path, Choice(name="edf")) as recording:
        pick, traces = pick_traces(recording, Channels())
        n_samples, step = traces.runs[0].n_samples, int(BLOCK_S * traces.sfreq)
        block = np.empty((len(pick.indices), step), dtype=np.float32)
        for start in range(0, n_samples, step):
            stop = min(start + step, n_samples)
            traces.read_uv(start, stop, block[:, : stop - start])


def _their_read(path: Path, *, is_picked: bool) -> None:
    import mne

    read = mne.io.read_raw_bdf if path.suffix == ".bdf" else mne.io.read_raw_edf
    raw = read(path, preload=not is_picked, verbose="ERROR")
    if is_picked:
        raw.pick(raw.ch_names[:19]).load_data(verbose="ERROR")


def _our_filter(x_uv: NDArray[np.float32], sfreq: Any) -> NDArray[np.float32]:
    from dagster_project.corpora.harmonise import harmonise, plan_for

    def read(start: int, stop: int, out: NDArray[np.float32]) -> None:
        out[...] = x_uv[:, start:stop]

    n_channels, n_samples = x_uv.shape
    plan = plan_for(sfreq, LINE_FREQ_HZ, n_samples)
    out = np.empty((n_channels, plan.n_resampled(n_samples)), dtype=np.float32)
    at = 0
    for block in harmonise(read, n_channels, n_samples, plan):
        out[:, at : at + block.shape[1]] = block
        at += block.shape[1]
    return out


def _their_filter(x_uv: NDArray[np.float64], sfreq: Any) -> NDArray[np.float64]:
    import mne

    rate = float(sfreq)
    filtered = mne.filter.filter_data(x_uv, rate, 0.1, 75.0, verbose="ERROR")
    filtered = mne.filter.notch_filter(filtered, rate, LINE_FREQ_HZ, verbose="ERROR")
    return np.asarray(mne.filter.resample(filtered, SFREQ_HZ, rate, npad="auto", verbose="ERROR"))


def _relative_error(ours: NDArray[np.float32], theirs: NDArray[np.float64]) -> float | None:
    n = min(ours.shape[1], theirs.shape[1])
    inside = slice(EDGE_S * SFREQ_HZ, n - EDGE_S * SFREQ_HZ)
    reference = theirs[:, inside]
    if reference.shape[1] == 0:
        return None
    return float(np.linalg.norm(ours[:, inside] - reference) / np.linalg.norm(reference))
