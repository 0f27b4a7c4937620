"""The real clients against a real local server over HTTP."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from prompts.facts import PageFacts
from prompts.narratives import narrative_request, narrative_rows, narrative_template
from prompts.teachers.base import (
    BudgetExceededError,
    Teacher,
    TeacherBusyError,
    TeacherConfigError,
    TeacherError,
    TeacherMalformedError,
    TeacherRefusedError,
    TeacherRequest,
    TeacherRequestError,
)
from prompts.teachers.payload import PayloadError, assert_payload_is_clean
from prompts.teachers.prices import Budget, price_of
from prompts.teachers.prompt_files import load_prompt
from prompts.teachers.registry import make_teacher, read_settings

KEY = "sk-secret-0123456789abcdef"
PROVIDERS = ["openai", "gemini", "openai_compatible"]

Make = Callable[..., Teacher]


@pytest.fixture
def make(llmock: Any, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("NEUROGLOSS_TEST_KEY", KEY)

    def build(provider: str, **changes: Any) -> Teacher:
        settings: dict[str, Any] = {
            "provider": provider,
            "api_key_env": "NEUROGLOSS_TEST_KEY",
            "base_url": llmock.base_url("gemini" if provider == "gemini" else "openai"),
            "timeout_s": 20.0,
            "max_attempts": 3,
        }
        if provider == "gemini":
            settings["api_version"] = "v1beta"
        if provider == "openai_compatible":
            settings["model"] = "local-model"
        return make_teacher(settings | changes)

    return build


@pytest.fixture
def request_of(plant: Callable[..., PageFacts]) -> Callable[..., TeacherRequest]:
    def build(*, is_gated: bool = False) -> TeacherRequest:
        facts = plant()
        return narrative_request(narrative_template(facts), facts, is_gated=is_gated, seed=1)

    return build


@pytest.mark.parametrize("provider", PROVIDERS)
def test_real_client_gets_json_of_the_schema(
    make: Make, request_of: Callable[..., TeacherRequest], provider: str
) -> None:
    reply = make(provider).complete(request_of())
    assert list(reply.data) == ["sentences"]
    assert reply.input_tokens > 0
    assert reply.output_tokens > 0
    assert (reply.cost_usd > 0) == (provider != "openai_compatible")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_only_the_prompt_and_the_payload_are_sent(
    make: Make, request_of: Callable[..., TeacherRequest], llmock: Any, provider: str
) -> None:
    request = request_of()
    make(provider).complete(request)
    sent = json.dumps(llmock.last_request.body, ensure_ascii=False)
    assert json.dumps(request.payload_text)[1:-1] in sent
    for private in ("seg-0", "rec-a", "subj-a", "planted", "f-", "j-"):
        assert f'"{private}' not in request.payload_text


@pytest.mark.parametrize("provider", PROVIDERS)
def test_rate_limit_is_retried_and_then_answered(
    make: Make, request_of: Callable[..., TeacherRequest], llmock: Any, provider: str
) -> None:
    llmock.rate_limit(times=1, retry_after=0.1)
    assert make(provider).complete(request_of()).data
    assert len(llmock.requests) == 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_lasting_rate_limit_is_retryable(
    make: Make, request_of: Callable[..., TeacherRequest], llmock: Any, provider: str
) -> None:
    llmock.rate_limit(times=None, retry_after=0.05)
    with pytest.raises(TeacherBusyError) as caught:
        make(provider, max_attempts=2).complete(request_of())
    assert caught.value.is_retryable
    assert caught.value.cause == "status 429"
    assert len(llmock.requests) == 2


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_rejected_request_is_permanent_and_never_shows_the_key(
    make: Make,
    request_of: Callable[..., TeacherRequest],
    llmock: Any,
    caplog: pytest.LogCaptureFixture,
    provider: str,
    status: int,
) -> None:
    llmock.fail(status, times=None)
    with (
        caplog.at_level(logging.DEBUG, logger="prompts"),
        pytest.raises(TeacherRequestError) as caught,
    ):
        make(provider).complete(request_of())
    assert not caught.value.is_retryable
    assert caught.value.cause == f"status {status}"
    assert caught.value.__cause__ is None
    assert KEY not in str(caught.value) + caplog.text
    assert len(llmock.requests) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_malformed_json_is_told(
    make: Make, request_of: Callable[..., TeacherRequest], llmock: Any, provider: str
) -> None:
    llmock.reply('{"sentences": [')
    with pytest.raises(TeacherMalformedError, match="no JSON"):
        make(provider).complete(request_of())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_server_is_retryable(
    make: Make, request_of: Callable[..., TeacherRequest], provider: str
) -> None:
    teacher = make(provider, base_url="http://127.0.0.1:9", max_attempts=1)
    with pytest.raises(TeacherBusyError, match="no connection"):
        teacher.complete(request_of())


@pytest.mark.parametrize("provider", ["openai", "gemini"])
def test_hosted_teacher_refuses_gated_rows_before_sending(
    make: Make, request_of: Callable[..., TeacherRequest], llmock: Any, provider: str
) -> None:
    with pytest.raises(TeacherRefusedError, match="gated"):
        make(provider).complete(request_of(is_gated=True))
    assert llmock.requests == []


def test_local_server_may_see_gated_rows(
    make: Make, request_of: Callable[..., TeacherRequest]
) -> None:
    assert make("openai_compatible", is_local=True).complete(request_of(is_gated=True)).data
    with pytest.raises(TeacherRefusedError):
        make("openai_compatible").complete(request_of(is_gated=True))


def test_spend_cap_stops_before_sending(
    make: Make, request_of: Callable[..., TeacherRequest], llmock: Any
) -> None:
    teacher = make("openai", max_usd=0.0001)
    with pytest.raises(BudgetExceededError, match=r"the cap is 0\.00 USD") as caught:
        teacher.complete(request_of())
    assert not caught.value.is_retryable
    assert llmock.requests == []


def test_estimate_is_an_upper_bound(make: Make, request_of: Callable[..., TeacherRequest]) -> None:
    teacher, request = make("openai"), request_of()
    bound = teacher.estimate([request, request])
    reply = teacher.complete(request)
    assert bound.n_requests == 2
    assert bound.usd >= 2 * reply.cost_usd
    assert bound.tokens >= 2 * (reply.input_tokens + reply.output_tokens)


def test_ungrounded_reply_drops_the_row_with_its_cause(
    make: Make, plant: Callable[..., PageFacts], llmock: Any
) -> None:
    said = {"text": "Sharp wave, maximum at T8, at 3.4 s.", "facts": ["f4"]}
    llmock.reply(json.dumps({"sentences": [said]}))
    (row,) = narrative_rows([(plant(), ())], make("openai"), is_gated=False)
    assert row["text"] == ""
    assert row["grounding"].startswith("contradicted")
    assert row["cost_usd"] > 0
    assert not row["is_offline_teacher"]


def test_reply_outside_the_schema_drops_the_row(
    make: Make, plant: Callable[..., PageFacts], llmock: Any
) -> None:
    llmock.reply('{"prose": "A page."}')
    (row,) = narrative_rows([(plant(), ())], make("gemini"), is_gated=False)
    assert row["grounding"] == "dropped: reply does not fit the schema (2 errors)"


def test_malformed_reply_drops_one_row_and_goes_on(
    make: Make, plant: Callable[..., PageFacts], llmock: Any
) -> None:
    llmock.reply("no json", times=1)
    pages = [(plant(segment_id="seg-1"), ()), (plant(segment_id="seg-2"), ())]
    first, second = narrative_rows(pages, make("openai"), is_gated=False)
    assert first["grounding"] == "dropped: malformed reply"
    assert second["output_tokens"] > 0


def test_lost_key_stops_the_asset(make: Make, plant: Callable[..., PageFacts], llmock: Any) -> None:
    llmock.fail(401, times=None)
    with pytest.raises(TeacherRequestError):
        list(narrative_rows([(plant(), ())], make("openai"), is_gated=False))


def test_unset_key_names_the_variable_and_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(TeacherConfigError, match=r"OPENAI_API_KEY is not set.*template"):
        make_teacher({"provider": "openai"})


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


def test_budget_counts_what_is_on_its_way() -> None:
    budget = Budget(1.0)
    budget.reserve(0.7)
    with pytest.raises(BudgetExceededError):
        budget.reserve(0.4)
    budget.settle(0.7, 0.1)
    budget.reserve(0.4)
    assert budget.committed_usd == pytest.approx(0.5)


@pytest.mark.parametrize(
    "payload",
    [
        {"page": {"key": "seg-01f3"}},
        {"page": {"stage": "Jane Doe"}},
        {"page": {"montage": "/data/S001/S001R01.edf"}},
        {"findings": [{"kind": "2009-01-01"}]},
        {"subject_id": "x"},
        {"page": {"n_rows": 20090101}},
        {"page": {"n_rows": float("nan")}},
    ],
    ids=["id", "name", "path", "date", "key", "long number", "nan"],
)
def test_payload_guard_lets_nothing_private_out(payload: dict[str, Any]) -> None:
    with pytest.raises(PayloadError) as caught:
        assert_payload_is_clean(payload)
    assert "Jane" not in str(caught.value)
    assert "S001" not in str(caught.value)


def test_template_teacher_is_deterministic_free_and_marked(
    request_of: Callable[..., TeacherRequest],
) -> None:
    teacher, request = make_teacher({"provider": "template"}), request_of(is_gated=True)
    assert teacher.is_offline
    assert teacher.teacher_id.startswith("template@")
    assert teacher.estimate([request]).usd == 0
    assert teacher.complete(request) == teacher.complete(request)


def test_every_teacher_error_says_whether_to_retry() -> None:
    def family(cls: type[TeacherError]) -> list[type[TeacherError]]:
        return [cls, *(x for sub in cls.__subclasses__() for x in family(sub))]

    verdicts = {cls.__name__: cls.is_retryable for cls in family(TeacherError)}
    assert verdicts["TeacherBusyError"]
    assert verdicts["TeacherTruncatedError"]
    assert not verdicts["BudgetExceededError"]
    assert not verdicts["TeacherRefusedError"]


@pytest.mark.parametrize("name", ["narrative-v1", "dialogue-v1"])
def test_prompt_schemas_are_strict(name: str) -> None:
    def objects(schema: Any) -> list[dict[str, Any]]:
        if isinstance(schema, dict):
            inner = [o for value in schema.values() for o in objects(value)]
            return [schema, *inner] if schema.get("type") == "object" else inner
        return []

    for schema in objects(load_prompt(name).schema):
        assert schema["additionalProperties"] is False
        assert sorted(schema["required"]) == sorted(schema["properties"])


def test_unknown_prompt_lists_those_that_exist() -> None:
    with pytest.raises(FileNotFoundError, match="dialogue-v1, narrative-v1"):
        load_prompt("sonnet-v1")
