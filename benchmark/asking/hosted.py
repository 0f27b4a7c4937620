"""A model under test behind a server: OpenAI, Gemini, or any server that speaks the former's protocol.

It is asked through the teachers' gateway, so answers are cached, rate-limited, capped and written
down in the ledger, and a run that stops goes on where it was. What it sees is the item's words and
its page and nothing else; what it answers is read by the same strict parsers as any model's
(``asking/answers.py``). Rows of gated corpora go to servers inside the storage root's walls alone,
and a page leaves only where the settings say so.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.asking.answers import Item, Reply, letters
from benchmark.asking.leaving import held_back
from benchmark.errors import BenchmarkError
from benchmark.tasks.task import Task
from prompts.teachers.base import Estimate, Outcome, TeacherError, TeacherRequest
from prompts.teachers.base import Task as Asked
from prompts.teachers.gateway import Gateway
from prompts.teachers.pictures import IMAGE_TOKENS, Picture, bare_png
from prompts.teachers.prompt_files import Prompt
from prompts.teachers.registry import is_inside, make_gateway, read_settings
from prompts.teachers.settings import TemplateSettings

_log = logging.getLogger(__name__)

PROMPT_NAME = "model-under-test-v1"
MIN_OUTPUT_TOKENS = 64
"""Shortest limit the teachers' settings take; our own models stop at the task's own number."""


class HostedModel:
    """A model behind a gateway.

    Parameters
    ----------
    gateway
        Road to it; closed with the model.
    name
        Name in tables.
    is_within
        The server runs inside the storage root's walls: every row and page may be sent.
    pages_may_leave
        Pages of open corpora may be sent to a server outside.
    image_tokens
        Most input tokens a page is billed as.
    is_batched
        Requests travel as the provider's batch jobs, at half the price and within a day.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        name: str,
        is_within: bool,
        pages_may_leave: bool = False,
        image_tokens: int = IMAGE_TOKENS,
        is_batched: bool = False,
    ) -> None:
        self._gateway = gateway
        self._name = name
        self._is_within = is_within
        self._pages_may_leave = pages_may_leave
        self._image_tokens = image_tokens
        self.is_batched = is_batched
        self._dropped: Counter[str] = Counter()

    @property
    def name(self) -> str:
        """Name in tables."""
        return self._name

    @property
    def dropped(self) -> Mapping[str, int]:
        """Items that ended without an answer so far, by cause; they count as unparsed."""
        return dict(self._dropped)

    def close(self) -> None:
        """Close the road to it; what was answered stays written down."""
        self._gateway.close()

    def answer(self, items: Sequence[Item], pages: Sequence[bytes | None]) -> list[Reply]:
        """Answer items, one reply each in order; a page of None means text only.

        Raises
        ------
        BenchmarkError
            If an item or a page may not leave, or the server could not be asked.
        """
        asked = list(self._asked(items, pages))
        replies: list[Reply] = []
        try:
            for item, outcome in zip(items, self._gateway.outcomes(asked), strict=True):
                replies.append(self._reply(item, outcome))
        except TeacherError as error:
            raise BenchmarkError(
                f"{self._name}: {len(replies)} of {len(items)} items are answered, then: {error}; "
                "what was answered is kept and not paid again"
            ) from error
        return replies

    def estimate(self, items: Sequence[Item], pages: Sequence[bytes | None]) -> Estimate:
        """Return an upper bound of tokens and money, asking nobody.

        Raises
        ------
        BenchmarkError
            As :meth:`answer`, where an item or a page may not leave.
        """
        return self._gateway.estimate(task.request for task in self._asked(items, pages))

    def _asked(self, items: Sequence[Item], pages: Sequence[bytes | None]) -> Iterator[Asked]:
        """Refuse what may not leave before anything of it does, then yield requests."""
        if not self._is_within:
            self._assert_may_leave(items, pages)
        return (
            self._request(n, item, page)
            for n, (item, page) in enumerate(zip(items, pages, strict=True))
        )

    def _assert_may_leave(self, items: Sequence[Item], pages: Sequence[bytes | None]) -> None:
        n_gated = sum(not item.may_leave for item in items)
        if n_gated:
            raise BenchmarkError(
                f"{n_gated} of {len(items)} items are of corpora whose rows may not leave this "
                f"machine, so {self._name!r} is not asked them; leave them out, or ask a server "
                "of your own (provider 'openai_compatible' with is_local)"
            )
        n_pages = sum(page is not None for page in pages)
        if n_pages and not self._pages_may_leave:
            raise BenchmarkError(
                f"{n_pages} pages would be sent to {self._name!r}; set pages_may_leave to true "
                "for it if the corpora's terms and yours allow it, or ask the control 'text_only'"
            )

    def _request(self, number: int, item: Item, page: bytes | None) -> Asked:
        found = held_back(item.prompt, (item.item_id, item.subject_id, item.segment_id))
        if found:
            raise BenchmarkError(f"the words of an item hold {found}; leave the item out")
        shown = () if page is None else (Picture(_bare(page), self._image_tokens),)
        said = [PROMPT_NAME, item.prompt, *(picture.sha256 for picture in shown)]
        digest = hashlib.sha256("\0".join(said).encode()).hexdigest()[:16]
        prompt = Prompt(PROMPT_NAME, item.prompt, "", digest)
        request = TeacherRequest(prompt, {}, is_gated=not item.may_leave, pictures=shown)
        return Asked(request, _may_stand, f"{number}|{item.item_id}")

    def _reply(self, item: Item, outcome: Outcome) -> Reply:
        if outcome.reply is None:
            self._dropped[outcome.cause] += 1
            return Reply("")
        data = outcome.reply.data
        return Reply(str(data["text"]), option_logprobs(data["first_token"], item))


def _may_stand(data: Mapping[str, Any]) -> str:
    """Accept whatever was said: an answer that cannot be read is wrong, not asked again."""
    return ""


def _bare(page: bytes) -> bytes:
    try:
        return bare_png(page)
    except ValueError as error:
        raise BenchmarkError(str(error)) from error


def option_logprobs(first: Mapping[str, float], item: Item) -> tuple[float, ...]:
    """Return the log-probability of each option letter from the candidates for the first token.

    A letter in several forms (``B``, `` B``) is summed. One that is not among the candidates is at
    most as likely as the least of them and is given that. Without any letter there is nothing to
    rank: then none is returned.
    """
    if not item.options or not first:
        return ()
    found: dict[str, list[float]] = {}
    for token, value in first.items():
        found.setdefault(token.strip(), []).append(value)
    wanted = letters(len(item.options))
    if not any(letter in found for letter in wanted):
        return ()
    least = min(first.values())
    return tuple(_log_sum(found[letter]) if letter in found else least for letter in wanted)


def _log_sum(values: Sequence[float]) -> float:
    top = max(values)  # a provider writes -9999 for none at all, whose exponential is 0
    return top + math.log(sum(math.exp(value - top) for value in values))


def open_hosted(
    name: str,
    teacher: Mapping[str, Any],
    task: Task,
    cache: Path | None,
    *,
    pages_may_leave: bool = False,
    is_asking: bool = True,
) -> HostedModel:
    """Make a hosted model from teacher settings; its key is read from the environment now.

    Parameters
    ----------
    name
        Name in tables and in the ledger.
    teacher
        Teacher settings. Temperature is 0 unless they say otherwise; ``top_logprobs`` is asked of
        choices only; a higher ``max_output_tokens`` makes room for reasoning that is billed so.
    task
        What is asked.
    cache
        File of the teachers' record, which keeps every answer; None forgets them.
    pages_may_leave
        As in :class:`HostedModel`.
    is_asking
        False for an estimate alone: no key is read then.

    Raises
    ------
    BenchmarkError
        If the settings are wrong or name the offline writer, or the key is not set.
    """
    values: dict[str, Any] = {"temperature": 0.0, **teacher}
    floor = max(MIN_OUTPUT_TOKENS, task.max_new_tokens)
    given = values.get("max_output_tokens", floor)
    values["max_output_tokens"] = max(floor, given) if isinstance(given, int) else given
    if task.kind != "choice":
        values.pop("top_logprobs", None)
    try:
        settings = read_settings(values if values.get("provider") != "template" else teacher)
        if isinstance(settings, TemplateSettings):
            raise BenchmarkError(
                f"model {name!r} has provider 'template', which writes training text and answers "
                "nothing; name openai, gemini or openai_compatible"
            )
        gateway = make_gateway(
            settings, cache, run=f"answers/{task.name}/{name}", is_asking=is_asking
        )
    except TeacherError as error:
        raise BenchmarkError(f"model {name!r} cannot be asked: {error}") from error
    return HostedModel(
        gateway,
        name=name,
        is_within=is_inside(settings),
        pages_may_leave=pages_may_leave,
        image_tokens=settings.image_tokens,
        is_batched=settings.mode == "batch",
    )
