from __future__ import annotations

import numpy as np
import pytest
from planted_signals import (
    BLINK_FIELD,
    CENTRAL_FIELD,
    EVEN_FIELD,
    FRONTAL_FIELD,
    POSTERIOR_FIELD,
    TIME_S,
    add,
    batch_of,
    bell,
    burst,
    kcomplex,
    noise,
    rhythm,
)

from detectors.artifacts.chain import scan_artifacts
from detectors.background.rhythms import find_background
from detectors.montage import LB18_NAMES
from detectors.signal.spectra import spectral_features
from detectors.sleep.chain import find_sleep
from detectors.types import ChannelSchema, Finding, RuleResult, SegmentBatch


def found_in(batch: SegmentBatch) -> RuleResult:
    spectra = spectral_features(batch)
    scan = scan_artifacts(batch, spectra)
    return find_sleep(batch, spectra, scan.statistics, scan.usable)


def of_kind(result: RuleResult, kind: str) -> list[Finding]:
    return [f for f in result.findings if f.kind == kind]


@pytest.mark.parametrize("hz", [12.2, 13.5, 15.0])
def test_a_spindle_is_found_in_its_place_with_its_numbers(hz: float) -> None:
    data = add(noise(6, rms_uv=12, exponent=1.6), burst(hz, 50, 4.0, 5.2), CENTRAL_FIELD)
    findings = of_kind(found_in(batch_of(data)), "spindle")
    assert [f.segment_id for f in findings] == [f"s{i}" for i in range(6)]
    for finding in findings:
        assert finding.measure("frequency_hz") == pytest.approx(hz, abs=0.5)
        assert finding.measure("amplitude_uv_p2p") == pytest.approx(50, rel=0.3)
        assert finding.t0_s == pytest.approx(4.0, abs=0.3)
        assert finding.t1_s == pytest.approx(5.2, abs=0.3)
        assert finding.channels[0] in {"C3", "Cz", "C4"}


@pytest.mark.parametrize("hz", [11.6, 12.5])
def test_occipital_alpha_is_never_a_spindle(hz: float) -> None:
    field = {**EVEN_FIELD, **dict.fromkeys(("C3", "Cz", "C4"), 0.6), "Fp1": 0.2, "Fp2": 0.2}
    waxing = burst(hz, 60, 2, 3.2) + burst(hz, 60, 6, 7.1)
    assert not of_kind(found_in(batch_of(add(noise(5), waxing, field))), "spindle")
    steady = add(noise(5), rhythm(hz, 60), POSTERIOR_FIELD)
    assert not of_kind(found_in(batch_of(steady)), "spindle")


@pytest.mark.parametrize(
    ("hz", "length_s"), [(13.5, 0.2), (13.5, 6.0), (8.5, 1.0), (20.0, 1.0)],
    ids=["too-short", "too-long", "too-slow", "too-fast"],
)  # fmt: skip
def test_what_is_not_a_spindle(hz: float, length_s: float) -> None:
    data = add(noise(4), burst(hz, 45, 2.5, 2.5 + length_s), CENTRAL_FIELD)
    assert not of_kind(found_in(batch_of(data)), "spindle")


@pytest.mark.parametrize("exponent", [0.7, 1.3, 2.0])
def test_noise_has_no_sleep(exponent: float) -> None:
    result = found_in(batch_of(noise(100, seed=11, rms_uv=14, exponent=exponent)))
    assert len(of_kind(result, "spindle")) <= 3
    assert len(of_kind(result, "kcomplex")) <= 1
    assert len(of_kind(result, "slow_wave")) <= 1
    assert not [f for f in result.findings if f.kind in ("sawtooth", "vertex_wave", "posts")]


@pytest.mark.parametrize(("exponent", "n_found"), [(1.6, 6), (0.7, 0)], ids=["asleep", "awake"])
def test_spindles_need_the_slow_background_of_sleep(exponent: float, n_found: int) -> None:
    # a flat spectrum is that of a page with eyes open or muscle on it
    data = add(noise(6, rms_uv=12, exponent=exponent), burst(13.5, 50, 4.0, 5.2), CENTRAL_FIELD)
    assert len(of_kind(found_in(batch_of(data)), "spindle")) == n_found


def test_rhythms_handed_over_say_the_same_as_those_looked_for_here() -> None:
    data = add(noise(4, rms_uv=12, exponent=1.6), burst(13.5, 50, 4.0, 5.2), CENTRAL_FIELD)
    data[::2] = add(data[::2], rhythm(9.5, 60), POSTERIOR_FIELD)
    batch = batch_of(data)
    spectra = spectral_features(batch)
    scan = scan_artifacts(batch, spectra)
    background = find_background(batch, spectra, scan.statistics, scan.usable)
    handed = find_sleep(batch, spectra, scan.statistics, scan.usable, background)
    assert handed == find_sleep(batch, spectra, scan.statistics, scan.usable)
    assert {f.segment_id for f in handed.findings} == {"s1", "s3"}


def test_a_kcomplex_is_found_in_its_place_with_its_numbers() -> None:
    data = add(noise(5, rms_uv=10), kcomplex(180, 4.0), FRONTAL_FIELD)
    findings = of_kind(found_in(batch_of(data)), "kcomplex")
    assert len(findings) == 5
    for finding in findings:
        assert finding.t0_s == pytest.approx(4.0, abs=0.3)
        assert finding.t1_s == pytest.approx(5.0, abs=0.35)
        assert 110 < finding.measure("amplitude_uv_p2p") < 200
        assert finding.region == "frontal"


@pytest.mark.parametrize(
    ("p2p_uv", "length_s", "field"),
    [
        (-180, 1.0, FRONTAL_FIELD),
        (180, 1.0, POSTERIOR_FIELD),
        (180, 0.3, FRONTAL_FIELD),
        (12, 1.0, FRONTAL_FIELD),
        (180, 1.0, {"Fp1": 1.0, "Fp2": 1.0, "Fz": 0.5, "F3": 0.5, "F4": 0.5}),
    ],
    ids=["wrong-way-up", "posterior", "too-short", "within-background", "eye-movement"],
)
def test_what_is_not_a_kcomplex(p2p_uv: float, length_s: float, field: dict[str, float]) -> None:
    data = add(noise(3, rms_uv=8), kcomplex(p2p_uv, 4.0, length_s), field)
    assert not of_kind(found_in(batch_of(data)), "kcomplex")


def test_a_train_of_slow_waves_is_one_finding_with_its_count() -> None:
    wave = rhythm(0.9, 160) * ((TIME_S > 2) & (TIME_S < 8))
    (finding,) = of_kind(
        found_in(batch_of(add(noise(1, rms_uv=8), wave, FRONTAL_FIELD))), "slow_wave"
    )
    assert finding.t0_s == pytest.approx(2.0, abs=0.8)
    assert finding.t1_s == pytest.approx(8.0, abs=0.8)
    assert finding.measure("frequency_hz") == pytest.approx(0.9, abs=0.1)
    assert finding.measure("count") in (4, 5, 6)
    assert finding.measure("amplitude_uv_p2p") == pytest.approx(130, rel=0.25)


@pytest.mark.parametrize(
    ("hz", "p2p_uv", "field"),
    [(0.9, 55, FRONTAL_FIELD), (4.0, 160, FRONTAL_FIELD), (0.9, 160, POSTERIOR_FIELD)],
    ids=["too-small", "too-fast", "posterior"],
)
def test_what_is_not_a_slow_wave(hz: float, p2p_uv: float, field: dict[str, float]) -> None:
    data = add(noise(2, rms_uv=6), rhythm(hz, p2p_uv), field)
    assert not of_kind(found_in(batch_of(data)), "slow_wave")


def test_blinks_are_not_sleep() -> None:
    wave = sum(bell(200, at, 0.18) for at in (1.0, 2.2, 3.4, 4.6, 5.8, 7.0, 8.2))
    assert found_in(batch_of(add(noise(4), wave, BLINK_FIELD))).findings == ()


def test_sleep_is_not_judged_on_bipolar_rows_or_without_a_place_to_look() -> None:
    bipolar = batch_of(noise(1, n_rows=18), schema=ChannelSchema.bipolar(LB18_NAMES))
    assert {j.reason for j in found_in(bipolar).judgements} == {"needs single electrodes"}
    mask = np.ones((1, 19), dtype=bool)
    mask[0, 17:] = False
    reasons = {j.kind: j.reason for j in found_in(batch_of(noise(1), mask=mask)).judgements}
    assert reasons == {
        "spindle": "no live occipital row",
        "kcomplex": "",
        "slow_wave": "",
        "vertex_wave": "",
        "sawtooth": "",
        "posts": "only 0 usable s on O1 and O2, 4 needed",
    }


def test_gain_keeps_times_and_frequencies() -> None:
    data = add(noise(1, exponent=1.6), burst(13.5, 50, 4.0, 5.2), CENTRAL_FIELD)
    data = add(data, kcomplex(180, 7.0), FRONTAL_FIELD)
    one, two = found_in(batch_of(data)), found_in(batch_of(1.5 * data))
    assert {f.kind for f in one.findings} >= {"spindle", "kcomplex"}
    for kind in ("spindle", "kcomplex"):
        (a,), (b,) = of_kind(one, kind), of_kind(two, kind)
        assert (a.t0_s, a.t1_s) == pytest.approx((b.t0_s, b.t1_s), abs=0.1)
        assert a.measure("frequency_hz") == pytest.approx(b.measure("frequency_hz"), abs=0.05)
