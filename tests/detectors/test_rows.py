from __future__ import annotations

from dataclasses import replace

import pytest

from dagster_project.tables.registry import table
from detectors.rows import (
    event_from_row,
    event_row,
    finding_from_row,
    finding_row,
    judgement_from_row,
    judgement_row,
)
from detectors.types import Finding, Judgement, Measure, WaveformEvent

SPIKE = Finding(
    "seg", "spike", ("T7", "F7"), 3.42, 3.48, (Measure("duration_s", 0.06, "s"),),
    0.8, "detector:w1", "left", "mid-temporal",
)  # fmt: skip
BOX = WaveformEvent("seg", "eyer+", "F8", 1.0, 1.4, 0.75)


def test_a_finding_comes_back_as_it_went() -> None:
    row = finding_row(SPIKE)
    assert tuple(row) == table("findings").column_names == table("rule_findings").column_names
    assert finding_from_row(row) == SPIKE
    assert (row["family"], row["hed"]) == (
        "epileptiform", "Epileptiform-interictal-activity, Spike",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "is_masked"),
    [({}, False), ({"masked_by": "f-1"}, True), ({"mask_reason": "pruned"}, True)],
    ids=["shown", "masked", "pruned"],
)
def test_masked_is_told_from_mask_or_reason(changes: dict[str, str], is_masked: bool) -> None:
    masked = replace(SPIKE, **changes)
    row = finding_row(masked)
    assert row["is_masked"] is is_masked
    assert row["finding_id"] == SPIKE.finding_id
    assert finding_from_row(row) == masked


def test_a_judgement_comes_back_as_it_went() -> None:
    judgement = Judgement("seg", "spindle", "not_judged", "needs single electrodes", ())
    row = judgement_row(judgement)
    assert tuple(row) == table("judgements").column_names
    assert judgement_from_row(row) == judgement


def test_an_event_comes_back_and_its_id_says_what_where_and_who() -> None:
    row = event_row(BOX, "w1")
    assert tuple(row) == table("waveform_events").column_names
    assert event_from_row(row) == BOX
    others = [
        event_row(BOX, "w2"),
        event_row(replace(BOX, channel="F7"), "w1"),
        event_row(replace(BOX, t0_s=1.005), "w1"),
    ]
    assert len({row["event_id"], *(other["event_id"] for other in others)}) == 4


def test_words_outside_the_vocabulary_are_refused() -> None:
    with pytest.raises(KeyError, match="alpha_coma"):
        finding_row(replace(SPIKE, kind="alpha_coma"))
    with pytest.raises(KeyError, match="'triphasic' is not one of"):
        event_row(replace(BOX, waveform="triphasic"), "w1")
