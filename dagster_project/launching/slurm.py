"""SLURM as a queue: ``sbatch``, ``squeue``, ``sacct`` and ``scancel`` of this machine.

``dagster-slurm`` exists and is not used: it speaks to the cluster over SSH only and carries a packed
environment and a script of its own there, where a trainer here is a program that is installed and a
disk that is shared. What is the same for every queue is in :mod:`dagster_project.launching.jobs`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from dagster_project.failures import PermanentFailure
from dagster_project.launching.jobs import Job, Phase, QueueSilent, Standing
from dagster_project.launching.settings import SlurmPlace

ANSWER_S = 60
"""Seconds one of SLURM's programs may take."""

_WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT")
_RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT")
_KEPT = ("HOME", "PATH", "USER", "LANG")
"""Variables every job gets, besides those named in ``pass_env``."""


class SlurmQueue:
    """Jobs of a SLURM cluster."""

    name = "SLURM"

    def __init__(self, place: SlurmPlace) -> None:
        self._place = place

    def directives(self, job: Job) -> Sequence[str]:
        """Return the ``#SBATCH`` lines."""
        p = self._place
        asked: dict[str, object] = {
            "job-name": job.name,
            "output": job.path("output.log"),
            "open-mode": "append",
            "nodes": 1,
            "partition": p.partition,
            "account": p.account,
            "qos": p.qos,
            "gpus-per-node": p.gpus,
            "cpus-per-task": p.cpus,
            "mem": f"{p.memory_gb}G" if p.memory_gb else None,
            "time": p.time_limit,
            # to the shell, which hands it on; a retry of the run then goes on from the checkpoint
            "signal": f"B:TERM@{job.grace_s}" if p.time_limit else None,
        }
        lines = [f"#SBATCH --{k}={v}" for k, v in asked.items() if v]
        return [*lines, "#SBATCH --no-requeue", *(f"#SBATCH {o}" for o in p.options)]

    def command(self, job: Job) -> list[str]:
        """Return the exact command that submits a job."""
        names = ",".join((*_KEPT, *self._place.pass_env))
        return ["sbatch", "--parsable", f"--export={names}", str(job.path("job.sh"))]

    def submit(self, job: Job) -> str:
        """Submit a job and return its id."""
        answer = _ask(self.command(job))
        job_id = answer.stdout.strip().split(";")[0]
        if answer.returncode or not job_id.isdigit():
            raise PermanentFailure(
                f"sbatch refused the job (status {answer.returncode}): "
                f"{answer.stderr.strip()[-300:] or answer.stdout.strip()[-300:]!r}; correct the "
                "launch settings"
            )
        return job_id

    def standing(self, job_id: str) -> Standing:
        """Ask the queue, and the accounting for a job the queue has forgotten."""
        answer = _ask(["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job_id}"])
        state = answer.stdout.strip()
        if answer.returncode and "invalid job id" not in answer.stderr.lower():
            raise QueueSilent(
                f"squeue ended with {answer.returncode}: {answer.stderr.strip()[-300:]}"
            )
        if state in _WAITING:
            return Standing(Phase.WAITING)
        if state in _RUNNING:
            return Standing(Phase.RUNNING)
        return Standing(Phase.ENDED, state or self._accounted(job_id))

    def cancel(self, job_id: str, *, is_last_word: bool = False) -> None:
        """Cancel a job; one at work is first only told to stop.

        A plain ``scancel`` kills after the cluster's ``KillWait``, half a minute by default, which
        is too short for the checkpoint of a large model.
        """
        is_asked = not is_last_word and self.standing(job_id).phase is Phase.RUNNING
        _ask(["scancel", *(("--batch", "--signal=TERM") if is_asked else ()), job_id])

    def _accounted(self, job_id: str) -> str:
        try:
            answer = _ask(
                ["sacct", "-X", "--noheader", "--parsable2", "--format=State", f"-j{job_id}"]
            )
        except PermanentFailure:
            return ""  # a cluster without accounting; the trainer's own status decides
        return answer.stdout.strip().split(" ")[0] if answer.returncode == 0 else ""


def _ask(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER_S, check=False
        )
    except FileNotFoundError as error:
        raise PermanentFailure(
            f"{command[0]!r} is not installed here; run Dagster where jobs can be submitted, or "
            "name another kind in the launch settings"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise QueueSilent(f"{command[0]} did not answer within {ANSWER_S} s") from error
    except OSError as error:  # no memory to start it, or its disk is away: says nothing of the job
        raise QueueSilent(f"{command[0]} could not be started ({error.strerror})") from error
