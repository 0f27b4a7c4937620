"""The error family of the benchmark: what may be wrong with items, answers, pages or models.

Only the error lives here. An answer that cannot be parsed is no error: it is counted as wrong and
counted apart (``asking/answers.py``).
"""

from __future__ import annotations


class BenchmarkError(RuntimeError):
    """Something a person must put right; ``is_retryable`` says whether trying again can help."""

    def __init__(self, message: str, *, is_retryable: bool = False) -> None:
        super().__init__(message)
        self.is_retryable = is_retryable
