"""Texts that teachers write: tasks out of pages, rows out of outcomes, for all four kinds alike.

The kinds (``narratives``, ``descriptions``, ``teacher_questions``, ``dialogues``) differ in their
:class:`prompts.texts.check.TextKind`. Requests go through the gateway in ``teachers``; whether a reply
may stand is decided in ``texts.check``; the facts a teacher is given are gathered in ``narrative_template``;
what the offline teacher asks of which page is planned in ``question_plan``.

A reply that may not stand is sent back once with a complaint in plain words. Then the row is dropped:
it stays in the table without text and with its cause.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from detectors.vocabulary import KINDS
from prompts import words
from prompts.facts.page import PageFacts
from prompts.teachers.base import Outcome, Task, TeacherRequest
from prompts.teachers.prompt_files import load_prompt
from prompts.texts.check import SUPPORTED, Draft, Fault, Judged, TextKind, fault_of, read_reply
from prompts.texts.narrative_template import narrative_template
from prompts.texts.question_plan import N_OPTIONS, Ask

if TYPE_CHECKING:
    from prompts.teachers.gateway import Gateway
    from prompts.teachers.progress import Progress

UNPLANNED = "no other pages to ask it against"
"""Why the offline teacher asks nothing about a page."""
_AGAIN = (
    "Answer again with the whole JSON object; change only what is wrong, and use the facts alone."
)

HistoryPage = tuple[PageFacts, Sequence[PageFacts]]
"""A page and the earlier pages it is compared with, oldest first."""


def topic_of(payload: Mapping[str, Any]) -> str:
    """Return which worked example a page is shown with: the one most like what was found on it."""
    families = {KINDS[finding["kind"]].family for finding in payload["findings"]}
    return next((f for f in ("epileptiform", "sleep", "artifact") if f in families), "normal")


class TextTask:
    """One page on its way to a text of one kind.

    Parameters
    ----------
    kind
        What is written.
    page
        The page with its history; the history is left out where the kind compares nothing.
    teacher_id
        Who writes; part of the sample id.
    is_gated
        Whether the corpus' rows may not leave the storage root.
    seed
        Chooses phrasing together with the segment id.
    ask
        What is to be asked, where that was planned.
    """

    __slots__ = ("block_id", "fault", "history", "judged", "request", "sample_id", "seed")

    def __init__(
        self,
        kind: TextKind,
        page: HistoryPage,
        teacher_id: str,
        *,
        is_gated: bool,
        seed: int,
        ask: Ask | None = None,
    ) -> None:
        facts = page[0]
        self.history = tuple(page[1]) if kind.is_compared else ()
        template = narrative_template(facts, self.history)
        self.judged = Judged(kind, facts, template)
        self.seed = words.number(seed, facts.segment_id, kind.prompt) % 2**31
        prompt = load_prompt(kind.prompt, topic_of(template.payload))
        asked = {} if ask is None else {"ask": ask.payload}
        self.request = TeacherRequest(prompt, {**template.payload, **asked}, is_gated, self.seed)
        self.sample_id = words.sample_id(
            kind.name, facts.segment_id, teacher_id, prompt.prompt_hash
        )
        self.block_id = self.sample_id if ask is None else ask.block_id
        self.fault: Fault | None = None
        """Why the last reply checked may not stand."""

    @property
    def lack(self) -> str:
        """What the page lacks for this kind; ``""`` where it may be asked about."""
        return self.judged.kind.lacks(self.judged.template.payload)

    @property
    def task(self) -> Task:
        """What the gateway is handed."""
        return Task(self.request, self.check, self.sample_id, self.complain)

    def check(self, data: Mapping[str, Any]) -> str:
        """Return ``""`` where a parsed reply may stand, else one of :data:`CAUSES`."""
        self.fault = self._fault(data)
        return "" if self.fault is None else self.fault.cause

    def complain(self, data: Mapping[str, Any]) -> str:
        """Say what is wrong with a reply, in plain words and without ids."""
        fault = self._fault(data)
        return "" if fault is None else f"{fault.complaint} {_AGAIN}"

    def row(self, outcome: Outcome, teacher_id: str, *, is_offline: bool) -> dict[str, Any]:
        """Return the table row of an outcome; a dropped one has no text and its cause."""
        draft, said = None, SUPPORTED
        if outcome.reply is not None:
            draft = self._draft(outcome.reply.data)
        elif self.fault is not None and self.fault.cause == outcome.cause:
            said = f"{self.fault.cause}: {self.fault.detail}"
        else:
            said = f"dropped: {outcome.cause}"
        return self._row(draft, said, outcome, teacher_id, is_offline)

    def unasked(self, lack: str, teacher_id: str, *, is_offline: bool) -> dict[str, Any]:
        """Return the row of a page that this kind cannot be written about."""
        return self._row(None, f"dropped: {lack}", None, teacher_id, is_offline)

    def _row(
        self,
        draft: Draft | None,
        grounding: str,
        paid: Outcome | None,
        teacher_id: str,
        is_offline: bool,
    ) -> dict[str, Any]:
        claims = draft.claims if draft else ()
        denied = draft.denied if draft else ()
        row: dict[str, Any] = {
            "sample_id": self.sample_id,
            "segment_id": self.judged.facts.segment_id,
        }
        if self.judged.kind.is_compared:
            row["history_segment_ids"] = [page.segment_id for page in self.history]
            row["template"] = self.judged.template.text
        if self.judged.kind.plan is not None:
            row["block_id"] = self.block_id
        return row | {
            **(draft.columns if draft else self.judged.kind.empty),
            "teacher": teacher_id,
            "is_offline_teacher": is_offline,
            "prompt_hash": self.request.prompt.prompt_hash,
            "n_requests": paid.n_requests if paid else 0,
            "input_tokens": paid.input_tokens if paid else 0,
            "output_tokens": paid.output_tokens if paid else 0,
            "cost_usd": paid.cost_usd if paid else 0.0,
            "grounding": grounding,
            "sentences": [
                {"text": s.sentence.text, "evidence": list(s.sentence.evidence)} for s in claims
            ],
            "evidence": list(
                dict.fromkeys(e for s in (*claims, *denied) for e in s.sentence.evidence)
            ),
        }

    def _draft(self, data: Mapping[str, Any]) -> Draft | None:
        draft = read_reply(data, self.judged, self.seed)
        return draft if isinstance(draft, Draft) else None

    def _fault(self, data: Mapping[str, Any]) -> Fault | None:
        draft = read_reply(data, self.judged, self.seed)
        return draft if isinstance(draft, Fault) else fault_of(draft, self.judged)


def text_rows(
    kind: TextKind,
    pages: Iterable[HistoryPage],
    gateway: Gateway,
    *,
    is_gated: bool,
    seed: int = 0,
    n_pages: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    plan: Mapping[str, Ask] | None = None,
) -> Generator[dict[str, Any], None, None]:
    """Yield one row per page, in order; memory holds what is on its way and no more.

    Parameters
    ----------
    kind
        What is written.
    pages
        Pages with their history (:func:`prompts.facts.page.with_history`).
    gateway
        Who is asked.
    is_gated
        Whether the corpus' rows may not leave the storage root.
    seed
        Chooses phrasing together with the segment id.
    n_pages
        How many pages there are, for the time left; None where that is not known.
    on_progress
        Told now and then how far the gateway is.
    plan
        What to ask of which page (:func:`planned`). A page that is not in it is not asked about.
        Without one, a kind that the offline teacher plans is planned here and holds all pages.

    Raises
    ------
    TeacherError
        If asking fails for a reason that the next page would share: a key, the cap, the network.
    """
    who, is_offline = gateway.teacher_id, gateway.is_offline
    if plan is None and kind.plan is not None and is_offline:
        pages = list(pages)
        plan = planned(kind, (page for page, _ in pages), gateway, seed)
    waiting: deque[tuple[TextTask, str]] = deque()

    def tasks() -> Iterator[Task]:
        for page in pages:
            ask = None if plan is None else plan.get(page[0].segment_id)
            asked = TextTask(kind, page, who, is_gated=is_gated, seed=seed, ask=ask)
            lack = asked.lack or (UNPLANNED if plan is not None and ask is None else "")
            waiting.append((asked, lack))
            if not lack:
                yield asked.task

    def unasked() -> Iterator[dict[str, Any]]:
        while waiting and waiting[0][1]:
            page, lack = waiting.popleft()
            yield page.unasked(lack, who, is_offline=is_offline)

    # closed with this generator, so that what is on its way is settled while the gateway is open
    with closing(gateway.outcomes(tasks(), on_progress, n_total=n_pages)) as outcomes:
        for outcome in outcomes:
            yield from unasked()
            asked, _ = waiting.popleft()
            yield asked.row(outcome, who, is_offline=is_offline)
    yield from unasked()


def requests_of(
    kind: TextKind, pages: Iterable[HistoryPage], *, is_gated: bool, seed: int = 0
) -> Iterator[TeacherRequest]:
    """Yield the requests that :func:`text_rows` would send, for an estimate."""
    for page in pages:
        asked = TextTask(kind, page, "", is_gated=is_gated, seed=seed)
        if not asked.lack:
            yield asked.request


def planned(
    kind: TextKind, pages: Iterable[PageFacts], gateway: Gateway, seed: int = 0
) -> Mapping[str, Ask] | None:
    """Return what is asked of which page of a shard, None where each is written about by itself.

    Only the offline teacher is told what to ask: what it asks of a page alone, its wording would
    answer. A model asks what it likes.
    """
    return kind.plan(pages, seed) if kind.plan is not None and gateway.is_offline else None


def drawn(
    kind: TextKind, segment_ids: Iterable[str], seed: int, plan: Mapping[str, Ask] | None = None
) -> list[str]:
    """Return the pages of a shard in the order a kind is written about them.

    Each kind has its own order, so that three kinds of a third of the pages each see most pages.
    Where there is a plan, the pages of a block follow each other and the others are left out.
    """

    def rank(segment_id: str, of: str) -> tuple[int, str, str]:
        return words.number(seed, of, f"drawn-{kind.name}"), of, segment_id

    if plan is None:
        return sorted(segment_ids, key=lambda s: rank(s, s))
    return sorted((s for s in segment_ids if s in plan), key=lambda s: rank(s, plan[s].block_id))


def counted_rows(
    ask: Callable[[frozenset[str]], Iterable[dict[str, Any]]],
    order: Sequence[str],
    n_texts: int,
    *,
    in_blocks: bool = False,
) -> Iterator[dict[str, Any]]:
    """Ask about as many pages as it takes for exactly ``n_texts`` texts that may stand.

    A dropped page is replaced by the next in order, so kinds that are asked for the same number
    come out one to one, as long as there are pages; every drop stays as a row with its cause.
    Pages in blocks are asked about in whole blocks: up to three more.

    Parameters
    ----------
    ask
        Yields the rows of a set of pages.
    order
        Pages of the shard, the first to be asked about first (:func:`drawn`).
    n_texts
        Texts wanted.
    in_blocks
        Whether the pages were planned.
    """
    n_asked, missing = 0, n_texts
    size = N_OPTIONS if in_blocks else 1
    while missing > 0 and n_asked < len(order):
        chosen = order[n_asked : n_asked + -(-missing // size) * size]
        n_asked += len(chosen)
        for row in ask(frozenset(chosen)):
            missing -= row["grounding"] == SUPPORTED
            yield row
