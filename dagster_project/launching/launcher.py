"""The resource that starts trainers: by the launch settings here, in a pod, or as a job of a queue.

A trainer is the same program everywhere, ``python -m training ...``, and talks to Dagster through
Pipes. What each place needs is in the modules beside this one; what is started, in
:mod:`dagster_project.assets.models`.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterPipesExecutionError
from pydantic import Field

from dagster_project.failures import PermanentFailure, translated
from dagster_project.launching.endings import Ended, failure
from dagster_project.launching.jobs import Job, Queue, run_job
from dagster_project.launching.kubernetes import PodFailed, run_pod
from dagster_project.launching.listening import Ear, heard
from dagster_project.launching.ray_jobs import RayQueue
from dagster_project.launching.settings import (
    KubernetesPlace,
    Place,
    RayPlace,
    SlurmPlace,
    SubprocessPlace,
    load_place,
)
from dagster_project.launching.slurm import SlurmQueue
from training.pipes import LAUNCHER_VARIABLE

SETTINGS_VARIABLE = "NEUROGLOSS_LAUNCHER"
_QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "YOLO_OFFLINE": "1"}
_STATUS = re.compile(r"code (-?\d+)")


class RunCancelled(dg.DagsterError, DagsterExecutionInterruptedError):
    """The run was cancelled, and its retry policy has no say in it.

    Dagster applies a step's retry policy to an interrupt too, so a cancelled training would begin
    anew by itself; an interrupt that is also Dagster's own error passes the policy by.
    """


class Launcher(dg.ConfigurableResource[None]):
    """Starts a trainer and hears it out."""

    settings_file: str = Field(
        default="",
        description="YAML file that says where trainers run (subprocess, kubernetes, slurm, ray); "
        f"default ${SETTINGS_VARIABLE}, else a program on this machine.",
    )

    def place(self) -> Place:
        """Return where trainers run.

        Raises
        ------
        SettingsError
            If the settings are not allowed.
        """
        return load_place(self.settings_file or os.environ.get(SETTINGS_VARIABLE, ""))

    def run(
        self,
        context: dg.AssetExecutionContext,
        module: str,
        arguments: Sequence[str],
        folder: Path,
        *,
        is_spread: bool = False,
    ) -> dg.MaterializeResult[None] | None:
        """Run ``python -m MODULE ARGUMENTS`` to its end.

        Parameters
        ----------
        context
            Of the asset it makes.
        module, arguments
            The program.
        folder
            Holds the files of a queue's job; on a disk its nodes share.
        is_spread
            Whether the program can run as several processes.

        Returns
        -------
        MaterializeResult or None
            What the program reported; ``None`` where it reported nothing.

        Raises
        ------
        PermanentFailure
            If it failed in a way that trying again cannot mend, or may not be started.
        dagster.Failure
            If it was interrupted, killed or taken away: a retry goes on from its checkpoint.
        """
        with translated():
            place = self.place()
        ear = Ear(context)
        command = program(place, module, arguments, is_spread=is_spread)
        with _cancellable(context):
            if isinstance(place, SubprocessPlace):
                return self._run_here(place, command, context, ear)
            if isinstance(place, KubernetesPlace):
                return self._run_pod(place, command, context, ear, folder)
            return self._run_queued(place, command, context, ear, folder)

    def _run_queued(
        self,
        place: SlurmPlace | RayPlace,
        command: tuple[str, ...],
        context: dg.AssetExecutionContext,
        ear: Ear,
        folder: Path,
    ) -> dg.MaterializeResult[None] | None:
        name = "-".join(("neurogloss", *context.asset_key.path, *_partition(context)))
        job = Job(
            name=re.sub(r"[^A-Za-z0-9_-]", "-", name),
            command=command,
            env=_environment(place, with_path=True),
            folder=folder.resolve(),
            setup=tuple(place.setup),
            grace_s=place.grace_s,
        )
        queue: Queue = SlurmQueue(place) if isinstance(place, SlurmPlace) else RayQueue(place)
        with translated():
            session, ended = run_job(queue, job, context, ear, place.poll_s)
        if ended.status != 0:
            raise failure(queue.name, ended, ear)
        return _reported(session.get_reported_results())

    def _run_here(
        self,
        place: SubprocessPlace,
        command: Sequence[str],
        context: dg.AssetExecutionContext,
        ear: Ear,
    ) -> dg.MaterializeResult[None] | None:
        client = dg.PipesSubprocessClient(
            message_reader=heard(dg.PipesTempFileMessageReader, ear),
            termination_timeout_seconds=place.grace_s,
        )
        env = _environment(place, with_path=True) | {LAUNCHER_VARIABLE: str(os.getpid())}
        try:
            run = client.run(context=context, command=command, env=env)
        except DagsterPipesExecutionError as error:
            status = _STATUS.search(str(error))
            if status is None:
                raise
            raise failure("the trainer", Ended(int(status[1])), ear) from error
        return _reported(run.get_results(implicit_materializations=False))

    def _run_pod(
        self,
        place: KubernetesPlace,
        command: Sequence[str],
        context: dg.AssetExecutionContext,
        ear: Ear,
        folder: Path,
    ) -> dg.MaterializeResult[None] | None:
        if not folder.resolve().is_relative_to(place.mount_path):
            raise PermanentFailure(
                f"mount_path {place.mount_path!r} of the launch settings does not hold the storage "
                "root, so the pod would not see it; mount the claim where the root lies here"
            )
        try:
            run = run_pod(place, command, _environment(place, with_path=False), context, ear)
        except PodFailed as error:
            raise failure("the pod", error.ended, ear) from error
        return _reported(run.get_results(implicit_materializations=False))


def program(
    place: Place, module: str, arguments: Sequence[str], *, is_spread: bool
) -> tuple[str, ...]:
    """Return the command of a trainer at a place; several processes are started by torchrun."""
    is_image = isinstance(place, KubernetesPlace)
    python = place.python or ("python" if is_image else sys.executable)
    runner: tuple[str, ...] = ()
    if is_spread and place.processes > 1:
        runner = ("-m", "torch.distributed.run", "--standalone")
        runner += (f"--nproc-per-node={place.processes}",)
    return (python, *runner, "-m", module, *arguments)


def project_path() -> str:
    """Return ``PYTHONPATH`` with this project on it."""
    project = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(p for p in (project, os.environ.get("PYTHONPATH", "")) if p)


@contextmanager
def _cancellable(context: dg.AssetExecutionContext) -> Iterator[None]:
    try:
        yield
    except DagsterExecutionInterruptedError as error:
        run = context.instance.get_run_by_id(context.run.run_id)
        if run is not None and run.status is dg.DagsterRunStatus.CANCELING:
            raise RunCancelled("the run was cancelled; the trainer left its checkpoint") from error
        raise


def _environment(place: Place, *, with_path: bool) -> dict[str, str]:
    path = {"PYTHONPATH": project_path()} if with_path else {}
    return {**_QUIET, **path, **place.env}


def _partition(context: dg.AssetExecutionContext) -> tuple[str, ...]:
    return (context.partition_key,) if context.has_partition_key else ()


def _reported(results: Sequence[object]) -> dg.MaterializeResult[None] | None:
    return next((r for r in results if isinstance(r, dg.MaterializeResult)), None)
