"""Whether a named channel carries a signal at all: a recording's true reference reads zero.

A measured label, for corpora whose papers and sidecars disagree about the reference.
"""

from __future__ import annotations

import numpy as np

from dagster_project.corpora.channels import parse_label
from dagster_project.corpora.labels.types import Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import Entry

LOOK_S = 10.0
"""Length of the stretch looked at, in the middle of the longest run."""


class FlatChannelParams(Entry):
    """The channel to look at."""

    channel: str


def read_flat_channel(request: LabelRequest, params: FlatChannelParams) -> RecordingLabels:
    """Say ``<channel>_signal`` is ``flat``, ``moving`` or ``absent``."""
    name, signals = f"{params.channel}_signal", request.recording.signals
    places = [i for i, s in enumerate(signals) if parse_label(s.label).name == params.channel]
    if not places:
        return RecordingLabels((Label("file", name, "absent", "measured"),))
    traces = request.recording.pick(places[:1])
    run = max(traces.runs, key=lambda r: r.n_samples)
    n_look = min(run.n_samples, int(LOOK_S * traces.sfreq))
    start = run.start_sample + (run.n_samples - n_look) // 2
    seen = np.empty((1, n_look), dtype=np.float32)
    traces.read_uv(start, start + n_look, seen)
    word = "flat" if n_look and bool((seen == seen[0, 0]).all()) else "moving"
    return RecordingLabels((Label("file", name, word, "measured"),))
