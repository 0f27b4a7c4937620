"""Trials in batch mode: a window of tasks at a time, each round of lines one batch run.

A first round asks every trial's first line, a second the repairs; what is known is not asked.
Jobs, parts and polling are for ``batches``; money and record, for ``account``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from prompts.teachers.account import Account, Hold
from prompts.teachers.base import BatchApi, BudgetExceededError, Exchange, TeacherError
from prompts.teachers.batches import BatchLimits, BatchRun
from prompts.teachers.cache import Answer
from prompts.teachers.online import NOTHING
from prompts.teachers.trial import ROW_CAUSES, Trial

Asked = dict[str, list[Trial]]
"""Trials by the key of their line: equal requests are asked once."""


def run_rounds(
    trials: Sequence[Trial], api: BatchApi, account: Account, teacher_id: str, limits: BatchLimits
) -> Iterator[None]:
    """Bring every trial to its end; yield after each answer, so that progress can be told.

    Raises
    ------
    TeacherError
        For causes that the next line would share.
    """
    while asked := _unanswered(trials, account):
        waiting = deque(asked)
        while waiting:
            holds = _affordable(waiting, asked, account)
            account.begin_many(list(holds.values()))
            batch = BatchRun(api, account.cache, account.run, teacher_id, limits)
            for result in batch.results([hold.line for hold in holds.values()]):
                answer = _settle(account, result.key, result.result, holds)
                if answer is not None:
                    for trial in asked[result.key]:
                        trial.take(answer)
                yield
            if holds:
                raise RuntimeError(f"the batch run left {len(holds)} lines without a result")


def _unanswered(trials: Sequence[Trial], account: Account) -> Asked:
    asked: Asked = {}
    for trial in trials:
        while trial.line is not None:
            answer = account.cache.find(trial.line.key)
            if answer is None:
                asked.setdefault(trial.line.key, []).append(trial)
                break
            trial.take(answer)
    return asked


def _affordable(waiting: deque[str], asked: Asked, account: Account) -> dict[str, Hold]:
    """Take from the front as many lines as the cap leaves room for, at least one.

    Raises
    ------
    BudgetExceededError
        If it leaves room for none.
    """
    holds: dict[str, Hold] = {}
    while waiting:
        line = asked[waiting[0]][0].line
        if line is None:
            raise RuntimeError("a trial that ended is asked again")
        try:
            holds[line.key] = account.reserve(line)
        except BudgetExceededError:
            if not holds:
                raise
            break
        waiting.popleft()
    return holds


def _settle(
    account: Account, key: str, result: Exchange | TeacherError, holds: dict[str, Hold]
) -> Answer | None:
    """Write down one result; None where nobody of this run waits for it."""
    exchange = result if isinstance(result, Exchange) else result.exchange or NOTHING
    cause = result.cause if isinstance(result, TeacherError) else ""
    is_answer = not cause or cause in ROW_CAUSES
    hold = holds.pop(key, None)
    if hold is None:
        if is_answer:
            account.settle_found(key, exchange, cause)
        return None
    if is_answer:
        return account.settle(hold, exchange, cause)
    # no job answered the line: the row is dropped now and may be asked again in another run
    account.fail_try(hold, may_be_billed=False)
    account.give_up(hold)
    return Answer(NOTHING, 0.0, cause, is_cached=False)
