from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detectors.epileptiform.benign import Clues, Train, look_alike, trains
from detectors.epileptiform.ifcn import IfcnRecord
from detectors.epileptiform.transient_signal import Peaks
from detectors.types import N_TIMES, SFREQ_HZ

RECORD = IfcnRecord(
    met=(True, True, True, False, True, True), sharpness_sd=8.0, duration_s=0.08, cycle_s=0.1,
    slope_ratio=1.8, after_wave_s=0.0, after_wave_share=0.0, disturbed_db=8.0, n_neighbours=3,
    amplitude_uv_p2p=90.0,
)  # fmt: skip
CREST = replace(RECORD, duration_s=0.16, slope_ratio=1.2, met=(True, True, False, True, True, True))
SPIKE = replace(RECORD, duration_s=0.05)
WITH_WAVE = replace(RECORD, met=(True, True, True, True, True, True))
SMALL = replace(RECORD, amplitude_uv_p2p=40.0)
TINY = replace(SMALL, duration_s=0.04)
ALONE = Train(8.0, 0.2)


def clues(
    lead: str,
    record: IfcnRecord = RECORD,
    *,
    negative: bool = True,
    train: Train = ALONE,
    page: tuple[str, ...] = (),
    at_once: tuple[str, ...] = (),
    slow: float = 0.9,
    like: float = 0.95,
    crest: bool = True,
) -> Clues:
    return Clues(lead, negative, record, train, page, at_once, slow, like, crest)


@pytest.mark.parametrize(
    ("seen", "name", "is_decisive"),
    [
        (clues("Cz", at_once=("kcomplex",)), "K-complex", True),
        (clues("F4", CREST, at_once=("kcomplex",)), "K-complex", True),
        (clues("F4", SPIKE, at_once=("kcomplex",), slow=0.3), "K-complex", False),
        (clues("F4", CREST, at_once=("kcomplex",), crest=False), "K-complex", False),
        (clues("Cz", page=("spindle",)), "vertex wave", True),
        (clues("Cz", WITH_WAVE, at_once=("vertex_wave",)), "vertex wave", True),
        (clues("Cz", SPIKE, at_once=("vertex_wave",), slow=0.3), "vertex wave", True),
        (clues("Cz", WITH_WAVE, page=("spindle",)), "vertex wave", True),
        (clues("Cz", WITH_WAVE, page=("spindle",), slow=0.3, like=0.5), "vertex wave", False),
        (clues("Cz", WITH_WAVE, page=("slow_wave",)), "vertex wave", False),
        (clues("F3", CREST, page=("spindle", "slow_wave"), at_once=("slow_wave",)), "slow wave", True),
        (clues("Cz"), "vertex wave", False),
        (clues("O1", SMALL, negative=False, page=("spindle",)), "POSTS", True),
        (clues("O1", negative=False, page=("spindle",)), "POSTS", True),
        (clues("O1", WITH_WAVE, negative=False, page=("spindle",)), "POSTS", False),
        (clues("O2", negative=False, page=("blink",)), "lambda wave", True),
        (clues("O2", negative=False), "lambda wave or POSTS", True),
        (clues("O2", WITH_WAVE, negative=False), "lambda wave or POSTS", False),
        (clues("T7", train=Train(9.0, 0.7)), "wicket spike", True),
        (clues("T8", TINY), "BETS", True),
        (clues("P7", SMALL, negative=False, train=Train(14.0, 0.7)), "14- and 6-Hz positive burst", True),
        (clues("C3", train=Train(10.0, 0.7)), "mu rhythm", True),
    ],
    ids=["k-complex", "crest-of-k-complex", "spike-on-k-complex",
         "later-in-k-complex", "vertex-asleep", "vertex-found",
         "vertex-found-pointed", "vertex-with-wave", "vertex-with-wave-pointed", "vertex-awake-slow",
         "crest-of-slow-wave", "vertex-awake", "posts", "large-posts", "posts-with-wave", "lambda",
         "occipital-not-looking", "occipital-with-wave", "wicket", "bets", "14-and-6", "mu"],
)  # fmt: skip
def test_a_look_alike_is_named_and_decided_by_its_clue(
    seen: Clues, name: str, is_decisive: bool
) -> None:
    found = look_alike(seen)
    assert found is not None
    assert (found.name, found.is_decisive) == (name, is_decisive)


@pytest.mark.parametrize(
    "seen",
    [
        clues("T7"),
        clues("T7", WITH_WAVE, train=Train(9.0, 0.7)),
        clues("C3", train=Train(4.0, 0.7)),
        clues("O1"),
        clues("Cz", negative=False),
        clues("F3", TINY),
    ],
    ids=[
        "no-train",
        "wave-after",
        "slow-train",
        "negative-occipital",
        "positive-vertex",
        "frontal",
    ],
)
def test_nothing_is_named_without_a_clue(seen: Clues) -> None:
    assert look_alike(seen) is None


@pytest.mark.parametrize(
    ("record", "slow", "like", "has_point"),
    [
        (SPIKE, 0.4, 0.99, True),
        (SPIKE, 0.6, 0.99, False),
        (CREST, 0.4, 0.99, False),
        (CREST, 0.5, 0.5, True),
        (CREST, 0.7, 0.5, False),
        (replace(RECORD, duration_s=0.12), 0.3, 0.99, True),
        (replace(CREST, duration_s=0.12), 0.3, 0.99, False),
        (replace(SPIKE, met=(False, True, True, True, True, True)), 0.2, 0.2, False),
        (replace(SPIKE, met=(True, False, False, True, True, True)), 0.2, 0.2, False),
    ],
    ids=["spike-in-its-field", "no-better-than-a-slow-wave", "long", "other-field",
         "other-field-but-slow", "uneven-flanks", "even-flanks", "not-sharp", "wave-and-change-lent"],
)  # fmt: skip
def test_a_point_of_its_own_is_measured_on_the_sharp_part(
    record: IfcnRecord, slow: float, like: float, has_point: bool
) -> None:
    assert clues("F3", record, slow=slow, like=like).has_own_point is has_point


def test_a_discharge_in_a_slow_wave_awake_keeps_its_name() -> None:
    awake = clues("F3", CREST, page=("posterior_rhythm", "slow_wave"), at_once=("slow_wave",))
    assert look_alike(awake) is None


@pytest.mark.parametrize("rate_hz", [6.0, 9.0, 11.0, 14.0])
def test_the_rate_of_a_train_is_measured(rate_hz: float) -> None:
    t = np.arange(N_TIMES) / SFREQ_HZ
    row = 30 * np.sin(2 * np.pi * rate_hz * t)[None]
    at = np.array([0]), np.array([7]), np.array([1000])
    feet = np.ones(1), np.array([5]), np.array([5])
    (train,) = trains(Peaks(*at, *feet, np.zeros((1, 19)), row, row))
    assert train.rate_hz == pytest.approx(rate_hz, rel=0.06)
    assert train.correlation > 0.9
