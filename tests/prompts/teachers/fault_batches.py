"""Files and batches of the fault server, in both protocols.

A batch is worked out when it is created and shown when its time has come; what goes wrong with it is
decided in ``fault_plan``, and how it is written down in ``fault_protocols``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.prompts.teachers.fault_http import Request, Response, as_json, multipart
from tests.prompts.teachers.fault_plan import Account, FaultPlan, digest, write
from tests.prompts.teachers.fault_protocols import (
    Batch,
    Gemini,
    Line,
    OpenAI,
    Protocol_,
    read_gemini_lines,
    read_openai_lines,
)


class BatchDesk:
    """Takes files and batches and gives them back."""

    def __init__(self, plan: FaultPlan, account: Account) -> None:
        self.plan = plan
        self.account = account
        self.url = ""
        self._files: dict[str, str] = {}
        self._uploads: dict[str, str] = {}
        self._batches: dict[str, Batch] = {}
        self._attempts: Counter[str] = Counter()
        self._ids = itertools.count(1)

    async def openai(self, request: Request, path: str) -> Response:
        parts = path.split("/")
        if path == "files" and request.method == "POST":
            name = f"file-{next(self._ids)}"
            form = multipart(request)
            self._files[name] = form["file"]
            size, purpose = len(form["file"]), form["purpose"]
            return as_json(200, _openai_file(name, size, purpose))
        if parts[0] == "files" and parts[-1] == "content":
            return Response(200, self._files[parts[1]].encode())
        if path == "batches" and request.method == "POST":
            asked = request.json()
            lines = read_openai_lines(self._files[asked["input_file_id"]])
            batch = self._make_batch(OpenAI(), asked.get("metadata") or {}, lines, "batch")
            batch.input_file = asked["input_file_id"]
            self._store(batch, f"out-{batch.batch_id}", f"err-{batch.batch_id}")
            return await self._created(OpenAI(), batch)
        if path == "batches":
            return as_json(200, self._page(OpenAI(), request.query))
        if parts[0] == "batches":
            return as_json(200, self._job(OpenAI(), self._batches[parts[1]]))
        return as_json(404, OpenAI().error(404, f"no route {request.method} {request.path}"))

    async def gemini_create(self, request: Request, model: str) -> Response:
        asked = request.json()["batch"]
        config = asked.get("inputConfig") or asked["input_config"]
        lines, is_inline = read_gemini_lines(config, self._files)
        metadata = {"display_name": asked.get("displayName", "")}
        batch = self._make_batch(Gemini(), metadata, lines, "batches/b")
        batch.model, batch.is_inline = model, is_inline
        self._store(batch, f"files/out-{batch.batch_id.split('/')[-1]}", "")
        return await self._created(Gemini(), batch)

    def gemini(self, request: Request, path: str) -> Response:
        if path.startswith("/upload/") and path.endswith("/files"):
            number = str(next(self._ids))
            self._uploads[number] = ""
            headers = {"x-goog-upload-url": f"{self.url}/put/{number}"}
            return as_json(200, {}, headers | {"x-goog-upload-status": "active"})
        parts = path.strip("/").split("/")
        if parts[0] == "put":
            self._uploads[parts[1]] += request.body.decode()
            if "finalize" not in request.headers["x-goog-upload-command"]:
                return as_json(200, {}, {"x-goog-upload-status": "active"})
            name, text = f"files/f{parts[1]}", self._uploads.pop(parts[1])
            self._files[name] = text
            entry = {"name": name, "sizeBytes": str(len(text)), "state": "ACTIVE"}
            return as_json(200, {"file": entry}, {"x-goog-upload-status": "final"})
        if path.endswith(":download"):
            return Response(
                200, self._files["/".join(parts[-2:]).removesuffix(":download")].encode()
            )
        if parts[-1] == "batches":
            return as_json(200, self._page(Gemini(), request.query))
        if parts[-2] == "batches":
            return as_json(200, self._job(Gemini(), self._batches["/".join(parts[-2:])]))
        return as_json(404, Gemini().error(404, f"no route {request.method} {path}"))

    def _make_batch(
        self, protocol: Protocol_, metadata: dict[str, str], lines: list[Line], prefix: str
    ) -> Batch:
        plan = self.plan
        batch_id = f"{prefix}{next(self._ids)}"
        batch = Batch(batch_id, metadata, "", lines, time.monotonic() + plan.batch_s)
        self._batches[batch.batch_id] = batch
        text = digest([line.key for line in lines])
        faults = plan.batch_faults(text, self._attempts[text])
        self._attempts[text] += 1
        self.account.faults.update(f"batch {name}" for name in faults)
        keys = [line.key for line in lines]
        entry = {"id": batch.batch_id, "metadata": dict(metadata), "keys": keys}
        self.account.batches.append(entry)
        batch.is_cut = "cut" in faults
        if "failed" in faults or "expired" in faults:
            batch.state = "failed" if "failed" in faults else "expired"
        answered = lines[: len(lines) // 2] if batch.state == "expired" else lines
        if batch.state == "failed" or (batch.state == "expired" and isinstance(protocol, Gemini)):
            answered = []
        for line in answered:
            self._answer_line(protocol, batch, line)
        if batch.state == "expired":
            late = lines[len(answered) :]
            batch.bad += [protocol.bad_line(line, is_expired=True) for line in late]
        if "reorder" in faults:
            batch.good.reverse()
        return batch

    def _answer_line(self, protocol: Protocol_, batch: Batch, line: Line) -> None:
        asked = protocol.read(line.body)
        fault = self.plan.line_fault(asked.body, self._attempts[asked.body])
        self._attempts[asked.body] += 1
        self.account.faults[f"line {fault or 'none'}"] += 1
        if fault == "missing":
            return
        if fault == "error":
            batch.bad.append(protocol.bad_line(line, is_expired=False))
            return
        written = write(asked, self.plan, self.account.charged_bodies[asked.body])
        self.account.faults[written.fault or "good"] += 1
        self.account.charge(asked.body, written, share=0.5, line=line.key)
        framed = protocol.good_line(line, protocol.reply(written, line.body))
        batch.good += [framed] * (2 if fault == "duplicate" else 1)

    async def _created(self, protocol: Protocol_, batch: Batch) -> Response:
        response = as_json(200, self._job(protocol, batch))
        if batch.is_cut:
            response.how = "cut"
        if self.plan.hold_create_s:
            await asyncio.sleep(self.plan.hold_create_s)
        return response

    def _store(self, batch: Batch, good_name: str, bad_name: str) -> None:
        if bad_name:
            self._files[good_name] = _lines(batch.good)
            self._files[bad_name] = _lines(batch.bad)
        else:
            self._files[good_name] = _lines([*batch.good, *batch.bad])

    def _job(self, protocol: Protocol_, batch: Batch) -> dict[str, Any]:
        return protocol.job(batch, is_ready=time.monotonic() >= batch.ready_at)

    def _page(self, protocol: Protocol_, query: dict[str, str]) -> dict[str, Any]:
        is_openai = isinstance(protocol, OpenAI)
        jobs = [b for b in self._batches.values() if b.batch_id.startswith("batches/") != is_openai]
        jobs.reverse()
        size = int(query.get("limit") or query.get("pageSize") or 20)
        mark = query.get("after") or query.get("pageToken")
        start = next((i + 1 for i, b in enumerate(jobs) if b.batch_id == mark), 0)
        part, has_more = jobs[start : start + size], start + size < len(jobs)
        framed = [self._job(protocol, b) for b in part]
        if is_openai:
            return {
                "object": "list",
                "data": framed,
                "first_id": part[0].batch_id if part else None,
                "last_id": part[-1].batch_id if part else None,
                "has_more": has_more,
            }
        return {"operations": framed} | ({"nextPageToken": part[-1].batch_id} if has_more else {})


def _openai_file(name: str, size: int, purpose: str) -> dict[str, Any]:
    return {
        "id": name, "object": "file", "bytes": size, "created_at": 1, "filename": "batch.jsonl",
        "purpose": purpose, "status": "processed",
    }  # fmt: skip


def _lines(entries: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)
