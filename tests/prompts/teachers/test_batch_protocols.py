"""Batch modes of both providers through their real clients: files, jobs, lists and result lines."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from prompts.teachers.base import (
    BatchLine,
    Exchange,
    TeacherError,
    TeacherRequest,
    TeacherRequestError,
)
from prompts.teachers.batches import BatchLimits, BatchRun
from prompts.teachers.cache import TeacherCache
from prompts.teachers.gemini_batch import read_line as read_gemini_line
from prompts.teachers.openai_batch import read_line as read_openai_line
from prompts.teachers.prompt_files import Prompt
from tests.prompts.teachers.fault_plan import ALL_FAULTS, FaultPlan
from tests.prompts.teachers.fault_server import FaultServer
from tests.prompts.teachers.wire import KEY, PROTOCOLS, Wire, make, served

SCHEMA = '{"type":"object","properties":{"text":{"type":"string"}}}'
PROMPT = Prompt("narrative-v0", "Write.", SCHEMA, "0123456789abcdef")
TEACHER = "provider:model"


def lines_of(n: int) -> list[BatchLine]:
    payload = {"page": {"key": "page"}}
    return [BatchLine(f"k{i}", TeacherRequest(PROMPT, payload, False, seed=i)) for i in range(n)]


def run_of(api: Any, poll_s: float = 0.01) -> BatchRun:
    limits = BatchLimits(
        max_lines=25, n_rounds=9, poll_s=poll_s, max_poll_s=2 * poll_s, find_s=0.01
    )
    return BatchRun(api, TeacherCache(None), "run", TEACHER, limits)


@pytest.mark.parametrize("provider", PROTOCOLS)
def test_under_all_faults_of_a_real_server_each_line_ends_once(
    test_key: str, provider: str
) -> None:
    faults = {name: dict(ALL_FAULTS[name]) for name in ("lines", "batches", "content")}
    faults["batches"] |= {"cut": 0.3, "expired": 0.3}
    with FaultServer(FaultPlan(seed=5, **faults)) as server:
        batch = make(provider, server.base_url(provider)).batch
        results = list(run_of(batch).results(lines_of(200)))
        counts = server.counts()
    assert Counter(r.key for r in results) == Counter({f"k{i}": 1 for i in range(200)})
    causes = Counter(getattr(r.result, "cause", "") for r in results)
    assert set(causes) <= {"", "refused", "truncated", "empty reply"}
    billed = [r.result if isinstance(r.result, Exchange) else r.result.exchange for r in results]
    assert sum(b.output_tokens for b in billed if b is not None) == counts["output_tokens"]
    assert counts["lines_charged_twice"] == 0
    names = [str(sorted(b["metadata"].items())) for b in counts["batches"]]
    assert len(set(names)) == len(names)
    assert {"batch cut", "batch expired", "line missing", "line duplicate"} <= set(counts["faults"])


@pytest.mark.parametrize("provider", PROTOCOLS)
def test_a_job_is_found_beyond_the_first_page_of_the_list(test_key: str, provider: str) -> None:
    with FaultServer() as server:
        batch = make(provider, server.base_url(provider)).batch
        assert batch is not None
        ids = [batch.submit(lines_of(1), {"run": "r", "part": f"p{i}"}) for i in range(103)]
        assert batch.find({"run": "r", "part": "p0"}) == ids[0]
        assert batch.find({"run": "r", "part": "p102"}) == ids[102]
        assert batch.find({"run": "other", "part": "p0"}) is None


def test_llmock_runs_openais_batch_files_and_jobs(test_key: str, llmock: Any) -> None:
    batch = make("openai", llmock.base_url("openai")).batch
    results = list(run_of(batch, poll_s=0.2).results(lines_of(5)))
    assert sorted(r.key for r in results) == [f"k{i}" for i in range(5)]
    assert all(isinstance(r.result, Exchange) and r.result.text for r in results)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"custom_id": 3, "key": null}'])
def test_lines_without_a_key_are_passed_over(text: str) -> None:
    assert read_openai_line(text, KEY) is None
    assert read_gemini_line(text.encode()) is None


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ('{"custom_id":"a","response":null,"error":{"code":"batch_expired"}}', "expired in batch"),
        ('{"custom_id":"a","response":null,"error":null}', "failed in batch"),
        ('{"custom_id":"a","response":{"status_code":429,"body":null}}', "status 429"),
        ('{"custom_id":"a","response":{"status_code":400,"body":{"error":{}}}}', "status 400"),
        ('{"custom_id":"a","response":{"status_code":200,"body":{}}}', "broken answer"),
    ],
)
def test_openai_error_lines_have_their_cause(line: str, cause: str) -> None:
    result = read_openai_line(line, KEY)
    assert result is not None
    assert isinstance(result.result, TeacherError)
    assert result.result.cause == cause


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ('{"key":"a","error":{"code":8,"message":"m"}}', "status 429"),
        ('{"key":"a","error":{"code":3,"message":"m"}}', "status 400"),
        ('{"key":"a","error":{"code":503}}', "status 503"),
        ('{"key":"a"}', "failed in batch"),
        ('{"key":"a","response":{"candidates":[]}}', "empty reply"),
    ],
)
def test_gemini_error_lines_have_their_cause(line: str, cause: str) -> None:
    result = read_gemini_line(line.encode())
    assert result is not None
    assert isinstance(result.result, TeacherError)
    assert result.result.cause == cause


@pytest.mark.parametrize("status", [400, 401, 429])
def test_an_error_line_shows_neither_key_nor_payload(status: int) -> None:
    said = {"code": f"bad {KEY}", "message": f"key {KEY}: {lines_of(1)[0].request.payload_text}"}
    answer = {"status_code": status, "body": {"error": said}}
    result = read_openai_line(json.dumps({"custom_id": "a", "response": answer}), KEY)
    assert result is not None
    assert str(result.result) == f"status {status}: bad ***"
    result = read_gemini_line(json.dumps({"key": "a", "error": said | {"code": status}}).encode())
    assert result is not None
    assert str(result.result) == f"status {status}: code {status}"


@pytest.mark.parametrize("provider", PROTOCOLS)
def test_a_rejected_file_shows_neither_key_nor_payload(test_key: str, provider: str) -> None:
    text = lines_of(1)[0].request.payload_text
    body = json.dumps(
        {"error": {"code": 400, "message": f"{KEY} {text}", "status": "BAD"}}
    ).encode()
    with served(Wire(status=400, body=body)) as wire:
        batch = make(provider, wire.base_url(provider)).batch
        with pytest.raises(TeacherRequestError) as caught:
            list(run_of(batch).results(lines_of(2)))
    assert caught.value.cause == "status 400"
    assert KEY not in str(caught.value)
    assert text not in str(caught.value)
