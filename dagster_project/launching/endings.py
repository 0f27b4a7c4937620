"""What the end of a trainer means: its status, the place's own word for it, and whether to try again.

Each place has its words: SLURM's job states, Kubernetes' reasons, Ray's messages. They outrank the
exit status, because a kernel that kills for memory and a queue that preempts both leave a killed
process behind, and only the first will do it again. How a place is asked is in the modules beside
this one.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

import dagster as dg

from dagster_project.failures import PermanentFailure
from dagster_project.launching.listening import Ear
from training.vlm.errors import Busy, Interrupted, is_retryable_status
from training.vlm.parallel import PeerLost

OUT_OF_MEMORY = ("OUT_OF_MEMORY", "OOMKilled")
"""SLURM's and Kubernetes' word for a job that used more memory than it was given; Ray's is made to be
the first."""
TAKEN_AWAY = (
    *("PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "TIMEOUT", "REVOKED"),
    *("Evicted", "Preempting", "Terminated", "Shutdown", "NodeShutdown", "NodeLost"),
    *("PreemptionByScheduler", "EvictionByEvictionAPI", "TerminationByKubelet"),
    *("DeletionByTaintManager", "DeletionByPodGC"),
)
"""Words for a machine or a turn on it that was lost; SLURM's job states, then Kubernetes' reasons of a
pod and of its condition ``DisruptionTarget``. The job did nothing wrong."""
BY_HAND = ("CANCELLED", "STOPPED")
"""Words for an end that somebody asked for, of SLURM and Ray."""

MEMORY_ADVICE = (
    "it used more memory than it was given, and would again: raise memory_gb of the launch settings "
    "or lower processes, or machine.n_workers of the recipe (each goes on from the last checkpoint); "
    "lowering shuffle_rows, or micro_batch or packing, begins anew"
)
_RETRYABLE = (Interrupted.__name__, Busy.__name__, PeerLost.__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Parameters
    ----------
    status
        Its exit status as Python has it, where it is known.
    reason
        The place's own word.
    detail
        The place's own sentence.
    """

    status: int | None
    reason: str = ""
    detail: str = ""


def exit_status(number: int) -> int:
    """Return a shell's or a container's 128 + signal as Python says it, minus the signal."""
    return 128 - number if number > 128 else number


def failure(who: str, ended: Ended, ear: Ear) -> dg.Failure:
    """Return the failure with the trainer's own sentence and whether a retry can help."""
    how = [f"status {ended.status}"] if ended.status is not None else ["no exit status"]
    how += [word for word in (ended.reason, ended.detail) if word]
    said = [ear.last_words] if ear.last_words else []
    said += [MEMORY_ADVICE] if ended.reason in OUT_OF_MEMORY else []
    text = "; ".join(said) or "it said no last word; its output says more"
    if ended.status == -signal.SIGKILL and not said:
        text += ". Where it is killed again, the machine's memory is full"
    description = f"{who} ended with {', '.join(how)}: {text}"
    kind = dg.Failure if _is_retryable(ended, ear.error_name) else PermanentFailure
    return kind(description)


def _is_retryable(ended: Ended, error_name: str) -> bool:
    if ended.reason in OUT_OF_MEMORY:
        return False  # whatever the survivors of a killed process said
    if error_name:
        return error_name in _RETRYABLE
    if ended.reason in TAKEN_AWAY:
        return True
    if ended.status is None:
        return ended.reason not in BY_HAND
    return is_retryable_status(ended.status)
