from __future__ import annotations

from collections.abc import Callable

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
from scipy import signal, stats

from detectors.artifacts.chain import find_artifacts, scan_artifacts, usable_seconds
from detectors.montage import LB18_NAMES
from detectors.signal.row_statistics import row_statistics
from detectors.signal.spectra import spectral_features
from detectors.types import CANONICAL19, ChannelSchema, Finding, RuleResult, SegmentBatch


def found_in(batch: SegmentBatch) -> RuleResult:
    return find_artifacts(batch, spectral_features(batch))


def of_kind(result: RuleResult, kind: str) -> list[Finding]:
    return [f for f in result.findings if f.kind == kind]


def reason_of(result: RuleResult, kind: str) -> str:
    return next(j.reason for j in result.judgements if j.kind == kind)


def fast_noise(rms_uv: float, seed: int = 0) -> NDArray[np.float64]:
    white = np.random.default_rng(seed).standard_normal(TIME_S.size)
    sos = signal.butter(4, [30, 70], "bandpass", fs=200, output="sos")
    wave = signal.sosfiltfilt(sos, white)
    return rms_uv * wave / wave.std()


def test_row_statistics_agree_with_numpy() -> None:
    data = noise(3, rms_uv=25)
    data[1, 4, 300:420] = data[1, 4, 300]
    batch = batch_of(data)
    got, x = row_statistics(batch), batch.data_uv
    seconds = x.reshape(3, 19, 10, 200)
    wide = x.astype(np.float64)
    assert np.array_equal(got.p2p_uv, (x.max(-1) - x.min(-1)).astype(np.float64))
    worst = (seconds.max(-1) - seconds.min(-1)).max(-1)
    assert np.array_equal(got.worst_1s_p2p_uv, worst.astype(np.float64))
    assert np.array_equal(got.second_p2p_uv(), seconds.max(-1) - seconds.min(-1))
    assert np.array_equal(got.zero_crossings, np.diff(x < 0, axis=-1).sum(-1))
    assert got.line_length_uv == pytest.approx(np.abs(np.diff(wide)).sum(-1))
    assert got.rms_uv == pytest.approx(np.sqrt((wide**2).mean(-1)))
    assert got.kurtosis == pytest.approx(stats.kurtosis(wide, axis=-1), abs=1e-9)
    steps = np.abs(x[..., 4:] - x[..., :-4])
    assert got.cell_step_uv.max() == steps.max()
    assert got.slow_uv == pytest.approx(x.reshape(3, 19, 400, 5).mean(-1), abs=1e-3)


def test_longest_flat_run_counts_samples() -> None:
    data = noise(1)
    data[0, 2, 100:350] = 7.0
    runs = row_statistics(batch_of(data)).longest_flat_run
    assert runs[0, 2] == 250
    assert np.delete(runs[0], 2).max() < 10


def test_rows_that_were_not_recorded_hold_zeros() -> None:
    mask = np.ones((1, 19), dtype=bool)
    mask[0, 6] = False
    got = row_statistics(batch_of(noise(1), mask=mask))
    assert got.rms_uv[0, 6] == got.p2p_uv[0, 6] == got.longest_flat_run[0, 6] == 0


def test_plain_background_has_no_artifact() -> None:
    for rms_uv in (5.0, 12.0, 18.0):
        result = found_in(batch_of(noise(40, seed=2, rms_uv=rms_uv, exponent=1.3)))
        assert len(result.findings) <= 1


def test_a_silent_row_carries_only_flat() -> None:
    data = add(noise(1), rhythm(10, 60), EVEN_FIELD)
    data[0, CANONICAL19.index("Fp1")] = 0
    (finding,) = found_in(batch_of(data)).findings
    assert (finding.kind, finding.channels) == ("flat", ("Fp1",))
    assert (finding.t0_s, finding.t1_s) == (0.0, 10.0)


@pytest.mark.parametrize("drift_uv_s", [0.0, 6.0], ids=["level", "drifting"])
def test_a_half_flat_row_is_flat_for_that_half(drift_uv_s: float) -> None:
    data = noise(1)
    row = CANONICAL19.index("T8")
    data[0, row, 800:] = data[0, row, 800] + drift_uv_s * (TIME_S[800:] - 4)
    (finding,) = of_kind(found_in(batch_of(data)), "flat")
    assert finding.channels == ("T8",)
    assert (finding.side, finding.region) == ("right", "mid-temporal")
    assert finding.t0_s == pytest.approx(4.0, abs=0.15)
    assert finding.t1_s == 10.0


def test_a_clipped_row_is_saturated_and_a_large_smooth_wave_is_not() -> None:
    data = noise(1)
    data[0, 3] = np.clip(data[0, 3] + rhythm(0.7, 1600), -500, 500)
    data[0, 8] += rhythm(0.7, 1600).astype(np.float32)
    findings = of_kind(found_in(batch_of(data)), "saturation")
    assert {name for f in findings for name in f.channels} == {"F3"}


def test_a_step_of_one_electrode_is_a_pop_where_it_happened() -> None:
    wave = 150 * (TIME_S >= 4.2) * np.exp(-(TIME_S - 4.2) / 0.5)
    data = add(noise(1, seed=4), wave, {"C4": 1.0})
    (finding,) = of_kind(found_in(batch_of(data)), "electrode_pop")
    assert finding.channels == ("C4",)
    assert finding.t0_s == pytest.approx(4.2, abs=0.05)
    assert finding.measure("step_uv") == pytest.approx(130, abs=25)


@pytest.mark.parametrize(
    "field",
    [{"C4": 1.0, "Cz": 0.6, "T8": 0.6, "F4": 0.6, "P4": 0.6}, EVEN_FIELD],
    ids=["with-a-field", "everywhere"],
)
def test_a_step_with_a_field_is_no_pop(field: dict[str, float]) -> None:
    wave = 150 * (TIME_S >= 4.2) * np.exp(-(TIME_S - 4.2) / 0.5)
    assert not of_kind(found_in(batch_of(add(noise(1), wave, field))), "electrode_pop")


def test_a_spike_on_one_electrode_is_no_pop_because_it_does_not_hold() -> None:
    data = add(noise(1), bell(150, 5.0, 0.04), {"C4": 1.0})
    assert not of_kind(found_in(batch_of(data)), "electrode_pop")


@pytest.mark.parametrize("line_hz", [50.0, 60.0])
def test_mains_is_found_at_the_frequency_of_the_site(line_hz: float) -> None:
    data = add(noise(1), rhythm(line_hz, 30), {"P3": 1.0, "O1": 0.8})
    result = found_in(batch_of(data, line_freq_hz=line_hz))
    (finding,) = of_kind(result, "mains")
    assert finding.channels == ("P3", "O1")
    assert finding.measure("rms_uv") == pytest.approx(15 / np.sqrt(2), rel=0.05)
    assert not of_kind(result, "muscle")


def test_mains_is_not_judged_where_a_filter_took_it() -> None:
    b, a = signal.iirnotch(50, 15, fs=200)
    notched = signal.filtfilt(b, a, noise(1), axis=-1)
    assert reason_of(found_in(batch_of(notched)), "mains") == (
        "a notch filter took it, so this page cannot show how much there was"
    )
    narrow = found_in(batch_of(noise(1), band_hz=(0.5, 45)))
    assert reason_of(narrow, "mains") == "mains lies above the usable band"


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_muscle_is_found_however_much_of_the_page_it_fills(share: float) -> None:
    wave = fast_noise(25) * (10 * share > TIME_S)
    result = found_in(batch_of(add(noise(1), wave, {"T7": 1.0, "F7": 0.9})))
    (finding,) = of_kind(result, "muscle")
    assert set(finding.channels) == {"T7", "F7"}
    assert finding.t1_s == pytest.approx(10 * share, abs=0.4)
    assert finding.measure("rms_uv") == pytest.approx(25, rel=0.25)


def test_muscle_needs_a_source_that_goes_high_enough() -> None:
    data = add(noise(1), fast_noise(25), {"T7": 1.0})
    result = found_in(batch_of(data, band_hz=(0.5, 35)))
    assert not of_kind(result, "muscle")
    assert reason_of(result, "muscle") == "source band ends below 40 Hz"


def test_large_swings_of_many_rows_are_movement_and_frontal_ones_are_not() -> None:
    swing = 450 * np.sin(2 * np.pi * 0.8 * TIME_S) * ((TIME_S > 3) & (TIME_S < 6))
    many = {name: 1.0 for name in CANONICAL19[5:16]}
    (finding,) = of_kind(found_in(batch_of(add(noise(1), swing, many))), "movement")
    assert finding.t0_s <= 3.3
    assert finding.t1_s >= 5.7
    frontal = dict.fromkeys(("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8"), 1.0)
    assert not of_kind(found_in(batch_of(add(noise(1), swing, frontal))), "movement")


def test_blinks_are_counted_and_placed() -> None:
    wave = bell(160, 2.0, 0.16) + bell(140, 6.5, 0.2)
    findings = of_kind(found_in(batch_of(add(noise(1), wave, BLINK_FIELD))), "blink")
    assert [f.measure("peak_s") for f in findings] == pytest.approx([2.0, 6.5], abs=0.06)
    assert all(set(f.channels[:2]) == {"Fp1", "Fp2"} for f in findings)
    assert findings[0].measure("amplitude_uv_p2p") == pytest.approx(150, rel=0.2)


@pytest.mark.parametrize(
    ("peak_uv", "width_s", "field"),
    [
        (-160, 0.16, BLINK_FIELD),
        (160, 0.16, {"Fp1": 1.0}),
        (160, 0.16, EVEN_FIELD),
        (160, 0.9, BLINK_FIELD),
        (160, 0.02, BLINK_FIELD),
    ],
    ids=["negative", "one-side", "no-fall-off", "too-long", "spike-like"],
)
def test_what_is_not_a_blink(peak_uv: float, width_s: float, field: dict[str, float]) -> None:
    data = add(noise(1), bell(peak_uv, 5.0, width_s), field)
    assert not of_kind(found_in(batch_of(data)), "blink")


@pytest.mark.parametrize(("sign", "gaze"), [(1, 1.0), (-1, -1.0)], ids=["right", "left"])
def test_lateral_movement_says_where_the_eyes_went(sign: int, gaze: float) -> None:
    wave = sign * plateau(70, 4.0, 5.2, 0.06)
    data = add(noise(1), wave, {"F8": 1.0, "F7": -1.0, "Fp2": 0.4, "Fp1": -0.4})
    first, *back = of_kind(found_in(batch_of(data)), "lateral_eye")
    assert first.measure("gaze_right") == gaze
    assert first.t0_s == pytest.approx(4.0, abs=0.12)
    assert first.t1_s == pytest.approx(5.2, abs=0.25)
    assert all(f.measure("gaze_right") == -gaze for f in back)


def test_a_step_of_the_same_sign_on_both_sides_is_no_lateral_movement() -> None:
    data = add(noise(1), plateau(90, 4.0, 5.2, 0.06), {"F8": 1.0, "F7": 1.0})
    assert not of_kind(found_in(batch_of(data)), "lateral_eye")


def test_usable_seconds_lose_what_findings_touch() -> None:
    mask = np.ones((1, 19), dtype=bool)
    mask[0, 0] = False
    muscle = Finding("s0", "muscle", ("T8", "F8"), 2.95, 4.0)
    mains = Finding("s0", "mains", ("O1",), 0.0, 10.0)
    usable = usable_seconds(("s0",), CANONICAL19, mask, [muscle, mains])
    assert not usable[0, 0].any()
    assert usable[0, CANONICAL19.index("T8")].tolist() == [True] * 2 + [False] * 2 + [True] * 6
    assert usable[0, CANONICAL19.index("O1")].all()


def test_a_blink_makes_its_seconds_unusable_in_front_only() -> None:
    batch = batch_of(add(noise(1), bell(160, 2.5, 0.16), BLINK_FIELD))
    usable = scan_artifacts(batch, spectral_features(batch)).usable[0]
    assert not usable[CANONICAL19.index("Fp1"), 2]
    assert usable[CANONICAL19.index("O1")].all()


def test_on_bipolar_rows_only_rules_without_a_field_are_judged() -> None:
    data = noise(1, n_rows=18)
    data[0, 5] = 0
    data[0, 9] += fast_noise(30).astype(np.float32)
    result = found_in(batch_of(data, schema=ChannelSchema.bipolar(LB18_NAMES)))
    assert {(f.kind, f.channels) for f in result.findings} == {
        ("flat", ("F3-C3",)), ("muscle", ("Cz-Pz",)),
    }  # fmt: skip
    unjudged = {j.kind: j.reason for j in result.judgements if j.verdict == "not_judged"}
    assert unjudged == dict.fromkeys(
        ("electrode_pop", "blink", "lateral_eye", "ecg"), "needs single electrodes"
    )


PLANTED: dict[str, Callable[[], NDArray[np.float32]]] = {
    "electrode_pop": lambda: add(
        noise(1), 200 * (TIME_S >= 4.2) * np.exp(-(TIME_S - 4.2) / 0.5), {"C4": 1.0}
    ),
    "blink": lambda: add(noise(1), bell(160, 2.5, 0.16), BLINK_FIELD),
    "lateral_eye": lambda: add(noise(1), plateau(90, 4, 5.2, 0.06), LATERAL_FIELD),
    "muscle": lambda: add(noise(1, exponent=1.8), fast_noise(30), {"T7": 1.0}),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_page_at_twice_the_gain_keeps_place_and_rows(kind: str) -> None:
    one = of_kind(found_in(batch_of(PLANTED[kind]())), kind)
    two = of_kind(found_in(batch_of(2 * PLANTED[kind]())), kind)
    assert one
    assert [f.channels[0] for f in two] == [f.channels[0] for f in one]
    assert [f.t0_s for f in two] == pytest.approx([f.t0_s for f in one], abs=0.11)
