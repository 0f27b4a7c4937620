"""What can go wrong while a detector is trained."""

from __future__ import annotations


class TrainerError(RuntimeError):
    """A recipe, data set or checkpoint that cannot be used; ``is_retryable`` is False.

    Running the same thing again gives the same error, so nothing retries it.
    """

    is_retryable = False
