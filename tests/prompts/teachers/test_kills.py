"""What the gateway promises a process that is killed: nothing lost, nothing paid twice.

``NEUROGLOSS_FAULTS=full`` kills at 50 random moments.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from prompts.teachers.registry import make_gateway
from tests.prompts.teachers.fault_plan import CONTENT, LINES, FaultPlan
from tests.prompts.teachers.fault_server import FaultServer
from tests.prompts.teachers.kill_client import (
    KEY_ENV,
    assert_ledger_is,
    planted_tasks,
    settings_of,
    summary,
)

IS_FULL = os.environ.get("NEUROGLOSS_FAULTS") == "full"
N_KILLS, N_BATCH_KILLS = (50, 10) if IS_FULL else (3, 1)
PROVIDERS = ("openai", "gemini")
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, "sk-secret-0123456789abcdef")


class Client:
    """The client program on one cache."""

    def __init__(self, folder: Path, settings: dict[str, Any], n: int) -> None:
        self.out, self.cache = folder / "out.json", folder / "c.sqlite"
        self._asked = folder / "asked.json"
        asked = {"settings": settings, "cache": str(self.cache), "n": n, "seed": 0}
        self._asked.write_text(json.dumps(asked | {"out": str(self.out)}))

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "tests.prompts.teachers.kill_client", str(self._asked)]
        environ = os.environ | {"PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, cwd=ROOT, env=environ) as program:
            yield program

    def kill_when(
        self, server: FaultServer, is_time: Callable[[dict[str, Any]], bool], wait_s: float = 0.0
    ) -> bool:
        """Run until the server's counts say so, wait, and kill; False where it ended before."""
        with self.started() as program:
            server.wait_until(lambda c: program.poll() is not None or is_time(c), 120)
            time.sleep(wait_s)
            program.send_signal(signal.SIGKILL)
            return program.wait(60) == -signal.SIGKILL

    def finish(self) -> list[Any]:
        with self.started() as program:
            assert program.wait(120) == 0
        return json.loads(self.out.read_text())


ONLINE_PLAN = FaultPlan(
    2,
    transport={"429": 0.05, "reset": 0.05, "lost": 0.05, "500": 0.05},
    content=dict.fromkeys(CONTENT, 0.03),
    latency_s=0.02,
)
BATCH_PLAN = FaultPlan(
    3,
    content=dict.fromkeys(CONTENT, 0.03),
    lines=dict.fromkeys(LINES, 0.1),
    batches={"reorder": 0.5, "cut": 0.3},
    max_faults=2,
    hold_create_s=0.2,
)


def kill_and_finish(
    folder: Path, plan: FaultPlan, n: int, moments: list[int], what: str, **changes: Any
) -> int:
    """Compare killed and finished runs with unbroken ones; return how many kills hit."""
    rng, n_hit, unbroken = random.Random(5), 0, {}
    for provider in PROVIDERS[: len(moments)]:
        with FaultServer(plan) as server:
            settings = settings_of(provider, server.base_url(provider), **changes)
            with make_gateway(settings, folder / f"{provider}.sqlite") as gateway:
                rows = [summary(o) for o in gateway.outcomes(planted_tasks(n, 0))]
            unbroken[provider] = rows, server.counts()
    for i, moment in enumerate(moments):
        provider = PROVIDERS[i % 2]
        rows, before = unbroken[provider]
        seen = moment % (_count(before[what]) - 1) + 1
        (folder / str(i)).mkdir()
        with FaultServer(plan) as server:
            settings = settings_of(provider, server.base_url(provider), **changes)
            client = Client(folder / str(i), settings, n)
            wait_s = rng.uniform(0, 0.03 if what == "arrived" else 0.4)
            n_hit += client.kill_when(server, lambda c, k=seen: _count(c[what]) >= k, wait_s)
            assert client.finish() == rows
            counts = server.counts()
        assert_ledger_is(client.cache, counts)
        for name in ("charged", "input_tokens", "output_tokens", "lines_charged_twice"):
            assert counts[name] == before[name]
    return n_hit


def _count(value: Any) -> int:
    return value if isinstance(value, int) else len(value)


@pytest.mark.timeout(3600)
def test_kill_9_at_random_moments_loses_nothing_and_pays_nothing_twice(tmp_path: Path) -> None:
    moments = [random.Random(f"moment {i}").randrange(10**6) for i in range(N_KILLS)]
    n_hit = kill_and_finish(tmp_path, ONLINE_PLAN, 120, moments, "arrived", max_in_flight=8)
    assert n_hit >= 0.9 * N_KILLS


@pytest.mark.timeout(3600)
def test_kill_9_in_batch_mode_loses_nothing_and_pays_nothing_twice(tmp_path: Path) -> None:
    moments = [random.Random(f"moment {i}").randrange(10**6) for i in range(N_BATCH_KILLS)]
    n_hit = kill_and_finish(tmp_path, BATCH_PLAN, 60, moments, "batches", mode="batch")
    assert n_hit >= 0.5 * N_BATCH_KILLS


@pytest.mark.timeout(900)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_batch_killed_between_submit_and_record_is_attached_again(
    tmp_path: Path, provider: str
) -> None:
    with FaultServer(FaultPlan(3, hold_create_s=2.0)) as server:
        settings = settings_of(provider, server.base_url(provider), mode="batch", timeout_s=20.0)
        client = Client(tmp_path, settings, 40)
        assert client.kill_when(server, lambda c: len(c["batches"]) == 1)
        rows = client.finish()
        counts = server.counts()
    assert [row[0] for row in rows] == [f"sample-{i}" for i in range(40)]
    assert {row[1] for row in rows} == {""}
    assert len(counts["batches"]) == 1
    assert_ledger_is(client.cache, counts)


def test_two_processes_on_one_cache_pay_once(tmp_path: Path) -> None:
    with FaultServer(FaultPlan(latency_s=0.05)) as server:
        settings = settings_of("openai", server.openai_url, max_in_flight=8, timeout_s=20.0)
        first, second = (Client(tmp_path, settings, 100) for _ in range(2))
        with first.started() as one, second.started() as other:
            assert (one.wait(120), other.wait(120)) == (0, 0)
        counts = server.counts()
    assert counts["charged"] == 100
    assert_ledger_is(first.cache, counts)
