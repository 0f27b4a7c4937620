"""Asking a model behind a server all that it may be asked, or saying what that would cost.

Items of gated corpora are counted and left out before a request is made, unless the server is one's
own. One model and one task at a time; how an item becomes a request is in ``asking/hosted.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.asking.answers import Item, Reply
from benchmark.asking.ask import ask
from benchmark.asking.controls import Pages
from benchmark.asking.hosted import HostedModel, open_hosted
from benchmark.asking.leaving import sendable
from benchmark.asking.under_test import ServedModel
from benchmark.errors import BenchmarkError
from benchmark.tasks.task import Task
from prompts.teachers.base import Estimate

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Estimated:
    """Stands in for a model and adds up what asking it would cost."""

    model: HostedModel
    found: list[Estimate] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.model.name

    def answer(self, items: Sequence[Item], pages: Sequence[bytes | None]) -> list[Reply]:
        self.found.append(self.model.estimate(items, pages))
        return [Reply("")] * len(items)


def ask_served(
    model: ServedModel,
    task: Task,
    items: Sequence[Item],
    pages: Pages,
    *,
    name: str,
    controls: Sequence[str],
    seed: int,
    cache: Path | None,
    pages_may_leave: bool,
) -> list[dict[str, Any]]:
    """Ask a model behind a server every item that may be sent, under every control.

    Parameters
    ----------
    model
        Its file.
    task, items, pages, controls, seed
        As in :func:`benchmark.asking.ask.ask`.
    name
        Name in tables.
    cache
        Record of paid answers; None forgets them.
    pages_may_leave
        Pages of open corpora may be sent.

    Returns
    -------
    list of dict
        Rows of table ``model_answers``, of the items that were asked.

    Raises
    ------
    BenchmarkError
        If no item may be sent, a page may not, or the server cannot be asked.
    """
    asked = _may_be_asked(model, items, name)
    with closing(
        open_hosted(name, model.teacher, task, cache, pages_may_leave=pages_may_leave)
    ) as hosted:
        rows = ask(
            hosted, task, asked, pages, controls=controls, seed=seed, at_once=hosted.is_batched
        )
        dropped = ", ".join(f"{cause} {n}" for cause, n in sorted(hosted.dropped.items()))
    if dropped:
        _log.warning("%s: without an answer, counted as unparsed: %s", name, dropped)
    return rows


def estimate_served(
    model: ServedModel,
    task: Task,
    items: Sequence[Item],
    pages: Pages,
    *,
    name: str,
    controls: Sequence[str],
    seed: int,
    cache: Path | None,
    pages_may_leave: bool,
) -> str:
    """Say in one line what asking would cost at most; nobody is asked. As :func:`ask_served`."""
    asked = _may_be_asked(model, items, name)
    with closing(
        open_hosted(
            name, model.teacher, task, cache, pages_may_leave=pages_may_leave, is_asking=False
        )
    ) as hosted:
        stand_in = _Estimated(hosted)
        ask(stand_in, task, asked, pages, controls=controls, seed=seed)
    parts = stand_in.found
    n, cached = sum(e.n_requests for e in parts), sum(e.n_cached for e in parts)
    tokens_in, tokens_out = sum(e.input_tokens for e in parts), sum(e.output_tokens for e in parts)
    return (
        f"{name} on {task.name}: {n} requests, {cached} of them answered before; at most "
        f"{tokens_in:,} input and {tokens_out:,} output tokens, {sum(e.usd for e in parts):.2f} USD; "
        f"{len(items) - len(asked)} of {len(items)} items are of gated corpora and are not sent"
    )


def _may_be_asked(model: ServedModel, items: Sequence[Item], name: str) -> list[Item]:
    if model.is_within:
        return list(items)
    free, n_gated = sendable(items)
    if n_gated:
        _log.warning(
            "%s: %d of %d items are of gated corpora, whose rows may not leave; they are not asked",
            name, n_gated, len(items),
        )  # fmt: skip
    if not free:
        raise BenchmarkError(
            f"all {len(items)} items are of gated corpora, whose rows may not leave this machine; "
            f"{name!r} is not asked. Ask a server of your own (is_local), or a model in a folder"
        )
    return free
