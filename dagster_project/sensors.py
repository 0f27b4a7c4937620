"""Sensors: files that come, change or go; withdrawals that must reach releases; failed runs.

What changed is decided in :mod:`dagster_project.watching`. A removed file starts a run that keeps
earlier teacher texts and pays for none, so its rows leave every table of the shard; when that run
succeeds, every release that names the shard is built anew.
"""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg

from dagster_project import watching
from dagster_project.jobs import BUILD_DATASET, REBUILD_CORPUS, REBUILD_SHARD, job
from dagster_project.resources import Workspace
from prompts.releases.build import releases

WITHDRAWAL_TAG = "neurogloss/withdrawal"
KEEP_TEXTS: dict[str, Any] = {
    "ops": {
        "narratives": {"config": {"ask_teacher": False}},
        "descriptions": {"config": {"ask_teacher": False}},
        "teacher_questions": {"config": {"ask_teacher": False}},
        "dialogues": {"config": {"ask_teacher": False}},
    }
}
"""Run config under which the teacher's assets keep earlier texts and write no new ones."""


@dg.sensor(
    name="data_files",
    jobs=[job(REBUILD_CORPUS), job(REBUILD_SHARD)],
    minimum_interval_seconds=300,
    description="Notices new, changed and removed files under the data root and asks for just the "
    "shards they touch.",
)
def data_files(
    context: dg.SensorEvaluationContext, workspace: Workspace
) -> dg.SensorResult | dg.SkipReason:
    """Ask for the shards whose files are not as they were."""
    before, now = watching.recall(context.cursor), watching.look(workspace)
    absent = watching.absent_corpora(workspace)
    found = watching.changes(before, now, absent)
    if not found:
        return dg.SkipReason("no file came, changed or went")
    for change in found:
        context.log.info(change.told())
    return dg.SensorResult(
        run_requests=[_request(change) for change in found],
        cursor=watching.remember(before, now, absent),
    )


def _request(change: watching.Change) -> dg.RunRequest:
    tags = {"neurogloss/trigger": "data_files", "neurogloss/change": change.told()}
    run_key = f"{change.shard}:{change.fingerprint}"
    if not change.is_withdrawal:
        return dg.RunRequest(
            run_key=run_key, job_name=REBUILD_CORPUS, partition_key=change.shard, tags=tags
        )
    return dg.RunRequest(
        run_key=run_key,
        job_name=REBUILD_SHARD,
        partition_key=change.shard,
        run_config=KEEP_TEXTS,
        tags={**tags, WITHDRAWAL_TAG: change.shard},
    )


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    name="withdrawals_reach_releases",
    monitored_jobs=[job(REBUILD_SHARD)],
    request_job=job(BUILD_DATASET),
    description="After a withdrawal, builds every release anew that names the shard.",
)
def withdrawals_reach_releases(
    context: dg.RunStatusSensorContext,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Ask for the releases a withdrawn subject was in."""
    shard = context.dagster_run.tags.get(WITHDRAWAL_TAG)
    if shard is None:
        yield dg.SkipReason("the run withdrew nothing")
        return
    for name, release in sorted(releases().items()):
        if shard in release.shards:
            yield dg.RunRequest(
                run_key=f"{name}:{context.dagster_run.run_id}",
                job_name=BUILD_DATASET,
                partition_key=name,
                tags={"neurogloss/trigger": "withdrawals_reach_releases"},
            )


@dg.run_failure_sensor(
    name="failed_runs",
    description="Writes one line per failed run to alerts/failed_runs.jsonl under the storage root.",
)
def failed_runs(context: dg.RunFailureSensorContext, workspace: Workspace) -> None:
    """Leave a line a person or an alerting tool can pick up."""
    run = context.dagster_run
    line = {
        "run_id": run.run_id,
        "job": run.job_name,
        "partition": run.tags.get("dagster/partition", ""),
        "steps": sorted(
            {e.step_key for e in context.get_step_failure_events() if e.step_key is not None}
        ),
        "message": context.failure_event.message or "",
    }
    context.log.error(f"run {run.run_id} of {run.job_name} failed: {line['message']}")
    path = workspace.folder("alerts", "failed_runs.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(line, sort_keys=True) + "\n")


SENSORS = (data_files, withdrawals_reach_releases, failed_runs)
