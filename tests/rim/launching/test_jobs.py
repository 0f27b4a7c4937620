"""Trainers as jobs of a queue: started, heard, and failed, for real."""

from __future__ import annotations

import json
import re
from typing import Any

import dagster as dg
import pytest


def _observed(instance: dg.DagsterInstance) -> list[dict[str, Any]]:
    kept = instance.fetch_observations(dg.AssetKey("model"), limit=100).records
    events = [r.asset_observation for r in kept]
    assert all(e and e.partition == "tiny" for e in events)
    return [{k: v.value for k, v in e.metadata.items()} for e in events if e]


def _failure(outcome: dg.ExecuteInProcessResult) -> tuple[str, bool]:
    (event,) = outcome.filter_events(lambda e: e.is_step_failure)
    data = event.step_failure_data
    assert data.user_failure_data
    retried = outcome.filter_events(lambda e: e.event_type_value == "STEP_UP_FOR_RETRY")
    return str(data.user_failure_data.description), bool(retried)


def test_job_reports_to_a_real_materialisation(cluster: Any, make: Any) -> None:
    outcome, instance = make(cluster)
    assert outcome.success
    (made,) = outcome.asset_materializations_for_node("model")
    assert made.metadata["steps"].value == 3
    assert made.partition == "tiny"
    assert made.tags["dagster/data_version"] == "v7"
    assert cluster.launches == ["from 0"]
    # the first step at once, the last at the end; nothing between within ten seconds
    observed = _observed(instance)
    assert [o["step"] for o in sorted(observed, key=lambda o: o["step"])] == [1, 3]
    assert {o["loss"] for o in observed} == {1.0, 1 / 3}
    lines = [r.user_message for r in instance.all_logs(outcome.run_id)]
    assert "step 3/3" in lines
    assert not (cluster.folder / "launch").exists()  # heard to the end, so nothing is left to find


def test_secret_reaches_the_job_by_name_and_stands_in_no_file(
    slurm: Any, make: Any, let_go: Any
) -> None:
    (slurm.folder / "hold").touch()
    let_go(slurm, 0.1)
    outcome, _ = make(slurm)
    (made,) = outcome.asset_materializations_for_node("model")
    assert made.metadata["secret"].value == "hf_of_a_test"
    assert "hf_of_a_test" not in (slurm.folder / "sbatch.args").read_text()
    assert "hf_of_a_test" not in (slurm.folder / "seen.sh").read_text()


def test_ray_is_asked_with_the_token_of_the_environment(ray: Any, make: Any) -> None:
    outcome, _ = make(ray)
    assert outcome.success
    assert [a[3] for a in ray.asked] == ["Bearer token_of_a_test"]
    assert "token_of_a_test" not in json.dumps(ray.asked[0][2]) + ray.settings.read_text()


@pytest.mark.parametrize(
    ("how", "says", "is_retryable"),
    [
        ("wrong", "(status 2|the pod ended with no exit status).*: rank 0 is not allowed", False),
        ("killed", "status -9|the pod ended with no exit status", True),
        ("lost", "(status 1|no exit status).*: process 1 of 2 is gone", True),
        ("failed", "(status 1|no exit status).*: process 1 of 2 is gone", False),
    ],
    ids=["wrong", "killed", "peer-lost", "peer-failed"],
)
def test_failure_says_why_and_whether_to_try_again(
    cluster: Any, make: Any, how: str, says: str, is_retryable: bool
) -> None:
    outcome, _ = make(cluster, how=how)
    assert not outcome.success
    text, allowed = _failure(outcome)
    assert re.search(says, text), text
    assert allowed == is_retryable
    assert make(cluster)[0].success  # and what is left does not stand in the way


def test_refused_job_is_permanent_and_says_what_sbatch_said(slurm: Any, make: Any) -> None:
    (slurm.folder / "refuse").touch()
    text, allowed = _failure(make(slurm)[0])
    assert "invalid partition" in text
    assert not allowed


def test_queue_that_does_not_answer_once_is_asked_again(slurm: Any, make: Any) -> None:
    (slurm.folder / "deaf").touch()
    assert make(slurm)[0].success


def test_address_that_nobody_answers_is_retryable(ray: Any, make: Any) -> None:
    settings = {"kind": "ray", "address": "http://127.0.0.1:9", "poll_s": 0.05}
    ray.write(settings)
    text, allowed = _failure(make(ray)[0])
    assert "dashboard does not answer" in text
    assert allowed
