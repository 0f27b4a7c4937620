"""The record of requests: what a kill leaves, what the ledger adds up, what a key depends on."""

from __future__ import annotations

import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prompts.teachers.base import Exchange, Repair, TeacherConfigError
from prompts.teachers.cache import BatchPart, TeacherCache, request_key
from tests.prompts.teachers.scripted import PROMPT, request_of

EXCHANGE = Exchange("{}", 100, 50, 20, "model-7")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "cache.sqlite"


def test_a_finished_reply_is_found_again_and_stays_as_it_is(path: Path) -> None:
    cache = TeacherCache(path)
    assert cache.find("k") is None
    cache.begin("k", "run", "teacher", 0.5)
    assert cache.find("k") is None
    cache.settle("k", EXCHANGE, 0.25, "truncated")
    cache.settle("k", Exchange("other", 1, 1), 9.0)
    cache.begin("k", "later", "teacher", 9.0)
    cache.release("k")
    cache.close()
    answer = TeacherCache(path).find("k")
    assert answer is not None
    assert answer.is_cached
    assert (answer.exchange, answer.cost_usd, answer.cause) == (EXCHANGE, 0.25, "truncated")


def test_the_ledger_tells_paid_from_possibly_paid_by_run_and_teacher() -> None:
    cache = TeacherCache(None)
    for i in range(6):
        cache.begin(f"k{i}", "a" if i < 4 else "b", "t", 1.0)
    for i in (0, 1, 4):
        cache.settle(f"k{i}", EXCHANGE, 0.125)
    cache.release("k5")
    first, second = cache.ledger_rows()
    assert (first.run, first.teacher, first.n_requests, first.n_possibly_paid) == ("a", "t", 2, 2)
    assert (first.input_tokens, first.output_tokens) == (200, 100)
    assert (first.usd, first.possibly_paid_usd) == (0.25, 2.0)
    assert (second.run, second.n_requests, second.n_possibly_paid, second.usd) == ("b", 1, 0, 0.125)
    assert cache.committed_usd("a") == 2.25
    assert cache.committed_usd("nobody") == 0.0
    assert [row.run for row in cache.ledger_rows("b")] == ["b"]


def test_a_request_in_flight_belongs_to_the_run_that_sent_it_last() -> None:
    cache = TeacherCache(None)
    cache.begin("k", "killed", "t", 1.0)
    assert cache.in_flight("k") == ("killed", 1.0)
    cache.begin("k", "next", "t", 2.0)
    assert cache.in_flight("k") == ("next", 2.0)
    assert cache.committed_usd("killed") == 0.0
    cache.settle("k", EXCHANGE, 0.5)
    assert cache.in_flight("k") is None
    assert cache.committed_usd("next") == 0.5


def test_many_begin_together_or_not_at_all(path: Path) -> None:
    cache = TeacherCache(path)

    def broken() -> Any:
        yield "a", 1.0
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        cache.begin_many(broken(), "run", "t")
    assert cache.committed_usd("run") == 0.0
    cache.begin_many([("a", 1.0), ("b", 2.0)], "run", "t")
    assert cache.committed_usd("run") == 3.0


def test_batch_parts_survive(path: Path) -> None:
    made = BatchPart("p1", "run", "t", ("k1", "k2"))
    cache = TeacherCache(path)
    cache.put_part(made)
    cache.put_part(dataclasses.replace(made, part="p2", job_id="job", state="submitted"))
    cache.put_part(dataclasses.replace(made, part="p3", teacher="other"))
    cache.close()
    parts = TeacherCache(path).parts("t")
    assert [(p.part, p.job_id, p.state, p.keys) for p in parts] == [
        ("p1", "", "made", ("k1", "k2")),
        ("p2", "job", "submitted", ("k1", "k2")),
    ]
    assert [p.part for p in TeacherCache(path).parts("t", "made")] == ["p1"]


def test_two_processes_may_share_the_file(path: Path) -> None:
    one, other = TeacherCache(path), TeacherCache(path)
    for i in range(50):
        (one, other)[i % 2].begin(f"k{i}", "run", "t", 1.0)
        (other, one)[i % 2].settle(f"k{i}", EXCHANGE, 0.5)
    assert one.committed_usd("run") == other.committed_usd("run") == 25.0


KILLED = """
import os, sys
from pathlib import Path
from prompts.teachers.base import Exchange
from prompts.teachers.cache import TeacherCache
cache = TeacherCache(Path(sys.argv[1]))
for i in range(200):
    cache.begin(f"k{i}", "run", "t", 1.0)
    if i < 199:
        cache.settle(f"k{i}", Exchange("text", 1, 1), 0.5)
print("ready", flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_killed_process_loses_nothing_it_wrote(path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], env=os.environ, capture_output=True, timeout=60
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    row = TeacherCache(path).ledger_rows()[0]
    assert (row.n_requests, row.n_possibly_paid, row.usd, row.possibly_paid_usd) == (
        199,
        1,
        99.5,
        1,
    )


def test_a_file_that_is_no_cache_or_of_another_version_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    other.write_bytes(b"no database at all" * 100)
    with pytest.raises(TeacherConfigError, match="move") as refused:
        TeacherCache(other)
    assert str(tmp_path) not in str(refused.value)
    TeacherCache(tmp_path / "newer.sqlite").close()
    with sqlite3.connect(tmp_path / "newer.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(TeacherConfigError, match="version 99"):
        TeacherCache(tmp_path / "newer.sqlite")


def test_the_file_holds_no_payload(path: Path) -> None:
    cache = TeacherCache(path)
    key = request_key(request_of(1, kind="spindle", t0_s=1.25), "t", "")
    cache.begin(key, "run", "t", 1.0)
    cache.close()
    assert b"spindle" not in b"".join(f.read_bytes() for f in path.parent.iterdir())


FIRST = {"teacher_id": "t", "sampling": "s"}


@pytest.mark.parametrize(
    "other",
    [
        {"request": request_of(2, n_rows=1)},
        {"request": request_of(1, n_rows=2)},
        {
            "request": dataclasses.replace(
                request_of(1, n_rows=1), prompt=dataclasses.replace(PROMPT, prompt_hash="f" * 16)
            )
        },
        {"teacher_id": "u"},
        {"sampling": "u"},
        {"repair": Repair("a", "b")},
        {"repair": Repair("ab", "")},
        {"max_output_tokens": 512},
        {"n_try": 1},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_key_depends_on_everything_that_decides_a_reply(other: dict[str, Any]) -> None:
    first: dict[str, Any] = {"request": request_of(1, n_rows=1), **FIRST}
    assert request_key(**first) == request_key(**first)
    assert request_key(**first) != request_key(**(first | other))
