"""The trainer's family of errors: what went wrong, whether trying again can help, the exit status.

Everything the trainer refuses on purpose is one of these; anything else that escapes is a defect.
The command line turns them into one sentence and a status, the rim turns ``is_retryable`` into
Dagster's ``Failure(allow_retries=...)``.
"""

from __future__ import annotations

EX_TEMPFAIL = 75
"""The ``sysexits.h`` status for "stopped, try again": a signal came and a checkpoint was left."""


class TrainerError(RuntimeError):
    """Base of the family.

    Attributes
    ----------
    is_retryable
        Whether the same command can succeed without anybody changing anything.
    exit_code
        Status the program ends with.
    is_shared
        Whether every process of the run raises it, so that the first one tells it.
    """

    is_retryable = False
    exit_code = 1
    is_shared = False


class RecipeError(TrainerError):
    """A recipe, a setting or an argument is not allowed."""

    exit_code = 2


class DatasetError(TrainerError):
    """The instruction dataset is missing, empty or not of the expected form."""

    exit_code = 3


class ModelError(TrainerError):
    """The base model is missing, of another architecture, or not stored as safetensors."""

    exit_code = 4


class MachineError(TrainerError):
    """The machine cannot do what the recipe asks: no GPU, no bf16, a full disk."""

    exit_code = 5


class Busy(MachineError):
    """Another run is writing to the same folder; it will end."""

    is_retryable = True
    exit_code = EX_TEMPFAIL


class Interrupted(TrainerError):
    """A signal ended the run; the checkpoint it names carries on from there."""

    is_retryable = True
    exit_code = EX_TEMPFAIL


def is_retryable_status(status: int) -> bool:
    """Whether a trainer that ended with this exit status can succeed if simply started again.

    A negative status is a signal that left no time for a checkpoint (SIGKILL, out of memory): the
    last checkpoint is still there, so starting again carries on.
    """
    return status == EX_TEMPFAIL or status < 0
