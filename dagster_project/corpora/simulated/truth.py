"""The truth sidecar: every planted event of a recording, written beside it and read back.

One :class:`~detectors.types.ExpertEvent` per event, times in seconds of the recording, source
``simulator@2``. What an event's measures hold:

``duration_s``
    Foot to foot, so that a reader of a part of the recording knows whether it sees all of it.
``p2p_uv:<channel>``, ``sign:<channel>``
    Peak-to-peak of the planted waveform as recorded (after the recording's reference) and the sign
    of its larger excursion, +1 or -1; channels are listed by falling amplitude.
``frequency_hz``, ``spike_s``, ``direction``, ``rms_uv:<channel>``
    What the generator drew, where the kind has it; a lateral eye movement's direction is +1 to the
    right. ``p2p_uv`` of a posterior rhythm is its typical fullest amplitude at O1 and O2.

A channel that is flat during an event is not listed in it. Which channels are boxed for the
waveform detector is decided in :mod:`detectors.waveform.boxes`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dagster_project.corpora.simulated.config import SimulatorConfig
from dagster_project.corpora.simulated.patch import SOURCE
from dagster_project.corpora.simulated.subject import SimulatedRecording, SubjectTraits
from detectors.types import CANONICAL19, ExpertEvent, Measure
from detectors.vocabulary import KINDS, WAVEFORMS

_WAVEFORM_OF_KIND = {w.kind: name for name, w in WAVEFORMS.items() if w.kind != "lateral_eye"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MeasureTruth(_Strict):
    """One measured value."""

    name: str
    value: float
    unit: str


class EventTruth(_Strict):
    """One planted event; ``waveform`` is its detector class, or empty where it has none of its own.

    A lateral eye movement has two classes, told apart per channel by the sign measure.
    """

    kind: str
    waveform: str
    channels: tuple[str, ...]
    t0_s: Annotated[float, Field(ge=0)]
    t1_s: float
    measures: tuple[MeasureTruth, ...]


class IntervalTruth(_Strict):
    """A condition: ``eyes_open``, ``eyes_closed``, ``N2`` or ``N3``."""

    name: str
    t0_s: float
    t1_s: float


class StateTruth(_Strict):
    """What the whole recording is like."""

    alpha_hz: float
    alpha_uv: float
    exponent: float
    rms_uv: float
    reference: str
    ecg_uv: float
    heart_rate_hz: float
    line_freq_hz: float
    mains_uv_rms: dict[str, float]
    intervals: tuple[IntervalTruth, ...]


class RecordingTruth(_Strict):
    """A whole sidecar."""

    source: str
    state: str
    sfreq_hz: int
    duration_s: int
    background: StateTruth
    events: tuple[EventTruth, ...]


def truth_of(
    recording: SimulatedRecording, traits: SubjectTraits, config: SimulatorConfig
) -> RecordingTruth:
    """Return the sidecar of one recording."""
    is_asleep = any(i.name in ("N2", "N3") for i in recording.intervals)
    ongoing = traits.sleep if is_asleep else traits.wake
    return RecordingTruth(
        source=SOURCE,
        state=recording.state,
        sfreq_hz=config.sfreq_hz,
        duration_s=config.duration_s,
        background=StateTruth(
            alpha_hz=round(traits.alpha_hz, 4),
            alpha_uv=round(traits.alpha_uv, 2),
            exponent=round(ongoing.exponent, 4),
            rms_uv=round(ongoing.rms_uv, 3),
            reference=traits.reference,
            ecg_uv=round(traits.ecg_uv, 2),
            heart_rate_hz=round(traits.heart_rate_hz, 4),
            line_freq_hz=config.line_freq_hz,
            mains_uv_rms=dict(zip(CANONICAL19, traits.mains_uv_rms, strict=True)),
            intervals=tuple(
                IntervalTruth(name=i.name, t0_s=i.t0_s, t1_s=i.t1_s) for i in recording.intervals
            ),
        ),
        events=tuple(_event(e) for e in recording.events),
    )


def _event(event: ExpertEvent) -> EventTruth:
    return EventTruth(
        kind=event.kind,
        waveform=_WAVEFORM_OF_KIND.get(event.kind, ""),
        channels=event.channels,
        t0_s=event.t0_s,
        t1_s=event.t1_s,
        measures=tuple(
            MeasureTruth(name=m.name, value=m.value, unit=m.unit) for m in event.measures
        ),
    )


def truth_json(truth: RecordingTruth) -> bytes:
    """Return a sidecar's bytes: the same truth gives the same bytes."""
    return (json.dumps(truth.model_dump(mode="json"), indent=1) + "\n").encode()


def read_truth(path: Path) -> RecordingTruth:
    """Read and check a sidecar.

    Raises
    ------
    ValueError
        If the file is no sidecar, or an event names an unknown kind or channel or is empty; the
        message names the file and the field.
    """
    try:
        truth = RecordingTruth.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"truth sidecar {path.name}: {where}: {first['msg']}") from error
    for i, event in enumerate(truth.events):
        unknown = set(event.channels) - set(CANONICAL19)
        if event.kind not in KINDS or unknown or not event.t0_s < event.t1_s <= truth.duration_s:
            raise ValueError(
                f"truth sidecar {path.name}: event {i} has kind {event.kind!r}, unknown channels "
                f"{sorted(unknown)} and lasts [{event.t0_s}, {event.t1_s}) s of "
                f"{truth.duration_s} s; write the corpus again"
            )
    return truth


def truth_events(path: Path) -> tuple[ExpertEvent, ...]:
    """Read the planted events of a recording, by onset, times in seconds of the recording.

    Raises
    ------
    ValueError
        As :func:`read_truth`.
    """
    truth = read_truth(path)
    return tuple(
        ExpertEvent(
            e.kind,
            e.channels,
            e.t0_s,
            e.t1_s,
            truth.source,
            tuple(Measure(m.name, m.value, m.unit) for m in e.measures),
        )
        for e in truth.events
    )
