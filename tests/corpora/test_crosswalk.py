from __future__ import annotations

from typing import Any

import pytest

from dagster_project.corpora.crosswalk import (
    EVENTS,
    HED_VERSION,
    LABELS,
    NONE,
    PAGE,
    RECORDING,
    pathology,
)  # fmt: skip
from detectors.vocabulary import KINDS


@pytest.fixture(scope="module")
def hed_faults() -> Any:
    """Return what hedtools says is wrong with a HED string."""
    from hed import HedString, load_schema_version
    from hed.validator import HedValidator

    schema = load_schema_version(HED_VERSION)
    validator = HedValidator(schema)

    def faults(text: str) -> list[str]:
        return [issue["code"] for issue in validator.validate(HedString(text, schema), False)]

    return faults


TAGS = sorted(
    {m.hed for m in (*EVENTS.values(), *LABELS.values()) if m.hed}
    | {kind.hed for kind in KINDS.values() if kind.hed}
)


@pytest.mark.parametrize("tag", TAGS)
def test_every_tag_is_one_of_hed_score(hed_faults: Any, tag: str) -> None:
    assert hed_faults(tag) == []


def test_an_invented_tag_would_be_noticed(hed_faults: Any) -> None:
    assert "TAG_INVALID" in hed_faults("Spikes")


def label(scope: str, name: str, value: str) -> dict[str, str]:
    return {"scope": scope, "name": name, "value": value, "source": "test"}


@pytest.mark.parametrize(
    ("labels", "events", "expected"),
    [
        ([], [], NONE),
        ([label("recording", "abnormality", "abnormal")], [], RECORDING),
        ([label("recording", "abnormality", "normal")], [], NONE),
        ([label("recording", "seizure", "present")], [], RECORDING),
        ([label("segment", "seizure", "present")], [], PAGE),
        ([label("segment", "seizure", "absent")], [], NONE),
        ([label("interval", "event_class", "slow")], [], PAGE),
        ([label("recording", "diagnosis", "control")], [], NONE),
        ([label("recording", "diagnosis", "epilepsy")], [{"kind": "muscle"}], RECORDING),
        ([], [{"kind": "lpd"}], PAGE),
        ([], [{"kind": "muscle"}, {"kind": "a kind of a user's own"}], NONE),
    ],
)
def test_an_abnormal_recording_does_not_make_a_page_abnormal(
    labels: list[dict[str, str]], events: list[dict[str, str]], expected: int
) -> None:
    assert pathology(labels, events) == expected
