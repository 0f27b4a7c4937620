"""The batch run: lines in, one result a line out, through a provider's jobs that outlive a process.

Lines are cut into parts by the provider's limits. A part is written down with the keys of its lines
before it is submitted, and again with its job, so that whatever ends the process, the next run finds
the job: by our record, or in the provider's own list by the metadata it was submitted with. A part
is not submitted while a job with its metadata can be found. What a job owes and does not give
(missing, expired and failed lines) is asked again in a later part, a few times, and then dropped
with a cause.

How a provider takes and returns a job is in ``openai_batch`` and ``gemini_batch``; what a line costs
and whether its text may stand is for ``gateway``; the records lie in ``cache``.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from prompts.teachers.base import (
    BatchApi,
    BatchLine,
    BatchResult,
    BatchState,
    TeacherBusyError,
    TeacherError,
    TeacherRequestError,
)
from prompts.teachers.cache import BatchPart, TeacherCache

log = logging.getLogger(__name__)

MISSING, EXPIRED = "missing from batch", "expired in batch"
_FRAME_BYTES = 600
"""Roles, settings and key of one line (engineering default, above what both protocols need)."""
_POLL_GROWTH = 1.5
_UNREAD = frozenset({"made", "submitted"})

T = TypeVar("T")


class TeacherBatchError(TeacherError):
    """A line that its job did not answer; dropped after the last round, the next row may do better."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of a batch run.

    Parameters
    ----------
    max_lines, max_bytes
        Of one part. OpenAI takes 50,000 lines and 200 MB, Gemini 2 GB a file; smaller parts keep
        memory flat and lose less to an expired job (engineering defaults).
    max_open
        Jobs at the provider at once.
    n_rounds
        Times a line is submitted at most; jobs that failed as a whole do not count.
    poll_s, max_poll_s
        First and longest wait between looks at the jobs, seconds.
    n_failures
        Times in a row that the provider may fail to answer, or fail a job, before the run stops.
    find_s
        Wait before a job that may exist is looked for a second time, seconds.
    """

    max_lines: int = 10_000
    max_bytes: int = 100_000_000
    max_open: int = 8
    n_rounds: int = 4
    poll_s: float = 5.0
    max_poll_s: float = 120.0
    n_failures: int = 20
    find_s: float = 20.0


@dataclass(slots=True)
class _Open:
    """A part at the provider, with those of its lines that were asked for in this run."""

    part: BatchPart
    lines: dict[str, BatchLine] = field(default_factory=dict)


class BatchRun:
    """Jobs of one run and teacher.

    Parameters
    ----------
    api
        The provider's batch mode.
    cache
        Keeps the parts.
    run, teacher
        Whose; the run goes into each job's metadata, with the part's name.
    limits
        Bounds.
    sleep
        Waits so many seconds; a test's own clock.
    """

    def __init__(
        self,
        api: BatchApi,
        cache: TeacherCache,
        run: str,
        teacher: str,
        limits: BatchLimits | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._cache = cache
        self._run = run
        self._teacher = teacher
        self._limits = limits or BatchLimits()
        self._sleep = sleep
        self._left: dict[str, BatchPart] = {}
        self._used: set[str] = set()
        self._open: dict[str, _Open] = {}
        self._waiting: deque[BatchLine] = deque()
        self._n_bytes = 0
        self._rounds: dict[str, int] = {}
        self._n_failed = 0

    def results(self, lines: Iterable[BatchLine]) -> Iterator[BatchResult]:
        """Yield one result for each line, as jobs end.

        Settle each result in the cache before asking for the next: a part counts as read once the
        result after its last one is asked for. A job left over by an earlier process may also hold
        replies to lines that are not asked for here; they are paid for and yielded too.

        Parameters
        ----------
        lines
            Read as needed; a key that is asked for twice is answered once.

        Yields
        ------
        BatchResult
            An exchange, or the error that drops the line: the provider's own word on it, or
            :class:`TeacherBatchError` where no job answered it in all rounds.

        Raises
        ------
        TeacherError
            What the next part would hit alike: a rejected key or file, a cancelled job, or a
            provider that did not answer ``n_failures`` times in a row. Jobs that were submitted go
            on, and the next run finds them.
        """
        self._recall()
        source = iter(lines)
        while self._send(source):
            for ended, state in self._wait():
                yield from self._read(ended, state)

    def _recall(self) -> None:
        """Start from what the cache has on record."""
        parts = self._cache.parts(self._teacher)
        self._left = {key: part for part in parts if part.state in _UNREAD for key in part.keys}
        self._used = {part.part for part in parts if part.state != "void"}
        self._open, self._rounds, self._n_bytes = {}, {}, 0
        self._waiting.clear()

    def _send(self, source: Iterator[BatchLine]) -> bool:
        """Submit while places are free and lines are there; return whether any job is open."""
        while len(self._open) < self._limits.max_open:
            while not self._is_full() and (line := next(source, None)) is not None:
                if line.key not in self._rounds:
                    self._rounds[line.key] = 1
                    self._place(line)
            if not self._waiting:
                break
            self._submit(self._cut())
        return bool(self._open)

    def _is_full(self) -> bool:
        limits = self._limits
        return len(self._waiting) >= limits.max_lines or self._n_bytes >= limits.max_bytes

    def _place(self, line: BatchLine) -> None:
        """Put a line to the job that holds it already, or else among those to be submitted."""
        part = self._left.get(line.key)
        if part is not None and (part.part in self._open or self._attach(part)):
            self._open[part.part].lines[line.key] = line
        else:
            self._queue(line)

    def _queue(self, line: BatchLine) -> None:
        self._waiting.append(line)
        self._n_bytes += _bytes(line)

    def _attach(self, part: BatchPart) -> bool:
        """Take up a part of an earlier process, or strike it off if it never got there."""
        job_id = part.job_id or self._find(part, n_looks=2)
        if not job_id:
            self._strike(part, "void")
            return False
        part = replace(part, job_id=job_id, state="submitted")
        self._cache.put_part(part)
        self._open[part.part] = _Open(part)
        log.info("batch part %s of run %s is taken up again", part.part, part.run)
        return True

    def _strike(self, part: BatchPart, state: str) -> None:
        """Write down that a part has no claim on its lines any more."""
        for key in part.keys:
            self._left.pop(key, None)
        if state == "void":
            self._used.discard(part.part)
        self._cache.put_part(replace(part, keys=(), state=state))

    def _cut(self) -> list[BatchLine]:
        """Take the next part's lines from those waiting."""
        lines: list[BatchLine] = []
        n_bytes = 0
        while self._waiting and len(lines) < self._limits.max_lines:
            size = _bytes(self._waiting[0])
            if lines and n_bytes + size > self._limits.max_bytes:
                break
            lines.append(self._waiting.popleft())
            n_bytes += size
        self._n_bytes -= n_bytes
        return lines

    def _submit(self, lines: list[BatchLine]) -> None:
        keys = tuple(line.key for line in lines)
        part = BatchPart(self._name(keys), self._run, self._teacher, keys)
        self._cache.put_part(part)
        part = replace(part, job_id=self._job_of(part, lines), state="submitted")
        self._cache.put_part(part)
        self._used.add(part.part)
        self._open[part.part] = _Open(part, {line.key: line for line in lines})
        log.info("batch part %s: %d lines submitted", part.part, len(lines))

    def _name(self, keys: tuple[str, ...]) -> str:
        """Name a part after what it holds: the same name again only where it never got there."""
        names = (_hash([self._run, self._teacher, keys, n]) for n in itertools.count())
        return next(name for name in names if name not in self._used)

    def _job_of(self, part: BatchPart, lines: list[BatchLine]) -> str:
        """Submit a part and return its job, looking for one before any second try."""
        for n in itertools.count(1):
            try:
                return self._api.submit(lines, _metadata(part))
            except TeacherBusyError as error:
                self._back_off(n, error)
                job_id = self._find(part, n_looks=2 if error.is_possibly_paid else 1)
                if job_id:
                    return job_id
                if n == self._limits.n_failures:
                    raise
            except TeacherError:
                self._strike(part, "void")
                raise
        raise AssertionError("unreachable")

    def _find(self, part: BatchPart, n_looks: int) -> str:
        """Look for a part's job in the provider's list, which may lag behind."""
        for look in range(n_looks):
            if look:
                self._sleep(self._limits.find_s)
            job_id = self._patiently(partial(self._api.find, _metadata(part)))
            if job_id:
                return job_id
        return ""

    def _wait(self) -> list[tuple[_Open, BatchState]]:
        """Return the jobs that ended, at least one; look again at growing intervals."""
        wait_s = self._limits.poll_s
        while True:
            ended: list[tuple[_Open, BatchState]] = []
            for opened in self._open.values():
                state = self._patiently(partial(self._api.state, opened.part.job_id))
                if state != "running":
                    ended.append((opened, state))
            if ended:
                return ended
            self._sleep(wait_s)
            wait_s = min(wait_s * _POLL_GROWTH, self._limits.max_poll_s)

    def _read(self, ended: _Open, state: BatchState) -> Iterator[BatchResult]:
        """Yield what a job gave, and put what it owes in line again."""
        part, asked = ended.part, ended.lines
        owed = dict.fromkeys(asked, EXPIRED if state == "expired" else MISSING)
        failure: TeacherError | None = None
        try:
            for result in self._replies(part, state):
                if _is_answer(result):
                    owed.pop(result.key, None)
                    self._rounds.setdefault(result.key, 1)
                    yield result
                elif result.key in owed and isinstance(result.result, TeacherError):
                    owed[result.key] = result.result.cause
        except TeacherError as error:
            if state != "failed":
                raise
            failure = error
        del self._open[part.part]
        if state == "cancelled":
            failure = TeacherRequestError(
                f"batch job {part.job_id} was cancelled at the provider with {len(owed)} lines open; "
                "run again to submit them anew",
                cause="batch cancelled",
            )
        if failure is not None:
            self._strike(part, "read")
            self._after(failure, [asked[key] for key in owed])
            return
        self._n_failed = 0
        yield from self._again([(asked[key], owed[key]) for key in owed])
        self._strike(part, "read")

    def _replies(self, part: BatchPart, state: BatchState) -> Iterator[BatchResult]:
        """Yield each answer of a part once, reading again where the connection breaks."""
        keys = set(part.keys)
        for n in itertools.count(1):
            try:
                for result in self._api.results(part.job_id):
                    if result.key not in keys:
                        continue
                    if _is_answer(result):
                        keys.remove(result.key)
                    yield result
                break
            except TeacherBusyError as error:
                if state == "failed" or n == self._limits.n_failures:
                    raise
                self._back_off(n, error)

    def _after(self, failure: TeacherError, lines: list[BatchLine]) -> None:
        """Queue the lines of a job that failed as a whole once more, or stop the run."""
        self._n_failed += 1
        if not isinstance(failure, TeacherBusyError) or self._n_failed == self._limits.n_failures:
            raise failure
        self._back_off(self._n_failed, failure)
        for line in lines:
            self._queue(line)

    def _again(self, owed: list[tuple[BatchLine, str]]) -> Iterator[BatchResult]:
        """Queue lines for another round; drop those that had their last."""
        for line, cause in owed:
            if self._rounds[line.key] < self._limits.n_rounds:
                self._rounds[line.key] += 1
                self._queue(line)
            else:
                message = f"{cause}: {self._limits.n_rounds} batch jobs did not answer one line"
                yield BatchResult(line.key, TeacherBatchError(message, cause=cause))

    def _patiently(self, call: Callable[[], T]) -> T:
        """Return what a call gives, trying again while the provider is busy."""
        for n in itertools.count(1):
            try:
                return call()
            except TeacherBusyError as error:
                if n == self._limits.n_failures:
                    raise
                self._back_off(n, error)
        raise AssertionError("unreachable")

    def _back_off(self, n: int, error: TeacherBusyError) -> None:
        """Wait after the n-th failure in a row: what the provider asks, or doubling."""
        grown = self._limits.poll_s * 2 ** min(n - 1, 10)
        asked = error.retry_after_s
        self._sleep(min(grown if asked is None else asked, self._limits.max_poll_s))


def _is_answer(result: BatchResult) -> bool:
    """Whether another job would not say otherwise: a reply, or the provider's word on this line."""
    return not isinstance(result.result, TeacherBusyError | TeacherBatchError)


def _metadata(part: BatchPart) -> dict[str, str]:
    return {"run": part.run, "part": part.part}


def _bytes(line: BatchLine) -> int:
    """Return an upper bound of a line's size in a job's file."""
    request = line.request
    texts = [request.prompt.system, request.prompt.schema_text, request.payload_text]
    if line.repair is not None:
        texts += [line.repair.previous_text, line.repair.complaint]
    shown = sum(len(picture.base64) for picture in request.pictures)
    return _FRAME_BYTES + shown + sum(len(json.dumps(text)) for text in texts)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]
