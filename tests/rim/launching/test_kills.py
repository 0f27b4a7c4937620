"""Runs that are cancelled and run workers that are killed: no job is lost, doubled or left behind."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

pytestmark = pytest.mark.heavy


def test_cancelled_run_cancels_the_job_and_the_next_goes_on_from_its_checkpoint(
    cluster: Any, make: Any, worker: Any
) -> None:
    begun = worker(cluster, n=5)
    with dg.DagsterInstance.local_temp(str(cluster.folder)) as instance:
        (run,) = instance.get_runs()
        instance.report_run_canceling(run)  # as the UI does before it interrupts the worker
        begun.end(signal.SIGINT)
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.CANCELED
    # a retry policy is there, and does not bring a cancelled run back
    assert cluster.launches == ["from 0"]
    _wait_for_end(cluster)
    outcome, _ = make(cluster, n=5)
    assert outcome.success
    assert cluster.launches == ["from 0", "from 2"]


def test_run_after_a_killed_worker_listens_to_the_job_that_goes_on(
    queue: Any, make: Any, worker: Any, let_go: Any
) -> None:
    begun = worker(queue, n=5)
    begun.process.kill()
    begun.process.wait(60)
    let_go(queue, 1.0)
    outcome, instance = make(queue, n=5)
    assert outcome.success
    assert queue.launches == ["from 0"]
    (made,) = outcome.asset_materializations_for_node("model")
    assert made.metadata["steps"].value == 5
    lines = [r.user_message for r in instance.all_logs(outcome.run_id)]
    assert any("of an earlier run goes on" in line for line in lines)
    assert "step 1/5" in lines  # what was said before is heard too


def test_run_after_a_killed_worker_takes_the_result_of_a_job_that_ended_unheard(
    queue: Any, make: Any, worker: Any
) -> None:
    begun = worker(queue, n=4)
    begun.end(signal.SIGKILL)
    status = queue.folder / "launch" / "status"
    deadline = time.monotonic() + 60
    while not status.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    outcome, _ = make(queue, n=4)
    assert outcome.success
    assert queue.launches == ["from 0"]


def test_job_with_other_settings_is_not_started_beside_one_at_work(
    queue: Any, make: Any, worker: Any
) -> None:
    begun = worker(queue, n=4)
    begun.process.kill()
    begun.process.wait(60)
    outcome, _ = make(queue, n=9)
    (failed,) = outcome.filter_events(lambda e: e.is_step_failure)
    said = failed.step_failure_data.user_failure_data.description
    assert "still training this asset with other settings" in said
    assert queue.launches == ["from 0"]
    (queue.folder / "hold").unlink()


def test_local_program_ends_with_a_killed_worker_and_leaves_its_checkpoint(
    local: Any, make: Any, worker: Any
) -> None:
    begun = worker(local, n=5)
    begun.process.kill()  # the program holds on: only the loss of its launcher can end it
    begun.process.wait(60)
    _wait_for_end(local)
    (local.folder / "hold").unlink()
    outcome, _ = make(local, n=5)
    assert outcome.success
    assert local.launches == ["from 0", "from 2"]


def _wait_for_end(cluster: Any) -> None:
    """Wait until the first program that was started is gone, or has ended and is not yet asked about."""
    status = Path("/proc") / (cluster.folder / "launches").read_text().split()[0] / "status"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if not status.exists() or "State:\tZ" in status.read_text():
            return
        time.sleep(0.05)
    raise AssertionError("the program is still there")
