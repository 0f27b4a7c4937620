"""What the real clients send, over real sockets, and what the providers are."""

from __future__ import annotations

import asyncio
import json
from importlib import resources
from typing import Any

import pytest

from prompts.teachers.base import (
    BatchLine,
    Exchange,
    Repair,
    Task,
    TeacherBusyError,
    TeacherConfigError,
    TeacherError,
    TeacherRefusedError,
    TeacherRequest,
    TeacherRequestError,
)
from prompts.teachers.gemini_batch import request_body
from prompts.teachers.openai_chat import chat_body
from prompts.teachers.prices import price_of
from prompts.teachers.prompt_files import load_prompt
from prompts.teachers.registry import PROVIDERS, make_gateway, read_settings
from prompts.teachers.settings import GeminiSettings
from tests.prompts.teachers.fault_plan import FaultPlan
from tests.prompts.teachers.fault_server import FaultServer
from tests.prompts.teachers.wire import (
    HOSTED,
    PROTOCOLS,
    Wire,
    base_of,
    gemini_answer,
    make,
    openai_answer,
    send,
    served,
    values_of,
)


@pytest.mark.parametrize("provider", HOSTED)
def test_real_client_gets_json_of_the_schema(
    llmock: Any, request_: TeacherRequest, provider: str
) -> None:
    exchange = send(make(provider, base_of(llmock, provider)), request_)
    assert list(json.loads(exchange.text)) == ["sentences"]
    assert exchange.input_tokens > 0
    assert exchange.output_tokens > 0


def plain(sent: dict[str, Any]) -> dict[str, Any]:
    """Return a Gemini body with the one name the client leaves in snake case as it is documented."""
    thinking = sent["generationConfig"]["thinkingConfig"]
    thinking["thinkingBudget"] = thinking.pop("thinking_budget")
    return sent


@pytest.mark.parametrize("provider", PROTOCOLS)
def test_prompt_payload_settings_and_key_are_sent_and_nothing_else(
    request_: TeacherRequest, provider: str
) -> None:
    with served(Wire(body=b"{}")) as wire:
        with pytest.raises(TeacherError):
            send(make(provider, wire.base_url(provider)), request_)
        ((_, headers, sent),) = wire.seen
    assert headers["idempotency-key"] == "key-1"
    settings: Any = read_settings(values_of(provider, "http://x"))
    if provider == "openai":
        assert sent == chat_body(settings, request_)
        assert [m["content"] for m in sent["messages"]] == [
            request_.prompt.system,
            request_.payload_text,
        ]
        assert sent["response_format"]["json_schema"]["strict"] is True
        assert sent["response_format"]["json_schema"]["schema"] == request_.prompt.schema
    else:
        assert plain(sent) == request_body(settings, BatchLine("k", request_))
        assert sent["contents"] == [{"role": "user", "parts": [{"text": request_.payload_text}]}]
        assert sent["generationConfig"]["responseJsonSchema"] == request_.prompt.schema
    text = json.dumps(sent)
    assert not [w for w in ("seg-0", "rec-a", "subj-a", "planted", "f-", "j-") if f'\\"{w}' in text]


@pytest.mark.parametrize("provider", PROTOCOLS)
def test_repair_adds_the_earlier_reply_and_the_complaint(
    request_: TeacherRequest, provider: str
) -> None:
    repair = Repair('{"sentences": []}', "The second sentence names F3; no fact does.")
    with served(Wire(body=b"{}")) as wire:
        with pytest.raises(TeacherError):
            send(make(provider, wire.base_url(provider)), request_, repair=repair,
                 max_output_tokens=4000)  # fmt: skip
        ((_, _, sent),) = wire.seen
    settings: Any = read_settings(values_of(provider, "http://x"))
    if provider == "openai":
        assert sent == chat_body(settings, request_, repair, 4000)
        assert sent["max_completion_tokens"] == 4000
        turns = [(m["role"], m["content"]) for m in sent["messages"][1:]]
    else:
        assert plain(sent) == request_body(settings, BatchLine("k", request_, repair, 4000))
        assert sent["generationConfig"]["maxOutputTokens"] == 4000
        turns = [(t["role"], t["parts"][0]["text"]) for t in sent["contents"]]
    assert turns[0] == ("user", request_.payload_text)
    assert turns[1] == ("assistant" if provider == "openai" else "model", repair.previous_text)
    assert turns[2][0] == "user"
    assert repair.complaint in turns[2][1]


@pytest.mark.parametrize("provider", PROTOCOLS)
def test_tokens_cached_tokens_reasoning_and_model_are_read(
    request_: TeacherRequest, provider: str
) -> None:
    answer = openai_answer("{}") if provider == "openai" else gemini_answer("{}")
    headers = {"X-RateLimit-Remaining-Requests": "99", "x-other": "1"}
    with served(Wire(body=json.dumps(answer).encode(), headers=headers)) as wire:
        exchange = send(make(provider, wire.base_url(provider)), request_)
    model = "gpt-4.1-2025-04-14" if provider == "openai" else "gemini-2.5-flash-002"
    rates = {"x-ratelimit-remaining-requests": "99"}
    assert exchange == Exchange("{}", 900, 300, 512, model, rates)


@pytest.mark.parametrize("fault", ["reset", "drop", "lost", "stall", "502_html", "429_after"])
@pytest.mark.parametrize("provider", PROTOCOLS)
def test_transport_faults_are_busy_and_the_same_key_is_charged_once(
    request_: TeacherRequest, provider: str, fault: str
) -> None:
    with FaultServer(FaultPlan(transport={fault: 1.0}, max_faults=1, stall_s=30.0)) as server:
        teacher = make(provider, server.base_url(provider), timeout_s=0.7)
        with pytest.raises(TeacherBusyError) as caught:
            send(teacher, request_)
        assert caught.value.is_possibly_paid == (fault not in {"502_html", "429_after"})
        assert json.loads(send(teacher, request_).text)
        counts = server.counts()
    assert (counts["arrived"], counts["charged"], counts["unkeyed"]) == (2, 1, 0)


@pytest.mark.parametrize("provider", PROTOCOLS)
def test_many_requests_share_one_loop_and_a_second_loop_works(
    request_: TeacherRequest, provider: str
) -> None:
    with FaultServer(FaultPlan(latency_s=0.1)) as server:
        teacher = make(provider, server.base_url(provider))

        async def many() -> None:
            sends = [
                teacher.send(request_, repair=None, idempotency_key=f"k{i}") for i in range(120)
            ]
            assert len(await asyncio.gather(*sends)) == 120
            await teacher.aclose()

        asyncio.run(many())
        asyncio.run(many())
        counts = server.counts()
    assert counts["charged"] == 120
    assert counts["max_in_flight"] > 100


@pytest.mark.parametrize("provider", HOSTED)
def test_what_shapes_a_reply_is_in_its_sampling_text(test_key: str, provider: str) -> None:
    changes: list[dict[str, Any]] = [{}, {"temperature": 0.1}, {"max_output_tokens": 99}]
    if provider == "gemini":
        changes.append({"thinking_budget": 256})
    texts = {make(provider, "http://x/v1", **change).sampling for change in changes}
    assert len(texts) == len(changes)
    same = make(provider, "http://x/v1", timeout_s=9.0, max_usd=3.0, mode="batch").sampling
    assert same in texts


def test_names_limits_and_walls(test_key: str) -> None:
    openai, gemini = make("openai", "http://x/v1"), make("gemini", "http://x", thinking_budget=300)
    local = make("openai_compatible", "http://x/v1", is_local=True, api_key_env=None)
    assert openai.teacher_id == "openai:gpt-4.1"
    assert gemini.teacher_id == f"gemini:{GeminiSettings().model}"
    assert local.teacher_id == "openai_compatible:local-model"
    assert (openai.is_inside, gemini.is_inside, local.is_inside) == (False, False, True)
    assert (openai.max_output_tokens, openai.reasoning_tokens) == (1024, 0)
    assert (gemini.max_output_tokens, gemini.reasoning_tokens) == (1024, 300)
    assert not any(p.is_offline for p in (openai, gemini, local))


@pytest.mark.parametrize("provider", PROTOCOLS)
def test_gated_rows_are_refused_before_sending(
    llmock: Any, request_: TeacherRequest, provider: str
) -> None:
    gated = TeacherRequest(request_.prompt, request_.payload, is_gated=True)
    values = values_of(provider, base_of(llmock, provider))
    with make_gateway(values, None) as gateway, pytest.raises(TeacherRefusedError, match="gated"):
        list(gateway.outcomes([task_of(gated)]))
    assert llmock.requests == []


def test_local_server_may_see_gated_rows(llmock: Any, request_: TeacherRequest) -> None:
    gated = TeacherRequest(request_.prompt, request_.payload, is_gated=True)
    values = values_of("openai_compatible", base_of(llmock, "openai"), is_local=True)
    with make_gateway(values, None) as gateway:
        (outcome,) = gateway.outcomes([task_of(gated)])
    assert outcome.reply is not None
    assert outcome.cost_usd == 0


def task_of(request: TeacherRequest) -> Task:
    return Task(request, lambda data: "", "tag")


def test_unset_key_names_the_variable_and_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(TeacherConfigError, match=r"OPENAI_API_KEY is not set.*template"):
        make_gateway({"provider": "openai"}, None)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"provider": "openai", "api_key": "sk"}, "api_key"),
        ({"provider": "oracle"}, "template, openai, openai_compatible, gemini"),
        ({"provider": "gemini", "temperature": 9}, "temperature"),
        ({"provider": "openai_compatible", "base_url": "http://x"}, "model"),
    ],
    ids=["key in settings", "unknown provider", "out of bounds", "missing model"],
)
def test_bad_settings_name_the_field(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(TeacherConfigError, match=named):
        read_settings(settings)


def test_unknown_price_is_refused() -> None:
    with pytest.raises(TeacherConfigError, match="no price is known"):
        price_of("model-of-tomorrow", None, None)
    assert price_of("model-of-tomorrow", 1.0, 2.0).cost(1_000_000, 500_000) == 2.0


def test_template_teacher_is_deterministic_free_and_marked(request_: TeacherRequest) -> None:
    teacher = PROVIDERS["template"](None)
    assert (teacher.is_offline, teacher.is_inside, teacher.batch) == (True, True, None)
    assert teacher.teacher_id.startswith("template@")
    first, again = send(teacher, request_), send(teacher, request_)
    assert first == again
    assert (first.input_tokens, first.output_tokens) == (0, 0)
    assert json.loads(first.text)["sentences"]


def test_template_teacher_names_the_prompts_it_can_write(request_: TeacherRequest) -> None:
    sonnet = TeacherRequest(
        type(request_.prompt)("sonnet-v1", "", "{}", "h"), request_.payload, is_gated=False
    )
    with pytest.raises(TeacherRequestError, match="narrative, description, dialogue"):
        send(PROVIDERS["template"](None), sonnet)


def test_every_teacher_error_says_whether_to_retry() -> None:
    def family(cls: type[TeacherError]) -> list[type[TeacherError]]:
        return [cls, *(x for sub in cls.__subclasses__() for x in family(sub))]

    verdicts = {cls.__name__: cls.is_retryable for cls in family(TeacherError)}
    assert verdicts["TeacherBusyError"]
    assert verdicts["TeacherTruncatedError"]
    assert not verdicts["BudgetExceededError"]
    assert not verdicts["TeacherRefusedError"]
    assert not verdicts["TeacherBatchError"]


def schema_names() -> list[str]:
    names = [f.name for f in (resources.files("prompts") / "templates").iterdir()]
    return sorted(n.removesuffix(".schema.json") for n in names if n.endswith(".schema.json"))


@pytest.mark.parametrize("name", schema_names())
def test_prompt_schemas_are_strict(name: str) -> None:
    def objects(schema: Any) -> list[dict[str, Any]]:
        if isinstance(schema, dict):
            inner = [o for value in schema.values() for o in objects(value)]
            return [schema, *inner] if schema.get("type") == "object" else inner
        return []

    for schema in objects(load_prompt(name).schema):
        assert schema["additionalProperties"] is False
        assert sorted(schema["required"]) == sorted(schema["properties"])
