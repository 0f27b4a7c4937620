"""What ``channels.tsv`` took out of a BIDS recording or says otherwise than the file, counted.

Taking channels out is ``readers/bids.py``'s; this says so in the recording's labels.
"""

from __future__ import annotations

from collections import Counter

from dagster_project.corpora.labels.types import Label, LabelRequest, RecordingLabels
from dagster_project.corpora.readers.bids import (
    BidsRecording,
    channel_key,
    channel_rows,
    reason_out,
)
from dagster_project.corpora.spec import NoParams

SOURCE = "channels.tsv"
_UNIT_UV = {"v": 1e6, "volt": 1e6, "mv": 1e3, "millivolt": 1e3, "nv": 1e-3, "uv": 1.0,
            "µv": 1.0, "μv": 1.0, "microv": 1.0, "microvolt": 1.0, "microvolts": 1.0}  # fmt: skip
_SAID = {"type": "not_eeg_channels_dropped", "unit": "no_voltage_channels_dropped",
         "bad": "bad_channels"}  # fmt: skip


def read_bids_channels(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Channels left out by cause, and units that disagree with the file's own.

    Raises
    ------
    CorpusError
        ``bad_labels`` if the table is of another file.
    """
    recording = request.recording
    signals = recording.every_signal if isinstance(recording, BidsRecording) else recording.signals
    rows = channel_rows(request.path, [signal.label for signal in signals])
    if not rows:
        return RecordingLabels((Label("file", "channels_sidecar", "missing", "no sidecar"),))
    reasons: Counter[str] = Counter()
    n_units = 0
    for signal in signals:
        row = rows.get(channel_key(signal.label), {})
        reason = reason_out(row)
        reasons[reason] += 1
        unit_uv = _UNIT_UV.get(row.get("units", "").casefold())
        n_units += (
            reason != "type" and unit_uv is not None and signal.unit_uv not in {unit_uv, None}
        )
    said = [Label("file", _SAID[why], str(reasons[why]), SOURCE) for why in _SAID if reasons[why]]
    if n_units:
        said.append(Label("file", "units_sidecar", f"{n_units} disagree", SOURCE))
    return RecordingLabels(tuple(said))
