from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import mne
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dagster_project.corpora.errors import CorpusError
from dagster_project.corpora.harmonise import (
    harmonise,
    pass_band,
    plan_for,
    usable_band,
)

RATES = (100, 128, 160, 200, 250, 256, 400, 500, 512, 1000, 2000)


def run(data: NDArray[np.floating], sfreq_hz: float, line_hz: float = 50.0) -> NDArray[np.float32]:
    plan = plan_for(Fraction(sfreq_hz), line_hz, data.shape[1])

    def read(start: int, stop: int, out: NDArray[np.float32]) -> None:
        out[:] = data[:, start:stop]

    return np.concatenate(list(harmonise(read, len(data), data.shape[1], plan)), axis=1)


def brownish(n_channels: int, n_times: int, sfreq_hz: float, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    mains = 15 * np.sin(2 * np.pi * 60 * np.arange(n_times) / sfreq_hz)
    walk = np.cumsum(rng.standard_normal((n_channels, n_times)), axis=1)
    return walk * 0.3 + 10 * rng.standard_normal((n_channels, n_times)) + mains


def by_mne(data: NDArray[np.float64], sfreq_hz: float, line_hz: float) -> NDArray[np.float64]:
    low, high = pass_band(sfreq_hz)
    kept = mne.filter.filter_data(data, sfreq_hz, low, high, verbose="ERROR")
    kept = mne.filter.notch_filter(kept, sfreq_hz, line_hz, verbose="ERROR")
    return mne.filter.resample(kept, 200, sfreq_hz, method="fft", npad="auto", verbose="ERROR")


@pytest.mark.parametrize("sfreq_hz", [256, 512])
def test_interior_equals_mne(sfreq_hz: int) -> None:
    data = brownish(3, 400 * sfreq_hz, sfreq_hz)
    ours, theirs = run(data, sfreq_hz, 60.0), by_mne(data, sfreq_hz, 60.0)
    inside = slice(40 * 200, -40 * 200)
    error = np.linalg.norm(ours[:, inside] - theirs[:, inside])
    assert error / np.linalg.norm(theirs[:, inside]) <= 1e-5
    assert np.abs(ours - theirs).max() <= 0.02  # edges included, microvolts


@pytest.mark.parametrize("duration_s", [10, 20, 41])
def test_recordings_shorter_than_the_filter_equal_mne(duration_s: int) -> None:
    data = brownish(2, duration_s * 256, 256, seed=3)
    data -= data[:, :1]  # with an offset MNE's zero padding rings where ours does not
    ours, theirs = run(data, 256, 60.0), by_mne(data, 256, 60.0)
    assert ours.shape == (2, duration_s * 200)
    middle = slice(400, -400)
    error = np.linalg.norm(ours[:, middle] - theirs[:, middle])
    assert error / np.linalg.norm(theirs[:, middle]) <= 0.12  # two paddings against one


@pytest.mark.parametrize("sfreq_hz", RATES)
@pytest.mark.parametrize("tone_hz", [1.0, 10.0, 38.0])
def test_tones_keep_amplitude_and_phase(sfreq_hz: int, tone_hz: float) -> None:
    t = np.arange(90 * sfreq_hz) / sfreq_hz
    out = run(np.sin(2 * np.pi * tone_hz * t)[None], sfreq_hz)[0]
    expected = np.sin(2 * np.pi * tone_hz * np.arange(out.size) / 200)
    inside = slice(25 * 200, -25 * 200)
    assert np.abs(out[inside] - expected[inside]).max() <= 2.5e-3
    gain = 2 * np.mean(out[inside] * expected[inside])
    assert gain == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("sfreq_hz", RATES)
def test_impulse_peaks_at_its_time_and_is_symmetric(sfreq_hz: int) -> None:
    data = np.zeros((1, 60 * sfreq_hz))
    data[0, 30 * sfreq_hz] = 1000.0
    out = run(data, sfreq_hz)[0]
    peak = 30 * 200
    assert int(np.argmax(out)) == peak
    np.testing.assert_allclose(
        out[peak - 1000 : peak], out[peak + 1 : peak + 1001][::-1], atol=2e-4
    )


@pytest.mark.parametrize(
    ("line_hz", "sfreq_hz"), [(50.0, 256), (60.0, 256), (60.0, 160), (60.0, 128), (50.0, 500)]
)
def test_mains_of_the_site_is_gone_and_the_other_stays(line_hz: float, sfreq_hz: int) -> None:
    t = np.arange(120 * sfreq_hz) / sfreq_hz
    inside = slice(45 * 200, -45 * 200)
    own = run(np.sin(2 * np.pi * line_hz * t)[None], sfreq_hz, line_hz)[0, inside]
    assert np.abs(own).max() < 0.01
    other_hz = 110.0 - line_hz
    if other_hz < pass_band(sfreq_hz)[1]:
        kept = run(np.sin(2 * np.pi * other_hz * t)[None], sfreq_hz, line_hz)[0, inside]
        assert np.sqrt(2 * np.mean(kept**2)) == pytest.approx(1.0, abs=5e-3)


def test_response_is_that_of_mnes_taps() -> None:
    plan = plan_for(Fraction(256), 60.0, 10**7)
    gain = np.asarray(plan.response, dtype=float) * plan.n_in / plan.n_out
    band = mne.filter.create_filter(None, 256, 0.1, 75.0, verbose="ERROR")
    stop = mne.filter.create_filter(
        None, 256, 60.65, 59.35, l_trans_bandwidth=0.5, h_trans_bandwidth=0.5, verbose="ERROR"
    )
    expected = np.abs(np.fft.rfft(band, plan.n_in)) * np.abs(np.fft.rfft(stop, plan.n_in))
    np.testing.assert_allclose(np.abs(gain[:-1]), expected[: gain.size - 1], atol=2e-6)


def test_a_long_run_begins_with_the_bytes_of_its_beginning() -> None:
    data = brownish(2, 128 * 1500, 128)
    whole = run(data, 128)
    part = run(data[:, : 128 * 1000], 128)
    same = 900 * 200  # further than any filter or block reaches back from the end of the part
    plan = plan_for(Fraction(128), 50.0, data.shape[1])
    blocks = same // plan.hop_out * plan.hop_out
    assert blocks > 0
    assert np.array_equal(whole[:, :blocks], part[:, :blocks])


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    data = brownish(7, 256 * 60, 256)
    alone, together = run(data[4:5], 256), run(data, 256)
    assert np.array_equal(alone[0], together[4])


def test_every_sample_is_read_once_in_order() -> None:
    asked: list[tuple[int, int]] = []
    plan = plan_for(Fraction(256), 50.0, 256 * 1000)

    def read(start: int, stop: int, out: NDArray[np.float32]) -> None:
        asked.append((start, stop))
        out[:] = 0

    n = sum(block.shape[1] for block in harmonise(read, 2, 256 * 1000, plan))
    assert n == 200 * 1000
    assert asked[0][0] == 0
    assert asked[-1][1] == 256 * 1000
    assert all(a[1] == b[0] for a, b in pairwise(asked))
    assert max(b - a for a, b in asked) <= plan.n_in


@given(offset=st.floats(-20_000, 20_000), seconds=st.integers(10, 70))
@settings(max_examples=15, deadline=None)
def test_a_constant_becomes_nothing(offset: float, seconds: int) -> None:
    out = run(np.full((1, seconds * 128), offset), 128)
    assert out.shape == (1, seconds * 200)
    assert np.abs(out).max() <= 1e-3


@given(
    sfreq_hz=st.sampled_from([100, 128, 173, 200, 250, 256, 347, 500, 999]),
    n_samples=st.integers(2, 4000),
)
@settings(max_examples=40, deadline=None)
def test_length_is_exact_for_any_run(sfreq_hz: int, n_samples: int) -> None:
    out = run(np.zeros((1, n_samples)), sfreq_hz)
    assert out.shape[1] == -(-n_samples * 200 // sfreq_hz)


@pytest.mark.parametrize(
    ("sfreq_hz", "expected"),
    [(100, (0.1, 45.0)), (128, (0.1, 57.6)), (160, (0.1, 75.0)), (512, (0.1, 75.0))],
)
def test_pass_band(sfreq_hz: int, expected: tuple[float, float]) -> None:
    assert pass_band(sfreq_hz) == pytest.approx(expected)


def test_usable_band_is_the_narrower_of_filter_and_source() -> None:
    assert usable_band(500, (0.5, 45.0)) == (0.5, 45.0)
    assert usable_band(100, (0.5, 100.0)) == (0.5, 45.0)
    assert usable_band(256, (None, None)) == (0.1, 75.0)


@pytest.mark.parametrize("rate", [Fraction(1), Fraction(10**7), Fraction(1000003, 5003)])
def test_rates_without_a_sane_ratio_are_refused(rate: Fraction) -> None:
    with pytest.raises(CorpusError) as caught:
        plan_for(rate, 50.0, 10_000)
    assert caught.value.cause == "sampling_rate"
