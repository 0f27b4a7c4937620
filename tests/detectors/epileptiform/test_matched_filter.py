from __future__ import annotations

import warnings

import numpy as np
import pytest

from detectors.epileptiform.judge import epileptiform_findings
from detectors.epileptiform.matched_filter import TEMPLATES, fits, pointed, scaled, whitened
from detectors.epileptiform.transient_signal import referred_rows
from detectors.types import CANONICAL19, SFREQ_HZ
from tests.detectors.planted_signals import add, batch_of, noise

T7_FIELD = {"T7": 1.0, "F7": 0.5, "P7": 0.5, "C3": 0.5}


def planted(seed: int) -> np.ndarray:
    t = np.arange(2000) / SFREQ_HZ - 5.0
    return add(noise(seed=seed, rms_uv=9.0), -60.0 * pointed(0.06, 0.22, t), T7_FIELD)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("least", [3.0, 4.9])
def test_the_screen_keeps_every_fit_that_stands_out(seed: int, least: float) -> None:
    batch = batch_of(planted(seed))
    page = whitened(referred_rows(batch.data_uv, batch.mask, 50.0), 0, 75.0)
    found = fits(page, least)
    every = scaled(page, found.weights)
    assert every.shape[:2] == (2 * len(CANONICAL19), len(TEMPLATES))
    highest = np.abs(every).max(axis=(0, 1))
    stands_out = highest >= least
    assert stands_out.any()
    assert np.abs(found.height[stands_out]) == pytest.approx(highest[stands_out], rel=1e-4)
    field, template = found.which[stands_out].T
    there = every[field, template, np.flatnonzero(stands_out)]
    assert there == pytest.approx(found.height[stands_out], rel=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=["nan", "inf"])
def test_a_row_of_no_numbers_is_as_a_silent_one(value: float) -> None:
    silent, broken = planted(0), planted(0)
    silent[0, [3, 17]] = 0.0
    broken[0, 3, 400:900] = value
    broken[0, 17] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [epileptiform_findings(batch_of(x), {}, {}, "") for x in (silent, broken)]
    assert found[0]["s0"]
    assert found[0] == found[1]


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_a_page_without_a_signal_has_no_candidate(value: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = epileptiform_findings(batch_of(np.full((1, 19, 2000), value)), {}, {}, "")
    assert found == {"s0": []}
