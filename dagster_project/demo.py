"""The demo: one command that takes EEG through the whole graph and says what was made.

Every step is an ordinary run of an ordinary job on a Dagster instance under the storage root, so
the UI shows it all afterwards. Nothing is computed here.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from dagster_project import demo_summary
from dagster_project.resources import DATA_VARIABLE, HOME_VARIABLE, Workspace
from dagster_project.watching import present_shards

SIMULATED = "simulated"
RELEASE = "demo"
MODEL = "tiny"
DETECTOR = "shipped"
POOLS = {"teacher_api": 1, "gpu": 1, "edf_read": 2}
POLL_S = 0.25
QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The progress display owns the terminal; everything is in the event log of the run."""


@dataclass(frozen=True, slots=True)
class DemoRun:
    """One run of the demo: a job, its partition and its configuration."""

    title: str
    job: str
    partition: str | None = None
    config: Mapping[str, Any] | None = None
    tags: Mapping[str, str] | None = None


def run_demo(*, home: str | None, data: str | None, max_recordings: int) -> int:
    """Run the whole graph and print a summary.

    Parameters
    ----------
    home
        Storage root; default from the environment.
    data
        Data root of real corpora; default from the environment, none is fine.
    max_recordings
        Recordings taken per shard of a real corpus.

    Returns
    -------
    int
        0 when every run succeeded, 1 otherwise.
    """
    _set_environment(home, data)
    console = Console()
    workspace = Workspace()
    started = time.monotonic()
    with _instance(workspace) as instance:
        outcomes = _run_all(instance, workspace, max_recordings, console)
        demo_summary.show(console, workspace, outcomes, time.monotonic() - started, max_recordings)
    return 0 if all(outcomes.values()) else 1


def _set_environment(home: str | None, data: str | None) -> None:
    if data:
        os.environ[DATA_VARIABLE] = str(Path(data).resolve())
    root = Path(home or os.environ.get(HOME_VARIABLE, "") or "neurogloss_home").resolve()
    os.environ[HOME_VARIABLE] = str(root)
    os.environ["DAGSTER_HOME"] = str(root / "dagster_home")
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
    # one thread per process: the trainer and the detector set their own where they may use more
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)


@contextmanager
def _instance(workspace: Workspace) -> Iterator[dg.DagsterInstance]:
    home = workspace.folder("dagster_home")
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("dagster.yaml"), home / "dagster.yaml")
    with dg.DagsterInstance.get() as instance:
        for pool, limit in POOLS.items():
            instance.event_log_storage.set_concurrency_slots(pool, limit)
        yield instance


def _run_all(
    instance: dg.DagsterInstance, workspace: Workspace, max_recordings: int, console: Console
) -> dict[str, bool]:
    from dagster_project.definitions import defs

    first = DemoRun("simulate", "simulate", SIMULATED)
    outcomes: dict[str, bool] = {}
    with _progress(console) as progress:
        outcomes[first.title] = _run(instance, defs, first, progress)
        for run in _plan(present_shards(workspace), max_recordings):
            outcomes[run.title] = _run(instance, defs, run, progress)
    return outcomes


def _plan(shards: list[str], max_recordings: int) -> list[DemoRun]:
    """List the runs after the simulation, one per shard and one per downstream grain."""
    capped = {"ops": {"recordings": {"config": {"max_recordings": max_recordings}}}}
    runs = [
        DemoRun(s, "rebuild_shard", s, None if s.startswith(SIMULATED) else capped) for s in shards
    ]
    runs.append(DemoRun("release", "build_dataset", RELEASE))
    runs.append(DemoRun("detector", "train_detector", DETECTOR))
    runs.append(DemoRun("two-stage model", "train", MODEL))
    for task, model in (("mcq", MODEL), ("caption", MODEL), ("waveform_boxes", DETECTOR)):
        runs.append(DemoRun(f"items {task}", "make_benchmark", task))
        key = dg.MultiPartitionKey({"task": task, "model": model})
        runs.append(DemoRun(f"{model} on {task}", "evaluate", key))
    runs.append(DemoRun("report", "report"))
    return runs


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
        console=console,
    )


def _run(
    instance: dg.DagsterInstance, defs: dg.Definitions, run: DemoRun, progress: Progress
) -> bool:
    job = defs.resolve_job_def(run.job)
    run_id = str(uuid.uuid4())
    task = progress.add_task(run.title, total=len(job.graph.node_dict))
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(instance, run_id, progress, task, done))
    watcher.start()
    try:
        result = job.execute_in_process(
            instance=instance,
            partition_key=run.partition,
            run_config={**(run.config or {}), **QUIET},
            tags={"neurogloss/trigger": "demo", **(run.tags or {})},
            raise_on_error=False,
            run_id=run_id,
        )
    finally:
        done.set()
        watcher.join()
    return result.success


def _watch(
    instance: dg.DagsterInstance,
    run_id: str,
    progress: Progress,
    task: TaskID,
    done: threading.Event,
) -> None:
    """Show finished steps of a run while it is under way, read from the event log."""
    kinds = {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}
    while not done.wait(POLL_S):
        progress.update(task, completed=len(instance.all_logs(run_id, of_type=kinds)))
    progress.update(task, completed=len(instance.all_logs(run_id, of_type=kinds)))
