from __future__ import annotations

import logging

import pytest

from detectors.epileptiform.ifcn import CRITERIA
from detectors.guard import BeyondPageError, beyond_page, guarded
from detectors.types import Finding, Measure
from detectors.vocabulary import KINDS

FINE = Finding("s", "spike", ("T7",), 3.0, 3.1, tuple(Measure(n, 1.0, "1") for n in CRITERIA))


def spike(measure: str = "count", reason: str = "") -> Finding:
    return Finding(
        "s", "spike", ("T7",), 3.0, 3.1, (Measure(measure, 1.0, "1"),), mask_reason=reason
    )


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_of_the_vocabulary_passes(kind: str) -> None:
    assert beyond_page(Finding("s", kind, (), 0.0, 10.0)) == ""


@pytest.mark.parametrize(
    ("finding", "why"),
    [
        (Finding("s", "seizure", (), 0.0, 10.0), "closed vocabulary"),
        (Finding("s", "stage_n2", (), 0.0, 10.0), "closed vocabulary"),
        (spike("seizure_probability"), "'seizure'"),
        (spike("sleep_stage"), "'stage'"),
        (spike("stage N2"), "30 s"),
        (spike("epilepsy_risk"), "diagnosis"),
        (spike("is_reactive"), "stimulus"),
        (spike(reason="status epilepticus"), "minutes"),
        (Finding("s", "spike", (), 9.0, 12.0), "inside the page"),
    ],
    ids=["seizure", "stage", "probability", "stage-measure", "n2", "diagnosis", "reactive",
         "status", "too-long"],
)  # fmt: skip
def test_what_ten_seconds_cannot_show_is_refused(
    finding: Finding, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(BeyondPageError, match=why):
        guarded([FINE, finding], is_strict=True)
    with caplog.at_level(logging.WARNING):
        assert guarded([FINE, finding]) == [FINE]
    assert why in caplog.text


def test_the_record_of_a_discharge_passes() -> None:
    assert guarded([FINE], is_strict=True) == [FINE]
