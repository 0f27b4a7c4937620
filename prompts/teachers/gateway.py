"""The one road to a teacher: tasks in, outcomes out, in order, each task ended exactly once.

The gateway guards what leaves, keeps a bounded window of tasks on their way and hands their
outcomes back in order; memory does not grow with the number of tasks. What a task asks next is for
``trial``; how one request is asked, for ``online``; how many and how fast, for ``limits``; what is
remembered and what it costs, for ``cache`` and ``account``; jobs, for ``batches``; how a request
looks on the wire, for the providers.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Generator, Iterable, Sized
from types import TracebackType

from prompts.teachers.account import Account
from prompts.teachers.base import (
    BatchApi,
    Estimate,
    Outcome,
    Provider,
    Task,
    TeacherConfigError,
    TeacherError,
    TeacherRefusedError,
    TeacherRequest,
)
from prompts.teachers.cache import LedgerRow, TeacherCache
from prompts.teachers.limits import Limits
from prompts.teachers.online import Asker
from prompts.teachers.payload import assert_payload_is_clean
from prompts.teachers.prices import BATCH_FACTOR, Budget, Price
from prompts.teachers.progress import OnProgress, Tally
from prompts.teachers.rounds import run_rounds
from prompts.teachers.settings import GatewaySettings
from prompts.teachers.trial import Trial
from prompts.teachers.window import Window

DEFAULT_RUN = "run"


class Gateway:
    """One teacher for one run; not shared between threads, and closed at the end.

    Parameters
    ----------
    provider
        Sends one request.
    price
        List price of its model; batch mode pays half.
    budget
        The cap. What ``run`` has spent by the cache's ledger counts against it.
    cache
        Record of requests and replies; the gateway closes it.
    limits
        Rates, places, breaker.
    settings
        Mode and patience.
    run
        Name in the ledger. A run that is started again under its name goes on with its money.
    """

    def __init__(
        self,
        provider: Provider,
        price: Price,
        budget: Budget,
        cache: TeacherCache,
        limits: Limits,
        settings: GatewaySettings,
        *,
        run: str = DEFAULT_RUN,
    ) -> None:
        is_batch = settings.mode == "batch" and not provider.is_offline
        if is_batch and provider.batch is None:
            raise TeacherConfigError(
                f"{provider.teacher_id} has no batch mode; set mode to 'online'", cause="no batch"
            )
        self._provider = provider
        self._budget = budget
        self._cache = cache
        self._limits = limits
        self._settings = settings
        self._run = run
        self._batch: BatchApi | None = provider.batch if is_batch else None
        price = price.scaled(BATCH_FACTOR) if is_batch else price
        self._account = Account(provider, price, budget, cache, run)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def teacher_id(self) -> str:
        """Name stored in every row."""
        return self._provider.teacher_id

    @property
    def is_offline(self) -> bool:
        """Whether the deterministic writer answers, and not a model."""
        return self._provider.is_offline

    @property
    def is_inside(self) -> bool:
        """Whether rows of gated corpora may be sent to it."""
        return self._provider.is_inside

    @property
    def budget(self) -> Budget:
        """Money committed by this run, and its cap."""
        return self._budget

    def __enter__(self) -> Gateway:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close connections, event loop and cache."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.run_until_complete(self._provider.aclose())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
        self._cache.close()

    def estimate(self, requests: Iterable[TeacherRequest]) -> Estimate:
        """Return an upper bound of tokens and money of what is not answered yet; call nobody."""
        if self.is_offline:
            return Estimate(sum(1 for _ in requests), 0, 0, 0.0)
        return self._account.estimate(requests)

    def ledger_rows(self) -> list[LedgerRow]:
        """Return the money of this run, by teacher."""
        return self._cache.ledger_rows(self._run)

    def outcomes(
        self,
        tasks: Iterable[Task],
        on_progress: OnProgress | None = None,
        *,
        n_total: int | None = None,
    ) -> Generator[Outcome, None, None]:
        """Yield one outcome a task, in the order of the tasks.

        Parameters
        ----------
        tasks
            Read as needed.
        on_progress
            Told how far the run is, at most every 0.5 s, and at its end.
        n_total
            Number of tasks, for the time left; taken from ``tasks`` where it has a length.

        Raises
        ------
        TeacherError
            For causes that the next task would share: no key, spend cap, gated corpus, a provider
            that stays unreachable. Outcomes before it have been yielded; what was answered is not
            paid again when the run is started again.
        PayloadError
            If a payload holds what may not leave.
        """
        if n_total is None and isinstance(tasks, Sized):
            n_total = len(tasks)
        tally = Tally(on_progress, n_total, lambda: self._budget.committed_usd)
        ended = self._online(tasks) if self._batch is None else self._batched(tasks, self._batch)
        try:
            for outcome in ended:
                if outcome is not None:
                    tally.add(outcome)
                    yield outcome
                tally.tell()
        finally:
            ended.close()
            tally.tell(is_last=True)

    def _begin(self, task: Task) -> Trial:
        """Refuse what may not leave, before anything of it does."""
        if task.request.is_gated and not self._provider.is_inside:
            raise TeacherRefusedError(
                "rows of a gated corpus may not be sent to a hosted teacher; use provider "
                "'template' or a local server with is_local",
                cause="gated corpus",
            )
        assert_payload_is_clean(task.request.payload)
        return Trial(task, self._provider)

    def _online(self, tasks: Iterable[Task]) -> Generator[Outcome | None, None, None]:
        """Yield outcomes in order, and None now and then while the next one is awaited."""
        asker = Asker(self._provider, self._account, self._limits, self._settings.max_attempts)
        window = Window(asker, self._own_loop(), self._settings.max_in_flight)
        source = (self._begin(task) for task in tasks)
        try:
            while True:
                window.fill(source)
                if window.is_empty:
                    return
                yield window.head()
        except Exception:
            window.drain()
            raise
        finally:
            window.close()

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        # one loop as long as the gateway lives: the client's connections belong to it
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop

    def _batched(
        self, tasks: Iterable[Task], api: BatchApi
    ) -> Generator[Outcome | None, None, None]:
        """Yield outcomes in order, a window of tasks at a time, and None as answers come."""
        source = (self._begin(task) for task in tasks)
        while trials := list(itertools.islice(source, self._settings.batch_window)):
            try:
                yield from run_rounds(
                    trials, api, self._account, self.teacher_id, self._settings.batch_limits()
                )
            except TeacherError:
                # what ended before the first that did not is handed back, as online
                yield from (t.end() for t in itertools.takewhile(lambda t: t.has_ended, trials))
                raise
            for trial in trials:
                yield trial.end()
