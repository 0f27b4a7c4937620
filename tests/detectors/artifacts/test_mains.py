"""Mains is judged on every row against its own neighbouring frequencies, where a page can show it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from planted_signals import EVEN_FIELD, TIME_S, add, batch_of, noise, rhythm
from scipy import signal

from detectors.artifacts.technical import find_mains
from detectors.signal.spectra import spectral_features
from detectors.types import Finding, Judgement, SegmentBatch


def mains_in(batch: SegmentBatch) -> tuple[tuple[Finding, ...], Judgement]:
    result, _ = find_mains(batch, spectral_features(batch))
    return result.findings, result.judgements[0]


def notched(pages: NDArray[np.float32], hz: float) -> NDArray[np.float32]:
    b, a = signal.iirnotch(hz, 15, fs=200)
    return np.asarray(signal.filtfilt(b, a, pages, axis=-1), dtype=np.float32)


@pytest.mark.parametrize("line_hz", [50.0, 60.0])
@pytest.mark.parametrize("hz", [50.0, 60.0])
def test_either_mains_is_found_and_said_to_be_the_sites_or_not(hz: float, line_hz: float) -> None:
    data = add(noise(1), rhythm(hz, 30), {"P3": 1.0, "O1": 0.8})
    (finding,), judgement = mains_in(batch_of(data, line_freq_hz=line_hz))
    assert finding.channels == ("P3", "O1")
    assert finding.measure("frequency_hz") == hz
    assert finding.measure("is_of_site") == float(hz == line_hz)
    assert judgement.verdict == "present"


def test_the_other_mains_is_found_where_the_sites_was_filtered_out() -> None:
    data = add(notched(noise(1), 50), rhythm(60, 30), EVEN_FIELD)
    (finding,), _ = mains_in(batch_of(data, line_freq_hz=50))
    assert finding.measure("frequency_hz") == 60.0


@pytest.mark.parametrize("hz", [50.0, 60.0])
def test_a_notch_or_a_narrow_source_leaves_nothing_to_judge(hz: float) -> None:
    findings, judgement = mains_in(batch_of(notched(noise(1), hz), line_freq_hz=hz))
    assert not findings
    assert judgement.reason == "a notch filter took it, so this page cannot show how much there was"
    findings, judgement = mains_in(
        batch_of(add(noise(1), rhythm(hz, 30), EVEN_FIELD), band_hz=(0.1, 45), line_freq_hz=hz)
    )
    assert not findings
    assert judgement.reason == "mains lies above the usable band"


def test_each_row_has_its_own_neighbours() -> None:
    white = np.random.default_rng(0).standard_normal(TIME_S.size)
    sos = signal.butter(4, [30, 70], "bandpass", fs=200, output="sos")
    muscle = signal.sosfiltfilt(sos, white)
    loud = add(noise(1), 60 * muscle / muscle.std(), {"T7": 1.0})
    (finding,), _ = mains_in(batch_of(add(loud, rhythm(50, 30), {"T7": 1.0, "O1": 1.0})))
    assert finding.channels == ("O1",)


@pytest.mark.parametrize("hz", [44.0, 47.0, 53.0])
def test_a_rhythm_beside_the_mains_is_none(hz: float) -> None:
    findings, judgement = mains_in(batch_of(add(noise(1), rhythm(hz, 30), EVEN_FIELD)))
    assert not findings
    assert judgement.verdict == "absent"


def test_plain_background_and_muscle_hold_no_mains() -> None:
    findings, _ = mains_in(batch_of(noise(30, seed=3, rms_uv=20, exponent=0.6)))
    assert not findings


def test_mains_power_of_a_row_is_that_of_the_sine() -> None:
    batch = batch_of(add(noise(1, exponent=2.0), rhythm(50, 30), {"O1": 1.0}))
    _, power = find_mains(batch, spectral_features(batch))
    assert power[0].max() == pytest.approx(0.5 * 15**2, rel=0.05)
    assert np.sort(power[0])[-2] < 0.5
