"""Usable seconds are what artifacts leave of each row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.artifacts.usable import covered_s, hiding, usable_by_row, usable_row
from detectors.types import Finding, Measure

BLINK = Finding("s", "blink", ("Fp1", "Fp2"), 1.0, 1.5)
MUSCLE = Finding("s", "muscle", ("T7", "Fp1"), 1.25, 3.0)
SPIKE = Finding("s", "spike", ("T7",), 5.0, 5.1)


def test_overlapping_artifacts_take_a_second_once() -> None:
    row = usable_row("s", ("Fp1", "T7", "O1"), 10.0, (BLINK, MUSCLE, SPIKE))

    assert dict(zip(row["channels"], row["usable_s"], strict=True)) == {
        "Fp1": 8.0,
        "T7": 8.25,
        "O1": 10.0,
    }
    assert row["hidden_by"] == ["blink, muscle", "muscle", ""]


@pytest.mark.parametrize(
    "finding",
    [
        replace(BLINK, masked_by="f-1", mask_reason="covered"),
        replace(BLINK, measures=(Measure("reaches_definition", 0.0, "1"),)),
        SPIKE,
    ],
    ids=["masked", "too small to hide", "no artifact"],
)
def test_what_hides_nothing_takes_nothing(finding: Finding) -> None:
    assert usable_by_row(("Fp1",), hiding([finding])) == {"Fp1": 10.0}


def test_a_short_segment_has_no_more_than_was_recorded() -> None:
    assert usable_row("s", ("Fp1",), 4.0, (BLINK,))["usable_s"] == [3.5]


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)).map(sorted), max_size=6))
def test_a_union_is_no_longer_than_its_parts_or_the_page(spans: list[tuple[float, float]]) -> None:
    total = covered_s(sorted((a, b) for a, b in spans), 0.0, 10.0)

    assert 0.0 <= total <= min(10.0, sum(b - a for a, b in spans)) + 1e-9
    assert total >= max((b - a for a, b in spans), default=0.0) - 1e-9
