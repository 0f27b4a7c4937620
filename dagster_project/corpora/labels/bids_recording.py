"""What the JSON sidecar of a BIDS recording says about mains, reference and rate, in closed words.

The catalogue and the file win wherever it disagrees (``corpora.md`` 2.2, 2.3): PD31's sidecars give
the mains of another continent in 9 of 46 files. The disagreement becomes a label.
"""

from __future__ import annotations

import re
from typing import Any

from dagster_project.corpora.bids import merged_json
from dagster_project.corpora.labels.types import Label, LabelRequest, RecordingLabels
from dagster_project.corpora.spec import NoParams

SOURCE = "eeg.json"
MAINS_HZ = (50.0, 60.0)
RATE_TOLERANCE = 1e-3
"""Rates written with few digits are no disagreement (engineering default)."""

_REFERENCES: tuple[tuple[str, str], ...] = (
    (r"average|\bcar\b|\bavg\b", "average"),
    (r"\bcms\b|\bdrl\b", "cms_drl"),
    (r"between cz\s*(&|and)\s*cpz", "between_cz_cpz"),
    (r"\ba1\b|\ba2\b|\bears?\b|earlobe", "ears"),
    (r"\bm1\b|\bm2\b|\btp9\b|\btp10\b|mastoid", "mastoids"),
    (r"nose", "nose"),
    (r"\bfcz\b", "FCz"),
    (r"\bcpz\b", "CPz"),
    (r"\bcz\b", "Cz"),
    (r"\bfz\b", "Fz"),
)
"""What a reference is called, to our word; the first that fits."""


def _numeric(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def reference_word(text: Any) -> str:
    """Return a closed word for what a sidecar calls the reference."""
    said = str(text or "").strip().casefold()
    if said in {"", "n/a", "na", "none", "unknown"}:
        return "not_stated"
    return next((word for pattern, word in _REFERENCES if re.search(pattern, said)), "other")


def _line(request: LabelRequest, value: Any) -> Label | None:
    said_hz = _numeric(value)
    if said_hz is None or said_hz == request.spec.line_freq_hz:
        return None
    shown = f"{said_hz:g}" if said_hz in MAINS_HZ else "neither 50 nor 60"
    return Label("file", "line_freq_sidecar", f"{shown}, disagrees", SOURCE)


def _rate(request: LabelRequest, value: Any) -> Label | None:
    said_hz = _numeric(value)
    rates = {float(signal.sfreq) for signal in request.recording.signals}
    if said_hz is None or any(abs(said_hz - hz) <= RATE_TOLERANCE * hz for hz in rates):
        return None
    return Label("file", "rate_sidecar", f"{said_hz:g}, disagrees", SOURCE)


def read_bids_recording(request: LabelRequest, _: NoParams) -> RecordingLabels:
    """Mains and rate where they disagree, and the reference as stated.

    Raises
    ------
    CorpusError
        ``bad_labels`` if a sidecar is no JSON object.
    """
    said = merged_json(request.path, SOURCE)
    if not said:
        return RecordingLabels((Label("file", "eeg_sidecar", "missing", "no sidecar"),))
    reference = reference_word(said.get("EEGReference"))
    labels = (
        Label("file", "reference_sidecar", reference, SOURCE),
        _line(request, said.get("PowerLineFrequency")),
        _rate(request, said.get("SamplingFrequency")),
    )
    return RecordingLabels(tuple(label for label in labels if label))
