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
) -> Clues:
    return Clues(lead, negative, record, train, page, at_once)


@pytest.mark.parametrize(
    ("seen", "name", "is_decisive"),
    [
        (clues("Cz", at_once=("kcomplex",)), "K-complex", True),
        (clues("Cz", page=("spindle",)), "vertex wave", True),
        (clues("Cz", WITH_WAVE, at_once=("vertex_wave",)), "vertex wave", True),
        (clues("Cz", WITH_WAVE, page=("spindle",)), "vertex wave", False),
        (clues("Cz"), "vertex wave", False),
        (clues("O1", SMALL, negative=False, page=("spindle",)), "POSTS", True),
        (clues("O1", negative=False, page=("spindle",)), "POSTS", False),
        (clues("O2", negative=False, page=("blink",)), "lambda wave", True),
        (clues("O2", negative=False), "lambda wave", False),
        (clues("T7", train=Train(9.0, 0.7)), "wicket spike", True),
        (clues("T8", TINY), "BETS", True),
        (clues("P7", SMALL, negative=False, train=Train(14.0, 0.7)), "14- and 6-Hz positive burst", True),
        (clues("C3", train=Train(10.0, 0.7)), "mu rhythm", True),
    ],
    ids=["k-complex", "vertex-asleep", "vertex-found", "vertex-with-wave", "vertex-awake", "posts",
         "large-posts", "lambda", "lambda-not-looking", "wicket", "bets", "14-and-6", "mu"],
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


@pytest.mark.parametrize("rate_hz", [6.0, 9.0, 11.0, 14.0])
def test_the_rate_of_a_train_is_measured(rate_hz: float) -> None:
    t = np.arange(N_TIMES) / SFREQ_HZ
    row = 30 * np.sin(2 * np.pi * rate_hz * t)[None]
    at = np.array([0]), np.array([7]), np.array([1000])
    feet = np.ones(1), np.array([5]), np.array([5])
    (train,) = trains(Peaks(*at, *feet, np.zeros((1, 19)), row, row))
    assert train.rate_hz == pytest.approx(rate_hz, rel=0.06)
    assert train.correlation > 0.9
