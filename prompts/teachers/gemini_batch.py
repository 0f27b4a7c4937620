"""Gemini's batch mode through the real ``google-genai`` client: a file up, a job, a file down.

A job carries one display name and no other metadata, so that name holds it. Lines are always sent
as a file: there each has its key, and the order does not matter. When a job is made, looked at and
asked again is for ``batches``.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from prompts.teachers.base import (
    BatchLine,
    BatchResult,
    BatchState,
    Exchange,
    TeacherBusyError,
    TeacherError,
    TeacherRequestError,
)
from prompts.teachers.batches import TeacherBatchError
from prompts.teachers.google_gemini import (
    RETRYABLE_STATUS,
    contents,
    make_client,
    no_connection,
    read_reply,
    status_error,
    translate,
)
from prompts.teachers.pictures import Picture
from prompts.teachers.settings import GeminiSettings
from prompts.teachers.wire import IDEMPOTENCY_HEADER, line_id, read_line_id, transport_errors

if TYPE_CHECKING:
    from google import genai
    from google.genai import types

log = logging.getLogger(__name__)

_STATES: Mapping[str, BatchState] = {
    "SUCCEEDED": "done",
    "PARTIALLY_SUCCEEDED": "done",
    "EXPIRED": "expired",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
}
"""By what follows ``STATE_`` in a state's name; any other is on its way to one of these."""
_MIME = "jsonl"
_PAGE = 100
_RPC_STATUS = {
    1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400,
    12: 501, 13: 500, 14: 503, 15: 500, 16: 401,
}  # fmt: skip
"""HTTP status of each gRPC code (google.rpc.Code)."""


class GeminiBatch:
    """See :class:`prompts.teachers.base.BatchApi`.

    Parameters
    ----------
    settings
        Of the provider.
    key
        Its API key.
    """

    def __init__(self, settings: GeminiSettings, key: str) -> None:
        self._settings = settings
        self._key = key

    @cached_property
    def _client(self) -> genai.Client:
        return make_client(self._settings, self._key)

    def submit(self, lines: Sequence[BatchLine], metadata: Mapping[str, str]) -> str:
        """Upload the lines and make a job of them; return its name."""
        from google.genai import types

        name = display_name(metadata)
        with self._translated(None), tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
            for line in lines:
                file.write(_encoded(self._settings, line))
            file.flush()
            uploaded = self._client.files.upload(
                file=file.name,
                config=types.UploadFileConfig(display_name=name, mime_type=_MIME),
            )
            job = self._client.batches.create(
                model=self._settings.model,
                src=str(uploaded.name),
                config=types.CreateBatchJobConfig(
                    display_name=name,
                    http_options=types.HttpOptions(headers={IDEMPOTENCY_HEADER: metadata["part"]}),
                ),
            )
        return _name(job)

    def find(self, metadata: Mapping[str, str]) -> str | None:
        """Return the oldest job with this metadata, or None."""
        from google.genai import types

        name = display_name(metadata)
        with self._translated():
            jobs = self._client.batches.list(config=types.ListBatchJobsConfig(page_size=_PAGE))
            found = [(str(j.create_time or ""), _name(j)) for j in jobs if j.display_name == name]
        return min(found)[1] if found else None

    def state(self, job_id: str) -> BatchState:
        """Return where a job stands."""
        with self._translated():
            return _state(self._client.batches.get(name=job_id))

    def results(self, job_id: str) -> Iterator[BatchResult]:
        """Yield the lines of a job's result file."""
        with self._translated():
            job = self._client.batches.get(name=job_id)
        if _state(job) == "failed":
            raise self._failed(job)
        file_name = job.dest.file_name if job.dest is not None else None
        if not file_name:
            return
        with tempfile.TemporaryFile() as file:
            with self._translated():
                file.write(self._client.files.download(file=file_name))
            file.seek(0)
            for text in file:
                result = read_line(text)
                if result is not None:
                    yield result

    def _failed(self, job: types.BatchJob) -> TeacherError:
        # its message may repeat a line, and there is nothing to hold it against
        code = (job.error.code if job.error else None) or 0
        message = f"batch job {_name(job)} failed with code {code}"
        status = _RPC_STATUS.get(code, code)
        if status in RETRYABLE_STATUS or status >= 500 or not status:
            return TeacherBusyError(message, cause="batch failed")
        return TeacherRequestError(message, cause="batch failed")

    @contextmanager
    def _translated(self, sent: str | None = "") -> Iterator[None]:
        from google.genai import errors

        try:
            yield
        except errors.APIError as error:
            raise translate(error, self._key, sent) from None
        except transport_errors() as error:
            raise no_connection(error, self._key, sent) from None
        except (KeyError, ValueError):
            # what the client raises where an upload's answer lacks its headers, or is cut
            raise TeacherBusyError(
                "the provider's answer is no reply", cause="broken answer"
            ) from None


def display_name(metadata: Mapping[str, str]) -> str:
    """Return the one name that holds a job's metadata."""
    return " ".join(f"{key}={metadata[key]}" for key in sorted(metadata))


def _name(job: types.BatchJob) -> str:
    if not job.name:
        raise ValueError("a job without a name")
    return job.name


def _state(job: types.BatchJob) -> BatchState:
    name = str(job.state.value) if job.state is not None else ""
    return _STATES.get(name.rpartition("STATE_")[2], "running")


def _encoded(settings: GeminiSettings, line: BatchLine) -> bytes:
    record = {"key": line_id(line), "request": request_body(settings, line)}
    return json.dumps(record).encode() + b"\n"


def request_body(settings: GeminiSettings, line: BatchLine) -> dict[str, Any]:
    """Return a request in the provider's own JSON, as the client sends it online."""
    limit = line.max_output_tokens or settings.max_output_tokens
    warmth = {} if settings.temperature is None else {"temperature": settings.temperature}
    prompt, top = line.request.prompt, settings.top_logprobs
    how: dict[str, Any] = {
        **warmth,
        "maxOutputTokens": limit + settings.thinking_budget,
        "seed": line.request.seed % 2**31,
        "thinkingConfig": {"thinkingBudget": settings.thinking_budget},
    }
    if prompt.is_plain:
        asked = {"responseLogprobs": True, "logprobs": top} if top else {}
        shown = [_encoded_picture(picture) for picture in line.request.pictures]
        turn = {"role": "user", "parts": [*shown, {"text": prompt.system}]}
        return {"contents": [turn], "generationConfig": how | asked}
    return {
        "contents": contents(line.request, line.repair),
        "systemInstruction": {"parts": [{"text": prompt.system}], "role": "user"},
        "generationConfig": how
        | {"responseMimeType": "application/json", "responseJsonSchema": prompt.schema},
    }


def _encoded_picture(picture: Picture) -> dict[str, Any]:
    return {"inlineData": {"mimeType": "image/png", "data": picture.base64}}


def read_line(text: bytes) -> BatchResult | None:
    """Return one line of a result file; None for a line that cannot be joined to a request."""
    try:
        record = json.loads(text) if text.strip() else None
    except ValueError:
        record = None
    if not isinstance(record, dict) or not isinstance(record.get("key"), str):
        if text.strip():
            log.warning("a batch line of %d bytes has no key", len(text))
        return None
    name, is_plain = read_line_id(record["key"])
    return BatchResult(name, _outcome(record, is_plain))


def _outcome(record: Mapping[str, Any], is_plain: bool) -> Exchange | TeacherError:
    from google.genai import types

    problem = record.get("error", record.get("status"))
    if isinstance(problem, dict):
        code = problem.get("code")
        status = _RPC_STATUS.get(code, code) if isinstance(code, int) else 500
        # the line's own words may repeat what it sent, and there is nothing to hold them against
        return status_error(status, f"code {code}")
    try:
        reply = types.GenerateContentResponse.model_validate(record.get("response"))
        return read_reply(reply, is_plain=is_plain)
    except TeacherError as error:
        return error
    except ValueError:
        return TeacherBatchError("a batch line without a reply", cause="failed in batch")
