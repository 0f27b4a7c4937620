"""What passes between texts, gateway and providers: requests, replies, tasks, outcomes, errors.

Texts hand :class:`Task` s to the gateway and get :class:`Outcome` s back; the gateway hands requests
to a :class:`Provider` and gets :class:`Exchange` s back. Each provider has its own module beside
this one; which one runs is decided by ``registry``. What may be sent is for ``payload``; what a
prompt is, for ``prompt_files``; when and how often it is sent, for ``gateway`` with ``limits`` and
``cache``. What the reply's words mean and whether they are true is for the texts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from prompts.teachers.pictures import Picture
from prompts.teachers.prompt_files import Prompt


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a provider gave back.

    Parameters
    ----------
    text
        The reply as it came, without roles or frames.
    input_tokens, output_tokens
        As billed; reasoning tokens count as output.
    cached_input_tokens
        Those of ``input_tokens`` that the provider billed at its cached price.
    model
        The exact model version that answered, where the provider says it.
    rate_headers
        Headers of the reply whose names begin ``x-ratelimit-``, lower case, where there are any.
    """

    text: str
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    model: str = ""
    rate_headers: Mapping[str, str] = field(default_factory=dict)


class TeacherError(RuntimeError):
    """A teacher that could not answer.

    Parameters
    ----------
    message
        What happened, without keys and without the payload.
    cause
        One closed phrase for counting dropped rows.
    exchange
        What was billed all the same, as for a refusal or a truncated reply; None where nothing was.
    """

    is_retryable = False

    def __init__(
        self, message: str, *, cause: str = "teacher failed", exchange: Exchange | None = None
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.exchange = exchange


class TeacherConfigError(TeacherError):
    """A missing key, an unknown model or a bad setting."""


class TeacherRefusedError(TeacherError):
    """The provider would not answer this request, or we may not ask it."""


class TeacherRequestError(TeacherError):
    """The provider rejected the request or the key (a 4xx other than 408, 409 and 429)."""


class BudgetExceededError(TeacherError):
    """The next request could pass the spend cap."""


class TeacherRetryableError(TeacherError):
    """Something that another try may cure."""

    is_retryable = True


class TeacherBusyError(TeacherRetryableError):
    """Rate limit, overload, timeout or a broken connection; the gateway tries again.

    Parameters
    ----------
    message, cause, exchange
        As in :class:`TeacherError`; the cause is ``status <number>`` where the provider answered
        with one, else ``no connection``: then the request may have been answered and billed.
    retry_after_s
        What the provider asked for in its ``retry-after`` header, seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        cause: str = "no connection",
        exchange: Exchange | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, cause=cause, exchange=exchange)
        self.retry_after_s = retry_after_s

    @property
    def is_possibly_paid(self) -> bool:
        """Whether the provider may have billed a reply that never arrived."""
        return not self.cause.startswith("status ")


class TeacherDownError(TeacherRetryableError):
    """The teacher failed so often in a row that the run stops; another run may find it back."""


class TeacherTruncatedError(TeacherRetryableError):
    """The reply ended at the token limit; cured by a larger ``max_output_tokens``."""


class TeacherMalformedError(TeacherRetryableError):
    """The reply is not the JSON it was asked to be."""


@dataclass(frozen=True, slots=True)
class TeacherRequest:
    """One request.

    Parameters
    ----------
    prompt
        Versioned prompt and reply schema.
    payload
        Derived numbers and closed words only (``payload.assert_payload_is_clean``).
    is_gated
        The corpus' rows may not leave the storage root: hosted teachers refuse.
    seed, pictures
        The first chooses phrasing where the teacher supports it; the others are shown to a model
        under test, and the prompt's hash covers them.
    """

    prompt: Prompt
    payload: Mapping[str, Any]
    is_gated: bool
    seed: int = 0
    pictures: tuple[Picture, ...] = ()

    @property
    def payload_text(self) -> str:
        """The payload as canonical JSON: what is sent and what is hashed."""
        return json.dumps(self.payload, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def payload_hash(self) -> str:
        """Hash of everything that decides the reply on our side: prompt, payload and seed."""
        key = f"{self.prompt.prompt_hash}|{self.seed}|{self.payload_text}"
        return hashlib.sha256(key.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class TeacherReply:
    """One reply.

    Parameters
    ----------
    data
        The parsed JSON object.
    input_tokens, output_tokens, cost_usd
        What it took; reasoning tokens count as output.
    payload_hash
        Of the request, for a cache.
    """

    data: Mapping[str, Any]
    input_tokens: int
    output_tokens: int
    cost_usd: float
    payload_hash: str


@dataclass(frozen=True, slots=True)
class Repair:
    """The second try: the reply that may not stand, and what is wrong with it, without ids."""

    previous_text: str
    complaint: str


Check = Callable[[Mapping[str, Any]], str]
"""Takes a parsed reply; returns "" where it may stand, else one closed cause."""


@dataclass(frozen=True, slots=True)
class Task:
    """One request and what its reply must pass.

    Parameters
    ----------
    request
        What is asked.
    check
        Returns "" where the parsed reply may stand, else one closed cause.
    tag
        The caller's own name for it, such as a sample id; unique in a run, never sent.
    complain
        Turns a reply that did not pass into plain words for the one repair; without it the model
        is told the cause.
    """

    request: TeacherRequest
    check: Check
    tag: str
    complain: Check | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one task ended.

    Parameters
    ----------
    task
        The task; each ends exactly once.
    reply
        The accepted reply; None exactly where the task was dropped.
    cause
        "" where accepted, else the closed phrase it is counted under.
    n_requests
        Requests behind it, repair included, whenever they were paid.
    cost_usd, input_tokens, output_tokens
        What those were billed when they were paid, also where the task was dropped.
    is_cached
        Nothing was sent for it in this run.
    """

    task: Task
    reply: TeacherReply | None
    cause: str
    n_requests: int
    cost_usd: float
    input_tokens: int
    output_tokens: int
    is_cached: bool


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a set of requests will cost at most; repairs come on top, within the spend cap.

    Parameters
    ----------
    n_requests
        Requests asked about.
    input_tokens, output_tokens, usd
        Upper bounds of those still to be paid.
    n_cached
        Those answered in an earlier run, which cost nothing.
    """

    n_requests: int
    input_tokens: int
    output_tokens: int
    usd: float
    n_cached: int = 0

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One request of a batch; ``key`` is its ``custom_id`` and its place in the cache.

    ``max_output_tokens`` None means the settings' own.
    """

    key: str
    request: TeacherRequest
    repair: Repair | None = None
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one line; join on ``key``, the order is the provider's."""

    key: str
    result: Exchange | TeacherError


BatchState = Literal["running", "done", "expired", "failed", "cancelled"]


class BatchApi(Protocol):
    """A provider's batch mode; blocking calls, errors of the :class:`TeacherError` family."""

    def submit(self, lines: Sequence[BatchLine], metadata: Mapping[str, str]) -> str:
        """Submit lines as one job and return its id."""
        ...

    def find(self, metadata: Mapping[str, str]) -> str | None:
        """Return the id of a job submitted with this metadata, from the provider's own list."""
        ...

    def state(self, job_id: str) -> BatchState:
        """Return where a job stands."""
        ...

    def results(self, job_id: str) -> Iterator[BatchResult]:
        """Yield the lines of a job that ended, in any order; lines may be missing or double."""
        ...


class Provider(Protocol):
    """One way to send a request; it neither retries nor remembers, the gateway does both."""

    @property
    def teacher_id(self) -> str:
        """Name stored in every row, ``provider:model`` or ``template@<version>``."""
        ...

    @property
    def is_offline(self) -> bool:
        """Whether it is the deterministic writer: no network, no model, no money, no cache."""
        ...

    @property
    def is_inside(self) -> bool:
        """Whether it runs inside the storage root's walls, so that gated corpora may be sent."""
        ...

    @property
    def max_output_tokens(self) -> int:
        """Token limit of one reply by the settings, without reasoning."""
        ...

    @property
    def reasoning_tokens(self) -> int:
        """Most reasoning tokens billed on top of the reply."""
        ...

    @property
    def sampling(self) -> str:
        """Canonical text of every setting that shapes a reply; part of the cache's key."""
        ...

    @property
    def batch(self) -> BatchApi | None:
        """The provider's batch mode, where it has one."""
        ...

    async def send(
        self,
        request: TeacherRequest,
        *,
        repair: Repair | None,
        idempotency_key: str,
        max_output_tokens: int | None = None,
    ) -> Exchange:
        """Send one request once.

        Parameters
        ----------
        request
            What is asked.
        repair
            The earlier reply and what was wrong with it, sent as further turns.
        idempotency_key
            Sent as the ``Idempotency-Key`` header; the same for every try at the same request.
        max_output_tokens
            Token limit instead of the settings' own: the second try after a truncated reply.

        Raises
        ------
        TeacherError
            With a closed ``cause``; with ``exchange`` where the failed reply was billed. Row
            causes are ``refused``, ``truncated``, ``malformed reply`` and ``empty reply``.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections; called on the loop that :meth:`send` ran on."""
        ...
