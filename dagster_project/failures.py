"""How failures reach Dagster: permanent ones are never retried, retryable ones a bounded number of times.

Dagster has an op retry policy, a run-retry daemon and automation, which do not know about each
other. Every room marks its errors ``is_retryable``; this module is the one place where that mark is
translated. What the errors mean is said by the rooms that raise them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

RETRY_FEW = dg.RetryPolicy(
    max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
"""For reads and teacher calls: three attempts in all, then the run fails."""


class PermanentFailure(dg.Failure):
    """A failure that trying again cannot mend: a wrong path, key, value or file."""

    def __init__(self, description: str) -> None:
        super().__init__(description=description, allow_retries=False)


@contextmanager
def translated() -> Iterator[None]:
    """Turn a room's error into a Dagster failure that carries its retry mark.

    Raises
    ------
    PermanentFailure
        For an error marked ``is_retryable = False`` and for wrong values.
    dagster.Failure
        For an error marked retryable; the asset's retry policy then applies.
    """
    try:
        yield
    except dg.Failure:
        raise
    except Exception as error:
        is_retryable = getattr(error, "is_retryable", None)
        if is_retryable is None and not isinstance(
            error, (ValueError, KeyError, FileNotFoundError)
        ):
            raise
        if is_retryable:
            raise dg.Failure(description=str(error)) from error
        raise PermanentFailure(str(error).strip("'\"")) from error
