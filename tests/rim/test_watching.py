"""The sensor's eyes: which shards are asked for when files come, change or go."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.corpora.registry import corpora
from dagster_project.corpora.shards import shard_keys, shard_of
from dagster_project.resources import Workspace
from dagster_project.sensors import WITHDRAWAL_TAG, data_files
from dagster_project.watching import absent_corpora, changes, look, recall, remember


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    for subject in ("S001", "S002", "S003", "S004", "S005"):
        place(tmp_path, subject)
    return Workspace(storage_root=str(tmp_path / "home"), data_root=str(tmp_path / "data"))


def place(root: Path, subject: str, content: bytes = b"0") -> Path:
    path = root / "data" / "eegmmidb" / subject / f"{subject}R03.edf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def shard_of_subject(subject: str) -> str:
    spec = corpora()["eegmmidb"]
    return shard_of(spec, spec.identity_of(subject))


def tick(workspace: Workspace, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(cursor=cursor, resources={"workspace": workspace})
    result = data_files(context)
    assert isinstance(result, (dg.SensorResult, dg.SkipReason))
    return result


def asked(result: dg.SensorResult | dg.SkipReason) -> dict[str, str]:
    assert isinstance(result, dg.SensorResult)
    return {r.partition_key: r.job_name for r in result.run_requests or []}  # type: ignore[misc]


def test_the_first_look_asks_for_the_shards_that_hold_files(workspace: Workspace) -> None:
    subjects = ("S001", "S002", "S003", "S004", "S005")
    expected = {shard_of_subject(s): "rebuild_corpus" for s in subjects}
    assert asked(tick(workspace, None)) == expected


def test_nothing_is_asked_for_when_nothing_happened(workspace: Workspace) -> None:
    first = tick(workspace, None)
    assert isinstance(first, dg.SensorResult)
    assert isinstance(tick(workspace, first.cursor), dg.SkipReason)


@pytest.mark.parametrize("event", ["new", "changed", "removed"])
def test_only_the_touched_shard_is_asked_for(
    workspace: Workspace, tmp_path: Path, event: str
) -> None:
    first = tick(workspace, None)
    assert isinstance(first, dg.SensorResult)
    subject = "S006" if event == "new" else "S003"
    if event == "removed":
        place(tmp_path, subject).unlink()
    else:
        path = place(tmp_path, subject, b"other content")
        os.utime(path, ns=(1, 1))
    result = tick(workspace, first.cursor)
    job = "rebuild_shard" if event == "removed" else "rebuild_corpus"
    assert asked(result) == {shard_of_subject(subject): job}
    assert isinstance(result, dg.SensorResult)
    request = (result.run_requests or [])[0]
    assert (WITHDRAWAL_TAG in request.tags) == (event == "removed")
    assert isinstance(tick(workspace, result.cursor), dg.SkipReason)


def test_a_withdrawal_pays_no_teacher(workspace: Workspace, tmp_path: Path) -> None:
    first = tick(workspace, None)
    assert isinstance(first, dg.SensorResult)
    place(tmp_path, "S003").unlink()
    result = tick(workspace, first.cursor)
    assert isinstance(result, dg.SensorResult)
    ops = (result.run_requests or [])[0].run_config["ops"]
    assert {name: op["config"]["ask_teacher"] for name, op in ops.items()} == {
        "narratives": False,
        "descriptions": False,
        "teacher_questions": False,
        "dialogues": False,
    }


def test_an_unmounted_disk_is_not_a_withdrawal(workspace: Workspace, tmp_path: Path) -> None:
    first = tick(workspace, None)
    assert isinstance(first, dg.SensorResult)
    (tmp_path / "data" / "eegmmidb").rename(tmp_path / "data" / "elsewhere")
    assert isinstance(tick(workspace, first.cursor), dg.SkipReason)
    before = recall(first.cursor)
    absent = absent_corpora(workspace)
    assert recall(remember(before, look(workspace), absent)) == before
    (tmp_path / "data" / "elsewhere").rename(tmp_path / "data" / "eegmmidb")
    assert changes(before, look(workspace), absent_corpora(workspace)) == []


def test_the_cursor_holds_no_path(workspace: Workspace) -> None:
    result = tick(workspace, None)
    assert isinstance(result, dg.SensorResult)
    assert "S001" not in str(result.cursor)
    assert "edf" not in str(result.cursor)


def test_a_wrong_data_root_is_told_in_one_sentence(tmp_path: Path) -> None:
    workspace = Workspace(storage_root=str(tmp_path), data_root=str(tmp_path / "nowhere"))
    with pytest.raises(dg.Failure, match="is not a folder; set NEUROGLOSS_DATA") as caught:
        look(workspace)
    assert caught.value.allow_retries is False


def test_shard_keys_belong_to_their_corpus() -> None:
    assert shard_keys("simulated") == ("simulated-01-of-02", "simulated-02-of-02")
