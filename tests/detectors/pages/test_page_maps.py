"""Maps of a finding: the peak is found from the signal and shown beside the mid-point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from planted_signals import add, bell, noise

from detectors.montage import mirror_rows
from detectors.pages.maps import finding_maps, global_field_power, peak_sample
from detectors.types import CANONICAL19, N_TIMES, SFREQ_HZ

ALL19 = np.ones(19, dtype=bool)
TEMPORAL = {"T7": 1.0, "F7": 0.6, "P7": 0.5, "C3": 0.4, "F3": 0.3, "P3": 0.2}


def with_spike(at_s: float, peak_uv: float = -120.0, seed: int = 0) -> NDArray[np.float32]:
    return add(noise(1, seed=seed, rms_uv=8.0), bell(peak_uv, at_s, 0.03), TEMPORAL)[0]


@settings(max_examples=20, deadline=None)
@given(at=st.integers(100, N_TIMES - 100), early=st.integers(10, 40), late=st.integers(10, 60))
def test_the_peak_is_the_spikes_wherever_it_lies_in_its_interval(
    at: int, early: int, late: int
) -> None:
    data = with_spike(at / SFREQ_HZ)

    maps = finding_maps(data, ALL19, (at - early) / SFREQ_HZ, (at + late) / SFREQ_HZ)

    assert abs(maps.peak - at) <= 1
    assert abs(maps.midpoint - (at + (late - early) / 2)) <= 1
    assert CANONICAL19[int(maps.values_uv[0].argmin())] == "T7"
    # the peak is where the field is strongest over the head, which one electrode need not follow
    assert maps.values_uv[0].std() >= maps.values_uv[1].std() - 1e-3


def test_field_power_is_the_spread_over_electrodes_and_knows_no_reference() -> None:
    data = with_spike(5.0)
    gfp = global_field_power(data, ALL19)

    assert gfp == pytest.approx(data.std(axis=0), rel=1e-3, abs=1e-3)
    assert global_field_power(data + 40, ALL19) == pytest.approx(gfp, rel=1e-3, abs=1e-2)
    assert int(gfp.argmax()) in range(999, 1002)


def test_an_electrode_outside_the_mask_moves_nothing() -> None:
    mask = ALL19.copy()
    mask[CANONICAL19.index("O2")] = False
    data, broken = with_spike(5.0), with_spike(5.0)
    broken[CANONICAL19.index("O2")] = np.nan

    one, two = (finding_maps(d, mask, 4.9, 5.3) for d in (data, broken))

    assert np.array_equal(one.image, two.image)
    assert one.values_uv[0, CANONICAL19.index("O2")] == 0


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_gain_and_mirror_leave_the_moments_alone(gain: float) -> None:
    data = with_spike(5.0)
    plain = finding_maps(data, ALL19, 4.8, 5.3)
    scaled = finding_maps(np.float32(gain) * data, ALL19, 4.8, 5.3)
    mirrored = finding_maps(data[mirror_rows()], ALL19, 4.8, 5.3)

    assert (scaled.peak, scaled.midpoint) == (plain.peak, plain.midpoint) == (1000, 1009)
    assert mirrored.peak == plain.peak
    assert scaled.values_uv == pytest.approx(gain * plain.values_uv, rel=1e-3, abs=1e-3)
    assert mirrored.values_uv == pytest.approx(plain.values_uv[:, mirror_rows()], abs=1e-3)


def test_drift_does_not_make_the_map() -> None:
    slope = np.linspace(-300, 300, N_TIMES)
    data = with_spike(5.0)
    drifting = add(data[None], slope, {"O2": 1.0})[0]

    assert finding_maps(drifting, ALL19, 4.8, 5.3).peak == finding_maps(data, ALL19, 4.8, 5.3).peak


def test_both_maps_share_one_scale_and_the_same_input_gives_the_same_bytes() -> None:
    data = with_spike(5.0)
    maps = finding_maps(data, ALL19, 4.8, 5.3)
    half = maps.image.shape[1] // 2
    bars = [maps.image[60:232, x : x + 70] for x in (284, half + 284)]

    assert maps.image.shape == (280, 728, 3)
    assert np.array_equal(*bars)
    assert maps.image.tobytes() == finding_maps(data, ALL19, 4.8, 5.3).image.tobytes()
    assert (maps.peak_s, maps.midpoint_s) == (5.0, 5.045)


@pytest.mark.parametrize(
    ("t0_s", "t1_s", "expected"),
    [(0.0, 0.005, 0), (9.995, 10.0, 1999), (-1.0, 0.004, 0)],
    ids=["first sample", "last sample", "cut to the segment"],
)
def test_edges_of_the_segment(t0_s: float, t1_s: float, expected: int) -> None:
    assert peak_sample(with_spike(5.0), ALL19, t0_s, t1_s) == expected


@pytest.mark.parametrize("interval", [(5.0, 5.0), (6.0, 5.0), (10.0, 11.0), (5.001, 5.004)])
def test_an_interval_without_a_sample_is_refused(interval: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="holds no sample"):
        finding_maps(with_spike(5.0), ALL19, *interval)


@pytest.mark.parametrize(
    ("data", "mask", "why"),
    [
        (np.zeros((18, N_TIMES), np.float32), ALL19, "referential"),
        (np.full((19, N_TIMES), np.nan, np.float32), ALL19, "not finite"),
        (np.zeros((19, N_TIMES), np.float32), np.arange(19) < 7, "at least 8"),
    ],
    ids=["bipolar", "nan", "few electrodes"],
)
def test_bad_input_is_refused(data: NDArray[np.float32], mask: NDArray[np.bool_], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        finding_maps(data, mask, 4.0, 5.0)
