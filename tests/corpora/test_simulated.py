"""The simulator: its truth matches its signal, and one seed gives one corpus."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dagster_project.corpora.simulated import artifacts, transients
from dagster_project.corpora.simulated.background import posterior_rhythm_uv
from dagster_project.corpora.simulated.config import RATES_PER_MIN, SimulatorConfig
from dagster_project.corpora.simulated.geometry import (
    REFERENCES,
    electrode_positions,
    field_of,
    reference_matrix,
)
from dagster_project.corpora.simulated.patch import Patch, plant
from dagster_project.corpora.simulated.subject import SimulatedSubject, simulate_subject
from detectors.types import CANONICAL19, ExpertEvent
from detectors.vocabulary import KINDS

FS = 256.0


@pytest.fixture(scope="module")
def subjects() -> list[SimulatedSubject]:
    config = SimulatorConfig(minutes_per_recording=1.0)
    return [simulate_subject(11, i, config) for i in range(1, 9)]


def measure(event: ExpertEvent, name: str) -> float:
    return {m.name: m.value for m in event.measures}[name]


def rows(*names: str) -> list[int]:
    return [CANONICAL19.index(n) for n in names]


def band_rms(signal: NDArray[np.float64], low_hz: float, high_hz: float) -> float:
    freqs = np.fft.rfftfreq(signal.shape[-1], 1 / FS)
    power = np.abs(np.fft.rfft(signal)) ** 2 / signal.shape[-1] ** 2
    return float(np.sqrt(2 * power[(freqs >= low_hz) & (freqs <= high_hz)].sum()))


def test_same_seed_gives_the_same_subject_and_another_seed_another() -> None:
    config = SimulatorConfig(minutes_per_recording=0.5)
    first, again = simulate_subject(3, 2, config), simulate_subject(3, 2, config)
    other = simulate_subject(4, 2, config)
    for a, b, c in zip(first.recordings, again.recordings, other.recordings, strict=True):
        np.testing.assert_array_equal(a.data_uv, b.data_uv)
        assert a.events == b.events
        assert not np.array_equal(a.data_uv, c.data_uv)


def test_every_kind_the_simulator_promises_is_planted(subjects: list[SimulatedSubject]) -> None:
    kinds = {e.kind for s in subjects for r in s.recordings for e in r.events}
    promised = (set(RATES_PER_MIN) - {"vertex", "rhythm"}) | {"flat", "mains", "posterior_rhythm"}
    assert kinds == promised
    assert kinds <= set(KINDS)


def test_events_lie_in_their_recording_and_name_known_channels(
    subjects: list[SimulatedSubject],
) -> None:
    for subject in subjects:
        for recording in subject.recordings:
            for event in recording.events:
                assert 0 <= event.t0_s < event.t1_s <= recording.data_uv.shape[1] / FS
                assert event.channels
                assert set(event.channels) <= set(CANONICAL19)


def test_exclusive_events_of_a_recording_do_not_overlap(subjects: list[SimulatedSubject]) -> None:
    free = {"slow_wave", "mains", "flat", "posterior_rhythm"}
    for subject in subjects:
        for recording in subject.recordings:
            events = [e for e in recording.events if e.kind not in free]
            for a, b in itertools.pairwise(events):
                assert b.t0_s >= a.t1_s - 1 / FS, (a.kind, b.kind)


def test_flat_channels_are_exactly_constant_and_hide_the_events_on_them(
    subjects: list[SimulatedSubject],
) -> None:
    seen = 0
    for subject in subjects:
        for recording in subject.recordings:
            for flat in (e for e in recording.events if e.kind == "flat"):
                seen += 1
                row = CANONICAL19.index(flat.channels[0])
                inside = recording.data_uv[row, round(flat.t0_s * FS) : round(flat.t1_s * FS)]
                assert np.ptp(inside) == 0.0
                for event in recording.events:
                    is_over = event.t0_s < flat.t1_s and flat.t0_s < event.t1_s
                    if is_over and event.kind not in ("flat", "mains", "posterior_rhythm"):
                        assert flat.channels[0] not in event.channels
    assert seen


def test_background_amplitude_and_neighbour_correlation_are_those_of_a_scalp(
    subjects: list[SimulatedSubject],
) -> None:
    quiet = SimulatorConfig(
        minutes_per_recording=1.0, rates_per_min=dict.fromkeys(RATES_PER_MIN, 0.0)
    )
    subject = next(
        s
        for s in (simulate_subject(5, i, quiet) for i in range(1, 30))
        if s.traits.reference == "distant" and not s.traits.flat_channel and not s.traits.ecg_uv
    )
    for recording in subject.recordings:
        rms = recording.data_uv.std(axis=1)
        assert 3.0 < np.median(rms) < 40.0
        correlation = np.atleast_2d(np.corrcoef(recording.data_uv))
        near = correlation[rows("F3")[0], rows("Fz")[0]]
        far = correlation[rows("F7")[0], rows("O2")[0]]
        assert near > 0.35
        assert near > far + 0.2


def test_alpha_blocks_when_the_eyes_open() -> None:
    closed = np.repeat([1.0, 0.0, 1.0], round(10 * FS))
    signal = posterior_rhythm_uv(np.random.default_rng(0), 10.0, 50.0, closed, FS)
    o1 = signal[rows("O1")[0]]
    n = round(10 * FS)
    shut, opened = band_rms(o1[1000 : n - 500], 8, 12), band_rms(o1[n + 500 : 2 * n - 500], 8, 12)
    assert opened < 0.25 * shut
    frontal = signal[rows("Fp1")[0]]
    assert band_rms(frontal[1000 : n - 500], 8, 12) < 0.2 * shut


@pytest.mark.parametrize("reference", REFERENCES)
def test_truth_amplitude_is_that_of_the_signal_added(reference: str) -> None:
    silent = np.zeros((19, 2048))
    patch = transients.spike(np.random.default_rng(1), FS, 100.0, "T7")
    data, event = plant(silent, patch, 3.0, FS, reference_matrix(reference))
    core = data[:, round(event.t0_s * FS) : round(event.t1_s * FS)]
    for name in event.channels:
        inside = core[CANONICAL19.index(name)]
        expected = max(inside.max(), 0) - min(inside.min(), 0)
        assert measure(event, f"p2p_uv:{name}") == pytest.approx(expected, abs=0.01)
    assert event.channels[0] == "T7"
    assert not silent.any()


@pytest.mark.parametrize(
    ("draw", "low_s", "high_s"),
    [
        (transients.spike, 0.02, 0.07),
        (transients.sharp, 0.07, 0.2),
        (transients.spike_wave, 0.2, 0.6),
        (transients.spindle, 0.5, 3.0),
        (transients.kcomplex, 0.5, 2.0),
        (transients.slow_wave, 0.5, 2.0),
        (artifacts.blink, 0.2, 0.5),
        (artifacts.muscle, 0.2, 3.0),
    ],
    ids=["spike", "sharp", "spsw", "spindle", "kcomplex", "slow_wave", "blink", "muscle"],
)
def test_durations_and_amplitudes_keep_their_definition(
    draw: object, low_s: float, high_s: float
) -> None:
    assert callable(draw)
    for seed in range(40):
        patch: Patch = draw(np.random.default_rng(seed), FS, 90.0)
        assert low_s <= patch.duration_s <= high_s
        assert np.ptp(patch.samples_uv, axis=1).max() == pytest.approx(90.0, rel=0.6)
        shapes = {draw(np.random.default_rng(s), FS, 90.0).samples_uv.tobytes() for s in (1, 2)}
        assert len(shapes) == 2


def test_a_spindle_raises_sigma_power_over_central_more_than_occipital_electrodes() -> None:
    rng = np.random.default_rng(2)
    patch = transients.spindle(rng, FS, 45.0, "Cz")
    noise = 4.0 * rng.standard_normal((19, round(8 * FS)))
    data, event = plant(noise, patch, 4.0, FS)
    inside = slice(round(event.t0_s * FS), round(event.t1_s * FS))
    cz, o1 = rows("Cz")[0], rows("O1")[0]
    before = slice(0, inside.stop - inside.start)
    assert band_rms(data[cz, inside], 11, 16) > 3 * band_rms(data[cz, before], 11, 16)
    assert band_rms(data[cz, inside], 11, 16) > 2 * band_rms(data[o1, inside], 11, 16)
    freqs = np.fft.rfftfreq(4096, 1 / FS)
    peak = freqs[np.argmax(np.abs(np.fft.rfft(patch.samples_uv[cz], 4096)))]
    assert peak == pytest.approx(measure(event, "frequency_hz"), abs=1.0)


def test_a_blink_is_positive_frontopolar_and_falls_steeply_backwards() -> None:
    for seed in range(10):
        patch = artifacts.blink(np.random.default_rng(seed), FS, 150.0)
        _, event = plant(np.zeros((19, 1024)), patch, 1.0, FS)
        assert set(event.channels[:2]) == {"Fp1", "Fp2"}
        assert measure(event, "sign:Fp1") == measure(event, "sign:Fp2") == 1.0
        p2p = np.ptp(patch.samples_uv, axis=1)
        assert p2p[rows("Fp1")[0]] / p2p[rows("Cz")[0]] >= 3


@pytest.mark.parametrize(("direction", "f8"), [("right", 1.0), ("left", -1.0)])
def test_a_lateral_eye_movement_has_opposite_signs_at_f7_and_f8(direction: str, f8: float) -> None:
    patch = artifacts.lateral_eye(np.random.default_rng(0), FS, 80.0, direction)
    _, event = plant(np.zeros((19, 1024)), patch, 1.0, FS)
    assert measure(event, "sign:F8") == f8
    assert measure(event, "sign:F7") == -f8
    signal = patch.samples_uv
    assert np.corrcoef(signal[rows("F7")[0]], signal[rows("F8")[0]])[0, 1] < -0.6


def test_muscle_lies_above_20_hz_and_a_pop_on_one_electrode() -> None:
    rng = np.random.default_rng(0)
    burst = artifacts.muscle(rng, FS, 150.0, "left temporalis").samples_uv[rows("T7")[0]]
    assert band_rms(burst, 25, 120) > 5 * band_rms(burst, 0.1, 15)
    pop = artifacts.electrode_pop(rng, FS, 150.0, "P3")
    assert np.flatnonzero(np.ptp(pop.samples_uv, axis=1)).tolist() == rows("P3")
    step = np.abs(pop.samples_uv[rows("P3")[0]])
    assert step[: round(0.02 * FS)].max() > 50


@given(st.sampled_from(CANONICAL19), st.floats(20, 60), st.sampled_from(REFERENCES))
@settings(max_examples=40, deadline=None)
def test_fields_have_one_maximum_and_decay(name: str, width: float, reference: str) -> None:
    focus = electrode_positions()[CANONICAL19.index(name)]
    field = field_of(focus, width)
    assert CANONICAL19[int(np.argmax(field))] == name
    order = np.argsort(np.arccos(np.clip(electrode_positions() @ focus, -1, 1)))
    assert np.all(np.diff(field[order]) <= 1e-12)
    assert np.isfinite(reference_matrix(reference) @ field).all()


@pytest.mark.parametrize(
    "change",
    [
        {"n_subjects": 0},
        {"minutes_per_recording": 0.05},
        {"sfreq_hz": 100},
        {"line_freq_hz": 55.0},
        {"states": ("rem",)},
        {"rates_per_min": {"blink": 1.0}},
    ],
    ids=lambda c: next(iter(c)),
)
def test_a_bad_configuration_is_refused_with_what_is_allowed(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        replace(SimulatorConfig(), **change)  # type: ignore[arg-type]


def test_an_event_that_does_not_fit_is_refused() -> None:
    patch = transients.spindle(np.random.default_rng(0), FS, 40.0)
    with pytest.raises(ValueError, match="choose a time"):
        plant(np.zeros((19, 512)), patch, 1.8, FS)
