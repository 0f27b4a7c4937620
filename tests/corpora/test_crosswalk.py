from __future__ import annotations

from typing import Any

import pytest
import yaml

from dagster_project.corpora.crosswalk import (
    EVENTS,
    HED_VERSION,
    LABELS,
    NONE,
    PAGE,
    RECORDING,
    pathology,
)  # fmt: skip
from dagster_project.corpora.registry import CATALOGUE
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
        ([label("file", "diagnosis", "epilepsy")], [], RECORDING),
        ([], [{"kind": "lpd"}], PAGE),
        ([], [{"kind": "muscle"}, {"kind": "a kind of a user's own"}], NONE),
    ],
)
def test_an_abnormal_recording_does_not_make_a_page_abnormal(
    labels: list[dict[str, str]], events: list[dict[str, str]], expected: int
) -> None:
    assert pathology(labels, events) == expected


HEALTHY = {"healthy", "control", "no_epilepsy"}


def diagnoses(content: Any) -> set[str]:
    """Return the words every rule named ``diagnosis`` in an entry may say."""
    if isinstance(content, dict):
        mine = content["values"].values() if content.get("name") == "diagnosis" else ()
        return {*mine, *(w for part in content.values() for w in diagnoses(part))}
    return {w for part in content for w in diagnoses(part)} if isinstance(content, list) else set()


def test_the_catalogue_s_diagnoses_are_spelt_as_in_the_crosswalk() -> None:
    found = {w for p in CATALOGUE.glob("*.yaml") for w in diagnoses(yaml.safe_load(p.read_text()))}
    assert found >= HEALTHY
    mapped = {value for name, value in LABELS if name == "diagnosis"}
    assert mapped == found - HEALTHY
