"""Batch runs: each line ends once, whatever the jobs do and whenever the process dies."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from prompts.teachers.base import (
    BatchLine,
    BatchResult,
    BatchState,
    Exchange,
    TeacherBusyError,
    TeacherError,
    TeacherMalformedError,
    TeacherRefusedError,
    TeacherRequest,
    TeacherRequestError,
)
from prompts.teachers.batches import BatchLimits, BatchRun, TeacherBatchError
from prompts.teachers.cache import TeacherCache
from prompts.teachers.prompt_files import Prompt

SCHEMA = '{"type":"object","properties":{"text":{"type":"string"}}}'
PROMPT = Prompt("narrative-v0", "Write.", SCHEMA, "0123456789abcdef")
QUICK = BatchLimits(max_lines=4, max_open=2, poll_s=0.001, max_poll_s=0.01, find_s=0.001)
TEACHER = "scripted:model"


def lines_of(n: int) -> list[BatchLine]:
    payload = {"page": {"key": "page"}}
    return [BatchLine(f"k{i}", TeacherRequest(PROMPT, payload, False, seed=i)) for i in range(n)]


@dataclass
class Shelf:
    """A provider in memory: jobs by id; what one of them is asked may be scripted."""

    answer: Callable[[str, int], Sequence[Exchange | TeacherError]] = lambda key, n: [
        Exchange(key, 1, 1)
    ]
    states: Callable[[int], BatchState] = lambda n: "done"
    jobs: dict[str, tuple[dict[str, str], list[str]]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    cuts: int = 0

    def submit(self, lines: Sequence[BatchLine], metadata: Mapping[str, str]) -> str:
        job_id = f"job-{len(self.jobs)}"
        self.jobs[job_id] = (dict(metadata), [line.key for line in lines])
        if self.cuts:
            self.cuts -= 1
            raise TeacherBusyError("cut", cause="no connection")
        return job_id

    def find(self, metadata: Mapping[str, str]) -> str | None:
        return next((j for j, (known, _) in self.jobs.items() if known == metadata), None)

    def state(self, job_id: str) -> BatchState:
        return self.states(int(job_id.removeprefix("job-")))

    def results(self, job_id: str) -> Iterator[BatchResult]:
        for key in reversed(self.jobs[job_id][1]):
            n = sum(key in keys for _, keys in self.jobs.values())
            yield from (BatchResult(key, result) for result in self.answer(key, n))

    @property
    def submitted(self) -> Counter[str]:
        """How often each line was submitted."""
        return Counter(key for _, keys in self.jobs.values() for key in keys)


def run_of(api: Any, cache: TeacherCache | None = None, **limits: Any) -> BatchRun:
    bounds = BatchLimits(**({f: getattr(QUICK, f) for f in QUICK.__slots__} | limits))
    return BatchRun(api, cache or TeacherCache(None), "run", TEACHER, bounds, lambda s: None)


def test_every_line_is_answered_once_from_parts_within_the_limits() -> None:
    shelf = Shelf()
    results = list(run_of(shelf).results(lines_of(11)))
    assert sorted(r.key for r in results) == sorted(f"k{i}" for i in range(11))
    assert all(r.result == Exchange(r.key, 1, 1) for r in results)
    assert [len(keys) for _, keys in shelf.jobs.values()] == [4, 4, 3]
    assert {metadata["run"] for metadata, _ in shelf.jobs.values()} == {"run"}
    assert len({metadata["part"] for metadata, _ in shelf.jobs.values()}) == 3


def test_parts_are_cut_by_bytes_and_a_line_that_is_too_long_goes_alone() -> None:
    shelf = Shelf()
    one = 600 + len(SCHEMA) + 60
    list(run_of(shelf, max_lines=100, max_bytes=3 * one).results(lines_of(7)))
    sizes = [len(keys) for _, keys in shelf.jobs.values()]
    assert sum(sizes) == 7
    assert max(sizes) in {2, 3}
    shelf = Shelf()
    list(run_of(shelf, max_bytes=1).results(lines_of(3)))
    assert [len(keys) for _, keys in shelf.jobs.values()] == [1, 1, 1]


def test_lines_are_read_no_further_than_the_open_jobs_need() -> None:
    pulled = 0

    def source() -> Iterator[BatchLine]:
        nonlocal pulled
        for line in lines_of(100):
            pulled += 1
            yield line

    results = run_of(Shelf()).results(source())
    next(results)
    assert pulled == QUICK.max_lines * QUICK.max_open


def test_duplicates_in_lines_and_in_answers_count_once() -> None:
    shelf = Shelf(lambda key, n: [Exchange(key, 1, 1), Exchange("other", 1, 1)])
    results = list(run_of(shelf).results([*lines_of(6), *lines_of(6)]))
    assert Counter(r.key for r in results) == Counter({f"k{i}": 1 for i in range(6)})
    assert all(r.result == Exchange(r.key, 1, 1) for r in results)
    assert set(shelf.submitted.values()) == {1}


def test_an_answer_beats_an_error_line_of_the_same_key() -> None:
    busy = TeacherBusyError("m", cause="status 500")
    shelf = Shelf(lambda key, n: [busy, Exchange(key, 1, 1), busy])
    results = list(run_of(shelf).results(lines_of(5)))
    assert all(isinstance(r.result, Exchange) for r in results)
    assert set(shelf.submitted.values()) == {1}


@pytest.mark.parametrize(
    ("error", "state", "cause"),
    [
        (None, "done", "missing from batch"),
        (None, "expired", "expired in batch"),
        (TeacherBatchError("m", cause="expired in batch"), "done", "expired in batch"),
        (TeacherBusyError("m", cause="status 500"), "done", "status 500"),
    ],
    ids=["missing", "expired job", "expired line", "error line"],
)
@pytest.mark.parametrize("n_bad", [1, 2, 9])
def test_unanswered_lines_go_again_and_are_dropped_after_the_last_round(
    error: TeacherError | None, state: BatchState, cause: str, n_bad: int
) -> None:
    def answer(key: str, n: int) -> list[Exchange | TeacherError]:
        if key == "k2" and n <= n_bad:
            return [error] if error else []
        return [Exchange(key, 1, 1)]

    shelf = Shelf(answer, lambda n: state if n == 0 or n_bad == 9 else "done")
    results = {r.key: r.result for r in run_of(shelf, n_rounds=3).results(lines_of(6))}
    assert len(results) == 6
    assert shelf.submitted["k2"] == min(n_bad + 1, 3)
    if n_bad == 9:
        dropped = results.pop("k2")
        assert isinstance(dropped, TeacherBatchError)
        assert not dropped.is_retryable
    assert all(isinstance(result, Exchange) for result in results.values())
    assert set((shelf.submitted - Counter({"k2": 9})).values()) == {1}
    if n_bad == 9:
        assert dropped.cause == cause


@pytest.mark.parametrize("kind", [TeacherRefusedError, TeacherMalformedError, TeacherRequestError])
def test_the_providers_word_on_a_line_is_final(kind: type[TeacherError]) -> None:
    word = kind("m", cause="refused", exchange=Exchange("", 9, 1))
    shelf = Shelf(lambda key, n: [word if key == "k1" else Exchange(key, 1, 1)])
    results = {r.key: r.result for r in run_of(shelf).results(lines_of(3))}
    assert results["k1"] is word
    assert set(shelf.submitted.values()) == {1}


def test_a_cancelled_job_gives_what_it_has_and_stops_the_run(tmp_path: Path) -> None:
    shelf = Shelf(lambda key, n: [Exchange(key, 1, 1)] if key < "k2" else [], lambda n: "cancelled")
    cache = TeacherCache(tmp_path / "c.sqlite")
    results = run_of(shelf, cache).results(lines_of(4))
    assert sorted([next(results).key, next(results).key]) == ["k0", "k1"]
    with pytest.raises(TeacherRequestError, match="cancelled at the provider with 2 lines open"):
        next(results)
    shelf.answer, shelf.states = Shelf().answer, Shelf().states
    again = list(run_of(shelf, cache).results(lines_of(4)[2:]))
    assert sorted(r.key for r in again) == ["k2", "k3"]


@dataclass
class Failing(Shelf):
    """Jobs fail as a whole, the first ``n_failing`` of them."""

    n_failing: int = 3
    error: TeacherError = field(
        default_factory=lambda: TeacherBusyError("full", cause="batch failed")
    )

    def state(self, job_id: str) -> BatchState:
        return "failed" if int(job_id.removeprefix("job-")) < self.n_failing else "done"

    def results(self, job_id: str) -> Iterator[BatchResult]:
        if self.state(job_id) == "failed":
            raise self.error
        yield from super().results(job_id)


def test_failed_jobs_go_again_without_costing_a_round() -> None:
    shelf = Failing(n_failing=6)
    results = list(run_of(shelf, n_rounds=1, n_failures=9).results(lines_of(8)))
    assert Counter(type(r.result) for r in results) == {Exchange: 8}
    parts = Counter(metadata["part"] for metadata, _ in shelf.jobs.values())
    assert set(parts.values()) == {1}


@pytest.mark.parametrize(
    "error",
    [TeacherRequestError("bad file", cause="batch failed"), TeacherBusyError("full", cause="x")],
    ids=["permanent", "for too long"],
)
def test_jobs_that_only_fail_stop_the_run(error: TeacherError) -> None:
    shelf = Failing(n_failing=99, error=error)
    with pytest.raises(type(error)) as caught:
        list(run_of(shelf, n_failures=3).results(lines_of(4)))
    assert caught.value is error
    assert len(shelf.jobs) == (3 if error.is_retryable else 1)


def test_a_cut_reply_to_submit_is_found_and_not_sent_again() -> None:
    shelf = Shelf(cuts=2)
    assert len(list(run_of(shelf).results(lines_of(9)))) == 9
    assert set(shelf.submitted.values()) == {1}


def test_waits_grow_to_their_bound_and_honour_what_is_asked() -> None:
    left = iter(["running"] * 8 + ["done"] * 9)
    waits: list[float] = []
    shelf = Shelf(states=lambda n: next(left))  # type: ignore[arg-type,return-value]
    limits = BatchLimits(poll_s=1.0, max_poll_s=4.0)
    run = BatchRun(shelf, TeacherCache(None), "run", TEACHER, limits, waits.append)
    list(run.results(lines_of(1)))
    assert waits == [1.0, 1.5, 2.25, 3.375, 4.0, 4.0, 4.0, 4.0]
    waits.clear()
    busy = iter([TeacherBusyError("b", cause="status 429", retry_after_s=3.25)])

    def state(n: int) -> BatchState:
        for error in busy:
            raise error
        return "done"

    shelf = Shelf(states=state)
    list(
        BatchRun(shelf, TeacherCache(None), "r", TEACHER, limits, waits.append).results(lines_of(1))
    )
    assert waits == [3.25]


def test_a_provider_that_stays_away_stops_the_run_and_the_next_one_goes_on(tmp_path: Path) -> None:
    def away(n: int) -> BatchState:
        raise TeacherBusyError("away", cause="no connection")

    shelf, cache = Shelf(states=away), TeacherCache(tmp_path / "c.sqlite")
    with pytest.raises(TeacherBusyError, match="away"):
        list(run_of(shelf, cache, n_failures=4).results(lines_of(6)))
    shelf.states = Shelf().states
    assert len(list(run_of(shelf, cache).results(lines_of(6)))) == 6
    assert set(shelf.submitted.values()) == {1}


class Killed(BaseException):
    """The process is gone."""


class Mortal:
    """Passes calls on until the n-th; that one still reaches the other side, or does not."""

    def __init__(self, inner: Any, clock: Iterator[int], deadline: int, *, is_late: bool) -> None:
        self._inner, self._clock, self._deadline, self._is_late = inner, clock, deadline, is_late

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)

        def mortal(*args: Any) -> Any:
            is_last = next(self._clock) == self._deadline
            if is_last and not self._is_late:
                raise Killed
            value = call(*args)
            if is_last:
                raise Killed
            return value

        return mortal


@pytest.mark.parametrize("is_late", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("n_settled", [0, 3, 99])
def test_killed_at_any_call_nothing_is_lost_or_submitted_twice(
    tmp_path: Path, is_late: bool, n_settled: int
) -> None:
    lines = lines_of(10)
    for deadline in range(40):
        shelf = Shelf()
        path = tmp_path / f"{deadline}.sqlite"
        clock = itertools.count()
        settled: dict[str, Exchange | TeacherError] = {}
        mortal_api = Mortal(shelf, clock, deadline, is_late=is_late)
        mortal_cache = Mortal(TeacherCache(path), clock, deadline, is_late=is_late)
        try:
            for result in run_of(mortal_api, mortal_cache).results(lines):  # type: ignore[arg-type]
                settled[result.key] = result.result
                if len(settled) == n_settled:
                    raise Killed
            was_killed = False
        except Killed:
            was_killed = True
        rest = [line for line in lines if line.key not in settled]
        for result in run_of(shelf, TeacherCache(path)).results(rest):
            settled[result.key] = result.result
        assert set(settled) == {line.key for line in lines}
        assert all(isinstance(result, Exchange) for result in settled.values())
        assert set(shelf.submitted.values()) == {1}
    assert was_killed == (n_settled == 3)


def test_replies_of_an_earlier_job_that_nobody_asks_for_are_handed_over(tmp_path: Path) -> None:
    shelf, path = Shelf(), tmp_path / "c.sqlite"
    next(run_of(shelf, TeacherCache(path)).results(lines_of(4)))
    results = list(run_of(shelf, TeacherCache(path)).results(lines_of(1)))
    assert sorted(r.key for r in results) == ["k0", "k1", "k2", "k3"]
    assert list(run_of(shelf, TeacherCache(path)).results([])) == []
    assert set(shelf.submitted.values()) == {1}


def test_an_expired_line_asked_again_in_a_later_run_is_a_new_part(tmp_path: Path) -> None:
    shelf, path = Shelf(lambda key, n: []), tmp_path / "c.sqlite"
    for _ in range(2):
        (result,) = run_of(shelf, TeacherCache(path), n_rounds=1).results(lines_of(1))
        assert isinstance(result.result, TeacherBatchError)
    assert len({metadata["part"] for metadata, _ in shelf.jobs.values()}) == 2
