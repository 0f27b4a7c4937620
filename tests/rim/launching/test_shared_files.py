"""What a job says is heard over a disk that fails; what cannot be heard is said."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_project.launching import shared_files
from dagster_project.launching.shared_files import SharedMessages, written_status

_OPEN = Path.open


class Handler:
    """Notes messages as Dagster's own does."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    received_opened_message = property(lambda self: "open" in self.heard)
    received_closed_message = property(lambda self: "close" in self.heard)

    def handle_message(self, message: Any) -> None:
        self.heard.append(message)


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Let message files not be opened, a number of times, as a shared disk would not."""

    def make(number: int, n_times: int) -> None:
        left = [n_times]

        def fail(self: Path, *words: Any, **more: Any) -> Any:
            if self.name.startswith("messages-") and left[0] > 0:
                left[0] -= 1
                raise OSError(number, "of a test")
            return _OPEN(self, *words, **more)

        monkeypatch.setattr(Path, "open", fail)

    return make


def _lines(*messages: str) -> bytes:
    return b"".join(json.dumps(m).encode() + b"\n" for m in messages)


def _warnings(instance: dg.DagsterInstance, outcome: Any) -> str:
    return "\n".join(r.user_message for r in instance.all_logs(outcome.run_id) if r.level >= 30)


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.EIO])
def test_file_that_may_not_be_read_for_a_while_is_read_again(
    slurm: Any, make: Any, deaf: Any, number: int
) -> None:
    deaf(number, 2)
    outcome, instance = make(slurm)
    assert outcome.success
    (made,) = outcome.asset_materializations_for_node("model")
    assert made.metadata["steps"].value == 3
    said = _warnings(instance, outcome)
    assert "cannot be read" in said
    assert "the job goes on" in said
    assert "can be read again" in said


def test_result_that_could_not_be_read_is_taken_up_later(
    slurm: Any, make: Any, deaf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_files, "SETTLE_S", 0.5)
    deaf(errno.EACCES, 10**9)
    outcome, _ = make(slurm)
    (event,) = outcome.filter_events(lambda e: e.is_step_failure)
    text = str(event.step_failure_data.user_failure_data.description)
    assert "ended well and what it reported cannot be read (PermissionError: of a test)" in text
    assert outcome.filter_events(lambda e: e.event_type_value == "STEP_UP_FOR_RETRY")
    deaf(errno.EACCES, 0)
    again, _ = make(slurm)
    (made,) = again.asset_materializations_for_node("model")
    assert made.metadata["steps"].value == 3
    assert slurm.launches == ["from 0"]  # nothing was trained again, the retry included


@pytest.mark.parametrize("n_seen", [3, 9, 10])
def test_line_whose_bytes_come_late_is_heard_once_and_in_order(tmp_path: Path, n_seen: int) -> None:
    path, handler, said = tmp_path / "messages-1.jsonl", Handler(), []
    whole = _lines("open", "second", "close")
    at = len(_lines("open"))
    # as a network disk shows it: the length is there, the bytes are not
    path.write_bytes(whole[:at] + whole[at : at + n_seen].ljust(8, b"\0")[:-1] + b"\n")
    with SharedMessages(path, lambda: 0, said.append).read_messages(handler):
        _wait(lambda: handler.heard)
        time.sleep(0.4)
        path.write_bytes(whole)
    assert handler.heard == ["open", "second", "close"]
    assert said == []


def test_line_that_stays_torn_is_passed_over_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_files, "SETTLE_S", 0.5)
    path, handler, said = tmp_path / "messages-1.jsonl", Handler(), []
    path.write_bytes(_lines("open") + b"\0\0\0\n" + b'{"half": \n' + _lines("close"))
    with SharedMessages(path, lambda: 0, said.append).read_messages(handler):
        pass
    assert handler.heard == ["open", "close"]
    assert [line.split(": ")[1] for line in said] == ["passed over"] * 2


def test_last_line_half_written_by_a_killed_job_is_left(tmp_path: Path) -> None:
    path, handler, said = tmp_path / "messages-1.jsonl", Handler(), []
    path.write_bytes(_lines("open", "one") + b'{"half')
    with SharedMessages(path, lambda: -9, said.append).read_messages(handler):
        pass
    assert handler.heard == ["open", "one"]
    assert said == []


@pytest.mark.parametrize(
    ("text", "status"), [("0\n", 0), ("137\n", -9), ("2", 2), ("", None), ("\0\0", None)]
)
def test_status_is_read_or_not_there_yet(tmp_path: Path, text: str, status: int | None) -> None:
    path = tmp_path / "status"
    assert written_status(path) is None
    path.write_text(text)
    assert written_status(path) == status
    path.unlink()
    path.mkdir()  # an error that even root meets
    assert written_status(path) is None


def _wait(is_so: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
