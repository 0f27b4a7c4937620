"""OpenNeuro through openneuro-py itself, against a local host that speaks its GraphQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hosts.entries import entry
from hosts.web import WebHost, web_host

from dagster_project.corpora.fetch.openneuro import patterns
from dagster_project.corpora.fetch.plan import Wish, make_plan
from dagster_project.corpora.fetch.run import fetch
from dagster_project.corpora.fetch.types import FetchError, RemoteFile

SPEC = entry(
    "openneuro",
    {"dataset": "ds009999", "tag": "1.0.1"},
    files={
        "suffixes": [".edf"],
        "pattern": r"(?:^|/)(?P<subject>sub-\d+)_task-rest_eeg\.edf$",
    },
)
DOI = (
    b'{"Name": "x", "BIDSVersion": "1.8.0", "DatasetDOI": "doi:10.18112/openneuro.ds009999.v1.0.1"}'
)
FILES = {
    "dataset_description.json": DOI,
    "README": b"hello",
    "participants.tsv": b"participant_id\nsub-1\nsub-2\n",
    ".bidsignore": b"*.log\n",
    "sub-1/eeg/sub-1_task-rest_eeg.edf": bytes(range(256)) * 4000,
    "sub-1/eeg/sub-1_task-rest_channels.tsv": b"name\n",
    "sub-2/eeg/sub-2_task-rest_eeg.edf": b"two" * 1000,
    "stim [1].txt": b"odd name",
}


def plant(host: WebHost, files: dict[str, bytes]) -> None:
    listed = []
    for i, (name, data) in enumerate(files.items()):
        host.files[f"/store/{i}"] = data
        listed.append(
            {"filename": name, "urls": [f"{host.url}/store/{i}"], "size": len(data), "id": str(i)}
        )

    def answer(query: str) -> dict[str, Any]:
        if "snapshots" in query:
            return {"data": {"dataset": {"snapshots": [{"id": "ds009999:1.0.1"}]}}}
        known = '"1.0.1"' in query
        found = {"id": "ds009999:1.0.1", "files": listed}
        return {"data": {"snapshot": found if known else None}}

    host.records["/crn/graphql"] = answer


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebHost]:
    import openneuro._download

    # restored afterwards: the source moves the client's constant when an address is set
    monkeypatch.setattr(openneuro._download, "gql_url", openneuro._download.gql_url)
    with web_host() as found:
        monkeypatch.setenv("NEUROGLOSS_OPENNEURO_URL", f"{found.url}/crn/graphql")
        plant(found, FILES)
        yield found


def tree(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file() and ".neurogloss" not in p.parts)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def ignore(name: str, n_bytes: int) -> None:
    pass


def test_a_snapshot_is_fetched_and_then_left_alone(host: WebHost, tmp_path: Path) -> None:
    told: dict[str, int] = {}
    fetch(make_plan(SPEC, tmp_path, Wish()), told.__setitem__)
    assert tree(tmp_path / "planted") == FILES
    assert told == {name: len(data) for name, data in FILES.items()}
    n_asked = len(host.asked)
    assert fetch(make_plan(SPEC, tmp_path, Wish()), ignore).n_fetched == 0
    assert [method for method, _, _ in host.asked[n_asked:]] == ["POST"]


def test_one_subject_comes_with_what_is_shared(host: WebHost, tmp_path: Path) -> None:
    fetch(make_plan(SPEC, tmp_path, Wish(subjects=("sub-2",))), ignore)
    assert set(tree(tmp_path / "planted")) == {n for n in FILES if not n.startswith("sub-1")}


def test_a_cut_connection_is_taken_up_by_the_client(host: WebHost, tmp_path: Path) -> None:
    host.faults["/store/4"] = [("cut", 600_000)]
    fetch(make_plan(SPEC, tmp_path, Wish()), ignore)
    assert tree(tmp_path / "planted") == FILES
    first, second = host.ranges_of("/store/4")
    assert first == ""
    assert second.startswith("bytes=")


def test_nothing_unfinished_lies_under_a_recording_name(host: WebHost, tmp_path: Path) -> None:
    host.faults["/store/4"] = [("cut", 600_000)] + [("status", 404)] * 9
    with pytest.raises(FetchError, match="openneuro-py: Failed to download 1 file") as caught:
        fetch(make_plan(SPEC, tmp_path, Wish()), ignore)
    assert caught.value.is_retryable
    assert tree(tmp_path / "planted") == {}
    host.faults.clear()
    host.asked.clear()
    fetch(make_plan(SPEC, tmp_path, Wish()), ignore)
    assert tree(tmp_path / "planted") == FILES
    assert host.ranges_of("/store/6") == []  # came the first time, checked and kept


def test_a_wrong_hash_is_fetched_again(host: WebHost, tmp_path: Path) -> None:
    host.faults["/store/6"] = [("bytes", b"bad" * 1000)]
    fetch(make_plan(SPEC, tmp_path, Wish()), ignore)
    assert tree(tmp_path / "planted") == FILES


def test_a_name_that_leaves_the_folder_is_refused(host: WebHost, tmp_path: Path) -> None:
    plant(host, {**FILES, "../sub-3_task-rest_eeg.edf": b"evil"})
    with pytest.raises(FetchError, match="does not stay inside the corpus folder"):
        make_plan(SPEC, tmp_path, Wish())


def test_a_snapshot_that_does_not_exist_is_one_sentence(host: WebHost, tmp_path: Path) -> None:
    spec = entry("openneuro", {"dataset": "ds009999", "tag": "2.0.0"})
    with pytest.raises(FetchError, match=r"lists no files for ds009999 at tag 2\.0\.0"):
        make_plan(spec, tmp_path, Wish())


def test_a_folder_wanted_whole_is_one_pattern() -> None:
    listed = [RemoteFile(n, 1, "", "") for n in ("sub-1/a", "sub-1/b", "sub-2/a", "sub-2/.b", "c*")]
    assert patterns(listed, listed) == ["/c\\*", "/sub-1", "/sub-2/.b", "/sub-2/a"]
    assert patterns(listed, listed[1:2]) == ["/sub-1/b"]
