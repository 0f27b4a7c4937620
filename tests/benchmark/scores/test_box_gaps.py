"""Paired mAP of two detectors: the gap, its p against every exchange, pages without a reading."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

from benchmark.errors import BenchmarkError
from benchmark.scores.box_gaps import box_gap

SPIKE = ["spike", "T7", 1.0, 1.1]
RIGHT, WRONG, NONE = json.dumps([SPIKE]), json.dumps([["spike", "T8", 5.0, 5.1]]), "[]"
BOTH = json.dumps([SPIKE, ["spike", "T8", 5.0, 5.1]])


def test_the_gap_is_that_of_the_two_maps() -> None:
    subjects = [f"s{n}" for n in range(8)]
    found = box_gap(subjects, [RIGHT] * 8, [WRONG] * 8, [RIGHT] * 8, seed=0)
    assert (found.value_a, found.value_b, found.gap.value) == (0.0, 1.0, 1.0)
    assert (found.gap.low, found.gap.high) == (1.0, 1.0)
    assert found.p == 2 / 2**8
    turned = box_gap(subjects, [RIGHT] * 8, [RIGHT] * 8, [WRONG] * 8, seed=0)
    assert (turned.gap.value, turned.p) == (-1.0, found.p)
    same = box_gap(subjects, [RIGHT] * 8, [BOTH] * 8, [BOTH] * 8, seed=0)
    assert (same.gap.value, same.p) == (0.0, 1.0)


@pytest.mark.parametrize("seed", range(4))
def test_p_is_the_share_of_exchanges_of_whole_subjects_with_as_large_a_gap(seed: int) -> None:
    """Every box has one confidence here, so that the order of ties decides every precision."""
    rng = np.random.default_rng(seed)
    subjects = [f"s{n % 4}" for n in range(12)]
    truth = rng.choice([RIGHT, RIGHT, NONE], 12).tolist()
    a, b = (rng.choice([RIGHT, WRONG, BOTH, NONE], 12).tolist() for _ in range(2))
    found = box_gap(subjects, truth, a, b, seed=seed)
    gaps = []
    for exchanged in itertools.product((False, True), repeat=4):
        sides = [
            (y, x) if exchanged[int(s[1:])] else (x, y)
            for s, x, y in zip(subjects, a, b, strict=True)
        ]
        of_a, of_b = (list(side) for side in zip(*sides, strict=True))
        gaps.append(box_gap(subjects, truth, of_a, of_b, seed=seed).gap.value)
    n_as_large = sum(abs(gap) >= abs(found.gap.value) - 1e-9 for gap in gaps)
    assert found.p == n_as_large / len(gaps)


def test_an_answer_that_cannot_be_read_holds_no_box() -> None:
    subjects = ["s0", "s1", "s2"]
    found = box_gap(subjects, [RIGHT] * 3, ["nothing", RIGHT, RIGHT], [RIGHT] * 3, seed=0)
    assert found.value_a == pytest.approx(2 / 3, abs=0.01)
    assert found.value_b == 1.0
    assert not math.isnan(found.p)


def test_pages_without_a_true_box_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="no page has a true box"):
        box_gap(["s0", "s1"], [NONE, NONE], [RIGHT, NONE], [NONE, NONE], seed=0)
