"""Blinks and looks aside told from what else lies in front: foci, single electrodes, slow waves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from planted_signals import (
    BLINK_FIELD,
    FRONTAL_FIELD,
    LATERAL_FIELD,
    TIME_S,
    add,
    batch_of,
    bell,
    noise,
    plateau,
)

from detectors.artifacts.chain import find_artifacts
from detectors.signal.scalp import electrode_positions
from detectors.signal.spectra import spectral_features
from detectors.types import CANONICAL19, Finding, RuleResult


def result_of(data_uv: NDArray[np.float32]) -> RuleResult:
    batch = batch_of(data_uv)
    return find_artifacts(batch, spectral_features(batch))


def seen(data_uv: NDArray[np.float32], kind: str) -> list[Finding]:
    return [f for f in result_of(data_uv).findings if f.kind == kind]


def quiet(seed: int = 1) -> NDArray[np.float32]:
    return noise(1, seed=seed, rms_uv=6, exponent=1.6)


def focus(name: str, width: float) -> Mapping[str, float]:
    """A patch under one electrode; a width of 0.35 is near 32 degrees."""
    places = electrode_positions()
    apart = np.linalg.norm(places - places[CANONICAL19.index(name)], axis=1)
    fields = np.exp(-0.5 * (apart / width) ** 2)
    return dict(zip(CANONICAL19, fields.tolist(), strict=True))


def pop(step_uv: float, at_s: float, tau_s: float) -> NDArray[np.float64]:
    return step_uv * (at_s <= TIME_S) * np.exp(-(TIME_S - at_s).clip(0) / tau_s)


@pytest.mark.parametrize("half_width_s", [0.1, 0.16, 0.22, 0.3])
@pytest.mark.parametrize("steepness", [0.8, 1.0, 1.5])
def test_blinks_differ_in_length_and_in_how_fast_their_field_falls(
    half_width_s: float, steepness: float
) -> None:
    field = {name: weight**steepness for name, weight in BLINK_FIELD.items()}
    (blink,) = seen(add(quiet(), bell(60, 5.0, half_width_s), field), "blink")
    assert set(blink.channels[:2]) == {"Fp1", "Fp2"}
    assert blink.measure("peak_s") == pytest.approx(5.0, abs=0.05)
    assert blink.measure("width_s") == pytest.approx(half_width_s, abs=0.06)
    assert blink.t0_s < 5.0 < blink.t1_s


@pytest.mark.parametrize("name", ["C3", "Cz", "Fz", "F3", "F7", "Fp1", "Fp2"])
@pytest.mark.parametrize("width", [0.25, 0.4, 0.7])
def test_a_wave_of_one_focus_is_no_blink_however_blink_like_its_course(
    name: str, width: float
) -> None:
    assert not seen(add(quiet(), bell(60, 5.0, 0.18), focus(name, width)), "blink")


@pytest.mark.parametrize("tau_s", [0.1, 0.3])
@pytest.mark.parametrize("name", ["Fp1", "Fp2"])
def test_a_pop_of_one_frontopolar_electrode_is_no_blink(name: str, tau_s: float) -> None:
    assert not seen(add(quiet(), pop(80, 5.0, tau_s), {name: 1.0}), "blink")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_frontal_slow_wave_is_no_blink(sign: int) -> None:
    wave = sign * (bell(120, 5.3, 0.4) - bell(120, 4.8, 0.3))
    assert not seen(add(quiet(), wave, FRONTAL_FIELD), "blink")


def test_every_blink_of_a_train_is_found_once() -> None:
    times = (1.0, 1.6, 3.0, 5.0, 5.7, 8.0)
    wave = np.sum([bell(60 + 8 * k, t, 0.16) for k, t in enumerate(times)], axis=0)
    found = seen(add(quiet(), wave, BLINK_FIELD), "blink")
    assert [f.measure("peak_s") for f in found] == pytest.approx(times, abs=0.05)


def test_a_blink_stands_out_less_on_a_lively_stretch() -> None:
    calm = quiet()
    lively = calm * np.where(np.abs(TIME_S - 5) < 1, 2.5, 1.0).astype(np.float32)
    ratios = []
    for data in (calm, lively):
        found = seen(add(data, bell(60, 5.0, 0.16), BLINK_FIELD), "blink")
        ratios.append(found[0].measure("background_ratio") if found else 0.0)
    assert ratios[0] > 0
    assert ratios[1] < 0.8 * ratios[0]


@pytest.mark.parametrize("tau_s", [0.15, 0.6])
@pytest.mark.parametrize("name", ["F7", "F8", "T8"])
def test_a_pop_of_one_temporal_electrode_is_no_look_aside(name: str, tau_s: float) -> None:
    assert not seen(add(quiet(), pop(80, 5.0, tau_s), {name: 1.0}), "lateral_eye")


@pytest.mark.parametrize("sign", [1, -1], ids=["right", "left"])
@pytest.mark.parametrize("hold_s", [0.4, 0.8, 1.5])
def test_a_look_aside_and_back_is_one_finding(sign: int, hold_s: float) -> None:
    wave = sign * plateau(60, 4.0, 4.1 + hold_s, 0.06)
    (look,) = seen(add(quiet(), wave, LATERAL_FIELD), "lateral_eye")
    assert look.measure("gaze_right") == sign
    assert (look.t0_s, look.t1_s) == pytest.approx((4.0, 4.1 + hold_s), abs=0.15)


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_a_wobble_while_the_eyes_are_held_aside_is_not_another_look(share: float) -> None:
    wave = plateau(80, 4.0, 5.6, 0.06) - share * plateau(80, 4.6, 5.3, 0.06)
    (look,) = seen(add(quiet(), wave, LATERAL_FIELD), "lateral_eye")
    assert (look.t0_s, look.t1_s) == pytest.approx((4.0, 5.6), abs=0.2)


@pytest.mark.parametrize(
    ("dead", "kind", "reason"),
    [
        ("Fp2", "blink", "needs live Fp1, Fp2 and a central row"),
        ("F7", "lateral_eye", "needs live F7 and F8"),
    ],
)
def test_without_its_electrodes_an_eye_movement_is_not_judged(
    dead: str, kind: str, reason: str
) -> None:
    data = quiet()
    data[:, CANONICAL19.index(dead)] = 0.0
    judgement = next(j for j in result_of(data).judgements if j.kind == kind)
    assert (judgement.verdict, judgement.reason) == ("not_judged", reason)
