"""Pictures and plain answers on the wire, as the real clients send and read them over sockets."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from prompts.teachers.account import OVERHEAD_TOKENS
from prompts.teachers.base import (
    Exchange,
    TeacherMalformedError,
    TeacherRefusedError,
    TeacherRequest,
)
from prompts.teachers.pictures import IMAGE_TOKENS, Picture, bare_png, framed
from prompts.teachers.prompt_files import Prompt
from prompts.teachers.registry import make_gateway
from tests.prompts.teachers.fault_plan import FaultPlan
from tests.prompts.teachers.fault_server import FaultServer
from tests.prompts.teachers.wire import (
    HOSTED,
    KEY,
    KEY_ENV,
    Wire,
    base_of,
    gemini_answer,
    make,
    openai_answer,
    send,
    served,
    values_of,
)

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
WORDS = "Which band leads?\nA. alpha\nB. theta\nAnswer with the letter of the right option."


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, KEY)


def request_of(*pictures: Picture) -> TeacherRequest:
    prompt = Prompt("model-under-test-v1", WORDS, "", "0123456789abcdef")
    return TeacherRequest(prompt, {}, is_gated=False, pictures=pictures)


def answer_of(provider: str, text: str) -> bytes:
    body: Any = gemini_answer(text) if provider == "gemini" else openai_answer(text)
    return body if isinstance(body, bytes) else json.dumps(body).encode()


@pytest.mark.parametrize("provider", HOSTED)
def test_a_picture_is_sent_as_documented_and_nothing_else_is(provider: str) -> None:
    wire = Wire(body=answer_of(provider, "B"))
    with served(wire):
        provider_ = make(provider, wire.base_url(provider), top_logprobs=4, temperature=None)
        exchange = send(provider_, request_of(Picture(PNG)))
    assert json.loads(exchange.text)["text"] == "B"
    sent = wire.seen[0][2]
    if provider == "gemini":
        picture, words = sent["contents"][0]["parts"]
        data = (picture.get("inlineData") or picture["inline_data"])["data"]
        assert base64.urlsafe_b64decode(data) == PNG
        assert words == {"text": WORDS}
        assert "systemInstruction" not in sent
        config = sent["generationConfig"]
        assert (config["responseLogprobs"], config["logprobs"]) == (True, 4)
        assert not {"responseJsonSchema", "responseMimeType", "temperature"} & set(config)
    else:
        (turn,) = sent["messages"]
        picture, words = turn["content"]
        url = picture["image_url"]["url"]
        assert (turn["role"], picture["type"]) == ("user", "image_url")
        assert url == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
        assert words == {"type": "text", "text": WORDS}
        assert (sent["logprobs"], sent["top_logprobs"]) == (True, 4)
        assert not {"response_format", "temperature"} & set(sent)


@pytest.mark.parametrize("provider", HOSTED)
def test_a_server_that_is_none_of_ours_takes_a_picture(llmock: Any, provider: str) -> None:
    exchange = send(make(provider, base_of(llmock, provider)), request_of(Picture(PNG)))
    data = json.loads(exchange.text)
    assert data["text"]
    assert data["first_token"] == {}


@pytest.mark.parametrize("provider", HOSTED)
def test_words_alone_and_candidates_of_the_first_token(provider: str) -> None:
    with FaultServer() as server:
        made = make(provider, server.base_url(provider), top_logprobs=2, model="m")
        data = json.loads(send(made, request_of()).text)
    assert data["text"] in {"A", "B"}
    assert set(data["first_token"]) == {"A", "B"}
    assert max(data["first_token"], key=data["first_token"].__getitem__) == data["text"]


@pytest.mark.parametrize("provider", HOSTED)
@pytest.mark.parametrize(
    ("fault", "error"), [("refusal", TeacherRefusedError), ("empty", TeacherMalformedError)]
)
def test_no_answer_is_told_with_what_was_billed(
    provider: str, fault: str, error: type[Exception]
) -> None:
    with FaultServer(FaultPlan(content={fault: 1.0})) as server:
        made = make(provider, server.base_url(provider), model="m")
        with pytest.raises(error) as caught:
            send(made, request_of(Picture(PNG)))
    exchange: Exchange = caught.value.exchange  # type: ignore[attr-defined]
    assert exchange.input_tokens > 0


@pytest.mark.parametrize("provider", HOSTED)
def test_an_answer_that_ends_at_its_limit_stands(provider: str) -> None:
    with FaultServer(FaultPlan(content={"truncated": 1.0})) as server:
        made = make(provider, server.base_url(provider), model="m")
        assert json.loads(send(made, request_of(Picture(PNG))).text)["text"] in {"A", "B"}


def test_the_spend_cap_counts_on_the_most_a_picture_can_cost() -> None:
    values = values_of("openai_compatible", "http://127.0.0.1:9/v1", is_local=True)
    values.pop("api_key_env")
    with make_gateway(values, None) as gateway:
        bare, shown, dear = (
            gateway.estimate([request_of(*pictures)]).input_tokens
            for pictures in ((), (Picture(PNG),), (Picture(PNG, 50_000),))
        )
    assert bare == len(WORDS.encode()) + len(b"{}") + OVERHEAD_TOKENS
    assert (shown - bare, dear - bare) == (IMAGE_TOKENS, 50_000)


def test_only_numbers_stand_beside_an_answer() -> None:
    data = json.loads(framed("B", {"B": -0.5, "A": float("-inf"), "C": 7.0}))
    assert data == {"text": "B", "first_token": {"B": -0.5, "C": 0.0}}


def test_a_bare_picture_is_left_as_it_is() -> None:
    assert bare_png(PNG) == PNG
