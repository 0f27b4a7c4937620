"""Schedules: the weekly rebuild of every shard that has files.

The sensor notices changes within minutes; the schedule keeps the promise of the freshness policy
where nothing changed, and picks up what a sensor that was off has missed.
"""

from collections.abc import Iterator

import dagster as dg

from dagster_project.jobs import REBUILD_CORPUS
from dagster_project.resources import Workspace
from dagster_project.watching import present_shards


@dg.schedule(
    cron_schedule="0 3 * * 1",
    job_name=REBUILD_CORPUS,
    name="weekly_rebuild",
    description="Rebuilds every shard that has files, Mondays at three.",
    tags={"neurogloss/trigger": "schedule"},
)
def weekly_rebuild(
    context: dg.ScheduleEvaluationContext, workspace: Workspace
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Ask for one run per shard that has files."""
    shards = present_shards(workspace)
    if not shards:
        yield dg.SkipReason("no corpus is present under the data root or the storage root")
    tick = context.scheduled_execution_time.strftime("%Y-%m-%d")
    for shard in shards:
        yield dg.RunRequest(run_key=f"{shard}:{tick}", partition_key=shard)
