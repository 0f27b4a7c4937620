"""The review server over a real socket: marks are kept, strangers and nonsense refused."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from review_shard import CALM, SHARD, SPIKE, Shown

from dagster_project.review.marks import MarkBook
from dagster_project.review.pages import review_data, review_html
from dagster_project.review.server import PortTakenError, ReviewServer
from dagster_project.tables.store import TableStore

TOKEN = "t0ken"


@pytest.fixture
def server(store: TableStore, book: MarkBook) -> Iterator[ReviewServer]:
    data = review_data(store, SHARD, n=9, seed=0)
    with ReviewServer(review_html({**data, "is_served": True}), book, TOKEN, 0) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def ask(
    server: ReviewServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    sent = {"Content-Type": "application/json"} if body is not None else {}
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, json.loads(text) if "json" in answer.headers["Content-Type"] else text


def said(**changes: Any) -> dict[str, Any]:
    return {
        "reviewer": "AB", "segment_id": "g-spike", "finding_id": SPIKE.finding_id,
        "verdict": "right", **changes,
    }  # fmt: skip


def post(server: ReviewServer, **changes: Any) -> tuple[int, Any]:
    return ask(server, "POST", f"/marks?token={TOKEN}", json.dumps(said(**changes)).encode())


def test_a_mark_is_stored_and_there_after_a_reload(server: ReviewServer, store: TableStore) -> None:
    status, page = ask(server, "GET", f"/?token={TOKEN}")
    assert status == 200
    found = Shown(page).data
    assert found["is_served"] is True
    assert len(found["pages"]) == 3
    assert post(server)[0] == 200
    assert post(server, verdict="unsure", reviewer="CD")[0] == 200
    status, answer = ask(server, "GET", f"/marks?token={TOKEN}&reviewer=AB")
    assert [(m["finding_id"], m["verdict"]) for m in answer["marks"]] == [
        (SPIKE.finding_id, "right")
    ], "a reviewer does not see what others said"
    row = store.read("review_marks", SHARD).filter(pl.col("reviewer") == "AB").to_dicts()[0]
    assert (row["kind"], row["channels"], row["source"]) == ("spike", ["T7"], "rule:x@1")
    assert row["subject_id"] == "s-one"
    assert len(row["marked_on"]) == 10


def test_marking_again_replaces_and_a_mark_can_be_taken_back(server: ReviewServer) -> None:
    assert post(server)[0] == 200
    _, answer = post(server, verdict="wrong")
    assert [m["verdict"] for m in answer["marks"]] == ["wrong"]
    _, answer = post(server, verdict="none")
    assert answer["marks"] == []


def test_a_missed_finding_and_a_finished_page_have_rows_of_their_own(server: ReviewServer) -> None:
    missed = {
        "finding_id": "",
        "verdict": "missed",
        "kind": "spike",
        "channels": ["F7-T7", "T7-P7"],
    }
    for _ in range(2):
        assert post(server, **missed, t0_s=7, t1_s=7.1)[0] == 200
    assert post(server, finding_id="", verdict="complete")[0] == 200
    _, answer = ask(server, "GET", f"/marks?token={TOKEN}&reviewer=AB")
    assert sorted(m["verdict"] for m in answer["marks"]) == ["complete", "missed"]
    added = next(m for m in answer["marks"] if m["verdict"] == "missed")
    assert (added["channels"], added["t0_s"], added["t1_s"]) == (["F7-T7", "T7-P7"], 7.0, 7.1)
    _, answer = post(server, finding_id=added["finding_id"], verdict="none")
    assert [m["verdict"] for m in answer["marks"]] == ["complete"]


MISSED = {
    "finding_id": "",
    "verdict": "missed",
    "kind": "spike",
    "channels": ["T7"],
    "t0_s": 1,
    "t1_s": 2,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reviewer": "Jane Doe"}, "reviewer 'Jane Doe'"),
        ({"reviewer": ""}, "reviewer"),
        ({"verdict": "maybe"}, "verdict 'maybe'"),
        ({"note": "hello"}, "note"),
        ({"segment_id": "g-other"}, "segment 'g-other' is not in this shard"),
        ({"finding_id": "f-other"}, "the findings were rebuilt"),
        ({"finding_id": CALM.finding_id}, "is not on segment 'g-spike'"),
        ({**MISSED, "kind": "spikes"}, "kind 'spikes' is not known"),
        ({**MISSED, "channels": []}, "channels [] are not allowed"),
        ({**MISSED, "channels": ["T7", "T7"]}, "each once"),
        ({**MISSED, "channels": ["T9"]}, "channels ['T9'] are not allowed"),
        ({**MISSED, "t1_s": 1}, "is empty"),
        ({**MISSED, "t1_s": 10.5}, "t1_s 10.5"),
        ({**MISSED, "t0_s": -1}, "t0_s -1"),
        ({**MISSED, "t0_s": "1"}, "t0_s '1'"),
    ],
)  # fmt: skip
def test_a_mark_that_makes_no_sense_is_one_sentence(
    server: ReviewServer, store: TableStore, changes: dict[str, Any], message: str
) -> None:
    status, answer = post(server, **changes)
    assert status == 400
    assert message in answer["error"]
    assert store.manifest("review_marks", SHARD) is None


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/", None, {}, 403),
        ("GET", "/?token=wrong", None, {}, 403),
        ("GET", "/?token=%C3%A9", None, {}, 403),
        ("GET", f"/?token={TOKEN}", None, {"Host": "evil.example"}, 403),
        ("POST", "/marks", b"{}", {}, 403),
        ("POST", f"/marks?token={TOKEN}", b"{}", {"Host": "evil.example"}, 403),
        ("POST", f"/marks?token={TOKEN}", b"{}", {"Content_Type": "text/plain"}, 415),
        ("POST", f"/marks?token={TOKEN}", b"{", {}, 400),
        ("POST", f"/marks?token={TOKEN}", b"\xff\x00", {}, 400),
        ("POST", f"/marks?token={TOKEN}", b"{}", {"Content_Length": "99999999"}, 413),
        ("POST", f"/marks?token={TOKEN}", b"{}", {"Content_Length": "many"}, 411),
        ("POST", f"/?token={TOKEN}", b"{}", {}, 404),
        ("GET", f"/etc/passwd?token={TOKEN}", None, {}, 404),
        ("GET", f"/marks?token={TOKEN}&reviewer=../x", None, {}, 400),
        ("PUT", f"/marks?token={TOKEN}", b"{}", {}, 501),
    ],
)
def test_strangers_and_nonsense_are_refused(
    server: ReviewServer, store: TableStore, method: str, path: str, body: bytes | None,
    headers: dict[str, str], status: int,
) -> None:  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    sent = {"Content-Type": "application/json"} | {
        k.replace("_", "-"): v for k, v in headers.items()
    }
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    assert answer.status == status
    assert b"Traceback" not in answer.read()
    connection.close()
    assert store.manifest("review_marks", SHARD) is None
    assert ask(server, "GET", f"/?token={TOKEN}")[0] == 200, "the server goes on"


def test_it_listens_on_this_machine_only_and_a_taken_port_is_said(
    server: ReviewServer, book: MarkBook
) -> None:
    assert server.server_address[0] == "127.0.0.1"
    with pytest.raises(PortTakenError, match="use --port 0 for any free one"):
        ReviewServer("", book, TOKEN, server.server_port)
