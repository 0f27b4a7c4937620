"""A trainer as a job of a queue: submitted once, watched, cancelled with the run, taken up by a retry.

What is the same for every queue lives here. Each asset and partition has one folder on the shared
disk, and a job is made of the files in it::

    job.sh          what the queue runs; writes status when the trainer has ended
    job.json        which job it became: a later run that finds it alive listens to it instead of
                    submitting another, and one that finds it finished takes what it said
    context.json    what Dagster tells the trainer
    messages-*      what the trainer tells Dagster, a file for each job
    output.log      everything else it printed
    status          its exit status

How these files are written and read is in :mod:`dagster_project.launching.shared_files`; how a queue
is spoken to, in :mod:`dagster_project.launching.slurm` and
:mod:`dagster_project.launching.ray_jobs`.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

import dagster as dg

from dagster_project.failures import PermanentFailure
from dagster_project.launching.endings import Ended
from dagster_project.launching.listening import Ear, heard
from dagster_project.launching.shared_files import (
    SETTLE_S,
    MessagesUnread,
    SharedContext,
    SharedMessages,
    written_status,
)

PATIENCE_S = 600.0
"""Seconds a queue may fail to answer before the run gives up on it; the job is left alone."""


class Phase(Enum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Standing:
    """A queue's answer about a job; ``reason`` is its own word for an end."""

    phase: Phase
    reason: str = ""


class QueueSilent(RuntimeError):
    """The queue did not answer; it may in a while."""

    is_retryable = True


@dataclass(frozen=True, slots=True)
class Job:
    """One job before it is submitted.

    Parameters
    ----------
    name
        Shown in the queue.
    command
        Program and arguments.
    env
        Plain variables; written into ``job.sh``.
    folder
        Its files, on a disk that the nodes share.
    setup
        Shell lines before the command.
    grace_s
        Seconds a stopped trainer is given.
    cwd
        Where relative paths begin.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path
    setup: tuple[str, ...] = ()
    grace_s: int = 120
    cwd: Path = field(default_factory=Path.cwd)

    @property
    def digest(self) -> str:
        """Hash of what is run."""
        parts = json.dumps([self.command, dict(self.env), self.setup], sort_keys=True)
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    def path(self, name: str) -> Path:
        """Return one of its files."""
        return self.folder / name

    def script(self, bootstrap: Mapping[str, str], directives: Sequence[str] = ()) -> str:
        """Return ``job.sh``: the trainer as a child that is told of a signal and waited for."""
        variables = {**self.env, **bootstrap}
        status = shlex.quote(str(self.path("status")))
        lines = [
            "#!/bin/bash",
            *directives,
            *(f"export {k}={shlex.quote(v)}" for k, v in sorted(variables.items())),
            f"cd {shlex.quote(str(self.cwd))} || exit",
            *self.setup,
            "child=",
            'trap \'test -n "$child" && kill -TERM "$child"\' TERM',
            f"{shlex.join(self.command)} &",
            "child=$!",
            'wait "$child"; status=$?',
            # a signal ends the first wait early, with the child still writing its checkpoint
            'while kill -0 "$child" 2>/dev/null; do wait "$child"; status=$?; done',
            f'echo "$status" > {status}.part && mv {status}.part {status}',
            'exit "$status"',
        ]
        return "\n".join(lines) + "\n"


class Queue(Protocol):
    """A place that runs jobs."""

    name: str

    def directives(self, job: Job) -> Sequence[str]:
        """Return lines at the head of ``job.sh`` that the queue reads."""

    def submit(self, job: Job) -> str:
        """Submit ``job.sh`` and return the job's id.

        Raises
        ------
        PermanentFailure
            If the queue refuses it.
        QueueSilent
            If the queue does not answer.
        """

    def standing(self, job_id: str) -> Standing:
        """Return where a job stands.

        Raises
        ------
        QueueSilent
            If the queue does not answer.
        """

    def cancel(self, job_id: str, *, is_last_word: bool = False) -> None:
        """Ask for a job's end, with time to write a checkpoint unless it is the last word.

        A job that is gone is no error.
        """


def run_job(
    queue: Queue, job: Job, context: dg.AssetExecutionContext, ear: Ear, poll_s: float
) -> tuple[dg.PipesSession, Ended]:
    """Run a job to its end, or take up the one an earlier run left.

    Returns
    -------
    tuple
        The session with what the trainer reported, and how the job ended.

    Raises
    ------
    PermanentFailure
        If a job with other settings is still at work on the same asset.
    MessagesUnread
        If it ended well and what it said cannot be read.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    known = _found(queue, job)
    messages = known["messages"] if known else f"messages-{uuid.uuid4().hex[:8]}.jsonl"
    reader = heard(
        SharedMessages,
        ear,
        path=job.path(messages),
        status=lambda: _status(job),
        warn=context.log.warning,
    )
    with dg.open_pipes_session(
        context=context,
        context_injector=SharedContext(job.path("context.json")),
        message_reader=reader,
    ) as session:
        if known:
            job_id = known["id"]
            context.log.info(
                f"{queue.name} job {job_id} of an earlier run goes on; listening to it"
            )
        else:
            job_id = _submitted(queue, job, messages, session.get_bootstrap_env_vars())
            context.log.info(f"{queue.name} job {job_id} submitted")
        try:
            ended = _watched(queue, job, job_id, poll_s)
        except QueueSilent:
            raise  # the job goes on and its record stays, so that a retry finds it
        except BaseException:
            context.log.info(f"the run is stopped: cancelling {queue.name} job {job_id}")
            _cancelled(queue, job, job_id, poll_s)
            raise
    if ended.status == 0 and reader.trouble:
        raise MessagesUnread(  # the job's record stays, so that a retry hears it
            f"{queue.name} job {job_id} ended well and what it reported cannot be read "
            f"({reader.trouble}); see that Dagster may read the launch folder. A retry takes up the "
            "result and trains nothing again"
        )
    job.path("job.json").unlink(missing_ok=True)
    if ended.status == 0:
        shutil.rmtree(job.folder, ignore_errors=True)
    return session, ended


def _found(queue: Queue, job: Job) -> dict[str, str] | None:
    """Return the record of a job worth listening to: one at work, or one that ended well unheard."""
    path = job.path("job.json")
    if not path.is_file():
        return None
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    if known["queue"] != queue.name:
        raise PermanentFailure(
            f"{known['queue']} job {known['id']} was started for this asset and its end was not "
            f"heard; wait for it or cancel it, then delete {path.name} in its launch folder"
        )
    is_same = known["digest"] == job.digest
    if queue.standing(known["id"]).phase is Phase.ENDED:
        return known if is_same and _status(job) == 0 else None
    if not is_same:
        raise PermanentFailure(
            f"{queue.name} job {known['id']} is still training this asset with other settings; "
            "wait for it or cancel it"
        )
    return known


def _submitted(queue: Queue, job: Job, messages: str, bootstrap: Mapping[str, str]) -> str:
    for old in (job.path("status"), *job.folder.glob("messages-*")):
        if old.name != messages:
            old.unlink(missing_ok=True)
    script = job.path("job.sh")
    script.write_text(job.script(bootstrap, queue.directives(job)), encoding="utf-8")
    script.chmod(0o700)
    job_id = queue.submit(job)
    record = {"queue": queue.name, "id": job_id, "digest": job.digest, "messages": messages}
    part = job.path("job.json.part")
    part.write_text(json.dumps(record), encoding="utf-8")
    part.replace(job.path("job.json"))
    return job_id


def _watched(queue: Queue, job: Job, job_id: str, poll_s: float) -> Ended:
    answered = time.monotonic()
    while True:
        try:
            standing = queue.standing(job_id)
        except QueueSilent as error:
            if time.monotonic() - answered > PATIENCE_S:
                raise QueueSilent(
                    f"{error}; {queue.name} has not answered for {PATIENCE_S:.0f} s. The job is "
                    "left alone and a retry goes on listening to it"
                ) from error
        else:
            answered = time.monotonic()
            if standing.phase is Phase.ENDED:
                return _settled(job, standing.reason)
        time.sleep(poll_s)


def _settled(job: Job, reason: str) -> Ended:
    deadline = time.monotonic() + SETTLE_S
    # a job the queue ended from outside never gets to write its status
    while _status(job) is None and reason in ("", "COMPLETED", "FAILED", "SUCCEEDED"):
        if time.monotonic() > deadline:
            break
        time.sleep(min(0.2, SETTLE_S))
    return Ended(_status(job), reason)


def _status(job: Job) -> int | None:
    return written_status(job.path("status"))


def _cancelled(queue: Queue, job: Job, job_id: str, poll_s: float) -> None:
    """Cancel and wait until the checkpoint is written, so that the next run finds the folder free."""
    try:
        queue.cancel(job_id)
        deadline = time.monotonic() + job.grace_s
        while queue.standing(job_id).phase is not Phase.ENDED:
            if time.monotonic() > deadline:
                queue.cancel(job_id, is_last_word=True)
                break
            time.sleep(min(poll_s, 1.0))
    except QueueSilent:
        return  # the record stays: the next run sees what became of it
    job.path("job.json").unlink(missing_ok=True)
