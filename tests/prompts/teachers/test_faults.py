"""The gateway's promises, held against a server that breaks what can break and counts what it sells.

``NEUROGLOSS_FAULTS=full`` runs the whole size: 10,000 requests a protocol. A killed process is in
``test_kills``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from prompts.teachers.base import BudgetExceededError, Outcome, TeacherError
from prompts.teachers.cache import TeacherCache
from prompts.teachers.registry import make_gateway
from tests.prompts.teachers.fault_plan import ALL_FAULTS, CONTENT, TRANSPORT, FaultPlan
from tests.prompts.teachers.fault_server import FaultServer
from tests.prompts.teachers.kill_client import (
    KEY_ENV,
    NO_FIT,
    UNSUPPORTED,
    assert_ledger_is,
    check,
    planted_tasks,
    settings_of,
    summary,
)

IS_FULL = os.environ.get("NEUROGLOSS_FAULTS") == "full"
N_TASKS = 10_000 if IS_FULL else 300
N_KILLS = 50 if IS_FULL else 3
PROVIDERS = ("openai", "gemini")
ROOT = Path(__file__).resolve().parents[3]
SEVERAL = {name: 0.03 for name in TRANSPORT} | {"drip": 0.015, "stall": 0.015}
"""In the small size each fault must still come up."""
ONLINE_CAUSES = {"refused", "truncated", "malformed reply", "empty reply", NO_FIT, UNSUPPORTED}
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, "sk-secret-0123456789abcdef")


def run(settings: dict[str, Any], cache: Path, n: int, seed: int = 0) -> list[Outcome]:
    with make_gateway(settings, cache) as gateway:
        return list(gateway.outcomes(planted_tasks(n, seed)))


def assert_all_ended_once(outcomes: list[Outcome], n: int, causes: set[str]) -> None:
    assert [o.task.tag for o in outcomes] == [f"sample-{i}" for i in range(n)]
    for outcome in outcomes:
        if outcome.reply is None:
            assert outcome.cause in causes
        else:
            assert outcome.cause == ""
            assert check(outcome.reply.data) == ""


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_under_faults_every_task_ends_once_and_the_ledger_is_the_servers_count(
    tmp_path: Path, provider: str
) -> None:
    transport = ALL_FAULTS["transport"] if IS_FULL else SEVERAL
    plan = FaultPlan(1, transport=transport, content=ALL_FAULTS["content"])
    with FaultServer(plan) as server:
        settings = settings_of(provider, server.base_url(provider))
        outcomes = run(settings, tmp_path / "c.sqlite", N_TASKS)
        counts = server.counts()
        again = run(settings, tmp_path / "c.sqlite", N_TASKS)
        assert server.counts()["arrived"] == counts["arrived"]
    assert_all_ended_once(outcomes, N_TASKS, ONLINE_CAUSES)
    assert_ledger_is(tmp_path / "c.sqlite", counts)
    faults, dropped = counts["faults"], Counter(o.cause for o in outcomes)
    assert set(faults) >= {*TRANSPORT, *CONTENT}
    assert dropped[""] == faults["good"]
    assert dropped["refused"] == faults["refusal"] + faults["filter"]
    assert sum(o.n_requests for o in outcomes) == counts["charged"]
    assert {o.n_requests for o in outcomes if o.cause not in {"", "refused"}} == {2}
    assert sum(o.cost_usd for o in outcomes) == pytest.approx(counts["usd"])
    assert counts["early"] == 0
    assert [summary(o) for o in again] == [summary(o) for o in outcomes]
    assert all(o.is_cached for o in again)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_batch_lines_that_go_wrong_end_once_at_half_the_price(
    tmp_path: Path, provider: str
) -> None:
    lines = dict.fromkeys(("missing", "error", "duplicate"), 0.1)
    plan = FaultPlan(4, lines=lines, content=ALL_FAULTS["content"], batches={"reorder": 1.0})
    n = N_TASKS
    with FaultServer(plan) as server:
        settings = settings_of(provider, server.base_url(provider), mode="batch", timeout_s=60.0)
        outcomes = run(settings, tmp_path / "c.sqlite", n)
        counts = server.counts()
    dropped = Counter(o.cause for o in outcomes)
    assert [o.task.tag for o in outcomes] == [f"sample-{i}" for i in range(n)]
    assert all((o.reply is None) == bool(o.cause) for o in outcomes)
    # three rounds: about 1 line in 125 is never answered
    n_lost = sum(k for cause, k in dropped.items() if cause not in ONLINE_CAUSES | {""})
    assert n_lost < 0.03 * n
    assert dropped[""] == counts["faults"]["good"]
    assert_ledger_is(tmp_path / "c.sqlite", counts)
    assert counts["lines_charged_twice"] == 0
    price = counts["input_tokens"] * 1.0 + counts["output_tokens"] * 4.0
    assert counts["usd"] == pytest.approx(price / 2e6)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ["expired", "cut", "failed"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_batch_that_ends_badly_is_not_paid_twice(tmp_path: Path, provider: str, fault: str) -> None:
    plan = FaultPlan(5, batches={fault: 1.0}, max_faults=1)
    with FaultServer(plan) as server:
        settings = settings_of(provider, server.base_url(provider), mode="batch", timeout_s=20.0)
        outcomes = run(settings, tmp_path / "c.sqlite", 30)
        counts = server.counts()
    n_dropped = sum(o.reply is None for o in outcomes)
    if fault != "expired":
        assert (n_dropped, len(counts["batches"])) == (0, 1 if fault == "cut" else 2)
    else:
        # OpenAI answers a half of what is left in each round, Gemini nothing of the first
        assert n_dropped <= 30 // 8 + 1
        assert len(counts["batches"]) > 1
    assert_ledger_is(tmp_path / "c.sqlite", counts)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_spend_cap_is_never_passed_by_the_servers_count(tmp_path: Path, provider: str) -> None:
    transport = {"reset": 0.1, "lost": 0.1, "500": 0.05}
    plan = FaultPlan(6, transport=transport, content={"truncated": 0.1})
    cap = 0.05
    with FaultServer(plan) as server:
        settings = settings_of(provider, server.base_url(provider), max_usd=cap)
        ended: list[Outcome] = []
        with make_gateway(settings, tmp_path / "c.sqlite") as gateway:
            with pytest.raises(BudgetExceededError):
                ended.extend(gateway.outcomes(planted_tasks(5000, 0)))
            committed = gateway.budget.committed_usd
        first = server.counts()
        with pytest.raises(BudgetExceededError):
            run(settings, tmp_path / "c.sqlite", 5000)
        counts = server.counts()
    assert 0.9 * cap < counts["usd"] <= cap
    assert first["usd"] <= committed + 1e-12
    assert committed <= cap
    assert counts["charged_twice"] == 0
    assert ended


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("is_listening", [True, False], ids=["only 503", "no server"])
def test_dead_server_opens_the_breaker_and_ends_the_run(
    tmp_path: Path, provider: str, is_listening: bool
) -> None:
    with FaultServer(FaultPlan(outage=(0, 10**9))) as server:
        url = server.base_url(provider)
        settings = settings_of(
            provider,
            url if is_listening else url.replace(f":{url.split(':')[2][:5]}", ":9"),
            breaker_failures=10, breaker_cooloff_s=0.1, breaker_cooloffs=2, max_attempts=20,
        )  # fmt: skip
        with pytest.raises(TeacherError) as caught:
            run(settings, tmp_path / "c.sqlite", 2000)
        counts = server.counts()
    assert caught.value.is_retryable
    assert counts["charged"] == 0
    assert counts["arrived"] <= 60
    assert (counts["arrived"] > 10) == is_listening


@contextmanager
def server_program(**plan: Any) -> Iterator[str]:
    """Start the server as a program of its own, so that it shares no interpreter with the client."""
    command = [sys.executable, "-m", "tests.prompts.teachers.fault_server"]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, "--plan", json.dumps(plan)],
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
        cwd=ROOT,
    ) as program:
        assert program.stdout is not None
        try:
            yield program.stdout.readline().strip()
        finally:
            program.kill()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_two_hundred_are_in_flight_against_a_fixed_latency(tmp_path: Path, provider: str) -> None:
    n = 10_000 if IS_FULL else 600
    with server_program(latency_s=1.0 if IS_FULL else 2.0) as url:
        base_url = url if provider == "gemini" else f"{url}/v1"
        outcomes = run(settings_of(provider, base_url, timeout_s=30.0), tmp_path / "c.sqlite", n)
        with urlopen(f"{url}/counts") as reply:
            counts = json.load(reply)
    assert_all_ended_once(outcomes, n, set())
    assert counts["max_in_flight"] == 200
    assert counts["charged"] == n


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_wait_that_is_asked_for_is_kept(tmp_path: Path, provider: str) -> None:
    plan = FaultPlan(transport={"429_after": 1.0}, max_faults=1, retry_after_s=0.5)
    with FaultServer(plan) as server:
        settings = settings_of(provider, server.base_url(provider))
        outcomes = run(settings, tmp_path / "c.sqlite", 20)
        counts = server.counts()
    assert_all_ended_once(outcomes, 20, set())
    assert counts["faults"]["429_after"] == 20
    assert counts["early"] == 0


def test_what_may_have_been_paid_counts_until_it_is_known(tmp_path: Path) -> None:
    with FaultServer(FaultPlan(transport={"lost": 1.0}, max_faults=3)) as server:
        settings = settings_of("openai", server.openai_url, max_attempts=2)
        cache = tmp_path / "c.sqlite"
        with pytest.raises(TeacherError) as caught:
            run(settings, cache, 40)
        assert caught.value.is_retryable
        counts, store = server.counts(), TeacherCache(cache)
        (row,) = store.ledger_rows()
        store.close()
        assert row.n_possibly_paid == counts["charged"] > 0
        assert row.possibly_paid_usd > counts["usd"]
        outcomes = run(settings | {"max_attempts": 8}, cache, 40)
        counts = server.counts()
    assert_all_ended_once(outcomes, 40, set())
    assert counts["charged"] == 40
    assert_ledger_is(cache, counts)


def test_outage_is_waited_out(tmp_path: Path) -> None:
    with FaultServer(FaultPlan(outage=(60, 90))) as server:
        settings = settings_of(
            "openai", server.openai_url, max_in_flight=8,
            breaker_failures=5, breaker_cooloff_s=0.02, breaker_cooloffs=40, max_attempts=20,
        )  # fmt: skip
        outcomes = run(settings, tmp_path / "c.sqlite", 100)
        counts = server.counts()
    assert_all_ended_once(outcomes, 100, set())
    assert counts["arrived"] == 130
    assert_ledger_is(tmp_path / "c.sqlite", counts)


def test_concurrency_settles_near_what_the_server_takes(tmp_path: Path) -> None:
    n = 600
    with FaultServer(FaultPlan(max_concurrent=20, latency_s=0.05)) as server:
        settings = settings_of("openai", server.openai_url, max_attempts=20)
        outcomes = run(settings, tmp_path / "c.sqlite", n)
        counts = server.counts()
    assert_all_ended_once(outcomes, n, set())
    assert 20 < counts["max_in_flight"] < 100
    assert counts["faults"]["429"] < 0.1 * n


def test_equal_requests_are_paid_once(tmp_path: Path) -> None:
    with FaultServer(FaultPlan(latency_s=0.05)) as server:
        settings = settings_of("openai", server.openai_url)
        tasks = list(planted_tasks(20, 0))
        twins = [replace(task, tag=f"twin-of-{task.tag}") for task in tasks]
        with make_gateway(settings, tmp_path / "c.sqlite") as gateway:
            outcomes = list(gateway.outcomes(tasks + twins))
        counts = server.counts()
    assert all(o.reply for o in outcomes)
    assert counts["charged"] == 20
    assert_ledger_is(tmp_path / "c.sqlite", counts)
