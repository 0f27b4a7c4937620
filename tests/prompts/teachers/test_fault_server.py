"""The fault server is itself to be trusted: the providers' real clients against it, unfaulted and not."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import google.genai as genai
import httpx2
import openai
import pytest
from google.genai import types

from tests.prompts.teachers.fault_plan import CONTENT, LINES, TRANSPORT, FaultPlan
from tests.prompts.teachers.fault_server import FaultServer

SCHEMA = {
    "type": "object",
    "properties": {
        "sentences": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "text": {"type": "string"},
                    "facts": {"type": "array", "items": {"type": "string"}},
                    "side": {"type": "string", "enum": ["left", "right"]},
                },
            },
        }
    },
}
PROVIDERS = ("openai", "gemini")
CLIENT_ERRORS = (openai.APIError, genai.errors.APIError, httpx2.TransportError)


@contextmanager
def client_of(server: FaultServer, provider: str, timeout_s: float = 10) -> Iterator[Any]:
    if provider == "openai":
        with openai.OpenAI(
            api_key="k", base_url=server.openai_url, max_retries=0, timeout=timeout_s
        ) as client:
            yield client
        return
    options = types.HttpOptions(
        base_url=server.url, api_version="v1beta", timeout=int(timeout_s * 1000)
    )
    client = genai.Client(vertexai=False, api_key="k", http_options=options)
    yield client
    client.close()


def ask(client: Any, text: str, key: str = "", limit: int = 300) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    if isinstance(client, openai.OpenAI):
        return client.chat.completions.create(
            model="m",
            messages=[{"role": "system", "content": "s"}, {"role": "user", "content": text}],
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": SCHEMA, "strict": True},
            },
            max_completion_tokens=limit,
            extra_headers=headers,
        )
    return client.models.generate_content(
        model="m",
        contents=text,
        config=types.GenerateContentConfig(
            system_instruction="s",
            response_mime_type="application/json",
            response_json_schema=SCHEMA,
            max_output_tokens=limit,
            http_options=types.HttpOptions(headers=headers),
        ),
    )


def text_of(reply: Any) -> str:
    return reply.text if hasattr(reply, "candidates") else reply.choices[0].message.content


def tokens_of(reply: Any) -> tuple[int, int]:
    if hasattr(reply, "candidates"):
        used = reply.usage_metadata
        return used.prompt_token_count, used.candidates_token_count or 0
    return reply.usage.prompt_tokens, reply.usage.completion_tokens


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_reply_fits_the_schema_echoes_keys_and_is_charged(provider: str) -> None:
    with FaultServer() as server, client_of(server, provider) as client:
        reply = ask(client, '{"findings":[{"key":"f7"}]}')
        counts = server.counts()
    (first, *_) = json.loads(text_of(reply))["sentences"]
    assert set(first) == {"text", "facts", "side"}
    assert set(first["facts"]) == {"f7"}
    assert first["side"] in {"left", "right"}
    n_in, n_out = tokens_of(reply)
    assert (counts["charged"], counts["input_tokens"], counts["output_tokens"]) == (1, n_in, n_out)
    assert counts["usd"] == pytest.approx((n_in + 4 * n_out) / 1e6)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_repeated_key_is_answered_alike_and_charged_once(provider: str) -> None:
    with FaultServer() as server, client_of(server, provider) as client:
        first, second = ask(client, "{}", "key-1"), ask(client, "{}", "key-1")
        assert text_of(first) == text_of(second)
        ask(client, "{}", "key-2")
        counts = server.counts()
        assert (counts["charged"], counts["replayed"], counts["charged_twice"]) == (2, 1, 1)
        with pytest.raises((openai.BadRequestError, genai.errors.ClientError)):
            ask(client, '{"a":1}', "key-1")
        assert server.counts()["conflicts"] == 1


@pytest.mark.parametrize("fault", TRANSPORT)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_transport_fault_hits_the_real_client_and_passes(provider: str, fault: str) -> None:
    plan = FaultPlan(transport={fault: 1.0}, max_faults=1, drip_s=0.2)
    is_charged = fault in {"reset", "lost", "stall", "drip"}
    with FaultServer(plan) as server, client_of(server, provider, 0.6) as client:
        if fault == "drip":
            assert json.loads(text_of(ask(client, "{}", "key")))
        else:
            with pytest.raises(CLIENT_ERRORS):
                ask(client, "{}", "key")
        assert server.counts()["charged"] == is_charged
        assert json.loads(text_of(ask(client, "{}", "key")))
        counts = server.counts()
    assert counts["charged"] == 1
    assert counts["replayed"] == is_charged
    assert counts["faults"][fault] == 1


def test_hints_to_wait_are_given_and_coming_early_is_counted() -> None:
    plan = FaultPlan(transport={"429_after": 1.0}, max_faults=1, retry_after_s=0.3)
    with FaultServer(plan) as server:
        with client_of(server, "openai") as client:
            with pytest.raises(openai.RateLimitError) as caught:
                ask(client, "{}")
            assert caught.value.response.headers["retry-after"] == "0.3"
            ask(client, "{}")
        with client_of(server, "gemini") as client:
            with pytest.raises(genai.errors.ClientError) as refused:
                ask(client, "{}")
            assert "'retryDelay': '0.3s'" in str(refused.value)
            time.sleep(0.3)
            ask(client, "{}")
        assert server.counts()["early"] == 1


@pytest.mark.parametrize("fault", CONTENT)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_content_fault_has_the_providers_own_form(provider: str, fault: str) -> None:
    with (
        FaultServer(FaultPlan(content={fault: 1.0})) as server,
        client_of(server, provider) as client,
    ):
        reply = ask(client, "{}")
        assert server.counts()["output_tokens"] == tokens_of(reply)[1]
    if provider == "openai":
        choice = reply.choices[0] if reply.choices else None
        finish = choice.finish_reason if choice else "none"
        is_refused = choice is not None and choice.message.refusal is not None
    else:
        candidate = reply.candidates[0] if reply.candidates else None
        finish = candidate.finish_reason.name if candidate else "none"
        is_refused = reply.prompt_feedback is not None or finish == "SAFETY"
    if fault in {"refusal", "filter"}:
        assert is_refused or finish == "content_filter"
    elif fault == "truncated":
        assert finish in {"length", "MAX_TOKENS"}
        assert tokens_of(reply)[1] == 300
    elif fault == "empty":
        assert finish == "none"
    elif fault == "invalid_json":
        with pytest.raises(ValueError, match=r"."):
            json.loads(text_of(reply))
    elif fault == "other_schema":
        assert "sentences" not in json.loads(text_of(reply))
    else:
        assert json.loads(text_of(reply))["sentences"][0]["text"].startswith("Unsupported ")


def chat_body(text: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


def openai_batch(client: openai.OpenAI, keys: list[str], metadata: dict[str, str]) -> str:
    lines = [
        {"custom_id": k, "method": "POST", "url": "/v1/chat/completions", "body": chat_body(k)}
        for k in keys
    ]
    data = "\n".join(json.dumps(line) for line in lines).encode()
    file = client.files.create(file=("b.jsonl", data), purpose="batch")
    return client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata=metadata,
    ).id


def openai_lines(client: openai.OpenAI, name: str | None) -> list[dict[str, Any]]:
    return [json.loads(t) for t in client.files.content(name).text.splitlines()] if name else []


KEYS = [f"line-{i}" for i in range(40)]


def test_openai_batch_runs_and_costs_half() -> None:
    with (
        FaultServer(FaultPlan(batch_s=0.2)) as server,
        client_of(server, "openai") as client,
    ):
        job = client.batches.retrieve(openai_batch(client, KEYS, {"run": "r1"}))
        assert (job.status, job.output_file_id) == ("in_progress", None)
        time.sleep(0.25)
        job = client.batches.retrieve(job.id)
        assert (job.status, job.metadata) == ("completed", {"run": "r1"})
        lines = openai_lines(client, job.output_file_id)
        counts = server.counts()
    assert [line["custom_id"] for line in lines] == KEYS
    used = [line["response"]["body"]["usage"] for line in lines]
    full = sum(u["prompt_tokens"] + 4 * u["completion_tokens"] for u in used) / 1e6
    assert counts["usd"] == pytest.approx(full / 2)
    assert counts["lines_charged_twice"] == 0


@pytest.mark.parametrize("fault", LINES)
def test_openai_batch_lines_go_wrong(fault: str) -> None:
    plan = FaultPlan(lines={fault: 0.3}, batches={"reorder": 1.0})
    with FaultServer(plan) as server, client_of(server, "openai") as client:
        job = client.batches.retrieve(openai_batch(client, KEYS, {}))
        good = [e["custom_id"] for e in openai_lines(client, job.output_file_id)]
        bad = [e["custom_id"] for e in openai_lines(client, job.error_file_id)]
        n = server.counts()["faults"][f"line {fault}"]
    assert 0 < n < 40
    assert good != sorted(good, key=KEYS.index)
    assert len(good) == len(KEYS) + (n if fault == "duplicate" else -n)
    assert len(bad) == (n if fault == "error" else 0)


def test_openai_batch_expires_with_part_of_its_results() -> None:
    with (
        FaultServer(FaultPlan(batches={"expired": 1.0})) as server,
        client_of(server, "openai") as client,
    ):
        job = client.batches.retrieve(openai_batch(client, KEYS, {}))
        good, bad = (openai_lines(client, f) for f in (job.output_file_id, job.error_file_id))
        assert job.status == "expired"
        assert server.counts()["charged"] == len(good) == 20
    assert {e["error"]["code"] for e in bad} == {"batch_expired"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_batch_whose_creation_was_cut_is_in_the_list(provider: str) -> None:
    plan = FaultPlan(batches={"cut": 1.0}, max_faults=1)
    with FaultServer(plan) as server, client_of(server, provider) as client:
        create = openai_batch if provider == "openai" else gemini_batch
        for i in range(26):
            with pytest.raises((openai.APIConnectionError, httpx2.TransportError)):
                create(client, [f"line-{i}"], {"run": f"run-{i}"})
        jobs = list(client.batches.list())
    names = [j.metadata["run"] if provider == "openai" else j.display_name for j in jobs]
    assert names == [f"run-{i}" for i in reversed(range(26))]


def gemini_batch(client: genai.Client, keys: list[str], metadata: dict[str, str]) -> str:
    requests = [
        types.InlinedRequest(contents=k, metadata={"key": k}, config={"max_output_tokens": 50})
        for k in keys
    ]
    config = types.CreateBatchJobConfig(display_name=metadata["run"])
    return client.batches.create(model="m", src=requests, config=config).name


def gemini_file_batch(client: genai.Client, keys: list[str], metadata: dict[str, str]) -> str:
    lines = [
        {"key": k, "request": {"contents": [{"parts": [{"text": k}]}],
                               "generation_config": {"max_output_tokens": 50}}}
        for k in keys
    ]  # fmt: skip
    data = io.BytesIO("\n".join(map(json.dumps, lines)).encode())
    file = client.files.upload(file=data, config=types.UploadFileConfig(mime_type="jsonl"))
    config = types.CreateBatchJobConfig(display_name=metadata["run"])
    return client.batches.create(model="m", src=file.name, config=config).name


@pytest.mark.parametrize("create", [gemini_batch, gemini_file_batch], ids=["inline", "file"])
def test_gemini_batch_runs_with_wrong_lines(create: Callable[..., str]) -> None:
    plan = FaultPlan(lines=dict.fromkeys(LINES, 0.2), batch_s=0.2)
    with FaultServer(plan) as server, client_of(server, "gemini") as client:
        job = client.batches.get(name=create(client, KEYS, {"run": "r2"}))
        assert job.state.name == "JOB_STATE_RUNNING"
        time.sleep(0.25)
        job = client.batches.get(name=job.name)
        assert (job.state.name, job.display_name) == ("JOB_STATE_SUCCEEDED", "r2")
        if create is gemini_batch:
            answers = job.dest.inlined_responses
            keys = [a.metadata["key"] for a in answers]
            n_bad = sum(a.error is not None for a in answers)
        else:
            text = client.files.download(file=job.dest.file_name).decode()
            lines = [json.loads(t) for t in text.splitlines()]
            keys, n_bad = [e["key"] for e in lines], sum("error" in e for e in lines)
        faults = server.counts()["faults"]
    assert n_bad == faults["line error"] > 0
    assert len(keys) == 40 + faults["line duplicate"] - faults["line missing"]
    assert len(set(keys)) == 40 - faults["line missing"]


def test_an_expired_gemini_batch_has_no_results_and_costs_nothing() -> None:
    with (
        FaultServer(FaultPlan(batches={"expired": 1.0})) as server,
        client_of(server, "gemini") as client,
    ):
        job = client.batches.get(name=gemini_batch(client, KEYS, {"run": "r"}))
        assert (job.state.name, job.dest) == ("JOB_STATE_EXPIRED", None)
        assert server.counts()["charged"] == 0


def test_two_hundred_kept_alive_connections_are_served_at_once() -> None:
    body = json.dumps(chat_body("{}")).encode()

    async def twice(i: int, url: str, barrier: asyncio.Barrier) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
        for target in (b"GET /counts", b"POST /v1/chat/completions"):
            sent = body if b"POST" in target else b""
            await barrier.wait()
            writer.write(
                target + b" HTTP/1.1\r\nidempotency-key: k%d\r\n" % i
                + b"content-length: %d\r\n\r\n" % len(sent) + sent
            )  # fmt: skip
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith("HTTP/1.1 200 ")
            await reader.readexactly(int(head.split("content-length: ")[1].split("\r")[0]))
        writer.close()

    async def all_of_them(url: str) -> None:
        barrier = asyncio.Barrier(200)
        await asyncio.gather(*(twice(i, url, barrier) for i in range(200)))

    with FaultServer(FaultPlan(latency_s=1.0)) as server:
        asyncio.run(all_of_them(server.url))
        counts = server.counts()
    assert counts["max_in_flight"] == 200
    assert counts["charged"] == 200


def test_it_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "tests.prompts.teachers.fault_server", "--plan", "all"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as program:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        assert httpx2.get(f"{url}/counts", trust_env=False).json()["charged"] == 0
        program.kill()


def test_the_same_seed_gives_the_same_world_in_any_order() -> None:
    plan = FaultPlan(seed=3, content=dict.fromkeys(CONTENT, 0.1))
    texts = [str(i) for i in range(30)]
    seen = []
    for order in (texts, texts[::-1]):
        with FaultServer(plan) as server, client_of(server, "openai") as client:
            seen.append({t: ask(client, t).model_dump_json() for t in order})
    assert seen[0] == seen[1]
    assert len(set(seen[0].values())) > 10
