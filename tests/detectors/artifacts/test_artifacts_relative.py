"""Artifacts told by how far they stand out of their page, and what they hide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from planted_signals import (
    BLINK_FIELD,
    EVEN_FIELD,
    LATERAL_FIELD,
    TIME_S,
    add,
    batch_of,
    bell,
    noise,
    plateau,
    rhythm,
)
from scipy import signal

from detectors.artifacts.cardiac import beat_times_s
from detectors.artifacts.chain import find_artifacts, hiding_rows, scan_artifacts
from detectors.montage import mirror_rows
from detectors.signal.spectra import spectral_features
from detectors.types import CANONICAL19, Finding, Measure, RuleResult, SegmentBatch

LEFT_FIELD = {"T7": 1.0, "F7": 0.8, "P7": 0.7, "C3": 0.7, "F3": 0.6, "P3": 0.6, "Fz": 0.4,
              "Cz": 0.4, "O1": 0.5}  # fmt: skip


def found_in(batch: SegmentBatch) -> RuleResult:
    return find_artifacts(batch, spectral_features(batch))


def of_kind(result: RuleResult, kind: str) -> list[Finding]:
    return [f for f in result.findings if f.kind == kind]


def reason_of(result: RuleResult, kind: str) -> str:
    return next(j.reason for j in result.judgements if j.kind == kind)


def fast_noise(rms_uv: float, seed: int = 0, high_hz: float = 70) -> NDArray[np.float64]:
    white = np.random.default_rng(seed).standard_normal(TIME_S.size)
    wave = signal.sosfiltfilt(
        signal.butter(4, [30, high_hz], "bandpass", fs=200, output="sos"), white
    )
    return rms_uv * wave / wave.std()


def pop(step_uv: float, at_s: float, tau_s: float = 0.4) -> NDArray[np.float64]:
    return step_uv * (at_s <= TIME_S) * np.exp(-(TIME_S - at_s).clip(0) / tau_s)


def beats(rate_hz: float, peak_uv: float, start_s: float = 0.3) -> NDArray[np.float64]:
    times = np.arange(start_s, 9.9, 1 / rate_hz)
    return np.sum([bell(peak_uv, float(t), 0.03) for t in times], axis=0)


SMALL = {
    "blink": (bell(30, 5.0, 0.16), BLINK_FIELD, 4.9),
    "lateral_eye": (plateau(16, 4.0, 5.2, 0.06), LATERAL_FIELD, 4.0),
    "electrode_pop": (pop(24, 4.2), {"C4": 1.0}, 4.2),
    "muscle": (fast_noise(4) * ((TIME_S > 3) & (TIME_S < 4.5)), {"T7": 1.0, "F7": 0.7}, 3.0),
}


@pytest.mark.parametrize("kind", SMALL)
def test_on_a_quiet_page_small_artifacts_are_found_and_hide_nothing(kind: str) -> None:
    wave, field, start_s = SMALL[kind]
    batch = batch_of(add(noise(1, rms_uv=6, exponent=1.6), wave, field))
    scan = scan_artifacts(batch, spectral_features(batch))
    (finding,) = of_kind(scan.result, kind)
    assert finding.t0_s == pytest.approx(start_s, abs=0.25)
    assert finding.measure("reaches_definition") == 0.0
    assert hiding_rows(finding) == ()
    assert scan.usable.all()


@pytest.mark.parametrize("kind", SMALL)
def test_the_same_artifact_is_lost_in_a_larger_background(kind: str) -> None:
    wave, field, _ = SMALL[kind]
    loud = batch_of(add(noise(1, rms_uv=24, exponent=1.6), wave / 2, field))
    assert not of_kind(found_in(loud), kind)


@pytest.mark.parametrize("kind", SMALL)
def test_size_relative_to_the_background_is_what_counts(kind: str) -> None:
    wave, field, _ = SMALL[kind]
    page = add(noise(1, rms_uv=6, exponent=1.6), wave, field)
    one, two = (of_kind(found_in(batch_of(gain * page)), kind) for gain in (1, 2))
    assert one
    assert [f.channels[0] for f in two] == [f.channels[0] for f in one]
    assert [f.t0_s for f in two] == pytest.approx([f.t0_s for f in one], abs=0.11)
    ratio = two[0].measure("background_ratio")
    assert ratio == pytest.approx(one[0].measure("background_ratio"), rel=0.1)


@pytest.mark.parametrize("kind", SMALL)
def test_what_all_rows_share_through_the_reference_changes_nothing(kind: str) -> None:
    wave, field, _ = SMALL[kind]
    page = add(noise(1, rms_uv=6, exponent=1.6), wave, field)
    average = page - page.mean(1, keepdims=True)
    one, two = (of_kind(found_in(batch_of(p)), kind) for p in (page, average))
    assert [set(f.channels) for f in two] == [set(f.channels) for f in one]
    assert [f.t0_s for f in two] == pytest.approx([f.t0_s for f in one], abs=0.11)


@pytest.mark.parametrize("kind", SMALL)
def test_a_mirrored_page_has_mirrored_findings(kind: str) -> None:
    wave, field, _ = SMALL[kind]
    page = add(noise(1, rms_uv=6, exponent=1.6), wave, field)
    there, back = (of_kind(found_in(batch_of(p)), kind) for p in (page, page[:, mirror_rows()]))
    order = mirror_rows()
    mirrored = [{CANONICAL19[order[CANONICAL19.index(c)]] for c in f.channels} for f in there]
    assert [set(f.channels) for f in back] == mirrored
    gaze = [-(f.measure("gaze_right") or 0.0) for f in there]
    assert [f.measure("gaze_right") or 0.0 for f in back] == gaze


def test_muscle_below_45_hz_is_found_where_the_source_ends_there() -> None:
    low = signal.butter(6, 45, fs=200, output="sos")
    page = signal.sosfiltfilt(low, noise(1, rms_uv=8, exponent=1.5), axis=-1)
    wave = fast_noise(5, high_hz=44) * ((TIME_S > 3) & (TIME_S < 5))
    batch = batch_of(add(page.astype(np.float32), wave, {"T8": 1.0}), band_hz=(0.1, 45))
    (finding,) = of_kind(found_in(batch), "muscle")
    assert finding.channels == ("T8",)
    assert finding.measure("band_high_hz") == 45.0


def test_a_beta_burst_is_no_muscle() -> None:
    wave = rhythm(24, 40) * ((TIME_S > 3) & (TIME_S < 5))
    data = add(noise(1, rms_uv=8, exponent=1.4), wave, {"C3": 1.0, "F3": 0.7})
    assert not of_kind(found_in(batch_of(data)), "muscle")


def waxing(seed: int) -> NDArray[np.float64]:
    """Slow coming and going between about a third and three times the usual size."""
    slow = signal.butter(2, [0.1, 0.6], "bandpass", fs=200, output="sos")
    wave = signal.sosfiltfilt(slow, np.random.default_rng(seed).standard_normal(3 * TIME_S.size))
    wave = wave[TIME_S.size : 2 * TIME_S.size]
    return np.asarray(np.exp(0.5 * wave / wave.std()))


@pytest.mark.parametrize("exponent", [1.2, 1.4, 1.8])
def test_activity_that_waxes_is_no_muscle(exponent: float) -> None:
    pages = noise(4, rms_uv=12, exponent=exponent) * waxing(1)
    assert len(of_kind(found_in(batch_of(pages)), "muscle")) <= 2


@pytest.mark.parametrize("exponent", [1.2, 1.4, 1.8])
def test_around_a_low_voltage_interval_there_is_no_muscle(exponent: float) -> None:
    quiet = np.where((TIME_S > 3) & (TIME_S < 6), 0.2, 1.0)
    pages = noise(3, rms_uv=12, exponent=exponent) * quiet
    assert not of_kind(found_in(batch_of(pages)), "muscle")


@pytest.mark.parametrize(
    ("measures", "rows"),
    [
        ((), ("T7", "F7")),
        ((Measure("reaches_definition", 1.0, "1"),), ("T7", "F7")),
        ((Measure("reaches_definition", 0.0, "1"),), ()),
        ((Measure("reaches_definition", 0.0, "1"), Measure("n_hiding_rows", 1.0, "1")), ("T7",)),
    ],
    ids=["a-detector's", "large", "small", "one-strong-row"],
)
def test_which_rows_a_finding_hides(measures: tuple[Measure, ...], rows: tuple[str, ...]) -> None:
    assert hiding_rows(Finding("s", "muscle", ("T7", "F7"), 0.0, 1.0, measures)) == rows


@pytest.mark.parametrize("rate_hz", [1.0, 1.2, 1.9])
@pytest.mark.parametrize("sign", [1, -1], ids=["up", "down"])
def test_heartbeats_are_told_by_their_rhythm(rate_hz: float, sign: int) -> None:
    data = add(noise(1, rms_uv=8, exponent=1.4), sign * beats(rate_hz, 40), LEFT_FIELD)
    (finding,) = of_kind(found_in(batch_of(data)), "ecg")
    assert finding.measure("frequency_hz") == pytest.approx(rate_hz, rel=0.04)
    assert finding.measure("rate_bpm") == pytest.approx(60 * rate_hz, rel=0.04)
    assert finding.channels[0] == "T7"
    expected = np.arange(0.3, 9.9, 1 / rate_hz)
    off = [float(np.abs(expected - t).min()) for t in beat_times_s(finding)]
    assert len(off) >= 0.8 * expected.size
    assert max(off) <= 0.03


@pytest.mark.parametrize(
    "wave",
    [
        rhythm(10, 60),
        np.sum([bell(60, t, 0.03) for t in (0.7, 1.1, 2.9, 3.3, 5.6, 6.4, 8.8)], axis=0),
        beats(4.0, 60),
        beats(0.4, 60),
    ],
    ids=["alpha", "irregular", "too-fast", "too-slow"],
)
def test_what_is_no_heartbeat(wave: NDArray[np.float64]) -> None:
    data = add(noise(1, rms_uv=8, exponent=1.4), wave, LEFT_FIELD)
    assert not of_kind(found_in(batch_of(data)), "ecg")


def test_beats_on_one_row_are_no_heartbeat_of_the_page() -> None:
    data = add(noise(1, rms_uv=8, exponent=1.4), beats(1.2, 60), {"T7": 1.0})
    assert not of_kind(found_in(batch_of(data)), "ecg")


def test_a_breath_like_wave_on_one_row_is_a_rhythmic_drift() -> None:
    data = add(noise(1, rms_uv=6), rhythm(0.3, 160), {"T7": 1.0})
    (finding,) = of_kind(found_in(batch_of(data)), "slow_drift")
    assert finding.channels == ("T7",)
    assert finding.measure("is_rhythmic") == 1.0
    assert finding.measure("frequency_hz") == pytest.approx(0.3, abs=0.051)
    assert hiding_rows(replace(finding, kind="mains")) == ("T7",)


def test_a_wandering_baseline_of_many_rows_is_drift_without_a_frequency() -> None:
    wave = 120 * np.sin(2 * np.pi * 0.12 * TIME_S + 0.4) + 60 * np.sin(2 * np.pi * 0.31 * TIME_S)
    rows = dict.fromkeys(("Fp1", "Fp2", "F3", "F4", "F7", "F8"), 1.0)
    (finding,) = of_kind(found_in(batch_of(add(noise(1, rms_uv=6), wave, rows))), "slow_drift")
    assert set(finding.channels) == set(rows)
    assert finding.measure("frequency_hz") is None


@pytest.mark.parametrize("hz", [0.8, 1.5, 3.0])
def test_delta_activity_is_no_drift(hz: float) -> None:
    data = add(noise(1, rms_uv=6), rhythm(hz, 160), EVEN_FIELD)
    assert not of_kind(found_in(batch_of(data)), "slow_drift")


def test_drift_is_not_judged_where_a_high_pass_took_it() -> None:
    result = found_in(batch_of(noise(1), band_hz=(0.5, 70)))
    assert reason_of(result, "slow_drift") == "the source's high-pass takes what is as slow"


@pytest.mark.parametrize("rate_hz", [1.0, 1.8])
def test_chewing_is_regular_bursts_over_the_temples(rate_hz: float) -> None:
    gate = np.sin(2 * np.pi * rate_hz * TIME_S) > 0.3
    data = noise(1, rms_uv=8, exponent=1.4)
    for seed, name in enumerate(("T7", "T8")):
        data = add(data, fast_noise(25, seed) * gate, {name: 1.0})
    (finding,) = of_kind(found_in(batch_of(data)), "chewing")
    assert set(finding.channels) == {"T7", "T8"}
    assert finding.measure("frequency_hz") == pytest.approx(rate_hz, rel=0.1)
    assert finding.measure("n_bursts") == pytest.approx(10 * rate_hz, abs=1.5)


def test_lasting_and_single_bursts_of_muscle_are_no_chewing() -> None:
    lasting = add(noise(1, rms_uv=8, exponent=1.4), fast_noise(25), {"T7": 1.0})
    single = add(noise(1, rms_uv=8), fast_noise(25) * (np.abs(TIME_S - 5) < 0.3), {"T8": 1.0})
    for data in (lasting, single):
        assert not of_kind(found_in(batch_of(data)), "chewing")


def test_bursts_of_one_row_alone_are_no_chewing() -> None:
    gate = np.sin(2 * np.pi * 1.4 * TIME_S) > 0.3
    data = add(noise(1, rms_uv=8, exponent=1.4), fast_noise(25) * gate, {"F7": 1.0})
    assert not of_kind(found_in(batch_of(data)), "chewing")


def test_muscle_that_fills_the_page_is_muscle() -> None:
    data = add(noise(1, rms_uv=8, exponent=1.4), fast_noise(25), {"T8": 1.0, "F8": 0.6})
    (finding,) = of_kind(found_in(batch_of(data)), "muscle")
    assert set(finding.channels) == {"T8", "F8"}
    assert finding.t1_s - finding.t0_s > 9


def test_a_row_that_goes_dead_and_comes_back_has_no_pops() -> None:
    data = noise(1, rms_uv=20, exponent=1.3)
    data[0, 8, 600:900] = 0.0
    result = found_in(batch_of(data))
    assert of_kind(result, "flat")
    assert not of_kind(result, "electrode_pop")


def test_the_edges_of_a_look_aside_are_no_pops() -> None:
    data = add(noise(1, rms_uv=6, exponent=1.6), plateau(60, 4, 5.2, 0.03), LATERAL_FIELD)
    result = found_in(batch_of(data))
    assert of_kind(result, "lateral_eye")
    assert not of_kind(result, "electrode_pop")
