"""How OpenAI and Gemini write requests, replies, errors, files and batches down.

Each protocol reads a request body into ``Asked`` and frames what ``fault_plan`` wrote or broke.
Sockets, keys and counting are in ``fault_server``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.prompts.teachers.fault_plan import Asked, Written, digest, picture

Json = dict[str, Any]


@dataclass
class Line:
    """One line of a batch."""

    key: str
    body: Json


@dataclass
class Batch:
    """One batch as the server keeps it; ``ready_at`` is the server's clock."""

    batch_id: str
    metadata: Mapping[str, str]
    model: str
    lines: list[Line]
    ready_at: float
    state: str = "done"
    is_inline: bool = False
    is_cut: bool = False
    good: list[Json] = field(default_factory=list)
    bad: list[Json] = field(default_factory=list)
    input_file: str = ""


class Protocol_(Protocol):
    """What differs between the two."""

    def read(self, body: Json) -> Asked:
        """Read one request."""
        ...

    def reply(self, written: Written, body: Json) -> Json:
        """Frame one reply."""
        ...

    def error(self, status: int, message: str, retry_after_s: float | None = None) -> Json:
        """Frame one error."""
        ...

    def good_line(self, line: Line, reply: Json) -> Json:
        """Frame an answered batch line."""
        ...

    def bad_line(self, line: Line, *, is_expired: bool) -> Json:
        """Frame a batch line that was not answered."""
        ...

    def job(self, batch: Batch, *, is_ready: bool) -> Json:
        """Frame a batch."""
        ...


class OpenAI:
    """Chat completions, files and batches."""

    def read(self, body: Json) -> Asked:
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or 256
        parts = [part for m in body["messages"] for part in _parts(m["content"])]
        texts = tuple(part["text"] for part in parts if part["type"] == "text")
        shown = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        heads = {url.partition(",")[0] for url in shown}
        if heads - {"data:image/png;base64"}:
            raise ValueError("a picture that is not in the message")
        pictures = tuple(picture(url.partition(",")[2]) for url in shown)
        top = int(body.get("top_logprobs") or 0) if body.get("logprobs") else 0
        return Asked(texts, schema, limit, digest(body), pictures, top)

    def reply(self, written: Written, body: Json) -> Json:
        message = {"role": "assistant", "content": written.text, "refusal": None}
        if written.fault == "refusal":
            message |= {"content": None, "refusal": "I can't help with that."}
        reason = {"filter": "content_filter", "truncated": "length"}.get(written.fault, "stop")
        choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
        if written.top_logprobs:
            top = [{"token": t, "logprob": p, "bytes": None} for t, p in written.top_logprobs]
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}], "refusal": None}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": f"{body['model']}-2026-01-01",
            "choices": [] if written.fault == "empty" else [choice],
            "usage": {
                "prompt_tokens": written.input_tokens,
                "completion_tokens": written.output_tokens,
                "total_tokens": written.input_tokens + written.output_tokens,
                "prompt_tokens_details": {"cached_tokens": written.cached_tokens},
            },
        }

    def error(self, status: int, message: str, retry_after_s: float | None = None) -> Json:
        kind = {429: "rate_limit_exceeded", 400: "invalid_request_error"}.get(
            status, "server_error"
        )
        return {"error": {"message": message, "type": kind, "param": None, "code": kind}}

    def good_line(self, line: Line, reply: Json) -> Json:
        response = {"status_code": 200, "request_id": "r", "body": reply}
        return {"id": "batch_req_1", "custom_id": line.key, "response": response, "error": None}

    def bad_line(self, line: Line, *, is_expired: bool) -> Json:
        base = {"id": "batch_req_1", "custom_id": line.key}
        if is_expired:
            error = {"code": "batch_expired", "message": "This request could not be executed."}
            return base | {"response": None, "error": error}
        response = {"status_code": 500, "request_id": "r", "body": self.error(500, "broken line")}
        return base | {"response": response, "error": None}

    def job(self, batch: Batch, *, is_ready: bool) -> Json:
        state = {"done": "completed"}.get(batch.state, batch.state) if is_ready else "in_progress"
        has_files = is_ready and state in {"completed", "expired"}
        return {
            "id": batch.batch_id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "errors": None,
            "input_file_id": batch.input_file,
            "completion_window": "24h",
            "status": state,
            "output_file_id": f"out-{batch.batch_id}" if has_files and batch.good else None,
            "error_file_id": f"err-{batch.batch_id}" if has_files and batch.bad else None,
            "created_at": 1,
            "metadata": dict(batch.metadata),
            "request_counts": {
                "total": len(batch.lines),
                "completed": len(batch.good) if is_ready else 0,
                "failed": len(batch.bad) if is_ready else 0,
            },
        }


class Gemini:
    """``generateContent`` and ``batchGenerateContent`` of v1beta."""

    def read(self, body: Json) -> Asked:
        config = _either(body, "generationConfig", "generation_config") or {}
        system = _either(body, "systemInstruction", "system_instruction") or {}
        schema = (
            _either(config, "responseJsonSchema", "response_json_schema")
            or _either(config, "responseSchema", "response_schema")
            or {}
        )
        turns = [system, *body["contents"]]
        parts = [part for turn in turns for part in turn.get("parts", [])]
        texts = tuple(part.get("text", "") for part in parts)
        blobs = [b for p in parts if (b := _either(p, "inlineData", "inline_data"))]
        if any(_either(b, "mimeType", "mime_type") != "image/png" for b in blobs):
            raise ValueError("a picture of another type")
        # the client writes base64 for addresses
        pictures = tuple(picture(b["data"].replace("-", "+").replace("_", "/")) for b in blobs)
        limit = _either(config, "maxOutputTokens", "max_output_tokens") or 256
        is_asked = _either(config, "responseLogprobs", "response_logprobs")
        top = int(config.get("logprobs") or 0) if is_asked else 0
        return Asked(texts, schema, limit, digest(body), pictures, top)

    def reply(self, written: Written, body: Json) -> Json:
        usage = {
            "promptTokenCount": written.input_tokens,
            "candidatesTokenCount": written.output_tokens,
            "totalTokenCount": written.input_tokens + written.output_tokens,
        }
        if written.cached_tokens:
            usage["cachedContentTokenCount"] = written.cached_tokens
        reply: Json = {"usageMetadata": usage, "modelVersion": "model-2026-01", "responseId": "r"}
        if written.fault == "filter":
            return reply | {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
        if written.fault == "empty":
            return reply
        reason = {"refusal": "SAFETY", "truncated": "MAX_TOKENS"}.get(written.fault, "STOP")
        candidate: Json = {"finishReason": reason, "index": 0}
        if written.fault != "refusal":
            candidate["content"] = {"role": "model", "parts": [{"text": written.text}]}
        if written.top_logprobs:
            top = [{"token": t, "logProbability": p} for t, p in written.top_logprobs]
            candidate["logprobsResult"] = {
                "topCandidates": [{"candidates": top}],
                "chosenCandidates": top[:1],
            }
        return reply | {"candidates": [candidate]}

    def error(self, status: int, message: str, retry_after_s: float | None = None) -> Json:
        name = {429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}
        error: Json = {"code": status, "message": message, "status": name.get(status, "UNKNOWN")}
        if retry_after_s is not None:
            kind = "type.googleapis.com/google.rpc.RetryInfo"
            error["details"] = [{"@type": kind, "retryDelay": f"{retry_after_s}s"}]
        return {"error": error}

    def good_line(self, line: Line, reply: Json) -> Json:
        return {"key": line.key, "response": reply}

    def bad_line(self, line: Line, *, is_expired: bool) -> Json:
        return {"key": line.key, "error": {"code": 13, "message": "broken line"}}

    def job(self, batch: Batch, *, is_ready: bool) -> Json:
        # an expired Gemini job has no results
        state = (
            {"done": "SUCCEEDED"}.get(batch.state, batch.state.upper()) if is_ready else "RUNNING"
        )
        metadata: Json = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "model": f"models/{batch.model}",
            "displayName": batch.metadata["display_name"],
            "createTime": "2026-01-01T00:00:00Z",
            "state": f"BATCH_STATE_{state}",
            "name": batch.batch_id,
        }
        if state == "SUCCEEDED":
            lines = [*batch.good, *batch.bad]
            inline = [
                {k: v for k, v in e.items() if k != "key"} | {"metadata": {"key": e["key"]}}
                for e in lines
            ]
            name = batch.batch_id.split("/")[-1]
            metadata["output"] = (
                {"inlinedResponses": {"inlinedResponses": inline}}
                if batch.is_inline
                else {"responsesFile": f"files/out-{name}"}
            )
        return {"name": batch.batch_id, "metadata": metadata, "done": is_ready}


def read_openai_lines(text: str) -> list[Line]:
    """Read the input file of an OpenAI batch."""
    entries = [json.loads(t) for t in text.splitlines() if t.strip()]
    return [Line(e["custom_id"], e["body"]) for e in entries]


def read_gemini_lines(config: Json, files: Mapping[str, str]) -> tuple[list[Line], bool]:
    """Read the lines of a Gemini batch, and whether they came inline."""
    name = _either(config, "fileName", "file_name")
    if name:
        entries = [json.loads(t) for t in files[name].splitlines() if t.strip()]
        return [Line(e["key"], e["request"]) for e in entries], False
    inline = config["requests"]["requests"]
    return [Line(e.get("metadata", {}).get("key", ""), e["request"]) for e in inline], True


def _parts(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _either(value: Json, camel: str, snake: str) -> Any:
    return value.get(camel, value.get(snake))
