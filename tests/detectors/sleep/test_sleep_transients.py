from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from planted_signals import (
    CENTRAL_FIELD,
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
from detectors.signal.spectra import spectral_features
from detectors.sleep.chain import find_sleep
from detectors.types import CANONICAL19, Finding, RuleResult, SegmentBatch

VERTEX_FIELD = {"Cz": 1.0, "C3": 0.6, "C4": 0.6, "Fz": 0.55, "Pz": 0.55, "F3": 0.3, "F4": 0.3,
                "P3": 0.3, "P4": 0.3}  # fmt: skip
BACK_FIELD = {"O1": 1.0, "O2": 0.9, "P3": 0.4, "P4": 0.4, "P7": 0.45, "P8": 0.45, "Pz": 0.3}
LEFT_FIELD = {"C3": 1.0, "T7": 0.6, "F3": 0.55, "P3": 0.55, "Cz": 0.5}


def found_in(batch: SegmentBatch) -> RuleResult:
    spectra = spectral_features(batch)
    scan = scan_artifacts(batch, spectra)
    return find_sleep(batch, spectra, scan.statistics, scan.usable)


def of_kind(result: RuleResult, kind: str) -> list[Finding]:
    return [f for f in result.findings if f.kind == kind]


def pointed(peak_uv: float, at_s: float, length_s: float) -> NDArray[np.float64]:
    """A triangle of given length, its point at ``at_s``."""
    return peak_uv * np.clip(1 - 2 * np.abs(TIME_S - at_s) / length_s, 0, 1)


def sawtooth(
    hz: float, p2p_uv: float, t0_s: float, t1_s: float, rise: float
) -> NDArray[np.float64]:
    """A run of triangles that spend a share of each cycle on the rise."""
    phase = (hz * (TIME_S - t0_s)) % 1
    wave = np.where(phase < rise, phase / rise, (1 - phase) / (1 - rise)) - 0.5
    return p2p_uv * wave * np.where((t0_s <= TIME_S) & (t1_s > TIME_S), 1.0, 0.0)


@pytest.mark.parametrize("length_s", [0.15, 0.25, 0.35])
def test_a_vertex_wave_is_found_in_its_place_with_its_numbers(length_s: float) -> None:
    data = add(noise(5, rms_uv=10, exponent=1.6), pointed(-90, 4.0, length_s), VERTEX_FIELD)
    findings = of_kind(found_in(batch_of(data)), "vertex_wave")
    assert len(findings) >= 4
    for finding in findings:
        assert finding.channels == ("Cz",)
        assert finding.t0_s < 4.0 < finding.t1_s
        assert finding.measure("duration_s") < 0.5
        assert finding.measure("polarity") == -1


@pytest.mark.parametrize(
    ("wave", "field"),
    [
        (pointed(90, 4.0, 0.25), VERTEX_FIELD),
        (pointed(-90, 4.0, 0.25), LEFT_FIELD),
        (pointed(-90, 4.0, 0.05), VERTEX_FIELD),
        (pointed(-90, 4.0, 0.25), {"Cz": 1.0}),
        (kcomplex(180, 4.0, 1.0), FRONTAL_FIELD),
    ],
    ids=["positive", "left-central", "spike", "one-electrode", "kcomplex"],
)
def test_what_is_not_a_vertex_wave(wave: NDArray[np.float64], field: dict[str, float]) -> None:
    data = add(noise(4, rms_uv=10, exponent=1.6), wave, field)
    assert not of_kind(found_in(batch_of(data)), "vertex_wave")


@pytest.mark.parametrize("rise", [0.2, 0.5, 0.8], ids=["fast-rise", "symmetric", "fast-fall"])
def test_a_sawtooth_run_is_found_with_its_rate_and_count(rise: float) -> None:
    data = add(noise(4, rms_uv=7, exponent=1.3), sawtooth(3.2, 60, 3.0, 6.0, rise), VERTEX_FIELD)
    findings = of_kind(found_in(batch_of(data)), "sawtooth")
    assert len(findings) >= 3
    for finding in findings:
        assert finding.measure("frequency_hz") == pytest.approx(3.2, abs=0.3)
        assert 3 <= finding.measure("count") <= 10
        assert finding.t0_s == pytest.approx(3.0, abs=0.7)
        assert finding.t1_s == pytest.approx(6.0, abs=0.7)


@pytest.mark.parametrize(
    ("wave", "field"),
    [
        (rhythm(5.0, 60) * ((TIME_S > 3) & (TIME_S < 6)), VERTEX_FIELD),
        (sawtooth(3.2, 60, 3.0, 6.0, 0.2), POSTERIOR_FIELD),
        (sawtooth(3.2, 60, 3.0, 3.6, 0.2), VERTEX_FIELD),
        (sawtooth(9.0, 60, 3.0, 6.0, 0.2), VERTEX_FIELD),
    ],
    ids=["midline-theta", "posterior", "too-short", "too-fast"],
)
def test_what_is_not_a_sawtooth_run(wave: NDArray[np.float64], field: dict[str, float]) -> None:
    data = add(noise(4, rms_uv=7, exponent=1.3), wave, field)
    assert not of_kind(found_in(batch_of(data)), "sawtooth")


def _with_posts(data: NDArray[np.float32], peak_uv: float = 32) -> NDArray[np.float32]:
    for at in (1.5, 2.6, 8.3):
        data = add(data, pointed(peak_uv, at, 0.16), BACK_FIELD)
    return data


def test_posts_are_found_beside_a_sign_of_sleep_only() -> None:
    plain = noise(4, rms_uv=7, exponent=1.8)
    asleep = add(plain, burst(13.5, 50, 4.5, 5.7), CENTRAL_FIELD)
    result = found_in(batch_of(_with_posts(asleep)))
    found = of_kind(result, "posts")
    assert len(found) >= 6
    assert {f.channels for f in found} <= {("O1",), ("O2",)}
    assert all(f.measure("polarity") == 1 and f.measure("amplitude_uv_p2p") <= 50 for f in found)
    awake = found_in(batch_of(_with_posts(plain)))
    assert not of_kind(awake, "posts")
    reasons = {j.reason for j in awake.judgements if j.kind == "posts"}
    assert reasons == {"no sure sign of sleep on the page: lambda waves look the same"}


@pytest.mark.parametrize("peak_uv", [-32, 140], ids=["negative", "too-large"])
def test_what_is_not_posts(peak_uv: float) -> None:
    asleep = add(noise(3, rms_uv=7, exponent=1.8), burst(13.5, 50, 4.5, 5.7), CENTRAL_FIELD)
    assert not of_kind(found_in(batch_of(_with_posts(asleep, peak_uv))), "posts")


def test_nothing_of_sleep_on_a_page_with_a_posterior_rhythm() -> None:
    data = add(noise(4, rms_uv=8), rhythm(10.0, 60), POSTERIOR_FIELD)
    data = add(data, burst(13.5, 50, 4.0, 5.2), CENTRAL_FIELD)
    data = add(data, pointed(-120, 7.0, 0.25), VERTEX_FIELD)
    assert {f.kind for f in found_in(batch_of(data)).findings} == set()


def test_gain_keeps_what_is_found_and_when() -> None:
    data = add(noise(2, rms_uv=8, exponent=1.6), pointed(-90, 4.0, 0.25), VERTEX_FIELD)
    one, two = found_in(batch_of(data)), found_in(batch_of(2 * data))
    seen = [
        [(f.segment_id, f.kind, f.t0_s, f.t1_s) for f in of_kind(r, "vertex_wave")]
        for r in (one, two)
    ]
    assert seen[0]
    assert seen[0] == seen[1]


def test_a_shift_in_time_moves_what_is_found() -> None:
    data = add(noise(1, rms_uv=8, exponent=1.6), bell(-100, 4.0, 0.14), VERTEX_FIELD)
    data = add(data, burst(13.5, 45, 6.0, 7.2), CENTRAL_FIELD)
    shifted = np.roll(data, 200, axis=-1)
    one, two = found_in(batch_of(data)), found_in(batch_of(shifted))
    for kind in ("vertex_wave", "spindle"):
        (a,), (b,) = of_kind(one, kind), of_kind(two, kind)
        assert b.t0_s - a.t0_s == pytest.approx(1.0, abs=0.06)
        assert b.t1_s - a.t1_s == pytest.approx(1.0, abs=0.06)


def test_mirrored_pages_give_mirrored_findings() -> None:
    mirror = [1, 0, 6, 5, 4, 3, 2, 11, 10, 9, 8, 7, 16, 15, 14, 13, 12, 18, 17]
    swapped = {CANONICAL19[a]: CANONICAL19[b] for a, b in enumerate(mirror)}
    data = add(noise(3, rms_uv=10, exponent=1.6), burst(13.0, 45, 2.0, 3.2), LEFT_FIELD)
    data = add(data, kcomplex(150, 6.0), FRONTAL_FIELD)
    one, two = found_in(batch_of(data)), found_in(batch_of(data[:, mirror]))
    assert one.findings
    seen = [
        sorted((f.segment_id, f.kind, f.t0_s, f.t1_s, *sorted(f.channels)) for f in one.findings),
        sorted(
            (f.segment_id, f.kind, f.t0_s, f.t1_s, *sorted(swapped[c] for c in f.channels))
            for f in two.findings
        ),
    ]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("k", [3.0, 4.0])
def test_small_spindles_stand_out_of_their_background(k: float) -> None:
    """Peak 3 to 4 times the sigma background: what a fixed size would miss."""
    data = noise(40, seed=5, rms_uv=12, exponent=1.8)
    hz = np.fft.rfftfreq(data.shape[-1], 1 / 200)
    spectrum = np.fft.rfft(data[:, 9]) * ((hz >= 11) & (hz <= 16))
    size = np.fft.irfft(spectrum).std()
    planted = add(data, burst(13.3, 2 * k * size, 4.0, 5.2), CENTRAL_FIELD)
    planted = add(planted, burst(13.3, 2 * k * size, 7.0, 8.1), CENTRAL_FIELD)
    bare = of_kind(found_in(batch_of(data)), "spindle")
    found = of_kind(found_in(batch_of(planted)), "spindle")
    spans = ((4.2, 5.0), (7.2, 7.9))
    hits = [f for f in found if any(f.t0_s < b and f.t1_s > a for a, b in spans)]
    assert len(bare) <= 2
    assert len(hits) >= {3.0: 20, 4.0: 40}[k]
