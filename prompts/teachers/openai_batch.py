"""OpenAI's batch mode through the real ``openai`` client: a file of lines up, a job, a file down.

When a job is made, looked at and asked again is for ``batches``.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from prompts.teachers.base import (
    BatchLine,
    BatchResult,
    BatchState,
    TeacherBusyError,
    TeacherError,
    TeacherRequestError,
)
from prompts.teachers.batches import EXPIRED, TeacherBatchError
from prompts.teachers.openai_chat import (
    Settings,
    chat_body,
    no_connection,
    read_reply,
    status_error,
    translate,
)
from prompts.teachers.wire import (
    IDEMPOTENCY_HEADER,
    clean_words,
    line_id,
    read_line_id,
    transport_errors,
)

if TYPE_CHECKING:
    import openai
    from openai.types import Batch

log = logging.getLogger(__name__)

ENDPOINT: Final = "/v1/chat/completions"
_STATES: Mapping[str, BatchState] = {
    "completed": "done",
    "expired": "expired",
    "failed": "failed",
    "cancelled": "cancelled",
}
"""Any other status is on its way to one of these."""
_LINE_CODES = {"batch_expired": EXPIRED}
"""Codes of error lines that say nothing about the line itself."""
_PASSING_CODES = frozenset({"token_limit_exceeded", "rate_limit_exceeded", "server_error"})
"""Codes of a failed job that another may escape, such as a full queue of the account."""
_PAGE = 100


class OpenAIBatch:
    """See :class:`prompts.teachers.base.BatchApi`.

    Parameters
    ----------
    settings
        Of the provider.
    key
        Its API key, or "".
    """

    def __init__(self, settings: Settings, key: str) -> None:
        self._settings = settings
        self._key = key

    @cached_property
    def _client(self) -> openai.OpenAI:
        import openai

        return openai.OpenAI(
            api_key=self._key or "none",
            base_url=self._settings.base_url,
            timeout=self._settings.timeout_s,
            max_retries=0,
        )

    def submit(self, lines: Sequence[BatchLine], metadata: Mapping[str, str]) -> str:
        """Upload the lines and make a job of them; return its id."""
        name = f"{metadata['part']}.jsonl"
        with self._translated(None), tempfile.TemporaryFile() as file:
            for line in lines:
                file.write(_encoded(self._settings, line))
            file.seek(0)
            uploaded = self._client.files.create(file=(name, file), purpose="batch")
            job = self._client.batches.create(
                input_file_id=uploaded.id,
                endpoint=ENDPOINT,
                completion_window="24h",
                metadata=dict(metadata),
                extra_headers={IDEMPOTENCY_HEADER: metadata["part"]},
            )
        return job.id

    def find(self, metadata: Mapping[str, str]) -> str | None:
        """Return the oldest job with this metadata, or None."""
        with self._translated():
            found = [
                (job.created_at, job.id)
                for job in self._client.batches.list(limit=_PAGE)
                if metadata.items() <= (job.metadata or {}).items()
            ]
        return min(found)[1] if found else None

    def state(self, job_id: str) -> BatchState:
        """Return where a job stands."""
        with self._translated():
            return _STATES.get(self._client.batches.retrieve(job_id).status, "running")

    def results(self, job_id: str) -> Iterator[BatchResult]:
        """Yield the lines of a job's output and error files."""
        with self._translated():
            job = self._client.batches.retrieve(job_id)
        if job.status == "failed":
            raise self._failed(job)
        for file_id in (job.output_file_id, job.error_file_id):
            if file_id:
                yield from self._lines(file_id)

    def _lines(self, file_id: str) -> Iterator[BatchResult]:
        with (
            self._translated(),
            self._client.files.with_streaming_response.content(file_id) as reply,
        ):
            for text in reply.iter_lines():
                result = read_line(text, self._key)
                if result is not None:
                    yield result

    def _failed(self, job: Batch) -> TeacherError:
        problems = (job.errors.data if job.errors else None) or []
        codes = {str(p.code or "") for p in problems}
        # a message may repeat a line, and there is nothing to hold it against
        reasons = (f"{p.code} (line {p.line}, {p.param})" for p in problems[:3])
        words = clean_words("; ".join(reasons), self._key, "") or "no reason given"
        message = f"batch job {job.id} failed: {words}"
        if codes <= _PASSING_CODES:
            return TeacherBusyError(message, cause="batch failed")
        return TeacherRequestError(message, cause="batch failed")

    @contextmanager
    def _translated(self, sent: str | None = "") -> Iterator[None]:
        import openai

        try:
            yield
        except openai.OpenAIError as error:
            raise translate(error, self._key, sent) from None
        except transport_errors() as error:
            raise no_connection(error, self._key, sent) from None


def _encoded(settings: Settings, line: BatchLine) -> bytes:
    body = chat_body(settings, line.request, line.repair, line.max_output_tokens)
    record = {"custom_id": line_id(line), "method": "POST", "url": ENDPOINT, "body": body}
    return json.dumps(record).encode() + b"\n"


def read_line(text: str, key: str) -> BatchResult | None:
    """Return one line of a result file; None for a line that cannot be joined to a request."""
    try:
        record = json.loads(text) if text.strip() else None
    except ValueError:
        record = None
    if not isinstance(record, dict) or not isinstance(record.get("custom_id"), str):
        if text.strip():
            log.warning("a batch line of %d characters has no custom_id", len(text))
        return None
    name, is_plain = read_line_id(record["custom_id"])
    return BatchResult(name, _outcome(record, key, is_plain))


def _outcome(record: Mapping[str, Any], key: str, is_plain: bool) -> Any:
    response, problem = record.get("response"), record.get("error")
    if not isinstance(response, dict):
        problem = problem if isinstance(problem, dict) else {}
        code = str(problem.get("code") or "no response")
        cause = _LINE_CODES.get(code, "failed in batch")
        return TeacherBatchError(f"{cause}: {clean_words(code, key, '')}", cause=cause)
    status, body = response.get("status_code"), response.get("body")
    if status != 200:
        inner = body.get("error") if isinstance(body, dict) else None
        inner = inner if isinstance(inner, dict) else {}
        # the line's own words may repeat what it sent, and there is nothing to hold them against
        code = clean_words(inner.get("code") or "no code", key, "")
        return status_error(status if isinstance(status, int) else 500, code, code)
    try:
        return read_reply(body, is_plain=is_plain)
    except TeacherError as error:
        return error
