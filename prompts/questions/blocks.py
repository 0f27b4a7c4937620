"""Blocks of items: what makes a question worthless to anyone who has not seen the page.

A block asks one question with one set of options of as many pages as there are options, and each
option is the right one on exactly one of them; on the others it is proved wrong by that page's own
rows. So wording and options say nothing about the answer: given both, every option is equally
likely, exactly. Pages of a block share a split, so that the balance holds in each. What can be
asked of a page is in ``questions.types``; letters and rows are in ``questions``.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations

from prompts import words
from prompts.facts.page import PageFacts
from prompts.questions.types import Draft, drafts

PARTNERS = 8
"""Other answers looked at when a block is put together (engineering default)."""
LEADERS, MATCHES = 6, 48
"""Pages looked at to lead a block, and to join it with one answer (engineering defaults)."""

ABSENCE_SHARE = 0.25
"""Share of absences below which yes/no questions take the turn; ``systems.md`` 6.7 asks 20 %."""
YES_NO = "presence"

Drafts = Callable[[PageFacts], Iterable[Draft]]
Entry = tuple[int, Draft]
"""Position of a page and what may be asked of it."""


@dataclass(frozen=True, slots=True)
class BlockItem:
    """One page's place in a block.

    Parameters
    ----------
    page
        Position of the page in the input.
    draft
        What is asked of it.
    options
        The block's options, in an order shared by its items.
    question
        The block's wording.
    block_id
        Same for the items of one block.
    """

    page: int
    draft: Draft
    options: tuple[str, ...]
    question: str
    block_id: str


@dataclass(slots=True)
class _Budget:
    """How many questions each page still takes, and what it was already asked about."""

    left: list[int]
    asked: list[set[str]]

    def takes(self, page: int, draft: Draft) -> bool:
        return self.left[page] > 0 and draft.key not in self.asked[page]

    def spend(self, page: int, draft: Draft) -> None:
        self.left[page] -= 1
        self.asked[page].add(draft.key)


@dataclass(slots=True)
class _Pool:
    """Pages that wait with one right option, in the order they are drawn."""

    entries: list[Entry] = field(default_factory=list)

    def first(self, budget: _Budget, n: int) -> list[Entry]:
        """Return up to ``n`` entries that may still be asked; forget the others now and then."""
        left, asked = budget.left, budget.asked
        if n == 1 and self.entries and budget.takes(*self.entries[0]):
            return self.entries[:1]
        # the innermost loop of making questions: what `takes` asks is asked in place
        found: list[Entry] = []
        n_seen = 0
        for entry in self.entries:
            n_seen += 1
            page = entry[0]
            if left[page] > 0 and entry[1].key not in asked[page]:
                found.append(entry)
                if len(found) == n:
                    break
        # forgetting costs a pass over all, so it is done when it frees a good part of them
        if n_seen - len(found) > max(n, len(self.entries) // 8) or not found:
            self.entries = [entry for entry in self.entries if budget.takes(*entry)]
        return found


def make_blocks(
    pages: Iterable[PageFacts], seed: int, per_page: int, drafts_of: Drafts = drafts
) -> list[BlockItem]:
    """Put together as many blocks as the pages allow.

    Types of question take turns, and so do the questions of a type, one block each, so that what
    most pages can be asked does not crowd out the rest.

    Parameters
    ----------
    pages
        Pages of one shard; drafts are kept, the pages are not.
    seed
        Draws pages, partners and wordings.
    per_page
        Most questions about one page.
    drafts_of
        What a page can be asked.

    Returns
    -------
    list of BlockItem
        Ordered by page, then by block.
    """
    with _no_collection():
        items = _all_blocks(pages, seed, per_page, drafts_of)
    return sorted(items, key=lambda item: (item.page, item.block_id))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the cycle collector from walking a shard's drafts again and again: they have no cycles.

    Half of the time of making blocks was its.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _all_blocks(
    pages: Iterable[PageFacts], seed: int, per_page: int, drafts_of: Drafts
) -> list[BlockItem]:
    forms: dict[str, dict[str, _Pool]] = {}
    known: dict[tuple[str, str, str], dict[str, _Pool]] = {}
    ids: list[str] = []
    for n, facts in enumerate(pages):
        ids.append(facts.segment_id)
        split = facts.split
        for draft in drafts_of(facts):
            form = (split, draft.question_type, draft.phrasings[0])
            pools = known.get(form)
            if pools is None:
                pools = known[form] = forms["|".join(form)] = {}
            pool = pools.get(draft.right)
            if pool is None:
                pool = pools[draft.right] = _Pool()
            pool.entries.append((n, draft))
    for name, pools in forms.items():
        if not _may_give_blocks(pools):
            pools.clear()
            continue
        for right, pool in pools.items():
            ranks = [words.number(seed, ids[n], f"{name}|{right}") for n, _ in pool.entries]
            order = sorted(range(len(ranks)), key=ranks.__getitem__)
            pool.entries = [pool.entries[i] for i in order]
    budget = _Budget([per_page] * len(ids), [set() for _ in ids])
    return list(_turns(forms, budget, ids, seed))


def _may_give_blocks(pools: Mapping[str, _Pool]) -> bool:
    """Whether a form has right options enough for a block; drafts of a form want equally many."""
    least = min(pool.entries[0][1].least_options for pool in pools.values())
    return len(pools) >= least


def _turns(
    forms: Mapping[str, dict[str, _Pool]], budget: _Budget, ids: Sequence[str], seed: int
) -> Iterator[BlockItem]:
    """Let types take turns, and within a type its forms; yes/no goes in where absences are few."""
    by_type: dict[str, deque[str]] = {}
    for name in words.shuffled(sorted(forms), seed, "", "forms"):
        by_type.setdefault(_type_of(name), deque()).append(name)
    turns = deque(by_type)
    n_items = n_absent = 0
    while turns:
        question_type = turns[0]
        if n_absent < ABSENCE_SHARE * n_items and by_type.get(YES_NO):
            question_type = YES_NO
        else:
            turns.rotate(-1)
        block, name = _block_of(by_type[question_type], forms, budget)
        if not block:
            turns = deque(t for t in turns if t != question_type)
        for page, draft in block:
            budget.spend(page, draft)
        n_items += len(block)
        n_absent += sum(draft.is_absence for _, draft in block)
        yield from _named(block, ids, seed, name)


def _block_of(
    waiting: deque[str], forms: Mapping[str, dict[str, _Pool]], budget: _Budget
) -> tuple[list[Entry], str]:
    """Find a block of the first form that gives one; forms that give none any more are dropped."""
    while waiting:
        name = waiting.popleft()
        block = _next_block(forms[name], budget)
        if block:
            waiting.append(name)
            return block, name
    return [], ""


def _type_of(form: str) -> str:
    return form.split("|")[1]


def _named(block: Sequence[Entry], ids: Sequence[str], seed: int, form: str) -> Iterator[BlockItem]:
    options = tuple(sorted(draft.right for _, draft in block))
    members = sorted(ids[page] for page, _ in block)
    block_id = words.sample_id("block", form, *options, *members)
    for page, draft in block:
        question = words.pick(draft.phrasings, seed, block_id, "phrasing")
        yield BlockItem(page, draft, options, question, block_id)


def _next_block(pools: dict[str, _Pool], budget: _Budget) -> list[Entry]:
    """Find one block of a form; empty where none can be made any more.

    The rarest answer leads, so that it is used up before its partners are.
    """
    for right in [right for right, pool in pools.items() if not pool.first(budget, 1)]:
        del pools[right]
    for lead in sorted(pools, key=lambda right: (len(pools[right].entries), right)):
        for entry in pools[lead].first(budget, LEADERS):
            block = _block_around(entry, pools, budget)
            if block:
                return block
    return []


def _block_around(lead: Entry, pools: Mapping[str, _Pool], budget: _Budget) -> list[Entry]:
    """Find pages for a page's wrong options: with all options it should have, else with fewer."""
    draft = lead[1]
    near = [right for right in draft.wrong if right in pools]
    near = sorted(near, key=lambda right: (-len(pools[right].entries), right))[:PARTNERS]
    waiting = {right: pools[right].first(budget, MATCHES) for right in near}
    for size in range(draft.n_options, draft.least_options - 1, -1):
        for partners in combinations(near, size - 1):
            options = {draft.right, *partners}
            block = [lead]
            for right in partners:
                taken = {page for page, _ in block}
                match = _match(waiting[right], options - {right}, taken)
                if match is None:
                    break
                block.append(match)
            else:
                return block
    return []


def _match(waiting: Sequence[Entry], others: set[str], taken: set[int]) -> Entry | None:
    for page, draft in waiting:
        if page not in taken and others.issubset(draft.wrong):
            return page, draft
    return None
