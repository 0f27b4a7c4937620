from __future__ import annotations

import numpy as np
import pytest
from planted_signals import noise

from detectors.montage import (
    HOMOLOGOUS,
    LB18_NAMES,
    NEIGHBOURS,
    average_reference,
    longitudinal_bipolar,
    mirror_rows,
    rows_of,
    side_and_region,
)
from detectors.types import CANONICAL19


def test_rows_stand_in_the_published_order() -> None:
    published = (
        "Fp1-F7 F7-T7 T7-P7 P7-O1 Fp1-F3 F3-C3 C3-P3 P3-O1 Fz-Cz Cz-Pz "
        "Fp2-F4 F4-C4 C4-P4 P4-O2 Fp2-F8 F8-T8 T8-P8 P8-O2"
    )
    assert tuple(published.split()) == LB18_NAMES


@pytest.mark.parametrize(
    ("first", "chain"),
    [("Fp1", slice(0, 4)), ("Fp1", slice(4, 8)), ("Fp2", slice(10, 14)), ("Fp2", slice(14, 18))],
    ids=["temporal-left", "parasagittal-left", "parasagittal-right", "temporal-right"],
)
def test_a_chain_adds_up_to_its_ends(first: str, chain: slice) -> None:
    data, mask = noise(2), np.ones((2, 19), dtype=bool)
    derived, _ = longitudinal_bipolar(data, mask)
    last = "O1" if first == "Fp1" else "O2"
    start, end = rows_of(first, last)
    assert np.allclose(derived[:, chain].sum(1), data[:, start] - data[:, end], atol=1e-3)


def test_a_missing_electrode_takes_its_derivations_with_it() -> None:
    mask = np.ones((1, 19), dtype=bool)
    mask[0, rows_of("F7")] = False
    derived, there = longitudinal_bipolar(noise(), mask)
    gone = [n for n, ok in zip(LB18_NAMES, there[0], strict=True) if not ok]
    assert gone == ["Fp1-F7", "F7-T7"]
    assert not derived[0, ~there[0]].any()


def test_other_row_counts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"needs data \(n, 19, n_times\)"):
        longitudinal_bipolar(noise(n_rows=18), np.ones((1, 18), dtype=bool))


def test_average_reference_sums_to_zero_over_good_rows_and_ignores_bad_ones() -> None:
    data, mask = noise(3), np.ones((3, 19), dtype=bool)
    mask[:, 4] = False
    referred = average_reference(data, mask)
    assert np.abs(referred.sum(1)).max() < 1e-2
    data[:, 4] += 1e4
    assert np.array_equal(referred, average_reference(data, mask))


def test_average_reference_does_not_depend_on_the_recording_reference() -> None:
    data, mask = noise(2), np.ones((2, 19), dtype=bool)
    shifted = data - data[:, :1]
    assert np.allclose(average_reference(data, mask), average_reference(shifted, mask), atol=1e-3)


def test_neighbours_are_mutual_and_mirror_symmetric() -> None:
    opposite = dict(zip(CANONICAL19, np.array(CANONICAL19)[mirror_rows()], strict=True))
    assert set(NEIGHBOURS) == set(CANONICAL19)
    for name, near in NEIGHBOURS.items():
        assert all(name in NEIGHBOURS[other] for other in near)
        assert {opposite[other] for other in near} == set(NEIGHBOURS[opposite[name]])


def test_mirroring_twice_is_nothing() -> None:
    order = mirror_rows()
    assert np.array_equal(order[order], np.arange(19))
    assert len(HOMOLOGOUS) == 8


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("T7", "F7"), ("left", "mid-temporal")),
        (("Fp1", "Fp2"), ("bilateral", "frontopolar")),
        (("Fz",), ("midline", "frontal")),
        (("Fp1-F7", "F7-T7"), ("left", "frontopolar")),
        (("Fpz-Cz",), ("midline", "frontopolar")),
        (("FT9-FT10",), ("bilateral", "")),
        ((), ("", "")),
    ],
    ids=["left", "both", "midline", "chain", "sleep-edf", "outside-10-20", "none"],
)
def test_side_and_region_come_from_names(rows: tuple[str, ...], expected: tuple[str, str]) -> None:
    assert side_and_region(rows) == expected
