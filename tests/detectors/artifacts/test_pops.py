"""A pop jumps and falls back; what jumps and stays, or climbs, is none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from planted_signals import TIME_S, add, batch_of, noise, plateau

from detectors.artifacts.chain import find_artifacts
from detectors.signal.spectra import spectral_features
from detectors.types import Finding

SINCE_S = (TIME_S - 4.2).clip(0)
AFTER = TIME_S >= 4.2


def pops_in(wave_uv: NDArray[np.floating], seed: int = 0, rms_uv: float = 6.0) -> list[Finding]:
    batch = batch_of(add(noise(1, seed, rms_uv, exponent=1.6), wave_uv, {"C4": 1.0}))
    result = find_artifacts(batch, spectral_features(batch))
    return [f for f in result.findings if f.kind == "electrode_pop"]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("step_uv", [-120.0, 30.0, 120.0])
@pytest.mark.parametrize("tau_s", [0.12, 0.3, 0.6])
def test_a_jump_that_falls_back_is_a_pop(tau_s: float, step_uv: float, seed: int) -> None:
    (finding,) = pops_in(step_uv * AFTER * np.exp(-SINCE_S / tau_s), seed)
    assert finding.channels == ("C4",)
    assert finding.t0_s == pytest.approx(4.2, abs=0.05)
    assert np.sign(finding.measure("step_uv") or 0.0) == np.sign(step_uv)


NO_POPS = {
    "held": AFTER.astype(float),
    "held-half-a-second": plateau(1.0, 4.2, 4.7, 0.005),
    "held-a-second": plateau(1.0, 4.2, 5.2, 0.005),
    "climbs-in-100-ms": np.clip(SINCE_S / 0.1, 0, 1),
    "climbs-in-300-ms": np.clip(SINCE_S / 0.3, 0, 1),
    "jumps-and-goes-on-climbing": AFTER * (1 + 0.5 * SINCE_S),
    "climbs-and-drops": np.clip(SINCE_S, 0, 1) * (TIME_S < 5.2),
    "drifts-up-and-comes-back": np.clip(SINCE_S / 0.25, 0, 1) * np.exp(-SINCE_S / 0.5),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("height_uv", [-30.0, 60.0, 200.0])
@pytest.mark.parametrize("shape", NO_POPS.values(), ids=NO_POPS.keys())
def test_a_jump_that_stays_and_a_climb_are_no_pop(
    shape: NDArray[np.floating], height_uv: float, seed: int
) -> None:
    assert not pops_in(height_uv * shape, seed)


@pytest.mark.parametrize("at_s", [0.6, 9.2])
def test_a_pop_near_an_end_of_the_page_is_judged_by_what_the_page_holds(at_s: float) -> None:
    (finding,) = pops_in(90 * (at_s <= TIME_S) * np.exp(-(TIME_S - at_s).clip(0) / 0.2))
    assert finding.t0_s == pytest.approx(at_s, abs=0.05)
