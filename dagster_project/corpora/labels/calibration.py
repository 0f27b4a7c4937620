"""Amplifier calibration at a recording's edges, told by its being the same on all channels.

A measured label for corpora whose marks of it were removed (AD-65, whose companion ds006036 ends in
calibration in 85 of 88 files). It says ``suspected`` and cuts nothing.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from dagster_project.corpora.channels import pick_channels
from dagster_project.corpora.labels.types import Interval, Label, LabelRequest, RecordingLabels
from dagster_project.corpora.readers.types import Run, Traces
from dagster_project.corpora.spec import NoParams

EDGE_S = 60
"""How far from each end it is looked for; ds006036's lasts 45 s at most (``corpora.md`` 8.8)."""
SPREAD = 0.05
"""Channels that differ by less than this share of what they have in common carry one signal
(engineering default; scalp EEG against one reference differs by far more)."""
MIN_UV = 5.0
"""Least deviation of a calibration signal from flat (engineering default)."""
MIN_CHANNELS = 4
MIN_RUN_S = 2
"""Single seconds may be alike by chance of a movement (engineering default)."""


def is_one_signal(data_uv: NDArray[np.float32]) -> bool:
    """Whether all channels that move at all carry the same signal.

    Parameters
    ----------
    data_uv
        Shape (n_channels, n_times); a flat channel, such as the reference, does not count.
    """
    centred = data_uv - data_uv.mean(axis=1, keepdims=True)
    moving = centred[centred.std(axis=1) > MIN_UV]
    if len(moving) < MIN_CHANNELS:
        return False
    common = moving.mean(axis=0)
    return bool(np.sqrt(((moving - common) ** 2).mean()) < SPREAD * common.std())


def _seconds(traces: Traces, n_rows: int, run: Run) -> list[int]:
    """Return the seconds of a run's edges that hold one signal on all channels."""
    rate = float(traces.sfreq)
    n_s = int(run.n_samples / rate)
    found = []
    for second in sorted({*range(min(EDGE_S, n_s)), *range(max(0, n_s - EDGE_S), n_s)}):
        start, stop = (run.start_sample + round(s * rate) for s in (second, second + 1))
        block = np.empty((n_rows, stop - start), dtype=np.float32)
        traces.read_uv(start, stop, block)
        if is_one_signal(block):
            found.append(second)
    return found


def read_calibration(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Say ``calibration_seen`` of the recording, and mark the stretches where it is suspected.

    Raises
    ------
    CorpusError
        If the file has no channels of the corpus' montage.
    """
    pick = pick_channels(request.recording.signals, request.spec.channels)
    traces = request.recording.pick(pick.indices)
    label = Label("interval", "calibration", "suspected", "measured")
    intervals = []
    for run in dict.fromkeys((traces.runs[0], traces.runs[-1])):
        seconds = _seconds(traces, len(pick.indices), run)
        groups = itertools.groupby(enumerate(seconds), key=lambda pair: pair[1] - pair[0])
        for _first, group in groups:
            inside = [second for _i, second in group]
            if len(inside) >= MIN_RUN_S:
                t0_s = run.start_s + inside[0]
                intervals.append(Interval(t0_s, run.start_s + inside[-1] + 1, label))
    word = "suspected" if intervals else "none"
    whole = Label("file", "calibration_seen", word, "measured")
    return RecordingLabels(labels=(whole,), intervals=tuple(intervals))
