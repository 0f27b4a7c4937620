from __future__ import annotations

import numpy as np
import pytest
from planted_signals import EVEN_FIELD, POSTERIOR_FIELD, add, batch_of, noise, rhythm
from scipy import signal

from dagster_project.tables.registry import table
from detectors.signal.spectra import FREQS_HZ, band_weights, spectral_features, welch_density
from detectors.types import CANONICAL19
from detectors.vocabulary import BAND_SCHEMES


@pytest.mark.parametrize("offset_uv", [0.0, 200.0], ids=["centred", "with-offset"])
@pytest.mark.parametrize("n", [1, 5], ids=["part-of-a-block", "across-blocks"])
def test_density_equals_scipy(n: int, offset_uv: float) -> None:
    data = noise(n, rms_uv=20) + np.float32(offset_uv)
    _, expected = signal.welch(data.astype(np.float64), 200, "hann", 400)
    in_band = (FREQS_HZ > 0) & (FREQS_HZ < 69)
    assert np.abs(welch_density(data) / expected - 1)[..., in_band].max() < 1e-5


def test_bands_of_a_scheme_share_their_edges_and_lose_nothing() -> None:
    weights = band_weights("clinical")
    inside = (FREQS_HZ > 0.5) & (FREQS_HZ < 70)
    assert np.allclose(weights[inside].sum(1), 0.5)
    assert weights.sum() == pytest.approx(69.5)


@pytest.mark.parametrize("hz", [2.5, 5.3, 9.5, 10.2, 18.4, 36.0])
def test_a_sine_is_found_in_its_band_at_its_frequency(hz: float) -> None:
    data = add(noise(2, seed=3, exponent=1.2), rhythm(hz, 40), EVEN_FIELD)
    features = spectral_features(batch_of(data))
    band = next(b for b, (low, high) in BAND_SCHEMES["clinical"].items() if low <= hz < high)
    assert np.abs(features.dominant_hz - hz).max() < 0.15
    assert features.dominant_band == (band, band)
    power = features.power_uv2["clinical"][band]
    assert power.mean() > 0.9 * 200, "a sine of 40 uV peak-to-peak holds 200 uV2"


def test_noise_has_no_dominant_rhythm() -> None:
    features = spectral_features(batch_of(noise(60, seed=1)))
    assert np.isfinite(features.dominant_hz).mean() < 0.02
    assert sum(band != "" for band in features.dominant_band) <= 2


@pytest.mark.parametrize("exponent", [0.8, 1.5, 2.2])
def test_the_aperiodic_exponent_is_recovered_beside_a_peak(exponent: float) -> None:
    data = add(noise(6, exponent=exponent), rhythm(10, 30), POSTERIOR_FIELD)
    features = spectral_features(batch_of(data))
    assert features.aperiodic_exponent == pytest.approx(exponent, abs=0.2)


def test_raw_dominance_answers_delta_where_the_corrected_one_sees_the_rhythm() -> None:
    data = add(noise(3, exponent=1.8, rms_uv=20), rhythm(10, 25), EVEN_FIELD)
    features = spectral_features(batch_of(data))
    assert features.dominant_band_raw == ("delta",) * 3
    assert features.dominant_band == ("alpha",) * 3


@pytest.mark.parametrize(
    ("high_hz", "void"),
    [
        (75.0, []),
        (72.0, ["narrator:high_gamma"]),
        (45.0, ["clinical:gamma", "narrator:gamma", "narrator:high_gamma"]),
        (
            29.0,
            ["clinical:beta", "clinical:gamma", "narrator:beta", "narrator:gamma",
             "narrator:high_gamma"],
        ),
    ],
    ids=["full", "eegmmidb", "eegmat", "narrow"],
)  # fmt: skip
def test_bands_above_the_source_are_void_and_never_numbers(high_hz: float, void: list[str]) -> None:
    features = spectral_features(batch_of(noise(2), band_hz=(0.5, high_hz)))
    assert features.void_bands(0) == void
    for scheme, bands in features.power_uv2.items():
        for band, power in bands.items():
            assert np.isnan(power).all() == (f"{scheme}:{band}" in void)


def test_a_band_cut_from_below_is_clipped_not_void() -> None:
    features = spectral_features(batch_of(noise(1), band_hz=(1.0, 75.0)))
    assert features.void_bands(0) == []


def test_gain_scales_power_and_moves_no_frequency() -> None:
    data = add(noise(3), rhythm(9.7, 30), POSTERIOR_FIELD)
    one, two = spectral_features(batch_of(data)), spectral_features(batch_of(2 * data))
    assert two.psd_uv2_hz == pytest.approx(4 * one.psd_uv2_hz, rel=2e-2, abs=1e-2)
    assert np.allclose(one.dominant_hz, two.dominant_hz, atol=0.02, equal_nan=True)
    assert one.dominant_band == two.dominant_band


def test_missing_and_silent_rows_stay_out_of_segment_means() -> None:
    data = add(noise(1), rhythm(10, 40), EVEN_FIELD)
    mask = np.ones((1, 19), dtype=bool)
    mask[0, 3] = False
    data[0, 5] = 0.0
    features = spectral_features(batch_of(data, mask=mask))
    assert np.isnan(features.power_uv2["clinical"]["alpha"][0, 3])
    assert features.power_uv2["clinical"]["alpha"][0, 5] == 0
    assert features.is_live.sum() == 17
    assert features.dominant_band == ("alpha",)


def test_a_page_without_rows_names_nothing() -> None:
    features = spectral_features(batch_of(noise(1), mask=np.zeros((1, 19), dtype=bool)))
    assert features.dominant_band == ("",)
    assert features.dominant_band_raw == ("",)
    assert np.isnan(features.aperiodic_exponent[0])


def test_rows_carry_the_registered_columns() -> None:
    batch = batch_of(noise(2))
    rows = spectral_features(batch).rows(batch)
    assert [tuple(row) for row in rows] == [table("spectral_features").column_names] * 2
    assert rows[0]["ch_names"] == list(CANONICAL19)


@pytest.mark.parametrize("high_hz", [75.0, 60.0, 29.0], ids=["full", "one void", "narrow"])
def test_relative_power_adds_up_over_the_bands_that_are_not_void(high_hz: float) -> None:
    data = noise(2, seed=5)
    mask = np.ones((2, 19), dtype=bool)
    mask[0, 3] = False
    features = spectral_features(batch_of(data, mask=mask, band_hz=(0.1, high_hz)))
    louder = spectral_features(batch_of(3 * data, mask=mask, band_hz=(0.1, high_hz)))
    for scheme, shares in features.relative_power().items():
        void = features.void[scheme][0]
        stacked = np.stack(list(shares.values()))
        assert np.isnan(stacked[void]).all()
        assert np.isnan(stacked[:, ~mask]).all()
        assert stacked[~void][:, mask].sum(0) == pytest.approx(1.0, abs=1e-5)
        again = np.stack(list(louder.relative_power()[scheme].values()))
        assert again == pytest.approx(stacked, rel=1e-3, nan_ok=True)


def test_relative_power_of_a_silent_row_or_a_short_segment_is_no_number() -> None:
    data = noise(1)
    data[0, 5] = 0.0
    shares = spectral_features(batch_of(data)).relative_power()["clinical"]
    assert all(np.isnan(share[0, 5]) for share in shares.values())
    assert shares["alpha"].dtype == np.float32
