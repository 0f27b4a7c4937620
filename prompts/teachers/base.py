"""What a teacher is: the request it gets, the reply it owes, the errors it may raise.

Each provider has its own module beside this one; which one runs is decided by ``registry``. What
may be sent is decided by ``payload``; what a prompt is, by ``prompt_files``. What the reply's words
mean and whether they are true is for ``narratives``, ``dialogues`` and ``grounding``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from prompts.teachers.prompt_files import Prompt


class TeacherError(RuntimeError):
    """A teacher that could not answer.

    Parameters
    ----------
    message
        What happened, without keys and without the payload.
    cause
        One closed phrase for counting dropped rows.
    """

    is_retryable = False

    def __init__(self, message: str, *, cause: str = "teacher failed") -> None:
        super().__init__(message)
        self.cause = cause


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
    """Rate limit, overload, timeout or a broken connection, after the client's own retries."""


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
    seed
        Chooses phrasing where the teacher supports it.
    """

    prompt: Prompt
    payload: Mapping[str, Any]
    is_gated: bool
    seed: int = 0

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
class Estimate:
    """What a set of requests will cost at most."""

    n_requests: int
    input_tokens: int
    output_tokens: int
    usd: float

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


class Teacher(Protocol):
    """Anything that answers requests with JSON."""

    @property
    def teacher_id(self) -> str:
        """Name stored in every row, ``provider:model`` or ``template@<version>``."""
        ...

    @property
    def is_offline(self) -> bool:
        """Whether it is the deterministic writer and not a model."""
        ...

    def estimate(self, requests: Sequence[TeacherRequest]) -> Estimate:
        """Return an upper bound of tokens and money, without calling anyone."""
        ...

    def complete(self, request: TeacherRequest) -> TeacherReply:
        """Answer one request.

        Raises
        ------
        TeacherError
            With ``is_retryable`` and a ``cause``.
        """
        ...


def parse_reply(text: str) -> dict[str, Any]:
    """Parse a reply that must be one JSON object.

    Raises
    ------
    TeacherMalformedError
        If it is not; the text itself is not repeated.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise TeacherMalformedError(
            f"the reply of {len(text)} characters is no JSON (at {error.pos}: {error.msg}); try again",
            cause="malformed reply",
        ) from None
    if not isinstance(data, dict):
        raise TeacherMalformedError(
            f"the reply is a JSON {type(data).__name__}, not an object; try again",
            cause="malformed reply",
        )
    return data
