"""One simulated person: what stays the same over their recordings, and how a recording is made.

A person keeps their posterior rhythm, background, reference scheme, foci and mains pick-up over
all states; events are drawn anew for each recording. Everything follows from the configuration's
seed and the subject's index. Files are written by ``writer``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dagster_project.corpora.simulated import artifacts, transients
from dagster_project.corpora.simulated.background import (
    Background,
    background_uv,
    posterior_rhythm_uv,
)
from dagster_project.corpora.simulated.config import STATES, SimulatorConfig
from dagster_project.corpora.simulated.geometry import (
    REFERENCES,
    FloatArray,
    reference_matrix,
)
from dagster_project.corpora.simulated.patch import SOURCE, Patch, plant_into
from dagster_project.corpora.simulated.schedule import Schedule
from detectors.types import CANONICAL19, ExpertEvent, Measure

_FOCI = ("F7", "F8", "T7", "T8", "T7", "T8", "C3", "C4", "F3", "F4", "P7", "P8", "O1", "O2", "P3")
_GENERALISED_WIDTH_DEG = 75.0
_EDGE_S = 0.3
_MAINS_LISTED_UV_RMS = 1.0
_LASTING_KINDS = ("mains", "posterior_rhythm")
"""Kinds that last so long that a channel flat for a part of it still shows them."""

_BRAIN_KINDS = (
    "spindle", "kcomplex", "slow_wave", "vertex", "rhythm", "spike", "sharp", "spsw",
)  # fmt: skip
"""Kinds whose amplitude goes with that of the subject's background, as skull and scalp scale both."""

_TYPICAL_RMS_UV = 9.0

_RUN_CHANCE = 0.3
_RUN_HZ = (2.6, 3.8)
_RUN_LENGTH = (3, 9)
"""Runs of spike-and-wave: how often, how fast (about 3 Hz), how many complexes."""


@dataclass(frozen=True, slots=True)
class SubjectTraits:
    """What stays the same over a subject's recordings.

    Parameters
    ----------
    alpha_hz, alpha_uv
        Posterior rhythm: frequency and typical peak-to-peak at O1 and O2.
    wake, sleep
        Ongoing activity by vigilance.
    reference
        Reference scheme of the recordings.
    foci
        Electrodes of the spike, sharp-wave and spike-and-wave foci.
    is_generalised
        Whether spike-and-wave complexes are generalised rather than focal.
    is_epileptiform_asleep
        Whether the epileptiform recording is made in sleep.
    mains_uv_rms
        Mains pick-up by electrode, shape (19,).
    flat_channel
        Electrode that goes flat at times, or ``""``.
    ecg_uv, heart_rate_hz
        Heartbeat picked up by the scalp electrodes; 0 in most subjects.
    """

    alpha_hz: float
    alpha_uv: float
    wake: Background
    sleep: Background
    reference: str
    foci: tuple[str, str, str]
    is_generalised: bool
    is_epileptiform_asleep: bool
    mains_uv_rms: tuple[float, ...]
    flat_channel: str
    ecg_uv: float
    heart_rate_hz: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of a recording in one condition: ``eyes_open``, ``eyes_closed``, ``N2``, ``N3``."""

    name: str
    t0_s: float
    t1_s: float


@dataclass(frozen=True, slots=True)
class SimulatedRecording:
    """One recording with its truth.

    Parameters
    ----------
    state
        One of :data:`~dagster_project.corpora.simulated.config.STATES`.
    data_uv
        float64, shape (19, n_times), canonical order.
    events
        Every planted event, by onset.
    intervals
        Conditions that cover the recording.
    """

    state: str
    data_uv: FloatArray
    events: tuple[ExpertEvent, ...]
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class SimulatedSubject:
    """A subject's traits and recordings."""

    index: int
    traits: SubjectTraits
    recordings: tuple[SimulatedRecording, ...]


def simulate_subject(
    seed: int, index: int, config: SimulatorConfig | None = None
) -> SimulatedSubject:
    """Simulate all recordings of one subject.

    Parameters
    ----------
    seed
        Seed of the corpus; overrides the configuration's.
    index
        Subject number from 1. Subjects with different numbers are independent.
    config
        Sizes, rates and amplitudes; the default configuration where not given.
    """
    config = config or SimulatorConfig()
    traits = draw_traits(np.random.default_rng([seed, index]))
    recordings = tuple(
        _record(
            np.random.default_rng([seed, index, 1 + STATES.index(state)]), traits, state, config
        )
        for state in config.states
    )
    return SimulatedSubject(index, traits, recordings)


def draw_traits(rng: np.random.Generator) -> SubjectTraits:
    """Draw one subject.

    Posterior rhythm: 8-12.5 Hz, 10-80 uV, absent in a few (``clinical.md`` 3.2); a tenth lies at
    11.5 Hz or above, where spindle detectors are known to err.
    """
    has_alpha = rng.random() > 0.05
    first, second, third = (str(rng.choice(_FOCI)) for _ in range(3))
    is_generalised = rng.random() < 0.4
    mains = rng.gamma(0.8, 0.9) * rng.lognormal(0.0, 0.6, size=19)
    return SubjectTraits(
        alpha_hz=float(np.clip(rng.normal(10.1, 1.0), 8.0, 12.5)),
        alpha_uv=float(np.clip(rng.lognormal(np.log(38), 0.4), 12, 95)) if has_alpha else 3.0,
        wake=Background(
            exponent=rng.uniform(1.1, 1.7),
            rms_uv=float(np.clip(rng.lognormal(np.log(8.5), 0.4), 4.5, 24)),
            beta_uv=rng.uniform(0.8, 3.0),
            noise_uv=rng.uniform(0.4, 1.4),
        ),
        sleep=Background(
            exponent=rng.uniform(1.35, 2.0),
            rms_uv=float(np.clip(rng.lognormal(np.log(10.5), 0.35), 6, 26)),
            beta_uv=rng.uniform(0.5, 1.4),
            noise_uv=rng.uniform(0.3, 0.9),
        ),
        reference=str(rng.choice(REFERENCES)),
        foci=(first, second, "Fz" if is_generalised else third),
        is_generalised=bool(is_generalised),
        is_epileptiform_asleep=bool(rng.random() < 0.4),
        mains_uv_rms=tuple(np.round(mains, 3).tolist()),
        flat_channel=str(rng.choice(CANONICAL19)) if rng.random() < 0.2 else "",
        ecg_uv=rng.uniform(8.0, 60.0) if rng.random() < 0.3 else 0.0,
        heart_rate_hz=rng.uniform(0.85, 1.7),
    )


def _record(
    rng: np.random.Generator, traits: SubjectTraits, state: str, config: SimulatorConfig
) -> SimulatedRecording:
    sfreq_hz, n_times = float(config.sfreq_hz), config.n_samples
    is_asleep = state == "sleep" or (state == "epileptiform" and traits.is_epileptiform_asleep)
    intervals = _conditions(rng, config.duration_s, is_asleep, state)
    data = background_uv(rng, traits.sleep if is_asleep else traits.wake, n_times, sfreq_hz)
    closed = np.zeros(n_times)
    for interval in intervals:
        if interval.name == "eyes_closed":
            closed[round(interval.t0_s * sfreq_hz) : round(interval.t1_s * sfreq_hz)] = 1.0
    events: list[ExpertEvent] = []
    if not is_asleep:
        data += posterior_rhythm_uv(rng, traits.alpha_hz, traits.alpha_uv, closed, sfreq_hz)
        events += _posterior_events(traits, intervals)
    if traits.ecg_uv:
        data += artifacts.heartbeat_uv(rng, n_times, sfreq_hz, traits.ecg_uv, traits.heart_rate_hz)
    data = reference_matrix(traits.reference) @ data
    schedule = Schedule(intervals, config.duration_s)
    gain = _gain_of(traits.sleep if is_asleep else traits.wake)
    events += _plant_all(rng, data, traits, schedule, state, gain, config)
    events += _mains(rng, data, traits, config)
    flat = _flat(rng, data, traits, config)
    events = flat + [e for e in (_without(e, flat) for e in events) if e.channels]
    events.sort(key=lambda e: (e.t0_s, e.kind, e.channels))
    return SimulatedRecording(state, data, tuple(events), intervals)


def _conditions(
    rng: np.random.Generator, duration_s: int, is_asleep: bool, state: str
) -> tuple[Interval, ...]:
    """Cover a recording with eye conditions (wake) or sleep stages (asleep)."""
    names = ("N2", "N3") if is_asleep else ("eyes_closed", "eyes_open")
    spans = (20.0, 40.0) if is_asleep else (8.0, 22.0)
    start, which = 0.0, int(rng.random() < 0.3)
    if state == "epileptiform":
        which = 0
    out: list[Interval] = []
    while start < duration_s:
        stop = min(float(duration_s), round(start + rng.uniform(*spans), 2))
        if duration_s - stop < 3.0:
            stop = float(duration_s)
        out.append(Interval(names[which], start, stop))
        start, which = stop, 1 - which
    return tuple(out)


def _posterior_events(traits: SubjectTraits, intervals: tuple[Interval, ...]) -> list[ExpertEvent]:
    """Return the posterior rhythm of every eyes-closed stretch, where the subject has one."""
    channels = ("O1", "O2", "P3", "P4", "P7", "P8")
    measures = (
        Measure("frequency_hz", round(traits.alpha_hz, 4), "Hz"),
        Measure("p2p_uv", round(traits.alpha_uv, 2), "uV"),
    )
    if traits.alpha_uv < 10.0:
        return []
    return [
        ExpertEvent("posterior_rhythm", channels, i.t0_s, i.t1_s, SOURCE, measures)
        for i in intervals
        if i.name == "eyes_closed"
    ]


_Draw = Callable[[np.random.Generator, SubjectTraits, float, float], Patch]

_GENERALISED = {"width_deg": _GENERALISED_WIDTH_DEG}

_DRAW: dict[str, _Draw] = {
    "blink": lambda rng, _, fs, a: artifacts.blink(rng, fs, a),
    "lateral_eye": lambda rng, _, fs, a: artifacts.lateral_eye(rng, fs, a),
    "muscle": lambda rng, _, fs, a: artifacts.muscle(rng, fs, a),
    "electrode_pop": lambda rng, _, fs, a: artifacts.electrode_pop(rng, fs, a),
    "movement": lambda rng, _, fs, a: artifacts.movement(rng, fs, a),
    "rhythm": lambda rng, _, fs, a: transients.rhythmic_burst(
        rng, fs, a, str(rng.choice(("Fz", "Cz", "C3", "C4", "Pz", "P3", "P4", "T7", "T8", "F3")))
    ),
    "spindle": lambda rng, _, fs, a: transients.spindle(rng, fs, a),
    "kcomplex": lambda rng, _, fs, a: transients.kcomplex(
        rng, fs, a, str(rng.choice(("Fz", "Fz", "Cz", "F3", "F4")))
    ),
    "slow_wave": lambda rng, _, fs, a: transients.slow_wave(
        rng, fs, a, str(rng.choice(("Fz", "F3", "F4")))
    ),
    "vertex": lambda rng, _, fs, a: transients.vertex_wave(rng, fs, a),
    "spike": lambda rng, traits, fs, a: transients.spike(rng, fs, a, traits.foci[0]),
    "sharp": lambda rng, traits, fs, a: transients.sharp(rng, fs, a, traits.foci[1]),
    "spsw": lambda rng, traits, fs, a: transients.spike_wave(
        rng, fs, a, traits.foci[2], **(_GENERALISED if traits.is_generalised else {})
    ),
}
"""How each planned kind becomes a patch for one subject."""


def _gain_of(background: Background) -> float:
    return float(np.clip(background.rms_uv / _TYPICAL_RMS_UV, 0.8, 1.9))


def _plant_all(
    rng: np.random.Generator,
    data: FloatArray,
    traits: SubjectTraits,
    schedule: Schedule,
    state: str,
    gain: float,
    config: SimulatorConfig,
) -> list[ExpertEvent]:
    """Plant every event of a recording in place and return the labelled ones."""
    reference, events = reference_matrix(traits.reference), []
    for kind, count in schedule.counts(rng, state, config):
        for _ in range(count):
            train = _draw(rng, traits, kind, gain, config)
            last, offset_s = train[-1]
            start_s = schedule.place(rng, kind, train[0][0].lead_s + offset_s + last.duration_s)
            if start_s is None:
                continue
            for patch, after_s in train:
                t0_s = start_s + patch.lead_s + after_s
                event = plant_into(data, patch, t0_s, float(config.sfreq_hz), reference)
                if event.kind:
                    events.append(event)
    return events


def _draw(
    rng: np.random.Generator,
    traits: SubjectTraits,
    kind: str,
    gain: float,
    config: SimulatorConfig,
) -> list[tuple[Patch, float]]:
    """Draw one event, or a run of complexes back to back, with the offset of each."""
    low, high = config.amplitudes_uv[kind]
    amplitude_uv = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    if kind in _BRAIN_KINDS:
        amplitude_uv *= gain
    patch = _DRAW[kind](rng, traits, float(config.sfreq_hz), amplitude_uv)
    if kind != "spsw" or rng.random() > _RUN_CHANCE:
        return [(patch, 0.0)]
    period_s = max(1.0 / rng.uniform(*_RUN_HZ), patch.duration_s)
    measures = (*patch.measures, Measure("frequency_hz", round(1.0 / period_s, 4), "Hz"))
    return [
        (
            replace(
                patch, samples_uv=patch.samples_uv * rng.uniform(0.85, 1.15), measures=measures
            ),
            k * period_s,
        )
        for k in range(int(rng.integers(*_RUN_LENGTH)))
    ]


def _mains(
    rng: np.random.Generator, data: FloatArray, traits: SubjectTraits, config: SimulatorConfig
) -> list[ExpertEvent]:
    """Add mains in place; it is listed where it reaches 1 uV rms."""
    rms = np.asarray(traits.mains_uv_rms)
    t = np.arange(data.shape[1]) / config.sfreq_hz
    phase = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.3, size=(19, 1))
    data += np.sqrt(2) * rms[:, np.newaxis] * np.sin(2 * np.pi * config.line_freq_hz * t + phase)
    listed = [i for i in np.argsort(-rms, kind="stable") if rms[i] >= _MAINS_LISTED_UV_RMS]
    if not listed:
        return []
    names = tuple(CANONICAL19[i] for i in listed)
    measures = (
        Measure("frequency_hz", config.line_freq_hz, "Hz"),
        *(Measure(f"rms_uv:{CANONICAL19[i]}", round(float(rms[i]), 3), "uV") for i in listed),
    )
    return [ExpertEvent("mains", names, 0.0, float(config.duration_s), SOURCE, measures)]


def _flat(
    rng: np.random.Generator, data: FloatArray, traits: SubjectTraits, config: SimulatorConfig
) -> list[ExpertEvent]:
    """Make the subject's failing electrode constant for a while, in place, over everything else."""
    if not traits.flat_channel:
        return []
    length_s = rng.uniform(0.15, 0.5) * config.duration_s
    t0_s = rng.uniform(_EDGE_S, config.duration_s - length_s)
    first, last = round(t0_s * config.sfreq_hz), round((t0_s + length_s) * config.sfreq_hz)
    data[CANONICAL19.index(traits.flat_channel), first:last] = 0.0
    bounds = (round(first / config.sfreq_hz, 6), round(last / config.sfreq_hz, 6))
    return [ExpertEvent("flat", (traits.flat_channel,), *bounds, SOURCE)]


def _without(event: ExpertEvent, flat: list[ExpertEvent]) -> ExpertEvent:
    """Return an event without the channels that are flat during a part of it."""
    if event.kind in _LASTING_KINDS:
        return event
    hidden = {
        name for f in flat if f.t0_s < event.t1_s and event.t0_s < f.t1_s for name in f.channels
    }
    return replace(
        event,
        channels=tuple(c for c in event.channels if c not in hidden),
        measures=tuple(m for m in event.measures if m.name.partition(":")[2] not in hidden),
    )
