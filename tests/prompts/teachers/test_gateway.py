"""Tasks in, outcomes out: order, one end each, repair, money under the cap, what survives."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prompts.teachers.base import (
    BudgetExceededError,
    Exchange,
    Outcome,
    Task,
    TeacherBusyError,
    TeacherConfigError,
    TeacherDownError,
    TeacherError,
    TeacherMalformedError,
    TeacherRefusedError,
    TeacherRequestError,
    TeacherTruncatedError,
)
from prompts.teachers.payload import PayloadError
from prompts.teachers.progress import Progress
from tests.prompts.teachers.scripted import (
    COST,
    GOOD,
    N_IN,
    N_OUT,
    PRICE,
    Call,
    Scripted,
    ScriptedBatch,
    gateway_of,
    request_of,
    tasks_of,
)

BILLED = Exchange("", N_IN, N_OUT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.sqlite"


def told(outcome: Outcome) -> tuple[Any, ...]:
    """What must be the same in a broken and an unbroken run."""
    data = outcome.reply.data if outcome.reply else None
    return outcome.task.tag, data, outcome.cause, outcome.n_requests, outcome.cost_usd


def fault(call: Call) -> str | TeacherError:
    """A fixed mixture of everything that can happen to a request."""
    kind = call.seed % 11
    if kind in (1, 2) and call.n <= kind:
        return TeacherBusyError("busy", cause=("status 429", "status 503")[kind - 1])
    if kind == 3 and call.n == 1:
        return TeacherBusyError("cut", cause="no connection")
    if kind == 4:
        return TeacherRefusedError("no", cause="refused", exchange=BILLED)
    is_first = call.repair is None and call.max_output_tokens is None
    if kind == 5 and is_first:
        return TeacherTruncatedError("short", cause="truncated", exchange=BILLED)
    if kind == 6 and is_first:
        return "no json"
    if kind == 7:
        return "[1]"
    return GOOD


def test_each_task_ends_once_in_order_whatever_happens_to_it() -> None:
    provider = Scripted(fault, delay_s=0.001)
    with gateway_of(provider, max_in_flight=50) as gateway:
        outcomes = list(gateway.outcomes(tasks_of(range(550))))
        (row,) = gateway.ledger_rows()
        assert gateway.budget.committed_usd == pytest.approx(row.usd)
    assert [o.task.tag for o in outcomes] == [f"t{i}" for i in range(550)]
    assert all((o.reply is None) == bool(o.cause) for o in outcomes)
    causes = Counter(o.cause for o in outcomes)
    assert causes == {"": 450, "refused": 50, "malformed reply": 50}
    assert row.n_requests == len(provider.charged) == 550 + 3 * 50
    assert row.n_possibly_paid == 0
    assert row.usd == pytest.approx(sum(provider.charged.values()))
    assert sum(o.cost_usd for o in outcomes) == pytest.approx(row.usd)
    assert provider.is_closed


@pytest.mark.parametrize(
    ("first", "n_requests", "cause"),
    [
        (TeacherRefusedError("no", cause="refused"), 1, "refused"),
        (TeacherTruncatedError("short", cause="truncated", exchange=BILLED), 2, "truncated"),
        (TeacherMalformedError("none", cause="empty reply", exchange=BILLED), 2, "empty reply"),
        ("no json", 2, "malformed reply"),
        ('["list"]', 2, "malformed reply"),
        ("[" * 100_000, 2, "malformed reply"),
        ("  ", 2, "empty reply"),
        ('{"says": "wrong"}', 2, "contradicted: side"),
    ],
    ids=lambda value: str(value)[:12] if isinstance(value, str | Exception) else None,
)
@pytest.mark.parametrize("is_cured", [True, False])
def test_one_row_gets_one_repair_and_is_dropped_alone(
    first: str | TeacherError, n_requests: int, cause: str, is_cured: bool
) -> None:
    provider = Scripted(
        lambda call: first if call.seed == 1 and (len(provider.calls) < 3 or not is_cured) else GOOD
    )

    def check(data: Any) -> str:
        return "contradicted: side" if data.get("says") == "wrong" else ""

    tasks = tasks_of([1], check)
    with gateway_of(provider) as gateway:
        provider.calls.append(Call(0, "", 0, None, None))
        (outcome,) = gateway.outcomes(tasks)
        (after,) = gateway.outcomes(tasks_of([2], check))
    calls = [c for c in provider.calls if c.seed == 1]
    assert after.reply is not None
    assert len(calls) == outcome.n_requests == n_requests
    if n_requests == 1 or not is_cured:
        assert (outcome.reply, outcome.cause) == (None, cause)
        return
    assert outcome.reply is not None
    second = calls[1]
    assert second.key != calls[0].key
    assert second.max_output_tokens == (512 if cause == "truncated" else None)
    is_asked_again = cause in {"truncated", "empty reply"}
    assert (second.repair is None) == is_asked_again
    if second.repair is not None:
        assert second.repair.previous_text == first
        assert second.repair.complaint


def test_the_complaint_is_the_callers_own_words() -> None:
    provider = Scripted(lambda call: GOOD if call.repair else '{"bad": 1}')
    task = Task(
        request_of(1), lambda d: "overclaim" if "bad" in d else "", "t", lambda d: "Sentence 1 is."
    )
    with gateway_of(provider) as gateway:
        (outcome,) = gateway.outcomes([task])
    assert outcome.reply is not None
    assert outcome.reply.input_tokens == 2 * N_IN
    assert provider.calls[1].repair is not None
    assert provider.calls[1].repair.complaint == "Sentence 1 is."


def test_a_finished_reply_is_never_paid_again(path: Path) -> None:
    seeds = range(66)
    with gateway_of(Scripted(fault), path) as gateway:
        first = list(gateway.outcomes(tasks_of(seeds)))
        money = gateway.ledger_rows()
    again = Scripted(fault)
    with gateway_of(again, path) as gateway:
        second = list(gateway.outcomes(tasks_of(seeds)))
        assert gateway.ledger_rows() == money
        estimate = gateway.estimate(task.request for task in tasks_of(range(70)))
    assert not again.calls
    assert [told(o) for o in second] == [told(o) for o in first]
    assert all(o.is_cached for o in second)
    assert not any(o.is_cached for o in first)
    assert (estimate.n_requests, estimate.n_cached) == (70, 66)


def test_equal_requests_side_by_side_are_paid_once() -> None:
    provider = Scripted(delay_s=0.01)
    tasks = [Task(request_of(1), lambda data: "", f"t{i}") for i in range(20)]
    with gateway_of(provider) as gateway:
        outcomes = list(gateway.outcomes(tasks))
        assert gateway.ledger_rows()[0].usd == pytest.approx(COST)
    assert len(provider.calls) == 1
    assert sum(not o.is_cached for o in outcomes) == 1


def test_every_try_of_a_request_carries_the_same_key() -> None:
    provider = Scripted(lambda call: GOOD if call.n == 4 else TeacherBusyError("cut"))
    with gateway_of(provider) as gateway:
        (outcome,) = gateway.outcomes(tasks_of([1]))
    assert outcome.reply is not None
    assert len(provider.calls) == 4
    assert len({c.key for c in provider.calls}) == 1


@pytest.mark.parametrize(
    ("error", "n_calls", "is_possibly_paid"),
    [
        (TeacherBusyError("503", cause="status 503"), 3, False),
        (TeacherBusyError("429", cause="status 429"), 3, False),
        (TeacherBusyError("cut"), 3, True),
        (TeacherBusyError("wait a day", cause="status 429", retry_after_s=86400.0), 1, False),
        (TeacherRequestError("401", cause="status 401"), 1, False),
    ],
    ids=str,
)
def test_what_the_next_row_would_share_stops_the_run(
    error: TeacherError, n_calls: int, is_possibly_paid: bool
) -> None:
    provider = Scripted(lambda call: error if call.seed == 5 else GOOD)
    ended: list[Outcome] = []
    with gateway_of(provider, max_attempts=3) as gateway:
        with pytest.raises(type(error)) as raised:
            ended.extend(gateway.outcomes(tasks_of(range(2000))))
        (row,) = gateway.ledger_rows()
        assert gateway.budget.committed_usd == pytest.approx(row.usd + row.possibly_paid_usd)
    assert raised.value is error
    assert [o.task.tag for o in ended] == [f"t{i}" for i in range(5)]
    assert sum(c.seed == 5 for c in provider.calls) == n_calls
    assert len(provider.calls) < 1500
    assert row.n_possibly_paid == is_possibly_paid
    assert row.n_requests == len(provider.charged)


def test_after_the_error_that_stops_the_run_nothing_more_leaves() -> None:
    def script(call: Call) -> str | TeacherError:
        if call.seed == 0:
            return TeacherBusyError("busy", cause="status 503")
        return TeacherRequestError("no such key", cause="status 401")

    provider = Scripted(script, delay_s=0.001)
    with gateway_of(provider, backoff_s=0.2) as gateway, pytest.raises(TeacherRequestError):
        list(gateway.outcomes(tasks_of(range(1000))))
    assert len(provider.calls) <= 16 + 2


def test_little_is_pulled_while_the_head_is_slow() -> None:
    pulled: list[Task] = []

    def tasks() -> Iterator[Task]:
        for task in tasks_of(range(100_000)):
            pulled.append(task)
            yield task

    provider = Scripted(
        lambda call: TeacherBusyError("busy") if call.seed == 0 and call.n < 4 else GOOD
    )
    with gateway_of(provider, backoff_s=0.3, max_in_flight=2) as gateway:
        ended = gateway.outcomes(tasks())
        next(ended)
        assert len(pulled) <= 20 * 2
        ended.close()


def test_a_dead_teacher_is_left_alone_after_a_few_failures() -> None:
    provider = Scripted(lambda call: TeacherBusyError("dead"))
    with (
        gateway_of(provider, breaker_failures=20, breaker_cooloffs=3, max_attempts=20) as gateway,
        pytest.raises(TeacherDownError, match="run again"),
    ):
        list(gateway.outcomes(tasks_of(range(1000))))
    assert len(provider.calls) <= 20 + 3 + 16


def test_the_cap_is_never_passed_and_what_fits_is_used() -> None:
    upper = next(iter(_uppers()))
    cap = 10 * COST + 0.999 * upper
    provider = Scripted(delay_s=0.001)
    ended: list[Outcome] = []
    with gateway_of(provider, cap_usd=cap) as gateway:
        with pytest.raises(BudgetExceededError, match="cap"):
            ended.extend(gateway.outcomes(tasks_of(range(50))))
        (row,) = gateway.ledger_rows()
    spent = sum(provider.charged.values())
    assert row.usd == pytest.approx(spent)
    assert spent <= cap
    assert len(ended) == 10 <= len(provider.charged)
    assert cap - spent < upper


def _uppers() -> Iterator[float]:
    with gateway_of(Scripted()) as gateway:
        yield gateway.estimate([request_of(1)]).usd


def test_the_cap_holds_over_a_run_that_is_started_again_under_its_name(path: Path) -> None:
    upper = next(iter(_uppers()))
    cap = 5 * COST + 0.999 * upper
    for _ in range(3):
        provider = Scripted()
        with (
            gateway_of(provider, path, cap_usd=cap) as gateway,
            pytest.raises(BudgetExceededError),
        ):
            list(gateway.outcomes(tasks_of(range(50))))
    with gateway_of(Scripted(), path, cap_usd=cap, run="run") as gateway:
        assert gateway.budget.committed_usd <= cap
    with gateway_of(Scripted(), path, cap_usd=cap, run="other") as gateway:
        assert gateway.budget.committed_usd == 0.0


def test_what_was_in_flight_counts_until_it_is_settled(path: Path) -> None:
    hanging = Scripted(delay_s=60)
    gateway = gateway_of(hanging, path)
    ended = gateway.outcomes(tasks_of(range(16)), lambda progress: ended_soon())

    class Stop(BaseException):
        pass

    def ended_soon() -> None:
        raise Stop

    with pytest.raises(Stop):
        next(ended)
    gateway.close()
    assert {c.n for c in hanging.calls} == {1}
    keys = {c.key for c in hanging.calls}
    assert len(keys) == 16
    again = Scripted()
    with gateway_of(again, path) as gateway:
        (row,) = gateway.ledger_rows()
        assert (row.n_requests, row.n_possibly_paid) == (0, 16)
        upper = gateway.budget.committed_usd
        assert (
            upper
            == pytest.approx(row.possibly_paid_usd)
            == pytest.approx(gateway.estimate(task.request for task in tasks_of(range(16))).usd)
        )
        list(gateway.outcomes(tasks_of(range(16))))
        (row,) = gateway.ledger_rows()
        assert (row.n_requests, row.n_possibly_paid) == (16, 0)
        assert gateway.budget.committed_usd == pytest.approx(16 * COST)
    assert {c.key for c in again.calls} == keys


def test_a_gated_corpus_and_an_unclean_payload_never_leave() -> None:
    provider = Scripted(is_inside=False)
    with gateway_of(provider) as gateway:
        with pytest.raises(TeacherRefusedError, match="gated"):
            list(gateway.outcomes(tasks_of(range(5), is_gated=True)))
        with pytest.raises(PayloadError):
            list(gateway.outcomes(tasks_of(range(5), patient="Smith")))
    assert not provider.calls
    with gateway_of(Scripted(is_inside=True)) as gateway:
        assert len(list(gateway.outcomes(tasks_of(range(5), is_gated=True)))) == 5


def test_an_error_of_the_tasks_comes_after_the_outcomes_before_it() -> None:
    def tasks() -> Iterator[Task]:
        yield from tasks_of(range(7))
        raise KeyError("facts are missing")

    ended = []
    with gateway_of(Scripted(delay_s=0.005)) as gateway, pytest.raises(KeyError):
        ended.extend(gateway.outcomes(tasks()))
    assert len(ended) == 7


def test_an_error_of_a_check_is_not_swallowed() -> None:
    def check(data: Any) -> str:
        raise ZeroDivisionError

    with gateway_of(Scripted()) as gateway, pytest.raises(ZeroDivisionError):
        list(gateway.outcomes(tasks_of(range(3), check)))


def test_a_caller_that_stops_early_leaves_nothing_running() -> None:
    provider = Scripted(delay_s=0.01)
    with gateway_of(provider) as gateway:
        ended = gateway.outcomes(tasks_of(range(10_000)))
        for _ in range(5):
            next(ended)
        ended.close()
        n_calls = len(provider.calls)
        (outcome,) = gateway.outcomes(tasks_of([20_000]))
        assert outcome.reply is not None
    assert provider.n_open == 0
    assert len(provider.calls) == n_calls + 1


def test_progress_says_rows_causes_money_and_time_left() -> None:
    seen: list[Progress] = []
    tasks = list(tasks_of(range(110)))
    start = time.monotonic()
    with gateway_of(Scripted(fault, delay_s=0.05), max_in_flight=4) as gateway:
        list(gateway.outcomes(tasks, seen.append))
    took = time.monotonic() - start
    assert 2 <= len(seen) <= took / 0.5 + 1
    assert seen[0].left_s is not None
    assert seen[0].left_s > 0
    last = seen[-1]
    assert (last.n_done, last.n_total, last.n_accepted, last.left_s) == (110, 110, 90, 0.0)
    assert last.dropped == {"refused": 10, "malformed reply": 10}
    assert last.committed_usd == pytest.approx(140 * COST)
    assert "110 of 110 rows, 90 accepted, 10 dropped: malformed reply" in str(last)


def test_the_estimate_bounds_what_first_tries_cost() -> None:
    with gateway_of(Scripted()) as gateway:
        estimate = gateway.estimate(task.request for task in tasks_of(range(10)))
        assert estimate.n_requests == 10
        assert estimate.output_tokens == 2560
        assert estimate.usd == pytest.approx(
            PRICE.cost(estimate.input_tokens, estimate.output_tokens)
        )
        list(gateway.outcomes(tasks_of(range(10))))
        assert gateway.budget.committed_usd <= estimate.usd


def test_the_offline_writer_costs_nothing_and_is_not_recorded() -> None:
    with gateway_of(Scripted(is_offline=True), cap_usd=0.0) as gateway:
        assert len(list(gateway.outcomes(tasks_of(range(100))))) == 100
        assert gateway.ledger_rows() == []
        assert gateway.estimate([request_of(1)]).usd == 0.0


def test_batch_mode_needs_a_provider_that_has_one() -> None:
    with pytest.raises(TeacherConfigError, match="batch"):
        gateway_of(Scripted(), mode="batch")


def batched(call: Call) -> str | TeacherError:
    answer = fault(call)
    missing = TeacherError("no line", cause="missing")
    return missing if isinstance(answer, TeacherBusyError) else answer


def test_batch_mode_ends_each_task_once_in_order_at_half_price(path: Path) -> None:
    batch = ScriptedBatch(batched)
    provider = Scripted(batch=batch)
    with gateway_of(provider, path, mode="batch", batch_window=100) as gateway:
        outcomes = list(gateway.outcomes(tasks_of(range(220))))
        (row,) = gateway.ledger_rows()
        assert gateway.budget.committed_usd == pytest.approx(row.usd)
    assert not provider.calls
    assert [o.task.tag for o in outcomes] == [f"t{i}" for i in range(220)]
    causes = Counter(o.cause for o in outcomes)
    # seeds 1, 2 and 3 of 11 never get a line back
    assert causes == {"": 120, "missing from batch": 60, "refused": 20, "malformed reply": 20}
    assert sum(o.cost_usd for o in outcomes) == pytest.approx(row.usd)
    assert row.usd == pytest.approx((160 + 3 * 20) * COST / 2)
    n_jobs = len(batch.jobs)
    with gateway_of(provider, path, mode="batch") as gateway:
        again = list(gateway.outcomes(tasks_of(i for i in range(220) if i % 11 not in (1, 2, 3))))
    assert len(batch.jobs) == n_jobs
    first = [o for o in outcomes if o.cause != "missing from batch"]
    assert [told(o) for o in again] == [told(o) for o in first]


def test_batch_mode_keeps_the_cap_and_hands_back_what_ended() -> None:
    upper = next(iter(_uppers())) / 2
    cap = 4 * upper
    batch = ScriptedBatch()
    ended: list[Outcome] = []
    with gateway_of(Scripted(batch=batch), cap_usd=cap, mode="batch") as gateway:
        with pytest.raises(BudgetExceededError):
            ended.extend(gateway.outcomes(tasks_of(range(200))))
        (row,) = gateway.ledger_rows()
    n_sent = sum(len(job) for job in batch.jobs)
    assert row.n_requests == n_sent == len(ended) > 4
    assert cap - upper < row.usd <= cap


def test_two_hundred_are_in_flight_and_the_head_is_not_waited_for() -> None:
    n = 3000 if os.environ.get("NEUROGLOSS_FAULTS") == "full" else 1000
    provider = Scripted(delay_s=0.1)
    with gateway_of(provider) as gateway:
        start = time.monotonic()
        list(gateway.outcomes(tasks_of(range(n))))
        took = time.monotonic() - start
    assert provider.most_open == 200
    # the ramp takes four round trips; the rest is 200 a round
    assert took < (n / 200 + 4) * 0.1 * 1.6


def test_memory_does_not_grow_with_the_rows(path: Path) -> None:
    n = 1_000_000 if os.environ.get("NEUROGLOSS_FAULTS") == "full" else 3_000
    held = []
    with gateway_of(Scripted(), path, max_in_flight=50) as gateway:
        tracemalloc.start()
        for i, _ in enumerate(gateway.outcomes(tasks_of(range(n), cheap))):
            if i in (n // 4, n - 1):
                held.append(tracemalloc.get_traced_memory()[0])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 30e6
    assert held[1] < held[0] + 5e6


def cheap(data: Any) -> str:
    return ""
