"""A room's mark 'retryable' reaches Dagster."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_project.failures import PermanentFailure, translated
from dagster_project.tables.store import StorageError


@pytest.mark.parametrize(
    ("error", "may_retry"),
    [
        (StorageError("gone for good"), False),
        (StorageError("busy", is_retryable=True), True),
        (ValueError("a wrong value"), False),
        (FileNotFoundError("no such file"), False),
    ],
    ids=["permanent", "retryable", "value", "path"],
)
def test_errors_become_failures_with_their_mark(error: Exception, may_retry: bool) -> None:
    with pytest.raises(dg.Failure) as caught, translated():
        raise error
    assert caught.value.allow_retries is may_retry
    assert str(error) in str(caught.value.description)
    assert caught.value.__cause__ is error


def test_an_unforeseen_error_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), translated():
        raise ZeroDivisionError


def test_a_failure_passes_unchanged() -> None:
    failure = PermanentFailure("stop")
    with pytest.raises(PermanentFailure) as caught, translated():
        raise failure
    assert caught.value is failure
