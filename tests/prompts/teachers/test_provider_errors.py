"""What the providers make of every kind of answer, over real sockets."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from prompts.teachers.base import (
    TeacherBusyError,
    TeacherError,
    TeacherMalformedError,
    TeacherRefusedError,
    TeacherRequest,
    TeacherRequestError,
    TeacherTruncatedError,
)
from tests.prompts.teachers.wire import (
    HOSTED,
    KEY,
    PROTOCOLS,
    Wire,
    gemini_answer,
    make,
    openai_answer,
    send,
    served,
)

BLOCKED = {"candidates": [], "promptFeedback": {"blockReason": "SAFETY"}}


@pytest.mark.parametrize(
    ("provider", "answer", "error", "cause"),
    [
        ("openai", openai_answer("{", finish_reason="length"), TeacherTruncatedError, "truncated"),
        ("openai", openai_answer("", finish_reason="content_filter"), TeacherRefusedError, "refused"),
        ("openai", openai_answer(None, message={"refusal": "No."}), TeacherRefusedError, "refused"),
        ("openai", openai_answer(" "), TeacherMalformedError, "empty reply"),
        ("openai", openai_answer("{}") | {"choices": []}, TeacherMalformedError, "empty reply"),
        ("gemini", gemini_answer("{", "MAX_TOKENS"), TeacherTruncatedError, "truncated"),
        ("gemini", gemini_answer(None, "SAFETY"), TeacherRefusedError, "refused"),
        ("gemini", gemini_answer(None, "RECITATION"), TeacherRefusedError, "refused"),
        ("gemini", gemini_answer(None, "MODEL_ARMOR"), TeacherRefusedError, "refused"),
        ("gemini", gemini_answer(None) | BLOCKED, TeacherRefusedError, "refused"),
        ("gemini", gemini_answer("{", "MALFORMED_RESPONSE"), TeacherMalformedError, "malformed reply"),
        ("gemini", gemini_answer(""), TeacherMalformedError, "empty reply"),
        ("gemini", gemini_answer(None) | {"candidates": []}, TeacherMalformedError, "empty reply"),
    ],
)  # fmt: skip
def test_replies_that_may_not_stand_have_a_cause_and_their_bill(
    request_: TeacherRequest,
    provider: str,
    answer: dict[str, Any],
    error: type[TeacherError],
    cause: str,
) -> None:
    with served(Wire(body=json.dumps(answer).encode())) as wire:
        with pytest.raises(error) as caught:
            send(make(provider, wire.base_url(provider)), request_)
        assert len(wire.seen) == 1
    assert caught.value.cause == cause
    assert caught.value.exchange is not None
    assert (caught.value.exchange.input_tokens, caught.value.exchange.output_tokens) == (900, 300)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"<html></html>", b"{}"])
@pytest.mark.parametrize("provider", PROTOCOLS)
def test_answer_that_is_no_reply_is_retryable_or_empty(
    request_: TeacherRequest, provider: str, body: bytes
) -> None:
    with served(Wire(body=body)) as wire, pytest.raises(TeacherError) as caught:
        send(make(provider, wire.base_url(provider)), request_)
    assert caught.value.is_retryable
    assert caught.value.cause in {"broken answer", "empty reply"}
    if isinstance(caught.value, TeacherBusyError):
        assert caught.value.is_possibly_paid


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
@pytest.mark.parametrize("provider", PROTOCOLS)
def test_busy_status_is_told_at_once_with_the_wait_asked_for(
    request_: TeacherRequest, provider: str, status: int
) -> None:
    body = json.dumps({"error": {"code": status, "message": "busy"}}).encode()
    with served(Wire(status=status, body=body, headers={"retry-after": "7.5"})) as wire:
        with pytest.raises(TeacherBusyError) as caught:
            send(make(provider, wire.base_url(provider)), request_)
        assert len(wire.seen) == 1
    assert caught.value.cause == f"status {status}"
    assert caught.value.retry_after_s == 7.5
    assert not caught.value.is_possibly_paid


def test_gemini_says_its_wait_in_the_body(request_: TeacherRequest) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
    body = {
        "error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m", "details": [info]}
    }
    answer = Wire(status=429, body=json.dumps(body).encode())
    with served(answer) as wire, pytest.raises(TeacherBusyError) as caught:
        send(make("gemini", wire.url), request_)
    assert caught.value.retry_after_s == 34.5


def test_http_date_and_milliseconds_are_waits_too(request_: TeacherRequest) -> None:
    for headers, low, high in (
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0, 0.0),
        ({"retry-after-ms": "1500"}, 1.5, 1.5),
        ({"retry-after": "soon"}, None, None),
    ):
        answer = Wire(status=429, headers=headers)
        with served(answer) as wire, pytest.raises(TeacherBusyError) as caught:
            send(make("openai", wire.base_url("openai")), request_)
        assert caught.value.retry_after_s in {low, high}


@pytest.mark.parametrize(
    ("status", "code", "error", "cause"),
    [
        (400, "invalid_value", TeacherRequestError, "status 400"),
        (401, "invalid_api_key", TeacherRequestError, "status 401"),
        (404, "model_not_found", TeacherRequestError, "status 404"),
        (429, "insufficient_quota", TeacherRequestError, "quota spent"),
        (400, "content_filter", TeacherRefusedError, "refused"),
    ],
)
def test_openai_codes_that_no_wait_cures(
    request_: TeacherRequest, status: int, code: str, error: type[TeacherError], cause: str
) -> None:
    body = json.dumps({"error": {"code": code, "message": "no", "type": "x"}}).encode()
    with served(Wire(status=status, body=body)) as wire, pytest.raises(error) as caught:
        send(make("openai", wire.base_url("openai")), request_)
    assert not caught.value.is_retryable
    assert caught.value.cause == cause


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
@pytest.mark.parametrize("provider", PROTOCOLS)
def test_no_error_or_log_line_shows_the_key_or_the_payload(
    request_: TeacherRequest, caplog: pytest.LogCaptureFixture, provider: str, status: int
) -> None:
    for echo in (request_.payload_text, f"Incorrect key {KEY}, ends in {KEY[-4:]}"):
        body = json.dumps({"error": {"code": status, "message": f"You sent {echo}"}}).encode()
        with (
            served(Wire(status=status, body=body)) as wire,
            caplog.at_level(logging.DEBUG, logger="prompts"),
            pytest.raises(TeacherError) as caught,
        ):
            send(make(provider, wire.base_url(provider)), request_)
        shown = str(caught.value) + repr(caught.value.__dict__) + caplog.text
        assert caught.value.__cause__ is None
        assert KEY not in shown
        assert KEY[-4:] not in shown
        assert request_.payload_text[:30] not in shown
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("provider", HOSTED)
def test_no_server_is_retryable_and_nothing_was_paid_for_certain(
    request_: TeacherRequest, provider: str
) -> None:
    with pytest.raises(TeacherBusyError, match="no connection") as caught:
        send(make(provider, "http://127.0.0.1:9"), request_)
    assert caught.value.cause == "no connection"
