"""Ray as a queue: the Jobs interface of a cluster's dashboard, over plain HTTP.

``dagster-ray`` exists and is not used: it starts a second job where the first is still at work, and
brings all of Ray into Dagster's process for four requests that Ray documents. What is the same for
every queue is in :mod:`dagster_project.launching.jobs`.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from typing import Any

from dagster_project.failures import PermanentFailure
from dagster_project.launching.jobs import Job, Phase, QueueSilent, Standing
from dagster_project.launching.settings import RayPlace

ANSWER_S = 60
"""Seconds the dashboard may take to answer."""

_PHASES = {
    "PENDING": Phase.WAITING,
    "RUNNING": Phase.RUNNING,
    "STOPPED": Phase.ENDED,
    "SUCCEEDED": Phase.ENDED,
    "FAILED": Phase.ENDED,
}

_OUT_OF_MEMORY = re.compile(r"OutOfMemory|OUT_OF_MEMORY|\bOOM\b|out of memory|low on memory")
"""How Ray says that its memory monitor, or the kernel, killed a job for its memory."""


class RayQueue:
    """Jobs of a Ray cluster."""

    name = "Ray"

    def __init__(self, place: RayPlace) -> None:
        self._place = place
        self._address = place.address.rstrip("/")

    def directives(self, job: Job) -> Sequence[str]:
        """Return nothing: Ray is told in the request; what is printed goes to a file here."""
        return [f"exec >> {shlex.quote(str(job.path('output.log')))} 2>&1"]

    def request(self, job: Job, submission_id: str) -> dict[str, Any]:
        """Return the exact body of the request that submits a job."""
        p = self._place
        return {
            "entrypoint": f"bash {shlex.quote(str(job.path('job.sh')))}",
            "submission_id": submission_id,
            # Ray kills three seconds after it has asked, unless the job says otherwise
            "runtime_env": {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(job.grace_s)}},
            "metadata": {"name": job.name},
            "entrypoint_num_gpus": p.gpus,
            "entrypoint_num_cpus": p.cpus,
            **({"entrypoint_memory": p.memory_gb * 2**30} if p.memory_gb else {}),
        }

    def submit(self, job: Job) -> str:
        """Submit a job and return its id."""
        submission_id = f"{job.name}-{uuid.uuid4().hex[:8]}"
        answer = self._ask("POST", "", self.request(job, submission_id))
        return str((answer or {}).get("submission_id") or submission_id)

    def standing(self, job_id: str) -> Standing:
        """Ask for a job; one the cluster has forgotten has ended."""
        answer = self._ask("GET", job_id)
        if answer is None:
            return Standing(Phase.ENDED, "forgotten")
        status = str(answer.get("status"))
        said = f"{answer.get('error_type') or ''} {answer.get('message') or ''}"
        is_full = status == "FAILED" and _OUT_OF_MEMORY.search(said)
        return Standing(_PHASES.get(status, Phase.RUNNING), "OUT_OF_MEMORY" if is_full else status)

    def cancel(self, job_id: str, *, is_last_word: bool = False) -> None:
        """Stop a job: SIGTERM, and SIGKILL after the time the job asked for."""
        self._ask("POST", f"{job_id}/stop")

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any] | None:
        """Return the answer, or ``None`` where there is no such job."""
        headers = {"Content-Type": "application/json"}
        if self._place.token_variable:
            token = os.environ.get(self._place.token_variable)
            if not token:
                raise PermanentFailure(
                    f"variable {self._place.token_variable} holds no token for Ray; set it where "
                    "Dagster runs"
                )
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(
            f"{self._address}/api/jobs/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers=headers,
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S) as reply:
                return json.loads(reply.read() or b"{}")
        except urllib.error.HTTPError as error:
            if error.code == 404 and path:
                return None
            said = error.read().decode(errors="replace").strip().splitlines()[-1:]
            if error.code >= 500 and body is None:
                raise QueueSilent(f"Ray answered {error.code}") from error
            raise PermanentFailure(f"Ray refused the request ({error.code}): {said}") from error
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            raise QueueSilent(
                f"Ray's dashboard does not answer ({type(error).__name__}); is the address of the "
                "launch settings right?"
            ) from error
