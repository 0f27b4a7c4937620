"""Trainers killed for memory are not started again; those whose machine was taken away are."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg
import pytest


def _failure(outcome: dg.ExecuteInProcessResult) -> tuple[str, bool]:
    (event,) = outcome.filter_events(lambda e: e.is_step_failure)
    data = event.step_failure_data
    assert data.user_failure_data
    retried = outcome.filter_events(lambda e: e.event_type_value == "STEP_UP_FOR_RETRY")
    return str(data.user_failure_data.description), bool(retried)


def _disrupted(reason: str) -> dict[str, Any]:
    now = "2026-01-01T00:00:00Z"
    target = {"type": "DisruptionTarget", "status": "True", "reason": reason}
    return {"conditions": [target | {"lastTransitionTime": now}]}


RAY_OOM = "ActorDiedError: ... Task was killed due to the node running low on memory."


@pytest.mark.parametrize(
    ("place", "how", "end"),
    [
        ("kubernetes", "killed", {"container": "OOMKilled"}),
        ("kubernetes", "lost", {"container": "OOMKilled"}),
        ("slurm", "killed", "OUT_OF_MEMORY"),
        ("slurm", "lost", "OUT_OF_MEMORY"),
        ("ray", "killed", RAY_OOM),
    ],
)
def test_job_killed_for_its_memory_is_permanent_and_says_what_to_lower(
    request: pytest.FixtureRequest, make: Any, place: str, how: str, end: Any
) -> None:
    cluster = request.getfixturevalue(place)
    (cluster.folder / "end").write_text(end if isinstance(end, str) else json.dumps(end))
    text, is_retried = _failure(make(cluster, how=how)[0])
    assert not is_retried
    assert cluster.launches == ["from 0"]
    assert "more memory than it was given" in text
    assert "raise memory_gb" in text
    assert "machine.n_workers" in text


@pytest.mark.parametrize(
    ("place", "how", "end"),
    [
        ("kubernetes", "killed", {"container": "Error"}),
        ("kubernetes", "mute", {"reason": "Evicted", "message": "low on resource: memory"}),
        ("kubernetes", "mute", _disrupted("PreemptionByScheduler")),
        ("slurm", "killed", "FAILED"),
        ("slurm", "mute", "PREEMPTED"),
        ("slurm", "mute", "NODE_FAIL"),
        ("ray", "killed", "Job entrypoint command failed with exit code 137"),
    ],
)
def test_job_that_was_taken_away_is_tried_again(
    request: pytest.FixtureRequest, make: Any, place: str, how: str, end: Any
) -> None:
    cluster = request.getfixturevalue(place)
    (cluster.folder / "end").write_text(end if isinstance(end, str) else json.dumps(end))
    text, is_retried = _failure(make(cluster, how=how)[0])
    assert is_retried, text
    assert cluster.launches == ["from 0"] * 2
    assert "memory_gb" not in text


@pytest.mark.parametrize(("place", "end"), [("kubernetes", "{}"), ("slurm", "FAILED")])
def test_job_that_failed_by_itself_without_a_word_is_permanent(
    request: pytest.FixtureRequest, make: Any, place: str, end: str
) -> None:
    cluster = request.getfixturevalue(place)
    (cluster.folder / "end").write_text(end)
    text, is_retried = _failure(make(cluster, how="mute")[0])
    assert not is_retried
    assert "status 1" in text


def test_pod_that_somebody_deleted_is_tried_again(kubernetes: Any, make: Any) -> None:
    (kubernetes.folder / "gone").touch()
    text, is_retried = _failure(make(kubernetes, how="killed")[0])
    assert is_retried
    assert "the pod is gone" in text
